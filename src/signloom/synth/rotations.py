"""Rotations: unit quaternions in the order w, x, y, z, matrices, and turns of head and trunk. Shapes: T frames."""

from __future__ import annotations

import numpy as np


def head_rotation(degrees: np.ndarray) -> np.ndarray:
    """Returns rotation matrices (T, 3, 3) of a head or trunk that turns, nods and tilts by (T, 3) degrees."""
    turn, nod, tilt = np.radians(degrees).T
    zero, one = np.zeros_like(turn), np.ones_like(turn)
    about_y = np.array([[np.cos(turn), zero, np.sin(turn)], [zero, one, zero], [-np.sin(turn), zero, np.cos(turn)]])
    about_x = np.array([[one, zero, zero], [zero, np.cos(nod), -np.sin(nod)], [zero, np.sin(nod), np.cos(nod)]])
    about_z = np.array([[np.cos(tilt), -np.sin(tilt), zero], [np.sin(tilt), np.cos(tilt), zero], [zero, zero, one]])
    return about_y.transpose(2, 0, 1) @ about_x.transpose(2, 0, 1) @ about_z.transpose(2, 0, 1)


def matrix(quaternions: np.ndarray) -> np.ndarray:
    """Returns the rotation matrices (T, 3, 3) of unit quaternions (T, 4) in the order w, x, y, z."""
    w, x, y, z = quaternions.T
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)


def quaternion(axes: np.ndarray) -> np.ndarray:
    """Returns the unit quaternion (4,) of one rotation matrix (3, 3); its w is not negative."""
    # The eigenvector of Bar-Itzhack (2000), which needs no special cases.
    (a, b, c), (d, e, f), (g, h, i) = axes
    symmetric = np.array(
        [
            [a + e + i, h - f, c - g, d - b],
            [h - f, a - e - i, b + d, c + g],
            [c - g, b + d, e - a - i, f + h],
            [d - b, c + g, f + h, i - a - e],
        ]
    )
    vector = np.linalg.eigh(symmetric)[1][:, -1]
    return vector if vector[0] >= 0 else -vector


def multiply(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the quaternions (..., 4) of the rotation by `second`, then by `first`."""
    a, b, c, d = np.moveaxis(first, -1, 0)
    e, f, g, h = np.moveaxis(second, -1, 0)
    return np.stack(
        [
            a * e - b * f - c * g - d * h,
            a * f + b * e + c * h - d * g,
            a * g - b * h + c * e + d * f,
            a * h + b * g - c * f + d * e,
        ],
        axis=-1,
    )


def rotation_about(axis: int, degrees: np.ndarray | float) -> np.ndarray:
    """Returns quaternions (..., 4) of a rotation about one axis of the hand: 0 along the fingers, 1 palm, 2 thumb
    side."""
    half = np.radians(np.asarray(degrees, dtype=np.float64)) / 2
    result = np.zeros((*half.shape, 4))
    result[..., 0], result[..., 1 + axis] = np.cos(half), np.sin(half)
    return result


def cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the cross products of (T, 3) and (T, 3), several times as fast as NumPy for short clips."""
    ahead, behind = (1, 2, 0), (2, 0, 1)
    return first[:, ahead] * second[:, behind] - first[:, behind] * second[:, ahead]
