"""Idle hands: hands at rest put into a clip where none was seen, and hands at rest taken out of it.

Whether an idle hand is in view says where the camera stands, not what is signed. A model that never sees one takes it
for a part of a sign (`benchmarks/figures/strangers.md`). Shapes: T frames, P points of a view of the layout,
`(T, P, 3)` in units of image height, NaN where missing. Lengths are in shoulder widths; places are seen from the middle
of the shoulders, to the arm's own side and down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from signloom import layout
from signloom.anatomy.hand_model import hand_axes, hand_points
from signloom.anatomy.measures import SIDES, Side
from signloom.frame_times import spans

# Where hands rest, with the share of each: lap and belly, table, along the body, other arm, chin.
_PLACES = np.array([(0.2, 1.3), (0.5, 1.05), (0.8, 1.6), (-0.1, 0.75), (0.1, -0.1)])
_PLACE_SHARES = np.array([0.35, 0.3, 0.15, 0.12, 0.08])
_PLACE_SPREADS = np.array([(0.2, 0.2), (0.2, 0.15), (0.1, 0.25), (0.15, 0.15), (0.1, 0.08)])
# A hand that is tracked is in the picture: its wrist is no lower than this, in units of image height. Where that is not
# `_LEAST_ROOM` below the shoulders, the camera is so close that no hand at rest is in view, but one at the chin.
_LOWEST_SEEN = (0.85, 1.0)
_LEAST_ROOM = 0.6
# Where the wrist of a hand out of view is, in units of image height.
_BELOW_PICTURE = (1.02, 1.4)
# The lower edge of the picture, in units of image height.
_BOTTOM = 1.0
# A hand rests where it is slower than this for half a second, shoulder widths per second, ...
_SLOW = 0.4
# ... lower than this, and further than this from the other hand, in which it would be a base to act on.
_LOW, _APART = 0.7, 0.7
_MIN_IDLE_SECONDS = 0.5
# A hand that is missing for this long is out of view, or the tracker has lost it: then its arm is in the picture, up or
# moving. The wrist of an arm at rest is this low, and moves by less than this in either direction in that time.
_MIN_MISSING_SECONDS = 0.4
_ARM_DOWN, _ARM_STILL = 0.6, 0.35
# Length of the way from and to a hand that signs, seconds.
_WAY_SECONDS = (0.12, 0.35)
# Time between the knots of a drifting and of a fidgeting hand, seconds; how far and by how many degrees they move.
_DRIFT, _FIDGET = (0.7, 0.04, 4.0), (0.25, 0.07, 12.0)
_FIDGET_SHARE = 0.25
# Share of the resting hands with the shape of a hand of another clip, if any are given. Of all others, the share with
# the shape of one of the clip's own hands. What is left is made up. So no shape of a hand at rest means anything.
_OTHERS_SHAPES, _OWN_SHAPES = 0.5, 0.4
# From wrist to middle knuckle where the clip shows no hand, shoulder widths.
_PALM = 0.27
# Lengths of upper arm and forearm together, and the least and the most that is seen of how the elbow stands out.
_ARM_LENGTH, _ELBOW_OUT = 1.75, (0.15, 0.7)
# Angles of thumb and fingers of a flat hand and of a fist, degrees. Hands at rest are anywhere between, and vary.
_FLAT = np.array([50.0, 8, 5, 5, *[8, 5, 5], *[2, 5, 5], *[-4, 5, 5], *[-10, 5, 5]])
_FIST = np.array([20.0, 35, 40, 40, *[0, 80, 95], *[0, 82, 98], *[0, 84, 98], *[0, 84, 95]])
_ANGLE_SPREAD = np.array([12.0, 8, 10, 12, *[4, 12, 14] * 4])

_WRIST, _MIDDLE_KNUCKLE = layout.hand_joints("wrist", "middle_mcp")
# The points of the pose that lie in the hand, as joints of the hand.
_POSE_JOINTS = {"wrist": "wrist", "pinky": "pinky_mcp", "index": "index_mcp", "thumb": "thumb_mcp"}


@dataclass(frozen=True)
class Trunk:
    """Middle `(2,)` and width of the shoulders of a clip; `left`: 1 where the left one is right of the other, else
    -1 (a mirrored picture)."""

    middle: np.ndarray
    width: float
    left: float

    def outwards(self, side: Side) -> float:
        """Returns the sign of x towards the own side of an arm."""
        return self.left if side == "left" else -self.left


@dataclass(frozen=True)
class Rest:
    """How an arm rests in a clip.

    place: `(2,)` of the wrist, in units of image height.  hand: `(21, 3)` relative to the wrist. Both may differ from
    frame to frame, `(T, 2)` and `(T, 21, 3)`.
    elbow_out: how far the elbow stands out, 0..1.
    knots: seconds between the knots of its movement, how far it moves in shoulder widths, how many degrees it turns.
    """

    place: np.ndarray
    hand: np.ndarray
    elbow_out: float
    knots: tuple[float, float, float]


def trunk_of(points: np.ndarray, view: str) -> Trunk | None:
    """Returns where the trunk of a clip is, the median over its frames; None if both shoulders are never seen."""
    left, right = (points[:, layout.subset_index(view, f"pose.{side}_shoulder"), :2] for side in SIDES)
    seen = np.isfinite(left[:, 0]) & np.isfinite(right[:, 0])
    if not seen.any():
        return None
    left, right = np.median(left[seen], axis=0), np.median(right[seen], axis=0)
    width = float(np.hypot(*(left - right)))
    return Trunk((left + right) / 2, width, 1.0 if left[0] >= right[0] else -1.0) if width > 0 else None


def missing_hand(points: np.ndarray, trunk: Trunk, side: Side, *, view: str, fps: float) -> list[slice]:
    """Returns the stretches, 0.4 s or longer, in which a hand is out of view: it is missing, and its arm ends below
    the picture, hangs still for 0.4 s, or is not seen either. Anything else that lasts less than 0.4 s is ignored.

    Stillness is judged over 0.4 s at a time: the guesses of a tracker that sees no wrist jump from sign to sign.
    """
    missing = ~np.isfinite(_hand(points, view, side)[:, _WRIST, 0])
    wrists = points[:, layout.subset_index(view, f"pose.{side}_wrist"), :2]
    out_of_view = np.isnan(wrists[:, 0]) | (wrists[:, 1] >= _BOTTOM)
    size = max(1, round(_MIN_MISSING_SECONDS * fps))
    if len(points) >= size:
        windows = sliding_window_view(wrists, size, axis=0)
        low, high = windows.min(-1), windows.max(-1)
        still = ((high - low) <= _ARM_STILL * trunk.width).all(1) & (
            low[:, 1] >= trunk.middle[1] + _ARM_DOWN * trunk.width
        )
        for start in np.flatnonzero(still).tolist():
            out_of_view[start : start + size] = True
    for frames in _stretches(missing & ~out_of_view, size):
        missing[frames] = False
    return _stretches(missing, size)


def idle_hand(points: np.ndarray, trunk: Trunk, side: Side, *, view: str, fps: float) -> list[slice]:
    """Returns the stretches of at least 0.5 s in which a hand is in view and rests: slow, low, apart from the other."""
    wrist, other = (_hand(points, view, one)[:, _WRIST, :2] for one in (SIDES if side == "left" else SIDES[::-1]))
    half = max(1, round(fps / 10))
    before, after = np.arange(len(wrist)) - half, np.arange(len(wrist)) + half
    before, after = before.clip(0), after.clip(max=len(wrist) - 1)
    speed = np.hypot(*(wrist[after] - wrist[before]).T) * fps / np.maximum(after - before, 1)
    apart = np.hypot(*(wrist - other).T)
    # Comparisons with NaN are false: what is not known is no rest, but the other hand may be missing.
    idle = (speed < _SLOW * trunk.width) & (wrist[:, 1] > trunk.middle[1] + _LOW * trunk.width)
    return _stretches(idle & ~(apart < _APART * trunk.width), _MIN_IDLE_SECONDS * fps)


def hand_shapes(points: np.ndarray, count: int, rng: np.random.Generator, *, view: str) -> np.ndarray:
    """Returns the shapes of up to so many hands of a clip for each side, (n, 21, 3) float32: relative to the wrist, in
    shoulder widths, x towards the own side of the arm."""
    trunk = trunk_of(points, view)
    if trunk is None:
        return np.empty((0, 21, 3), dtype=np.float32)
    shapes = []
    for side in SIDES:
        hands = _hand(points, view, side)
        seen = np.flatnonzero(np.isfinite(hands[:, _WRIST, 0]))
        hands = hands[rng.choice(seen, min(count, len(seen)), replace=False)]
        shapes.append((hands - hands[:, [_WRIST]]) / trunk.width * (trunk.outwards(side), 1, 1))
    return np.concatenate(shapes).astype(np.float32)


def draw_rest(
    points: np.ndarray,
    trunk: Trunk,
    side: Side,
    rng: np.random.Generator,
    *,
    view: str,
    shapes: np.ndarray | None = None,
) -> Rest | None:
    """Returns a way for an arm to rest in a clip with its hand in view; None where the camera is too close for that.

    shapes: `hand_shapes` of other clips; half of the resting hands have one of them.
    """
    place = _draw_place(trunk, side, rng)
    lowest = rng.uniform(*_LOWEST_SEEN)
    if place[1] > lowest:
        if lowest < trunk.middle[1] + _LEAST_ROOM * trunk.width:
            return None
        place[1] = lowest
    return _rest_at(place, _shape(points, trunk, side, rng, view, shapes), rng)


def draw_out_of_view(points: np.ndarray, trunk: Trunk, side: Side, rng: np.random.Generator, *, view: str) -> Rest:
    """Returns a way for an arm to rest in a clip with its hand below the picture."""
    place = _draw_place(trunk, side, rng)
    place[1] = max(place[1], rng.uniform(*_BELOW_PICTURE))
    return _rest_at(place, _shape(points, trunk, side, rng, view), rng)


def rest_hand(
    points: np.ndarray,
    trunk: Trunk,
    side: Side,
    frames: slice,
    rest: Rest,
    rng: np.random.Generator,
    *,
    view: str,
    fps: float,
    in_view: bool = True,
    way_seconds: tuple[float, float] = _WAY_SECONDS,
) -> None:
    """Lets an arm rest during some frames of a clip, in place; its hand is missing there if it is not `in_view`.

    In these frames the arm comes from where it was before, and returns to where it is afterwards, in 0.12 to 0.35 s
    each.
    way_seconds: the range of these times.
    """
    count = frames.stop - frames.start
    every, far, degrees = rest.knots
    times = np.arange(count) / fps
    knots = np.arange(0, times[-1] + 2 * every, every)
    moves = rng.normal(size=(3, len(knots))) * np.array([far * trunk.width, far * trunk.width, degrees])[:, None]
    across, down, turns = (np.interp(times, knots, values) for values in moves)
    # A hand on the lap moves along it more than up and down.
    wrist = rest.place + np.stack([across, down / 2], axis=1)
    hand = turned(rest.hand, turns)
    hand[..., :2] += wrist[:, None]
    shoulder = points[frames, layout.subset_index(view, f"pose.{side}_shoulder"), :2]
    elbow = _elbow(np.where(np.isfinite(shoulder), shoulder, trunk.middle), wrist, trunk, side, rest.elbow_out)
    columns, values = _arm(view, side, hand, elbow, points[frames])
    ways = _ways(points, columns, frames, rng, fps, way_seconds)
    for weights, others in ways:
        known = np.isfinite(others)
        values = np.where(known, values + weights[:, None, None] * (np.where(known, others, 0) - values), values)
    if not in_view:
        group = layout.subset_groups(view)[f"{side}_hand"]
        values[:, (columns >= group.start) & (columns < group.stop)] = np.nan
    points[frames, columns] = values


def _draw_place(trunk: Trunk, side: Side, rng: np.random.Generator) -> np.ndarray:
    """Returns where the wrist of a resting arm is, `(2,)`."""
    kind = rng.choice(len(_PLACES), p=_PLACE_SHARES)
    place = (_PLACES[kind] + rng.normal(size=2) * _PLACE_SPREADS[kind]) * trunk.width
    return trunk.middle + place * (trunk.outwards(side), 1.0)


def _rest_at(place: np.ndarray, hand: np.ndarray, rng: np.random.Generator) -> Rest:
    return Rest(place, hand, rng.uniform(*_ELBOW_OUT), _FIDGET if rng.random() < _FIDGET_SHARE else _DRIFT)


def _hand(points: np.ndarray, view: str, side: Side) -> np.ndarray:
    return points[:, layout.subset_groups(view)[f"{side}_hand"]]


def _stretches(flags: np.ndarray, min_frames: float) -> list[slice]:
    """Returns the runs of true flags that have at least so many frames."""
    return [slice(start, end) for start, end in spans(flags) if end - start >= max(min_frames, 1)]


def _shape(
    points: np.ndarray,
    trunk: Trunk,
    side: Side,
    rng: np.random.Generator,
    view: str,
    shapes: np.ndarray | None = None,
) -> np.ndarray:
    """Returns the shape of a hand at rest, `(21, 3)` relative to its wrist: one of `shapes`, of one of the clip's
    hands, or made up."""
    seen = {one: np.flatnonzero(np.isfinite(_hand(points, view, one)[:, _WRIST, 0])) for one in SIDES}
    sides = [one for one in SIDES if seen[one].size]
    if shapes is not None and len(shapes) and rng.random() < _OTHERS_SHAPES:
        hand = shapes[rng.integers(len(shapes))].astype(np.float64) * trunk.width * (trunk.outwards(side), 1, 1)
    elif sides and rng.random() < _OWN_SHAPES:
        one = sides[rng.integers(len(sides))]
        hand = _hand(points, view, one)[rng.choice(seen[one])].astype(np.float64)
        hand = hand - hand[_WRIST]
        if one != side:
            hand[:, 0] *= -1
    else:
        palms = [
            np.hypot(*(hand[:, _MIDDLE_KNUCKLE, :2] - hand[:, _WRIST, :2]).T)
            for hand in (_hand(points[seen[one]], view, one) for one in sides)
        ]
        palm = float(np.quantile(np.concatenate(palms), 0.8)) if palms else _PALM * trunk.width
        angles = _FLAT + rng.random() * (_FIST - _FLAT) + rng.normal(size=len(_FLAT)) * _ANGLE_SPREAD
        joints = hand_points(angles[None])[0]
        # Fingers point to the other side, down or towards the camera; the palm faces anywhere.
        fingers = np.array((0.7, 0.7, -0.3)) + rng.normal(size=3) * 0.5
        hand = joints @ hand_axes(fingers, rng.normal(size=3)).T * (palm / np.linalg.norm(joints[_MIDDLE_KNUCKLE]))
        # The model is a right hand, which is on the image's left.
        hand[:, 0] *= -trunk.outwards(side)
    return turned(hand, np.array([rng.uniform(-45, 45)]))[0] * rng.uniform(0.85, 1.15)


def turned(hand: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Returns hands `(21, 3)` or `(T, 21, 3)` turned in the image by angles `(T,)`, `(T, 21, 3)`."""
    cos, sin = np.cos(np.radians(degrees))[:, None], np.sin(np.radians(degrees))[:, None]
    x, y, z = np.moveaxis(hand, -1, 0)
    return np.stack([cos * x - sin * y, sin * x + cos * y, np.broadcast_to(z, (len(degrees), hand.shape[-2]))], axis=-1)


