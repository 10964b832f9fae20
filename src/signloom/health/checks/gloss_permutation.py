"""Whether what a model reads is right but for the names: the one-to-one renaming of glosses that fits best.

The words found and those of the annotation are aligned by where they stand, counted, renamed, and aligned anew by edit
distance under that renaming, a few times over. V words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from signloom.score.alignment import align

ROUNDS = 4
# How far apart, as a share of the sentence, two words may stand at first.
REACH = 0.12

Pairs = Sequence[tuple[Sequence[int], Sequence[int]]]


def best_renaming(pairs: Pairs, num_words: int) -> np.ndarray:
    """What each id is to be called, `(V,)`, each name given once; an id that was never found keeps its own.

    pairs: ids of the annotation and those found, of each utterance.
    """
    counts = np.zeros((num_words, num_words))
    for reference, found in pairs:
        for at, word in enumerate(found):
            for place, name in enumerate(reference):
                apart = (at + 0.5) / len(found) - (place + 0.5) / len(reference)
                counts[word, name] += np.exp(-0.5 * (apart / REACH) ** 2)
    renaming = _assigned(counts)
    for _ in range(ROUNDS):
        counts = np.zeros((num_words, num_words))
        for reference, found in pairs:
            names = [str(name) for name in reference]
            ops = align(reference=names, hypothesis=[str(renaming[word]) for word in found]).ops
            words = iter(found)
            for op in ops:
                if op.hypothesis is None:
                    continue
                word = next(words)
                if op.reference is not None:
                    counts[word, int(op.reference)] += 1
        found_again = _assigned(counts)
        if (found_again == renaming).all():
            break
        renaming = found_again
    return renaming


def errors(pairs: Pairs, renaming: np.ndarray) -> int:
    """Edits from what was found, renamed, to the annotations."""
    return sum(
        align(reference=[str(name) for name in reference], hypothesis=[str(renaming[word]) for word in found]).errors
        for reference, found in pairs
    )


def _assigned(counts: np.ndarray) -> np.ndarray:
    """The most counted pairs first, each word and each name once."""
    renaming = np.full(len(counts), -1)
    taken = np.zeros(len(counts), dtype=bool)
    order = np.argsort(-counts, axis=None, kind="stable")
    for word, name in zip(*np.unravel_index(order, counts.shape), strict=True):
        if counts[word, name] <= 0:
            break
        if renaming[word] < 0 and not taken[name]:
            renaming[word], taken[name] = name, True
    # Names that are left: each word its own where it is free, else any.
    for word in np.flatnonzero(renaming < 0):
        if not taken[word]:
            renaming[word], taken[word] = word, True
    left = iter(np.flatnonzero(~taken))
    for word in np.flatnonzero(renaming < 0):
        renaming[word] = next(left)
    return renaming
