"""Measurements of a corpus: every landmark file is read and measured once; checks judge the figures.

Shapes: T frames. Lengths are in units of image height unless they say shoulder widths.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from signloom import anatomy, layout
from signloom.corpus import SPLITS, Corpus, Utterance, Utterances
from signloom.corpus.columns import Columns
from signloom.errors import InputError
from signloom.health.checks.motion import Motion, measure_motion
from signloom.landmarks import Landmarks

HANDS = ("left_hand", "right_hand")
# Hands closer than this, in shoulder widths, may touch: their positions do not show which is which.
HANDS_APART = 0.3
# Nobody signs faster than this, in shoulder widths (about 0.36 m) per second: it is 11 m/s, and the wrist peaks at 2 to
# 4 m/s in fast signing.
FASTEST = 30.0
# Statistics of the face use every ninth of its 468 points.
FACE_STEP = 9
# Frames of a hand that show whether it is held.
FEWEST_OF_A_HAND = 6
_HEAD_AND_SHOULDERS = layout.indices("pose.nose", "pose.left_shoulder", "pose.right_shoulder")
_SHOULDER = layout.index("pose.left_shoulder")
# Whether points are a person shows in the middle of a clip: this many frames, so that long clips take no longer.
BODY_FRAMES = 64


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

    fps, assumed: from the landmark file.  unread: frames of the video that could not be decoded.  content: a digest of
    pose and hands.  missing: by body part, the share of frames without it.  without_hands: share of frames without
    either hand.  zeros: share of known points exactly at (0, 0, 0).  filled: share of frames in which points of a body
    part all lie at one place, and that place, in fractions of the image.  repeated: share of frames that repeat the
    frame before, to the last bit.  longest_seconds: the longest stretch of them.  held: the same share of the frames of
    a hand, the greater one.  swaps: frames in which the hands
    swapped places.  jumps: frames in which a hand moved faster than FASTEST.  infinite: whether a visibility is
    infinite.  standardised: share of the coordinates with mean 0 and deviation 1 over the clip.  shoulders: mean width.
    across: the mean vector from the right to the left shoulder, (2,).  head_depth: of the nose behind the shoulders, in
    their widths.  body: whether the points are a person, from the middle BODY_FRAMES frames.  box: in every fourth of
    these, the deviation of the edge of the box around body and hands that moves most.  motion: how the clip moves.
    spreads: by body part.
    """

    utterance: Utterance
    fps: float
    assumed: tuple[str, ...]
    unread: int
    content: str
    missing: Mapping[str, float]
    without_hands: float
    zeros: float
    filled: tuple[float, tuple[float, float]]
    repeated: float
    held: float
    longest_seconds: float
    swaps: int
    jumps: int
    infinite: bool
    standardised: float
    shoulders: float
    across: np.ndarray
    head_depth: float
    body: anatomy.Measures
    box: float
    motion: Motion
    spreads: Mapping[str, Spread]

    @property
    def hand_bones(self) -> float:
        """The variation of the length of a bone of the hand, (90th - 10th percentile) / median, the median over bones;
        NaN if seldom seen."""
        return self.body.hand_bones

    @property
    def eyes(self) -> float:
        """The same for the distance of the eyes in the image."""
        return self.body.eyes


@dataclass(frozen=True)
class CorpusFigures:
    """Measurements of a corpus.

    clips: of all utterances, or of some.  unreadable: for each file that cannot be read, the reason.
    unalignable: by split, the reasons why CTC cannot align utterances at the stride of `model`.
    """

    corpus: Corpus
    clips: tuple[ClipFigures, ...]
    unreadable: tuple[str, ...]
    unalignable: Mapping[str, tuple[str, ...]]
    model: str

    @property
    def num_measured(self) -> int:
        """The number of landmark files that were read, or could not be."""
        return len(self.clips) + len(self.unreadable)

    @cached_property
    def splits(self) -> dict[str, Columns]:
        """The entries of the manifest, for each split that has any."""
        splits = {name: self.corpus.utterances.in_split(name) for name in SPLITS}
        return {name: utterances.columns for name, utterances in splits.items() if utterances}


