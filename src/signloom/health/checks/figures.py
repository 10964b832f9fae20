"""Measurements of a corpus: every landmark file is read and measured once; checks judge the figures.

Shapes: T frames. Lengths are in units of image height unless they say shoulder widths.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from signloom import layout
from signloom.corpus import Corpus, Utterance
from signloom.errors import InputError
from signloom.landmarks import Landmarks

HANDS = ("left_hand", "right_hand")
# Hands closer than this, in shoulder widths, may touch: their positions do not show which is which.
HANDS_APART = 0.3
# Nobody signs faster than this, in shoulder widths (about 0.36 m) per second: it is 11 m/s, and the wrist peaks at 2 to
# 4 m/s in fast signing.
FASTEST = 30.0
# Fewer frames of a body part show little about the variation of its bones.
FEWEST_FRAMES = 12
# Statistics of the face use every ninth of its 468 points.
FACE_STEP = 9


@dataclass(frozen=True)
class Spread:
    """The known points of a body part: count, sum and sum of squares by axis `(3,)`, least and greatest coordinate."""

    count: int
    total: np.ndarray
    square: np.ndarray
    low: float
    high: float


@dataclass(frozen=True)
class ClipFigures:
    """Measurements of one clip.

    fps, assumed: from the landmark file.  content: a digest of the landmarks.  missing: by body part, the share of
    frames without it.  without_hands: share of frames without either hand.  zeros: share of known points exactly at
    (0, 0, 0).  repeated: share of frames that repeat the frame before, to the last bit.  longest_seconds: the longest
    stretch of them.  swaps: frames in which the hands swapped places.  jumps: frames in which a hand moved faster than
    FASTEST.  hand_bones: variation of the length of a bone of the hand over the clip, (90th - 10th percentile) /
    median, the median over bones.  eyes: the same for the distance of the eyes in the image; both NaN if seldom seen.
    standardised: share of the coordinates with mean 0 and deviation 1 over the clip.  shoulders: mean width.  spreads:
    by body part.
    """

    utterance: Utterance
    fps: float
    assumed: tuple[str, ...]
    content: str
    missing: Mapping[str, float]
    without_hands: float
    zeros: float
    repeated: float
    longest_seconds: float
    swaps: int
    jumps: int
    hand_bones: float
    eyes: float
    standardised: float
    shoulders: float
    spreads: Mapping[str, Spread]


@dataclass(frozen=True)
class CorpusFigures:
    """Measurements of a corpus.

    unreadable: for each file that cannot be read, the reason.  unalignable: by split, the reasons why CTC cannot align
    utterances at the stride of `model`.
    """

    corpus: Corpus
    clips: tuple[ClipFigures, ...]
    unreadable: tuple[str, ...]
    unalignable: Mapping[str, tuple[str, ...]]
    model: str


def measure_corpus(
    corpus: Corpus,
    *,
    unalignable: Callable[[Utterance], str | None],
    model: str,
    on_clip: Callable[[], None] = lambda: None,
) -> CorpusFigures:
    """Returns the measurements of a corpus; reads each file once.

    unalignable: returns the reason why CTC cannot align an utterance, empty if it can.  model: the model that
    `unalignable` is about, in words.  on_clip: called after each clip.
    """
    clips, unreadable = [], []
    faults: dict[str, list[str]] = {}
    for utterance in corpus:
        try:
            clips.append(measure_clip(utterance, corpus.load(utterance)))
        except InputError as error:
            unreadable.append(f"{utterance.id}: {error}")
        if fault := unalignable(utterance):
            faults.setdefault(utterance.split, []).append(fault)
        on_clip()
    by_split = {split: tuple(reasons) for split, reasons in faults.items()}
    return CorpusFigures(corpus, tuple(clips), tuple(unreadable), by_split, model)


def measure_clip(utterance: Utterance, landmarks: Landmarks) -> ClipFigures:
    """Returns the measurements of one clip, in a few milliseconds."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # The mean of a part that was never seen is NaN, as it should be.
        warnings.simplefilter("ignore", RuntimeWarning)
        return _measure(utterance, landmarks)


