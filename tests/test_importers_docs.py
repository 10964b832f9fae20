"""The table of formats in docs/corpora.md: every example runs on small data of its kind, and is recognised."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from doc_examples import BUILDERS
from formats import in_list, person, to_pickle
from signloom import cli
from signloom.corpus import Corpus
from signloom.errors import InputError, MissingExtraError
from signloom.importers import KINDS
from signloom.importers.point_lists import ISHARAH_86
from signloom.importers.recognise import recognise
from signloom.landmarks import Landmarks

PAGE = Path(__file__).resolve().parents[1] / "docs" / "corpora.md"
ROWS = re.findall(r"^\| .* \| `(signloom import [^`]+)` \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.M)


def source_of(words: list[str]) -> tuple[str, str]:
    """The importer of a command, and its source: the first argument, or that of --annotations."""
    first = words[3] if not words[3].startswith("--") else words[words.index("--annotations") + 1]
    return words[2], first


def test_the_table_has_every_kind():
    assert {shlex.split(command)[2] for command, _ in ROWS} == set(KINDS)


@pytest.mark.parametrize(("command", "result"), ROWS, ids=[" ".join(source_of(shlex.split(row[0]))) for row in ROWS])
def test_an_example_of_the_table_runs(command, result, tmp_path, monkeypatch, capsys):
    words = shlex.split(command)
    key = source_of(words)
    assert key in BUILDERS, f"docs/corpora.md has a new example; add a builder for {key} to tests/doc_examples.py"
    monkeypatch.chdir(tmp_path)
    output = Path(words[words.index("--output") + 1])
    try:
        BUILDERS[key](tmp_path)
        before = sorted(tmp_path.rglob("*"))
        assert cli.dispatch([*words[1:], "--dry_run"]) == 0
        assert sorted(tmp_path.rglob("*")) == before
        assert "dry run: nothing was written" in capsys.readouterr().out
        assert cli.dispatch(words[1:]) == 0
    except (MissingExtraError, ImportError) as error:
        pytest.skip(str(error))
    if "corpus" in result:
        corpus = Corpus.open(output)
        assert len(corpus) > 0
        assert all(corpus.load(item).present("right_hand").all() for item in corpus)
    else:
        read = [Landmarks.load(path) for path in output.rglob("*.npz")]
        assert read
        assert all(clip.present("right_hand").all() for clip in read)


# PHOENIX's tables and MSKA's suffixes are told by their owners' names alone; `merge` and `auto` are no kinds of data.
NAMED = [
    key
    for key in BUILDERS
    if key[0] not in ("phoenix2014", "phoenix2014t", "merge", "auto") and key[1] != "Phoenix-2014T.train"
]


@pytest.mark.parametrize("key", NAMED, ids=" ".join)
def test_every_kind_is_recognised(key, tmp_path):
    kind, source = key
    try:
        BUILDERS[key](tmp_path)
    except (MissingExtraError, ImportError) as error:
        pytest.skip(str(error))
    found = recognise(tmp_path / source)
    assert found is not None
    assert found.kind == kind


def test_auto_names_the_command_where_more_is_needed(tmp_path):
    BUILDERS["csl_daily", "sentence_label"](tmp_path)
    with pytest.raises(
        InputError, match=r"CSL-Daily's pickle; run: signloom import csl_daily --annotations .* --landmarks"
    ):
        cli.dispatch(["import", "auto", str(tmp_path / "sentence_label"), "--output", str(tmp_path / "out")])
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.mp4").touch()
    with pytest.raises(InputError, match="videos; run: signloom extract"):
        cli.dispatch(["import", "auto", str(tmp_path / "videos"), "--output", str(tmp_path / "out")])
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a.xyz").touch()
    with pytest.raises(InputError, match="its kind is not recognised; 'signloom import --help' lists the kinds"):
        cli.dispatch(["import", "auto", str(tmp_path / "other"), "--output", str(tmp_path / "out")])
    with pytest.raises(InputError, match="no such file or folder"):
        cli.dispatch(["import", "auto", str(tmp_path / "none"), "--output", str(tmp_path / "out")])


def test_the_wrong_importer_names_the_right_one(tmp_path, capsys):
    BUILDERS["openpose", "openpose_output/json"](tmp_path)
    folder = tmp_path / "openpose_output"
    with pytest.raises(InputError, match=r"in this folder; this looks like OpenPose JSON: signloom import openpose"):
        cli.dispatch(["import", "isharah86", str(folder), "--output", str(tmp_path / "out")])
    to_pickle(tmp_path / "a.pkl", {"01_0001": {"keypoints": in_list(ISHARAH_86, person())}})
    with pytest.raises(InputError, match="this looks like pickles of 86 points: signloom import isharah86"):
        cli.dispatch(["import", "openpose", str(tmp_path / "a.pkl"), "--output", str(tmp_path / "out")])
    assert cli.dispatch(["import", "coco_wholebody", str(tmp_path / "a.pkl"), "--output", str(tmp_path / "out")]) == 1
    assert "for 86 points use: signloom import isharah86" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.pkl", "a.json", "a.csv", "a.pose", "a.eaf", "a.mp4"])
@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"{", b"\xff\xfe\x00"], ids=["empty", "npy", "zip", "json", "utf16"]
)
def test_damaged_files_are_never_a_traceback(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    found = recognise(tmp_path)
    # Only what the name alone tells is told.
    assert found is None or name in ("a.pose", "a.eaf", "a.mp4")


def test_large_arrays_are_not_read_to_be_recognised(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 133, 3)))
    found = recognise(tmp_path / "a.npy")
    assert found is not None
    assert str(found) == (
        f"this looks like arrays of 133 points: signloom import coco_wholebody {tmp_path / 'a.npy'} --output LANDMARKS"
    )
