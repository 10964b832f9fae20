"""The tracker: true points in the picture -> what MediaPipe Holistic would report of them.

Shapes: T frames. In and out: units of the image height; out: missing parts NaN. Rates and sizes are fitted to real
Holistic output; the figures are in `benchmarks/tracker_fit.md`. What could not be measured is marked
"assumed". Lengths below are in shoulder widths, rates per second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signloom import layout
from signloom.synth.camera import Camera
from signloom.synth.dials import Dials
from signloom.synth.tracker_noise import (
    HANDS,
    Scene,
    add_face_errors,
    add_hand_errors,
    add_pose_errors,
    arm_end,
    report_depth,
    smooth_pose,
    wander,
)

# Losses of a visible hand: at rest, and added when it moves fast (half of it at _HALF shoulder widths a second); times
# up to 1 + _CROSSING near the other hand, 1 + _AT_FACE before the face (the sources disagree about that: between none
# and three times) and 1 + _AT_EDGE at the edge of the picture, each over the distance beside it.
_LOSSES, _LOSSES_FAST, _HALF = 0.045, 1.5, 3.0
_CROSSING, _CROSSING_WITHIN = 3.0, 0.25
_AT_FACE, _AT_FACE_WITHIN = 0.5, 0.3
_AT_EDGE, _AT_EDGE_WITHIN = 1.0, 0.2
# Most gaps are a frame, some are long: their share, and how much longer than a frame each kind is on average, seconds.
_LONG_GAPS, _LONG_SECONDS, _SHORT_SECONDS = 0.14, 0.27, 0.012
# Losses of a face, and their length: assumed. In 3,150 frames of people who face the camera none was lost; where faces
# are blurred nearly all are.
_FACE_LOSSES, _FACE_SECONDS = 0.02, 0.3
# Two hands near each other: how often one is found twice and the other missed; how often they are exchanged (assumed:
# seen in none of 11,000 frames with both hands, which allows up to 0.1), and how long it lasts. Half as often at
# _NEAR, hardly ever beyond 0.6.
_DOUBLES, _EXCHANGES, _NEAR, _NEAR_WIDTH = 1.2, 0.08, 0.38, 0.06
_CONFUSED_SECONDS = 0.05
# The pose's wrist jumps away for a frame or two. How far, in which direction and whether the elbow comes along is
# assumed; in a part of the jumps the hand, which is looked for at the wrist, is lost.
_JUMPS, _JUMP_SECONDS, _JUMP_LENGTH, _ELBOW_TOO, _HAND_LOST_TOO = 0.014, 0.03, (0.3, 0.3), 0.4, 0.4
# A hand counts as in view when this share of its joints is inside the picture: real hands are found when their pose
# wrist is 0.05 to 0.1 above the lower edge, whichever way the fingers point.
_IN_VIEW = 0.3
# Visibility: its log-odds by how far a point is inside the picture, and how they vary, with a clip and within it (the
# tracker averages it over ten frames). Head and shoulders are believed in more, legs (of real clips 0.001 to 0.01)
# less.
_INSIDE = (-4.0, -2.5, -0.8, -0.45, -0.2, 0.0, 0.2, 0.45, 0.6)
_LOG_ODDS = (-7.0, -4.0, -1.3, -0.4, 0.6, 1.5, 3.6, 4.4, 5.0)
_VISIBILITY_CLIP, _VISIBILITY_FRAME, _VISIBILITY_FRAMES = 0.5, 0.5, 10.0
_BELIEF = np.repeat([3.0, 0.0, -2.0], [13, 12, 8])


@dataclass(frozen=True)
class TrackerOutput:
    """points: (T, 543, 3), NaN where missing.  visibility: (T, 33).

    All else is truth, as spans [start, end) of frames.
    lost, out_of_view: for each of `left_hand`, `right_hand`, `face`, where the tracker missed it though it was in view,
    and where it was outside the picture.
    swapped: where the hands are exchanged.  doubled: for each hand where its points are those of the other.
    jumps: for `left_wrist` and `right_wrist` of the pose where it is far off.
    """

    points: np.ndarray
    visibility: np.ndarray
    lost: dict[str, list[tuple[int, int]]]
    out_of_view: dict[str, list[tuple[int, int]]]
    swapped: list[tuple[int, int]]
    doubled: dict[str, list[tuple[int, int]]]
    jumps: dict[str, list[tuple[int, int]]]


def track(image: np.ndarray, camera: Camera, *, fps: float, dials: Dials, rng: np.random.Generator) -> TrackerOutput:
    """What the tracker reports of the true image points (T, 543, 3) float32.

    A hand out of view is always missing; losses of those in view never leave a clip without any hand. Each factor draws
    from a generator of its own, so that turning one dial leaves the draws of the others as they were.
    """
    of_losses, of_face, of_confusion, of_jumps, of_hands, of_pose, of_mesh, of_visibility = (
        np.random.default_rng(int(seed)) for seed in rng.integers(2**62, size=8)
    )
    points = np.array(image, dtype=np.float32)
    scene = _look(points, camera, fps)
    parts = (*HANDS, "face")
    outside = {part: ~_in_view(points[:, layout.GROUPS[part]], camera) for part in parts}
    lost = {hand: _spans_of_loss(dials.lost_hands * _hazard(hand, scene), fps, of_losses) for hand in HANDS}
    face_rate = np.full(len(points), dials.lost_face * _FACE_LOSSES)
    lost["face"] = _begin(face_rate, _FACE_SECONDS, fps, of_face)
    jumped = _jump(points, scene, lost, fps, dials.wrist_jumps, of_jumps)
    _keep_a_hand(lost, outside)
    both = ~(lost["left_hand"] | outside["left_hand"] | lost["right_hand"] | outside["right_hand"])
    exchanged, doubled = _confuse(points, scene, both, fps, dials.swapped_hands, of_confusion)

    report_depth(points, scene.unit, dials.depth_noise)
    strength = {"image": dials.tracker_noise * camera.grain, "depth": dials.depth_noise * camera.grain}
    for hand in HANDS:
        add_hand_errors(points, hand, scene, rng=of_hands, **strength)
    add_face_errors(points, scene, fps, rng=of_mesh, **strength)
    add_pose_errors(points, scene, fps, rng=of_pose, **strength)
    smooth_pose(points, scene, fps, dials.tracker_lag)
    # Errors have moved the origins.
    report_depth(points, scene.unit, 0.0)
    visibility = _visibility(points, camera, scene, dials.tracker_noise, of_visibility)
    for part in parts:
        points[lost[part] | outside[part], layout.GROUPS[part]] = np.nan
    return TrackerOutput(
        points=points,
        visibility=visibility,
        lost={part: spans(lost[part] & ~outside[part]) for part in parts},
        out_of_view={part: spans(outside[part]) for part in parts},
        swapped=spans(exchanged),
        doubled={hand: spans(frames) for hand, frames in doubled.items()},
        jumps={name: spans(frames) for name, frames in jumped.items()},
    )


def spans(frames: np.ndarray) -> list[tuple[int, int]]:
    """The runs [start, end) of True in (T,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], frames, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _look(image: np.ndarray, camera: Camera, fps: float) -> Scene:
    """What the errors depend on, taken from the true points."""
    shoulders = image[:, layout.indices("pose.left_shoulder", "pose.right_shoulder"), :2]
    unit = max(float(np.median(np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1))), 1e-3)
    nose = image[:, layout.index("pose.nose"), :2]
    # By the wrists, as in the measurements: unlike hands, they are known in recordings while a hand is lost.
    places = {hand: image[:, layout.index(f"{hand}.wrist"), :2] for hand in HANDS}
    return Scene(
        unit=unit,
        speeds={hand: _speed(place, fps) / unit for hand, place in places.items()},
        apart=np.linalg.norm(places["left_hand"] - places["right_hand"], axis=1) / unit,
        to_nose={hand: np.linalg.norm(place - nose, axis=1) / unit for hand, place in places.items()},
        to_edge={hand: _inside(place, camera) / unit for hand, place in places.items()},
    )


