"""The noise of the simulated tracker: jitter of the points it finds, depth errors, and the smoothing of the pose.

The dials `tracker_noise` and `depth_noise` (see `dials.py`) scale the errors; the constants here are their sizes at 1.
Shapes: T frames. Lengths are in shoulder widths unless a name says otherwise: the tracker looks at a crop around the
signer, so its errors scale with the signer's image. Fitted to MediaPipe Holistic; `benchmarks/tracker_fit.md` has the
figures. What could not be measured there is marked "assumed".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signloom import layout

HANDS = ("left_hand", "right_hand")
# Length of a hand from wrist to finger tip; in the real clips 0.47 to 0.63.
_HAND = 0.5
# Standard deviation of a hand's errors at rest, in hand lengths: one value for its points about their middle.
_SHAPE_AT_REST = 0.0035
# What fast movement adds to it; half of that at a speed of _HALF shoulder widths per second.
_SHAPE_FAST, _HALF = 0.021, 1.6
# Standard deviation of the logarithm of the factor by which it differs between frames. Errors come in bursts: real ones
# have a kurtosis of 20 to 200.
_BURSTS = 0.95
# Maximum of a hand's errors, in hand lengths. Of 60,000 real hands one in a thousand is longer than 0.7 to 2.5 shoulder
# widths, and none is longer than 2.8.
_MAX_SHAPE_ERROR = 0.5
# Weight of the errors that turn a hand or change its size.
_TURN = 0.55
# Weight of the errors of a finger as a whole.
_FINGER = 0.85
# Weight of the errors of each joint alone.
_JOINT = 0.35
# Weight of the errors of the whole hand's place.
_PLACE = 0.6
# Growth of a finger's error towards its tip, measured relative to the wrist: joints 0 to 20.
_ALONG = np.array([0.5, 0.6, 0.9, 1.2, 1.6, *[0.8, 0.9, 1.0, 1.2] * 4])
# The finger of each joint; 0 is the wrist.
_FINGER_OF = np.array([0, *np.repeat(np.arange(1, 6), 4)])
# Relative increase of a hand's errors near the other hand, and the distance over which it fades. Measured: 1.7 times at
# 0.37, 2.5 times below 0.25. Near the face the medians showed no effect.
_CROSSING, _CROSSING_WITHIN = 2.5, 0.3
# Standard deviation of the pose's points before smoothing: head, shoulders, elbows, wrists and the hand's corners, hips
# and legs. The last are assumed: they are guesses below the picture.
_POSE_SIGMA = np.array([0.008] * 11 + [0.009] * 2 + [0.012] * 2 + [0.012] * 8 + [0.03] * 10)
# Cluster of each point of the pose; the points of one cluster err together.
_CLUSTER_OF = np.array([0] * 11 + [1, 2, 3, 4, 5, 6, 5, 6, 5, 6, 5, 6, 7, 8, 7, 8, 7, 8, 7, 8, 7, 8])
# Share of the variance that is common to a cluster.
_TOGETHER = 0.85
# Correlation time of these common errors, seconds.
_TOGETHER_SECONDS = 0.06
# Constant offset of the pose's elbow and wrist in a clip: the mean offset of real wrists from the hand's root is 0.04
# in each direction.
_ARM_OFF = 0.04
# Largest standard deviation of an offset that wanders and grows with speed: real wrists vary by 0.036.
_ARM_WANDER = 0.042
# Correlation time of this offset, seconds: real wrists have a correlation of 0.57 from frame to frame.
_ARM_SECONDS = 0.09
# Errors of the face's place.
_FACE_PLACE = 0.0018
# Errors of its turn and size.
_FACE_TURN = 0.0008
# Smooth changes of its form.
_FACE_FORM = 0.0009
# Errors of each point alone.
_FACE_POINT = 0.0004
# Correlation time of the face's errors except the last, seconds.
_FACE_SECONDS = 0.03
# Holistic exaggerates the pose's depth: real noses lie 1.4 to 1.8 shoulder widths before the shoulders and wrists 2,
# where bodies have 0.35 and 0.45.
_POSE_DEPTH = 4.4
# It flattens hands.
_HAND_DEPTH = 0.5
# The range of a face's z is 0.73 to 0.77 of that of its x; the simulated shape has 0.56.
_FACE_DEPTH = 1.35
# It puts elbows nearer than they are (0.3 to 1 before the shoulders).
_ELBOW_DEPTH = 2.5
# What then remains to Holistic's depths, by point: it flattens the head (eyes lie 0.14 and ears 1.1 behind the nose).
_DEPTH_OFFSETS = np.array([0.0] + [-0.28] * 6 + [-0.43] * 2 + [-0.2] * 2 + [0.0] * 2 + [-0.5] * 2 + [0.0] * 18)
# Drift of the depth of the whole body, and its correlation time in seconds.
_DRIFT, _DRIFT_SECONDS = 0.45, 0.35
# The same for each cluster.
_CLUSTER_DRIFT, _CLUSTER_SECONDS = 0.16, 0.12
# Depth errors of the pose that are new in each frame.
_DEPTH_FRAME = 0.06
# What each point adds alone, relative to them: a nose and an eye differ by 0.004 of noise where each has 0.04.
_DEPTH_OWN = 0.1
# Depth errors of a hand, relative to its errors in the image.
_HAND_DEPTH_ERRORS = 0.7
# Depth errors of the face, relative to its errors in the image.
_FACE_DEPTH_ERRORS = 1.3
# MediaPipe's filter of the pose. Source: MediaPipe 0.10, modules/pose_landmark/pose_landmark_filtering.pbtxt.
_MIN_CUTOFF, _BETA, _DERIVATIVE_CUTOFF = 0.05, 80.0, 1.0
# Size of the pose's region of interest, a square around the whole body; the filter measures speeds in it.
_REGION = 4.5


@dataclass(frozen=True)
class Scene:
    """What the errors depend on.

    unit: shoulder width in image heights.
    speeds: of each hand, (T,), shoulder widths per second.
    apart: distance of the hands, (T,).
    to_nose: distance of each hand from the nose, (T,).
    to_edge: distance of each hand from the edge of the picture, (T,), negative outside.
    """

    unit: float
    speeds: dict[str, np.ndarray]
    apart: np.ndarray
    to_nose: dict[str, np.ndarray]
    to_edge: dict[str, np.ndarray]


def add_hand_errors(
    points: np.ndarray, hand: str, scene: Scene, *, image: float, depth: float, rng: np.random.Generator
) -> None:
    """Adds a hand's errors to (T, 543, 3) in place. image, depth: strength in x and y, and in z."""
    num_frames = len(points)
    part = layout.GROUPS[hand]
    speed = scene.speeds[hand]
    sigma = _SHAPE_AT_REST + _SHAPE_FAST * speed / (speed + _HALF)
    sigma = sigma * (1 + _CROSSING * np.exp(-scene.apart / _CROSSING_WITHIN))
    sigma = sigma * np.exp(_BURSTS * np.clip(rng.standard_normal(num_frames), -2.5, 2.5))
    sigma = np.minimum(sigma, _MAX_SHAPE_ERROR / max(image, 1e-3))
    sigma = (sigma * _HAND * scene.unit).astype(np.float32)[:, None, None]
    fingers = rng.standard_normal((num_frames, 6, 3), dtype=np.float32)[:, _FINGER_OF]
    errors = _FINGER * _ALONG[:, None].astype(np.float32) * fingers
    errors += np.float32(_JOINT) * rng.standard_normal((num_frames, layout.NUM_HAND_POINTS, 3), dtype=np.float32)
    place = rng.standard_normal((num_frames, 1, 3), dtype=np.float32)
    turn, size, tilt, lean = rng.standard_normal((4, num_frames, 1), dtype=np.float32)
    true = points[:, part]
    around = (true - true.mean(axis=1, keepdims=True))[..., :2] * np.float32(2 * _TURN / (0.5 * scene.unit))
    x, y = around[..., 0], around[..., 1]
    errors[..., 0] += size * x - turn * y
    errors[..., 1] += size * y + turn * x
    errors[..., 2] += tilt * x + lean * y
    errors[..., :2] += np.float32(_PLACE) * place[..., :2]
    errors *= sigma
    errors *= np.array((image, image, depth * _HAND_DEPTH_ERRORS), dtype=np.float32)
    true += errors


