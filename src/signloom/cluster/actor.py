"""What runs in a process of a cluster's node: a worker, which does one job after the other.

Ray sends this file's class to nodes as code, so it imports the standard library and Ray alone: a node without signloom
can still say so.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, Literal, Protocol

# Called with how much of a job is done and expected (0: unknown); returns whether the job should go on.
Report = Callable[[int, int], bool]
# `done`: the result of a job.  `unfit`: why this node cannot do it, though others may.  `dropped`: the run was stopped.
Answer = tuple[Literal["done", "unfit", "dropped"], Any]


class Worker(Protocol):
    """Does jobs in a process of a node. It is sent there once, as a pickle."""

    def prepare(self) -> str | None:
        """Makes ready for the first job; returns why this node cannot do the work, or None if it can."""

    def run(self, job: Any, report: Report) -> Answer:
        """Does one job."""


class Actor:
    """A process of a node. `prepare` and `run` are called one after the other, `progress` and `stop` beside them."""

    def __init__(self) -> None:
        self._worker: Any = None
        self._state = (0, 0)
        self._stopped = False
        # The libraries of C++ write dozens of lines per clip; Ray would keep them all.
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)

    def prepare(self, worker: bytes, versions: dict[str, str]) -> tuple[str, str, str | None]:
        """Returns the id of the node, the name of the machine, and why it cannot do the work, or None if it can.

        versions: of the driver; results of another version of signloom may differ.
        """
        import ray

        node, host = ray.get_runtime_context().get_node_id(), socket.gethostname()
        try:
            import signloom

            if signloom.__version__ != versions["signloom"]:
                return node, host, f"it has signloom {signloom.__version__}, this machine {versions['signloom']}"
            # No file: the driver sent it through Ray, which itself runs what it is sent. Not as an argument of its own,
            # because Ray would load it before this node can say what it lacks.
            self._worker = pickle.loads(worker)
            return node, host, self._worker.prepare()
        except ImportError as error:
            return node, host, f"{error}, under {sys.executable}; install there what this machine has"
        except Exception:
            return node, host, f"its worker cannot start: {traceback.format_exc(limit=-2)}"

    def run(self, job: Any) -> Answer:
        self._state = (0, 0)
        if self._stopped:
            return "dropped", None
        answer: Answer = self._worker.run(job, self._report)
        return answer

    def progress(self) -> tuple[int, int]:
        return self._state

    def stop(self) -> None:
        """Lets the job in work end early, without a result."""
        self._stopped = True

    def _report(self, done: int, expected: int) -> bool:
        self._state = (done, expected)
        return not self._stopped
