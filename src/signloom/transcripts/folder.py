"""The folder of transcripts: a record of all results, and files made of them in any format.

`transcripts.jsonl` has a line per clip: its name, its source and size, what made the result, and the glosses. It is
written first, and every other file is made from it. So a run that was stopped goes on where it stopped, and another
format needs no second recognition. `failed.jsonl` has a line per clip of the last run that failed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from signloom.ctc.hypothesis import GlossSpan, Hypothesis
from signloom.errors import InputError
from signloom.extract.reading import source_size
from signloom.extract.sources import Clip
from signloom.files.paths import inside, resolved
from signloom.files.reading import Kind, read_text
from signloom.files.schemas import Name, Table, check, decode_json
from signloom.files.temporary import remove_temporary
from signloom.files.writing import check_target, write_json_lines, write_text
from signloom.subtitles import SUFFIXES, Format, playable
from signloom.transcripts.transcript import Transcript

RECORD, FAILED = "transcripts.jsonl", "failed.jsonl"
# A video with drawings.
DRAWN = ".drawn.mp4"
_KIND = Kind("a record of transcripts", 2_000_000_000)
_Seconds = Annotated[float, Meta(ge=0)]


class _Gloss(Struct):
    gloss: Name
    start_seconds: float
    end_seconds: float
    confidence: Annotated[float, Meta(ge=0, le=1)]


class _Line(Struct):
    """A line of the record. source: relative to the folder."""

    id: Name
    source: str
    size: Annotated[int, Meta(ge=0)]
    made_with: Table
    duration_seconds: _Seconds
    decoder: str
    score: float
    glosses: list[_Gloss]


@dataclass(frozen=True)
class Entry:
    """The result of one clip.

    clip: its name is that of the result.  size: of the clip, as `source_size` counts.
    made_with: model and options, as `made_with` of the command returns them.
    """

    clip: Clip
    size: int
    made_with: Mapping[str, Any]
    transcript: Transcript


class TranscriptFolder:
    """A folder of transcripts, opened for writing; its user holds its lock.

    Raises InputError if the record is none of ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = path / RECORD
        remove_temporary(path)
        self._entries: dict[Path, Entry] = {}
        self._owners: dict[str, Path] = {}
        if self.record.exists():
            self._read()

    @property
    def names(self) -> dict[str, Path]:
        """The names of the results so far, and the resolved paths of their clips."""
        return dict(self._owners)

    def entry(self, clip: Clip) -> Entry | None:
        """Returns the result of a clip, or None if there is none or the clip's size has changed since."""
        entry = self._entries.get(resolved(clip.path))
        if entry is None or entry.size != _size(clip):
            return None
        # Named as in this run.
        return replace(entry, clip=clip, transcript=replace(entry.transcript, source=str(clip.path)))

    def add(self, clip: Clip, made_with: Mapping[str, Any], transcript: Transcript) -> Entry:
        """Appends the result of a clip to the record and removes files of its earlier one."""
        for path in self._files(clip):
            if self._is_ours(clip):
                path.unlink(missing_ok=True)
        line = {
            "id": clip.name,
            "source": os.path.relpath(resolved(clip.path), resolved(self.path)),
            "size": _size(clip),
            "made_with": dict(made_with),
            **{name: value for name, value in transcript.record.items() if name != "source"},
            "glosses": [span.to_dict() for span in transcript.hypothesis.glosses],
        }
        check_target(self.record)
        # One write to a file opened for appending: a kill leaves the line whole, torn at its end, or absent.
        descriptor = os.open(self.record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(descriptor, (json.dumps(line, ensure_ascii=False) + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        entry = self._entry(check(_Line, line), line)
        return replace(entry, clip=clip, transcript=replace(entry.transcript, source=str(clip.path)))

    def file(self, clip: Clip, suffix: str) -> Path:
        """Returns the file of a clip. Raises InputError for a name that cannot be one."""
        return inside(self.path, clip.name + suffix)

    def check_free(self, clip: Clip, suffix: str) -> None:
        """Raises InputError if the file of a clip exists and is no earlier result of this clip."""
        path = self.file(clip, suffix)
        if path.exists() and not self._is_ours(clip):
            raise InputError(f"{path}: exists, and no run of transcribe wrote it; --overwrite replaces it")

    def write(self, entry: Entry, format: Format) -> Path:
        """Writes the file of a result in one format and returns its path."""
        path = self.file(entry.clip, SUFFIXES[format])
        return write_text(path, entry.transcript.in_format(format, media=playable(entry.clip.path), folder=path.parent))

    def write_failed(self, failures: Mapping[str, str]) -> None:
        """Writes the list of failed sources and their reasons; without any removes an old one."""
        lines = [{"source": source, "reason": reason} for source, reason in failures.items()]
        write_json_lines(self.path / FAILED, lines)

    def drawn(self) -> set[Path]:
        """Returns the videos with drawings that are results: no clips to transcribe."""
        return {resolved(self.path / (name + DRAWN)) for name in self._owners}

    def _is_ours(self, clip: Clip) -> bool:
        return self._owners.get(clip.name) == resolved(clip.path)

    def _files(self, clip: Clip) -> list[Path]:
        return [self.file(clip, suffix) for suffix in (*SUFFIXES.values(), DRAWN)]

    def _read(self) -> None:
        """Reads the record. Of two lines with one source, the later counts."""
        lines = read_text(self.record, _KIND).split("\n")
        kept: dict[str, Any] = {}
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            place = f"{self.record}:{number}"
            try:
                record = decode_json(line.encode(), place)
                entry = self._entry(check(_Line, record, place), record)
            except InputError as error:
                if number == len(lines):
                    # The run was killed while it wrote the line: the clip is to be done.
                    continue
                raise InputError(f"{error}; choose another --output_dir, or remove the file") from None
            kept[entry.clip.name] = record
        if lines[-1] or len(kept) != len(lines) - 1:
            write_json_lines(self.record, kept.values())

    def _entry(self, line: _Line, record: Mapping[str, Any]) -> Entry:
        path = resolved(self.path / line.source)
        spans = tuple(
            GlossSpan(each.gloss, each.start_seconds, each.end_seconds, each.confidence) for each in line.glosses
        )
        transcript = Transcript(line.source, line.duration_seconds, line.decoder, Hypothesis(spans, line.score))
        entry = Entry(Clip(path, line.id), line.size, record["made_with"], transcript)
        self._entries[path] = entry
        self._owners[line.id] = path
        return entry


def _size(clip: Clip) -> int:
    with suppress(OSError):
        return source_size(clip.path)
    return -1
