"""Bad files among good ones: every importer names each of them, and --skip_faulty keeps the good ones."""

from __future__ import annotations

import json
import os
import random
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import mostly_slow
from doc_examples import BUILDERS
from formats import to_pickle
from signloom import cli
from signloom.corpus import LEFT_OUT, Corpus
from signloom.errors import InputError, MissingExtraError
from signloom.importers.pickles import load_pickle
from signloom.landmarks import Landmarks


def _truncated(path: Path, good: bytes) -> None:
    path.write_bytes(good[: len(good) // 2])


def _empty(path: Path, good: bytes) -> None:
    path.touch()


def _random(path: Path, good: bytes) -> None:
    path.write_bytes(random.Random(0).randbytes(2000))


def _other(path: Path, good: bytes) -> None:
    path.write_text("Not what you think\n", encoding="utf-8")


def _nested(path: Path, good: bytes) -> None:
    path.write_text("[" * 20_000, encoding="utf-8")


def _fifo(path: Path, good: bytes) -> None:
    os.mkfifo(path)


def _broken_link(path: Path, good: bytes) -> None:
    path.symlink_to("nothing")


def _loop(path: Path, good: bytes) -> None:
    path.symlink_to(path.name)


def _endless(path: Path, good: bytes) -> None:
    path.symlink_to("/dev/zero")


def _locked(path: Path, good: bytes) -> None:
    path.write_bytes(good)
    path.chmod(0)


BAD = [_truncated, _empty, _random, _other, _nested, _fifo, _broken_link, _loop, _endless]
if hasattr(os, "geteuid") and os.geteuid() != 0:
    # Nothing is locked for root.
    BAD.append(_locked)
NAMES = [f"bad{make.__name__}" for make in BAD]


def _rows(table: str, row: str) -> Callable[[Path], None]:
    """Adds a row for each bad file to a table."""

    def add(folder: Path) -> None:
        with (folder / table).open("a", encoding="utf-8") as file:
            file.writelines(row.format(name) + "\n" for name in NAMES)

    return add


def _nothing(folder: Path) -> None:
    pass


# The command, a good file whose place the bad ones have ({} is the name), and what else names them.
CORPORA = {
    "clips": ("clips landmarks", "landmarks/REGEN/1.npz", "landmarks/REGEN/{}.npz", _nothing),
    "holistic": ("holistic MP_Data", "MP_Data/hello/0/0.npy", "MP_Data/hello/{}.npy", _nothing),
    "asl_signs": (
        "asl_signs asl-signs",
        "asl-signs/train_landmark_files/26734/1000035562.parquet",
        "asl-signs/{}.parquet",
        _rows("asl-signs/train.csv", "{0}.parquet,1,{0},blow"),
    ),
    "spoter": ("spoter .", "WLASL100_train_25fps.csv", "{}.csv", _nothing),
    "phoenix2014": (
        "phoenix2014 --annotations annotations/manual --landmarks landmarks",
        "landmarks/train-1.npz",
        "landmarks/{}.npz",
        _rows("annotations/manual/train.corpus.csv", "{0}|{0}/1/*.png|Signer01|REGEN"),
    ),
    "isharah": (
        "isharah --annotations annotations/SI --landmarks landmarks --signer_pattern none",
        "landmarks/00_0001.npz",
        "landmarks/{}.npz",
        _rows("annotations/SI/train.csv", "{0}|REGEN"),
    ),
    "elan": ("elan --annotations eaf --tier gloss --landmarks landmarks", "eaf/clip.eaf", "eaf/{}.eaf", _nothing),
    "textgrid": (
        "textgrid --annotations textgrids --tier Gloss --landmarks landmarks",
        "textgrids/clip.TextGrid",
        "textgrids/{}.TextGrid",
        _nothing,
    ),
    "subtitles": (
        "subtitles --annotations subtitles --landmarks landmarks",
        "subtitles/clip.srt",
        "subtitles/{}.srt",
        _nothing,
    ),
    "glosl": (
        "glosl glosl-gsl",
        "glosl-gsl/poses/dev_1.pose",
        "glosl-gsl/poses/{}.pose",
        _rows("glosl-gsl/annotations.csv", "{0},train,,REGEN,,,,,,,,,"),
    ),
}  # fmt: skip
CONVERSIONS = {
    "pose": ("pose poses", "poses/clip.pose", "poses/{}.pose"),
    "coco_wholebody": (
        "coco_wholebody pose_format --image_size 512x512",
        "pose_format/S000020_P0000_T00.pkl",
        "pose_format/{}.pkl",
    ),
    "isharah86": ("isharah86 .", "pose_data_isharah1000_hands_lips_body.pkl", "{}.pkl"),
    "openhands": ("openhands INCLUDE", "INCLUDE/Animals/1. Dog/MVI_2980.pkl", "INCLUDE/Animals/1. Dog/{}.pkl"),
    "openpose": (
        "openpose openpose_output/json",
        "openpose_output/json/clip1/clip1_000000000000_keypoints.json",
        "openpose_output/json/{}_000000000000_keypoints.json",
    ),
    "mediapipe_tasks": ("mediapipe_tasks recordings", "recordings/clip.json", "recordings/{}.json"),
    "features6516": ("features6516 data_dir", "data_dir/train/a-1.npz", "data_dir/train/{}.npz"),
}


def build(kind: str, folder: Path, good: str, place: str) -> None:
    try:
        next(make for (name, _), make in BUILDERS.items() if name == kind)(folder)
    except (MissingExtraError, ImportError) as error:
        pytest.skip(str(error))
    content = (folder / good).read_bytes()
    for make, name in zip(BAD, NAMES, strict=True):
        make(folder / place.format(name), content)


@pytest.mark.parametrize("kind", mostly_slow(CORPORA, fast=("clips", "spoter", "phoenix2014")))
def test_good_clips_among_bad_ones_become_a_corpus(kind, tmp_path, monkeypatch, capsys):
    command, good, place, name_them = CORPORA[kind]
    build(kind, tmp_path, good, place)
    monkeypatch.chdir(tmp_path)
    words = ["import", *shlex.split(command), "--output", "made"]
    without = Path("without")
    assert cli.dispatch(["import", *shlex.split(command), "--output", str(without), "--skip_faulty"]) == 0
    alone = {item.id for item in Corpus.open(without) if "bad_" not in item.id}
    assert alone
    name_them(tmp_path)
    capsys.readouterr()
    with pytest.raises(InputError) as caught:
        cli.dispatch(words)
    assert [name for name in NAMES if name not in str(caught.value)] == []
    assert not Path("made").exists()
    assert cli.dispatch([*words, "--skip_faulty"]) == 0
    assert {item.id for item in Corpus.open("made")} == alone
    left_out = [json.loads(line) for line in Path("made", LEFT_OUT).read_text(encoding="utf-8").splitlines()]
    reasons = [f"{item['id']}: {item['reason']}" for item in left_out]
    assert [name for name in NAMES if not any(name in reason for reason in reasons)] == []
    assert f"left out: {len(NAMES)}, all listed in made/{LEFT_OUT}" in capsys.readouterr().err


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_good_files_among_bad_ones_are_converted(kind, tmp_path, monkeypatch, capsys):
    command, good, place = CONVERSIONS[kind]
    build(kind, tmp_path, good, place)
    monkeypatch.chdir(tmp_path)
    assert cli.dispatch(["import", *shlex.split(command), "--output", "made"]) == 1
    error = capsys.readouterr().err
    assert [name for name in NAMES if name not in error] == []
    (made,) = Path("made").rglob("*.npz")
    assert len(Landmarks.load(made)) > 1


def test_bad_rows_are_left_out_and_the_rest_is_imported(tmp_path, monkeypatch, capsys):
    BUILDERS["isharah", "annotations/SI"](tmp_path)
    monkeypatch.chdir(tmp_path)
    words = shlex.split("import isharah --annotations annotations/SI --landmarks landmarks --output made")
    words += ["--signer_pattern", "none"]
    with Path("annotations/SI/train.csv").open("a", encoding="utf-8") as file:
        file.write("00_0001|AGAIN\n05_0002|\n|NOBODY\n06_0003|<blank>\nA|B|C\n07_0004\n" + f"{'x' * 2000}|A\n")
    with pytest.raises(InputError, match="import isharah: 9 faults") as caught:
        cli.dispatch(words)
    assert "--skip_missing leaves out" in str(caught.value)
    assert cli.dispatch([*words, "--skip_faulty", "--skip_missing"]) == 0
    assert [item.id for item in Corpus.open("made")] == ["00_0001", "01_0001", "02_0001"]
    assert "left out: 7, all listed in" in capsys.readouterr().err


def test_where_nothing_is_left_the_reasons_are_told(tmp_path, monkeypatch):
    BUILDERS["clips", "landmarks"](tmp_path)
    monkeypatch.chdir(tmp_path)
    for path in Path("landmarks").rglob("*.npz"):
        path.write_bytes(b"")
    for more in ([], ["--dry_run"]):
        with pytest.raises(InputError, match=r"2 faults\n.*MORGEN/1.npz: .*\n.*REGEN/1.npz: not a readable landmark"):
            cli.dispatch(["import", "clips", "landmarks", "--output", "made", "--skip_faulty", *more])
        assert not Path("made").exists()


def test_a_name_that_is_no_text_is_left_out(tmp_path, monkeypatch):
    BUILDERS["clips", "landmarks"](tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("landmarks/REGEN/1.npz").rename(os.fsdecode(b"landmarks/REGEN/caf\xe9.npz"))
    command = ["import", "clips", "landmarks", "--output", "made"]
    with pytest.raises(InputError, match=r"1 fault\n  landmarks/REGEN/caf\\udce9.npz: its name is not valid UTF-8"):
        cli.dispatch(command)
    assert cli.dispatch([*command, "--skip_faulty"]) == 0
    assert [item.id for item in Corpus.open("made")] == ["MORGEN_1"]
    (left_out,) = Path("made", LEFT_OUT).read_text(encoding="utf-8").splitlines()
    assert json.loads(left_out)["id"] == "REGEN_caf\\udce9"


def test_names_in_a_pickle_that_are_no_text_are_faults(tmp_path, monkeypatch, capsys):
    BUILDERS["coco_wholebody", "Phoenix-2014T.train"](tmp_path)
    monkeypatch.chdir(tmp_path)
    (clip,) = load_pickle(Path("Phoenix-2014T.train")).values()
    clips = {
        "a": {**clip, "name": "a\ud800"},
        "b": {**clip, "name": "b", "gloss": "\x1b[31mRED"},
        "c": {**clip, "name": "c"},
    }
    to_pickle(Path("Phoenix-2014T.train"), clips)
    assert cli.dispatch(["import", "coco_wholebody", "Phoenix-2014T.train", "--output", "made"]) == 1
    error = capsys.readouterr().err
    assert "(a\\ud800): a\\ud800: its name is not valid UTF-8" in error
    assert "(b): a '|', a line break or no text in id or gloss" in error
    assert sorted(path.name for path in Path("made").glob("*.npz")) == ["b.npz", "c.npz"]
    assert Path("made/Phoenix-2014T.train.csv").read_text(encoding="utf-8") == "id|gloss\nc|REGEN\n"


def test_clips_in_which_nobody_is_seen_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    BUILDERS["clips", "landmarks"](tmp_path)
    command = ["import", "clips", "landmarks", "--output", "made", "--overwrite"]
    assert cli.dispatch(command) == 0
    assert "nobody was detected" not in capsys.readouterr().err
    path = Path("landmarks/REGEN/1.npz")
    clip = Landmarks.load(path)
    replace(clip, points=np.full_like(clip.points, np.nan)).save(path)
    assert cli.dispatch(command) == 0
    assert "warning: nobody was detected in any frame of REGEN_1; " in capsys.readouterr().err
