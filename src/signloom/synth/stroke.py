"""One sign in time: the states of both arms while the sign's parameters are shown.

The state of an arm is one row: place (3), touching point (1), quaternion (4), joint angles (16), and how firmly the
hand touches the skin (1) and the weak arm (1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from signloom.anatomy.hand_model import hand_axes
from signloom.synth.body import Arm, arm_part
from signloom.synth.movements import (
    LOCAL_MOVEMENTS,
    MOVEMENTS,
    REPEAT_DURATION,
    SIZES,
    SPEEDS,
    minimum_jerk,
    phase_of,
)
from signloom.synth.proportions import Proportions
from signloom.synth.rotations import head_rotation, multiply, quaternion, rotation_about
from signloom.synth.signer import Signer
from signloom.synth.signs import (
    ANGLE_LIMITS,
    CLOSED_HANDSHAPE,
    LOCATIONS,
    Sign,
    WeakArm,
    handshape_angles,
    orientation_axes,
    rest_sign,
    touching_point,
)

PLACE, TOUCHING, ROTATION, ANGLES, SKIN, OTHER_ARM = slice(0, 3), 3, slice(4, 8), slice(8, 24), 24, 25
WIDTH = 26

# Duration of a plain stroke at tempo 1. With the transitions between strokes, a sign takes 10 to 14 frames at 25
# frames/s, as in PHOENIX-2014.
STROKE_SECONDS = 0.225
# Range of the duration of glossed rest.
_REST_SECONDS = (0.2, 0.44)
# Probability that the weak hand is raised too between two sentences.
_BOTH_UP = 0.5
# Standard deviation of the place of raised hands, metres.
_RAISED_METRES = 0.03
# Direction of the fingers and of the palm of an idle hand before the belly.
_ACROSS_BELLY = np.array([(0.75, 0.62, -0.1), (0.0, 0.25, 1.0)])
# The same for an idle hand on the thigh.
_ON_THIGH = np.array([(0.12, 1.0, -0.25), (0.8, 0.0, 0.6)])
# Standard deviations between tokens of one sign by one signer at token variation 1. Place:
_TOKEN_METRES = 0.04
# Orientation of the hand:
_TOKEN_DEGREES = 13.5
# Joint angles:
_TOKEN_FINGER_DEGREES = 10.0
# Logarithm of the size:
_TOKEN_SIZE = 0.33
# Logarithm of the duration:
_TOKEN_TIME = 0.28
# Largest speed of a path, however short its stroke is, metres per second.
_MAX_SPEED = 4.2
# Shares of a stroke's time at which the speed is measured.
_FINE = np.linspace(0, 1, 40)
# How much lower a sign is made at coarticulation 1 and twice the usual speed, metres.
_LOWER_METRES = 0.04


@dataclass(frozen=True)
class SentenceContext:
    """What the tokens of one sentence share.

    frames_per_second: of the film, divided by the tempo of the signing.
    rest: the states (2, 26) of the strong and the weak arm at rest.
    fastest: largest speed of a stroke's path, metres per second.
    """

    signer: Signer
    frames_per_second: float
    tempo: float
    token_variation: float
    coarticulation: float
    rest: np.ndarray
    fastest: float = _MAX_SPEED


def rest_states(signer: Signer, rng: np.random.Generator) -> np.ndarray:
    """Returns the states of the strong and the weak arm at rest, (2, 26)."""
    states = np.zeros((2, WIDTH))
    for state, place in zip(states, signer.rest, strict=True):
        # Hands that lie on each other move together, and no deeper into each other.
        state[PLACE] = place * (1, _arms(signer.proportions), 1) + 0.01 * rng.standard_normal(3) * (1, 1, 0.3)
        state[TOUCHING] = 0.5
        # A hand before the belly points across; one on the thigh points down.
        apart = float(np.clip((-place[0] - 0.04) / 0.12, 0, 1))
        fingers, palm = _ACROSS_BELLY + apart * (_ON_THIGH - _ACROSS_BELLY)
        state[ROTATION] = quaternion(hand_axes(fingers, palm))
        state[ANGLES] = (0.35 + 0.25 * apart) * handshape_angles("C") + 3 * rng.standard_normal(16)
    return states


def raised_states(rest: np.ndarray, signer: Signer, rng: np.random.Generator) -> np.ndarray:
    """Returns the states (2, 26) of the arms between two sentences of one text: lax but raised; the weak arm only
    sometimes."""
    states = rest.copy()
    for number, state in enumerate(states):
        stays, lift, slip = rng.random(), rng.uniform(0.7, 1.0), rng.standard_normal(3)
        if number == 0 or stays < _BOTH_UP:
            place = place_of(replace(rest_sign(""), location="space-middle"), signer)
            state[PLACE] += lift * (place - state[PLACE]) + _RAISED_METRES * slip
    return states


def citation_form(sign: Sign, signer: Signer, num_frames: int) -> tuple[Arm, Arm]:
    """Returns the strong and the weak arm of a sign made once and cleanly in `num_frames` frames."""
    rng = np.random.default_rng(0)
    rest = rest_states(signer, rng)
    fps = num_frames / (STROKE_SECONDS * _duration(sign))
    states = np.repeat(rest[:, None], num_frames, axis=1)
    if sign.kind != "rest":
        states = stroke(sign, SentenceContext(signer, fps, 1.0, 0.0, 0.0, rest, fastest=np.inf), rest[1], rng)
    return as_arm(unroll(states[0])), as_arm(unroll(states[1]))


def _duration(sign: Sign) -> float:
    """Returns the duration of a stroke relative to a plain one."""
    longest = max(MOVEMENTS[sign.movement].duration, LOCAL_MOVEMENTS[sign.local].duration)
    return longest * SPEEDS[sign.speed] * (REPEAT_DURATION if sign.repeats > 1 else 1.0)


def stroke(sign: Sign, context: SentenceContext, idle_hand: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the states of the strong and the weak arm during a sign, (2, n, 26).

    idle_hand: (26,) where the weak hand waits when it has nothing to do.
    """
    signer = context.signer
    # All random numbers are drawn first, so that they do not depend on the sign.
    spread = np.clip(rng.standard_normal(26), -2.2, 2.2) * context.token_variation
    place_slip, weak_slip = _TOKEN_METRES * spread[:3], 0.6 * _TOKEN_METRES * spread[3:6]
    fingers_slip = _TOKEN_FINGER_DEGREES * spread[6:22]
    size_slip, time_slip = np.exp(_TOKEN_SIZE * spread[22]), np.exp(_TOKEN_TIME * spread[23])
    slip = multiply(rotation_about(1, _TOKEN_DEGREES * spread[24]), rotation_about(2, _TOKEN_DEGREES * spread[25]))
    rest_seconds = rng.uniform(*_REST_SECONDS)
    if sign.kind == "rest":
        count = max(2, round(rest_seconds * context.frames_per_second * context.tempo))
        return np.repeat(context.rest[:, None], count, axis=1)
    seconds = STROKE_SECONDS * _duration(sign) * float(time_slip)
    count = max(2, round(seconds * context.frames_per_second))
    size = SIZES[sign.size] * signer.amplitude * float(size_slip)
    count = _within_speed(sign, count, size * signer.shapes[sign.movement], context)
    time = np.linspace(0, 1, count)
    # Fast signers do not raise their hands as high.
    hurry = np.clip(context.tempo * SPEEDS["plain"] / (SPEEDS[sign.speed] * float(time_slip)) - 0.9, 0, 1.2)
    lower = np.array((0, _LOWER_METRES * context.coarticulation * float(hurry), 0))
    location = LOCATIONS[sign.location]
    if location.weak is not None:
        held, target = _held_arm(sign, location.weak, signer, place_slip, slip, fingers_slip)
        target = target + 0.5 * place_slip
        weak = np.repeat(held[None], count, axis=0)
    else:
        at_head = location.anchor == "head"
        target = place_of(sign, signer) + (0.5 if at_head else 1.0) * (place_slip + lower)
        weak = np.repeat(idle_hand[None], count, axis=0)
    strong = _shown(sign, signer, time, target, size, slip, fingers_slip)
    if sign.symmetric:
        shifted = time[::-1] if sign.kind == "alternating" else time
        weak = _shown(sign, signer, shifted, target, 0.93 * size, slip, fingers_slip)
        weak[:, PLACE] += weak_slip
    return np.stack([strong, weak])


