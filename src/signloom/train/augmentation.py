"""Random changes to a training clip that keep its glosses: other tempo, camera, signer and tracker.

NumPy, one utterance at a time, every choice drawn from a generator seeded by (seed, epoch, utterance), so that the
order of work never changes the data. Shapes: T frames, P points of a subset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signloom import layout
from signloom.landmarks import interpolate


@dataclass(frozen=True)
class AugmentationConfig:
    """How much a training clip is changed; 0 switches a change off."""

    retime: float = 0.25
    """largest change of tempo: each clip's length is multiplied by 1 - retime to 1 + retime"""
    warp: float = 0.2
    """largest local change of tempo within a clip, smooth over about a second"""
    drop_frames: float = 0.1
    """largest share of frames taken out, each clip drawing its own"""
    rotate_degrees: float = 12.0
    """largest rotation in the image plane"""
    yaw_degrees: float = 20.0
    """largest rotation about the vertical, by the points' own depth"""
    stretch: float = 0.15
    """largest relative stretch of x against y"""
    proportions: float = 0.15
    """largest relative change of the size of hands and face, and of the reach of the arms"""
    place: float = 0.06
    """largest shift of where each hand signs, constant over a clip, in units of image height"""
    hand_rotate_degrees: float = 15.0
    """largest rotation of each hand about its wrist, constant over a clip"""
    jitter: float = 0.004
    """standard deviation of noise on every point, in units of image height, half of it constant over a clip"""
    drop_hand: float = 0.2
    """probability that a hand is lost for a while (up to half a second), for each second of clip"""
    drop_face: float = 0.15
    """probability that the face is missing throughout"""
    mirror: float = 0.0
    """probability of a mirrored clip, left and right hand exchanged"""


def augment(
    points: np.ndarray,
    config: AugmentationConfig,
    rng: np.random.Generator,
    *,
    subset: str,
    min_frames: int,
    fps: float,
) -> np.ndarray:
    """`points` (T, P, 3) changed at random, (T', P, 3) with T' of at least `min_frames` (or T, if T is fewer)."""
    points = _retimed(points, config, rng, min_frames, fps).astype(np.float32)
    if config.mirror and rng.random() < config.mirror:
        points = points[:, layout.subset_mirror_map(subset)]
        points[..., 0] = 1.0 - points[..., 0]
    _change_signer(points, config, rng, subset)
    points = _change_camera(points, config, rng)
    if config.jitter:
        noise = rng.standard_normal(points.shape, dtype=np.float32)
        noise += rng.standard_normal(points.shape[1:], dtype=np.float32)
        points += noise * np.float32(config.jitter / np.sqrt(2) * rng.random())
    _lose_parts(points, config, rng, subset, fps)
    return points


def _retimed(
    points: np.ndarray, config: AugmentationConfig, rng: np.random.Generator, min_frames: int, fps: float
) -> np.ndarray:
    num_frames = len(points)
    count = max(round(num_frames * rng.uniform(1 - config.retime, 1 + config.retime)), min(min_frames, num_frames), 1)
    if num_frames > 1 and (count != num_frames or config.warp):
        knots = max(2, round(count / fps) + 1)
        speed = np.interp(
            np.linspace(0, knots - 1, count), np.arange(knots), rng.uniform(1 - config.warp, 1 + config.warp, knots)
        )
        position = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2)]) if count > 1 else np.zeros(1)
        position *= (num_frames - 1) / max(position[-1], 1e-9)
        points = interpolate(points, np.minimum(position, num_frames - 1))
    share = rng.uniform(0, config.drop_frames)
    kept = max(round(len(points) * (1 - share)), min(min_frames, len(points)), 1)
    if kept < len(points):
        points = points[np.sort(rng.permutation(len(points))[:kept])]
    return points


def _change_signer(points: np.ndarray, config: AugmentationConfig, rng: np.random.Generator, subset: str) -> None:
    """Hands and face of another size, hands turned and signing elsewhere, arms of another reach; in place."""
    groups = layout.subset_groups(subset)
    for name in ("left_hand", "right_hand", "face"):
        group = points[:, groups[name]]
        centre = group.mean(1, keepdims=True) if name == "face" else group[:, :1]
        offset = (group - centre) * np.float32(1 + rng.uniform(-config.proportions, config.proportions))
        if name != "face" and config.hand_rotate_degrees:
            offset = _turned(offset, 0, 1, rng.uniform(-1, 1) * config.hand_rotate_degrees)
        group[:] = centre + offset
    names = [layout.POINT_NAMES[point] for point in layout.subset(subset)[groups["pose"]]]
    for side in ("left", "right"):
        shoulder = points[:, names.index(f"pose.{side}_shoulder")].copy()
        elbow, wrist = points[:, names.index(f"pose.{side}_elbow")], points[:, names.index(f"pose.{side}_wrist")]
        reach = np.float32(rng.uniform(-config.proportions, config.proportions))
        place = rng.uniform(-config.place, config.place, 3).astype(np.float32) * np.array([1, 1, 0], dtype=np.float32)
        shift = (wrist - shoulder) * reach
        # The hand moves with its wrist, and is where it was when the wrist is not known.
        points[:, groups[f"{side}_hand"]] += (np.nan_to_num(shift) + place)[:, None]
        wrist += shift + place
        elbow += (elbow - shoulder) * reach + place / 2


def _change_camera(points: np.ndarray, config: AugmentationConfig, rng: np.random.Generator) -> np.ndarray:
    centre = np.nanmean(points[:, :1], axis=(0, 1)) if np.isfinite(points[:, 0, 0]).any() else np.float32(0.5)
    offset = points - centre
    offset = _turned(offset, 0, 1, rng.uniform(-1, 1) * config.rotate_degrees)
    offset = _turned(offset, 0, 2, rng.uniform(-1, 1) * config.yaw_degrees)
    offset[..., 0] *= np.float32(1 + rng.uniform(-config.stretch, config.stretch))
    return offset + centre


def _turned(offset: np.ndarray, first: int, second: int, degrees: float) -> np.ndarray:
    """`offset` (..., 3) turned by an angle in the plane of two of its axes."""
    if not degrees:
        return offset
    cos, sin = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    turned = offset.copy()
    turned[..., first] = cos * offset[..., first] - sin * offset[..., second]
    turned[..., second] = sin * offset[..., first] + cos * offset[..., second]
    return turned


def _lose_parts(
    points: np.ndarray, config: AugmentationConfig, rng: np.random.Generator, subset: str, fps: float
) -> None:
    groups = layout.subset_groups(subset)
    seconds = len(points) / fps
    for name in ("left_hand", "right_hand"):
        for _ in range(rng.poisson(config.drop_hand * seconds / 2)):
            start = rng.integers(len(points))
            points[start : start + rng.integers(1, max(2, round(fps / 2))), groups[name]] = np.nan
    if rng.random() < config.drop_face:
        points[:, groups["face"]] = np.nan
