"""Imports a tier of glosses from ELAN files (.eaf): a corpus with --landmarks, else a table id|gloss.

An ELAN file is one utterance, its glosses in order of time. --segments TIER names a tier of sentences: then each
sentence is one utterance, and the landmarks are cut at its times. Landmark files have the name of the linked video or
of the ELAN file. The split of a file is the folder train, dev or test that contains it, else --split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path

from signloom.console import say
from signloom.corpus import SPLITS, check_split
from signloom.eaf import SUFFIX, EafDocument, TimedAnnotation, read_eaf
from signloom.errors import Faults, InputError, listed
from signloom.files import files_of, write_text
from signloom.frame_times import ROUNDING_SECONDS
from signloom.importers.annotations import (
    Annotation,
    AnnotationSource,
    LandmarkFiles,
    check_annotations,
    check_splits,
    write_utterances,
)
from signloom.importers.write_corpus import LeftOut, NewUtterance
from signloom.landmarks import Landmarks

# Landmarks of this many files stay in memory while their segments are cut; one hour of video takes 0.6 GB.
_CACHED = 2


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `signloom import elan`."""

    annotations: list[str]
    """ELAN files, or folders that contain them."""
    tier: str
    """The tier with the glosses, one gloss per annotation."""
    output: Path
    """Folder of the new corpus; without --landmarks, the file of a table id|gloss (.csv)."""
    landmarks: Path | None = None
    """Folder with the landmark files of the videos, as 'signloom extract' writes it."""
    segments: str | None = None
    """A tier of sentences: each sentence becomes an utterance."""
    split: str = "train"
    """Split of the files outside folders train, dev or test."""
    splits: list[str] = field(default_factory=lambda: list(SPLITS))
    """The splits to import: some of train dev test."""
    replace_spaces: str | None = None
    """Replacement for spaces in a gloss, such as - ; without it, a gloss with spaces is a fault."""
    licence: str | None = None
    """Licence of the data, recorded in the corpus."""
    skip_missing: bool = False
    """Leave out utterances without a landmark file and list them in left_out.jsonl, instead of stopping."""
    overwrite: bool = False
    """Replace an existing corpus or table."""


@dataclass(frozen=True)
class ElanUtterance:
    """An utterance of an ELAN file.

    stems: possible names of its landmark file.  span: its sentence, or None for the whole file.
    spans: start and end of its glosses, in milliseconds from its own start.
    """

    annotation: Annotation
    stems: tuple[str, ...]
    span: TimedAnnotation | None
    spans: tuple[tuple[int, int], ...]


def run(options: Options) -> int:
    """Writes the corpus or the table; returns exit status 0."""
    splits = check_splits(options.splits)
    check_split(options.split)
    faults = Faults("import elan")
    files = find_eaf(options.annotations, options.split, splits)
    sentences: list[ElanUtterance] = []
    left_out: list[LeftOut] = []
    for path, split in files.items():
        try:
            document = read_eaf(path)
        except InputError as error:
            faults.add(str(error))
            continue
        sentences += read_sentences(path, document, split, options, faults, left_out)
    check_annotations([sentence.annotation for sentence in sentences], faults)
    if options.landmarks is None:
        faults.raise_if_any()
        return _write_table(sentences, options, left_out)
    return _join(sentences, list(files), options.landmarks, options, faults, left_out)


def find_eaf(given: Sequence[str], default: str, splits: Sequence[str]) -> dict[Path, str]:
    """Returns the ELAN files in files and folders, each with its split; those of other splits are left out.

    Raises InputError listing every path that does not exist or has no ELAN file.
    """
    faults = Faults("annotations")
    split_of: dict[Path, str] = {}
    for name in given:
        root = Path(name)
        paths = files_of(root, faults)
        if root.is_dir():
            paths = [path for path in paths if path.suffix == SUFFIX and path.name[0] != "."]
            if not paths:
                faults.add(f"{root}: no files ending in {SUFFIX} in this folder")
        for path in paths:
            folders = path.relative_to(root).parts[:-1] if root.is_dir() else ()
            split_of[path] = next((part for part in (*reversed(folders), root.name) if part in SPLITS), default)
    faults.raise_if_any()
    chosen = {path: split for name in splits for path, split in split_of.items() if split == name}
    if not chosen:
        raise InputError(
            f"annotations: no ELAN files of split {' or '.join(splits)}; the {len(split_of)} files are of other splits"
        )
    return chosen


