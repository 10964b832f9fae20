"""Reads files that anybody may have made.

Opening never waits (a FIFO, a device), no more is read than a file of its kind may hold, also after unpacking, and
everything that is wrong with a file is an InputError that names it.
"""

from __future__ import annotations

import codecs
import errno
import gzip
import hashlib
import io
import json
import os
import re
import stat
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from signloom.errors import InputError, plural
from signloom.files.storage import opened
from signloom.files.urls import Url


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    name: for messages, with its article.  most_bytes: of the file, and of what it unpacks to.
    """

    name: str
    most_bytes: int


# Text of this size is a million sentences, or as JSON five minutes of all points of MediaPipe.
TEXT = Kind("a text file", 500_000_000)
JSON = Kind("a JSON file", 500_000_000)
# All clips of a data set in one file: those of PHOENIX take 4 GB.
PICKLE = Kind("a pickle", 32_000_000_000)
ARRAYS = Kind("a NumPy file", 32_000_000_000)
# One clip: an hour of all points as single-precision numbers takes 0.6 GB.
CLIP = Kind("a clip of landmarks", 4_000_000_000)
ANY = Kind("a file", sys.maxsize)


@dataclass(frozen=True)
class Member:
    """A file that is part of another one, such as a member of an archive, in memory.

    place: where it comes from, for messages.  content: its bytes.
    """

    place: str
    content: bytes

    def __str__(self) -> str:
        return self.place


_NOT_FILES = {
    stat.S_ISFIFO: "is a named pipe, which may never end",
    stat.S_ISSOCK: "is a socket",
    stat.S_ISCHR: "is a device or a terminal",
    stat.S_ISBLK: "is a disk",
}
# Where systems list the files that the shell has opened for a process, as for `<(zcat a.csv.gz)`.
_OPENED_BY_SHELL = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
# A pipe can be read only once; what came out of it is kept, by its number.
_PIPED: dict[tuple[int, int], bytes] = {}
_GZIP = b"\x1f\x8b"
# Files that are taken for text now and then, by their first bytes.
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive (or a spreadsheet)",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet or document",
}
# gzip and zip can shrink zeros a thousand times; arrays of landmarks shrink only a few times.
_MOST_EXPANSION = 64
_EXPANSION_SLACK = 64 * 2**20
_PART_BYTES = 1 << 20
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


@contextmanager
def open_file(path: Path | str | Member, kind: Kind = ANY) -> Iterator[io.BufferedReader | io.BytesIO]:
    """Opens a regular file, or a member in memory, for reading bytes, and closes it; `kind` bounds its size.

    A pipe that the shell opened for us, such as `<(zcat a.csv.gz)`, is read as a whole and may be opened again. Of a
    URL, only those parts are fetched that are read.

    Raises InputError for a folder, another pipe, a device, a file that is too large, and whatever the system refuses,
    also while the file is read inside the block.
    """
    if isinstance(path, Member):
        _check_size(path, len(path.content), kind)
        yield io.BytesIO(path.content)
        return
    path = path if isinstance(path, Url) else Path(path)
    check_name(path)
    if isinstance(path, Url):
        with opened(path, kind.most_bytes) as stored:
            yield cast("io.BufferedReader", stored)
        return
    try:
        with os.fdopen(_descriptor(path), "rb") as file:
            status = os.fstat(file.fileno())
            _check_size(path, status.st_size, kind)
            if stat.S_ISREG(status.st_mode):
                yield file
            elif stat.S_ISFIFO(status.st_mode) and str(path).startswith(_OPENED_BY_SHELL):
                yield io.BytesIO(_piped(file, path, (status.st_dev, status.st_ino)))
            else:
                what = next((text for test, text in _NOT_FILES.items() if test(status.st_mode)), "is no regular file")
                raise InputError(f"{path}: {what}; needed {kind.name}")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); needed {kind.name}") from None


def _check_size(path: Path | Member, size: int, kind: Kind) -> None:
    """Raises InputError for a file that is too large for its kind."""
    if size > kind.most_bytes:
        raise InputError(f"{path}: {plural(size, 'byte')}; needed {kind.name} of at most {kind.most_bytes:,}")


def _descriptor(path: Path) -> int:
    # Without O_NONBLOCK, opening a named pipe waits for somebody who writes. A regular file is read as always.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return descriptor


def _piped(file: BinaryIO, path: Path, number: tuple[int, int]) -> bytes:
    """Returns all that comes out of a pipe. Raises InputError if it does not end in time."""
    if number not in _PIPED:
        os.set_blocking(file.fileno(), True)
        content = _up_to(file, TEXT.most_bytes + 1)
        if len(content) > TEXT.most_bytes:
            raise InputError(f"{path}: more than {TEXT.most_bytes:,} bytes from a pipe; save them as a file first")
        _PIPED[number] = content
    return _PIPED[number]


def check_name(path: Path | str) -> None:
    """Raises InputError for a name that is not valid UTF-8: no record could hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(f"{path}: its name is not valid UTF-8; rename it, or set a UTF-8 locale") from None
    if "\0" in str(path):
        raise InputError(f"{str(path)!r}: a null character in its name; needed {ANY.name}")


