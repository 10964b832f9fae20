"""Trains a recogniser on a corpus.

At every moment the run folder holds the model with the lowest word error rate on the dev split (the test split is never
used), the state to resume from, curves, history (JSON and CSV), TensorBoard files and the log. At the end it writes the
page `report.html`, which explains them. docs/training.md describes recipes, several processes, SLURM and resuming.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signloom.corpus.splits import KNOWN_DEV
from signloom.errors import plural
from signloom.hints import command
from signloom.train.recipe import Recipe

Options = Recipe


def evaluation_of(info: Mapping[str, Any], run: Path) -> str:
    """Returns the command that scores a run: on test or, where its corpus has none, on dev.  info: of its model."""
    splits = info["corpus"]["summary"]
    return command("evaluate", run, split="test" if "test" in splits else "dev")


def run(options: Recipe) -> int:
    """Returns the exit status: 0 when training has finished."""
    options.check()
    from signloom.health.first_look import first_look
    from signloom.inference.torch_engine import recognizer_of
    from signloom.report import write_report
    from signloom.train.distributed import World
    from signloom.train.fit import fit

    result = fit(options, look=first_look)
    if World.of_environment().rank:
        return 0
    best = result.best
    # Beside the rate, because this is what the rate is taken for.
    known = f"{KNOWN_DEV}\n" if result.model.info["corpus"]["dev_is_known"] else ""
    print(
        f"best dev WER {100 * best.dev_wer:.1f} % (plain rule) at epoch {best.epoch} of {len(result.history.epochs)}, "
        f"{result.seconds:.0f} s of training, "
        f"{plural(recognizer_of(result.model.engine).num_parameters, 'parameter')}\n"
        f"{known}model and curves: {result.run}\n"
        f"page: {write_report(result.run)}\n"
        f"next: {evaluation_of(result.model.info, result.run)}"
    )
    return 0
