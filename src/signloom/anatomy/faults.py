"""Faults of a body: what is wrong with points that are no person, from their measures, with what was measured.

Thresholds lie between 2,715 clips of webcams (public recordings of at least twelve people, 20 or 30 frames each) and
planted faults. Real clips, alone: a hand's wrist lies 0.06 shoulder widths from the pose's wrist of its own side in the
median clip, 0.28 in the 99th percentile, 0.84 at most, and 0.43 to 2.5 from the other one (5th to 95th percentile); the
head is turned by at most 37 degrees; the left shoulder is on its side by at least 0.73 of -1..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from signloom.anatomy.measures import MAX_SHIFT, SIDES, Measures
from signloom.errors import plural

# Shoulder widths. One badly tracked clip reaches 0.84; the median of a signer's clips is below 0.15.
HANDS_APART = 0.35
HANDS_APART_IN_A_CLIP = 1.0
# Hands are exchanged if they lie nearer than this to the other side's wrist, and this many times nearer than to their
# own.
_EXCHANGED_NEAR = 0.35
_TIMES_NEARER = 2.0
# Degrees: real heads reach 37, lying or falling people are not signing.
_TURNED = 60.0
# -1..1: real ones are at least 0.73; a body seen from the side is near 0.
_MIRRORED = -0.3
# Image heights: rounding to half precision leaves less than this of an origin. Real hands and heads stay 0.4 away.
_AT_ORIGIN = 0.005
# The bones of the pose are shortest in the right order in every real clip: another one makes them 1.23 times as long.
_SHIFTED = 1.03
# Heights of the face: the outlines of lips and eyes of real clips have 1.0 to 1.8, out of order 5 or more.
_FACE_DISORDERED = 3.0
# Several clips of a signer: at least so many. In fewer, single errors of the tracker show.
_SEVERAL = 8
# A finger's bones are at most 1.18 times as long as at best in one real clip, 1.09 in all clips of one sign of a
# signer; with the points shifted they are at least 1.22 times as long in all clips of a signer.
_DISORDERED = 1.15
_DISORDERED_IN_A_CLIP = 1.25
# Frames. The delay of the pose against the hands is 0 in all clips of any of twelve signers.
_LATE_FRAMES = 2
# At the same frame, hand and pose must differ this many times as much as with the delay, and with the delay by less
# than this share of their movement: 0.05 to 0.53 in real recordings of a signer, whichever delay is planted. After a
# jump of the tracker, one clip can show any delay: 8 of 2,715 real clips have one of 3 to 10 frames.
_LATE = (1.5, 0.6)
_LATE_IN_A_CLIP = (10.0, 0.05)
# Shoulder widths per frame: the stillest real clip has 0.0003, its signer rests.
_FROZEN = 0.0001
# Image heights: the box around a person changes by at least 0.005 in a real clip; half precision rounds to 0.001.
_FROZEN_BOX = 0.003
_OUTSIDE = 0.3
# Heads of real clips lie at 0.2 to 0.92 of the width and 0.01 to 0.79 of the height of the picture, and one beside the
# edge would be cut in half. Coordinates from -0.5 to 0.5 have it near 0.
_HEAD_X, _HEAD_Y = (0.05, 0.95), (-0.05, 1.05)
# Image heights: the box around all points of a real clip is 0.74 or more from the picture; rounding leaves less.
_UNIT_BOX = 0.01
# Shoulder widths: real faces have 0.43 to 1.34 in one clip, 0.46 to 0.8 in all clips of a signer.
_FACE_SIZES = (0.2, 1.2)
_FACE_SIZES_IN_A_CLIP = (0.1, 2.0)
# Shoulder widths, wrist to middle knuckle, 90th percentile: real clips have 0.06 to 0.98, all clips of a signer 0.24 to
# 0.46.
_HAND_SIZES = (0.08, 0.9)
_HAND_SIZES_IN_A_CLIP = (0.03, 1.6)
# Hands this large, in image heights, fill the picture: their coordinates are fractions of a crop around the hand.
_CROP_BOX = 0.6
# ... unless the shoulders fill it as well: shoulder widths, as above.
_CROP_SIZE = 0.6
# Larger hands at their own wrists are no crop; shoulder widths.
_CROP_OWN = 0.2


@dataclass(frozen=True)
class Fault:
    """One reason why points are no person, or cannot be used.

    name: one of `FAULTS`.  measured: what was measured, for a message.
    """

    name: str
    measured: str

    @property
    def what(self) -> str:
        """What is wrong, in words."""
        return FAULTS[self.name]

    def __str__(self) -> str:
        return f"{self.what}: {self.measured}"


# What is wrong, by the name of the fault.
FAULTS = {
    "hands_relative": "the hands are relative to a point of their own",
    "body_relative": "the body is relative to a point of its own",
    "body_crop": "the body is relative to the box around it",
    "visibility": "the visibility is outside 0 to 1",
    "shifted": "the points are shifted in their order",
    "x_y_exchanged": "x and y are exchanged",
    "upside_down": "the body is upside down",
    "turned": "the body lies on its side",
    "mirrored": "the body is mirrored: x was reflected after tracking, left and right were not exchanged",
    "face_turned": "the face is not upright as the body is",
    "face_mirrored": "the face is mirrored, the body is not",
    "face_size": "the face has a size that no face has",
    "face_apart": "the face is not at the head of the pose",
    "disordered_face": "the points of the face are not in their order",
    "hips": "the hips are not below the shoulders",
    "hands_exchanged": "the left and the right hand are exchanged",
    "hands_crop": "the hands are relative to a crop around them",
    "hands_apart": "the hands are not at the wrists of the pose",
    "hand_size": "the hands have a size that no hand has",
    "disordered_hand": "the points within a hand are not in their order",
    "hands_late": "the hands and the pose are not of the same moment",
    "frozen": "the points hardly move",
    "outside": "the points are outside the picture",
}


def faults_of(measures: Measures) -> list[Fault]:
    """Returns the faults that the measures of a clip, or the combined measures of several, show; the likeliest cause
    first. What cannot be told is no fault.

    A fault that explains others comes alone: hands of an exchanged order are not reported as apart as well.
    """
    with np.errstate(all="ignore"):
        for found in (list(group(measures)) for group in _CAUSES):
            if found:
                return [*found, *_always(measures)]
        return list(_always(measures))


def _relative(m: Measures) -> Iterator[Fault]:
    for point, distance in (("nose", m.nose_root), ("middle of the shoulders", m.shoulders_root)):
        if distance < _AT_ORIGIN:
            yield Fault("body_relative", f"the {point} stays within {distance:.4f} of the origin in every frame")
    if m.pose_mean < _AT_ORIGIN:
        yield Fault(
            "body_relative", f"the mean of the pose stays within {m.pose_mean:.4f} of the origin in every frame"
        )
    if m.box < _FROZEN_BOX and m.step > 5 * _FROZEN:
        yield Fault(
            "body_crop", f"the box around body, hands and face changes by {m.box:.4f} of the image's height in the clip"
        )
    elif m.unit_box < _UNIT_BOX:
        yield Fault("body_crop", "all points together fill exactly 0 to 1, in width and in height")
    for number, side in enumerate(SIDES):
        for point, distance in (("wrist", m.wrist_root[number]), ("mean", m.hand_mean[number])):
            if distance < _AT_ORIGIN:
                where = f"the {point} of the {side} hand stays within {distance:.4f} of the origin in every frame"
                yield Fault("hands_relative", where)


def _shifted(m: Measures) -> Iterator[Fault]:
    shift = m.pose_shift
    if not shift:
        return
    here, best = float(m.shift_costs[MAX_SHIFT]), float(m.shift_costs.min())
    if here > _SHIFTED * best:
        yield Fault(
            "shifted",
            f"the bones of the pose are {here / best:.2f} times as long as with the points taken "
            f"{plural(abs(shift), 'place')} {'later' if shift > 0 else 'earlier'}",
        )


def _orientation(m: Measures) -> Iterator[Fault]:
    turn, sides, of = m.turn_degrees, m.sides, "the head is {:.0f} degrees from up over the shoulders"
    if math.isnan(turn):
        turn, sides, of = m.face_turn_degrees, m.face_sides, "the forehead is {:.0f} degrees from up over the chin"
    if math.isnan(turn):
        return
    seen = f"{of.format(turn)}, left and right {'on their own sides' if sides > 0 else 'on the other sides'}"
    if abs(turn) > 180 - _TURNED:
        how = "y points up" if sides < _MIRRORED else "the picture is turned by 180 degrees"
        yield Fault("upside_down", f"{seen}: {how}")
    elif abs(turn) > _TURNED:
        yield Fault("x_y_exchanged" if sides < _MIRRORED else "turned", seen)
    elif sides < _MIRRORED:
        yield Fault("mirrored", f"the left shoulder is on the right in the median frame ({sides:.2f} of -1 to 1)")
    elif m.hips_below < 0:
        yield Fault("hips", f"{-m.hips_below:.2f} shoulder widths above them")


def _face(m: Measures) -> Iterator[Fault]:
    low, high = _FACE_SIZES if m.num_clips > 1 else _FACE_SIZES_IN_A_CLIP
    apart = (m.face_turn_degrees - m.turn_degrees + 180) % 360 - 180
    if abs(apart) > 90:
        yield Fault("face_turned", f"{m.face_turn_degrees:.0f} degrees from up, the body {m.turn_degrees:.0f}")
    elif m.face_sides < _MIRRORED < m.sides:
        yield Fault("face_mirrored", f"its left cheek is on the right ({m.face_sides:.2f} of -1 to 1)")
    if m.face_order > _FACE_DISORDERED:
        yield Fault("disordered_face", f"the outlines of lips and eyes are {m.face_order:.1f} heights of the face long")
    elif not low < m.face_size < high and m.frames["face"] and m.frames["pose"]:
        yield Fault("face_size", f"{m.face_size:.2f} shoulder widths from forehead to chin; needed {low:g} to {high:g}")
    elif m.face_at_head > 0.6:
        yield Fault("face_apart", f"their noses are {m.face_at_head:.2f} shoulder widths apart")


def _hands(m: Measures) -> Iterator[Fault]:
    own, other = m.over_hands(m.wrist_own), m.over_hands(m.wrist_other)
    if math.isnan(own):
        return
    measured = (
        f"their wrists lie {own:.2f} shoulder widths ({m.over_hands(m.wrist_own_image):.2f} of the image's height) "
        f"from the pose's wrists of their side, {other:.2f} from those of the other side"
    )
    if own > _TIMES_NEARER * other and other < _EXCHANGED_NEAR and own > HANDS_APART:
        yield Fault("hands_exchanged", measured)
    elif own > _CROP_OWN and (box := m.over_hands(m.hand_box)) > _CROP_BOX and m.over_hands(m.hand_size) > _CROP_SIZE:
        yield Fault("hands_crop", f"each hand spans {box:.2f} of the image's height; {measured}")
    elif own > _far(m):
        yield Fault("hands_apart", measured)


def _sizes(m: Measures) -> Iterator[Fault]:
    low, high = _HAND_SIZES if m.num_clips > 1 else _HAND_SIZES_IN_A_CLIP
    size = m.over_hands(m.hand_size)
    if size < low or size > high:
        yield Fault("hand_size", f"{size:.2f} shoulder widths from wrist to middle knuckle; needed {low:g} to {high:g}")


def _late(m: Measures) -> Iterator[Fault]:
    lag = m.lag
    if lag is None or abs(lag) < _LATE_FRAMES:
        return
    none, best = float(m.lag_costs[len(m.lag_costs) // 2]), float(np.nanmin(m.lag_costs))
    times, most = _LATE if m.num_clips >= _SEVERAL else _LATE_IN_A_CLIP
    if none > times * best and best < most and (m.num_clips >= _SEVERAL or none > 0.5):
        yield Fault(
            "hands_late",
            f"the hands move {plural(abs(lag), 'frame')} {'after' if lag > 0 else 'before'} the pose's wrists "
            f"(difference {best:.2f} of the movement, {none:.2f} at the same frame)",
        )


# The first group that finds something names the cause.
_CAUSES: tuple[Callable[[Measures], Iterator[Fault]], ...] = (
    # Before the others: a shifted point may be a missing one, written as 0.
    _shifted,
    _relative,
    _orientation,
    _face,
    _hands,
    _sizes,
    _late,
)


def _always(m: Measures) -> Iterator[Fault]:
    """Yields the faults that no other one explains."""
    if m.visibility_low < -0.001 or m.visibility_high > 1.001:
        yield Fault("visibility", f"from {m.visibility_low:.2f} to {m.visibility_high:.2f}")
    for number, side in enumerate(SIDES):
        if (
            m.hand_order[number] > (_DISORDERED if m.num_clips >= _SEVERAL else _DISORDERED_IN_A_CLIP)
            and m.frames[f"{side}_hand"] >= 3 * m.num_clips
        ):
            yield Fault(
                "disordered_hand",
                f"the fingers of the {side} hand are {m.hand_order[number]:.2f} times as long as with the points "
                f"shifted by {m.hand_shift[number]:.0f}",
            )
    if m.step < _FROZEN:
        yield Fault("frozen", f"{m.step:.6f} shoulder widths per frame; people at rest have more than 0.0003")
    if m.outside > _OUTSIDE:
        yield Fault(
            "outside",
            f"{100 * m.outside:.0f} % of head, shoulders and hands; the largest coordinate is {m.largest:.3g}",
        )
    elif _is_outside(m.head_x, _HEAD_X) or _is_outside(m.head_y, _HEAD_Y):
        yield Fault("outside", f"the head is at {m.head_x:.2f} of its width and {m.head_y:.2f} of its height")


def _is_outside(value: float, bounds: tuple[float, float]) -> bool:
    """NaN is not outside."""
    return value < bounds[0] or value > bounds[1]


def _far(m: Measures) -> float:
    return HANDS_APART if m.num_clips > 1 else HANDS_APART_IN_A_CLIP