def add_face_errors(
    points: np.ndarray, scene: Scene, fps: float, *, image: float, depth: float, rng: np.random.Generator
) -> None:
    """Adds the face's errors to (T, 543, 3) in place."""
    num_frames = len(points)
    face = points[:, layout.GROUPS["face"]]
    around = face[0] - face[0].mean(axis=0)
    # About 1 at the rim of the face.
    x, y = (around[:, :2] / (2 * around[:, :2].std())).T
    form = np.stack([np.ones_like(x), x, y, x * y, x * x - y * y, x**3 - 3 * x * y * y, y**3, x * x * y])
    form = form.astype(np.float32)
    strength = np.array([_FACE_PLACE, *[_FACE_TURN] * 2, *[_FACE_FORM] * 5], dtype=np.float32)[:, None]
    modes = wander((num_frames, len(form), 3), _FACE_SECONDS * fps, rng) * strength
    errors = np.einsum("tmc,mp->tpc", modes, form, optimize=True)
    errors += np.float32(_FACE_POINT) * rng.standard_normal(errors.shape, dtype=np.float32)
    errors *= np.array((image, image, depth * _FACE_DEPTH_ERRORS), dtype=np.float32) * np.float32(scene.unit)
    face += errors


def add_pose_errors(
    points: np.ndarray, scene: Scene, fps: float, *, image: float, depth: float, rng: np.random.Generator
) -> None:
    """Adds the pose's errors before smoothing to (T, 543, 3) in place."""
    num_frames = len(points)
    pose = points[:, layout.GROUPS["pose"]]
    own = rng.standard_normal((num_frames, layout.NUM_POSE_POINTS, 3), dtype=np.float32)
    common = wander((num_frames, 9, 3), _TOGETHER_SECONDS * fps, rng)[:, _CLUSTER_OF]
    flat = np.float32(np.sqrt(_TOGETHER)) * common + np.float32(np.sqrt(1 - _TOGETHER)) * own
    errors = np.empty_like(flat)
    errors[..., :2] = flat[..., :2] * (image * _POSE_SIGMA[:, None]).astype(np.float32)
    off = rng.standard_normal((4, 2), dtype=np.float32)
    trail = wander((num_frames, 4, 2), _ARM_SECONDS * fps, rng)
    for number, (side, hand) in enumerate(zip(("left", "right"), HANDS, strict=True)):
        speed = scene.speeds[hand]
        grown = (_ARM_WANDER * speed / (speed + _HALF)).astype(np.float32)[:, None]
        wrist = arm_end(side)
        errors[:, wrist, :2] += np.float32(image) * (_ARM_OFF * off[number] + grown * trail[:, number])[:, None]
        # An elbow moves less than its wrist; assumed to have the same offset.
        elbow = layout.index(f"pose.{side}_elbow")
        errors[:, elbow, :2] += np.float32(image) * (_ARM_OFF * off[2 + number] + 0.5 * grown * trail[:, 2 + number])
    body = wander((num_frames, 1, 1), _DRIFT_SECONDS * fps, rng, twice=True)[..., 0]
    clusters = wander((num_frames, 9, 1), _CLUSTER_SECONDS * fps, rng, twice=True)[:, _CLUSTER_OF, 0]
    # z begins at the hips, so their own drift becomes the drift of all other points.
    errors[..., 2] = _DEPTH_FRAME * (common[..., 2] + np.float32(_DEPTH_OWN) * own[..., 2]) + _CLUSTER_DRIFT * clusters
    errors[:, : layout.index("pose.left_hip"), 2] += _DRIFT * body
    errors[..., 2] *= depth
    pose += errors * np.float32(scene.unit)