def read_sentences(
    path: Path, document: EafDocument, split: str, options: Options, faults: Faults, left_out: list[LeftOut]
) -> list[ElanUtterance]:
    """Returns the utterances of one file; adds to `faults`, and segments without a gloss to `left_out`."""
    tiers = [options.tier, *([options.segments] if options.segments is not None else [])]
    missing = [tier for tier in tiers if tier not in document.tiers]
    for tier in missing:
        faults.add(f"{path}: no tier {tier!r}; it has {listed(map(repr, document.tiers)) or 'none'}")
    if missing:
        return []
    stems = tuple(dict.fromkeys([*(Path(name).stem for name in document.media), path.stem]))
    glosses = _clean(path, document.tiers[options.tier], options, faults)
    _check_times(path, options.tier, glosses, faults)
    signer = document.participants.get(options.tier)
    if options.segments is None:
        annotation = Annotation(path.stem, split, signer, tuple(gloss for *_, gloss in glosses), str(path))
        return [ElanUtterance(annotation, stems, None, tuple((start, end) for start, end, _ in glosses))]
    segments = document.tiers[options.segments]
    _check_times(path, options.segments, segments, faults)
    if not segments:
        faults.add(f"{path}: tier {options.segments!r} is empty; needed at least one sentence")
    signer = signer or document.participants.get(options.segments)
    sentences = []
    covered = 0
    for number, segment in enumerate(segments, 1):
        # A gloss belongs to the segment that contains its middle: annotators do not hit the exact millisecond.
        inside = [item for item in glosses if 2 * segment.start_ms <= item.start_ms + item.end_ms < 2 * segment.end_ms]
        covered += len(inside)
        name = f"{path.stem}_{number:04d}"
        place = f"{path} ({_clock(segment.start_ms)} to {_clock(segment.end_ms)})"
        if not inside:
            left_out.append(LeftOut(name, f"{place}: no gloss of tier {options.tier!r} in this segment"))
            continue
        spans = tuple(
            (max(item.start_ms - segment.start_ms, 0), min(item.end_ms, segment.end_ms) - segment.start_ms)
            for item in inside
        )
        annotation = Annotation(name, split, signer, tuple(gloss for *_, gloss in inside), place)
        sentences.append(ElanUtterance(annotation, stems, segment, spans))
    if covered < len(glosses):
        say(f"note: {path}: {len(glosses) - covered:,} of {len(glosses):,} glosses are in no segment and are left out")
    return sentences


def _clean(path: Path, intervals: Sequence[TimedAnnotation], options: Options, faults: Faults) -> list[TimedAnnotation]:
    """Returns the annotations with valid glosses as values; adds invalid ones to `faults`."""
    cleaned = []
    for start, end, value in intervals:
        words = value.split()
        place = f"{path} ({_clock(start)})"
        if not words:
            faults.add(f"{place}: an annotation of tier {options.tier!r} is empty; fill it or remove it in ELAN")
        elif len(words) > 1 and options.replace_spaces is None:
            faults.add(f"{place}: gloss {value.strip()!r} has spaces; needed one word, or pass --replace_spaces -")
        elif "|" in value:
            faults.add(f"{place}: gloss {value.strip()!r} has a bar, which separates columns; rename it")
        else:
            cleaned.append(TimedAnnotation(start, end, (options.replace_spaces or "").join(words)))
    return cleaned


def _check_times(path: Path, tier: str, intervals: Sequence[TimedAnnotation], faults: Faults) -> None:
    """Adds annotations to `faults` that end before they start, or overlap the previous one."""
    for start, end, value in intervals:
        if start >= end or start < 0:
            faults.add(
                f"{path}: tier {tier!r}, {value!r:.40} is from {_clock(start)} to {_clock(end)}; correct its times"
            )
    for before, after in pairwise(intervals):
        if after.start_ms < before.end_ms:
            faults.add(
                f"{path}: tier {tier!r}, {before.value!r:.40} ({_clock(before.start_ms)} to {_clock(before.end_ms)}) "
                f"and {after.value!r:.40} (from {_clock(after.start_ms)}) overlap; needed one after the other"
            )


