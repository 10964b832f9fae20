"""Praat's TextGrids and subtitles as annotations: both text forms, encodings, tags, voices, and each fault."""

import numpy as np
import pytest

from conftest import random_landmarks
from signloom.corpus import Corpus
from signloom.ctc.hypothesis import GlossSpan
from signloom.errors import InputError
from signloom.importers import subtitles, textgrid
from signloom.subtitles import write_spans
from signloom.timed.annotations import TimedAnnotation

LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "Gloss"
        xmin = 0
        xmax = 4
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 1.0
            text = "HEUTE"
        intervals [2]:
            xmin = 1.0
            xmax = 2.04
            text = ""
        intervals [3]:
            xmin = 2.04
            xmax = 3.0
            text = "SAGEN ""JA"""
        intervals [4]:
            xmin = 3.0
            xmax = 4
            text = " ÜBER "
    item [2]:
        class = "TextTier"
        name = "Blinks"
        xmin = 0
        xmax = 4
        points: size = 1
        points [1]:
            number = 0.5
            mark = "x"
    item [3]:
        class = "IntervalTier"
        name = "Satz"
        xmin = 0
        xmax = 4
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 2
            text = "Heute."
        intervals [2]:
            xmin = 2
            xmax = 4
            text = "Nein 5 5 ""und"" mehr"
'''
SHORT = '''File type = "ooTextFile"
Object class = "TextGrid"

