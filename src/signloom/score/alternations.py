"""Alternations: sentences with several accepted wordings, such as `{ UM / UH / @ } YES` in stm and ctm files.

The alignment chooses the wordings that cost least. At equal cost it chooses as sclite does, because wordings differ in
their number of words and so in their error rate. Source: NIST SCTK 2.4, `sclite/net_dp.c` and `net_adt.c`: costs are
single-precision, the empty word `@` costs 0.001, and of equal predecessors the one written first wins.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from signloom.score.alignment import (
    CORRECT,
    DELETION,
    GAP_COST,
    INSERTION,
    SUBSTITUTION,
    SUBSTITUTION_COST,
    Alignment,
    Op,
    align,
    fold,
)

EMPTY_WORD_COST = 0.001
EMPTY_FOR_EMPTY_COST = 1.0


@dataclass(frozen=True)
class Alternation:
    """A choice between wordings.  choices: sequences of words and nested alternations; None is the empty word."""

    choices: tuple[tuple[Item, ...], ...]


# What a sentence is made of.
Item = str | None | Alternation


@dataclass(frozen=True)
class _Arc:
    """A word in the graph of wordings, and the arcs that may come before it (at equal cost the first one wins)."""

    word: str | None
    before: tuple[int, ...]


def plain_words(items: Sequence[Item]) -> tuple[str, ...] | None:
    """Returns the words of a sentence, or None if some item is not a word."""
    words = tuple(item for item in items if isinstance(item, str))
    return words if len(words) == len(items) else None


def align_items(*, reference: Sequence[Item], hypothesis: Sequence[Item]) -> Alignment:
    """Returns the alignment of least cost over all wordings of both sides; it holds the chosen wordings."""
    words, other_words = plain_words(reference), plain_words(hypothesis)
    if words is not None and other_words is not None:
        return align(reference=words, hypothesis=other_words)
    (arcs, ends), (others, other_ends) = _graph(reference), _graph(hypothesis)
    costs, steps = _costs(arcs, others)
    end = min(product(ends, other_ends), key=lambda pair: costs[pair[0]][pair[1]])
    return _trace(arcs, others, end, steps)


def _graph(items: Sequence[Item]) -> tuple[list[_Arc], tuple[int, ...]]:
    """Returns the graph of a sentence's wordings: its arcs, and the indices of the arcs that may come last.

    The arcs are in topological order. The first is the start and has no word.
    """
    arcs = [_Arc(None, ())]
    return arcs, _add(arcs, items, (0,))


def _add(arcs: list[_Arc], items: Sequence[Item], before: tuple[int, ...]) -> tuple[int, ...]:
    """Adds the arcs of `items` and returns those that may come directly before what follows."""
    for item in items:
        if isinstance(item, Alternation):
            before = tuple(end for choice in item.choices for end in _add(arcs, choice, before))
        else:
            arcs.append(_Arc(item, before))
            before = (len(arcs) - 1,)
    return before


# For each pair of arcs: the kind of the last step and the pair of arcs before it, packed into a number. Tuples of two
# sentences of 3,000 words would take a gigabyte.
_Steps = list["array[int]"]
_KINDS = CORRECT + SUBSTITUTION + DELETION + INSERTION


def _costs(arcs: list[_Arc], others: list[_Arc]) -> tuple[list[array[float]], _Steps]:
    """Returns the least cost of reaching each pair of arcs, and the last step on the way."""
    # sclite adds and compares in single precision; storing in this array rounds to it.
    single = array("f", (0.0, 0.0, 0.0))
    words = [None if arc.word is None else fold(arc.word) for arc in arcs]
    other_words = [None if arc.word is None else fold(arc.word) for arc in others]
    rows: list[array[float]] = []
    steps: _Steps = []
    num_arcs, num_others = len(arcs), len(others)
    first = {kind: index * num_arcs * num_others for index, kind in enumerate(_KINDS)}
    for a, arc in enumerate(arcs):
        row: array[float] = array("f")
        taken: array[int] = array("q")
        rows.append(row)
        steps.append(taken)
        deletion = EMPTY_WORD_COST if words[a] is None else GAP_COST
        for b, other in enumerate(others):
            if not a and not b:
                row.append(0.0)
                taken.append(first[CORRECT])
                continue
            above = min(arc.before, key=lambda before: rows[before][b], default=-1)
            left = min(other.before, key=lambda before: row[before], default=-1)
            single[1] = rows[above][b] + deletion if a else 0.0
            single[2] = row[left] + (EMPTY_WORD_COST if other_words[b] is None else GAP_COST) if b else 0.0
            if not a:
                row.append(single[2])
                taken.append(first[INSERTION] + left)
                continue
            if not b:
                row.append(single[1])
                taken.append(first[DELETION] + above * num_others)
                continue
            diagonal = min(product(arc.before, other.before), key=lambda pair: rows[pair[0]][pair[1]])
            same = words[a] == other_words[b]
            cost = (EMPTY_FOR_EMPTY_COST if words[a] is None else 0) if same else SUBSTITUTION_COST
            single[0] = rows[diagonal[0]][diagonal[1]] + cost
            by_match, by_deletion, by_insertion = single
            if by_match <= by_deletion and by_match <= by_insertion:
                row.append(by_match)
                taken.append(first[CORRECT if same else SUBSTITUTION] + diagonal[0] * num_others + diagonal[1])
            elif by_deletion < by_insertion:
                row.append(by_deletion)
                taken.append(first[DELETION] + above * num_others + b)
            else:
                row.append(by_insertion)
                taken.append(first[INSERTION] + a * num_others + left)
    return rows, steps


def _trace(arcs: list[_Arc], others: list[_Arc], end: tuple[int, int], steps: _Steps) -> Alignment:
    """Returns the alignment that ends at the pair of arcs `end`; empty words do not appear in it."""
    taken: list[Op] = []
    a, b = end
    while a or b:
        number, before = divmod(steps[a][b], len(arcs) * len(others))
        kind = _KINDS[number]
        op = Op(kind, None if kind == INSERTION else arcs[a].word, None if kind == DELETION else others[b].word)
        if op.reference is not None or op.hypothesis is not None:
            taken.append(op)
        a, b = divmod(before, len(others))
    taken.reverse()
    return Alignment(
        tuple(op.reference for op in taken if op.reference is not None),
        tuple(op.hypothesis for op in taken if op.hypothesis is not None),
        "".join(op.kind for op in taken),
    )
