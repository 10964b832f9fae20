"""Annotations + landmark files -> a corpus: what the importers of annotated sentences share.

Every importer of this kind reads its own tables into `Annotation`s; checking, finding the landmark files, writing and
reporting are the same for all and live here. All faults of an import are collected and shown together.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from signloom.console import say
from signloom.corpus import SPLITS
from signloom.errors import Faults, InputError, listed, plural
from signloom.files import file_stem
from signloom.importers.write_corpus import LeftOut, NewUtterance, report_import, write_corpus
from signloom.landmarks import SUFFIX, Landmarks
from signloom.vocabulary import BLANK, UNKNOWN, Vocabulary


@dataclass(frozen=True, kw_only=True)
class JoinOptions:
    """Options that all importers of annotations have."""

    annotations: list[str]
    """The annotation files, or a folder in which they lie (it may be the unpacked release)."""
    landmarks: Path
    """Folder with the landmark files <id>.npz, as 'signloom extract' wrote it; they may lie in folders below."""
    output: Path
    """Folder of the new corpus; its landmark files are links to the given ones where the disk allows that."""
    splits: list[str] = field(default_factory=lambda: list(SPLITS))
    """Which splits to import, of train dev test."""
    skip_missing: bool = False
    """Leave out utterances without a landmark file, listed in left_out.jsonl, instead of stopping."""
    overwrite: bool = False
    """Replace a corpus that is already there."""


@dataclass(frozen=True)
class Annotation:
    """What one utterance shows: its glosses in order, and where that is written. signer: None where unknown."""

    id: str
    split: str
    signer: str | None
    glosses: tuple[str, ...]
    place: str

    def item(self, read: Callable[[], Landmarks], file: Path | None, **source: Any) -> NewUtterance:
        """Returns the utterance with its landmarks; see `Item`."""
        return NewUtterance(self.id, self.split, self.signer, self.glosses, self.place, read, file, source)


@dataclass(frozen=True)
class AnnotationSource:
    """Where annotations come from, for the record in the corpus.

    importer: its kind.  title, licence, citation: of the data set.  files: those read.
    """

    importer: str
    title: str
    licence: str
    citation: str
    files: Sequence[Path]
    details: Mapping[str, Any] = field(default_factory=dict)

    def info(self, name: str) -> dict[str, Any]:
        """Returns the header entries of the corpus `name`."""
        return {
            "name": name,
            "importer": self.importer,
            "title": self.title,
            "licence": self.licence,
            "citation": self.citation,
            "annotations": [
                {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in self.files
            ],
            **self.details,
        }


def check_splits(splits: Sequence[str]) -> list[str]:
    """Returns the splits in their usual order. Raises InputError for an unknown one, or for none."""
    wrong = [split for split in splits if split not in SPLITS]
    if wrong or not splits:
        raise InputError(f"--splits is {' '.join(splits) or 'empty'}; needed some of {' '.join(SPLITS)}")
    return [split for split in SPLITS if split in splits]


def find_tables(given: Sequence[str], splits: Sequence[str], patterns: Mapping[str, str]) -> dict[str, Path]:
    """Returns the annotation file of each split.

    given: files, or folders that are searched with everything below.
    patterns: for each split a glob pattern that the file's name must match.

    Raises InputError with every path that does not exist, and every split with no file or more than one.
    """
    faults = Faults("annotations")
    candidates: list[Path] = []
    for name in given:
        path = Path(name)
        if path.is_dir():
            candidates += sorted(entry for entry in path.rglob("*") if entry.is_file())
        elif path.is_file():
            candidates.append(path)
        else:
            faults.add(f"{path}: no such file or folder")
    found: dict[str, Path] = {}
    where = ", ".join(given)
    for split in splits:
        matches = list(dict.fromkeys(path for path in candidates if path.match(patterns[split])))
        if len(matches) == 1:
            found[split] = matches[0]
        elif matches:
            faults.add(f"{split}: {listed(map(str, matches), shown=3)} all match; give the right file itself")
        elif not faults:
            others = " ".join(item for item in splits if item != split)
            without = f", or import without this split: --splits {others}" if others else ""
            faults.add(f"{split}: no file {patterns[split]} in {where}; give the file{without}")
    faults.raise_if_any()
    return found


def check_annotations(
    annotations: Sequence[Annotation],
    faults: Faults,
    *,
    signers: Callable[[str], bool] | None = None,
    signers_are: str = "",
) -> None:
    """Adds to `faults`: ids that occur twice, empty annotations, reserved glosses and unknown signers.

    signers: whether a signer's name is known; None accepts all.  signers_are: which those are, in words.
    """
    faults.add_repeated_ids((annotation.id, annotation.place) for annotation in annotations)
    for annotation in annotations:
        if not annotation.glosses:
            faults.add(f"{annotation.place}: the annotation is empty; needed at least one gloss")
        reserved = sorted({BLANK, UNKNOWN} & set(annotation.glosses))
        if reserved:
            faults.add(f"{annotation.place}: gloss {reserved[0]} is reserved; rename it")
        if signers is not None and not signers(annotation.signer or ""):
            faults.add(f"{annotation.place}: unknown signer {annotation.signer or ''!r}; needed {signers_are}")


def check_disjoint_signers(annotations: Sequence[Annotation], faults: Faults) -> None:
    """Adds to `faults` every signer of dev or test who also signs in train."""
    train = {annotation.signer for annotation in annotations if annotation.split == "train"}
    seen = Counter((item.split, item.signer) for item in annotations if item.split != "train" and item.signer in train)
    for (split, signer), count in sorted(seen.items(), key=str):
        first = next(item for item in annotations if (item.split, item.signer) == (split, signer))
        faults.add(
            f"{first.place}: {signer} signs in train and in {split} ({count:,} utterances); "
            "a signer-independent split needs other signers there"
        )


def join(
    annotations: Sequence[Annotation],
    source: AnnotationSource,
    options: JoinOptions,
    *,
    faults: Faults,
    left_out: Sequence[LeftOut] = (),
    note: Callable[[Landmarks], str | None] = lambda landmarks: None,
) -> int:
    """Returns the exit status, once the corpus of `annotations` with their landmark files is written and reported.

    left_out: what the importer left out itself, and why.
    note: something to tell about a clip's landmarks.

    Raises InputError with every fault, those in `faults` first.
    """
    files = LandmarkFiles(options.landmarks)
    items: list[NewUtterance] = []
    missing: list[tuple[Annotation, str]] = []
    for annotation in annotations:
        try:
            path = files.find(annotation.id, annotation.split)
        except InputError as error:
            faults.add(f"{annotation.place}: {error}")
            continue
        if path is None:
            missing.append((annotation, files.why_missing(annotation.id)))
        else:
            items.append(annotation.item(partial(Landmarks.load, path), path))
    if annotations and not items and not faults:
        faults.add(
            f"{options.landmarks}: none of the {len(annotations):,} utterances has a landmark file here; needed "
            f"{file_stem(annotations[0].id)}{SUFFIX} and so on, got {files.examples()}. Make them with: "
            f"signloom extract FRAMES --output LANDMARKS"
        )
    elif not options.skip_missing:
        for annotation, reason in missing:
            faults.add(f"{annotation.place}: {reason}")
        if missing:
            faults.advice = "utterances without landmarks can be left out with --skip_missing"
    left_out = [*left_out, *(LeftOut(annotation.id, reason) for annotation, reason in missing)]
    made = write_corpus(
        items,
        options.output,
        source.info(options.output.name),
        faults=faults,
        left_out=left_out,
        note=note,
        overwrite=options.overwrite,
    )
    _tell_unseen(items)
    return report_import(made, noun="utterances", next_step=f"signloom train --data_dir {options.output}")


class LandmarkFiles:
    """The landmark files under a folder, found by utterance id.

    Raises InputError when there is no such folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise InputError(f"--landmarks {root}: no such folder; needed the output of 'signloom extract'")
        self.root = root
        self._by_stem: defaultdict[str, list[Path]] = defaultdict(list)
        for path in sorted(root.rglob(f"*{SUFFIX}")):
            self._by_stem[path.stem].append(path)
        self._failures = {name.rsplit("/", 1)[-1]: reason for name, reason in extraction_failures(root)}

    def find(self, utterance_id: str, split: str) -> Path | None:
        """Returns the one file named after the id; of several, the one in a folder named after the split.

        Raises InputError when it is not clear which one is meant.
        """
        matches = self._by_stem.get(file_stem(utterance_id), [])
        if len(matches) > 1:
            matches = [path for path in matches if split in path.relative_to(self.root).parts[:-1]] or matches
        if len(matches) > 1:
            names = listed((path.relative_to(self.root).as_posix() for path in matches), shown=3)
            raise InputError(f"several landmark files fit: {names}; keep one, or sort them into {split}/")
        return matches[0] if matches else None

    def why_missing(self, utterance_id: str) -> str:
        """Returns what to say of an id that has no file: why its extraction failed, where that is on record."""
        stem = file_stem(utterance_id)
        reason = self._failures.get(stem)
        failed = f"; its extraction failed: {reason}" if reason else ""
        return f"no landmark file {stem}{SUFFIX} under {self.root}{failed}"

    def examples(self) -> str:
        """Returns the names of a few files that are there."""
        names = [path.relative_to(self.root).as_posix() for paths in self._by_stem.values() for path in paths]
        return listed(names, shown=2) if names else f"no {SUFFIX} files at all"


def extraction_failures(root: Path) -> Iterable[tuple[str, str]]:
    """Clip name and reason of every extraction that failed, from the `failed*.jsonl` of `signloom extract`."""
    for path in sorted(root.glob("failed*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
                yield str(record["clip"]), str(record["reason"])
            except (ValueError, KeyError, TypeError):
                # A line that a killed run left unfinished says nothing.
                continue


def tell_sizes(annotations: Sequence[Annotation], splits: Sequence[str], published: Mapping[str, int]) -> None:
    """Says where a split does not have as many rows as the published data set; one without any is a fault anyway."""
    for split in splits:
        count = sum(annotation.split == split for annotation in annotations)
        if count not in (0, published[split]):
            say(f"note: {split} has {plural(count, 'row')}, the published data set {published[split]:,}")


def _tell_unseen(items: Sequence[NewUtterance]) -> None:
    """Says which glosses of dev and test train does not have, what was left out of it not counted."""
    train = [item.glosses for item in items if item.split == "train"]
    if not train:
        return
    vocabulary = Vocabulary.from_glosses(train)
    for split in ("dev", "test"):
        if unknown := vocabulary.unknown_note(split, [item.glosses for item in items if item.split == split]):
            say(f"note: {unknown}")
