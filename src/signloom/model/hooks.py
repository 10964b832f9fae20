"""Looks at the outputs of a model's parts during a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn


@contextmanager
def watched(parts: Mapping[str, nn.Module], watch: Callable[[str, Any], None]) -> Iterator[None]:
    """Calls `watch` with a part's name and output after each forward pass of the part within the block."""

    def hook(name: str, part: nn.Module, inputs: Any, output: Any) -> None:
        watch(name, output)

    with ExitStack() as handles:
        for name, part in parts.items():
            handles.enter_context(part.register_forward_hook(partial(hook, name)))
        yield
