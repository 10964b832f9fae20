"""A lexicon from a seed: families of signs that differ in one parameter, every two of them visibly apart.

Two signs are held apart by what a camera sees of an average signer who makes them slowly and cleanly: where the hands
are, how they move, or what shape they show. Differences in depth alone, or in fingers that point at the camera, do not
count.
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
from signloom.errors import InputError
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

# Metres in the image plane (root mean square over the sign) by which two signs must differ in at least one respect.
# Two to three times what signers and tokens differ in the same respect by default; places on the head are kept better.
_APART_PLACE, _APART_PLACE_AT_HEAD, _APART_MOTION, _APART_SHAPE = 0.085, 0.035, 0.03, 0.02
_NUM_PHASES = 8
# How near a joint of the hand must come to the skin to touch it.
_TOUCH_METRES = 0.013
# Joints that tell a hand's shape: finger tips and middle joints, and a knuckle at either side of the palm.
_SHAPE_JOINTS = layout.hand_joints(
    *("thumb_ip", "thumb_tip", "index_mcp", "index_pip", "index_tip", "middle_pip", "middle_tip"),
    *("ring_pip", "ring_tip", "pinky_mcp", "pinky_pip", "pinky_tip"),
)
# A wrist bends up to 80 degrees; an arm gives way for a little more.
_WRIST_DEGREES = 95.0
# The kinds of sign that the founders of families take turns in.
_KIND_TURNS = ("one", "both", "one", "base", "one", "alternating")
# In which parameter the members of a family differ, and among how many of the values most alike.
_PAIR_SHARES = {"handshape": 0.3, "location": 0.2, "orientation": 0.15, "movement": 0.35}
_NUM_NEIGHBOURS = 5
# Movements differ in what the fingers do as often as this, else in their path.
_LOCAL_PAIRS = 0.4
# How the signs of a lexicon move, and what else belongs to them; in the order of the tables.
_LOCAL_SHARES = (0.6, 0.08, 0.06, 0.1, 0.1, 0.06)
_SIZE_SHARES, _SPEED_SHARES, _REPEATED, _TOUCHING = (0.15, 0.7, 0.15), (0.15, 0.65, 0.2), 0.2, 0.7
_BROW_SHARES, _HEAD_SHARES = (0.7, 0.2, 0.1), (0.85, 0.05, 0.05, 0.05)
# Where the phonology is full: seed 0 with 95 % minimal pairs finds no further sign after 31,769.
_MOST_SIGNS = 40_000
_FEWER_SIGNS = "lower --num_signs, or give --sentences with fewer distinct glosses"
# Draws for each sign before the lexicon counts as full.
_MAX_DRAWS = 200


def make_lexicon(
    num_signs: int, *, seed: int, minimal_pairs: float, apart_from: Sequence[Sign] = ()
) -> tuple[Sign, ...]:
    """A lexicon of visibly distinct signs, the same for the same arguments.

    minimal_pairs: the share of signs, 0..1, that differ a little from another sign in one manual parameter only.
    apart_from: further signs, such as pointing ones, that those of the lexicon are to be told apart from.

    Raises InputError for a number below 1, or above what the phonology can hold apart.
    """
    if num_signs < 1:
        raise InputError(f"lexicon: {num_signs} signs; needed at least 1")
    if num_signs > _MOST_SIGNS:
        raise InputError(
            f"lexicon: {num_signs:,} signs; the phonology has room for fewer than {_MOST_SIGNS:,}; {_FEWER_SIGNS}"
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
                f"lexicon: {num_signs:,} signs; after {count:,} the phonology of this seed found no further one that "
                f"could be held apart; lower --minimal_pairs, or {_FEWER_SIGNS}"
            )
        # Founders first; then the families grow in turn, and a full one makes room for a new founder.
        found = len(families) < num_families or misses >= _MAX_DRAWS // 2
        family = [] if found else families[int(rng.integers(len(families)))]
        sign = (
            random_sign(_KIND_TURNS[len(families) % len(_KIND_TURNS)], rng)
            if found
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
        if found:
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
    """Which signs of a lexicon are easily taken for each other, as plain data.

    `minimal_pairs`: [gloss, other gloss, parameter] for every two signs that differ in one manual parameter alone.
    `nearest`: for each gloss [other gloss, distance] of the sign that looks most like it, None where there is no other;
    the distance is in thresholds of what counts as apart, so that 1 is as alike as signs of a lexicon may be.
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
    """Whether a camera can tell the hands of two signs apart."""
    return _all_apart(citation_view(first), citation_view(second)[None])


@cache
def _model() -> Signer:
    """The signer who shows the citation forms."""
    return make_signer(0, seed=0, dials=Dials(preset="clean"))


