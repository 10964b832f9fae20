"""Point lists of other tools: which of their points is which point of our layout.

A `PointList` maps by name. Points that a list does not have are missing; its points that we do not have are left out.
Left and right are the person's own in every list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from signloom import layout


@dataclass(frozen=True)
class PointList:
    """A list of points in the order of another tool.

    title: its name in messages.
    num_points: the length of the list.
    sources: for each of our points that it covers, the points of the list whose mean it is.
    min_score: points with a lower score are missing, unless the user says otherwise.
    assumed_fps: the frame rate where a file does not say it.
    z_in_widths: the list has depth, as MediaPipe gives it: a fraction of the image's width.
    """

    title: str
    num_points: int
    sources: Mapping[str, tuple[int, ...]]
    min_score: float = 0.3
    assumed_fps: float = 25.0
    z_in_widths: bool = False


# For each of the 68 face points (iBUG's mark-up: Sagonas et al., 300 Faces in-the-Wild, 2013, figure 1) the vertex of
# MediaPipe's mesh (canonical_face_model_uv_visualization.png) at the same place: jaw from the person's right ear to the
# left, brows, nose, eyes, lips. A test compares it with the mesh's mirror map.
_FACE_68 = (
    *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91),
    *(78, 81, 13, 311, 308, 402, 14, 178),
)
# The middle of each eyelid, which shows how far an eye is open, is between two of the 68 points.
_EYELIDS = {159: (37, 38), 145: (40, 41), 386: (43, 44), 374: (46, 47)}

# COCO's 17 body joints. Source: cocodataset/cocoapi.
_COCO_BODY = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
).split()
# OpenPose's bodies; None is the neck or the middle of the hips. Source: CMU-Perceptual-Computing-Lab/openpose,
# doc/02_output.md.
_OPENPOSE_18 = (
    *("nose", None, "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
)
# MediaPipe's foot index is the big toe; small toes have no counterpart.
_OPENPOSE_25 = (
    *("nose", None, "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *(None, "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
    *("left_foot_index", None, "left_heel", "right_foot_index", None, "right_heel"),
)
_FEET = ("left_foot_index", None, "left_heel", "right_foot_index", None, "right_heel")
NUM_HAND_POINTS = layout.NUM_HAND_POINTS


def _body(names: Sequence[str | None], start: int = 0) -> dict[str, tuple[int, ...]]:
    return {f"pose.{name}": (start + place,) for place, name in enumerate(names) if name}


def _group(group: str, start: int) -> dict[str, tuple[int, ...]]:
    """Returns the sources of all points of a group that are in our order from `start` on."""
    names = layout.POINT_NAMES[layout.GROUPS[group]]
    return {name: (start + place,) for place, name in enumerate(names)}


def _face_68(start: int) -> dict[str, tuple[int, ...]]:
    table: dict[str, tuple[int, ...]] = {f"face.{vertex}": (start + place,) for place, vertex in enumerate(_FACE_68)}
    return table | {f"face.{vertex}": (start + a, start + b) for vertex, (a, b) in _EYELIDS.items()}


def _hands(left: int, right: int) -> dict[str, tuple[int, ...]]:
    return _group("left_hand", left) | _group("right_hand", right)


def in_order(title: str, groups: Iterable[str], *, extra: int = 0, z: bool = True) -> PointList:
    """Returns a MediaPipe list of whole groups one after the other, then `extra` points that we do not have."""
    sources: dict[str, tuple[int, ...]] = {}
    for group in groups:
        sources |= _group(group, len(sources))
    return PointList(title, len(sources) + extra, sources, min_score=0.0, z_in_widths=z)


# 17 body joints, 6 foot points, 68 face points, 21 points per hand. Source: jin-s13/COCO-WholeBody, data_format.md; a
# test compares it with pose-format's list of the same points.
COCO_WHOLEBODY = PointList(
    "COCO-WholeBody",
    133,
    _body(_COCO_BODY) | _body(_FEET, 17) | _face_68(23) | _hands(91, 112),
)

# OpenPose's 25 body points, 70 face points (the 68 and the pupils, which our mesh does not have), 21 points per hand.
# Its own drawing leaves out body points below 0.05 and hand points below 0.2. Source: openpose, doc/02_output.md and
# flags.hpp.
OPENPOSE = PointList("OpenPose", 137, _body(_OPENPOSE_25) | _face_68(25) | _hands(95, 116), min_score=0.1)
# The same with the older body of 18 points.
OPENPOSE_18 = PointList("OpenPose", 130, _body(_OPENPOSE_18) | _face_68(18) | _hands(88, 109), min_score=0.1)
# What rtmlib and DWPose write for OpenPose's users: 18 body, 6 foot and 68 face points, left and right hand. Source:
# Tau-J/rtmlib, visualization/skeleton/openpose134.py.
OPENPOSE_134 = PointList(
    "OpenPose, as rtmlib writes it",
    134,
    _body(_OPENPOSE_18) | _body(_FEET, 18) | _face_68(24) | _hands(92, 113),
)

# The 19 points of the mesh's outer lips without one beside the left corner, ascending, as in the source below.
_LIPS_19 = (0, 17, 37, 39, 40, 61, 84, 91, 146, 181, 185, 267, 269, 270, 291, 314, 321, 375, 405)
# Right hand, left hand, 19 lip points, and the pose down to the hips, all from MediaPipe Holistic; x and y only.
# Source: the baseline of the MSLR challenge, gufranSabri/Pose86K-CSLR-Isharah, utils/datasetv2.py.
ISHARAH_86 = PointList(
    "Isharah",
    86,
    _hands(21, 0)
    | {f"face.{vertex}": (42 + place,) for place, vertex in enumerate(_LIPS_19)}
    | {name: (61 + place,) for place, name in enumerate(layout.POINT_NAMES[:25])},
    min_score=0.0,
    assumed_fps=30.0,
)

# MediaPipe's pose and hands, as OpenHands keeps them. Source: AI4Bharat/OpenHands, pipelines/generate_pose.py.
HOLISTIC_75 = in_order("pose and hands of MediaPipe Holistic", ("pose", "left_hand", "right_hand"))
# All of MediaPipe Holistic in its own order of parts. Source: AI4Bharat/OpenHands, scripts/mediapipe_extract.py.
HOLISTIC_543 = in_order("MediaPipe Holistic", ("pose", "face", "left_hand", "right_hand"))
# All of MediaPipe Holistic in the order of our layout.
LAYOUT_543 = in_order("MediaPipe Holistic", layout.GROUPS)
