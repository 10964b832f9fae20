"""Estimates an n-gram language model from sentences: interpolated, modified Kneser-Ney smoothing.

Source: Chen and Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling", section 3 (equations
20 to 27). Counts at the start of sentences and the unigram share of `<unk>`: Heafield et al. 2013, "Scalable Modified
Kneser-Ney Language Model Estimation".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from signloom.ctc.ngram import END, IMPOSSIBLE, START, UNKNOWN_WORD, NGram, Table
from signloom.errors import InputError

ORDER = 3
# Discounts if counts of counts give none (few sentences, or sentences of a single pattern): KenLM's fallback.
FALLBACK = (0.5, 1.0, 1.5)
_RESERVED = (START, END, UNKNOWN_WORD)
_NGrams = Counter[tuple[int, ...]]


@dataclass(frozen=True)
class Estimate:
    """An estimated model.

    discounts: for each order, the discounts of the counts 1, 2, and 3 or more.
    fallbacks: the orders that use `FALLBACK` because their counts of counts give no discounts.
    """

    model: NGram
    discounts: tuple[tuple[float, float, float], ...]
    fallbacks: tuple[int, ...]


def kneser_ney(sentences: Iterable[Sequence[str]], order: int = ORDER) -> Estimate:
    """Returns the model of order `order` estimated from the sentences.

    Probabilities over all words, `</s>` and `<unk>` sum to 1 after every context. The probability freed by the discount
    of unigrams is shared equally by all words and `<unk>`.
    Raises InputError for an order below 1, no sentences, or a reserved word (`<s>`, `</s>`, `<unk>`).
    """
    if order < 1:
        raise InputError(f"language model: order is {order}; needed at least 1")
    kept = [tuple(sentence) for sentence in sentences]
    glosses = sorted({word for sentence in kept for word in sentence})
    if not glosses:
        raise InputError("language model: no sentences with a gloss; needed at least one")
    reserved = [word for word in _RESERVED if word in glosses]
    if reserved:
        raise InputError(f"language model: gloss {reserved[0]!r} is reserved; rename it in the sentences")
    words = (UNKNOWN_WORD, START, END, *glosses)
    numbers = {word: number for number, word in enumerate(words)}
    padded = [[numbers[word] for word in (START, *sentence, END)] for sentence in kept]
    counts = _adjusted(_raw_counts(padded, order), numbers[START])

    tables: list[Table] = []
    discounts = []
    fallbacks = []
    # Interpolated probabilities of the order below, by n-gram.
    lower: dict[tuple[int, ...], float] = {}
    for size, table in enumerate(counts, 1):
        discount = _discounts(table)
        if discount is None:
            discount = FALLBACK
            fallbacks.append(size)
        discounts.append(discount)
        probs, freed = _interpolated(table, discount, lower, len(words) - 1)
        if size == 1:
            probs[(numbers[UNKNOWN_WORD],)] = freed[()] / (len(words) - 1)
            probs = {(number,): probs.get((number,), 0.0) for number in range(len(words))}
        if tables:
            tables[-1] = _with_backoffs(tables[-1], freed)
        tables.append(_table(probs, size))
        lower = probs
    return Estimate(NGram(words, tuple(tables)), tuple(discounts), tuple(fallbacks))


def _raw_counts(padded: Iterable[Sequence[int]], order: int) -> list[_NGrams]:
    counts: list[_NGrams] = [Counter() for _ in range(order)]
    for ids in padded:
        for size in range(1, order + 1):
            counts[size - 1].update(tuple(ids[start : start + size]) for start in range(len(ids) - size + 1))
    return counts


def _adjusted(counts: list[_NGrams], start: int) -> list[_NGrams]:
    """Returns raw counts for the highest order; for lower orders, the number of different words before an n-gram.

    Nothing precedes `<s>`, so n-grams that start with it keep their raw counts; `<s>` itself is never predicted.
    """
    adjusted = []
    for table, longer in pairwise(counts):
        precede: _NGrams = Counter(ngram[1:] for ngram in longer)
        precede.update({ngram: count for ngram, count in table.items() if ngram[0] == start})
        adjusted.append(precede)
    adjusted.append(Counter(counts[-1]))
    adjusted[0].pop((start,), None)
    return adjusted


def _discounts(counts: _NGrams) -> tuple[float, float, float] | None:
    """Returns D1, D2 and D3+ of Chen and Goodman's equation 26, or None if counts of counts give no valid ones."""
    times = Counter(counts.values())
    one, two, three, four = (times[count] for count in (1, 2, 3, 4))
    if not (one and two and three and four):
        return None
    share = one / (one + 2 * two)
    discounts = (1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three)
    return discounts if all(0 <= value <= count for count, value in enumerate(discounts, 1)) else None


def _interpolated(
    counts: _NGrams,
    discount: tuple[float, float, float],
    lower: dict[tuple[int, ...], float],
    num_predicted: int,
) -> tuple[dict[tuple[int, ...], float], dict[tuple[int, ...], float]]:
    """Returns the probability of each n-gram's last word after the others, and the probability each context frees.

    num_predicted: number of words that can be predicted, with `<unk>` and `</s>`, without `<s>`.
    """
    totals: Counter[tuple[int, ...]] = Counter()
    freed_counts: dict[tuple[int, ...], list[float]] = {}
    for ngram, count in counts.items():
        totals[ngram[:-1]] += count
        freed_counts.setdefault(ngram[:-1], []).append(discount[min(count, 3) - 1])
    freed = {context: math.fsum(parts) / totals[context] for context, parts in freed_counts.items()}
    probs = {}
    for ngram, count in counts.items():
        context = ngram[:-1]
        below = lower[ngram[1:]] if context else 1 / num_predicted
        probs[ngram] = (count - discount[min(count, 3) - 1]) / totals[context] + freed[context] * below
    return probs, freed


def _table(probs: dict[tuple[int, ...], float], size: int) -> Table:
    ids = np.array(list(probs), dtype=np.int32).reshape(-1, size)
    log_probs = np.array([math.log10(prob) if prob > 0 else IMPOSSIBLE for prob in probs.values()])
    return Table(ids, np.minimum(log_probs, 0.0), np.zeros(len(ids)))


def _with_backoffs(table: Table, freed: dict[tuple[int, ...], float]) -> Table:
    backoffs = [
        math.log10(freed[key]) if freed.get(key, 0.0) > 0 else (IMPOSSIBLE if key in freed else 0.0)
        for key in map(tuple, table.ids.tolist())
    ]
    return Table(table.ids, table.log_probs, np.array(backoffs))
