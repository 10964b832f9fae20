"""What measurements mean. Every threshold says where it comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from signloom.health.overfit.bisection import LEARNS, Bisection
from signloom.health.overfit.regimes import RELAXED, STANDARD, how_to_train
from signloom.health.overfit.training import Iterations, OverfitRun

# The levels of the overfit test's description: below which WER a model learns, learns well, and knows its samples.
LEVELS = ((0.0, "perfect"), (0.05, "good"), (LEARNS, "learns"))

# A training loss a gloss below this is of a model that knows its samples: each gloss is 99 % sure.
MEMORISED = 0.01

BROKEN = ": broken, run the checklist"
CHECKLIST = (
    "the annotations belong to the clips: look at a few with their glosses",
    "hands are there: a corpus without them cannot be learnt ('signloom import' and 'extract' print the shares)",
    "the landmarks were not normalised before they were imported: bones must keep their length within a clip",
    "'signloom verify' lets the loss fall; if not, another --learning_rate tells a step too large from no gradient",
    "another model: 'student' passing where 'teacher' fails points at the model, both failing at the data",
    "--bisect true takes dropout, attention, its clamp and the rest away, one at a time, and says what unblocks",
)


@dataclass(frozen=True)
class Verdict:
    """passed: whether the model is fit for training as it is.  headline: in one sentence.  advice: what to do."""

    passed: bool
    headline: str
    advice: tuple[str, ...] = ()


def level(wer: float) -> str:
    """How well a model knows the samples it was trained on, by its WER."""
    if wer == 0:
        return LEVELS[0][1]
    return next((name for limit, name in LEVELS if wer < limit), "does not learn")


def judge_overfit(
    runs: Sequence[OverfitRun],
    *,
    baseline: Sequence[OverfitRun] = (),
    bisection: Bisection | None = None,
) -> Verdict:
    """What the runs of one model, one a setting, say together.

    baseline: those of another model in the same settings.  bisection: what was found to unblock the first that fails.
    """
    verdict = _judge_settings(runs)
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
    found = judge_bisection(bisection)
    # What a change mends has a name, and needs no checklist.
    headline = verdict.headline.removesuffix(BROKEN) if found.advice else verdict.headline
    return Verdict(False, f"{headline}; {found.headline}", found.advice or advice)


def judge_bisection(bisection: Bisection) -> Verdict:
    """What unblocks a setting that failed; no advice where nothing does."""
    base = bisection.base
    if bisection.unblocking:
        first, *others = bisection.unblocking
        advice = (
            f"train with {how_to_train(first.name)}",
            *(f"or with {how_to_train(one.name)}: {outcome(one.run)}" for one in others),
        )
        return Verdict(
            False,
            f"{first.name} unblocks learning: {outcome(first.run)}"
            + (f" (so do {', '.join(one.name for one in others)})" if others else ""),
            advice,
        )
    if bisection.needed:
        together = " and ".join(bisection.needed)
        train = ", ".join(how_to_train(name) for name in bisection.needed)
        return Verdict(False, f"only together {together} unblock learning", (f"train with {train}",))
    tried = len(bisection.tries)
    return Verdict(False, f"none of {tried} changes to {base.setting.name} unblocks learning, nor all together")


def outcome(run: OverfitRun) -> str:
    """What came of a run, in a few words."""
    if run.passed:
        return f"0 % from epoch {run.zero_epoch}"
    if run.failure or run.final is None:
        return f"not finite: {run.failure}"
    return f"WER {100 * run.final.wer:.1f} %, loss {run.final.loss:.3f} a gloss after {len(run.epochs)} epochs"


def _judge_settings(runs: Sequence[OverfitRun]) -> Verdict:
    passed = {run.setting.name for run in runs if run.passed}
    failed = {run.setting.name for run in runs if not run.passed}
    names = " and ".join(run.setting.name for run in runs)
    if not failed:
        return Verdict(True, f"{'both settings pass' if len(runs) > 1 else f'{names} passes'}: the model learns")
    for run in runs:
        if run.final and not run.failure and run.final.loss < MEMORISED and run.final.wer > 0:
            return Verdict(
                False,
                f"{run.setting.name} knows the samples in training and errs on {100 * run.final.wer:.1f} % "
                "of their glosses in evaluation",
                (
                    "batch norm has other statistics in evaluation than in batches of a few utterances: give a larger "
                    "--batch_size, or leave it out to take all samples at once",
                ),
            )
    if passed == {RELAXED.name}:
        return Verdict(
            False,
            "only relaxed passes: over-regularised",
            (
                f"train with the relaxed settings: --dropout {RELAXED.dropout:g} "
                f"--weight_decay {RELAXED.weight_decay:g} --augment false, then add one of them after the other",
            ),
        )
    if passed == {STANDARD.name}:
        return Verdict(
            False,
            f"only standard passes: a learning rate of {RELAXED.learning_rate:g} without regularisation is too much",
            (f"train with the standard settings, --learning_rate {STANDARD.learning_rate:g} or less",),
        )
    best = min((run.final.wer for run in runs if run.final), default=math.inf)
    short = [run for run in runs if run.final and run.zero_epoch is None and not run.failure and _still_learning(run)]
    if best < LEVELS[-1][0] or short:
        advice = ("the last epochs were still getting better: allow more of them with --max_epochs",)
        state = f"still learning at {100 * best:.1f} % WER" if best < math.inf else "still learning"
        return Verdict(False, f"{names} not passed within the epochs given, {state}", advice if short else CHECKLIST)
    subject = "both settings fail" if len(runs) > 1 else f"{names} fails"
    return Verdict(False, f"{subject}{BROKEN}", CHECKLIST)


def judge_iterations(measured: Iterations) -> Verdict:
    """Whether the loss is finite and fell from the first step to the last."""
    steps = measured.steps
    sick = next((number for number, step in enumerate(steps, 1) if not step.finite), None)
    if sick is not None:
        return Verdict(False, f"step {sick} is not finite", CHECKLIST)
    first, last = steps[0].loss, steps[-1].loss
    if min(step.loss for step in steps) < 0:
        return Verdict(False, "a CTC loss below zero is a bug: it is minus the logarithm of a probability")
    if not last < first:
        return Verdict(False, f"the loss did not fall: {first:.3f} a gloss at first, {last:.3f} at last", CHECKLIST)
    return Verdict(True, f"the loss fell from {first:.3f} to {last:.3f} a gloss in {len(steps)} steps")


def _still_learning(run: OverfitRun) -> bool:
    """Whether the last tenth of the epochs had a loss at least a twentieth lower than the tenth before it."""
    tenth = max(1, len(run.epochs) // 10)
    if len(run.epochs) < 2 * tenth:
        return False
    losses = [epoch.loss for epoch in run.epochs]
    return sum(losses[-tenth:]) < 0.95 * sum(losses[-2 * tenth : -tenth])
