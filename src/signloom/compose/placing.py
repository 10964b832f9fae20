"""Puts a clip of one person where another one stands, so that their bodies do not tell them apart."""

from __future__ import annotations

from dataclasses import replace

from signloom.anatomy.idle_hands import trunk_of
from signloom.landmarks import Landmarks


def placed_like(clip: Landmarks, like: Landmarks) -> Landmarks:
    """Returns a clip, moved and scaled so that its shoulders are as wide and in the same place as those of `like`.

    Joined beside clips of `like`, it would else show by its body alone that it is none of theirs. Depths are scaled as
    well. Without shoulders in either clip, the clip itself is returned.
    """
    trunk, other = trunk_of(clip.points, "full"), trunk_of(like.points, "full")
    if trunk is None or other is None:
        return clip
    scale = other.width / trunk.width
    points = clip.points * scale
    points[..., :2] += other.middle - trunk.middle * scale
    return replace(clip, points=points.astype(clip.points.dtype))
