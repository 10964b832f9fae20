"""Puts a clip of one person where another one stands, so that their bodies do not tell them apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from signloom import layout
from signloom.anatomy.faces import face_of, put_face, shows_face
from signloom.anatomy.idle_hands import trunk_of
from signloom.landmarks import Landmarks


def placed_like(clip: Landmarks, like: Landmarks) -> Landmarks:
    """Returns a clip, moved and scaled so that its shoulders are as wide and in the same place as those of `like`.

    Depths are scaled as well. Without shoulders in either clip, the clip itself is returned.
    """
    trunk, other = trunk_of(clip.points, "full"), trunk_of(like.points, "full")
    if trunk is None or other is None:
        return clip
    scale = other.width / trunk.width
    points = clip.points * scale
    points[..., :2] += other.middle - trunk.middle * scale
    return replace(clip, points=points.astype(clip.points.dtype))


def in_place_of(clip: Landmarks, like: Landmarks, rng: np.random.Generator) -> Landmarks:
    """Returns a clip that is placed like `like`, and has a face if `like` has one: its own, or else that of `like`.

    Joined beside clips of `like`, it would else show by its body or its face alone that it is none of theirs.
    """
    placed = placed_like(clip, like)
    wanted = shows_face(like.points, "full")
    if wanted == shows_face(placed.points, "full"):
        return placed
    points = placed.points.copy()
    points[:, layout.GROUPS["face"]] = np.nan
    if wanted and (face := face_of(like.points, rng, view="full", fps=like.fps)) is not None:
        put_face(points, face, rng, view="full")
    return replace(placed, points=points)
