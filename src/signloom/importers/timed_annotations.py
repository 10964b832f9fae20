"""Imports tiers of timed annotations: shared by the importers elan, textgrid and subtitles.

An importer reads each file into a `TimedDocument`. This module makes utterances of its tiers, finds the landmarks, cuts
them, and writes the corpus, or a table if there are no landmarks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from signloom.console import say
from signloom.corpus import SPLITS, check_split
from signloom.corpus.splits import AUTO
from signloom.errors import Faults, InputError, plural
from signloom.files.paths import files_of
from signloom.files.writing import write_text
from signloom.hints import command
from signloom.importers.annotations import (
    Annotation,
    AnnotationSource,
    LandmarkFiles,
    check_splits,
    cleaned,
    note_glosses,
    write_utterances,
)
from signloom.importers.dev_split import DEFAULT, check_dev_option, with_dev_split
from signloom.importers.media_choice import choose_medium, find_landmarks, people_in
from signloom.importers.spans import Span, cached_loader
from signloom.importers.timed_sentences import Each, SignerSource, Tiers, TimedUtterance, read_utterances
from signloom.importers.write_corpus import LeftOut, NewUtterance, WriteOptions
from signloom.landmarks import Landmarks
from signloom.text.clean import Cleaner
from signloom.timed.annotations import Medium, TimedDocument
from signloom.vocabulary import BLANK, UNKNOWN


@dataclass(frozen=True, kw_only=True)
class TimedOptions(WriteOptions):
    """Options of all importers of timed annotations."""

    annotations: list[str]
    """The annotation files, or folders that contain them."""
    output: Path
    """Folder of the new corpus; without --landmarks, the file of a table id|gloss (.csv)."""
    landmarks: Path | None = None
    """Folder with the landmark files of the videos, as 'signloom extract' writes it."""
    split: str | None = None
    """Split of the files outside folders train, dev or test (default: train, with dev as --dev_signers says)."""
    dev_signers: list[str] = field(default_factory=lambda: [AUTO])
    """Signers that are used only for dev, if neither --split nor folders say the splits: auto (one in six, if there are
    six or more and train keeps every gloss), a number of them, their names, or known (none)."""
    splits: list[str] = field(default_factory=lambda: list(SPLITS))
    """The splits to import: some of train,dev,test."""
    replace_spaces: str | None = None
    """Replacement for spaces in a gloss, such as - ; without it, a gloss with spaces is a fault."""
    signer_from: str = "participant"
    """The signer: participant (of the tier), tier (the last word of its name), file (the name of the annotation file),
    none, or several joined by +, such as file+tier. tier:REGEX and file:REGEX take what the one (group) of a regular
    expression finds."""
    licence: str | None = None
    """Licence of the data, recorded in the corpus."""
    skip_missing: bool = False
    """Leave out utterances without a landmark file and list them in left_out.jsonl, instead of stopping."""
    skip_faulty: bool = False
    """Leave out invalid files and utterances and list them in left_out.jsonl, instead of stopping."""
    overwrite: bool = False
    """Replace an existing corpus or table."""


@dataclass(frozen=True, kw_only=True)
class TierOptions(TimedOptions):
    """Options of importers of files with tiers."""

    tier: list[str]
    """The tier with the glosses; several, one for each hand, are merged, the dominant hand first."""
    segments: str | None = None
    """A tier of sentences: each sentence becomes an utterance."""
    each: Each = "gloss"
    """What an annotation of --tier is: one gloss, or a sentence of glosses, which becomes an utterance."""

    @property
    def tiers(self) -> Tiers:
        """The tiers to import. Raises InputError for options that do not fit together."""
        names = tuple(self.tier)
        if not names or len(set(names)) < len(names):
            raise InputError(f"--tier is {','.join(names) or 'empty'}; needed one tier, or several different ones")
        if self.each == "sentence" and (len(names) > 1 or self.segments is not None):
            raise InputError("--each sentence needs one --tier and no --segments: its annotations are the sentences")
        return Tiers(names, self.segments, self.each, replace_spaces=self.replace_spaces)


def import_timed(
    options: TimedOptions,
    tiers: Tiers,
    source: AnnotationSource,
    suffixes: Sequence[str],
    read: Callable[[Path], TimedDocument],
) -> int:
    """Imports the tiers of annotation files as a corpus or a table; returns exit status 0.

    source: without its files.  suffixes: of the files to look for in folders.
    read: returns the content of a file; raises InputError if it is invalid.
    """
    splits = check_splits(options.splits)
    check_split(options.split)
    check_dev_option(options.dev_signers)
    signer = SignerSource(options.signer_from)
    files = find_annotation_files(options.annotations, options.split, splits, suffixes)
    if options.landmarks is None:
        _check_table(options)
    else:
        options.check_output()
    faults = Faults(f"import {source.importer}")
    left_out: list[LeftOut] = []
    utterances: list[TimedUtterance] = []
    clean = Cleaner()
    for path, (name, split) in files.items():
        try:
            document = read(path)
            content = read_utterances(path, name, split or DEFAULT, document, tiers.found_in(document), signer, clean)
        except InputError as error:
            if options.skip_faulty:
                left_out.append(LeftOut(name, str(error)))
            else:
                faults.add(str(error))
            continue
        utterances += content.utterances
        left_out += content.left_out
        if content.num_loose:
            lost = plural(content.num_loose, "gloss is", "glosses are")
            say(f"note: {path}: {lost} in no segment and left out")
        if not options.skip_faulty:
            faults.messages += content.problems
    utterances = _without_faulty(utterances, options, faults, left_out)
    annotations = cleaned([item.annotation for item in utterances], clean)
    given = options.split is not None or "dev" not in splits or any(split for _, split in files.values())
    if options.landmarks is None:
        faults.raise_if_any()
        annotations = with_dev_split(annotations, options.dev_signers, given=given)
        return _write_table(utterances, annotations, tiers, options, left_out)
    items = _with_landmarks(utterances, annotations, tiers, options, faults, left_out)
    items = with_dev_split(items, options.dev_signers, given=given)
    status = write_utterances(
        items,
        replace(source, files=list(files)),
        options.output,
        faults=faults,
        left_out=left_out,
        skip_faulty=options.skip_faulty,
        advice="--skip_faulty leaves out invalid files and utterances",
        overwrite=options.overwrite,
        dry_run=options.dry_run,
    )
    note_glosses(items)
    return status


def find_annotation_files(
    given: Sequence[str], default: str | None, splits: Sequence[str], suffixes: Sequence[str]
) -> dict[Path, tuple[str, str | None]]:
    """Returns the annotation files in files and folders, each with its name and split; those of other splits are left
    out.

    default: split of the files that lie in no folder of a split; None counts as train.

    The name is the file's stem; with as many of its folders as tell it from files of the same stem.

    Raises InputError listing every path that does not exist or has no such file.
    """
    faults = Faults("annotations")
    split_of: dict[Path, str | None] = {}
    for name in given:
        root = Path(name)
        paths = files_of(root, faults)
        if root.is_dir():
            paths = [path for path in paths if path.suffix.lower() in suffixes and path.name[0] != "."]
            if not paths:
                faults.add(f"{root}: no files ending in {' or '.join(suffixes)} in this folder")
        for path in paths:
            folders = path.relative_to(root).parts[:-1] if root.is_dir() else ()
            split_of[path] = next((part for part in (*reversed(folders), root.name) if part in SPLITS), default)
    faults.raise_if_any()
    names = _names(list(split_of))
    chosen = {
        path: (names[path], split) for name in splits for path, split in split_of.items() if (split or DEFAULT) == name
    }
    if not chosen:
        raise InputError(
            f"annotations: no files of split {' or '.join(splits)}; "
            f"{plural(len(split_of), 'file is', 'files are')} of other splits"
        )
    return chosen


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Returns a name for each file: its stem, with as many folders as it needs to be the only one."""
    names = {path: path.stem for path in paths}
    for depth in range(1, max((len(path.parts) for path in paths), default=0)):
        by_name: defaultdict[str, list[Path]] = defaultdict(list)
        for path, name in names.items():
            by_name[name.casefold()].append(path)
        for same in by_name.values():
            if len(same) > 1:
                names.update({path: "/".join([*path.parts[:-1][-depth:], path.stem]) for path in same})
    return names


