"""What the curves of a run mean: only what they alone can tell."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from signloom.errors import InputError
from signloom.health.findings import Finding
from signloom.train.history import EpochRecord, History

# Before so many epochs a curve says little.
FEWEST = 5
# CTC stays on a plateau of blanks for a while, in which every word is deleted; a healthy one leaves it within these.
PLATEAU_EPOCHS = 15
KNOWN = "curves of healthy runs, docs/health.md"


def read_history(run: Path) -> tuple[EpochRecord, ...]:
    """The epochs of a run folder, none where it has no history yet. Raises InputError for a damaged file."""
    path = run / "history.json"
    try:
        return tuple(History.from_json(json.loads(path.read_text(encoding="utf-8"))).epochs)
    except FileNotFoundError:
        return ()
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not what signloom writes ({type(error).__name__}: {error}); train again") from None


def finite(epochs: tuple[EpochRecord, ...]) -> Finding:
    sick = [item.epoch for item in epochs if not (math.isfinite(item.train_loss) and math.isfinite(item.dev_loss))]
    below = [item.epoch for item in epochs if min(item.train_loss, item.dev_loss) < 0]
    advice = "look at the first batch that made it ('not-finite.json' in the run folder), and lower the learning rate"
    if below:
        advice = (
            "a CTC loss is minus the logarithm of a probability: the loss is computed wrongly, trust no figure of it"
        )
    return Finding(
        "run.loss",
        "fail" if sick or below else "ok",
        f"loss below zero in epoch {below[0]}"
        if below
        else f"loss not finite in epoch {sick[0]}"
        if sick
        else f"loss finite and above zero in all {len(epochs)} epochs",
        float((below or sick or [0])[0]),
        "epoch",
        "finite, at least 0",
        "minus the logarithm of a probability (Graves et al. 2006)",
        (),
        advice if sick or below else "",
    )


def diverging(epochs: tuple[EpochRecord, ...]) -> Finding:
    losses = [item.train_loss for item in epochs]
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


def stuck(epochs: tuple[EpochRecord, ...]) -> Finding:
    best = min((item.dev_wer for item in epochs), default=1.0)
    sick = len(epochs) >= PLATEAU_EPOCHS and best > 0.98
    return Finding(
        "run.stuck",
        "fail" if sick else "note" if best > 0.98 else "ok",
        f"best word error rate on dev {100 * best:.1f} % after {len(epochs)} epochs"
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


def overfitting(epochs: tuple[EpochRecord, ...]) -> Finding:
    losses = [item.dev_loss for item in epochs]
    ratio = losses[-1] / max(min(losses), 1e-9) if losses and math.isfinite(losses[-1]) else 1.0
    best = min((item.dev_wer for item in epochs), default=0.0)
    worse = epochs[-1].dev_wer > best + 0.03 if epochs else False
    falls = bool(epochs) and epochs[-1].train_loss <= 1.05 * min(item.train_loss for item in epochs)
    sick = len(epochs) >= FEWEST and ratio > 1.5 and worse and falls
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


Check = Callable[[tuple[EpochRecord, ...]], Finding]
CHECKS: dict[str, Check] = {
    "run.loss": finite,
    "run.diverging": diverging,
    "run.stuck": stuck,
    "run.overfitting": overfitting,
}