def arm_end(side: str) -> np.ndarray:
    """Returns the indices of the pose's wrist and of the corners of its hand, (4,) int. side: `left` or `right`."""
    return layout.indices(*(f"pose.{side}_{name}" for name in ("wrist", "pinky", "index", "thumb")))


def report_depth(points: np.ndarray, unit: float, depth: float) -> None:
    """Changes the origins and the range of z to those of Holistic, in place.

    unit: shoulder width.  depth: the dial; the range is true at 0, half way at 0.5, and Holistic's from 1 on.
    Origins: the middle of the hips for the pose, the wrist for a hand, its own middle for the face.
    """
    share = min(depth, 1.0)
    hips = layout.indices("pose.left_hip", "pose.right_hip")
    pose = points[:, layout.GROUPS["pose"], 2]
    pose -= points[:, hips, 2].mean(axis=1, keepdims=True)
    gain = np.full(layout.NUM_POSE_POINTS, _POSE_DEPTH)
    gain[layout.indices("pose.left_elbow", "pose.right_elbow")] = _ELBOW_DEPTH
    pose *= (1 + (gain - 1) * share).astype(np.float32)
    pose += (share * unit * _DEPTH_OFFSETS).astype(np.float32)
    for hand in HANDS:
        z = points[:, layout.GROUPS[hand], 2]
        z -= points[:, [layout.index(f"{hand}.wrist")], 2]
        z *= np.float32(1 + (_HAND_DEPTH - 1) * share)
    face = points[:, layout.GROUPS["face"], 2]
    face -= face.mean(axis=1, keepdims=True)
    face *= np.float32(1 + (_FACE_DEPTH - 1) * share)


