"""Files with one thing forged: each is refused by name and field, or read as what it says, and never costs memory."""

import io
import itertools
import json
import math
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import random_landmarks
from forged import ODD, changed, each, places, refused
from signloom.cli import dispatch
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError
from signloom.files.options_file import read_options
from signloom.landmarks import Landmarks, read_header
from signloom.run_folder import Run


def npy(array, *, shape=None, descr=None, version=(1, 0), fortran=False):
    """A .npy member whose header may lie."""
    head = {
        "descr": descr or array.dtype.str,
        "fortran_order": fortran,
        "shape": array.shape if shape is None else shape,
    }
    text = repr(head).encode() + b"\n"
    return (
        b"\x93NUMPY"
        + bytes(version)
        + struct.pack("<H" if version == (1, 0) else "<I", len(text))
        + text
        + array.tobytes()
    )


HEADER = {
    "format": "signloom-landmarks",
    "version": 1,
    "layout": "holistic543",
    "layout_version": 1,
    "fps": 25.0,
    "image_size": [640, 480],
    "pixel_aspect": 1.0,
    "assumed": ["fps"],
    "source": {"name": "a.mp4"},
}
GOOD = random_landmarks(4)


def landmark_file(path, *, compression=zipfile.ZIP_STORED, **members):
    """Writes a landmark file; `members` replace its arrays, as arrays, as bytes of a member, or by None."""
    content = {
        "points": GOOD.points.astype("<f2"),
        "visibility": GOOD.visibility.astype("<f2"),
        "meta": np.frombuffer(json.dumps(HEADER).encode(), dtype=np.uint8),
        **members,
    }
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, array in content.items():
            if array is not None:
                archive.writestr(f"{name}.npy", npy(array) if isinstance(array, np.ndarray) else array)
    return path


def with_header(path, header):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return landmark_file(path, meta=np.frombuffer(text, dtype=np.uint8))


def test_a_landmark_file_made_by_hand_is_read(tmp_path):
    # The cases below are refused for what is forged in them, not for how they are made.
    back = Landmarks.load(landmark_file(tmp_path / "a.npz"))
    np.testing.assert_array_equal(back.points, GOOD.points.astype("<f2"))
    assert (back.fps, back.image_size, back.source) == (25.0, (640, 480), {"name": "a.mp4"})
    packed = Landmarks.load(landmark_file(tmp_path / "b.npz", compression=zipfile.ZIP_DEFLATED))
    np.testing.assert_array_equal(packed.points, back.points)
    other_order = npy(np.ascontiguousarray(GOOD.points.astype("<f2").T), shape=GOOD.points.shape, fortran=True)
    turned = Landmarks.load(landmark_file(tmp_path / "c.npz", points=other_order))
    np.testing.assert_array_equal(turned.points, back.points)


@pytest.mark.parametrize("field", HEADER)
@pytest.mark.parametrize("value", ODD, ids=lambda value: ascii(value)[:12])
def test_an_odd_value_in_a_landmark_header_is_refused_with_its_field_or_kept(field, value, tmp_path):
    path = with_header(tmp_path / "a.npz", {**HEADER, field: value})
    try:
        landmarks = Landmarks.load(path)
    except InputError:
        message = refused(lambda: Landmarks.load(path), f"{path}: ")
        assert field.partition("_")[0] in message or "half of a character" in message or "finite" in message
        refused(lambda: read_header(path), f"{path}: ")
    else:
        assert np.asarray(getattr(landmarks, field) == (tuple(value) if isinstance(value, list) else value)).all()


@pytest.mark.parametrize("field", HEADER)
def test_a_missing_field_of_a_landmark_header_is_named(field, tmp_path):
    path = with_header(tmp_path / "a.npz", {name: value for name, value in HEADER.items() if name != field})
    refused(lambda: Landmarks.load(path), "a.npz: ", field.partition("_")[0])


