"""The bootstrap interval of a rate, or of a difference of rates, and what another draw consists of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from signloom.errors import plural
from signloom.score.shared_clips import Sign, shared_covariance

LEVEL = 0.95
UTTERANCES, COMPOSED = "utterances", "utterances of other clips"


@dataclass(frozen=True)
class ConfidenceInterval:
    """A bootstrap interval of a rate: with probability `level` another draw of such utterances falls into it.

    unit: what another draw consists of: `utterances`, or `utterances of other clips` if they are composed of clips.
    num_clips: how many different clips there are.
    widening: how many times wider the interval is because utterances share clips; 1 if they do not.
    """

    low: float
    high: float
    level: float
    resamples: int
    seed: int
    unit: str = UTTERANCES
    num_clips: int = 0
    widening: float = 1.0

    def resampled(self, num_utterances: int) -> str:
        """Returns what was resampled, in words."""
        text = plural(num_utterances, "utterance")
        if self.unit == UTTERANCES:
            return text
        shared = f"made {self.widening:.2f} times as wide, because they share " if self.widening > 1 else "made of "
        return f"{text}, {shared}{plural(self.num_clips, 'clip')}"


def interval_of(
    draws: np.ndarray, rate: float, signs: Sequence[Sign], *, num_words: int, level: float, seed: int
) -> tuple[ConfidenceInterval, np.ndarray]:
    """Returns the percentile interval of a rate, and the draws behind it, widened if utterances share clips.

    draws: the rate in bootstrap draws of utterances, shape (resamples,).  rate: errors divided by `num_words`.
    signs: the glosses of the utterances that are composed, with their errors (or the change of their errors).

    The variance of the draws lacks the covariance of glosses from one clip (`shared_clips.py`). Their distances from
    the rate grow by the factor by which it increases the standard error; so the interval keeps its shape.
    """
    widening, variance = 1.0, float(np.var(draws))
    if signs and variance:
        widening = math.sqrt(1 + shared_covariance(signs, rate) / num_words**2 / variance)
        draws = rate + widening * (draws - rate)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    unit = COMPOSED if signs else UTTERANCES
    num_clips = len({sign.clip for sign in signs})
    return ConfidenceInterval(float(low), float(high), level, len(draws), seed, unit, num_clips, widening), draws
