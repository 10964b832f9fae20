"""How sure a model is of each gloss, and calibration: of the glosses with confidence 0.8, about 80 % are right.

Shapes: T' output frames, V words, S glosses of a sentence, N glosses of many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from signloom.ctc.viterbi import ForcedAlignment
from signloom.errors import InputError
from signloom.vocabulary import BLANK_ID

# Probabilities are kept this far from 0 and 1, which have no log-odds; single precision is no finer there.
_MARGIN = 1e-6
# Frames that are converted to double precision at once.
_BLOCK_FRAMES = 256
# The most steps of Newton's method; it needs about ten.
_MAX_STEPS = 100


def confidences(log_probs: np.ndarray, ids: Sequence[int] | np.ndarray, alignment: ForcedAlignment) -> np.ndarray:
    """Returns the probability of each gloss against everything else that could stand in its place, (S,) within 0..1.

    log_probs: (T', V).  ids: (S,).  alignment: of these ids.

    The window of a gloss lies between its neighbours as aligned. Its confidence is the probability of all paths in the
    window that emit this gloss once, divided by that of all paths that emit any one gloss, or none. The mean over
    frames would call a gloss doubtful whose emission is spread over many frames, or shares them with the blank.
    """
    log_probs, ids = np.asarray(log_probs), np.asarray(ids, dtype=np.int64)
    firsts = np.concatenate([[0], alignment.runs[:-1, 1]]) if len(ids) else np.empty(0, dtype=np.int64)
    lasts = np.concatenate([alignment.runs[1:, 0], [len(log_probs)]]) if len(ids) else firsts
    result = np.empty(len(ids))
    for index, (first, last) in enumerate(zip(firsts.tolist(), lasts.tolist(), strict=True)):
        # Relative to the path of blanks alone: paths whose gloss ends in this frame, and in any frame up to it.
        ending = ended = np.full(log_probs.shape[1], -np.inf)
        for start in range(first, last, _BLOCK_FRAMES):
            window = log_probs[start : min(start + _BLOCK_FRAMES, last)].astype(np.float64)
            blank = np.maximum(window[:, BLANK_ID], -700.0)
            for gain in window - blank[:, None]:
                ending = gain + np.logaddexp(0.0, ending)
                ended = np.logaddexp(ended, ending)
        ended = ended.copy()
        ended[BLANK_ID] = 0.0
        best = ended.max()
        result[index] = np.exp(ended[ids[index]] - best) / np.exp(ended - best).sum()
    return result


@dataclass(frozen=True)
class Calibration:
    """A map from raw to calibrated confidences: the log-odds become `slope * log-odds + offset`.

    It is monotone, so it never changes the order of two glosses. The default changes nothing.
    Source: Platt 1999, "Probabilistic outputs for support vector machines", on log-odds; slope is 1 / temperature.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.offset) and self.slope >= 0):
            raise InputError(f"calibration: slope {self.slope}, offset {self.offset}; needed numbers, slope 0 or more")

    @classmethod
    def fit(cls, confidences: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray) -> Calibration:
        """Returns the calibration under which the outcomes `correct` (N,) of raw `confidences` (N,) are most probable.

        As in Platt's paper, outcomes count as (R + 1) / (R + 2) and 1 / (W + 2) instead of 1 and 0, for R right and W
        wrong glosses, so that a set without an error does not make every confidence 1. Fewer than 2 glosses give the
        default.

        Raises InputError for shapes that differ or confidences outside 0..1.
        """
        raw, right = checked(confidences, correct)
        if len(raw) < 2:
            return cls()
        odds = log_odds(raw)
        count = right.sum()
        target = np.where(right, (count + 1) / (count + 2), 1 / (len(right) - count + 2))
        # Newton's method on a convex loss. The small term keeps it stable when all confidences are alike.
        design = np.stack([odds, np.ones_like(odds)], axis=1)
        weights = np.array([1.0, 0.0])
        for _ in range(_MAX_STEPS):
            predicted = _sigmoid(design @ weights)
            gradient = design.T @ (predicted - target)
            curvature = (design * (predicted * (1 - predicted))[:, None]).T @ design + 1e-6 * np.eye(2)
            step = np.linalg.solve(curvature, gradient)
            loss = _loss(design @ weights, target)
            while _loss(design @ (weights - step), target) > loss and np.abs(step).max() > 1e-9:
                step /= 2
            weights = weights - step
            if np.abs(step).max() < 1e-9:
                break
        if weights[0] < 0:
            # Raw confidences that say nothing, or the opposite, leave only the share of right glosses.
            mean = target.mean()
            return cls(0.0, float(np.log(mean / (1 - mean))))
        return cls(float(weights[0]), float(weights[1]))

    def apply(self, confidence: float) -> float:
        """Returns the calibrated confidence of a raw one, both 0 to 1."""
        return float(_sigmoid(self.slope * log_odds(np.asarray(confidence, dtype=np.float64)) + self.offset))

    def to_json(self) -> dict[str, float]:
        return {"slope": round(self.slope, 6), "offset": round(self.offset, 6)}


def log_odds(confidence: np.ndarray) -> np.ndarray:
    """Returns the log-odds of probabilities, finite also for 0 and 1."""
    clipped = np.clip(confidence, _MARGIN, 1 - _MARGIN)
    odds: np.ndarray = np.log(clipped) - np.log1p(-clipped)
    return odds


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    probability: np.ndarray = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
    return probability


def _loss(odds: np.ndarray, target: np.ndarray) -> float:
    return float((np.logaddexp(0, odds) - target * odds).sum())


def checked(
    confidences: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns confidences and outcomes (N,) as arrays. Raises InputError for other shapes or values outside 0..1."""
    values, right = np.asarray(confidences, dtype=np.float64), np.asarray(correct, dtype=bool)
    if values.ndim != 1 or values.shape != right.shape:
        raise InputError(f"calibration: {values.shape} confidences, {right.shape} outcomes; needed one per gloss")
    if len(values) and not (values.min() >= 0 and values.max() <= 1):
        raise InputError("calibration: a confidence outside 0..1, or NaN")
    return values, right