def _measure(utterance: Utterance, landmarks: Landmarks) -> ClipFigures:
    points = landmarks.points
    present = {name: landmarks.present(name) for name in layout.GROUPS}
    body = points[:, : layout.GROUPS["face"].start]
    known = np.isfinite(body[..., 0])
    # In files of relative points a root, as the wrist, may lie at the origin; a whole body part does not.
    zeros = (body == 0).all(-1)
    same = (body.view(np.int32)[1:] == body.view(np.int32)[:-1]).all((1, 2)) & known[1:].any(1)
    left, right = (points[:, layout.index(f"pose.{side}_shoulder"), :2] for side in ("left", "right"))
    shoulders = float(np.nanmean(np.linalg.norm(left - right, axis=1)))
    swaps, jumps = _motion(points, shoulders, landmarks.fps)
    return ClipFigures(
        utterance=utterance,
        fps=landmarks.fps,
        assumed=landmarks.assumed,
        content=hashlib.blake2b(points.astype(np.float16).tobytes(), digest_size=16).hexdigest(),
        missing={name: float(1 - seen.mean()) for name, seen in present.items()},
        without_hands=float(1 - (present["left_hand"] | present["right_hand"]).mean()),
        zeros=float(zeros.sum() / max(1, known.sum())),
        repeated=float(same.mean()) if len(same) else 0.0,
        longest_seconds=_longest(same) / landmarks.fps,
        swaps=swaps,
        jumps=jumps,
        hand_bones=_hand_bones(points, present),
        eyes=_eyes(points),
        standardised=_standardised(body),
        shoulders=shoulders,
        spreads={name: _spread(points[:, part]) for name, part in layout.GROUPS.items()},
    )


def _longest(flags: np.ndarray) -> int:
    """Returns the length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _motion(points: np.ndarray, shoulders: float, fps: float) -> tuple[int, int]:
    """Returns how often the hands swapped places from one frame to the next, and how often one jumped otherwise."""
    scale = shoulders if math.isfinite(shoulders) and shoulders > 0 else 1.0
    left, right = (points[:, layout.GROUPS[name], :2].mean(1) / scale for name in HANDS)

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.norm(a - b, axis=-1))

    stay = [distance(hand[1:], hand[:-1]) for hand in (left, right)]
    crossed = distance(left[1:], right[:-1]) + distance(right[1:], left[:-1])
    apart = np.minimum(distance(left, right)[1:], distance(left, right)[:-1]) > HANDS_APART
    # Comparisons with a missing hand are false.
    swapped = apart & (crossed < 0.5 * (stay[0] + stay[1]))
    jumped = (stay[0] * fps > FASTEST) | (stay[1] * fps > FASTEST)
    return int(swapped.sum()), int((jumped & ~swapped).sum())


def _variation(lengths: np.ndarray) -> np.ndarray:
    """Returns (90th - 10th percentile) / median over the frames of `(T, N)`, `(N,)`."""
    low, middle, high = np.percentile(lengths, [10, 50, 90], axis=0)
    return np.asarray((high - low) / middle)


def _hand_bones(points: np.ndarray, present: Mapping[str, np.ndarray]) -> float:
    name = max(HANDS, key=lambda hand: present[hand].sum())
    hand = points[:, layout.GROUPS[name]][present[name]]
    if len(hand) < FEWEST_FRAMES:
        return math.nan
    first, second = np.array(layout.HAND_BONES).T
    return float(np.median(_variation(np.linalg.norm(hand[:, first] - hand[:, second], axis=-1))))


def _eyes(points: np.ndarray) -> float:
    left, right = (points[:, layout.index(f"pose.{side}_eye"), :2] for side in ("left", "right"))
    lengths = np.linalg.norm(left - right, axis=-1)
    lengths = lengths[np.isfinite(lengths)]
    return float(_variation(lengths[:, None])[0]) if len(lengths) >= FEWEST_FRAMES else math.nan


def _standardised(body: np.ndarray) -> float:
    mean, deviation = np.nanmean(body, 0), np.nanstd(body, 0)
    known = np.isfinite(mean)
    # Half precision stores both with an error of a thousandth.
    hit = (np.abs(mean) < 0.01) & (np.abs(deviation - 1) < 0.01)
    return float(hit.sum() / max(1, known.sum()))


def _spread(part: np.ndarray) -> Spread:
    values = (part[:, ::FACE_STEP] if part.shape[1] == layout.NUM_FACE_POINTS else part).reshape(-1, 3)
    values = values[np.isfinite(values[:, 0])].astype(np.float64)
    low, high = (float(np.nanmin(values)), float(np.nanmax(values))) if len(values) else (math.nan, math.nan)
    return Spread(len(values), np.nansum(values, 0), np.nansum(values**2, 0), low, high)
