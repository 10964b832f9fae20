"""`Score`: the word error rate of a set of utterances, its confidence interval, and the alignments behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from signloom.errors import Faults, InputError, plural
from signloom.files.reading import Kind, read_json
from signloom.score.alignment import Alignment, alignment_fault, fold
from signloom.score.alternations import Item, align_items, plain_words
from signloom.score.interval import LEVEL, ConfidenceInterval, interval_of
from signloom.score.protocols import Protocol, protocol_named
from signloom.score.shared_clips import Sign, errors_by_word

_SCORE = Kind("the JSON file of a score, as 'signloom score --output' writes it", 500_000_000)
RESAMPLES = 1000
_COUNTS = ("errors", "substitutions", "deletions", "insertions", "correct", "reference_words", "hypothesis_words")


@dataclass(frozen=True)
class UtteranceScore:
    """The alignment of one utterance; signer is None if unknown.

    given_reference, given_hypothesis: the words before the scoring rule changed them; None if it changed nothing.
    clips: the recordings that a composed utterance is made of, one per reference word; else empty.
    """

    id: str
    signer: str | None
    alignment: Alignment
    given_reference: tuple[str, ...] | None = None
    given_hypothesis: tuple[str, ...] | None = None
    clips: tuple[str, ...] = ()

    @property
    def errors(self) -> int:
        return self.alignment.errors

    @property
    def reference_words(self) -> int:
        return len(self.alignment.reference)

    @property
    def hypothesis_as_given(self) -> tuple[str, ...]:
        """The hypothesis before the scoring rule changed it."""
        return self.alignment.hypothesis if self.given_hypothesis is None else self.given_hypothesis

    @property
    def signs(self) -> list[Sign]:
        """The glosses of a composed utterance with their errors; empty if it is not composed."""
        if not self.clips:
            return []
        errors = errors_by_word(self.alignment)
        return [
            Sign(self.id, clip, (self.signer, fold(gloss)), number)
            for clip, gloss, number in zip(self.clips, self.alignment.reference, errors, strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        aligned = self.alignment
        record: dict[str, Any] = {
            "id": self.id,
            "signer": self.signer,
            "substitutions": aligned.substitutions,
            "deletions": aligned.deletions,
            "insertions": aligned.insertions,
            "reference": list(aligned.reference),
            "hypothesis": list(aligned.hypothesis),
            "kinds": aligned.kinds,
        }
        for key in ("given_reference", "given_hypothesis"):
            if (words := getattr(self, key)) is not None:
                record[key] = list(words)
        if self.clips:
            record["clips"] = list(self.clips)
        return record

    @classmethod
    def from_json(cls, record: Any, *, place: str) -> UtteranceScore:
        """Returns the utterance that `to_json` wrote. Raises InputError, starting with `place`, for anything else."""
        if not isinstance(record, dict):
            raise InputError(f"{place}: {_kind(record)}; needed an utterance as 'signloom score' writes it")
        name, signer, kinds = record.get("id"), record.get("signer"), record.get("kinds")
        if not isinstance(name, str) or not (signer is None or isinstance(signer, str)):
            raise InputError(f"{place}: id {name!r} and signer {signer!r}; needed strings (signer may be null)")
        words: dict[str, tuple[str, ...] | None] = {}
        for key in ("reference", "hypothesis", "given_reference", "given_hypothesis", "clips"):
            value = record.get(key)
            if value is None and key not in ("reference", "hypothesis"):
                words[key] = None
            elif isinstance(value, list) and all(isinstance(word, str) for word in value):
                words[key] = tuple(value)
            else:
                raise InputError(f"{place} ({name}): {key} is {_kind(value)}; needed a list of words")
        aligned = Alignment(
            words["reference"] or (), words["hypothesis"] or (), kinds if isinstance(kinds, str) else "?"
        )
        if wrong := alignment_fault(aligned):
            raise InputError(f"{place} ({name}): {wrong}; the file was changed or is not a score")
        clips = words["clips"] or ()
        if len(clips) not in (0, len(aligned.reference)):
            raise InputError(
                f"{place} ({name}): {plural(len(clips), 'clip')} of {plural(len(aligned.reference), 'word')}; needed "
                "one per word"
            )
        return cls(name, signer, aligned, words["given_reference"], words["given_hypothesis"], clips)


@dataclass(frozen=True)
class Score:
    """The word error rate of a set of utterances: the sum of their errors divided by the sum of their reference words.

    protocol: name of the scoring rule.  utterances: in the given order, each with its alignment.
    num_dropped: glosses that a recogniser left out before scoring, because it was not sure enough.
    `wer` is a fraction; it exceeds 1 if there are more errors than reference words, and is never capped. It is NaN
    without reference words: a part of a score, such as a signer, may have none.
    """

    protocol: str
    utterances: tuple[UtteranceScore, ...]
    substitutions: int
    deletions: int
    insertions: int
    reference_words: int
    num_dropped: int = 0

    @classmethod
    def of(cls, protocol: str, utterances: Sequence[UtteranceScore]) -> Score:
        """Returns the score of aligned utterances, with their counts summed."""
        return cls(
            protocol=protocol,
            utterances=tuple(utterances),
            substitutions=sum(utterance.alignment.substitutions for utterance in utterances),
            deletions=sum(utterance.alignment.deletions for utterance in utterances),
            insertions=sum(utterance.alignment.insertions for utterance in utterances),
            reference_words=sum(utterance.reference_words for utterance in utterances),
        )

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
        return self.errors / self.reference_words if self.reference_words else math.nan

    @property
    def rule(self) -> str:
        """The scoring rule as a sentence."""
        return protocol_named(self.protocol).rule

    @cached_property
    def by_signer(self) -> dict[str, Score]:
        """The score of each signer's utterances, by name; empty if no signer is known.

        Utterances without a signer are under `?` if others have one. A signer may be without reference words.
        """
        groups: dict[str, list[UtteranceScore]] = {}
        for utterance in self.utterances:
            groups.setdefault("?" if utterance.signer is None else utterance.signer, []).append(utterance)
        if set(groups) == {"?"}:
            return {}
        return {name: Score.of(self.protocol, groups[name]) for name in sorted(groups)}

    def worst(self, count: int) -> list[UtteranceScore]:
        """Returns up to `count` utterances that have errors: those with the most errors, then the highest rate."""
        wrong = [utterance for utterance in self.utterances if utterance.errors]
        return sorted(wrong, key=lambda u: (-u.errors, u.reference_words, u.id))[:count]

    def interval(self, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0) -> ConfidenceInterval:
        """Returns the percentile bootstrap interval of the WER over utterances drawn with replacement.

        It covers other utterances by the same signers, not other signers. Source: Bisani and Ney 2004,
        "Bootstrap estimates for confidence intervals in ASR performance evaluation". Composed utterances that share
        clips are not independent: `interval_of` widens their interval. All is NaN without reference words.
        """
        if not 0 < level < 1 or resamples < 1:
            raise InputError(f"interval: level {level} and {resamples} resamples; needed 0 < level < 1 and 1 or more")
        errors = np.array([utterance.errors for utterance in self.utterances])
        words = np.array([utterance.reference_words for utterance in self.utterances])
        if not words.any():
            return ConfidenceInterval(math.nan, math.nan, level, resamples, seed)
        rng = np.random.default_rng(seed)
        rates: list[float] = []
        while len(rates) < resamples:
            drawn = rng.integers(len(errors), size=len(errors))
            # A draw without any reference word has no rate; it is drawn again.
            if total := words[drawn].sum():
                rates.append(errors[drawn].sum() / total)
        signs = [sign for utterance in self.utterances for sign in utterance.signs]
        interval, _ = interval_of(
            np.array(rates), self.wer, signs, num_words=self.reference_words, level=level, seed=seed
        )
        return replace(interval, low=max(0.0, interval.low))

    def to_json(self, *, utterances: bool = True) -> dict[str, Any]:
        """Returns the score as plain values; `utterances=False` leaves out the list of utterances."""
        record = {
            "wer": self.wer,
            "interval": asdict(self.interval()),
            "protocol": self.protocol,
            "rule": self.rule,
            **self._counts(),
            "signers": {
                name: {"wer": part.wer if part.reference_words else None, **part._counts()}
                for name, part in self.by_signer.items()
            },
        }
        if self.num_dropped:
            record["num_dropped"] = self.num_dropped
        if utterances:
            record["utterances"] = [utterance.to_json() for utterance in self.utterances]
        return record

    @classmethod
    def from_json(cls, record: Any, *, place: str = "score") -> Score:
        """Returns the score that `to_json` wrote with its utterances (an `evaluation-SPLIT.json` is one as well).

        place: where the record is, for messages.
        Raises InputError listing every fault: missing parts, alignments that do not fit their words, ids that occur
        twice, totals that differ from the sum of the utterances.
        """
        if not isinstance(record, dict) or "utterances" not in record or "protocol" not in record:
            raise InputError(
                f"{place}: not a score with utterances; needed the output of 'signloom score --output' or 'signloom "
                f"evaluate', with the keys protocol and utterances"
            )
        if not isinstance(record["protocol"], str) or not isinstance(record["utterances"], list):
            raise InputError(f"{place}: protocol must be a name and utterances a list")
        name = protocol_named(record["protocol"]).name
        faults = Faults(place)
        utterances: list[UtteranceScore] = []
        seen: set[str] = set()
        for number, item in enumerate(record["utterances"], 1):
            try:
                utterance = UtteranceScore.from_json(item, place=f"utterance {number}")
            except InputError as error:
                faults.add(str(error))
                continue
            if utterance.id in seen:
                faults.add(f"utterance {number}: the id {utterance.id!r} occurs twice")
            seen.add(utterance.id)
            utterances.append(utterance)
        faults.raise_if_any()
        _check_reference_words(utterances, place)
        score = cls.of(name, utterances)
        for key in ("substitutions", "deletions", "insertions", "reference_words"):
            if record.get(key) != getattr(score, key):
                faults.add(f"{key} is {record.get(key)!r}, but the utterances sum to {getattr(score, key)}")
        faults.advice = "The file was changed after it was written; score again."
        faults.raise_if_any()
        return score

    def _counts(self) -> dict[str, int]:
        return {**{key: getattr(self, key) for key in _COUNTS}, "num_utterances": len(self.utterances)}


def score(
    pairs: Iterable[tuple[str, Sequence[Item], Sequence[Item]]],
    *,
    protocol: str = "plain",
    signers: Mapping[str, str | None] | None = None,
    clips: Mapping[str, Sequence[str]] | None = None,
) -> Score:
    """Returns the score of (utterance id, reference words, hypothesis words) triples.

    protocol: name of the scoring rule, which defines the changes before the alignment.
    signers: the signer of each utterance, by utterance id.  clips: of composed utterances the clip of each reference
    word, by utterance id; left out where the rule changes the number of words.
    Words may be alternations; the best-fitting wording counts. An empty hypothesis counts as all deletions, unless the
    rule replaces it by a word; an empty reference counts as all insertions.
    Raises InputError for an unknown protocol, an id that occurs twice, alternations under a rule that changes
    references, no utterances, or no reference words (the rate is then undefined).
    """
    rule = protocol_named(protocol)
    signers, clips = signers or {}, clips or {}
    faults = Faults("score")
    utterances: list[UtteranceScore] = []
    seen: set[str] = set()
    for utterance_id, reference, hypothesis in pairs:
        if utterance_id in seen:
            faults.add(f"utterance {utterance_id!r} occurs twice; needed one reference and one hypothesis each")
        seen.add(utterance_id)
        scored = _score_one(rule, utterance_id, signers.get(utterance_id), reference, hypothesis)
        own = tuple(clips.get(utterance_id, ()))
        utterances.append(replace(scored, clips=own) if own and len(own) == scored.reference_words else scored)
    faults.raise_if_any()
    if not utterances:
        raise InputError("score: no utterances; needed at least one reference and hypothesis")
    _check_reference_words(utterances, "score")
    return Score.of(rule.name, utterances)


def _check_reference_words(utterances: Sequence[UtteranceScore], place: str) -> None:
    if not any(utterance.reference_words for utterance in utterances):
        raise InputError(
            f"{place}: no reference words in {plural(len(utterances), 'utterance')}; the rate is undefined"
        )


def _score_one(
    rule: Protocol, utterance_id: str, signer: str | None, reference: Sequence[Item], hypothesis: Sequence[Item]
) -> UtteranceScore:
    reference, given_reference = _cleaned(
        reference, rule.clean_reference, bool(rule.reference), f"score ({utterance_id}): reference", rule.name
    )
    hypothesis, given_hypothesis = _cleaned(
        hypothesis, rule.clean_hypothesis, bool(rule.hypothesis), f"score ({utterance_id}): hypothesis", rule.name
    )
    aligned = align_items(reference=reference, hypothesis=hypothesis)
    return UtteranceScore(utterance_id, signer, aligned, given_reference, given_hypothesis)


def _cleaned(
    items: Sequence[Item],
    clean: Callable[[Sequence[str]], tuple[str, ...]],
    changes: bool,
    place: str,
    rule: str,
) -> tuple[Sequence[Item], tuple[str, ...] | None]:
    """Returns the words to align, and the original words if the rule changed them, else None."""
    if isinstance(items, str):
        raise InputError(f"{place} is the string {items[:40]!r}; needed a list of words")
    words = plain_words(items)
    if words is not None:
        cleaned = clean(words)
        return cleaned, None if cleaned == words else words
    if changes:
        raise InputError(f"{place} has alternatives, which the rule {rule!r} cannot clean; use the rule 'plain'")
    return items, None


def read_score(path: Path) -> Score:
    """Returns the score in a JSON file that `signloom score --output` or `signloom evaluate` wrote.

    Raises InputError if the file cannot be read or has no score.
    """
    return Score.from_json(read_json(path, _SCORE), place=str(path))


def _kind(value: Any) -> str:
    return "missing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
