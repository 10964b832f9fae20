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
from forged import ODD, refused
from signloom.errors import InputError
from signloom.landmarks import Landmarks, read_header


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
        ({"points": npy(POINTS, descr="<U1000000000")}, "needs"),
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
