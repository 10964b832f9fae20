"""The alignment of a hypothesis with its reference, word by word, as sclite makes it.

Costs: substitution 4, insertion 3, deletion 3. Among alignments of equal cost sclite takes one, and the counts of
substitutions, deletions and insertions (even their sum) depend on which. Source: NIST SCTK 2.4, `sclite/net_dp.c`,
`calculate_internal_cells`: a substitution or match where it is no worse than the others, else a deletion where it is
better than an insertion, else an insertion. Letters are compared without case for a-z only; `Ä` is not `ä`.

Shapes: N reference words, M hypothesis words.
"""

from __future__ import annotations

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

# Where a table of costs has more cells than this, whole rows of it are computed at once: slower for short sentences,
# about ten times faster and smaller for long segments.
_MAX_LOOP_CELLS = 20_000
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class Op(NamedTuple):
    """One step of an alignment: `C`orrect, `S`ubstitution, `D`eletion or `I`nsertion, and its words."""

    kind: str
    reference: str | None
    hypothesis: str | None


@dataclass(frozen=True)
class Alignment:
    """How a hypothesis (M words) was aligned with a reference (N words).

    kinds: one letter a step, of `C`, `S`, `D`, `I`, in order.
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
    """The alignment of least cost that sclite would choose; either side may be empty.

    Raises InputError for a string in the place of a list of words.
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


def alignment_fault(alignment: Alignment) -> str:
    """What is wrong with an alignment that was read from a file; empty where its steps account for its words."""
    kinds = alignment.kinds
    if set(kinds) - {CORRECT, SUBSTITUTION, DELETION, INSERTION}:
        return f"kinds {kinds[:40]!r}; needed one letter of C S D I a step"
    for name, words, gap in (
        ("reference", alignment.reference, INSERTION),
        ("hypothesis", alignment.hypothesis, DELETION),
    ):
        if len(kinds) - kinds.count(gap) != len(words):
            return f"kinds {kinds[:40]!r} have {len(kinds) - kinds.count(gap)} {name} words, its list {len(words)}"
    for kind, reference, hypothesis in alignment.ops:
        if (
            reference is not None
            and hypothesis is not None
            and (kind == CORRECT) != (fold(reference) == fold(hypothesis))
        ):
            return f"kind {kind} for the words {reference!r} and {hypothesis!r}"
    return ""


@lru_cache(maxsize=65536)
def fold(word: str) -> str:
    """The word as it is compared: two words are the same gloss where this is equal."""
    return word.translate(_ASCII_LOWER)


def _trace(ref: list[str], hyp: list[str]) -> str:
    """The steps of the chosen alignment, found backwards from the end of both."""
    if not ref or not hyp:
        return DELETION * len(ref) + INSERTION * len(hyp)
    costs = _costs(ref, hyp) if len(ref) * len(hyp) <= _MAX_LOOP_CELLS else _costs_by_row(ref, hyp)
    steps = []
    n, m = len(ref), len(hyp)
    while n and m:
        cost = costs[n][m]
        same = ref[n - 1] == hyp[m - 1]
        if cost == costs[n - 1][m - 1] + (0 if same else SUBSTITUTION_COST):
            steps.append(CORRECT if same else SUBSTITUTION)
            n, m = n - 1, m - 1
        elif cost == costs[n][m - 1] + GAP_COST:
            steps.append(INSERTION)
            m -= 1
        else:
            steps.append(DELETION)
            n -= 1
    return DELETION * n + INSERTION * m + "".join(reversed(steps))


def _costs(ref: list[str], hyp: list[str]) -> list[list[int]]:
    """The least cost of aligning the first n with the first m words, as rows (N + 1) of (M + 1)."""
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
    """The same table as `_costs`, (N + 1, M + 1) int32, a row at a time."""
    ids: dict[str, int] = {}
    columns = np.array([ids.setdefault(word, len(ids)) for word in hyp])
    insertions = GAP_COST * np.arange(len(hyp) + 1, dtype=np.int32)
    table = np.empty((len(ref) + 1, len(hyp) + 1), dtype=np.int32)
    table[0] = insertions
    for n, word in enumerate(ref, 1):
        above, row = table[n - 1], table[n]
        row[0] = above[0] + GAP_COST
        different = np.where(columns == ids.get(word, -1), 0, SUBSTITUTION_COST)
        np.minimum(above[:-1] + different, above[1:] + GAP_COST, out=row[1:])
        # A run of insertions from any column to the left costs 3 a word: a running minimum of what is left of it.
        row[:] = np.minimum.accumulate(row - insertions) + insertions
    return table
