"""Imports RWTH-PHOENIX-Weather 2014 T: its annotations, joined with landmark files, as a corpus.

The annotations are the release's `PHOENIX-2014-T.{train,dev,test}.corpus.csv`: lines of
`name|video|start|end|speaker|orth|translation`, of which name, speaker and orth (the glosses) are used. First extract
the landmarks from the frames, which are anamorphic, with
'signloom extract .../features/fullFrame-210x260px --pixel_aspect 0.8667 --output LANDMARKS'.
"""

from __future__ import annotations

from pathlib import Path

from signloom.errors import Faults
from signloom.importers.annotations import Annotation, AnnotationSource, JoinOptions, import_tables
from signloom.importers.phoenix2014 import LICENCE, SIGNERS_ARE, check_geometry, is_signer
from signloom.text.tables import read_table

COLUMNS = ("name", "video", "start", "end", "speaker", "orth", "translation")
# The release has a second train file, `train-complex-annotation`, which published systems do not use.
PATTERNS = {split: f"PHOENIX-2014-T.{split}.corpus.csv" for split in ("train", "dev", "test")}
PUBLISHED = {"train": 7096, "dev": 519, "test": 642}
_WHOLE_CLIP = "-1"


Options = JoinOptions


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    source = AnnotationSource(
        importer="phoenix2014t",
        title="RWTH-PHOENIX-Weather 2014 T",
        licence=LICENCE,
        citation="Camgoz, Hadfield, Koller, Ney, Bowden. Neural Sign Language Translation. CVPR 2018",
    )
    return import_tables(
        source,
        options,
        PATTERNS,
        read_annotations,
        signers=is_signer,
        signers_are=SIGNERS_ARE,
        published_sizes=PUBLISHED,
        note=check_geometry,
    )


def read_annotations(path: Path, split: str, faults: Faults) -> list[Annotation]:
    """Returns the annotations of one csv file; adds the faults of its lines to `faults`."""
    annotations = []
    for row in read_table(path, COLUMNS, faults):
        if (row["start"], row["end"]) != (_WHOLE_CLIP, _WHOLE_CLIP):
            faults.add(f"{row.place}: start {row['start']}, end {row['end']}; needed -1 in both, the whole clip")
        annotations.append(
            Annotation(row["name"], split, row["speaker"] or None, tuple(row["orth"].split()), row.place)
        )
    return annotations
