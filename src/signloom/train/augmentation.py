"""Augmentation: random changes to a training clip that keep its glosses (tempo, camera, signer, tracker).

One utterance at a time in NumPy. Each utterance has a generator seeded by (seed, epoch, utterance), so that the order
of work never changes the data. Shapes: T frames, P points of a subset; planes are points by axis, `(3, T, P)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from signloom import layout
from signloom.anatomy.faces import put_face, shows_face
from signloom.anatomy.idle_hands import SIDES, draw_out_of_view, draw_rest, idle_hand, missing_hand, rest_hand, trunk_of
from signloom.landmarks import interpolate
from signloom.train.cropping import crop_picture

# Jitter of body and face relative to that of the hands; a tenth in MediaPipe's recordings (benchmarks/tracker_fit.md).
BODY_JITTER = 0.125
# Share of the clips whose missing hand rests in view all the time; in others it comes and goes, after so many seconds,
# and is there for this share of them.
_RESTS_THROUGHOUT, _REST_SECONDS, _REST_SHARE = 0.6, (0.8, 3.0), 0.6
# Share of the hands put to rest that stay out of view: their arm alone moves.
_ARM_ALONE = 0.2


@dataclass(frozen=True)
class AugmentationConfig:
    """Amounts of the random changes to a training clip; 0 switches a change off."""

    retime: float = 0.25
    """largest change of tempo: the length of each clip is multiplied by 1 - retime to 1 + retime"""
    warp: float = 0.2
    """largest local change of tempo within a clip; it varies smoothly over about a second"""
    drop_frames: float = 0.1
    """largest share of frames that are dropped; the share is drawn for each clip"""
    rotate_degrees: float = 12.0
    """largest rotation in the image plane"""
    yaw_degrees: float = 20.0
    """largest rotation about the vertical axis, computed from the depth of the points"""
    stretch: float = 0.15
    """largest relative stretch of the x axis"""
    proportions: float = 0.15
    """largest relative change of the size of hands and face, and of the length of the arms"""
    place: float = 0.06
    """largest shift of each hand, constant within a clip, in units of image height"""
    hand_rotate_degrees: float = 15.0
    """largest rotation of each hand about its wrist, constant within a clip"""
    jitter: float = 0.004
    """largest standard deviation of the noise on hands, in units of image height, half of it constant within a clip;
    body and face get an eighth of it"""
    drop_hand: float = 0.2
    """probability per second of a clip that a hand is missing for a while (up to half a second)"""
    drop_face: float = 0.15
    """probability that the face is missing in the whole clip"""
    add_face: float = 0.85
    """probability that a clip without a face gets the face of another clip, in corpora in which some clips have one"""
    resting_hand: float = 0.4
    """probability, for each hand of a clip, that it rests in view while it was out of view: in the lap, on the table,
    at the chin. Some of these come and go or are arms alone: in all, such a hand is in view a quarter of the time"""
    hide_idle_hand: float = 0.3
    """probability, for each hand of a clip, that it is out of view while it was in view and at rest"""
    crop: float = 0.0
    """probability that a clip is cropped as by a camera near the face: hands below or beside the picture are missing,
    and elbows and wrists there are guesses"""
    mirror: float = 0.0
    """probability that a clip is mirrored, which swaps left and right hand"""


@dataclass(frozen=True)
class Parts:
    """Parts of clips that are put into other clips.

    hands: their shapes, (n, 21, 3), see `hand_shapes`.  faces: (T, F, 3) each, see `face_of`.
    """

    hands: np.ndarray
    faces: Sequence[np.ndarray]


def augment(
    points: np.ndarray,
    config: AugmentationConfig,
    rng: np.random.Generator,
    *,
    subset: str,
    min_frames: int,
    fps: float,
    parts: Parts | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns `points` (T, P, 3) changed at random, (T', P, 3), and where each new frame lies in the clip, (T',).

    T' is at least `min_frames`, or T if T is smaller. See `retiming` for the second.
    parts: of other clips, for hands at rest and for clips without a face.
    """
    positions = retiming(len(points), config, rng, min_frames=min_frames, fps=fps)
    points = interpolate(points, positions)
    if config.mirror and rng.random() < config.mirror:
        points = points[:, layout.subset_mirror_map(subset)]
        points[..., 0] = 1.0 - points[..., 0]
    _change_idle_hands(points, config, rng, subset, fps, parts.hands if parts else None)
    if parts and parts.faces and not shows_face(points, subset) and rng.random() < config.add_face:
        put_face(points, parts.faces[rng.integers(len(parts.faces))], rng, view=subset)
    # By axis, `(3, T, P)`: NumPy's inner loops then run over the points, which is several times faster.
    planes = np.ascontiguousarray(points.transpose(2, 0, 1))
    _change_signer(planes, config, rng, subset)
    planes = _change_camera(planes, config, rng)
    if config.jitter:
        # Uniform noise takes a quarter of the time of normal noise and has the same standard deviation.
        noise = rng.random(planes.shape, dtype=np.float32)
        noise += rng.random((3, 1, planes.shape[2]), dtype=np.float32)
        noise -= 1
        noise *= _jitter_shares(subset) * np.float32(config.jitter * np.sqrt(6) * rng.random())
        planes += noise
    if config.crop and rng.random() < config.crop:
        crop_picture(planes, rng, subset)
    _lose_parts(planes, config, rng, subset, fps)
    return np.ascontiguousarray(planes.transpose(1, 2, 0)), positions


