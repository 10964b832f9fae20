"""What a signer does who does not sign: arms at rest, a hand at the face, in the hair or on the other arm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from signloom.synth.movements import minimum_jerk
from signloom.synth.rotations import quaternion
from signloom.synth.signer import Signer
from signloom.synth.signs import handshape_angles, orientation_axes, rest_sign
from signloom.synth.stroke import ANGLES, PLACE, ROTATION, TOUCHING, place_of

# Probability of idling at dial 1: before the first sign and after the last, and between two signs.
AT_ENDS, BETWEEN = 0.4, 0.08
# Range of its length.
_SECONDS = (0.6, 3.0)
# Share of the time that the arms just rest; else one hand goes to a place of the head or of the trunk.
_AT_REST = 0.6
_PLACES = ("forehead", "temple", "ear", "cheek", "nose", "chin", "neck", "chest", "far-shoulder")
_HANDSHAPES = ("5", "CLAW", "1", "B", "C", "S")
_ORIENTATIONS = ("up-in", "up-across", "across-in", "across-down")
# How far a hand moves to and fro, and how often per second, where it scratches, strokes or adjusts something.
_METRES, _HERTZ = (0.005, 0.03), (0.5, 3.0)
# Time between the random positions of an arm at rest, and their standard deviation.
_KNOT_SECONDS, _KNOT_METRES = 0.7, 0.012


def idle_states(rest: np.ndarray, signer: Signer, fps: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the states of the strong and the weak arm while they idle, (2, n, 26).

    rest: (2, 26), the arms at rest.
    """
    count = max(2, round(rng.uniform(*_SECONDS) * fps))
    states = np.repeat(rest[:, None], count, axis=1)
    knots = _KNOT_METRES * rng.standard_normal((2, int(count / (fps * _KNOT_SECONDS)) + 2, 3))
    times = np.arange(count) / (fps * _KNOT_SECONDS)
    lower = times.astype(int)
    share = minimum_jerk(times - lower)[:, None]
    states[..., PLACE] += knots[:, lower] * (1 - share) + knots[:, lower + 1] * share
    busy, hand = rng.random() >= _AT_REST, int(rng.integers(2))
    place, shape, way = (names[rng.integers(len(names))] for names in (_PLACES, _HANDSHAPES, _ORIENTATIONS))
    if busy:
        to_and_fro = rng.uniform(*_METRES) * np.sin(2 * np.pi * rng.uniform(*_HERTZ) * np.arange(count) / fps)
        direction = rng.standard_normal(3) * (1, 1, 0.2)
        states[hand, :, PLACE] = place_of(replace(rest_sign(""), location=place), signer)
        states[hand, :, PLACE] += to_and_fro[:, None] * direction / np.linalg.norm(direction)
        states[hand, :, TOUCHING] = rng.uniform(0.6, 0.95)
        states[hand, :, ROTATION] = quaternion(orientation_axes(way))
        states[hand, :, ANGLES] = rng.uniform(0.5, 1.0) * handshape_angles(shape)
    return states
