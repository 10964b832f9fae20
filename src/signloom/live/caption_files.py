"""Captions in files while people sign: SRT, WebVTT and JSON lines, each complete after every gloss."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from signloom.files.growing import GrowingFile
from signloom.inference.stream_events import Event, GlossEvent
from signloom.timed.cues import VTT_HEAD, srt_cue, vtt_cue


class CaptionFile(Protocol):
    """A file that follows the events of a stream. file: where they go."""

    file: GrowingFile

    def update(self, events: Sequence[Event]) -> None:
        """Writes what is new. A full disk becomes `file.fault`."""


class SrtFile:
    """A subtitle for each final gloss."""

    def __init__(self, file: GrowingFile) -> None:
        self.file = file
        self._count = 0

    def update(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, GlossEvent) and event.kind == "final":
                self._count += 1
                self.file.write((srt_cue(self._count, event.span.interval) + "\n").encode())


class VttFile:
    """A cue of WebVTT for each final gloss."""

    def __init__(self, file: GrowingFile) -> None:
        self.file = file
        file.write(VTT_HEAD.encode())

    def update(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, GlossEvent) and event.kind == "final":
                self.file.write(("\n" + vtt_cue(event.span.interval)).encode())


class JsonLinesFile:
    """Every event as a line of JSON, after a line that says what made them. head: of that line."""

    def __init__(self, file: GrowingFile, head: Mapping[str, Any]) -> None:
        self.file = file
        self._write({"event": "start", **head})

    def update(self, events: Sequence[Event]) -> None:
        for event in events:
            self._write(event.to_json())

    def _write(self, record: Mapping[str, Any]) -> None:
        self.file.write((json.dumps(record, ensure_ascii=False) + "\n").encode())


def caption_files(files: Mapping[str, GrowingFile], head: Mapping[str, Any]) -> list[CaptionFile]:
    """Returns what writes into files; files: by kind, `srt`, `vtt` and `json`.  head: of `JsonLinesFile`."""
    made: list[CaptionFile] = []
    for kind, file in files.items():
        if kind == "json":
            made.append(JsonLinesFile(file, head))
        else:
            made.append(SrtFile(file) if kind == "srt" else VttFile(file))
    return made
