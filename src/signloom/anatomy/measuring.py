"""Measures the points of a clip with NumPy, in about two milliseconds.

Shapes: T frames. Points are (T, 543, 3) in units of the image height, y down, NaN where missing. Only x and y are used,
except for hands.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import numpy as np

from signloom import layout
from signloom.anatomy.measures import MAX_LAG_FRAMES, MAX_SHIFT, Measures, weighted_costs
from signloom.landmarks import Landmarks

# Fewer frames say little about the variation of a length, or about a delay.
FEWEST_FRAMES = 12
# An arm that moves less, in shoulder widths (standard deviation), does not show a delay.
_LEAST_MOVEMENT = 0.08
# A point further outside the picture than this, in its own width or height, is not in the picture. MediaPipe guesses
# points a little outside.
_MARGIN = 0.25

HANDS = slice(layout.GROUPS["left_hand"].start, layout.GROUPS["right_hand"].stop)
_ALL = np.arange(layout.NUM_POINTS)
HEAD = layout.indices("pose.nose", "pose.left_eye", "pose.right_eye", "pose.left_ear", "pose.right_ear")
_EYES = layout.indices("pose.left_eye", "pose.right_eye")
SHOULDERS = layout.indices("pose.left_shoulder", "pose.right_shoulder")
_ELBOWS = layout.indices("pose.left_elbow", "pose.right_elbow")
_HIPS = layout.indices("pose.left_hip", "pose.right_hip")
POSE_WRISTS = layout.indices("pose.left_wrist", "pose.right_wrist")
HAND_WRISTS = layout.indices("left_hand.wrist", "right_hand.wrist")
# Of the face mesh: top of the forehead, chin, left and right cheek beside the ears, tip of the nose.
_FACE = layout.indices("face.10", "face.152", "face.454", "face.234", "face.1")
# Points that a camera which shows a signer has in its picture: head and shoulders, hands, some of the face.
# Bones of the pose above the hips, for the order of its points: head, shoulders, arms, hands, trunk.
_POSE_BONES = layout.indices(
    *(
        f"pose.{end}"
        for bone in (
            "nose left_eye_inner,left_eye_inner left_eye,left_eye left_eye_outer,left_eye_outer left_ear,"
            "nose right_eye_inner,right_eye_inner right_eye,right_eye right_eye_outer,right_eye_outer right_ear,"
            "mouth_left mouth_right,nose mouth_left,nose mouth_right,left_shoulder right_shoulder,"
            "left_shoulder left_elbow,left_elbow left_wrist,left_wrist left_pinky,left_wrist left_index,"
            "left_wrist left_thumb,right_shoulder right_elbow,right_elbow right_wrist,right_wrist right_pinky,"
            "right_wrist right_index,right_wrist right_thumb,left_shoulder left_hip,right_shoulder right_hip,"
            "left_hip right_hip"
        ).split(",")
        for end in bone.split()
    )
).reshape(-1, 2)
# For each shift, the points of the pose that would be the ends of these bones.
_SHIFTED_BONES = (_POSE_BONES + np.arange(-MAX_SHIFT, MAX_SHIFT + 1)[:, None, None]) % layout.NUM_POSE_POINTS
# Closed outlines of the face mesh, each followed by its first point: lips and eyes.
_OUTLINES = [
    np.array([*layout.FACE_CONTOURS[name], layout.FACE_CONTOURS[name][0]]) for name in ("lips", "left_eye", "right_eye")
]
_USED = np.concatenate([_ALL[: HANDS.stop], _FACE])
_IN_PICTURE = np.concatenate([HEAD, SHOULDERS, _ALL[HANDS], _ALL[layout.GROUPS["face"]][::36]])
_MOVING = np.concatenate([HEAD, SHOULDERS, _ELBOWS, POSE_WRISTS, _ALL[HANDS][::4]])
_BONES = np.array(layout.HAND_BONES).T
# Bones within the fingers: unlike those of the palm, their ends follow each other in the order of the points.
_FINGER_BONES = _BONES[:, np.diff(_BONES, axis=0)[0] == 1]
_PALM = np.array(layout.KNUCKLES)
_KNUCKLE = int(layout.hand_joints("middle_mcp")[0])


def measure(points: np.ndarray, visibility: np.ndarray | None = None, *, aspect: float | None = None) -> Measures:
    """Returns the measures of a clip.

    points: (T, 543, 3), units of image height.  visibility: (T, 33).  aspect: width of the image over its height, to
    tell which points are outside; without it only y is looked at.
    """
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return _measure(points, visibility, aspect)


def measure_landmarks(landmarks: Landmarks) -> Measures:
    """Returns the measures of a clip of landmarks."""
    aspect = landmarks.aspect if landmarks.image_size else None
    return measure(landmarks.points, landmarks.visibility, aspect=aspect)


def _measure(points: np.ndarray, visibility: np.ndarray | None, aspect: float | None) -> Measures:
    flat = points[:, _USED, :2]
    picture = points[:, _IN_PICTURE, :2]
    pose, face = flat[:, layout.GROUPS["pose"]], flat[:, HANDS.stop :]
    hands = flat[:, HANDS].reshape(len(points), 2, layout.NUM_HAND_POINTS, 2)
    space = points[:, HANDS].reshape(len(points), 2, layout.NUM_HAND_POINTS, 3)
    present = {name: np.isfinite(points[:, part, 0]).any(axis=1) for name, part in layout.GROUPS.items()}
    ends, pose_wrists, wrists = pose[:, SHOULDERS], pose[:, POSE_WRISTS], hands[:, :, 0]
    across, middle = ends[:, 0] - ends[:, 1], 0.5 * (ends[:, 0] + ends[:, 1])
    up = pose[:, HEAD].mean(axis=1) - middle
    face_up, face_across = face[:, 0] - face[:, 1], face[:, 2] - face[:, 3]
    hips = 0.5 * (pose[:, _HIPS[0]] + pose[:, _HIPS[1]]) - middle
    moving = flat[:, _MOVING]
    columns = _Columns(
        {
            "shoulders": lengths(across),
            "head": lengths(up),
            "sides": _sides(up, across),
            "face_sides": _sides(face_up, face_across),
            "hips": -(hips * up).sum(axis=-1) / np.maximum(lengths(up), 1e-9),
            "head_place": pose[:, HEAD].mean(axis=1),
            "face_size": lengths(face_up),
            "face_at_head": lengths(face[:, 4] - pose[:, HEAD[0]]),
            "own": lengths(wrists - pose_wrists),
            "other": lengths(wrists - pose_wrists[:, ::-1]),
            "pose": pose,
            "box": np.concatenate([np.fmin.reduce(flat, axis=1), np.fmax.reduce(flat, axis=1)], axis=1),
            "hand_size": lengths(hands[:, :, _KNUCKLE] - wrists),
            "hand_box": (hands.max(axis=2) - hands.min(axis=2)).max(axis=-1),
            "forearm": lengths(pose[:, _ELBOWS] - pose_wrists),
            "hand_sides": _hand_sides(space),
            "bones": _bones(space),
            "eyes": lengths(pose[:, _EYES[0]] - pose[:, _EYES[1]]),
            "wrist_root": lengths(wrists),
            "hand_mean": lengths(hands.mean(axis=2)),
            "nose_root": lengths(pose[:, HEAD[0]]),
            "shoulders_root": lengths(middle),
            "pose_mean": lengths(pose.mean(axis=1)),
            "step": np.concatenate([lengths(moving[1:] - moving[:-1]), np.full((1, len(_MOVING)), np.nan)]),
        }
    )
    median = columns.quantile(0.5)
    high, low, greatest = columns.quantile(0.9), columns.quantile(0.1), columns.quantile(1.0)
    least = columns.quantile(0.0)
    variation = np.where(columns.counts >= FEWEST_FRAMES, (high - low) / median, np.nan)
    shoulders = float(median[columns["shoulders"]][0])
    scale = shoulders if shoulders > 0 else math.nan
    own, other = median[columns["own"]], median[columns["other"]]
    order, shift = hand_order(hands)
    lag_costs, lag_frames = _lags(wrists, pose_wrists, scale)
    known = np.isfinite(picture[..., 0])
    x, y = picture[..., 0] / (aspect or math.inf), picture[..., 1]
    out = known & ((y < -_MARGIN) | (y > 1 + _MARGIN) | (x < -_MARGIN) | (x > 1 + _MARGIN))
    seen = visibility[np.isfinite(visibility)] if visibility is not None else np.zeros(0)
    return Measures(
        num_frames=len(points),
        num_clips=1,
        frames={name: int(found.sum()) for name, found in present.items()},
        shoulders=shoulders,
        turn_degrees=_turn(up),
        sides=float(median[columns["sides"]][0]),
        face_turn_degrees=_turn(face_up),
        face_sides=float(median[columns["face_sides"]][0]),
        head_height=float(median[columns["head"]][0]) / scale,
        hips_below=float(median[columns["hips"]][0]) / scale,
        head_x=float(median[columns["head_place"]][0]) / aspect if aspect else math.nan,
        head_y=float(median[columns["head_place"]][1]),
        face_size=float(median[columns["face_size"]][0]) / scale,
        face_at_head=float(median[columns["face_at_head"]][0]) / scale,
        wrist_own=own / scale,
        wrist_other=other / scale,
        wrist_own_image=own,
        wrist_other_image=other,
        shift_costs=shift_costs(median[columns["pose"]].reshape(-1, 2)) / scale,
        face_order=face_order(points),
        hand_size=high[columns["hand_size"]] / scale,
        hand_box=median[columns["hand_box"]],
        forearm=high[columns["forearm"]] / scale,
        hand_order=order,
        hand_shift=shift,
        hand_sides=median[columns["hand_sides"]],
        hand_bones=_middle(variation[columns["bones"]]),
        eyes=float(variation[columns["eyes"]][0]),
        wrist_root=greatest[columns["wrist_root"]],
        hand_mean=greatest[columns["hand_mean"]],
        nose_root=float(greatest[columns["nose_root"]][0]),
        shoulders_root=float(greatest[columns["shoulders_root"]][0]),
        pose_mean=float(greatest[columns["pose_mean"]][0]),
        box=_box(columns, greatest, least),
        unit_box=_unit_box(columns, greatest, least, aspect),
        outside=float(out.sum() / known.sum()) if known.any() else math.nan,
        largest=float(np.abs(picture[known]).max()) if known.any() else math.nan,
        visibility_low=float(seen.min()) if len(seen) else math.nan,
        visibility_high=float(seen.max()) if len(seen) else math.nan,
        step=_middle(median[columns["step"]]) / scale,
        lag_costs=lag_costs,
        lag_frames=lag_frames,
    )


class _Columns:
    """Named columns of one value per frame, sorted together: far cheaper than a median for each of them.

    columns: (T,) or (T, N) each; missing values are not finite.
    """

    def __init__(self, columns: Mapping[str, np.ndarray]) -> None:
        wide = [column.reshape(len(column), -1) for column in columns.values()]
        ends = np.cumsum([column.shape[1] for column in wide])
        self._parts = {
            name: slice(int(end) - column.shape[1], int(end))
            for name, end, column in zip(columns, ends, wide, strict=True)
        }
        table = np.concatenate(wide, axis=1, dtype=np.float32)
        table[~np.isfinite(table)] = np.nan
        # NaN is sorted to the end.
        table.sort(axis=0)
        self._sorted = table
        self.counts = np.isfinite(table).sum(axis=0)

    def __getitem__(self, name: str) -> slice:
        return self._parts[name]

    def quantile(self, share: float) -> np.ndarray:
        """Returns the quantile of every column, without its missing values; NaN if it has none."""
        position = share * np.maximum(self.counts - 1, 0)
        below = np.floor(position).astype(np.int64)
        above = np.minimum(below + 1, np.maximum(self.counts - 1, 0))
        columns = np.arange(len(below))
        first, second = self._sorted[below, columns], self._sorted[above, columns]
        return np.asarray(first + (position - below) * (second - first))


def lengths(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.einsum("...i,...i->...", vectors, vectors)))


def _box(columns: _Columns, greatest: np.ndarray, least: np.ndarray) -> float:
    part = columns["box"]
    return float((greatest - least)[part].max()) if columns.counts[part][0] >= FEWEST_FRAMES else math.nan


def _unit_box(columns: _Columns, greatest: np.ndarray, least: np.ndarray, aspect: float | None) -> float:
    if not aspect:
        return math.nan
    (left, top), (right, bottom) = least[columns["box"]][:2], greatest[columns["box"]][2:]
    return float(np.max(np.abs([left / aspect, top, right / aspect - 1, bottom - 1])))


def _middle(values: np.ndarray) -> float:
    """Returns the median of the finite values; NaN if there is none."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else math.nan


