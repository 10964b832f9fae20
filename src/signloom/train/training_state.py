"""Training states without pickle: tensors in safetensors, everything else as JSON in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta, Struct, field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from signloom.errors import InputError, listed
from signloom.files.reading import open_file
from signloom.files.records import Count
from signloom.files.schemas import Table, check, decode_json
from signloom.files.writing import atomic_write
from signloom.inference.torch_engine import shape_faults

FORMAT = "signloom-training-state"

_NOT_ONE = "not a training state that --resume can read"
Figure = Annotated[float, Meta(ge=-1e300, le=1e300)]


class _Progress(Struct):
    """How far the last epoch has come."""

    batches: Count
    sums: Annotated[list[Figure], Meta(min_length=3, max_length=3)]
    seconds: Annotated[float, Meta(ge=0, le=1e12)]


class _State(Struct):
    """What Lightning restores, and what the module adds."""

    epoch: Count
    global_step: Count
    state_dict: Table
    loops: Table
    callbacks: Table
    optimizer_states: Annotated[list[Table], Meta(min_length=1, max_length=1)]
    lr_schedulers: Annotated[list[Table], Meta(min_length=1, max_length=1)]
    epoch_so_far: _Progress
    version: str = field(name="pytorch-lightning_version")


def write_state(state: Mapping[str, Any], path: Path) -> None:
    """Writes a training state: containers, numbers, strings and tensors. Raises TypeError if it holds anything else."""
    tensors: dict[str, torch.Tensor] = {}
    tree = _encode(state, tensors)
    data = save(tensors, metadata={"format": FORMAT, "tree": json.dumps(tree)})
    with atomic_write(path) as file:
        file.write(data)


def read_state(path: Path) -> dict[str, Any]:
    """Returns the training state in a file. Raises InputError if it is none, or lacks what training needs."""
    place = str(path)
    try:
        with open_file(path), safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT or "tree" not in metadata:
                what = "a model" if "signloom" in metadata else "another file of tensors"
                raise InputError(f"{place}: {_NOT_ONE} (it is {what})")
            tree = decode_json(metadata["tree"].encode(), f"{place}: tree", non_finite=True)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise InputError(f"{place}: {_NOT_ONE} ({error})") from None
    try:
        decoded: dict[str, Any] = _decode(tree, tensors)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{place}: {_NOT_ONE} (its tree is damaged: {type(error).__name__} {error})") from None
    check(_State, decoded, place)
    return decoded


def check_fits(module: torch.nn.Module, state: Mapping[str, Any], path: Path) -> None:
    """Raises InputError unless weights and optimiser in a state have the module's shapes, and finite values."""
    weights = state["state_dict"]
    shapes = {name: tuple(value.shape) if isinstance(value, torch.Tensor) else None for name, value in weights.items()}
    faults = shape_faults(module, shapes)
    faults += [
        f"{name} is not finite"
        for name, shape in shapes.items()
        if shape is not None and not weights[name].isfinite().all()
    ]
    moments = [value for entry in state["optimizer_states"][0].get("state", {}).values() for value in entry.values()]
    known = {tuple(parameter.shape) for parameter in module.parameters()} | {()}
    tensors = [value for value in moments if isinstance(value, torch.Tensor)]
    if any(tuple(value.shape) not in known or not value.isfinite().all() for value in tensors):
        faults.append("the optimiser's averages have other shapes than the weights, or are not finite")
    if faults:
        raise InputError(f"{path}: does not fit this run: {listed(sorted(faults), shown=3)}")


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
        if kind == "dict":
            return {_decode(key, tensors): _decode(item, tensors) for key, item in content}
        raise ValueError(f"kind {kind!r}")
    return value
