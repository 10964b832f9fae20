"""Reads arrays of numbers from NumPy's files (.npy, .npz) that anybody may have made.

Nothing is trusted: sizes in headers are compared with the bytes that are there before memory is allocated, archives may
not unpack to much more than their own size, and objects, which are pickles, are refused.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from signloom.errors import InputError
from signloom.files.reading import ARRAYS, Kind, most_unpacked, open_file

# More arrays than any archive of one clip or data set has; each is an entry of the directory in memory.
_MOST_MEMBERS = 10_000
_SUFFIX = ".npy"
# An array in a file of its own has no name.
ALONE = ""


def read_arrays(path: Path, keys: Sequence[str] | None = None, kind: Kind = ARRAYS) -> dict[str, np.ndarray]:
    """Returns the arrays of a .npz archive by name, or the array of a .npy file under the name `ALONE`.

    keys: the names of the arrays to read, where they are there; None for all. Others are not looked at.

    Raises InputError for other and for damaged files, arrays of objects, and sizes that cannot be.
    """
    with open_file(path, kind) as file:
        try:
            if file.read(2) == b"PK":
                return _archive(file, keys)
            size = file.seek(0, 2)
            return {ALONE: _array(file, size)}
        except (InputError, MemoryError):
            raise
        except Exception as error:
            # NumPy, zipfile and zlib each raise their own errors for damaged files.
            raise InputError(f"{path}: not a readable NumPy file of numbers ({error})") from None


def names_of(path: Path, kind: Kind = ARRAYS) -> list[str]:
    """Returns the names of the arrays of a .npz archive. Raises InputError as `read_arrays` does."""
    with open_file(path, kind) as file:
        try:
            return list(_members(zipfile.ZipFile(file), file.seek(0, 2)))
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise InputError(f"{path}: not a readable NumPy archive ({error})") from None


def _archive(file: IO[bytes], keys: Sequence[str] | None) -> dict[str, np.ndarray]:
    size = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        members = _members(archive, size)
        arrays = {}
        for name in members if keys is None else [key for key in keys if key in members]:
            with archive.open(members[name]) as member:
                arrays[name] = _array(member, members[name].file_size)
        return arrays


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Returns the arrays of an archive of `size` bytes by name. Raises ValueError if it is crafted."""
    members: dict[str, zipfile.ZipInfo] = {}
    if len(archive.infolist()) > _MOST_MEMBERS:
        raise ValueError(f"{len(archive.infolist()):,} members; needed at most {_MOST_MEMBERS:,}")
    for info in archive.infolist():
        name = info.filename.removesuffix(_SUFFIX)
        if name in members:
            raise ValueError(f"two members are named {info.filename!r:.60}")
        if info.flag_bits & 1:
            raise ValueError(f"{info.filename!r:.60} is encrypted")
        members[name] = info
    total = sum(info.file_size for info in members.values())
    if total > most_unpacked(size):
        raise ValueError(f"{size:,} bytes unpack to {total:,}; refused")
    return members


def _array(file: IO[bytes], size: int) -> np.ndarray:
    """Returns the array of a .npy file or member of `size` bytes. Raises ValueError if it cannot hold its array."""
    file.seek(0)
    shape, dtype = array_header(file)
    if dtype.hasobject:
        raise ValueError("an array of objects, which is a pickle; needed numbers")
    needed = math.prod(shape) * dtype.itemsize
    if needed > size - file.tell():
        raise ValueError(f"an array of shape {shape} needs {needed:,} bytes, the file has {size - file.tell():,}")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def array_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Returns shape and type of the array in a .npy file, from its header alone. Raises ValueError for another file."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return tuple(shape), dtype
