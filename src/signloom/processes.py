"""Worker processes: how many, and a pool of them whose death is an error that a user can understand."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from signloom.errors import CheckFailedError


def usable_cpus() -> int:
    """Returns the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def process_pool(
    workers: int,
    purpose: str,
    *,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    advice: str = "run again with fewer --workers",
) -> Iterator[ProcessPoolExecutor]:
    """Yields a pool of spawned processes. A script that uses it must guard its code with `if __name__ == "__main__":`.

    initializer, initargs: a function that each process calls first, with these arguments.
    purpose: first word of the message when a process dies.  advice: its end.

    Raises CheckFailedError when a process dies.
    """
    # Spawned processes behave alike on every system and inherit no locks of a parent that runs threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=initializer, initargs=initargs) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise CheckFailedError(f"{purpose}: a process died (out of memory, or killed); {advice}") from None
        finally:
            pool.shutdown(cancel_futures=True)
