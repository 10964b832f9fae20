"""Hands that are up and sign nothing: they wander from place to place, linger, and change their shape.

Shapes: T frames, P points of a view of the layout, `(T, P, 3)` in units of image height, NaN where missing.
"""

from __future__ import annotations

import numpy as np

from signloom.anatomy.idle_hands import (
    SIDES,
    Trunk,
    arm,
    drawn_shape,
    elbow_of,
    made_hand,
    palm_length,
    pose_point,
    turned,
)
from signloom.anatomy.measures import Side

# Where a wrist wanders, from the middle of the shoulders in shoulder widths, to its own side and down: head to lap.
_LEAST_PLACE, _MOST_PLACE = np.array((-0.4, -0.9)), np.array((1.0, 1.3))
# Share of the moves that stay near the last place (a scratch, a tug), and their spread in shoulder widths.
_NEAR_SHARE, _NEAR = 0.5, 0.2
# Time from place to place, and at a place, in seconds; share of the places where the hand lingers.
_MOVE_SECONDS, _LINGER_SECONDS, _LINGER_SHARE = (0.15, 0.7), (0.1, 0.8), 0.5
# Degrees that a hand turns from place to place.
_TURN = 25.0
# Share of the places at which the hand has a new shape, and of the shapes that are of a hand at rest.
_NEW_SHAPE_SHARE, _RESTING_SHARE = 0.4, 0.5
# Angles of a finger, degrees: how it is spread, and how its two lower joints are bent where it is stretched, folded,
# hooked or bent. A hand that signs has fingers of any of these.
_SPREADS = np.array((8.0, 2, -4, -10))
_BENDS = np.array([(5.0, 5.0), (80.0, 95.0), (10.0, 80.0), (70.0, 10.0)])
_THUMB, _THUMB_SPREAD = np.array((35.0, 20, 20, 20)), np.array((20.0, 15, 20, 20))
_BEND_SPREAD = 8.0
_ELBOW_OUT = (0.15, 0.7)


def wander(points: np.ndarray, trunk: Trunk, side: Side, rng: np.random.Generator, *, view: str, fps: float) -> None:
    """Lets a hand wander through all frames of a clip; in place. Its shapes are those of hands at
    rest, or any others that fingers can make."""
    last = (len(points) - 1) / fps
    shape = _shape(points, trunk, side, rng, view)
    place, degrees, now = rng.uniform(_LEAST_PLACE, _MOST_PLACE), 0.0, 0.0
    times, places, turns, shapes = [now], [place], [degrees], [shape]
    while now < last:
        if rng.random() < _LINGER_SHARE:
            now += rng.uniform(*_LINGER_SECONDS)
            times, places, turns, shapes = [*times, now], [*places, place], [*turns, degrees], [*shapes, shape]
        near = rng.random() < _NEAR_SHARE
        place = place + rng.normal(size=2) * _NEAR if near else rng.uniform(_LEAST_PLACE, _MOST_PLACE)
        place = place.clip(_LEAST_PLACE, _MOST_PLACE)
        degrees += rng.normal() * _TURN
        if rng.random() < _NEW_SHAPE_SHARE:
            shape = _shape(points, trunk, side, rng, view)
        now += rng.uniform(*_MOVE_SECONDS)
        times, places, turns, shapes = [*times, now], [*places, place], [*turns, degrees], [*shapes, shape]
    moments = np.arange(len(points)) / fps
    before = np.searchsorted(times, moments, side="right").clip(1, len(times) - 1) - 1
    starts = np.array(times)
    share = (moments - starts[before]) / (starts[before + 1] - starts[before])
    # A move begins and ends slowly.
    share = share * share * (3 - 2 * share)

    def between(knots: list[np.ndarray]) -> np.ndarray:
        values = np.array(knots)
        weight = share.reshape(-1, *[1] * (values.ndim - 1))
        mixed: np.ndarray = values[before] + weight * (values[before + 1] - values[before])
        return mixed

    wrist = trunk.middle + between(places) * trunk.width * (trunk.outwards(side), 1.0)
    hands = np.stack(
        [
            turned(hand, np.array([angle]))[0]
            for hand, angle in zip(between(shapes), between([np.array(turn) for turn in turns]), strict=True)
        ]
    )
    hands[..., :2] += wrist[:, None]
    shoulder = points[:, pose_point(view, f"{side}_shoulder"), :2]
    shoulder = np.where(np.isfinite(shoulder), shoulder, trunk.middle)
    elbow = elbow_of(shoulder, wrist, trunk, side, rng.uniform(*_ELBOW_OUT))
    columns, values = arm(view, side, hands, elbow, points)
    points[:, columns] = values


def _shape(points: np.ndarray, trunk: Trunk, side: Side, rng: np.random.Generator, view: str) -> np.ndarray:
    """Returns the shape of a hand, `(21, 3)` relative to its wrist."""
    if rng.random() < _RESTING_SHARE:
        return drawn_shape(points, trunk, side, rng, view)
    bends = _BENDS[rng.integers(len(_BENDS), size=4)] + rng.normal(size=(4, 2)) * _BEND_SPREAD
    fingers = np.column_stack([_SPREADS * rng.uniform(0, 2), bends])
    angles = np.concatenate([_THUMB + rng.normal(size=4) * _THUMB_SPREAD, fingers.ravel()])
    # Fingers point up and to the other side more often than down.
    pointing = np.array((0.3, -0.5, -0.2)) + rng.normal(size=3) * 0.7
    palm = palm_length(points, trunk, view)
    return made_hand(angles, pointing, rng.normal(size=3), palm, trunk.outwards(side)) * rng.uniform(0.85, 1.15)


def some_sides(rng: np.random.Generator) -> list[Side]:
    """Returns the hands that wander: one of them or, as often, both."""
    return list(SIDES) if rng.random() < 0.5 else [SIDES[rng.integers(2)]]
