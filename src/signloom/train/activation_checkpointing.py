"""Activation checkpointing: parts of the model recompute their activations in the backward pass to save memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from signloom.model.blocks import InvertedResidual
from signloom.model.inception import InceptionBlock
from signloom.model.modality_fusion import Fusion, ModalityEncoder
from signloom.model.recognizer import Recognizer

PARTS = (Fusion, ModalityEncoder, InvertedResidual, InceptionBlock)


def checkpoint_activations(recognizer: Recognizer) -> int:
    """Makes each part of the recogniser's body store only its input in training; returns the number of parts.

    Loss and gradients do not change: dropout repeats its random numbers, and the running statistics of batch norm are
    not updated a second time.
    """
    parts = list(_outermost(recognizer.body))
    for part in parts:
        part.forward = _checkpointed(part)
    return len(parts)


def _outermost(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, PARTS):
            yield child
        else:
            yield from _outermost(child)


def _checkpointed(part: nn.Module) -> Callable[..., Any]:
    forward = part.forward

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), _running_statistics_unchanged(part)

    def run(*inputs: Any) -> Any:
        if not part.training:
            return forward(*inputs)
        return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)

    return run


@contextmanager
def _running_statistics_unchanged(part: nn.Module) -> Iterator[None]:
    """Keeps batch norm from updating its running statistics while the block runs."""
    norms = [module for module in part.modules() if isinstance(module, nn.BatchNorm1d)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked = tracked
