"""Random changes to a training clip that keep its glosses: other tempo, camera, signer and tracker.

NumPy, one utterance at a time, every choice drawn from a generator seeded by (seed, epoch, utterance), so that the
order of work never changes the data. Shapes: T frames, P points of a subset; planes are points by axis, `(3, T, P)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from signloom import layout
from signloom.landmarks import interpolate

# Jitter of body and face as a share of the hands': in recordings by MediaPipe a tenth (benchmarks/tracker_fit.md).
STEADY = 0.125


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
    """largest standard deviation of noise on hands, in units of image height, half of it constant over a clip; body and
    face get an eighth"""
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
    points = interpolate(points, retiming(len(points), config, rng, min_frames=min_frames, fps=fps))
    if config.mirror and rng.random() < config.mirror:
        points = points[:, layout.subset_mirror_map(subset)]
        points[..., 0] = 1.0 - points[..., 0]
    # By axis, `(3, T, P)`: NumPy's loops are several times faster over the points than over three coordinates.
    planes = np.ascontiguousarray(points.transpose(2, 0, 1))
    _change_signer(planes, config, rng, subset)
    planes = _change_camera(planes, config, rng)
    if config.jitter:
        # Uniform: a quarter of the time that normal noise takes, and the same spread.
        noise = rng.random(planes.shape, dtype=np.float32)
        noise += rng.random((3, 1, planes.shape[2]), dtype=np.float32)
        noise -= 1
        noise *= _jitter_shares(subset) * np.float32(config.jitter * np.sqrt(6) * rng.random())
        planes += noise
    _lose_parts(planes, config, rng, subset, fps)
    return np.ascontiguousarray(planes.transpose(1, 2, 0))


@cache
def _jitter_shares(subset: str) -> np.ndarray:
    """How much of the jitter each point has, (P,): trackers smooth the body and the face, but not the hands."""
    shares = np.full(len(layout.subset(subset)), STEADY, dtype=np.float32)
    for name in ("left_hand", "right_hand"):
        shares[layout.subset_groups(subset)[name]] = 1
    return shares


def retiming(
    num_frames: int, config: AugmentationConfig, rng: np.random.Generator, *, min_frames: int, fps: float
) -> np.ndarray:
    """Where each frame of the changed clip lies in the clip, (T',), rising: another tempo, some frames left out.

    It is what `augment` draws first: a generator of the same seed tells how a clip was, or will be, re-timed.
    """
    count = max(round(num_frames * rng.uniform(1 - config.retime, 1 + config.retime)), min(min_frames, num_frames), 1)
    position = np.arange(count) * ((num_frames - 1) / max(count - 1, 1))
    if config.warp and count > 1:
        knots = max(2, round(count / fps) + 1)
        speed = np.interp(
            np.linspace(0, knots - 1, count), np.arange(knots), rng.uniform(1 - config.warp, 1 + config.warp, knots)
        )
        position[1:] = np.cumsum(speed[1:] + speed[:-1])
        position *= (num_frames - 1) / position[-1]
    kept = max(round(count * (1 - rng.uniform(0, config.drop_frames))), min(min_frames, count), 1)
    if kept < count:
        position = position[np.sort(rng.permutation(count)[:kept])]
    return np.minimum(position, num_frames - 1)


def _change_signer(planes: np.ndarray, config: AugmentationConfig, rng: np.random.Generator, subset: str) -> None:
    """Hands and face of another size, hands turned and signing elsewhere, arms of another reach; in place."""
    groups = layout.subset_groups(subset)
    sizes = 1 + rng.uniform(-config.proportions, config.proportions, 3).astype(np.float32)
    reaches = rng.uniform(-config.proportions, config.proportions, 2).astype(np.float32)
    turns = rng.uniform(-config.hand_rotate_degrees, config.hand_rotate_degrees, 2)
    places = rng.uniform(-config.place, config.place, (2, 3, 1)).astype(np.float32)
    places[:, 2] = 0
    names = [layout.POINT_NAMES[point] for point in layout.subset(subset)[groups["pose"]]]
    for side, size, reach, turn, place in zip(("left", "right"), sizes[:2], reaches, turns, places, strict=True):
        shoulder, elbow, wrist = (
            planes[..., names.index(f"pose.{side}_{joint}")] for joint in ("shoulder", "elbow", "wrist")
        )
        shift = (wrist - shoulder) * reach + place
        elbow += (elbow - shoulder) * reach + place / 2
        wrist += shift
        hand = planes[..., groups[f"{side}_hand"]]
        root = hand[..., :1].copy()
        turned = ((_turn(0, 1, turn) * size) @ (hand - root).reshape(3, -1)).reshape(hand.shape)
        # The hand moves with its wrist; where that is not known it is moved, but reaches no further.
        np.add(turned, root + np.where(np.isnan(shift), place, shift)[..., None], out=hand)
    face = planes[..., groups["face"]]
    face += (face.mean(-1, keepdims=True) - face) * (1 - sizes[2])


def _change_camera(planes: np.ndarray, config: AugmentationConfig, rng: np.random.Generator) -> np.ndarray:
    """Turned in the image and about the vertical, and stretched, about the mean of the first point."""
    first = planes[..., 0]
    known = first[:, np.isfinite(first[0])]
    centre = known.mean(1, keepdims=True) if known.size else np.full((3, 1), 0.5, dtype=np.float32)
    matrix = _turn(0, 2, rng.uniform(-1, 1) * config.yaw_degrees)
    matrix = matrix @ _turn(0, 1, rng.uniform(-1, 1) * config.rotate_degrees)
    matrix[0] *= 1 + rng.uniform(-config.stretch, config.stretch)
    moved = matrix @ planes.reshape(3, -1)
    moved += centre - matrix @ centre
    return moved.reshape(planes.shape)


def _turn(first: int, second: int, degrees: float) -> np.ndarray:
    """The matrix `(3, 3)` that turns column vectors by an angle in the plane of two axes."""
    matrix = np.eye(3, dtype=np.float32)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix[[first, second, first, second], [first, second, second, first]] = [cos, cos, -sin, sin]
    return matrix


def _lose_parts(
    planes: np.ndarray, config: AugmentationConfig, rng: np.random.Generator, subset: str, fps: float
) -> None:
    groups = layout.subset_groups(subset)
    num_frames = planes.shape[1]
    seconds = num_frames / fps
    for name in ("left_hand", "right_hand"):
        for _ in range(rng.poisson(config.drop_hand * seconds / 2)):
            start = rng.integers(num_frames)
            planes[:, start : start + rng.integers(1, max(2, round(fps / 2))), groups[name]] = np.nan
    if rng.random() < config.drop_face:
        planes[..., groups["face"]] = np.nan
