"""How much errors vary because utterances share clips: composed utterances are made of the same recordings.

A clip that is hard to recognise makes errors in every utterance that has it. So composed utterances are not
independent, and a bootstrap over them is too narrow. Here the missing covariance is estimated: that of glosses from one
clip in different utterances.

The variance of a sum over units that belong to several groups at once is that over the pairs that have a group in
common. Source: Cameron, Gelbach and Miller 2011, "Robust inference with multiway clustering", Journal of Business and
Economic Statistics 29 (2), equations 2.11 and 2.12. Groups are the utterances and the clips.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from signloom.score.alignment import CORRECT, INSERTION, Alignment


class Sign(NamedTuple):
    """A gloss of a composed utterance.

    clip: the recording it was cut from.  kind: what all clips of this kind have in common: signer and gloss. Other
    recordings of the same signs by the same signers differ in their clips only.  errors: at this gloss; negative where
    they are a difference of two systems.
    """

    utterance: str
    clip: Hashable
    kind: Hashable
    errors: int


@dataclass
class _Pairs:
    """Sum and number of the products of two different utterances' values, over ordered pairs."""

    products: float = 0.0
    count: int = 0

    @property
    def mean(self) -> float:
        return self.products / self.count


def errors_by_word(alignment: Alignment) -> list[int]:
    """Returns the errors at each reference word; inserted words count at the word before, the first ones at the first.

    Without reference words the list is empty.
    """
    errors = [0] * len(alignment.reference)
    index = -1
    for kind in alignment.kinds:
        index += kind != INSERTION
        if kind != CORRECT and errors:
            errors[max(index, 0)] += 1
    return errors


def shared_covariance(signs: Sequence[Sign], rate: float) -> float:
    """Returns the covariance that sharing clips adds to the variance of the sum of errors; 0 or more.

    rate: errors per gloss, from which those of each sign deviate.

    The covariance of two values from one clip is what their product exceeds that of two clips of the same kind by, on
    average: a kind that is hard as a whole is no property of a clip. Kinds with a single clip get the average of all.
    """
    by_kind: dict[Hashable, dict[Hashable, dict[str, tuple[float, int]]]] = defaultdict(lambda: defaultdict(dict))
    for sign in signs:
        of_clip = by_kind[sign.kind][sign.clip]
        total, count = of_clip.get(sign.utterance, (0.0, 0))
        of_clip[sign.utterance] = (total + sign.errors - rate, count + 1)
    excess, measured, unmeasured = 0.0, 0, 0
    for clips in by_kind.values():
        within = [_pairs(iter(of_clip.items())) for of_clip in clips.values()]
        same = _Pairs(sum(pairs.products for pairs in within), sum(pairs.count for pairs in within))
        every = _pairs(item for of_clip in clips.values() for item in of_clip.items())
        different = _Pairs(every.products - same.products, every.count - same.count)
        if different.count:
            excess += same.products - same.count * different.mean
            measured += same.count
        else:
            unmeasured += same.count
    if not measured:
        return 0.0
    return max(0.0, excess * (measured + unmeasured) / measured)


def _pairs(parts: Iterator[tuple[str, tuple[float, int]]]) -> _Pairs:
    """Returns the pairs of values of different utterances. parts: utterance, sum and number of some of its values."""
    utterances: dict[str, tuple[float, int]] = {}
    for name, (total, count) in parts:
        before, earlier = utterances.get(name, (0.0, 0))
        utterances[name] = (before + total, earlier + count)
    total, count = (sum(column) for column in zip(*utterances.values(), strict=True))
    squares = sum(total**2 for total, _ in utterances.values())
    return _Pairs(total**2 - squares, int(count**2 - sum(count**2 for _, count in utterances.values())))
