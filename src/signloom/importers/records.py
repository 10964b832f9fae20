"""Reads annotation tables as rows with named columns: csv and similar, and JSON such as WLASL's and MS-ASL's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from signloom.corpus import SPLITS
from signloom.errors import Faults, InputError
from signloom.files.reading import parse_json
from signloom.text.clean import clean
from signloom.text.tables import Row, column_name, delimiter_of, ending_of, read_lines, read_table, read_text, rows_of

SUFFIXES = (".csv", ".txt", ".tsv", ".json", ".jsonl")
# Names of the columns that importers use, the preferred ones first. How2Sign has SENTENCE_NAME, VIDEO_NAME and SPLIT.
ID_COLUMNS = ("id", "name", "utterance", "utterance_id", "sentence_name", "sentence_id", "clip", "sample", "fileid")
VIDEO_COLUMNS = ("video_name", "video", "video_id", "file", "filename", "file_name", "path", "pose_file", "landmarks")
GLOSS_COLUMNS = ("gloss", "glosses", "annotation", "orth", "label", "sign", "clean_text", "gloss_sequence")
SIGNER_COLUMNS = ("signer", "signer_id", "speaker", "participant")
SPLIT_COLUMNS = ("split", "subset", "partition", "set")
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "development": "dev",
    "test": "test",
    "testing": "test",
}


def split_named(text: str) -> str | None:
    """Returns the split with one of its usual names (`val`, `validation`, ...), None for any other text."""
    return _SPLIT_NAMES.get(clean(text).strip().lower())


def split_of_name(stem: str) -> str | None:
    """Returns the split that a file's name says: one of its words, or its beginning; None if it names none or two."""
    words = {_SPLIT_NAMES[word] for word in re.findall(r"[a-z]+", stem.lower()) if word in _SPLIT_NAMES}
    if words:
        return words.pop() if len(words) == 1 else None
    return next((split for split in SPLITS if stem.lower().startswith(split)), None)


def read_records(path: Path, needed: Sequence[Sequence[str]], faults: Faults, *, headless: bool = False) -> list[Row]:
    """Returns the rows of a table or a JSON file; adds faults with their line or number.

    needed: required columns, each with its alternative names, the id first.
    headless: a table without column names is accepted if it has as many columns as needed.
    """
    if ending_of(path) in (".json", ".jsonl"):
        return _read_json(path, needed, faults)
    if headless and (lines := read_lines(path, faults)):
        first = lines[0][1]
        known = [name for names in needed for name in names]
        delimiter = delimiter_of(first, known)
        names = {column_name(name.strip().strip('"')) for name in first.split(delimiter)} if delimiter else set()
        if not names & set(known):
            delimiter = next((mark for mark in "|\t;," if mark in first), ",")
            header = (lines[0][0] - 1, delimiter.join(names[0] for names in needed))
            return rows_of(path, [header, *lines], needed, faults, delimiter=delimiter)
    return read_table(path, needed, faults, delimiter=None)


def has_split_column(path: Path) -> bool:
    """Returns whether a table or a JSON file has a column with the split of each row."""
    if ending_of(path) in (".json", ".jsonl"):
        text = read_text(path, Faults("")) or ""
        return any(f'"{name}"' in text for name in SPLIT_COLUMNS)
    lines = read_lines(path, Faults("")) or [(1, "")]
    first = lines[1 if lines[0][1].lower().startswith("sep=") and len(lines) > 1 else 0][1]
    names = {column_name(name.strip().strip('"')) for mark in "|\t;," for name in first.split(mark)}
    return bool(names & set(SPLIT_COLUMNS))


def _read_json(path: Path, needed: Sequence[Sequence[str]], faults: Faults) -> list[Row]:
    text = read_text(path, faults)
    if text is None:
        return []
    num_faults = len(faults.messages)
    data: Any = []
    # JSON lines are read line by line, so that each fault is found.
    texts = enumerate(text.split("\n"), 1) if ending_of(path) == ".jsonl" else [(0, text)]
    for number, part in texts:
        try:
            data += [parse_json(part, f"{path}:{number}" if number else str(path))] if part.strip() else []
        except InputError as error:
            faults.add(str(error))
    if len(faults.messages) > num_faults:
        return []
    if ending_of(path) != ".jsonl":
        data = data[0] if data else None
    records = _flat(data)
    if records is None or not records:
        faults.add(f'{path}: no list of records; needed JSON such as [{{"id": "1", "gloss": "A"}}]')
        return []
    rows = []
    for number, record in enumerate(records, 1):
        fields = {column_name(str(key)): _field(value) for key, value in record.items()}
        _add_known(fields, record)
        missing = [names for names in needed if not any(fields.get(name) for name in names)]
        identity = next((fields[name] for name in needed[0] if fields.get(name)), "")
        place = f"{path}:record {number}{f' ({identity})' if identity else ''}"
        if missing:
            wanted = ", ".join(f"no {' or '.join(names[:4])}" for names in missing)
            faults.add(f"{place}: {wanted}; got {', '.join(fields)[:80]}")
        else:
            rows.append(Row(fields, place))
    return rows


def _flat(data: Any) -> list[dict[str, Any]] | None:
    """Returns the records of a list, of an object by id, or of WLASL's glosses with their instances; else None."""
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        if len(data) == 1 and lists:
            return _flat(lists[0])
        if not data or not all(isinstance(value, dict) for value in data.values()):
            return None
        data = [{"id": key, **value} for key, value in data.items()]
    if not isinstance(data, list) or not all(isinstance(record, dict) for record in data):
        return None
    records = []
    for record in data:
        shared = {key: value for key, value in record.items() if key != "instances"}
        instances = record.get("instances")
        if isinstance(instances, list):
            # An isolated sign: its gloss may have a space and is still one.
            shared = {**shared, "gloss": [str(shared.get("gloss", ""))]}
            records += [{**shared, **instance} for instance in instances if isinstance(instance, dict)]
        else:
            records.append(shared)
    return records


def _field(value: Any) -> str:
    if value is None:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
    except (RecursionError, ValueError):
        # Lists in lists without end, or a number of thousands of digits: nothing that a column means.
        return ""


def _add_known(fields: dict[str, str], record: Mapping[str, Any]) -> None:
    """Adds the columns that MS-ASL's records say in other words: the gloss, and the video of an address."""
    if "clean_text" in fields and isinstance(record.get("label"), int):
        fields["gloss"] = json.dumps([fields["clean_text"]], ensure_ascii=False)
    if not any(fields.get(name) for name in (*ID_COLUMNS, "video_name", "video", "video_id")) and fields.get("url"):
        address = urlsplit(fields["url"] if "//" in fields["url"] else f"//{fields['url']}")
        fields["video"] = (parse_qs(address.query).get("v") or [address.path.rstrip("/").rpartition("/")[2]])[0]
