"""Opens a clip, which is a video file or a folder of images, and gives its frames with their times.

Shapes: T frames; H, W are height and width of a frame in pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from signloom.errors import InputError
from signloom.extract.frame_folder import FrameFolderReader
from signloom.extract.sources import frame_files, with_camera
from signloom.extract.time_stamps import ClipTimes
from signloom.extract.video import VideoReader
from signloom.files import storage
from signloom.files.urls import Url

# Two videos of the same size differ here: the first and last frames of both are other ones.
_END_BYTES = 64 * 2**10


class ClipReader(Protocol):
    """A clip opened for reading once, from start to end.

    expected_frames: number of frames according to the source, 0 if unknown.
    size: bytes of a video, or number of images.
    pixel_aspect: width of a pixel over its height, as shown; None if the source does not give it. Final with the first
    frame.
    unread: number of frames that the source has, or had, and that cannot be read. Final after `frames` has ended.
    """

    pixel_aspect: float | None
    expected_frames: int
    size: int
    unread: int

    def frames(self) -> Iterator[np.ndarray]:
        """Yields the frames in order, as players show them, (H, W, 3) uint8 RGB, not always contiguous.

        Raises InputError for a frame of another size, a file that is cut off, and if over half of the frames are
        unread.
        """

    def times(self, assumed_fps: float) -> ClipTimes:
        """Returns the times of the frames; call it after reading `frames`.

        assumed_fps: the rate of a source that gives none.
        """

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


def ends_sha256(path: Path) -> str:
    """Returns a hash of both ends of a source: a cheap test whether it is another one of the same size.

    Of a video, a local file or an object, of its first and last 64 KiB; of a local frame folder, of those of its first
    and its last image.

    Raises OSError or InputError for a source that cannot be read.
    """
    parts = [path]
    if not isinstance(path, Url) and path.is_dir():
        images = frame_files(with_camera(path))
        parts = images[:1] + images[1:][-1:]
    return hashlib.sha256(b"".join(map(_ends, parts))).hexdigest()


def _ends(path: Path) -> bytes:
    if isinstance(path, Url):
        return storage.ends(path, _END_BYTES)
    with path.open("rb") as file:
        first = file.read(_END_BYTES)
        file.seek(max(len(first), path.stat().st_size - _END_BYTES))
        return first + file.read()
