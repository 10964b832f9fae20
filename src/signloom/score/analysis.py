"""Error analysis of a score: errors per gloss, pairs of confused glosses, errors by utterance length.

Glosses that compare as equal (`a` and `A`) are counted as one gloss, in the spelling that the references use first.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from signloom.score.alignment import CORRECT, INSERTION, fold
from signloom.score.wer import Score, UtteranceScore

# Few enough bars to tell apart at a glance, each with enough utterances to be meaningful.
MAX_LENGTH_BUCKETS = 8
# The longest utterances, beyond this share of all, go into one open bucket.
LONG_SHARE = 0.95


@dataclass(frozen=True)
class GlossCounts:
    """Counts of one gloss.

    occurrences: how often the references have it (= correct + substituted + deleted).
    inserted: how often a hypothesis has it where the reference has nothing.
    stands_for_another: how often a hypothesis has it where the reference has another gloss.
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
        """`missed` divided by `occurrences`; None for a gloss that no reference contains."""
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
    """A reference gloss that was recognised as another gloss `count` times, of `occurrences` in the references."""

    reference: str
    hypothesis: str
    count: int
    occurrences: int

    @property
    def rate(self) -> float:
        return self.count / self.occurrences


@dataclass(frozen=True)
class LengthBucket:
    """The utterances with `low` to `high` reference glosses; high is None if the bucket has no upper limit."""

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
    """Returns the counts of every gloss in references and hypotheses, the most missed first, then the most invented."""
    counts: dict[str, Counter[str]] = {}
    spelling = _Spelling(score)
    for utterance in score.utterances:
        for kind, reference, hypothesis in utterance.alignment.ops:
            if reference is not None:
                counts.setdefault(spelling[reference], Counter())[kind] += 1
            if hypothesis is not None and kind != CORRECT:
                counts.setdefault(spelling[hypothesis], Counter())["+" if kind == INSERTION else "~"] += 1
    result = [
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
    return sorted(result, key=lambda item: (-item.missed, -item.invented, -item.occurrences, item.gloss))


def confusions(score: Score) -> list[Confusion]:
    """Returns every pair of a reference gloss and the gloss recognised in its place, the most frequent first."""
    spelling = _Spelling(score)
    occurrences = {item.gloss: item.occurrences for item in by_gloss(score)}
    pairs = Counter(
        (spelling[reference], spelling[hypothesis])
        for utterance in score.utterances
        for kind, reference, hypothesis in utterance.alignment.ops
        if kind != CORRECT and reference is not None and hypothesis is not None
    )
    result = [
        Confusion(reference, hypothesis, count, occurrences[reference])
        for (reference, hypothesis), count in pairs.items()
    ]
    return sorted(result, key=lambda pair: (-pair.count, -pair.rate, pair.reference, pair.hypothesis))


def by_length(utterances: Sequence[UtteranceScore]) -> list[LengthBucket]:
    """Returns the utterances in up to eight non-empty ranges of reference length, of equal width, shortest first.

    Utterances without a reference gloss get a bucket of their own (0), because all their errors are insertions.
    The longest 5 % share one open bucket if the ranges do not reach them.
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
    """Returns the score of some of a score's utterances, under the same rule."""
    return Score.of(score.protocol, utterances)


class _Spelling(dict[str, str]):
    """Maps any spelling of a gloss to the one that is shown: the first in the references of a score."""

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
