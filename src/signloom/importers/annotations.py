"""Joins annotations with landmark files into a corpus: shared by all importers of annotated sentences.

An importer reads its own tables into `Annotation`s. This module checks them, finds the landmark files, writes the
corpus and reports. All faults of an import are collected and shown together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from signloom.console import say
from signloom.corpus import SPLITS
from signloom.errors import Faults, InputError, listed, plural
from signloom.files.paths import file_stem, files_of
from signloom.files.reading import sha256_of
from signloom.hints import command
from signloom.importers.landmark_files import LandmarkFiles
from signloom.importers.spans import Span, cached_loader, note_on_cut, part_of, unit_of
from signloom.importers.write_corpus import LeftOut, NewUtterance, WriteOptions, leave_out_faults, write_corpus
from signloom.landmarks import SUFFIX, Landmarks
from signloom.text.clean import Cleaner, look_alikes, told_apart
from signloom.vocabulary import BLANK, UNKNOWN, Vocabulary

_SKIP_FAULTY = "--skip_faulty leaves out invalid rows and clips"


@dataclass(frozen=True, kw_only=True)
class JoinOptions(WriteOptions):
    """Options of all importers of annotations."""

    annotations: list[str]
    """The annotation files, or a folder that contains them (such as the unpacked release)."""
    landmarks: Path
    """Folder with the landmark files <id>.npz, as 'signloom extract' writes it; subfolders are searched too."""
    splits: list[str] = field(default_factory=lambda: list(SPLITS))
    """The splits to import: some of train,dev,test."""
    skip_missing: bool = False
    """Leave out utterances without a landmark file and list them in left_out.jsonl, instead of stopping."""
    skip_faulty: bool = False
    """Leave out invalid rows, and utterances whose clips are invalid or do not have the annotated part, and list them,
    too."""


@dataclass(frozen=True)
class Annotation:
    """The annotation of one utterance: its glosses in order.

    signer: None if unknown.  place: file and line of the annotation, for messages.
    video: the name of its landmark file, if it is not the id.  span: the part of that clip; None for the whole.
    """

    id: str
    split: str
    signer: str | None
    glosses: tuple[str, ...]
    place: str
    video: str | None = None
    span: Span | None = None

    def item(self, read: Callable[[], Landmarks], file: Path | None, **source: Any) -> NewUtterance:
        """Returns the utterance with its landmarks; see `NewUtterance`."""
        return NewUtterance(self.id, self.split, self.signer, self.glosses, self.place, read, file, source)


@dataclass(frozen=True)
class AnnotationSource:
    """The origin of annotations, recorded in the corpus.

    importer: its kind.  title, licence, citation: of the data set.  files: the annotation files.
    """

    importer: str
    title: str
    licence: str
    citation: str
    files: Sequence[Path] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def info(self, name: str) -> dict[str, Any]:
        """Returns the header entries of the corpus `name`."""
        return {
            "name": name,
            "importer": self.importer,
            "title": self.title,
            "licence": self.licence,
            "citation": self.citation,
            "annotations": [record for path in self.files if (record := _record_of(path)) is not None],
            **self.details,
        }


def _record_of(path: Path) -> dict[str, str] | None:
    """Returns name and hash of an annotation file; None for one that cannot be read, which is left out."""
    try:
        return {"file": path.name, "sha256": sha256_of(path)}
    except InputError:
        return None


def check_splits(splits: Sequence[str]) -> list[str]:
    """Returns the splits in their usual order. Raises InputError for an unknown split, or if none is given."""
    wrong = [split for split in splits if split not in SPLITS]
    if wrong or not splits:
        raise InputError(f"--splits is {','.join(splits) or 'empty'}; needed some of {','.join(SPLITS)}")
    return [split for split in SPLITS if split in splits]


def find_tables(given: Sequence[str], splits: Sequence[str], patterns: Mapping[str, str]) -> dict[str, Path]:
    """Returns the annotation file of each split.

    given: files, or folders that are searched with all subfolders.
    patterns: for each split a glob pattern that the file's name must match.

    Raises InputError listing every path that does not exist, and every split with no file or more than one.
    """
    faults = Faults("annotations")
    candidates = [path for name in given for path in files_of(Path(name), faults)]
    tables: dict[str, Path] = {}
    where = ", ".join(given)
    for split in splits:
        matches = list(dict.fromkeys(path for path in candidates if path.match(patterns[split])))
        if len(matches) == 1:
            tables[split] = matches[0]
        elif matches:
            faults.add(f"{split}: {listed(map(str, matches), shown=3)} all match; give the right file itself")
        elif not faults:
            others = ",".join(item for item in splits if item != split)
            without = f", or import without this split: --splits {others}" if others else ""
            faults.add(f"{split}: no file {patterns[split]} in {where}; give the file{without}")
    faults.raise_if_any()
    return tables


def check_annotations(
    annotations: Sequence[Annotation], *, signers: Callable[[str], bool] | None = None, signers_are: str = ""
) -> dict[int, list[str]]:
    """Returns the faults of invalid annotations by their number: an id that occurred before, no glosses, a reserved
    one, or an unknown signer.

    signers: returns whether a signer's name is valid; None accepts all.  signers_are: the valid names, in words.
    """
    wrong: defaultdict[int, list[str]] = defaultdict(list)
    first: dict[str, str] = {}
    for number, annotation in enumerate(annotations):
        place = annotation.place
        if annotation.id in first:
            wrong[number].append(f"{place}: its id already occurs at {first[annotation.id]}; ids must be unique")
        first.setdefault(annotation.id, place)
        if not annotation.glosses:
            wrong[number].append(f"{place}: empty annotation; needed at least one gloss")
        if reserved := sorted({BLANK, UNKNOWN} & set(annotation.glosses)):
            wrong[number].append(f"{place}: gloss {reserved[0]} is reserved; rename it")
        if signers is not None and not signers(annotation.signer or ""):
            wrong[number].append(f"{place}: unknown signer {annotation.signer or ''!r}; needed {signers_are}")
    return wrong


def without_faulty(
    annotations: Sequence[Annotation],
    wrong: Mapping[int, Sequence[str]],
    faults: Faults,
    left_out: list[LeftOut] | None,
) -> list[Annotation]:
    """Returns the annotations without those that are `wrong` (see `check_annotations`); adds what is wrong to
    `left_out`, or to `faults` without that list.
    """
    if left_out is not None:
        left_out += [LeftOut(annotations[number].id, "; ".join(messages)) for number, messages in wrong.items()]
    else:
        faults.messages += [message for messages in wrong.values() for message in messages]
        faults.advice = faults.advice or (_SKIP_FAULTY if wrong else "")
    return [annotation for number, annotation in enumerate(annotations) if number not in wrong]


def check_disjoint_signers(annotations: Sequence[Annotation], faults: Faults) -> None:
    """Adds to `faults` every signer of dev or test who is also in train."""
    train = {annotation.signer for annotation in annotations if annotation.split == "train"}
    seen = Counter((item.split, item.signer) for item in annotations if item.split != "train" and item.signer in train)
    for (split, signer), count in sorted(seen.items(), key=str):
        first = next(item for item in annotations if (item.split, item.signer) == (split, signer))
        faults.add(
            f"{first.place}: {signer} is in train and in {split} ({plural(count, 'utterance')}); a signer-independent "
            "split needs other signers there"
        )


def import_tables(
    source: AnnotationSource,
    options: JoinOptions,
    patterns: Mapping[str, str],
    read: Callable[[Path, str, Faults], list[Annotation]],
    **checks: Any,
) -> int:
    """Imports a data set with one annotation file per split; returns the exit status.

    source: without its files.  patterns: see `find_tables`.  checks: further arguments of `join`.
    read: returns the annotations in the file of a split; adds the faults of its lines.
    """
    splits = check_splits(options.splits)
    options.check_output()
    tables = find_tables(options.annotations, splits, patterns)
    faults = Faults(f"import {source.importer}")
    annotations = [annotation for split, path in tables.items() for annotation in read(path, split, faults)]
    return join(annotations, replace(source, files=list(tables.values())), options, faults=faults, **checks)


def join(
    annotations: Sequence[Annotation],
    source: AnnotationSource,
    options: JoinOptions,
    *,
    faults: Faults,
    signers: Callable[[str], bool] | None = None,
    signers_are: str = "",
    disjoint_signers: bool = False,
    published_sizes: Mapping[str, int] | None = None,
    broken: Mapping[str, str] | None = None,
    left_out: Sequence[LeftOut] = (),
    note: Callable[[Landmarks], str | None] = lambda landmarks: None,
) -> int:
    """Checks annotations, joins them with their landmark files, writes the corpus and reports; returns the exit status.

    signers, signers_are: see `check_annotations`.
    disjoint_signers: no signer of train may be in dev or test.
    published_sizes: rows of each split of the published data set; a note reports other sizes.
    broken: ids whose clips are broken and left out, and what is wrong with each.
    left_out: utterances without an annotation, and why.
    note: returns a remark about a clip's landmarks, or None.

    Raises InputError listing every fault, those in `faults` first.
    """
    options.check_output()
    annotations = cleaned(annotations)
    left_out = list(left_out)
    if options.skip_faulty:
        leave_out_faults(faults, left_out)
    sound = without_faulty(
        annotations,
        check_annotations(annotations, signers=signers, signers_are=signers_are),
        faults,
        left_out if options.skip_faulty else None,
    )
    if options.skip_faulty:
        annotations = sound
    if disjoint_signers:
        check_disjoint_signers(annotations, faults)
    if published_sizes is not None:
        _note_sizes(annotations, published_sizes)
    broken = broken or {}
    left_out = [*left_out, *(LeftOut(item.id, broken[item.id]) for item in annotations if item.id in broken)]
    annotations = [annotation for annotation in annotations if annotation.id not in broken]
    files = LandmarkFiles(options.landmarks, options.output)
    found: list[tuple[Annotation, Path]] = []
    missing: list[tuple[Annotation, str]] = []
    for annotation in annotations:
        # The times of a part are those of its video; a file with the name of the utterance may be the part itself.
        names = [annotation.id] if annotation.video is None else [annotation.id, annotation.video]
        names = names if annotation.span is None else names[::-1]
        try:
            paths = [files.find(name, annotation.split) for name in names]
        except InputError as error:
            if options.skip_faulty:
                left_out.append(LeftOut(annotation.id, f"{annotation.place}: {error}"))
            else:
                faults.add(f"{annotation.place}: {error}")
            continue
        path = next((path for path in paths if path is not None), None)
        if path is None:
            missing.append((annotation, files.why_missing(names[0])))
        else:
            found.append((annotation, path))
    # Of the others, too, it was told where landmarks are missing.
    kept = {id(annotation) for annotation in sound}
    items = _items([(annotation, path) for annotation, path in found if id(annotation) in kept], faults)
    if annotations and not found and not faults:
        first = (annotations[0].video or annotations[0].id).rpartition("/")[2]
        faults.add(
            f"{options.landmarks}: none of the {plural(len(annotations), 'utterance')} has a landmark file here; "
            f"needed {file_stem(first)}{SUFFIX} and so on, got {files.examples()}. Make them with: signloom extract "
            "FRAMES --output LANDMARKS"
        )
    elif not options.skip_missing:
        for annotation, reason in missing:
            faults.add(f"{annotation.place}: {reason}")
        if missing:
            faults.advice = "--skip_missing leaves out utterances without landmarks"
    left_out = [*left_out, *(LeftOut(annotation.id, reason) for annotation, reason in missing)]
    status = write_utterances(
        items,
        source,
        options.output,
        faults=faults,
        left_out=left_out,
        note=lambda landmarks: note(landmarks) or note_on_cut(landmarks),
        skip_faulty=options.skip_faulty,
        advice=_SKIP_FAULTY,
        overwrite=options.overwrite,
        dry_run=options.dry_run,
    )
    note_glosses(items)
    return status


def cleaned(annotations: Sequence[Annotation], clean: Cleaner | None = None) -> list[Annotation]:
    """Returns the annotations with clean ids, signers and glosses (`text.clean`); prints one message if any changed."""
    clean = clean or Cleaner()
    result = []
    for item in annotations:
        glosses = tuple(word for gloss in item.glosses if (word := clean(gloss).strip()))
        signer = (clean(item.signer).strip() or None) if item.signer else item.signer
        result.append(replace(item, id=clean(item.id).strip(), signer=signer, glosses=glosses))
    if note := clean.note():
        say(f"note: {note}")
    return result


def _items(found: Sequence[tuple[Annotation, Path]], faults: Faults) -> list[NewUtterance]:
    """Returns the utterances of annotations with their landmark files; adds to `faults` times without a clear unit."""
    load = cached_loader()
    unknown = [
        (item.span, len(item.glosses), path) for item, path in found if item.span is not None and item.span.unit is None
    ]
    unit = None
    try:
        unit = unit_of(unknown, load) if unknown else None
    except InputError as error:
        faults.add(str(error))
        return []
    if unit is not None:
        say(f"note: start and end are {unit}: only so they fit the clips (--times overrides)")
    items = []
    for annotation, path in found:
        span = annotation.span
        if span is None:
            items.append(annotation.item(partial(Landmarks.load, path), path))
            continue
        span = replace(span, unit=span.unit or unit)
        items.append(annotation.item(partial(part_of, load, path, span), None, part=str(span), video=path.stem))
    return items


def write_utterances(
    items: Sequence[NewUtterance], source: AnnotationSource, output: Path, *, faults: Faults, **options: Any
) -> int:
    """Writes and reports the corpus of annotated utterances; returns the exit status.  options: of `write_corpus`."""
    next_step = command("train", data_dir=output)
    info = source.info(output.name)
    return write_corpus(items, output, info, noun="utterance", next_step=next_step, faults=faults, **options)


def _note_sizes(annotations: Sequence[Annotation], published: Mapping[str, int]) -> None:
    """Prints a note for each split with another number of rows than the published data set; an empty one is a fault."""
    for split in SPLITS:
        count = sum(annotation.split == split for annotation in annotations)
        if count not in (0, published[split]):
            say(f"note: {split} has {plural(count, 'row')}, the published data set {published[split]:,}")


def note_glosses(items: Sequence[NewUtterance]) -> None:
    """Prints a note on glosses that look alike, and on the glosses of dev and test that train does not have."""
    # Two glosses that differ in case only are the doctor's affair: nobody takes one for the other.
    glosses = {gloss for item in items for gloss in item.glosses}
    pairs = [group for group in look_alikes(glosses) if len({word.casefold() for word in group}) > 1]
    if pairs:
        shown = listed((told_apart(group) for group in pairs), shown=3)
        say(f"note: glosses that look alike and are different, in {plural(len(pairs), 'group')}: {shown}")
    train = [item.glosses for item in items if item.split == "train"]
    if not train:
        return
    vocabulary = Vocabulary.from_glosses(train)
    for split in ("dev", "test"):
        if unknown := vocabulary.unknown_note(split, [item.glosses for item in items if item.split == split]):
            say(f"note: {unknown}")
