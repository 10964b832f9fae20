"""The index of a large manifest: a file of arrays beside it, mapped into memory.

It saves reading the manifest again, and is believed no more than the manifest: it counts only for the very bytes that
were checked when it was made, none of its numbers leads out of its arrays, and an utterance that is used is read from
the manifest. An index that is damaged, or of another manifest, is as good as none.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct, json

from signloom.corpus.columns import NOBODY, Columns, Ragged, Texts
from signloom.corpus.utterance import SPLITS
from signloom.errors import InputError
from signloom.files.reading import ANY, open_file
from signloom.files.schemas import check, decode_json
from signloom.files.writing import atomic_write
from signloom.landmarks import MAX_FRAMES
from signloom.vocabulary import BLANK, UNKNOWN, check_gloss

_MAGIC = b"signloom-index-1"
_MOST_HEAD_BYTES = 10_000
# Arrays start at multiples of this, as NumPy likes them.
_ALIGNED = 64
_TEXTS = ("ids", "landmarks", "people", "words")
_LISTS = ("glosses", "others")
_PLAIN = {
    "splits": np.uint8,
    "signers": np.int32,
    "num_frames": np.int32,
    "fps": np.float64,
    "starts": np.int64,
    "lengths": np.int32,
}
_DTYPES: Mapping[str, Any] = {
    **_PLAIN,
    **dict.fromkeys(_TEXTS, np.uint8),
    **dict.fromkeys(_LISTS, np.int32),
    **{f"{name}.starts": np.int64 for name in (*_TEXTS, *_LISTS)},
}


class _Head(Struct):
    """The start of the file: the size and BLAKE2 hash of the manifest, the number of values of each array, and the
    CRC-32 of all that follows."""

    num_bytes: int
    blake2b: str
    sizes: dict[str, Annotated[int, Meta(ge=0, le=10**12)]]
    crc32: int


@dataclass(frozen=True)
class Index:
    """What a manifest of N utterances says, and where.

    starts, lengths: (N,), of the content of each line, in bytes.
    """

    columns: Columns
    starts: np.ndarray
    lengths: np.ndarray


def write_index(path: Path, index: Index, num_bytes: int, blake2b: str) -> None:
    """Writes an index, whole or not at all.  num_bytes, blake2b: size and hash of the manifest."""
    arrays = _arrays(index)
    parts = [part for array in arrays.values() for part in _padded(array.tobytes())]
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    head = _Head(num_bytes, blake2b, {name: len(array) for name, array in arrays.items()}, crc)
    text = _head_bytes(head)
    with atomic_write(path) as file:
        for part in (text, *parts):
            file.write(part)


def read_index(path: Path, manifest: Path) -> Index | None:
    """Returns the index in a file, if it is one of this manifest as it is now."""
    if not path.is_file():
        return None
    try:
        with open_file(path, ANY) as file:
            start = file.read(_MOST_HEAD_BYTES)
            size = file.seek(0, 2)
        head, offset = _read_head(start)
        if manifest.stat().st_size != head.num_bytes or _digest(manifest) != head.blake2b:
            return None
        data = np.memmap(path, np.uint8, mode="r") if size else np.empty(0, np.uint8)
        index = _mapped(data, offset, head)
        return index if _is_sound(index, head.num_bytes) else None
    except (InputError, OSError, ValueError):
        return None


def _arrays(index: Index) -> dict[str, np.ndarray]:
    """Returns the arrays of an index by their names in the file."""
    columns = index.columns
    arrays = {name: getattr(index if name in ("starts", "lengths") else columns, name) for name in _PLAIN}
    for name in _TEXTS:
        value = getattr(columns, name)
        texts = value if isinstance(value, Texts) else Texts.of(value)
        arrays[name] = texts.data
        arrays[f"{name}.starts"] = np.append(texts.starts, len(texts.data))
    for name in _LISTS:
        lists = getattr(columns, name)
        arrays[name], arrays[f"{name}.starts"] = lists.values, lists.starts
    return {name: np.ascontiguousarray(arrays[name], dtype) for name, dtype in _DTYPES.items()}


def _padded(data: bytes) -> Iterator[bytes]:
    yield data
    yield bytes(-len(data) % _ALIGNED)


def _head_bytes(head: _Head) -> bytes:
    text = json.encode(head)
    room = -(len(_MAGIC) + len(text) + 1) % _ALIGNED
    return _MAGIC + text + b" " * room + b"\n"


def _read_head(start: bytes) -> tuple[_Head, int]:
    """Returns the head of a file from its first bytes, and where it ends. Raises InputError for another file."""
    end = start.find(b"\n") + 1
    if not start.startswith(_MAGIC) or not end or end % _ALIGNED:
        raise InputError("not an index")
    head = check(_Head, decode_json(start[len(_MAGIC) : end], "head"))
    if head.sizes.keys() != _DTYPES.keys():
        raise InputError("an index with other arrays")
    return head, end


def _digest(manifest: Path) -> str:
    with open_file(manifest) as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _mapped(data: np.ndarray, offset: int, head: _Head) -> Index:
    """Returns the arrays of a file as they lie in it. Raises InputError for one that is cut off or damaged."""
    arrays: dict[str, np.ndarray] = {}
    start = offset
    for name, kind in _DTYPES.items():
        num_bytes = head.sizes[name] * np.dtype(kind).itemsize
        if start + num_bytes > len(data):
            raise InputError("cut off")
        arrays[name] = data[start : start + num_bytes].view(kind)
        start += math.ceil(num_bytes / _ALIGNED) * _ALIGNED
    if start != len(data) or zlib.crc32(data[offset:].data) != head.crc32:
        raise InputError("damaged")
    for name in (*_TEXTS, *_LISTS):
        starts = arrays[f"{name}.starts"]
        if not len(starts) or starts[0] != 0 or starts[-1] != len(arrays[name]) or (np.diff(starts) < 0).any():
            raise InputError("lists that overlap")
    for name in _TEXTS:
        data, starts = arrays[name], arrays[f"{name}.starts"]
        # UTF-8 as a whole, and no text begins within a letter.
        data.tobytes().decode()
        if ((data[starts[starts < len(data)]] & 0xC0) == 0x80).any():
            raise InputError("texts that begin within a letter")
    texts = {name: Texts(arrays[name], arrays[f"{name}.starts"][:-1], arrays[f"{name}.starts"][1:]) for name in _TEXTS}
    columns: dict[str, Any] = {name: arrays[name] for name in _PLAIN}
    places = {name: columns.pop(name) for name in ("starts", "lengths")}
    columns |= {name: Ragged(arrays[name], arrays[f"{name}.starts"]) for name in _LISTS}
    columns |= {name: texts[name] for name in ("ids", "landmarks")}
    columns |= {name: tuple(texts[name]) for name in ("people", "words")}
    return Index(Columns(**columns), **places)


def _is_sound(index: Index, num_bytes: int) -> bool:
    """Returns whether the numbers of an index can be those of a manifest of so many bytes."""
    columns = index.columns
    count = len(index.starts)
    lists: tuple[Any, ...] = (columns.ids, columns.landmarks, columns.glosses, columns.others)
    plain = (index.lengths, columns.splits, columns.signers, columns.num_frames, columns.fps)
    if not count or any(len(each) != count for each in (*lists, *plain)):
        return False
    for word in columns.words:
        check_gloss(word, "index")
    return bool(
        not {BLANK, UNKNOWN}.intersection(columns.words)
        and _within(columns.splits, 0, len(SPLITS) - 1)
        and _within(columns.signers, NOBODY, len(columns.people) - 1)
        and _within(columns.num_frames, 1, MAX_FRAMES)
        and _within(columns.fps, 1, 1000)
        and _within(columns.glosses.values, 0, len(columns.words) - 1)
        and (columns.glosses.counts + columns.others.counts).min() > 0
        and (columns.others.values >= 0).all()
        and (columns.others.values <= columns.glosses.counts[columns.others.rows()]).all()
        and (index.starts >= 0).all()
        and (index.lengths > 0).all()
        and (index.starts + index.lengths <= num_bytes).all()
    )


def _within(values: np.ndarray, least: float, most: float) -> bool:
    return bool(((values >= least) & (values <= most)).all())
