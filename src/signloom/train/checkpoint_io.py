"""Lightning's checkpoints without pickle: tensors in safetensors, everything else as JSON in its header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from signloom.errors import InputError
from signloom.files.writing import atomic_write

FORMAT = "signloom-training-state"


class SafeCheckpointIO(CheckpointIO):
    """Saves and loads the training state, Lightning's nested dict of containers, numbers, strings and tensors."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        tensors: dict[str, torch.Tensor] = {}
        tree = _encode(checkpoint, tensors)
        data = save(tensors, metadata={"format": FORMAT, "tree": json.dumps(tree)})
        with atomic_write(Path(path)) as file:
            file.write(data)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path}: not a training state that --resume can read ({error})") from None
        if metadata.get("format") != FORMAT:
            raise InputError(f"{path}: not a training state that --resume can read")
        decoded: dict[str, Any] = _decode(json.loads(metadata["tree"]), tensors)
        return decoded

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Returns `value` as JSON; moves each tensor into `tensors` and puts its key in its place."""
    if isinstance(value, torch.Tensor):
        key = str(len(tensors))
        # A copy: safetensors refuses tensors that share memory.
        tensors[key] = value.detach().clone().contiguous()
        return {"tensor": key}
    if isinstance(value, dict):
        return {"dict": [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, tensors) for item in value]}
    if isinstance(value, list):
        return [_encode(item, tensors) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"training state holds a {type(value).__name__}, which is neither a container, a number nor a tensor"
    )


def _decode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if isinstance(value, dict):
        ((kind, content),) = value.items()
        if kind == "tensor":
            return tensors[content]
        if kind == "tuple":
            return tuple(_decode(item, tensors) for item in content)
        return {_decode(key, tensors): _decode(item, tensors) for key, item in content}
    return value
