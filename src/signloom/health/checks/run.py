"""What the record of a run means: only what its curves, options and monitors can tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from signloom.findings import Finding, worse
from signloom.run_folder import Run
from signloom.train.monitor_rules import EXPLODING, HEALTHY, STILL_TO_LEARN, VANISHING
from signloom.train.schedule import PEAK

# Before so many epochs a curve says little.
FEWEST = 5
# CTC stays on a plateau of blanks for a while, in which every word is deleted; a healthy one leaves it within these.
PLATEAU_EPOCHS = 15
KNOWN = "curves of healthy runs, docs/health.md"
# Peaks of the learning rate within which AdamW trains these models; dropout above which little of a layer is left.
RATES = (1e-5, 2e-2)
MOST_DROPOUT = 0.5
# The student on PHOENIX: by epoch, loss an utterance and WER that are passed by then.
MILESTONES = ((5, 5.0, 0.9), (10, 3.0, 0.8), (20, math.inf, 0.7), (50, math.inf, 0.5))
LAST_GOAL = 0.4


def finite(run: Run) -> Finding:
    epochs = run.epochs
    sick = [item.epoch for item in epochs if not (math.isfinite(item.train_loss) and math.isfinite(item.dev_loss))]
    below = [item.epoch for item in epochs if min(item.train_loss, item.dev_loss) < 0]
    stopped = run.not_finite
    advice = "look at the first batch that made it ('not-finite.json' in the run folder), and lower the learning rate"
    if below:
        advice = (
            "a CTC loss is minus the logarithm of a probability: the loss is computed wrongly, trust no figure of it"
        )
    bad = bool(sick or below or stopped)
    return Finding(
        "run.loss",
        "fail" if bad else "ok",
        f"loss below zero in epoch {below[0]}"
        if below
        else f"the run ended at {stopped['place']}: {stopped['what']}, by {stopped['cause']}"
        if stopped
        else f"loss not finite in epoch {sick[0]}"
        if sick
        else f"loss finite and above zero in all {len(epochs)} epochs",
        float((below or sick or [0])[0]),
        "epoch",
        "finite, at least 0",
        "minus the logarithm of a probability (Graves et al. 2006)",
        (),
        advice if bad else "",
        {"below zero": bool(below), "not finite": bool(sick or stopped)},
    )


def diverging(run: Run) -> Finding:
    losses = [item.train_loss for item in run.epochs]
    known = [loss for loss in losses if math.isfinite(loss)]
    ratio = known[-1] / max(min(known), 0.05) if known else 0.0
    sick = len(known) >= FEWEST and ratio > 2
    return Finding(
        "run.diverging",
        "fail" if sick else "ok",
        f"the training loss is {ratio:.1f} times its least" + (": it diverges" if sick else ""),
        ratio,
        "times",
        f"at most 2, after {FEWEST} epochs; losses below 0.05 a gloss count as 0.05",
        f"{KNOWN}: augmentation and dropout make it waver by a fifth",
        (),
        "a lower --learning_rate, and --gradient_clip 1" if sick else "",
    )


def stuck(run: Run) -> Finding:
    best = min((item.dev_wer for item in run.epochs), default=1.0)
    sick = len(run.epochs) >= PLATEAU_EPOCHS and best > 0.98
    return Finding(
        "run.stuck",
        "fail" if sick else "note" if best > 0.98 else "ok",
        f"best word error rate on dev {100 * best:.1f} % after {len(run.epochs)} epochs"
        + (": nothing is learnt" if sick else ""),
        100 * best,
        "%",
        f"below 98 % after {PLATEAU_EPOCHS} epochs",
        KNOWN,
        (),
        "'signloom verify', then 'signloom overfit' on the same corpus tell whether the model or the data is to blame; "
        "'signloom doctor' on the corpus first"
        if sick
        else "",
    )


def overfitting(run: Run) -> Finding:
    epochs = run.epochs
    losses = [item.dev_loss for item in epochs]
    ratio = losses[-1] / max(min(losses), 1e-9) if losses and math.isfinite(losses[-1]) else 1.0
    best = min((item.dev_wer for item in epochs), default=0.0)
    worse_now = epochs[-1].dev_wer > best + 0.03 if epochs else False
    falls = bool(epochs) and epochs[-1].train_loss <= 1.05 * min(item.train_loss for item in epochs)
    sick = len(epochs) >= FEWEST and ratio > 1.5 and worse_now and falls
    return Finding(
        "run.overfitting",
        "warn" if sick else "ok",
        f"the loss on dev is {ratio:.2f} times its least"
        + (", its word error rate rises, and the training loss still falls: it over-fits" if sick else ""),
        ratio,
        "times",
        "at most 1.5 where word error rate is 3 points above its best and the training loss falls",
        KNOWN,
        (),
        "--patience 10 stops there (the best epoch is kept anyway); more data, --augment true or more --dropout"
        if sick
        else "",
    )


def underfitting(run: Run) -> Finding:
    """Whether the run ended with much to learn: too early, or no longer getting on."""
    epochs = run.epochs
    last = epochs[-1].train_loss if epochs else 0.0
    third = max(1, len(epochs) // 3)
    before, after = _mean(epochs[-2 * third : -third]), _mean(epochs[-third:])
    gain = 1 - after / before if len(epochs) >= FEWEST and before > 0 else math.nan
    much = last > STILL_TO_LEARN
    flat = much and gain < 0.05 and len(epochs) >= PLATEAU_EPOCHS
    level = "warn" if flat else "note" if much else "ok"
    how = ""
    if flat:
        how = f" and fell by {max(0.0, 100 * gain):.1f} % in the last third of the epochs: it under-fits"
    elif much:
        how = ": there is more to learn, and training ended"
    return Finding(
        "run.underfitting",
        level,
        f"the training loss ended at {last:.2f} a gloss" + how,
        last,
        "nats a gloss",
        f"at most {STILL_TO_LEARN:g}, or falling by 5 % in the last third of {PLATEAU_EPOCHS} epochs or more",
        KNOWN,
        (),
        {
            "ok": "",
            "note": "more --epochs",
            "warn": "less --dropout and augmentation, a higher --learning_rate, or a wider model: 'signloom overfit' "
            "tells whether this one can learn",
        }[level],
        {"gain": gain},
    )


def milestones(run: Run) -> Finding:
    """The student on PHOENIX against the curve it should follow."""
    student = run.options.get("preset", "") in ("student", "original_student")
    if not (student and run.corpus.get("importer") in ("phoenix2014", "phoenix2014t")):
        return Finding(
            "run.milestones",
            "ok",
            "there are milestones for the student on PHOENIX only",
            threshold=_milestones(),
            source=MILESTONE_SOURCE,
        )
    glosses = _glosses_an_utterance(run)
    where, levels = [], ["ok"]
    for epoch, loss, wer in MILESTONES:
        reached = [item for item in run.epochs if item.epoch <= epoch]
        if not reached or run.epochs[-1].epoch < epoch:
            continue
        least, best = min(item.train_loss for item in reached), min(item.dev_wer for item in reached)
        an_utterance = f", {glosses * least:.1f} an utterance" if glosses else ""
        if best >= wer:
            levels.append("warn")
            where.append(f"epoch {epoch}: WER {100 * best:.1f} %, needed below {100 * wer:g} %")
        # The notes' WER and loss cannot both be: at 90 % WER a sentence of ten glosses costs far more than 5.
        if glosses * least >= loss:
            levels.append("note")
            where.append(f"epoch {epoch}: loss {least:.2f} a gloss{an_utterance}, needed below {loss:g}")
    level = worse(levels)
    best = min((item.dev_wer for item in run.epochs), default=1.0)
    return Finding(
        "run.milestones",
        level,
        f"{sum(level == 'warn' for level in levels)} milestones of word error rate missed; best {100 * best:.1f} % "
        f"after {len(run.epochs)} epochs",
        100 * best,
        "%",
        _milestones(),
        MILESTONE_SOURCE,
        tuple(where),
        "compare with a healthy run: features (compatibility), the pace of learning (--learning_rate, batches of 4 to "
        "16), dropout of 0.1 to 0.3; then 'signloom overfit'"
        if level == "warn"
        else "",
    )


MILESTONE_SOURCE = "milestones of the student on PHOENIX, docs/health.md"


def _milestones() -> str:
    return (
        ", ".join(
            (f"loss below {loss:g} an utterance and " if math.isfinite(loss) else "")
            + f"WER below {100 * wer:g} % by epoch {epoch}"
            for epoch, loss, wer in MILESTONES
        )
        + f", then {100 * LAST_GOAL:g} %"
    )


def gradients(run: Run) -> Finding:
    """The norm of the gradient over the run, as the monitors saw it, and what they said of it."""
    norms = [row["gradient/all"] for row in run.watched if "gradient/all" in row]
    said = [run.said[name] for name in ("exploding_gradient", "vanishing_gradient", "no_gradient") if name in run.said]
    if not norms and not said:
        return Finding("run.gradients", "ok", "gradients were not watched")
    last = norms[-1] if norms else math.nan
    return Finding(
        "run.gradients",
        "warn" if said else "ok",
        "; ".join(str(one["headline"]) for one in said)
        or f"norm of the gradient {min(norms):.3g} to {max(norms):.3g} (medians of epochs), {last:.3g} in the last",
        last,
        "",
        f"{VANISHING:g} (while the loss is above {STILL_TO_LEARN:g} a gloss) to {EXPLODING:g} after the warm-up; "
        f"{HEALTHY[0]:g} to {HEALTHY[1]:g} is the healthy range",
        "the live monitors' limits",
        tuple(place for one in said for place in one["where"]),
        str(said[0]["advice"]) if said else "",
        {"largest": max(norms, default=math.nan), "exploding": "exploding_gradient" in run.said},
    )


def units(run: Run) -> Finding:
    """Units that gave nothing or stood at their limit, as the monitors saw them."""
    said = [run.said[name] for name in ("dead_units", "saturated_units") if name in run.said]
    dead, saturated = (max((row.get(name, 0.0) for row in run.watched), default=0.0) for name in ("dead", "saturated"))
    return Finding(
        "run.units",
        "warn" if said else "ok",
        "; ".join(str(one["headline"]) for one in said)
        or f"at most {100 * dead:.0f} % of a layer's units dead, {100 * saturated:.0f} % of its values at their limit",
        max(dead, saturated),
        "share of a layer",
        "below 50 %",
        "the live monitors' limits",
        tuple(place for one in said for place in one["where"]),
        str(said[0]["advice"]) if said else "",
        {"dead": dead, "saturated": saturated},
    )


def settings(run: Run) -> Finding:
    """What the run was told, where it is far from what these models are trained with. Never a fault by itself."""
    if "learning_rate" not in run.options:
        return Finding("run.settings", "ok", "options of the run are not known")
    dropout = run.options.get("dropout")
    odd = []
    if not RATES[0] <= _peak_rate(run) <= RATES[1]:
        odd.append(f"the learning rate peaks at {_peak_rate(run):g}")
    if dropout is not None and dropout > MOST_DROPOUT:
        odd.append(f"dropout is {dropout:g}")
    known = f"the learning rate peaks at {_peak_rate(run):g}, {run.steps:,} steps" + (
        "" if dropout is None else f", dropout {dropout:g}"
    )
    return Finding(
        "run.settings",
        "note" if odd else "ok",
        (" and ".join(odd) + ": unusual") if odd else known,
        _peak_rate(run),
        "highest learning rate",
        f"a peak of {RATES[0]:g} to {RATES[1]:g}, dropout up to {MOST_DROPOUT:g}",
        "healthy runs, docs/health.md",
        (),
        "",
        {
            "peak": _peak_rate(run),
            "dropout": dropout,
            "steps": run.steps,
            "low rate": _peak_rate(run) < RATES[0],
            "high rate": _peak_rate(run) > RATES[1],
            "much dropout": dropout is not None and dropout > MOST_DROPOUT,
        },
    )


def _peak_rate(run: Run) -> float:
    """The highest learning rate of the schedule; 0 where the options are not known."""
    rate = float(run.options.get("learning_rate", 0.0))
    return PEAK * rate if run.options.get("schedule", "onecycle") == "onecycle" else rate


def _mean(epochs: Sequence) -> float:
    return sum(item.train_loss for item in epochs) / len(epochs) if epochs else 0.0


def _glosses_an_utterance(run: Run) -> float:
    """Of the corpus' training split; 0 where the record does not say."""
    try:
        train = run.corpus["summary"]["train"]
        return float(train["running_glosses"]) / float(train["utterances"])
    except (KeyError, TypeError, ZeroDivisionError):
        return 0.0


Check = Callable[[Run], Finding]
CHECKS: dict[str, Check] = {
    "run.loss": finite,
    "run.diverging": diverging,
    "run.stuck": stuck,
    "run.overfitting": overfitting,
    "run.underfitting": underfitting,
    "run.milestones": milestones,
    "run.gradients": gradients,
    "run.units": units,
    "run.settings": settings,
}
