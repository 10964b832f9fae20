"""Makes a lexicon from a seed: families of signs that differ in one parameter, with any two signs visibly different.

Two signs differ visibly if a camera sees a difference when an average signer makes them slowly and cleanly: in the
places of the hands, their motion, or their shape. Differences in depth alone, or in fingers that point at the camera,
do not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from signloom import layout
from signloom.errors import InputError, plural
from signloom.synth.body import Arm, PosedArm, pose_arms, wrist_bend
from signloom.synth.camera import DISTANCE
from signloom.synth.dials import Dials
from signloom.synth.movements import LOCAL_MOVEMENTS, MOVEMENTS, SIZES, SPEEDS
from signloom.synth.signer import Signer, make_signer
from signloom.synth.signs import (
    BROWS,
    HANDSHAPES,
    HEADS,
    LOCATIONS,
    MANUAL_PARAMETERS,
    MOUTHS,
    ORIENTATIONS,
    WEAK_BASES,
    Sign,
    handshape_angles,
    orientation_axes,
)
from signloom.synth.skin import FINGER, Limb, depth
from signloom.synth.stroke import citation_form

# Differences in the image plane (root mean square over the sign, metres), of which two signs need at least one. They
# are two to three times the variation of signers and tokens by default. Difference of place:
_APART_PLACE = 0.085
# Difference of place at the head, where places are kept better:
_APART_PLACE_AT_HEAD = 0.035
# Difference of motion:
_APART_MOTION = 0.03
# Difference of the hand's shape:
_APART_SHAPE = 0.02
# Frames of a citation form.
_NUM_PHASES = 8
# Distance from the skin at which a joint of the hand touches.
_TOUCH_METRES = 0.013
# Joints that show a hand's shape: finger tips and middle joints, and a knuckle at either side of the palm.
_SHAPE_JOINTS = layout.hand_joints(
    *("thumb_ip", "thumb_tip", "index_mcp", "index_pip", "index_tip", "middle_pip", "middle_tip"),
    *("ring_pip", "ring_tip", "pinky_mcp", "pinky_pip", "pinky_tip"),
)
# Largest bend of a wrist that a sign may request: wrists bend up to 80 degrees, and an arm makes up for a little more.
_WRIST_DEGREES = 95.0
# Kinds of the first signs of the families, in turn.
_KIND_TURNS = ("one", "both", "one", "base", "one", "alternating")
# Probability of the parameter in which a new member of a family differs.
_PAIR_SHARES = {"handshape": 0.3, "location": 0.2, "orientation": 0.15, "movement": 0.35}
# Its new value is one of so many most similar values.
_NUM_NEIGHBOURS = 5
# Probability that movements differ in the local movement, not in the path.
_LOCAL_PAIRS = 0.4
# Probabilities of the values of a random sign, in the order of the tables.
_LOCAL_SHARES = (0.6, 0.08, 0.06, 0.1, 0.1, 0.06)
_SIZE_SHARES, _SPEED_SHARES = (0.15, 0.7, 0.15), (0.15, 0.65, 0.2)
_BROW_SHARES, _HEAD_SHARES = (0.7, 0.2, 0.1), (0.85, 0.05, 0.05, 0.05)
# Probabilities that a random sign is repeated, and that it touches, if it can.
_REPEATED, _TOUCHING = 0.2, 0.7
# Upper limit of a lexicon: seed 0 with 95 % minimal pairs finds no further sign after 31,769.
_MAX_SIGNS = 40_000
_FEWER_SIGNS = "lower --num_signs, or give --sentences with fewer distinct glosses"
# Number of draws per sign before the lexicon counts as full.
_MAX_DRAWS = 200


def make_lexicon(
    num_signs: int, *, seed: int, minimal_pairs: float, apart_from: Sequence[Sign] = ()
) -> tuple[Sign, ...]:
    """Returns a lexicon of visibly different signs, the same for the same arguments.

    minimal_pairs: share of signs, 0..1, that differ slightly from another sign in only one manual parameter.
    apart_from: further signs, such as pointing signs, from which the signs of the lexicon must differ visibly.

    Raises InputError for a number below 1, or for more signs than the phonology has.
    """
    if num_signs < 1:
        raise InputError(f"lexicon: {plural(num_signs, 'sign')}; needed at least 1")
    if num_signs > _MAX_SIGNS:
        raise InputError(
            f"lexicon: {plural(num_signs, 'sign')}; the phonology has fewer than {_MAX_SIGNS:,}; {_FEWER_SIGNS}"
        )
    rng = np.random.default_rng([seed, 1])
    num_families = max(1, round(num_signs * (1 - minimal_pairs)))
    families: list[list[Sign]] = []
    seen = _SignViews.empty(num_signs + len(apart_from))
    for sign in apart_from:
        seen.add(_SignViews.of([sign]))
    count = misses = 0
    while count < num_signs:
        if misses >= _MAX_DRAWS:
            raise InputError(
                f"lexicon: {plural(num_signs, 'sign')}; after {count:,} the phonology of this seed has no further sign "
                f"that differs visibly from them; lower --minimal_pairs, or {_FEWER_SIGNS}"
            )
        # First the founders of all families; then the families grow in turn, and a full family makes room for a new
        # founder.
        founder = len(families) < num_families or misses >= _MAX_DRAWS // 2
        family = [] if founder else families[int(rng.integers(len(families)))]
        sign = (
            random_sign(_KIND_TURNS[len(families) % len(_KIND_TURNS)], rng)
            if founder
            else _neighbour(family[int(rng.integers(len(family)))], rng)
        )
        view = None
        if sign.possible() and comfortable(sign):
            sign = sign if touches(sign) else replace(sign, contact=False)
            view = _SignViews.of([sign])
        if view is None or not seen.all_apart_from(view):
            misses += 1
            continue
        misses = 0
        seen.add(view)
        count += 1
        family.append(sign)
        if founder:
            families.append(family)
    mouths = list(MOUTHS)
    signs = [sign for family in families for sign in family]
    return tuple(
        replace(
            sign,
            gloss=gloss,
            mouth=mouths[int(rng.integers(len(mouths)))],
            brow=str(rng.choice(list(BROWS), p=_BROW_SHARES)),
            head=str(rng.choice(list(HEADS), p=_HEAD_SHARES)),
        )
        for sign, gloss in zip(signs, _names(num_signs, rng), strict=True)
    )


def confusability(signs: Sequence[Sign]) -> dict[str, Any]:
    """Returns which signs of a lexicon are easily confused, as plain data.

    `minimal_pairs`: [gloss, other gloss, parameter] for every two signs that differ in only one manual parameter.
    `nearest`: for each gloss, [other gloss, distance] of the most similar sign, or None if there is no other. The
    distance is in thresholds of a visible difference: 1 is the least in a lexicon.
    """
    pairs: list[tuple[int, int, str]] = []
    for place, parameter in enumerate(MANUAL_PARAMETERS):
        alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for number, sign in enumerate(signs):
            alike[sign.manual[:place] + sign.manual[place + 1 :]].append(number)
        for group in alike.values():
            pairs += [
                (a, b, parameter) for a, b in combinations(group, 2) if signs[a].manual[place] != signs[b].manual[place]
            ]
    views, nearest = _SignViews.of(signs), {}
    for number, sign in enumerate(signs):
        distances = views.distances(views.row(number))
        distances[number] = np.inf
        other = int(distances.argmin())
        nearest[sign.gloss] = (
            [signs[other].gloss, round(float(distances[other]), 3)] if np.isfinite(distances[other]) else None
        )
    return {
        "minimal_pairs": [[signs[a].gloss, signs[b].gloss, parameter] for a, b, parameter in sorted(pairs)],
        "nearest": nearest,
    }


def apart(first: Sign, second: Sign) -> bool:
    """Returns whether a camera can distinguish the hands of two signs."""
    return _SignViews.of([first]).all_apart_from(_SignViews.of([second]))


@cache
def _model() -> Signer:
    """Returns the signer who shows the citation forms."""
    return make_signer(0, seed=0, dials=Dials(preset="clean"))


@lru_cache(maxsize=64)
def _citation(sign: Sign) -> tuple[Arm, Arm]:
    """Returns the average signer's arms in a sign. Cached because each sign is examined several times in a row."""
    return citation_form(sign, _model(), _NUM_PHASES)


