"""Imports a corpus in GloSL's format: annotations.csv beside the .pose files of its sentences.

PHOENIX-2014-T, GSL, Elementary23, DailyMoth, LSA-T and others come so. Columns are id, split, text, gloss, gloss_type,
signer, start, end, fps, n_frames and pose_file. A pose file has the 543 points of MediaPipe Holistic and is the
sentence itself, unless several rows name it: then start and end (seconds) cut it. Rows without glosses are left out and
counted: many of these corpora have translations only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

from signloom.console import say
from signloom.corpus import SPLITS, check_output
from signloom.errors import Faults, InputError, listed, plural
from signloom.files.paths import inside, is_there
from signloom.files.reading import read_json
from signloom.importers.annotations import (
    Annotation,
    AnnotationSource,
    check_annotations,
    check_splits,
    cleaned,
    note_glosses,
    without_faulty,
    write_utterances,
)
from signloom.importers.convert_landmarks import CameraInfo
from signloom.importers.pose import SUFFIX, read_pose
from signloom.importers.pose_writing import require_pose_format
from signloom.importers.records import split_named
from signloom.importers.spans import Span, read_span
from signloom.importers.write_corpus import LeftOut, NewUtterance, leave_out_faults
from signloom.landmarks import Landmarks
from signloom.text.gloss_fields import glosses_of
from signloom.text.tables import Row, read_table

TABLE = "annotations.csv"
CARD = "card.json"
COLUMNS = ("id", "split", "gloss")
_POSES = "poses"
# Pose files of whole videos stay in memory while their sentences are cut.
_CACHED = 2


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `signloom import glosl`."""

    positionals: ClassVar[tuple[str, ...]] = ("source",)

    source: Path
    """The folder with annotations.csv and the pose files."""
    output: Path
    """Folder of the new corpus."""
    splits: list[str] = field(default_factory=lambda: list(SPLITS))
    """The splits to import: some of train,dev,test."""
    gloss_type: list[str] = field(default_factory=list)
    """Import only rows with these values of gloss_type. Default: all rows with glosses."""
    pixel_aspect: float | None = None
    """Width of a pixel divided by its height (PHOENIX: 0.8667). Default: 1."""
    licence: str | None = None
    """Licence of the data, recorded in the corpus. Default: that of card.json."""
    skip_missing: bool = False
    """Leave out utterances without a valid pose file and list them in left_out.jsonl, instead of stopping."""
    skip_faulty: bool = False
    """Leave out invalid rows and pose files, too."""
    dry_run: bool = False
    """Show what was found and what would be written, and write nothing."""
    overwrite: bool = False
    """Replace an existing corpus."""


@dataclass(frozen=True)
class _Sentence:
    """A row: its annotation, its pose file, its number of frames (None if unknown), and what it is in its pose file."""

    annotation: Annotation
    path: Path
    num_frames: int | None
    fps: float | None
    span: Span | None


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    splits = check_splits(options.splits)
    camera = CameraInfo.given(None, None, options.pixel_aspect)
    check_output(options.output, overwrite=options.overwrite or options.dry_run)
    require_pose_format()
    faults = Faults("import glosl")
    table = options.source / TABLE if options.source.is_dir() else options.source
    if not is_there(table):
        raise InputError(f"{table}: no such file; needed GloSL's table {TABLE}, beside the folder {_POSES}")
    rows = read_table(table, COLUMNS, faults, delimiter=None)
    sentences, left_out = read_rows(rows, table.parent, splits, options.gloss_type, faults)
    if options.skip_faulty:
        leave_out_faults(faults, left_out)
    annotations = [sentence.annotation for sentence in sentences]
    wrong = check_annotations(annotations)
    without_faulty(annotations, wrong, faults, left_out if options.skip_faulty else None)
    sentences = [sentence for number, sentence in enumerate(sentences) if number not in wrong]
    found = []
    for sentence in sentences:
        reason = f"no pose file {sentence.path}"
        if is_there(sentence.path):
            found.append(sentence)
        elif options.skip_missing:
            left_out.append(LeftOut(sentence.annotation.id, reason))
        else:
            faults.add(f"{sentence.annotation.place}: {reason}")
            faults.advice = "--skip_missing leaves out utterances without a pose file"
    load = lru_cache(maxsize=_CACHED)(partial(_load, pixel_aspect=camera.pixel_aspect))
    items = [_item(sentence, load, table.parent) for sentence in found]
    status = write_utterances(
        items,
        _source(table, options.licence),
        options.output,
        faults=faults,
        left_out=left_out,
        skip_faulty=options.skip_missing or options.skip_faulty,
        advice="--skip_faulty leaves out invalid rows and pose files",
        overwrite=options.overwrite,
        dry_run=options.dry_run,
        note=lambda landmarks: landmarks.source.get(_REMARK),
    )
    note_glosses(items)
    return status


