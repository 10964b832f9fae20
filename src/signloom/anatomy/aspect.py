"""Estimates the shape of the image from points that are fractions of its width and height.

The wrong shape makes faces and bodies wide or narrow. Proportions of the face mesh, or without it of the pose, tell
which of the usual shapes is the right one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from signloom import layout

# The usual shapes, each 1.33 times as wide as the one before, with a size of that shape.
SHAPES = {"9:16": (720, 1280), "3:4": (480, 640), "1:1": (720, 720), "4:3": (640, 480), "16:9": (1280, 720)}
_ASPECTS = np.array([width / height for width, height in SHAPES.values()])
# Lengths of the face mesh that face the camera: beside the ears and at temples and cheeks; forehead to chin, bridge of
# the nose to chin. In space: MediaPipe's z has the scale of x, so that a turned head keeps its proportions.
_FACE_WIDTHS = ("face.454 face.234", "face.356 face.127", "face.389 face.162", "face.361 face.132")
_FACE_HEIGHTS = ("face.10 face.152", "face.151 face.200")
# Widths and heights of the pose in the image; its z is too rough. Each end is the middle of some points.
_POSE_RATIOS = {
    "eyes": ("left_eye_outer", "right_eye_outer", "left_eye right_eye", "mouth_left mouth_right"),
    "ears": ("left_ear", "right_ear", "left_eye right_eye", "mouth_left mouth_right"),
    "shoulders": ("left_shoulder", "right_shoulder", "left_shoulder right_shoulder", "left_hip right_hip"),
}
# Their usual ratios: medians of twelve people at their webcams (public recordings), each over all frames. People
# differ by up to 5 % in the face, by up to 6 % in the pose; the shapes by 33 %.
_USUAL_FACE = np.array([[0.834, 1.07], [0.843, 1.083], [0.83, 1.067], [0.801, 1.03]])
_USUAL_POSE = {"eyes": 1.285, "ears": 1.775, "shoulders": 0.703}
# Of the logarithm of the ratio; half of the way between two shapes is 0.144.
_UNSURE_FACE = 0.125
_UNSURE_POSE = 0.1
# Head and trunk of the pose may differ by this in the logarithm: a bent head, guessed hips.
_POSE_DISAGREES = 0.3
# Frames: in fewer, one turned head decides.
_FEWEST_FRAMES = 10
# More frames say nothing new.
_MOST_FRAMES = 900


@dataclass(frozen=True)
class AspectEstimate:
    """The estimated shape of an image.

    name: one of SHAPES, None if unsure.  ratio: width over height that would make the proportions usual; NaN if nothing
    could be measured.  by: what it was measured on, `face` or `pose`, empty for neither.  num_frames: the frames
    measured.
    """

    name: str | None
    ratio: float
    by: str
    num_frames: int

    @property
    def image_size(self) -> tuple[int, int] | None:
        """A size of this shape in pixels, for coordinates; the true number of pixels is unknown. None if unsure."""
        return SHAPES[self.name] if self.name else None

    def __str__(self) -> str:
        if not self.by:
            return "nothing to measure the shape of the image on"
        where = "face" if self.by == "face" else "head and trunk"
        measured = f"{where} would be usual in an image of {self.ratio:.2f}:1"
        return measured if self.name else f"{measured}, as no usual image is"


def estimate_aspect(fractions: np.ndarray) -> AspectEstimate:
    """Returns the estimated shape of the image of one camera.

    fractions: (T, 543, 3) points of any frames, x and z in image widths, y in image heights, NaN where missing.
    """
    face = _thinned(fractions, "face")
    if len(face) >= _FEWEST_FRAMES:
        logs = np.array([np.mean(np.log(_face_ratios(face, aspect) / _USUAL_FACE)) for aspect in _ASPECTS])
        return _nearest(logs, "face", len(face), _UNSURE_FACE)
    pose = _thinned(fractions, "pose")
    if len(pose) < _FEWEST_FRAMES:
        return AspectEstimate(None, math.nan, "", len(pose))
    head, trunk = _pose_logs(pose)
    estimate = _nearest((head + trunk) / 2, "pose", len(pose), _UNSURE_POSE)
    if np.abs(head - trunk).max() > _POSE_DISAGREES:
        return AspectEstimate(None, estimate.ratio, "pose", len(pose))
    return estimate


def _thinned(fractions: np.ndarray, group: str) -> np.ndarray:
    """Returns the frames in which a group is known, at most about `_MOST_FRAMES` of them."""
    known = fractions[np.isfinite(fractions[:, layout.GROUPS[group], 0]).all(axis=1)]
    return known[:: max(1, len(known) // _MOST_FRAMES)]


def _nearest(logs: np.ndarray, by: str, num_frames: int, unsure: float) -> AspectEstimate:
    """Returns the shape at which the proportions are nearest to the usual ones.

    logs: (5,) logarithm of the measured over the usual ratio at each of the shapes, ascending.
    """
    if not np.isfinite(logs).all():
        return AspectEstimate(None, math.nan, "", num_frames)
    best = int(np.abs(logs).argmin())
    # Between two shapes the logarithm is nearly linear; outside them a face grows as the image.
    ratio = math.exp(float(np.interp(0, logs, np.log(_ASPECTS)))) if logs[0] < 0 < logs[-1] else math.nan
    if math.isnan(ratio):
        ratio = float(_ASPECTS[best] * math.exp(-logs[best]))
    return AspectEstimate(list(SHAPES)[best] if abs(logs[best]) < unsure else None, ratio, by, num_frames)


def _face_ratios(face: np.ndarray, aspect: float) -> np.ndarray:
    """Returns the medians over the frames of widths over heights of the face, (widths, heights)."""
    scale = np.array([aspect, 1, aspect], dtype=face.dtype)

    def length(ends: str) -> np.ndarray:
        first, second = layout.indices(*ends.split())
        return np.asarray(np.linalg.norm((face[:, first] - face[:, second]) * scale, axis=-1))

    heights = [length(ends) for ends in _FACE_HEIGHTS]
    return np.array([[np.median(length(ends) / height) for height in heights] for ends in _FACE_WIDTHS])


def _pose_logs(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the logarithm of measured over usual ratios of head and trunk at each of the shapes, (5,) each."""

    def middle(names: str) -> np.ndarray:
        return np.asarray(pose[:, layout.indices(*(f"pose.{name}" for name in names.split())), :2].mean(axis=1))

    def logs(name: str) -> np.ndarray:
        left, right, top, bottom = (middle(names) for names in _POSE_RATIOS[name])
        across, down = left - right, top - bottom
        scales = [np.array([aspect, 1], dtype=pose.dtype) for aspect in _ASPECTS]
        ratios = [
            np.median(np.linalg.norm(across * scale, axis=1) / np.maximum(np.linalg.norm(down * scale, axis=1), 1e-9))
            for scale in scales
        ]
        return np.asarray(np.log(np.array(ratios) / _USUAL_POSE[name]))

    return (logs("eyes") + logs("ears")) / 2, logs("shoulders")
