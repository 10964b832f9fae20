"""Measures how a clip moves: how far and how fast the wrists go, where they are at each gloss, and which parts are in
view there.

Shapes: T frames, N glosses. Lengths are in shoulder widths. A gloss is taken to last as long as any other of its
utterance: averaged over a corpus, this shows where each gloss is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from signloom import layout

# Places of the wrists that are kept for each gloss.
PLACES_PER_GLOSS = 8
# Fewer frames show no motion.
FEWEST_FRAMES = 4
# Parts whose presence is compared by gloss.
SEEN = ("left_hand", "right_hand", "face")
# Wrists, then what stays nearly in place.
_UPPER = layout.indices("pose.left_wrist", "pose.right_wrist", "pose.nose", "pose.left_shoulder", "pose.right_shoulder")
# Frames in which a wrist that signs goes further than `_STILL`; a resting one does not.
_WINDOW_SECONDS = 0.2
_STILL = 0.01


@dataclass(frozen=True)
class Motion:
    """How a clip moves; NaN where the pose is known in too few frames.

    reach: standard deviation of the place of the wrist of the pose that moves further.  left: share of the way of both
    wrists that the left one goes.  speed: mean speed of the wrists of the pose, per second.  still: share of frames in
    which neither wrist moves by more than a hundredth in a fifth of a second.  jitter: median of how far nose and
    shoulders are from the middle of the frames before and after.  places: of both wrists, relative to the middle of the
    shoulders, x and y, evenly over the clip, (N, 8, 4); None if too little of the pose is known.  seen: share of the
    middle half of each gloss in which each part of `SEEN` is in view, (N, 3).
    """

    reach: float
    left: float
    speed: float
    still: float
    jitter: float
    places: np.ndarray | None
    seen: np.ndarray


def measure_motion(
    points: np.ndarray, present: Mapping[str, np.ndarray], *, fps: float, shoulders: float, num_glosses: int
) -> Motion:
    """Returns the motion of a clip of points (T, 543, 3).

    present: by body part, whether it is known in each frame (T,).  shoulders: their width.
    """
    seen = _seen(present, num_glosses)
    upper = points[:, _UPPER, :2]
    frames = np.flatnonzero(np.isfinite(upper).all((1, 2)))
    if len(frames) < FEWEST_FRAMES or not shoulders > 0:
        return Motion(math.nan, math.nan, math.nan, math.nan, math.nan, None, seen)
    upper = upper[frames] / shoulders
    wrists, trunk = upper[:, :2], upper[:, 2:]
    window = min(max(1, round(_WINDOW_SECONDS * fps)), len(frames) - 1)
    steps = wrists[1:] - wrists[:-1]
    moved = wrists[window:] - wrists[:-window]
    bent = trunk[1:-1] - 0.5 * (trunk[2:] + trunk[:-2])
    ways = np.hypot(steps[..., 0], steps[..., 1]).sum(0)
    return Motion(
        left=float(ways[0] / max(float(ways.sum()), 1e-9)),
        reach=float(np.sqrt(wrists.var(axis=0).sum(-1).max())),
        speed=float(ways.sum() / (2 * len(steps)) * fps),
        still=float((np.hypot(moved[..., 0], moved[..., 1]).max(1) < _STILL).mean()),
        jitter=float(np.median(np.hypot(bent[..., 0], bent[..., 1]))),
        places=_places(wrists - 0.5 * (trunk[:, 1:2] + trunk[:, 2:3]), frames, len(points), num_glosses),
        seen=seen,
    )


def _places(wrists: np.ndarray, frames: np.ndarray, num_frames: int, num_glosses: int) -> np.ndarray:
    count = num_glosses * PLACES_PER_GLOSS
    at = (np.arange(count) + 0.5) / count * (num_frames - 1)
    # The nearest known frame: places are averaged over many clips.
    nearest = np.searchsorted(frames, at.astype(int)).clip(0, len(frames) - 1)
    return np.asarray(wrists.reshape(len(wrists), -1)[nearest], dtype=np.float32).reshape(
        num_glosses, PLACES_PER_GLOSS, -1
    )


def _seen(present: Mapping[str, np.ndarray], num_glosses: int) -> np.ndarray:
    """Returns `seen`; the middle half of a gloss is the least likely to hold its neighbours."""
    table = np.stack([present[name] for name in SEEN], axis=1)
    sums = np.concatenate([np.zeros((1, len(SEEN))), np.cumsum(table, axis=0)])
    length = len(table) / num_glosses
    starts = np.floor((np.arange(num_glosses) + 0.25) * length).astype(int)
    ends = np.maximum(np.ceil((np.arange(num_glosses) + 0.75) * length).astype(int), starts + 1)
    ends = np.minimum(ends, len(table))
    starts = np.minimum(starts, ends - 1)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts)[:, None], dtype=np.float32)
