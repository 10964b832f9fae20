"""Less memory for the backward pass: activations inside a part are computed again instead of kept."""

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
    """Makes each part of the recogniser's body keep only its input in training; the number of parts.

    Loss and gradients are those without it: dropout draws the same again, and batch norm's running statistics do not
    move a second time.
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
        return nullcontext(), _statistics_at_rest(part)

    def run(*inputs: Any) -> Any:
        if not part.training:
            return forward(*inputs)
        return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)

    return run


@contextmanager
def _statistics_at_rest(part: nn.Module) -> Iterator[None]:
    """Batch norm takes the batch's statistics, and leaves its running ones as they are."""
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
