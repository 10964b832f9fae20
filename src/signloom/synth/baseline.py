"""Nearest neighbour on isolated signs, by dynamic time warping or by the mean pose: a baseline without learning.

It shows how hard a corpus is. Every sign of the test split is cut out at its true boundaries, compared with signs cut
out of the training split, and given the gloss of the nearest. So it knows more than a recogniser, which must also find
the signs, but it does not learn what matters.

Shapes: N signs, L frames (the same for all), F values per frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from signloom import layout
from signloom.corpus import Corpus, Utterance
from signloom.errors import InputError, plural
from signloom.landmarks import Landmarks, interpolate

# Every sign is resampled to this many frames; twice the usual 10 to 14 would cost four times the work without a
# benefit.
NUM_FRAMES = 16
# Half-width of the band around the diagonal (Sakoe and Chiba 1978), as a share of the length.
BAND = 0.25
# Joints of a hand without the one before each tip, which adds little to its neighbours.
_HAND_JOINTS = [joint for joint in range(layout.NUM_HAND_POINTS) if joint + 1 not in layout.FINGER_TIPS]
# Number of references per gloss and signer.
_REFERENCES_PER_SIGNER = 2
# The methods by name, with their names in a report.
METHODS = {"dtw": "DTW", "mean_pose": "mean pose"}


@dataclass(frozen=True)
class NeighbourResult:
    """Result of the baseline.

    method: a key of `METHODS`.
    num_queries, num_references: signs of the test and of the training split.  num_errors: queries with a wrong gloss.
    error_interval: 95 % bootstrap interval of the error rate over utterances.
    confusions: (reference gloss, predicted gloss, count), most frequent first.
    signers: error rate of each test signer.
    """

    method: str
    num_queries: int
    num_references: int
    num_errors: int
    error_interval: tuple[float, float]
    confusions: tuple[tuple[str, str, int], ...]
    signers: dict[str, float]

    @property
    def error_rate(self) -> float:
        return self.num_errors / self.num_queries

    def __str__(self) -> str:
        low, high = self.error_interval
        return (
            f"nearest neighbour by {METHODS[self.method]}: {self.error_rate:.1%} errors ({low:.1%} to {high:.1%}) on "
            f"{plural(self.num_queries, 'isolated sign')} against {self.num_references} of training"
        )


@dataclass(frozen=True)
class _IsolatedSign:
    """A sign to cut out of an utterance: frames [start, end)."""

    utterance: Utterance
    gloss: str
    start: int
    end: int


def nearest_neighbour(
    corpus: Corpus,
    *,
    method: str = "dtw",
    max_queries: int | None = 400,
    boundaries: str = "boundaries",
    seed: int = 0,
) -> NeighbourResult:
    """Returns the error of the nearest neighbour on the isolated signs of the test split.

    method: `dtw`, or `mean_pose`, the distance of the means over time.

    References are the first two signs of each gloss by each signer of the training split, in the order of the manifest.
    Queries are the signs of the test split, or `max_queries` of them drawn with `seed`.
    boundaries: name of the spans in the utterances' truth at which signs are cut.

    Raises InputError for another method, for a corpus whose utterances have no boundaries, and for one without either
    split.
    """
    if method not in METHODS:
        raise InputError(f"nearest neighbour: method {method!r}; needed one of {', '.join(METHODS)}")
    references, queries = _cuts(corpus, "train", boundaries), _cuts(corpus, "test", boundaries)
    references = _first_of_each(references, _REFERENCES_PER_SIGNER)
    if max_queries is not None and len(queries) > max_queries:
        chosen = np.random.default_rng(seed).choice(len(queries), size=max_queries, replace=False)
        queries = [queries[place] for place in np.sort(chosen)]
    views = _views(corpus, queries), _views(corpus, references)
    distances = dtw_distances(*views) if method == "dtw" else mean_pose_distances(*views)
    given = [references[place].gloss for place in distances.argmin(axis=1)]
    wrong = np.array([cut.gloss != gloss for cut, gloss in zip(queries, given, strict=True)])
    confusions = Counter((cut.gloss, gloss) for cut, gloss in zip(queries, given, strict=True) if cut.gloss != gloss)
    ordered = sorted(confusions.items(), key=lambda item: (-item[1], item[0]))
    by_signer: dict[str, list[bool]] = {}
    for cut, error in zip(queries, wrong, strict=True):
        by_signer.setdefault(str(cut.utterance.signer), []).append(bool(error))
    return NeighbourResult(
        method=method,
        num_queries=len(queries),
        num_references=len(references),
        num_errors=int(wrong.sum()),
        error_interval=_bootstrap(wrong, [cut.utterance.id for cut in queries], seed),
        confusions=tuple((truth, gloss, count) for (truth, gloss), count in ordered),
        signers={signer: float(np.mean(errors)) for signer, errors in sorted(by_signer.items())},
    )


def features(landmarks: Landmarks) -> np.ndarray:
    """Returns the features of a clip for the comparison, (T, F) float32: hands about their wrists, wrists and elbows
    about the body.

    The body's origin is the middle of the shoulders and its unit their mean distance in the clip. A missing hand is
    interpolated between the frames around it. If it is missing throughout, its shape is zero and its wrist is that of
    the pose, which the tracker guesses even then. Only x and y: z is noisy.
    """
    points = landmarks.points[..., :2].astype(np.float64)
    shoulders = points[:, layout.indices("pose.left_shoulder", "pose.right_shoulder")]
    root = np.nanmean(shoulders.mean(axis=1), axis=0) if np.isfinite(shoulders).any() else np.zeros(2)
    unit = (
        np.nanmean(np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1)) if np.isfinite(shoulders).any() else 1.0
    )
    unit = max(float(unit), 1e-3)
    parts = []
    for side in ("left", "right"):
        pose = _filled((points[:, layout.indices(f"pose.{side}_wrist", f"pose.{side}_elbow")] - root) / unit)
        hand = points[:, layout.GROUPS[f"{side}_hand"]][:, _HAND_JOINTS]
        # 0.55 shoulder widths is a hand's length, so shapes are in hand lengths.
        shape = _filled((hand - hand[:, :1]) / (0.55 * unit))[:, 1:]
        # The points of the shape together weigh as much as four points; wrist and elbow as two.
        parts += [pose.reshape(len(points), -1), shape.reshape(len(points), -1) / np.sqrt(shape.shape[1] / 4)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def dtw_distances(queries: np.ndarray, references: np.ndarray, *, band: float = BAND) -> np.ndarray:
    """Returns the warped distances of queries (N, L, F) to references (M, L, F), divided by the length of the path, (N,
    M) float32.

    Steps are diagonal (weight 2), across and up (weight 1), so every path has the weight 2 L: Sakoe and Chiba (1978),
    symmetric form.
    band: how far a path may leave the diagonal, as a share of L.
    """
    length = queries.shape[1]
    reach = max(1, round(band * length))
    result = np.empty((len(queries), len(references)), dtype=np.float32)
    squares = np.einsum("mlf,mlf->ml", references, references)
    flat = references.reshape(-1, references.shape[2]).T
    infinity = np.float32(np.inf)
    for number, query in enumerate(queries):
        cost = np.einsum("lf,lf->l", query, query)[:, None] - 2 * (query @ flat)
        cost = cost.reshape(length, len(references), length).transpose(0, 2, 1) + squares.T
        cost = np.sqrt(np.maximum(cost, 0))
        above = np.full((length + 1, len(references)), infinity, dtype=np.float32)
        above[0] = 0
        for row in range(length):
            now = np.full_like(above, infinity)
            for column in range(max(0, row - reach), min(length, row + reach + 1)):
                step = cost[row, column]
                best = np.minimum(above[column] + 2 * step, above[column + 1] + step)
                now[column + 1] = np.minimum(best, now[column] + step)
            above = now
        result[number] = above[length] / (2 * length)
    return result


def mean_pose_distances(queries: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Returns the distances between the means over time of queries (N, L, F) and references (M, L, F), (N, M)
    float32."""
    ours, theirs = queries.mean(axis=1), references.mean(axis=1)
    squares = (ours**2).sum(1)[:, None] - 2 * ours @ theirs.T + (theirs**2).sum(1)
    return np.sqrt(np.maximum(squares, 0)).astype(np.float32)