@lru_cache(maxsize=64)
def _posed(sign: Sign) -> tuple[PosedArm, PosedArm, Limb]:
    return pose_arms(*_citation(sign), _model().proportions)


def comfortable(sign: Sign) -> bool:
    """Returns whether an average signer can hold the hands so without bending a wrist too far."""
    return all(wrist_bend(arm, _model().proportions).max() <= _WRIST_DEGREES for arm in _citation(sign))


def touches(sign: Sign) -> bool:
    """Returns whether an average signer's hand reaches what the sign touches; True for a sign without contact."""
    return not sign.contact or touching_gap(sign) <= _TOUCH_METRES


def touching_gap(sign: Sign) -> float:
    """Returns the smallest distance between the hand's joints and the skin, or the weak arm, in a citation form's
    contact."""
    body = _model().proportions
    arms, ((_, hand), _, limb) = _citation(sign), _posed(sign)
    on_arm = LOCATIONS[sign.location].anchor == "arm"
    firmness = arms[0].other_arm if on_arm else arms[0].skin
    gaps = limb.nearest(hand)[0] if on_arm else FINGER - depth(hand, body, None)
    return float(gaps[firmness >= 0.9 * firmness.max()].min())


def citation_view(sign: Sign) -> np.ndarray:
    """Returns what a camera sees of the citation form, (phases, 2 arms, 1 + joints, 2) float32 metres.

    The first point is the wrist, relative to the middle of the shoulders; the others are relative to the wrist.
    """
    views = []
    for _, hand in _posed(sign)[:2]:
        seen = hand[..., :2] / (1 + hand[..., 2:] / DISTANCE)
        views.append(np.concatenate([seen[:, :1], seen[:, _SHAPE_JOINTS] - seen[:, :1]], axis=1))
    return np.stack(views, axis=1).astype(np.float32)