def _within_speed(sign: Sign, count: int, size: np.ndarray, context: SentenceContext) -> int:
    """Returns the number of frames of a stroke of this size (3,): `count`, or more to keep its path within
    `fastest`."""
    movement = MOVEMENTS[sign.movement]
    if movement.path is None:
        return count
    path = size * movement.path(phase_of(movement, sign.repeats, _FINE))
    share = float(np.linalg.norm(np.diff(path, axis=0), axis=1).max()) * (len(_FINE) - 1)
    return max(count, int(np.ceil(share / context.fastest * context.frames_per_second * context.tempo)))


def _arms(body: Proportions) -> float:
    """Returns the length of the arms relative to the average."""
    return (body.upper_arm + body.forearm) / 0.525


def place_of(sign: Sign, signer: Signer) -> np.ndarray:
    """Returns where a signer places a sign that is not made on the weak arm, (3,)."""
    location, body = LOCATIONS[sign.location], signer.proportions
    position = np.array(location.position)
    if location.anchor == "head":
        turned = head_rotation(signer.carriage[None])[0] @ position
        place = body.head_centre + turned * body.head + 0.5 * signer.places[sign.location]
    else:
        chest = np.array((0.0, 0.15, 0.0))
        place = (position - chest) * signer.space + chest + signer.shift + signer.places[sign.location]
        place *= _arms(body)
    if sign.symmetric:
        # Leave room for both hands side by side.
        place[0] = min(place[0], -0.045 if location.anchor == "head" else -0.09)
    return place


