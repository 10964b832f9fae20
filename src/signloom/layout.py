"""The point layout: order, names, groups, mirror map and subsets of the 543 points of MediaPipe Holistic.

Only this module contains point indices. Order: 33 pose, 21 left hand, 21 right hand, 468 face. "Left" and "right" are
the signer's left and right. Source: MediaPipe 0.10.21, `solutions/pose.py`, `solutions/hands.py`,
`solutions/face_mesh_connections.py` (face mesh without iris refinement).
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from signloom.errors import InputError

NAME = "holistic543"
VERSION = 1

_POSE = (
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear "
    "right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_pinky right_pinky left_index right_index left_thumb right_thumb left_hip right_hip "
    "left_knee right_knee left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index"
).split()
_HAND = (
    "wrist thumb_cmc thumb_mcp thumb_ip thumb_tip index_mcp index_pip index_dip index_tip middle_mcp "
    "middle_pip middle_dip middle_tip ring_mcp ring_pip ring_dip ring_tip pinky_mcp pinky_pip pinky_dip "
    "pinky_tip"
).split()
NUM_FACE_POINTS = 468

GROUPS: dict[str, slice] = {
    "pose": slice(0, 33),
    "left_hand": slice(33, 54),
    "right_hand": slice(54, 75),
    "face": slice(75, 543),
}
POINT_NAMES: tuple[str, ...] = (
    *(f"pose.{name}" for name in _POSE),
    *(f"left_hand.{name}" for name in _HAND),
    *(f"right_hand.{name}" for name in _HAND),
    *(f"face.{number}" for number in range(NUM_FACE_POINTS)),
)
NUM_POINTS = len(POINT_NAMES)
NUM_POSE_POINTS = len(_POSE)
NUM_HAND_POINTS = len(_HAND)

# Bones of one hand, as pairs of positions in the hand; for drawing and bone lengths.
HAND_BONES: tuple[tuple[int, int], ...] = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1) for finger in range(5) for joint in range(4)
)
# The knuckles, index finger to pinky, as positions in the hand.
KNUCKLES = (5, 9, 13, 17)
# The finger tips, thumb to pinky, as positions in the hand.
FINGER_TIPS = (4, 8, 12, 16, 20)

_INDEX = {name: index for index, name in enumerate(POINT_NAMES)}

# Points of the face mesh on the midline. In ascending order, the other 440 are the 220 points of the signer's right
# half, then their 220 counterparts of the left half. Derived by fitting the mirrored mean of many face meshes onto
# itself; a test compares it with the mesh's own named contours.
_FACE_MIDLINE = (
    0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 94, 151, 152, 164, 168, 175, 195, 197, 199, 200,
)  # fmt: skip

# Parts of the face mesh that carry meaning in signing.
_LIPS_OUTER = (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91)
_LIPS_INNER = (78, 81, 13, 311, 308, 402, 14, 178)
_RIGHT_BROW = (70, 63, 105, 107)
_LEFT_BROW = (300, 293, 334, 336)
_EYELIDS = (159, 145, 386, 374)

# Closed outlines of the face mesh, complete and in order, as positions among the 543 points. The outline of an eye
# starts at its outer corner and goes over the middle of the upper lid (fifth point), the inner corner (ninth point) and
# the middle of the lower lid. Those of lips and mouth (the inner edge) start at the right corner and go over the upper
# lip. The oval starts at the forehead and goes to the left. Source: MediaPipe 0.10.21,
# `solutions/face_mesh_connections.py`.
FACE_CONTOURS: dict[str, tuple[int, ...]] = {
    name: tuple(GROUPS["face"].start + int(number) for number in numbers.split())
    for name, numbers in {
        "oval": "10 338 297 332 284 251 389 356 454 323 361 288 397 365 379 378 400 377 "
        "152 148 176 149 150 136 172 58 132 93 234 127 162 21 54 103 67 109",
        "right_eye": "33 246 161 160 159 158 157 173 133 155 154 153 145 144 163 7",
        "left_eye": "263 466 388 387 386 385 384 398 362 382 381 380 374 373 390 249",
        "right_brow": "70 63 105 66 107 55 65 52 53 46",
        "left_brow": "300 293 334 296 336 285 295 282 283 276",
        "lips": "61 185 40 39 37 0 267 269 270 409 291 375 321 405 314 17 84 181 91 146",
        "mouth": "78 191 80 81 82 13 312 311 310 415 308 324 318 402 317 14 87 178 88 95",
    }.items()
}


def index(name: str) -> int:
    """Returns the position of a named point, e.g. `pose.left_shoulder` or `face.13`.

    Raises InputError for an unknown name.
    """
    try:
        return _INDEX[name]
    except KeyError:
        raise InputError(f"layout {NAME}: no point named {name!r}; names look like 'left_hand.wrist'") from None


def indices(*names: str) -> np.ndarray:
    """Returns the positions of several named points, `(len(names),)` int."""
    return np.array([index(name) for name in names], dtype=np.int64)


def hand_joints(*names: str) -> np.ndarray:
    """Returns the positions of several joints within a hand, `(len(names),)` int, e.g. of `wrist` and `thumb_tip`."""
    return indices(*(f"left_hand.{name}" for name in names)) - GROUPS["left_hand"].start


def group_of(point: int) -> str:
    """Returns the group a point belongs to: `pose`, `left_hand`, `right_hand` or `face`."""
    return next(name for name, part in GROUPS.items() if part.start <= point < part.stop)


@cache
def mirror_map() -> np.ndarray:
    """Returns for each point the point that replaces it in a mirrored image, `(543,)` int; it is its own inverse."""
    mirror = np.arange(NUM_POINTS)
    other = {"left": "right", "right": "left"}
    for name, position in _INDEX.items():
        mirror[position] = _INDEX[re.sub("left|right", lambda side: other[side[0]], name)]
    sides = [point for point in range(NUM_FACE_POINTS) if point not in set(_FACE_MIDLINE)]
    half = len(sides) // 2
    start = GROUPS["face"].start
    for right, left in zip(sides[:half], sides[half:], strict=True):
        mirror[start + right], mirror[start + left] = start + left, start + right
    mirror.setflags(write=False)
    return mirror


def _face(points: tuple[int, ...]) -> list[str]:
    return [f"face.{point}" for point in points]


_UPPER_BODY = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist"
).split()

_SUBSETS: dict[str, tuple[str, ...]] = {
    # All points.
    "full": POINT_NAMES,
    # 85 points, as in strong landmark systems (CoSign and MSKA): upper body, both hands, lips, brows, eyelids.
    "compact": (
        *(f"pose.{name}" for name in _UPPER_BODY),
        *(f"left_hand.{name}" for name in _HAND),
        *(f"right_hand.{name}" for name in _HAND),
        *_face(_LIPS_OUTER + _LIPS_INNER + _RIGHT_BROW + _LEFT_BROW + _EYELIDS),
    ),
}


@cache
def subset(name: str) -> np.ndarray:
    """Returns the positions of a named subset's points in ascending order of group, `(P,)` int. Subsets: `full`,
    `compact`.

    Raises InputError for an unknown subset.
    """
    if name not in _SUBSETS:
        raise InputError(f"layout {NAME}: no subset {name!r}; known are {', '.join(_SUBSETS)}")
    points = indices(*_SUBSETS[name])
    points.setflags(write=False)
    return points


@cache
def subset_index(name: str, point: str) -> int:
    """Returns the position of a named point within a subset. Raises InputError for a point that it does not have."""
    found = np.flatnonzero(subset(name) == index(point))
    if not len(found):
        raise InputError(f"layout {NAME}: the subset {name!r} has no point {point!r}")
    return int(found[0])


@cache
def subset_mirror_map(name: str) -> np.ndarray:
    """Returns `mirror_map` within a subset: positions refer to the subset's own order, `(P,)` int."""
    points = subset(name)
    position = {int(point): place for place, point in enumerate(points)}
    mirror = np.array([position[int(mirror_map()[point])] for point in points])
    mirror.setflags(write=False)
    return mirror


@cache
def subset_groups(name: str) -> dict[str, slice]:
    """Returns the slice of each group in the subset's own order."""
    groups = [group_of(int(point)) for point in subset(name)]
    slices = {}
    for group in GROUPS:
        start, count = groups.index(group), groups.count(group)
        if groups[start : start + count] != [group] * count:
            raise AssertionError(f"subset {name!r}: the points of {group} are not contiguous")
        slices[group] = slice(start, start + count)
    return slices