def measure_corpus(
    corpus: Corpus,
    *,
    unalignable: Callable[[Utterances], Mapping[int, str]],
    model: str,
    utterances: Utterances | None = None,
    on_clip: Callable[[], None] = lambda: None,
) -> CorpusFigures:
    """Returns the measurements of a corpus; reads each file once.

    unalignable: returns the reasons why CTC cannot align utterances, by their places.  model: the model that
    `unalignable` is about, in words.  utterances: those whose files are read; all if None.  on_clip: called after each.
    """
    clips, unreadable = [], []
    for utterance in corpus.utterances if utterances is None else utterances:
        try:
            clips.append(measure_clip(utterance, corpus.load(utterance)))
        except InputError as error:
            unreadable.append(f"{utterance.id}: {error}")
        on_clip()
    faults: dict[str, list[str]] = {}
    for place, fault in unalignable(corpus.utterances).items():
        faults.setdefault(SPLITS[corpus.utterances.columns.splits[place]], []).append(fault)
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
    repeats = (body.view(np.int32)[1:] == body.view(np.int32)[:-1]).all(2)
    same = repeats.all(1) & known[1:].any(1)
    left, right = (points[:, layout.index(f"pose.{side}_shoulder"), :2] for side in ("left", "right"))
    across = (left - right)[np.isfinite(left[:, 0])]
    widths = np.hypot(across[:, 0], across[:, 1])
    shoulders = float(widths.mean()) if len(widths) else math.nan
    swaps, jumps = _motion(points, shoulders, landmarks.fps)
    middle = slice(max(0, (len(points) - BODY_FRAMES) // 2), (len(points) + BODY_FRAMES) // 2)
    aspect = landmarks.aspect if landmarks.image_size else None
    return ClipFigures(
        utterance=utterance,
        fps=landmarks.fps,
        assumed=landmarks.assumed,
        unread=_unread(landmarks),
        content=hashlib.blake2b(body.astype(np.float16, order="C").data, digest_size=16).hexdigest(),
        missing={name: float(1 - seen.mean()) for name, seen in present.items()},
        without_hands=float(1 - (present["left_hand"] | present["right_hand"]).mean()),
        zeros=float(zeros.sum() / max(1, known.sum())),
        filled=_filled(points, landmarks.aspect),
        repeated=float(same.mean()) if len(same) else 0.0,
        held=max(_held(repeats[:, layout.GROUPS[name]], present[name][1:]) for name in HANDS),
        longest_seconds=_longest(same) / landmarks.fps,
        swaps=swaps,
        jumps=jumps,
        infinite=bool(np.isinf(landmarks.visibility).any()),
        standardised=_standardised(body),
        shoulders=shoulders,
        across=across.mean(0) if len(across) else np.full(2, np.nan),
        head_depth=_head_depth(points) / shoulders,
        body=anatomy.measure(points[middle], landmarks.visibility[middle], aspect=aspect),
        box=_box(body[middle]),
        motion=measure_motion(
            points,
            present,
            fps=landmarks.fps,
            shoulders=float(np.median(widths)) if len(widths) else math.nan,
            num_glosses=len(utterance.glosses),
        ),
        spreads={name: _spread(points[:, part]) for name, part in layout.GROUPS.items()},
    )


def _box(body: np.ndarray) -> float:
    """Returns the deviation over the frames of the edge of the box around all points that moves most."""
    xy = body[::4, :, :2]
    edges = np.concatenate([np.fmin.reduce(xy, axis=1), np.fmax.reduce(xy, axis=1)], axis=1)
    edges = edges[np.isfinite(edges[:, 0])]
    return float(edges.std(0).max()) if len(edges) > 1 else math.nan


def _unread(landmarks: Landmarks) -> int:
    """Returns the number of frames that could not be decoded; 0 if the file does not say."""
    frames = landmarks.source.get("frames")
    count = frames.get("unread") if isinstance(frames, Mapping) else None
    return count if isinstance(count, int) else 0


def _held(repeats: np.ndarray, present: np.ndarray) -> float:
    count = int(present.sum())
    return float((repeats.all(1) & present).sum() / count) if count >= FEWEST_OF_A_HAND else 0.0


def _head_depth(points: np.ndarray) -> float:
    depth = points[:, _HEAD_AND_SHOULDERS, 2]
    depth = depth[np.isfinite(depth).all(1)]
    return float(np.median(depth[:, 0] - 0.5 * (depth[:, 1] + depth[:, 2]))) if len(depth) else math.nan


def _filled(points: np.ndarray, aspect: float) -> tuple[float, tuple[float, float]]:
    """Returns `filled`: a hand or face whose points all lie at one place, or neighbours of the pose that do."""
    flags = np.zeros(len(points), dtype=bool)
    place = (math.nan, math.nan)
    for name, part in layout.GROUPS.items():
        # Eyes, ears and mouth of a small or turned head may lie at one place.
        start, step = (_SHOULDER, 1) if name == "pose" else (part.start, FACE_STEP if name == "face" else 1)
        x, y = points[:, start : part.stop : step, 0], points[:, start : part.stop : step, 1]
        same = (x[:, 1:] == x[:, :-1]) & (y[:, 1:] == y[:, :-1])
        here = same.any(1) if name == "pose" else same.all(1)
        if here.any():
            frame = int(here.argmax())
            point = int(same[frame].argmax())
            place = (float(x[frame, point]) / aspect, float(y[frame, point]))
        flags |= here
    return float(flags.mean()), place


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


def _standardised(body: np.ndarray) -> float:
    seen = np.isfinite(body)
    counts, values = seen.sum(0), np.where(seen, body, 0)
    mean = values.sum(0) / counts
    # In place, because the values of a long clip take much memory.
    deviation = np.sqrt(np.square(values, out=values).sum(0) / counts - mean**2)
    # Half precision stores both with an error of a thousandth.
    hit = (np.abs(mean) < 0.01) & (np.abs(deviation - 1) < 0.01)
    return float(hit.sum() / max(1, (counts > 0).sum()))


def _spread(part: np.ndarray) -> Spread:
    values = (part[:, ::FACE_STEP] if part.shape[1] == layout.NUM_FACE_POINTS else part).reshape(-1, 3)
    known = np.isfinite(values[:, 0])
    if not known.all():
        values = values[known]
    if not len(values):
        return Spread(0, np.zeros(3), np.zeros(3), math.nan, math.nan)
    # Products of matrices are several times as fast as sums along an axis.
    total, square = np.ones(len(values), dtype=np.float32) @ values, np.diag(values.T @ values)
    return Spread(len(values), total, square, float(values.min()), float(values.max()))
