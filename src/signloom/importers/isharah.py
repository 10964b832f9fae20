"""Tables of `id` and `gloss` (Isharah, MSLR and others) joined with landmark files -> a corpus.

Columns are separated by bars, commas or tabs: `id|gloss`. One table a split, its name beginning with train, dev or
test: train.csv, dev.txt, test-SI.tsv. Further columns are ignored. Isharah's ids begin with the number of the signer
(02_0001); for other tables --signer_pattern says how an id names its signer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from signloom.errors import Faults, InputError
from signloom.importers.annotations import (
    Annotation,
    AnnotationSource,
    JoinOptions,
    check_annotations,
    check_disjoint_signers,
    check_splits,
    find_tables,
    join,
)
from signloom.importers.write_corpus import signer_pattern
from signloom.tables import read_table

COLUMNS = ("id", "gloss")
# Ending in .csv, .txt or .tsv.
PATTERNS = {split: f"{split}*.[ct][sx][vt]" for split in ("train", "dev", "test")}
ISHARAH_SIGNER = r"^(\d+)_"


@dataclass(frozen=True, kw_only=True)
class Options(JoinOptions):
    """Options of `signloom import isharah`."""

    signer_pattern: str = ISHARAH_SIGNER
    r"""Regular expression with one (group), which finds the signer in an id; 'none' where ids do not tell."""
    signer_independent: bool = False
    """Insist that no signer of train is in dev or test (Isharah's task SI)."""
    licence: str | None = None
    """Licence of the data, recorded in the corpus."""


def run(options: Options) -> int:
    """Returns the exit status 0: the corpus was written."""
    splits = check_splits(options.splits)
    told = options.signer_pattern.lower() != "none"
    pattern = signer_pattern(options.signer_pattern, "--signer_pattern") if told else None
    if options.signer_independent and pattern is None:
        raise InputError("--signer_independent needs to know the signers; give --signer_pattern")
    tables = find_tables(options.annotations, splits, PATTERNS)
    faults = Faults("import isharah")
    annotations: list[Annotation] = []
    for split, path in tables.items():
        annotations += read_annotations(path, split, faults, pattern=pattern)
    check_annotations(
        annotations,
        faults,
        signers=bool if pattern else None,
        signers_are=f"an id in which {options.signer_pattern} finds one (see --signer_pattern)",
    )
    if options.signer_independent:
        check_disjoint_signers(annotations, faults)
    source = AnnotationSource(
        importer="isharah",
        title="Isharah, or a table of its form",
        licence=options.licence or "not stated in the files; see where they come from",
        citation="Alyami et al. Isharah: A Large-Scale Multi-Scene Dataset for Continuous Sign Language Recognition. "
        "arXiv 2506.03615",
        files=list(tables.values()),
    )
    return join(annotations, source, options, faults=faults)


def read_annotations(
    path: Path, split: str, faults: Faults, *, pattern: re.Pattern[str] | None = re.compile(ISHARAH_SIGNER)
) -> list[Annotation]:
    """Returns the annotations of one table; faults of its lines are added to `faults`.

    pattern: its group is the signer in an id; None for signers that are not known.
    """
    annotations = []
    for row in read_table(path, COLUMNS, faults, delimiter=None):
        found = pattern.search(row["id"]) if pattern else None
        annotations.append(
            Annotation(row["id"], split, found[1] if found else None, tuple(row["gloss"].split()), row.place)
        )
    return annotations
