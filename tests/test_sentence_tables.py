"""Tables of sentences as people have them: parts of videos, one table of all splits, other encodings, paths."""

import dataclasses
import json
import unicodedata
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from conftest import random_landmarks
from signloom import cli
from signloom.corpus import Corpus
from signloom.errors import Faults, InputError
from signloom.importers import KINDS, isharah, module_of
from signloom.importers.landmark_files import LandmarkFiles
from signloom.importers.records import split_of_name
from signloom.importers.spans import Span, read_span
from signloom.landmarks import Landmarks
from signloom.text.gloss_fields import glosses_of

# Two videos of 10 s at 25 frames/s.
CLIP = random_landmarks(250, seed=1)


def table(folder: Path, *lines: str, name: str = "train.csv", encoding: str = "utf-8") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes("\n".join([*lines, ""]).encode(encoding))
    return path


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("vid1", "vid2"):
        CLIP.save(folder / f"{name}.npz")
    return folder


def call(tmp_path, landmarks, **given) -> Corpus:
    defaults = {"splits": ["train"], "signer_pattern": "none", "output": tmp_path / "corpus"}
    options = isharah.Options(annotations=[str(tmp_path / "tables")], landmarks=landmarks, **{**defaults, **given})
    assert isharah.run(options) == 0
    return Corpus.open(options.output)


def frames_of(corpus: Corpus) -> list[slice]:
    """Where in the video each utterance's frames are."""
    result = []
    for utterance in corpus:
        points = corpus.load(utterance).points
        first = int(np.argmin(np.abs(CLIP.points[:, :33] - points[0, :33]).sum((1, 2))))
        np.testing.assert_allclose(points, CLIP.points[first : first + len(points)], atol=1e-3)
        result.append(slice(first, first + len(points)))
    return result


@pytest.mark.parametrize(
    ("header", "first", "second"),
    [
        # Every table says 2.0 to 3.0 s and 4.0 to 6.0 s: frames 50 to 75 and 100 to 150.
        ("id|start|end|gloss", "2.0|3.0", "4.0|6.0"),
        ("id|START|END|gloss", "2|3", "4|6"),
        ("id|begin|end|gloss", "2,00|3,00", "4,00|6,00"),
        ("id|start|end|gloss", "2000|3000", "4000|6000"),
        ("id|start|end|gloss", "50|75", "100|150"),
        ("id|start_ms|end_ms|gloss", "2000|3000", "4000|6000"),
        ("id|start_frame|end_frame|gloss", "50|75", "100|150"),
        ("id|frame_start|frame_end|gloss", "51|75", "101|150"),
        ("id|start_time|end_time|gloss", "00:00:02.000|0:03", "00:00:04,000|00:00:06"),
        ("id|Start seconds|End seconds|gloss", "2|3", "4|6"),
        # MS-ASL: frames and seconds in one table.
        ("id|start|end|start_time|end_time|gloss", "1|2|2.0|3.0", "3|4|4.0|6.0"),
    ],
)
def test_a_part_of_a_clip_is_cut_in_any_unit(tmp_path, videos, header, first, second):
    table(tmp_path / "tables", header, f"vid1|{first}|HOUSE RED", f"vid2|{second}|HOUSE")
    corpus = call(tmp_path, videos)
    assert frames_of(corpus) == [slice(50, 75), slice(100, 150)]
    assert [item.id for item in corpus] == ["vid1", "vid2"]
    assert corpus.load(corpus.utterances[0]).start_seconds == 0


def test_several_parts_of_a_video_are_numbered_in_order_of_time(tmp_path, videos):
    lines = ["vid1|5.5|7.5|A B", "vid1|0.5|1.5|C", "vid2|0.5|1.5|D", "vid1|-1|-1|E"]
    table(tmp_path / "tables", "video|start|end|gloss", *lines[:3])
    corpus = call(tmp_path, videos)
    assert [item.id for item in corpus] == ["vid1_0002", "vid1_0001", "vid2"]
    assert frames_of(corpus) == [slice(137, 188), slice(12, 38), slice(12, 38)]
    # The same part twice, and a whole clip beside its parts, are still told apart or refused.
    table(tmp_path / "tables", "video|start|end|gloss", *lines, lines[0])
    with pytest.raises(InputError, match="its id already occurs at"):
        call(tmp_path, videos, overwrite=True)


