"""`Measures`: whether the points of a clip are a person, or those of several clips together.

Lengths are in shoulder widths (the median width of the clip) unless they say otherwise. A measure is NaN where too
little is known of its parts: it cannot be told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from signloom import layout

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")
# A hand later than the pose by more frames than this is not looked for.
MAX_LAG_FRAMES = 10
# Shifts of the points of the pose by more places are not looked for.
MAX_SHIFT = 4


@dataclass(frozen=True)
class Measures:
    """What was measured of one clip, or of several by `combined`.

    num_frames, num_clips: counts.  frames: by group of the layout, the frames in which it is present.

    shoulders: width of the shoulders, units of image height.
    turn_degrees: direction of the head from the middle of the shoulders: 0 is up, 90 is to the right of the image, 180
    down.  sides: -1..1, where the left shoulder is, seen with the head up: 1 where it belongs when the signer faces the
    camera, -1 on the other side (a mirrored body).
    face_turn_degrees, face_sides: the same of the face mesh (forehead over chin, left cheek).
    head_height: head over shoulders along the body.  hips_below: hips under shoulders along the body.
    head_x, head_y: place of the head in the picture, 0..1 from left to right and from top to bottom.
    face_size: height of the face mesh.
    face_at_head: distance of the tip of the nose in the face mesh from the nose of the pose.

    wrist_own, wrist_other: (2,) left and right hand: distance of the hand's wrist from the pose's wrist of the same and
    of the other side.  wrist_own_image, wrist_other_image: the same in units of image height.
    shift_costs: (2 * MAX_SHIFT + 1,) mean length of the bones of the pose above the hips, if its points were
    -MAX_SHIFT..MAX_SHIFT places later in their order: shortest at 0.
    face_order: length of the outlines of lips and eyes in heights of the face; long if its points are out of order.
    hand_size: (2,) from wrist to middle knuckle, 90th percentile.  hand_box: (2,) larger side of the box around the
    hand, units of image height.  forearm: (2,) from elbow to wrist, 90th percentile.
    hand_order: (2,) how much longer the fingers' bones are than at best if the points within the hand were shifted; 1
    is best as they are.  hand_shift: (2,) the shift at which they are shortest, 0 as they should be.
    hand_sides: (2,) -1..1, 1 where a hand bends its fingers like a hand of its own side, -1 like one of the other.
    hand_bones, eyes: variation over the frames of the length of hand bones and of the distance of the eyes,
    (90th - 10th percentile) / median.

    wrist_root, hand_mean: (2,) distance of the hand's wrist, and of the mean of its points, from the origin (0, 0),
    units of image height, the greatest over the frames; near 0 if the hand is relative to it.
    nose_root, shoulders_root, pose_mean: the same of the nose, the middle of the shoulders, the mean of the pose.
    box: how much the box around body, hands and face changes over the frames, the most of its four sides, units of
    image height; 0 if every frame was scaled to its own box.
    unit_box: how far the box around the clip is from the picture, the most of its four sides; 0 if the clip was scaled
    to its own box.
    outside: share of the known points of head, shoulders, hands and face outside the picture.
    largest: the largest x or y of these points, units of image height.
    visibility_low, visibility_high: the range of the visibility.
    step: median distance that a point moves from one frame to the next.
    lag_costs: (2 * MAX_LAG_FRAMES + 1,) mean squared difference between hand and wrist if hands were later by
    -MAX_LAG_FRAMES..MAX_LAG_FRAMES frames, in units of the arm's own movement; NaN if the arms hardly move.
    lag_frames: frames that `lag_costs` rests on.
    """

    num_frames: int
    num_clips: int
    frames: Mapping[str, int]
    shoulders: float
    turn_degrees: float
    sides: float
    face_turn_degrees: float
    face_sides: float
    head_height: float
    hips_below: float
    head_x: float
    head_y: float
    face_size: float
    face_at_head: float
    wrist_own: np.ndarray
    wrist_other: np.ndarray
    wrist_own_image: np.ndarray
    wrist_other_image: np.ndarray
    shift_costs: np.ndarray
    face_order: float
    hand_size: np.ndarray
    hand_box: np.ndarray
    forearm: np.ndarray
    hand_order: np.ndarray
    hand_shift: np.ndarray
    hand_sides: np.ndarray
    hand_bones: float
    eyes: float
    wrist_root: np.ndarray
    hand_mean: np.ndarray
    nose_root: float
    shoulders_root: float
    pose_mean: float
    box: float
    unit_box: float
    outside: float
    largest: float
    visibility_low: float
    visibility_high: float
    step: float
    lag_costs: np.ndarray
    lag_frames: int

    def over_hands(self, values: np.ndarray) -> float:
        """Returns the mean of a measure of both hands, (2,), weighted by the frames in which each is present."""
        weights = np.array([self.frames[f"{side}_hand"] for side in SIDES], dtype=np.float64)
        known = np.isfinite(values) & (weights > 0)
        return float(np.average(values[known], weights=weights[known])) if known.any() else math.nan

    @property
    def pose_shift(self) -> int | None:
        """The places by which the points of the pose come too late in their order; None if it cannot be told."""
        return None if np.isnan(self.shift_costs).any() else int(np.argmin(self.shift_costs)) - MAX_SHIFT

    @property
    def lag(self) -> int | None:
        """The number of frames by which the hands are later than the pose; None if it cannot be told."""
        known = np.isfinite(self.lag_costs[MAX_LAG_FRAMES])
        return int(np.nanargmin(self.lag_costs)) - MAX_LAG_FRAMES if known else None


def combined(clips: Sequence[Measures]) -> Measures:
    """Returns the measures of several clips together: medians over the clips, weighted by frames; ranges stay ranges.

    Raises ValueError for no clips.
    """
    if not clips:
        raise ValueError("no clips to combine")
    with np.errstate(all="ignore"):
        return _combined(clips)


def _combined(clips: Sequence[Measures]) -> Measures:
    weights = np.array([clip.num_frames for clip in clips], dtype=np.float64)
    values: dict[str, object] = {
        "num_frames": int(weights.sum()),
        "num_clips": sum(clip.num_clips for clip in clips),
        "frames": {name: sum(clip.frames[name] for clip in clips) for name in layout.GROUPS},
        "visibility_low": _least([clip.visibility_low for clip in clips]),
        "visibility_high": -_least([-clip.visibility_high for clip in clips]),
        "lag_frames": sum(clip.lag_frames for clip in clips),
        "lag_costs": weighted_costs(
            [clip.lag_costs for clip in clips], [clip.lag_frames for clip in clips], 2 * MAX_LAG_FRAMES + 1
        ),
        "shift_costs": weighted_costs([clip.shift_costs for clip in clips], list(weights), 2 * MAX_SHIFT + 1),
    }
    for name in ("turn_degrees", "face_turn_degrees"):
        values[name] = _median_angle(np.array([getattr(clip, name) for clip in clips]), weights)
    for entry in fields(Measures):
        if entry.name in values:
            continue
        column = np.array([getattr(clip, entry.name) for clip in clips], dtype=np.float64)
        hands = column.ndim == 2
        if not hands:
            values[entry.name] = _weighted_median(column, weights)
            continue
        seen = [np.array([clip.frames[f"{side}_hand"] for clip in clips], dtype=np.float64) for side in SIDES]
        values[entry.name] = np.array([_weighted_median(column[:, side], seen[side]) for side in range(2)])
    return Measures(**values)  # type: ignore[arg-type]


def _least(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return min(known, default=math.nan)


def weighted_costs(costs: Sequence[np.ndarray], weights: Sequence[float], size: int) -> np.ndarray:
    """Returns the means of several arrays of costs, (size,), each entry over the arrays that know it; NaN where they
    are fewer than half by weight."""
    if not costs:
        return np.full(size, np.nan)
    table, weight = np.array(costs), np.array(weights, dtype=np.float64)
    shares = np.isfinite(table).T @ weight
    mean = np.where(np.isfinite(table), table, 0).T @ weight / shares
    return np.asarray(np.where(shares >= 0.5 * weight.sum(), mean, np.nan))


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    known = np.isfinite(values) & (weights > 0)
    if not known.any():
        return math.nan
    order = np.argsort(values[known])
    total = np.cumsum(weights[known][order])
    return float(values[known][order][np.searchsorted(total, total[-1] / 2)])


def _median_angle(degrees: np.ndarray, weights: np.ndarray) -> float:
    """Returns the direction of the sum of directions, each as often as its weight; NaN for none."""
    known = np.isfinite(degrees)
    if not known.any():
        return math.nan
    angles = np.radians(degrees[known])
    return math.degrees(math.atan2(float(weights[known] @ np.sin(angles)), float(weights[known] @ np.cos(angles))))
