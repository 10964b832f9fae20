"""The simulated tracker: what MediaPipe Holistic would report of the true points, with lost and swapped hands.

`tracker_noise.py` adds the noise of the points. Shapes: T frames. Input and output: units of the image height; missing
parts of the output are NaN. Rates and sizes are fitted to real Holistic output; `benchmarks/tracker_fit.md` has the
figures. What could not be measured is marked "assumed". Lengths below are in shoulder widths, rates per second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signloom import layout
from signloom.frame_times import spans
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

# Losses of a visible hand at rest.
_LOSSES = 0.045
# Losses added by fast movement; half of them at a speed of _HALF shoulder widths per second.
_LOSSES_FAST, _HALF = 1.5, 3.0
# Relative increase of the losses near the other hand, and the distance over which it fades.
_CROSSING, _CROSSING_WITHIN = 3.0, 0.25
# The same in front of the face. The sources disagree: between no increase and three times as many.
_AT_FACE, _AT_FACE_WITHIN = 0.5, 0.3
# The same at the edge of the picture.
_AT_EDGE, _AT_EDGE_WITHIN = 1.0, 0.2
# Share of the gaps that are long.
_LONG_GAPS = 0.14
# Mean length of a long gap beyond its first frame, seconds.
_LONG_SECONDS = 0.27
# Mean length of a short gap beyond its first frame, seconds: most are one frame long.
_SHORT_SECONDS = 0.012
# Losses of a face. Assumed: of 3,150 frames of people who face the camera none was lost; of blurred faces nearly all.
_FACE_LOSSES = 0.02
# Mean length of a loss of the face beyond its first frame, seconds. Assumed.
_FACE_SECONDS = 0.3
# Rate at which one of two near hands is found twice and the other is missed.
_DOUBLES = 1.2
# Rate at which two near hands are swapped. Assumed: none in 11,000 frames with both hands, which allows up to 0.1.
_SWAPS = 0.08
# Distance of the hands at which both rates are halved.
_NEAR = 0.38
# Width of this transition; beyond a distance of 0.6 both rates are almost 0.
_NEAR_WIDTH = 0.06
# Mean length of a doubled or swapped span beyond its first frame, seconds.
_CONFUSED_SECONDS = 0.05
# Jumps of the pose's wrist.
_JUMPS = 0.014
# Mean length of a jump beyond its first frame, seconds.
_JUMP_SECONDS = 0.03
# Smallest length of a jump, and the mean of what exceeds it. Assumed, like its direction.
_JUMP_LENGTH = (0.3, 0.3)
# Share of the jumps in which the elbow moves too. Assumed.
_ELBOW_TOO = 0.4
# Share of the jumps that also lose the hand, which is searched for at the wrist.
_HAND_LOST_TOO = 0.4
# A hand is in view if this share of its joints is inside the picture: real hands are found when the wrist of the pose
# is 0.05 to 0.1 above the lower edge, whichever way the fingers point.
_IN_VIEW = 0.3
# Distances of a point from the nearest edge of the picture, negative outside: the positions of _LOG_ODDS.
_INSIDE = (-4.0, -2.5, -0.8, -0.45, -0.2, 0.0, 0.2, 0.45, 0.6)
# Log-odds of the visibility at these distances.
_LOG_ODDS = (-7.0, -4.0, -1.3, -0.4, 0.6, 1.5, 3.6, 4.4, 5.0)
# Standard deviation of the log-odds between clips.
_VISIBILITY_CLIP = 0.5
# Standard deviation of the log-odds within a clip.
_VISIBILITY_FRAME = 0.5
# Correlation time of the log-odds within a clip, frames: the tracker averages them over ten frames.
_VISIBILITY_FRAMES = 10.0
# What is added to the log-odds by point: more for head and shoulders, less for legs (0.001 to 0.01 in real clips).
_BELIEF = np.repeat([3.0, 0.0, -2.0], [13, 12, 8])


@dataclass(frozen=True)
class TrackerOutput:
    """points: (T, 543, 3), NaN where missing.  visibility: (T, 33).

    The rest is truth, in spans [start, end) of frames.
    lost: for each of `left_hand`, `right_hand`, `face`, where the tracker missed it although in view.
    out_of_view: likewise, where it was outside the picture.
    swapped: where the hands are swapped.  doubled: for each hand, where its points are those of the other.
    jumps: for `left_wrist` and `right_wrist` of the pose, where it is far off.
    """

    points: np.ndarray
    visibility: np.ndarray
    lost: dict[str, list[tuple[int, int]]]
    out_of_view: dict[str, list[tuple[int, int]]]
    swapped: list[tuple[int, int]]
    doubled: dict[str, list[tuple[int, int]]]
    jumps: dict[str, list[tuple[int, int]]]


def track(image: np.ndarray, camera: Camera, *, fps: float, dials: Dials, rng: np.random.Generator) -> TrackerOutput:
    """Returns what the tracker reports of the true image points (T, 543, 3) float32.

    A hand out of view is always missing. Losses of hands in view never leave a clip without any hand. Each factor has
    its own random generator, so that turning one dial leaves the draws of the others as they were.
    """
    of_losses, of_face, of_confusion, of_jumps, of_hands, of_pose, of_mesh, of_visibility = (
        np.random.default_rng(int(seed)) for seed in rng.integers(2**62, size=8)
    )
    points = np.array(image, dtype=np.float32)
    scene = _scene(points, camera, fps)
    parts = (*HANDS, "face")
    outside = {part: ~_in_view(points[:, layout.GROUPS[part]], camera) for part in parts}
    lost = {hand: _spans_of_loss(dials.lost_hands * _hazard(hand, scene), fps, of_losses) for hand in HANDS}
    face_rate = np.full(len(points), dials.lost_face * _FACE_LOSSES)
    lost["face"] = _begin(face_rate, _FACE_SECONDS, fps, of_face)
    jumped = _jump(points, scene, lost, fps, dials.wrist_jumps, of_jumps)
    _keep_a_hand(lost, outside)
    both = ~(lost["left_hand"] | outside["left_hand"] | lost["right_hand"] | outside["right_hand"])
    swapped_frames, doubled = _confuse(points, scene, both, fps, dials.swapped_hands, of_confusion)

    report_depth(points, scene.unit, dials.depth_noise)
    strength = {"image": dials.tracker_noise * camera.grain, "depth": dials.depth_noise * camera.grain}
    for hand in HANDS:
        add_hand_errors(points, hand, scene, rng=of_hands, **strength)
    add_face_errors(points, scene, fps, rng=of_mesh, **strength)
    add_pose_errors(points, scene, fps, rng=of_pose, **strength)
    smooth_pose(points, scene, fps, dials.tracker_lag)
    # Errors have moved the origins of z.
    report_depth(points, scene.unit, 0.0)
    visibility = _visibility(points, camera, scene, dials.tracker_noise, of_visibility)
    for part in parts:
        points[lost[part] | outside[part], layout.GROUPS[part]] = np.nan
    return TrackerOutput(
        points=points,
        visibility=visibility,
        lost={part: spans(lost[part] & ~outside[part]) for part in parts},
        out_of_view={part: spans(outside[part]) for part in parts},
        swapped=spans(swapped_frames),
        doubled={hand: spans(frames) for hand, frames in doubled.items()},
        jumps={name: spans(frames) for name, frames in jumped.items()},
    )


def _scene(image: np.ndarray, camera: Camera, fps: float) -> Scene:
    """Returns what the errors depend on, measured on the true points."""
    shoulders = image[:, layout.indices("pose.left_shoulder", "pose.right_shoulder"), :2]
    unit = max(float(np.median(np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1))), 1e-3)
    nose = image[:, layout.index("pose.nose"), :2]
    # Measured at the wrists, as in the recordings: unlike hands, they are known while a hand is lost.
    places = {hand: image[:, layout.index(f"{hand}.wrist"), :2] for hand in HANDS}
    return Scene(
        unit=unit,
        speeds={hand: _speed(place, fps) / unit for hand, place in places.items()},
        apart=np.linalg.norm(places["left_hand"] - places["right_hand"], axis=1) / unit,
        to_nose={hand: np.linalg.norm(place - nose, axis=1) / unit for hand, place in places.items()},
        to_edge={hand: _inside(place, camera) / unit for hand, place in places.items()},
    )


def _speed(place: np.ndarray, fps: float) -> np.ndarray:
    """Returns the speed of a place (T, 2) in image heights per second, (T,)."""
    if len(place) < 2:
        return np.zeros(len(place))
    return np.linalg.norm(np.gradient(place, axis=0), axis=1) * fps


def _inside(place: np.ndarray, camera: Camera) -> np.ndarray:
    """Returns the distance of places (..., 2) from the nearest edge of the picture, negative outside, (...)."""
    x, y = place[..., 0], place[..., 1]
    return np.minimum(np.minimum(x, camera.width - x), np.minimum(y, 1 - y))


def _in_view(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Returns whether enough of a part is inside the picture, (T,) bool."""
    return (_inside(points[..., :2], camera) > 0).mean(axis=1) >= _IN_VIEW


