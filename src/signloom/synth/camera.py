"""The simulated camera: projects points in metres into its picture.

Shapes: T frames. Input: metres as in `body`. Output: units of the image height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signloom.synth.dials import Dials

# Distance of the camera, metres; it sets how much larger near things look.
DISTANCE = 2.2
# Image heights per metre without cropping. Assumed: a signer from the hips up, as in PHOENIX's pictures.
_SCALE = 1.08
# Pictures narrower than this (in image heights) are filmed from farther away, as PHOENIX's (0.7) are.
_WIDE = 0.95
# Height of the shoulders in the picture, in image heights from the top.
_SHOULDERS_AT = 0.46
# What framing 1 adds to the logarithm of the scale. With it the shoulders are 0.42 of the image height wide; the
# medians of the webcam clips are 0.42 to 0.52.
_CLOSER = 0.22
# What framing 1 adds to the height of the shoulders, which then lie at 0.53; in the webcam clips at 0.53 to 0.65.
_LOWER = 0.07


@dataclass(frozen=True)
class Camera:
    """Where a camera stands, and how noisy its recording is.

    scale: image heights per metre at the signer's distance.
    middle: (x, y) of the middle of the shoulders in the image, in image heights.
    yaw, roll: degrees.  width: of the image, in image heights.
    grain: factor of the tracker's noise in this recording, due to light, lens and compression; 1 is typical.
    """

    scale: float
    middle: tuple[float, float]
    yaw: float
    roll: float
    width: float
    grain: float = 1.0


def make_camera(
    setting: np.random.Generator, moment: np.random.Generator, *, image_size: tuple[int, int], dials: Dials
) -> Camera:
    """Returns a random camera.

    setting: draws what the recordings in one place share.  moment: draws what differs between utterances.
    """

    def draw(spread: float) -> float:
        shared, own = (np.clip(rng.standard_normal(), -2, 2) for rng in (setting, moment))
        return float(dials.camera_variation * spread * (0.9 * shared + 0.3 * own))

    width = image_size[0] / image_size[1]
    scale = _SCALE * min(1.0, width / _WIDE) ** 0.5 * np.exp(draw(0.07))
    x, y = 0.5 * width + draw(0.05 * min(1.0, width)), _SHOULDERS_AT + draw(0.03)
    yaw, roll, grain = draw(6.0), draw(2.0), np.exp(draw(0.35))
    # Some recordings are cropped more than others, but none so much that the face is cut off.
    crop = dials.framing * float(setting.uniform(0.6, 1.4))
    closer = float(np.exp(_CLOSER * min(crop, 2.5)))
    return Camera(
        scale=float(scale * closer),
        middle=(x, y + _LOWER * crop),
        yaw=yaw,
        roll=roll,
        width=width,
        grain=float(grain),
    )


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Returns points in metres (T, 543, 3) as image heights (T, 543, 3); the origin of z stays at the middle of the
    shoulders."""
    yaw, roll = np.radians((camera.yaw, camera.roll))
    about_y = np.array([(np.cos(yaw), 0, np.sin(yaw)), (0, 1, 0), (-np.sin(yaw), 0, np.cos(yaw))])
    about_z = np.array([(np.cos(roll), -np.sin(roll), 0), (np.sin(roll), np.cos(roll), 0), (0, 0, 1)])
    turn = (camera.scale * about_z @ about_y).T.astype(points.dtype)
    image = (points.reshape(-1, 3) @ turn).reshape(points.shape)
    image[..., :2] *= DISTANCE / (DISTANCE + image[..., 2:] / camera.scale)
    image[..., :2] += np.array(camera.middle, dtype=points.dtype)
    return image
