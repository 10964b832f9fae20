"""Which changes unblock learning? Each change is tried alone, then the changes that helped are tried together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from signloom.health.overfit.regimes import CHANGES, Regime, changes_of, with_changes
from signloom.health.overfit.training import OverfitRun
from signloom.model.presets import ModelConfig

# A change helps if, after as many epochs, the WER is lower by at least this much, ...
LESS_WER = 0.02
# ... or the loss is at most this share of the loss without it.
LESS_LOSS = 0.9
# A model with a WER below this learns.
LEARNS = 0.15


@dataclass(frozen=True)
class Try:
    """A training with some changes.  changes: their names.  run: the result."""

    changes: tuple[str, ...]
    run: OverfitRun

    @property
    def name(self) -> str:
        return " + ".join(self.changes)


@dataclass(frozen=True)
class Bisection:
    """The result of a bisection.

    base: the run that failed.  tries: in the order of training.  needed: the smallest set found of changes that unblock
    learning together where none does alone; empty where one is enough, or where all together fail.
    complete: whether the time allowed all tries.
    """

    base: OverfitRun
    tries: tuple[Try, ...]
    needed: tuple[str, ...] = ()
    complete: bool = True

    @property
    def unblocking(self) -> list[Try]:
        """The tries of a single change that unblock learning, the fastest first."""
        alone = [one for one in self.tries if len(one.changes) == 1 and unblocks(one.run, self.base)]
        return sorted(alone, key=lambda one: (not one.run.passed, one.run.zero_epoch or math.inf, _end(one.run)))


class _NoTimeError(Exception):
    """There is no time for another try."""


def bisect(base: OverfitRun, config: ModelConfig, attempt: Callable[[str, Regime], OverfitRun | None]) -> Bisection:
    """Returns the changes to the regime of `base`, which failed, that let a model of this configuration learn.

    attempt: trains with a regime; its first argument is a name for display. None where there is no more time.
    """
    tries: list[Try] = []

    def passes(changes: tuple[str, ...]) -> bool:
        done = next((one for one in tries if set(one.changes) == set(changes)), None)
        if done is None:
            run = attempt(" + ".join(changes), with_changes(base.setting, changes))
            if run is None:
                raise _NoTimeError
            done = Try(changes, run)
            tries.append(done)
        return unblocks(done.run, base)

    try:
        needed = _needed(base, config, passes, tries)
    except _NoTimeError:
        return Bisection(base, tuple(tries), complete=False)
    return Bisection(base, tuple(tries), needed)


def _needed(
    base: OverfitRun, config: ModelConfig, passes: Callable[[tuple[str, ...]], bool], tries: list[Try]
) -> tuple[str, ...]:
    """Returns the smallest set of changes that unblocks learning together; empty if one does, or not even all.

    passes: tries a set of changes, adds it to `tries`, and returns whether it unblocks learning.
    """
    alone = changes_of(base.setting, config)
    # Every change is tried, even after one that unblocks: the answer is the list of all that do.
    passed = [name for name in alone if passes((name,))]
    if passed:
        return ()
    helpful = _compatible([one for one in tries if helps(one.run, base)])
    every = _compatible(tries)
    for together in dict.fromkeys(names for names in (helpful, every) if len(names) > 1):
        if passes(together):
            needed = together
            for name in together:
                fewer = tuple(other for other in needed if other != name)
                if fewer and passes(fewer):
                    needed = fewer
            return needed
    return ()


def unblocks(run: OverfitRun, base: OverfitRun) -> bool:
    """Returns whether a run passes, or learns where `base` does not: a try has fewer epochs than the test itself."""
    learns = not run.failure and run.final is not None and run.final.wer < LEARNS
    stuck = base.final is None or base.final.wer >= LEARNS or bool(base.failure)
    return run.passed or (learns and stuck)


def helps(run: OverfitRun, base: OverfitRun) -> bool:
    """Returns whether a run got further than `base` in as many epochs."""
    count = min(len(run.epochs), len(base.epochs))
    if not count:
        return bool(run.epochs)
    ours, theirs = run.epochs[count - 1], base.epochs[count - 1]
    return ours.wer <= theirs.wer - LESS_WER or ours.loss <= LESS_LOSS * theirs.loss


def _compatible(tries: list[Try]) -> tuple[str, ...]:
    """Returns changes that can be made together: of two that set the same field, the one that got further."""
    kept: dict[tuple[str, ...], Try] = {}
    for one in tries:
        key = tuple(CHANGES[one.name])
        if key not in kept or _end(one.run) < _end(kept[key].run):
            kept[key] = one
    return tuple(one.name for one in kept.values())


def _end(run: OverfitRun) -> tuple[float, float]:
    return (run.final.wer, run.final.loss) if run.final else (math.inf, math.inf)
