"""Writes the transcripts of clips to the terminal or into one file, in the order of the clips."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

from signloom.console import say
from signloom.errors import InputError, plural
from signloom.extract.sources import Clip
from signloom.files.writing import write_text
from signloom.inference.read_clips import Points
from signloom.inference.search import Found
from signloom.subtitles import Format, playable
from signloom.transcripts.recognise import Job, Recognition
from signloom.transcripts.transcript import Transcript, TranscriptStream


def write_single(job: Job, clip: Clip, format: Format, output: Path | None) -> int:
    """Writes the transcript of one clip to standard output or a file; returns exit status 0.

    Raises InputError if it has none.
    """
    transcripts: list[Transcript] = []
    model = job.load([clip])
    if format == "text" or output:
        say(f"decoder: {model.decoder_name}")
    recognition = Recognition(lambda _, transcript, landmarks: transcripts.append(transcript))
    recognition.run(job, model, [clip])
    if recognition.failures:
        raise InputError(recognition.failures[clip])
    recognition.warn()
    (transcript,) = transcripts
    folder = None if output is None else output.absolute().parent
    text = transcript.in_format(format, media=playable(clip.path), folder=folder)
    if output is None:
        sys.stdout.write(text)
    else:
        write_text(output, text)
        say(f"{plural(len(transcript.hypothesis.glosses), 'gloss')}; written: {output}")
    return 0


def write_stream(job: Job, found: Found, format: Format, output: Path | None) -> int:
    """Writes the transcripts of many clips, each with its source, to standard output or a file; returns the exit
    status.
    """
    model = job.load(found.clips)
    say(f"{plural(len(found.clips), 'clip')}{found.ignored()}; decoder: {model.decoder_name}")
    target = io.StringIO() if output else _StandardOutput()
    writer = _InOrder(TranscriptStream(target, format), found.clips)

    def done(clip: Clip, transcript: Transcript, landmarks: Points) -> None:
        writer.add(clip, transcript)

    recognition = Recognition(done, lambda clip: writer.add(clip, None))
    recognition.run(job, model, found.clips)
    recognition.warn()
    if output and isinstance(target, io.StringIO):
        write_text(output, target.getvalue())
    failures = [*found.failed.values(), *recognition.failures.values()]
    written = f"; written: {output}" if output else ""
    failed = f"; {len(failures):,} failed" if failures else ""
    say(f"{plural(writer.count, 'clip')} transcribed{failed}{written}")
    return 1 if failures else 0


class _StandardOutput:
    """Standard output beside a progress bar. While the bar is drawn on a terminal, it takes the place of `sys.stdout`:
    right for text to the same terminal, wrong for text to a file or a pipe.
    """

    def __init__(self) -> None:
        self._stream = sys.stdout

    def write(self, text: str, /) -> int:
        return (sys.stdout if self._stream.isatty() else self._stream).write(text)


class _InOrder:
    """Writes transcripts in the order of the clips, whichever is done first. count: of those written."""

    def __init__(self, writer: TranscriptStream, clips: Sequence[Clip]) -> None:
        self.count = 0
        self._writer = writer
        self._clips = list(reversed(clips))
        self._waiting: dict[Clip, Transcript | None] = {}

    def add(self, clip: Clip, transcript: Transcript | None) -> None:
        """Takes the transcript of a clip; None if there is none."""
        self._waiting[clip] = transcript
        while self._clips and self._clips[-1] in self._waiting:
            result = self._waiting.pop(self._clips.pop())
            if result is not None:
                self._writer.write(result)
                self.count += 1