def _up_to(file: BinaryIO | gzip.GzipFile, most_bytes: int) -> bytes:
    """Returns the first bytes of a file, part by part: `read` reserves memory for all that it might read."""
    content = io.BytesIO()
    while part := file.read(min(_PART_BYTES, most_bytes - content.tell())):
        content.write(part)
    return content.getvalue()


def read_bytes(path: Path | str | Member, kind: Kind) -> bytes:
    """Returns the content of a file. Raises InputError as `open_file` does."""
    if isinstance(path, Member):
        _check_size(path, len(path.content), kind)
        return path.content
    with open_file(path, kind) as file:
        content = _up_to(file, kind.most_bytes + 1)
    if len(content) > kind.most_bytes:
        raise InputError(f"{path}: more than {kind.most_bytes:,} bytes; needed {kind.name} of at most this size")
    return content


def most_unpacked(size: int) -> int:
    """Returns to how many bytes a packed file of numbers may unpack, of `size` bytes itself."""
    return size * _MOST_EXPANSION + _EXPANSION_SLACK


def unpacked(file: BinaryIO, path: Path | str | Member, most_bytes: int) -> bytes:
    """Returns the content of a gzip file. Raises InputError for a damaged one, or one that unpacks to more."""
    try:
        with gzip.GzipFile(fileobj=file) as packed:
            content = _up_to(packed, most_bytes + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: a damaged gzip file ({error})") from None
    if len(content) > most_bytes:
        raise InputError(f"{path}: unpacks to more than {most_bytes:,} bytes; refused")
    return content


def read_text(path: Path | str | Member, kind: Kind = TEXT) -> str:
    """Returns the text of a file, with plain line ends.

    The text is UTF-8, or UTF-16 as spreadsheets and Praat write it. A byte order mark and Windows line ends are
    accepted, and a file packed with gzip is unpacked.

    Raises InputError, with the line where there is one, for anything else.
    """
    data = read_bytes(path, kind)
    if data.startswith(_GZIP):
        data = unpacked(io.BytesIO(data), path, kind.most_bytes)
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if other := next((name for start, name in _OTHER_KINDS.items() if data.startswith(start)), None):
            raise InputError(f"{path}: is {other}; needed {kind.name}: unpack it, or save it as plain text") from None
        line = f":{data[: error.start].count(10) + 1}" if encoding == "utf-8-sig" else ""
        name = "UTF-8" if encoding == "utf-8-sig" else encoding.upper()
        raise InputError(f"{path}{line}: not {name} ({error.reason}); save the file as UTF-8") from None
    if (null := text.find("\0")) >= 0:
        number = text.count("\n", 0, null) + 1
        raise InputError(f"{path}:{number}: a null character; needed {kind.name}, this is something else or damaged")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def encoding_of(data: bytes) -> str:
    """Returns the encoding of a text, by its byte order mark; UTF-16 without one by its zero bytes; else UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # In UTF-16 every second byte of an English word, a digit or a separator is zero; a text in UTF-8 has none.
    start = data[:2000]
    zeros = {parity: start[parity::2].count(0) for parity in (0, 1)}
    if max(zeros.values()) > max(3, len(start) / 8):
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    return "utf-8-sig"


def read_json(path: Path | str | Member, kind: Kind = JSON) -> Any:
    """Returns the content of a JSON file. Raises InputError, with the line, for anything else."""
    return parse_json(read_text(path, kind), str(path))


def parse_json(text: str, place: str, **hooks: Any) -> Any:
    """Returns the value of a JSON text; it may hold NaN, as Python writes it.  place: of the text, for messages.

    hooks: of `json.loads`, for texts that must keep to more than JSON.

    Raises InputError for text that is no JSON, is nested too deeply, has a key twice in an object, or a number or a
    character that nothing can hold.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) != len(pairs):
            # One of its values would get lost.
            name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
            raise InputError(f"{place}: key {name!r:.60} occurs twice")
        return record

    try:
        value = json.loads(text, object_pairs_hook=once, **hooks)
    except json.JSONDecodeError as error:
        line = f":{error.lineno}" if "\n" in text else ""
        raise InputError(f"{place}{line}: not JSON ({error.msg} at column {error.colno})") from None
    except RecursionError:
        raise InputError(f"{place}: not JSON (nested too deeply)") from None
    except ValueError:
        # Python refuses to convert longer numbers.
        digits = sys.get_int_max_str_digits()
        raise InputError(f"{place}: not JSON (a number of more than {digits:,} digits)") from None
    if _SURROGATE_ESCAPE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = rf"\u{ord(error.object[error.start]):04x}"
            raise InputError(f"{place}: {half}, half of a character without its other half; write it again") from None
    return value


def sha256_of(path: Path | Member) -> str:
    """Returns the SHA-256 of a file's bytes, in hexadecimal. Raises InputError as `open_file` does."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