def _clock(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f} s"


def _join(
    sentences: Sequence[ElanUtterance],
    files: Sequence[Path],
    folder: Path,
    options: Options,
    faults: Faults,
    left_out: list[LeftOut],
) -> int:
    landmarks = LandmarkFiles(folder)
    load = lru_cache(maxsize=_CACHED)(Landmarks.load)
    items: list[NewUtterance] = []
    for sentence in sentences:
        annotation = sentence.annotation
        try:
            paths = [landmarks.find(stem, annotation.split) for stem in sentence.stems]
        except InputError as error:
            faults.add(f"{annotation.place}: {error}")
            continue
        path = next((path for path in paths if path is not None), None)
        if path is None:
            reason = f"{landmarks.why_missing(sentence.stems[0])} (looked for {', '.join(sentence.stems)})"
            if options.skip_missing:
                left_out.append(LeftOut(annotation.id, reason))
            else:
                faults.add(f"{annotation.place}: {reason}")
                faults.advice = "--skip_missing leaves out utterances without landmarks"
            continue
        file = path if sentence.span is None else None
        spans = [list(span) for span in sentence.spans]
        items.append(
            annotation.item(partial(_read, load, path, sentence.span), file, tier=options.tier, gloss_ms=spans)
        )
    source = AnnotationSource(
        importer="elan",
        title="ELAN annotations",
        licence=options.licence or "not stated in the files; see where they come from",
        citation="Wittenburg et al. 2006. ELAN: a Professional Framework for Multimodality Research. LREC",
        files=files,
        details={"tier": options.tier, "segments": options.segments},
    )
    return write_utterances(
        items, source, options.output, faults=faults, left_out=left_out, overwrite=options.overwrite
    )


def _read(load: Callable[[Path], Landmarks], path: Path, span: TimedAnnotation | None) -> Landmarks:
    return cut(load(path), span, path)


def cut(landmarks: Landmarks, span: TimedAnnotation | None, path: Path) -> Landmarks:
    """Returns the frames of a span, or all frames if it is None. Raises InputError if it ends after the clip."""
    if span is None:
        return landmarks
    end = landmarks.start_seconds + landmarks.duration_seconds
    # The last frame of a video can be a little longer or shorter than the others.
    if span.end_ms / 1000 > end + 1 / landmarks.fps + ROUNDING_SECONDS or span.start_ms / 1000 >= end:
        raise InputError(
            f"the segment ends at {_clock(span.end_ms)}, {path.name} at {end:.3f} s; "
            "is it the right video, and its --fps right?"
        )
    if span.end_ms / 1000 <= landmarks.start_seconds:
        raise InputError(
            f"the segment ends at {_clock(span.end_ms)}, but the picture of {path.name} begins at "
            f"{landmarks.start_seconds:.3f} s; is it the right video?"
        )
    part = landmarks.between(span.start_ms / 1000, span.end_ms / 1000)
    return replace(part, source={**part.source, "cut_ms": [span.start_ms, span.end_ms]})


def _write_table(sentences: Sequence[ElanUtterance], options: Options, left_out: Sequence[LeftOut]) -> int:
    path = options.output
    if path.suffix != ".csv":
        raise InputError(f"--output is {path}; needed a name ending in .csv, because without --landmarks it is a table")
    if path.exists() and not options.overwrite:
        raise InputError(f"--output {path} already exists; choose another name or pass --overwrite")
    if not sentences:
        raise InputError(f"{', '.join(options.annotations)}: no utterance has a gloss; the table was not written")
    lines = ["id|split|signer|start_ms|end_ms|gloss"]
    for sentence in sentences:
        item, (start, end) = sentence.annotation, sentence.span[:2] if sentence.span else ("", "")
        lines.append(f"{item.id}|{item.split}|{item.signer or ''}|{start}|{end}|{' '.join(item.glosses)}")
    write_text(path, "\n".join([*lines, ""]))
    for entry in left_out:
        say(f"left out: {entry.reason}")
    print(f"{path}: {len(sentences):,} utterances, {sum(len(item.annotation.glosses) for item in sentences):,} glosses")
    print("next: signloom import elan with --landmarks makes a corpus of them")
    return 0
