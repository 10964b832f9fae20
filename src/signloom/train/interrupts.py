"""Signals that end a run with its state kept, or keep its state: those of a cluster, a container or a user."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Self

from signloom.errors import StoppedError


@dataclass
class Interrupts:
    """The signals that have arrived since `listen`.

    ending: the signal that asks the run to end: SIGINT (Ctrl-C) or SIGTERM (SLURM, containers, `timeout`).
    agreed: the signal that ends the run, once all of its processes know.
    keep_state: whether SIGUSR1 asks for the state to be saved.
    """

    ending: signal.Signals | None = None
    agreed: signal.Signals | None = None
    keep_state: bool = False

    def listen(self) -> None:
        """Handles the signals from now on. A second Ctrl-C ends the process at once. Only the main thread may listen,
        elsewhere signals keep their meaning.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)
        if hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, self._keep)

    @contextmanager
    def listening(self) -> Iterator[Self]:
        """Handles the signals within a block; afterwards they mean what they meant before."""
        names = [name for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]
        before = {name: signal.getsignal(getattr(signal, name)) for name in names}
        self.listen()
        try:
            yield self
        finally:
            if threading.current_thread() is threading.main_thread():
                for name, handler in before.items():
                    signal.signal(getattr(signal, name), handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self.ending is not None and number == signal.SIGINT:
            raise StoppedError("interrupted again: stopped at once; go on from the state saved before", number)
        self.ending = signal.Signals(number)

    def _keep(self, number: int, frame: FrameType | None) -> None:
        self.keep_state = True
