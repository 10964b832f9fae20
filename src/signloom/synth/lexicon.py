"""A lexicon from a seed: families of signs that differ in one parameter, every two of them visibly apart.

Two signs are held apart by what a camera sees of an average signer who makes them slowly and cleanly: where the hands
are, how they move, or what shape they show. Differences in depth alone, or in fingers that point at the camera, do not
count.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cache

import numpy as np

from signloom.errors import InputError
from signloom.synth.body import pose_arm, wrist_bend
from signloom.synth.dials import Dials
from signloom.synth.performance import citation_form
from signloom.synth.signer import make_signer
from signloom.synth.signs import (
    BROWS,
    HANDSHAPES,
    LOCATIONS,
    MOUTHS,
    MOVEMENTS,
    ORIENTATIONS,
    WEAK_BASES,
    Sign,
    handshape_angles,
    orientation_axes,
)

# The signer who shows the citation forms.
_CLEAN = Dials(preset="clean")
# Metres in the image plane (root mean square over the sign) by which two signs must differ in at least one respect.
# About three times what signers and tokens differ in the same respect by default; places on the head are kept better.
_APART_PLACE, _APART_PLACE_AT_HEAD, _APART_MOTION, _APART_SHAPE = 0.085, 0.035, 0.03, 0.02
_NUM_PHASES = 8
# Joints that tell a hand's shape: finger tips and middle joints, and a knuckle at either side of the palm.
_SHAPE_JOINTS = (3, 4, 5, 6, 8, 10, 12, 14, 16, 17, 18, 20)
# A wrist bends up to 80 degrees; an arm gives way for a little more.
_WRIST_DEGREES = 95.0
_VIEW_SHAPE = (_NUM_PHASES, 2, 1 + len(_SHAPE_JOINTS), 2)
# The kinds of sign that the founders of families take turns in.
_KIND_TURNS = ("one", "both", "one", "base", "one", "alternating")
# In which parameter the members of a family differ, and among how many of the values most alike.
_PAIR_SHARES = {"handshape": 0.3, "location": 0.2, "orientation": 0.15, "movement": 0.35}
_NUM_NEIGHBOURS = 5
# More than all combinations: three kinds of sign at every location, one at a single location with several weak hands.
_MOST_SIGNS = len(HANDSHAPES) * len(ORIENTATIONS) * len(MOVEMENTS) * (3 * len(LOCATIONS) + len(WEAK_BASES))
# Draws for each sign before the lexicon counts as full.
_MAX_DRAWS = 200


def make_lexicon(num_signs: int, *, seed: int, minimal_pairs: float) -> tuple[Sign, ...]:
    """A lexicon of visibly distinct signs, the same for the same arguments.

    minimal_pairs: the share of signs, 0..1, that differ a little from another sign in one manual parameter only.

    Raises InputError for a number below 1, or above what the phonology can hold apart.
    """
    if num_signs < 1:
        raise InputError(f"--num_signs is {num_signs}; needed at least 1 sign")
    if num_signs > _MOST_SIGNS:
        raise InputError(
            f"--num_signs is {num_signs:,}; the phonology has room for fewer than {_MOST_SIGNS:,}, ask for fewer"
        )
    rng = np.random.default_rng([seed, 1])
    num_families = max(1, round(num_signs * (1 - minimal_pairs)))
    families: list[list[Sign]] = []
    forms = np.empty((num_signs, *_VIEW_SHAPE), dtype=np.float32)
    count = misses = 0
    while count < num_signs:
        if misses >= _MAX_DRAWS:
            raise InputError(
                f"--num_signs is {num_signs:,}; after {count:,} signs the phonology of this seed found no further "
                "one that could be held apart; ask for fewer, or lower --minimal_pairs"
            )
        # Founders first; then the families grow in turn, and a full one makes room for a new founder.
        found = len(families) < num_families or misses >= _MAX_DRAWS // 2
        family = [] if found else families[int(rng.integers(len(families)))]
        sign = (
            _random_sign(_KIND_TURNS[len(families) % len(_KIND_TURNS)], rng)
            if found
            else _neighbour(family[int(rng.integers(len(family)))], rng)
        )
        form = citation_view(sign) if sign.possible() and comfortable(sign) else None
        if form is None or not _all_apart(form, forms[:count]):
            misses += 1
            continue
        misses = 0
        forms[count] = form
        count += 1
        family.append(sign)
        if found:
            families.append(family)
    mouths, brows = list(MOUTHS), list(BROWS)
    signs = [sign for family in families for sign in family]
    return tuple(
        replace(
            sign,
            gloss=gloss,
            mouth=mouths[int(rng.integers(len(mouths)))],
            brow=brows[int(rng.choice(len(brows), p=(0.7, 0.2, 0.1)))],
        )
        for sign, gloss in zip(signs, _names(num_signs, rng), strict=True)
    )


def apart(first: Sign, second: Sign) -> bool:
    """Whether a camera can tell the hands of two signs apart."""
    return _all_apart(citation_view(first), citation_view(second)[None])


def comfortable(sign: Sign) -> bool:
    """Whether an average signer can hold the hands so without bending a wrist further than wrists bend."""
    signer = make_signer(0, seed=0, dials=_CLEAN)
    return all(
        wrist_bend(arm, signer.proportions).max() <= _WRIST_DEGREES for arm in citation_form(sign, signer, _NUM_PHASES)
    )


def citation_view(sign: Sign) -> np.ndarray:
    """What a camera sees of the citation form, (phases, 2 arms, 1 + joints, 2) float32 metres.

    The first of the points is the wrist, from the middle of the shoulders; the others are relative to it.
    """
    signer = make_signer(0, seed=0, dials=_CLEAN)
    views = []
    for arm in citation_form(sign, signer, _NUM_PHASES):
        _, hand = pose_arm(arm, signer.proportions)
        seen = hand[..., :2] / (1 + hand[..., 2:] / 2.2)
        views.append(np.concatenate([seen[:, :1], seen[:, _SHAPE_JOINTS] - seen[:, :1]], axis=1))
    return np.stack(views, axis=1).astype(np.float32)


def _all_apart(form: np.ndarray, forms: np.ndarray) -> bool:
    """Whether a sign's view differs enough from every one of others."""
    # Both arms count: their squares add up.
    difference = forms - form
    wrists = difference[:, :, :, 0]
    mean = wrists.mean(axis=1, keepdims=True)
    place = np.sqrt((mean**2).sum(axis=(1, 2, 3)))
    motion = np.sqrt(((wrists - mean) ** 2).sum(axis=(2, 3)).mean(axis=1))
    shape = np.sqrt((difference[:, :, :, 1:] ** 2).sum(axis=(2, 4)).mean(axis=(1, 2)))
    at_head = (form[:, 0, 0, 1].mean() < -0.05) & (forms[:, :, 0, 0, 1].mean(axis=1) < -0.05)
    needed = np.where(at_head, _APART_PLACE_AT_HEAD, _APART_PLACE)
    return bool(((place >= needed) | (motion >= _APART_MOTION) | (shape >= _APART_SHAPE)).all())


