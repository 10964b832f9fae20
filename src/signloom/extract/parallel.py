"""Extracts many clips in parallel worker processes, one clip per process: if a process dies, only its clip fails."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_handle
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

from signloom.errors import SignloomError
from signloom.extract.clip_worker import ClipResult, ClipWorker, InterruptedRunError
from signloom.extract.holistic import Settings
from signloom.extract.sources import Clip

# If so many workers die one after the other, stop instead of starting new workers for hours.
MAX_DEATHS_IN_A_ROW = 10
POLL_SECONDS = 0.25

# Values per worker in memory shared with the parent: frames done and expected of the current clip, stop flag.
_DONE, _EXPECTED, _STOP = range(3)


@dataclass
class _Worker:
    shared: Any
    executor: ProcessPoolExecutor

    @classmethod
    def start(cls) -> _Worker:
        context = multiprocessing.get_context("spawn")
        shared = RawArray("q", 3)
        executor = ProcessPoolExecutor(1, mp_context=context, initializer=_start_worker, initargs=(shared,))
        return cls(shared, executor)

    def submit(self, clip: Clip, output: Path, settings: Settings) -> Future[ClipResult]:
        self.shared[_DONE] = self.shared[_EXPECTED] = 0
        return self.executor.submit(_extract, clip, output, settings)

    def stop(self) -> None:
        self.shared[_STOP] = 1
        self.executor.shutdown(wait=False, cancel_futures=True)


def extract_all(
    clips: Sequence[Clip],
    output: Path,
    settings: Settings,
    *,
    workers: int,
    on_outcome: Callable[[ClipResult], None],
    on_progress: Callable[[float, int], None],
) -> None:
    """Extracts clips in processes of this machine; see `clip_worker.Backend`."""
    waiting = list(reversed(clips))
    idle = [_Worker.start() for _ in range(min(workers, len(clips)))]
    busy: dict[Future[ClipResult], tuple[_Worker, Clip]] = {}
    num_done = num_frames = deaths = 0
    try:
        while waiting or busy:
            while waiting and idle:
                clip, worker = waiting.pop(), idle.pop()
                busy[worker.submit(clip, output, settings)] = (worker, clip)
            ended, _ = wait(busy, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in ended:
                worker, clip = busy.pop(future)
                try:
                    outcome = future.result()
                    deaths = 0
                except BrokenProcessPool:
                    outcome = ClipResult(clip, "failed", message=_DEATH)
                    worker.stop()
                    worker = _Worker.start()
                    deaths += 1
                idle.append(worker)
                _raise_if_hopeless(outcome, deaths)
                num_done += 1
                num_frames += outcome.frames["total"] if outcome.frames else 0
                on_outcome(outcome)
            in_flight = [(worker.shared[_DONE], worker.shared[_EXPECTED]) for worker, _ in busy.values()]
            fraction = sum(min(done / expected, 1.0) for done, expected in in_flight if expected > 0)
            on_progress(num_done + fraction, num_frames + sum(done for done, _ in in_flight))
    finally:
        for worker in [*idle, *(worker for worker, _ in busy.values())]:
            worker.stop()


_DEATH = (
    "the worker process died on this clip: it was killed (out of memory? each worker needs about 0.6 GB; lower "
    "--workers), or the file crashed it"
)


def _raise_if_hopeless(outcome: ClipResult, deaths: int) -> None:
    if deaths >= MAX_DEATHS_IN_A_ROW:
        raise SignloomError(
            f"{deaths} worker processes died one after the other, the last on {outcome.clip.path}; "
            "lower --workers if memory is short"
        )
    if outcome.status == "stop":
        if outcome.error_number:
            raise OSError(outcome.error_number, os.strerror(outcome.error_number), outcome.message)
        raise SignloomError(outcome.message)


# The code below runs in the worker processes.

_worker: ClipWorker | None = None
_shared: Any = None


def _start_worker(shared: Any) -> None:
    global _shared
    _shared = shared
    # An interrupt reaches the whole process group; only the parent decides, and it sets the stop flag.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_handle([parent.sentinel])
        os._exit(1)


def _report(done: int, expected: int) -> None:
    if _shared[_STOP]:
        raise InterruptedRunError
    _shared[_DONE], _shared[_EXPECTED] = done, expected


def _extract(clip: Clip, output: Path, settings: Settings) -> ClipResult:
    global _worker
    if _worker is None:
        _worker = ClipWorker()
    return _worker.extract(clip, output, settings, _report)
