"""Decodes the frames of a clip from a video file or a folder of images; crops them.

Shapes: H, W are height and width of a frame in pixels.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Protocol

import numpy as np

from signloom.errors import InputError, SignloomError, needs_extra
from signloom.extract.sources import frame_files, with_camera
from signloom.files import sha256_of

DEFAULT_FPS = 25.0
# A header's rate outside this range is a time base or invalid (browsers record webm with "1000 fps").
PLAUSIBLE_FPS = (1.0, 300.0)
# In a smaller image no person can be detected, and MediaPipe's own resizing fails.
MIN_SIDE = 16


def import_cv2(purpose: str = "reading video") -> ModuleType:
    """Returns the module of OpenCV; raises what `needs_opencv` does."""
    with needs_opencv(purpose):
        import cv2
    return cv2


@contextmanager
def needs_opencv(purpose: str) -> Iterator[None]:
    """Raises MissingExtraError when an import of OpenCV or MediaPipe inside it fails.

    Raises SignloomError, naming the system packages, if the system lacks a shared library that they link to.
    """
    try:
        with needs_extra(purpose):
            yield
    except ModuleNotFoundError:
        raise
    except ImportError as error:
        raise SignloomError(
            f"{purpose}: OpenCV or MediaPipe cannot be loaded ({error}); install the system packages they need, "
            "on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0; on Fedora: dnf install mesa-libGL glib2"
        ) from None


@dataclass(frozen=True)
class Crop:
    """A part of the image: x, y of its top left corner, width, height; in pixels or in fractions of the image."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def parse(cls, text: str) -> Crop:
        """Returns the crop written as `x,y,width,height`. Raises InputError for anything else."""
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
            raise InputError(f"crop {text!r}: needed four numbers x,y,width,height, e.g. 900,500,320,480")
        crop = cls(*numbers)
        if min(crop.x, crop.y) < 0 or min(crop.width, crop.height) <= 0:
            raise InputError(f"crop {text!r}: needed x and y of at least 0, width and height above 0")
        return crop

    def __str__(self) -> str:
        return ",".join(f"{number:g}" for number in (self.x, self.y, self.width, self.height))

    def of(self, frame: np.ndarray) -> np.ndarray:
        """Returns the part of an image (height, width, 3). Raises InputError if the crop exceeds the image."""
        height, width = frame.shape[:2]
        in_fractions = max(self.x, self.y, self.width, self.height) <= 1
        scale_x, scale_y = (width, height) if in_fractions else (1, 1)
        left, top = round(self.x * scale_x), round(self.y * scale_y)
        right, bottom = round((self.x + self.width) * scale_x), round((self.y + self.height) * scale_y)
        if right > width or bottom > height:
            raise InputError(f"crop {self} ends at {right},{bottom}, outside the image of {width}x{height} pixels")
        if min(right - left, bottom - top) < MIN_SIDE:
            raise InputError(
                f"crop {self} is {right - left}x{bottom - top} of {width}x{height} pixels; needed at least "
                f"{MIN_SIDE}x{MIN_SIDE}. Four numbers up to 1 are fractions of the image, others are pixels"
            )
        return frame[top:bottom, left:right]


class ClipReader(Protocol):
    """A clip opened for reading once, from start to end.

    fps, pixel_aspect: values of the source, or None. fps is final only after `frames` has ended, because a video's time
    stamps may contradict its header.  expected_frames: number of frames according to the source, 0 if unknown.
    size: bytes of a video, or number of images.
    """

    fps: float | None
    pixel_aspect: float | None
    expected_frames: int
    size: int

    def frames(self) -> Iterator[np.ndarray]:
        """Yields the frames in order, (H, W, 3) uint8 BGR. Raises InputError for a frame that cannot be read."""

    def sha256(self) -> str:
        """Returns a hash of the source (of a folder: names and contents). Call it after reading `frames`."""


def open_clip(path: Path) -> ClipReader:
    """Returns a reader of the video file or frame folder at `path`. Raises InputError if it is neither."""
    if path.is_dir():
        return FrameFolderReader(with_camera(path))
    if path.is_file():
        return VideoReader(path)
    raise InputError(f"{path}: no such video file or frame folder")


def source_size(path: Path) -> int:
    """Returns `ClipReader.size` without reading the source: a cheap test whether the source has changed."""
    return len(frame_files(path)) if path.is_dir() else path.stat().st_size


