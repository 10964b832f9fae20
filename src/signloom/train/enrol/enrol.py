"""Enrols clips into a model: what that does is measured on clips that are left out in turn, then all are learnt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from signloom.ctc.confidence import Calibration
from signloom.ctc.spans import INFO_KEY, SpanSettings
from signloom.errors import InputError
from signloom.inference.calibrate import with_spans
from signloom.inference.model import Model
from signloom.inference.store import FeatureExample
from signloom.score.analysis import by_gloss
from signloom.score.wer import Score, score
from signloom.train.augmentation import AugmentationConfig
from signloom.train.enrol.clips import Clips
from signloom.train.enrol.examples import composed, gives_unknown_gloss, idling
from signloom.train.enrol.learner import Learner, Lesson, predicted
from signloom.vocabulary import Vocabulary

# Composed utterances to learn, and to measure on in each part that is left out; of idling alone beside them.
NUM_TRAINING = 160
NUM_MEASURED = 40
NUM_IDLE = 40
# Signs of an utterance, from so many to 8: to learn also single ones, to measure as `signloom compose` has them.
_FEWEST_LEARNT, _FEWEST_MEASURED = 1, 3
# How often something else stands beside the signs that a model learns which was trained with others (`compose
# --others`): of signs alone it would learn to name whatever the new signer does.
_OTHERS = 0.3
# The key of the record of an export in `Model.info`.
INFO_EXPORT = "export"
# First numbers of the seeds of what is composed.
_LEARNT, _MEASURED = 0, 1
# Figures of the model before, which are not those of the enrolled one.
_OUTDATED = ("dev", "tuned", INFO_EXPORT)
# The key of the record of an enrolment in `Model.info`.
INFO_ENROLLED = "enrolled"


@dataclass(frozen=True)
class Change:
    """Scores of the same utterances by the model before and after enrolment, greedy decoding."""

    before: Score
    after: Score

    def recognised(self, glosses: Sequence[str]) -> tuple[float, float]:
        """Returns the shares of the occurrences of some glosses that were recognised, before and after."""
        return _recognised(self.before, glosses), _recognised(self.after, glosses)


@dataclass(frozen=True)
class IdleChange:
    """Glosses that the model named in the same minutes of idling before and after enrolment, greedy decoding."""

    before: int
    after: int
    minutes: float

    @property
    def per_minute(self) -> tuple[float, float]:
        return self.before / self.minutes, self.after / self.minutes


@dataclass(frozen=True)
class Enrolment:
    """What an enrolment made.

    model: the enrolled one.  new_glosses: that the model did not know.
    clips: on utterances of clips that were left out; None where no sign has two.
    idle: on idling that was left out; None where there are no two clips of it.
    old: on utterances of dev from the model's store; None without any.
    """

    model: Model
    new_glosses: tuple[str, ...]
    clips: Change | None
    idle: IdleChange | None
    old: Change | None


def num_steps(learner: Learner, clips: Clips) -> int:
    """Returns how often `enrol` calls `advance`."""
    return learner.num_steps * (clips.num_folds + 1)


def enrol(
    learner: Learner,
    clips: Clips,
    *,
    seed: int = 0,
    record: dict[str, Any],
    advance: Callable[[], object] = lambda: None,
) -> Enrolment:
    """Returns the model of a learner enrolled with clips. The steps are as many with few clips as with many.

    record: what the enrolled model says of the clips.  advance: called after each step of training.

    Raises InputError for a store of other features than those that the model learns from.
    """
    model, store = learner.model, learner.model.store
    if store is not None and store.num_features != learner.num_features:
        raise InputError(
            f"model: its store holds {store.num_features} features a frame, the layers that learn take "
            f"{learner.num_features}; take a copy of the file that is whole, or train again"
        )
    new = sorted(model.vocabulary.unknown(clips.glosses))
    trainer = _Trainer(learner, Vocabulary((*model.vocabulary.words, *new)), seed, advance)
    change, idle = trainer.left_out(clips)
    adapted = trainer.adapted(clips, seed=(seed, _LEARNT))
    old = None
    if store is not None and store.dev:
        old = trainer.change([("", adapted, store.dev)])
    record = {**record, "new_glosses": new, "seed": seed, **_figures(change, idle, old)}
    info = {name: value for name, value in model.info.items() if name not in _OUTDATED}
    if (exported := model.info.get(INFO_EXPORT)) is not None:
        # Of an exported model, the precision is still true.
        info[INFO_EXPORT] = {name: exported[name] for name in ("precision",) if name in exported}
    enrolled = replace(adapted.model, info={**info, INFO_ENROLLED: record})
    if INFO_KEY in info and clips.pool:
        # Confidences were fitted to the outputs of the model before, which idling alone leaves as they were for signs.
        enrolled = with_spans(enrolled, replace(SpanSettings.of(info), calibration=Calibration()))
    if clips.pool:
        # A least confidence was chosen for these outputs as well. One sure gloss of many is asked for as before, where
        # confidences mean what they meant.
        as_before = SpanSettings.of(info).calibration == Calibration()
        enrolled = enrolled.with_limits(sure=model.decoding.sure_confidence if as_before else None)
    return Enrolment(enrolled, tuple(new), change, idle, old)


@dataclass(frozen=True)
class _Trainer:
    """Trains copies of a model on clips, and compares them with it.  vocabulary: of the copies."""

    learner: Learner
    vocabulary: Vocabulary
    seed: int
    advance: Callable[[], object]

    def adapted(self, clips: Clips, *, seed: Sequence[int]) -> Learner:
        """Returns the learner after it learnt clips and store."""
        examples = composed(
            self.learner,
            self.vocabulary,
            clips,
            NUM_TRAINING,
            seed=seed,
            min_glosses=_FEWEST_LEARNT,
            others=_OTHERS if gives_unknown_gloss(self.learner.model) else 0.0,
            augmentation=AugmentationConfig(),
        )
        num_idle = NUM_IDLE if clips.pool else NUM_TRAINING
        examples += idling(self.learner, clips, num_idle, seed=seed, augmentation=AugmentationConfig())
        store = self.learner.model.store
        stored = store.train if store is not None else []
        return self.learner.adapted(self.vocabulary, Lesson(examples, stored, self.seed, self.advance))

    def left_out(self, clips: Clips) -> tuple[Change | None, IdleChange | None]:
        """Returns the changes on utterances of signs alone, and of idling alone, of clips that were left out in turn;
        None where no sign has two clips, and where idling has none."""
        parts, idle = [], []
        for number in range(clips.num_folds):
            kept, out = clips.fold(number)
            adapted = self.adapted(kept, seed=(self.seed, _LEARNT, number))
            seed = (self.seed, _MEASURED, number)
            signs = replace(out, idle=())
            examples = composed(
                self.learner, self.vocabulary, signs, NUM_MEASURED, seed=seed, min_glosses=_FEWEST_MEASURED
            )
            if examples:
                parts.append((f"{number}-", adapted, examples))
            idle.append((adapted, idling(self.learner, out, NUM_IDLE, seed=seed)))
        return self.change(parts) if parts else None, self.idle_change(idle)

    def idle_change(self, parts: Sequence[tuple[Learner, Sequence[FeatureExample]]]) -> IdleChange | None:
        """Returns the change in idling; None without any. parts: the learner after, utterances without signs."""
        before, after, frames = 0, 0, 0
        for adapted, examples in parts:
            before += sum(map(len, predicted(self.learner, examples)))
            after += sum(map(len, predicted(adapted, examples)))
            frames += sum(len(example.features) for example in examples)
        minutes = frames * self.learner.model.engine.step_seconds / 60
        return IdleChange(before, after, minutes) if frames else None

    def change(self, parts: Sequence[tuple[str, Learner, Sequence[FeatureExample]]]) -> Change:
        """Returns the change on utterances. parts: prefix of their names, the learner after, the utterances."""
        before, after = [], []
        for prefix, adapted, examples in parts:
            names = [f"{prefix}{index}" for index in range(len(examples))]
            references = [self.vocabulary.decode(example.target) for example in examples]
            old = predicted(self.learner, examples)
            new = predicted(adapted, examples)
            before += list(zip(names, references, old, strict=True))
            after += list(zip(names, references, new, strict=True))
        return Change(score(before), score(after))


def _figures(clips: Change | None, idle: IdleChange | None, old: Change | None) -> dict[str, float]:
    """Returns the figures of an enrolment for the record of the model: WER of clips left out and of old signers, and
    glosses per minute of idling left out."""
    figures: dict[str, float] = {}
    if idle is not None:
        figures["idle_per_minute_before"], figures["idle_per_minute_after"] = idle.per_minute
    for name, change in (("clips", clips), ("old", old)):
        if change is not None:
            figures |= {f"{name}_wer_before": change.before.wer, f"{name}_wer_after": change.after.wer}
    return figures


def _recognised(result: Score, glosses: Sequence[str]) -> float:
    counts = [count for count in by_gloss(result) if count.gloss in glosses]
    occurrences = sum(count.occurrences for count in counts)
    return sum(count.correct for count in counts) / occurrences if occurrences else float("nan")
