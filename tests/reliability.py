"""The expected calibration error of confidences, for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from signloom.ctc.confidence import checked


class Bin(NamedTuple):
    """Glosses of similar confidence: their number, their mean confidence, and the share that is right."""

    number: int
    confidence: float
    accuracy: float


def reliability(
    confidences: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray, *, bins: int = 10
) -> list[Bin]:
    """Returns the glosses in order of confidence, split into `bins` groups of (nearly) equal size."""
    values, right = checked(confidences, correct)
    order = np.argsort(values, kind="stable")
    parts = np.array_split(order, min(bins, max(1, len(order))))
    return [Bin(len(part), float(values[part].mean()), float(right[part].mean())) for part in parts if len(part)]


def calibration_error(
    confidences: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray, *, bins: int = 10
) -> float:
    """Returns the expected calibration error, 0 to 1: the distance of confidence from accuracy, averaged over glosses.

    Each bin has the same number of glosses. Source: Naeini et al. 2015; bins of equal mass as in Nixon et al. 2019.
    """
    groups = reliability(confidences, correct, bins=bins)
    total = sum(group.number for group in groups)
    return sum(group.number * abs(group.confidence - group.accuracy) for group in groups) / total if total else 0.0