def _hazard(hand: str, scene: Scene) -> np.ndarray:
    """Returns the losses of a hand per second, (T,)."""
    speed = scene.speeds[hand]
    return (
        (_LOSSES + _LOSSES_FAST * speed / (speed + _HALF))
        * (1 + _CROSSING * np.exp(-scene.apart / _CROSSING_WITHIN))
        * (1 + _AT_FACE * np.exp(-scene.to_nose[hand] / _AT_FACE_WITHIN))
        * (1 + _AT_EDGE * np.exp(-np.maximum(scene.to_edge[hand], 0) / _AT_EDGE_WITHIN))
    )


def _spans_of_loss(rate: np.ndarray, fps: float, rng: np.random.Generator) -> np.ndarray:
    """Returns losses at these rates (T,), most of one frame, some long, (T,) bool."""
    short, long = (1 - _LONG_GAPS) * rate, _LONG_GAPS * rate
    return _begin(short, _SHORT_SECONDS, fps, rng) | _begin(long, _LONG_SECONDS, fps, rng)


def _begin(rate: np.ndarray, seconds: float, fps: float, rng: np.random.Generator) -> np.ndarray:
    """Returns events that begin at these rates (T,) and last one frame and, on average, `seconds` longer, (T,) bool."""
    begins = rng.random(len(rate)) < -np.expm1(-rate / fps)
    lengths = 1 + rng.exponential(seconds * fps, size=len(rate)).astype(int)
    frames = np.zeros(len(rate), dtype=bool)
    for start in np.flatnonzero(begins):
        frames[start : start + lengths[start]] = True
    return frames


