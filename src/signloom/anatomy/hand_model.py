"""The human hand: its joints from the angles of the fingers, its axes from two directions."""

from __future__ import annotations

import numpy as np

from signloom import layout

# Joints of the hand in units of its length (wrist to tip of the stretched middle finger). Columns: along the fingers,
# out of the palm, towards the thumb. Proportions after common anthropometric tables (phalanges 2 : 1.25 : 1).
_THUMB_CMC = np.array((0.13, 0.04, 0.12))
_THUMB_BONES = (0.225, 0.165, 0.135)
_KNUCKLES = np.array([(0.475, 0, 0.125), (0.485, 0, 0.02), (0.455, 0, -0.075), (0.41, 0, -0.16)])
_PHALANGES = np.array([(0.235, 0.135, 0.105), (0.25, 0.155, 0.11), (0.235, 0.145, 0.105), (0.18, 0.105, 0.095)])
# Flexion of the dip joint, as a share of that of the pip joint.
_DIP_PER_PIP = 0.65


def hand_points(angles: np.ndarray) -> np.ndarray:
    """Returns the 21 joints of a right hand, (T, 21, 3) in hand lengths along the hand's axes, from angles (T, 16) in
    degrees."""
    radians = np.radians(angles)
    points = np.zeros((len(angles), layout.NUM_HAND_POINTS, 3))
    azimuth, elevation, mcp, ip = radians[:, :4].T
    place = np.broadcast_to(_THUMB_CMC, (len(angles), 3))
    points[:, 1] = place
    # Flexion of the thumb turns its bones across the palm.
    for joint, (bone, bend) in enumerate(zip(_THUMB_BONES, (0 * mcp, mcp, mcp + ip), strict=True), start=2):
        turned = azimuth - bend
        direction = np.stack(
            [np.cos(elevation) * np.cos(turned), np.sin(elevation), np.cos(elevation) * np.sin(turned)], axis=1
        )
        place = place + bone * direction
        points[:, joint] = place
    fingers = radians[:, 4:].reshape(-1, 4, 3)
    spread = fingers[..., 0]
    bends = np.stack([fingers[..., 1], fingers[..., 2], _DIP_PER_PIP * fingers[..., 2]], axis=-1).cumsum(axis=-1)
    along = np.cos(bends)
    directions = np.stack(
        [along * np.cos(spread)[..., None], np.sin(bends), along * np.sin(spread)[..., None]], axis=-1
    )
    tips = _KNUCKLES[None, :, None] + (directions * _PHALANGES[None, :, :, None]).cumsum(axis=2)
    points[:, 5::4] = _KNUCKLES
    for joint in range(3):
        points[:, 6 + joint :: 4] = tips[:, :, joint]
    return points


def hand_axes(fingers: np.ndarray, palm: np.ndarray) -> np.ndarray:
    """Returns the rotation matrix (3, 3) of a hand whose fingers point to `fingers` (3,) and whose palm faces `palm`
    (3,) as nearly as it can."""
    fingers = fingers / np.linalg.norm(fingers)
    palm = palm - (palm @ fingers) * fingers
    palm /= np.linalg.norm(palm)
    return np.stack([fingers, palm, np.cross(fingers, palm)], axis=1)
