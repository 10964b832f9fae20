"""Confidences that mean what they say: of the glosses with confidence 0.8, about 80 % are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from signloom.errors import InputError

# A probability of exactly 0 or 1 has no log-odds; single precision is not sure beyond this either.
_LEAST = 1e-6
_STEPS = 100


@dataclass(frozen=True)
class Calibration:
    """What turns a raw confidence into a calibrated one: `slope * log-odds + offset`, as a probability.

    Monotone: it never changes the order of two glosses. The default leaves confidences as they are.
    Source: Platt 1999, "Probabilistic outputs for support vector machines", on log-odds; slope 1 / temperature.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.offset) and self.slope >= 0):
            raise InputError(f"calibration: slope {self.slope}, offset {self.offset}; needed numbers, slope 0 or more")

    @classmethod
    def fit(cls, confidences: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray) -> Calibration:
        """The calibration under which the outcomes `correct` (N,) of raw `confidences` (N,) are most probable.

        Outcomes count as Platt's: not 1 and 0 but (R + 1) / (R + 2) and 1 / (W + 2) for R right and W wrong ones, so
        that a set without an error does not make every confidence 1. With fewer than 2 glosses it is the default.

        Raises InputError for shapes that do not fit or confidences outside 0..1.
        """
        raw, right = _checked(confidences, correct)
        if len(raw) < 2:
            return cls()
        odds = log_odds(raw)
        count = right.sum()
        target = np.where(right, (count + 1) / (count + 2), 1 / (len(right) - count + 2))
        # Newton's method on a convex loss; a little curvature keeps it stable where all confidences are alike.
        design = np.stack([odds, np.ones_like(odds)], axis=1)
        weights = np.array([1.0, 0.0])
        for _ in range(_STEPS):
            found = _sigmoid(design @ weights)
            gradient = design.T @ (found - target)
            curvature = (design * (found * (1 - found))[:, None]).T @ design + 1e-6 * np.eye(2)
            step = np.linalg.solve(curvature, gradient)
            loss = _loss(design @ weights, target)
            while _loss(design @ (weights - step), target) > loss and np.abs(step).max() > 1e-9:
                step /= 2
            weights = weights - step
            if np.abs(step).max() < 1e-9:
                break
        if weights[0] < 0:
            # Confidences that say nothing, or the wrong thing: the share of right ones is all that is known.
            mean = target.mean()
            return cls(0.0, float(np.log(mean / (1 - mean))))
        return cls(float(weights[0]), float(weights[1]))

    def apply(self, confidence: float) -> float:
        """The calibrated confidence of a raw one, both 0 to 1."""
        return float(_sigmoid(self.slope * log_odds(np.asarray(confidence, dtype=np.float64)) + self.offset))

    def to_json(self) -> dict[str, float]:
        return {"slope": round(self.slope, 6), "offset": round(self.offset, 6)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Calibration:
        """The calibration of `to_json`. Raises InputError for anything else."""
        try:
            return cls(float(record["slope"]), float(record["offset"]))
        except (KeyError, TypeError, ValueError):
            raise InputError(f"calibration: {record!r:.80}; needed slope and offset") from None


class Bin(NamedTuple):
    """Glosses of similar confidence: how many, their mean confidence, and the share of them that is right."""

    number: int
    confidence: float
    accuracy: float


def reliability(
    confidences: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray, *, bins: int = 10
) -> list[Bin]:
    """The glosses in order of confidence, parted into `bins` of equal number (as nearly as it goes)."""
    values, right = _checked(confidences, correct)
    order = np.argsort(values, kind="stable")
    parts = np.array_split(order, min(bins, max(1, len(order))))
    return [Bin(len(part), float(values[part].mean()), float(right[part].mean())) for part in parts if len(part)]


def calibration_error(
    confidences: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray, *, bins: int = 10
) -> float:
    """The expected calibration error, 0 to 1: how far confidence and accuracy are apart, averaged over the glosses.

    Bins hold equally many glosses. Source: Naeini et al. 2015; bins of equal mass as in Nixon et al. 2019.
    """
    found = reliability(confidences, correct, bins=bins)
    total = sum(item.number for item in found)
    return sum(item.number * abs(item.confidence - item.accuracy) for item in found) / total if total else 0.0


def log_odds(confidence: np.ndarray) -> np.ndarray:
    clipped = np.clip(confidence, _LEAST, 1 - _LEAST)
    odds: np.ndarray = np.log(clipped) - np.log1p(-clipped)
    return odds


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    probability: np.ndarray = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
    return probability


def _loss(odds: np.ndarray, target: np.ndarray) -> float:
    return float((np.logaddexp(0, odds) - target * odds).sum())


def _checked(
    confidences: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    values, right = np.asarray(confidences, dtype=np.float64), np.asarray(correct, dtype=bool)
    if values.ndim != 1 or values.shape != right.shape:
        raise InputError(f"calibration: {values.shape} confidences, {right.shape} outcomes; needed as many of both")
    if len(values) and not (values.min() >= 0 and values.max() <= 1):
        raise InputError("calibration: a confidence outside 0..1, or NaN")
    return values, right
