"""Temporary files: named after the process that writes them, so that those of dead processes can be removed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from signloom.files.urls import Url

SUFFIX = ".part"
# A process of another machine cannot be asked whether it lives. Nobody writes for a day without a byte.
_UNTOUCHED_SECONDS = 24 * 3600
_NAME = re.compile(r"\..+\.([0-9a-f]{8})-([0-9]{1,10})-[a-z0-9_]{8}" + re.escape(SUFFIX), re.DOTALL)
# File systems allow 255 bytes for a name; the rest of a temporary name needs 40.
_STEM_BYTES = 200


def new_temporary(path: Path) -> tuple[int, str]:
    """Returns an open descriptor and the path of a new temporary file beside `path`.

    It is called `.<name>.<host>-<process>-<random>.part`. The first call for a folder removes the temporary files in it
    whose processes are dead.
    """
    _sweep_once(str(path.parent.absolute()), os.getpid())
    stem = path.name.encode()[:_STEM_BYTES].decode(errors="ignore")
    return tempfile.mkstemp(prefix=f".{stem}.{machine()}-{os.getpid()}-", suffix=SUFFIX, dir=path.parent)


def new_temporary_folder(parent: Path) -> Path:
    """Returns a new temporary folder in `parent`, named as the files of `new_temporary` are.

    Temporary folders in `parent` whose processes are dead are removed.
    """
    for path in parent.glob(f".*{SUFFIX}"):
        _remove_if_dead(path, folders=True)
    return Path(tempfile.mkdtemp(prefix=f".folder.{machine()}-{os.getpid()}-", suffix=SUFFIX, dir=parent))


def remove_temporary(folder: Path) -> int:
    """Removes temporary files of dead processes from `folder` and its subfolders; returns their number.

    Files of living processes stay, and files whose names only look similar. A file of another machine, or of another
    container, is removed when nobody has written to it for a day. Object storage has none.
    """
    if isinstance(folder, Url):
        return 0
    return sum(_remove_if_dead(path) for path in Path(folder).rglob(f".*{SUFFIX}"))


@cache
def _sweep_once(folder: str, process: int) -> None:
    """Removes temporary files of dead processes from one folder, once per process (a forked one counts anew)."""
    for path in Path(folder).glob(f".*{SUFFIX}"):
        _remove_if_dead(path)


def _remove_if_dead(path: Path, *, folders: bool = False) -> bool:
    named = _NAME.fullmatch(path.name)
    if named is None or path.is_symlink() or not (path.is_dir() if folders else path.is_file()):
        return False
    host, process = named[1], int(named[2])
    try:
        if process_lives(process) if host == machine() else time.time() - path.stat().st_mtime < _UNTOUCHED_SECONDS:
            return False
        shutil.rmtree(path) if folders else path.unlink()
    except OSError:
        # Another process was faster, or the file is open (Windows), or not ours to remove.
        return False
    return True


def process_lives(process: int) -> bool:
    """Returns whether a process with this number may be alive."""
    if sys.platform == "win32":
        # There, a signal would end the process; but a file that a process has open cannot be removed.
        return process == os.getpid()
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@cache
def machine() -> str:
    """Returns 8 hex digits for what gives a process number its meaning: machine, start of the machine, container."""
    facts = [socket.gethostname()]
    # Linux only; elsewhere the name of the machine has to do.
    with suppress(OSError):
        facts += [Path("/proc/sys/kernel/random/boot_id").read_text(), str(Path("/proc/self/ns/pid").readlink())]
    return hashlib.blake2b("|".join(facts).encode(errors="replace"), digest_size=4).hexdigest()