def _cuts(corpus: Corpus, split: str, boundaries: str) -> list[_IsolatedSign]:
    cuts = []
    for utterance in corpus.split(split):
        spans = utterance.truth.get(boundaries)
        if spans is None or len(spans) != len(utterance.glosses):
            raise InputError(
                f"{corpus.root} ({utterance.id}): the truth has no {boundaries!r} for its {len(utterance.glosses)} "
                "glosses; the baseline needs a corpus of 'signloom synth' or 'signloom compose'"
            )
        cuts += [
            _IsolatedSign(utterance, gloss, int(start), int(end))
            for gloss, (start, end) in zip(utterance.glosses, spans, strict=True)
        ]
    return cuts


def _first_of_each(cuts: Sequence[_IsolatedSign], count: int) -> list[_IsolatedSign]:
    seen: Counter[tuple[str | None, str]] = Counter()
    chosen = []
    for cut in cuts:
        key = (cut.utterance.signer, cut.gloss)
        seen[key] += 1
        if seen[key] <= count:
            chosen.append(cut)
    return chosen


def _views(corpus: Corpus, cuts: Sequence[_IsolatedSign]) -> np.ndarray:
    """Returns the features of signs, each resampled to the same number of frames, (N, L, F)."""
    clips: dict[str, np.ndarray] = {}
    views = []
    for cut in cuts:
        if cut.utterance.id not in clips:
            clips[cut.utterance.id] = features(corpus.load(cut.utterance))
        view = clips[cut.utterance.id][cut.start : cut.end]
        views.append(interpolate(view, np.linspace(0, len(view) - 1, NUM_FRAMES)))
    return np.stack(views)


def _filled(values: np.ndarray) -> np.ndarray:
    """Returns values (T, P, 2) with missing frames interpolated in time, constant at the ends, and zero if all are
    missing."""
    present = np.isfinite(values).all(axis=(1, 2))
    if present.all():
        return values
    if not present.any():
        return np.zeros_like(values)
    known = np.flatnonzero(present)
    return interpolate(values[known], np.interp(np.arange(len(values)), known, np.arange(len(known))))


def _bootstrap(wrong: np.ndarray, utterances: Sequence[str], seed: int, draws: int = 1000) -> tuple[float, float]:
    """Returns the 95 % interval of the mean of `wrong` when whole utterances are drawn with replacement."""
    ids = {utterance: place for place, utterance in enumerate(dict.fromkeys(utterances))}
    rows = np.array([ids[utterance] for utterance in utterances])
    errors, totals = np.bincount(rows, weights=wrong), np.bincount(rows)
    chosen = np.random.default_rng([seed, 1]).integers(len(ids), size=(draws, len(ids)))
    rates = errors[chosen].sum(axis=1) / totals[chosen].sum(axis=1)
    low, high = np.quantile(rates, (0.025, 0.975))
    return float(low), float(high)
