"""The times of a clip's frames: the one place that turns frames to seconds and back.

Shapes: T frames. Times are seconds on the clock of the file, as players and ELAN count them: 0 is the start of the
file, which is not always the start of its video track.
"""

from __future__ import annotations

import math

import numpy as np

from signloom.errors import InputError

# Some recorders count from 1970, which is 1.8e9 seconds ago.
_MOST_SECONDS = 10**10

# Containers round time stamps to milliseconds or coarser; frames that are off by less are evenly spaced.
EVEN_WITHIN_SECONDS = 0.002
# Annotations are whole milliseconds.
ROUNDING_SECONDS = 0.0005
# Of a frame that is on the screen for less of its time, an annotator who set the boundary saw the next one.
LEAST_SHARE = 0.1
# A picture that stays longer is a pause of a recording: the pose is held, not moved slowly towards the next one.
LONGEST_MOVE_SECONDS = 0.5


def even_times(num_frames: int, fps: float) -> np.ndarray:
    """Returns the times of evenly spaced frames from 0 on, (T,) float64 seconds."""
    return np.arange(num_frames) / fps


def are_even(seconds: np.ndarray, fps: float) -> bool:
    """Returns whether frames at `seconds` (T,) are evenly spaced at `fps` from 0 on, but for rounding."""
    tolerance = min(EVEN_WITHIN_SECONDS, 0.25 / fps)
    return bool(np.abs(seconds - even_times(len(seconds), fps)).max() <= tolerance)


def mean_rate(seconds: np.ndarray) -> float | None:
    """Returns the mean frames per second of at least two frames, None for fewer.

    The last frame is taken to stay as long as most frames do (the median), so that frames divided by the rate are the
    duration of the clip.
    """
    if len(seconds) < 2:
        return None
    steps = np.diff(seconds)
    return float(len(seconds) / (seconds[-1] - seconds[0] + np.median(steps)))


def check_times(seconds: np.ndarray, num_frames: int) -> None:
    """Raises InputError unless `seconds` is (T,), finite, ascending and not beyond what any clock of a video shows."""
    if seconds.shape != (num_frames,):
        raise InputError(f"landmarks: seconds of shape {seconds.shape}, needed ({num_frames},), a time for each frame")
    if not np.isfinite(seconds).all():
        raise InputError("landmarks: the time of a frame is NaN or infinite")
    if np.abs(seconds).max(initial=0) > _MOST_SECONDS:
        raise InputError(
            f"landmarks: the time of a frame is {np.abs(seconds).max():g} s; needed at most {_MOST_SECONDS:,}"
        )
    if (backward := np.flatnonzero(np.diff(seconds) <= 0)).size:
        frame = int(backward[0])
        raise InputError(
            f"landmarks: frame {frame + 1} is at {seconds[frame + 1]:.3f} s, the one before it at "
            f"{seconds[frame]:.3f} s; needed ascending times"
        )


def checked_times(seconds: np.ndarray | None, num_frames: int, fps: float) -> np.ndarray:
    """Returns the times of frames (T,) float64: those given, or even ones. Raises InputError as `check_times` does."""
    if seconds is None:
        return even_times(num_frames, fps)
    seconds = np.asarray(seconds, dtype=np.float64)
    check_times(seconds, num_frames)
    return seconds


def frames_at(seconds: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Returns the frame that is on the screen at each of `moments`, on the clock of `seconds`; -1 before the first."""
    return np.searchsorted(seconds, np.asarray(moments) + ROUNDING_SECONDS, side="right") - 1


def frames_between(seconds: np.ndarray, start: float, end: float) -> slice:
    """Returns the frames that are on the screen between two moments, on the clock of `seconds`.

    The first and the last are left out if less than a tenth of the time of the frame lies between them.
    """
    first = max(int(frames_at(seconds, np.array(start))), 0)
    stop = int(np.searchsorted(seconds, end - ROUNDING_SECONDS, side="left"))
    if stop - first > 1 and seconds[first + 1] - start < LEAST_SHARE * (seconds[first + 1] - seconds[first]):
        first += 1
    if (
        stop - first > 1
        and stop < len(seconds)
        and end - seconds[stop - 1] < LEAST_SHARE * (seconds[stop] - seconds[stop - 1])
    ):
        stop -= 1
    return slice(first, stop)


def resample_positions(num_frames: int, fps: float, target_fps: float, seconds: np.ndarray | None = None) -> np.ndarray:
    """Returns the positions of the frames at `target_fps`, in frames of the clip at `fps`, (T',) float64.

    T' = max(1, round(num_frames * target_fps / fps)); no position is after the last frame. The first is frame 0.
    seconds: the times of the frames (T,) if they are not even; `fps` is then their mean rate.
    """
    count = max(1, round(num_frames * target_fps / fps))
    if seconds is None:
        return np.minimum(np.arange(count) * (fps / target_fps), num_frames - 1)
    knots, frames = seconds - seconds[0], np.arange(num_frames, dtype=np.float64)
    paused = np.flatnonzero(np.diff(knots) > LONGEST_MOVE_SECONDS)
    # A knot just before the next frame holds the last pose until then.
    knots = np.insert(knots, paused + 1, knots[paused + 1] - 1 / target_fps)
    frames = np.insert(frames, paused + 1, frames[paused])
    return np.interp(np.arange(count) / target_fps, knots, frames)


def resampled_positions(num_frames: int, fps: float, target_fps: float, seconds: np.ndarray) -> np.ndarray | None:
    """Returns `resample_positions` of frames at `seconds` (T,), or None if they have the target's rate already."""
    if (even := are_even(seconds, fps)) and math.isclose(fps, target_fps, rel_tol=1e-6):
        return None
    return resample_positions(num_frames, fps, target_fps, None if even else seconds)


def spans(flags: np.ndarray) -> list[tuple[int, int]]:
    """Returns the runs [start, end) of True in (T,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