@pytest.mark.parametrize(
    ("field", "least", "most"), [("fps", 1, 1000), ("pixel_aspect", 0.2, 5), ("image_size", (16, 16), (32768, 32768))]
)
def test_what_can_be_written_can_be_read_and_the_other_way_round(field, least, most, tmp_path):
    for value in (least, most):
        clip = Landmarks(GOOD.points, GOOD.visibility, **{"fps": 25.0, field: value})
        clip.save(tmp_path / "a.npz")
        assert getattr(Landmarks.load(tmp_path / "a.npz"), field) == value
    wrong = [
        (value[0], math.nextafter(value[1], to)) if isinstance(value, tuple) else math.nextafter(value, to)
        for value, to in ((least, -math.inf), (most, math.inf))
    ]
    for value in wrong:
        refused(lambda value=value: Landmarks(GOOD.points, GOOD.visibility, **{"fps": 25.0, field: value}), field)
        refused(
            lambda value=value: Landmarks.load(with_header(tmp_path / "a.npz", {**HEADER, field: value})),
            "a.npz",
            field,
        )


def test_a_source_that_nothing_could_read_again_is_not_written(tmp_path):
    for source in ({"rate": math.nan}, {"name": "\ud800"}):
        clip = Landmarks(GOOD.points, GOOD.visibility, 25.0, source=source)
        refused(lambda clip=clip: clip.save(tmp_path / "a.npz"), "a.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b'{"fps": 25, "fps": 30}', "'fps' occurs twice"),
        (b'{"fps": 1e999}', "finite"),
        (b'{"fps": ' + b"9" * 10_000 + b"}", "digits"),
        (b'{"name": "\xff"}', "not UTF-8"),
        (b"[]", "format 'list'"),
    ],
    ids=["empty", "cut", "lists", "objects", "twice", "infinite", "digits", "bytes", "list"],
)
def test_a_landmark_header_that_is_no_json_of_ours_is_refused(header, told, tmp_path):
    refused(lambda: Landmarks.load(with_header(tmp_path / "a.npz", header)), "a.npz", told)


POINTS, SEEN = GOOD.points.astype("<f2"), GOOD.visibility.astype("<f2")


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (
            {"points": npy(POINTS, shape=(1_000_000, 543, 3))},
            "an array of shape (1000000, 543, 3) and type float16 needs 3,258,000,000 bytes, the file has 13,032",
        ),
        ({"points": npy(POINTS, shape=(2**62, 543, 3))}, "needs"),
        ({"points": npy(POINTS, shape=(-4, -543, 3))}, "a shape of"),
        ({"points": npy(POINTS, shape=(True, 543, 3))}, "points"),
        ({"points": npy(POINTS, descr="<f4")}, "type float32 needs"),
        # NumPy 2 has no such type.
        ({"points": npy(POINTS, descr="<U1000000000")}, ""),
        ({"points": npy(POINTS, descr="|O")}, "which is a pickle"),
        ({"points": npy(POINTS, descr="|V0")}, "of type"),
        ({"points": npy(POINTS, descr="[('a', '<f2')]")}, "not a readable"),
        ({"points": npy(POINTS.view("<u2"))}, "floating-point"),
        ({"points": npy(POINTS.astype("<c16"))}, "floating-point"),
        ({"points": npy(POINTS, version=(9, 9))}, "version 9.9"),
        ({"points": npy(POINTS)[:-1]}, "needs"),
        ({"points": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"(" * 5000}, "not a readable"),
        ({"points": b"\x93NUMPY\x01\x00\xa0\x0f" + b"-" * 3990 + b"1" * 10}, "not a readable"),
        ({"points": b""}, "not a readable"),
        ({"points": POINTS[:, :100]}, "points of shape (4, 100, 3), needed (T, 543, 3)"),
        ({"points": POINTS[:0], "visibility": SEEN[:0]}, "no frames"),
        ({"points": POINTS[:3]}, "visibility of shape (4, 33), needed (3, 33)"),
        ({"seconds": np.arange(4.0)}, "version 1 with the times"),
        ({"seconds": np.arange(5.0)}, "seconds of shape (5,)"),
        ({"meta": None}, "not a landmark file"),
        ({f"x{number}": SEEN for number in range(20)}, "23 arrays; needed at most 20"),
        ({"meta": np.zeros(20_000_000, np.uint8)}, "a header of"),
    ],
    ids=itertools.count(),
)
def test_arrays_whose_headers_lie_are_refused_before_they_are_read(members, told, tmp_path):
    refused(lambda: Landmarks.load(landmark_file(tmp_path / "a.npz", **members)), "a.npz: ", told)


