"""Annotations joined with landmark files: each format, each fault, and the real tables of PHOENIX-2014."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import random_landmarks
from signloom import cli, layout
from signloom.corpus import Corpus
from signloom.errors import Faults, InputError
from signloom.importers import csl_daily, isharah, phoenix2014, phoenix2014t
from signloom.importers.annotations import find_tables
from signloom.landmarks import Landmarks
from signloom.text.tables import read_table

PHOENIX_HEADER = "id|folder|signer|annotation"


def write(path: Path, *lines: str, newline: str = "\n", start: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((start + newline.join([*lines, ""])).encode())
    return path


def extracted(folder: Path, *names: str, frames: int = 3) -> Path:
    for name in names:
        random_landmarks(frames).save(folder / f"{name}.npz")
    return folder


def phoenix_row(name: str, signer: str, glosses: str) -> str:
    return f"{name}|{name}/1/*.png|{signer}|{glosses}"


@pytest.fixture
def phoenix(tmp_path):
    """A small multisigner release and its landmarks, sorted into the splits as extraction does."""
    manual = tmp_path / "release" / "annotations" / "manual"
    write(
        manual / "train.corpus.csv",
        PHOENIX_HEADER,
        phoenix_row("a-1", "Signer01", "WIND  MAESSIG WIND"),
        phoenix_row("a-2", "Signer02", "REGEN"),
        phoenix_row(phoenix2014.BROKEN_CLIP, "Signer07", "WOLKE WOLKE"),
    )
    write(manual / "dev.corpus.csv", PHOENIX_HEADER, phoenix_row("b-1", "Signer01", "WIND SCHNEE"))
    write(manual / "test.corpus.csv", PHOENIX_HEADER, phoenix_row("c-1", "Signer09", "REGEN WIND"))
    landmarks = extracted(
        tmp_path / "landmarks", "train/a-1", "train/a-2", f"train/{phoenix2014.BROKEN_CLIP}", "dev/b-1", "test/c-1"
    )
    return phoenix2014.Options(annotations=[str(tmp_path / "release")], landmarks=landmarks, output=tmp_path / "corpus")


def faults_of(run, options) -> str:
    with pytest.raises(InputError) as caught:
        run(options)
    assert not (options.output / "manifest.jsonl").exists()
    return str(caught.value)


def manual(options, name: str) -> Path:
    return Path(options.annotations[0]) / "annotations" / "manual" / name


def test_phoenix2014_joins_annotations_with_landmarks(phoenix, capsys):
    assert phoenix2014.run(phoenix) == 0
    corpus = Corpus.open(phoenix.output)
    assert [(u.id, u.split, u.signer, u.glosses) for u in corpus] == [
        ("a-1", "train", "Signer01", ("WIND", "MAESSIG", "WIND")),
        ("a-2", "train", "Signer02", ("REGEN",)),
        ("b-1", "dev", "Signer01", ("WIND", "SCHNEE")),
        ("c-1", "test", "Signer09", ("REGEN", "WIND")),
    ]
    original = Landmarks.load(phoenix.landmarks / "train" / "a-1.npz")
    np.testing.assert_array_equal(corpus.load(corpus.utterances[0]).points, original.points)
    assert corpus.info["licence"].startswith("CC BY-NC-SA 3.0")
    assert [item["file"] for item in corpus.info["annotations"]] == [
        "train.corpus.csv",
        "dev.corpus.csv",
        "test.corpus.csv",
    ]
    out, err = capsys.readouterr()
    assert "4 utterances" in out
    assert "next: signloom train" in out
    # The broken clip is never dropped without a word.
    assert phoenix2014.BROKEN_CLIP in err
    assert "too few frames" in err
    left_out = [json.loads(line) for line in (phoenix.output / "left_out.jsonl").read_text().splitlines()]
    assert left_out == [{"id": phoenix2014.BROKEN_CLIP, "reason": phoenix2014.BROKEN_REASON}]


def test_as_a_command(phoenix, tmp_path):
    files = [str(manual(phoenix, f"{split}.corpus.csv")) for split in ("train", "test")]
    words = [
        "import",
        "phoenix2014",
        "--annotations",
        *files,
        "--splits",
        "train",
        "test",
        "--split_set",
        "multisigner",
    ]
    words += ["--landmarks", str(phoenix.landmarks), "--output", str(phoenix.output), "--skip_missing"]
    assert cli.dispatch(words) == 0
    assert [utterance.id for utterance in Corpus.open(phoenix.output)] == ["a-1", "a-2", "c-1"]


def test_glosses_that_train_never_has_stay_and_are_told(phoenix, capsys):
    phoenix2014.run(phoenix)
    err = capsys.readouterr().err
    assert "note: dev has 1 gloss that is not in the training split (SCHNEE);" in err
    assert "test has 1 glosses" not in err
    assert "note: train has 3 rows, the published data set 5,672" in err


def test_a_gloss_only_the_broken_clip_has_is_unseen(phoenix, capsys):
    # WOLKE stands in train only in the clip that is left out, so a model never learns it.
    write(manual(phoenix, "test.corpus.csv"), PHOENIX_HEADER, phoenix_row("c-1", "Signer09", "WOLKE"))
    phoenix2014.run(phoenix)
    assert "test has 1 gloss that is not in the training split (WOLKE);" in capsys.readouterr().err


def test_byte_order_mark_windows_lines_and_empty_lines_are_tolerated(phoenix):
    write(
        manual(phoenix, "dev.corpus.csv"),
        PHOENIX_HEADER,
        phoenix_row("b-1", "Signer01", " WIND  SCHNEE "),
        "",
        newline="\r\n",
        start="\ufeff",
    )
    phoenix2014.run(phoenix)
    assert Corpus.open(phoenix.output).split("dev")[0].glosses == ("WIND", "SCHNEE")


def test_all_faults_are_shown_together(phoenix):
    train = manual(phoenix, "train.corpus.csv")
    write(
        train,
        PHOENIX_HEADER,
        phoenix_row("a-1", "Signer01", "WIND"),
        phoenix_row("a-1", "Signer01", "REGEN"),
        phoenix_row("a-2", "Signer10", "REGEN"),
        phoenix_row("a-3", "", "REGEN"),
        "a-4|folder|Signer01",
        phoenix_row("a-5", "Signer02", "  "),
        "|folder|Signer01|REGEN",
        phoenix_row("a-6", "Signer03", "<blank>"),
    )
    (phoenix.landmarks / "dev" / "b-1.npz").write_bytes(b"not an archive")
    text = faults_of(phoenix2014.run, phoenix)
    for expected in (
        f"{train}:3 (a-1): its id already occurs at {train}:2 (a-1)",
        f"{train}:4 (a-2): unknown signer 'Signer10'; needed Signer01 to Signer09",
        f"{train}:5 (a-3): unknown signer ''",
        f"{train}:6 (a-4): 3 fields; needed 4",
        f"{train}:7 (a-5): empty annotation",
        f"{train}:8: the id is empty",
        f"{train}:9 (a-6): gloss <blank> is reserved",
        f"{train}:7 (a-5): no landmark file a-5.npz under {phoenix.landmarks}",
        "b-1.npz: not a readable landmark file",
        "--skip_missing leaves out utterances without landmarks",
    ):
        assert expected in text


def test_a_missing_column_names_what_was_got_and_needed(phoenix):
    train = write(manual(phoenix, "train.corpus.csv"), "id|folder|annotation", "a-1|x|WIND")
    text = faults_of(phoenix2014.run, phoenix)
    assert f"{train}:1: no column signer; got id|folder|annotation, needed id|folder|signer|annotation" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty; needed a first line"),
        (PHOENIX_HEADER.encode() + b"\n", "no rows below the column names"),
        (b"id|folder|signer|annotation|id\n", "column id occurs twice"),
        (PHOENIX_HEADER.encode() + b"\na-1|x|Signer01|S\xdcD\n", ":2: not UTF-8"),
    ],
)
def test_tables_that_are_none(tmp_path, content, message):
    path = tmp_path / "train.corpus.csv"
    path.write_bytes(content)
    faults = Faults("test")
    assert read_table(path, phoenix2014.COLUMNS, faults) == []
    assert [message in text for text in faults.messages] == [True]


def test_missing_landmarks_can_be_left_out(phoenix, capsys):
    (phoenix.landmarks / "train" / "a-2.npz").unlink()
    failed = {"clip": "train/a-2", "source": "x/a-2", "reason": "no frames"}
    write(phoenix.landmarks / "failed.jsonl", json.dumps(failed), '{"clip": "tr')
    text = faults_of(phoenix2014.run, phoenix)
    assert "(a-2): no landmark file a-2.npz" in text
    assert "its extraction failed: no frames" in text

    assert phoenix2014.run(replace(phoenix, skip_missing=True)) == 0
    assert [u.id for u in Corpus.open(phoenix.output)] == ["a-1", "b-1", "c-1"]
    left_out = [json.loads(line)["id"] for line in (phoenix.output / "left_out.jsonl").read_text().splitlines()]
    assert left_out == [phoenix2014.BROKEN_CLIP, "a-2"]
    assert "left out: 2" in capsys.readouterr().err


def test_long_lists_are_cut_on_screen_and_whole_on_disk(phoenix, capsys):
    rows = [phoenix_row(f"m-{number}", "Signer01", "WIND") for number in range(30)]
    write(manual(phoenix, "train.corpus.csv"), PHOENIX_HEADER, phoenix_row("a-1", "Signer01", "WIND"), *rows)
    phoenix2014.run(replace(phoenix, skip_missing=True))
    err = capsys.readouterr().err
    assert "left out: 30" in err
    assert "m-19" in err
    assert "m-20" not in err
    assert "... and 10 more" in err
    assert len((phoenix.output / "left_out.jsonl").read_text().splitlines()) == 30


def test_no_landmarks_at_all_is_one_fault(phoenix, tmp_path):
    other = extracted(tmp_path / "other", "x-1")
    text = faults_of(phoenix2014.run, replace(phoenix, landmarks=other, skip_missing=True))
    assert "1 fault" in text
    assert "none of the 4 utterances has a landmark file here; needed a-1.npz and so on, got x-1.npz" in text
    with pytest.raises(InputError, match="no such folder; needed the output of 'signloom extract'"):
        phoenix2014.run(replace(phoenix, landmarks=tmp_path / "absent"))


def test_of_several_landmark_files_the_one_of_the_split_is_taken(phoenix):
    extracted(phoenix.landmarks / "dev", "a-1", frames=7)
    phoenix2014.run(phoenix)
    assert Corpus.open(phoenix.output).utterances[0].num_frames == 3
    extracted(phoenix.landmarks / "train" / "again", "a-1")
    text = faults_of(phoenix2014.run, replace(phoenix, output=phoenix.output.with_name("second")))
    assert "several landmark files fit: train/a-1.npz, train/again/a-1.npz" in text


def test_a_failed_import_leaves_an_older_corpus_alone(phoenix):
    phoenix2014.run(phoenix)
    (phoenix.landmarks / "dev" / "b-1.npz").unlink()
    with pytest.raises(InputError, match="no landmark file b-1"):
        phoenix2014.run(replace(phoenix, overwrite=True))
    assert len(Corpus.open(phoenix.output)) == 4
    with pytest.raises(InputError, match="already has a corpus"):
        phoenix2014.run(replace(phoenix, skip_missing=True))


def test_splits_and_their_files(phoenix):
    (Path(phoenix.annotations[0]) / "annotations" / "manual" / "dev.corpus.csv").unlink()
    with pytest.raises(InputError, match=r"dev: no file dev\.corpus\.csv in .*release; .*--splits train,test"):
        phoenix2014.run(phoenix)
    phoenix2014.run(replace(phoenix, splits=["test", "train"]))
    assert set(Corpus.open(phoenix.output).summary()) == {"train", "test"}
    with pytest.raises(InputError, match="--splits is train,val; needed some of train,dev,test"):
        phoenix2014.run(replace(phoenix, splits=["train", "val"]))


def test_annotation_files_can_be_given_one_by_one(tmp_path):
    first = write(tmp_path / "one" / "train.corpus.csv", "x")
    second = write(tmp_path / "two" / "train.corpus.csv", "x")
    patterns = phoenix2014.PATTERNS["multisigner"]
    assert find_tables([str(first)], ["train"], patterns) == {"train": first}
    with pytest.raises(InputError, match="train: .* all match; give the right file itself") as caught:
        find_tables([str(tmp_path)], ["train"], patterns)
    assert str(second) in str(caught.value)
    with pytest.raises(InputError, match="absent: no such file or folder"):
        find_tables([str(tmp_path / "absent")], ["train"], patterns)


def test_anamorphic_frames_taken_for_square_are_told(phoenix, capsys):
    points = np.full((3, layout.NUM_POINTS, 3), 0.5)
    seen = np.ones((3, 33))
    Landmarks(points, seen, fps=25, image_size=(210, 260)).save(phoenix.landmarks / "train" / "a-1.npz")
    Landmarks(points, seen, fps=25, image_size=(210, 260), pixel_aspect=0.8667).save(
        phoenix.landmarks / "train" / "a-2.npz"
    )
    phoenix2014.run(phoenix)
    err = capsys.readouterr().err
    assert "extract them again with --pixel_aspect 0.8667" in err
    assert "(1 utterance)" in err


def test_si5_keeps_its_signers_apart(tmp_path):
    folder = tmp_path / "annotations"
    write(folder / "train.SI5.corpus.csv", PHOENIX_HEADER, phoenix_row("a", "Signer01", "WIND"))
    write(folder / "dev.SI5.DERIVED.corpus.csv", PHOENIX_HEADER, phoenix_row("b", "Signer05", "WIND"))
    test = write(folder / "test.SI5.corpus.csv", PHOENIX_HEADER, phoenix_row("c", "Signer01", "WIND"))
    # The multisigner tables may lie in the same folder.
    write(folder / "test.corpus.csv", PHOENIX_HEADER, phoenix_row("c", "Signer01", "WIND"))
    landmarks = extracted(tmp_path / "landmarks", "a", "b", "c")
    options = phoenix2014.Options(annotations=[str(folder)], landmarks=landmarks, output=tmp_path / "corpus")
    assert f"{test}:2 (c): Signer01 is in train and in test (1 utterance)" in faults_of(phoenix2014.run, options)
    write(test, PHOENIX_HEADER, phoenix_row("c", "Signer05", "WIND"))
    assert phoenix2014.run(options) == 0
    assert Corpus.open(options.output).info["split_set"] == "si5"


def test_of_a_release_with_both_divisions_one_must_be_named(tmp_path):
    for split in ("train", "dev", "test"):
        for name in (f"{split}.corpus.csv", f"{split}.SI5.corpus.csv"):
            write(tmp_path / "release" / name, PHOENIX_HEADER, phoenix_row(f"{split}-1", "Signer05", "WIND"))
    landmarks = extracted(tmp_path / "landmarks", "train-1", "dev-1", "test-1")
    options = phoenix2014.Options(
        annotations=[str(tmp_path / "release")], landmarks=landmarks, output=tmp_path / "corpus"
    )
    assert "has the files of multisigner and of si5; say which with --split_set" in faults_of(phoenix2014.run, options)
    assert phoenix2014.run(replace(options, split_set="multisigner")) == 0
    assert Corpus.open(options.output).info["split_set"] == "multisigner"


@pytest.mark.parametrize(
    ("name", "split", "rows", "words"),
    # Rows and running words as the data's authors give them; see the SI5 figures of the field.
    [
        ("train.SI5.corpus.csv", "train", 4376, None),
        ("dev.SI5.DERIVED.corpus.csv", "dev", 111, 1167),
        ("test.SI5.corpus.csv", "test", 180, 1901),
    ],
)
def test_si5_counts_of_the_real_tables(shared_data, name, split, rows, words):
    faults = Faults("test")
    annotations = phoenix2014.read_annotations(shared_data / "phoenix" / "si5" / name, split, faults)
    assert not faults
    assert len(annotations) == rows == phoenix2014.PUBLISHED["si5"][split]
    if words is not None:
        assert sum(len(annotation.glosses) for annotation in annotations) == words
        assert {annotation.signer for annotation in annotations} == {"Signer05"}
    else:
        kept = [annotation for annotation in annotations if annotation.id != phoenix2014.BROKEN_CLIP]
        assert len(kept) == len(annotations) - 1
        assert len({annotation.signer for annotation in kept}) == 8
        # The raw count, and the broken clip takes none of them away.
        assert len({gloss for annotation in kept for gloss in annotation.glosses}) == 1117


def test_multisigner_counts_of_the_real_tables(shared_data):
    for split, rows in phoenix2014.PUBLISHED["multisigner"].items():
        faults = Faults("test")
        path = shared_data / "phoenix" / "multisigner" / f"{split}.corpus.csv"
        assert len(phoenix2014.read_annotations(path, split, faults)) == rows
        assert not faults


def test_real_tables_with_landmarks_of_a_few(shared_data, tmp_path, capsys):
    faults = Faults("test")
    folder = shared_data / "phoenix" / "si5"
    ids = [
        annotation.id
        for split, name in (("train", "train.SI5"), ("dev", "dev.SI5.DERIVED"), ("test", "test.SI5"))
        for annotation in phoenix2014.read_annotations(folder / f"{name}.corpus.csv", split, faults)[:5]
    ]
    landmarks = extracted(tmp_path / "landmarks", *ids)
    options = phoenix2014.Options(
        annotations=[str(shared_data / "phoenix")],
        landmarks=landmarks,
        output=tmp_path / "corpus",
        split_set="si5",
        skip_missing=True,
    )
    assert phoenix2014.run(options) == 0
    assert [utterance.id for utterance in Corpus.open(options.output)] == ids
    # All rows but the fifteen: 4,376 + 111 + 180 - 15, the broken clip among them.
    assert "left out: 4,652" in capsys.readouterr().err


T_HEADER = "name|video|start|end|speaker|orth|translation"


@pytest.fixture
def phoenix_t(tmp_path):
    folder = tmp_path / "manual"
    for split, name in (("train", "a"), ("dev", "b"), ("test", "c")):
        row = f'{name}|{name}/1/*.png|-1|-1|Signer08|DRUCK TIEF  KOMMEN|tiefer "luftdruck, bestimmt'
        write(folder / f"PHOENIX-2014-T.{split}.corpus.csv", T_HEADER, row)
    # Lies in the release, is not what published systems train on.
    write(folder / "PHOENIX-2014-T.train-complex-annotation.corpus.csv", T_HEADER, "x|x|-1|-1|Signer08|X|x")
    landmarks = extracted(tmp_path / "landmarks", "a", "b", "c")
    return phoenix2014t.Options(annotations=[str(folder)], landmarks=landmarks, output=tmp_path / "corpus")


def test_phoenix2014t(phoenix_t):
    assert phoenix2014t.run(phoenix_t) == 0
    corpus = Corpus.open(phoenix_t.output)
    assert [(u.id, u.split, u.signer, u.glosses) for u in corpus] == [
        (name, split, "Signer08", ("DRUCK", "TIEF", "KOMMEN"))
        for name, split in (("a", "train"), ("b", "dev"), ("c", "test"))
    ]
    assert corpus.info["title"] == "RWTH-PHOENIX-Weather 2014 T"


def test_phoenix2014t_refuses_parts_of_clips_and_unknown_speakers(phoenix_t):
    dev = Path(phoenix_t.annotations[0]) / "PHOENIX-2014-T.dev.corpus.csv"
    write(dev, T_HEADER, "b|b/1/*.png|10|50|Signer11|DRUCK|tief")
    text = faults_of(phoenix2014t.run, phoenix_t)
    assert f"{dev}:2 (b): start 10, end 50; needed -1 in both" in text
    assert f"{dev}:2 (b): unknown signer 'Signer11'" in text


@pytest.fixture
def signs(tmp_path):
    folder = tmp_path / "SI"
    write(folder / "train.csv", "id|gloss", "01_0001|سوال هو", "03_0001|هو معلم لغه اشاره")
    write(folder / "dev.txt", "id,gloss", '02_0001,"سوال  هو"')
    write(folder / "test.tsv", "id\tgloss\ttext", "04_0001\tهو\tx")
    landmarks = extracted(tmp_path / "landmarks", "01/01_0001", "03/03_0001", "02/02_0001", "04/04_0001")
    return isharah.Options(annotations=[str(folder)], landmarks=landmarks, output=tmp_path / "corpus")


def test_isharah(signs):
    assert isharah.run(replace(signs, signer_independent=True)) == 0
    assert [(u.id, u.split, u.signer, u.glosses) for u in Corpus.open(signs.output)] == [
        ("01_0001", "train", "01", ("سوال", "هو")),
        ("03_0001", "train", "03", ("هو", "معلم", "لغه", "اشاره")),
        ("02_0001", "dev", "02", ("سوال", "هو")),
        ("04_0001", "test", "04", ("هو",)),
    ]


def test_isharah_signers(signs):
    isharah.run(replace(signs, signer_pattern="none"))
    assert {utterance.signer for utterance in Corpus.open(signs.output)} == {None}
    again = replace(signs, output=signs.output.with_name("again"))
    text = faults_of(isharah.run, replace(again, signer_pattern="^(P)"))
    assert "(01_0001): unknown signer ''; needed an id in which ^(P) finds one (see --signer_pattern)" in text
    text = faults_of(isharah.run, replace(again, signer_pattern=r"_(\d+)", signer_independent=True))
    assert "0001 is in train and in dev" in text
    with pytest.raises(InputError, match="--signer_pattern '\\(' is not a regular expression"):
        isharah.run(replace(again, signer_pattern="("))
    with pytest.raises(InputError, match="has 0 groups; needed one"):
        isharah.run(replace(again, signer_pattern="[0-9]+"))
    with pytest.raises(InputError, match="--signer_independent needs to know the signers"):
        isharah.run(replace(again, signer_pattern="none", signer_independent=True))


def test_a_test_table_without_glosses_is_a_fault(signs):
    # The public test tables of the challenges have ids only.
    test = write(Path(signs.annotations[0]) / "test.tsv", "id", "04_0001")
    assert f"{test}:1: no column gloss or glosses or annotation or orth; got id, needed id,gloss" in faults_of(
        isharah.run, signs
    )


def test_the_real_table_of_isharah(shared_data):
    faults = Faults("test")
    annotations = isharah.read_annotations(
        shared_data / "scoring" / "isharah" / "isharah-SI-dev.ref.txt", "dev", faults
    )
    assert not faults
    stm = (shared_data / "scoring" / "isharah" / "isharah-SI-dev.stm").read_text(encoding="utf-8").splitlines()
    # The stm of the same data set gives each id's signer in its third column, and the glosses from the sixth on.
    expected = {line.split()[0]: (line.split()[2], tuple(line.split()[5:])) for line in stm}
    assert {annotation.id: (annotation.signer, annotation.glosses) for annotation in annotations} == expected


CSL_HEADER = "index|name|length|gloss|char|word|postag"


def csl_row(index: int, name: str, glosses: str) -> str:
    return f"{index}|{name}|50|{glosses}|你 好|你好|nz v"


@pytest.fixture
def csl(tmp_path):
    folder = tmp_path / "sentence_label"
    names = ["S000000_P0000_T00", "S000001_P0004_T00", csl_daily.NOT_IN_SPLIT, "S000002_P0008_T00"]
    write(
        folder / "video_map.txt",
        CSL_HEADER,
        *(csl_row(number, name, "他 什么 时间 来") for number, name in enumerate(names)),
    )
    write(
        folder / "split_1.txt",
        "name|split",
        f"{names[0]}|train",
        f"{names[1]}|dev",
        f"{names[3]}|test",
        f"{csl_daily.NOT_ANNOTATED}|train",
    )
    landmarks = extracted(tmp_path / "landmarks", *names)
    return csl_daily.Options(annotations=[str(folder)], landmarks=landmarks, output=tmp_path / "corpus")


def test_csl_daily(csl, capsys):
    assert csl_daily.run(csl) == 0
    assert [(u.id, u.split, u.signer, u.glosses) for u in Corpus.open(csl.output)] == [
        (name, split, signer, ("他", "什么", "时间", "来"))
        for name, split, signer in (
            ("S000000_P0000_T00", "train", "P0000"),
            ("S000001_P0004_T00", "dev", "P0004"),
            ("S000007_P0003_T00", "train", "P0003"),
            ("S000002_P0008_T00", "test", "P0008"),
        )
    ]
    err = capsys.readouterr().err
    assert "S000007_P0003_T00 is missing in split_1.txt; it goes to train" in err
    assert "S000005_P0004_T00: in split_1.txt, but not in video_map.txt" in err


def test_csl_daily_faults(csl):
    folder = Path(csl.annotations[0])
    video_map = write(
        folder / "video_map.txt",
        CSL_HEADER,
        csl_row(0, "S000000_P0000_T00", "来"),
        csl_row(1, "S000001_P0004_T00", ""),
        csl_row(2, "clip", "来"),
        csl_row(3, "S000009_P0001_T00", "来"),
    )
    split = write(
        folder / "split_1.txt",
        "name|split",
        "S000000_P0000_T00|train",
        "S000000_P0000_T00|dev",
        "S000001_P0004_T00|dev",
        "clip|test",
        "S000010_P0001_T00|test",
        "S000011_P0001_T00|val",
    )
    text = faults_of(csl_daily.run, csl)
    for expected in (
        f"{split}:3 (S000000_P0000_T00): occurs twice in the split file",
        f"{split}:7 (S000011_P0001_T00): split is 'val'; needed one of train, dev, test",
        f"{split}:6 (S000010_P0001_T00): no such name in {video_map}",
        f"{video_map}:5 (S000009_P0001_T00): not in {split}",
        f"{video_map}:3 (S000001_P0004_T00): empty annotation",
        f"{video_map}:4 (clip): unknown signer ''; needed a name such as S000196_P0004_T00",
    ):
        assert expected in text
