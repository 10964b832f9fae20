"""Eight-bit weights and input ranges of the layers of a graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Weights have seven bits: without VNNI, the product of an unsigned and a signed byte is added up in 16 bits, and two
# products of full range overflow there. Seven bits give the same result on every processor.
_LARGEST_WEIGHT = 63.0
# An input that is constant still needs a scale that can be divided by.
_LEAST_RANGE = 1e-6


@dataclass(frozen=True)
class Range:
    """The range of a layer's input, which always includes 0, so that 0 is exact."""

    low: float
    high: float

    @classmethod
    def of(cls, low: float, high: float) -> Range:
        return cls(min(low, 0.0), max(high, 0.0, min(low, 0.0) + _LEAST_RANGE))

    @property
    def scale(self) -> np.float32:
        return np.float32((self.high - self.low) / 255)

    @property
    def zero_point(self) -> int:
        return int(np.clip(np.rint(-self.low / self.scale), 0, 255))


def quantized_weights(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a matrix `(C, O)` in int8 and the scale `(O,)` of each of its columns."""
    scales = _scales(np.abs(matrix).max(0))
    return np.rint(matrix / scales).astype(np.int8), scales


def quantized_lstm_weights(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns weights `(2, 4 H, C)` of two LSTMs as int8 `(2, C, 4 H)`, and the scale `(2, 4 H)` of each gate."""
    scales = _scales(np.abs(weights).max(2))
    return np.rint(weights / scales[:, :, None]).astype(np.int8).transpose(0, 2, 1), scales


def _scales(largest: np.ndarray) -> np.ndarray:
    # Weights that are all 0 stay 0 with any scale.
    return np.where(largest > 0, largest / _LARGEST_WEIGHT, 1.0).astype(np.float32)
