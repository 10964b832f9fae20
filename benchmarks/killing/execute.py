"""Runs a command in a child of this warm process, and kills it at a moment: after a time, or at a change of a file."""

from __future__ import annotations

import mmap
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

# Events of Python that change or open files; the path is their first argument, of a rename also the second.
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate")
PATIENCE_SECONDS = 600.0
MOST_CHANGES = 1 << 16


@dataclass(frozen=True)
class Kill:
    """When and how a command is killed: before its n-th change of a file (from 1), or after a time."""

    signal: str
    change: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How a command ended.  status: 0 or more, or minus the number of a signal.

    changes: the number of changes of files below its folder.  renames: which of them, from 1, were renames.
    """

    status: int
    seconds: float
    changes: int
    renames: tuple[int, ...]
    text: str


def run(arguments: Sequence[str], folder: Path, kill: Kill | None = None) -> Outcome:
    """Runs `signloom ARGUMENTS` and returns how it ended, when all processes that it started have ended too."""
    # A byte for each change: 1, or 2 for a rename.
    counter = mmap.mmap(-1, MOST_CHANGES)
    log = folder / "output.txt"
    started = time.monotonic()
    process = os.fork()
    if process == 0:
        _child(arguments, folder, log, kill, counter)
    status = _wait(process, kill)
    seconds = time.monotonic() - started
    seen = counter[:].rstrip(b"\0")
    counter.close()
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    log.unlink(missing_ok=True)
    if not _group_ended(process):
        text += "\nPROCESSES LIVE ON"
    renames = tuple(number for number, kind in enumerate(seen, 1) if kind == 2)
    return Outcome(status, seconds, len(seen), renames, text)


def _wait(process: int, kill: Kill | None) -> int:
    start = time.monotonic()
    due = kill is not None and kill.seconds is not None
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        if due and kill is not None and kill.seconds is not None and seconds >= kill.seconds:
            os.kill(process, getattr(signal, kill.signal))
            due = False
        if seconds > PATIENCE_SECONDS:
            os.killpg(process, signal.SIGKILL)
        time.sleep(0.001)


def _group_ended(group: int) -> bool:
    """Returns whether all processes of a group end within 30 seconds; ends those that do not."""
    for _ in range(300):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return False


def _child(arguments: Sequence[str], folder: Path, log: Path, kill: Kill | None, counter: mmap.mmap) -> NoReturn:
    status = 99
    try:
        os.setsid()
        os.chdir(folder)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(file, 1)
        os.dup2(file, 2)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
        watched, count = str(folder), 0

        def look(event: str, args: tuple[Any, ...]) -> None:
            nonlocal count
            writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
            if not (writes or event in CHANGES) or not isinstance(args[0], str | os.PathLike):
                return
            if not str(folder / args[0]).startswith(watched):
                return
            count += 1
            counter[min(count, MOST_CHANGES) - 1] = 2 if event == "os.rename" else 1
            if kill is not None and kill.change == count:
                os.kill(os.getpid(), getattr(signal, kill.signal))

        sys.addaudithook(look)
        from signloom.cli import main

        main(list(arguments))
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
