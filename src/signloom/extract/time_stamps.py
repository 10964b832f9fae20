"""From the time stamps of a clip's frames to the times of its frames and its rate.

Shapes: T frames. Times are seconds on the clock of the file; see `signloom.frame_times`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from signloom.frame_times import are_even, even_times, mean_rate

DEFAULT_FPS = 25.0
# A header's rate outside this range is a time base or invalid (browsers record webm with "1000 fps").
PLAUSIBLE_FPS = (1.0, 300.0)
# FFmpeg's own threshold, in formats whose clock may jump: a longer step is another recording, not a pause.
LONGEST_STEP_SECONDS = 10.0
# After so many stamps below an earlier one, the clock has restarted.
_LOOK_AHEAD = 64
# Where frames are lost, H.264 decoders give one or two others late; a part of so few frames is unlikely.
_LATE = 3
# A clock that went on while stamps were out of order has advanced by about the frames since; a restarted one has not.
_WENT_ON = 0.4
# Digits of a time in seconds that are kept.
_DIGITS = 9


@dataclass(frozen=True)
class ClipTimes:
    """When the frames of a clip are shown.

    seconds: (T,) float64.  fps: frames per second.
    assumed_fps: the rate that was assumed because the source gives none, else None.
    """

    seconds: np.ndarray
    fps: float
    assumed_fps: float | None = None

    @classmethod
    def at_assumed_rate(cls, positions: np.ndarray, fps: float) -> ClipTimes:
        """Returns the times of frames at `positions` (T,), in frames from the first, for a source without a rate."""
        seconds = positions / fps
        rate = fps if are_even(seconds, fps) else mean_rate(seconds)
        return cls(seconds, rate or fps, fps)


@dataclass(frozen=True)
class Clock:
    """What the clock of a video file may do beside running on.

    may_restart: the stamps may begin anew, in parts that were joined.
    may_jump: they may also jump ahead (MPEG-TS).
    is_damaged: frames are lost, and others may come out of order.
    """

    may_restart: bool = True
    may_jump: bool = False
    is_damaged: bool = False


SOUND = Clock()


def times_of(
    stamps: Sequence[float | None], header_rates: Iterable[float], assumed_fps: float, clock: Clock = SOUND
) -> ClipTimes:
    """Returns the times of a video's frames.

    stamps: the time stamp of every frame in seconds since the start of the file, None for a frame without one.
    header_rates: frames per second that the header gives, the most trusted first. The first one at which the frames
    are evenly spaced is the rate of the clip, otherwise it is their mean rate.
    assumed_fps: the rate if neither stamps nor header give a plausible one.
    """
    rates = [rate for rate in header_rates if is_plausible(rate)]
    seconds = continuous(stamps, 1 / (rates[0] if rates else assumed_fps), clock)
    if seconds is None:
        seconds = even_times(len(stamps), rates[0]) if rates else None
    if seconds is not None:
        rate = next((rate for rate in rates if are_even(seconds - seconds[0], rate)), None) or mean_rate(seconds)
        rate = rate or (rates[0] if rates else None)
        if rate is not None and rate <= PLAUSIBLE_FPS[1]:
            return ClipTimes(seconds, rate)
    return ClipTimes.at_assumed_rate(np.arange(len(stamps)), assumed_fps)


def is_plausible(rate: float) -> bool:
    """Returns whether a rate of a header can be that of a video."""
    return math.isfinite(rate) and PLAUSIBLE_FPS[0] <= rate <= PLAUSIBLE_FPS[1]


def continuous(stamps: Sequence[float | None], default_interval: float, clock: Clock = SOUND) -> np.ndarray | None:
    """Returns ascending times (T,) from time stamps as files have them; None if no frame has a stamp.

    Where the stamps restart (parts that were joined), a part goes on one typical interval after the part before it.
    Frames without a stamp, with that of the frame before, or with one out of order, come at typical intervals after
    the last good stamp, closer if they would reach the next one.
    """
    values = np.array([np.nan if stamp is None else stamp for stamp in stamps], dtype=np.float64)
    # No clock is finer; smaller differences would vanish in sums.
    values = values.round(_DIGITS)
    steps = np.diff(values[np.isfinite(values)])
    if not np.isfinite(values).any() or (len(steps) > 1 and not steps.any()):
        return None
    ascending = steps[steps > 0]
    interval = float(np.median(ascending)) if len(ascending) else default_interval
    jumps = clock.may_jump and bool((steps > LONGEST_STEP_SECONDS).any())
    if len(steps) == len(values) - 1 and (steps > 0).all() and not jumps:
        return values
    frames, times = _good_stamps(values, interval, clock)
    return _filled(len(values), frames, times, interval)


def _good_stamps(values: np.ndarray, interval: float, clock: Clock) -> tuple[list[int], list[float]]:
    """Returns the frames whose stamps can be used, and their times on one clock; both ascend."""
    frames: list[int] = []
    times: list[float] = []
    last = shift = 0.0
    for frame in np.flatnonzero(np.isfinite(values)).tolist():
        stamp = float(values[frame])
        if frames:
            since = frame - frames[-1]
            if stamp == last or (stamp < last and not _restarts(values[frame:], last, since, interval, clock)):
                continue
            if stamp < last or (clock.may_jump and stamp - last > LONGEST_STEP_SECONDS):
                shift = times[-1] + interval * since - stamp
        frames.append(frame)
        times.append(stamp + shift)
        last = stamp
    return frames, times


def _restarts(values: np.ndarray, last: float, since: int, interval: float, clock: Clock) -> bool:
    """Returns whether the clock restarts with the first of `values`, which is below the `last` good stamp.

    since: number of frames since that one.
    """
    if not clock.may_restart:
        return False
    later = np.flatnonzero(values[: _LOOK_AHEAD + 1] > last)
    if not len(later):
        return True
    number = int(later[0])
    if clock.is_damaged and number <= _LATE:
        return False
    return bool(values[number] - last < _WENT_ON * interval * (since + number))


def _filled(num_frames: int, frames: list[int], times: list[float], interval: float) -> np.ndarray:
    """Returns the times (T,) of all frames from those of some."""
    result = np.empty(num_frames)
    result[frames] = times
    before = np.arange(frames[0], 0, -1)
    # Not before the start of the file, if there is room after it.
    room = times[0] / frames[0] if frames[0] and times[0] > 0 else interval
    result[: frames[0]] = times[0] - before * min(interval, room)
    for start, end in zip(frames, [*frames[1:], num_frames], strict=True):
        step = interval if end == num_frames else min(interval, (result[end] - result[start]) / (end - start))
        result[start + 1 : end] = result[start] + step * np.arange(1, end - start)
    return result
