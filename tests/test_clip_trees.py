"""Collections of isolated signs as people have them: trees of many shapes, and labels in a table beside the clips."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from conftest import random_landmarks
from signloom import cli
from signloom.corpus import Corpus
from signloom.errors import InputError
from signloom.importers import clips
from signloom.importers.trees import parse_tree
from signloom.landmarks import Landmarks

CLIP = random_landmarks(50)


def tree(root: Path, *names: str, frames: int = 3) -> Path:
    for name in names:
        random_landmarks(frames).save(root / f"{name}.npz")
    return root


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def call(tmp_path, **given) -> list[tuple]:
    """The clips of an import: id, split, signer and gloss of each."""
    options = clips.Options(**{"source": tmp_path / "lm", "output": tmp_path / "corpus", "overwrite": True, **given})
    assert clips.run(options) == 0
    return [(item.id, item.split, item.signer, *item.glosses) for item in Corpus.open(options.output)]


@pytest.mark.parametrize(
    ("shape", "name", "expected"),
    [
        ("sign/clip", "HELLO/1", ("HELLO_1", "train", None, "HELLO")),
        ("signer/sign/clip", "anna/HELLO/1", ("anna_HELLO_1", "train", "anna", "HELLO")),
        ("sign/signer/clip", "HELLO/anna/1", ("anna_HELLO_1", "train", "anna", "HELLO")),
        ("split/sign/clip", "val/HELLO/1", ("dev_HELLO_1", "dev", None, "HELLO")),
        ("split/signer/sign/clip", "test/anna/HELLO/1", ("test_anna_HELLO_1", "test", "anna", "HELLO")),
        ("category/sign/clip", "Greetings/HELLO/1", ("Greetings_HELLO_1", "train", None, "HELLO")),
        ("session/signer/topic/sign/clip", "s1/anna/x/HELLO/1", ("s1_x_anna_HELLO_1", "train", "anna", "HELLO")),
    ],
)
def test_folders_mean_what_the_option_says(tmp_path, shape, name, expected):
    tree(tmp_path / "lm", name)
    assert call(tmp_path, tree=shape) == [expected]


@pytest.mark.parametrize("shape", ["", "sign", "clip/sign", "sign/sign/clip", "signer/clip", "Sign/clip", "si gn/clip"])
def test_a_tree_that_is_none(shape):
    with pytest.raises(InputError, match="needed names of folders that end with the clip"):
        parse_tree(shape, needs_sign=True)


def test_a_tree_of_splits_needs_no_option_and_one_of_categories_asks(tmp_path, capsys):
    tree(tmp_path / "lm", "train/A/1", "val/A/1", "test/B/1")
    assert [item[:2] for item in call(tmp_path)] == [
        ("test_B_1", "test"),
        ("train_A_1", "train"),
        ("dev_A_1", "dev"),
    ]
    assert "note: the folders are split/sign/clip" in capsys.readouterr().err
    tree(tmp_path / "lm", "Animals/Dog/1")
    with pytest.raises(
        InputError, match=r"clips lie two folders deep \(Animals/Dog/...\); say what the folders are with"
    ):
        call(tmp_path)
    with pytest.raises(InputError, match="folder 'Animals' is no split; needed train, dev or test"):
        call(tmp_path, tree="split/sign/clip")
    with pytest.raises(InputError, match="--signer_from folder needs a folder for the signer"):
        call(tmp_path, tree="category/sign/clip", signer_from="folder")


def test_categories_are_no_signers_and_numbers_no_part_of_glosses(tmp_path, capsys):
    tree(tmp_path / "lm", "Animals/1. Dog/MVI_1", "Adjectives/1. loud/MVI_1", "Adjectives/2. very quiet/MVI_2")
    assert call(tmp_path, tree="category/sign/clip") == [
        ("Adjectives_loud_MVI_1", "train", None, "loud"),
        ("Adjectives_very-quiet_MVI_2", "train", None, "very-quiet"),
        ("Animals_Dog_MVI_1", "train", None, "Dog"),
    ]
    assert "the numbers of the 3 sign folders (such as '1. Dog') are not part of the glosses" in capsys.readouterr().err
    # One folder without a number: the numbers may mean something.
    tree(tmp_path / "lm", "Animals/Cat/MVI_3")
    assert "1.-Dog" in [item[-1] for item in call(tmp_path, tree="category/sign/clip")]


@pytest.mark.parametrize("header", [[], ["video_name,label"]])
def test_labels_by_number_as_in_autsl(tmp_path, header):
    tree(tmp_path / "lm", "signer0_sample1_color", "signer3_sample2_color", "signer3_sample9_color")
    train = write(tmp_path / "train_labels.csv", *header, "signer0_sample1,41")
    val = write(tmp_path / "validation_labels.csv", *header, "signer3_sample2,0")
    names = write(tmp_path / "SignList.csv", "ClassId,TR,EN", "0,abla,sister", "41,acele,hurry up")
    given = {"labels": [train, val], "label_names": names, "signer_from": "^(signer[0-9]+)_"}
    assert call(tmp_path, **given) == [
        ("train_signer0_hurry-up_signer0_sample1_color", "train", "signer0", "hurry-up"),
        ("dev_signer3_sister_signer3_sample2_color", "dev", "signer3", "sister"),
    ]
    write(train, *header, "signer0_sample1,99")
    with pytest.raises(InputError, match="class '99' is not in the table of names; it has 0, 41"):
        call(tmp_path, **given)


def test_labels_in_names_as_in_lsa64(tmp_path):
    tree(tmp_path / "lm", "001_002_003", "064_001_001")
    names = write(tmp_path / "names.txt", "1\tOpaque", "64\tPatience")
    given = {"label_from": "^([0-9]+)_", "signer_from": "_([0-9]+)_"}
    assert call(tmp_path, **given, label_names=names) == [
        ("002_Opaque_001_002_003", "train", "002", "Opaque"),
        ("001_Patience_064_001_001", "train", "001", "Patience"),
    ]
    assert [item[-1] for item in call(tmp_path, **given)] == ["001", "064"]
    with pytest.raises(InputError, match=r"unknown sign; --label_from \^\(x\) finds none in '001_002_003'"):
        call(tmp_path, label_from="^(x)")


def test_wlasl_beside_flat_clips(tmp_path, capsys):
    CLIP.save(tmp_path / "lm" / "1.npz")
    CLIP.save(tmp_path / "lm" / "2.npz")
    instance = {"frame_start": 1, "frame_end": -1, "signer_id": 9, "split": "val", "video_id": "1"}
    part = {**instance, "frame_start": 11, "frame_end": 30, "split": "train", "video_id": "2"}
    absent = {**instance, "video_id": "3"}
    labels = write(tmp_path / "WLASL.json", json.dumps([{"gloss": "ice cream", "instances": [instance, part, absent]}]))
    with pytest.raises(InputError, match="no landmark file 3.npz"):
        call(tmp_path, labels=[labels])
    assert call(tmp_path, labels=[labels], skip_faulty=True) == [
        ("dev_9_ice-cream_1", "dev", "9", "ice-cream"),
        ("train_9_ice-cream_2", "train", "9", "ice-cream"),
    ]
    corpus = Corpus.open(tmp_path / "corpus")
    assert [len(corpus.load(item)) for item in corpus] == [50, 20]
    whole = Landmarks.load(tmp_path / "lm" / "2.npz")
    np.testing.assert_array_equal(corpus.load(corpus.utterances[1]).points, whole.points[10:30])


def test_several_signs_of_a_video_and_clips_without_a_label(tmp_path, capsys):
    CLIP.save(tmp_path / "lm" / "talk.npz")
    CLIP.save(tmp_path / "lm" / "other.npz")
    table = write(
        tmp_path / "labels.tsv", "video\tstart_ms\tend_ms\tlabel", "talk\t0\t400\tA", "talk\t400\t1200\tgood day"
    )
    assert [item[0] for item in call(tmp_path, labels=[table])] == ["A_talk_0001", "good-day_talk_0002"]
    assert [item.num_frames for item in Corpus.open(tmp_path / "corpus")] == [10, 20]
    assert "1 landmark file of 2 without a label, left out" in capsys.readouterr().err


def test_one_gloss_in_two_unicode_forms(tmp_path, capsys):
    for form in ("NFC", "NFD"):
        tree(tmp_path / "lm", f"{unicodedata.normalize(form, 'MÄDCHEN')}/{form}")
    assert {item[-1] for item in call(tmp_path)} == {"MÄDCHEN"}
    assert "1 name or gloss was brought into one Unicode form" in capsys.readouterr().err


def test_labels_that_cannot_be_told_apart_are_shown_with_code_points(tmp_path, capsys):
    tree(tmp_path / "lm", "HAUS/1", "HАUS/1")
    call(tmp_path)
    assert "U+0410 CYRILLIC CAPITAL LETTER A" in capsys.readouterr().err


def test_a_dry_run_of_clips_writes_nothing(tmp_path, capsys):
    tree(tmp_path / "lm", "anna/HELLO/1", "ben/HELLO/1")
    words = ["import", "clips", str(tmp_path / "lm"), "--output", str(tmp_path / "corpus"), "--dry_run"]
    assert cli.dispatch([*words, "--tree", "signer/sign/clip"]) == 0
    assert not (tmp_path / "corpus").exists()
    out = capsys.readouterr().out
    assert "would have 2 clips" in out
    assert "signers: anna (1 train), ben (1 train)" in out


def test_an_existing_corpus_is_refused_before_the_tree_is_read(tmp_path):
    tree(tmp_path / "lm", "HELLO/1")
    call(tmp_path)
    with pytest.raises(InputError, match="already has a corpus"):
        clips.run(clips.Options(source=tmp_path / "gone", output=tmp_path / "corpus"))


@pytest.mark.parametrize(("suffix", "step"), [(".csv", "'signloom import --help' lists"), (".mp4", "signloom extract")])
def test_advice_for_other_files_is_advice_that_works(tmp_path, suffix, step):
    (tmp_path / "lm" / "HELLO").mkdir(parents=True)
    (tmp_path / "lm" / "HELLO" / f"a{suffix}").write_bytes(b"")
    with pytest.raises(InputError, match=step) as caught:
        call(tmp_path)
    assert ("signloom extract" in str(caught.value)) == (suffix == ".mp4")


@pytest.mark.parametrize(
    ("given", "glosses"),
    [
        ({"source": "include_tree", "tree": "category/sign/clip"}, {"Dog", "loud", "quiet"}),
        ({"source": "wlasl/lm", "labels": ["wlasl/WLASL_v0.3.json"]}, {"book"}),
    ],
)
def test_the_collections_at_the_door(shared_data, tmp_path, given, glosses):
    root = shared_data / "door" / "others"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    given = {**given, "source": root / given["source"], "labels": [root / name for name in given.get("labels", [])]}
    clips.run(clips.Options(**given, output=tmp_path / "corpus"))
    corpus = Corpus.open(tmp_path / "corpus")
    assert {item.glosses[0] for item in corpus} == glosses
    assert {item.signer for item in corpus} == ({None} if "tree" in given else {"1"})


def test_labels_that_lie_beside_the_clips_are_not_passed_over(tmp_path):
    source = tree(tmp_path / "lm", "landmarks/00335", "landmarks/00336")
    table = write(source / "WLASL.json", json.dumps([{"gloss": "book", "instances": [{"video_id": "00335"}]}]))
    with pytest.raises(InputError, match=rf"has labels for 1 clip beside it; pass --labels {table}"):
        call(tmp_path)
    assert {item[3] for item in call(tmp_path, tree="sign/clip")} == {"landmarks"}
    assert {item[3] for item in call(tmp_path, labels=[table])} == {"book"}


def test_other_tables_beside_the_clips_say_nothing(tmp_path):
    source = tree(tmp_path / "lm", "HELLO/1", "HELLO/2")
    write(source / "notes.txt", "filmed in May")
    write(source / "others.csv", "id,gloss", "clip_7,BOOK")
    (source / "log.json").write_bytes(b"\xff\xfe")
    assert {item[3] for item in call(tmp_path)} == {"HELLO"}
