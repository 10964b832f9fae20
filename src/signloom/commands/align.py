"""Finds when each gloss of a known sentence was signed, by forced alignment with a model, for one clip or many.

SOURCE is one clip (a video, a folder of frames or a landmark file), a folder of landmark files, or a corpus. For one
clip, --glosses gives the sentence, or the row of --annotations (id|gloss) with the clip's name. A folder of landmark
files needs --annotations; a corpus has its own sentences. The result for one clip goes to the terminal or to the file
--output. For many clips, --output is a folder with a file for each clip, and a run that was stopped continues where it
stopped.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from signloom.commands.clip_options import ClipOptions
from signloom.console import progress_bar, say, say_list
from signloom.corpus import HEADER, MANIFEST, Corpus, check_split
from signloom.errors import Faults, InputError, plural
from signloom.files.locks import locked
from signloom.files.paths import file_stem, inside
from signloom.files.reading import sha256_of
from signloom.files.schemas import read_record
from signloom.files.staging import Stage, settle_locked
from signloom.files.temporary import remove_temporary
from signloom.files.writing import write_json, write_json_lines
from signloom.importers.landmark_files import LandmarkFiles
from signloom.importers.write_corpus import with_place
from signloom.inference.align import aligned, check_known, mean_confidence
from signloom.inference.model import Model
from signloom.landmarks import SUFFIX, ClipView, Landmarks, read_view
from signloom.run_folder import model_path
from signloom.subtitles import SUFFIXES, playable, write_spans
from signloom.text.clean import clean
from signloom.text.tables import read_table

RECORD, FAILED = "align.json", "failed.jsonl"
# How many utterances a message names.
_NUM_SHOWN = 10


@dataclass(kw_only=True)
class Options(ClipOptions):
    """Options of `signloom align`."""

    positionals: ClassVar[tuple[str, ...]] = ("source",)

    source: Path
    """a video, a folder of frames, a landmark file (.npz), a folder of landmark files, or a corpus"""
    glosses: str | None = None
    """the sentence of one clip, glosses separated by spaces"""
    annotations: Path | None = None
    """a table id|gloss with the sentences of one clip or of a folder of landmark files"""
    split: str | None = None
    """align only this split of a corpus: train, dev or test; default: all"""
    output: Path | None = None
    """file for one clip (default: the terminal), or folder for many"""
    min_confidence: float = 0.3
    """warn about sentences with a lower mean confidence: the clip probably shows something else"""
    overwrite: bool = False
    """replace files that exist already"""


@dataclass(frozen=True)
class Task:
    """One clip of many: its id, its glosses, a function that reads a view of it, and the place of its annotation."""

    id: str
    glosses: tuple[str, ...]
    read: Callable[[str], ClipView]
    place: str


def run(options: Options) -> int:
    """Returns the exit status: 0 when every clip was aligned, 1 when some of many could not be."""
    if not 0 <= options.min_confidence <= 1:
        raise InputError(f"--min_confidence is {options.min_confidence}; needed a number from 0 to 1")
    if not options.source.exists():
        raise InputError(f"{options.source}: no such file or folder")
    if options.glosses is not None and options.annotations is not None:
        raise InputError("--glosses and --annotations both give the sentence; use one of them")
    is_corpus = (options.source / HEADER).is_file()
    if options.split is not None and not is_corpus:
        raise InputError(f"--split needs a corpus (a folder with {HEADER}); {options.source} is none")
    holds_landmarks = options.source.is_dir() and any(options.source.rglob(f"*{SUFFIX}"))
    if is_corpus:
        return _align_many(options, options.load_model(), _corpus_tasks(options))
    if holds_landmarks and options.annotations:
        return _align_many(options, options.load_model(), _folder_tasks(options.source, options.annotations))
    return _align_one(options, options.load_model())


def _align_one(options: Options, model: Model) -> int:
    options.check_ending()
    format = options.written_format
    if options.output is not None and options.output.is_dir():
        raise InputError(f"--output {options.output} is a folder; needed a file for one clip")
    if options.output is not None and options.output.exists() and not options.overwrite:
        raise InputError(f"--output {options.output} exists already; choose another name or pass --overwrite")
    glosses = _sentence(options)
    # An unknown gloss fails now, not after the extraction of a video, which takes as long as the video.
    check_known(glosses, model.vocabulary.words)
    landmarks = options.landmarks_of(options.source, model.view)
    try:
        spans, score = aligned(model, landmarks, glosses)
    except InputError as error:
        raise InputError(f"{options.source}: {error}") from None
    record = _record(str(options.source), landmarks, score)
    write_spans(options.output or sys.stdout, spans, format, media=playable(options.source), record=record)
    if (confidence := mean_confidence(spans)) < options.min_confidence:
        say(
            f"warning: {options.source}: mean confidence {confidence:.0%}, below {options.min_confidence:.0%}; the "
            f"clip probably shows other glosses. Compare: signloom transcribe {options.source} {options.model_flag}"
        )
    if options.output:
        say(f"{plural(len(spans), 'gloss')} aligned, mean confidence {confidence:.0%}; written: {options.output}")
    return 0


def _sentence(options: Options) -> tuple[str, ...]:
    """Returns the glosses of one clip, from --glosses or --annotations. Raises InputError if neither has them."""
    if options.glosses is not None:
        if not options.glosses.split():
            raise InputError("--glosses is empty; needed at least one gloss")
        return tuple(clean(options.glosses).split())
    if options.annotations is None:
        raise InputError(
            f"{options.source}: its sentence is missing; give --glosses 'A B C', or --annotations TABLE with its row"
        )
    sentences = _sentences(options.annotations)
    stem = options.source.stem if options.source.is_file() else options.source.name
    if stem not in sentences:
        near = difflib.get_close_matches(stem, sentences, n=1)
        hint = f" (there is {near[0]!r})" if near else ""
        raise InputError(f"{options.annotations}: no row with id {stem!r}{hint}; needed one for {options.source}")
    glosses, place = sentences[stem]
    if not glosses:
        raise InputError(f"{place}: the annotation is empty; needed at least one gloss")
    return glosses


def _sentences(path: Path) -> dict[str, tuple[tuple[str, ...], str]]:
    """Returns the glosses and the place of each id of a table. Raises InputError listing all faults."""
    faults = Faults(str(path))
    rows = read_table(path, ("id", "gloss"), faults, delimiter=None)
    faults.add_repeated_ids((row["id"], row.place) for row in rows)
    faults.raise_if_any()
    return {row["id"]: (tuple(clean(row["gloss"]).split()), row.place) for row in rows}


def _corpus_tasks(options: Options) -> list[Task]:
    if options.glosses is not None or options.annotations is not None:
        raise InputError(f"{options.source} is a corpus with its own sentences; omit --glosses and --annotations")
    check_split(options.split)
    corpus = Corpus.open(options.source)
    chosen = corpus.with_glosses if options.split is None else corpus.with_glosses.split(options.split)
    return [Task(item.id, item.glosses, partial(corpus.load_view, item), item.id) for item in chosen]


def _folder_tasks(source: Path, annotations: Path) -> list[Task]:
    files = LandmarkFiles(source)

    def read(name: str, view: str) -> ClipView:
        path = files.find(name, "")
        if path is None:
            raise InputError(files.why_missing(name))
        return read_view(path, view)

    sentences = _sentences(annotations)
    return [Task(name, glosses, partial(read, name), place) for name, (glosses, place) in sentences.items()]


def _align_many(options: Options, model: Model, tasks: Sequence[Task]) -> int:
    if options.output is None:
        raise InputError(
            f"{options.source} has {plural(len(tasks), 'clip')}; give a folder for the results with --output"
        )
    if options.output.exists() and not options.output.is_dir():
        raise InputError(f"--output {options.output} is a file; needed a folder for {plural(len(tasks), 'clip')}")
    with locked(options.output):
        return _align_all(options, options.output, model, tasks)


def _align_all(options: Options, folder: Path, model: Model, tasks: Sequence[Task]) -> int:
    suffix = SUFFIXES[options.written_format]
    settle_locked(folder)
    # Old results stay until all new ones are there.
    stage = Stage(folder)
    made_in = stage.path if options.overwrite else folder
    _check_resume(options, made_in, stage)
    failed: list[tuple[str, str]] = []
    doubtful: list[tuple[float, str]] = []
    confidences: list[float] = []
    num_existing = 0
    owners: dict[str, str] = {}
    names: list[str] = []
    with progress_bar() as bar:
        bar_task = bar.add_task("aligning", total=len(tasks), unit="clips")
        for task in tasks:
            try:
                name = f"{file_stem(task.id)}{suffix}"
                if owners.setdefault(name.casefold(), task.id) != task.id:
                    raise InputError(f"{name} is already the file of {owners[name.casefold()]}; rename one of them")
                names.append(name)
                path = inside(made_in, name)
                if path.is_file():
                    num_existing += 1
                else:
                    landmarks = task.read(model.view)
                    spans, score = aligned(model, landmarks, task.glosses)
                    write_spans(path, spans, options.written_format, record=_record(task.id, landmarks, score))
                    confidences.append(mean_confidence(spans))
                    if confidences[-1] < options.min_confidence:
                        doubtful.append((confidences[-1], task.id))
            except InputError as error:
                failed.append((task.id, with_place(task.place, error)))
            bar.advance(bar_task)
    write_json_lines(made_in / FAILED, [{"id": name, "reason": reason} for name, reason in failed])
    if options.overwrite:
        made = [path.name for path in made_in.iterdir() if not path.name.startswith(".")]
        stage.commit(made, remove=[FAILED, *names])
    done = f"{len(confidences):,} of {plural(len(tasks), 'clip')} aligned" + (
        f", {num_existing:,} existed already" if num_existing else ""
    )
    mean = f"; mean confidence {np.mean(confidences):.0%}" if confidences else ""
    print(f"{folder}: {done}{mean}")
    if doubtful:
        say(f"warning: {len(doubtful):,} below {options.min_confidence:.0%}; these clips probably show other glosses:")
        lines = [f"{name}: mean confidence {confidence:.0%}" for confidence, name in sorted(doubtful)]
        say_list(lines, _NUM_SHOWN)
    if failed:
        say(f"not aligned: {len(failed):,}; {folder / FAILED} lists all of them")
        say_list([reason for _, reason in failed], _NUM_SHOWN)
    print(f"next: {_next_step(options)}")
    return 1 if failed else 0


def _check_resume(options: Options, folder: Path, stage: Stage) -> None:
    """Records model, sentences and format in the folder that is written, which with --overwrite is the stage.

    Existing files that were made with others are removed from the stage. Elsewhere, InputError is raised.
    """
    sentences = options.annotations or options.source / MANIFEST
    path = model_path(options.model_file)
    made_of = {
        "model_sha256": sha256_of(path),
        "sentences_sha256": sha256_of(sentences),
        "format": options.written_format,
    }
    if folder.is_dir():
        remove_temporary(folder)
    record = folder / RECORD
    if record.is_file():
        try:
            before = read_record(record, dict)
        except InputError:
            before = {}
        other = [name.removesuffix("_sha256") for name in made_of if before.get(name) != made_of[name]]
        if other and options.overwrite:
            stage.clear()
        elif other:
            raise InputError(
                f"{folder}: has alignments made with another {' and '.join(other)}; "
                "choose another folder or pass --overwrite"
            )
    write_json(record, {**made_of, "model": str(options.model_file), "source": str(options.source)})


def _next_step(options: Options) -> str:
    if options.written_format == "eaf":
        return f"open the files of {options.output} in ELAN"
    return f"--format eaf makes files for ELAN; those of {options.output} are {SUFFIXES[options.written_format]}"


def _record(source: str, landmarks: Landmarks | ClipView, score: float) -> Mapping[str, Any]:
    return {"source": source, "duration_seconds": round(landmarks.duration_seconds, 3), "score": round(score, 4)}
