"""Writes glosses with their times as text, JSON, tables, SRT, WebVTT or ELAN files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO, get_args

from signloom.ctc.hypothesis import GlossSpan
from signloom.errors import InputError
from signloom.files.writing import write_text
from signloom.landmarks import SUFFIX as LANDMARKS_SUFFIX
from signloom.timed.cues import srt_text, vtt_text
from signloom.timed.eaf import write_eaf

Format = Literal["text", "json", "csv", "tsv", "srt", "vtt", "eaf"]
SUFFIXES: dict[str, str] = {format: ".txt" if format == "text" else f".{format}" for format in get_args(Format)}
_COLUMNS = ("source", "start_seconds", "end_seconds", "gloss", "confidence")


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
        whole = {**(record or {}), "glosses": [span.to_dict() for span in spans]}
        return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"
    if format in ("csv", "tsv"):
        return csv_head(format) + csv_rows(spans, str((record or {}).get("source", "")), format)
    intervals = [span.interval for span in spans]
    if format == "eaf":
        return write_eaf(intervals, [span.confidence for span in spans], media=media, folder=folder)
    if format == "srt":
        return srt_text(intervals)
    if format == "vtt":
        return vtt_text(intervals)
    lines = [" ".join(span.gloss for span in spans) or "(no gloss recognised)"]
    lines += [
        f"  {span.start_seconds:7.2f} - {span.end_seconds:6.2f} s  {span.confidence:4.0%}  {span.gloss}"
        for span in spans
    ]
    return "\n".join(lines) + "\n"


def csv_head(format: Format) -> str:
    """Returns the head of a table of glosses: with commas, or for `tsv` with tabs."""
    return _table([_COLUMNS], format)


def csv_rows(spans: Sequence[GlossSpan], source: str, format: Format) -> str:
    """Returns the rows of a table of glosses. source: of these glosses."""
    records = [{"source": source, **span.to_dict()} for span in spans]
    return _table([[record[name] for name in _COLUMNS] for record in records], format)


def _table(rows: Iterable[Sequence[Any]], format: Format) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter="\t" if format == "tsv" else ",", lineterminator="\n").writerows(rows)
    return text.getvalue()


def playable(source: Path) -> Path | None:
    """Returns the source if it is a file that players and ELAN can open; None for landmarks or a folder."""
    return source if source.is_file() and source.suffix != LANDMARKS_SUFFIX else None
