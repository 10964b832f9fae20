"""Verdicts on overfit runs and first iterations, with advice. Every threshold names its source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from signloom.health.overfit.bisection import LEARNS, Bisection
from signloom.health.overfit.regimes import RELAXED, STANDARD, training_option
from signloom.health.overfit.training import Iterations, OverfitRun

# A model with a WER below the limit has this level. The limits are those of the overfit test's description.
LEVELS = ((0.0, "perfect"), (0.05, "good"), (LEARNS, "learns"))

# With a training loss per gloss below this, a model knows its samples: each gloss has a probability of 99 %.
MEMORISED = 0.01

BROKEN = ": broken, run the checklist"
CHECKLIST = (
    "do the annotations belong to the clips? Look at a few clips with their glosses",
    "are there hands? A corpus without hands cannot be learnt ('signloom import' and 'extract' print their share)",
    "were the landmarks normalised before import? They must not be: bones keep their length within a clip",
    "does the loss fall in 'signloom verify'? If not, try another --learning_rate: it may be too large",
    "does another model learn? If 'student' passes where 'teacher' fails, suspect the model; if both fail, the data",
    "what blocks learning? --bisect true removes dropout, attention, its clamp and more, one at a time",
)


@dataclass(frozen=True)
class Verdict:
    """passed: whether the model can be trained as it is.  headline: one sentence.  advice: what to do, in order."""

    passed: bool
    headline: str
    advice: tuple[str, ...] = ()


def level(wer: float) -> str:
    """Returns how well a model knows its training samples, judged by its WER on them."""
    if wer == 0:
        return LEVELS[0][1]
    return next((name for limit, name in LEVELS if wer < limit), "does not learn")


def overfit_verdict(
    runs: Sequence[OverfitRun],
    *,
    baseline: Sequence[OverfitRun] = (),
    bisection: Bisection | None = None,
) -> Verdict:
    """Returns the verdict on the runs of one model, one run per regime.

    baseline: runs of another model with the same regimes.  bisection: of the first run that failed.
    """
    verdict = _regimes_verdict(runs)
    if verdict.passed:
        return verdict
    advice = verdict.advice
    if baseline and not any(run.passed for run in runs):
        other = baseline[0].model
        advice = (
            f"{other} passes on the same utterances: the data can be learnt, the fault is in {runs[0].model}"
            if any(run.passed for run in baseline)
            else f"{other} fails on the same utterances too: look at the data first",
            *advice,
        )
    if bisection is None:
        return Verdict(False, verdict.headline, advice)
    cause = bisection_verdict(bisection)
    # A known cause makes the checklist needless.
    headline = verdict.headline.removesuffix(BROKEN) if cause.advice else verdict.headline
    return Verdict(False, f"{headline}; {cause.headline}", cause.advice or advice)


def bisection_verdict(bisection: Bisection) -> Verdict:
    """Returns which changes unblock a regime that failed; without advice where none does."""
    base = bisection.base
    if bisection.unblocking:
        first, *others = bisection.unblocking
        advice = (
            f"train with {training_option(first.name)}",
            *(f"or with {training_option(one.name)}: {outcome(one.run)}" for one in others),
        )
        return Verdict(
            False,
            f"{first.name} unblocks learning: {outcome(first.run)}"
            + (f" (so do {', '.join(one.name for one in others)})" if others else ""),
            advice,
        )
    if bisection.needed:
        together = " and ".join(bisection.needed)
        train = ", ".join(training_option(name) for name in bisection.needed)
        return Verdict(False, f"only together {together} unblock learning", (f"train with {train}",))
    tried = len(bisection.tries)
    return Verdict(False, f"none of {tried} changes to {base.setting.name} unblocks learning, nor all together")


def outcome(run: OverfitRun) -> str:
    """Returns the result of a run in a few words."""
    if run.passed:
        return f"0 % from epoch {run.zero_epoch}"
    if run.failure or run.final is None:
        return f"non-finite: {run.failure}"
    return f"WER {100 * run.final.wer:.1f} %, loss {run.final.loss:.3f} per gloss after {len(run.epochs)} epochs"


def _regimes_verdict(runs: Sequence[OverfitRun]) -> Verdict:
    passed = {run.setting.name for run in runs if run.passed}
    failed = {run.setting.name for run in runs if not run.passed}
    names = " and ".join(run.setting.name for run in runs)
    if not failed:
        return Verdict(True, f"{'both settings pass' if len(runs) > 1 else f'{names} passes'}: the model learns")
    for run in runs:
        if run.final and not run.failure and run.final.loss < MEMORISED and run.final.wer > 0:
            return Verdict(
                False,
                f"{run.setting.name} knows the samples in training mode, but has a WER of {100 * run.final.wer:.1f} % "
                "on them in evaluation mode",
                (
                    "in batches of a few utterances, batch norm has other statistics than in evaluation mode: use a "
                    "larger --batch_size, or leave it out to take all samples at once",
                ),
            )
    if passed == {RELAXED.name}:
        return Verdict(
            False,
            "only relaxed passes: over-regularised",
            (
                f"train with the relaxed settings: --dropout {RELAXED.dropout:g} "
                f"--weight_decay {RELAXED.weight_decay:g} --augment false; then add these one at a time",
            ),
        )
    if passed == {STANDARD.name}:
        return Verdict(
            False,
            f"only standard passes: a learning rate of {RELAXED.learning_rate:g} without regularisation is too high",
            (f"train with the standard settings, --learning_rate {STANDARD.learning_rate:g} or less",),
        )
    best = min((run.final.wer for run in runs if run.final), default=math.inf)
    short = [run for run in runs if run.final and run.zero_epoch is None and not run.failure and _still_learning(run)]
    if best < LEVELS[-1][0] or short:
        advice = ("the last epochs still improved: allow more epochs with --max_epochs",)
        state = f"still learning at {100 * best:.1f} % WER" if best < math.inf else "still learning"
        return Verdict(False, f"{names} did not pass within the given epochs, {state}", advice if short else CHECKLIST)
    subject = "both settings fail" if len(runs) > 1 else f"{names} fails"
    return Verdict(False, f"{subject}{BROKEN}", CHECKLIST)


def iterations_verdict(measured: Iterations) -> Verdict:
    """Returns whether the loss is finite and fell from the first step to the last."""
    steps = measured.steps
    failed = next((number for number, step in enumerate(steps, 1) if not step.finite), None)
    if failed is not None:
        return Verdict(False, f"step {failed} is non-finite", CHECKLIST)
    first, last = steps[0].loss, steps[-1].loss
    if min(step.loss for step in steps) < 0:
        return Verdict(False, "a CTC loss below zero is a bug: it is minus the logarithm of a probability")
    if not last < first:
        return Verdict(False, f"the loss did not fall: {first:.3f} per gloss at first, {last:.3f} at last", CHECKLIST)
    return Verdict(True, f"the loss fell from {first:.3f} to {last:.3f} per gloss in {len(steps)} steps")


def _still_learning(run: OverfitRun) -> bool:
    """Returns whether the loss of the last tenth of the epochs is at least 5 % below that of the tenth before."""
    tenth = max(1, len(run.epochs) // 10)
    if len(run.epochs) < 2 * tenth:
        return False
    losses = [epoch.loss for epoch in run.epochs]
    return sum(losses[-tenth:]) < 0.95 * sum(losses[-2 * tenth : -tenth])
