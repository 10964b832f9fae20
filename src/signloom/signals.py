"""The signals that end a command, or keep the state of a training: from a user, a container or a cluster."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Self

from signloom.errors import StoppedError, Terminated


@dataclass
class SignalWatch:
    """Remembers the signals that arrive while it listens: the program acts on them where it is safe.

    A second Ctrl-C does not wait for that. A second SIGTERM does: `timeout` sends two of them.

    at_once: SIGTERM raises Terminated where the program is, the first time, and SIGINT keeps its handler. This is for
        all that holds nothing but what a `with` block tidies up. A SIGTERM that has a handler already keeps that, too.
    saves: also listens to SIGUSR1, which asks for the state to be saved.
    again: a second Ctrl-C raises StoppedError with this message; without one it raises KeyboardInterrupt.
    ending: the signal that asks the program to end: SIGINT (Ctrl-C) or SIGTERM (SLURM, containers, `timeout`).
    save_asked: SIGUSR1 has come; who saves sets it back.
    """

    at_once: bool = False
    saves: bool = False
    again: str = ""
    ending: signal.Signals | None = None
    save_asked: bool = False
    _before: dict[signal.Signals, Any] = field(default_factory=dict, repr=False)

    def listen(self) -> None:
        """Handles the signals from now on, or again where another package has set its own handlers since.

        Only the main thread can; elsewhere signals keep their meaning. A signal that a shell told us to ignore
        (SIGINT, of what runs in the background) stays ignored.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self._numbers():
            handler = self._before.setdefault(number, signal.getsignal(number))
            # None: a handler that is not Python's, and that Python cannot put back.
            if handler in (signal.SIG_IGN, None) or (self.at_once and handler != signal.SIG_DFL):
                continue
            signal.signal(number, self._save if number == getattr(signal, "SIGUSR1", None) else self._end)

    @contextmanager
    def listening(self) -> Iterator[Self]:
        """Handles the signals within a block; afterwards they mean what they meant before."""
        self.listen()
        try:
            yield self
        finally:
            while self._before:
                number, handler = self._before.popitem()
                if handler is not None:
                    signal.signal(number, handler)

    def raise_if_ending(self) -> None:
        """Raises KeyboardInterrupt, or Terminated, if a signal has asked for the end."""
        if self.ending is not None:
            raise Terminated if self.ending == signal.SIGTERM else KeyboardInterrupt

    def _numbers(self) -> list[signal.Signals]:
        if self.at_once:
            return [signal.SIGTERM]
        # Windows has no SIGUSR1.
        saving = [signal.Signals["SIGUSR1"]] if self.saves and hasattr(signal, "SIGUSR1") else []
        return [signal.SIGINT, signal.SIGTERM, *saving]

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self.ending is None:
            self.ending = signal.Signals(number)
            # Only once: what tidies up must come to its end.
            if self.at_once:
                raise Terminated
        elif number == signal.SIGINT:
            raise StoppedError(self.again, number) if self.again else KeyboardInterrupt

    def _save(self, number: int, frame: FrameType | None) -> None:
        self.save_asked = True
