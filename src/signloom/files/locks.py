"""Locks: one process at a time writes a corpus, a run, a language model or an extraction."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from signloom.errors import InputError

if TYPE_CHECKING:
    from filelock import FileLock

# Hidden, beside the files it protects. A second file says who holds it: on Windows nobody else can read the first.
LOCK = ".signloom.lock"
_HOLDER = ".json"
_UNKNOWN = "it is not known which"
# File systems without locks, such as some network file systems.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class LockedError(InputError):
    """Another process holds a lock."""


@contextmanager
def locked(folder: Path, name: str = "", *, wait_seconds: float = 0) -> Iterator[None]:
    """Locks a folder, which is made if it is missing, while the block runs.

    name: of one of several locks of a folder, each for a part of what is in it.
    wait_seconds: how long to wait for a process that holds it.

    The operating system releases the lock when its process ends, however it ends: there are no stale locks. The empty
    lock file stays. On a file system without locks the block runs without one.

    Raises LockedError naming the process that holds the lock, InputError if no lock can be made there.
    """
    path = folder / (f".signloom.{name}.lock" if name else LOCK)
    lock = _acquired(folder, path, wait_seconds)
    holder = path.with_name(path.name + _HOLDER)
    try:
        # Who holds a lock is only for messages: a full disk is told where the work is written.
        with suppress(OSError):
            holder.write_text(json.dumps(this_process()), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        # The lock file stays: a process that has just opened it would lock a file that nobody else sees.
        if lock is not None:
            lock.release()


def locked_file(path: Path) -> AbstractContextManager[None]:
    """Locks a file, which need not exist, while the block runs, as `locked` does a folder."""
    return locked(path.parent, path.name)


def _acquired(folder: Path, path: Path, wait_seconds: float) -> FileLock | None:
    """Returns the lock `path` of a folder, acquired; None where the file system has no locks."""
    # Reading a corpus needs no lock, and the command line no more time to start.
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=wait_seconds)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise LockedError(
            f"{folder}: another process writes here ({_holder(path)}); wait for it, stop it, or give another --output"
        ) from None
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{folder}: a part of this path is a file; needed a folder") from None
    except NotImplementedError:
        return None
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"{folder}: cannot be written ({error.strerror}); give another --output, or the right to write there"
        ) from None
    return lock


def this_process() -> dict[str, object]:
    """Returns what a lock says of the process that holds it."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "command": " ".join(sys.argv)[:500],
    }


def _holder(path: Path) -> str:
    """Returns in words who holds a lock."""
    for _ in range(2):
        try:
            return in_words(json.loads(path.with_name(path.name + _HOLDER).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            # It has just got the lock.
            time.sleep(0.05)
    return _UNKNOWN


def in_words(record: Mapping[str, object]) -> str:
    """Returns in words what `this_process` returned in another process."""
    try:
        return f"process {record['pid']} on {record['host']}, since {record['since']}: {record['command']}"
    except KeyError:
        return _UNKNOWN