def test_how2sign_names_sentence_and_video(tmp_path, videos):
    header = "VIDEO_ID\tVIDEO_NAME\tSENTENCE_ID\tSENTENCE_NAME\tSTART_REALIGNED\tEND_REALIGNED\tSENTENCE\tgloss"
    row = "v\tvid1\tv_10\tvid1_10-1-rgb_front\t2.04\t3.0\tA house.\tHOUSE"
    table(tmp_path / "tables", header, row, name="how2sign_realigned_val.csv")
    corpus = call(tmp_path, videos, splits=["dev"])
    assert [(item.id, item.split) for item in corpus] == [("vid1_10-1-rgb_front", "dev")]
    assert frames_of(corpus) == [slice(51, 75)]
    with pytest.raises(InputError, match="no column sentence"):
        call(tmp_path, videos, splits=["dev"], gloss_column="sentence_gloss", overwrite=True)
    corpus = call(tmp_path, videos, splits=["dev"], gloss_column="Sentence", overwrite=True)
    assert corpus.utterances[0].glosses == ("A", "house.")


def test_a_clip_that_was_cut_before_is_taken_whole(tmp_path, capsys):
    # The landmark file has the name of the sentence and the length of the part: 1.0 s at 25 frames/s.
    random_landmarks(25).save(tmp_path / "lm" / "s1.npz")
    random_landmarks(100).save(tmp_path / "lm" / "s2.npz")
    table(tmp_path / "tables", "id|video|start|end|gloss", "s1|elsewhere|62.0|63.0|A")
    corpus = call(tmp_path, tmp_path / "lm")
    assert corpus.utterances[0].num_frames == 25
    assert "it was cut before: taken whole (1 utterance)" in capsys.readouterr().err
    # 2.5 to 6.7 s of a clip of 4.0 s: almost as long, but rather the wrong video.
    table(tmp_path / "tables", "id|start|end|gloss", "s2|2.5|6.7|A")
    with pytest.raises(InputError, match="the segment ends at 6.700 s, s2.npz at 4.000 s"):
        call(tmp_path, tmp_path / "lm", overwrite=True, times="seconds")


def test_times_that_fit_no_unit_or_two_are_refused(tmp_path, videos):
    # 5 to 10: as seconds 5 s per gloss, as frames 0.2 s per gloss.
    table(tmp_path / "tables", "id|start|end|gloss", "vid1|5|10|A")
    with pytest.raises(InputError, match=r"seconds and frames would all fit \(e.g. 5 to 10 \(no unit\)\); say it with"):
        call(tmp_path, videos)
    assert frames_of(call(tmp_path, videos, times="frames")) == [slice(5, 10)]
    table(tmp_path / "tables", "id|start|end|gloss", "vid1|11.5|12.5|A")
    with pytest.raises(InputError, match="neither seconds, milliseconds nor frames would fit"):
        call(tmp_path, videos, overwrite=True)
    with pytest.raises(InputError, match=r"train.csv:2 \(vid1\): the segment ends at 12.500 s, vid1.npz at 10.000 s"):
        call(tmp_path, videos, times="seconds", overwrite=True)


def test_parts_outside_their_clips_can_be_left_out(tmp_path, videos, capsys):
    table(tmp_path / "tables", "id|start_ms|end_ms|gloss", "vid1|2000|3000|A", "vid2|9000|14000|B")
    with pytest.raises(InputError, match="--skip_faulty leaves out invalid rows and clips"):
        call(tmp_path, videos)
    assert [item.id for item in call(tmp_path, videos, skip_faulty=True)] == ["vid1"]
    assert "the segment ends at 14.000 s, vid2.npz at 10.000 s" in capsys.readouterr().err


def test_one_wrong_row_does_not_hide_the_unit(tmp_path, videos):
    rows = [f"vid1|{number}.5|{number + 1}.5|A B" for number in range(8)]
    path = table(tmp_path / "tables", "id|start|end|gloss", *rows, "vid2|9.5|12.5|B")
    with pytest.raises(InputError) as caught:
        call(tmp_path, videos)
    assert f"1 fault\n  {path}:10 (vid2): the segment ends at 12.500 s" in str(caught.value)


@pytest.mark.parametrize(
    ("start", "end", "columns", "expected"),
    [
        ("-1", "-1", ("start", "end"), None),
        ("", "", ("start_ms", "end_ms"), None),
        ("1", "-1", ("frame_start", "frame_end"), None),
        ("11", "-1", ("frame_start", "frame_end"), Span(10, None, "frames")),
        ("1:02:03.5", "1:02:04", ("start", "end"), Span(3723.5, 3724, "seconds")),
    ],
)
def test_times_of_a_whole_clip_and_of_the_clock(start, end, columns, expected):
    assert read_span(start, end, columns) == expected


