"""Labels of isolated clips that lie beside them in a table: AUTSL, LSA64, WLASL, MS-ASL and others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from signloom.errors import Faults, InputError
from signloom.importers import isharah, records
from signloom.importers.spans import Span
from signloom.text.gloss_fields import glosses_of

_CLASS_COLUMNS = ("classid", "class_id", "class", "id", "label", "index", "sign_id")
_NAME_COLUMNS = ("gloss", "name", "sign", "en", "label_name", "class_name", "word", "meaning", "tr")
_IDS = (*records.VIDEO_COLUMNS, *records.ID_COLUMNS)


@dataclass(frozen=True)
class Label:
    """The label of a clip.

    clip: the name of its file.  split, signer: None if the table does not say them.  span: a part of the clip, or None.
    place: file and line, for messages.
    """

    clip: str
    label: str
    split: str | None
    signer: str | None
    span: Span | None
    place: str


def read_labels(paths: Sequence[Path], names: dict[str, str], faults: Faults) -> list[Label]:
    """Returns the labels of tables `clip,label` (with or without a line of names) or JSON records; adds to `faults`.

    The split is a column, or in the table's name.  names: of classes by their number, see `read_names`.
    """
    labels = []
    for path in paths:
        of_table = records.split_of_name(path.stem)
        for row in records.read_records(path, [_IDS, records.GLOSS_COLUMNS], faults, headless=True):
            text = row.first(records.GLOSS_COLUMNS)
            try:
                span = isharah.span_of(row)
                glosses = glosses_of(text)
            except InputError as error:
                faults.add(f"{row.place}: {error}")
                continue
            label = glosses[0] if text.startswith("[") and len(glosses) == 1 else text
            key = class_key(label)
            if names and key not in names:
                faults.add(f"{row.place}: class {label!r} is not in the table of names; it has {', '.join(names)[:60]}")
                continue
            split = records.split_named(row.first(records.SPLIT_COLUMNS)) or of_table
            signer = row.first(records.SIGNER_COLUMNS) or None
            labels.append(
                Label(row.first(_IDS), names.get(key, label) if names else label, split, signer, span, row.place)
            )
    return labels


def read_names(path: Path, faults: Faults) -> dict[str, str]:
    """Returns the names of classes by their number, from a table such as AUTSL's `ClassId,TR,EN` or `0<tab>book`."""
    rows = records.read_records(path, [_CLASS_COLUMNS, _NAME_COLUMNS], faults, headless=True)
    return {class_key(row.first(_CLASS_COLUMNS)): row.first(_NAME_COLUMNS) for row in rows}


def class_key(number: str) -> str:
    """Returns the number of a class as it is compared: `001` is `1`."""
    return re.sub(r"^0+(?=\d)", "", number.strip())
