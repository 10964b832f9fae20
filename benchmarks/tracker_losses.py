"""Lost, doubled and swapped hands and jumping wrists, measured on landmarks alone.

A hand counts as lost only where its pose wrist says that it ought to be seen; see `tracker_statistics.Hand.in_view`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from tracker_statistics import Hand, hands_of

from signloom.landmarks import Landmarks

# What a hazard is tabled by, with the edges of its bins: the wrist's speed in image heights a second, and in shoulder
# widths its distance from the other wrist, from the nose and from the nearest edge of the picture.
COVARIATES: dict[str, tuple[float, ...]] = {
    "speed": (0, 0.1, 0.3, 0.6, 1.2, np.inf),
    "to other hand": (0, 0.25, 0.5, 1.0, np.inf),
    "to nose": (0, 0.35, 0.6, 1.0, np.inf),
    "to edge": (0, 0.25, 0.5, 1.0, np.inf),
}
# A wrist has jumped when it is this many shoulder widths farther from the hand's root than is usual in the clip.
JUMP = 0.25
# Two hands are one hand found twice when their points lie this close, in hand lengths.
DOUBLE = 0.25


@dataclass(frozen=True)
class Losses:
    """share: of frames in view in which the hand is lost.  begins: losses begun per second of a hand in view and found.

    mean_seconds: of a gap, seconds lost in view over gaps that end in view.
    lengths: of the gaps that begin and end in view, in frames.
    hazard: for each covariate and bin (losses per second, seconds at risk).
    never: share of the hands in view that are not found in any frame of a clip.
    """

    share: float
    begins: float
    mean_seconds: float
    lengths: np.ndarray
    hazard: dict[str, list[tuple[float, float]]]
    never: float


def losses(clips: Sequence[Landmarks]) -> Losses:
    frames = lost = begun = 0
    seconds_found = seconds_lost = 0.0
    ended = 0
    lengths: list[int] = []
    never = in_view_clips = 0
    counts = {name: np.zeros((2, len(edges) - 1)) for name, edges in COVARIATES.items()}
    for hand in hands_of(clips):
        view, there = hand.in_view(), hand.present
        frames += int(view.sum())
        lost += int((view & ~there).sum())
        if view.mean() > 0.8:
            in_view_clips += 1
            never += int(not there.any())
        pair = view[:-1] & view[1:]
        at_risk = pair & there[:-1]
        falls = at_risk & ~there[1:]
        begun += int(falls.sum())
        seconds_found += at_risk.sum() / hand.fps
        missing = pair & ~there[:-1]
        # A hand that is never found in a clip is no gap.
        if there.any():
            seconds_lost += missing.sum() / hand.fps
            ended += int((missing & there[1:]).sum())
            lengths += _gaps(there, view)
        for name, values in covariates(hand).items():
            edges = COVARIATES[name]
            counts[name][0] += np.histogram(values[:-1][falls], edges)[0]
            counts[name][1] += np.histogram(values[:-1][at_risk], edges)[0] / hand.fps
    return Losses(
        share=lost / max(frames, 1),
        begins=begun / max(seconds_found, 1e-9),
        mean_seconds=seconds_lost / max(ended, 1),
        lengths=np.array(lengths, dtype=int),
        hazard={
            name: [(float(c / s) if s > 0 else float("nan"), float(s)) for c, s in zip(*table, strict=True)]
            for name, table in counts.items()
        },
        never=never / max(in_view_clips, 1),
    )


def covariates(hand: Hand) -> dict[str, np.ndarray]:
    """What a loss may depend on, each (T,); see `COVARIATES`."""
    return {
        "speed": hand.speed(),
        "to other hand": np.linalg.norm(hand.wrist - hand.other, axis=1) / hand.shoulders,
        "to nose": np.linalg.norm(hand.wrist - hand.nose, axis=1) / hand.shoulders,
        "to edge": np.maximum(hand.inside(), 0) / hand.shoulders,
    }


def _gaps(there: np.ndarray, view: np.ndarray) -> list[int]:
    """Lengths of the gaps with the hand found before and after, in view all the time."""
    edges = np.flatnonzero(np.diff(there.astype(np.int8)))
    found = []
    for first, last in pairwise(edges):
        if there[first] and view[first : last + 2].all():
            found.append(int(last - first))
    return found


def wrists(clips: Sequence[Landmarks]) -> dict[str, float]:
    """How far a pose wrist is from the hand's root, in shoulder widths, and how it trails behind.

    `lag`: seconds by which it is behind the hand's root, fitted on frames that move.  `jumps`: a second, and their
    mean length in seconds.
    """
    away, product, square = [], 0.0, 0.0
    begun = seconds = long = 0.0
    for hand in hands_of(clips):
        good = hand.in_view() & hand.present
        if good.sum() < 8:
            continue
        offset = (hand.wrist - hand.points[:, 0, :2]) / hand.shoulders
        distance = np.linalg.norm(offset, axis=1)
        away.append(distance[good])
        far = np.zeros(len(good), dtype=bool)
        far[good] = distance[good] > np.median(distance[good]) + JUMP
        begun += float((far[1:] & ~far[:-1] & good[:-1]).sum())
        long += float(far.sum() / hand.fps)
        seconds += float(good.sum() / hand.fps)
        velocity = np.gradient(hand.points[:, 0, :2] / hand.shoulders, axis=0) * hand.fps
        move = good & np.isfinite(velocity).all(axis=1) & ~far
        centred = offset[move] - offset[move].mean(axis=0)
        speed = velocity[move] - velocity[move].mean(axis=0)
        product += float((centred * speed).sum())
        square += float((speed**2).sum())
    everything = np.concatenate(away)
    return {
        "distance, median": float(np.median(everything)),
        "distance, 95 %": float(np.quantile(everything, 0.95)),
        "lag, s": -product / square,
        "jumps per second": begun / seconds,
        "seconds a jump": long / max(begun, 1),
    }


def confusions(clips: Sequence[Landmarks]) -> dict[str, float]:
    """Frames with both hands found: share in which they are one hand found twice, share in which each is at the other's
    wrist; and how often such a swap begins, per second with both."""
    both = doubled = swapped = begun = close = 0
    seconds = 0.0
    everything = list(hands_of(clips))
    for left, right in zip(everything[::2], everything[1::2], strict=True):
        there = left.present & right.present & left.in_view() & right.in_view()
        if not there.any():
            continue
        length = float(np.nanmean([left.length, right.length]))
        apart = np.linalg.norm(left.points[..., :2] - right.points[..., :2], axis=2).mean(axis=1)
        twice = there & (apart < DOUBLE * length)
        own = _distance(left, left.wrist) + _distance(right, right.wrist)
        crossed = _distance(left, right.wrist) + _distance(right, left.wrist)
        other = there & ~twice & (crossed < own - 0.5 * length)
        both += int(there.sum())
        doubled += int(twice.sum())
        swapped += int(other.sum())
        begun += int((other[1:] & ~other[:-1] & there[:-1]).sum())
        close += int((there & (np.linalg.norm(left.wrist - right.wrist, axis=1) < 0.3 * left.shoulders)).sum())
        seconds += float(there.sum() / left.fps)
    return {
        "frames with both hands": float(both),
        "of them close": close / max(both, 1),
        "one hand found twice": doubled / max(both, 1),
        "swapped": swapped / max(both, 1),
        "swaps per second": begun / max(seconds, 1e-9),
    }


def _distance(hand: Hand, wrist: np.ndarray) -> np.ndarray:
    return np.linalg.norm(hand.points[:, 0, :2] - wrist, axis=1)