def _held_arm(
    sign: Sign, held: WeakArm, signer: Signer, place_slip: np.ndarray, slip: np.ndarray, fingers_slip: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the state (26,) of the weak arm that is held out, and the place (3,) where the strong hand acts on it, on
    the strong side."""
    location, body = LOCATIONS[sign.location], signer.proportions
    state = np.zeros(WIDTH)
    state[PLACE] = (np.array(held.place) + place_slip * 0.7 + 0.5 * signer.shift) * _arms(body)
    state[TOUCHING] = touching_point(sign.weak_handshape or "S")
    turn = multiply(signer.turns[held.orientation], slip)
    state[ROTATION] = multiply(quaternion(orientation_axes(held.orientation)), turn)
    state[ANGLES] = _grip(sign.weak_handshape or "S", signer) + fingers_slip
    part = arm_part(as_arm(state[None]), body, held.part) * (-1, 1, 1)
    return state, part + np.array(location.position) + 0.5 * signer.places[sign.location]


def _grip(handshape: str, signer: Signer) -> np.ndarray:
    return handshape_angles(handshape) + signer.grips[handshape]


def _shown(
    sign: Sign,
    signer: Signer,
    time: np.ndarray,
    target: np.ndarray,
    size: float,
    slip: np.ndarray,
    fingers_slip: np.ndarray,
) -> np.ndarray:
    """Returns the states (n, 26) of an arm that shows a sign's movement at the given shares (n,) of its time."""
    movement, local = MOVEMENTS[sign.movement], LOCAL_MOVEMENTS[sign.local]
    phase, once = phase_of(movement, sign.repeats, time), minimum_jerk(time)
    states = np.zeros((len(time), WIDTH))
    states[:, PLACE] = target
    if movement.path is not None:
        states[:, PLACE] += size * signer.shapes[sign.movement] * movement.path(phase)
    states[:, TOUCHING] = touching_point(sign.handshape)
    rotation = multiply(quaternion(orientation_axes(sign.orientation)), signer.turns[sign.orientation])
    turned = np.broadcast_to(multiply(rotation, slip), (len(time), 4))
    if local.twist is not None:
        turned = multiply(turned, rotation_about(0, signer.amplitude * local.twist(once)))
    if local.nod is not None:
        turned = multiply(turned, rotation_about(2, signer.amplitude * local.nod(once)))
    states[:, ROTATION] = turned
    grip = _grip(sign.handshape, signer) + fingers_slip
    states[:, ANGLES] = grip
    if local.fingers == "wiggle":
        waves = 4 * np.pi * once[:, None] - 0.9 * np.arange(4)
        states[:, ANGLES.start + np.array((5, 8, 11, 14))] += 20 + 24 * np.sin(waves)
    elif local.fingers is not None:
        share = phase if local.fingers == "open" else 1 - phase
        closed = handshape_angles(CLOSED_HANDSHAPE) + fingers_slip
        states[:, ANGLES] = closed + share[:, None] * (grip - closed)
    if sign.contact:
        states[:, OTHER_ARM if LOCATIONS[sign.location].anchor == "arm" else SKIN] = movement.touch(phase)
    return states


def unroll(states: np.ndarray) -> np.ndarray:
    """Returns states whose quaternions do not change sign between frames."""
    rotation = states[:, ROTATION]
    flips = np.where(np.einsum("ti,ti->t", rotation[1:], rotation[:-1]) < 0, -1.0, 1.0)
    states[1:, ROTATION] *= np.cumprod(flips)[:, None]
    return states


def as_arm(states: np.ndarray) -> Arm:
    rotation = states[:, ROTATION]
    return Arm(
        place=states[:, PLACE],
        touching=states[:, TOUCHING],
        rotation=rotation / np.linalg.norm(rotation, axis=1, keepdims=True),
        angles=np.clip(states[:, ANGLES], ANGLE_LIMITS[:, 0], ANGLE_LIMITS[:, 1]),
        # A short or blurred touch still counts as a touch.
        skin=np.clip(1.7 * states[:, SKIN], 0, 1),
        other_arm=np.clip(1.7 * states[:, OTHER_ARM], 0, 1),
    )
