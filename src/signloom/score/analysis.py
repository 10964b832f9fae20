"""Where the errors of a score are: by gloss, by pair of confused glosses, by length of the utterance.

Glosses that are compared as equal (`a` and `A`) are counted as one, spelled as the references spell them first.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from signloom.score.alignment import CORRECT, DELETION, INSERTION, fold
from signloom.score.wer import Score, UtteranceScore

# As many bars as can be told apart at a glance, each with enough utterances to say something.
MAX_LENGTH_BUCKETS = 8
# Beyond this share of the utterances the few long ones are put into one open bucket.
LONG_SHARE = 0.95


@dataclass(frozen=True)
class GlossCounts:
    """What became of one gloss.

    occurrences: in the references = correct + substituted + deleted.  inserted: in a hypothesis where the reference
    has nothing.  stands_for_another: in a hypothesis where the reference has another gloss.
    """

    gloss: str
    occurrences: int
    correct: int
    substituted: int
    deleted: int
    inserted: int
    stands_for_another: int

    @property
    def missed(self) -> int:
        """How often it was signed and not recognised."""
        return self.substituted + self.deleted

    @property
    def invented(self) -> int:
        """How often it was recognised and not signed."""
        return self.inserted + self.stands_for_another

    @property
    def missed_rate(self) -> float | None:
        """`missed` over its occurrences; None for a gloss that no reference holds."""
        return self.missed / self.occurrences if self.occurrences else None

    def to_json(self) -> dict[str, Any]:
        return {
            **dataclasses.asdict(self),
            "missed": self.missed,
            "invented": self.invented,
            "missed_rate": self.missed_rate,
        }


@dataclass(frozen=True)
class Confusion:
    """A gloss that was recognised as another `count` times, of its `occurrences` in the references."""

    reference: str
    hypothesis: str
    count: int
    occurrences: int

    @property
    def rate(self) -> float:
        return self.count / self.occurrences


@dataclass(frozen=True)
class LengthBucket:
    """The utterances with `low` to `high` reference glosses; high is None in the last one where it is open."""

    low: int
    high: int | None
    utterances: tuple[UtteranceScore, ...]

    @property
    def name(self) -> str:
        """E.g. `4`, `4-6` or `19+`."""
        if self.high is None:
            return f"{self.low}+"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def by_gloss(score: Score) -> list[GlossCounts]:
    """The counts of every gloss of references and hypotheses: most missed first, of equal ones most invented."""
    counts: dict[str, Counter[str]] = {}
    spelling = _Spelling(score)
    for utterance in score.utterances:
        for kind, reference, hypothesis in utterance.alignment.ops:
            if reference is not None:
                counts.setdefault(spelling[reference], Counter())[kind] += 1
            if hypothesis is not None and kind != CORRECT:
                counts.setdefault(spelling[hypothesis], Counter())["+" if kind == INSERTION else "~"] += 1
    found = [
        GlossCounts(
            gloss,
            occurrences=count["C"] + count["S"] + count["D"],
            correct=count["C"],
            substituted=count["S"],
            deleted=count["D"],
            inserted=count["+"],
            stands_for_another=count["~"],
        )
        for gloss, count in counts.items()
    ]
    return sorted(found, key=lambda item: (-item.missed, -item.invented, -item.occurrences, item.gloss))


def confusions(score: Score) -> list[Confusion]:
    """Every pair of a reference gloss and the other gloss recognised in its place, most frequent first."""
    spelling = _Spelling(score)
    pairs: Counter[tuple[str, str]] = Counter()
    occurrences: Counter[str] = Counter()
    for utterance in score.utterances:
        for kind, reference, hypothesis in utterance.alignment.ops:
            if reference is not None:
                occurrences[spelling[reference]] += 1
                if kind not in (CORRECT, DELETION) and hypothesis is not None:
                    pairs[spelling[reference], spelling[hypothesis]] += 1
    found = [
        Confusion(reference, hypothesis, count, occurrences[reference])
        for (reference, hypothesis), count in pairs.items()
    ]
    return sorted(found, key=lambda pair: (-pair.count, -pair.rate, pair.reference, pair.hypothesis))


def by_length(utterances: Sequence[UtteranceScore]) -> list[LengthBucket]:
    """The utterances in at most eight ranges of reference length, of equal width, shortest first; none is empty.

    Utterances without a reference gloss are a bucket of their own (0): all that is in their hypotheses is inserted.
    The longest 5 % share one open bucket where the ranges would not reach them.
    """
    groups: dict[int, list[UtteranceScore]] = {}
    for utterance in utterances:
        groups.setdefault(utterance.reference_words, []).append(utterance)
    lengths = sorted(length for length, group in groups.items() if length for _ in group)
    buckets = [LengthBucket(0, 0, tuple(groups[0]))] if 0 in groups else []
    if not lengths:
        return buckets
    first, last = lengths[0], lengths[-1]
    if last - first < MAX_LENGTH_BUCKETS:
        width, reach = 1, last
    else:
        typical = lengths[math.ceil(LONG_SHARE * len(lengths)) - 1]
        width = max(1, math.ceil((typical - first + 1) / (MAX_LENGTH_BUCKETS - 1)))
        reach = min(last, first + (MAX_LENGTH_BUCKETS - 1) * width - 1)
        if last <= reach + width:
            reach = last
    for low in range(first, reach + 1, width):
        high = min(low + width - 1, last)
        members = tuple(u for length in range(low, high + 1) for u in groups.get(length, []))
        if members:
            buckets.append(LengthBucket(low, high, members))
    if beyond := tuple(u for length in sorted(groups) if length > reach for u in groups[length]):
        buckets.append(LengthBucket(reach + 1, None, beyond))
    return buckets


def part(score: Score, utterances: Sequence[UtteranceScore]) -> Score:
    """The score of some of its utterances, under the same rule.

    `wer` of utterances without any reference gloss is not defined (ZeroDivisionError): look at `reference_words`.
    """
    aligned = [utterance.alignment for utterance in utterances]
    return dataclasses.replace(
        score,
        utterances=tuple(utterances),
        substitutions=sum(alignment.substitutions for alignment in aligned),
        deletions=sum(alignment.deletions for alignment in aligned),
        insertions=sum(alignment.insertions for alignment in aligned),
        reference_words=sum(len(alignment.reference) for alignment in aligned),
    )


class _Spelling(dict[str, str]):
    """How a gloss is shown, by any of its spellings: as the references of a score have it first."""

    def __init__(self, *scores: Score) -> None:
        super().__init__()
        self._first: dict[str, str] = {}
        for side in ("reference", "hypothesis"):
            for score in scores:
                for utterance in score.utterances:
                    for word in getattr(utterance.alignment, side):
                        self._first.setdefault(fold(word), word)

    def __missing__(self, word: str) -> str:
        self[word] = self._first.get(fold(word), word)
        return self[word]
