"""A person of whom one hand is in view: it signs at the shoulder; the other arm is down and its hand out of view."""

import numpy as np

from signloom import layout
from signloom.landmarks import Landmarks

_POSE = {
    "left_shoulder": (0.75, 0.5), "right_shoulder": (0.45, 0.5), "left_elbow": (0.8, 0.8), "right_elbow": (0.4, 0.75),
    "left_wrist": (0.78, 1.1), "right_wrist": (0.45, 0.5),
}  # fmt: skip


def one_handed_signer(num_frames: int, *, hertz: float = 1.3, seed: int = 0) -> np.ndarray:
    """Returns points (T, 543, 3) at 25 frames/s; the right hand moves from side to side `hertz` times per second."""
    rng = np.random.default_rng(seed)
    clip = np.full((num_frames, layout.NUM_POINTS, 3), np.nan, dtype=np.float32)
    head = np.array((0.6, 0.3, 0))
    clip[:, layout.GROUPS["pose"]] = head
    clip[:, layout.GROUPS["face"]] = head + rng.normal(0, 0.02, (layout.NUM_FACE_POINTS, 3))
    for name, place in _POSE.items():
        clip[:, layout.index(f"pose.{name}"), :2] = place
    hand = rng.normal(0, 0.03, (layout.NUM_HAND_POINTS, 3))
    hand[0] = 0
    way = 0.1 * np.sin(2 * np.pi * hertz * np.arange(num_frames) / 25)
    clip[:, layout.GROUPS["right_hand"]] = hand + np.array((*_POSE["right_wrist"], 0))
    clip[:, layout.GROUPS["right_hand"], 0] += way[:, None]
    return clip


def one_handed_clip(*, hertz: float, seed: int = 0, num_frames: int = 30) -> Landmarks:
    """Returns a clip of such a person at 25 frames/s."""
    points = one_handed_signer(num_frames, hertz=hertz, seed=seed)
    return Landmarks(points, np.full((num_frames, 33), 0.5), fps=25.0)
