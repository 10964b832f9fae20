"""Imports tables of `id` and `gloss` (Isharah, MSLR, How2Sign, your own), joined with landmark files, as a corpus.

Bars, commas, semicolons or tabs separate the columns: `id|gloss`; JSON records work as well. There is one table per
split, with train, dev or test in its name (train.csv, val.csv, test-SI.tsv), or one table with a column `split`.
Columns of start and end cut the clip; a column `video` then names its landmark file. The signer is the column `signer`,
or what --signer_pattern finds in an id; Isharah's ids start with its number (02_0001).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from signloom.console import say
from signloom.errors import Faults, InputError, listed
from signloom.files.paths import files_of
from signloom.importers import records, spans
from signloom.importers.annotations import Annotation, AnnotationSource, JoinOptions, check_splits, join
from signloom.text.clean import clean
from signloom.text.gloss_fields import glosses_of
from signloom.text.patterns import UserPattern
from signloom.text.tables import Row

ISHARAH_SIGNER = r"^(\d+)_"
_IDS = (*records.ID_COLUMNS, *records.VIDEO_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class Options(JoinOptions):
    """Options of `signloom import isharah`."""

    signer_pattern: str | None = None
    r"""Regular expression with one (group) that finds the signer in an id; 'none' if ids do not name the signer.
    Default: the column signer, or else the number that Isharah's ids start with, ^(\d+)_"""
    signer_independent: bool = False
    """Check that no signer of train is in dev or test (Isharah's task SI)."""
    gloss_column: str | None = None
    """The column with the glosses, if it is not called gloss, glosses, annotation, orth or label."""
    times: spans.Unit | None = None
    """Unit of columns called start and end: seconds, ms or frames. Default: the unit in which they fit the clips."""
    licence: str | None = None
    """Licence of the data, recorded in the corpus."""


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    splits = check_splits(options.splits)
    options.check_output()
    signers = Signers(options.signer_pattern)
    if options.signer_independent and not signers.known:
        raise InputError("--signer_independent needs to know the signers; give --signer_pattern")
    source = AnnotationSource(
        importer="isharah",
        title="Isharah, or a table of its form",
        licence=options.licence or "not stated in the files; see where they come from",
        citation="Alyami et al. Isharah: A Large-Scale Multi-Scene Dataset for Continuous Sign Language Recognition. "
        "arXiv 2506.03615",
    )
    faults = Faults(f"import {source.importer}")
    tables = find_tables(options.annotations, splits)
    annotations = [
        annotation
        for path, split in tables
        for annotation in read_annotations(path, split, faults, signers=signers, gloss_column=options.gloss_column)
        if annotation.split in splits
    ]
    if not annotations and not faults:
        faults.add(f"{listed(str(path) for path, _ in tables)}: no rows of {' or '.join(splits)}")
    absent = [split for split in splits if split not in {item.split for item in annotations}]
    if absent and annotations and not faults:
        say(f"note: {listed(str(path) for path, _ in tables)}: no rows of {' and '.join(absent)}")
    if options.times is not None:
        annotations = [_with_unit(item, options.times) for item in annotations]
    return join(
        numbered(annotations),
        replace(source, files=[path for path, _ in tables]),
        options,
        faults=faults,
        signers=bool if signers.known else None,
        signers_are=f"an id in which {signers.pattern} finds one (see --signer_pattern), or a column signer",
        disjoint_signers=options.signer_independent,
    )


class Signers:
    """Finds the signer of a row: by a pattern in its id if one is given, else in a column, else as in Isharah's ids.

    known: whether every row must have a signer.  pattern: the regular expression for ids.

    Raises InputError for a pattern that is no regular expression with one group.
    """

    def __init__(self, pattern: str | None) -> None:
        self.known = pattern is None or pattern.lower() != "none"
        self._given = pattern is not None and self.known
        self.pattern = pattern if pattern is not None and self.known else ISHARAH_SIGNER
        self._compiled = UserPattern(self.pattern, "--signer_pattern")

    def __call__(self, row: Row, identity: str) -> str | None:
        column = row.first(records.SIGNER_COLUMNS) or None
        if not self.known or (column is not None and not self._given):
            return column
        return self._compiled.find(clean(identity))