def test_a_small_file_that_unpacks_to_gigabytes_is_refused(tmp_path):
    # As a real bomb: a million frames of zeros, every header consistent, in 3 MB.
    size = 1_000_000 * 543 * 3 * 2
    head = npy(np.zeros(0, "<f2"), shape=(1_000_000, 543, 3))
    path = landmark_file(tmp_path / "a.npz", points=None, compression=zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("points.npy", "w") as member:
        member.write(head + bytes(1_000_000))
    # The rest of the size is claimed, not written: the archive is refused before it could be missed.
    data = path.read_bytes()
    claimed = data.replace(struct.pack("<I", len(head) + 1_000_000), struct.pack("<I", len(head) + size))
    path.write_bytes(claimed)
    assert len(claimed) < 20_000
    refused(lambda: Landmarks.load(path), "a.npz: ", "unpack to 3,258,")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_doubled_and_encrypted_members_are_refused(tmp_path):
    path = landmark_file(tmp_path / "a.npz")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("points.npy", npy(POINTS))
    refused(lambda: Landmarks.load(path), "two members are named 'points.npy'")
    data = bytearray(landmark_file(path).read_bytes())
    # The flags of the first entry of the directory.
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(lambda: Landmarks.load(path), "'points.npy' is encrypted")


WHOLE = landmark_file(io.BytesIO()).getvalue()


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_one_changed_byte_is_refused_or_changes_nothing_but_the_header(position, value):
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"signloom-forged-{os.getpid()}.npz"
    path.write_bytes(WHOLE[:position] + bytes([value]) + WHOLE[position + 1 :])
    try:
        landmarks = Landmarks.load(path)
        # Sums of the members' bytes are in the archive.
        np.testing.assert_array_equal(landmarks.points, POINTS)
        np.testing.assert_array_equal(landmarks.visibility, SEEN)
        assert landmarks.fps == 25.0
    except InputError:
        refused(lambda: Landmarks.load(path), str(path))
    finally:
        path.unlink()


@given(st.integers(0, len(WHOLE) - 1))
def test_a_landmark_file_cut_anywhere_is_refused(length):
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"signloom-cut-{os.getpid()}.npz"
    path.write_bytes(WHOLE[:length])
    try:
        refused(lambda: Landmarks.load(path), str(path))
    finally:
        path.unlink()


def test_a_directory_of_millions_of_entries_is_refused_before_it_is_read(tmp_path):
    data = WHOLE[: WHOLE.rindex(b"PK\x05\x06")]
    start = data.index(b"PK\x01\x02")
    entries = data[start:] * 8000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 24_000, 24_000, len(entries), start, 0)
    (tmp_path / "a.npz").write_bytes(data[:start] + entries + end)
    refused(lambda: Landmarks.load(tmp_path / "a.npz"), "a.npz: ", "directory is longer than 1,000,000 bytes")


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    refused(lambda: Landmarks.load(tmp_path / "a.npz"), "a.npz")
    refused(lambda: Landmarks.load(tmp_path), str(tmp_path))
    refused(lambda: Landmarks.load(Path("/dev/zero")), "/dev/zero")


@pytest.fixture
def corpus(tmp_path):
    with CorpusWriter(tmp_path / "corpus", {"name": "tiny"}) as writer:
        for number in range(3):
            writer.add(f"clip-{number}", split="train", signer="A", glosses=["A", "B"], landmarks=GOOD)
    return tmp_path / "corpus"


def test_an_odd_value_in_a_manifest_is_refused_with_line_and_field_or_kept(corpus):
    path = corpus / "manifest.jsonl"
    lines = path.read_text().splitlines()
    record = {**json.loads(lines[1]), "source": {}, "truth": {}}
    for field, value in itertools.product(record, ODD):
        path.write_text("\n".join([lines[0], json.dumps({**record, field: value}), lines[2]]))
        try:
            read = Corpus.open(corpus).utterances[1]
        except InputError as error:
            message = str(error)
            assert message.startswith(f"{path}: 1 fault\n  line 2")
            named = (field.removesuffix("es"), "half of a character", "finite", "path", "landmark file")
            assert any(name in message for name in named), message
        else:
            assert getattr(read, field) == value or value is None


