"""The engine that runs a `Recognizer` in torch, on the device that holds its weights."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from signloom.errors import InputError, listed
from signloom.inference.engine import Engine
from signloom.inference.model_file import ModelFile, is_weight
from signloom.inference.onnx_file import SUFFIX as ONNX_SUFFIX
from signloom.landmarks import Frames
from signloom.model.long_clips import long_log_probs
from signloom.model.presets import ModelConfig
from signloom.model.recognizer import AUXILIARY, Recognizer

_NO_FIT = "the weights do not fit the model that the file describes"


class TorchEngine:
    """See `signloom.inference.engine.Engine`. The recogniser is put into evaluation mode."""

    def __init__(self, recognizer: Recognizer) -> None:
        self.recognizer = recognizer.eval()

    @classmethod
    def load(cls, path: Path, config: ModelConfig, num_words: int) -> TorchEngine:
        """Returns the engine whose weights a model file holds. Raises InputError where they do not fit the config."""
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if is_weight(name)]  # noqa: SIM118 - not a dict
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            try:
                with _parameters_at_most(sum(map(math.prod, shapes.values()))):
                    recognizer = Recognizer(config, num_words)
            except (KeyError, RuntimeError) as error:
                raise InputError(f"{path}: {_NO_FIT} (no such model can be built: {error})") from None
            if faults := shape_faults(recognizer, shapes):
                raise InputError(f"{path}: {_NO_FIT}: {listed(sorted(faults), shown=3)}")
            weights = {name: file.get_tensor(name) for name in names}
        state = recognizer.state_dict()
        for name, tensor in weights.items():
            # Half precision is read as well, but no whole numbers in place of fractions.
            if tensor.is_floating_point() != state[name].is_floating_point():
                raise InputError(f"{path}: {_NO_FIT}: {name} holds {tensor.dtype}, needed {state[name].dtype}")
            if not tensor.isfinite().all():
                raise InputError(f"{path}: {name} has values that are not finite; train the model again")
        recognizer.load_state_dict(weights)
        return cls(recognizer)

    @property
    def config(self) -> ModelConfig:
        return self.recognizer.config

    @property
    def num_words(self) -> int:
        return self.recognizer.num_words

    @property
    def step_seconds(self) -> float:
        return self.recognizer.step_seconds

    def output_lengths(self, lengths: np.ndarray) -> np.ndarray:
        result: np.ndarray = self.recognizer.output_lengths(torch.as_tensor(lengths)).numpy()
        return result

    @torch.inference_mode()
    def log_probs(self, points: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        log_probs, output_lengths = self.recognizer(*self._tensors(points, lengths))
        return log_probs.cpu().numpy(), output_lengths.cpu().numpy()

    def long_log_probs(self, points: Frames) -> np.ndarray:
        return long_log_probs(self.recognizer, points)

    @torch.inference_mode()
    def features(self, points: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        x, body_lengths = self.recognizer.features(*self._tensors(points, lengths))
        features = self.recognizer.lstm(x, body_lengths).float().cpu().numpy()
        frames = np.full(len(points), points.shape[1]) if lengths is None else lengths
        return features, self.output_lengths(frames)

    def weights(self) -> dict[str, np.ndarray]:
        return {
            name: tensor.detach().cpu().contiguous().numpy()
            for name, tensor in self.recognizer.state_dict().items()
            if not name.startswith(AUXILIARY)
        }

    def save(self, path: Path, file: ModelFile) -> None:
        if path.suffix == ONNX_SUFFIX:
            raise InputError(
                f"{path}: not a name for weights; 'signloom export' makes an {ONNX_SUFFIX} file of a model"
            )
        file.write(path, self.weights())

    def _tensors(self, points: np.ndarray, lengths: np.ndarray | None) -> tuple[Tensor, Tensor | None]:
        device = next(self.recognizer.parameters()).device
        on_device = torch.from_numpy(points).to(device)
        return on_device, None if lengths is None else torch.as_tensor(lengths).to(device)


@contextmanager
def _parameters_at_most(most: int) -> Iterator[None]:
    """Raises RuntimeError when modules that are built inside the block have more parameters together."""
    total, thread = 0, threading.get_ident()

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal total
        if parameter is not None and threading.get_ident() == thread:
            total += parameter.numel()
            if total > most:
                raise RuntimeError(f"it has more than the {most:,} weights of the file")

    # A parameter is registered before its values are drawn: so far, no memory was touched for it.
    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def shape_faults(module: torch.nn.Module, shapes: Mapping[str, tuple[int, ...] | None]) -> list[str]:
    """Returns what is wrong with weights for a module. shapes: by name; None for what is no tensor."""
    needed = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    faults = [f"{name} is missing" for name in needed.keys() - shapes.keys()]
    faults += [f"{name} is unknown" for name in shapes.keys() - needed.keys()]
    return faults + [
        f"{name} has shape {shapes[name]}, needed {shape}"
        for name, shape in needed.items()
        if shapes.get(name, shape) != shape
    ]


def recognizer_of(engine: Engine) -> Recognizer:
    """Returns the torch module of a model's engine. Raises InputError for an engine that is not torch's."""
    if not isinstance(engine, TorchEngine):
        raise InputError(
            f"model: its engine is a {type(engine).__name__}; needed one with torch weights: "
            "a run folder or its model file, not an exported model"
        )
    return engine.recognizer
