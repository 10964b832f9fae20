import json
import re
import warnings

import numpy as np
import pytest

from conftest import random_landmarks
from signloom.corpus import LEFT_OUT, Corpus
from signloom.ctc.hypothesis import GlossSpan
from signloom.errors import InputError
from signloom.files.reading import Kind
from signloom.importers.elan import Options, run
from signloom.subtitles import write_spans
from signloom.timed.annotations import Medium, TimedAnnotation
from signloom.timed.eaf import read_eaf, write_eaf

pympi = pytest.importorskip("pympi")

HEAD = (
    '<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.1" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="x.xsd">'
)


def eaf(path, tiers, *, media="", participants=None):
    """An ELAN file made by pympi, tiers as {name: [(start, end, value)]}."""
    document = pympi.Eaf()
    document.remove_tier("default")
    for name, intervals in tiers.items():
        document.add_tier(name, part=(participants or {}).get(name))
        for start, end, value in intervals:
            document.add_annotation(name, start, end, value)
    if media:
        document.add_linked_file(f"file:///C:/Users/x/{media}", f"./{media}", "video/mp4")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(pympi.Elan.to_string(document), encoding="utf-8")
    return path


def call(tmp_path, **given):
    defaults = {"annotations": [str(tmp_path / "eaf")], "tier": ["Gloss"], "output": tmp_path / "corpus"}
    return run(Options(**{**defaults, **given}))


def test_what_align_writes_opens_in_pympi_and_comes_back(tmp_path):
    spans = (
        GlossSpan("WIE-GEHT'S", 0.1, 0.52, 0.876),
        GlossSpan("<unknown>", 0.52, 0.5201, 1.0),
        GlossSpan("Ä", 1, 2, 0),
    )
    path = tmp_path / "out" / "clip.eaf"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_spans(path, spans, "eaf", media=tmp_path / "videos" / "clip 1.mp4")
        document = pympi.Eaf(str(path))
    assert document.get_annotation_data_for_tier("gloss") == [
        (100, 520, "WIE-GEHT'S"),
        # ELAN knows no annotation shorter than a millisecond
        (520, 521, "<unknown>"),
        (1000, 2000, "Ä"),
    ]
    assert document.get_ref_annotation_data_for_tier("confidence") == [
        (100, 520, "0.88", "WIE-GEHT'S"),
        (520, 521, "1.00", "<unknown>"),
        (1000, 2000, "0.00", "Ä"),
    ]
    (link,) = document.get_linked_files()
    assert link["RELATIVE_MEDIA_URL"] == "../videos/clip 1.mp4"
    assert link["MIME_TYPE"] == "video/mp4"
    assert str(tmp_path) not in path.read_text(encoding="utf-8")
    found = read_eaf(path)
    assert found.tiers["gloss"][2] == TimedAnnotation(1000, 2000, "Ä")
    assert found.tiers["confidence"][0] == TimedAnnotation(100, 520, "0.88")
    assert found.media == (Medium("clip 1.mp4", ("videos",)),)


def test_a_video_beside_the_file_is_linked_by_its_name(tmp_path):
    text = write_eaf([], [], media=tmp_path / "a.mov", folder=tmp_path)
    assert 'RELATIVE_MEDIA_URL="./a.mov"' in text
    assert 'MIME_TYPE="video/quicktime"' in text
    assert "MEDIA_DESCRIPTOR" not in write_eaf([], [])


def test_control_characters_that_xml_cannot_hold_are_left_out(tmp_path):
    (tmp_path / "a.eaf").write_text(write_eaf([TimedAnnotation(0, 5, "A\x0bB")], [1.0]), encoding="utf-8")
    assert read_eaf(tmp_path / "a.eaf").tiers["gloss"] == (TimedAnnotation(0, 5, "AB"),)


