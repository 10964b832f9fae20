"""Cropped pictures: what a camera near the face cuts off, in a clip that shows more.

A tracker does not find a hand outside of the picture. It goes on to report the points of the body there, but as a
guess. Shapes: T frames, P points of a view; planes are points by axis, `(3, T, P)`.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from signloom import layout

# Where the lower edge and the side edges of the picture are, from the middle of the shoulders in shoulder widths. The
# medians of twelve people at webcams are 0.2 to 1.1 below and 1.2 to 2.2 to each side.
_LOWER_EDGE, _SIDE_EDGES = (0.2, 1.3), (1.0, 2.2)
# The lower edge leaves a hand in this share of the frames that show one: a sign that nobody sees teaches nothing.
_KEPT = 0.9
# A hand is found if so many of its 21 points are inside the picture, three tenths (`synth/tracker.py`).
_POINTS_INSIDE = 7
# Standard deviation of a guess, and the distance from the edge at which it is full, in shoulder widths. Assumed.
_GUESS, _FULL_GUESS = 0.15, 0.3
_HANDS = ("left_hand", "right_hand")


def crop_picture(planes: np.ndarray, rng: np.random.Generator, view: str) -> None:
    """Takes hands outside of a picture that is drawn at random, and makes guesses of the body there; in place.

    Without shoulders nothing changes.
    """
    left, right = (planes[:2, :, point] for point in _shoulders(view))
    known = np.isfinite(left[0]) & np.isfinite(right[0])
    if not known.any():
        return
    middle = ((left + right) / 2)[:, known].mean(axis=1)
    width = float(np.hypot(*(left - right)[:, known].mean(axis=1)))
    groups = layout.subset_groups(view)
    hands = [planes[..., groups[name]] for name in _HANDS]
    lower = max(middle[1] + rng.uniform(*_LOWER_EDGE) * width, _lowest_edge(hands))
    sides = middle[0] + rng.uniform(*_SIDE_EDGES, size=2) * (-width, width)
    for hand in hands:
        inside = (hand[1] <= lower) & (hand[0] > sides[0]) & (hand[0] < sides[1])
        hand[:, inside.sum(axis=1) < _POINTS_INSIDE] = np.nan
    pose = planes[..., groups["pose"]]
    outside = np.maximum(pose[1] - lower, np.maximum(sides[0] - pose[0], pose[0] - sides[1])).clip(0)
    # The points of an arm are guessed together.
    guesses = (rng.normal(0, _GUESS * width, (2, 3)))[:, _sides(view)]
    pose[:2] += (outside / (_FULL_GUESS * width)).clip(max=1) * guesses[:, None]


def _lowest_edge(hands: list[np.ndarray]) -> float:
    """Returns the height of an edge above which a hand is found in nine tenths of the frames that show one."""
    # A hand is found above an edge that is no higher than its seventh highest point.
    heights = np.stack([np.partition(hand[1], _POINTS_INSIDE - 1, axis=1)[:, _POINTS_INSIDE - 1] for hand in hands])
    seen = np.isfinite(heights).any(axis=0)
    return float(np.quantile(np.nanmin(heights[:, seen], axis=0), _KEPT, method="higher")) if seen.any() else -np.inf


@cache
def _names(view: str) -> tuple[str, ...]:
    points = layout.subset(view)[layout.subset_groups(view)["pose"]]
    return tuple(layout.POINT_NAMES[point].removeprefix("pose.") for point in points)


@cache
def _shoulders(view: str) -> tuple[int, int]:
    start = layout.subset_groups(view)["pose"].start
    left, right = (start + _names(view).index(f"{side}_shoulder") for side in ("left", "right"))
    return left, right


@cache
def _sides(view: str) -> np.ndarray:
    """Returns 0 for each point of the pose on the left side, 1 on the right, 2 in the middle, (P,)."""
    return np.array([("left_" not in name) + ("left_" not in name and "right_" not in name) for name in _names(view)])
