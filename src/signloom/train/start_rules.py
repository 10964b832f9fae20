"""Monitors of a run's start: its learning rate, and the features of training clips. No torch here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signloom.findings import Details, Finding, Outcome, ok, warn
from signloom.train.monitor_rules import monitor
from signloom.train.recipe import Recipe
from signloom.train.recipes import recipes

if TYPE_CHECKING:
    from signloom.train.feature_statistics import FeatureStatistics

# Peak of the learning rate with which AdamW trains these models.
RATES = (1e-5, 2e-2)
WHY_RATES = "AdamW changes a weight by up to the learning rate in every step, and weights are about 0.1 in size"

# Largest mean of normalised features, in absolute value, and range of their deviation, over a corpus.
MEAN, LOW, HIGH = 0.1, 0.9, 1.1
# A few dozen clips measure these with this precision.
SLACK = 0.15
# Share of the features at the clamp of the front end: up to 0.14 % in healthy corpora (benchmarks/figures/training.md).
CLAMPED = 0.005


@monitor(
    "learning_rate",
    threshold=f"a peak of {RATES[0]:g} to {RATES[1]:g}",
    in_a_row=1,
    source="healthy and faulty runs, benchmarks/causes.py",
)
def learning_rate(peak: float, setting: str, usual: str) -> Outcome:
    """The highest learning rate, before the first step.

    setting: the option that gives it, in words.  usual: a rate that trains well, and where it comes from.
    """
    if RATES[0] <= peak <= RATES[1]:
        return ok(f"the learning rate peaks at {peak:g}", value=peak)
    beyond, then, do = (
        (f"over {RATES[1]:g}", "such steps throw the weights away", "lower")
        if peak > RATES[1]
        else (f"under {RATES[0]:g}", "such steps change next to nothing", "raise")
    )
    return warn(
        f"the learning rate peaks at {peak:g} ({setting}), {beyond}",
        value=peak,
        where=["--learning_rate"],
        advice=f"{do} it: {WHY_RATES}, so {then}; {usual}",
    )


def learning_rate_of(recipe: Recipe) -> tuple[float, str, str]:
    """Returns the peak of a recipe's learning rate, its setting in words, and what its named recipe has instead."""
    import yaml

    named = recipes().get(recipe.recipe)
    values = yaml.safe_load(named.text) if named else {}
    default = Recipe.from_json({"data_dir": "", **values})
    return (
        recipe.peak_learning_rate,
        _setting(recipe),
        f"the recipe {default.recipe} has {_setting(default)}, a peak of {default.peak_learning_rate:g}",
    )


def constant_rate(rate: float) -> Finding:
    """Returns the finding about a constant learning rate, as `verify` and `overfit` have it."""
    return learning_rate(rate, f"--learning_rate {rate:g}", "5e-4 and 1e-3 are usual here")


def _setting(recipe: Recipe) -> str:
    times = recipe.peak_learning_rate / recipe.learning_rate
    shown = f"--learning_rate {recipe.learning_rate:g} with the schedule {recipe.schedule}"
    return f"{shown}, which rises to {times:g} times that" if times > 1 else shown


@monitor(
    "features",
    threshold=f"mean within {MEAN + SLACK:g} of 0, std {LOW - SLACK:g} to {HIGH + SLACK:g}, at most {CLAMPED:.1%} at "
    "the clamp",
    in_a_row=1,
    source="the requirements of normalisation, docs/health.md, and the precision of a few dozen clips",
)
def features(statistics: FeatureStatistics, started_from: str = "") -> Outcome:
    """Mean, deviation and clamped share of the features of 32 training clips as recorded, before the first step.

    started_from: the model of `--init` whose statistics normalise them, or empty.
    """
    mean, std, low, high, clamped, *_ = statistics
    headline = (
        f"features of training clips after normalisation: mean {mean:.3f}, std {std:.3f}, range {low:.1f} to "
        f"{high:.1f}, {clamped:.2%} at the clamp"
    )
    figures = {"mean": mean, "deviation": std, "clamped": clamped}
    measured = Details(value=std, where=["front end"], figures=figures)
    if abs(mean) <= MEAN + SLACK and LOW - SLACK <= std <= HIGH + SLACK and clamped <= CLAMPED:
        return ok(headline, **measured)
    advice = "look for clips in other units, or normalised before: run 'signloom doctor' on the corpus"
    if started_from:
        advice = (
            f"the landmarks differ from those that {started_from} was trained on: {advice}; if they are right, "
            "--refit_statistics true normalises by this corpus"
        )
    return warn(f"{headline} (needed: {features.threshold})", advice=advice, **measured)