def test_moments_that_were_never_set_and_glosses_that_refer_to_others(tmp_path):
    slots = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="ts{number}"{f" TIME_VALUE={chr(34)}{time}{chr(34)}" if time is not None else ""}/>'
        for number, time in enumerate([0, None, None, 900, 1000, 1600])
    )
    aligned = "".join(
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{at}" TIME_SLOT_REF1="ts{at}" TIME_SLOT_REF2="ts{at + 1}">'
        f"<ANNOTATION_VALUE>S{at}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
        for at in (0, 1, 2, 4)
    )
    referring = "".join(
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="{own}" ANNOTATION_REF="a4"{previous}>'
        f"<ANNOTATION_VALUE>{own}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
        for own, previous in (("a22", ' PREVIOUS_ANNOTATION="a21"'), ("a21", ""), ("a23", ' PREVIOUS_ANNOTATION="a22"'))
    )
    path = tmp_path / "a.eaf"
    path.write_text(
        f"{HEAD}<HEADER/><TIME_ORDER>{slots}</TIME_ORDER>"
        f'<TIER TIER_ID="sentence" LINGUISTIC_TYPE_REF="x">{aligned}</TIER>'
        f'<TIER TIER_ID="word" LINGUISTIC_TYPE_REF="y" PARENT_REF="sentence">{referring}</TIER></ANNOTATION_DOCUMENT>',
        encoding="utf-8",
    )
    found = read_eaf(path)
    assert [item[:2] for item in found.tiers["sentence"]] == [(0, 300), (300, 600), (600, 900), (1000, 1600)]
    # Three share the 0.6 s of the one they belong to, in the order of their chain.
    assert found.tiers["word"] == (
        TimedAnnotation(1000, 1200, "a21"),
        TimedAnnotation(1200, 1400, "a22"),
        TimedAnnotation(1400, 1600, "a23"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a", "not well-formed XML"),
        ("", "not well-formed XML"),
        ("<a/>", "not an ELAN file"),
        (f"{HEAD}<TIER/></ANNOTATION_DOCUMENT>", "not an ELAN file .no 'TIER_ID'.; open it in ELAN"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "declares the document type 'a'"),
        ('<!DOCTYPE b [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><b>&y;</b>', "declares the document type 'b'"),
        ('<!DOCTYPE c SYSTEM "http://example.org/c.dtd"><c/>', "declares the document type 'c'"),
        (
            f'{HEAD}<TIER TIER_ID="t"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a1" ANNOTATION_REF="a1">'
            "<ANNOTATION_VALUE>A</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>",
            "an annotation refers to 'a1'",
        ),
        (
            f'{HEAD}<TIER TIER_ID="t"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" '
            'TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>',
            "an annotation refers to 'ts1'",
        ),
    ],
)
def test_files_of_strangers_are_refused_not_trusted(tmp_path, text, message):
    path = tmp_path / "a.eaf"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"a.eaf: {message}"):
        read_eaf(path)


def test_a_file_too_large_is_not_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr("signloom.timed.eaf._EAF", Kind("an ELAN file", 100))
    with pytest.raises(InputError, match="needed an ELAN file of at most 100"):
        read_eaf(eaf(tmp_path / "a.eaf", {"Gloss": [(0, 10, "A")]}))
    with pytest.raises(InputError, match="cannot be read"):
        read_eaf(tmp_path / "b.eaf")


@pytest.fixture
def recordings(tmp_path):
    """Two recordings of 4 s at 25 frames a second, each with its ELAN file; the second lies in a folder dev."""
    folder = tmp_path / "landmarks"
    folder.mkdir()
    for number, name in enumerate(("session1", "session2")):
        random_landmarks(100, seed=number).save(folder / f"{name}.npz")
    glosses = [(0, 400, "HEUTE"), (400, 900, " REGEN "), (2000, 2500, "MORGEN"), (2500, 2900, "SONNE")]
    tiers = {
        "Gloss": glosses,
        "Satz": [(0, 1000, "Heute regnet es."), (1500, 1900, "-"), (1990, 2920, "Morgen Sonne.")],
    }
    participants = {"Gloss": "Anna"}
    eaf(tmp_path / "eaf" / "first.eaf", tiers, media="session1.mp4", participants=participants)
    eaf(tmp_path / "eaf" / "dev" / "session2.eaf", {"Gloss": [(0, 400, "SONNE")], "Satz": [(0, 480, "Sonne.")]})
    return tmp_path


def test_whole_files_become_utterances(recordings, capsys):
    assert call(recordings, landmarks=recordings / "landmarks") == 0
    first, second = Corpus.open(recordings / "corpus")
    assert (first.id, first.split, first.signer) == ("first", "train", "Anna")
    assert first.glosses == ("HEUTE", "REGEN", "MORGEN", "SONNE")
    assert first.source["gloss_ms"][1] == [400, 900]
    assert (second.id, second.split, second.signer, second.num_frames) == ("session2", "dev", None, 100)
    assert "next: signloom train" in capsys.readouterr().out


def test_sentences_become_utterances_and_landmarks_are_cut(recordings, capsys):
    call(recordings, landmarks=recordings / "landmarks", segments="Satz")
    corpus = Corpus.open(recordings / "corpus")
    assert [(item.id, item.glosses) for item in corpus] == [
        ("first_0001", ("HEUTE", "REGEN")),
        ("first_0003", ("MORGEN", "SONNE")),
        ("session2_0001", ("SONNE",)),
    ]
    third = corpus.utterances[1]
    # 1.99 to 2.92 s are frames 49.75 to 73: the frame that is shown at the start belongs to it
    assert third.num_frames == 73 - 49
    assert third.source["gloss_ms"] == [[10, 510], [510, 910]]
    whole = random_landmarks(100, seed=0).points[49:73]
    assert np.allclose(corpus.load(third).points, whole, atol=1e-3)
    assert "no gloss of tier 'Gloss' in this segment" in (corpus.root / LEFT_OUT).read_text(encoding="utf-8")


