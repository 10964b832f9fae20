"""Runs one bad input with limits, in a child of this process that has imported everything, or in a new interpreter."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forging.cases import Case
from signloom import cli

ROOT = Path(__file__).resolve().parents[2]
MEMORY_BYTES = 3 * 2**30
# Address space that torch's libraries need in an interpreter of its own, before any work.
_LIBRARIES_BYTES = 8 * 2**30
# A command whose processes all sleep for so long waits for something that never comes.
IDLE_SECONDS = 10.0
# What one output may hold of a command that writes without end.
_FILE_BYTES = 2**30
_CALIBRATION_SECONDS = 0.55


@dataclass
class Outcome:
    """What a command did.

    status: its exit status; negative for the signal that ended it.  hang: why it was stopped, or empty.
    before, after: the files of its folder.  peak_bytes: of the process itself, what it shared with ours included.
    """

    status: int
    stdout: str
    stderr: str
    hang: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    before: dict[str, Any]
    after: dict[str, Any]
    folder: Path = field(default_factory=Path)

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


def calibrated(cpu_seconds: float) -> float:
    """Returns a limit of CPU time, longer on a core that takes over half a second to count to 10 million."""
    start = time.process_time()
    total = 0
    for number in range(10_000_000):
        total += number
    return cpu_seconds * max(1.0, (time.process_time() - start) / _CALIBRATION_SECONDS)


def files_in(folder: Path) -> dict[str, Any]:
    """Returns what tells whether a file is another one, for each file of a folder."""
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            info = path.lstat()
            found[str(path.relative_to(folder))] = (info.st_mode, info.st_size, info.st_mtime_ns, info.st_ino)
    return found


class Running:
    """A case that runs; `poll` returns its outcome once it ended."""

    def __init__(self, case: Case, folder: Path, *, cpu_seconds: float, process: bool) -> None:
        self.case, self.folder = case, folder
        self.before = files_in(folder)
        self.texts = folder.with_suffix(".stdout"), folder.with_suffix(".stderr")
        self.started = time.monotonic()
        self._cpu, self._busy, self._looked = -1, self.started, self.started
        self._terminal: int | None = None
        self._shown: list[bytes] = []
        self.hang = ""
        targets = self._targets()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _child(case, folder, targets, int(cpu_seconds), process)
        for descriptor in set(targets):
            os.close(descriptor)

    def _targets(self) -> tuple[int, int]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        if self.case.stdout == "terminal":
            self._terminal, slave = os.openpty()
            os.set_blocking(self._terminal, False)
            return slave, slave
        error = os.open(self.texts[1], flags, 0o644)
        if self.case.stdout == "closed":
            unread, output = os.pipe()
            os.close(unread)
            return output, error
        return os.open("/dev/full" if self.case.stdout == "full" else self.texts[0], flags, 0o644), error

    def poll(self) -> Outcome | None:
        """Returns the outcome, or None while the command runs; stops one that hangs."""
        self._drain()
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid == 0:
            self._watch()
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._drain()
        if self._terminal is not None:
            os.close(self._terminal)
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGXCPU:
            self.hang = f"{usage.ru_utime + usage.ru_stime:.0f} s of CPU"
        stdout, stderr = (path.read_bytes() if path.exists() else b"" for path in self.texts)
        return Outcome(
            status=code,
            stdout=_decoded(stdout or b"".join(self._shown)),
            stderr=_decoded(stderr),
            hang=self.hang,
            seconds=time.monotonic() - self.started,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_bytes=usage.ru_maxrss * 1024,
            before=self.before,
            after=files_in(self.folder),
            folder=self.folder,
        )

    def _drain(self) -> None:
        if self._terminal is None:
            return
        with contextlib.suppress(BlockingIOError, OSError):
            while data := os.read(self._terminal, 65536):
                self._shown.append(data)

    def _watch(self) -> None:
        """Kills the command if none of its processes has used the CPU for long."""
        now = time.monotonic()
        if now - self._looked < 1:
            return
        self._looked = now
        cpu, waits = _session(self.pid)
        if cpu != self._cpu or not waits:
            self._cpu, self._busy = cpu, now
        elif now - self._busy > IDLE_SECONDS:
            self.hang = f"idle for {IDLE_SECONDS:.0f} s"
            os.killpg(self.pid, signal.SIGKILL)


def _child(case: Case, folder: Path, targets: tuple[int, int], cpu_seconds: int, process: bool) -> None:
    """Becomes the command; never returns."""
    status = 99
    try:
        os.setsid()
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(targets[0], 1)
        os.dup2(targets[1], 2)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        space = MEMORY_BYTES + (_LIBRARIES_BYTES if process else _address_space())
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        environment = {"COLUMNS": "100", "OMP_NUM_THREADS": "1", **os.environ}
        for name, value in case.environment.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        if process:
            environment["PYTHONPATH"] = str(ROOT / "src")
            os.execve(
                sys.executable, [sys.executable, "-m", "signloom.cli", *map(os.fsencode, case.command)], environment
            )
        os.environ.clear()
        os.environ.update(environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8", line_buffering=True)
        sys.stderr = io.TextIOWrapper(
            io.FileIO(2, "w", closefd=False), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        cli.main(list(case.command))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        with contextlib.suppress(BaseException):
            sys.stderr.flush()
        os._exit(status)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _session(leader: int) -> tuple[int, bool]:
    """Returns the clock ticks that the processes of a session have used, and whether all of them sleep.

    One that could run, or waits for a disk, is slow and does not hang.
    """
    total, sleeping = 0, True
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = entry.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                total += int(fields[11]) + int(fields[12])
                sleeping &= fields[0] not in "RD"
    return total, sleeping


def _decoded(data: bytes) -> str:
    # Enough of a command that writes without end.
    return data[:1_000_000].decode("utf-8", "backslashreplace")
