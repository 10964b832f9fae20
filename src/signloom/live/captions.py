"""The captions of a stream: the glosses of the running utterance, and the utterances that ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from signloom.ctc.hypothesis import GlossSpan
from signloom.inference.stream_events import Event, UtteranceEnd

# Utterances that nobody has taken yet; only a display that hangs lets them wait.
_MOST_WAITING = 1000


@dataclass(frozen=True)
class Caption:
    """A gloss on the screen. is_final: it stays as it is."""

    gloss: str
    confidence: float
    is_final: bool


@dataclass(frozen=True)
class Utterance:
    """An utterance that ended, with at least one gloss."""

    glosses: tuple[GlossSpan, ...]

    def __str__(self) -> str:
        start, end = self.glosses[0].start_seconds, self.glosses[-1].end_seconds
        confidence = sum(gloss.confidence for gloss in self.glosses) / len(self.glosses)
        text = " ".join(gloss.gloss for gloss in self.glosses)
        return f"{start:8.2f} - {end:7.2f} s  {confidence:4.0%}  {text}"


class Captions:
    """What the events of a stream add up to.

    shown: the glosses of the running utterance, or of the last one until the next begins.
    num_glosses: final glosses so far.
    """

    def __init__(self) -> None:
        self.shown: tuple[Caption, ...] = ()
        self.num_glosses = 0
        self._glosses: dict[int, tuple[GlossSpan, bool]] = {}
        self._ended: deque[Utterance] = deque(maxlen=_MOST_WAITING)

    def update(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, UtteranceEnd):
                self._ended.append(Utterance(tuple(span for _, (span, _) in sorted(self._glosses.items()))))
                self._glosses = {}
                continue
            if event.kind == "withdrawn":
                self._glosses.pop(event.index, None)
            else:
                is_final = event.kind == "final"
                self._glosses[event.index] = event.span, is_final
                self.num_glosses += is_final
            self.shown = tuple(
                Caption(span.gloss, span.confidence, is_final) for _, (span, is_final) in sorted(self._glosses.items())
            )

    def take_ended(self) -> list[Utterance]:
        """Returns the utterances that ended since the last call. Another thread may call it."""
        taken = []
        while self._ended:
            taken.append(self._ended.popleft())
        return taken
