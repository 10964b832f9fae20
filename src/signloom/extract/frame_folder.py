"""Reads the frames of a clip from a folder of images, and tells by their numbers which are missing.

Shapes: T frames; H, W are height and width of a frame in pixels.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from signloom.errors import InputError, plural
from signloom.extract.losses import check_enough
from signloom.extract.packages import import_cv2
from signloom.extract.sources import frame_files
from signloom.extract.time_stamps import ClipTimes
from signloom.files.reading import Kind, read_bytes

_IMAGE = Kind("an image", 500_000_000)


class FrameFolderReader:
    """Reads the images of a folder in natural order of their names; see `ClipReader`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pixel_aspect: float | None = None
        self._files = frame_files(folder)
        if not self._files:
            raise InputError(f"{folder}: no frames; needed a folder with images (png, jpg)")
        self.expected_frames = self.size = len(self._files)
        self._positions = positions([path.stem for path in self._files])
        self.unread = int(self._positions[-1]) + 1 - self.size
        check_enough(folder, self.size, self.unread, "the numbers in their names have gaps")
        self._hash = hashlib.sha256()

    def frames(self) -> Iterator[np.ndarray]:
        cv2 = import_cv2()
        shape = None
        for number, path in enumerate(self._files, 1):
            where = f"{self.folder}: frame {number} ({path.name})"
            data = read_bytes(path, _IMAGE)
            self._hash.update(f"{path.name}\0{len(data)}\0".encode())
            self._hash.update(data)
            if _is_cut_off(data):
                raise InputError(f"{where} is cut off after {plural(len(data), 'byte')}; copy the clip again")
            try:
                frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
            except cv2.error:
                # Larger than OpenCV decodes.
                frame = None
            if frame is None:
                raise InputError(f"{where} is not a readable image ({plural(len(data), 'byte')})")
            if shape not in (None, frame.shape):
                raise InputError(
                    f"{where} is {frame.shape[1]}x{frame.shape[0]} pixels, the frames before it {shape[1]}x{shape[0]}"
                )
            shape = frame.shape
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def times(self, assumed_fps: float) -> ClipTimes:
        return ClipTimes.at_assumed_rate(self._positions, assumed_fps)

    def sha256(self) -> str:
        return self._hash.hexdigest()


def _is_cut_off(data: bytes) -> bool:
    """Returns whether a PNG or JPEG lacks its end mark: decoders fill the missing part with grey without an error."""
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-64:]
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-4096:]
    return False


def positions(names: Sequence[str]) -> np.ndarray:
    """Returns the places of frames in their clip, (T,) int64 from 0 on, by the numbers in their names.

    Names are numbered if they differ in one number only. They may count in steps (0, 5, 10) or be times (0, 33, 67),
    whose usual distance is one frame. Other names have no gaps.
    """
    count = np.arange(len(names))
    parts = [re.split(r"([0-9]+)", name) for name in names]
    if len(names) < 3 or any(part[::2] != parts[0][::2] for part in parts):
        return count
    digits = list(zip(*(part[1::2] for part in parts), strict=True))
    varying = [column for column in digits if len(set(map(int, column))) > 1]
    if len(varying) != 1 or any(len(number) > 18 for number in varying[0]):
        return count
    steps = np.diff(np.array(list(map(int, varying[0]))))
    if (steps <= 0).any():
        return count
    step = steps.min() if not (steps % steps.min()).any() else np.median(steps)
    return np.concatenate([[0], np.cumsum(np.maximum(np.rint(steps / step).astype(np.int64), 1))])
