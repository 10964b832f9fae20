"""Writes `.pose` files (of the pose-format library), and the names of their Holistic layout."""

from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType

import numpy as np

from signloom import layout
from signloom.errors import needs_extra
from signloom.files.writing import atomic_write
from signloom.landmarks import Landmarks

# Our group for each component of pose-format's Holistic layout. Source: pose-format 0.15, utils/holistic.py.
COMPONENTS = {
    "POSE_LANDMARKS": "pose",
    "FACE_LANDMARKS": "face",
    "LEFT_HAND_LANDMARKS": "left_hand",
    "RIGHT_HAND_LANDMARKS": "right_hand",
}

# Body limbs of MediaPipe's POSE_CONNECTIONS, for tools that draw a .pose file.
_BODY_LIMBS = (
    "nose-left_eye_inner left_eye_inner-left_eye left_eye-left_eye_outer left_eye_outer-left_ear "
    "nose-right_eye_inner right_eye_inner-right_eye right_eye-right_eye_outer right_eye_outer-right_ear "
    "mouth_left-mouth_right left_shoulder-right_shoulder left_shoulder-left_elbow left_elbow-left_wrist "
    "left_wrist-left_pinky left_wrist-left_index left_wrist-left_thumb left_pinky-left_index "
    "right_shoulder-right_elbow right_elbow-right_wrist right_wrist-right_pinky right_wrist-right_index "
    "right_wrist-right_thumb right_pinky-right_index left_shoulder-left_hip right_shoulder-right_hip "
    "left_hip-right_hip left_hip-left_knee right_hip-right_knee left_knee-left_ankle right_knee-right_ankle "
    "left_ankle-left_heel right_ankle-right_heel left_heel-left_foot_index right_heel-right_foot_index "
    "left_ankle-left_foot_index right_ankle-right_foot_index"
).split()
_COLORS = {"pose": (255, 0, 0), "face": (128, 0, 0), "left_hand": (0, 192, 0), "right_hand": (0, 0, 255)}

# In the format, confidence 0 means "not detected"; a detected point of visibility 0 gets this confidence instead.
_LEAST_CONFIDENCE = 1e-6
_DEFAULT_HEIGHT = 1000


def write_pose(landmarks: Landmarks, path: Path) -> None:
    """Writes a clip as a `.pose` file (version 0.2) in pose-format's Holistic layout, whole or not at all.

    Pixels in the file are square: an anamorphic image gets the width at which it is shown. A clip without an image size
    gets 1,000 x 1,000. Missing points have confidence 0; other points have their visibility (body) or 1.
    """
    pose_format = require_pose_format()
    from pose_format import numpy as body_module
    from pose_format import pose_header as header_module

    size = landmarks.image_size or (_DEFAULT_HEIGHT, _DEFAULT_HEIGHT)
    width, height = max(1, round(size[0] * landmarks.pixel_aspect)), size[1]
    components = [
        header_module.PoseHeaderComponent(
            name=name,
            points=[pose_format_name(point) for point in _points_of(group)],
            limbs=_limbs(group),
            colors=[_COLORS[group]],
            point_format="XYZC",
        )
        for name, group in COMPONENTS.items()
    ]
    order = layout.indices(*(point for group in COMPONENTS.values() for point in _points_of(group)))
    points = landmarks.points.astype(np.float64)[:, order]
    pixels = points * (height, height, height / width)
    detected = np.isfinite(pixels).all(axis=-1)
    confidence = detected.astype(np.float64)
    of_pose = order < layout.NUM_POSE_POINTS
    visibility = np.nan_to_num(landmarks.visibility[:, order[of_pose]].astype(np.float64), nan=1.0)
    confidence[:, of_pose] *= np.clip(visibility, _LEAST_CONFIDENCE, 1)
    pose = pose_format.Pose(
        header_module.PoseHeader(0.2, header_module.PoseHeaderDimensions(width, height, 0), components),
        body_module.NumPyPoseBody(
            landmarks.fps,
            np.where(detected[..., None], pixels, 0)[:, None].astype(np.float32),
            confidence[:, None].astype(np.float32),
        ),
    )
    buffer = io.BytesIO()
    pose.write(buffer)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def pose_format_name(point: str) -> str:
    """Returns pose-format's name of a layout point: `INDEX_FINGER_TIP` for `left_hand.index_tip`."""
    group, part = point.split(".")
    if group.endswith("hand"):
        finger, _, joint = part.partition("_")
        part = f"{finger}_finger_{joint}" if finger in ("index", "middle", "ring") else part
    return part.upper()


def _points_of(group: str) -> tuple[str, ...]:
    return layout.POINT_NAMES[layout.GROUPS[group]]


def _limbs(group: str) -> list[tuple[int, int]]:
    if group.endswith("hand"):
        return list(layout.HAND_BONES)
    if group == "face":
        return []
    names = [point.split(".")[1] for point in _points_of(group)]
    return [(names.index(a), names.index(b)) for a, b in (limb.split("-") for limb in _BODY_LIMBS)]


def require_pose_format() -> ModuleType:
    """Returns the module `pose_format`. Raises MissingExtraError if it is not installed."""
    with needs_extra("a .pose file"):
        import pose_format
    return pose_format
