"""The time span of each gloss of a decoded sentence.

Shapes: T' output frames, V words, S glosses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from signloom.ctc.confidence import Calibration, confidences
from signloom.ctc.hypothesis import Emission, GlossSpan
from signloom.ctc.timing import Timing
from signloom.ctc.viterbi import ForcedAlignment, forced_alignment
from signloom.errors import InputError
from signloom.files.schemas import check
from signloom.vocabulary import Vocabulary

# The farthest that a sign reaches from its middle, in typical distances from one sign to the next.
_REACH = 0.75
# The key of these settings in `Model.info`.
INFO_KEY = "spans"


Seconds = Annotated[float, Meta(ge=-3600, le=3600)]
Finite = Annotated[float, Meta(ge=-1e6, le=1e6)]


class _Timing(Struct):
    shift_seconds: Seconds
    gloss_seconds: Seconds


class _Calibration(Struct):
    slope: Finite
    offset: Finite


class _Spans(Struct):
    """The record of `SpanSettings`: nothing in it may be left out."""

    timing: _Timing
    calibration: _Calibration


@dataclass(frozen=True)
class SpanSettings:
    """How the spans and confidences of one model are made; see `signloom.inference.calibrate.fit_spans`."""

    timing: Timing = field(default_factory=Timing)
    calibration: Calibration = field(default_factory=Calibration)

    def to_json(self) -> dict[str, Any]:
        return {"timing": self.timing.to_json(), "calibration": self.calibration.to_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SpanSettings:
        """Returns the settings that `to_json` wrote. Raises InputError for anything else."""
        read = check(_Spans, record, "spans")
        return cls(
            Timing(read.timing.shift_seconds, read.timing.gloss_seconds),
            Calibration(read.calibration.slope, read.calibration.offset),
        )

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> SpanSettings:
        """Returns the settings in a model's record (`Model.info`), or the defaults if it has none."""
        return cls.from_json(info[INFO_KEY]) if INFO_KEY in info else cls()


def located(
    emission: Emission,
    ids: Sequence[int] | np.ndarray,
    vocabulary: Vocabulary,
    *,
    timing: Timing | None = None,
    calibration: Calibration | None = None,
) -> tuple[GlossSpan, ...]:
    """Returns the glosses `ids` (S,), each with a time span and a confidence, whichever decoder found them.

    `forced_alignment` says where the emission has each gloss. `spans` makes time spans of that, with the model's
    `timing`. `confidences` compares each gloss with all others in its place; a `calibration` is applied to the result.

    Raises InputError when emission and vocabulary differ in size, and as `forced_alignment` does.
    """
    if emission.log_probs.shape[1] != len(vocabulary):
        raise InputError(
            f"decoding: an emission over {emission.log_probs.shape[1]} words and a vocabulary of {len(vocabulary)}; "
            "needed the vocabulary the model was trained with"
        )
    alignment = forced_alignment(emission.log_probs, ids)
    times = spans(emission_seconds(emission, ids, alignment), emission.duration_seconds, timing)
    times += emission.start_seconds
    raw = confidences(emission.log_probs, ids, alignment)
    calibrate = calibration.apply if calibration else float
    return tuple(
        GlossSpan(vocabulary.words[word], float(start), float(end), calibrate(confidence))
        for word, (start, end), confidence in zip(np.asarray(ids).tolist(), times, raw.tolist(), strict=True)
    )


def emission_seconds(emission: Emission, ids: Sequence[int] | np.ndarray, alignment: ForcedAlignment) -> np.ndarray:
    """Returns the time at which each gloss is emitted, (S,) seconds from the clip's first frame, strictly increasing.

    The time is a weighted mean over the gloss's frames and one more on either side, unless a neighbour has that frame.
    The weight of a frame is the square root of the gloss's probability in it, so that an emission between two frames
    counts in both.
    """
    runs = alignment.runs
    firsts = np.maximum(runs[:, 0] - 1, np.append(0, runs[:-1, 1])[: len(runs)])
    lasts = np.minimum(runs[:, 1] + 1, np.append(runs[1:, 0], len(emission.log_probs))[: len(runs)])
    result = np.empty(len(runs))
    for index, (first, last, word) in enumerate(zip(firsts, lasts, ids, strict=True)):
        edges = np.minimum(np.arange(first, last + 1) * emission.step_seconds, emission.duration_seconds)
        log_weight = emission.log_probs[first:last, word].astype(np.float64) / 2
        weight = np.exp(log_weight - log_weight.max())
        result[index] = (edges[1:] + edges[:-1]) / 2 @ weight / weight.sum()
    return result


def spans(emitted: np.ndarray, duration_seconds: float, timing: Timing | None = None) -> np.ndarray:
    """Returns start and end of each gloss emitted at `emitted` (S,) seconds, (S, 2) seconds, ordered without overlap.

    The middle of a sign is the time of its emission plus the shift of `timing`. Two signs meet half-way between their
    middles. If the middles are far apart, there is a gap between the signs: no sign reaches farther than 0.75 typical
    distances from its middle. The first sign starts, and the last one ends, half a distance from its middle.
    """
    timing = timing or Timing()
    if not len(emitted):
        return np.empty((0, 2))
    shifted = emitted + timing.shift_seconds
    # Signs at the edges of a clip are shifted less, so that all of them stay inside it and in order.
    middles = np.minimum(np.maximum(shifted, emitted / 2), (emitted + duration_seconds) / 2)
    meetings = (middles[1:] + middles[:-1]) / 2
    outer, reach = timing.gloss_seconds / 2, _REACH * timing.gloss_seconds
    starts = np.maximum(np.append(middles[0] - outer, meetings), middles - reach)
    ends = np.minimum(np.append(meetings, middles[-1] + outer), middles + reach)
    return np.clip(np.stack([starts, ends], axis=1), 0.0, duration_seconds)
