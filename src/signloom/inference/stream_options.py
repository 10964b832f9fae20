"""The options of streaming recognition."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from signloom.ctc.decoding import Decoding
from signloom.ctc.hypothesis import Limits
from signloom.errors import Faults

# Glosses with a lower confidence are not shown, unless the model's decoding says otherwise: they are rather wrong than
# right. Beside a gloss of which the model is sure, those with at least the second are rather right.
MIN_CONFIDENCE, MIN_BESIDE_SURE = 0.5, 0.3


def stream_limits(decoding: Decoding) -> Limits:
    """Returns what a stream drops of its utterances: what the decoding says, with defaults for what it leaves open."""
    if decoding.min_confidence is not None:
        return decoding.limits
    return Limits(MIN_CONFIDENCE if decoding.sure_confidence is None else MIN_BESIDE_SURE, decoding.limits.sure)


def with_stream_limits(decoding: Decoding) -> Decoding:
    """Returns the decoding with what a stream drops, so that its name says it."""
    least, sure = stream_limits(decoding)
    return replace(decoding, min_confidence=least, sure_confidence=sure)


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """When glosses become final and utterances end, in seconds of the stream.

    Raises InputError listing every value that is not above 0 and finite.
    """

    lookahead_seconds: float = 0.64
    """what the model sees of the stream after a gloss before the gloss is final, or one output frame less if it is sure
    of the gloss; more gives fewer errors and later captions"""
    context_seconds: float = 1.92
    """what the model sees of an utterance before the glosses that are not final yet"""
    update_seconds: float = 0.16
    """from one run of the model to the next, rounded to the model's output frames"""
    rest_seconds: float = 0.8
    """hands that rest for so long end an utterance"""
    pause_seconds: float = 1.0
    """a gap between two frames longer than this ends an utterance, too"""

    def __post_init__(self) -> None:
        faults = Faults("streaming")
        for item in fields(self):
            value = getattr(self, item.name)
            if not (math.isfinite(value) and value > 0):
                faults.add(f"{item.name} is {value}; needed a number above 0")
        faults.raise_if_any()