@pytest.mark.parametrize(
    ("start", "end"), [("3", "2"), ("2", "2"), ("x", "2"), ("nan", "3"), ("-2", "3"), ("1", "1e99")]
)
def test_times_that_are_none(start, end):
    with pytest.raises(InputError, match="needed"):
        read_span(start, end, ("start", "end"))


def test_wlasl_and_ms_asl(tmp_path, videos):
    instance = {"fps": 25, "frame_end": 75, "frame_start": 51, "signer_id": 7, "split": "train", "video_id": "vid1"}
    whole = {**instance, "frame_start": 1, "frame_end": -1, "split": "val", "video_id": "vid2"}
    wlasl = json.dumps([{"gloss": "ice cream", "instances": [instance, whole]}])
    table(tmp_path / "tables", wlasl, name="WLASL_v0.3.json")
    corpus = call(tmp_path, videos, splits=["train", "dev"], signer_pattern=None)
    assert [(item.id, item.split, item.signer, item.glosses) for item in corpus] == [
        ("vid1", "train", "7", ("ice-cream",)),
        ("vid2", "dev", "7", ("ice-cream",)),
    ]
    assert frames_of(corpus) == [slice(50, 75), slice(0, 250)]

    sign = {"clean_text": "ice cream", "label": 3, "signer_id": 2, "start": 1, "end": 3, "file": "x y"}
    times = {"start_time": 2.0, "end_time": 3.0, "url": "https://www.youtube.com/watch?v=vid1"}
    later = {**times, "start_time": 4.0, "end_time": 6.0}
    (tmp_path / "tables" / "WLASL_v0.3.json").unlink()
    table(tmp_path / "tables", json.dumps([{**sign, **later}, {**sign, **times}]), name="MSASL_train.json")
    corpus = call(tmp_path, videos, signer_pattern=None, overwrite=True)
    assert frames_of(corpus) == [slice(100, 150), slice(50, 75)]
    assert {item.glosses for item in corpus} == {("ice-cream",)}


def test_one_table_of_all_splits(tmp_path, videos, capsys):
    table(tmp_path / "tables", "id,Set,gloss", "vid1,Training,A B", "vid2,val,A", name="all.csv")
    corpus = call(tmp_path, videos, splits=["train", "dev", "test"])
    assert [(item.id, item.split) for item in corpus] == [("vid1", "train"), ("vid2", "dev")]
    assert "all.csv: no rows of test" in capsys.readouterr().err
    path = table(tmp_path / "tables", "id,split,gloss", "vid1,fold1,A", name="all.csv")
    with pytest.raises(InputError, match=r"all.csv:2 \(vid1\): split is 'fold1'; needed train, dev or test"):
        call(tmp_path, videos, overwrite=True)
    path.unlink()
    table(tmp_path / "tables", "id,split,gloss", "vid1,dev,A")
    with pytest.raises(InputError, match="train.csv: no rows of train"):
        call(tmp_path, videos, overwrite=True)
    table(tmp_path / "tables", "id,split,gloss", "vid2,dev,A", name="dev.csv")
    with pytest.raises(InputError, match="split is 'dev', but the table's name says train"):
        call(tmp_path, videos, overwrite=True)


def test_a_column_of_splits_in_tables_of_any_name(tmp_path, videos):
    # Neither `test_annotations.csv` nor two parts without a split in their names are tables of one split.
    table(tmp_path / "tables", "id,split,gloss", "vid1,train,A B", "vid2,dev,A", name="test_annotations.csv")
    assert len(call(tmp_path, videos, splits=["train", "dev"])) == 2
    (tmp_path / "tables" / "test_annotations.csv").unlink()
    table(tmp_path / "tables", "id,split,gloss", "vid1,train,A B", name="part1.csv")
    table(tmp_path / "tables", json.dumps([{"id": "vid2", "split": "dev", "gloss": ["A", "B C"]}]), name="part2.json")
    table(tmp_path / "tables", "These tables were made by hand.", name="README.txt")
    corpus = call(tmp_path, videos, splits=["train", "dev"], overwrite=True)
    assert [(item.split, item.glosses) for item in corpus] == [("train", ("A", "B")), ("dev", ("A", "B-C"))]


