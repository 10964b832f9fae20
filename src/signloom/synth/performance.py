"""A sentence in time: strokes of the signs, minimum-jerk transitions between them, and resting or waiting hands.

Shapes: T frames. `stroke` describes the states of an arm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from signloom.synth.body import Motion
from signloom.synth.contact import Contact
from signloom.synth.dials import Dials
from signloom.synth.face import EXPRESSIONS
from signloom.synth.idling import AT_ENDS, BETWEEN, idle_states
from signloom.synth.movements import minimum_jerk
from signloom.synth.signer import Signer
from signloom.synth.signs import BROWS, HEADS, LOCATIONS, MOUTHS, Sign
from signloom.synth.stroke import (
    ANGLES,
    PLACE,
    ROTATION,
    SKIN,
    SentenceContext,
    as_arm,
    raised_states,
    rest_states,
    stroke,
    unroll,
)
from signloom.synth.variants import signs_as_signed

# Shortest transition between two strokes at tempo 1.
_WAY_SECONDS = 0.1
# What each metre adds to it: a transition of half a metre peaks near 3 m/s.
_WAY_SECONDS_PER_METRE = 0.38
# How far a transition bows towards the camera, per metre of height.
_SWING = 0.12
# Range of the time at rest before and after a sentence.
_IDLE_SECONDS = (0.16, 0.4)
# The same for hands that wait between two sentences of one text, where the clip is cut.
_WAIT_SECONDS = (0.0, 0.16)
# Blur of all controls at coarticulation 1: strokes are cut short towards their neighbours.
_BLUR_SECONDS = 0.03
# The most that the way from or to rest is slowed down by, at slow leads 1.
_SLOWEST = 3.0
# Effects of coarticulation 1, as shares. A sign's place moves towards its neighbours':
_DRAWN = 0.05
# The fingers take the next sign's shape at the end of a sign:
_READY = 0.25
# The fingers still have the last sign's shape at the beginning:
_LEFT_OVER = 0.12
# The weak hand rises for the next sign:
_LIFTED = 0.25
# The weak hand of a two-handed sign moves less:
_WEAKENED = 0.3
# Probability, at weak hand 1, that a two-handed sign is made with one hand.
_DROPPED = 0.06
# Time between the random positions of the tremor.
_TREMOR_SECONDS = 0.11
# Size of the sway of the body.
_SWAY_METRES = 0.01


@dataclass(frozen=True)
class Performance:
    """A sentence as it was signed.

    motion: of the body, with the right arm as the strong one (left-handed signers are mirrored later).
    strokes: for each sign, the frames [start, end) in which its parameters are shown.
    boundaries: for each sign, [start, end) with its half of the transitions to its neighbours. They follow one another
    without gaps; idling, and resting or waiting hands that are not glossed, stay outside.
    dialect: positions of the signs made in dialect.
    idle: the frames [start, end) in which the signer idles, see the dial `idling`.
    """

    motion: Motion
    strokes: tuple[tuple[int, int], ...]
    boundaries: tuple[tuple[int, int], ...]
    dialect: tuple[int, ...]
    idle: tuple[tuple[int, int], ...] = ()


def perform(
    signs: Sequence[Sign],
    signer: Signer,
    *,
    fps: float,
    dials: Dials,
    rng: np.random.Generator,
    rest_glossed: bool = False,
) -> Performance:
    """Returns the motion of one sentence, with the signer's own forms of the signs.

    rest_glossed: whether the corpus has glosses for hands at rest. If so, a sentence that begins or ends without one is
    cut from a longer text and the hands are raised there. Otherwise, the hands rise from rest and sink again in every
    sentence.
    """
    signs, in_dialect = signs_as_signed(signs, signer)
    tempo = float(signer.tempo * np.exp(0.06 * rng.standard_normal()))
    rest = rest_states(signer, rng)
    context = SentenceContext(signer, fps / tempo, tempo, dials.token_variation, dials.coarticulation, rest)
    strokes: list[np.ndarray] = []
    for sign in signs:
        idle_hand = _idle_hand(rest[1], strokes[-1][1, -1] if strokes else rest[1], signer, dials.weak_hand, rng)
        strokes.append(stroke(sign, context, idle_hand, rng))
        _weaken(sign, strokes[-1][1], idle_hand, dials, rng)
    _blend(signs, strokes, dials.coarticulation)
    # The states of both arms (2, n, 26), one piece after another.
    pieces: list[np.ndarray] = []
    spans: list[tuple[int, int]] = []
    # The frames of the transition to each sign, and of that from it.
    ways: list[list[int]] = [[], []]
    idle_spans: list[tuple[int, int]] = []

    def idle(hands: np.ndarray, seconds: tuple[float, float]) -> None:
        pieces.append(np.repeat(hands[:, None], max(1, round(rng.uniform(*seconds) * fps)), axis=1))

    def go_to(hands: np.ndarray, slowness: float = 1.0) -> int:
        """Adds the way to a state; returns its frames, as they are without slowness: the rest belongs to no gloss."""
        bend, haste = 0.08 * rng.standard_normal(3), np.exp(0.1 * rng.standard_normal())
        if not pieces:
            return 0
        now = pieces[-1][:, -1]
        distance = max(float(np.linalg.norm((a - b)[PLACE])) for a, b in zip(now, hands, strict=True))
        seconds = (_WAY_SECONDS + _WAY_SECONDS_PER_METRE * distance) / tempo * haste
        usual = max(1, round(seconds * fps))
        count = max(1, round(seconds * slowness * fps))
        early = 1 + 0.25 * dials.coarticulation
        bends = distance * bend, 0.5 * distance * bend
        ends = zip(now, hands, bends, strict=True)
        pieces.append(np.stack([_way(start, end, count, bow, early) for start, end, bow in ends]))
        return usual

    def frames_so_far() -> int:
        return sum(piece.shape[1] for piece in pieces)

    def may_idle(probability: float) -> int | None:
        if idling is None or idling.random() >= probability * dials.idling:
            return None
        states = idle_states(rest, signer, fps, idling)
        way = go_to(states[:, 0])
        start = frames_so_far()
        idle_spans.append((start, start + states.shape[1]))
        pieces.append(states)
        return way

    before = after = rest
    seconds = _IDLE_SECONDS
    if rest_glossed:
        # Separate random numbers: the signs stay the same as in a corpus without such glosses.
        own = rng.spawn(1)[0]
        before, after = (raised_states(rest, signer, own) for _ in range(2))
        seconds = _WAIT_SECONDS
    # Separate random numbers, drawn for these dials alone: at 0 they change nothing.
    idling = rng.spawn(1)[0] if dials.idling else None
    slowness = np.ones(2)
    if dials.slow_leads and not rest_glossed:
        slowness += dials.slow_leads * rng.spawn(1)[0].exponential(size=2).clip(max=_SLOWEST)
    may_idle(AT_ENDS)
    # A rest sign takes the place of the rest at its end of the sentence.
    if signs[0].kind != "rest":
        if idle_spans:
            go_to(before)
        idle(before, seconds)
    for number, states in enumerate(strokes):
        way_out = may_idle(BETWEEN) if number else None
        rises = number == 0 and signs[0].kind != "rest"
        ways[0].append(go_to(states[:, 0], slowness[0] if rises else 1.0))
        if number:
            ways[1].append(ways[0][-1] if way_out is None else way_out)
        start = frames_so_far()
        spans.append((start, start + states.shape[1]))
        pieces.append(states)
    if signs[-1].kind != "rest":
        ways[1].append(go_to(after, slowness[1]))
        idle(after, seconds)
    else:
        ways[1].append(0)
    may_idle(AT_ENDS)

    sigma = _BLUR_SECONDS * dials.coarticulation * signer.smoothness * fps
    both = np.concatenate(pieces, axis=1)
    length = both.shape[1]
    tracks = [_blur(unroll(side), sigma) for side in both]
    tremor = signer.unsteadiness * _wander(length, fps, _TREMOR_SECONDS, rng, 6)
    for track, shake in zip(tracks, (tremor[:, :3], tremor[:, 3:]), strict=True):
        track[:, PLACE] += shake
    arms = [
        replace(as_arm(track), contacts=_contacts(signs, spans, track, weak=weak))
        for track, weak in zip(tracks, (False, True), strict=True)
    ]
    motion = Motion(
        right=arms[0],
        left=arms[1],
        expression=_expression(signs, spans, length, signer, fps, rng),
        head=signer.carriage
        + _head(signs, spans, length, signer, fps)
        + _wander(length, fps, 0.8, rng, 3) * (3.0, 2.5, 2.0),
        sway=_SWAY_METRES * _wander(length, fps, 0.8, rng, 3),
        lean=signer.lean,
        fps=fps,
    )
    return Performance(motion, tuple(spans), _boundaries(spans, *ways), in_dialect, tuple(idle_spans))


def _contacts(
    signs: Sequence[Sign], spans: Sequence[tuple[int, int]], states: np.ndarray, *, weak: bool
) -> tuple[Contact, ...]:
    """Returns the contacts of the strong or the weak hand with states (T, 26); a weak hand that drops out of a sign has
    none."""
    return tuple(
        Contact(start, end, LOCATIONS[sign.location].anchor)
        for sign, (start, end) in zip(signs, spans, strict=True)
        if sign.contact and (not weak or (sign.symmetric and states[start:end, SKIN].max() > 0.4))
    )


def _boundaries(
    spans: Sequence[tuple[int, int]], ways_in: Sequence[int], ways_out: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Returns the span of each sign with its half of the transitions to and from it."""
    return tuple(
        (start - way_in + way_in // 2, end + way_out // 2)
        for (start, end), way_in, way_out in zip(spans, ways_in, ways_out, strict=True)
    )


def _idle_hand(
    rest: np.ndarray, last: np.ndarray, signer: Signer, weak_hand: float, rng: np.random.Generator
) -> np.ndarray:
    """Returns where the weak hand waits during a one-handed sign, (26,): at rest, or lax and lower near its last
    place."""
    holds, share, slip = rng.random(), rng.uniform(0.0, 0.7), rng.standard_normal(3)
    if holds >= min(weak_hand * signer.holding, 0.95):
        state = rest.copy()
        state[PLACE] += 0.012 * slip
        return state
    state = last + share * (rest - last)
    state[ROTATION] = _turn(last[ROTATION], rest[ROTATION], np.array([share]))[0]
    state[PLACE] += 0.02 * slip + (0, 0.03, 0)
    return state


def _weaken(sign: Sign, weak: np.ndarray, idle_hand: np.ndarray, dials: Dials, rng: np.random.Generator) -> None:
    """Lets the weak arm (n, 26) of a sign sometimes move less than the strong one, or not at all, in place."""
    drops, share = rng.random(2)
    droppable = sign.kind == "both" or (sign.kind == "base" and not sign.contact)
    if droppable and drops < min(_DROPPED * dials.weak_hand, 0.5):
        weak[:] = idle_hand
    elif sign.kind == "both":
        less = min(_WEAKENED * dials.coarticulation * share, 0.9)
        middle = weak[:, PLACE].mean(axis=0)
        weak[:, PLACE] = middle + (1 - less) * (weak[:, PLACE] - middle) + (0, 0.04 * less, 0)


def _blend(signs: Sequence[Sign], strokes: list[np.ndarray], coarticulation: float) -> None:
    """Lets neighbouring strokes influence each other, in place."""
    middles = [[states[:, PLACE].mean(axis=0) for states in both] for both in strokes]
    fingers = [(strong[0, ANGLES].copy(), strong[-1, ANGLES].copy()) for strong, _ in strokes]
    for number, (sign, (strong, weak)) in enumerate(zip(signs, strokes, strict=True)):
        if sign.kind == "rest":
            continue
        time = np.linspace(0, 1, len(strong))[:, None]
        end, start = minimum_jerk(np.clip(time - 0.6, 0, 0.4) / 0.4), minimum_jerk(np.clip(0.4 - time, 0, 0.4) / 0.4)
        others = [other for other in (number - 1, number + 1) if 0 <= other < len(signs)]
        for side, states in enumerate((strong, weak)):
            if sign.kind == "base" or (side == 1 and sign.kind == "one"):
                continue
            for other in others:
                step = middles[other][side] - middles[number][side]
                # Each of two neighbours pulls half as much, and less if the hand must reach what it touches.
                states[:, PLACE] += 0.5 * _DRAWN * coarticulation * (0.5 if sign.contact else 1.0) * step
        if number + 1 < len(signs):
            strong[:, ANGLES] += min(_READY * coarticulation, 0.8) * end * (fingers[number + 1][0] - strong[:, ANGLES])
            if sign.kind == "one" and (signs[number + 1].symmetric or signs[number + 1].kind == "base"):
                way = strokes[number + 1][1][0, PLACE] - weak[:, PLACE]
                weak[:, PLACE] += min(_LIFTED * coarticulation, 0.8) * end * way
        if number > 0:
            strong[:, ANGLES] += (
                min(_LEFT_OVER * coarticulation, 0.6) * start * (fingers[number - 1][1] - strong[:, ANGLES])
            )


def _way(start: np.ndarray, end: np.ndarray, count: int, bend: np.ndarray, early: float) -> np.ndarray:
    """Returns states (count, 26) between two states, without them.

    bend: (3,) bows the path.  early: the fingers are ready this many times as fast as the hand arrives.
    """
    time = np.arange(1, count + 1) / (count + 1)
    share = minimum_jerk(time)[:, None]
    states = start + share * (end - start)
    # A hand that moves up or down swings out in front of the shoulder.
    bow = bend - np.array((0, 0, _SWING)) * abs(end[PLACE][1] - start[PLACE][1])
    states[:, PLACE] += 4 * share * (1 - share) * bow
    ready = minimum_jerk(np.minimum(early * time, 1))[:, None]
    states[:, ANGLES] = start[ANGLES] + ready * (end - start)[ANGLES]
    states[:, ROTATION] = _turn(start[ROTATION], end[ROTATION], share[:, 0])
    return states


def _turn(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Returns quaternions (n, 4) on the shortest rotation from one (4,) to another."""
    cosine = float(start @ end)
    if cosine < 0:
        end, cosine = -end, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-4:
        return np.repeat(end[None], len(share), axis=0)
    weights = np.stack([np.sin((1 - share) * angle), np.sin(share * angle)], axis=1) / np.sin(angle)
    return weights @ np.stack([start, end])


def _blur(states: np.ndarray, sigma: float) -> np.ndarray:
    """Returns states (T, 26) smoothed over time with a Gaussian of `sigma` frames."""
    if sigma <= 0:
        return states
    reach = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(states, ((reach, reach), (0, 0)), mode="edge")
    return np.tensordot(kernel, np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=0), axes=(0, 2))


def _wander(length: int, fps: float, seconds: float, rng: np.random.Generator, width: int) -> np.ndarray:
    """Returns a smooth random path of variance 1 or less, (length, width)."""
    knots = rng.standard_normal((int(length / (fps * seconds)) + 4, width))
    time = np.arange(length) / (fps * seconds) + 1
    lower = np.floor(time).astype(int)
    share = minimum_jerk(time - lower)[:, None]
    return knots[lower] * (1 - share) + knots[lower + 1] * share


def _head(
    signs: Sequence[Sign], spans: Sequence[tuple[int, int]], length: int, signer: Signer, fps: float
) -> np.ndarray:
    """Returns how the head turns, nods and tilts with the signs, (T, 3) degrees."""
    head = np.zeros((length, 3))
    for sign, (start, end) in zip(signs, spans, strict=True):
        degrees, times = HEADS[sign.head]
        share = (np.arange(start, end) - start + 0.5) / (end - start)
        wave = np.sin(np.pi * share) if times == 0 else np.sin(2 * np.pi * times * share / 2)
        head[start:end] += wave[:, None] * np.array(degrees) * signer.expressiveness
    return _blur(head, 0.05 * fps)


def _expression(
    signs: Sequence[Sign],
    spans: Sequence[tuple[int, int]],
    length: int,
    signer: Signer,
    fps: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns blend weights of the face, (T, 5): the mouths and brows of the signs, and blinks."""
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