class FrameFolderReader:
    """Reads the images of a folder in natural order of their names; see `ClipReader`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fps: float | None = None
        self.pixel_aspect: float | None = None
        self._files = frame_files(folder)
        if not self._files:
            raise InputError(f"{folder}: no frames; needed a folder with images (png, jpg)")
        self.expected_frames = self.size = len(self._files)
        self._hash = hashlib.sha256()

    def frames(self) -> Iterator[np.ndarray]:
        cv2 = import_cv2()
        shape = None
        for number, path in enumerate(self._files, 1):
            where = f"{self.folder}: frame {number} ({path.name})"
            data = path.read_bytes()
            self._hash.update(f"{path.name}\0{len(data)}\0".encode())
            self._hash.update(data)
            if _is_cut_off(data):
                raise InputError(f"{where} is cut off after {len(data)} bytes; copy the clip again")
            frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
            if frame is None:
                raise InputError(f"{where} is not a readable image ({len(data)} bytes)")
            if shape not in (None, frame.shape):
                raise InputError(f"{where} is {_size(frame.shape)} pixels, the frames before it {_size(shape)}")
            shape = frame.shape
            yield frame

    def sha256(self) -> str:
        return self._hash.hexdigest()


def _is_cut_off(data: bytes) -> bool:
    """Returns whether a PNG or JPEG lacks its end mark: decoders fill the missing part with grey without an error."""
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-64:]
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-4096:]
    return False


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


class VideoReader:
    """Reads a video file with OpenCV, rotated upright according to its header; see `ClipReader`."""

    def __init__(self, path: Path) -> None:
        cv2 = import_cv2()
        self.path = path
        self.size = path.stat().st_size
        if self.size == 0:
            raise InputError(f"{path}: the file is empty")
        # Only FFmpeg: OpenCV's other backends treat a name such as frame_001.avi as a pattern of images.
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise InputError(f"{path}: not a readable video{_kind_hint(path)}")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self._has_rate = not _is_avi_without_rate(path)
        self.fps = _plausible(self._capture.get(cv2.CAP_PROP_FPS)) if self._has_rate else None
        self.pixel_aspect = self._pixel_aspect()
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # Streams without an index report zero, negative or absurd counts.
        self.expected_frames = int(count) if 0 < count < 1e8 else 0

    def _pixel_aspect(self) -> float | None:
        cv2 = import_cv2()
        wide, high = self._capture.get(cv2.CAP_PROP_SAR_NUM), self._capture.get(cv2.CAP_PROP_SAR_DEN)
        if not (wide > 0 and high > 0 and 0.1 <= wide / high <= 10):
            return None
        turned = int(self._capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 180 == 90
        return high / wide if turned else wide / high

    def frames(self) -> Iterator[np.ndarray]:
        cv2 = import_cv2()
        shape = None
        number = 0
        first_ms = last_ms = 0.0
        try:
            while True:
                ok, frame = self._capture.read()
                if not ok:
                    break
                number += 1
                if shape not in (None, frame.shape):
                    sizes = f"{_size(frame.shape)} pixels, the frames before it {_size(shape)}"
                    raise InputError(f"{self.path}: frame {number} is {sizes}")
                shape = frame.shape
                last_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
                first_ms = last_ms if number == 1 else first_ms
                yield frame
        finally:
            self._capture.release()
        if number == 0:
            raise InputError(f"{self.path}: no readable frame in this video")
        if number < self.expected_frames and _ends_early(self.path):
            raise InputError(
                f"{self.path}: the file is cut off; {number} of {self.expected_frames} frames could be read. "
                "Copy or download it again"
            )
        if self._has_rate:
            self.fps = _by_time_stamps(self.fps, number, (last_ms - first_ms) / 1000)

    def sha256(self) -> str:
        return sha256_of(self.path)


def _plausible(rate: float) -> float | None:
    return rate if math.isfinite(rate) and PLAUSIBLE_FPS[0] <= rate <= PLAUSIBLE_FPS[1] else None


def _is_avi_without_rate(path: Path) -> bool:
    """Returns whether an AVI's headers give a rate of 0; FFmpeg replaces it by 25, also in the time stamps."""
    with path.open("rb") as file:
        head = file.read(4096)
    main, stream = head.find(b"avih"), head.find(b"strh")
    if head[:4] != b"RIFF" or main < 0 or not 0 <= stream <= len(head) - 36:
        return False
    scale_and_rate = (head[stream + 28 : stream + 32], head[stream + 32 : stream + 36])
    return bytes(4) in scale_and_rate and head[main + 8 : main + 12] == bytes(4)


def _by_time_stamps(rate: float | None, num_frames: int, seconds: float) -> float | None:
    """Returns the header's `rate`, or the mean rate of the frames' time stamps if the two differ much.

    The header of a recording with variable rate (browsers, screen recorders) has the shortest distance between two
    frames, or a time base. A few frames, or a rounding difference, are not enough to override it.
    """
    measured = _plausible((num_frames - 1) / seconds) if num_frames >= 8 and seconds > 0 else None
    if measured is None or (rate is not None and abs(measured / rate - 1) < 0.1):
        return rate
    return measured


def _kind_hint(path: Path) -> str:
    """Returns the end of an error message: what the file seems to be instead of a video."""
    with path.open("rb") as file:
        head = file.read(4096)
    if b"\0" not in head:
        try:
            head.decode("utf-8", errors="strict")
        except UnicodeDecodeError as error:
            # The 4096 bytes may end within a character of a text file.
            if error.start < len(head) - 4:
                return ""
        return "; it is a text file"
    if head[4:8] == b"ftyp":
        return "; it is damaged or cut off, or has a codec that OpenCV does not support"
    return ""


def _ends_early(path: Path) -> bool:
    """Returns whether an MP4, MOV, AVI, MKV or WebM file is shorter than the sizes stored in it.

    The frame count in a header is not enough: an edit list hides frames, and some containers only estimate the count.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        if head[:4] == b"RIFF":
            return int.from_bytes(head[4:8], "little") + 8 > size
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return _ebml_end(file) > size
        if head[4:8] not in (b"ftyp", b"wide", b"moov", b"mdat", b"free", b"skip"):
            return False
        position = 0
        while position + 8 <= size:
            file.seek(position)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length == 0:
                return False
            if length < 8:
                return True
            position += length
        return position > size


def _ebml_end(file: BinaryIO) -> int:
    """Returns the end of a Matroska file's segment according to its header; 0 if unknown (a live recording)."""

    def length() -> int | None:
        # The number of bytes is one plus the leading zeros of the first; all value bits set means unknown.
        first = file.read(1)[0]
        extra = 8 - first.bit_length()
        value = int.from_bytes(bytes([first & (0x7F >> extra)]) + file.read(extra), "big")
        return None if value == (1 << 7 * (extra + 1)) - 1 else value

    file.seek(4)
    file.seek(length() or 0, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    size = length()
    return 0 if size is None else file.tell() + size