def _without_faulty(
    utterances: Sequence[TimedUtterance], options: TimedOptions, faults: Faults, left_out: list[LeftOut]
) -> list[TimedUtterance]:
    """Returns the utterances without problems; the others are left out if the options say so, else they are faults.

    Those with faults are returned as well, unless it is a dry run: their landmarks may be missing, too.
    """
    kept = []
    told: set[str] = set()
    for item in utterances:
        problems, annotation = item.problems, item.annotation
        if not annotation.glosses and not problems:
            problems = (f"{annotation.place}: empty annotation; needed at least one gloss",)
        if reserved := sorted({BLANK, UNKNOWN} & set(annotation.glosses)):
            problems = (*problems, f"{annotation.place}: gloss {reserved[0]} is reserved; rename it")
        if problems and options.skip_faulty:
            left_out.append(LeftOut(annotation.id, "; ".join(problems)))
            continue
        for problem in problems:
            if problem not in told:
                faults.add(problem)
            told.add(problem)
            faults.advice = "--skip_faulty leaves out invalid files and utterances"
        if not problems or not options.dry_run:
            kept.append(item)
    return kept


def _with_landmarks(
    utterances: Sequence[TimedUtterance],
    annotations: Sequence[Annotation],
    tiers: Tiers,
    options: TimedOptions,
    faults: Faults,
    left_out: list[LeftOut],
) -> list[NewUtterance]:
    """Returns the utterances with their landmarks; adds to `faults` and `left_out` those that have none.

    annotations: those of the utterances, clean.
    """
    landmarks = LandmarkFiles(options.landmarks or Path(), options.output)
    load = cached_loader()
    items: list[NewUtterance] = []
    found: dict[Path, tuple[Path | None, Medium | None, list[str]]] = {}
    refused: set[Path] = set()
    for item, annotation in zip(utterances, annotations, strict=True):
        path = item.path
        if path not in found and path not in refused:
            try:
                names = tiers.found_in(item.document).glosses
                found[path] = find_landmarks(item.document, path, names, tiers.media, landmarks, annotation.split)
            except InputError as error:
                refused.add(path)
                if options.skip_faulty:
                    left_out.append(LeftOut(path.stem, str(error)))
                else:
                    text = str(error)
                    faults.add(text if text.startswith(str(path)) else f"{path}: {text}")
        if path in refused:
            continue
        file, medium, stems = found[path]
        if file is None:
            reason = f"{landmarks.why_missing(stems[0])} (looked for {', '.join(stems)})"
            if options.skip_missing:
                left_out.append(LeftOut(annotation.id, reason))
            else:
                faults.add(f"{annotation.place}: {reason}")
                faults.advice = "--skip_missing leaves out utterances without landmarks"
            continue
        origin = medium.origin_ms if medium is not None else 0
        start = origin if item.span is None else 0
        record: dict[str, Any] = {"tier": " + ".join(tiers.glosses), "video": file.stem}
        if item.spans:
            record["gloss_ms"] = [[start + first, start + last] for first, last in item.spans]
        if item.span is None:
            items.append(annotation.item(partial(Landmarks.load, file), file, **record))
        else:
            span = Span(item.span.start_ms + origin, item.span.end_ms + origin, "ms")
            items.append(annotation.item(partial(_cut, load, file, span), None, **record))
    _note_people(utterances, found)
    return items


