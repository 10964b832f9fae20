"""The utterances of a corpus as a sequence: held as objects, or read from the manifest one by one."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np

from signloom.corpus.columns import Columns, columns_of
from signloom.corpus.utterance import SPLITS, Utterance
from signloom.errors import InputError
from signloom.files.schemas import decode_json

# To read more landmark files than this takes minutes, and hours for the largest corpora. 2,000 clips give the mean of a
# feature to 0.02 of its deviation, even if a clip says no more than one frame.
MOST_READ, SAMPLED = 10_000, 2_000
# The arrays of a large manifest, kept beside it.
MANIFEST_INDEX = ".signloom-index"


def spread(total: int, count: int) -> np.ndarray:
    """Returns `count` of the places 0 to `total` - 1, spread evenly; all of them if there are not so many."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)


def num_sampled(total: int, wanted: int | None) -> int:
    """Returns how many of `total` landmark files are read where a sample may stand for all.

    wanted: how many, 0 for all; None: all of up to MOST_READ, else SAMPLED.
    """
    if wanted is None:
        wanted = SAMPLED if total > MOST_READ else 0
    return min(wanted or total, total)


class ManifestLines(Sequence[Utterance]):
    """The utterances of a manifest, each read from its line when it is asked for.

    starts: (N,), where the lines start, in bytes.  lengths: (N,), of the lines without their ends.  columns: what the
    lines say; a line that says something else is refused.

    The file stays open: a manifest that replaces it, as a new import does, changes nothing here.
    """

    def __init__(self, path: Path, starts: np.ndarray, lengths: np.ndarray, columns: Columns) -> None:
        self.path, self.starts, self.lengths, self.columns = path, starts, lengths, columns
        self._open()

    def _open(self) -> None:
        # Closed with the last object that reads from it.
        self._file = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._file)
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_file", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> list[Utterance]: ...
    def __getitem__(self, index: int | slice) -> Utterance | list[Utterance]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        line = self._read(int(self.starts[index]), int(self.lengths[index]))
        try:
            utterance = Utterance.from_json(decode_json(line, f"byte {self.starts[index]:,}"))
        except InputError:
            utterance = None
        if utterance is None or not self.columns.agrees(index, utterance):
            raise InputError(
                f"{self.path}: byte {self.starts[index]:,} has another utterance than when the corpus was opened; open "
                f"it again, and if that does not help, remove {MANIFEST_INDEX} there"
            )
        return utterance

    def _read(self, start: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            # Without a position that processes after a fork would share.
            return os.pread(self._file, length, start)
        with self._lock:
            os.lseek(self._file, start, os.SEEK_SET)
            return os.read(self._file, length)


class Utterances(Sequence[Utterance]):
    """Utterances in the order of their manifest, or some of them.

    A sequence of objects, and the same as arrays in `columns`, which is how to look at many of them. A slice, and
    `take`, are such a sequence again.

    source: where the objects come from.  rows: the numbers of those that belong to it, all if None.
    """

    def __init__(self, source: Sequence[Utterance], rows: np.ndarray | None = None) -> None:
        self._source, self._rows = source, rows

    @classmethod
    def of(cls, utterances: Sequence[Utterance]) -> Utterances:
        """Returns any sequence of utterances as one of this class."""
        return utterances if isinstance(utterances, cls) else cls(tuple(utterances))

    @cached_property
    def columns(self) -> Columns:
        """The entries of all utterances as arrays."""
        if self._rows is None:
            return self._source.columns if isinstance(self._source, ManifestLines) else columns_of(self._source)
        if isinstance(self._source, ManifestLines):
            return self._source.columns.take(self._rows)
        return columns_of(self)

    def take(self, chosen: Sequence[int] | np.ndarray) -> Utterances:
        """Returns some utterances.

        chosen: their places here in any order, or (N,) bool, whether each belongs to them.
        """
        places = np.asarray(chosen)
        rows = np.flatnonzero(places) if places.dtype == bool else places.astype(np.int64)
        return Utterances(self._source, rows if self._rows is None else self._rows[rows])

    def in_split(self, name: str) -> Utterances:
        """Returns the utterances of one split, which may be none."""
        return self.take([] if name not in SPLITS else self.columns.splits == SPLITS.index(name))

    def __len__(self) -> int:
        return len(self._source if self._rows is None else self._rows)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> Utterances: ...
    def __getitem__(self, index: int | slice) -> Utterance | Utterances:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        return self._source[index if self._rows is None else int(self._rows[index])]

    def __iter__(self) -> Iterator[Utterance]:
        # Faster than asking for each, where they are objects.
        return iter(self._source) if self._rows is None else (self._source[row] for row in self._rows.tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Utterances({len(self):,})"
