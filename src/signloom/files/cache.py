"""Local copies of objects that are read again and again: a folder of bounded size, shared by processes.

Copies are written whole or not at all. What was not used for longest is removed first.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from signloom.errors import InputError
from signloom.files.locks import LockedError, locked
from signloom.files.scratch import cache_folder
from signloom.files.storage import fetch
from signloom.files.temporary import SUFFIX
from signloom.files.urls import Url
from signloom.files.writing import atomic_write

VARIABLE = "SIGNLOOM_CACHE_GB"
DEFAULT_GB = 20.0
# The size is looked at each time so much of it was added; then it shrinks to this share.
_STEP, _ROOM = 0.05, 0.9
# What another process has just asked for is not taken from under it.
_GRACE_SECONDS = 10
# Clips and shards. Manifests and headers stay: processes look into them again and again.
_MAY_GO = (".npz", ".tar", SUFFIX)
_UNUSED_SECONDS = 30 * 24 * 3600
_added = 0


def copies_folder() -> Path:
    """Returns the folder of all copies; what is copied lies in folders of it."""
    return cache_folder() / "copies"


def most_bytes() -> int:
    """Returns the size that copies may have. Raises InputError if $SIGNLOOM_CACHE_GB is no number above 0."""
    text = os.environ.get(VARIABLE) or str(DEFAULT_GB)
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not 0 < size < 1e9:
        raise InputError(f"{VARIABLE} is {text[:40]!r}; needed a number of gigabytes above 0, such as {DEFAULT_GB:g}")
    return int(size * 1e9)


def cached(url: Url, path: Path) -> Path:
    """Returns `path`, the place in `copies_folder` for a copy of an object, after fetching it if it is not there.

    Raises InputError as `storage.fetch` does, OSError for a full disk.
    """
    if not used(path):
        with atomic_write(path) as file:
            fetch(url, Path(file.name))
        with suppress(OSError):
            _grow(path.stat().st_size)
    return path


def used(path: Path) -> bool:
    """Returns whether a copy is there, and notes that it was used now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:
        # A copy that only its owner may change.
        return path.is_file()
    return True


def _grow(size: int) -> None:
    """Counts what this process adds, and now and then makes room."""
    global _added
    first = _added == 0
    _added += size
    if first or _added > _STEP * most_bytes():
        _added = 1
        trim()


def trim() -> None:
    """Removes copies that were not used for longest until all of them have the size that they may."""
    folder, most = copies_folder(), most_bytes()
    try:
        with locked(folder):
            files = sorted(_copies(folder))
            total = sum(size for _, size, _ in files)
            target = total if total <= most else _ROOM * most
            now = time.time()
            for when, size, path in files:
                if total <= target or when > now - _GRACE_SECONDS:
                    break
                with suppress(OSError):
                    path.unlink()
                    total -= size
            _remove_old(folder, now)
    except LockedError:
        # Another process makes room.
        return


def _copies(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yields the time of the last use, the size and the path of each copy that may go."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith(_MAY_GO):
                path = Path(parent, name)
                with suppress(OSError):
                    status = path.stat()
                    yield status.st_mtime, status.st_size, path


def _remove_old(folder: Path, now: float) -> None:
    """Removes folders of which nothing was used for a month."""
    for place in folder.iterdir():
        with suppress(OSError):
            if place.is_dir() and all(path.stat().st_mtime < now - _UNUSED_SECONDS for path in place.rglob("*.*")):
                shutil.rmtree(place)
