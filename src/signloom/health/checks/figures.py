"""What a corpus is like: every landmark file is read once and measured; nothing is judged here.

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
# Two hands nearer than this, in shoulder widths, may touch: which is which cannot be told by where they are.
APART = 0.3
# A hand this fast, in shoulder widths (about 0.36 m) a second, was not signed: 11 m/s, where the wrist in fast signing
# peaks at 2 to 4.
FASTEST = 30.0
# Fewer frames of a part say little about how its bones vary.
FEWEST_FRAMES = 12
# The statistics of a face need not all of its 468 points.
FACE_STEP = 9


@dataclass(frozen=True)
class Spread:
    """Count, sum and sum of squares of x, y and z over the known points of a part; least and greatest of all three."""

    count: int
    total: tuple[float, float, float]
    square: tuple[float, float, float]
    low: float
    high: float


@dataclass(frozen=True)
class ClipFigures:
    """One clip, measured.

    fps, assumed: of the landmark file.  content: a digest of the landmarks.  missing: by part, the share of frames
    without it.  without_hands: the share of frames without either hand.  zeros: share of known points exactly at
    (0, 0, 0).  repeated: share of frames the same as the frame before, to the last bit; longest_seconds: the longest
    stretch of them.  swaps: frames in which the hands took each other's place; jumps: in which a hand moved faster than
    FASTEST.  hand_bones: how much the length of a bone of the hand varies over the clip, (90th - 10th percentile) /
    median, the median over bones; eyes: the same of the distance of the eyes, in the image; both NaN where they were
    seldom seen.  standardised: share of the coordinates whose mean over the clip is 0 and whose deviation is 1.
    shoulders: mean width.  spreads: by part.
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
    """A corpus, measured.

    unreadable: why each file that could not be read could not.  unalignable: by split, why CTC cannot align an
    utterance at the stride of `model`.
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
    """The corpus measured, each file read once.

    unalignable: the reason why CTC cannot align an utterance, or None.  model: what `unalignable` is of, in words.
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
    by_split = {split: tuple(found) for split, found in faults.items()}
    return CorpusFigures(corpus, tuple(clips), tuple(unreadable), by_split, model)


def measure_clip(utterance: Utterance, landmarks: Landmarks) -> ClipFigures:
    """One clip measured, in a few milliseconds."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # Means of parts that were never seen are NaN, which is what they are.
        warnings.simplefilter("ignore", RuntimeWarning)
        return _measure(utterance, landmarks)


def _measure(utterance: Utterance, landmarks: Landmarks) -> ClipFigures:
    points = landmarks.points
    present = {name: landmarks.present(name) for name in layout.GROUPS}
    body = points[:, : layout.GROUPS["face"].start]
    known = np.isfinite(body[..., 0])
    # A root may lie at the origin by right, as a hand's wrist in a file of relative points does; a part does not.
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
        missing={name: float(1 - found.mean()) for name, found in present.items()},
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
    """The length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _motion(points: np.ndarray, shoulders: float, fps: float) -> tuple[int, int]:
    """How often the hands took each other's place from a frame to the next, and how often one jumped otherwise."""
    scale = shoulders if math.isfinite(shoulders) and shoulders > 0 else 1.0
    left, right = (points[:, layout.GROUPS[name], :2].mean(1) / scale for name in HANDS)

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.norm(a - b, axis=-1))

    stay = [distance(hand[1:], hand[:-1]) for hand in (left, right)]
    crossed = distance(left[1:], right[:-1]) + distance(right[1:], left[:-1])
    apart = np.minimum(distance(left, right)[1:], distance(left, right)[:-1]) > APART
    # Comparisons with a hand that is missing are false.
    swapped = apart & (crossed < 0.5 * (stay[0] + stay[1]))
    jumped = (stay[0] * fps > FASTEST) | (stay[1] * fps > FASTEST)
    return int(swapped.sum()), int((jumped & ~swapped).sum())


def _variation(lengths: np.ndarray) -> np.ndarray:
    """(90th - 10th percentile) / median over frames `(T, N)`, `(N,)`."""
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
    # Half precision keeps both to a thousandth.
    hit = (np.abs(mean) < 0.01) & (np.abs(deviation - 1) < 0.01)
    return float(hit.sum() / max(1, known.sum()))


def _spread(part: np.ndarray) -> Spread:
    values = (part[:, ::FACE_STEP] if part.shape[1] == layout.NUM_FACE_POINTS else part).reshape(-1, 3)
    values = values[np.isfinite(values[:, 0])].astype(np.float64)
    if not len(values):
        return Spread(0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), math.nan, math.nan)
    total, square = np.nansum(values, 0), np.nansum(values**2, 0)
    return Spread(
        len(values),
        (float(total[0]), float(total[1]), float(total[2])),
        (float(square[0]), float(square[1]), float(square[2])),
        float(np.nanmin(values)),
        float(np.nanmax(values)),
    )
