"""The skin: how far a hand is from the head, the trunk and the other arm, so that it touches but never passes through.

Shapes: T frames. Metres as in `body`. Head and trunk are surfaces that face the camera, with one z for each x and y.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from signloom import layout
from signloom.synth import face
from signloom.synth.proportions import Proportions

# Half the thickness of a finger: the joints of a hand keep this distance from the skin they touch.
FINGER = 0.008
# Distance at which a joint rests on the skin of the other arm.
RESTS = 0.003
# Half width, half height and depth of the head where the mesh of the face does not reach.
_HEAD = (0.078, 0.115, 0.098)
# Depth of the trunk at its middle.
_TRUNK_DEPTH = 0.11
# Half width of the trunk that the middle of a forearm avoids, as a share of that of the shoulders.
FOREARM_WIDE = 0.95
# Depth of this trunk.
FOREARM_DEEP = 0.1
# z where there is no skin: far behind the body.
_NOTHING = 0.1
# Spacing of the grid of the head's surface.
_CELL = 0.004
# Half width and half height of this grid.
_GRID_X, _GRID_Y = 0.088, 0.128
# A hand that is further away than this does not mean to touch.
_MAX_GAP = 0.08
# Half the thickness of a hand.
_HAND_RADIUS = 0.01
# Half the thickness of a forearm.
_FOREARM_RADIUS = 0.032
# Half the thickness of an upper arm.
_UPPER_ARM_RADIUS = 0.04
# Distance between the axes of two forearms, beyond the radius of one of them.
_FOREARM_SOFT = 0.02
# Points of a limb that show whether it is near: wrist, a knuckle, two on the forearm, one on the upper arm.
_MARKS = (0, 9, 26, 28, 33)


@cache
def head_surface() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a grid around the middle of an average head: x, y, and z a finger in front of the skin, each (rows,
    columns)."""
    y, x = np.mgrid[-_GRID_Y : _GRID_Y + 1e-9 : _CELL, -_GRID_X : _GRID_X + 1e-9 : _CELL]
    radius = np.sqrt((x / _HEAD[0]) ** 2 + (y / _HEAD[1]) ** 2)
    # Outside its outline the head recedes, so that a passing hand meets no step. Below it is the throat.
    surface = np.where(radius < 1, -_HEAD[2] * np.sqrt(np.clip(1 - radius**2, 0, None)), _NOTHING * (radius - 1))
    throat = np.where(y > 0.06, -0.06 + 1.1 * (y - 0.085) + 0.8 * np.clip(np.abs(x) - 0.03, 0, None), np.inf)
    surface = np.minimum(surface, throat)
    mesh = face.neutral_face().astype(np.float64)
    squared = (x[..., None] - mesh[:, 0]) ** 2 + (y[..., None] - mesh[:, 1]) ** 2
    weights = 1 / (squared + 1e-6) ** 2
    on_mesh = (weights * mesh[:, 2]).sum(axis=-1) / weights.sum(axis=-1)
    surface = np.where(squared.min(axis=-1) < 0.012**2, on_mesh, surface) - FINGER
    for values in (x, y, surface):
        values.setflags(write=False)
    return x, y, surface


def trunk_surface(x: np.ndarray, y: np.ndarray, shoulder_half_width: float) -> np.ndarray:
    """Returns z a finger in front of the skin of the trunk at each x and y, or of nothing beside the trunk."""
    inside = np.clip(1 - (x / (1.1 * shoulder_half_width)) ** 2, 0, None) * np.clip((y + 0.03) / 0.1, 0, 1)
    return np.where(inside > 0, -_TRUNK_DEPTH * np.sqrt(inside), _NOTHING)


def depth(hand: np.ndarray, body: Proportions, rotation: np.ndarray | None) -> np.ndarray:
    """Returns how far a hand's deepest joint is behind the skin of head or trunk, (T,); negative values are distances
    to it.

    hand: (T, 21, 3).  rotation: (T, 3, 3) of the head, or None.
    """
    relative = (hand - body.head_centre) / body.head
    if rotation is not None:
        relative = relative @ rotation
    _, _, surface = head_surface()
    rows, columns = surface.shape
    x = np.clip((relative[..., 0] + _GRID_X) / _CELL, 0, columns - 1.001)
    y = np.clip((relative[..., 1] + _GRID_Y) / _CELL, 0, rows - 1.001)
    column, row = x.astype(np.intp), y.astype(np.intp)
    right, low = x - column, y - row
    cell = row * columns + column
    flat = surface.ravel()
    above = flat[cell] * (1 - right) + flat[cell + 1] * right
    below = flat[cell + columns] * (1 - right) + flat[cell + columns + 1] * right
    deepest = body.head * (relative[..., 2] - above * (1 - low) - below * low)
    trunk = trunk_surface(hand[..., 0], hand[..., 1], body.shoulder_half_width)
    return np.maximum(deepest, hand[..., 2] - trunk).max(axis=1)


