"""Import of other people's WebDataset shards: every kind of member, and every way in which archives can be wrong."""

import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from conftest import random_landmarks
from formats import expect_same, fractions, in_list, npy, person, tar_of, with_scores
from signloom import layout
from signloom.cli import dispatch
from signloom.corpus import Corpus, CorpusWriter
from signloom.corpus.packing import pack, plan_shards
from signloom.errors import InputError
from signloom.importers.point_lists import COCO_WHOLEBODY, HOLISTIC_75, OPENPOSE
from signloom.landmarks import Landmarks

VALUES = in_list(COCO_WHOLEBODY, person())


def imported(path: Path, *options: str) -> list[tuple[str, str, tuple[str, ...], Landmarks]]:
    """Id, split, glosses and landmarks of what the archives in a folder become."""
    output = path.parent / "corpus"
    assert dispatch(["import", "webdataset", str(path), "--output", str(output), "--overwrite", *options]) == 0
    corpus = Corpus.open(output)
    return [(item.id, item.split, item.glosses, corpus.load(item)) for item in corpus]


def refused(path: Path, match: str, *options: str) -> None:
    with pytest.raises(InputError, match=match):
        dispatch(["import", "webdataset", str(path), "--output", str(path.parent / "corpus"), *options])
    assert not (path.parent / "corpus" / "corpus.json").exists()


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def landmark_file(folder: Path) -> bytes:
    person().save(folder / "clip.npz")
    return (folder / "clip.npz").read_bytes()


def test_points_of_every_kind(tmp_path):
    scored = with_scores(VALUES)
    members = {
        "npy": npy(VALUES),
        "npz": npz(keypoints=VALUES, scores=scored[..., 2], fps=30.0),
        "json": json.dumps({"keypoints": scored.tolist(), "gloss": "A B", "fps": 30}).encode(),
        "pose.npy": npy(scored),
    }
    for suffix, content in members.items():
        path = tar_of(tmp_path / "train-0.tar", {f"x.{suffix}": content, "x.txt": b"A B"})
        ((name, split, glosses, clip),) = imported(path, "--image_size", "640x480")
        assert (name, split, glosses) == ("x", "train", ("A", "B"))
        assert clip.fps == (25 if suffix.endswith("npy") else 30)
        expect_same(clip, person(), COCO_WHOLEBODY)


def test_lists_are_told_apart_by_their_number_of_points(tmp_path):
    full = fractions(person())
    pose_first = ["pose", "face", "left_hand", "right_hand"]
    holistic = np.concatenate([full[:, layout.GROUPS[group]] for group in pose_first], axis=1)
    seventy_five = full[:, [layout.index(name) for name in HOLISTIC_75.sources]]
    pose = with_scores(full[:, layout.GROUPS["pose"]])
    values = [pose, *(full[:, layout.GROUPS[group]] for group in pose_first[1:])]
    path = tar_of(
        tmp_path / "dev.tar",
        {
            "openpose.npy": npy(in_list(OPENPOSE, person())),
            "openpose.txt": b"A B",
            "holistic.npy": npy(holistic),
            "holistic.txt": b"A B",
            "short.npy": npy(seventy_five),
            "short.txt": b"A B",
            "values.npy": npy(np.concatenate([part.reshape(len(full), -1) for part in values], axis=1)),
            "values.txt": b"A B",
        },
    )
    clips = {name: clip for name, _, _, clip in imported(path, "--image_size", "640x480")}
    expect_same(clips["openpose"], person(), OPENPOSE)
    expect_same(clips["short"], person(), HOLISTIC_75, depth=True)
    for name in ("holistic", "values"):
        np.testing.assert_allclose(clips[name].points, person().points, atol=2e-3)


def test_pose_files_and_landmark_files(tmp_path):
    pytest.importorskip("pose_format")
    from signloom.importers.pose_writing import write_pose

    write_pose(person(), tmp_path / "clip.pose")
    members = {"b.npz": landmark_file(tmp_path), "b.txt": b"A B"}
    members |= {"a.pose": (tmp_path / "clip.pose").read_bytes(), "a.txt": b"A B"}
    for _, _, _, clip in imported(tar_of(tmp_path / "train.tar", members)):
        np.testing.assert_allclose(clip.points, person().points, atol=2e-3)