0
4
<exists>
3
"IntervalTier"
"Gloss"
0
4
4
0
1.0
"HEUTE"
1.0
2.04
""
2.04
3.0
"SAGEN ""JA"""
3.0
4
" ÜBER "
"TextTier"
"Blinks"
0
4
1
0.5
"x"
"IntervalTier"
"Satz"
0
4
2
0
2
"Heute."
2
4
"Nein 5 5 ""und"" mehr"
'''
GLOSSES = (
    TimedAnnotation(0, 1000, "HEUTE"),
    TimedAnnotation(2040, 3000, 'SAGEN "JA"'),
    TimedAnnotation(3000, 4000, " ÜBER "),
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("text", [LONG, SHORT], ids=["long", "short"])
def test_both_forms_and_praats_encodings(tmp_path, text, encoding):
    path = tmp_path / "a.TextGrid"
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    tiers = textgrid.read_textgrid(path).tiers
    assert tiers["Gloss"] == GLOSSES
    assert tiers["Blinks"] == (TimedAnnotation(500, 500, "x"),)
    assert [item.value for item in tiers["Satz"]] == ["Heute.", 'Nein 5 5 "und" mehr']


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends in the middle of a tier"),
        (LONG[:700], "ends in the middle of a tier"),
        (LONG.replace('"TextGrid"', '"Pitch"'), "it begins with 'ooTextFile', 'Pitch'; needed 'ooTextFile'"),
        ('"Praat chronological TextGrid text file"\n0 4\n', "the number 0 in the place of a text"),
        (LONG.replace("xmax = 1.0", 'xmax = "x"'), "the text 'x' in the place of a number"),
        (LONG.replace("Blinks", "Gloss"), "two tiers are named 'Gloss'"),
        ("ooBinaryFile\x08TextGrid", "a binary TextGrid; in Praat, save it as a text file"),
    ],
)
def test_what_is_no_textgrid_is_told(tmp_path, text, message):
    path = tmp_path / "a.TextGrid"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="a.TextGrid: ") as caught:
        textgrid.read_textgrid(path)
    assert message in str(caught.value)


@pytest.fixture
def video(tmp_path):
    """Landmarks of 4 s at 25 frames/s."""
    landmarks = random_landmarks(100)
    landmarks.save(tmp_path / "lm" / "a.npz")
    return landmarks


def corpus_of(module, tmp_path, **given) -> Corpus:
    options = module.Options(
        annotations=[str(tmp_path / "in")],
        landmarks=tmp_path / "lm",
        output=tmp_path / "corpus",
        overwrite=True,
        **given,
    )
    assert module.run(options) == 0
    return Corpus.open(options.output)


def put(tmp_path, name: str, text: str):
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / name).write_text(text, encoding="utf-8")


def test_a_textgrid_becomes_utterances(tmp_path, video):
    put(tmp_path, "a.TextGrid", LONG)
    corpus = corpus_of(textgrid, tmp_path, tier=["Gloss"], segments="Satz", replace_spaces="-")
    assert [(item.id, item.glosses, item.num_frames) for item in corpus] == [
        ("a_0001", ("HEUTE",), 50),
        ("a_0002", ('SAGEN-"JA"', "ÜBER"), 50),
    ]
    assert corpus.utterances[1].source["gloss_ms"] == [[40, 1000], [1000, 2000]]
    np.testing.assert_allclose(corpus.load(corpus.utterances[1]).points, video.points[50:], atol=1e-3)
    with pytest.raises(InputError, match="'SAGEN \"JA\"' has spaces; needed one word, or pass --replace_spaces -"):
        corpus_of(textgrid, tmp_path, tier=["Gloss"])
    with pytest.raises(InputError, match="no tier 'gloss'; it has 'Gloss', 'Blinks', 'Satz'"):
        corpus_of(textgrid, tmp_path, tier=["gloss"])


SRT = """1
00:00:00,000 --> 00:00:01,000
HEUTE REGEN

2
00:00:02,040 --> 00:00:03,000 X1:40 X2:600
<i>MORGEN</i>
{\\an8}SONNE

3
00:00:03,000 --> 00:00:04,000

"""
VTT = """\ufeffWEBVTT - a title

NOTE a comment --- with dashes

STYLE
::cue { color: red }

intro
00:00.000 --> 00:01.000 align:start
HEUTE REGEN

00:00:02.040 --> 00:00:03.000
<v Anna><c.loud>MORGEN</c> SONNE&amp;MOND</v>
"""


def test_a_cue_is_a_sentence(tmp_path, video):
    put(tmp_path, "a.srt", SRT)
    corpus = corpus_of(subtitles, tmp_path)
    assert [(item.id, item.glosses, item.num_frames) for item in corpus] == [
        ("a_0001", ("HEUTE", "REGEN"), 25),
        ("a_0002", ("MORGEN", "SONNE"), 24),
    ]
    np.testing.assert_allclose(corpus.load(corpus.utterances[1]).points, video.points[51:75], atol=1e-3)


def test_voices_of_webvtt_are_signers(tmp_path, video):
    put(tmp_path, "a.vtt", VTT)
    with pytest.raises(InputError, match=r"cues of several people \(nobody, Anna\); choose one with --voice"):
        corpus_of(subtitles, tmp_path)
    corpus = corpus_of(subtitles, tmp_path, voice="Anna")
    assert [(item.signer, item.glosses) for item in corpus] == [("Anna", ("MORGEN", "SONNE&MOND"))]
    with pytest.raises(InputError, match="--voice Ben speaks nowhere; it has Anna"):
        corpus_of(subtitles, tmp_path, voice="Ben")


def test_dev_holds_a_stranger_where_no_split_is_named(tmp_path, capsys):
    for name, last in zip("abcdef", ("SONNE", "SONNE", "SCHNEE", "SONNE", "SONNE", "SONNE"), strict=True):
        put(tmp_path, f"{name}.srt", SRT.replace("SONNE", last))
        random_landmarks(100).save(tmp_path / "lm" / f"{name}.npz")
    by_file = {"signer_from": "file"}

    def dev(**given) -> set[str | None]:
        return {item.signer for item in corpus_of(subtitles, tmp_path, **given) if item.split == "dev"}

    (stranger,) = dev(**by_file)
    # Only c signs SCHNEE.
    assert stranger in set("abdef")
    assert f"dev holds {stranger}, who is not in train" in capsys.readouterr().err
    assert dev(**by_file, dev_signers=["c", "b"]) == {"b", "c"}
    assert dev(**by_file, dev_signers=["known"]) == set()
    assert dev(**by_file, split="train") == dev(**by_file, splits=["train"]) == set()
    table = tmp_path / "table.csv"
    options = subtitles.Options(annotations=[str(tmp_path / "in")], output=table, **by_file)
    assert subtitles.run(options) == 0
    assert {line.split("|")[3] for line in table.read_text().splitlines() if "|dev|" in line} == {stranger}
    # A split that is named stays.
    (tmp_path / "in" / "test").mkdir()
    (tmp_path / "in" / "a.srt").rename(tmp_path / "in" / "test" / "a.srt")
    assert dev(**by_file) == set()
    with pytest.raises(InputError, match="say the splits, which stay"):
        corpus_of(subtitles, tmp_path, **by_file, dev_signers=["b"])


def test_few_signers_stay_in_train_and_it_is_told(tmp_path, video, capsys):
    put(tmp_path, "a.srt", SRT)
    assert {item.split for item in corpus_of(subtitles, tmp_path)} == {"train"}
    assert "all utterances are in train (no known signer could train" in capsys.readouterr().err
    with pytest.raises(InputError, match="auto and known stand alone"):
        corpus_of(subtitles, tmp_path, dev_signers=["auto", "a"])


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_what_transcribe_writes_comes_back(tmp_path, video, format):
    spans = (GlossSpan("ER&SIE", 0.2, 0.6, 0.9), GlossSpan("<unknown>", 0.6, 1.0, 0.9), GlossSpan("X", 1.0, 1.5, 0.9))
    write_spans(tmp_path / "in" / f"a.{format}", spans, format)
    tier = subtitles.read_cues(tmp_path / "in" / f"a.{format}").tiers["cues"]
    assert tier == tuple(
        TimedAnnotation(round(1000 * span.start_seconds), round(1000 * span.end_seconds), span.gloss) for span in spans
    )
    write_spans(tmp_path / "in" / f"a.{format}", spans[::2], format)
    (utterance,) = corpus_of(subtitles, tmp_path, each="gloss")
    assert utterance.glosses == ("ER&SIE", "X")
    assert utterance.source["gloss_ms"] == [[200, 600], [1000, 1500]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no cues; needed lines such as"),
        ("1\n00:00:01:12 --> 00:00:02:05\nA\n", "line 2: '00:00:01:12 --> 00:00:02:05'; needed times such as"),
        ("1\n00:00:02,000 --> 00:00:01,000\nA\n", "is from 2.000 s to 1.000 s; correct its times"),
        ("1\n00:00:00,000 --> 00:00:02,000\nA\n\n2\n00:00:01,000 --> 00:00:03,000\nB\n", "overlap; needed one after"),
        ("1\n00:00:01,000 --> 00:00:02,000\nA|B\n", "has a bar, which separates columns"),
        ("1\n00:00:01,000 --> 00:00:09,000\nA\n", "the segment ends at 9.000 s, a.npz at 4.000 s"),
        ("1\n00:00:01,000 --> 00:00:02,000\n<blank>\n", "gloss <blank> is reserved"),
    ],
)
def test_faults_of_subtitles(tmp_path, video, text, message):
    put(tmp_path, "a.srt", text)
    with pytest.raises(InputError) as caught:
        corpus_of(subtitles, tmp_path)
    assert message in str(caught.value)


def test_folders_of_one_kind_only(tmp_path):
    put(tmp_path, "a.txt", "x")
    with pytest.raises(InputError, match=r"no files ending in .srt or .vtt in this folder"):
        corpus_of(subtitles, tmp_path)
    with pytest.raises(InputError, match=r"no files ending in .textgrid in this folder"):
        corpus_of(textgrid, tmp_path, tier=["Gloss"])
