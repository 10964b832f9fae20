"""`Emission` and `Hypothesis`: the output of a recogniser, and the glosses that a decoder finds in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from signloom.errors import InputError
from signloom.timed.annotations import TimedAnnotation
from signloom.timed.cues import srt_text
from signloom.vocabulary import UNKNOWN

# Rows that are checked at once, in double precision.
_BLOCK_FRAMES = 1024


@dataclass(frozen=True)
class Emission:
    """The log-probabilities of one clip.

    log_probs: (T', V) float32; the exponentials of each row sum to 1; column 0 is blank.
    step_seconds: time between output frames; output frame t covers step_seconds * t to step_seconds * (t + 1).
    duration_seconds: length of the clip; no span ends later.
    start_seconds: the time of the clip's first frame on the clock of its file; spans are on that clock.
    """

    log_probs: np.ndarray
    step_seconds: float
    duration_seconds: float
    start_seconds: float = 0.0

    def __post_init__(self) -> None:
        log_probs = np.asarray(self.log_probs, dtype=np.float32)
        object.__setattr__(self, "log_probs", log_probs)
        if log_probs.ndim != 2 or not len(log_probs):
            raise InputError(f"emission: log_probs of shape {log_probs.shape}, needed (T', V) with T' of at least 1")
        blocks = np.array_split(log_probs, -(-len(log_probs) // _BLOCK_FRAMES))
        if not all(np.allclose(np.exp(block.astype(np.float64)).sum(axis=1), 1.0, atol=1e-3) for block in blocks):
            raise InputError("emission: log_probs are not log-probabilities (a row does not sum to 1, or holds NaN)")


@dataclass(frozen=True)
class GlossSpan:
    """One recognised gloss: its start and end, and the model's confidence (0 to 1)."""

    gloss: str
    start_seconds: float
    end_seconds: float
    confidence: float

    @property
    def interval(self) -> TimedAnnotation:
        """The gloss in whole milliseconds, at least one long: players and ELAN know no shorter ones."""
        start = round(1000 * self.start_seconds)
        return TimedAnnotation(start, max(round(1000 * self.end_seconds), start + 1), self.gloss)

    def to_dict(self) -> dict[str, Any]:
        """Returns the gloss as JSON has it: times to the millisecond."""
        return {
            "gloss": self.gloss,
            "start_seconds": round(self.start_seconds, 3),
            "end_seconds": round(self.end_seconds, 3),
            "confidence": round(self.confidence, 4),
        }


class Limits(NamedTuple):
    """What glosses of one utterance are dropped, by their confidences, 0 to 1.

    least: those with a lower confidence.  sure: all of them, if none has at least this confidence. Hands that idle and
    signs that are none of the model's make single glosses that are not sure; in signing, some sign mostly is.
    """

    least: float = 0.0
    sure: float = 0.0

    def keeps(self, confidences: Sequence[float]) -> list[bool]:
        """Returns which glosses of an utterance stay."""
        is_signing = any(value >= self.sure for value in confidences)
        return [is_signing and value >= self.least for value in confidences]


def named(glosses: Iterable[GlossSpan], least: float) -> tuple[GlossSpan, ...]:
    """Returns the glosses that a recogniser names: those with a confidence of at least `least`, but for the unknown one
    that stands for a sign which is none of the model's."""
    return tuple(span for span in glosses if span.confidence >= least and span.gloss != UNKNOWN)


@dataclass(frozen=True)
class Hypothesis:
    """The result of a decoder.

    glosses: in order, with times.  score: the decoder's score of the sequence, a natural logarithm (of a probability,
    unless a language model or a bonus takes part).  num_dropped: glosses that were left out as not sure enough.
    """

    glosses: tuple[GlossSpan, ...]
    score: float
    num_dropped: int = 0

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(span.gloss for span in self.glosses)

    def confident(self, least: float, sure: float = 0.0) -> Hypothesis:
        """Returns the hypothesis without the unknown gloss, and without the glosses that `Limits` drops."""
        signs = named(self.glosses, 0.0)
        keeps = Limits(least, sure).keeps([span.confidence for span in signs])
        kept = tuple(span for span, keep in zip(signs, keeps, strict=True) if keep)
        return Hypothesis(kept, self.score, self.num_dropped + len(signs) - len(kept))

    def __repr__(self) -> str:
        return f"Hypothesis({self.text!r}, score {self.score:.2f})"

    @property
    def text(self) -> str:
        """The glosses, separated by spaces."""
        return " ".join(self.words)

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as JSON has it."""
        return {"text": self.text, "score": self.score, "glosses": [span.to_dict() for span in self.glosses]}

    def to_srt(self) -> str:
        """Returns the text of an SRT file: a subtitle per gloss."""
        return srt_text(span.interval for span in self.glosses)
