"""The outline of a head: that of the face, or where no face was found an oval in the place that the pose gives."""

from __future__ import annotations

import numpy as np

from signloom import layout

# Half the width and half the height of a head, in shoulder widths.
_HALF_WIDTH, _HALF_HEIGHT = 0.25, 0.34
# Without shoulders: shoulder width over the distance of the eyes, and over that of the ears, seen from the front.
_SHOULDERS_PER_EYES, _SHOULDERS_PER_EARS = 5.0, 2.2
_CORNERS = 36
_FACE = list(layout.FACE_CONTOURS["oval"])


def head_outline(points: np.ndarray) -> np.ndarray | None:
    """Returns the closed outline of the head in a frame, (36, 2), or None where neither face nor head was found.

    points: (543, 2) or more columns, NaN where missing; of the pose at least the nose, the ears or the eyes are needed,
    and two points that give a scale.
    """
    face = points[_FACE, :2]
    return face if np.isfinite(face).all() else pose_outline(points, shoulder_width(points))


def pose_outline(points: np.ndarray, width: float | None) -> np.ndarray | None:
    """Returns an oval (36, 2) in the place that the pose gives, or None where it gives none.

    width: of the shoulders, in the unit of the points.
    """
    centre = head_middle(points)
    if centre is None or width is None:
        return None
    down = _down(points, centre)
    across = np.array((down[1], -down[0]))
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
    middle = centre - 0.02 * width * down
    outline: np.ndarray = middle + width * (
        _HALF_WIDTH * np.cos(angles) * across + _HALF_HEIGHT * np.sin(angles) * down
    )
    return outline


def head_middle(points: np.ndarray) -> np.ndarray | None:
    """Returns the middle of the head by the pose: between the ears, else between the eyes, else the nose; or None."""
    for names in (("left_ear", "right_ear"), ("left_eye", "right_eye"), ("nose",)):
        middle = _middle(points, *names)
        if middle is not None:
            return middle
    return None


def shoulder_width(points: np.ndarray) -> float | None:
    """Returns the width of the shoulders in the image; without shoulders what eyes or ears say of it; or None."""
    for a, b, factor in (
        ("left_shoulder", "right_shoulder", 1.0),
        ("left_ear", "right_ear", _SHOULDERS_PER_EARS),
        ("left_eye", "right_eye", _SHOULDERS_PER_EYES),
    ):
        ends = points[layout.indices(f"pose.{a}", f"pose.{b}"), :2]
        if np.isfinite(ends).all():
            return factor * float(np.linalg.norm(ends[0] - ends[1]))
    return None


def _down(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Returns the direction from the forehead to the chin, of length 1."""
    eyes, mouth = _middle(points, "left_eye", "right_eye"), _middle(points, "mouth_left", "mouth_right")
    shoulders = _middle(points, "left_shoulder", "right_shoulder")
    if eyes is not None and mouth is not None:
        down = mouth - eyes
    elif shoulders is not None:
        down = shoulders - centre
    else:
        down = np.array((0.0, 1.0))
    length = float(np.linalg.norm(down))
    return down / length if length > 0 else np.array((0.0, 1.0))


def _middle(points: np.ndarray, *names: str) -> np.ndarray | None:
    places = points[layout.indices(*(f"pose.{name}" for name in names)), :2]
    return places.mean(axis=0, dtype=np.float64) if np.isfinite(places).all() else None