def read_rows(
    rows: Sequence[Row], root: Path, splits: Sequence[str], gloss_types: Sequence[str], faults: Faults
) -> tuple[list[_Sentence], list[LeftOut]]:
    """Returns the sentences of the wanted splits and gloss types, and the rows without glosses; adds to `faults`.

    Raises InputError if no row has glosses, or the gloss type.
    """
    kept: list[Row] = []
    left_out: list[LeftOut] = []
    types = Counter(row.first(("gloss_type",)) or "none" for row in rows if row["gloss"])
    for row in rows:
        split = split_named(row["split"])
        if split is None:
            faults.add(f"{row.place}: split is {row['split']!r}; needed one of {', '.join(SPLITS)}")
        elif split not in splits:
            continue
        elif not row["gloss"]:
            left_out.append(LeftOut(row["id"], "has a translation but no glosses"))
        elif gloss_types and row.first(("gloss_type",)) not in gloss_types:
            left_out.append(LeftOut(row["id"], f"its gloss_type is {row.first(('gloss_type',)) or 'empty'}"))
        else:
            kept.append(row)
    if rows and not types:
        raise InputError(
            f"{root}: none of the {plural(len(rows), 'row')} has glosses: this corpus has translations only, and "
            f"signloom recognises glosses. For its landmarks alone: signloom import pose {root / _POSES} --output "
            "LANDMARKS"
        )
    if rows and not kept and not faults:
        raise InputError(
            f"{root}: no row of {', '.join(splits)} has glosses of type {', '.join(gloss_types) or 'any'}; the table "
            "has " + listed((f"{name} ({plural(count, 'row')})" for name, count in types.items()), shown=8)
        )
    if len(types) > 1 and not gloss_types:
        say("note: gloss_type has " + listed((f"{name} ({count:,})" for name, count in types.items()), shown=8))
    files = Counter(_pose_file(row) for row in kept)
    sentences = [sentence for row in kept if (sentence := _sentence(row, root, files, faults)) is not None]
    annotations = cleaned([sentence.annotation for sentence in sentences])
    return [
        _Sentence(annotation, *(sentence.path, sentence.num_frames, sentence.fps, sentence.span))
        for annotation, sentence in zip(annotations, sentences, strict=True)
    ], left_out


def _pose_file(row: Row) -> str:
    return row.first(("pose_file",)) or f"{_POSES}/{row['id']}{SUFFIX}"


def _sentence(row: Row, root: Path, files: Counter[str], faults: Faults) -> _Sentence | None:
    """Returns the sentence of a row; None, and a fault, if its fields are invalid."""
    name = _pose_file(row)
    try:
        path = inside(root, name)
        span = read_span(row.first(("start",)), row.first(("end",)), ("start_seconds", "end_seconds"))
        num_frames, fps = (_number(row, column) for column in ("n_frames", "fps"))
    except InputError as error:
        faults.add(f"{row.place}: {error}")
        return None
    if files[name] > 1 and span is None:
        faults.add(f"{row.place}: {files[name]} rows have the pose file {name}, and this one has no start and end")
        return None
    annotation = Annotation(
        row["id"],
        split_named(row["split"]) or "",
        row.first(("signer",)) or None,
        tuple(glosses_of(row["gloss"])),
        row.place,
    )
    # Where a pose file is one sentence, start and end are the times in the video that it was cut from.
    return _Sentence(annotation, path, int(num_frames) if num_frames else None, fps, span if files[name] > 1 else None)


def _number(row: Row, column: str) -> float | None:
    text = row.first((column,))
    try:
        value = float(text) if text else None
    except ValueError:
        value = -1.0
    if value is not None and not 0 <= value < 1e7:
        raise InputError(f"{column} is {text!r}; needed a number")
    return value or None


def _load(path: Path, fps: float | None, *, pixel_aspect: float | None) -> Landmarks:
    return read_pose(path, fps=fps, pixel_aspect=pixel_aspect)


# In the record of a clip: a remark on it.
_REMARK = "remark"


def _item(sentence: _Sentence, load: Callable[[Path, float | None], Landmarks], root: Path) -> NewUtterance:
    annotation = sentence.annotation
    read = partial(_read, sentence, load)
    return annotation.item(read, None, pose_file=sentence.path.relative_to(root).as_posix())


def _read(sentence: _Sentence, load: Callable[[Path, float | None], Landmarks]) -> Landmarks:
    landmarks = load(sentence.path, sentence.fps)
    if sentence.span is not None:
        landmarks = sentence.span.cut(landmarks, sentence.path.name)
    if sentence.num_frames not in (None, len(landmarks)):
        remark = "n_frames is not the number of frames in the pose file; all its frames were used"
        landmarks = replace(landmarks, source={**landmarks.source, _REMARK: remark})
    return landmarks


def _source(table: Path, licence: str | None) -> AnnotationSource:
    """Returns the origin of the corpus, as its card tells it."""
    card: dict[str, Any] = {}
    path = table.parent / CARD
    if is_there(path):
        try:
            content = read_json(path)
        except InputError as error:
            say(f"note: {error}; title and licence are not recorded")
        else:
            card = content if isinstance(content, dict) else {}
    title = next((str(card[key]) for key in ("title", "name", "dataset", "id") if card.get(key)), table.parent.name)
    terms = next((card[key] for key in ("license", "licence", "license_name") if card.get(key)), None)
    return AnnotationSource(
        importer="glosl",
        title=f"{title} (GloSL)",
        licence=licence
        or (terms if isinstance(terms, str) else json.dumps(terms) if terms else None)
        or "not stated in the files; see where they come from",
        citation=str(card.get("citation") or card.get("cite") or "see the corpus's card"),
        files=[table],
    )
