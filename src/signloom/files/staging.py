"""Replaces the content of a folder as one: the new is whole before anything of the old is removed.

New files are written into a hidden folder inside. One rename, of a plan into that folder, decides that they replace the
old ones; then they are moved. A process that is killed before leaves the old content, one that is killed after leaves a
plan, which the next process that opens the folder carries out.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from signloom.errors import InputError
from signloom.files.inputs import check_no_input
from signloom.files.locks import LockedError, locked
from signloom.files.paths import inside
from signloom.files.schemas import read_record
from signloom.files.writing import write_json

STAGE = ".signloom-new"
_PLAN = "plan.json"
# Moving the files of a large corpus takes seconds.
_PATIENCE_SECONDS = 60


class _Moves(Struct):
    """The plan: what goes from the stage into the folder, and what is removed there."""

    move: list[str]
    remove: list[str]


class Stage:
    """The new content of `folder`, in the hidden folder `path` inside it. Its writer holds the lock of `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / STAGE

    def clear(self) -> None:
        """Removes the new content, unless a plan says that it replaces the old."""
        if not _pending(self.folder):
            shutil.rmtree(self.path, ignore_errors=True)

    def commit(self, files: Iterable[str], *, remove: Iterable[str] = ()) -> None:
        """Moves `files` of the stage into the folder, and removes those of `remove` that are not among them.

        files, remove: POSIX paths, relative to the stage and to the folder; `remove` may name folders.

        Raises InputError if one would replace an input of the command.
        """
        moved = list(files)
        for name in moved:
            check_no_input(self.folder / name)
        write_json(self.path / _PLAN, {"move": moved, "remove": sorted(set(remove).difference(moved))})
        _carry_out(self.folder)


def settle(folder: Path) -> None:
    """Carries out the plan that a killed process left in a folder, before the folder is read.

    Waits for a living process that is carrying it out. Raises InputError if the plan cannot be carried out.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while _pending(folder):
        try:
            with locked(folder):
                settle_locked(folder)
        except LockedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def await_settled(folder: Path) -> None:
    """Waits until another process has carried out the plan that a killed one left. Raises InputError after a minute."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while _pending(folder):
        if time.monotonic() > deadline:
            raise InputError(f"{folder}: an interrupted change is still to be carried out; start the first process")
        time.sleep(0.05)


def settle_locked(folder: Path) -> None:
    """Carries out the plan that a killed process left; for a process that holds the lock of the folder."""
    if _pending(folder):
        _carry_out(folder)


def remove(paths: Iterable[Path]) -> None:
    """Removes files, and folders with all that is in them; of a symbolic link only the link."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _pending(folder: Path) -> bool:
    return (folder / STAGE / _PLAN).is_file()


def _carry_out(folder: Path) -> None:
    """Moves and removes what the plan says. Every step may have been done before, by a process that was killed."""
    stage = folder / STAGE
    plan = stage / _PLAN
    try:
        record = read_record(plan, _Moves)
        moves = [(inside(stage, name), inside(folder, name)) for name in record["move"]]
        removals = [inside(folder, name) for name in record["remove"]]
    except InputError as error:
        raise InputError(f"{plan}: not a plan that signloom writes ({error}); remove {stage}") from None
    for new, path in moves:
        if new.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            new.replace(path)
    remove(removals)
    plan.unlink()
    shutil.rmtree(stage, ignore_errors=True)
