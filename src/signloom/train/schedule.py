"""The learning rate over the steps of a run."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from signloom.train.recipe import Recipe

PEAK = 10.0
WARM_SHARE = 0.1


def schedule(optimizer: Optimizer, recipe: Recipe, *, total_steps: int, steps_per_epoch: float) -> LRScheduler:
    """The recipe's schedule, to be advanced after every step of the optimiser.

    onecycle: from base / 2.5 to ten times the base in the first tenth, then by a cosine to nearly 0; momentum runs the
    other way. Source: Smith and Topin 2018, as torch's OneCycleLR.
    """
    if recipe.schedule == "onecycle":
        if WARM_SHARE * total_steps == 1:
            # A warm-up of exactly one step, by which torch divides as by zero.
            total_steps += 1
        return OneCycleLR(
            optimizer,
            max_lr=PEAK * recipe.learning_rate,
            total_steps=max(2, total_steps),
            pct_start=WARM_SHARE,
            anneal_strategy="cos",
        )
    warm = warm_steps(recipe, total_steps, steps_per_epoch)
    return LambdaLR(optimizer, factor(recipe.schedule, warm_steps=warm, total_steps=total_steps))


def warm_steps(recipe: Recipe, total_steps: int, steps_per_epoch: float) -> int:
    """Steps until the learning rate is at its highest."""
    if recipe.schedule == "onecycle":
        return round(WARM_SHARE * total_steps)
    return min(round(recipe.warmup_epochs * steps_per_epoch), total_steps - 1)


def factor(name: str, *, warm_steps: int, total_steps: int) -> Callable[[int], float]:
    """What the base learning rate is multiplied by in each step: `plain` or `cosine`, the first step being number 0.

    Both grow linearly to 1 over the warm-up; the first step has 1 / (warm_steps + 1) already, for a step at 0 is none.
    """

    def at(step: int) -> float:
        if step < warm_steps:
            return (step + 1) / (warm_steps + 1)
        if name == "plain":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - warm_steps) / max(1, total_steps - warm_steps)))

    return at


def adamw(model: torch.nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW whose weight decay spares biases and norms."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        fused=True,
    )
