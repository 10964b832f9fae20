"""Reads arrays of numbers from NumPy's files (.npy, .npz) that anybody may have made.

Nothing is trusted: sizes in headers are compared with the bytes that are there before memory is allocated, archives may
not unpack to much more than their own size, and objects, which are pickles, are refused.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from signloom.errors import InputError, plural
from signloom.files.reading import ARRAYS, Kind, Member, most_unpacked, open_file

# The directory of an archive is read as a whole. More arrays than any archive of one clip or data set has need this.
_MOST_DIRECTORY_BYTES = 1_000_000
# NumPy's own headers take a few lines.
_MOST_HEADER_BYTES = 10_000
# Arrays are read, checked and converted in parts that stay in the processor's cache.
_PART_BYTES = 1 << 18
_SUFFIX = ".npy"
# An array in a file of its own has no name.
ALONE = ""
_HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_arrays(path: Path | Member, keys: Sequence[str] | None = None, kind: Kind = ARRAYS) -> dict[str, np.ndarray]:
    """Returns the arrays of a .npz archive by name, or the array of a .npy file under the name `ALONE`.

    keys: the names of the arrays to read, where they are there; None for all. Others are not looked at.

    Raises InputError for other and for damaged files, arrays of objects, and sizes that cannot be.
    """
    with open_file(path, kind) as file, _named(path, _WHAT):
        if file.read(2) != b"PK":
            size = file.seek(0, 2)
            file.seek(0)
            return {ALONE: _opened(file, size).read()}
        with _archive(file) as archive:
            return {name: archive.read(name) for name in archive.names if keys is None or name in keys}


def names_of(path: Path | Member, kind: Kind = ARRAYS) -> list[str]:
    """Returns the names of the arrays of a .npz archive. Raises InputError as `read_arrays` does."""
    with open_archive(path, kind) as archive:
        return archive.names


_WHAT = "a readable NumPy file of numbers"


@contextmanager
def open_archive(path: Path | Member, kind: Kind = ARRAYS, *, what: str = _WHAT, advice: str = "") -> Iterator[Archive]:
    """Opens a .npz archive.

    what, advice: what is needed and what to do, for messages.

    Raises InputError for another file and for a damaged one, also where that shows only inside the block.
    """
    with open_file(path, kind) as file, _named(path, what, advice), _archive(file) as archive:
        yield archive


class Archive:
    """The arrays of an open .npz archive of `size` bytes. Raises ValueError for one that is crafted."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive = archive
        self._infos: dict[str, zipfile.ZipInfo] = {}
        self._arrays: dict[str, _Array] = {}
        for info in archive.infolist():
            name = info.filename.removesuffix(_SUFFIX)
            if name in self._infos:
                raise ValueError(f"two members are named {info.filename!r:.60}")
            if info.flag_bits & 1:
                raise ValueError(f"{info.filename!r:.60} is encrypted")
            if info.compress_type == zipfile.ZIP_STORED and info.file_size > size:
                raise ValueError(f"{info.filename!r:.60} has {plural(info.file_size, 'byte')} in a file of {size:,}")
            self._infos[name] = info
        total = sum(info.file_size for info in self._infos.values())
        if total > most_unpacked(size):
            raise ValueError(f"{plural(size, 'byte')} unpack to {total:,}; refused")

    @property
    def names(self) -> list[str]:
        return list(self._infos)

    def num_bytes(self, name: str) -> int:
        """Returns the size of an array with its header."""
        return self._infos[name].file_size

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of an array without reading it."""
        return self._array(name).shape

    def dtype(self, name: str) -> np.dtype:
        """Returns the type of an array's values."""
        return self._array(name).dtype

    def read(self, name: str, dtype: type[np.generic] | None = None) -> np.ndarray:
        """Returns an array, converted to `dtype` if given; each can be read once."""
        return self._array(name).read(dtype)

    def parts(self, name: str, num_rows: int) -> Iterator[np.ndarray]:
        """Yields an array of at least one dimension in parts of `num_rows` rows; each can be read once."""
        return self._array(name).parts(num_rows)

    def _array(self, name: str) -> _Array:
        if name not in self._arrays:
            info = self._infos[name]
            try:
                self._arrays[name] = _opened(self._archive.open(info), info.file_size)
            except ValueError as error:
                raise ValueError(f"{info.filename!r:.60}: {error}") from None
        return self._arrays[name]