def _random_sign(kind: str, rng: np.random.Generator) -> Sign:
    def choose(options: Collection[str]) -> str:
        return list(options)[int(rng.integers(len(options)))]

    location = "space-middle" if kind == "base" else choose(LOCATIONS)
    weak = choose(WEAK_BASES) if kind == "base" else None
    return Sign("", kind, choose(HANDSHAPES), location, choose(ORIENTATIONS), choose(MOVEMENTS), weak)


def _neighbour(sign: Sign, rng: np.random.Generator) -> Sign:
    """A sign that differs a little in one of its parameters; perhaps not a possible one."""
    parameter = str(rng.choice(list(_PAIR_SHARES), p=list(_PAIR_SHARES.values())))
    nearest = neighbours(parameter, getattr(sign, parameter))
    return replace(sign, **{parameter: nearest[int(rng.integers(_NUM_NEIGHBOURS))]})


@cache
def neighbours(parameter: str, value: str) -> tuple[str, ...]:
    """The other values of `handshape`, `location`, `orientation` or `movement`, the most alike first."""
    values, describe = _DESCRIPTIONS[parameter]
    origin = describe(value)
    return tuple(
        sorted((other for other in values if other != value), key=lambda v: float(abs(describe(v) - origin).sum()))
    )


def _movement_as_numbers(name: str) -> np.ndarray:
    """A movement's path at some phases, and its turns and finger play as lengths alike in size."""
    movement, phase = MOVEMENTS[name], np.linspace(0, 1, 9)
    path = np.zeros((9, 3)) if movement.path is None else movement.path(phase)
    turns = [np.zeros(9) if turn is None else turn(phase) / 60 for turn in (movement.twist, movement.nod)]
    play = [np.full(9, 0.4 * (movement.fingers == kind)) for kind in ("open", "close", "wiggle")]
    return np.concatenate([path.ravel(), *turns, *play])


def _location_as_numbers(name: str) -> np.ndarray:
    """Where a location lies on an average body, (3,) metres from the middle of the shoulders."""
    place = LOCATIONS[name]
    return np.array(place.position) - (0.0, 0.19 if place.anchor == "head" else 0.0, 0.0)


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