def smooth_pose(points: np.ndarray, scene: Scene, fps: float, lag: float) -> None:
    """Smooths the pose of (T, 543, 3) in place as MediaPipe does: strongly at rest, hardly in motion.

    lag: factor of the filter's time constants; 0 leaves the points as they are.
    Source: Casiez et al. 2012, "1 Euro filter"; MediaPipe 0.10, util/filtering/one_euro_filter.cc.
    """
    if lag == 0:
        return
    pose = points[:, layout.GROUPS["pose"]]
    speeds = np.diff(pose, axis=0) * np.float32(fps / (_REGION * scene.unit))
    keep = np.float32(1 - _alpha(np.array(_DERIVATIVE_CUTOFF), fps, 1.0))
    for frame in range(1, len(speeds)):
        speeds[frame] += keep * (speeds[frame - 1] - speeds[frame])
    alphas = _alpha(_MIN_CUTOFF + _BETA * np.abs(speeds), fps, lag)
    for frame in range(1, len(pose)):
        pose[frame] = pose[frame - 1] + alphas[frame - 1] * (pose[frame] - pose[frame - 1])


def _alpha(cutoff: np.ndarray, fps: float, lag: float) -> np.ndarray:
    """Returns the weight of a new value in a low-pass filter with this cutoff (Hz), its time constant multiplied by
    `lag`."""
    return 1 / (1 + lag * fps / (2 * np.pi * cutoff))


def wander(shape: tuple[int, ...], frames: float, rng: np.random.Generator, *, twice: bool = False) -> np.ndarray:
    """Returns float32 noise of variance 1 with a correlation time of `frames` along the first axis.

    twice: smoother, for errors whose power falls faster than that of a random walk.
    """
    noise = rng.standard_normal(shape, dtype=np.float32)
    keep = float(np.exp(-1 / max(frames, 1e-6)))
    # One such filter has 1 / (1 - k^2) of the variance of its input, two in a row (1 + k^2) / (1 - k^2)^3.
    gain = np.sqrt((1 - keep**2) ** 3 / (1 + keep**2)) if twice else np.sqrt(1 - keep**2)
    noise[1:] *= np.float32(gain)
    if twice:
        start = rng.standard_normal(shape[1:], dtype=np.float32)
        noise[0] *= np.float32(gain / np.sqrt(1 - keep**2))
        _carry_on(noise, keep)
        noise[0] = start
    _carry_on(noise, keep)
    return noise


def _carry_on(noise: np.ndarray, keep: float) -> None:
    """Adds the share `keep` of the frame before to each frame, in place."""
    for frame in range(1, len(noise)):
        noise[frame] += np.float32(keep) * noise[frame - 1]
