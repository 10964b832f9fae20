"""Writes glosses with their times as text, JSON, SRT, WebVTT or ELAN files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal, TextIO, get_args

from signloom.ctc.hypothesis import GlossSpan
from signloom.errors import InputError
from signloom.files.writing import write_text
from signloom.landmarks import SUFFIX as LANDMARKS_SUFFIX
from signloom.timed.annotations import TimedAnnotation
from signloom.timed.eaf import write_eaf

Format = Literal["text", "json", "srt", "vtt", "eaf"]
VTT_HEAD = "WEBVTT\n"
SUFFIXES: dict[str, str] = {"text": ".txt", "json": ".json", "srt": ".srt", "vtt": ".vtt", "eaf": ".eaf"}


def format_of(format: Format | None, output: Path | None) -> Format:
    """Returns the given format; without one, the format that matches the suffix of `output`, otherwise text.

    Raises InputError for the suffix of another format: players and ELAN would not open such a file.
    """
    suffix = "" if output is None else output.suffix.lower()
    named: Format | None = next((known for known in get_args(Format) if SUFFIXES[known] == suffix), None)
    if format is not None and named not in (None, "text", format):
        raise InputError(f"--output {output} has the suffix of {named}, --format is {format}; use {SUFFIXES[format]}")
    return format or named or "text"


def write_spans(
    target: Path | TextIO,
    spans: Sequence[GlossSpan],
    format: Format,
    *,
    media: Path | None = None,
    record: Mapping[str, Any] | None = None,
) -> None:
    """Writes glosses to a file, whole or not at all, or to a stream.

    media: the video of these glosses; an ELAN file links to it.  record: other entries of the JSON file.
    Raises MissingExtraError for ELAN if its package is not installed.
    """
    folder = target.absolute().parent if isinstance(target, Path) else None
    text = spans_text(spans, format, media=media, folder=folder, record=record)
    if isinstance(target, Path):
        write_text(target, text)
    else:
        target.write(text)


def spans_text(
    spans: Sequence[GlossSpan],
    format: Format,
    *,
    media: Path | None = None,
    folder: Path | None = None,
    record: Mapping[str, Any] | None = None,
) -> str:
    """Returns the text that `write_spans` writes. folder: the folder of the file to be written."""
    if format == "json":
        whole = {**(record or {}), "glosses": [span.to_json() for span in spans]}
        return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"
    intervals = [to_interval(span) for span in spans]
    if format == "eaf":
        return write_eaf(intervals, [span.confidence for span in spans], media=media, folder=folder)
    if format == "srt":
        return "\n".join(srt_cue(number, interval) for number, interval in enumerate(intervals, 1))
    if format == "vtt":
        return "\n".join([VTT_HEAD, *map(vtt_cue, intervals)])
    lines = [" ".join(span.gloss for span in spans) or "(no gloss recognised)"]
    lines += [
        f"  {span.start_seconds:7.2f} - {span.end_seconds:6.2f} s  {span.confidence:4.0%}  {span.gloss}"
        for span in spans
    ]
    return "\n".join(lines) + "\n"


def playable(source: Path) -> Path | None:
    """Returns the source if it is a file that players and ELAN can open; None for landmarks or a folder."""
    return source if source.is_file() and source.suffix != LANDMARKS_SUFFIX else None


def to_interval(span: GlossSpan) -> TimedAnnotation:
    """Returns the span in whole milliseconds, at least one long: players and ELAN know no shorter ones."""
    start = round(1000 * span.start_seconds)
    return TimedAnnotation(start, max(round(1000 * span.end_seconds), start + 1), span.gloss)


def srt_cue(number: int, interval: TimedAnnotation) -> str:
    """Returns a subtitle of SRT; number: from 1. An empty line separates subtitles."""
    start, end, text = interval
    return f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n"


def vtt_cue(interval: TimedAnnotation) -> str:
    """Returns a cue of WebVTT. An empty line stands before each cue."""
    start, end, text = interval
    # WebVTT would take `<unknown>` for a tag.
    return f"{_clock(start, '.')} --> {_clock(end, '.')}\n{escape(text, quote=False)}\n"


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{rest:03d}"
