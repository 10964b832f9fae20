"""Signers: what stays the same in one person from sentence to sentence and differs between persons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signloom.synth.dials import Dials
from signloom.synth.movements import MOVEMENTS
from signloom.synth.proportions import Proportions
from signloom.synth.rotations import multiply, rotation_about
from signloom.synth.signs import FLEXION, HANDSHAPES, LOCATIONS, NUM_ANGLES, ORIENTATIONS

# Speed of the average signer, relative to the strokes and transitions of `stroke` and `performance`: a gloss then takes
# 12 to 14 frames at 25 frames/s, as in PHOENIX-2014.
_TEMPO = 1.14
# Standard deviations of habits at signer variation 1. Place of a location:
_LOCATION_METRES = 0.023
# Place of the whole signing space:
_SPACE_METRES = 0.036
# Joint angles of a handshape:
_FINGER_DEGREES = 6.0
# Orientation of the palm:
_ORIENTATION_DEGREES = 8.0
# Turn, nod and tilt of the head:
_CARRIAGE_DEGREES = (4.0, 3.5, 2.5)
# Turn, nod and tilt of the trunk:
_LEAN_DEGREES = (2.5, 1.8, 3.0)
# Largest tremor of the hands at signer variation 1.
_UNSTEADY_METRES = 0.0022
# Where idle hands lie, (3, 2, 3): the strong hand over the weak one, low before the belly or higher; or both hands on
# the thighs, below the picture. The elbows then hang beside the trunk.
RESTS = np.array(
    [
        [(-0.01, 0.4, -0.19), (-0.02, 0.42, -0.145)],
        [(-0.01, 0.34, -0.205), (-0.02, 0.36, -0.16)],
        [(-0.19, 0.54, -0.1), (-0.19, 0.54, -0.1)],
    ]
)
# What some signers use in place of a handshape or location.
ALLOPHONES = {
    "handshape": {
        "B": "FLAT", "FLAT": "B", "S": "A", "A": "S", "10": "A", "5": "4", "4": "5", "U": "V", "C": "CLAW", "W": "4",
        "O": "C", "BENT": "FLAT", "X": "1",
    },
    "location": {
        "forehead": "eye", "temple": "cheek", "nose": "mouth", "chin": "neck", "space-high": "space-side",
        "far-shoulder": "chest", "belly": "chest", "upper-arm": "forearm", "elbow": "forearm",
    },
}  # fmt: skip
# Probability of each such habit at signer variation 1.
_HABIT_SHARE = 0.15
# Number of dialects.
_NUM_REGIONS = 3


@dataclass(frozen=True)
class Signer:
    """One person.

    proportions: bones.  tempo: speed relative to the average.  amplitude: size of movements.
    space: (3,) scale of the signing space about the chest.  shift: (3,) metres, position of the signing space.
    places: habitual offset of each location, metres.  grips: of each handshape, degrees (16,).
    turns: of each orientation, a quaternion (4,).  shapes: of each movement, a stretch (3,) of its path.
    rest: (2, 3) where the idle strong and weak hand lie, each on its own side.
    holding: probability that the weak hand stays up during one-handed signs.
    expressiveness: scale of mouth and brows.
    left_handed: whether the left hand is the strong one.
    smoothness: duration of the blur of all controls, relative to the average.
    unsteadiness: metres of tremor in the hands' paths.
    carriage: (3,) posture of the head: turn, nod and tilt in degrees.  lean: (3,) of the trunk, likewise.
    habits: for `handshape` and `location`, what this signer uses in place of some of them, in about half of the signs.
    key: (seed, number), which determines this signer's other choices.
    region: number of the signer's dialect.  dialect: share of signs made in it.
    """

    proportions: Proportions
    tempo: float
    amplitude: float
    space: np.ndarray
    shift: np.ndarray
    places: dict[str, np.ndarray]
    grips: dict[str, np.ndarray]
    turns: dict[str, np.ndarray]
    shapes: dict[str, np.ndarray]
    rest: np.ndarray
    holding: float
    expressiveness: float
    left_handed: bool
    smoothness: float
    unsteadiness: float
    carriage: np.ndarray
    lean: np.ndarray
    habits: dict[str, dict[str, str]]
    key: tuple[int, int]
    region: int
    dialect: float


def make_signer(number: int, *, seed: int, dials: Dials) -> Signer:
    """Returns signer `number` (from 0) of the population of `seed`, whoever else is in it; with clean dials the average
    signer."""
    variation = dials.signer_variation
    rng = np.random.default_rng([seed, 2, number])

    def about_one(spread: float) -> float:
        return float(np.exp(variation * spread * np.clip(rng.standard_normal(), -2, 2)))

    def normal(scale: float, *shape: int) -> np.ndarray:
        return variation * scale * np.clip(rng.standard_normal(shape), -2.2, 2.2)

    size = about_one(0.05)
    average = Proportions()
    proportions = Proportions(
        shoulder_half_width=average.shoulder_half_width * size * about_one(0.05),
        upper_arm=average.upper_arm * size * about_one(0.04),
        forearm=average.forearm * size * about_one(0.04),
        hand=average.hand * size * about_one(0.05),
        # Raised or lowered shoulders make a neck short or long.
        neck=average.neck * size * about_one(0.07),
        head=average.head * about_one(0.04),
        trunk=average.trunk * size * about_one(0.04),
        hip_half_width=average.hip_half_width * size,
        leg=average.leg * size,
    )
    rest = RESTS[0] + min(variation, 1.0) * (RESTS[int(rng.integers(len(RESTS)))] - RESTS[0])
    turns = {
        name: multiply(
            multiply(rotation_about(0, normal(_ORIENTATION_DEGREES)), rotation_about(1, normal(_ORIENTATION_DEGREES))),
            rotation_about(2, normal(_ORIENTATION_DEGREES)),
        )
        for name in ORIENTATIONS
    }
    grips = {}
    for name in HANDSHAPES:
        habit = normal(_FINGER_DEGREES, NUM_ANGLES)
        # Neighbouring fingers share a habit: a lax or a tense hand.
        habit[FLEXION] += normal(0.6 * _FINGER_DEGREES)
        grips[name] = habit
    return Signer(
        proportions=proportions,
        tempo=_TEMPO * about_one(0.12),
        amplitude=about_one(0.18),
        space=np.array([about_one(0.1), about_one(0.1), about_one(0.08)]),
        shift=normal(_SPACE_METRES, 3),
        places={name: normal(_LOCATION_METRES, 3) for name in LOCATIONS},
        grips=grips,
        turns=turns,
        shapes={name: np.exp(normal(0.18, 3)) for name in MOVEMENTS},
        rest=rest + normal(0.012, 3),
        holding=float(np.clip(0.5 + 0.35 * normal(1.0), 0, 0.9)),
        expressiveness=about_one(0.25),
        left_handed=bool(rng.random() < dials.left_handed),
        smoothness=about_one(0.25),
        unsteadiness=variation * _UNSTEADY_METRES * float(rng.random() ** 2),
        carriage=normal(1.0, 3) * _CARRIAGE_DEGREES,
        lean=normal(1.0, 3) * _LEAN_DEGREES,
        habits={
            parameter: {name: other for name, other in table.items() if rng.random() < variation * _HABIT_SHARE}
            for parameter, table in ALLOPHONES.items()
        },
        key=(seed, number),
        region=int(rng.integers(_NUM_REGIONS)),
        dialect=dials.dialect,
    )
