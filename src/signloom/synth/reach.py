"""An arm that reaches for a place: the position of its elbow, within the limits of bones, trunk and shoulder.

Shapes: T frames. Metres as in `body`; every arm is a right arm on its own side.
"""

from __future__ import annotations

import numpy as np

from signloom.synth.proportions import Proportions

# Largest reach, as a share of the stretched arm.
_MAX_REACH = 0.97
# Smallest angle in the elbow, degrees.
_ELBOW_MIN = 30.0
# Smallest distance of a wrist from its own shoulder, metres.
_CLEARANCE = 0.155
# A cone before the ribs below the shoulder that wrists avoid, so that there is room for the elbow: its radius, metres.
_RIBS = 0.31
# Weight of vertical distances below the shoulder, where the cone is longer.
_RIBS_LONG = 0.8
# Weight of vertical distances above the shoulder, where the cone is shorter.
_RIBS_SHORT = 2.0
# Slope of the cone.
_RIBS_STEEP = 1.05
# Distance that a wrist goes freely beyond the body's middle, metres.
_ACROSS_FREE = 0.08
# Distance beyond the body's middle that a wrist never exceeds, metres.
_ACROSS_LIMIT = 0.2
# The elbow of an arm that reaches straight ahead points down and out. For other directions, the shortest rotation from
# straight ahead carries these axes along; its only seam is behind the body.
_TILT = np.radians(17.0)
_AHEAD = np.array((0.0, np.sin(_TILT), -np.cos(_TILT)))
_DOWN = np.array((0.0, np.cos(_TILT), np.sin(_TILT)))
_OUT = np.array((-1.0, 0.0, 0.0))
# Angles by which an elbow may swing about the line from shoulder to wrist, from down to out and up, radians.
_SWIVELS = np.arange(-0.6, 1.9, 0.2)[:, None]
# Preferred swing of the elbow, radians.
_LIKED = 0.4
# Deviation from the preferred swing that costs 1, radians.
_FREEDOM = 0.3
# What elbows avoid: (where the cost begins, distance beyond it that costs 1), metres. Far behind the shoulder:
_BEHIND = (0.02, 0.02)
# In front of the chest:
_BEFORE = (-0.08, 0.03)
# Above the shoulder:
_ABOVE = (0.02, 0.05)
# Half width of the trunk that forearms avoid, as a share of that of the shoulders.
TRUNK_WIDE = 1.08
# Half depth of this trunk, metres.
TRUNK_DEEP = 0.12
# Depth inside this trunk that costs 1, as a share of its squared radius.
_INSIDE = 0.06
# Points on the forearm that are kept out of the trunk, as shares from elbow to wrist.
_SHARES = (0.25, 0.55)


def reach(wrist: np.ndarray, body: Proportions, passes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Returns elbow and wrist (T, 3) of an arm that reaches for `wrist`, or as near to it as its bones allow.

    passes: how often a fast swing of the elbow is smoothed.
    """
    shoulder = np.array((-body.shoulder_half_width, 0.0, 0.0))
    upper, fore = body.upper_arm, body.forearm
    offset = wrist - shoulder
    room = _ACROSS_LIMIT - _ACROSS_FREE
    beyond = np.clip(wrist[:, 0] - _ACROSS_FREE, 0, None)
    offset[:, 0] += room * np.tanh(beyond / room) - beyond
    # A path past the own shoulder leads around its front, not through it.
    offset[:, 2] = np.minimum(
        offset[:, 2], -np.sqrt(np.clip(_CLEARANCE**2 - (offset[:, :2] ** 2).sum(axis=1), 0, None))
    )
    distance = np.linalg.norm(offset, axis=1, keepdims=True)
    nearest = np.sqrt(upper**2 + fore**2 - 2 * upper * fore * np.cos(np.radians(_ELBOW_MIN)))
    direction = offset / np.maximum(distance, 1e-6)
    distance = np.clip(distance, nearest, _MAX_REACH * (upper + fore))
    along = (upper**2 - fore**2 + distance**2) / (2 * distance)
    across = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    centre, wrist = shoulder + along * direction, shoulder + distance * direction
    down, out = across * _carried(_DOWN, direction), across * _carried(_OUT, direction)
    swivel = smooth(_swivel(centre, down, out, wrist, body), 5 * passes)[:, None]
    return centre + np.cos(swivel) * down + np.sin(swivel) * out, wrist


def before_ribs(wrist: np.ndarray, body: Proportions, frames: int) -> np.ndarray:
    """Returns how far a wrist (T, 3) moves towards the camera so that the elbow is not far behind the body, (T,).

    frames: the move also applies to so many frames before and after.
    """
    x, y = wrist[:, 0] + body.shoulder_half_width, wrist[:, 1]
    far = np.hypot(x, np.where(y > 0, _RIBS_LONG, _RIBS_SHORT) * y)
    return smooth_maximum(np.clip(wrist[:, 2] + _RIBS_STEEP * np.clip(_RIBS - far, 0, None), 0, None), frames)


def _carried(vector: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Returns a vector (3,) rotated by the shortest rotation from straight ahead to `direction` (T, 3), (T, 3)."""
    cosine = direction @ _AHEAD
    towards = direction @ vector
    return vector - (towards / (1 + np.maximum(cosine, -0.95)))[:, None] * (direction + _AHEAD)


def _swivel(centre: np.ndarray, down: np.ndarray, out: np.ndarray, wrist: np.ndarray, body: Proportions) -> np.ndarray:
    """Returns how far the elbow swings from `down` to `out` around `centre` (all (T, 3)), (T,) radians.

    It is the mean of the comfortable angles, so that it changes as smoothly as the path of the hand.
    """
    cosine, sine = np.cos(_SWIVELS), np.sin(_SWIVELS)
    x, y, z = (centre[:, k] + cosine * down[:, k] + sine * out[:, k] for k in range(3))
    cost = ((_SWIVELS - _LIKED) / _FREEDOM) ** 2
    for value, (free, much) in ((z, _BEHIND), (x, _BEFORE), (-y, _ABOVE)):
        cost = cost + (np.clip(value - free, 0, None) / much) ** 2
    wide, deep = TRUNK_WIDE * body.shoulder_half_width, TRUNK_DEEP
    for share in _SHARES:
        px, py, pz = (joint + share * (wrist[:, k] - joint) for k, joint in enumerate((x, y, z)))
        inside = np.clip(1 - (px / wide) ** 2 - (pz / deep) ** 2, 0, None) * np.clip((py + 0.03) / 0.1, 0, 1)
        cost += (inside / _INSIDE) ** 2
    weights = np.exp(0.5 * (cost.min(axis=0) - cost))
    return (weights * _SWIVELS).sum(axis=0) / weights.sum(axis=0)


def smooth(values: np.ndarray, passes: int) -> np.ndarray:
    """Returns values (T, ...) smoothed `passes` times over five frames with binomial weights."""
    count = len(values)
    for _ in range(passes):
        padded = np.concatenate([values[:1], values[:1], values, values[-1:], values[-1:]])
        values = sum(weight / 16 * padded[k : k + count] for k, weight in enumerate((1, 4, 6, 4, 1)))
    return values


def smooth_maximum(values: np.ndarray, reach: int) -> np.ndarray:
    """Returns the running maximum over `2 * reach + 1` frames, smoothed over as many frames, so that evasion never
    jerks, (T,)."""
    width = 2 * reach + 1
    padded = np.pad(values, 2 * reach, mode="edge")
    highest = np.lib.stride_tricks.sliding_window_view(padded, width).max(axis=1)
    return np.lib.stride_tricks.sliding_window_view(highest, width).mean(axis=1)
