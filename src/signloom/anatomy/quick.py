"""A quick look at a clip: most people pass it, in a fifth of the time that all measures take."""

from __future__ import annotations

import math
import warnings

import numpy as np

from signloom import layout
from signloom.anatomy import measuring

# Frames that are looked at.
_FRAMES = 8
# Stricter than the thresholds of faults: what does not pass is measured in full.
_SIDES = 0.5
_HANDS_APART = 0.35
_NEAR_ORIGIN = 0.05
_DISORDERED = 1.1
_FACE_DISORDERED = 2.5


def plainly_a_person(points: np.ndarray, visibility: np.ndarray | None = None) -> bool:
    """Returns whether some frames of a clip are a person without doubt, by the order, sides and places of the parts.

    points: (T, 543, 3), units of image height.  visibility: (T, 33).  False means nothing but: measure it in full. What
    shows only over time (late hands, frozen points, a box around the body) is not looked at.
    """
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        # A hand may be seen in few frames; wrists are looked at in all of them.
        apart = points[:, measuring.HAND_WRISTS, :2] - points[:, measuring.POSE_WRISTS, :2]
        own = np.nanmean(measuring.lengths(apart), axis=0)
        every = max(1, len(points) // _FRAMES)
        return _plain(points[::every], visibility[::every] if visibility is not None else None, own)


def _plain(points: np.ndarray, visibility: np.ndarray | None, own: np.ndarray) -> bool:
    """own: (2,) mean distance of the wrists of hands and pose."""
    if visibility is not None and (np.fmin.reduce(visibility, None) < 0 or np.fmax.reduce(visibility, None) > 1):
        return False
    flat = points[:, : layout.GROUPS["right_hand"].stop, :2]
    pose = flat[:, layout.GROUPS["pose"]]
    pose = pose[np.isfinite(pose[:, 0, 0])]
    if not len(pose):
        return False
    mean = pose.mean(axis=0)
    left, right = mean[measuring.SHOULDERS].tolist()
    head = mean[measuring.HEAD].mean(axis=0).tolist()
    across = (left[0] - right[0], left[1] - right[1])
    up = (head[0] - 0.5 * (left[0] + right[0]), head[1] - 0.5 * (left[1] + right[1]))
    width, height = math.hypot(*across), math.hypot(*up)
    upright = -up[1] > abs(up[0]) and across[1] * up[0] - across[0] * up[1] > _SIDES * width * height
    roots = (mean[0].tolist(), mean.mean(axis=0).tolist(), (0.5 * (left[0] + right[0]), 0.5 * (left[1] + right[1])))
    if not upright or min(math.hypot(*root) for root in roots) < _NEAR_ORIGIN:
        return False
    if int(np.argmin(measuring.shift_costs(mean))) != measuring.MAX_SHIFT:
        return False
    hands = flat[:, measuring.HANDS].reshape(len(points), 2, layout.NUM_HAND_POINTS, 2)
    order, _ = measuring.hand_order(hands)
    # A hand or a face that is missing makes a comparison false.
    return not (
        (own > _HANDS_APART * width).any()
        or (order > _DISORDERED).any()
        or measuring.face_order(points) > _FACE_DISORDERED
    )
