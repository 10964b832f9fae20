"""Imports RWTH-PHOENIX-Weather 2014, multisigner or SI5: its annotations, joined with landmark files, as a corpus.

The annotations are the release's `{train,dev,test}.corpus.csv`, for SI5 `{train,dev,test}.SI5.corpus.csv`: lines of
`id|folder|signer|annotation`. First extract the landmarks from the frames, which are anamorphic, with
'signloom extract .../features/fullFrame-210x260px --pixel_aspect 0.8667 --output LANDMARKS'.

One clip of train is left out, as in every published system: it has too few frames for its annotation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from signloom.console import say
from signloom.errors import Faults, InputError
from signloom.files.paths import files_of
from signloom.importers.annotations import Annotation, AnnotationSource, JoinOptions, check_splits, import_tables
from signloom.landmarks import Landmarks
from signloom.text.tables import read_table

COLUMNS = ("id", "folder", "signer", "annotation")
# Some mirrors of the release have no dev of SI5; a derived dev has a further word in its name.
PATTERNS = {
    "multisigner": {split: f"{split}.corpus.csv" for split in ("train", "dev", "test")},
    "si5": {split: f"{split}.SI5*.corpus.csv" for split in ("train", "dev", "test")},
}
# Rows of the published csv files, including the broken clip.
PUBLISHED = {
    "multisigner": {"train": 5672, "dev": 540, "test": 629},
    "si5": {"train": 4376, "dev": 111, "test": 180},
}
BROKEN_CLIP = "13April_2011_Wednesday_tagesschau_default-14"
BROKEN_REASON = "the published clip is broken: too few frames for its annotation"
LICENCE = "CC BY-NC-SA 3.0 (the archive's README says: non-commercial CC 4.0 with attribution)"
_SIGNER = re.compile(r"Signer0[1-9]")
SIGNERS_ARE = "Signer01 to Signer09"
# 260/300: frames of 210x260 are shown as 210x300. Source: README of the SI5 release.
PIXEL_ASPECT = 260 / 300


@dataclass(frozen=True, kw_only=True)
class Options(JoinOptions):
    """Options of `signloom import phoenix2014`."""

    split_set: Literal["multisigner", "si5"] | None = None
    """The division: multisigner (all nine signers in every split) or si5 (Signer05 only in dev and test). Default: the
    one whose files are there."""


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    split_set = options.split_set or find_split_set(options.annotations, check_splits(options.splits))
    source = AnnotationSource(
        importer="phoenix2014",
        title=f"RWTH-PHOENIX-Weather 2014, {split_set}",
        licence=LICENCE,
        citation="Koller, Forster, Ney. CVIU 141, 2015"
        + ("; Koller, Zargaran, Ney. CVPR 2017" if split_set == "si5" else ""),
        details={"split_set": split_set},
    )
    return import_tables(
        source,
        options,
        PATTERNS[split_set],
        read_annotations,
        signers=is_signer,
        signers_are=SIGNERS_ARE,
        disjoint_signers=split_set == "si5",
        published_sizes=PUBLISHED[split_set],
        broken={BROKEN_CLIP: BROKEN_REASON},
        note=check_geometry,
    )


def find_split_set(given: Sequence[str], splits: Sequence[str]) -> str:
    """Returns the division that has files for most of the splits among the annotations.

    Raises InputError if both have as many.
    """
    files = [path for name in given for path in files_of(Path(name), Faults("annotations"))]
    counts = {
        name: sum(any(path.match(patterns[split]) for path in files) for split in splits)
        for name, patterns in PATTERNS.items()
    }
    if counts["si5"] == counts["multisigner"] > 0:
        raise InputError(
            f"{', '.join(given)}: has the files of multisigner and of si5; say which with --split_set, or give the "
            "folder of one release"
        )
    if counts["si5"] <= counts["multisigner"]:
        return "multisigner"
    say("note: these are the annotations of SI5 (--split_set si5)")
    return "si5"


def read_annotations(path: str | Path, split: str, faults: Faults) -> list[Annotation]:
    """Returns the annotations of one csv file, the broken clip included; adds the faults of its lines to `faults`."""
    return [
        Annotation(row["id"], split, row["signer"] or None, tuple(row["annotation"].split()), row.place)
        for row in read_table(Path(path), COLUMNS, faults)
    ]


def is_signer(name: str) -> bool:
    """Returns whether `name` is one of the nine signers of PHOENIX."""
    return _SIGNER.fullmatch(name) is not None


def check_geometry(landmarks: Landmarks) -> str | None:
    """Returns a note on landmarks extracted from the anamorphic frames with another pixel aspect, else None."""
    if landmarks.image_size == (210, 260) and abs(landmarks.pixel_aspect - PIXEL_ASPECT) > 0.01:
        return (
            f"extracted with pixel aspect {landmarks.pixel_aspect:g}; PHOENIX frames of 210x260 are shown as 210x300: "
            "extract them again with --pixel_aspect 0.8667, or every body is 15 % too wide"
        )
    return None