@cache
def _jitter_shares(subset: str) -> np.ndarray:
    """Returns the share of the jitter that each point gets, (P,): trackers smooth body and face, but not hands."""
    shares = np.full(len(layout.subset(subset)), BODY_JITTER, dtype=np.float32)
    for name in ("left_hand", "right_hand"):
        shares[layout.subset_groups(subset)[name]] = 1
    return shares


def retiming(
    num_frames: int, config: AugmentationConfig, rng: np.random.Generator, *, min_frames: int, fps: float
) -> np.ndarray:
    """Returns where each frame of a re-timed clip lies in the clip, (T',), rising: new tempo, some frames dropped."""
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


def _change_idle_hands(
    points: np.ndarray,
    config: AugmentationConfig,
    rng: np.random.Generator,
    view: str,
    fps: float,
    shapes: np.ndarray | None,
) -> None:
    """Shows hands at rest where they are missing, and takes out hands that rest; in place."""
    shows, hides = (rng.random(2) < probability for probability in (config.resting_hand, config.hide_idle_hand))
    if not (shows.any() or hides.any()) or (trunk := trunk_of(points, view)) is None:
        return
    for side, show, hide in zip(SIDES, shows, hides, strict=True):
        missing = missing_hand(points, trunk, side, view=view, fps=fps) if show else []
        idle = idle_hand(points, trunk, side, view=view, fps=fps) if hide else []
        if missing and (rest := draw_rest(points, trunk, side, rng, view=view, shapes=shapes)):
            in_view = bool(rng.random() >= _ARM_ALONE)
            for frames in _some_of(missing, rng, fps):
                rest_hand(points, trunk, side, frames, rest, rng, view=view, fps=fps, in_view=in_view)
        if idle:
            rest = draw_out_of_view(points, trunk, side, rng, view=view)
            for frames in idle:
                rest_hand(points, trunk, side, frames, rest, rng, view=view, fps=fps, in_view=False)


def _some_of(stretches: list[slice], rng: np.random.Generator, fps: float) -> list[slice]:
    """Returns all stretches, or some seconds of each that are drawn at random."""
    if rng.random() < _RESTS_THROUGHOUT:
        return stretches
    pieces = []
    for frames in stretches:
        start = frames.start
        while start < frames.stop:
            stop = min(frames.stop, start + max(1, round(rng.uniform(*_REST_SECONDS) * fps)))
            if rng.random() < _REST_SHARE:
                pieces.append(slice(start, stop))
            start = stop
    return pieces


def _change_signer(planes: np.ndarray, config: AugmentationConfig, rng: np.random.Generator, subset: str) -> None:
    """Resizes hands and face, turns and shifts the hands, and changes the length of the arms; in place."""
    groups = layout.subset_groups(subset)
    sizes = 1 + rng.uniform(-config.proportions, config.proportions, 3).astype(np.float32)
    reaches = rng.uniform(-config.proportions, config.proportions, 2).astype(np.float32)
    turns = rng.uniform(-config.hand_rotate_degrees, config.hand_rotate_degrees, 2)
    places = rng.uniform(-config.place, config.place, (2, 3, 1)).astype(np.float32)
    places[:, 2] = 0
    for side, size, reach, turn, place in zip(("left", "right"), sizes[:2], reaches, turns, places, strict=True):
        shoulder, elbow, wrist = (
            planes[..., layout.subset_index(subset, f"pose.{side}_{joint}")] for joint in ("shoulder", "elbow", "wrist")
        )
        shift = (wrist - shoulder) * reach + place
        elbow += (elbow - shoulder) * reach + place / 2
        wrist += shift
        hand = planes[..., groups[f"{side}_hand"]]
        root = hand[..., :1].copy()
        turned = ((_turn(0, 1, turn) * size) @ (hand - root).reshape(3, -1)).reshape(hand.shape)
        # The hand moves with its wrist. Where the wrist is missing, the hand is shifted, but the arm keeps its length.
        np.add(turned, root + np.where(np.isnan(shift), place, shift)[..., None], out=hand)
    face = planes[..., groups["face"]]
    face += (face.mean(-1, keepdims=True) - face) * (1 - sizes[2])


def _change_camera(planes: np.ndarray, config: AugmentationConfig, rng: np.random.Generator) -> np.ndarray:
    """Returns the planes rotated in the image and about the vertical, and stretched, about the mean first point."""
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
    """Returns the matrix `(3, 3)` that rotates column vectors by an angle in the plane of two axes."""
    matrix = np.eye(3, dtype=np.float32)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix[[first, second, first, second], [first, second, second, first]] = [cos, cos, -sin, sin]
    return matrix


def _lose_parts(
    planes: np.ndarray, config: AugmentationConfig, rng: np.random.Generator, subset: str, fps: float
) -> None:
    """Removes hands for a while and the face for the whole clip; in place."""
    groups = layout.subset_groups(subset)
    num_frames = planes.shape[1]
    seconds = num_frames / fps
    for name in ("left_hand", "right_hand"):
        for _ in range(rng.poisson(config.drop_hand * seconds / 2)):
            start = rng.integers(num_frames)
            planes[:, start : start + rng.integers(1, max(2, round(fps / 2))), groups[name]] = np.nan
    if rng.random() < config.drop_face:
        planes[..., groups["face"]] = np.nan
