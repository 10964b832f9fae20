"""File helpers: atomic writing, JSON files, safe relative paths and file names."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from signloom.errors import Faults, InputError

TEMPORARY_SUFFIX = ".part"


@contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO]:
    """Opens a file that appears at `path` only if the block ends without an error.

    It is written in the same folder under a temporary name ending in `.part`, flushed to disk and renamed. An error (a
    full disk, an interrupt) removes the temporary file and leaves an older `path` unchanged.
    Raises InputError if `path` is a folder or below a file; an OSError names `path`.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; needed the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=TEMPORARY_SUFFIX, dir=path.parent)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{path}: a part of this path is a file; needed a folder") from None
    except OSError as error:
        error.filename = str(path)
        raise
    # mkstemp makes files that only the owner can read; use the normal permissions instead.
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(descriptor, 0o666 & ~umask)
    try:
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(descriptor, mode, encoding=encoding, newline=None if "b" in mode else "\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        # A full disk names no file, a failed rename the temporary one.
        if isinstance(error, OSError) and error.filename in (None, name):
            error.filename, error.filename2 = str(path), None
        raise


def files_of(source: Path, faults: Faults) -> list[Path]:
    """Returns `source` if it is a file, or all files in it and its subfolders; adds a fault if it does not exist."""
    if source.is_dir():
        return sorted(path for path in source.rglob("*") if path.is_file())
    if not source.is_file():
        faults.add(f"{source}: no such file or folder")
        return []
    return [source]


def write_text(path: Path, text: str) -> Path:
    """Writes `text` to `path`, whole or not at all. Returns the path."""
    with atomic_write(path, "w") as file:
        file.write(text)
    return path


def write_json(path: Path, value: Any) -> None:
    """Writes `value` to `path` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False))


def write_json_lines(path: Path, values: Iterable[Any]) -> None:
    """Writes each of `values` as a line of JSON to `path`, whole or not at all; without values removes an old file."""
    lines = [json.dumps(value, ensure_ascii=False) + "\n" for value in values]
    if lines:
        write_text(path, "".join(lines))
    else:
        path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def as_json(value: Any) -> Any:
    """Returns `value` as it would be read back from JSON: tuples are lists, paths and other objects are text."""
    return json.loads(json.dumps(value, default=str))


def remove_temporary(folder: Path) -> int:
    """Removes unfinished `.part` files of a killed run from `folder` and its subfolders; returns their number."""
    stale = list(Path(folder).rglob(f".*{TEMPORARY_SUFFIX}"))
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def inside(root: Path, relative: str) -> Path:
    """Returns `root / relative`; `relative` must be a POSIX path inside `root`.

    Raises InputError for an absolute path, a path with `..`, or one that leaves `root` through a symbolic link.
    """
    pure = PurePosixPath(relative)
    if pure.is_absolute() or ".." in pure.parts or "\\" in relative or not pure.parts:
        raise InputError(f"path {relative!r} leaves its folder {root}; needed a relative path without '..'")
    path = Path(root).joinpath(*pure.parts)
    if not path.resolve().is_relative_to(Path(root).resolve()):
        raise InputError(f"path {relative!r} leads out of its folder {root} through a symbolic link")
    return path


def file_stem(utterance_id: str) -> str:
    """Returns a file name for an utterance id: the id, with characters that file systems refuse replaced by `_`."""
    stem = "".join("_" if c in '/\\:*?"<>|\0' or ord(c) < 32 else c for c in utterance_id)
    if stem.strip(". ") == "" or len(stem.encode()) > 200:
        raise InputError(f"utterance id {utterance_id[:80]!r} cannot name a file; needed 1 to 200 bytes, not only dots")
    return stem
