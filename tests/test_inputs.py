"""An output never replaces an input, however the two are named."""

import os
from pathlib import Path

import numpy as np
import pytest

from conftest import random_landmarks
from signloom.cli import dispatch
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError
from signloom.files.inputs import check_no_input, protect, protected_inputs
from signloom.files.writing import write_text


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def tables(tmp_path):
    for name in ("ref", "hyp"):
        (tmp_path / f"{name}.json").write_text('{"id": "a", "gloss": "X Y"}\n' * 1)
        (tmp_path / f"{name}.csv").write_text("id|gloss\na|X Y\n")
    return tmp_path


@pytest.fixture
def clips(tmp_path):
    """A corpus of isolated clips."""
    with CorpusWriter(tmp_path / "clips", {"name": "clips"}) as writer:
        for number in range(12):
            writer.add(
                f"c{number}",
                split="train",
                signer="A",
                glosses=[["X", "Y"][number % 2]],
                landmarks=random_landmarks(10, seed=number),
            )
    return tmp_path / "clips"


def spellings(path):
    """Other names of a file."""
    link, hard = path.with_name(f"link-{path.name}"), path.with_name(f"hard-{path.name}")
    link.symlink_to(path.name)
    os.link(path, hard)
    folder = path.parent / "folder"
    folder.symlink_to(path.parent)
    return [path, Path(os.path.relpath(path)), path.parent / "x" / ".." / path.name, link, hard, folder / path.name]


def test_an_output_file_is_no_input(tables, monkeypatch):
    (tables / "x").mkdir()
    monkeypatch.chdir(tables)
    names = spellings(tables / "hyp.csv")
    before = content(tables)
    for output in names:
        with pytest.raises(
            InputError, match="--html .*hyp.csv: would overwrite an input; .*\\(hypothesis .*hyp.csv\\)"
        ):
            dispatch(["score", str(tables / "ref.csv"), str(tables / "hyp.csv"), "--html", str(output)])
    assert content(tables) == before
    assert dispatch(["score", "ref.csv", "hyp.csv", "--html", "page.html"]) == 0
    # Another command may write what was an input of this one.
    assert dispatch(["score", "ref.csv", "ref.csv", "--html", "hyp.csv"]) == 0


@pytest.mark.parametrize("name", ["manifest.jsonl", "corpus.json", "landmarks/c1.npz"])
def test_a_file_of_an_input_corpus_is_no_output(clips, name):
    before = content(clips)
    with pytest.raises(InputError, match=f"would overwrite an input; .*{name}: is an input"):
        dispatch(["lm", "--data_dir", str(clips), "--output", str(clips / name)])
    assert content(clips) == before
    assert dispatch(["lm", "--data_dir", str(clips), "--output", str(clips / "glosses.arpa")]) == 0
    assert dispatch(["lm", "--data_dir", str(clips), "--output", str(clips / "glosses.arpa")]) == 0


def test_a_corpus_is_not_composed_into_its_clips(clips, tmp_path):
    before = content(clips)
    (tmp_path / "link").symlink_to(clips)
    for output in (clips, tmp_path / "link"):
        with pytest.raises(InputError, match="would overwrite an input"):
            dispatch(["compose", str(clips), "--output", str(output), "--overwrite", "--num_train", "3"])
    assert content(clips) == before


def test_a_corpus_replaces_no_files_but_those_of_an_earlier_one(clips, tmp_path):
    """Landmarks that lie where the corpus would have its own, under the same names."""
    source = tmp_path / "there" / "landmarks"
    source.mkdir(parents=True)
    for number, name in enumerate(("a", "b")):
        random_landmarks(5 + number).save(source / f"{name}.npz")
    before = content(source)
    with pytest.raises(InputError, match="is no file of an earlier corpus"), CorpusWriter(source.parent, {}) as writer:
        writer.add("a", split="train", signer=None, glosses=["X"], landmarks=source / "b.npz")
    assert content(source) == before
    assert not (source.parent / ".signloom-new").exists()


def test_writing_a_corpus_never_changes_the_files_that_it_links(tmp_path):
    for name in ("a", "b"):
        random_landmarks(5, seed=ord(name)).save(tmp_path / "lm" / f"{name}.npz")
    (tmp_path / "lm" / "link.npz").symlink_to("b.npz")
    before = content(tmp_path / "lm")
    for shown in ("a", "link", "b"):
        with CorpusWriter(tmp_path / "corpus", {}, overwrite=True) as writer:
            writer.add("x", split="train", signer=None, glosses=["X"], landmarks=tmp_path / "lm" / f"{shown}.npz")
        assert content(tmp_path / "lm") == before
        corpus = Corpus.open(tmp_path / "corpus")
        path = corpus.root / corpus.utterances[0].landmarks
        assert not path.is_symlink()
        assert path.read_bytes() == before[f"{shown}.npz"]
        random_landmarks(9).save(path)
        assert content(tmp_path / "lm") == before


def test_what_is_protected_cannot_be_written_until_the_command_ends(tmp_path):
    write_text(tmp_path / "a", "old")
    write_text(tmp_path / "folder" / "b", "old")
    with protected_inputs():
        protect(tmp_path / "a", "source a")
        protect(tmp_path / "folder", "source folder")
        protect(tmp_path / "missing", "none")
        for path in (tmp_path / "a", tmp_path / "folder" / "b"):
            with pytest.raises(InputError, match="is an input of this command \\(source "):
                write_text(path, "new")
            assert path.read_text() == "old"
        write_text(tmp_path / "folder" / "new", "new")
        check_no_input(tmp_path / "missing")
    write_text(tmp_path / "a", "new")


def test_a_folder_that_is_no_corpus_names_what_it_looks_like(tmp_path):
    pytest.importorskip("torch")
    folder = tmp_path / "old features" / "train"
    folder.mkdir(parents=True)
    np.savez(folder / "a.npz", features=np.zeros((5, 6516), np.float32), detection_masks=np.ones((5, 543)))
    with pytest.raises(InputError) as raised:
        dispatch(["train", "--data_dir", str(folder.parent), "--output", str(tmp_path / "run")])
    assert "not a finished corpus" in str(raised.value)
    command = f"signloom import features6516 '{folder.parent}' --output LANDMARKS"
    assert f"this looks like feature files of 6,516 values: {command}" in str(raised.value)
    assert not (tmp_path / "run").exists()
