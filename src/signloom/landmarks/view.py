"""`ClipView`, the points that a model takes of a clip; reading them from a landmark file without all others.

Shapes: T frames, P points of the view.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from signloom import frame_times, layout
from signloom.files.reading import Member
from signloom.landmarks.format import ARRAYS, check_finite, header_in, named, opened

# Frames that are read at once: 0.5 MB in half precision, which stays in the processor's cache.
_PART_FRAMES = 160


class Frames(Protocol):
    """The points of a clip, which need not be in memory: an array (T, P, 3), or what yields parts of one."""

    def __len__(self) -> int:
        """Returns T."""

    def __getitem__(self, frames: slice, /) -> np.ndarray:
        """Returns the points of some frames, (n, P, 3) float32, NaN where missing."""


class Timed:
    """What the times of a clip's frames say."""

    fps: float
    seconds: np.ndarray

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def duration_seconds(self) -> float:
        """The time from the start of the first frame to the end of the last one."""
        return len(self) / self.fps

    @property
    def start_seconds(self) -> float:
        """The time of the first frame; 0 unless the video track begins later than its file."""
        return float(self.seconds[0])

    @property
    def has_even_times(self) -> bool:
        """Whether the frames are evenly spaced from 0 on."""
        return frame_times.are_even(self.seconds, self.fps)


@dataclass(frozen=True)
class ClipView(Timed):
    """The points of one view of a clip.

    view: name of a subset of the layout.
    points: (T, P, 3) float32, or float16 as in landmark files; otherwise as those of `Landmarks`.
    fps, seconds: as those of `Landmarks`.
    """

    view: str
    points: np.ndarray
    fps: float
    seconds: np.ndarray

    def present(self, group: str) -> np.ndarray:
        """Returns whether any point of a group that the view has was detected in each frame, (T,) bool."""
        return np.isfinite(self.points[:, layout.subset_groups(self.view)[group], 0]).any(axis=1)

    def at(self, fps: float) -> Frames:
        """Returns the points at another frame rate, evenly spaced from the first frame on, by linear interpolation.

        See `frame_times.resample_positions`. They are computed part by part, when they are asked for.
        """
        return _Resampled(self.points, frame_times.resampled_positions(len(self), self.fps, fps, self.seconds))


def read_view(path: Path | Member, view: str) -> ClipView:
    """Returns the points of a view in a landmark file: a sixth of the memory of all points, in half precision.

    Raises InputError or LayoutError as `Landmarks.load` does.
    """
    subset = layout.subset(view)
    with opened(path) as archive:
        header = header_in(archive, path)
        check_finite(archive.read("visibility", np.float32), "visibility", path)
        dtype = np.float16 if archive.dtype("points") == np.float16 else np.float32
        num_frames = archive.shape("points")[0]
        points = np.empty((num_frames, len(subset), 3), dtype=dtype)
        start = 0
        for part in archive.parts("points", _PART_FRAMES):
            values = part.astype(dtype, copy=False)
            check_finite(values, "coordinates", path)
            points[start : start + len(values)] = values[:, subset]
            start += len(values)
        seconds = archive.read("seconds", ARRAYS["seconds"]) if "seconds" in archive.names else None
    fps = float(header["fps"])
    with named(path):
        return ClipView(view, points, fps, frame_times.checked_times(seconds, num_frames, fps))


class _Resampled:
    """Frames of an array (T, P, 3) at fractional positions (T',), or as they are if there are no positions."""

    def __init__(self, points: np.ndarray, positions: np.ndarray | None) -> None:
        self._points, self._positions = points, positions

    def __len__(self) -> int:
        return len(self._points if self._positions is None else self._positions)

    def __getitem__(self, frames: slice, /) -> np.ndarray:
        if self._positions is None:
            return np.asarray(self._points[frames], dtype=np.float32)
        positions = self._positions[frames]
        # Positions ascend. Whole numbers are subtracted from them without rounding.
        first, last = int(positions[0]), int(positions[-1]) + 2
        return interpolate(self._points[first:last].astype(np.float32), positions - first)


def interpolate(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Returns `values` (T, ...) read at fractional frame `positions` (T',) in 0..T-1, by linear interpolation, (T',
    ...).

    Between two frames a value is NaN where either is NaN; exactly on a frame it is that frame's.
    """
    lower = np.floor(positions).astype(np.int64)
    weight = (positions - lower).astype(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    upper = np.minimum(lower + 1, len(values) - 1)
    start = values[lower]
    result = values[upper]
    result -= start
    result *= weight
    result += start
    # A missing next frame with weight 0 must not turn the value into NaN.
    exact = positions == lower
    result[exact] = start[exact]
    return result
