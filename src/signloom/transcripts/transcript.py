"""`Transcript`: the glosses of one clip, and what made them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from signloom.ctc.hypothesis import Hypothesis
from signloom.subtitles import Format, csv_head, csv_rows, spans_text

# Formats of which one stream holds many clips.
STREAMED: tuple[Format, ...] = ("text", "json", "csv", "tsv")


class Text(Protocol):
    """Where text goes: a file, a stream."""

    def write(self, text: str, /) -> int:
        """Takes a text and returns its length."""


@dataclass(frozen=True)
class Transcript:
    """The glosses of one clip.

    source: the clip, as the user names it.  decoder: the name of the decoder.
    """

    source: str
    duration_seconds: float
    decoder: str
    hypothesis: Hypothesis

    @property
    def record(self) -> dict[str, Any]:
        """What the JSON file of a clip says besides its glosses."""
        return {
            "source": self.source,
            "duration_seconds": round(self.duration_seconds, 3),
            "decoder": self.decoder,
            "score": self.hypothesis.score,
            "text": self.hypothesis.text,
        }

    def in_format(self, format: Format, *, media: Path | None = None, folder: Path | None = None) -> str:
        """Returns the text of the file of this clip; see `subtitles.spans_text`."""
        return spans_text(self.hypothesis.glosses, format, media=media, folder=folder, record=self.record)


class TranscriptStream:
    """Writes many transcripts into one stream, in one of the formats of `STREAMED`: JSON as a line per clip."""

    def __init__(self, stream: Text, format: Format) -> None:
        self._stream, self._format = stream, format
        if format in ("csv", "tsv"):
            stream.write(csv_head(format))

    def write(self, transcript: Transcript) -> None:
        if self._format in ("csv", "tsv"):
            text = csv_rows(transcript.hypothesis.glosses, transcript.source, self._format)
        elif self._format == "json":
            text = _one_line(transcript)
        else:
            text = f"{transcript.source}: {transcript.in_format('text')}"
        self._stream.write(text)


def _one_line(transcript: Transcript) -> str:
    glosses = [span.to_dict() for span in transcript.hypothesis.glosses]
    return json.dumps({**transcript.record, "glosses": glosses}, ensure_ascii=False) + "\n"
