"""The camera and the tracker: points in metres -> what MediaPipe Holistic would report of them.

Shapes: T frames. In: metres as in `body`. Out: units of the image height, missing parts NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signloom import layout
from signloom.synth.dials import Dials

# Distance of the camera, metres: near things look larger.
_DISTANCE = 2.2
# Jitter at tracker noise 1, in units of the image height: standard deviation and correlation time of each part.
_JITTER = {"pose": 0.0016, "left_hand": 0.0018, "right_hand": 0.0018, "face": 0.0005}
_SHARED_JITTER = {"pose": 0.0008, "left_hand": 0.0015, "right_hand": 0.0015, "face": 0.001}
_JITTER_SECONDS = 0.06
# z is guessed from one image.
_DEPTH_JITTER = 3.0
# Jitter grows by this share for each image height a second that a hand moves.
_JITTER_PER_SPEED = 0.9
# Chance of losing a visible hand, per second, at lost hands 1: at rest, and added when fast, crossing, at the face.
_LOSSES_PER_SECOND = 0.12
_LOSSES_FAST, _LOSSES_CROSSING, _LOSSES_AT_FACE = 1.1, 1.2, 0.5
_FAST = 1.3
_LOST_SECONDS = 0.14
_FACE_LOSSES_PER_SECOND = 0.02
# A hand counts as in view when this share of its joints is inside the picture.
_IN_VIEW = 0.6


@dataclass(frozen=True)
class Camera:
    """Where a camera sees the signer.

    scale: image heights per metre at the signer's distance.  middle: (x, y) of the middle of the shoulders in the
    image, in image heights.  yaw, roll: degrees.  width: of the image, in image heights.
    """

    scale: float
    middle: tuple[float, float]
    yaw: float
    roll: float
    width: float


@dataclass(frozen=True)
class Tracked:
    """points: (T, 543, 3), NaN where missing.  visibility: (T, 33).

    lost, out_of_view: for each of `left_hand`, `right_hand`, `face` the spans [start, end) of frames in which the
    tracker missed it though it was in view, and in which it was outside the picture.
    """

    points: np.ndarray
    visibility: np.ndarray
    lost: dict[str, list[tuple[int, int]]]
    out_of_view: dict[str, list[tuple[int, int]]]


def make_camera(
    setting: np.random.Generator, moment: np.random.Generator, *, image_size: tuple[int, int], dials: Dials
) -> Camera:
    """A camera: `setting` draws what one recording place shares, `moment` what differs from utterance to utterance."""

    def draw(spread: float) -> float:
        shared, own = (np.clip(rng.standard_normal(), -2, 2) for rng in (setting, moment))
        return float(dials.camera_variation * spread * (0.9 * shared + 0.3 * own))

    width = image_size[0] / image_size[1]
    return Camera(
        scale=1.08 * np.exp(draw(0.07)),
        middle=(0.5 * width + draw(0.05), 0.46 + draw(0.03)),
        yaw=draw(9.0),
        roll=draw(2.0),
        width=width,
    )


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Metres (T, 543, 3) as image heights (T, 543, 3); z keeps its origin at the middle of the shoulders."""
    yaw, roll = np.radians((camera.yaw, camera.roll))
    about_y = np.array([(np.cos(yaw), 0, np.sin(yaw)), (0, 1, 0), (-np.sin(yaw), 0, np.cos(yaw))])
    about_z = np.array([(np.cos(roll), -np.sin(roll), 0), (np.sin(roll), np.cos(roll), 0), (0, 0, 1)])
    turn = (camera.scale * about_z @ about_y).T.astype(points.dtype)
    image = (points.reshape(-1, 3) @ turn).reshape(points.shape)
    image[..., :2] *= _DISTANCE / (_DISTANCE + image[..., 2:] / camera.scale)
    image[..., :2] += np.array(camera.middle, dtype=points.dtype)
    return image


def track(image: np.ndarray, camera: Camera, *, fps: float, dials: Dials, rng: np.random.Generator) -> Tracked:
    """What the tracker reports of the true image points (T, 543, 3).

    A hand out of view is always missing,
    but never both hands in all frames.
    """
    speeds = {hand: _speed(image[:, layout.GROUPS[hand], :2].mean(axis=1), fps) for hand in ("left_hand", "right_hand")}
    lost = {hand: _lost_frames(hand, image, speeds[hand], fps, dials.lost_hands, rng) for hand in speeds}
    outside = {hand: ~_in_view(image[:, layout.GROUPS[hand]], camera) for hand in speeds}
    lost["face"] = _spans_of_loss(np.full(len(image), dials.lost_face * _FACE_LOSSES_PER_SECOND / fps), fps, rng)
    outside["face"] = ~_in_view(image[:, layout.GROUPS["face"]], camera)
    _keep_a_hand(lost, outside)
    points = image + np.float32(dials.tracker_noise) * _jitter(image.shape, speeds, fps, rng)
    visibility = _visibility(points[:, layout.GROUPS["pose"], :2], camera, rng)
    _set_depth_origins(points)
    for part, frames in lost.items():
        points[frames | outside[part], layout.GROUPS[part]] = np.nan
    return Tracked(
        points=points.astype(np.float32),
        visibility=visibility.astype(np.float32),
        lost={part: spans(frames & ~outside[part]) for part, frames in lost.items()},
        out_of_view={part: spans(frames) for part, frames in outside.items()},
    )


