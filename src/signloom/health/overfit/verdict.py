"""Verdicts on overfit runs and first iterations, with advice. Every threshold names its source."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from signloom.errors import plural
from signloom.health.overfit.bisection import LEARNS, Bisection
from signloom.health.overfit.regimes import RELAXED, STANDARD
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
    """passed: whether the model can be trained as it is.  headline: one sentence.  advice: what to do, in order.

    commands: lines to paste, which train with settings that let the model learn, the best first.
    """

    passed: bool
    headline: str
    advice: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


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
    if verdict.passed or any(run.stopped for run in runs):
        return verdict
    advice = verdict.advice
    # A model that is still learning has not failed.
    if baseline and not any(run.passed or undecided(run) for run in runs):
        other = baseline[0].model
        advice = (
            f"{other} passes on the same utterances: the data can be learnt, the fault is in {runs[0].model}"
            if any(run.passed for run in baseline)
            else f"{other} fails on the same utterances too: look at the data first",
            *advice,
        )
    if bisection is None:
        return dataclasses.replace(verdict, advice=advice)
    cause = bisection_verdict(bisection)
    # A known cause makes the checklist needless.
    headline = verdict.headline.removesuffix(BROKEN) if cause.advice else verdict.headline
    if undecided(bisection.base):
        cause = dataclasses.replace(cause, advice=(*advice, *cause.advice))
    commands = dict.fromkeys((*cause.commands, *verdict.commands))
    return Verdict(False, f"{headline}; {cause.headline}", cause.advice or advice, tuple(commands))


def bisection_verdict(bisection: Bisection) -> Verdict:
    """Returns which changes unblock a regime that failed; without advice where none does."""
    base = bisection.base
    if bisection.unblocking:
        first, *others = bisection.unblocking
        advice = (
            f"train with {first.name}",
            *(f"or with {one.name}: {outcome(one.run)}" for one in others),
        )
        return Verdict(
            False,
            f"{first.name} unblocks learning: {outcome(first.run)}"
            + (f" (so do {', '.join(one.name for one in others)})" if others else ""),
            advice,
            tuple(one.run.train for one in bisection.unblocking),
        )
    if bisection.needed:
        together = " and ".join(bisection.needed)
        train = next(one.run.train for one in bisection.tries if set(one.changes) == set(bisection.needed))
        headline = f"only together {together} unblock learning"
        return Verdict(False, headline, (f"train with {together}",), (train,))
    tried = plural(len(bisection.tries), "change")
    if not bisection.complete:
        return Verdict(False, f"none of {tried} to {base.setting.name} that the time allowed unblocks learning")
    return Verdict(False, f"none of {tried} to {base.setting.name} unblocks learning, nor all together")


def outcome(run: OverfitRun) -> str:
    """Returns the result of a run in a few words."""
    if run.passed:
        return f"0 % from epoch {run.zero_epoch}"
    if run.failure or run.final is None:
        return f"non-finite: {run.failure}"
    return (
        f"WER {100 * run.final.wer:.1f} %, loss {run.final.loss:.3f} per gloss after {plural(len(run.epochs), 'epoch')}"
    )


def _regimes_verdict(runs: Sequence[OverfitRun]) -> Verdict:
    passed, open_ends = [run for run in runs if run.passed], [run for run in runs if undecided(run)]
    commands = tuple(run.train for run in passed[:1])
    names = " and ".join(run.setting.name for run in runs)
    if len(passed) == len(runs):
        both = "both settings pass" if len(runs) > 1 else f"{names} passes"
        return Verdict(True, f"{both}: the model learns", commands=commands)
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
    if open_ends:
        headline = "; ".join(
            [*(f"{run.setting.name} passes" for run in passed), *(_open_end(run) for run in open_ends)]
        )
        return Verdict(False, f"{headline}: no verdict yet", tuple(dict.fromkeys(map(_more, open_ends))), commands)
    if [run.setting.name for run in passed] == [RELAXED.name]:
        again = "train with the relaxed settings; then add dropout, weight decay and augmentation again, one at a time"
        return Verdict(False, "only relaxed passes: over-regularised", (again,), commands)
    if [run.setting.name for run in passed] == [STANDARD.name]:
        return Verdict(
            False,
            f"only standard passes: a learning rate of {RELAXED.learning_rate:g} without regularisation is too high",
            (f"train with the standard settings, and a learning rate of {STANDARD.learning_rate:g} or less",),
            commands,
        )
    best = min((run.final.wer for run in runs if run.final), default=math.inf)
    if best < LEVELS[-1][0]:
        return Verdict(False, f"{names} did not pass, but reached a WER of {100 * best:.1f} %", CHECKLIST)
    subject = "both settings fail" if len(runs) > 1 else f"{names} fails"
    return Verdict(False, f"{subject}{BROKEN}", CHECKLIST)


def undecided(run: OverfitRun) -> bool:
    """Returns whether a run neither passed nor failed: it was stopped, or was still learning when it ended."""
    if run.passed or run.failure or not run.epochs:
        return False
    return run.stopped or run.zero_epoch is not None or _still_learning(run)


def _open_end(run: OverfitRun) -> str:
    wer = f"{100 * run.epochs[-1].wer:.1f} % WER"
    if run.stopped:
        return f"{run.setting.name} was stopped in epoch {len(run.epochs)}, at {wer}"
    return f"{run.setting.name} was still learning when its {'time' if run.out_of_time else 'epochs'} ended, at {wer}"


def _more(run: OverfitRun) -> str:
    if run.stopped:
        return "run the test again, and let it end"
    if run.out_of_time:
        return "the last epochs still improved: allow more time with --max_minutes"
    return f"the last epochs still improved: allow more epochs, --max_epochs {2 * run.max_epochs}"


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
    return Verdict(True, f"the loss fell from {first:.3f} to {last:.3f} per gloss in {plural(len(steps), 'step')}")


def _still_learning(run: OverfitRun) -> bool:
    """Returns whether the loss of the last tenth of the epochs is at least 5 % below that of the tenth before.

    Of fewer than 20 epochs the halves are compared: single epochs differ by chance. One epoch says nothing yet.
    """
    losses = [epoch.loss for epoch in run.epochs]
    if len(losses) < 2:
        return True
    part = len(losses) // (10 if len(losses) >= 20 else 2)
    return sum(losses[-part:]) < 0.95 * sum(losses[-2 * part : -part])