def find_tables(given: Sequence[str], splits: Sequence[str]) -> list[tuple[Path, str | None]]:
    """Returns the tables to read and the split of each; None for a table whose column `split` says it.

    given: files, or folders that are searched with all subfolders. Tables with the name of a split are preferred.

    Raises InputError listing every path that does not exist, and every split with no table or more than one.
    """
    faults = Faults("annotations")
    candidates = [
        path
        for name in given
        for path in files_of(Path(name), faults)
        if path.suffix.lower() in records.SUFFIXES and not path.name.startswith((".", "~"))
    ]
    faults.raise_if_any()
    by_split: defaultdict[str | None, list[Path]] = defaultdict(list)
    for path in dict.fromkeys(candidates):
        by_split[records.split_of_name(path.stem)].append(path)
    named = [path for split in splits for path in by_split[split]]
    whole = [path for path in dict.fromkeys(candidates) if records.has_split_column(path)]
    if whole and (len(candidates) == 1 or not named):
        return [(path, None) for path in whole]
    where = ", ".join(given)
    for split in splits:
        if len(by_split[split]) > 1:
            faults.add(f"{split}: {listed(map(str, by_split[split]), shown=3)} all match; give the right file itself")
        elif not by_split[split] and not any(Path(name).is_file() for name in given if len(given) > 1):
            others = ",".join(item for item in splits if item != split)
            without = f", or import without this split: --splits {others}" if others else ""
            kinds = ", ".join(records.SUFFIXES)
            faults.add(f"{split}: no table with {split} in its name ({kinds}) in {where}; give the file{without}")
    faults.raise_if_any()
    return [(path, split) for split in splits for path in by_split[split]]


def read_annotations(
    path: Path,
    split: str | None,
    faults: Faults,
    *,
    signers: Signers | None = None,
    gloss_column: str | None = None,
) -> list[Annotation]:
    """Returns the annotations of one table; adds the faults of its lines to `faults`.

    split: of the table; None if a column says it.  gloss_column: the name of the column with the glosses.
    """
    signers = signers or Signers(None)
    gloss_columns = records.GLOSS_COLUMNS if gloss_column is None else (records.column_name(gloss_column),)
    needed = [_IDS, gloss_columns, *([records.SPLIT_COLUMNS] if split is None else [])]
    annotations = []
    for row in records.read_records(path, needed, faults):
        identity, video = row.first(_IDS), row.first(records.VIDEO_COLUMNS) or None
        says = row.first(records.SPLIT_COLUMNS)
        named = records.split_named(says)
        if split is None and named is None:
            faults.add(f"{row.place}: split is {says!r}; needed train, dev or test")
            continue
        if split is not None and named not in (None, split):
            faults.add(f"{row.place}: split is {says!r}, but the table's name says {split}; needed the same split")
        try:
            span = span_of(row)
            glosses = tuple(glosses_of(row.first(gloss_columns)))
        except InputError as error:
            faults.add(f"{row.place}: {error}")
            continue
        annotation = Annotation(identity, split or str(named), signers(row, identity), glosses, row.place)
        annotations.append(replace(annotation, video=video if video != identity else None, span=span))
    return annotations


def numbered(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Returns the annotations with different ids for parts of one clip: `video_0001`, `video_0002` in order of time.

    Ids that occur once stay, as do those of rows that do not name a part.
    """
    counts = Counter(item.id for item in annotations)
    parts: defaultdict[str, set[tuple[float, float]]] = defaultdict(set)
    for item in annotations:
        if item.span is not None:
            parts[item.id].add((item.span.start, item.span.end or 0))
    numbers = {name: {part: number for number, part in enumerate(sorted(parts[name]), 1)} for name in parts}
    result = []
    for item in annotations:
        if counts[item.id] > 1 and item.span is not None:
            number = numbers[item.id][item.span.start, item.span.end or 0]
            item = replace(item, id=f"{item.id}_{number:04d}", video=item.video or item.id)
        result.append(item)
    return result


def span_of(row: Row) -> spans.Span | None:
    """Returns the part of the clip that a row names, or None. Raises InputError for times that are invalid."""
    for columns in spans.TIME_COLUMNS:
        if columns[0] in row.fields and columns[1] in row.fields:
            return spans.read_span(row[columns[0]], row[columns[1]], columns)
    return None


def _with_unit(annotation: Annotation, unit: spans.Unit) -> Annotation:
    if annotation.span is None or annotation.span.unit is not None:
        return annotation
    return replace(annotation, span=replace(annotation.span, unit=unit))
