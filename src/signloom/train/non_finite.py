"""Stops a run with a non-finite loss or gradient; names the batch, the utterances and the part of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from signloom.errors import TrainingError
from signloom.files.writing import atomic_write, write_json
from signloom.model.hooks import watched
from signloom.run_folder import Run
from signloom.train.data import Batch

ADVICE = (
    "Look at these clips' landmarks, lower --learning_rate, or train in single precision (--precision 32). "
    "--resume continues from the last state saved before it"
)


class NotFiniteError(TrainingError):
    """A loss or a gradient is not finite.  headline: what happened.  cause: where it began.  advice: what to do."""

    def __init__(self, message: str, *, cause: str, advice: str) -> None:
        self.headline, self.cause, self.advice = f"{message}; first made by {cause}", cause, advice
        super().__init__(f"{self.headline}. {advice}")


def stop_if_not_finite(
    module: nn.Module,
    batch: Batch,
    losses: Tensor,
    *,
    again: Callable[[], object],
    place: str,
    folder: Path | None,
) -> None:
    """Raises TrainingError if a loss of `losses` `(B,)` is not finite, after saving the batch in `folder`.

    again: runs the model on the batch once more, with the same dropout, to find the first part with a non-finite
    output.
    """
    failed = ~torch.isfinite(losses.detach())
    if not failed.any():
        return
    ids = [name for name, bad in zip(batch.ids, failed.tolist(), strict=True) if bad]
    cause = first_cause(module, again)
    _stop(batch, ids, cause, place, folder, f"the loss of {_listed(ids)} is not finite")


def stop_if_gradient_not_finite(
    module: nn.Module, batch: Batch, norm: Tensor, *, place: str, folder: Path | None
) -> None:
    """Raises TrainingError if the norm of the gradient is not finite, after saving the batch in `folder`."""
    if torch.isfinite(norm):
        return
    # The backward pass reaches the last layers first: the fault spread from the layer nearest to the loss.
    names = [
        name
        for name, parameter in module.named_parameters()
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all()
    ]
    cause = f"the gradient of {names[-1]} (and {len(names) - 1} more)" if names else "the sum of finite gradients"
    _stop(batch, list(batch.ids), cause, place, folder, "a gradient is not finite though every loss was")


def first_cause(module: nn.Module, again: Callable[[], object]) -> str:
    """Returns the first part of `module` with a non-finite output when `again` runs the batch, in words."""
    for name, value in module.named_parameters():
        if not torch.isfinite(value).all():
            return f"the weights {name}, no longer finite after an earlier step"
    parts = {name: part for name, part in module.named_modules() if name}
    # Inner parts before outer ones.
    failed: list[str] = []

    def watch(name: str, output: Any) -> None:
        if not all(torch.isfinite(value).all() for value in _tensors(output)):
            failed.append(f"{name} ({type(parts[name]).__name__})")

    with watched(parts, watch), torch.no_grad():
        again()
    return failed[0] if failed else "the CTC loss, from finite log-probabilities"


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor) and value.is_floating_point():
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def _stop(batch: Batch, ids: list[str], cause: str, place: str, folder: Path | None, what: str) -> None:
    kept = ""
    if folder is not None:
        run = Run(folder).recorded
        kept = f"The batch is kept in {run.not_finite_batch}, with its ids in {run.not_finite_file.name}. "
        # Plain arrays only, so that NumPy alone can read the file.
        with atomic_write(run.not_finite_batch) as file:
            np.savez_compressed(
                file,
                points=batch.points.cpu().numpy(),
                lengths=batch.lengths.cpu().numpy(),
                targets=batch.targets.cpu().numpy(),
                target_lengths=batch.target_lengths.cpu().numpy(),
            )
        write_json(
            run.not_finite_file,
            {"place": place, "what": what, "cause": cause, "not_finite": ids, "ids": list(batch.ids)},
        )
    raise NotFiniteError(f"training stopped at {place}: {what}", cause=cause, advice=kept + ADVICE)


def _listed(ids: list[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
