"""Files that anybody may have made: whatever they are, reading ends, within bounds, and the fault names the file."""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from signloom.errors import Faults, InputError, kind_of, printable
from signloom.files.arrays import ALONE, read_arrays
from signloom.files.paths import files_of, resolved
from signloom.files.reading import Kind, open_file, parse_json, read_json, read_text, sha256_of
from signloom.text.tables import read_lines


def plant(path: Path, kind: str) -> Path:
    """Puts something that is no regular file, or cannot be read, at `path`."""
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        # A socket stays in its folder when it is closed. Its path may be 100 bytes long.
        before = Path.cwd()
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
        os.chdir(before)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("nothing")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind in ("zero", "null"):
        path.symlink_to(f"/dev/{kind}")
    return path


NO_FILES = ["fifo", "socket", "folder", "link", "loop", "zero", "null", "absent"]


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("read", [read_text, read_json, read_arrays, sha256_of], ids=lambda read: read.__name__)
def test_what_is_no_file_is_refused_at_once(tmp_path, kind, read):
    path = plant(tmp_path / "a.txt", kind)
    with pytest.raises(InputError, match=rf"^{path}: .*; needed a"):
        read(path)


def test_a_file_larger_than_its_kind_is_not_read(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(101))
    with (
        pytest.raises(InputError, match=r"a\.txt: 101 bytes; needed a note of at most 100"),
        open_file(path, Kind("a note", 100)),
    ):
        pass
    # A sparse file of a terabyte is refused by its size.
    with path.open("r+b") as file:
        file.truncate(10**12)
    with pytest.raises(InputError, match="1,000,000,000,000 bytes; needed a text file of at most"):
        read_text(path)


def test_a_packed_text_may_not_unpack_to_more_than_its_kind_holds(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"A" * 101))
    assert len(read_text(path)) == 101
    with pytest.raises(InputError, match=r"a\.csv\.gz: unpacks to more than 100 bytes; refused"):
        read_text(path, Kind("a note", 100))


