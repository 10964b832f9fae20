"""A camera as a source of pictures, through OpenCV: it may be missing, be unplugged and come back."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signloom.extract.packages import import_cv2
from signloom.live.frames import Frame, State

# Linux: devices, and what they are called.
_DEVICES, _NAMES = Path("/dev"), Path("/sys/class/video4linux")
# Other systems do not list cameras; this many are tried.
_TRIED = 5
_RETRY_SECONDS = 1.0
# A device's own time stamps are used while they agree with our clock: they have less jitter. Some count frames instead.
_DISAGREEMENT_SECONDS = 0.5
# Frames get distinct times.
_LEAST_STEP_SECONDS = 1e-3


class CameraSource:
    """Frames of the camera `number`, as long as it is wanted. What is wrong with it becomes a `State`.

    retry_seconds: from one attempt to open it to the next.
    """

    def __init__(self, number: int, *, retry_seconds: float = _RETRY_SECONDS) -> None:
        self.name = f"camera {number}"
        self._cv2 = import_cv2("a camera")
        self._number = number
        self._retry_seconds = retry_seconds

    def items(self, stopping: threading.Event) -> Iterator[Frame | State]:
        clock = CameraClock()
        said: str | None = ""
        while not stopping.is_set():
            capture = self._cv2.VideoCapture(self._number)
            was_there = False
            try:
                clock.begin()
                for frame in self._frames(capture, clock, stopping):
                    was_there, said = True, ""
                    yield frame
            finally:
                capture.release()
            if stopping.is_set():
                return
            text = self._why_no_picture(was_there=was_there)
            if text != said:
                yield State(text)
            said = text
            stopping.wait(self._retry_seconds)

    def _frames(self, capture: Any, clock: CameraClock, stopping: threading.Event) -> Iterator[Frame]:
        """Yields frames until there are none."""
        while not stopping.is_set() and capture.isOpened():
            found, picture = capture.read()
            if not found:
                return
            now = time.monotonic()
            stamp = capture.get(self._cv2.CAP_PROP_POS_MSEC) / 1000
            yield Frame(self._cv2.cvtColor(picture, self._cv2.COLOR_BGR2RGB), clock.seconds(stamp, now), now)

    def _why_no_picture(self, *, was_there: bool) -> str:
        if was_there:
            return f"{self.name} is gone; plug it in again, it goes on by itself"
        return f"{why_not_open(self._number)}; trying again"


class CameraClock:
    """The times of a camera's frames, from 0 on. The clock goes on while the camera is away."""

    def __init__(self) -> None:
        self._origin: float | None = None
        self._last = -_LEAST_STEP_SECONDS
        self.begin()

    def begin(self) -> None:
        """The camera was opened: its own stamps begin anew."""
        self._first: tuple[float, float] | None = None
        self._has_stamps = True

    def seconds(self, stamp: float, now: float) -> float:
        """Returns the time of a frame. stamp: of the device, in seconds.  now: `time.monotonic` of its arrival."""
        if self._origin is None:
            self._origin = now
        if self._first is None:
            self._first = stamp, now
        expected = now - self._first[1]
        if abs(stamp - self._first[0] - expected) > _DISAGREEMENT_SECONDS:
            self._has_stamps = False
        passed = stamp - self._first[0] if self._has_stamps else expected
        self._last = max(self._first[1] - self._origin + passed, self._last + _LEAST_STEP_SECONDS)
        return self._last


def why_not_open(number: int) -> str:
    """Returns why a camera cannot be opened, as far as the system says."""
    if not sys.platform.startswith("linux"):
        return (
            f"camera {number} cannot be opened: there is none, another program uses it, or the system's privacy "
            "settings do not allow it"
        )
    device = _DEVICES / f"video{number}"
    if not device.exists():
        others = ", ".join(map(str, _numbers()))
        return f"there is no camera {number}" + (f" (there are: {others})" if others else "; none is connected")
    if not os.access(device, os.R_OK | os.W_OK):
        return f"permission denied: {device}; add yourself to its group, e.g. sudo usermod -aG video $USER"
    return f"camera {number} gives no picture: another program uses it, or {device} is no camera"


@dataclass(frozen=True)
class Camera:
    """A camera that can be chosen. fault: why it cannot be used, or empty.  size: (width, height) of its picture."""

    number: int
    name: str
    fault: str = ""
    size: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        what = self.fault or f"{self.size[0]}x{self.size[1]}"
        return f"{self.number}  {self.name}: {what}"


def list_cameras() -> list[Camera]:
    """Returns the cameras of this computer. Each is opened for a moment. Raises MissingExtraError without OpenCV."""
    cv2 = import_cv2("a camera")
    cameras = []
    on_linux = sys.platform.startswith("linux")
    for number in _numbers() if on_linux else range(_TRIED):
        capture = cv2.VideoCapture(number)
        found, picture = capture.read() if capture.isOpened() else (False, np.empty((0, 0, 3)))
        capture.release()
        name = _name(number)
        if found:
            cameras.append(Camera(number, name, size=(picture.shape[1], picture.shape[0])))
        elif on_linux:
            cameras.append(Camera(number, name, why_not_open(number)))
    return cameras


def _numbers() -> list[int]:
    """Returns the numbers of Linux's video devices."""
    found = (path.name.removeprefix("video") for path in _DEVICES.glob("video*"))
    return sorted(int(number) for number in found if number.isdecimal())


def _name(number: int) -> str:
    try:
        return (_NAMES / f"video{number}" / "name").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "camera"
