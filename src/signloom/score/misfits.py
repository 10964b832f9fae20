"""Do the hypotheses fit other utterances better than their own? Files that are shifted by a line, or renumbered, do.

A bad model makes errors, but fits no other utterance better than its own, except by chance. Its best-fitting references
lie anywhere; those of a shifted file all lie the same number of utterances away.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from signloom.errors import plural
from signloom.score.alignment import align, fold
from signloom.score.suspicions import Triple
from signloom.score.text import percent

# So many hypotheses, spread over the file, are compared with all references.
_SAMPLE = 300
# With fewer, the same distance may be chance.
_FEWEST = 5
# The gain per utterance is at least this many standard errors. The likeliest of up to 20,000 shifts reaches 4.6 by
# chance (the expected maximum of so many normal values, sqrt(2 ln n)).
_STANDARD_ERRORS = 6.0
# The WER at the shift is at most this share of the WER as it is: less would not change what a reader concludes.
_SHARE = 0.9
# Where the shift varies, hypotheses of at least this many words equal another reference ...
_WORDS = 4
# ... in more than half, and more than guesses of whole sentences do: of N sentences, 1/e are guessed exactly once.
_EXACT = 0.5
_GUESSED = 1 / math.e
_STANDARD_ERRORS_OF_GUESSES = 4.0


def misfit_notes(triples: Sequence[Triple]) -> list[str]:
    """Returns a note if hypotheses fit the references of other utterances better than their own, else nothing.

    Alternatives in a reference count by their absence; a small share of all pairs is compared, so the cost is small.
    """
    names = [name for name, _, _ in triples]
    references = [_folded(items) for _, items, _ in triples]
    hypotheses = [_folded(items) for _, _, items in triples]
    said = [index for index, words in enumerate(hypotheses) if words]
    if len(said) < _FEWEST:
        return []
    sample = [said[int(place)] for place in np.linspace(0, len(said) - 1, min(_SAMPLE, len(said)))]
    fits = _Fits(references)
    best = {index: fits.best(hypotheses[index]) for index in sample}
    if sum(index in found for index, found in best.items()) > len(sample) / 2:
        return []
    by_name = sorted(range(len(names)), key=lambda index: _natural(names[index]))
    orders = {"": list(range(len(names))), ", in the order of their ids": by_name}
    for how, order in orders.items():
        if shift := _shift(order, best, references, hypotheses):
            return [_shift_note(shift, how, order, names, references, hypotheses)]
    return _renumbered(names, references, hypotheses)


class _Fits:
    """Finds the references that share most with a hypothesis; rare words count for more."""

    def __init__(self, references: Sequence[tuple[str, ...]]) -> None:
        places: dict[str, list[int]] = defaultdict(list)
        for index, words in enumerate(references):
            for word in set(words):
                places[word].append(index)
        self._count = len(references)
        self._places = {word: np.array(indices) for word, indices in places.items()}
        # The logarithm of one in how many references has the word; a little for a word that all have.
        self._weights = {word: math.log((1 + self._count) / len(indices)) for word, indices in places.items()}
        self._sizes = np.array([sum(self._weights[word] for word in set(words)) for words in references])

    def best(self, hypothesis: tuple[str, ...]) -> set[int]:
        """Returns the references of the largest overlap, relative to both sizes (Dice); none without an overlap."""
        words = [word for word in set(hypothesis) if word in self._places]
        if not words:
            return set()
        weights = [self._weights[word] for word in words]
        indices = np.concatenate([self._places[word] for word in words])
        shared = np.bincount(
            indices, np.repeat(weights, [len(self._places[word]) for word in words]), minlength=self._count
        )
        # A word that no reference has weighs as much as the rarest.
        size = sum(weights) + (len(set(hypothesis)) - len(words)) * math.log(1 + self._count)
        overlap = shared / (self._sizes + size)
        return set(np.flatnonzero(overlap >= overlap.max() * (1 - 1e-9)).tolist())


def _shift(
    order: Sequence[int],
    best: dict[int, set[int]],
    references: Sequence[tuple[str, ...]],
    hypotheses: Sequence[tuple[str, ...]],
) -> int:
    """Returns by how many utterances the hypotheses are shifted in an order of the utterances; 0 if they are not."""
    place = np.argsort(order)
    votes: defaultdict[int, float] = defaultdict(float)
    for index, found in best.items():
        # A hypothesis that fits its own reference as well as others is no sign of a shift.
        targets = {index} if index in found else found
        for other in targets:
            votes[int(place[other] - place[index])] += 1 / len(targets)
    if not votes:
        return 0
    most = max(votes.values())
    shift = min((shift for shift, count in votes.items() if count > most - 1e-9), key=lambda shift: (abs(shift), shift))
    if not shift:
        return 0
    # Own references, and the neighbours of the supposed ones: in files sorted by length, or full of repeats, any
    # distance may fit better than none, and then its neighbours do as well.
    for control in {0, shift - 1, shift + 1}:
        rows = []
        for index in best:
            there, beside = place[index] + shift, place[index] + control
            if 0 <= there < len(order) and 0 <= beside < len(order):
                one, other = references[order[there]], references[order[beside]]
                rows.append((_errors(one, hypotheses[index]), len(one), _errors(other, hypotheses[index]), len(other)))
        if len(rows) < _FEWEST or not _gains(np.array(rows, dtype=float)):
            return 0
    return shift


def _gains(rows: np.ndarray) -> bool:
    """Returns whether the first of two references has clearly fewer errors; rows: errors and words of both, (n, 4)."""
    errors, words, other_errors, other_words = rows.sum(axis=0)
    if not words or not other_words or errors / words > _SHARE * other_errors / other_words:
        return False
    # Errors relative to the words of their reference: long references have more errors whatever is recognised.
    gains = rows[:, 2] * words / other_words - rows[:, 0]
    spread = gains.std(ddof=1) / math.sqrt(len(gains))
    return bool(gains.mean() >= _STANDARD_ERRORS * spread)


def _shift_note(
    shift: int,
    how: str,
    order: Sequence[int],
    names: Sequence[str],
    references: Sequence[tuple[str, ...]],
    hypotheses: Sequence[tuple[str, ...]],
) -> str:
    pairs = [(order[k], order[k + shift]) for k in range(len(order)) if 0 <= k + shift < len(order)]
    rates = []
    for targets in ([other for _, other in pairs], [index for index, _ in pairs]):
        errors = sum(
            _errors(references[target], hypotheses[index]) for target, (index, _) in zip(targets, pairs, strict=True)
        )
        rates.append(errors / max(1, sum(len(references[target]) for target in targets)))
    where = "further on" if shift > 0 else "before"
    index, other = next((a, b) for a, b in pairs if hypotheses[a])
    return (
        f"the hypotheses fit the references {plural(abs(shift), 'line')} {where}{how}: WER {percent(rates[0])} instead "
        f"of {percent(rates[1])} (plain), over {plural(len(pairs), 'utterance')}. That of {names[index]} fits the "
        f"reference of {names[other]}, for example: is a line missing, or does one file count from 0 and one from 1?"
    )


def _renumbered(
    names: Sequence[str], references: Sequence[tuple[str, ...]], hypotheses: Sequence[tuple[str, ...]]
) -> list[str]:
    """Returns a note if many hypotheses equal the reference of another utterance, each that of a different one."""
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, words in enumerate(references):
        places[words].append(index)
    long = [index for index, words in enumerate(hypotheses) if len(words) >= _WORDS]
    equal = {index: places[hypotheses[index]] for index in long if hypotheses[index] in places}
    claims = {index: found[0] for index, found in equal.items() if len(found) == 1}
    claimed = Counter(claims.values())
    single = {index: other for index, other in claims.items() if claimed[other] == 1 and other != index}
    by_chance = _GUESSED + _STANDARD_ERRORS_OF_GUESSES * math.sqrt(_GUESSED * (1 - _GUESSED) / max(1, len(long)))
    if not single or len(single) < max(_EXACT, by_chance) * len(long):
        return []
    index, other = next(iter(single.items()))
    return [
        f"{len(single)} of {plural(len(long), 'hypothesis', 'hypotheses')} equal the reference of another utterance, "
        f"each of a different one (that of {names[index]} equals the reference of {names[other]}): are the ids in "
        "another order?"
    ]


def _folded(items: Sequence[object]) -> tuple[str, ...]:
    return tuple(fold(item) for item in items if isinstance(item, str))


def _errors(reference: tuple[str, ...], hypothesis: tuple[str, ...]) -> int:
    return align(reference=reference, hypothesis=hypothesis).errors


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Returns a key that sorts numbers in names by their value."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name)]