def forearm_depth(elbow: np.ndarray, wrist: np.ndarray, shoulder_half_width: float) -> np.ndarray:
    """Returns how far a hand must move towards the camera to take its forearm out of the trunk, (T,).

    elbow, wrist: (T, 3), the ends of the forearm.
    """
    share = np.array((0.35, 0.6, 0.85))
    x, y, z = (elbow[:, k, None] + share * (wrist - elbow)[:, k, None] for k in range(3))
    wide = 1 - (x / (FOREARM_WIDE * shoulder_half_width)) ** 2
    surface = -FOREARM_DEEP * np.sqrt(np.clip(wide, 0, None))
    behind = np.where(wide > 0, np.clip(z - surface, 0, None), 0) * np.clip((y - 0.02) / 0.1, 0, 1)
    return np.minimum(behind / share, _MAX_GAP).max(axis=1)


@dataclass(frozen=True)
class Limb:
    """An arm that another hand touches or evades. points: (T, K, 3).  radii: (K,)."""

    points: np.ndarray
    radii: np.ndarray

    @classmethod
    def of(cls, shoulder: np.ndarray, elbow: np.ndarray, hand: np.ndarray) -> Limb:
        """Returns the limb with shoulder (3,), elbow (T, 3) and hand (T, 21, 3)."""
        palm = 0.5 * (hand[:, :1] + hand[:, layout.KNUCKLES])
        share = np.linspace(0, 0.85, 6)[:, None]
        forearm = elbow[:, None] + share * (hand[:, :1] - elbow[:, None])
        share = np.linspace(0.2, 0.8, 4)[:, None]
        upper = shoulder + share * (elbow[:, None] - shoulder)
        radii = np.repeat((_HAND_RADIUS, _FOREARM_RADIUS, _UPPER_ARM_RADIUS), (25, 6, 4))
        return cls(np.concatenate([hand, palm, forearm, upper], axis=1), radii)

    def nearest(self, hand: np.ndarray, squared: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the distance (T,) of a hand (T, 21, 3) from the skin of the limb, the unit vector (T, 3) from its
        nearest joint to the limb, and that joint (T,).

        The distance is negative inside the limb.  squared: (T, 21, K) squared distances, if known.
        """
        squared = self.squared(hand) if squared is None else squared
        distance = np.sqrt(np.clip(squared, 1e-10, None)) - self.radii
        joint, point = np.divmod(distance.reshape(len(hand), -1).argmin(axis=1), distance.shape[2])
        frames = np.arange(len(hand))
        vector = self.points[frames, point] - hand[frames, joint]
        direction = vector / np.maximum(np.linalg.norm(vector, axis=1, keepdims=True), 1e-6)
        return distance[frames, joint, point], direction, joint

    def pull(
        self, hand: np.ndarray, elbow: np.ndarray, firmness: np.ndarray, give: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the move (T, 3) of a hand that touches the limb, and how far the arm must evade the limb towards the
        camera, (T,).

        hand: (T, 21, 3).  elbow: (T, 3).  firmness: (T,) in 0..1, how firmly the hand touches.
        give: (T,) metres by which the forearm may come nearer.
        """
        towards, evasion = np.zeros((len(hand), 3)), np.zeros(len(hand))
        # Only where the arms come near each other.
        middle = 0.5 * (hand[:, :1] + elbow[:, None])
        ours, theirs = np.concatenate([hand[:, 9:10], middle], axis=1), self.points[:, _MARKS]
        near = (np.abs(ours[:, :, None] - theirs[:, None]).max(axis=3).min(axis=(1, 2)) < 0.25) | (firmness > 0)
        if near.any():
            limb = Limb(self.points[near], self.radii)
            hand, elbow, firmness = hand[near], elbow[near], firmness[near]
            squared = limb.squared(hand)
            clearance, direction, _ = limb.nearest(hand, squared)
            towards[near] = (firmness * np.clip(clearance - RESTS, 0, _MAX_GAP))[:, None] * direction
            forearm = elbow[:, None] + np.linspace(0.3, 0.9, 4)[:, None] * (hand[:, :1] - elbow[:, None])
            before = limb.before(forearm, limb.squared(forearm), _FOREARM_SOFT)
            before = before if give is None else before - give[near]
            evasion[near] = np.maximum(limb.before(hand, squared, 0.001), before)
        return towards, evasion

    def squared(self, points: np.ndarray) -> np.ndarray:
        """Returns squared distances (T, N, K) of points (T, N, 3) from those of the limb."""
        return (
            (points**2).sum(axis=-1)[:, :, None]
            + (self.points**2).sum(axis=-1)[:, None]
            - 2 * points @ self.points.transpose(0, 2, 1)
        )

    def before(self, points: np.ndarray, squared: np.ndarray, room: float) -> np.ndarray:
        """Returns how far points (T, N, 3) must move towards the camera to be at least `room` away from the skin of the
        limb, (T,)."""
        reach = (self.radii + room) ** 2
        ahead = self.points[:, None, :, 2] - points[:, :, None, 2]
        way = np.sqrt(np.clip(reach - squared + ahead**2, 0, None)) - ahead
        return np.where(squared < reach, np.clip(way, 0, _MAX_GAP), 0).max(axis=(1, 2))


def firm(depths: np.ndarray, firmness: np.ndarray) -> np.ndarray:
    """Returns how far a hand moves on towards the skin that it touches as firmly as `firmness` (T,) in 0..1 says, (T,)
    metres."""
    distance = np.clip(-depths, 0, None)
    return firmness * distance * np.clip(2 - distance / _MAX_GAP, 0, 1)
