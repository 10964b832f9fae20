"""Isolated clips as folders of landmark files: names, signers, and each fault."""

import json

import numpy as np
import pytest

from conftest import random_landmarks
from signloom import cli
from signloom.corpus import Corpus
from signloom.errors import InputError
from signloom.importers import KINDS, clips


def faults_of(run, options) -> str:
    with pytest.raises(InputError) as caught:
        run(options)
    assert not (options.output / "manifest.jsonl").exists()
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_there(kind, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.dispatch(["import", kind, "--help"])
    assert caught.value.code == 0
    assert "--output" in capsys.readouterr().out


def tree(root, *names):
    for number, name in enumerate(names):
        random_landmarks(5, seed=number).save(root / f"{name}.npz")
    return root


def clip_options(tmp_path, root, **changes):
    return clips.Options(source=root, output=tmp_path / "corpus", **changes)


def test_folders_of_clips(tmp_path, capsys):
    root = tree(tmp_path / "words", "hello/a", "hello/b", "good job/a")
    assert clips.run(clip_options(tmp_path, root)) == 0
    corpus = Corpus.open(tmp_path / "corpus")
    assert [(u.id, u.signer, u.glosses) for u in corpus] == [
        ("good-job_a", None, ("good-job",)),
        ("hello_a", None, ("hello",)),
        ("hello_b", None, ("hello",)),
    ]
    np.testing.assert_array_equal(
        corpus.load(corpus.utterances[1]).points, random_landmarks(5).points.astype(np.float16).astype(np.float32)
    )
    out, err = capsys.readouterr()
    assert "unknown" in out
    assert "renamed: label 'good job'" in err


def test_signers_from_folders_and_names(tmp_path):
    by_folder = tree(tmp_path / "people", "anna/hello/a", "ben/hello/a")
    clips.run(clip_options(tmp_path, by_folder, signer_from="folder"))
    assert [(u.id, u.signer, u.glosses) for u in Corpus.open(tmp_path / "corpus")] == [
        ("anna_hello_a", "anna", ("hello",)),
        ("ben_hello_a", "ben", ("hello",)),
    ]
    by_name = tree(tmp_path / "words", "hello/hello_P01_1", "hello/hello_P02_1")
    clips.run(clip_options(tmp_path, by_name, signer_from=r"_(P\d+)_", overwrite=True))
    assert [u.signer for u in Corpus.open(tmp_path / "corpus")] == ["P01", "P02"]


def test_faults_of_a_tree_of_clips(tmp_path):
    root = tree(tmp_path / "words", "hello/a", "anna/hello/b", "c")
    (root / "hello" / "d.npz").write_bytes(b"damaged")
    text = faults_of(clips.run, clip_options(tmp_path, root))
    for expected in (
        f"{root / 'anna' / 'hello' / 'b.npz'}: is 2 folders deep; needed sign/clip.npz: move it, or say what",
        f"{root / 'c.npz'}: lies in no folder of a sign; move it, or give a table of the labels with --labels",
        f"{root / 'hello' / 'd.npz'}: not a readable landmark file",
        "3 faults",
    ):
        assert expected in text
    text = faults_of(clips.run, clip_options(tmp_path, root, signer_from="_(P)"))
    assert "a.npz: unknown signer; --signer_from _(P) finds none in 'a'" in text
    with pytest.raises(InputError, match="--signer_from 'parent' has 0 groups"):
        clips.run(clip_options(tmp_path, root, signer_from="parent"))


@pytest.mark.parametrize(
    ("name", "step"),
    [
        (
            "hello/a.mp4",
            "1 .mp4 files; first run: signloom extract {root} --output {root}-landmarks, then: signloom import",
        ),
        ("hello/a.pose", "first run: signloom import pose {root} --output {root}-landmarks"),
        ("hello/1/0.npy", "signloom import holistic {root} --output CORPUS"),
    ],
)
def test_a_tree_without_landmarks_names_the_command_that_makes_them(tmp_path, name, step):
    root = tmp_path / "words"
    (root / name).parent.mkdir(parents=True)
    (root / name).write_bytes(b"")
    with pytest.raises(InputError) as caught:
        clips.run(clip_options(tmp_path, root))
    assert step.format(root=root) in str(caught.value)


def test_empty_and_absent_trees(tmp_path):
    with pytest.raises(InputError, match="words: no such folder"):
        clips.run(clip_options(tmp_path, tmp_path / "words"))
    (tmp_path / "words").mkdir()
    with pytest.raises(InputError, match="no files in it"):
        clips.run(clip_options(tmp_path, tmp_path / "words"))


def test_clips_whose_extraction_failed_are_listed(tmp_path, capsys):
    root = tree(tmp_path / "words", "hello/a")
    (root / "failed.jsonl").write_text(json.dumps({"clip": "hello/b", "source": "x", "reason": "no frames"}) + "\n")
    clips.run(clip_options(tmp_path, root))
    assert "hello/b: its extraction failed: no frames" in capsys.readouterr().err
