"""The interface between a model and what computes its network: torch, or ONNX Runtime.

Shapes: B clips, T frames at the engine's rate, P points of its view, T' output frames, V words, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from signloom.inference.model_file import ModelFile
from signloom.landmarks import Frames
from signloom.model.presets import ModelConfig


class Engine(Protocol):
    """A network that maps landmarks to log-probabilities, in NumPy arrays.

    An engine keeps no state between calls: the result for a clip depends on that clip alone.
    """

    @property
    def config(self) -> ModelConfig:
        """What the network is made of; `config.view` and `config.fps` say which points it takes, at which rate."""

    @property
    def num_words(self) -> int:
        """V, the size of the vocabulary."""

    @property
    def step_seconds(self) -> float:
        """Seconds from one output frame to the next."""

    def output_lengths(self, lengths: np.ndarray) -> np.ndarray:
        """Returns the number of output frames (B,) for clips of `lengths` (B,) frames, exact from 1 frame on."""

    def log_probs(self, points: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Returns log-probabilities (B, T', V) float32 and the number of valid output frames (B,) of each clip.

        points: (B, T, P, 3) float32 in units of image height, NaN where missing or padded.
        lengths: (B,) int, the frames of each clip; None where nothing is padded.
        """

    def features(self, points: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Returns the classifier's input (B, T', D) float32, and lengths as `log_probs` does.

        Raises InputError for an engine that gives log-probabilities only.
        """

    def weights(self) -> Mapping[str, np.ndarray]:
        """Returns the tensors that a model file keeps, by name, without those that only training uses.

        Raises InputError for an engine whose weights cannot be read.
        """

    def save(self, path: Path, file: ModelFile) -> None:
        """Writes the network, with everything else that a model needs, to one file, whole or not at all.

        Raises InputError for a file of another kind than the engine's.
        """


@runtime_checkable
class LongClipEngine(Engine, Protocol):
    """An engine that can also compute a clip part by part, so that long ones fit into memory."""

    def long_log_probs(self, points: Frames) -> np.ndarray:
        """Returns the log-probabilities (T', V) of one clip, the same as `log_probs` but for rounding."""