def test_a_list_without_quotes_is_explained(tmp_path, videos):
    table(tmp_path / "tables", "id,gloss", "vid1,['A', 'B']")
    with pytest.raises(
        InputError, match="3 fields; needed 2, as in the first line; quote a list of glosses as a whole"
    ):
        call(tmp_path, videos)


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("train", "train"),
        ("test-SI", "test"),
        ("trainSI", "train"),
        ("how2sign_realigned_val", "dev"),
        ("MSASL_train", "train"),
        ("validation", "dev"),
        ("train_test", None),
        ("annotations", None),
        ("contest", None),
    ],
)
def test_the_split_in_the_name_of_a_table(stem, split):
    assert split_of_name(stem) == split


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_semicolons_and_the_encodings_of_spreadsheets(tmp_path, videos, encoding):
    table(tmp_path / "tables", "sep=;", 'id;gloss;"note"', 'vid1;"BÄR ROT";x,y', encoding=encoding)
    assert call(tmp_path, videos).utterances[0].glosses == ("BÄR", "ROT")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A B", ["A", "B"]),
        ("['A', 'B']", ["A", "B"]),
        ('["A","B"]', ["A", "B"]),
        # As NumPy prints an array; Python would read 'AB'.
        ("['A' 'B']", ["A", "B"]),
        ("[A, B]", ["A", "B"]),
        ("['ICE CREAM', \"DON'T\"]", ["ICE-CREAM", "DON'T"]),
        (r"['DON\'T']", ["DON'T"]),
        ("[]", []),
        ("[POINT] A", ["[POINT]", "A"]),
        ("[POINT]", ["[POINT]"]),
    ],
)
def test_lists_of_glosses_are_read_as_lists(text, expected):
    assert glosses_of(text) == expected


def test_a_list_of_something_else_is_refused(tmp_path, videos):
    # The output of `signloom transcribe --format json` has more than the words.
    record = {"id": "vid1", "glosses": [{"gloss": "A", "start_seconds": 0.1}]}
    table(tmp_path / "tables", json.dumps([record]), name="train.json")
    with pytest.raises(InputError, match=r"record 1 \(vid1\): glosses are .*; needed words, or a list such as"):
        call(tmp_path, videos)


def test_ids_with_folders_suffixes_and_signs_that_file_systems_refuse(tmp_path):
    for name in ("a/001", "b/001", "12:30?", "x_y#1", "deep/c/001"):
        random_landmarks(3).save(tmp_path / f"{name}.npz")
    files = LandmarkFiles(tmp_path)

    def found(name, **options):
        path = files.find(name, **options)
        return path and path.relative_to(tmp_path).as_posix()

    assert found("a/001") == found("a\\001.mp4") == found("./a/001") == "a/001.npz"
    assert found("c/001") == "deep/c/001.npz"
    assert found("12:30?") == found("12_30_") == "12:30?.npz"
    assert found("x/y#1") == found("x:y#1") == "x_y#1.npz"
    assert found("001", near=[("x", "y"), ("deep", "c")]) == "deep/c/001.npz"
    # A folder that is not there is another person's clip, even if the last part of the name fits.
    assert found("d/001") is None
    assert "of this name there is only a/001.npz, b/001.npz, deep/c/001.npz" in files.why_missing("d/001")
    with pytest.raises(InputError, match="several landmark files fit"):
        found("001")


