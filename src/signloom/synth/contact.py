"""Contact corrections: at one frame of each contact, the move and turn that bring a hand to the nearest skin.

Shapes: n contacts, T frames. Metres as in `body`; every arm is a right arm on its own side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from signloom import layout
from signloom.synth.proportions import Proportions
from signloom.synth.rotations import cross
from signloom.synth.skin import RESTS, Limb, head_surface, trunk_surface

# Time before and after the frame of contact over which the hand leaves its path, seconds.
_BEND_SECONDS = 0.2
# The frame of contact has at least this share of the firmest touch in its sign.
_FIRM = 0.8
# The grid of the head's skin keeps every n-th line.
_HEAD_STEP = 3
# Spacing of the grid of the trunk's skin, metres.
_TRUNK_STEP = 0.016
# Joints of the hand that touch: all but the wrist and the root of the thumb.
_TOUCH_WITH = np.arange(2, layout.NUM_HAND_POINTS)
# Joints that touch if the hand is further away than _FINGERS_FROM: the fingers beyond the knuckles.
_FINGERS = np.setdiff1d(np.arange(5, layout.NUM_HAND_POINTS), layout.KNUCKLES)
# Distance from which only the fingers count, metres.
_FINGERS_FROM = 0.015
# Shortest lever for turning a hand, metres.
_MIN_LEVER = 0.05
# Largest turn of a hand about its wrist, radians.
_MAX_TURN = np.radians(55.0)


@dataclass(frozen=True)
class Contact:
    """The frames [start, end) of a sign in which the hand touches `anchor`: the skin of `head` or `trunk`, or the other
    `arm`."""

    start: int
    end: int
    anchor: str


class ContactCorrection:
    """Brings the hand of one arm to the skin, for each contact at the frame in which the hand comes nearest anyway.

    head: (T, 3, 3) rotation of the head.  other: the other arm, if this arm acts on it.
    near: (T,) in 0..1, how near in time a contact is.
    """

    def __init__(
        self,
        contacts: tuple[Contact, ...],
        firmness: np.ndarray,
        body: Proportions,
        head: np.ndarray | None,
        other: Limb | None,
        hand: np.ndarray,
        fps: float,
    ) -> None:
        """firmness: (T,) in 0..1, how firmly the hand touches.  hand: (T, 21, 3) the hand before the correction."""
        self.contacts, self.body, self.head, self.other = contacts, body, head, other
        self.frames = np.zeros(len(contacts), dtype=np.intp)
        for number, contact in enumerate(contacts):
            firm = firmness[contact.start : contact.end]
            frames = contact.start + np.flatnonzero(firm >= _FIRM * firm.max())
            ways, _ = self._nearest(hand, contact.anchor, frames)
            self.frames[number] = frames[(ways**2).sum(axis=1).argmin()]
        away = np.abs(np.arange(len(hand)) - self.frames[:, None]) / max(2.0, _BEND_SECONDS * fps)
        self._bends = 0.5 + 0.5 * np.cos(np.pi * np.minimum(away, 1))
        self.near = self._bends.max(axis=0)
        self._turns = np.zeros((len(contacts), 3))

    def gaps(self, hand: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the vectors from the hand (T, 21, 3) to the skin at each contact, (n, 3), and the nearest joints,
        (n,)."""
        ways, joints = np.zeros((len(self.contacts), 3)), np.zeros(len(self.contacts), dtype=np.intp)
        for number, contact in enumerate(self.contacts):
            frames = self.frames[number : number + 1]
            way, joint = self._nearest(hand, contact.anchor, frames)
            if (way**2).sum() > _FINGERS_FROM**2:
                way, joint = self._nearest(hand, contact.anchor, frames, _FINGERS)
            ways[number], joints[number] = way[0], joint[0]
        return ways, joints

    def spread_over_time(self, ways: np.ndarray) -> np.ndarray:
        """Returns moves at the contacts (n, 3), faded in and out over time, (T, 3)."""
        return self._bends.T @ ways

    def turns(self, hand: np.ndarray, ways: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Returns quaternions (T, 4) that turn the hand (T, 21, 3) about its wrist, so that its joints follow the gaps
        (n, 3).

        Each call adds to the turns of the calls before it.
        """
        lever = hand[self.frames, joints] - hand[self.frames, 0]
        self._turns += cross(lever, ways) / np.maximum((lever**2).sum(axis=1, keepdims=True), _MIN_LEVER**2)
        angle = np.linalg.norm(self._turns, axis=1, keepdims=True)
        self._turns *= np.minimum(1, _MAX_TURN / np.maximum(angle, 1e-9))
        turns = self.spread_over_time(self._turns)
        angle = np.linalg.norm(turns, axis=1, keepdims=True)
        return np.concatenate([np.cos(angle / 2), np.sin(angle / 2) * turns / np.maximum(angle, 1e-9)], axis=1)

    def _nearest(
        self, hand: np.ndarray, anchor: str, frames: np.ndarray, which: np.ndarray = _TOUCH_WITH
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the shortest vectors from joints of the hand (T, 21, 3) to the skin in some frames (n,), (n, 3), and
        which joints they start from, (n,)."""
        joints = hand[frames[:, None], which]
        if anchor == "arm" and self.other is not None:
            limb = Limb(self.other.points[frames], self.other.radii)
            distance, direction, joint = limb.nearest(joints)
            return np.clip(distance - RESTS, 0, None)[:, None] * direction, which[joint]
        if anchor == "head":
            joints = (joints - self.body.head_centre) / self.body.head
            joints = joints if self.head is None else joints @ self.head[frames]
            skin = _head_skin()
        else:
            skin = _trunk_skin(self.body.shoulder_half_width)
        squared = (joints**2).sum(axis=2)[:, :, None] + (skin**2).sum(axis=1) - 2 * joints @ skin.T
        joint, point = np.divmod(squared.reshape(len(frames), -1).argmin(axis=1), len(skin))
        way = skin[point] - joints[np.arange(len(frames)), joint]
        if anchor == "head":
            way = self.body.head * way
            way = way if self.head is None else np.einsum("nij,nj->ni", self.head[frames], way)
        return way, which[joint]


@cache
def _head_skin() -> np.ndarray:
    """Returns points a finger in front of the skin of an average head, relative to its middle, (N, 3)."""
    x, y, z = (values[::_HEAD_STEP, ::_HEAD_STEP] for values in head_surface())
    shown = z < 0
    return np.stack([x[shown], y[shown], z[shown]], axis=1)


@lru_cache(maxsize=64)
def _trunk_skin(shoulder_half_width: float) -> np.ndarray:
    """Returns points a finger in front of the skin of a trunk, (N, 3)."""
    y, x = np.mgrid[0.0:0.42:_TRUNK_STEP, -shoulder_half_width:shoulder_half_width:_TRUNK_STEP]
    return np.stack([x, y, trunk_surface(x, y, shoulder_half_width)], axis=-1).reshape(-1, 3)
