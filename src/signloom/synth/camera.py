"""The camera: points in metres -> points in its picture.

Shapes: T frames. In: metres as in `body`. Out: units of the image height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signloom.synth.dials import Dials

# Distance of the camera, metres: near things look larger.
DISTANCE = 2.2
# Image heights per metre where nothing is cropped, in a picture at least this wide (in heights); narrower ones are
# filmed from farther away, as PHOENIX's (0.7) are. Assumed: a signer from the hips up, as in its pictures.
_SCALE, _WIDE = 1.08, 0.95
_SHOULDERS_AT = 0.46
# What framing 1 adds to the scale, as a logarithm, and to the height of the shoulders. With it shoulders are 0.42 of
# the image height wide and lie at 0.53; the medians of the webcam clips are 0.42 to 0.52, and 0.53 to 0.65.
_CLOSER, _LOWER = 0.22, 0.07


@dataclass(frozen=True)
class Camera:
    """Where a camera sees the signer, and how well.

    scale: image heights per metre at the signer's distance.  middle: (x, y) of the middle of the shoulders in the
    image, in image heights.  yaw, roll: degrees.  width: of the image, in image heights.
    grain: how much the tracker's jitter is stronger (above 1) or weaker in this recording than in most, for its light,
    its lens and its compression.
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
    """A camera: `setting` draws what one recording place shares, `moment` what differs from utterance to utterance."""

    def draw(spread: float) -> float:
        shared, own = (np.clip(rng.standard_normal(), -2, 2) for rng in (setting, moment))
        return float(dials.camera_variation * spread * (0.9 * shared + 0.3 * own))

    width = image_size[0] / image_size[1]
    scale = _SCALE * min(1.0, width / _WIDE) ** 0.5 * np.exp(draw(0.07))
    x, y = 0.5 * width + draw(0.05 * min(1.0, width)), _SHOULDERS_AT + draw(0.03)
    yaw, roll, grain = draw(6.0), draw(2.0), np.exp(draw(0.35))
    # Some recordings are cropped more than others; none so much that the face is cut off.
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
    """Metres (T, 543, 3) as image heights (T, 543, 3); z keeps its origin at the middle of the shoulders."""
    yaw, roll = np.radians((camera.yaw, camera.roll))
    about_y = np.array([(np.cos(yaw), 0, np.sin(yaw)), (0, 1, 0), (-np.sin(yaw), 0, np.cos(yaw))])
    about_z = np.array([(np.cos(roll), -np.sin(roll), 0), (np.sin(roll), np.cos(roll), 0), (0, 0, 1)])
    turn = (camera.scale * about_z @ about_y).T.astype(points.dtype)
    image = (points.reshape(-1, 3) @ turn).reshape(points.shape)
    image[..., :2] *= DISTANCE / (DISTANCE + image[..., 2:] / camera.scale)
    image[..., :2] += np.array(camera.middle, dtype=points.dtype)
    return image
