"""The classifier inside an exported graph: reads its weights and puts others in their place, without onnx.

Shapes: V words, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from signloom.errors import InputError
from signloom.inference.protobuf import encoded, encoded_number, fields, numbers
from signloom.model.onnx_graph.interface import CLASSIFIER, LOG_PROBS, NUM_WORDS
from signloom.model.onnx_graph.quantization import quantized_weights

_WEIGHT, _BIAS, _SCALE = (f"{CLASSIFIER}.{part}" for part in ("weight", "bias", "scale"))
_PARTS = (_WEIGHT, _BIAS, _SCALE, NUM_WORDS)
# Fields of ONNX's messages and its types of numbers, by onnx.proto of version 1.17.
_GRAPH = 7
_INITIALIZER, _OUTPUT = 5, 12
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9
_OUTPUT_NAME, _OUTPUT_TYPE = 1, 2
_TENSOR_TYPE, _SHAPE, _DIMENSION, _SIZE = 1, 2, 1, 1
_DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 3: np.dtype("i1"), 7: np.dtype("<i8")}


@dataclass(frozen=True)
class Classifier:
    """A linear layer from features to logits: `features @ weight.T + bias`.

    weight: (V, D) float32.  bias: (V,) float32.
    """

    weight: np.ndarray
    bias: np.ndarray


def classifier_of(graph: bytes) -> Classifier:
    """Returns the classifier of an exported graph, in single precision.

    Raises InputError for a graph whose classifier cannot be replaced: one of an earlier release, or a damaged one.
    """
    found: dict[str, np.ndarray] = {}
    try:
        for field in fields(memoryview(graph)):
            if field.number == _GRAPH:
                for part in fields(field.content):
                    if part.number == _INITIALIZER and (name := _name(part.content)) in _PARTS:
                        found[name] = _array(part.content)
    except (ValueError, KeyError) as error:
        raise InputError(f"model: its graph is damaged ({error}); export the model again") from None
    weight, bias, scale = (found.get(name) for name in (_WEIGHT, _BIAS, _SCALE))
    if weight is None or bias is None or NUM_WORDS not in found or weight.ndim != 2:
        raise InputError(
            "model: its graph does not name its classifier, as those of earlier releases; export the model again"
        )
    matrix = weight.astype(np.float32) * (scale if scale is not None else np.float32(1))
    return Classifier(np.ascontiguousarray(matrix.T), bias)


def as_stored(graph: bytes, classifier: Classifier) -> Classifier:
    """Returns a classifier as a graph would hold it: rounded, if the one in the graph has eight bits."""
    return classifier_of(with_classifier(graph, classifier))


def with_classifier(graph: bytes, classifier: Classifier) -> bytes:
    """Returns a graph with another classifier of as many features and any number of words, of the same precision.

    The range of the classifier's input stays: in eight bits, features are rounded as before.
    """
    num_words = len(classifier.weight)
    matrix = np.ascontiguousarray(classifier.weight.T, np.float32)
    tensors: dict[str, np.ndarray] = {
        _WEIGHT: matrix,
        _BIAS: classifier.bias.astype(np.float32),
        NUM_WORDS: np.array([num_words], np.int64),
    }
    if encoded(_NAME, _SCALE.encode()) in graph:
        tensors[_WEIGHT], tensors[_SCALE] = quantized_weights(matrix)

    def initializer(content: memoryview) -> bytes | None:
        name = _name(content)
        return _tensor(name, tensors[name]) if name in tensors else None

    def output(content: memoryview) -> bytes | None:
        return _with_last_dimension(content, num_words) if _name(content, _OUTPUT_NAME) == LOG_PROBS else None

    def of_graph(content: memoryview) -> bytes:
        return _replaced(_replaced(content, _INITIALIZER, initializer), _OUTPUT, output)

    return _replaced(graph, _GRAPH, of_graph)


def _replaced(message: bytes | memoryview, number: int, change: Callable[[memoryview], bytes | None]) -> bytes:
    """Returns a message with the content that `change` returns in each field of a number; None leaves it."""
    message = memoryview(message)
    parts = []
    for field in fields(message):
        new = change(field.content) if field.number == number else None
        parts.append(message[field.start : field.end] if new is None else encoded(number, new))
    return b"".join(parts)


def _with_last_dimension(output: memoryview, size: int) -> bytes:
    """Returns the description of an output whose last dimension has another size."""

    def shape(content: memoryview) -> bytes:
        *others, _ = (content[field.start : field.end] for field in fields(content))
        return b"".join([*others, encoded(_DIMENSION, encoded_number(_SIZE, size))])

    def tensor(content: memoryview) -> bytes:
        return _replaced(content, _SHAPE, shape)

    return _replaced(output, _OUTPUT_TYPE, lambda content: _replaced(content, _TENSOR_TYPE, tensor))


def _name(message: memoryview, number: int = _NAME) -> str:
    return next((bytes(field.content).decode() for field in fields(message) if field.number == number), "")


def _tensor(name: str, array: np.ndarray) -> bytes:
    """Returns an array as ONNX stores a tensor."""
    dtype = next(number for number, dtype in _DTYPES.items() if dtype == array.dtype)
    dims = b"".join(encoded_number(_DIMS, size) for size in array.shape)
    kind = encoded_number(_TYPE, dtype)
    return dims + kind + encoded(_NAME, name.encode()) + encoded(_RAW, array.tobytes())


def _array(tensor: memoryview) -> np.ndarray:
    """Returns the values of a stored tensor. Raises ValueError and KeyError for another kind of tensor."""
    shape: list[int] = []
    dtype, raw = 0, b""
    for field in fields(tensor):
        if field.number == _DIMS:
            shape += numbers(field)
        elif field.number == _TYPE:
            (dtype,) = numbers(field)
        elif field.number == _RAW:
            raw = bytes(field.content)
    return np.frombuffer(raw, _DTYPES[dtype]).reshape(shape)
