"""How fast the parts of live recognition are, measured while they run."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

# Figures are those of so many seconds up to now: long enough to be steady, short enough to follow.
_WINDOW_SECONDS = 2.0
_LEAST_SECONDS = 0.5


@dataclass(frozen=True)
class Snapshot:
    """The figures of the last seconds.

    frames_per_second: that were tracked.  latency_seconds: from a frame's arrival until it was tracked, in the mean.
    tracker_seconds: work per frame.  recogniser_share: seconds of the recogniser's work per second.
    """

    frames_per_second: float = 0.0
    latency_seconds: float = 0.0
    tracker_seconds: float = 0.0
    recogniser_share: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.frames_per_second:.0f} frames/s · latency {1000 * self.latency_seconds:.0f} ms · "
            f"recogniser {self.recogniser_share:.0%}"
        )


class Figures:
    """Collects measurements of several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Moment, latency and seconds of work of each frame; moment and seconds of each piece of recognition.
        self._frames: deque[tuple[float, float, float]] = deque()
        self._recognised: deque[tuple[float, float]] = deque()

    def add_frame(self, latency_seconds: float, tracker_seconds: float) -> None:
        with self._lock:
            self._frames.append((time.monotonic(), latency_seconds, tracker_seconds))
            self._forget()

    def add_recognised(self, seconds: float) -> None:
        with self._lock:
            self._recognised.append((time.monotonic(), seconds))
            self._forget()

    def snapshot(self) -> Snapshot:
        with self._lock:
            self._forget()
            count = len(self._frames)
            if not count:
                return Snapshot()
            # From the first frame to now: at the start the window is not full, and a rate of little time means nothing.
            passed = max(time.monotonic() - self._frames[0][0], _LEAST_SECONDS)
            return Snapshot(
                (count - 1) / passed,
                sum(latency for _, latency, _ in self._frames) / count,
                sum(seconds for _, _, seconds in self._frames) / count,
                sum(seconds for _, seconds in self._recognised) / passed,
            )

    def _forget(self) -> None:
        oldest = time.monotonic() - _WINDOW_SECONDS
        for measured in (self._frames, self._recognised):
            while measured and measured[0][0] < oldest:
                measured.popleft()
