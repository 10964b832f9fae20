"""An arm that reaches for a place: where its elbow goes, within what bones, trunk and shoulder allow.

Shapes: T frames. Metres as in `body`; an arm is a right one on its own side.
"""

from __future__ import annotations

import numpy as np

from signloom.synth.proportions import Proportions

# Share of the stretched arm that is used, and the smallest angle in the elbow, degrees.
_REACH, _ELBOW_MIN = 0.97, 30.0
# How near a wrist comes to its own shoulder, metres.
_CLEARANCE = 0.155
# A cone before the ribs below the shoulder that wrists stay out of, so that there is room for the elbow: how wide about
# the shoulder, how much less below and above, and how steep.
_RIBS, _RIBS_LONG, _RIBS_SHORT, _RIBS_STEEP = 0.31, 0.8, 2.0, 1.05
# How far beyond the body's middle a wrist goes: unhindered up to the first, never beyond the second, metres.
_ACROSS_FREE, _ACROSS_LIMIT = 0.08, 0.2
# Where the elbow of an arm points that reaches straight for what is in front of it: down and out. From there it is
# carried along on the shortest turn, which has its only seam behind the body.
_TILT = np.radians(17.0)
_AHEAD = np.array((0.0, np.sin(_TILT), -np.cos(_TILT)))
_DOWN = np.array((0.0, np.cos(_TILT), np.sin(_TILT)))
_OUT = np.array((-1.0, 0.0, 0.0))
# How elbows may swing about the line from shoulder to wrist, from down to out and up, and how they like to: radians.
_SWIVELS = np.arange(-0.6, 1.9, 0.2)[:, None]
_LIKED, _FREEDOM = 0.4, 0.3
# What elbows avoid, each with how much of it weighs as much as a swing by _FREEDOM, metres: to be far behind the
# shoulder, before the chest, above the shoulder.
_BEHIND, _BEFORE, _ABOVE = (0.02, 0.02), (-0.08, 0.03), (0.02, 0.05)
# Half the trunk that forearms stay out of: wide as a share of that of the shoulders, and deep; and how much of its
# squared radius weighs as much.
TRUNK_WIDE, TRUNK_DEEP = 1.08, 0.12
_INSIDE = 0.06
_SHARES = (0.25, 0.55)


def reach(wrist: np.ndarray, body: Proportions, passes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Elbow and wrist (T, 3) of an arm that reaches for `wrist`, or as near to it as its bones allow.

    passes: how often what swings too fast is smoothed.
    """
    shoulder = np.array((-body.shoulder_half_width, 0.0, 0.0))
    upper, fore = body.upper_arm, body.forearm
    offset = wrist - shoulder
    room = _ACROSS_LIMIT - _ACROSS_FREE
    beyond = np.clip(wrist[:, 0] - _ACROSS_FREE, 0, None)
    offset[:, 0] += room * np.tanh(beyond / room) - beyond
    # A way that leads past the own shoulder leads around its front, not through it.
    offset[:, 2] = np.minimum(
        offset[:, 2], -np.sqrt(np.clip(_CLEARANCE**2 - (offset[:, :2] ** 2).sum(axis=1), 0, None))
    )
    distance = np.linalg.norm(offset, axis=1, keepdims=True)
    nearest = np.sqrt(upper**2 + fore**2 - 2 * upper * fore * np.cos(np.radians(_ELBOW_MIN)))
    direction = offset / np.maximum(distance, 1e-6)
    distance = np.clip(distance, nearest, _REACH * (upper + fore))
    along = (upper**2 - fore**2 + distance**2) / (2 * distance)
    across = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    centre, wrist = shoulder + along * direction, shoulder + distance * direction
    down, out = across * _carried(_DOWN, direction), across * _carried(_OUT, direction)
    swivel = smooth(_swivel(centre, down, out, wrist, body), 5 * passes)[:, None]
    return centre + np.cos(swivel) * down + np.sin(swivel) * out, wrist


def before_ribs(wrist: np.ndarray, body: Proportions, frames: int) -> np.ndarray:
    """How far a wrist (T, 3) moves towards the camera where the elbow would else be far behind the body, (T,), and
    so many frames before and after."""
    x, y = wrist[:, 0] + body.shoulder_half_width, wrist[:, 1]
    far = np.hypot(x, np.where(y > 0, _RIBS_LONG, _RIBS_SHORT) * y)
    return smooth_maximum(np.clip(wrist[:, 2] + _RIBS_STEEP * np.clip(_RIBS - far, 0, None), 0, None), frames)


def _carried(vector: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """A vector (3,) turned as the shortest turn from straight ahead to `direction` (T, 3) turns, (T, 3)."""
    cosine = direction @ _AHEAD
    towards = direction @ vector
    return vector - (towards / (1 + np.maximum(cosine, -0.95)))[:, None] * (direction + _AHEAD)


def _swivel(centre: np.ndarray, down: np.ndarray, out: np.ndarray, wrist: np.ndarray, body: Proportions) -> np.ndarray:
    """How far the elbow swings from `down` to `out` around `centre` (all (T, 3)), (T,) radians: the mean of what is
    comfortable, so that it changes as smoothly as the way of the hand does."""
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
    """Values (T, ...) smoothed over five frames by binomial weights, several times."""
    count = len(values)
    for _ in range(passes):
        padded = np.concatenate([values[:1], values[:1], values, values[-1:], values[-1:]])
        values = sum(weight / 16 * padded[k : k + count] for k, weight in enumerate((1, 4, 6, 4, 1)))
    return values


def smooth_maximum(values: np.ndarray, reach: int) -> np.ndarray:
    """The running maximum over `2 * reach + 1` frames, smoothed over as many, so that evading never jerks, (T,)."""
    width = 2 * reach + 1
    padded = np.pad(values, 2 * reach, mode="edge")
    highest = np.lib.stride_tricks.sliding_window_view(padded, width).max(axis=1)
    return np.lib.stride_tricks.sliding_window_view(highest, width).mean(axis=1)
