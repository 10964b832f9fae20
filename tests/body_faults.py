"""Faults of a body to plant in landmarks: functions of the points (T, 543, 3) and the aspect of the image."""

import numpy as np

from signloom import layout

PARTS = layout.GROUPS


def with_part(points, part, values):
    changed = points.copy()
    changed[:, part] = values
    return changed


def swapped(points):
    left, right = points[:, PARTS["left_hand"]].copy(), points[:, PARTS["right_hand"]]
    return with_part(with_part(points, PARTS["left_hand"], right), PARTS["right_hand"], left)


def each_hand(change):
    def both(points, aspect):
        for hand in ("left_hand", "right_hand"):
            points = with_part(points, PARTS[hand], change(points[:, PARTS[hand]]))
        return points

    return both


def cropped(hand):
    low, high = hand[..., :2].min(axis=1, keepdims=True), hand[..., :2].max(axis=1, keepdims=True)
    inside = (hand[..., :2] - (low + high) / 2) / (1.3 * (high - low).max(axis=-1, keepdims=True)) + 0.5
    return np.concatenate([inside, hand[..., 2:]], axis=-1)


def boxed(points, aspect):
    flat = points[..., :2]
    low, high = np.nanmin(flat, axis=1, keepdims=True), np.nanmax(flat, axis=1, keepdims=True)
    return np.concatenate([(flat - low) / (high - low), points[..., 2:]], axis=-1)


def filling(points, aspect):
    low, high = np.nanmin(points, axis=(0, 1)), np.nanmax(points, axis=(0, 1))
    return (points - low) / (high - low) * np.array([aspect, 1, 1])


def face_boxed(points, aspect):
    face = points[:, PARTS["face"]]
    low, high = face.min(axis=1, keepdims=True), face.max(axis=1, keepdims=True)
    return with_part(points, PARTS["face"], (face - low) / (high - low))


def later(frames):
    def late(points, aspect):
        hands = slice(33, 75)
        return with_part(points, hands, np.concatenate([points[:1, hands]] * frames + [points[:-frames, hands]]))

    return late


def rolled(part, places):
    return lambda points, aspect: with_part(points, part, np.roll(points[:, part], places, axis=1))


def reflected(*axes):
    def reflect(points, aspect):
        points = points.copy()
        for axis in axes:
            points[..., axis] = (aspect, 1)[axis] - points[..., axis]
        return points

    return reflect


def frozen(points, aspect):
    rng = np.random.default_rng(0)
    return points[:1] + rng.normal(0, 1e-5, points.shape).astype(np.float32)


# The fault that anatomy must name, and what plants it.
PLANTED = {
    "y_up": ("upside_down", reflected(1)),
    "turned_by_180": ("upside_down", reflected(0, 1)),
    "turned_by_90": ("turned", lambda p, aspect: np.stack([1 - p[..., 1], p[..., 0], p[..., 2]], axis=-1)),
    "x_y": ("x_y_exchanged", lambda p, aspect: p[..., [1, 0, 2]]),
    "mirror": ("mirrored", reflected(0)),
    "minus_x": ("mirrored", lambda p, aspect: p * np.array([-1, 1, 1], dtype=np.float32)),
    "swap": ("hands_exchanged", lambda p, aspect: swapped(p)),
    "crop": ("hands_crop", each_hand(cropped)),
    "elsewhere": ("hands_apart", each_hand(lambda hand: hand + np.array([0.4, -0.2, 0], dtype=np.float32))),
    "wrist": ("hands_relative", each_hand(lambda hand: hand - hand[:, :1])),
    "mean": ("hands_relative", each_hand(lambda hand: hand - hand.mean(axis=1, keepdims=True))),
    "nose": ("body_relative", lambda p, aspect: p - p[:, :1]),
    "shoulders": ("body_relative", lambda p, aspect: p - p[:, 11:13].mean(axis=1, keepdims=True)),
    "pose_mean": ("body_relative", lambda p, aspect: p - p[:, :33].mean(axis=1, keepdims=True)),
    "box": ("body_crop", boxed),
    "minmax": ("body_crop", filling),
    "centred": ("outside", lambda p, aspect: p - np.array([aspect / 2, 0.5, 0], dtype=np.float32)),
    "face_box": ("face_size", face_boxed),
    "frozen": ("frozen", frozen),
    "pose_+1": ("shifted", rolled(PARTS["pose"], 1)),
    "pose_-1": ("shifted", rolled(PARTS["pose"], -1)),
    "pose_-2": ("shifted", rolled(PARTS["pose"], -2)),
    "all_+1": ("shifted", rolled(slice(0, 543), 1)),
    "all_-2": ("shifted", rolled(slice(0, 543), -2)),
    "hand_+1": ("disordered_hand", rolled(PARTS["right_hand"], 1)),
    "hand_-1": ("disordered_hand", rolled(PARTS["right_hand"], -1)),
    "face_+7": ("disordered_face", rolled(PARTS["face"], 7)),
    "face_flip": ("face_turned", lambda p, aspect: with_part(p, PARTS["face"], p[:, PARTS["face"]] * (1, -1, 1))),
    "late_3": ("hands_late", later(3)),
    "late_6": ("hands_late", later(6)),
    "huge_hands": ("hand_size", each_hand(lambda hand: hand[:, :1] + 6 * (hand - hand[:, :1]))),
}
