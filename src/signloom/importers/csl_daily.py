"""Imports CSL-Daily: its annotations, joined with landmark files, as a corpus.

The annotations are the release's `video_map.txt` (`index|name|length|gloss|char|word|postag`) or its pickle
`csl2020ct_v2.pkl` (read without running code in it), and `split_1.txt` (`name|split`). The signer is the P number in a
clip's name: P0004 signs S000196_P0004_T00.

The two files disagree on two clips. Like published systems, the importer leaves out S000005_P0004_T00, which only the
split file has, and puts S000007_P0003_T00, which the split file lacks, into train. It prints a message about both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from signloom.console import say
from signloom.corpus import SPLITS
from signloom.errors import Faults, InputError, listed
from signloom.files.paths import files_of
from signloom.importers.annotations import (
    Annotation,
    AnnotationSource,
    JoinOptions,
    check_splits,
    join,
)
from signloom.importers.pickles import load_pickle
from signloom.importers.write_corpus import LeftOut, with_place
from signloom.text.tables import Row, read_table

MAP_COLUMNS = ("name", "index", "length", "gloss", "char", "word", "postag")
SPLIT_COLUMNS = ("name", "split")
MAP, PICKLE, SPLITS_FILE = "video_map.txt", "csl2020ct_v2.pkl", "split_1.txt"
PUBLISHED = {"train": 18401, "dev": 1077, "test": 1176}
# Source: the special cases of the data loaders of TwoStreamNetwork, CorrNet and others.
NOT_ANNOTATED = "S000005_P0004_T00"
NOT_IN_SPLIT = "S000007_P0003_T00"
_SIGNER = re.compile(r"\AS\d+_(P\d+)_T\d+\Z")


Options = JoinOptions


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    splits = check_splits(options.splits)
    options.check_output()
    map_path, split_path = find_files(options.annotations)
    faults = Faults("import csl_daily")
    annotations, left_out = read_annotations(map_path, split_path, faults)
    annotations = [annotation for annotation in annotations if annotation.split in splits]

    source = AnnotationSource(
        importer="csl_daily",
        title="CSL-Daily",
        licence="research use under the agreement with its authors (USTC); not to be passed on",
        citation="Zhou, Zhou, Qi, Pu, Li. Improving Sign Language Translation with Monolingual Data by Sign "
        "Back-Translation. CVPR 2021",
        files=[map_path, split_path],
    )
    return join(
        annotations,
        source,
        options,
        faults=faults,
        signers=bool,
        signers_are="a name such as S000196_P0004_T00, in which P0004 is the signer",
        published_sizes=PUBLISHED,
        left_out=left_out,
    )


def find_files(given: Sequence[str]) -> tuple[Path, Path]:
    """Returns the file of glosses (the text file if there are both) and the file of splits.

    given: files, or folders that are searched with all subfolders.

    Raises InputError naming what is missing or there twice.
    """
    faults = Faults("annotations")
    paths = [path for name in given for path in files_of(Path(name), faults)]
    found = {name: [path for path in paths if path.name == name] for name in (MAP, PICKLE, SPLITS_FILE)}
    where = ", ".join(given)
    for name, matches in found.items():
        if len(matches) > 1:
            faults.add(f"{listed(map(str, matches), shown=3)} are all named {name}; give the right file itself")
    if not faults and not found[MAP] + found[PICKLE]:
        faults.add(f"no file {MAP} or {PICKLE} in {where}; one of them has the glosses of every clip")
    if not faults and not found[SPLITS_FILE]:
        faults.add(f"no file {SPLITS_FILE} in {where}; it has the split of every clip (name|split)")
    faults.raise_if_any()
    return (found[MAP] or found[PICKLE])[0], found[SPLITS_FILE][0]


def read_annotations(map_path: Path, split_path: Path, faults: Faults) -> tuple[list[Annotation], list[LeftOut]]:
    """Returns the annotations of all splits, and clips left out for errors of the release; adds to `faults`.

    map_path: the text file or the pickle.
    """
    pickled = map_path.suffix == ".pkl"
    rows = _pickled(map_path, faults) if pickled else read_table(map_path, MAP_COLUMNS, faults)
    split_rows = read_table(split_path, SPLIT_COLUMNS, faults)
    splits: dict[str, str] = {}
    for row in split_rows:
        if row["split"] not in SPLITS:
            faults.add(f"{row.place}: split is {row['split']!r}; needed one of {', '.join(SPLITS)}")
        elif row["name"] in splits:
            faults.add(f"{row.place}: occurs twice in the split file")
        splits.setdefault(row["name"], row["split"])
    if not rows or not split_rows:
        return [], []
    annotations = []
    for row in rows:
        split = splits.get(row["name"])
        if split is None and row["name"] == NOT_IN_SPLIT:
            say(f"note: {NOT_IN_SPLIT} is missing in {split_path.name}; it goes to train, as in published systems")
            split = "train"
        if split is None:
            faults.add(f"{row.place}: not in {split_path}; needed a line {row['name']}|train, dev or test")
            continue
        signer = match[1] if (match := _SIGNER.search(row["name"])) else None
        annotations.append(Annotation(row["name"], split, signer, tuple(row["gloss"].split()), row.place))
    annotated = {row["name"] for row in rows}
    left_out = []
    for row in split_rows:
        if row["name"] in annotated:
            continue
        if row["name"] == NOT_ANNOTATED:
            reason = f"in {split_path.name}, but not in {map_path.name}; published systems leave it out too"
            left_out.append(LeftOut(NOT_ANNOTATED, reason))
        else:
            faults.add(f"{row.place}: no such name in {map_path}")
    return annotations, left_out


def _pickled(path: Path, faults: Faults) -> list[Row]:
    """Returns name and glosses of every clip in the release's pickle; adds to `faults` entries without them."""
    try:
        content = load_pickle(path)
    except InputError as error:
        faults.add(with_place(str(path), error))
        return []
    entries = content.get("info") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        faults.add(f"{path}: no list 'info'; needed the release's pickle, with name and label_gloss of every clip")
        return []
    rows = []
    for number, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        glosses = entry.get("label_gloss") if isinstance(entry, dict) else None
        place = f"{path}: entry {number}" + (f" ({name})" if isinstance(name, str) else "")
        words: list[Any] = glosses if isinstance(glosses, list) else [None]
        if not isinstance(name, str) or not all(isinstance(word, str) for word in words):
            faults.add(f"{place}: no name or no list label_gloss")
        else:
            rows.append(Row({"name": name, "gloss": " ".join(words)}, place))
    return rows