def spans(frames: np.ndarray) -> list[tuple[int, int]]:
    """The runs [start, end) of True in (T,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], frames, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _speed(place: np.ndarray, fps: float) -> np.ndarray:
    """Image heights a second, (T,)."""
    if len(place) < 2:
        return np.zeros(len(place))
    return np.linalg.norm(np.gradient(place, axis=0), axis=1) * fps


def _in_view(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Whether enough of a part is inside the picture, (T,) bool."""
    x, y = points[..., 0], points[..., 1]
    return ((x > 0) & (x < camera.width) & (y > 0) & (y < 1)).mean(axis=1) >= _IN_VIEW


def _lost_frames(
    hand: str, image: np.ndarray, speed: np.ndarray, fps: float, lost_hands: float, rng: np.random.Generator
) -> np.ndarray:
    """In which frames the tracker loses a hand, (T,) bool."""
    other = "left_hand" if hand == "right_hand" else "right_hand"
    middle = image[:, layout.GROUPS[hand], :2].mean(axis=1)
    hands_apart = np.linalg.norm(middle - image[:, layout.GROUPS[other], :2].mean(axis=1), axis=1)
    face_apart = np.linalg.norm(middle - image[:, layout.GROUPS["face"], :2].mean(axis=1), axis=1)
    rate = (
        _LOSSES_PER_SECOND
        + _LOSSES_FAST / (1 + np.exp(-(speed - _FAST) / 0.25))
        + _LOSSES_CROSSING / (1 + np.exp((hands_apart - 0.1) / 0.02))
        + _LOSSES_AT_FACE / (1 + np.exp((face_apart - 0.12) / 0.02))
    )
    return _spans_of_loss(lost_hands * rate / fps, fps, rng)


def _spans_of_loss(chance: np.ndarray, fps: float, rng: np.random.Generator) -> np.ndarray:
    """Losses that begin with the given chance in each frame (T,) and last some time, (T,) bool."""
    begins = rng.random(len(chance)) < chance
    lengths = 1 + rng.exponential(_LOST_SECONDS * fps, size=len(chance)).astype(int)
    lost = np.zeros(len(chance), dtype=bool)
    for start in np.flatnonzero(begins):
        lost[start : start + lengths[start]] = True
    return lost


def _keep_a_hand(lost: dict[str, np.ndarray], outside: dict[str, np.ndarray]) -> None:
    """Gives back the lost frames of a hand where otherwise no frame of the clip would have any hand."""
    hands = ("left_hand", "right_hand")
    if all((lost[hand] | outside[hand]).all() for hand in hands):
        visible = max(hands, key=lambda hand: int((~outside[hand]).sum()))
        lost[visible][:] = False


def _jitter(shape: tuple[int, ...], speeds: dict[str, np.ndarray], fps: float, rng: np.random.Generator) -> np.ndarray:
    """Errors of the points, correlated in time, (T, 543, 3): each point's own, and one that a part shares."""
    num_frames = shape[0]
    keep = np.exp(-1 / (_JITTER_SECONDS * fps))
    fresh = rng.standard_normal((num_frames, shape[1] + len(layout.GROUPS), 3), dtype=np.float32)
    fresh[1:] *= np.sqrt(1 - keep**2)
    for frame in range(1, num_frames):
        fresh[frame] += keep * fresh[frame - 1]
    errors = fresh[:, : shape[1]]
    for number, (part, points) in enumerate(layout.GROUPS.items()):
        errors[:, points] *= _JITTER[part]
        errors[:, points] += _SHARED_JITTER[part] * fresh[:, shape[1] + number, None]
        if part in speeds:
            errors[:, points] *= (1 + _JITTER_PER_SPEED * speeds[part])[:, None, None].astype(np.float32)
    errors[..., 2] *= _DEPTH_JITTER
    return errors


def _visibility(pose: np.ndarray, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """The tracker's belief that a pose point is in view, (T, 33): near 1 inside the picture, near 0 below it."""
    x, y = pose[..., 0], pose[..., 1]
    inside = np.minimum(np.minimum(x, camera.width - x), np.minimum(y, 1 - y))
    return np.clip(1 / (1 + np.exp(-inside / 0.02)) * 0.995 + 0.003 * rng.standard_normal(inside.shape), 0.0001, 0.9999)


def _set_depth_origins(points: np.ndarray) -> None:
    """Moves z to the origins of Holistic: the hips for the pose, the wrist for a hand, its own middle for the face."""
    hips = layout.indices("pose.left_hip", "pose.right_hip")
    points[:, layout.GROUPS["pose"], 2] -= points[:, hips, 2].mean(axis=1, keepdims=True)
    for hand in ("left_hand", "right_hand"):
        points[:, layout.GROUPS[hand], 2] -= points[:, [layout.index(f"{hand}.wrist")], 2]
    face = layout.GROUPS["face"]
    points[:, face, 2] -= points[:, face, 2].mean(axis=1, keepdims=True)
