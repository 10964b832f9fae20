"""Which one of the switches unblocks learning? Each is tried by itself, then those that help together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from signloom.health.overfit.regimes import CHANGES, Setting, changes_of, with_changes
from signloom.health.overfit.training import OverfitRun
from signloom.model.presets import ModelConfig

# A change helps when it brings WER down by this much, or the loss by a tenth, in as many epochs.
LESS_WER, LESS_LOSS = 0.02, 0.9
# The WER below which the overfit test's description says that a model learns.
LEARNS = 0.15


@dataclass(frozen=True)
class Try:
    """changes: names of what was switched, all at once.  run: what came of it."""

    changes: tuple[str, ...]
    run: OverfitRun

    @property
    def name(self) -> str:
        return " + ".join(self.changes)


@dataclass(frozen=True)
class Bisection:
    """The search.  base: the run that failed.  tries: in the order they were made.  needed: the fewest changes found
    that unblock together where none does alone; empty where all together fail, or one is enough."""

    base: OverfitRun
    tries: tuple[Try, ...]
    needed: tuple[str, ...] = ()

    @property
    def unblocking(self) -> list[Try]:
        """Changes that let it learn by themselves, the fastest first."""
        alone = [one for one in self.tries if len(one.changes) == 1 and unblocks(one.run, self.base)]
        return sorted(alone, key=lambda one: (not one.run.passed, one.run.zero_epoch or math.inf, _end(one.run)))


def bisect(base: OverfitRun, config: ModelConfig, attempt: Callable[[str, Setting], OverfitRun]) -> Bisection:
    """What lets a model learn in the setting of `base`, which failed.

    attempt: trains with a setting; its name is given for display.
    """
    tries: list[Try] = []

    def passes(changes: tuple[str, ...]) -> bool:
        done = next((one for one in tries if set(one.changes) == set(changes)), None)
        if done is None:
            done = Try(changes, attempt(" + ".join(changes), with_changes(base.setting, changes)))
            tries.append(done)
        return unblocks(done.run, base)

    alone = changes_of(base.setting, config)
    # All of them, though one may pass: which of them do is the answer.
    passed = [name for name in alone if passes((name,))]
    if passed:
        return Bisection(base, tuple(tries))
    helpful = _compatible([one for one in tries if helps(one.run, base)])
    every = _compatible(tries)
    for together in dict.fromkeys(names for names in (helpful, every) if len(names) > 1):
        if passes(together):
            needed = together
            for name in together:
                fewer = tuple(other for other in needed if other != name)
                if fewer and passes(fewer):
                    needed = fewer
            return Bisection(base, tuple(tries), needed)
    return Bisection(base, tuple(tries))


def unblocks(run: OverfitRun, base: OverfitRun) -> bool:
    """Whether a run passes, or learns where `base` does not: a try has fewer epochs than the test itself."""
    learns = not run.failure and run.final is not None and run.final.wer < LEARNS
    stuck = base.final is None or base.final.wer >= LEARNS or bool(base.failure)
    return run.passed or (learns and stuck)


def helps(run: OverfitRun, base: OverfitRun) -> bool:
    """Whether a run got further than `base` in as many epochs."""
    count = min(len(run.epochs), len(base.epochs))
    if not count:
        return bool(run.epochs)
    ours, theirs = run.epochs[count - 1], base.epochs[count - 1]
    return ours.wer <= theirs.wer - LESS_WER or ours.loss <= LESS_LOSS * theirs.loss


def _compatible(tries: list[Try]) -> tuple[str, ...]:
    """The changes of single tries that can be made at once: of two that set the same, the one that got further."""
    kept: dict[tuple[str, ...], Try] = {}
    for one in tries:
        key = tuple(CHANGES[one.name])
        if key not in kept or _end(one.run) < _end(kept[key].run):
            kept[key] = one
    return tuple(one.name for one in kept.values())


def _end(run: OverfitRun) -> tuple[float, float]:
    return (run.final.wer, run.final.loss) if run.final else (math.inf, math.inf)