@lru_cache(maxsize=64)
def _citation(sign: Sign) -> tuple[Arm, Arm]:
    """The average signer's arms in a sign. Kept for a while: each sign is looked at several times in a row."""
    return citation_form(sign, _model(), _NUM_PHASES)


@lru_cache(maxsize=64)
def _posed(sign: Sign) -> tuple[PosedArm, PosedArm, Limb]:
    return pose_arms(*_citation(sign), _model().proportions)


def comfortable(sign: Sign) -> bool:
    """Whether an average signer can hold the hands so without bending a wrist further than wrists bend."""
    return all(wrist_bend(arm, _model().proportions).max() <= _WRIST_DEGREES for arm in _citation(sign))


def touches(sign: Sign) -> bool:
    """Whether the hand of an average signer gets to where a sign with contact touches; True for one without."""
    return not sign.contact or touching_gap(sign) <= _TOUCH_METRES


def touching_gap(sign: Sign) -> float:
    """The least distance between the hand's joints and the skin, or the weak arm, in a citation form's contact."""
    body = _model().proportions
    arms, ((_, hand), _, limb) = _citation(sign), _posed(sign)
    on_arm = LOCATIONS[sign.location].anchor == "arm"
    firmness = arms[0].other_arm if on_arm else arms[0].skin
    gaps = (
        limb.clearance(hand)[0]
        if on_arm
        else FINGER - depth(hand, body.head_centre, body.head, None, body.shoulder_half_width)
    )
    return float(gaps[firmness >= 0.9 * firmness.max()].min())


def citation_view(sign: Sign) -> np.ndarray:
    """What a camera sees of the citation form, (phases, 2 arms, 1 + joints, 2) float32 metres.

    The first of the points is the wrist, from the middle of the shoulders; the others are relative to it.
    """
    views = []
    for _, hand in _posed(sign)[:2]:
        seen = hand[..., :2] / (1 + hand[..., 2:] / DISTANCE)
        views.append(np.concatenate([seen[:, :1], seen[:, _SHAPE_JOINTS] - seen[:, :1]], axis=1))
    return np.stack(views, axis=1).astype(np.float32)


@dataclass
class _SignViews:
    """What a camera sees of n signs, so that one of them is quickly compared with all: place (n, 4) and motion (n, 32)
    of the wrists, shape (n, 384) of the hands, and whether the strong one is at the head (n,)."""

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
        return cls.of_forms(np.stack([citation_view(sign) for sign in signs]))

    @classmethod
    def of_forms(cls, forms: np.ndarray) -> _SignViews:
        """Of citation views (n, phases, 2, 1 + joints, 2)."""
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
        """How far one sign is from each, (n,), in thresholds: 1 and more is apart."""
        rows = slice(0, self.length)
        return np.maximum(
            np.maximum(self._by_place(one, rows), self._by_motion(one, rows)), self._by_shape(one, rows)
        ).astype(np.float64)

    def all_apart_from(self, one: _SignViews) -> bool:
        """Whether one sign is apart from every one of these; looks closely only at those that cheaper looks leave."""
        rows = np.flatnonzero(self._by_place(one, slice(0, self.length)) < 1)
        rows = rows[self._by_motion(one, rows) < 1]
        return not (self._by_shape(one, rows) < 1).any()


def _all_apart(form: np.ndarray, forms: np.ndarray) -> bool:
    """Whether a sign's view differs enough from every one of others."""
    return _SignViews.of_forms(forms).all_apart_from(_SignViews.of_forms(form[None]))


def random_sign(kind: str, rng: np.random.Generator) -> Sign:
    """A sign of a kind, drawn from the whole phonology; perhaps not a possible one."""

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
    """A sign that differs a little in one of its parameters; perhaps not a possible one."""
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
    """The other values of `handshape`, `location`, `orientation` or `movement`, the most alike first."""
    values, describe = _DESCRIPTIONS[parameter]
    origin = describe(value)
    return tuple(
        sorted((other for other in values if other != value), key=lambda v: float(abs(describe(v) - origin).sum()))
    )


def _movement_as_numbers(name: str) -> np.ndarray:
    """A movement's path at some phases, in units of its size."""
    path = MOVEMENTS[name].path
    return np.zeros((9, 3)) if path is None else path(np.linspace(0, 1, 9))


def _location_as_numbers(name: str) -> np.ndarray:
    """About where a location lies on an average body, (3,) metres from the middle of the shoulders."""
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
    """Distinct words that can be said, in capitals as glosses are."""
    syllables = [consonant + vowel for consonant in "BDFGKLMNPRSTVZ" for vowel in "AEIOU"]
    length = 2
    while len(syllables) ** length < 2 * count:
        length += 1
    names: dict[str, None] = {}
    while len(names) < count:
        names["".join(syllables[int(place)] for place in rng.integers(len(syllables), size=length))] = None
    return list(names)