def _cut(load: Callable[[Path], Landmarks], path: Path, span: Span) -> Landmarks:
    return span.cut(load(path), path.name)


def _note_people(
    utterances: Sequence[TimedUtterance], found: Mapping[Path, tuple[Path | None, Medium | None, list[str]]]
) -> None:
    """Prints a note on files with the annotations of several people and one video."""
    people: dict[Path, set[str]] = {}
    for item in utterances:
        _, medium, _ = found.get(item.path, (None, None, []))
        if item.path not in people:
            people[item.path] = people_in(item.document, medium)
    shared = {path: names for path, names in people.items() if names}
    if shared:
        path, names = next(iter(shared.items()))
        say(
            f"note: {plural(len(shared), 'file')} with annotations of several people and one video (e.g. {path}: "
            f"{', '.join(sorted(names))}); landmarks are those of one person: is it this tier's?"
        )


def _check_table(options: TimedOptions) -> None:
    """Raises InputError if the table cannot be written."""
    path = options.output
    if path.suffix != ".csv":
        raise InputError(f"--output is {path}; needed a name ending in .csv, because without --landmarks it is a table")
    if path.exists() and not options.overwrite and not options.dry_run:
        raise InputError(f"--output {path} already exists; choose another name or pass --overwrite")


def _write_table(
    utterances: Sequence[TimedUtterance],
    annotations: Sequence[Annotation],
    tiers: Tiers,
    options: TimedOptions,
    left_out: Sequence[LeftOut],
) -> int:
    """Writes the utterances as a table, with their times on the clock of their videos; returns exit status 0."""
    if not utterances:
        raise InputError(f"{', '.join(options.annotations)}: no utterance has a gloss; the table was not written")
    lines = ["id|video|split|signer|start_ms|end_ms|gloss"]
    for utterance, item in zip(utterances, annotations, strict=True):
        document = utterance.document
        medium = choose_medium(document, utterance.path, tiers.found_in(document).glosses, tiers.media)
        if medium is None and len({video.origin_ms for video in document.videos}) > 1:
            names = ", ".join(video.name for video in document.videos)
            raise InputError(
                f"{utterance.path}: links {plural(len(document.videos), 'video')} with different offsets ({names}); "
                f"give a part of the right one's name: --media {document.videos[0].stem}"
            )
        video = medium.stem if medium is not None else utterance.path.stem
        origin = (medium or next(iter(document.videos), Medium(""))).origin_ms
        span = utterance.span
        start, end = ("", "") if span is None else (span.start_ms + origin, span.end_ms + origin)
        lines.append(f"{item.id}|{video}|{item.split}|{item.signer or ''}|{start}|{end}|{' '.join(item.glosses)}")
    for entry in left_out:
        say(f"left out: {entry.reason}")
    count = sum(len(item.annotation.glosses) for item in utterances)
    if options.dry_run:
        print(f"{options.output}: would have {plural(len(utterances), 'utterance')}, {plural(count, 'gloss')}")
        print("\n".join([*lines[:6], "dry run: nothing was written"]))
        return 0
    write_text(options.output, "\n".join([*lines, ""]))
    print(f"{options.output}: {plural(len(utterances), 'utterance')}, {plural(count, 'gloss')}")
    joined = command("import", "isharah", annotations=options.output, landmarks="LANDMARKS", output="CORPUS")
    print(f"next: {joined}")
    return 0
