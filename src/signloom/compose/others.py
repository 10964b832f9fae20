"""What a model must not name, in composed utterances: clips of other signs, movements that are no sign, and idle hands.

A made-up movement has the body of one clip, and the shapes of the hands of another. The hands take the path of the
first, turned, scaled and shifted, or wander from place to place. All parts are recorded ones: a model that learnt to
tell made-up parts from real ones would not learn to tell signs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from signloom import layout
from signloom.anatomy.idle_hands import SIDES, trunk_of
from signloom.compose.fidgets import fidget
from signloom.compose.placing import in_place_of
from signloom.corpus import Utterance
from signloom.landmarks import Landmarks, interpolate

# Share of clips of other signs, where there are any: they teach more. Share of idle hands among the rest.
_REAL = 0.6
_IDLE = 0.5
# Share of the made-up movements in which the hands wander.
_WANDERING = 0.4
# How far the path of a made-up sign lies from that of its sign, in shoulder widths; how much larger or smaller it is;
# by how many degrees it is turned; and by how many the hand. People who sign the same sign differ by less.
_SHIFT, _SCALE, _TURN, _HAND_TURN = (0.4, 1.0), (0.6, 1.5), (60.0, 300.0), 45.0
# Where a wrist wanders, from the middle of the shoulders in shoulder widths, to its own side and down: head to lap.
_LEAST_PLACE, _MOST_PLACE = np.array((-0.3, -0.7)), np.array((0.9, 1.2))
# Share of the moves that stay near the last place (a scratch, a tug), and how near, in shoulder widths.
_NEAR_SHARE, _NEAR = 0.5, 0.2
# Time from place to place, and at a place, in seconds; share of the places where the hand lingers.
_MOVE_SECONDS, _LINGER_SECONDS, _LINGER_SHARE = (0.15, 0.7), (0.1, 0.8), 0.5
# The points of an arm, with the share of the hand's way that each goes along.
_ARM = {"wrist": 1.0, "pinky": 1.0, "index": 1.0, "thumb": 1.0, "elbow": 0.5}


def other_places(num_signs: int, share: float, rng: np.random.Generator) -> list[int]:
    """Returns before which signs something else stands, rising; `num_signs` is after the last one."""
    return np.flatnonzero(rng.random(num_signs + 1) < share).tolist()


def draw_other(
    signs: Mapping[str, Sequence[Utterance]],
    others: Sequence[Utterance],
    load: Callable[[str], Landmarks],
    rng: np.random.Generator,
    *,
    beside: Landmarks,
) -> Landmarks:
    """Returns a stretch that is no sign of the model: three in five are clips of other signs, if there are any. Of the
    rest, half are made up of two different signs of the signer, or of one clip if there are no two, and half are hands
    that idle (`fidgets`).

    signs: the clips of the signer by gloss.  others: clips of other signs, placed like the clip `beside`.
    """
    if others and rng.random() < _REAL:
        return in_place_of(load(others[rng.integers(len(others))].id), beside, rng)
    glosses = list(signs)
    chosen = rng.permutation(len(glosses))[:2]
    first, *rest = (load(signs[glosses[n]][rng.integers(len(signs[glosses[n]]))].id) for n in chosen)
    if rng.random() < _IDLE:
        return fidget(first, rng)
    return made_up(first, rest[0] if rest else first, rng)


def made_up(path: Landmarks, shapes: Landmarks, rng: np.random.Generator) -> Landmarks:
    """Returns a movement that is no sign, with the body of one clip and the shapes of the hands of another.

    A hand that the second clip does not show keeps its shape. Without shoulders the first clip is returned.
    """
    trunk, other = trunk_of(path.points, "full"), trunk_of(shapes.points, "full")
    if trunk is None:
        return path
    points = path.points.copy()
    wanders = rng.random() < _WANDERING
    angle, scale = np.radians(rng.uniform(*_TURN)), rng.uniform(*_SCALE)
    shift = _turned(np.array((rng.uniform(*_SHIFT) * trunk.width, 0.0)), rng.uniform(0, 2 * np.pi))
    shaped = interpolate(shapes.points, np.linspace(0, len(shapes) - 1, len(path)))
    for side in SIDES:
        part = layout.GROUPS[f"{side}_hand"]
        seen = np.flatnonzero(np.isfinite(points[:, part.start, 0]))
        if not seen.size:
            continue
        hand = points[:, part].astype(np.float64)
        wrist = hand[:, 0, :2]
        outwards = np.array((trunk.outwards(side), 1.0))
        if wanders:
            moved = trunk.middle + _wandering(seen / path.fps, rng) * trunk.width * outwards
        else:
            middle = wrist[seen].mean(axis=0)
            moved = scale * _turned(wrist[seen] - middle, angle) + middle + shift * outwards
        # Where the hand is missing for a while, the arm goes on.
        way = np.column_stack([np.interp(np.arange(len(points)), seen, steps) for steps in (moved - wrist[seen]).T])
        known = np.flatnonzero(np.isfinite(shaped[:, part.start, 0]))
        shape = hand - hand[:, :1]
        if known.size and other is not None:
            nearest = shaped[known[np.abs(known - np.arange(len(points))[:, None]).argmin(axis=1)], part]
            shape = (nearest - nearest[:, :1]) * (trunk.width / other.width)
        turn = np.radians(rng.uniform(-_HAND_TURN, _HAND_TURN))
        shape[..., :2] = _turned(shape[..., :2], turn)
        hand = hand[:, :1] + shape
        hand[..., :2] += way[:, None]
        points[seen, part] = hand[seen]
        for joint, share in _ARM.items():
            points[:, layout.index(f"pose.{side}_{joint}"), :2] += share * way
    return replace(path, points=points)


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    """Returns points (..., 2) turned about the origin."""
    cos, sin = np.cos(angle), np.sin(angle)
    result: np.ndarray = points @ np.array([[cos, sin], [-sin, cos]])
    return result


def _wandering(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns where a wrist is at times (n,), (n, 2) in shoulder widths from the middle of the shoulders."""
    times, places = [seconds[0]], [rng.uniform(_LEAST_PLACE, _MOST_PLACE)]
    while times[-1] <= seconds[-1]:
        if rng.random() < _LINGER_SHARE:
            times.append(times[-1] + rng.uniform(*_LINGER_SECONDS))
            places.append(places[-1])
        near = rng.random() < _NEAR_SHARE
        place = places[-1] + rng.normal(size=2) * _NEAR if near else rng.uniform(_LEAST_PLACE, _MOST_PLACE)
        times.append(times[-1] + rng.uniform(*_MOVE_SECONDS))
        places.append(place.clip(_LEAST_PLACE, _MOST_PLACE))
    before = np.searchsorted(times, seconds, side="right") - 1
    starts, knots = np.array(times), np.array(places)
    share = (seconds - starts[before]) / (starts[before + 1] - starts[before])
    # A move begins and ends slowly.
    share = (share * share * (3 - 2 * share))[:, None]
    return knots[before] + share * (knots[before + 1] - knots[before])