def test_a_pipe_of_the_shell_is_read_twice_and_a_pipe_without_end_is_refused(tmp_path, monkeypatch):
    reading, writing = os.pipe()
    os.write(writing, gzip.compress(b"id|gloss\n1|A\n"))
    os.close(writing)
    path = Path(f"/dev/fd/{reading}")
    assert read_lines(path, Faults("")) == [(1, "id|gloss"), (2, "1|A")]
    assert len(sha256_of(path)) == 64
    assert files_of(path, faults := Faults("")) == [path]
    assert not faults
    os.close(reading)
    monkeypatch.setattr("signloom.files.reading.TEXT", Kind("a text file", 100))
    reading, writing = os.pipe()
    os.write(writing, bytes(101))
    with pytest.raises(InputError, match="more than 100 bytes from a pipe; save them as a file first"):
        read_text(f"/dev/fd/{reading}")
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"A\n\xff\n", r"a\.txt:2: not UTF-8 \(invalid start byte\); save the file as UTF-8"),
        (b"\xed\xa0\x80", "not UTF-8"),
        (b"\xff\xfeA", "not UTF-16"),
        (b"PK\x03\x04\xff\xff", "is a zip archive .*; needed a text file: unpack it"),
        (b"BZh91AY&SY\xff", "is a bzip2 file; "),
        (b"\x1f\x8b\x08", "a damaged gzip file"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, data, message):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ('{"a": 1,\n "b": }', r"place:2: not JSON \(Expecting value at column 7\)"),
        ("[" * 100_000, "not JSON"),
        ("1" * 10_000, "not JSON .a number of more than 4,300 digits"),
        (r'{"id": "\ud800"}', r"place: \\ud800, half of a character"),
        (r'["\udfff\ud83d\ude00"]', r"place: \\udfff, half of a character"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(text, message):
    with pytest.raises(InputError, match=message):
        parse_json(text, "place")


def test_json_as_other_tools_write_it_is_read(tmp_path):
    # Python writes NaN, JavaScript pairs of escapes, Windows a byte order mark or UTF-16.
    assert np.isnan(parse_json("[NaN]", ""))[0]
    assert parse_json(r'"\ud83d\ude00"', "") == "\U0001f600"
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le"):
        (tmp_path / "a.json").write_text('{"a": "grüßen"}', encoding=encoding)
        assert read_json(tmp_path / "a.json") == {"a": "grüßen"}


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def claiming(shape: tuple[int, ...]) -> bytes:
    """A .npy that says it has this shape, with a few bytes of content."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + bytes(64)


@pytest.mark.parametrize("packed", [False, True], ids=["npy", "npz"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (claiming((10**9, 543, 3)), "an array of shape .* needs 13,032,000,000,000 bytes, the file has 64"),
        (claiming((10**12,)), "needs 8,000,000,000,000 bytes"),
        (npy(np.array([{}], dtype=object)), "an array of objects, which is a pickle"),
        (b"\x93NUMPY", "not a readable NumPy file"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "not a readable NumPy file"),
        (b"", "not a readable NumPy file"),
    ],
    ids=["huge", "terabytes", "objects", "cut", "header", "empty"],
)
def test_an_array_is_not_trusted(tmp_path, packed, content, message):
    path = tmp_path / "a.npy"
    if packed:
        archive(path, {"a.npy": content}, zipfile.ZIP_DEFLATED)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path}: .*{message}"):
        read_arrays(path)


def test_an_archive_is_not_trusted(tmp_path):
    good = npy(np.zeros(3))
    bomb = archive(tmp_path / "bomb.npz", {"a.npy": npy(np.zeros(10**7))}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 10**5
    with pytest.raises(InputError, match=r"bytes unpack to 80,000,128; refused"):
        read_arrays(bomb)
    twice = archive(tmp_path / "twice.npz", {"a.npy": good})
    with zipfile.ZipFile(twice, "a") as made, pytest.warns(UserWarning, match="Duplicate name"):
        made.writestr("a.npy", good)
    with pytest.raises(InputError, match="two members are named"):
        read_arrays(twice)
    secret = bytearray(archive(tmp_path / "secret.npz", {"a.npy": good}).read_bytes())
    entry = secret.index(b"PK\x01\x02")
    secret[entry + 8] |= 1
    (tmp_path / "secret.npz").write_bytes(secret)
    with pytest.raises(InputError, match="encrypted"):
        read_arrays(tmp_path / "secret.npz")
    # Two sizes that lie: the member ends before its array does.
    lying = bytearray(archive(tmp_path / "lying.npz", {"a.npy": claiming((10**5,))}).read_bytes())
    struct.pack_into("<I", lying, lying.index(b"PK\x01\x02") + 24, 10**6)
    (tmp_path / "lying.npz").write_bytes(lying)
    with pytest.raises(InputError, match=r"lying\.npz: not a readable NumPy file"):
        read_arrays(tmp_path / "lying.npz")


def test_good_arrays_are_read_and_others_not_looked_at(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", a=values, b=np.asfortranarray(values), c=np.array([{}], dtype=object))
    assert np.array_equal(read_arrays(tmp_path / "a.npy")[ALONE], values)
    arrays = read_arrays(tmp_path / "a.npz", ("a", "b", "absent"))
    assert list(arrays) == ["a", "b"]
    assert all(np.array_equal(array, values) for array in arrays.values())


def test_a_message_shows_no_character_that_a_terminal_obeys():
    text = "\x1b]0;title\x07\x1b[31m A\u202eB\u2066 \ud800 \x9b1m\r\n\tgrüßen \u200f\U0001f600"
    shown = printable(text)
    assert shown == ("\\x1b]0;title\\x07\\x1b[31m A\\u202eB\\u2066 \\ud800 \\x9b1m\\x0d\n\tgrüßen \u200f\U0001f600")
    assert str(InputError(text)) == shown
    faults = Faults("test")
    faults.add(text)
    assert faults.messages == [shown]


def test_a_fault_that_quotes_megabytes_is_short():
    faults = Faults("test")
    faults.add("a.csv:1: " + "x" * 10**5)
    faults.messages *= 30
    assert len(str(faults)) < 25_000
    assert "(100,009 characters)" in str(faults)
    assert kind_of(faults.messages[0])


@pytest.mark.parametrize("name", [b"caf\xe9.csv", b"\xff"])
def test_a_name_that_is_not_utf8_is_refused_and_can_be_shown(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.write_text("id|gloss\n1|A\n")
    with pytest.raises(InputError, match=r"\\udc.*: its name is not valid UTF-8; rename it") as caught:
        read_text(path)
    str(caught.value).encode()
    with pytest.raises(InputError, match="a null character in its name"):
        read_text("a\0b")


def test_nothing_in_a_folder_is_passed_over_silently(tmp_path):
    for kind in ("fifo", "link", "loop", "zero"):
        plant(tmp_path / kind, kind)
    assert resolved(tmp_path / "loop") == tmp_path / "loop"
    (tmp_path / "below").mkdir()
    (tmp_path / "below/a").touch()
    assert [path.name for path in files_of(tmp_path, Faults(""))] == ["a", "fifo", "link", "loop", "zero"]