def _elbow(shoulder: np.ndarray, wrist: np.ndarray, trunk: Trunk, side: Side, out: float) -> np.ndarray:
    """Returns the elbow `(T, 2)` of an arm: half way, and out and down as far as the length of the arm allows."""
    way = wrist - shoulder
    height = np.sqrt(np.maximum((_ARM_LENGTH * trunk.width) ** 2 - (way**2).sum(1), 0)) / 2
    normal = np.stack([way[:, 1], -way[:, 0]], axis=1) * trunk.outwards(side)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    return (shoulder + wrist) / 2 + normal * (out * height)[:, None]


def _arm(
    view: str, side: Side, hand: np.ndarray, elbow: np.ndarray, before: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the columns of an arm in a view and their values, from its hand and elbow; depths of the pose stay."""
    group = layout.subset_groups(view)[f"{side}_hand"]
    joints = layout.hand_joints(*_POSE_JOINTS.values())
    places = {f"{side}_{name}": hand[:, joint, :2] for name, joint in zip(_POSE_JOINTS, joints, strict=True)}
    places[f"{side}_elbow"] = elbow
    known = _pose_names(view)
    pose = {layout.subset_index(view, f"pose.{name}"): place for name, place in places.items() if name in known}
    columns = np.array([*pose, *range(group.start, group.stop)])
    values = np.empty((len(hand), len(columns), 3))
    values[:, : len(pose)] = before[:, list(pose)]
    values[:, : len(pose), :2] = np.stack(list(pose.values()), axis=1)
    values[:, len(pose) :] = hand
    return columns, values


@cache
def _pose_names(view: str) -> frozenset[str]:
    names = (layout.POINT_NAMES[point] for point in layout.subset(view))
    return frozenset(name.removeprefix("pose.") for name in names if name.startswith("pose."))


def _ways(
    points: np.ndarray,
    columns: np.ndarray,
    frames: slice,
    rng: np.random.Generator,
    fps: float,
    way_seconds: tuple[float, float],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the weight `(T,)` of the points just before and just after some frames, and these points `(1, n, 3)`."""
    count = frames.stop - frames.start
    ways = []
    for neighbour, distance in ((frames.start - 1, np.arange(1, count + 1)), (frames.stop, np.arange(count, 0, -1))):
        length = max(2.0, rng.uniform(*way_seconds) * fps)
        if 0 <= neighbour < len(points):
            left = (1 - distance / length).clip(0)
            ways.append((left * left * (3 - 2 * left), points[neighbour, columns][None].astype(np.float64)))
    return ways