def test_without_landmarks_a_table_is_written_that_others_read(recordings, capsys):
    from signloom.errors import Faults
    from signloom.importers.isharah import Signers, read_annotations

    table = recordings / "all.csv"
    call(recordings, output=table, segments="Satz")
    lines = table.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == [
        "id|video|split|signer|start_ms|end_ms|gloss",
        "first_0001|session1|train|Anna|0|1000|HEUTE REGEN",
    ]
    faults = Faults("table")
    rows = read_annotations(table, None, faults, signers=Signers("none"))
    assert [row.glosses for row in rows] == [("HEUTE", "REGEN"), ("MORGEN", "SONNE"), ("SONNE",)]
    assert not faults
    with pytest.raises(InputError, match="already exists"):
        call(recordings, output=table)
    with pytest.raises(InputError, match="needed a name ending in .csv"):
        call(recordings)


def test_all_faults_are_shown_together(recordings):
    folder = recordings / "eaf"
    eaf(folder / "overlap.eaf", {"Gloss": [(0, 500, "A"), (450, 900, "B")]})
    eaf(folder / "blank.eaf", {"Gloss": [(0, 500, "  ")]})
    eaf(folder / "spaces.eaf", {"Gloss": [(0, 500, "GUT MORGEN")]})
    eaf(folder / "tier.eaf", {"gloss": [(0, 500, "A")], "Mouth": []})
    eaf(folder / "reserved.eaf", {"Gloss": [(0, 500, "<blank>")]})
    eaf(folder / "bar.eaf", {"Gloss": [(0, 500, "A|B")]})
    (folder / "broken.eaf").write_text("<a", encoding="utf-8")
    eaf(folder / "test" / "first.eaf", {"Gloss": [(0, 500, "A")]}, media="session1.mp4")
    with pytest.raises(InputError) as caught:
        call(recordings, landmarks=recordings / "landmarks")
    text = str(caught.value)
    for expected in (
        r"overlap.eaf: tier 'Gloss', 'A' \(0.000 s to 0.500 s\) and 'B' \(from 0.450 s\) overlap",
        r"blank.eaf \(0.000 s\): an annotation of tier 'Gloss' is empty",
        r"spaces.eaf \(0.000 s\): gloss 'GUT MORGEN' has spaces; needed one word, or pass --replace_spaces -",
        r"tier.eaf: no tier 'Gloss'; it has 'gloss', 'Mouth'",
        r"reserved.eaf: gloss <blank> is reserved",
        r"bar.eaf \(0.000 s\): gloss 'A\|B' has a bar",
        r"broken.eaf: not well-formed XML",
        r"overlap.eaf: no landmark file overlap.npz under",
    ):
        assert re.search(expected, text), expected
    assert not (recordings / "corpus").exists()


def test_spaces_are_replaced_when_asked(recordings):
    eaf(recordings / "eaf" / "session1.eaf", {"Gloss": [(0, 500, "GUT  MORGEN")]})
    call(recordings, landmarks=recordings / "landmarks", replace_spaces="-")
    glosses = {item.id: item.glosses for item in Corpus.open(recordings / "corpus")}
    assert glosses["session1"] == ("GUT-MORGEN",)


def test_what_has_no_landmarks_stops_or_is_left_out(recordings):
    eaf(recordings / "eaf" / "third.eaf", {"Gloss": [(0, 500, "A")]}, media="session3.mp4")
    with pytest.raises(InputError, match=r"no landmark file session3.npz .* \(looked for session3, third\)"):
        call(recordings, landmarks=recordings / "landmarks")
    call(recordings, landmarks=recordings / "landmarks", skip_missing=True)
    (line,) = (recordings / "corpus" / LEFT_OUT).read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["id"] == "third"


def test_a_segment_past_the_end_of_its_video_is_a_fault(recordings):
    tiers = {"Gloss": [(3000, 5900, "A")], "Satz": [(3000, 6000, "")]}
    eaf(recordings / "eaf" / "session1.eaf", tiers)
    with pytest.raises(InputError, match=r"session1.eaf \(3.000 s to 6.000 s\): the segment ends at 6.000 s, session1"):
        call(recordings, landmarks=recordings / "landmarks", segments="Satz")


def test_glosses_between_segments_are_told(recordings, capsys):
    tiers = {"Gloss": [(0, 500, "A"), (1000, 1500, "B")], "Satz": [(0, 600, "")]}
    eaf(recordings / "eaf" / "session1.eaf", tiers)
    call(recordings, landmarks=recordings / "landmarks", segments="Satz")
    assert "session1.eaf: 1 gloss is in no segment and left out" in capsys.readouterr().err


def test_misuse_is_told(tmp_path, recordings):
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        call(tmp_path, annotations=[str(tmp_path / "nowhere")])
    with pytest.raises(InputError, match="no files ending in .eaf"):
        call(tmp_path, annotations=[str(tmp_path / "landmarks")])
    with pytest.raises(InputError, match="--split is 'valid'"):
        call(tmp_path, split="valid")
    with pytest.raises(InputError, match="no files of split test; 2 files are of other splits"):
        call(tmp_path, splits=["test"])