@dataclass
class _SignViews:
    """What a camera sees of n signs, arranged to compare one sign with all of them quickly.

    place: (n, 4) mean places of the wrists.  motion: (n, 32) of the wrists.  shape: (n, 384) of the hands.
    at_head: (n,) whether the strong hand is at the head.
    """

    place: np.ndarray
    motion: np.ndarray
    shape: np.ndarray
    at_head: np.ndarray
    length: int

    @classmethod
    def empty(cls, room: int) -> _SignViews:
        width = _NUM_PHASES * 4
        place, motion, shape = (np.empty((room, n), dtype=np.float32) for n in (4, width, width * len(_SHAPE_JOINTS)))
        return cls(place, motion, shape, np.empty(room, dtype=bool), 0)

    @classmethod
    def of(cls, signs: Sequence[Sign]) -> _SignViews:
        forms = np.stack([citation_view(sign) for sign in signs])
        count, wrists = len(forms), forms[:, :, :, 0]
        mean = wrists.mean(axis=1)
        at_head = mean[:, 0, 1] < -0.05
        motion = (wrists - mean[:, None]).reshape(count, -1)
        return cls(mean.reshape(count, -1), motion, forms[:, :, :, 1:].reshape(count, -1), at_head, count)

    def row(self, number: int) -> _SignViews:
        chosen = slice(number, number + 1)
        return _SignViews(self.place[chosen], self.motion[chosen], self.shape[chosen], self.at_head[chosen], 1)

    def add(self, one: _SignViews) -> None:
        for mine, other in zip(
            (self.place, self.motion, self.shape, self.at_head),
            (one.place, one.motion, one.shape, one.at_head),
            strict=True,
        ):
            mine[self.length] = other[0]
        self.length += 1

    # Both arms count: their squares add up.
    def _by_place(self, one: _SignViews, rows: np.ndarray | slice) -> np.ndarray:
        needed = np.where(self.at_head[rows] & one.at_head[0], _APART_PLACE_AT_HEAD, _APART_PLACE)
        return np.sqrt(((self.place[rows] - one.place) ** 2).sum(axis=1)) / needed

    def _by_motion(self, one: _SignViews, rows: np.ndarray | slice) -> np.ndarray:
        return np.sqrt(((self.motion[rows] - one.motion) ** 2).sum(axis=1) / _NUM_PHASES) / _APART_MOTION

    def _by_shape(self, one: _SignViews, rows: np.ndarray | slice) -> np.ndarray:
        squares = ((self.shape[rows] - one.shape) ** 2).sum(axis=1)
        return np.sqrt(squares / (_NUM_PHASES * len(_SHAPE_JOINTS))) / _APART_SHAPE

    def distances(self, one: _SignViews) -> np.ndarray:
        """Returns the distance of one sign from each, (n,), in thresholds: from 1 on they differ visibly."""
        rows = slice(0, self.length)
        return np.maximum(
            np.maximum(self._by_place(one, rows), self._by_motion(one, rows)), self._by_shape(one, rows)
        ).astype(np.float64)

    def all_apart_from(self, one: _SignViews) -> bool:
        """Returns whether one sign differs visibly from all of these; the costlier comparisons get only what the
        cheaper ones leave."""
        rows = np.flatnonzero(self._by_place(one, slice(0, self.length)) < 1)
        rows = rows[self._by_motion(one, rows) < 1]
        return not (self._by_shape(one, rows) < 1).any()


