"""The options of streaming recognition."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from signloom.ctc.decoding import Decoding
from signloom.errors import Faults

# Glosses with a lower confidence are not shown, unless the model's decoding says otherwise: they are rather wrong than
# right.
MIN_CONFIDENCE = 0.5


def stream_confidence(decoding: Decoding) -> float:
    """Returns the least confidence of a gloss that a stream shows, 0 to 1: that of the decoding, if it has one."""
    return MIN_CONFIDENCE if decoding.min_confidence is None else decoding.min_confidence


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
