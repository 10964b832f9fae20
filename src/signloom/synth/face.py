"""A parametric face: the 468 points of the mesh on an ellipsoidal head, with a mouth, brows and lids that move.

`face_points.txt` has the points of the mesh; MediaPipe 0.10.21 `face_mesh_connections.py` names its contours. Lengths
are millimetres there and metres in the results; x to the signer's left, y down, z backwards.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np

from signloom import layout

# The blend weights of `deform`, in this order.
EXPRESSIONS = ("opened", "spread", "rounded", "brows", "blink")


@cache
def neutral_face() -> np.ndarray:
    """Returns the face at rest, (468, 3) metres; the origin is between eyes and nose, in the middle of the head's
    width."""
    values = np.loadtxt(str(files("signloom.synth") / "face_points.txt"))
    numbers = values[:, 0].astype(int)
    flat = np.full((layout.NUM_FACE_POINTS, 2), np.nan)
    flat[numbers] = values[:, 1:]
    mirror = layout.mirror_map()[layout.GROUPS["face"]] - layout.GROUPS["face"].start
    flat[mirror[numbers]] = values[:, 1:] * (-1, 1)
    x, y = flat.T
    head = -95 * np.sqrt(np.clip(1 - 0.88 * (x / 74) ** 2 - 0.42 * (y / 100) ** 2, 0.02, None))
    ridge = np.interp(y, (-30, -18, 14, 22, 27), (0, -4, -24, -14, 0)) * np.exp(-((x / 10) ** 2))
    sockets = 7 * np.exp(-(((np.abs(x) - 30) / 17) ** 2) - ((y + 20) / 9) ** 2)
    lips = -5 * np.exp(-((x / 22) ** 2) - ((y - 43) / 12) ** 2)
    chin = -6 * np.exp(-((x / 22) ** 2) - ((y - 80) / 12) ** 2)
    points = (np.stack([x, y, head + ridge + sockets + lips + chin], axis=1) / 1000).astype(np.float32)
    points.setflags(write=False)
    return points


@cache
def expression_shapes() -> np.ndarray:
    """Returns the displacement of the points for each of `EXPRESSIONS` at weight 1, (5, 468, 3) metres."""
    x, y, _ = neutral_face().T.astype(np.float64) * 1000
    zero = np.zeros_like(x)
    mouth = np.exp(-((x / 30) ** 2) - ((y - 43) / 16) ** 2)
    below = 0.5 + 0.5 * np.tanh(y - 43)
    jaw = below * np.clip(1 - (x / 62) ** 2, 0, 1) * np.where(np.abs(y - 43) < 12, np.clip(1 - (x / 29) ** 2, 0, 1), 1)
    brow = np.exp(-(((y + 42) / 9) ** 2)) * np.clip(np.abs(x) / 12, 0, 1) * np.clip((66 - np.abs(x)) / 14, 0, 1)
    lid = np.exp(-(((np.abs(x) - 30) / 13) ** 2) - ((y + 27.5) / 3.5) ** 2)
    shapes = [
        (zero, 20 * jaw, 3 * jaw),
        (0.3 * x * mouth, -2 * mouth, zero),
        (-0.4 * x * mouth, zero, -7 * mouth),
        (zero, -8 * brow, zero),
        (zero, 11 * lid, zero),
    ]
    result = (np.stack([np.stack(shape, axis=1) for shape in shapes]) / 1000).astype(np.float32)
    result.setflags(write=False)
    return result


def deform(weights: np.ndarray) -> np.ndarray:
    """Returns the face with expressions, (T, 468, 3) metres, from blend weights (T, 5) in the order of
    `EXPRESSIONS`."""
    return neutral_face() + np.tensordot(weights, expression_shapes(), axes=1)
