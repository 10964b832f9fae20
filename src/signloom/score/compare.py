"""Compares two systems on the same references: is the difference of their word error rates real, or chance?

Both systems recognised the same utterances, easy and hard ones, so the comparison looks at the difference on each
utterance. The interval of the difference is far narrower than the intervals of the two rates. Those may overlap even
if the difference is real.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import zip_longest
from operator import sub
from typing import Any

import numpy as np

from signloom.errors import Faults, InputError
from signloom.score.alignment import CORRECT, INSERTION, Alignment, Op, fold
from signloom.score.analysis import GlossCounts, by_gloss
from signloom.score.interval import LEVEL, ConfidenceInterval, interval_of
from signloom.score.shared_clips import Sign, errors_by_word
from signloom.score.wer import Score, UtteranceScore

RESAMPLES = 10_000
# Errors count as independent if both systems have this many words right in a row between them. Source: NIST SCTK 2.4,
# `sclite/mtchprs.c` and the manual page of sc_stats: segments end at two correct words or at the end of a sentence.
BOUNDARY_WORDS = 2


@dataclass(frozen=True)
class UtterancePair:
    """One utterance under both systems."""

    a: UtteranceScore
    b: UtteranceScore

    @property
    def id(self) -> str:
        return self.a.id

    @property
    def signer(self) -> str | None:
        return self.a.signer if self.a.signer is not None else self.b.signer

    @property
    def change(self) -> int:
        """Errors of B minus errors of A: negative if B is better."""
        return self.b.errors - self.a.errors

    @property
    def signs(self) -> list[Sign]:
        """The glosses of a composed utterance, with the change of their errors; empty if it is not composed."""
        if not (signs := self.a.signs or self.b.signs):
            return []
        changes = map(sub, errors_by_word(self.b.alignment), errors_by_word(self.a.alignment))
        return [sign._replace(errors=change) for sign, change in zip(signs, changes, strict=True)]

    @property
    def other_words(self) -> bool:
        """Whether the two hypotheses differ."""
        return self.a.alignment.hypothesis != self.b.alignment.hypothesis


@dataclass(frozen=True)
class SegmentTest:
    """The matched-pairs sentence segment word error test (MAPSSWE).

    segments: how many segments have an error.  mean: errors of B minus errors of A, per segment.
    z, p_value: two-sided test of a mean of zero; None with fewer than two segments, or if all differences are equal.
    """

    segments: int
    mean: float
    z: float | None
    p_value: float | None


@dataclass(frozen=True)
class GlossChange:
    """The counts of one gloss under both systems."""

    gloss: str
    occurrences: int
    a: GlossCounts
    b: GlossCounts

    @property
    def gained(self) -> int:
        """How many more times B has it right; negative if A has it right more often."""
        return self.a.missed - self.b.missed

    @property
    def fewer_invented(self) -> int:
        return self.a.invented - self.b.invented


@dataclass(frozen=True)
class Comparison:
    """Two scores of the same references under the same rule. Differences are B minus A: below 0, B is better."""

    a: Score
    b: Score
    name_a: str
    name_b: str
    pairs: tuple[UtterancePair, ...]
    interval: ConfidenceInterval
    probability_of_improvement: float

    @property
    def difference(self) -> float:
        """WER of B minus WER of A, as a fraction of the reference words."""
        return self.b.wer - self.a.wer

    @property
    def real(self) -> bool:
        """Whether the interval of the difference excludes zero."""
        return self.interval.low > 0 or self.interval.high < 0

    @property
    def better(self) -> list[UtterancePair]:
        """The utterances in which B has fewer errors, the most improved first."""
        return sorted((pair for pair in self.pairs if pair.change < 0), key=lambda pair: pair.change)

    @property
    def worse(self) -> list[UtterancePair]:
        """The utterances in which B has more errors, the most worsened first."""
        return sorted((pair for pair in self.pairs if pair.change > 0), key=lambda pair: -pair.change)

    @property
    def reworded(self) -> list[UtterancePair]:
        """The utterances with different hypotheses and the same number of errors."""
        return [pair for pair in self.pairs if pair.other_words and not pair.change]

    @cached_property
    def segment_test(self) -> SegmentTest:
        return segment_test(self.pairs)

    @cached_property
    def signers(self) -> dict[str, tuple[Score, Score]]:
        """The scores of each signer under A and B, the most improved first; empty if no signer is known."""
        b = self.b.by_signer
        both = [(name, (part, b[name])) for name, part in self.a.by_signer.items() if name in b]

        def order(item: tuple[str, tuple[Score, Score]]) -> tuple[bool, float]:
            one, other = item[1]
            # Without reference words there is no rate to sort by.
            return (False, other.wer - one.wer) if one.reference_words else (True, other.errors - one.errors)

        return dict(sorted(both, key=order))

    @cached_property
    def glosses(self) -> list[GlossChange]:
        """Every gloss, those that gained or lost most first."""
        # The two hypotheses may spell a gloss in different case.
        a, b = ({fold(item.gloss): item for item in by_gloss(score)} for score in (self.a, self.b))
        changes = []
        for key in {**a, **b}:
            none = GlossCounts((a.get(key) or b[key]).gloss, 0, 0, 0, 0, 0, 0)
            one, other = a.get(key, none), b.get(key, none)
            changes.append(GlossChange(one.gloss, one.occurrences, one, other))
        return sorted(changes, key=lambda item: (-abs(item.gained), -abs(item.fewer_invented), item.gloss))

    def verdict(self) -> str:
        """Returns one plain sentence: which system is better, by how much, and whether that can be claimed."""
        points = abs(100 * self.difference)
        low, high = sorted((abs(100 * self.interval.low), abs(100 * self.interval.high)))
        level = f"{100 * self.interval.level:g} %"
        if not any(pair.other_words for pair in self.pairs):
            return "A and B recognised exactly the same glosses: there is no difference."
        if self.real:
            better, chance = ("B", self.probability_of_improvement)
            if self.difference > 0:
                better, chance = "A", 1 - chance
            return (
                f"{better} is better by {points:.2f} points of WER ({level} interval {low:.2f} to {high:.2f}); "
                f"it wins in {_share(chance)} of resamples, so the difference is more than chance on these utterances."
            )
        spread = f"{level} interval {100 * self.interval.low:+.2f} to {100 * self.interval.high:+.2f}"
        if not self.difference:
            return f"No difference can be claimed: A and B have the same WER ({spread} points)."
        better = "B" if self.difference < 0 else "A"
        return (
            f"No difference can be claimed: the WER of {better} is {points:.2f} points lower, but chance alone could "
            f"explain that ({spread} for B minus A)."
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the comparison as plain values; `utterances` has only those whose words changed."""
        return {
            "a": {"name": self.name_a, **_counts(self.a)},
            "b": {"name": self.name_b, **_counts(self.b)},
            "protocol": self.a.protocol,
            "rule": self.a.rule,
            "difference": self.difference,
            "interval": asdict(self.interval),
            "probability_of_improvement": self.probability_of_improvement,
            "real": self.real,
            "verdict": self.verdict(),
            "segment_test": asdict(self.segment_test),
            "num_utterances": len(self.pairs),
            "num_better": len(self.better),
            "num_worse": len(self.worse),
            "num_reworded": len(self.reworded),
            "signers": {
                name: {"a": _counts(a), "b": _counts(b), "difference": b.wer - a.wer if a.reference_words else None}
                for name, (a, b) in self.signers.items()
            },
            "glosses": [
                {
                    "gloss": item.gloss,
                    "occurrences": item.occurrences,
                    "gained": item.gained,
                    "fewer_invented": item.fewer_invented,
                    "missed": [item.a.missed, item.b.missed],
                    "invented": [item.a.invented, item.b.invented],
                }
                for item in self.glosses
                if item.gained or item.fewer_invented
            ],
            "utterances": [
                {
                    "id": pair.id,
                    "signer": pair.signer,
                    "change": pair.change,
                    "reference": list(pair.a.alignment.reference),
                    "a": list(pair.a.alignment.hypothesis),
                    "b": list(pair.b.alignment.hypothesis),
                }
                for pair in self.pairs
                if pair.other_words
            ],
        }


