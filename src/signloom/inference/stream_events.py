"""What a stream's recognition reports: glosses that appear, change and become final, and ends of utterances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from signloom.ctc.hypothesis import GlossSpan
from signloom.inference.stream_window import Reading


@dataclass(frozen=True)
class GlossEvent:
    """A gloss appeared or changed.

    kind: `provisional`: gloss `index` looks like this now; a later event of the same index replaces it. `withdrawn`: it
    is gone. `final`: it stays.
    utterance, index: the number of the utterance in the stream, and of the gloss in the utterance, from 0.
    span: the gloss with start and end in the stream's seconds, and its confidence.
    """

    kind: Literal["provisional", "withdrawn", "final"]
    utterance: int
    index: int
    span: GlossSpan

    def to_json(self) -> dict[str, Any]:
        return {"event": self.kind, "utterance": self.utterance, "index": self.index, **self.span.to_dict()}


@dataclass(frozen=True)
class UtteranceEnd:
    """An utterance with `num_glosses` final glosses ended at `seconds` of the stream."""

    utterance: int
    num_glosses: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {
            "event": "end",
            "utterance": self.utterance,
            "num_glosses": self.num_glosses,
            "seconds": round(self.seconds, 3),
        }


Event = GlossEvent | UtteranceEnd


class EventMaker:
    """Makes events of what the windows of a stream show. An utterance without any final gloss gets no number."""

    def __init__(self) -> None:
        self._utterance = 0
        self._num_finals = 0
        self._shown: tuple[GlossSpan, ...] = ()

    def changes(self, reading: Reading) -> list[Event]:
        """Returns what the next reading of the utterance changes."""
        events = [self._event("final", number, span) for number, span in enumerate(reading.finals)]
        self._num_finals += len(reading.finals)
        shown, now = self._shown[len(reading.finals) :], reading.provisional
        events += [
            self._event("provisional", number, span)
            for number, span in enumerate(now)
            if number >= len(shown) or shown[number].gloss != span.gloss
        ]
        events += [self._event("withdrawn", number, span) for number, span in enumerate(shown) if number >= len(now)]
        self._shown = now
        return events

    def end(self, reading: Reading, seconds: float) -> list[Event]:
        """Returns what the last reading of the utterance changes, and its end."""
        events = self.changes(reading)
        if self._num_finals:
            events.append(UtteranceEnd(self._utterance, self._num_finals, seconds))
            self._utterance, self._num_finals = self._utterance + 1, 0
        return events

    def _event(self, kind: Literal["provisional", "withdrawn", "final"], number: int, span: GlossSpan) -> Event:
        return GlossEvent(kind, self._utterance, self._num_finals + number, span)
