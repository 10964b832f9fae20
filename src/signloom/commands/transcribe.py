"""Recognises the glosses of videos, folders of frames or landmark files, with times and confidences.

SOURCES are files, folders, folder trees and quoted globs ('clips/*.mp4'). MediaPipe Holistic first extracts landmarks
from videos and frames, in several processes (about real time for each); --save_landmarks keeps them. Without
--output_dir, results go to the terminal. With it, each clip gets a file OUTPUT_DIR/<its path under the source>.txt; a
second run does only what is missing. The decoder is the model's own (beam search, with the language model that
`signloom tune` stored) unless flags override it. Exit status: 0 if every clip was transcribed, 1 if some of several
failed, 2 if there is nothing to transcribe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from signloom.commands.clip_options import ClipOptions
from signloom.console import say
from signloom.ctc.decoding_options import DecodingOptions
from signloom.errors import InputError
from signloom.extract.crop import Crop
from signloom.extract.holistic import Settings
from signloom.extract.resume import locked_output
from signloom.extract.sources import Clip
from signloom.files.locks import locked
from signloom.files.paths import resolved
from signloom.files.reading import sha256_of
from signloom.inference.caveats import simulated_note, vocabulary_note
from signloom.inference.model import Model
from signloom.inference.search import Found, is_single, search
from signloom.landmarks import is_simulated, read_header
from signloom.processes import usable_cpus
from signloom.run_folder import model_path
from signloom.subtitles import Format
from signloom.transcripts.batch import Batch
from signloom.transcripts.folder import TranscriptFolder
from signloom.transcripts.names import chosen
from signloom.transcripts.recognise import Job
from signloom.transcripts.stream import write_single, write_stream
from signloom.transcripts.transcript import STREAMED

# Options of the extraction.
_EXTRACTION = ("crop", "pixel_aspect", "fps")


@dataclass(kw_only=True)
class Options(ClipOptions, DecodingOptions):
    """Options of `signloom transcribe`."""

    positionals: ClassVar[tuple[str, ...]] = ("sources",)

    sources: list[str]
    """videos, folders of frames, landmark files (.npz), folder trees of them, or quoted globs"""
    format: Format | Literal["all"] | None = None  # type: ignore[assignment]
    """text for people, json for programs, csv and tsv for spreadsheets, srt and vtt for players, eaf for ELAN, all of
    them with --output_dir; default: the format that matches the suffix of --output, otherwise text"""
    output: Path | None = None
    """file for all results, which are written when all are there; default: the terminal. An ELAN file is best kept
    beside the video"""
    output_dir: Path | None = None
    """folder for a file per clip, which is written as soon as the clip is done; it mirrors the folder tree of each
    source"""
    save_landmarks: Path | None = None
    """folder for the extracted landmarks, as 'signloom extract' writes it; those that are there already are used again.
    For a single clip also a file (.npz)"""
    draw: bool = False
    """also write each clip as a film with what was tracked and the glosses as captions, NAME.drawn.mp4; needs
    --output_dir"""
    workers: int | None = None
    """number of processes that extract, each with about 0.6 GB of memory. Default: one per CPU"""
    overwrite: bool = False
    """transcribe clips again, and replace files that exist in --output_dir, and landmarks in --save_landmarks that were
    extracted with other options"""

    @property
    def job(self) -> Job:
        """How the clips are read and recognised. Raises InputError for a value that cannot be."""
        crop = None if self.crop is None else Crop.parse(self.crop)
        return Job(
            load=partial(_load, self),
            settings=Settings(crop=crop, pixel_aspect=self.pixel_aspect, fps=self.fps),
            workers=usable_cpus() if self.workers is None else self.workers,
            save_landmarks=self.save_landmarks,
            draw=self.draw,
            overwrite=self.overwrite,
        )


def run(options: Options) -> int:
    """Returns the exit status: 0 when every clip was transcribed, even if no sign was recognised; 1 when one failed."""
    _check(options)
    job = options.job
    found = search(options.sources)
    with ExitStack() as stack:
        folder = None
        if options.output_dir is not None and found.clips:
            stack.enter_context(locked(options.output_dir))
            folder = TranscriptFolder(options.output_dir)
        found.clips = chosen(found.clips, folder.names if folder else {}, _results(job, folder))
        if not found.clips:
            raise InputError(
                "\n".join(found.failed.values()) or "no clip: the sources hold results of this command only"
            )
        if job.landmarks_folder is not None:
            stack.enter_context(locked_output(job.landmarks_folder, None))
        single = is_single(options.sources, found.clips)
        _check_clips(options, job, found, single=single)
        for reason in found.failed.values():
            say(f"failed: {reason}")
        if folder is not None:
            return Batch(job, found, folder, _formats(options), _made_with(options)).run()
        if single:
            return write_single(job, found.clips[0], options.written_format, options.output)
        return write_stream(job, found, options.written_format, options.output)


def _check(options: Options) -> None:
    """Raises InputError for options that cannot be, before anything is loaded."""
    _ = options.model_file
    if options.workers is not None and options.workers < 1:
        raise InputError(f"--workers {options.workers}: needed at least 1")
    if options.save_landmarks is not None and str(options.save_landmarks) in map(os.path.normpath, options.sources):
        raise InputError(f"--save_landmarks {options.save_landmarks} is a source too; choose another folder")
    if options.output is not None and options.output_dir is not None:
        raise InputError("--output and --output_dir are two places for the results; leave out one of them")
    if options.output is not None and options.output.is_dir():
        raise InputError(f"--output {options.output} is a folder; needed the name of a file, or --output_dir")
    if options.output_dir is None:
        if options.format == "all":
            raise InputError("--format all writes several files per clip; needed a folder for them, --output_dir")
        if options.draw:
            raise InputError("--draw writes a film per clip; needed a folder for them, --output_dir")
        options.check_ending()
        # Raises an error for the ending of another format.
        _ = options.written_format
    elif options.output_dir.exists() and not options.output_dir.is_dir():
        raise InputError(f"--output_dir {options.output_dir} is a file; needed a folder")
    if options.draw:
        from signloom.drawing.person import import_pillow
        from signloom.extract.packages import import_av

        import_pillow("--draw")
        import_av("--draw")


def _check_clips(options: Options, job: Job, found: Found, *, single: bool) -> None:
    """Raises InputError for options that do not fit the clips, or missing packages, before the work."""
    videos = [clip for clip in found.clips if not clip.is_landmarks]
    useless = [name for name in _EXTRACTION if getattr(options, name) is not None]
    if useless and not videos:
        raise InputError(f"--{useless[0]} is for videos and frames; all sources are landmark files")
    if job.landmarks_file is not None and not single:
        raise InputError(f"--save_landmarks {job.landmarks_file} is a file; needed a folder for several clips")
    if not single and options.output_dir is None and options.written_format not in STREAMED:
        raise InputError(
            f"--format {options.written_format} is a file per clip; needed a folder for them, --output_dir"
        )
    if videos:
        from signloom.extract.packages import import_av, import_cv2

        job.settings.record()
        import_cv2()
        import_av()


def _results(job: Job, folder: TranscriptFolder | None) -> set[Path]:
    """Returns where results of earlier runs are, which are no clips."""
    places = folder.drawn() if folder else set()
    return places if job.landmarks_folder is None else places | {resolved(job.landmarks_folder)}


def _made_with(options: Options) -> Callable[[Clip], dict[str, Any]]:
    """Returns what the result of a clip depends on besides the clip; options not given are not in it."""

    def given(names: Iterable[str]) -> dict[str, Any]:
        values = {name: value for name in names if (value := getattr(options, name)) is not None}
        return {name: sha256_of(value) if isinstance(value, Path) else value for name, value in values.items()}

    of_points = {
        "model": sha256_of(model_path(options.model_file)),
        **given(item.name for item in fields(DecodingOptions)),
    }
    of_videos = {**of_points, **given(_EXTRACTION)}
    return lambda clip: of_points if clip.is_landmarks else of_videos


def _load(options: Options, clips: Sequence[Clip]) -> Model:
    """Returns the model, after saying what the user should know of it."""
    model = options.load_model().decoded_with(options)
    if note := vocabulary_note(model):
        say(f"note: {note}")
    if (note := simulated_note(model)) and (real := next(filter(_is_real, clips), None)):
        say(f"warning: {real.path} shows real signing, but {note}")
    return model


def _is_real(clip: Clip) -> bool:
    """Returns whether somebody was filmed, as far as the clip says it."""
    if not clip.is_landmarks:
        return True
    try:
        return not is_simulated(read_header(clip.path)["source"])
    except InputError:
        return False


def _formats(options: Options) -> list[Format]:
    """Returns the formats of the files to write."""
    if options.format != "all":
        return [options.written_format]
    formats = list(get_args(Format))
    if find_spec("pympi") is None:
        formats.remove("eaf")
        say("note: no ELAN files (.eaf): they need the package pympi-ling, of the extra 'elan'")
    return formats
