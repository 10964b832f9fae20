"""Writes the transcripts of clips into a folder, and goes on where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from signloom.console import say
from signloom.errors import InputError, StoppedError, plural, signal_of
from signloom.extract.sources import Clip
from signloom.hints import command
from signloom.inference.read_clips import Points
from signloom.inference.search import Found
from signloom.landmarks import Landmarks
from signloom.subtitles import SUFFIXES, Format
from signloom.transcripts.folder import DRAWN, FAILED, TranscriptFolder
from signloom.transcripts.recognise import Job, Recognition
from signloom.transcripts.transcript import Transcript


class Batch:
    """The transcripts of many clips in a folder.

    formats: of the files of each clip.
    made_with: returns what the result of a clip depends on besides the clip, for the record.
    """

    def __init__(
        self,
        job: Job,
        found: Found,
        folder: TranscriptFolder,
        formats: Sequence[Format],
        made_with: Callable[[Clip], Mapping[str, Any]],
    ) -> None:
        self.job, self.found, self.folder, self.formats, self.made_with = job, found, folder, formats, made_with
        self.failures = dict(found.failed)
        self.done = self.existed = self.glosses = 0

    def run(self) -> int:
        """Returns the exit status: 1 if a clip failed.

        Raises InputError if results were made with another model or other options, StoppedError for Ctrl-C.
        """
        missing = self._missing()
        recognition = Recognition(self._write)
        try:
            if missing:
                say(f"{plural(len(self.found.clips), 'clip')}, {len(missing):,} to transcribe{self.found.ignored()}")
                model = self.job.load(missing)
                say(f"decoder: {model.decoder_name}")
                recognition.run(self.job, model, missing)
        except KeyboardInterrupt as interrupt:
            kept = f"; their results are in {self.folder.path}" if self.done else ""
            raise StoppedError(
                f"interrupted after {self.done:,} of {plural(len(missing), 'clip')}{kept}. The same command goes on "
                "from there",
                signal_of(interrupt),
            ) from None
        finally:
            self.failures.update({str(clip.path): reason for clip, reason in recognition.failures.items()})
            self.folder.write_failed(self.failures)
        recognition.warn()
        self._summarise()
        return 1 if self.failures else 0

    def _missing(self) -> list[Clip]:
        """Returns the clips without a result; of the others, writes the files that are missing."""
        wanted = [*(SUFFIXES[format] for format in self.formats), *([DRAWN] if self.job.draw else [])]
        if self.job.overwrite:
            return list(self.found.clips)
        entries = {clip: self.folder.entry(clip) for clip in self.found.clips}
        for clip, entry in entries.items():
            made = self.made_with(clip)
            if entry is not None and entry.made_with != made:
                names = [name for name in {**made, **entry.made_with} if made.get(name) != entry.made_with.get(name)]
                raise InputError(
                    f"{self.folder.path}: has results made with another {' and another '.join(names)} ({clip.path}); "
                    "choose another --output_dir, or pass --overwrite to transcribe them again"
                )
        missing = []
        for clip, entry in entries.items():
            try:
                for suffix in wanted:
                    self.folder.check_free(clip, suffix)
                if entry is None or (self.job.draw and not self.folder.file(clip, DRAWN).exists()):
                    missing.append(clip)
                    continue
                for format in self.formats:
                    if not self.folder.file(clip, SUFFIXES[format]).exists():
                        self.folder.write(entry, format)
                self.existed += 1
            except InputError as error:
                self.failures[str(clip.path)] = str(error)
                say(f"failed: {error}")
        return missing

    def _write(self, clip: Clip, transcript: Transcript, landmarks: Points) -> None:
        entry = self.folder.add(clip, self.made_with(clip), transcript)
        for format in self.formats:
            self.folder.write(entry, format)
        if self.job.draw and isinstance(landmarks, Landmarks):
            from signloom.drawing.captioned import write_captioned
            from signloom.drawing.show import Shown

            shown = Shown(landmarks, None if clip.is_landmarks else clip.path)
            write_captioned(shown, transcript.hypothesis.glosses, self.folder.file(clip, DRAWN))
        self.done += 1
        self.glosses += len(transcript.hypothesis.glosses)

    def _summarise(self) -> None:
        folder, total = self.folder.path, plural(len(self.found.clips), "clip")
        glosses = f" ({plural(self.glosses, 'gloss')})" if self.done else ""
        existed = f", {self.existed:,} existed already" if self.existed else ""
        print(f"{folder}: {self.done:,} of {total} transcribed{glosses}{existed}")
        if self.failures:
            say(f"not transcribed: {len(self.failures):,}; the reasons are in {folder / FAILED}")
        if self.done or self.existed:
            print(f"next: {command('score', 'REFERENCES', self.folder.record)}  # where the true sentences are known")
