"""Imports tables of `id` and `gloss` (Isharah, MSLR, your own), joined with landmark files, as a corpus.

Bars, commas or tabs separate the columns: `id|gloss`. There is one table per split; its name starts with train, dev or
test: train.csv, dev.txt, test-SI.tsv. Further columns are ignored. Isharah's ids start with the number of the signer
(02_0001); for other tables --signer_pattern finds the signer in an id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from signloom.errors import Faults, InputError
from signloom.importers.annotations import Annotation, AnnotationSource, JoinOptions, import_tables
from signloom.importers.write_corpus import signer_in, signer_pattern
from signloom.tables import read_table

COLUMNS = ("id", "gloss")
# Ending in .csv, .txt or .tsv.
PATTERNS = {split: f"{split}*.[ct][sx][vt]" for split in ("train", "dev", "test")}
ISHARAH_SIGNER = r"^(\d+)_"


@dataclass(frozen=True, kw_only=True)
class Options(JoinOptions):
    """Options of `signloom import isharah`."""

    signer_pattern: str = ISHARAH_SIGNER
    r"""Regular expression with one (group) that finds the signer in an id; 'none' if ids do not name the signer."""
    signer_independent: bool = False
    """Check that no signer of train is in dev or test (Isharah's task SI)."""
    licence: str | None = None
    """Licence of the data, recorded in the corpus."""


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    known = options.signer_pattern.lower() != "none"
    pattern = signer_pattern(options.signer_pattern, "--signer_pattern") if known else None
    if options.signer_independent and pattern is None:
        raise InputError("--signer_independent needs to know the signers; give --signer_pattern")
    source = AnnotationSource(
        importer="isharah",
        title="Isharah, or a table of its form",
        licence=options.licence or "not stated in the files; see where they come from",
        citation="Alyami et al. Isharah: A Large-Scale Multi-Scene Dataset for Continuous Sign Language Recognition. "
        "arXiv 2506.03615",
    )
    return import_tables(
        source,
        options,
        PATTERNS,
        partial(read_annotations, pattern=pattern),
        signers=bool if pattern else None,
        signers_are=f"an id in which {options.signer_pattern} finds one (see --signer_pattern)",
        disjoint_signers=options.signer_independent,
    )


def read_annotations(
    path: Path, split: str, faults: Faults, *, pattern: re.Pattern[str] | None = re.compile(ISHARAH_SIGNER)
) -> list[Annotation]:
    """Returns the annotations of one table; adds the faults of its lines to `faults`.

    pattern: its group is the signer in an id; None if signers are unknown.
    """
    return [
        Annotation(row["id"], split, signer_in(row["id"], pattern), tuple(row["gloss"].split()), row.place)
        for row in read_table(path, COLUMNS, faults, delimiter=None)
    ]
