"""When each gloss of a decoded sentence was signed, and how sure the model is of it.

Shapes: T' output frames, V words, S glosses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from signloom.ctc.confidence import Calibration
from signloom.ctc.hypothesis import Emission, GlossSpan
from signloom.ctc.timing import Timing
from signloom.ctc.viterbi import ForcedAlignment, forced_alignment
from signloom.errors import InputError
from signloom.vocabulary import BLANK_ID, Vocabulary

# How far a sign reaches from its middle at most, in typical distances of one sign from the next.
_REACH = 0.75
# Under which a model's record holds its settings.
INFO_KEY = "spans"


@dataclass(frozen=True)
class SpanSettings:
    """How the spans and confidences of one model are made; see `signloom.inference.calibrate.fit_spans`."""

    timing: Timing = field(default_factory=Timing)
    calibration: Calibration = field(default_factory=Calibration)

    def to_json(self) -> dict[str, Any]:
        return {"timing": self.timing.to_json(), "calibration": self.calibration.to_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SpanSettings:
        """The settings of `to_json`. Raises InputError for anything else."""
        try:
            return cls(Timing.from_json(record["timing"]), Calibration.from_json(record["calibration"]))
        except (KeyError, TypeError):
            raise InputError(f"spans: {record!r:.80}; needed timing and calibration") from None

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> SpanSettings:
        """The settings in the record of a model (`Model.info`); the defaults where it has none."""
        return cls.from_json(info[INFO_KEY]) if INFO_KEY in info else cls()


def located(
    emission: Emission,
    ids: Sequence[int] | np.ndarray,
    vocabulary: Vocabulary,
    *,
    timing: Timing | None = None,
    calibration: Calibration | None = None,
) -> tuple[GlossSpan, ...]:
    """The glosses `ids` (S,) with a time span and a confidence each, whichever decoder found them.

    The sequence is aligned with the emission (`forced_alignment`); the spans follow from where each gloss is emitted
    and from the model's `timing` (see `spans`), the confidences from what else could stand there (see `confidences`),
    calibrated if there is a `calibration`.

    Raises InputError when emission and vocabulary are not of one size, and as `forced_alignment` does.
    """
    if emission.log_probs.shape[1] != len(vocabulary):
        raise InputError(
            f"decoding: an emission over {emission.log_probs.shape[1]} words and a vocabulary of {len(vocabulary)}; "
            "needed the vocabulary the model was trained with"
        )
    alignment = forced_alignment(emission.log_probs, ids)
    times = spans(emission_seconds(emission, ids, alignment), emission.duration_seconds, timing)
    sure = confidences(emission.log_probs, ids, alignment)
    calibrate = calibration.apply if calibration else float
    return tuple(
        GlossSpan(vocabulary.words[word], float(start), float(end), calibrate(confidence))
        for word, (start, end), confidence in zip(np.asarray(ids).tolist(), times, sure.tolist(), strict=True)
    )


def emission_seconds(emission: Emission, ids: Sequence[int] | np.ndarray, alignment: ForcedAlignment) -> np.ndarray:
    """When each gloss is emitted, (S,) seconds, each later than the one before.

    The middle of its frames and of one on either side that no neighbour has, weighted by the square root of its
    probability in them: where an emission falls between two frames, both have a share of it.
    """
    runs = alignment.runs
    firsts = np.maximum(runs[:, 0] - 1, np.append(0, runs[:-1, 1])[: len(runs)])
    lasts = np.minimum(runs[:, 1] + 1, np.append(runs[1:, 0], len(emission.log_probs))[: len(runs)])
    moments = np.empty(len(runs))
    for at, (first, last, word) in enumerate(zip(firsts, lasts, ids, strict=True)):
        edges = np.minimum(np.arange(first, last + 1) * emission.step_seconds, emission.duration_seconds)
        log_weight = emission.log_probs[first:last, word].astype(np.float64) / 2
        weight = np.exp(log_weight - log_weight.max())
        moments[at] = (edges[1:] + edges[:-1]) / 2 @ weight / weight.sum()
    return moments


def spans(emitted: np.ndarray, duration_seconds: float, timing: Timing | None = None) -> np.ndarray:
    """Start and end of each gloss emitted at `emitted` (S,) seconds, (S, 2) seconds, in order and without overlap.

    The middle of a sign is where it is emitted, shifted as `timing` says. Two signs meet half-way between their
    middles, unless these are so far apart that there is rest between them: no sign reaches further than 0.75 typical
    distances from its middle. The first and the last end half of one before and after theirs.
    """
    timing = timing or Timing()
    if not len(emitted):
        return np.empty((0, 2))
    shifted = emitted + timing.shift_seconds
    # Signs at the very edge of a clip are shifted less, so that all stay in it and in order.
    middles = np.minimum(np.maximum(shifted, emitted / 2), (emitted + duration_seconds) / 2)
    meetings = (middles[1:] + middles[:-1]) / 2
    outer, reach = timing.gloss_seconds / 2, _REACH * timing.gloss_seconds
    starts = np.maximum(np.append(middles[0] - outer, meetings), middles - reach)
    ends = np.minimum(np.append(meetings, middles[-1] + outer), middles + reach)
    return np.clip(np.stack([starts, ends], axis=1), 0.0, duration_seconds)


def confidences(log_probs: np.ndarray, ids: Sequence[int] | np.ndarray, alignment: ForcedAlignment) -> np.ndarray:
    """How probable each gloss is against all that could stand in its place, (S,) within 0..1.

    Between the neighbours as aligned, the probabilities of all paths that emit the gloss once, over those of all paths
    that emit any one gloss, or none. So a gloss whose emission is spread over many frames, or shares them with the
    blank, is not held for doubtful, as it is by the mean of its frames.
    """
    log_probs, ids = np.asarray(log_probs, dtype=np.float64), np.asarray(ids, dtype=np.int64)
    firsts = np.concatenate([[0], alignment.runs[:-1, 1]]) if len(ids) else np.empty(0, dtype=np.int64)
    lasts = np.concatenate([alignment.runs[1:, 0], [len(log_probs)]]) if len(ids) else firsts
    found = np.empty(len(ids))
    for at, (first, last) in enumerate(zip(firsts.tolist(), lasts.tolist(), strict=True)):
        window = log_probs[first:last]
        # Relative to the path of blanks alone: `ending` are paths whose gloss ends in this frame, `ended` all so far.
        blank = np.maximum(window[:, BLANK_ID], -700.0)
        ending = ended = np.full(log_probs.shape[1], -np.inf)
        for gain in window - blank[:, None]:
            ending = gain + np.logaddexp(0.0, ending)
            ended = np.logaddexp(ended, ending)
        ended = ended.copy()
        ended[BLANK_ID] = 0.0
        best = ended.max()
        found[at] = np.exp(ended[ids[at]] - best) / np.exp(ended - best).sum()
    return found