def _speed(place: np.ndarray, fps: float) -> np.ndarray:
    """Image heights a second, (T,)."""
    if len(place) < 2:
        return np.zeros(len(place))
    return np.linalg.norm(np.gradient(place, axis=0), axis=1) * fps


def _inside(place: np.ndarray, camera: Camera) -> np.ndarray:
    """How far places (..., 2) are from the nearest edge of the picture, below 0 outside, (...)."""
    x, y = place[..., 0], place[..., 1]
    return np.minimum(np.minimum(x, camera.width - x), np.minimum(y, 1 - y))


def _in_view(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Whether enough of a part is inside the picture, (T,) bool."""
    return (_inside(points[..., :2], camera) > 0).mean(axis=1) >= _IN_VIEW


def _hazard(hand: str, scene: Scene) -> np.ndarray:
    """Losses of a hand per second, (T,)."""
    speed = scene.speeds[hand]
    return (
        (_LOSSES + _LOSSES_FAST * speed / (speed + _HALF))
        * (1 + _CROSSING * np.exp(-scene.apart / _CROSSING_WITHIN))
        * (1 + _AT_FACE * np.exp(-scene.to_nose[hand] / _AT_FACE_WITHIN))
        * (1 + _AT_EDGE * np.exp(-np.maximum(scene.to_edge[hand], 0) / _AT_EDGE_WITHIN))
    )


def _spans_of_loss(rate: np.ndarray, fps: float, rng: np.random.Generator) -> np.ndarray:
    """Losses at these rates (T,), most of a frame, some long, (T,) bool."""
    short, long = (1 - _LONG_GAPS) * rate, _LONG_GAPS * rate
    return _begin(short, _SHORT_SECONDS, fps, rng) | _begin(long, _LONG_SECONDS, fps, rng)


def _begin(rate: np.ndarray, seconds: float, fps: float, rng: np.random.Generator) -> np.ndarray:
    """Events that begin at these rates (T,) and last a frame and this much longer on average, (T,) bool."""
    begins = rng.random(len(rate)) < -np.expm1(-rate / fps)
    lengths = 1 + rng.exponential(seconds * fps, size=len(rate)).astype(int)
    frames = np.zeros(len(rate), dtype=bool)
    for start in np.flatnonzero(begins):
        frames[start : start + lengths[start]] = True
    return frames


def _keep_a_hand(lost: dict[str, np.ndarray], outside: dict[str, np.ndarray]) -> None:
    """Gives back the lost frames of a hand where otherwise no frame of the clip would have any hand."""
    if all((lost[hand] | outside[hand]).all() for hand in HANDS):
        visible = max(HANDS, key=lambda hand: int((~outside[hand]).sum()))
        lost[visible][:] = False


def _jump(
    points: np.ndarray, scene: Scene, lost: dict[str, np.ndarray], fps: float, jumps: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Moves wrists of the pose away in place, and sometimes loses their hands; in which frames, each (T,) bool."""
    found = {}
    for hand in HANDS:
        side = hand.removesuffix("_hand")
        frames = _begin(np.full(len(points), jumps * _JUMPS), _JUMP_SECONDS, fps, rng)
        found[f"{side}_wrist"] = frames
        least, more = _JUMP_LENGTH
        # Drawn for every frame, so that a jump more or less does not change the others.
        angles, lengths = rng.uniform(0, 2 * np.pi, len(points)), least + rng.exponential(more, len(points))
        elbows, losses = rng.random(len(points)) < _ELBOW_TOO, rng.random(len(points)) < _HAND_LOST_TOO
        for start, end in spans(frames):
            away = scene.unit * lengths[start] * np.array((np.cos(angles[start]), np.sin(angles[start])))
            points[start:end, arm_end(side), :2] += away.astype(np.float32)
            if elbows[start]:
                points[start:end, layout.index(f"pose.{side}_elbow"), :2] += (0.5 * away).astype(np.float32)
            lost[hand][start:end] |= losses[start]
    return found


def _confuse(
    points: np.ndarray, scene: Scene, both: np.ndarray, fps: float, swapped: float, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Exchanges and doubles hands in place where both are found, (T,) bool; in which frames."""
    near = swapped / (1 + np.exp((np.minimum(scene.apart, 10) - _NEAR) / _NEAR_WIDTH))
    exchanged = both & _begin(_EXCHANGES * near, _CONFUSED_SECONDS, fps, rng)
    twice = both & ~exchanged & _begin(_DOUBLES * near, _CONFUSED_SECONDS, fps, rng)
    left, right = (layout.GROUPS[hand] for hand in HANDS)
    points[exchanged, left], points[exchanged, right] = points[exchanged, right], points[exchanged, left]
    of_left = np.zeros(len(points), dtype=bool)
    choices = rng.random(len(points)) < 0.5
    for start, end in spans(twice):
        of_left[start:end] = choices[start]
    doubled = {"left_hand": twice & of_left, "right_hand": twice & ~of_left}
    points[doubled["left_hand"], left] = points[doubled["left_hand"], right]
    points[doubled["right_hand"], right] = points[doubled["right_hand"], left]
    return exchanged, doubled


def _visibility(points: np.ndarray, camera: Camera, scene: Scene, noise: float, rng: np.random.Generator) -> np.ndarray:
    """The tracker's belief that a pose point is in view, (T, 33) float32."""
    inside = _inside(points[:, layout.GROUPS["pose"], :2], camera) / scene.unit
    odds = np.interp(inside, _INSIDE, _LOG_ODDS)
    odds += _BELIEF
    clip = np.clip(rng.standard_normal(odds.shape[1]), -2, 2)
    frame = np.clip(wander(odds.shape, _VISIBILITY_FRAMES, rng), -2.5, 2.5)
    odds += min(noise, 1.5) * (_VISIBILITY_CLIP * clip + _VISIBILITY_FRAME * frame)
    return (1 / (1 + np.exp(-odds))).astype(np.float32)
