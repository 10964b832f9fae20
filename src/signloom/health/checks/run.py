"""Checks of a run's record: its curves, its options, and what the live monitors found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

from signloom.errors import plural
from signloom.findings import Details, Outcome, check, fail, note, ok, warn
from signloom.inference.own_corpus import change_of
from signloom.run_folder import EpochRecord, Run
from signloom.train.monitor_rules import DEAD, EXPLODING, HEALTHY, STILL_TO_LEARN, VANISHING
from signloom.train.recipe import Recipe
from signloom.train.start_rules import RATES

KNOWN = "curves of healthy runs, docs/health.md"
MONITORS = "the live monitors' limits"
# A curve of fewer epochs shows little.
FEWEST = 5
# CTC first predicts blank only, a plateau on which every word is deleted; a healthy run leaves it within these epochs.
PLATEAU_EPOCHS = 15
# Training losses per gloss below this count as this: next to nothing wavers by large factors.
LOWEST_LOSS = 0.05
# Little of a layer is left with more dropout.
MOST_DROPOUT = 0.5

# Milestones exist for one model and corpus only: by epoch, loss per utterance and WER that a run has passed by then.
MILESTONE_PRESETS = ("student", "original_student")
MILESTONE_IMPORTERS = ("phoenix2014", "phoenix2014t")
MILESTONES = ((5, 5.0, 0.9), (10, 3.0, 0.8), (20, math.inf, 0.7), (50, math.inf, 0.5))
LAST_GOAL = 0.4


@check(
    "run.corpus",
    threshold="the corpus is where the run recorded it, or is given, and is what it was; otherwise it is noted",
    source="data and predictions are checked on the corpus of the run",
)
def corpus(run: Run) -> Outcome:
    """Folder of the corpus that the run was trained on."""
    folder, place = run.find_corpus(), run.corpus_place
    if folder is not None:
        current = run.corpus.get("current", {})
        if change := current and change_of(run, current["name"], current["summary"]):
            return note(
                f"{folder} is not what it was: {change}",
                advice="give the folder of the run's corpus with --data_dir, or train again",
            )
        return ok(f"the corpus of the run is in {folder}")
    if place is None:
        return note("the run did not record its corpus: neither data nor predictions are checked")
    return note(
        f"the corpus of the run is not found in {place}: neither data nor predictions are checked",
        advice="give its folder with --data_dir",
    )


@check(
    "run.loss",
    unit="epoch",
    threshold="finite, at least 0",
    source="minus the logarithm of a probability (Graves et al. 2006)",
)
def loss(run: Run) -> Outcome:
    """The first epoch with a loss that is not finite, or below zero."""
    epochs, stop = run.epochs, run.not_finite
    below = [item.epoch for item in epochs if min(item.train_loss, item.dev_loss) < 0]
    broken = [item.epoch for item in epochs if not (math.isfinite(item.train_loss) and math.isfinite(item.dev_loss))]
    figures = {"below zero": bool(below), "not finite": bool(broken or stop)}
    measured = Details(value=next(iter(below or broken), 0), figures=figures)
    if below:
        wrong = "a CTC loss is minus the logarithm of a probability, so this loss is computed wrongly"
        return fail(f"loss below zero in epoch {below[0]}", advice=f"{wrong}: trust no figure of this run", **measured)
    if not (stop or broken):
        return ok(f"loss finite and above zero in all {plural(len(epochs), 'epoch')}", **measured)
    if stop:
        headline = f"the run ended at {stop['place']}: {stop['what']}, by {stop['cause']}"
    else:
        headline = f"loss not finite in epoch {broken[0]}"
    batch = f"the first batch with a non-finite value ({Run.not_finite_file.name} in the run folder)"
    return fail(headline, advice=f"look at {batch}, and lower the learning rate", **measured)


@check(
    "run.diverging",
    unit="times",
    threshold=f"at most 2, after {FEWEST} epochs; losses below {LOWEST_LOSS:g} per gloss count as {LOWEST_LOSS:g}",
    source=f"{KNOWN}: augmentation and dropout make it waver by a fifth",
)
def diverging(run: Run) -> Outcome:
    """The last training loss relative to the lowest."""
    losses = [item.train_loss for item in run.epochs if math.isfinite(item.train_loss)]
    ratio = losses[-1] / max(min(losses), LOWEST_LOSS) if losses else 0.0
    headline = f"the training loss is {ratio:.1f} times its lowest value"
    if len(losses) >= FEWEST and ratio > 2:
        return fail(
            f"{headline}: it diverges", value=ratio, advice="use a lower --learning_rate, and --gradient_clip 1"
        )
    return ok(headline, value=ratio)


@check("run.stuck", unit="%", threshold=f"below 98 % after {PLATEAU_EPOCHS} epochs, noted before", source=KNOWN)
def stuck(run: Run) -> Outcome:
    """The best WER on dev."""
    best = min((item.dev_wer for item in run.epochs), default=1.0)
    headline = f"best word error rate on dev {100 * best:.1f} % after {plural(len(run.epochs), 'epoch')}"
    if not best > 0.98:
        return ok(headline, value=100 * best)
    if len(run.epochs) < PLATEAU_EPOCHS:
        return note(headline, value=100 * best)
    return fail(
        f"{headline}: the model learns nothing",
        value=100 * best,
        advice="run 'signloom doctor' on the corpus first; then 'signloom verify' and 'signloom overfit' on it show "
        "whether the model or the data is to blame",
    )


@check(
    "run.overfitting",
    unit="times",
    threshold="at most 1.5 while WER is 3 points above its best and the training loss falls; warn above",
    source=KNOWN,
)
def overfitting(run: Run) -> Outcome:
    """The last loss on dev relative to the lowest."""
    epochs = run.epochs
    losses = [item.dev_loss for item in epochs]
    ratio = losses[-1] / max(min(losses), 1e-9) if losses and math.isfinite(losses[-1]) else 1.0
    headline = f"the loss on dev is {ratio:.2f} times its lowest value"
    if len(epochs) < FEWEST or not ratio > 1.5:
        return ok(headline, value=ratio)
    worse = epochs[-1].dev_wer > min(item.dev_wer for item in epochs) + 0.03
    falls = epochs[-1].train_loss <= 1.05 * min(item.train_loss for item in epochs)
    if not (worse and falls):
        return ok(headline, value=ratio)
    return warn(
        f"{headline}, its word error rate rises, and the training loss still falls: the model overfits",
        value=ratio,
        advice="--patience 10 stops there (the best epoch is kept anyway); add data, --augment true or more --dropout",
    )


@check(
    "run.underfitting",
    unit="nats per gloss",
    threshold=f"at most {STILL_TO_LEARN:g}, else note; warn if it also fell by less than 5 % in the last third of "
    f"{PLATEAU_EPOCHS} epochs or more",
    source=KNOWN,
)
def underfitting(run: Run) -> Outcome:
    """The last training loss, and how much it fell in the last third of the epochs."""
    epochs = run.epochs
    last = epochs[-1].train_loss if epochs else 0.0
    third = max(1, len(epochs) // 3)
    before, after = _mean_loss(epochs[-2 * third : -third]), _mean_loss(epochs[-third:])
    gain = 1 - after / before if len(epochs) >= FEWEST and before > 0 else math.nan
    headline = f"the training loss ended at {last:.2f} per gloss"
    measured = Details(value=last, figures={"gain": gain})
    if not last > STILL_TO_LEARN:
        return ok(headline, **measured)
    if not (gain < 0.05 and len(epochs) >= PLATEAU_EPOCHS):
        return note(
            f"{headline}: there was more to learn when training ended", advice="train for more --epochs", **measured
        )
    return warn(
        f"{headline} and fell by {max(0.0, 100 * gain):.1f} % in the last third of the epochs: the model underfits",
        advice="use less --dropout and augmentation, a higher --learning_rate, or a wider model: 'signloom overfit' "
        "shows whether this one can learn",
        **measured,
    )


def _milestones() -> str:
    parts = []
    for epoch, loss, wer in MILESTONES:
        least = f"loss below {loss:g} per utterance (else note) and " if math.isfinite(loss) else ""
        parts.append(f"{least}WER below {100 * wer:g} % by epoch {epoch}")
    return f"{', '.join(parts)}, then {100 * LAST_GOAL:g} %"


@check(
    "run.milestones",
    unit="%",
    threshold=_milestones(),
    source="milestones of the student on PHOENIX, docs/health.md",
)
def milestones(run: Run) -> Outcome:
    """The best WER on dev, for the student on PHOENIX only: against the curve of a healthy run."""
    student_on_phoenix = (
        run.options.get("preset") in MILESTONE_PRESETS and run.corpus.get("importer") in MILESTONE_IMPORTERS
    )
    if not student_on_phoenix:
        return ok("there are milestones for the student on PHOENIX only")
    glosses = _glosses_per_utterance(run)
    missed, noted = [], []
    for epoch, loss, wer in MILESTONES:
        reached = [item for item in run.epochs if item.epoch <= epoch]
        if not reached or run.epochs[-1].epoch < epoch:
            continue
        least, best = min(item.train_loss for item in reached), min(item.dev_wer for item in reached)
        if best >= wer:
            missed.append(f"epoch {epoch}: WER {100 * best:.1f} %, needed below {100 * wer:g} %")
        # A note only: with a WER of 90 %, a sentence of ten glosses costs far more than 5.
        if glosses * least >= loss:
            per_utterance = f", {glosses * least:.1f} per utterance" if glosses else ""
            noted.append(f"epoch {epoch}: loss {least:.2f} per gloss{per_utterance}, needed below {loss:g}")
    best = min((item.dev_wer for item in run.epochs), default=1.0)
    headline = (
        f"{plural(len(missed), 'milestone')} of word error rate missed; best {100 * best:.1f} % after "
        f"{plural(len(run.epochs), 'epoch')}"
    )
    measured = Details(value=100 * best, where=missed + noted)
    if not missed:
        return (note if noted else ok)(headline, **measured)
    advice = (
        "compare with a healthy run: features (compatibility), the pace of learning (--learning_rate, batches of 4 to "
        "16), dropout of 0.1 to 0.3; then 'signloom overfit'"
    )
    return warn(headline, advice=advice, **measured)


@check(
    "run.gradients",
    threshold=f"{VANISHING:g} (while the loss is above {STILL_TO_LEARN:g} per gloss) to {EXPLODING:g} after the "
    f"warm-up, else warn; {HEALTHY[0]:g} to {HEALTHY[1]:g} is the healthy range",
    source=MONITORS,
)
def gradients(run: Run) -> Outcome:
    """Norm of the gradient, as the live monitors measured it."""
    norms = [row["gradient/all"] for row in run.watched if "gradient/all" in row]
    largest, last = max(norms, default=math.nan), norms[-1] if norms else math.nan
    measured = Details(value=last, figures={"largest": largest, "exploding": "exploding_gradient" in run.findings})
    if reported := _reported(run, "exploding_gradient", "vanishing_gradient", "no_gradient", **measured):
        return reported
    if not norms:
        return ok("the live monitors did not measure gradients")
    headline = f"norm of the gradient {min(norms):.3g} to {largest:.3g} (medians of epochs), {last:.3g} in the last"
    return ok(headline, **measured)


@check("run.units", unit="share of a layer", threshold=f"below {100 * DEAD:g} %, else warn", source=MONITORS)
def units(run: Run) -> Outcome:
    """Dead or saturated units of a layer, as the live monitors measured them."""
    dead, saturated = (max((row.get(name, 0.0) for row in run.watched), default=0.0) for name in ("dead", "saturated"))
    measured = Details(value=max(dead, saturated), figures={"dead": dead, "saturated": saturated})
    headline = (
        f"at most {100 * dead:.0f} % of a layer's units are dead, {100 * saturated:.0f} % of its values saturated"
    )
    return _reported(run, "dead_units", "saturated_units", **measured) or ok(headline, **measured)


def _reported(run: Run, *monitors: str, **measured: Unpack[Details]) -> Outcome | None:
    """Returns one warning that repeats the findings of these live monitors; None if they reported nothing."""
    findings = [run.findings[name] for name in monitors if name in run.findings]
    if not findings:
        return None
    headline = "; ".join(finding.headline for finding in findings)
    measured["where"] = [place for finding in findings for place in finding.where]
    return warn(headline, advice=findings[0].advice, **measured)


@check(
    "run.settings",
    unit="highest learning rate",
    threshold=f"a peak of {RATES[0]:g} to {RATES[1]:g}, dropout up to {MOST_DROPOUT:g}; others are noted",
    source="healthy runs, docs/health.md",
)
def settings(run: Run) -> Outcome:
    """Learning rate and dropout, if they are far from those of healthy runs; never a fault by itself."""
    if "learning_rate" not in run.options:
        return ok("the options of the run are not known")
    recipe = Recipe.from_json({"data_dir": "", **run.options}, f"{run.info_file}: recipe")
    peak, dropout = recipe.peak_learning_rate, recipe.dropout
    figures = {"peak": peak, "dropout": dropout, "steps": run.steps}
    odd = {
        "low rate": peak < RATES[0],
        "high rate": peak > RATES[1],
        "much dropout": dropout is not None and dropout > MOST_DROPOUT,
    }
    measured = Details(value=peak, figures={**figures, **odd})
    rate = f"the learning rate peaks at {peak:g}"
    if any(odd.values()):
        unusual = [rate] if odd["low rate"] or odd["high rate"] else []
        unusual += [f"dropout is {dropout:g}"] if odd["much dropout"] else []
        return note(f"{' and '.join(unusual)}: unusual", **measured)
    known = "" if dropout is None else f", dropout {dropout:g}"
    return ok(f"{rate}, {plural(run.steps, 'step')}{known}", **measured)


def _mean_loss(epochs: Sequence[EpochRecord]) -> float:
    return sum(item.train_loss for item in epochs) / len(epochs) if epochs else 0.0


def _glosses_per_utterance(run: Run) -> float:
    """Returns the mean over the training split; 0 if the run did not record it."""
    try:
        train = run.corpus["summary"]["train"]
        return float(train["running_glosses"]) / float(train["utterances"])
    except (KeyError, TypeError, ZeroDivisionError):
        return 0.0
