"""The lock of a run folder: one run at a time trains into it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from signloom.errors import InputError
from signloom.run_folder import Run


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Locks a run folder while the block runs. Raises InputError naming the process that holds the lock already.

    The operating system releases the lock when its process ends, however it ends: there are no stale locks.
    """
    run.mkdir(parents=True, exist_ok=True)
    path = Run(run).lock_file
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{run}: another process trains into this folder ({_holder(path)}); wait for it, stop it, "
                "or give another --output"
            ) from None
        file.seek(0)
        file.truncate()
        json.dump(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
                "command": " ".join(sys.argv)[:500],
            },
            file,
        )
        file.flush()
        try:
            yield
        finally:
            # Emptied, not removed: a process that has opened the old file would lock a file that nobody else sees.
            file.seek(0)
            file.truncate()


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['host']}, since {holder['since']}: {holder['command']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it is not known which"