@pytest.mark.parametrize(
    ("member", "content", "options", "expected"),
    [
        ("txt", b"A  B\n", (), ("A", "B")),
        ("gloss.txt", "Ä B".encode(), (), ("Ä", "B")),
        ("json", b'{"gloss": ["A", "GOOD DAY"]}', (), ("A", "GOOD-DAY")),
        ("json", b'{"words": "A B", "gloss": "C"}', ("--gloss_key", "words"), ("A", "B")),
        ("json", b'{"label": 1}', ("--class_names", "names.txt"), ("BOOK",)),
        ("cls", b"1", (), ("1",)),
        ("cls", b"1\n", ("--class_names", "names.txt"), ("BOOK",)),
        ("cls", b"BOOK", (), ("BOOK",)),
        ("note.txt", b"A B", ("--glosses", "note.txt"), ("A", "B")),
        ("g.json", b'["A", "B"]', ("--glosses", "g.json"), ("A", "B")),
    ],
)
def test_glosses_of_every_kind(tmp_path, monkeypatch, member, content, options, expected):
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("HELLO\nBOOK\n")
    path = tar_of(tmp_path / "train.tar", {"x.npy": npy(VALUES), f"x.{member}": content})
    ((_, _, glosses, _),) = imported(path, *options)
    assert glosses == expected


def test_a_json_member_says_signer_split_rate_and_size(tmp_path):
    record = {"gloss": "A B", "speaker": "anna", "subset": "validation", "fps": 50, "image_size": [640, 480]}
    members = {"d/x.npy": npy(VALUES), "d/x.json": json.dumps(record).encode()}
    ((name, split, _, clip),) = imported(tar_of(tmp_path / "shard-7.tar", members))
    assert (name, split, clip.fps, clip.image_size) == ("d/x", "dev", 50, (640, 480))
    (item,) = Corpus.open(tmp_path / "corpus")
    assert item.signer == "anna"
    assert item.source == {"archive": "shard-7.tar", "member": "d/x.npy"}


def test_several_shards_and_their_splits(tmp_path, capsys):
    for split in ("train", "val", "test"):
        tar_of(tmp_path / "shards" / f"{split}-0.tar", {f"./{split}.npy": npy(VALUES), f"./{split}.txt": b"A B"})
    assert [(name, split) for name, split, _, _ in imported(tmp_path / "shards")] == [
        ("test", "test"),
        ("train", "train"),
        ("val", "dev"),
    ]
    assert "next: signloom train" in capsys.readouterr().out


def test_clips_of_single_signs_go_to_compose(tmp_path, capsys):
    imported(tar_of(tmp_path / "train.tar", {"x.npy": npy(VALUES), "x.cls": b"A"}))
    assert "next: signloom compose" in capsys.readouterr().out


def test_packed_corpora_can_be_imported_without_their_index(tmp_path):
    with CorpusWriter(tmp_path / "c", {}) as writer:
        writer.add("a.b", split="dev", signer="x", glosses=["A", "B"], landmarks=random_landmarks(4))
    corpus = Corpus.open(tmp_path / "c")
    pack(corpus, tmp_path / "s", plan_shards(corpus, shard_bytes=1_000_000, seed=0))
    ((name, split, glosses, clip),) = imported(tmp_path / "s" / "dev-000000.tar")
    assert (name, split, glosses, len(clip)) == ("a.b", "dev", ("A", "B"), 4)


# What is wrong


