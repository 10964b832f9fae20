"""Aligns a hypothesis with its reference word by word, as sclite does: substitutions, deletions, insertions.

Costs: substitution 4, insertion 3, deletion 3. Several alignments can have the same least cost, and the counts of
substitutions, deletions and insertions (even their sum) depend on which one is chosen. We choose the one that sclite
chooses. Source: NIST SCTK 2.4, `sclite/net_dp.c`, `calculate_internal_cells`: a substitution or match if it costs no
more than the others, else a deletion if it costs less than an insertion, else an insertion. Case is ignored for a-z
only: `Ä` differs from `ä`.

Shapes: N reference words, M hypothesis words.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from signloom.errors import InputError

SUBSTITUTION_COST = 4
GAP_COST = 3

CORRECT, SUBSTITUTION, DELETION, INSERTION = "C", "S", "D", "I"

# Larger cost tables are computed one whole row at a time: slower for short sentences, but about ten times faster and
# smaller for long segments.
_MAX_LOOP_CELLS = 20_000
# Of larger ones (64 MB) only some rows are kept.
_MAX_TABLE_CELLS = 16_000_000
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class Op(NamedTuple):
    """One step of an alignment: its kind (`C`orrect, `S`ubstitution, `D`eletion, `I`nsertion) and its words."""

    kind: str
    reference: str | None
    hypothesis: str | None


@dataclass(frozen=True)
class Alignment:
    """The alignment of a hypothesis (M words) with a reference (N words).

    kinds: one letter per step, in order: `C`, `S`, `D` or `I`.
    """

    reference: tuple[str, ...]
    hypothesis: tuple[str, ...]
    kinds: str

    @property
    def ops(self) -> Iterator[Op]:
        """The steps with their words; a deletion has no hypothesis word, an insertion no reference word."""
        reference, hypothesis = iter(self.reference), iter(self.hypothesis)
        for kind in self.kinds:
            yield Op(
                kind,
                None if kind == INSERTION else next(reference),
                None if kind == DELETION else next(hypothesis),
            )

    @property
    def correct(self) -> int:
        return self.kinds.count(CORRECT)

    @property
    def substitutions(self) -> int:
        return self.kinds.count(SUBSTITUTION)

    @property
    def deletions(self) -> int:
        return self.kinds.count(DELETION)

    @property
    def insertions(self) -> int:
        return self.kinds.count(INSERTION)

    @property
    def errors(self) -> int:
        return len(self.kinds) - self.correct


def align(*, reference: Sequence[str], hypothesis: Sequence[str]) -> Alignment:
    """Returns the alignment that sclite would choose; either side may be empty.

    Raises InputError if a side is a string instead of a list of words.
    """
    for name, words in (("reference", reference), ("hypothesis", hypothesis)):
        if isinstance(words, str):
            raise InputError(f"align: {name} is the string {words[:40]!r}; needed a list of words, e.g. {name}.split()")
    ref, hyp = [fold(word) for word in reference], [fold(word) for word in hypothesis]
    # Equal words at the very end are always matched: nothing is cheaper and a match wins every tie.
    matched = 0
    while matched < min(len(ref), len(hyp)) and ref[-1 - matched] == hyp[-1 - matched]:
        matched += 1
    ref, hyp = ref[: len(ref) - matched], hyp[: len(hyp) - matched]
    kinds = _trace(ref, hyp) + CORRECT * matched
    return Alignment(tuple(reference), tuple(hypothesis), kinds)


def alignment_fault(alignment: Alignment) -> str | None:
    """Returns what is wrong with an alignment read from a file, or None if its steps account for its words."""
    kinds = alignment.kinds
    if set(kinds) - {CORRECT, SUBSTITUTION, DELETION, INSERTION}:
        return f"kinds {kinds[:40]!r}; needed one letter of C S D I per step"
    for name, words, gap in (
        ("reference", alignment.reference, INSERTION),
        ("hypothesis", alignment.hypothesis, DELETION),
    ):
        if len(kinds) - kinds.count(gap) != len(words):
            return f"kinds {kinds[:40]!r} have {len(kinds) - kinds.count(gap)} {name} words, its list {len(words)}"
    for kind, reference, hypothesis in alignment.ops:
        if reference is None or hypothesis is None:
            continue
        if (kind == CORRECT) != (fold(reference) == fold(hypothesis)):
            return f"kind {kind} for the words {reference!r} and {hypothesis!r}"
    return None


@lru_cache(maxsize=65536)
def fold(word: str) -> str:
    """Returns a word as it is compared: A-Z in lower case. Two words are the same gloss if these forms are equal."""
    return word.translate(_ASCII_LOWER)


def _trace(ref: list[str], hyp: list[str]) -> str:
    """Returns the steps of the chosen alignment, traced back from the end of both sides."""
    if not ref or not hyp:
        return DELETION * len(ref) + INSERTION * len(hyp)
    num_cells = len(ref) * len(hyp)
    costs: Sequence[Sequence[int]] | np.ndarray | _CostsInBlocks
    if num_cells <= _MAX_LOOP_CELLS:
        costs = _costs(ref, hyp)
    else:
        costs = _costs_by_row(ref, hyp) if num_cells <= _MAX_TABLE_CELLS else _CostsInBlocks(ref, hyp)
    steps = []
    n, m = len(ref), len(hyp)
    while n and m:
        row, above, word = costs[n], costs[n - 1], ref[n - 1]
        while m:
            cost = row[m]
            same = word == hyp[m - 1]
            if cost == above[m - 1] + (0 if same else SUBSTITUTION_COST):
                steps.append(CORRECT if same else SUBSTITUTION)
                m -= 1
            elif cost == row[m - 1] + GAP_COST:
                steps.append(INSERTION)
                m -= 1
                continue
            else:
                steps.append(DELETION)
            n -= 1
            break
    return DELETION * n + INSERTION * m + "".join(reversed(steps))


def _costs(ref: list[str], hyp: list[str]) -> list[list[int]]:
    """Returns the least cost of aligning the first n with the first m words, as N + 1 rows of M + 1 numbers."""
    above = list(range(0, GAP_COST * len(hyp) + 1, GAP_COST))
    rows = [above]
    for word in ref:
        diagonal = above[0]
        left = diagonal + GAP_COST
        row = [left]
        for m, other in enumerate(hyp, 1):
            cost = diagonal if word == other else diagonal + SUBSTITUTION_COST
            diagonal = above[m]
            gap = (left if left < diagonal else diagonal) + GAP_COST
            left = cost if cost < gap else gap
            row.append(left)
        rows.append(row)
        above = row
    return rows


def _costs_by_row(ref: list[str], hyp: list[str]) -> np.ndarray:
    """Returns the same table as `_costs`, (N + 1, M + 1) int32, computed one row at a time."""
    table = np.empty((len(ref) + 1, len(hyp) + 1), dtype=np.int32)
    table[0] = GAP_COST * np.arange(len(hyp) + 1)
    _fill(table, *_ids(ref, hyp))
    return table


def _ids(ref: list[str], hyp: list[str]) -> tuple[list[int], np.ndarray]:
    """Returns a number for each word of the reference, and for those of the hypothesis, (M,)."""
    ids: dict[str, int] = {}
    columns = np.array([ids.setdefault(word, len(ids)) for word in hyp])
    return [ids.get(word, -1) for word in ref], columns


def _fill(table: np.ndarray, rows: Sequence[int], columns: np.ndarray) -> None:
    """Fills the rows of a table of costs after its first one, each for a word of the reference."""
    insertions = GAP_COST * np.arange(table.shape[1], dtype=np.int32)
    for n, word in enumerate(rows, 1):
        above, row = table[n - 1], table[n]
        row[0] = above[0] + GAP_COST
        different = np.where(columns == word, 0, SUBSTITUTION_COST)
        np.minimum(above[:-1] + different, above[1:] + GAP_COST, out=row[1:])
        # A run of insertions from any column to the left costs 3 per word, so a running minimum finds the best one.
        row[:] = np.minimum.accumulate(row - insertions) + insertions


class _CostsInBlocks:
    """The rows of the table of `_costs_by_row`, read from the last one on; memory is O(sqrt(N) M).

    Every sqrt(N)-th row is kept; the block of rows that is read is computed again from it.
    """

    def __init__(self, ref: list[str], hyp: list[str]) -> None:
        self._rows, self._columns = _ids(ref, hyp)
        self._size = math.isqrt(len(ref))
        self._block = np.empty((self._size + 1, len(hyp) + 1), dtype=np.int32)
        self._kept = [GAP_COST * np.arange(len(hyp) + 1, dtype=np.int32)]
        for number in range(len(ref) // self._size):
            self._read(number)
            self._kept.append(self._block[-1].copy())
        self._read(len(self._kept) - 1)

    def __getitem__(self, n: int) -> np.ndarray:
        """Returns the costs of aligning the first n words of the reference, (M + 1,), until a row of another block is
        read.
        """
        if not 0 <= n - self._first <= self._size:
            self._block = np.empty_like(self._block)
            self._read(n // self._size)
        return self._block[n - self._first]

    def _read(self, number: int) -> None:
        self._first = number * self._size
        self._block[0] = self._kept[number]
        _fill(self._block, self._rows[self._first : self._first + self._size], self._columns)
