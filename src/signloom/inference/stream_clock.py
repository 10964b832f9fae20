"""Frames at any times to frames at a model's rate, one by one.

Shapes: P points.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from signloom.frame_times import LONGEST_MOVE_SECONDS

# Times are rounded; a frame that is off by less is taken as it is.
_ROUNDING_SECONDS = 1e-4


class StreamClock:
    """Resamples a stream to evenly spaced frames, as `frame_times.resample_positions` does with a whole clip.

    fps: the rate of the result, whose first frame is the first one given.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._origin = 0.0
        self._count = 0
        # The newest frame that was given, its time, and the time from the frame before to it.
        self._points: np.ndarray | None = None
        self._seconds = 0.0
        self._step = 1 / fps

    def push(self, points: np.ndarray, seconds: float) -> Iterator[tuple[np.ndarray, float]]:
        """Yields the frames up to the time of a new one, (P, 3), each with its time.

        points: (P, 3).  seconds: later than the frame before. Consume all of them before the next frame.
        """
        before, earlier = self._points, self._seconds
        if before is None:
            before, earlier, self._origin = points, seconds, seconds
        else:
            self._step = seconds - earlier
        self._points, self._seconds = points, seconds
        # A longer gap is a pause: the pose is held until just before the next frame.
        moving = seconds - 1 / self.fps if self._step > LONGEST_MOVE_SECONDS else earlier
        while (moment := self._origin + self._count / self.fps) <= seconds + _ROUNDING_SECONDS:
            self._count += 1
            if moment >= seconds - _ROUNDING_SECONDS:
                yield points, moment
            elif moment <= moving:
                yield before, moment
            else:
                yield before + (points - before) * np.float32((moment - moving) / (seconds - moving)), moment

    def finish(self) -> Iterator[tuple[np.ndarray, float]]:
        """Yields the frames for which the last one stays on the screen: as long as the one before."""
        if self._points is None:
            return
        end = round((self._seconds + self._step - self._origin) * self.fps)
        for number in range(self._count, end):
            yield self._points, self._origin + number / self.fps
