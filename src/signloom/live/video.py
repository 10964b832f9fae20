"""A video file as a source of pictures, at the pace of its time stamps."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from signloom.errors import InputError
from signloom.extract.crop import MIN_SIDE
from signloom.extract.time_stamps import DEFAULT_FPS, LONGEST_STEP_SECONDS
from signloom.extract.video import VideoReader
from signloom.live.frames import Frame

# Decoding that is later than this goes on from there: the video runs slower, and latency does not grow.
_LATEST_SECONDS = 0.2


class VideoSource:
    """Frames of a video file, turned as its header says, each at its own time.

    Raises InputError if it is no video, MissingExtraError without PyAV.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise InputError(f"{path}: no such video file")
        if path.is_dir():
            raise InputError(f"{path}: is a folder; needed a video file")
        self.name = path.name
        self._path = path
        self._reader = VideoReader(path)

    def items(self, stopping: threading.Event) -> Iterator[Frame]:
        reader = self._reader
        clock = RunningClock(1 / (reader.rate or DEFAULT_FPS))
        begin: float | None = None
        for picture in reader.frames():
            if min(picture.shape[:2]) < MIN_SIDE:
                size = f"{picture.shape[1]}x{picture.shape[0]}"
                raise InputError(f"{self._path}: frames of {size} pixels; needed at least {MIN_SIDE}x{MIN_SIDE}")
            seconds = clock.advance(reader.newest_seconds)
            now = time.monotonic()
            if begin is None or now - begin - seconds > _LATEST_SECONDS:
                begin = now - seconds
            if stopping.wait(max(0.0, begin + seconds - now)):
                return
            yield Frame(np.ascontiguousarray(picture), seconds, time.monotonic(), reader.pixel_aspect or 1.0)


class RunningClock:
    """Ascending times from a video's time stamps, one by one. `extract.time_stamps` knows all stamps and does better.

    interval: seconds from a frame to the next where stamps do not say.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._seconds: float | None = None
        # What to add to a stamp.
        self._shift = 0.0

    def advance(self, stamp: float | None) -> float:
        """Returns the time of the next frame, whose time stamp is `stamp`, None if it has none.

        A stamp that goes back, or leaps ahead, begins another recording: it comes one interval after the frame before.
        """
        before = self._seconds
        if before is None:
            self._seconds = 0.0 if stamp is None else stamp
            return self._seconds
        moment = before + self._interval if stamp is None else stamp + self._shift
        if not before < moment <= before + LONGEST_STEP_SECONDS:
            moment = before + self._interval
            if stamp is not None:
                self._shift = moment - stamp
        self._seconds = moment
        return moment
