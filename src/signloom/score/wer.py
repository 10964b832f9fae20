"""The datum `Score`: the word error rate of a set of utterances, with all it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from signloom.errors import Faults, InputError
from signloom.score.alignment import Alignment, align
from signloom.score.protocols import PROTOCOLS, protocol_named

LEVEL = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class UtteranceScore:
    """One utterance's alignment; signer is None where it is not known."""

    id: str
    signer: str | None
    alignment: Alignment

    @property
    def errors(self) -> int:
        return self.alignment.errors

    @property
    def reference_words(self) -> int:
        return len(self.alignment.reference)

    def to_json(self) -> dict[str, Any]:
        aligned = self.alignment
        return {
            "id": self.id,
            "signer": self.signer,
            "substitutions": aligned.substitutions,
            "deletions": aligned.deletions,
            "insertions": aligned.insertions,
            "reference": list(aligned.reference),
            "hypothesis": list(aligned.hypothesis),
            "kinds": aligned.kinds,
        }


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval of the WER: with chance `level` another draw of such utterances would fall within."""

    low: float
    high: float
    level: float
    resamples: int
    seed: int


@dataclass(frozen=True)
class Score:
    """The word error rate of a set of utterances: the sum of their errors over the sum of their reference words.

    protocol: name of the scoring rule.  utterances: in the order given, each with its alignment.
    `wer` is a fraction; it is above 1 where there are more errors than reference words, and is never capped.
    """

    protocol: str
    utterances: tuple[UtteranceScore, ...]
    substitutions: int
    deletions: int
    insertions: int
    reference_words: int

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def correct(self) -> int:
        return self.reference_words - self.substitutions - self.deletions

    @property
    def hypothesis_words(self) -> int:
        return self.correct + self.substitutions + self.insertions

    @property
    def wer(self) -> float:
        return self.errors / self.reference_words

    @property
    def rule(self) -> str:
        """What the scoring rule does, as a sentence."""
        return PROTOCOLS[self.protocol].rule

    @cached_property
    def by_signer(self) -> dict[str, Score]:
        """The score of each signer's utterances, by name; empty where no signer is known.

        Utterances without a signer are under `?` when others have one. A signer without reference words is left out.
        """
        groups: dict[str, list[UtteranceScore]] = {}
        for utterance in self.utterances:
            groups.setdefault("?" if utterance.signer is None else utterance.signer, []).append(utterance)
        if set(groups) == {"?"}:
            return {}
        return {
            name: _total(self.protocol, groups[name])
            for name in sorted(groups)
            if any(utterance.reference_words for utterance in groups[name])
        }

    def worst(self, count: int) -> list[UtteranceScore]:
        """The utterances with the most errors, of equal ones those with the higher share first; only wrong ones."""
        wrong = [utterance for utterance in self.utterances if utterance.errors]
        return sorted(wrong, key=lambda u: (-u.errors, u.reference_words, u.id))[:count]

    def interval(self, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
        """The percentile bootstrap interval of the WER over utterances drawn with replacement.

        It speaks of other utterances by these signers, not of other signers. Source: Bisani and Ney 2004,
        "Bootstrap estimates for confidence intervals in ASR performance evaluation".
        """
        if not 0 < level < 1 or resamples < 1:
            raise InputError(f"interval: level {level} and {resamples} resamples; needed 0 < level < 1 and 1 or more")
        errors = np.array([utterance.errors for utterance in self.utterances])
        words = np.array([utterance.reference_words for utterance in self.utterances])
        rng = np.random.default_rng(seed)
        rates: list[float] = []
        while len(rates) < resamples:
            drawn = rng.integers(len(errors), size=len(errors))
            # A draw of utterances without any reference word has no rate; another takes its place.
            if total := words[drawn].sum():
                rates.append(errors[drawn].sum() / total)
        low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
        return Interval(float(low), float(high), level, resamples, seed)

    def to_json(self, *, utterances: bool = True) -> dict[str, Any]:
        """All of it as plain values; `utterances=False` leaves out the list of them."""
        interval = self.interval()
        record = {
            "wer": self.wer,
            "interval": {
                "low": interval.low,
                "high": interval.high,
                "level": interval.level,
                "resamples": interval.resamples,
                "seed": interval.seed,
            },
            "protocol": self.protocol,
            "rule": self.rule,
            **self._counts(),
            "signers": {name: {"wer": part.wer, **part._counts()} for name, part in self.by_signer.items()},
        }
        if utterances:
            record["utterances"] = [utterance.to_json() for utterance in self.utterances]
        return record

    def _counts(self) -> dict[str, int]:
        return {
            "errors": self.errors,
            "substitutions": self.substitutions,
            "deletions": self.deletions,
            "insertions": self.insertions,
            "correct": self.correct,
            "reference_words": self.reference_words,
            "hypothesis_words": self.hypothesis_words,
            "num_utterances": len(self.utterances),
        }


def score(
    pairs: Iterable[tuple[str, Sequence[str], Sequence[str]]],
    *,
    protocol: str = "plain",
    signers: Mapping[str, str | None] | None = None,
) -> Score:
    """The score of (utterance id, reference words, hypothesis words) triples.

    signers: who signed an utterance, by its id.  An empty hypothesis is all deletions; an empty reference is all
    insertions.
    Raises InputError for an unknown protocol, an id that occurs twice, no utterances, or no reference word in any:
    then there is no rate.
    """
    name = protocol_named(protocol).name
    signers = signers or {}
    faults = Faults("score")
    utterances: list[UtteranceScore] = []
    seen: set[str] = set()
    for utterance_id, reference, hypothesis in pairs:
        if utterance_id in seen:
            faults.add(f"utterance {utterance_id!r} occurs twice; needed one reference and one hypothesis each")
        seen.add(utterance_id)
        aligned = align(reference=reference, hypothesis=hypothesis)
        utterances.append(UtteranceScore(utterance_id, signers.get(utterance_id), aligned))
    faults.raise_if_any()
    if not utterances:
        raise InputError("score: no utterances; needed at least one reference and hypothesis")
    if not any(utterance.reference_words for utterance in utterances):
        raise InputError(f"score: no reference words in {len(utterances)} utterances; a rate of them is not defined")
    return _total(name, utterances)


def _total(protocol: str, utterances: Sequence[UtteranceScore]) -> Score:
    return Score(
        protocol=protocol,
        utterances=tuple(utterances),
        substitutions=sum(utterance.alignment.substitutions for utterance in utterances),
        deletions=sum(utterance.alignment.deletions for utterance in utterances),
        insertions=sum(utterance.alignment.insertions for utterance in utterances),
        reference_words=sum(utterance.reference_words for utterance in utterances),
    )
