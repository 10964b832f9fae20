"""Faces put into clips in which none was found.

Whether a face was found says how a clip was tracked and stored, not what is signed. A model that sees faces in the
clips of some people alone takes them for a part of these people's signs (`benchmarks/figures/strangers.md`). Shapes: T
frames, P points of a view of the layout, `(T, P, 3)` in units of image height, NaN where missing.
"""

from __future__ import annotations

import numpy as np

from signloom import layout
from signloom.frame_times import spans

# A face that is found in a smaller share of a clip's frames is none.
LEAST_SEEN = 0.1
# A face that is taken for other clips is seen for at least so long at a stretch, and no more of it is kept, seconds.
_MIN_SECONDS, _MAX_SECONDS = 0.3, 2.0


def shows_face(points: np.ndarray, view: str) -> bool:
    """Returns whether the face was found in at least a tenth of a clip's frames."""
    return bool(_seen(points, view).mean() >= LEAST_SEEN)


def face_of(points: np.ndarray, rng: np.random.Generator, *, view: str, fps: float) -> np.ndarray | None:
    """Returns how the face of a clip moves, (n, F, 3) float32 for 0.3 to 2 s; None if it was not found for so long.

    x and y are relative to the nose of the pose, z as it is, in distances of the pose's eyes; x from right to left eye.
    """
    eyes = _eyes(points, view)
    seen = _seen(points, view) & np.isfinite(_pose(points, view, "nose")[:, 0])
    stretches = [(start, end) for start, end in spans(seen) if end - start >= max(1, _MIN_SECONDS * fps)]
    if not eyes or not stretches:
        return None
    start, end = stretches[rng.integers(len(stretches))]
    longest = max(1, round(_MAX_SECONDS * fps))
    start = int(rng.integers(start, max(end - longest, start) + 1))
    frames = points[start : min(end, start + longest)]
    face = frames[:, layout.subset_groups(view)["face"]].astype(np.float32)
    face[..., :2] -= _pose(frames, view, "nose")[:, None, :2]
    return face / abs(eyes) * np.array((np.sign(eyes), 1, 1), dtype=np.float32)


def put_face(points: np.ndarray, face: np.ndarray, rng: np.random.Generator, *, view: str) -> None:
    """Puts a face of another clip (`face_of`) on the head of this one, in place; it moves to and fro.

    It is missing where the nose is, and in a clip that never shows both eyes.
    """
    eyes = _eyes(points, view)
    if not eyes:
        return
    # To the last frame and back to the first.
    turn = max(1, 2 * len(face) - 2)
    places = (np.arange(len(points)) + rng.integers(turn)) % turn
    moving = face[np.minimum(places, turn - places)] * np.array((eyes, abs(eyes), abs(eyes)))
    moving[..., :2] += _pose(points, view, "nose")[:, None, :2]
    moving[np.isnan(moving[..., 0])] = np.nan
    points[:, layout.subset_groups(view)["face"]] = moving


def _seen(points: np.ndarray, view: str) -> np.ndarray:
    """Returns the frames in which the face was found, (T,) bool."""
    return np.isfinite(points[:, layout.subset_groups(view)["face"], 0]).any(1)


def _eyes(points: np.ndarray, view: str) -> float:
    """Returns the distance of the pose's eyes, their median; negative in a mirrored picture, 0 if both are never
    seen."""
    apart = (_pose(points, view, "left_eye") - _pose(points, view, "right_eye"))[:, :2]
    apart = apart[np.isfinite(apart[:, 0])]
    if not len(apart):
        return 0.0
    return float(np.copysign(np.median(np.hypot(*apart.T)), np.median(apart[:, 0])))


def _pose(points: np.ndarray, view: str, name: str) -> np.ndarray:
    return points[:, layout.subset_index(view, f"pose.{name}")]
