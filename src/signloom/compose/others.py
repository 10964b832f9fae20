"""What a model must not name, in composed utterances: other signs, made-up signs, and hands that wander.

A made-up sign has the path of the hands of one sign, moved and turned, and the shapes of the hands of another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from signloom import frame_times, layout
from signloom.anatomy.idle_hands import SIDES, arm, elbow_of, pose_point, trunk_of
from signloom.anatomy.wandering_hands import some_sides, wander
from signloom.corpus import Utterance
from signloom.landmarks import Landmarks, interpolate

# Length of a stretch in which hands wander, seconds.
WANDER_SECONDS = (0.5, 3.0)
# How far the path of a made-up sign lies from that of its sign, in shoulder widths, across and down; how much larger or
# smaller it is; by how many degrees it is turned.
_SHIFT, _SCALE, _TURN = (0.4, 0.5), (0.6, 1.5), 180.0
_ELBOW_OUT = (0.15, 0.7)


def other_places(num_signs: int, share: float, rng: np.random.Generator) -> list[int]:
    """Returns before which signs something else stands, rising; `num_signs` is after the last one."""
    return np.flatnonzero(rng.random(num_signs + 1) < share).tolist()


def draw_other(
    signs: Mapping[str, Sequence[Utterance]],
    others: Sequence[Utterance],
    load: Callable[[str], Landmarks],
    rng: np.random.Generator,
) -> Landmarks:
    """Returns a stretch that is no sign of the model: a clip of another sign, as often as not where there are any, a
    made-up sign, or hands that wander.

    signs: the clips of the signer by gloss.  others: clips of other signs.
    """
    if others and rng.random() < 0.5:
        return load(others[rng.integers(len(others))].id)
    glosses = list(signs)
    chosen = rng.permutation(len(glosses))[:2]
    first, *rest = (load(signs[glosses[n]][rng.integers(len(signs[glosses[n]]))].id) for n in chosen)
    if rng.random() < 0.5:
        return wandering(first, rng)
    return made_up(first, rest[0] if rest else first, rng)


def wandering(clip: Landmarks, rng: np.random.Generator) -> Landmarks:
    """Returns a stretch in which the signer of a clip holds still, but one hand or both wander."""
    count = max(2, round(rng.uniform(*WANDER_SECONDS) * clip.fps))
    frames = np.full(count, rng.integers(len(clip)))
    points, visibility = clip.points[frames], clip.visibility[frames]
    if (trunk := trunk_of(clip.points, "full")) is not None:
        for side in some_sides(rng):
            wander(points, trunk, side, rng, view="full", fps=clip.fps)
    return replace(clip, points=points, visibility=visibility, seconds=frame_times.even_times(count, clip.fps))


def made_up(path: Landmarks, shapes: Landmarks, rng: np.random.Generator) -> Landmarks:
    """Returns a sign that is neither of two: the hands' paths of the first, moved, and the hands' shapes of the second.

    Where the second has no hand, or the clips show no shoulders, the hand keeps its own shape.
    """
    points = path.points.copy()
    trunk, other = trunk_of(path.points, "full"), trunk_of(shapes.points, "full")
    if trunk is None:
        return path
    angle, scale = np.radians(rng.uniform(-_TURN, _TURN)), rng.uniform(*_SCALE)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = rng.uniform(-1, 1, 2) * _SHIFT * trunk.width
    shaped = interpolate(shapes.points, np.linspace(0, len(shapes) - 1, len(path)))
    for side in SIDES:
        part = layout.GROUPS[f"{side}_hand"]
        seen = np.flatnonzero(np.isfinite(points[:, part.start, 0]))
        if not seen.size:
            continue
        wrist = points[seen, part.start, :2].astype(np.float64)
        middle = wrist.mean(axis=0)
        moved = (wrist - middle) @ turn.T + middle + shift * (trunk.outwards(side), 1.0)
        hand = points[seen, part].astype(np.float64)
        known = np.flatnonzero(np.isfinite(shaped[:, part.start, 0]))
        if known.size and other is not None:
            nearest = known[np.abs(known[None] - seen[:, None]).argmin(axis=1)]
            hand = shaped[nearest, part].astype(np.float64)
            hand = (hand - hand[:, :1]) * (trunk.width / other.width)
        hand[..., :2] += (moved - hand[:, 0, :2])[:, None]
        shoulder = points[seen, pose_point("full", f"{side}_shoulder"), :2]
        shoulder = np.where(np.isfinite(shoulder), shoulder, trunk.middle)
        elbow = elbow_of(shoulder, moved, trunk, side, rng.uniform(*_ELBOW_OUT))
        columns, values = arm("full", side, hand, elbow, points[seen])
        points[np.ix_(seen, columns)] = values
    return replace(path, points=points)