def compare(
    a: Score,
    b: Score,
    *,
    name_a: str = "A",
    name_b: str = "B",
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Returns the comparison of two scores, their utterances paired by id.

    The interval is the percentile bootstrap interval of the difference: utterances are drawn with replacement, the same
    ones for both systems; it is wider where composed utterances share clips (`interval_of`).
    `probability_of_improvement` is the share of draws in which B has fewer errors (a tie counts half). Source: Bisani
    and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation".
    Raises InputError, listing the first differences, if the rules, utterances or references differ.
    """
    if not 0 < level < 1 or resamples < 1:
        raise InputError(f"compare: level {level} and {resamples} resamples; needed 0 < level < 1 and 1 or more")
    _check_same(a, b, name_a, name_b)
    others = {utterance.id: utterance for utterance in b.utterances}
    pairs = tuple(UtterancePair(utterance, others[utterance.id]) for utterance in a.utterances)
    draws = _resampled(pairs, resamples, seed)
    signs = [sign for pair in pairs for sign in pair.signs]
    interval, differences = interval_of(
        draws, b.wer - a.wer, signs, num_words=a.reference_words, level=level, seed=seed
    )
    improved = float(np.mean(differences < 0) + np.mean(differences == 0) / 2)
    return Comparison(a, b, name_a, name_b, pairs, interval, improved)


def segment_test(pairs: tuple[UtterancePair, ...]) -> SegmentTest:
    """Returns the matched-pairs test (MAPSSWE) over the segments of all utterances.

    Source: Gillick and Cox 1989, "Some statistical issues in the comparison of speech recognition algorithms".
    Segments as in NIST SCTK: the words between two boundaries. A boundary is the end of a sentence, or two words in a
    row that both systems have right, with nothing inserted between them. Segments without an error do not count.
    """
    differences = np.array([b - a for pair in pairs for a, b in _segments(pair)], dtype=float)
    count = len(differences)
    if not count:
        return SegmentTest(0, 0.0, None, None)
    mean = float(differences.mean())
    deviation = float(differences.std(ddof=1)) if count > 1 else 0.0
    if not deviation:
        return SegmentTest(count, mean, None, None)
    z = mean / (deviation / math.sqrt(count))
    return SegmentTest(count, mean, z, math.erfc(abs(z) / math.sqrt(2)))


def aligned_columns(pair: UtterancePair) -> Iterator[tuple[str | None, Op | None, Op | None]]:
    """Yields both alignments as columns: the reference word (None at an insertion), and the step of each system."""
    (gaps_a, words_a), (gaps_b, words_b) = _by_word(pair.a.alignment), _by_word(pair.b.alignment)
    for n, reference in enumerate([*pair.a.alignment.reference, None]):
        for op_a, op_b in zip_longest(gaps_a[n], gaps_b[n]):
            yield None, op_a, op_b
        if reference is not None:
            yield reference, words_a[n], words_b[n]


def _by_word(alignment: Alignment) -> tuple[list[list[Op]], list[Op]]:
    """Returns the insertions before each reference word (and after the last), and the step of each reference word."""
    gaps: list[list[Op]] = [[]]
    words: list[Op] = []
    for op in alignment.ops:
        if op.kind == INSERTION:
            gaps[-1].append(op)
        else:
            words.append(op)
            gaps.append([])
    return gaps, words


def _segments(pair: UtterancePair) -> Iterator[tuple[int, int]]:
    """Yields the number of errors of A and of B in each segment that has an error."""
    if not pair.a.errors and not pair.b.errors:
        return
    errors = [0, 0]
    run = 0
    for _, *ops in aligned_columns(pair):
        wrong = [int(op is not None and op.kind != CORRECT) for op in ops]
        if not any(wrong):
            run += 1
            if run == BOUNDARY_WORDS and any(errors):
                yield errors[0], errors[1]
                errors = [0, 0]
            continue
        run = 0
        errors = [errors[0] + wrong[0], errors[1] + wrong[1]]
    if any(errors):
        yield errors[0], errors[1]


def _resampled(pairs: tuple[UtterancePair, ...], resamples: int, seed: int) -> np.ndarray:
    """Returns WER of B minus WER of A in each of `resamples` draws, shape (resamples,).

    Utterances of equal length and change are one kind. In a draw with replacement the number of utterances of each kind
    is multinomial, and there are far fewer kinds than utterances.
    """
    kinds = Counter((pair.change, pair.a.reference_words) for pair in pairs)
    changes, words = np.array(list(kinds)).T
    shares = np.array(list(kinds.values())) / len(pairs)
    rng = np.random.default_rng(seed)
    differences: list[np.ndarray] = []
    missing = resamples
    while missing:
        # The number of draws at once only affects memory.
        drawn = rng.multinomial(len(pairs), shares, size=min(missing, max(1, 2_000_000 // len(kinds))))
        total = drawn @ words
        # A draw without any reference word has no rate; it is drawn again.
        kept = total > 0
        differences.append((drawn @ changes)[kept] / total[kept])
        missing -= int(kept.sum())
    return np.concatenate(differences)


def _check_same(a: Score, b: Score, name_a: str, name_b: str) -> None:
    faults = Faults(f"{name_a} and {name_b} cannot be compared", shown=5)
    if a.protocol != b.protocol:
        faults.add(f"the scoring rule of A is {a.protocol!r}, that of B {b.protocol!r}")
    in_a, in_b = ({utterance.id: utterance for utterance in score.utterances} for score in (a, b))
    for name in [name for name in in_a if name not in in_b]:
        faults.add(f"utterance {name!r} is only in A")
    for name in [name for name in in_b if name not in in_a]:
        faults.add(f"utterance {name!r} is only in B")
    for name in [name for name in in_a if name in in_b]:
        ours, theirs = (side[name].alignment.reference for side in (in_a, in_b))
        if ours != theirs:
            index = next(n for n, (x, y) in enumerate(zip_longest(ours, theirs)) if x != y)
            faults.add(
                f"utterance {name!r}: the references differ at gloss {index + 1}, {_word(ours, index)} in A and "
                f"{_word(theirs, index)} in B"
            )
    faults.advice = (
        "Score both against the same references under the same rule. (A reference with alternatives takes the wording "
        "that fits each system best; give it one wording to compare systems.)"
    )
    faults.raise_if_any()


def _word(words: tuple[str, ...], index: int) -> str:
    return repr(words[index]) if index < len(words) else "none"


def _counts(score: Score) -> dict[str, Any]:
    keys = ("errors", "substitutions", "deletions", "insertions", "reference_words")
    return {"wer": score.wer if score.reference_words else None, **{key: getattr(score, key) for key in keys}}


def _share(rate: float) -> str:
    """Returns a share of resamples as text; never 100 %, because no number of draws can prove that."""
    return "more than 99.9 %" if rate > 0.999 else f"{100 * rate:.1f} %"
