"""Lightning's checkpoints: training states in safetensors instead of pickles, and what does not fit a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io import CheckpointIO

from signloom.errors import InputError
from signloom.train.training_state import read_state, write_state


class SafeCheckpointIO(CheckpointIO):
    """Saves and loads what Lightning calls a checkpoint as a training state."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write_state(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read_state(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


@contextmanager
def restoring(path: Path, has_begun: Callable[[], bool]) -> Iterator[None]:
    """Turns what Lightning raises for a state that does not fit into an InputError, until training `has_begun`."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if has_begun():
            raise
        raise InputError(
            f"{path}: does not fit this run ({type(error).__name__}: {error}); restore it from a copy, or train anew "
            "into another --output"
        ) from error