def random_sign(kind: str, rng: np.random.Generator) -> Sign:
    """Returns a random sign of a kind, from the whole phonology; it may be impossible."""

    def choose(options: Collection[str], shares: tuple[float, ...] | None = None) -> str:
        return str(rng.choice(list(options), p=shares))

    handshape, orientation, movement = choose(HANDSHAPES), choose(ORIENTATIONS), choose(MOVEMENTS)
    location = choose([name for name, place in LOCATIONS.items() if (place.anchor == "arm") == (kind == "base")])
    weak, local = choose(WEAK_BASES), choose(LOCAL_MOVEMENTS, _LOCAL_SHARES)
    size, speed = choose(SIZES, _SIZE_SHARES), choose(SPEEDS, _SPEED_SHARES)
    repeated, touching = rng.random(2) < (_REPEATED, _TOUCHING)
    path = MOVEMENTS[movement]
    return Sign(
        "",
        kind,
        handshape,
        location,
        orientation,
        movement,
        weak if kind == "base" else None,
        local=local if movement in LOCAL_MOVEMENTS[local].paths else "none",
        size=size if path.path is not None else "normal",
        speed=speed,
        repeats=2 if repeated and path.repeatable and size != "large" else 1,
        contact=bool(touching),
    ).with_value("kind", kind)


def _neighbour(sign: Sign, rng: np.random.Generator) -> Sign:
    """Returns a sign that differs slightly in one parameter; it may be impossible."""
    parameter = str(rng.choice(list(_PAIR_SHARES), p=list(_PAIR_SHARES.values())))
    place, local = int(rng.integers(_NUM_NEIGHBOURS)), rng.random() < _LOCAL_PAIRS
    if parameter == "movement" and local:
        others = [name for name in LOCAL_MOVEMENTS if name != sign.local]
        return replace(sign, local=others[place])
    value = getattr(sign, parameter)
    nearest = neighbours(parameter, value)
    if parameter == "location":
        on_arm = LOCATIONS[value].anchor == "arm"
        nearest = tuple(name for name in nearest if (LOCATIONS[name].anchor == "arm") == on_arm)
    return sign.with_value(parameter, nearest[place])


@cache
def neighbours(parameter: str, value: str) -> tuple[str, ...]:
    """Returns the other values of `handshape`, `location`, `orientation` or `movement`, the most similar first."""
    values, describe = _DESCRIPTIONS[parameter]
    origin = describe(value)
    return tuple(
        sorted((other for other in values if other != value), key=lambda v: float(abs(describe(v) - origin).sum()))
    )


def _movement_as_numbers(name: str) -> np.ndarray:
    """Returns a movement's path at some phases, in units of its size."""
    path = MOVEMENTS[name].path
    return np.zeros((9, 3)) if path is None else path(np.linspace(0, 1, 9))


def _location_as_numbers(name: str) -> np.ndarray:
    """Returns the approximate place of a location on an average body, (3,) metres from the middle of the shoulders."""
    place = LOCATIONS[name]
    if place.weak is None:
        return np.array(place.position) - (0.0, 0.19 if place.anchor == "head" else 0.0, 0.0)
    along = {"hand": 0.0, "wrist": 0.05, "forearm": 0.15, "elbow": 0.25, "upper_arm": 0.35}[place.weak.part]
    return np.array(place.weak.place) * (-1, 1, 1) + np.array(place.position) + (along, 0, 0)


_DESCRIPTIONS: dict[str, tuple[Collection[str], Callable[[str], np.ndarray]]] = {
    "handshape": (HANDSHAPES, handshape_angles),
    "location": (LOCATIONS, _location_as_numbers),
    "orientation": (ORIENTATIONS, orientation_axes),
    "movement": (MOVEMENTS, _movement_as_numbers),
}


def _names(count: int, rng: np.random.Generator) -> list[str]:
    """Returns distinct pronounceable words, in capitals as glosses are."""
    syllables = [consonant + vowel for consonant in "BDFGKLMNPRSTVZ" for vowel in "AEIOU"]
    length = 2
    while len(syllables) ** length < 2 * count:
        length += 1
    names: dict[str, None] = {}
    while len(names) < count:
        names["".join(syllables[int(place)] for place in rng.integers(len(syllables), size=length))] = None
    return list(names)