def _keep_a_hand(lost: dict[str, np.ndarray], outside: dict[str, np.ndarray]) -> None:
    """Restores the lost frames of one hand if otherwise no frame of the clip had any hand."""
    if all((lost[hand] | outside[hand]).all() for hand in HANDS):
        visible = max(HANDS, key=lambda hand: int((~outside[hand]).sum()))
        lost[visible][:] = False


def _jump(
    points: np.ndarray, scene: Scene, lost: dict[str, np.ndarray], fps: float, jumps: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Moves wrists of the pose away in place, and sometimes loses their hands. Returns the frames of the jumps, (T,)
    bool each."""
    jumped = {}
    for hand in HANDS:
        side = hand.removesuffix("_hand")
        frames = _begin(np.full(len(points), jumps * _JUMPS), _JUMP_SECONDS, fps, rng)
        jumped[f"{side}_wrist"] = frames
        least, more = _JUMP_LENGTH
        # Drawn for every frame, so that a jump more or less leaves the others as they were.
        angles, lengths = rng.uniform(0, 2 * np.pi, len(points)), least + rng.exponential(more, len(points))
        elbows, losses = rng.random(len(points)) < _ELBOW_TOO, rng.random(len(points)) < _HAND_LOST_TOO
        for start, end in spans(frames):
            away = scene.unit * lengths[start] * np.array((np.cos(angles[start]), np.sin(angles[start])))
            points[start:end, arm_end(side), :2] += away.astype(np.float32)
            if elbows[start]:
                points[start:end, layout.index(f"pose.{side}_elbow"), :2] += (0.5 * away).astype(np.float32)
            lost[hand][start:end] |= losses[start]
    return jumped


def _confuse(
    points: np.ndarray, scene: Scene, both: np.ndarray, fps: float, swapped: float, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Swaps and doubles hands in place where both are found, `both` (T,) bool. Returns the frames of each, (T,)
    bool."""
    near = swapped / (1 + np.exp((np.minimum(scene.apart, 10) - _NEAR) / _NEAR_WIDTH))
    swapped_frames = both & _begin(_SWAPS * near, _CONFUSED_SECONDS, fps, rng)
    twice = both & ~swapped_frames & _begin(_DOUBLES * near, _CONFUSED_SECONDS, fps, rng)
    left, right = (layout.GROUPS[hand] for hand in HANDS)
    points[swapped_frames, left], points[swapped_frames, right] = (
        points[swapped_frames, right],
        points[swapped_frames, left],
    )
    of_left = np.zeros(len(points), dtype=bool)
    choices = rng.random(len(points)) < 0.5
    for start, end in spans(twice):
        of_left[start:end] = choices[start]
    doubled = {"left_hand": twice & of_left, "right_hand": twice & ~of_left}
    points[doubled["left_hand"], left] = points[doubled["left_hand"], right]
    points[doubled["right_hand"], right] = points[doubled["right_hand"], left]
    return swapped_frames, doubled


def _visibility(points: np.ndarray, camera: Camera, scene: Scene, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the tracker's confidence that each pose point is in view, (T, 33) float32."""
    inside = _inside(points[:, layout.GROUPS["pose"], :2], camera) / scene.unit
    odds = np.interp(inside, _INSIDE, _LOG_ODDS)
    odds += _BELIEF
    clip = np.clip(rng.standard_normal(odds.shape[1]), -2, 2)
    frame = np.clip(wander(odds.shape, _VISIBILITY_FRAMES, rng), -2.5, 2.5)
    odds += min(noise, 1.5) * (_VISIBILITY_CLIP * clip + _VISIBILITY_FRAME * frame)
    return (1 / (1 + np.exp(-odds))).astype(np.float32)