def test_every_faulty_line_of_a_manifest_is_named(corpus, monkeypatch):
    monkeypatch.setattr("signloom.corpus.manifest.MOST_LINE_BYTES", 5000)
    path = corpus / "manifest.jsonl"
    good = path.read_bytes().splitlines()
    wrong = {
        b'{"id": "\xff"}': "not UTF-8",
        b"[" * 4000: "nested too deeply",
        good[0].replace(b'"fps"', b'"id": "x", "fps"'): "'id' occurs twice",
        b'{"id": "' + b"x" * 20_000 + b'"}': "more than 5,000 bytes",
        b"3": "the content is 3; needed an object",
        good[0].replace(b"clip-0", b"clip\\u0000"): "id is 'clip\\x00'; needed text of 1 to 1,000 characters",
        good[0].replace(b"clip-0", b"x" * 1001): "id is 'xxxx",
        good[0].replace(b'"A"]', b'"A", ""]').replace(b'["A"', b'[""'): "gloss '' is empty",
        good[0].replace(b'"B"]', b'"\\u001b[2J"]'): "gloss '\\x1b[2J'",
        good[0].replace(b'"B"]', b'"<blank>"]'): "gloss '<blank>' is reserved",
        good[0].replace(b"clip-0.npz", b"../corpus.json"): "leaves its folder",
        good[0].replace(b"landmarks/clip-0.npz", b"corpus.json"): "needed the path of a .npz file",
        good[0].replace(b'"clip-0"', b'".."'): "cannot name a file",
        good[0].replace(b"landmarks/clip-0", b"landmarks/" + b"y" * 300): "cannot be used",
    }
    path.write_bytes(b"\n".join([*wrong, b"", *good]))
    message = refused(lambda: Corpus.open(corpus), f"{path}: {len(wrong)} faults")
    for number, (line, told) in enumerate(zip(message.splitlines()[1:], wrong.values(), strict=True), 1):
        assert line.startswith(f"  line {number}: "), line
        assert told in line


def test_a_loop_of_links_is_named(corpus):
    file = corpus / "landmarks" / "clip-1.npz"
    file.unlink()
    file.symlink_to(file)
    refused(lambda: Corpus.open(corpus), "line 2: ", "clip-1.npz")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": 5}, "name is 5"),
        ({"name": "a\x1b[2J"}, "name is 'a\\x1b[2J'"),
        ({"name": "x" * 2000}, "name is 'xxx"),
        ({"synthetic": "no"}, "synthetic is 'no'; needed true or false"),
        ({"version": 1.5}, "version 1.5"),
        ({"licence": float("nan")}, "finite"),
    ],
)
def test_the_header_of_a_corpus_is_checked(corpus, change, told):
    path = corpus / "corpus.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    refused(lambda: Corpus.open(corpus), f"{path}: ", told)


def test_a_clip_of_another_length_or_rate_is_refused(corpus):
    clip = Corpus.open(corpus)
    random_landmarks(5).save(corpus / "landmarks" / "clip-0.npz")
    random_landmarks(4, fps=50.0).save(corpus / "landmarks" / "clip-1.npz")
    refused(lambda: clip.load(clip.utterances[0]), "clip-0.npz: 5 frames, the manifest says 4")
    refused(lambda: clip.load(clip.utterances[1]), "clip-1.npz: 50 frames per second, the manifest says 25")
    assert len(clip.load(clip.utterances[2])) == 4


EPOCH = {"epoch": 1, "train_loss": 2.0, "dev_loss": float("nan"), "dev_wer": 1.0, "learning_rate": 1e-3}
FINDING = {"id": "all_blank", "level": "warn", "headline": "h", "advice": "a", "value": "nan", "where": ["x"]}
INTERVAL = {"low": 0.0, "high": 1.0, "level": 0.95}
COUNTS = {"reference_words": 4, "substitutions": 1, "deletions": 1, "insertions": 0}
SPLIT = {"utterances": 3, "signers": 1, "running_glosses": 6, "distinct_glosses": 2, "hours": 0.1}
RUN = {
    "run.json": {
        "recipe": {"data_dir": "c", "preset": "student", "learning_rate": 1e-3, "augmentation": {"retime": 0.1}},
        "corpus": {"name": "c", "path": "/c", "summary": {"train": SPLIT}},
        "model": {"parameters": 9},
    },
    "history.json": {"epochs": [EPOCH], "best_epoch": 1},
    "monitors.json": {
        "epochs": [{"gradient/all": 1.0, "entropy": "nan"}],
        "said": [{**FINDING, "figures": {"step": 3, "epoch": 1}}],
        "every_steps": 20,
    },
    "evaluation-test.json": {"protocol": "plain", "rule": "r", "wer": 0.5, **COUNTS, "interval": INTERVAL},
    "not-finite.json": {"place": "step 3", "what": "loss", "cause": "clip"},
}


