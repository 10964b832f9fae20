"""Unigram and bigram perplexities of glosses: how predictable the sentences of the grammar are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import exp, log

from signloom.errors import InputError


def perplexities(train: Sequence[Sequence[Hashable]], test: Sequence[Sequence[Hashable]]) -> tuple[float, float]:
    """Returns the perplexity per gloss of `test` under a unigram and a bigram model of `train`, both >= 1.

    The end of a sentence counts as a gloss. A gloss that train lacks is the unknown one. Both models give it the same
    probability: the unigram by adding a half to every count, the bigram by interpolation with the unigram. The bigram's
    discount and weight are those that fit the last tenth of train best, when learnt from the rest.

    Raises InputError if train has fewer than 10 sentences or test has none.

    Source: Teh, A Hierarchical Bayesian Language Model Based on Pitman-Yor Processes, 2006, with one table per word.
    """
    if len(train) < 10 or not test:
        raise InputError(f"perplexities: {len(train)} sentences to train, {len(test)} to test; needed 10 and 1 or more")
    kept = len(train) // 10
    fitted, tuning = _NgramCounts(train[:-kept]), train[-kept:]
    best = min(
        (
            (discount, weight)
            for discount in (0.0, 0.25, 0.5, 0.75)
            for weight in (0.3, 1, 3, 10, 30, 100, 1e3, 1e4, 1e6)
        ),
        key=lambda setting: fitted.bigram(tuning, *setting),
    )
    counts = _NgramCounts(train)
    return exp(counts.unigram(test)), exp(counts.bigram(test, *best))


class _NgramCounts:
    """The counts that both models need; the ends of a sentence are None."""

    def __init__(self, sentences: Sequence[Sequence[Hashable]]) -> None:
        self.glosses = Counter(gloss for sentence in sentences for gloss in (*sentence, None))
        self.pairs = Counter(pair for sentence in sentences for pair in _pairs(sentence))
        self.befores: Counter[Hashable] = Counter()
        self.kinds: Counter[Hashable] = Counter()
        for (before, _), count in self.pairs.items():
            self.befores[before] += count
            self.kinds[before] += 1
        self.total = sum(self.glosses.values())

    def chance(self, gloss: Hashable) -> float:
        return (self.glosses[gloss] + 0.5) / (self.total + 0.5 * (len(self.glosses) + 1))

    def unigram(self, sentences: Sequence[Sequence[Hashable]]) -> float:
        """Returns the mean negative logarithm of the probability of a gloss."""
        logs = [-log(self.chance(gloss)) for sentence in sentences for gloss in (*sentence, None)]
        return sum(logs) / len(logs)

    def bigram(self, sentences: Sequence[Sequence[Hashable]], discount: float, weight: float) -> float:
        """Returns the mean negative logarithm of the probability of a gloss after the one before it; `weight` above
        0."""
        logs = []
        for before, gloss in (pair for sentence in sentences for pair in _pairs(sentence)):
            seen = self.befores[before] + weight
            spread = (weight + discount * self.kinds[before]) / seen
            logs.append(-log(max(self.pairs[before, gloss] - discount, 0) / seen + spread * self.chance(gloss)))
        return sum(logs) / len(logs)


def _pairs(sentence: Sequence[Hashable]) -> list[tuple[Hashable, Hashable]]:
    return list(zip((None, *sentence), (*sentence, None), strict=True))