@dataclass(frozen=True)
class _Array:
    """One array: its bytes, from the first value on, and what its header says."""

    file: IO[bytes]
    shape: tuple[int, ...]
    in_fortran_order: bool
    dtype: np.dtype

    def read(self, dtype: type[np.generic] | None = None) -> np.ndarray:
        result = np.empty(math.prod(self.shape), dtype=dtype or self.dtype)
        step = max(1, _PART_BYTES // self.dtype.itemsize)
        for start in range(0, len(result), step):
            part = result[start : start + step]
            part[:] = self._next(len(part))
        self._finish()
        return result.reshape(self.shape, order="F" if self.in_fortran_order else "C")

    def parts(self, num_rows: int) -> Iterator[np.ndarray]:
        if self.in_fortran_order and len(self.shape) > 1:
            # Rows are spread over all of the bytes.
            whole = self.read()
            yield from (whole[start : start + num_rows] for start in range(0, len(whole), num_rows))
            return
        for start in range(0, self.shape[0], num_rows):
            shape = (min(num_rows, self.shape[0] - start), *self.shape[1:])
            yield self._next(math.prod(shape)).reshape(shape)
        self._finish()

    def _next(self, count: int) -> np.ndarray:
        """Returns the next values. Raises ValueError if they are not there."""
        data = self.file.read(count * self.dtype.itemsize)
        if len(data) != count * self.dtype.itemsize:
            raise ValueError("values are cut off")
        return np.frombuffer(data, dtype=self.dtype)

    def _finish(self) -> None:
        """Reads the end, where zipfile compares the sum of what was read with the one in the archive."""
        self.file.read(1)


def array_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Returns shape and type of the array in a .npy file, from its header alone. Raises ValueError for another file."""
    shape, _, dtype = _header(file)
    return shape, dtype


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version[0]}.{version[1]} of NumPy's format")
    try:
        shape, in_fortran_order, dtype = _HEADERS[version](file, max_header_size=_MOST_HEADER_BYTES)
    except (RecursionError, MemoryError):
        raise ValueError("a header nested too deeply") from None
    if min(shape, default=0) < 0:
        raise ValueError(f"a shape of {shape}")
    return tuple(shape), in_fortran_order, dtype


def _opened(file: IO[bytes], size: int) -> _Array:
    """Returns the array of a .npy file or member of `size` bytes. Raises ValueError if it cannot hold its array."""
    shape, in_fortran_order, dtype = _header(file)
    if dtype.hasobject:
        raise ValueError("an array of objects, which is a pickle; needed numbers")
    if dtype.itemsize == 0:
        raise ValueError(f"an array of type {dtype}; needed numbers")
    needed, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if needed != there:
        raise ValueError(f"an array of shape {shape} and type {dtype} needs {needed:,} bytes, the file has {there:,}")
    return _Array(file, shape, in_fortran_order, dtype)


@contextmanager
def _named(path: Path | Member, what: str, advice: str = "") -> Iterator[None]:
    """Turns what is raised for damaged bytes inside the block into an InputError that names the file."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        # NumPy, zipfile and zlib each raise their own errors for damaged files.
        after = f"; {advice}" if advice else ""
        raise InputError(f"{path}: not {what} ({error or type(error).__name__}){after}") from None


@contextmanager
def _archive(file: io.BufferedReader | io.BytesIO) -> Iterator[Archive]:
    guarded = _Guarded(file)
    with zipfile.ZipFile(guarded) as archive:
        guarded.opened = True
        yield Archive(archive, file.seek(0, 2))


class _Guarded:
    """A file from which no more is read at once than a directory may have, until its archive is `opened`."""

    def __init__(self, file: io.BufferedReader | io.BytesIO) -> None:
        self.file, self.opened = file, False
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if self.opened:
            return self.file.read(size)
        most = _MOST_DIRECTORY_BYTES
        data = self.file.read(most + 1 if size < 0 else min(size, most + 1))
        if len(data) > most:
            raise zipfile.BadZipFile(f"its directory is longer than {most:,} bytes")
        return data
