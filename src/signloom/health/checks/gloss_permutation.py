"""The one-to-one renaming of predicted glosses that fits the annotations best: shows whether only the names are wrong.

Predicted and annotated words are aligned by their relative position, counted and renamed; then they are aligned again
by edit distance under that renaming, a few times. V words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from signloom.score.alignment import align

ROUNDS = 4
# Width of the first alignment: the standard deviation of the distance between two words, as a share of the sentence.
REACH = 0.12

Pairs = Sequence[tuple[Sequence[int], Sequence[int]]]


def best_renaming(pairs: Pairs, num_words: int) -> np.ndarray:
    """Returns the new name of each id, `(V,)`, each name given once; an id that is never predicted keeps its own.

    pairs: the ids of the annotation and those predicted, per utterance.
    """
    counts = np.zeros((num_words, num_words))
    for reference, predicted in pairs:
        for index, word in enumerate(predicted):
            for place, name in enumerate(reference):
                distance = (index + 0.5) / len(predicted) - (place + 0.5) / len(reference)
                counts[word, name] += np.exp(-0.5 * (distance / REACH) ** 2)
    renaming = _assigned(counts)
    for _ in range(ROUNDS):
        counts = np.zeros((num_words, num_words))
        for reference, predicted in pairs:
            names = [str(name) for name in reference]
            ops = align(reference=names, hypothesis=[str(renaming[word]) for word in predicted]).ops
            words = iter(predicted)
            for op in ops:
                if op.hypothesis is None:
                    continue
                word = next(words)
                if op.reference is not None:
                    counts[word, int(op.reference)] += 1
        previous, renaming = renaming, _assigned(counts)
        if (previous == renaming).all():
            break
    return renaming


def errors(pairs: Pairs, renaming: np.ndarray) -> int:
    """Returns the number of edits from the renamed predictions to the annotations."""
    total = 0
    for reference, predicted in pairs:
        renamed = [str(renaming[word]) for word in predicted]
        total += align(reference=[str(name) for name in reference], hypothesis=renamed).errors
    return total


def _assigned(counts: np.ndarray) -> np.ndarray:
    """Assigns names to words greedily by count, each word and each name once."""
    renaming = np.full(len(counts), -1)
    taken = np.zeros(len(counts), dtype=bool)
    order = np.argsort(-counts, axis=None, kind="stable")
    for word, name in zip(*np.unravel_index(order, counts.shape), strict=True):
        if counts[word, name] <= 0:
            break
        if renaming[word] < 0 and not taken[name]:
            renaming[word], taken[name] = name, True
    # A word without a count keeps its own name if that is free, else it takes any that is left.
    for word in np.flatnonzero(renaming < 0):
        if not taken[word]:
            renaming[word], taken[word] = word, True
    left = iter(np.flatnonzero(~taken))
    for word in np.flatnonzero(renaming < 0):
        renaming[word] = next(left)
    return renaming
