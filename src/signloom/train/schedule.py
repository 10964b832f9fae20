"""Learning-rate schedules and the optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, _enable_get_lr_call

from signloom.train.recipe import PEAK, Recipe

# Share of the steps in which onecycle rises.
WARM_SHARE = 0.1
# Onecycle starts at this share of the base learning rate; the warm-ups of the others start near 0.
SLOW = 0.4


def schedule(optimizer: Optimizer, recipe: Recipe, *, total_steps: int, steps_per_epoch: float) -> LRScheduler:
    """Returns the schedule of the recipe, to be advanced after every optimiser step.

    onecycle: from 0.4 to ten times the base in the first tenth, then along a cosine to nearly 0; momentum moves
    in the opposite direction. Source: Smith and Topin 2018, as torch's OneCycleLR.
    """
    if recipe.schedule == "onecycle":
        if WARM_SHARE * total_steps == 1:
            # torch divides by the length of the warm-up minus one step.
            total_steps += 1
        return OneCycleLR(
            optimizer,
            max_lr=PEAK * recipe.learning_rate,
            total_steps=max(2, total_steps),
            pct_start=WARM_SHARE,
            div_factor=PEAK / SLOW,
            anneal_strategy="cos",
        )
    warm = warm_steps(recipe, total_steps, steps_per_epoch)
    return LambdaLR(optimizer, factor(recipe.schedule, warm_steps=warm, total_steps=total_steps))


def prolong(scheduler: Any, total_steps: int) -> bool:
    """Makes a schedule that was restored from a shorter run last for `total_steps`. Returns whether that changed it.

    The schedule is then that of a run which had as many steps from the start.
    """
    if isinstance(scheduler, OneCycleLR):
        before, scheduler.total_steps = scheduler.total_steps, max(2, total_steps + (WARM_SHARE * total_steps == 1))
        changed = before != scheduler.total_steps
        # The same length would not give the same steps to the last bit.
        for phase in scheduler._schedule_phases if changed else ():
            phase["end_step"] = (phase["end_step"] + 1) * scheduler.total_steps / before - 1
    else:
        changed = any(
            factor_at(scheduler.last_epoch) * base != rate
            for factor_at, base, rate in zip(scheduler.lr_lambdas, scheduler.base_lrs, scheduler._last_lr, strict=True)
        )
    if changed:
        with _enable_get_lr_call(scheduler):
            scheduler._last_lr = scheduler.get_lr()
        for group, rate in zip(scheduler.optimizer.param_groups, scheduler._last_lr, strict=True):
            group["lr"] = rate
    return changed


def warm_steps(recipe: Recipe, total_steps: int, steps_per_epoch: float) -> int:
    """Returns the number of steps until the learning rate is at its highest."""
    if recipe.schedule == "onecycle":
        return round(WARM_SHARE * total_steps)
    return min(round(recipe.warmup_epochs * steps_per_epoch), total_steps - 1)


def slow_steps(recipe: Recipe, total_steps: int, steps_per_epoch: float) -> int:
    """Returns the number of steps before the learning rate has reached SLOW of the base rate."""
    if recipe.schedule == "onecycle":
        return 0
    return math.ceil(SLOW * warm_steps(recipe, total_steps, steps_per_epoch))


def factor(name: str, *, warm_steps: int, total_steps: int) -> Callable[[int], float]:
    """Returns a function from the step, from 0 on, to the factor of the base learning rate, for `plain` or `cosine`.

    Both rise linearly to 1 during the warm-up. The first step has 1 / (warm_steps + 1), since a step at rate 0 would
    change nothing.
    """

    def factor_at(step: int) -> float:
        if step < warm_steps:
            return (step + 1) / (warm_steps + 1)
        if name == "plain":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - warm_steps) / max(1, total_steps - warm_steps)))

    return factor_at


def adamw(model: torch.nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Returns AdamW without weight decay on biases and normalisation layers."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        fused=True,
    )
