"""A sentence in time: strokes of the signs, minimum-jerk ways between them, rest at both ends.

Shapes: T frames. An arm's state is one row: place (3), touching point (1), quaternion (4), joint angles (16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from signloom.synth.body import Arm, Motion, head_centre, multiply, quaternion, rotation_about
from signloom.synth.dials import Dials
from signloom.synth.face import EXPRESSIONS
from signloom.synth.signer import Signer
from signloom.synth.signs import (
    ANGLE_LIMITS,
    BROWS,
    LOCATIONS,
    MOUTHS,
    MOVEMENT_SIZE,
    MOVEMENTS,
    Sign,
    closed_handshape,
    handshape_angles,
    orientation_axes,
    touching_point,
)

_PLACE, _TOUCHING, _ROTATION, _ANGLES = slice(0, 3), 3, slice(4, 8), slice(8, 24)
_WIDTH = 24

# A plain stroke at tempo 1, and the way between two strokes: its shortest time and the time per metre (a way of half a
# metre peaks near 3 m/s). Together 10 to 14 frames a sign at 25 frames/s, as in PHOENIX-2014.
_STROKE_SECONDS = 0.27
_WAY_SECONDS, _WAY_SECONDS_PER_METRE = 0.11, 0.42
_REST_SECONDS = (0.16, 0.4)
# Blur of all controls at coarticulation 1: strokes are cut short towards their neighbours.
_BLUR_SECONDS = 0.03
# What differs between two tokens of one sign by one signer, at token variation 1 (standard deviations).
_TOKEN_METRES, _TOKEN_DEGREES, _TOKEN_FINGER_DEGREES, _TOKEN_SIZE, _TOKEN_TIME = 0.027, 13.5, 10.0, 0.33, 0.28
_SWAY_METRES = 0.01


@dataclass(frozen=True)
class Performance:
    """A sentence as it was signed.

    motion: of the body, right arm strong (a left-handed signer is mirrored later).
    strokes: for each sign the frames [start, end) in which its parameters are shown.
    boundaries: for each sign [start, end) including its half of the ways to its neighbours; they follow one another
    without a gap, the rest at either end of the utterance stays outside.
    """

    motion: Motion
    strokes: tuple[tuple[int, int], ...]
    boundaries: tuple[tuple[int, int], ...]


def perform(
    signs: Sequence[Sign],
    signer: Signer,
    *,
    fps: float,
    dials: Dials,
    rng: np.random.Generator,
) -> Performance:
    """The motion of one sentence."""
    token_variation, coarticulation = dials.token_variation, dials.coarticulation
    tempo = signer.tempo * np.exp(0.06 * rng.standard_normal())
    rest = _rest(signer, rng), _rest(signer, rng)
    strokes: list[tuple[np.ndarray, np.ndarray]] = []
    for sign in signs:
        idle_hand = _idle_hand(rest[1], strokes[-1][1][-1] if strokes else rest[1], signer, token_variation, rng)
        strokes.append(_stroke(sign, signer, idle_hand, tempo * fps, token_variation, rng))
    pieces: list[tuple[np.ndarray, np.ndarray]] = []
    spans: list[tuple[int, int]] = []
    ways: list[int] = []
    length = 0

    def append(right: np.ndarray, left: np.ndarray) -> None:
        nonlocal length
        pieces.append((right, left))
        length += len(right)

    def idle() -> None:
        count = max(1, round(rng.uniform(*_REST_SECONDS) * fps))
        append(np.repeat(rest[0][None], count, axis=0), np.repeat(rest[1][None], count, axis=0))

    def go_to(right: np.ndarray, left: np.ndarray) -> None:
        now = pieces[-1][0][-1], pieces[-1][1][-1]
        distance = max(np.linalg.norm((a - b)[_PLACE]) for a, b in zip(now, (right, left), strict=True))
        seconds = (_WAY_SECONDS + _WAY_SECONDS_PER_METRE * distance) / tempo * np.exp(0.1 * rng.standard_normal())
        count = max(1, round(seconds * fps))
        bend = 0.08 * distance * rng.standard_normal(3)
        ways.append(count)
        append(_way(now[0], right, count, bend), _way(now[1], left, count, 0.5 * bend))

    idle()
    for right, left in strokes:
        go_to(right[0], left[0])
        spans.append((length, length + len(right)))
        append(right, left)
    go_to(*rest)
    idle()

    sigma = _BLUR_SECONDS * coarticulation * fps
    tracks = [_blur(_unroll(np.concatenate(side)), sigma) for side in zip(*pieces, strict=True)]
    arms = [_arm(track) for track in tracks]
    motion = Motion(
        right=arms[0],
        left=arms[1],
        expression=_expression(signs, spans, length, signer, fps, rng),
        head=_wander(length, fps, 0.8, rng, 3) * (3.0, 2.5, 2.0),
        sway=_SWAY_METRES * _wander(length, fps, 0.8, rng, 3),
    )
    return Performance(motion, tuple(spans), _boundaries(spans, ways))


def _boundaries(spans: list[tuple[int, int]], ways: list[int]) -> tuple[tuple[int, int], ...]:
    """Each sign's span with its half of the ways around it."""
    first = spans[0][0] - ways[0] + ways[0] // 2
    inner = [end + way // 2 for (_, end), way in zip(spans, ways[1:], strict=True)]
    return tuple(zip([first, *inner[:-1]], inner, strict=True))


def _rest(signer: Signer, rng: np.random.Generator) -> np.ndarray:
    """The state of an idle arm, (24,)."""
    state = np.empty(_WIDTH)
    state[_PLACE] = signer.rest + 0.01 * rng.standard_normal(3)
    state[_TOUCHING] = 0.5
    # A hand in the lap points across, one that hangs points down.
    across, down = np.array((0.85, 0.35, -0.2)), np.array((0.15, 1.0, -0.1))
    fingers = down if signer.rest[1] > 0.43 else across
    fingers = fingers / np.linalg.norm(fingers)
    palm = np.array((0.0, 0.2, 1.0)) if signer.rest[1] <= 0.43 else np.array((1.0, 0.0, 0.3))
    palm = palm - (palm @ fingers) * fingers
    palm /= np.linalg.norm(palm)
    state[_ROTATION] = quaternion(np.stack([fingers, palm, np.cross(fingers, palm)], axis=1))
    state[_ANGLES] = 0.7 * handshape_angles("C") + 3 * rng.standard_normal(16)
    return state


def citation_form(sign: Sign, signer: Signer, num_frames: int) -> tuple[Arm, Arm]:
    """Strong and weak arm of a sign made once and cleanly, `num_frames` from its beginning to its end."""
    rng = np.random.default_rng(0)
    frames_per_second = num_frames / (_STROKE_SECONDS * MOVEMENTS[sign.movement].duration)
    idle_hand = _rest(signer, rng)
    states = _stroke(sign, signer, idle_hand, frames_per_second, 0.0, rng)
    return _arm(_unroll(states[0])), _arm(_unroll(states[1]))


def _idle_hand(
    rest: np.ndarray, last: np.ndarray, signer: Signer, token_variation: float, rng: np.random.Generator
) -> np.ndarray:
    """Where the weak hand waits during a one-handed sign, (24,): at rest, or lax and lower near where it was last."""
    if rng.random() >= min(token_variation, 1.0) * signer.holding:
        state = rest.copy()
        state[_PLACE] += 0.012 * rng.standard_normal(3)
        return state
    share = rng.uniform(0.1, 0.6)
    state = last + share * (rest - last)
    state[_ROTATION] = _turn(last[_ROTATION], rest[_ROTATION], np.array([share]))[0]
    state[_PLACE] += 0.02 * rng.standard_normal(3) + (0, 0.03, 0)
    return state


def _stroke(
    sign: Sign,
    signer: Signer,
    idle_hand: np.ndarray,
    frames_per_second: float,
    token_variation: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The states of the strong and the weak arm during a sign, (n, 24) each."""
    movement = MOVEMENTS[sign.movement]

    def vary(spread: float, *shape: int) -> np.ndarray:
        return token_variation * spread * np.clip(rng.standard_normal(shape), -2.2, 2.2)

    seconds = _STROKE_SECONDS * movement.duration * np.exp(vary(_TOKEN_TIME))
    count = max(2, round(float(seconds) * frames_per_second))
    phase = minimum_jerk(np.linspace(0, 1, count))
    size = MOVEMENT_SIZE * signer.amplitude * float(np.exp(vary(_TOKEN_SIZE)))
    target = _location(sign, signer) + (0.5 if LOCATIONS[sign.location].anchor == "head" else 1.0) * vary(
        _TOKEN_METRES, 3
    )
    slip = multiply(rotation_about(1, vary(_TOKEN_DEGREES)), rotation_about(2, vary(_TOKEN_DEGREES)))
    fingers_slip = vary(_TOKEN_FINGER_DEGREES, 16)
    strong = _shown(sign, signer, phase, target, size, slip, fingers_slip)
    if sign.kind == "one":
        weak = np.repeat(idle_hand[None], count, axis=0)
    elif sign.kind == "base":
        place = np.array((-0.6 * target[0], target[1] + 0.06, target[2] + 0.03))
        weak = np.empty((count, _WIDTH))
        weak[:, _PLACE] = np.minimum(place, (-0.01, np.inf, np.inf))
        weak[:, _TOUCHING] = touching_point(sign.weak_handshape or "S")
        weak[:, _ROTATION] = multiply(
            quaternion(orientation_axes("across-down")), multiply(signer.turns["across-down"], slip)
        )
        weak[:, _ANGLES] = _grip(sign.weak_handshape or "S", signer) + fingers_slip
    else:
        shifted = minimum_jerk(np.linspace(0, 1, count))[::-1] if sign.kind == "alternating" else phase
        weak = _shown(sign, signer, shifted, target, 0.93 * size, slip, fingers_slip)
        weak[:, _PLACE] += 0.6 * vary(_TOKEN_METRES, 3)
    return strong, weak


def _location(sign: Sign, signer: Signer) -> np.ndarray:
    """Where a signer places a sign, (3,)."""
    location, body = LOCATIONS[sign.location], signer.proportions
    position = np.array(location.position)
    if location.anchor == "head":
        place = head_centre(body) + position * body.head + 0.5 * signer.places[sign.location]
    else:
        chest = np.array((0.0, 0.15, 0.0))
        place = (position - chest) * signer.space + chest + signer.shift + signer.places[sign.location]
        place *= (body.upper_arm + body.forearm) / 0.525
    if sign.kind in ("both", "alternating"):
        # Room for both hands beside each other.
        place[0] = min(place[0], -0.09)
    return place


def _grip(handshape: str, signer: Signer) -> np.ndarray:
    return handshape_angles(handshape) + signer.grips[handshape]


def _shown(
    sign: Sign,
    signer: Signer,
    phase: np.ndarray,
    target: np.ndarray,
    size: float,
    slip: np.ndarray,
    fingers_slip: np.ndarray,
) -> np.ndarray:
    """States (n, 24) of an arm that shows a sign's movement at the given phases (n,)."""
    movement = MOVEMENTS[sign.movement]
    states = np.empty((len(phase), _WIDTH))
    states[:, _PLACE] = target
    if movement.path is not None:
        states[:, _PLACE] += size * signer.shapes[sign.movement] * movement.path(phase)
    states[:, _TOUCHING] = touching_point(sign.handshape)
    rotation = multiply(quaternion(orientation_axes(sign.orientation)), np.eye(4)[0])
    rotation = multiply(rotation, multiply(signer.turns[sign.orientation], slip))
    turned = np.broadcast_to(rotation, (len(phase), 4))
    if movement.twist is not None:
        turned = multiply(turned, rotation_about(0, signer.amplitude * movement.twist(phase)))
    if movement.nod is not None:
        turned = multiply(turned, rotation_about(2, signer.amplitude * movement.nod(phase)))
    states[:, _ROTATION] = turned
    grip = _grip(sign.handshape, signer) + fingers_slip
    states[:, _ANGLES] = grip
    if movement.fingers == "wiggle":
        waves = 4 * np.pi * phase[:, None] - 0.9 * np.arange(4)
        states[:, _ANGLES.start + np.array((5, 8, 11, 14))] += 20 + 24 * np.sin(waves)
    elif movement.fingers is not None:
        share = phase if movement.fingers == "open" else 1 - phase
        closed = closed_handshape() + fingers_slip
        states[:, _ANGLES] = closed + share[:, None] * (grip - closed)
    return states


def minimum_jerk(time: np.ndarray) -> np.ndarray:
    """The share of a way that is done at each share of its time, both 0..1 (Flash and Hogan 1985, equation 9)."""
    return time**3 * (10 - 15 * time + 6 * time**2)


def _way(start: np.ndarray, end: np.ndarray, count: int, bend: np.ndarray) -> np.ndarray:
    """States (count, 24) between two states, neither of them included; `bend` (3,) bows the path."""
    time = np.arange(1, count + 1) / (count + 1)
    share = minimum_jerk(time)[:, None]
    states = start + share * (end - start)
    states[:, _PLACE] += 4 * share * (1 - share) * bend
    # Fingers are ready before the hand arrives.
    early = minimum_jerk(np.minimum(1.25 * time, 1))[:, None]
    states[:, _ANGLES] = start[_ANGLES] + early * (end - start)[_ANGLES]
    states[:, _ROTATION] = _turn(start[_ROTATION], end[_ROTATION], share[:, 0])
    return states


def _turn(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Quaternions (n, 4) on the shortest turn from one (4,) to another."""
    cosine = float(start @ end)
    if cosine < 0:
        end, cosine = -end, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-4:
        return np.repeat(end[None], len(share), axis=0)
    weights = np.stack([np.sin((1 - share) * angle), np.sin(share * angle)], axis=1) / np.sin(angle)
    return weights @ np.stack([start, end])


def _unroll(states: np.ndarray) -> np.ndarray:
    """States whose quaternions do not flip their sign from frame to frame."""
    rotation = states[:, _ROTATION]
    flips = np.where(np.einsum("ti,ti->t", rotation[1:], rotation[:-1]) < 0, -1.0, 1.0)
    states[1:, _ROTATION] *= np.cumprod(flips)[:, None]
    return states


def _blur(states: np.ndarray, sigma: float) -> np.ndarray:
    """States (T, 24) smoothed over time by a Gaussian of `sigma` frames."""
    if sigma <= 0:
        return states
    reach = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(states, ((reach, reach), (0, 0)), mode="edge")
    return np.tensordot(kernel, np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=0), axes=(0, 2))


def _arm(states: np.ndarray) -> Arm:
    rotation = states[:, _ROTATION]
    return Arm(
        place=states[:, _PLACE],
        touching=states[:, _TOUCHING],
        rotation=rotation / np.linalg.norm(rotation, axis=1, keepdims=True),
        angles=np.clip(states[:, _ANGLES], ANGLE_LIMITS[:, 0], ANGLE_LIMITS[:, 1]),
    )


def _wander(length: int, fps: float, seconds: float, rng: np.random.Generator, width: int) -> np.ndarray:
    """A smooth random path of unit variance or less, (length, width)."""
    knots = rng.standard_normal((int(length / (fps * seconds)) + 4, width))
    time = np.arange(length) / (fps * seconds) + 1
    lower = np.floor(time).astype(int)
    share = minimum_jerk(time - lower)[:, None]
    return knots[lower] * (1 - share) + knots[lower + 1] * share


def _expression(
    signs: Sequence[Sign],
    spans: Sequence[tuple[int, int]],
    length: int,
    signer: Signer,
    fps: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Blend weights of the face, (T, 5): the signs' mouths and brows, and blinks."""
    weights = np.zeros((length, len(EXPRESSIONS)))
    for sign, (start, end) in zip(signs, spans, strict=True):
        shown = signer.expressiveness * np.exp(0.15 * rng.standard_normal())
        weights[start:end, :3] = np.array(MOUTHS[sign.mouth]) * shown
        weights[start:end, 3] = BROWS[sign.brow] * shown
    frames = np.arange(length)
    weights = _blur(weights, 0.06 * fps)
    for moment in np.cumsum(rng.exponential(2.5, size=2 + int(length / fps))) * fps:
        weights[:, 4] += np.exp(-(((frames - moment) / (0.07 * fps)) ** 2))
    return np.clip(weights, (0, 0, 0, -1.3, 0), 1.3)