def good(name: str = "x") -> dict[str, bytes]:
    return {f"{name}.npy": npy(VALUES), f"{name}.txt": b"A B"}


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"x.txt": b"A"}, "train.tar:x: no member with points .* it has txt"),
        ({"x.npy": npy(VALUES)}, "train.tar:x: no glosses: no member .gloss or .glosses or .txt"),
        ({"x.pkl": pickle.dumps(1), "x.txt": b"A"}, "a pickle can run any program and is never loaded"),
        ({"x.mp4": b"", "x.txt": b"A"}, "for videos, unpack the archive and use: signloom extract"),
        (good() | {"x.npz": b"PK"}, "several members could be the points: npy, npz; name one with --points"),
        ({"x.npy": b"none", "x.txt": b"A"}, "train.tar:x.npy: not a readable NumPy file"),
        ({"x.npy": npy(VALUES)[:-1], "x.txt": b"A"}, "train.tar:x.npy: .*needs .* bytes, the file has"),
        ({"x.npy": npy(VALUES[:, :50]), "x.txt": b"A"}, "train.tar:x: an array of shape .*, needed"),
        ({"x.npy": npy(VALUES), "x.json": b"{"}, "train.tar:x.json: not JSON"),
        ({"x.json": b'{"keypoints": [[1], [1, 2]], "gloss": "A"}'}, "train.tar:x: keypoints is no array of numbers"),
        ({"x.npy": npy(VALUES), "x.json": b'{"gloss": {"a": 1}}'}, "its glosses are .*; needed text"),
        ({"x.npy": npy(VALUES), "x.json": b'{"gloss": "A", "split": "other"}'}, "its split is 'other'; needed train"),
        ({"x.npy": npy(VALUES), "x.txt": b"  "}, "empty annotation; needed at least one gloss"),
        ({"x.npy": npy(VALUES), "x.txt": b"\xff"}, "train.tar:x.txt:1: not UTF-8"),
        (good("../x"), "member '../x.npy' leaves its folder"),
        (good("/etc/x"), "member '/etc/x.npy' leaves its folder"),
    ],
)
def test_samples_that_cannot_be(tmp_path, members, match):
    refused(tar_of(tmp_path / "train.tar", members), match)


def test_a_pickle_inside_an_array_is_not_loaded(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused(tar_of(tmp_path / "train.tar", {"x.npy": buffer.getvalue(), "x.txt": b"A"}), "array of objects.*a pickle")


@pytest.mark.parametrize(
    ("kind", "match"),
    [(tarfile.SYMTYPE, "is a link"), (tarfile.LNKTYPE, "is a link"), (tarfile.FIFOTYPE, "is a device or a pipe")],
)
def test_links_and_devices_are_refused(tmp_path, kind, match):
    path = tar_of(tmp_path / "train.tar", good())
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("y.npy")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    refused(path, f"member 'y.npy' {match}")


def test_archives_that_cannot_be(tmp_path):
    path = tar_of(tmp_path / "train.tar", good() | good("y"))
    whole = path.read_bytes()
    path.write_bytes(whole[:4000])
    refused(path, "train.tar: not a readable tar archive .*copy it again")
    path.write_bytes(b"no archive at all" * 100)
    refused(path, "train.tar: not a readable tar archive")
    path.write_bytes(b"\x1f\x8b" + whole)
    refused(path, "a packed archive.*gzip -d")
    path.write_bytes(whole)
    path.rename(tmp_path / "shard.tar")
    refused(tmp_path / "shard.tar", "neither a .json member nor the archive's name says its split; pass --split")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no files ending in .tar in this folder")
    refused(tmp_path / "none", "no such file or folder")
    assert len(imported(tmp_path / "shard.tar", "--split", "test")) == 2


def test_the_same_key_twice_is_a_fault(tmp_path):
    for number in range(2):
        tar_of(tmp_path / "s" / f"train-{number}.tar", good())
    refused(tmp_path / "s", "its id already occurs at .*train-0.tar:x; ids must be unique")


def test_faulty_samples_can_be_left_out(tmp_path, capsys):
    path = tar_of(tmp_path / "train.tar", good() | {"y.npy": b"none", "y.txt": b"A"} | {"z.txt": b"A"})
    refused(path, r"--skip_faulty leaves out invalid samples")
    assert [name for name, *_ in imported(path, "--skip_faulty")] == ["x"]
    left_out = [json.loads(line) for line in (tmp_path / "corpus" / "left_out.jsonl").read_text().splitlines()]
    assert len(left_out) == 2
    assert "left out: 2" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    path = tar_of(tmp_path / "train.tar", good())
    words = ["import", "webdataset", str(path), "--output", str(tmp_path / "corpus"), "--dry_run"]
    assert dispatch(words) == 0
    assert "dry run: nothing was written" in capsys.readouterr().out
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--split", "all"), "--split is 'all'"),
        (("--points", "pkl"), "--points is 'pkl'; needed a member that ends in"),
        (("--points", "npz"), "no member npz with points; it has npy, txt"),
        (("--gloss_key", "words"), "no key 'words' in its .json member"),
        (("--glosses", "cls"), "no glosses: no member cls"),
        (("--person", "-1"), "--person is -1"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, match):
    refused(tar_of(tmp_path / "train.tar", good()), match, *options)