def _turn(up: np.ndarray) -> float:
    """Returns the direction of vectors (T, 2) that should point up, degrees clockwise from up, -180..180."""
    length = lengths(up)
    known = np.isfinite(length) & (length > 0)
    if not known.any():
        return math.nan
    x, y = (up[known] / length[known, None]).mean(axis=0)
    return math.degrees(math.atan2(x, -y))


def _sides(up: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Returns -1..1 by frame: 1 if `across`, from right to left, points to the image's right while `up` points up."""
    size = lengths(up) * lengths(across)
    return np.asarray((across[:, 1] * up[:, 0] - across[:, 0] * up[:, 1]) / np.where(size > 0, size, np.nan))


def shift_costs(pose: np.ndarray) -> np.ndarray:
    """Returns `shift_costs`, in units of the image height, of one pose (33, 2)."""
    ends = pose[_SHIFTED_BONES]
    return np.asarray(np.nanmean(lengths(ends[:, :, 0] - ends[:, :, 1]), axis=1))


def face_order(points: np.ndarray) -> float:
    """Returns how long the outlines of lips and eyes are, in heights of the face, in the middle frame that has one."""
    seen = np.flatnonzero(np.isfinite(points[:, _FACE, 0]).all(axis=1))
    if not len(seen):
        return math.nan
    face = points[seen[len(seen) // 2], :, :2]
    length = sum(float(lengths(np.diff(face[outline], axis=0)).sum()) for outline in _OUTLINES)
    return length / max(float(lengths(face[_FACE[0]] - face[_FACE[1]])), 1e-9)


def hand_order(hands: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns `hand_order` and `hand_shift` of hands (T, 2, 21, 2)."""
    steps = np.concatenate([hands[:, :, 1:] - hands[:, :, :-1], (hands[:, :, :1] - hands[:, :, -1:])], axis=2)
    bones = lengths(steps)
    known = np.isfinite(bones[..., 0])
    count = known.sum(axis=0)
    mean = np.where(known[..., None], bones, 0).sum(axis=0) / count[:, None]
    shifts = np.arange(-3, 4)
    first = _FINGER_BONES[0]
    # Entry n of `mean` is the bone from point n to n + 1; with a shift by k the fingers' bones begin at first + k.
    costs = np.stack([mean[:, (first - shift) % 21].sum(axis=-1) for shift in shifts], axis=1)
    best = costs.argmin(axis=1)
    order = costs[:, len(shifts) // 2] / costs.min(axis=1)
    return np.where(count > 0, order, np.nan), np.where(count > 0, -shifts[best], np.nan).astype(np.float64)


def _hand_sides(hands: np.ndarray) -> np.ndarray:
    """Returns -1..1 for each frame of hands (T, 2, 21, 3), (T, 2): how surely they bend towards the palm of their side.

    The palm's normal is that of wrist, index and pinky knuckle. Fingers bend to one side of it only: the side tells a
    left hand from a right one.
    """
    wrist, index, pinky = hands[:, :, 0], hands[:, :, _PALM[0]], hands[:, :, _PALM[-1]]
    (ax, ay, az), (bx, by, bz) = (np.moveaxis(vector - wrist, -1, 0) for vector in (index, pinky))
    normal = np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)
    bend = hands[:, :, _PALM + 3].sum(axis=2) - hands[:, :, _PALM].sum(axis=2)
    size = 4 * lengths(normal) * lengths(hands[:, :, _KNUCKLE] - wrist)
    # Seen with x right, y down, z back: the normal points into the palm of a right hand, out of that of a left one.
    bent = np.einsum("...i,...i->...", bend, normal) / np.where(size > 0, size, np.nan)
    return np.asarray(np.clip(2 * bent, -1, 1) * np.array([-1, 1]))


def _bones(hands: np.ndarray) -> np.ndarray:
    """Returns the lengths of the bones of the hand that is seen more, of hands (T, 2, 21, 3), (T, 20)."""
    counts = np.isfinite(hands[:, :, 0, 0]).sum(axis=0)
    hand = hands[:, int(counts.argmax())]
    return lengths(hand[:, _BONES[0]] - hand[:, _BONES[1]])


def _lags(wrists: np.ndarray, pose_wrists: np.ndarray, scale: float) -> tuple[np.ndarray, int]:
    """Returns `lag_costs` and `lag_frames` from the wrists of hands and pose, (T, 2, 2) each."""
    size = 2 * MAX_LAG_FRAMES + 1
    costs, weights = [], []
    for hand, pose in zip(wrists.transpose(1, 0, 2), pose_wrists.transpose(1, 0, 2), strict=True):
        known = np.isfinite(hand[:, 0]) & np.isfinite(pose[:, HEAD[0]])
        count = int(known.sum())
        if count < FEWEST_FRAMES:
            continue
        movement = float(pose[known].var(axis=0).sum())
        if not movement > (_LEAST_MOVEMENT * scale) ** 2:
            continue
        padded = np.full((len(pose) + 2 * MAX_LAG_FRAMES, 2), np.nan, dtype=np.float32)
        padded[MAX_LAG_FRAMES : len(pose) + MAX_LAG_FRAMES] = np.where(known[:, None], pose, np.nan)
        # Column n of frame t is the pose of frame t - n + MAX_LAG_FRAMES.
        windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=0)[..., ::-1]
        apart = hand[:, :, None] - windows
        both = np.isfinite(apart[:, 0])
        counts = both.sum(axis=0)
        apart = np.where(both[:, None], apart, 0)
        square = np.einsum("tin,tin->n", apart, apart) - (apart.sum(axis=0) ** 2).sum(axis=0) / counts
        costs.append(np.where(counts >= FEWEST_FRAMES, square / counts / movement, np.nan))
        weights.append(count)
    return weighted_costs(costs, weights, size), sum(weights)
