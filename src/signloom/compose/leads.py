"""Lead-in and lead-out of composed utterances: the hands come up from rest, and go back to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from signloom import frame_times, layout
from signloom.anatomy.idle_hands import SIDES, draw_out_of_view, draw_rest, rest_hand, trunk_of
from signloom.landmarks import Landmarks

# How long a hand rests, and how long it is on its way, seconds; in isolated signs on video both last up to a second.
_REST_SECONDS, _WAY_SECONDS = (0.0, 1.0), (0.3, 1.5)
# The two hands take times that differ by so much.
_UNEVEN = 0.2
# Share of the hands whose place of rest is in view.
_IN_VIEW = 0.3


def lead_in(sign: Landmarks, rng: np.random.Generator) -> Landmarks | None:
    """Returns the way of the hands from rest to the first frame of a sign; None if that frame shows no hand.

    The body is that of the first frame. A hand is missing while it is below the picture, and throughout if the first
    frame does not show it. Without shoulders there is no way, either.
    """
    trunk = trunk_of(sign.points, "full")
    sides = [side for side in SIDES if np.isfinite(sign.points[0, layout.GROUPS[f"{side}_hand"].start, 0])]
    if trunk is None or not sides:
        return None
    way_seconds = rng.uniform(*_WAY_SECONDS)
    count = max(2, round((rng.uniform(*_REST_SECONDS) + way_seconds) * sign.fps))
    # One frame more: where the way leads.
    points = np.repeat(sign.points[:1], count + 1, axis=0)
    for side in sides:
        in_view = rng.random() < _IN_VIEW
        seen = draw_rest(sign.points, trunk, side, rng, view="full") if in_view else None
        rest = seen or draw_out_of_view(sign.points, trunk, side, rng, view="full")
        ways = (way_seconds * (1 - _UNEVEN), way_seconds)
        rest_hand(points, trunk, side, slice(0, count), rest, rng, view="full", fps=sign.fps, way_seconds=ways)
        hand = points[:count, layout.GROUPS[f"{side}_hand"]]
        hand[hand[:, 0, 1] > 1.0] = np.nan
    return replace(
        sign,
        points=points[:count],
        visibility=np.repeat(sign.visibility[:1], count, axis=0),
        seconds=frame_times.even_times(count, sign.fps),
    )


def lead_out(sign: Landmarks, rng: np.random.Generator) -> Landmarks | None:
    """Returns the way of the hands from the last frame of a sign to rest; None as for `lead_in`."""
    way = lead_in(_backwards(sign), rng)
    return None if way is None else _backwards(way)


def _backwards(clip: Landmarks) -> Landmarks:
    return replace(clip, points=clip.points[::-1], visibility=clip.visibility[::-1])
