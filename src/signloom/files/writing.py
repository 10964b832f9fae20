"""Writes files whole or not at all: under a temporary name that is renamed at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from signloom.errors import InputError
from signloom.files.inputs import check_no_input
from signloom.files.scratch import scratch
from signloom.files.storage import remove, upload
from signloom.files.temporary import new_temporary
from signloom.files.urls import Url


@contextmanager
def atomic_write(path: Path, mode: str = "wb", *, flush: bool = True) -> Iterator[IO]:
    """Opens a file that appears at `path` only if the block ends without an error.

    It is written in the same folder under a temporary name ending in `.part`, flushed to disk and renamed. An error (a
    full disk, an interrupt) removes the temporary file and leaves an older `path` unchanged. So does a kill, and the
    next process that writes into the folder removes the temporary file.
    flush: wait until it is on the disk, which takes longer than to write a small file. Who writes many of them calls
    `os.sync` at the end.
    Raises InputError if `path` is no regular file, below a file or an input of the command; an OSError names `path`.

    A URL is uploaded when the block ends.
    """
    if isinstance(path, Url):
        with scratch() as folder, (folder / path.name).open(mode, **_text(mode)) as file:
            yield file
            file.close()
            upload(folder / path.name, path)
        return
    path = Path(path)
    check_target(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = new_temporary(path)
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
        # Opened with its name, for libraries that open a file themselves.
        with open(name, mode, opener=lambda *_: descriptor, **_text(mode)) as file:
            yield file
            file.flush()
            if flush:
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        # A full disk names no file, a failed rename the temporary one.
        if isinstance(error, OSError) and error.filename in (None, name):
            error.filename, error.filename2 = str(path), None
        raise


def _text(mode: str) -> dict[str, Any]:
    return {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}


def check_target(path: Path) -> None:
    """Raises InputError if `path` is a folder, a device or an input of the command: no file can be written there."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; needed the name of a file")
    if path.exists() and not path.is_file():
        # A rename would put a file in its place: root would lose /dev/null.
        raise InputError(f"{path}: is a device, a pipe or a socket; needed the name of a file")
    check_no_input(path)


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
    elif isinstance(path, Url):
        remove([path])
    else:
        path.unlink(missing_ok=True)


def as_json(value: Any) -> Any:
    """Returns `value` as it would be read back from JSON: tuples are lists, paths and other objects are text."""
    return json.loads(json.dumps(value, default=str))