@pytest.mark.parametrize(("of_file", "of_table"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_are_found_in_either_form(tmp_path, capsys, of_file, of_table):
    name = "jürgen_é"
    random_landmarks(3).save(tmp_path / "lm" / f"{unicodedata.normalize(of_file, name)}.npz")
    line = f"{unicodedata.normalize(of_table, name)}\u200b|U\u0308BER \u200b ÜBER\u00ad"
    table(tmp_path / "tables", "\ufeffid|gloss", line)
    (utterance,) = call(tmp_path, tmp_path / "lm")
    assert utterance.id == name
    assert utterance.glosses == ("ÜBER", "ÜBER")
    err = capsys.readouterr().err
    assert err.count("U+200B ZERO WIDTH SPACE (2), U+00AD SOFT HYPHEN (1)") == 1


def test_two_files_of_one_name_in_two_forms_are_shown_apart(tmp_path):
    for form in ("NFC", "NFD"):
        random_landmarks(3).save(tmp_path / "lm" / f"{unicodedata.normalize(form, 'jürgen')}.npz")
    table(tmp_path / "tables", "id|gloss", "jürgen|A")
    with pytest.raises(
        InputError, match=r"several landmark files fit: .*\(U\+00FC LATIN SMALL LETTER U WITH DIAERESIS\)"
    ):
        call(tmp_path, tmp_path / "lm")


def test_a_column_of_signers_counts_where_ids_name_none(tmp_path, videos):
    table(tmp_path / "tables", "id|Signer|gloss", "vid1|anna|A", "vid2||B")
    assert [item.signer for item in call(tmp_path, videos)] == ["anna", None]


def test_glosses_that_look_alike_are_told_with_code_points(tmp_path, videos, capsys):
    table(tmp_path / "tables", "id|gloss", "vid1|HAUS", "vid2|HАUS")
    call(tmp_path, videos)
    assert "'HАUS' (U+0410 CYRILLIC CAPITAL LETTER A)" in capsys.readouterr().err


def test_a_dry_run_shows_what_would_be_written(tmp_path, videos, capsys):
    table(tmp_path / "tables", "id|signer|start|end|gloss", "vid1|anna|2.0|3.0|HOUSE RED", "vid2|ben|4.0|6.0|HOUSE")
    words = ["import", "isharah", "--annotations", str(tmp_path / "tables"), "--landmarks", str(videos), "--dry_run"]
    words += ["--output", str(tmp_path / "corpus"), "--splits", "train"]
    assert cli.dispatch(words) == 0
    out = capsys.readouterr().out
    for expected in (
        "would have 2 utterances",
        "glosses: HOUSE 2, RED 1",
        "signers: anna (1 train), ben (1 train)",
        "train vid1: HOUSE RED (1.00 s)",
        "dry run: nothing was written",
    ):
        assert expected in out
    assert not (tmp_path / "corpus").exists()
    table(tmp_path / "tables", "id|gloss", "vid1|A", "vid9|B")
    with pytest.raises(InputError, match="no landmark file vid9.npz"):
        call(tmp_path, videos, dry_run=True)
    assert "would have 1 utterance" in capsys.readouterr().out


def test_an_existing_corpus_is_refused_before_the_work(tmp_path, videos, monkeypatch, capsys):
    table(tmp_path / "tables", "id|gloss", "vid1|A")
    call(tmp_path, videos)
    monkeypatch.setattr(Landmarks, "load", lambda path: pytest.fail("a landmark file was read"))
    with pytest.raises(InputError, match="already has a corpus"):
        call(tmp_path, videos)
    monkeypatch.undo()
    call(tmp_path, videos, dry_run=True)
    assert "already has a corpus; writing needs --overwrite" in capsys.readouterr().out


def test_hundreds_of_faults_are_shown_by_kind(tmp_path, videos):
    rows = [f"clip{number}|A" for number in range(300)]
    table(tmp_path / "tables", "id|gloss", "vid1|A", *rows, "vid2|", "x", "|A")
    options = isharah.Options(
        annotations=[str(tmp_path / "tables")], landmarks=videos, output=tmp_path / "corpus", splits=["train"]
    )
    with pytest.raises(InputError) as caught:
        isharah.run(replace(options, signer_pattern="none"))
    lines = str(caught.value).splitlines()
    assert lines[0] == "import isharah: 303 faults"
    assert lines[1].endswith(f"train.csv:3 (clip0): no landmark file clip0.npz under {videos}")
    assert lines[4] == "  ... and 297 more of this kind (300 in all)"
    # The rare faults are not hidden behind the frequent ones.
    assert [line.split(": ")[1].split(";")[0] for line in lines[5:8]] == [
        "1 field",
        "the id is empty",
        "empty annotation",
    ]


def test_other_faults_of_a_message_do_not_make_it_another_kind():
    faults = Faults("x", shown=2)
    for number in range(5):
        faults.add(
            f"a/b c{number}.csv:{number} (id {number}): gloss 'G{number}' is {number}.5 s long, needed at least 3"
        )
    assert str(faults).splitlines()[-1] == "  ... and 3 more of this kind (5 in all)"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_importer_can_be_tried_without_writing(kind):
    names = {field.name for field in dataclasses.fields(import_module(module_of(kind)).Options)}
    assert "dry_run" in names


def test_a_corpus_made_among_the_landmark_files_is_not_one_of_them(tmp_path):
    random_landmarks(3).save(tmp_path / "lm" / "a.npz")
    table(tmp_path / "tables", "id|gloss", "a|A")
    for _ in range(2):
        corpus = call(tmp_path, tmp_path / "lm", output=tmp_path / "lm" / "corpus", overwrite=True)
    assert len(corpus) == 1


def test_locked_and_hidden_tables_of_office_programs_are_passed_over(tmp_path, videos):
    table(tmp_path / "tables", "id|gloss", "vid1|A")
    for name in ("~$train.csv", ".~lock.train.csv", "._train.csv"):
        table(tmp_path / "tables", "\x00", name=name)
    assert len(call(tmp_path, videos)) == 1