def facts(run):
    return run.info, run.epochs, run.best, run.monitors, run.findings, run.evaluations, run.not_finite, run.steps


@pytest.mark.parametrize("name", RUN)
def test_an_odd_value_in_a_file_of_a_run_is_refused_with_its_field_or_kept(name, tmp_path):
    for file, record in RUN.items():
        (tmp_path / file).write_text(json.dumps(record))
    assert Run.read(tmp_path).steps == 3
    path = tmp_path / name
    for place, value in each(places(RUN[name])):
        path.write_text(json.dumps(changed(RUN[name], place, value)))
        try:
            run = Run.read(tmp_path)
            # What is computed from the files holds as well.
            facts(run)
            run.find_corpus()
            str([run.corpus_place, run.watched, run.options])
        except InputError as error:
            message = str(error)
            assert message.startswith(f"{path}: ")
            assert any(str(part) in message for part in place) or "half of a character" in message, (place, message)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "needed an object"),
        (b'{"a": 1, "a": 2}', "'a' occurs twice"),
    ],
    ids=["empty", "bytes", "deep", "list", "twice"],
)
@pytest.mark.parametrize("name", RUN)
def test_a_file_of_a_run_that_is_no_json_of_ours_is_refused(name, content, told, tmp_path):
    (tmp_path / name).write_bytes(content)
    refused(lambda: Run.read(tmp_path), f"{tmp_path / name}: ", told)


def test_a_pipe_in_a_run_folder_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "history.json")
    refused(lambda: Run.read(tmp_path), "history.json: is a named pipe")


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]\n" for number in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, "aliases stand for 10,000 values or more"),
        ("a: &a [*a]\n", "aliases stand for"),
        ("seed: 1\nepochs: 2\nseed: 3\n", "line 1: key 'seed' occurs 2 times"),
        ("a: !!python/object/apply:os.system [x]\n", "line 1: tag"),
        ("a: 1\nb: !!binary aGVsbG8=\n", "line 2: tag"),
        ("a: !mine 1\n", "line 1: tag '!mine'"),
        ("[1, 2]\n", "a list of 2; needed a table of options"),
        ("just text\n", "needed a table of options"),
        ("a: [\n", "not YAML"),
        ("[" * 5000, "nested too deeply"),
        ("a: " + "9" * 10_000, "not YAML"),
        ('a: "\\x1b[2J"\n', "control characters"),
        ("? [a, b]\n: 1\n", "not YAML"),
        ("a: !!int x\n", "not YAML"),
        (b"a: \xff\n", "not UTF-8"),
        (b"\x00" * 50, "null character"),
    ],
    ids=itertools.count(),
)
def test_a_file_of_options_has_one_table_without_surprises(text, told, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(lambda: read_options(path), f"{path}", told)
    refused(lambda: dispatch(["lm", "--config", str(path)]), f"{path}", told)


def test_a_file_of_options_is_read_as_the_command_line_reads_it(tmp_path):
    (tmp_path / "a.yaml").write_text("rate: 1e-4\nwarm: 5\nnames: &n [a, b]\nagain: *n\nday: 2001-01-01\n")
    values = {"rate": 1e-4, "warm": 5, "names": ["a", "b"], "again": ["a", "b"], "day": "2001-01-01"}
    assert read_options(tmp_path / "a.yaml") == values


def test_what_is_no_file_of_options_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path, tmp_path / "pipe.yaml", tmp_path / "none.yaml", Path("/dev/zero")):
        refused(lambda path=path: dispatch(["lm", "--config", str(path)]), str(path))
