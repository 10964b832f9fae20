"""Simulated people as frames of MediaPipe Holistic values, in any form and order."""

from functools import cache

import numpy as np

from signloom import layout
from signloom.importers.holistic_order import FORMS, NUM_REFINED_FACE_POINTS
from signloom.synth.corpus import make_clip
from signloom.synth.options import SynthOptions
from signloom.synth.plans import make_plans


@cache
def people(image_size: str = "640x480", seed: int = 0, count: int = 10):
    """Landmarks of simulated signing by several signers."""
    options = SynthOptions(
        preset="easy", num_train=count, num_dev=1, num_test=1, num_signs=8, seed=seed, image_size=image_size
    )
    return tuple(make_clip(options, plan).landmarks for plan in make_plans(options)[:count])


def values_of(clip, width: int, parts: tuple[str, ...] | None = None, *, points=None) -> np.ndarray:
    """(T, width): the fractions of the image, zero where a part is missing; the irises are those of the eyelids.

    points: in place of the clip's own.
    """
    form = FORMS[width]
    points = (clip.points if points is None else points) / np.array([clip.aspect, 1, clip.aspect], dtype=np.float32)
    blocks = []
    for part in parts or form.parts:
        block = points[:, layout.GROUPS[part]]
        if part == "pose" and form.pose_values == 4:
            block = np.concatenate([block, clip.visibility[..., None]], axis=-1)
        if part == "face" and form.face_points == NUM_REFINED_FACE_POINTS:
            block = np.concatenate([block, block[:, 144:154]], axis=1)
        blocks.append(block.reshape(len(block), -1))
    return np.nan_to_num(np.concatenate(blocks, axis=1), nan=0.0).astype(np.float32)


@cache
def _fully_seen(width: int) -> list[np.ndarray]:
    """Of each clip the frames in which everything was detected, if there are some."""
    seen = [np.flatnonzero(np.all([clip.present(group) for group in layout.GROUPS], axis=0)) for clip in people()]
    return [values_of(clip, width)[found] for clip, found in zip(people(), seen, strict=True) if len(found) >= 4]


def frames(count: int = 4, width: int = 258, *, seed: int = 0) -> np.ndarray:
    """Frames of one simulated person in which everything was detected; again from the first if there are too few."""
    clips = _fully_seen(width)
    clip = clips[seed % len(clips)]
    return clip[np.arange(count) % len(clip)].copy()
