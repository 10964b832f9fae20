"""Made-up idling with hands up: a hand reaches for the face, the hair, a table or the camera, acts there and leaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from signloom import frame_times, layout
from signloom.anatomy.idle_hands import (
    SIDES,
    Rest,
    Trunk,
    draw_out_of_view,
    draw_rest,
    rest_hand,
    trunk_of,
    turned,
)
from signloom.anatomy.measures import Side
from signloom.compose.idle import STRETCH_SECONDS
from signloom.landmarks import Landmarks

# Where a wrist goes to, from the middle of the shoulders in shoulder widths, to its own side and down: hair, temple,
# cheek, chin, chest, other arm, table, keyboard; far out where something lies, up and down; towards the camera.
_PLACES = np.array(
    [
        (0.35, -0.6), (0.4, -0.35), (0.3, -0.15), (0.15, 0.05), (0.1, 0.5), (-0.35, 0.6), (0.4, 0.95), (0.1, 0.9),
        (1.2, -0.3), (1.3, 0.4), (0.9, 0.9), (0.6, 0.2),
    ]
)  # fmt: skip
_SPREAD = 0.2
# From place to place, and at a place, seconds. A way may be slow.
_MOVE_SECONDS, _STAY_SECONDS = (0.15, 0.8), (0.0, 1.2)
# Share of the stays in which the hand scratches, strokes or adjusts: how far, and how often per second.
_BUSY_SHARE, _BUSY_WAY, _BUSY_HERTZ = 0.5, (0.02, 0.12), (0.7, 4.0)
# Share of the stretches in which the other hand is busy as well, and in which a hand is up already at either end.
_BOTH_SHARE, _UP_SHARE = 0.3, 0.35
# Share of the resting hands that are in view.
_IN_VIEW = 0.4
# A trunk sways so far, in shoulder widths, from knot to knot; of some people who walk or lean it goes further.
_SWAY_SECONDS, _SWAY, _WALK, _WALK_SHARE = 1.0, 0.03, 0.8, 0.15
# Places for hands of a stretch, at most.
_MOST_PLACES = 3
# The hand of a raised arm is turned upwards by so many degrees at the height of the face, from as it rests.
_RAISED_TURN = 90.0


def fidget(clip: Landmarks, rng: np.random.Generator) -> Landmarks:
    """Returns a stretch in which the signer of a clip idles with one or both hands up, 0.6 to 3 seconds.

    Body and face are those of a moment of the clip, and sway. Without shoulders the clip itself is returned.
    """
    trunk = trunk_of(clip.points, "full")
    if trunk is None:
        return clip
    count = max(2, round(rng.uniform(*STRETCH_SECONDS) * clip.fps))
    moment = int(rng.integers(len(clip)))
    points = np.repeat(clip.points[[moment]], count, axis=0)
    visibility = np.repeat(clip.visibility[[moment]], count, axis=0)
    seconds = frame_times.even_times(count, clip.fps)
    first = int(rng.integers(2))
    for number, side in enumerate(SIDES):
        busy = number == first or rng.random() < _BOTH_SHARE
        in_view = rng.random() < _IN_VIEW
        seen = draw_rest(clip.points, trunk, side, rng, view="full") if in_view else None
        rest = seen or draw_out_of_view(clip.points, trunk, side, rng, view="full")
        if busy:
            rest = _busy(rest, trunk, side, seconds, rng)
        frames = slice(0, count)
        rest_hand(points, trunk, side, frames, rest, rng, view="full", fps=clip.fps, in_view=busy or seen is not None)
    points[..., :2] += _sway(seconds, rng)[:, None] * trunk.width
    for side in SIDES:
        hand = points[:, layout.GROUPS[f"{side}_hand"]]
        # A hand whose wrist left the picture is not found.
        x, y = hand[:, 0, 0], hand[:, 0, 1]
        hand[(y > 1.0) | (y < -0.05) | (x < -0.05) | (x > clip.aspect + 0.05)] = np.nan
    return replace(clip, points=points, visibility=visibility, seconds=seconds)


def _busy(rest: Rest, trunk: Trunk, side: Side, seconds: np.ndarray, rng: np.random.Generator) -> Rest:
    """Returns a rest that the arm leaves for some places, its place (T, 2) and hand (T, 21, 3) by frame."""
    outwards = np.array((trunk.outwards(side), 1.0))
    times, knots = [0.0], [rest.place]
    if rng.random() < _UP_SHARE:
        knots = [_draw_place(trunk, outwards, rng)]
    to_and_fro = np.zeros((len(seconds), 2))
    for _ in range(rng.integers(1, _MOST_PLACES, endpoint=True)):
        start = times[-1] + rng.uniform(*_MOVE_SECONDS)
        end = start + rng.uniform(*_STAY_SECONDS)
        knots += [_draw_place(trunk, outwards, rng)] * 2
        times += [start, end]
        if rng.random() < _BUSY_SHARE:
            during = ((seconds - start) * (end - seconds) > 0)[:, None]
            way = rng.normal(size=2)
            way *= rng.uniform(*_BUSY_WAY) * trunk.width / np.linalg.norm(way)
            to_and_fro += during * np.sin(2 * np.pi * rng.uniform(*_BUSY_HERTZ) * (seconds - start))[:, None] * way
    if rng.random() >= _UP_SHARE:
        times.append(times[-1] + rng.uniform(*_MOVE_SECONDS))
        knots.append(rest.place)
    # As long as the stretch: its tempo varies.
    times = np.array(times) * (seconds[-1] / times[-1])
    place = _smoothly(seconds, times, np.array(knots))
    height = (place[:, 1] - trunk.middle[1]) / trunk.width
    turn = _RAISED_TURN * np.clip(1 - height, 0, 1.2) * rng.uniform(0.5, 1.3) * outwards[0]
    hand = turned(rest.hand, turn + rng.uniform(-30, 30))
    return replace(rest, place=place + to_and_fro, hand=hand)


def _draw_place(trunk: Trunk, outwards: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    place = _PLACES[rng.integers(len(_PLACES))] + _SPREAD * rng.normal(size=2)
    result: np.ndarray = trunk.middle + place * trunk.width * outwards
    return result


def _sway(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns how far the body is from its place, (T, 2) in shoulder widths."""
    times = np.arange(0, seconds[-1] + 2 * _SWAY_SECONDS, _SWAY_SECONDS)
    knots = rng.normal(size=(len(times), 2)) * (_SWAY, _SWAY / 2)
    if rng.random() < _WALK_SHARE:
        knots[:, 0] += np.linspace(0, 1, len(times)) * rng.normal() * _WALK
    return _smoothly(seconds, times, knots)


def _smoothly(seconds: np.ndarray, times: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Returns values (T, n) between knots (K, n) at ascending times (K,); every move begins and ends slowly."""
    before = (np.searchsorted(times, seconds, side="right") - 1).clip(0, len(times) - 2)
    length = np.maximum(times[before + 1] - times[before], 1e-9)
    share = np.clip((seconds - times[before]) / length, 0, 1)
    share = (share * share * (3 - 2 * share))[:, None]
    result: np.ndarray = knots[before] + share * (knots[before + 1] - knots[before])
    return result
