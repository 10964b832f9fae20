"""A whole recogniser as an ONNX model: front end, body, BiLSTM and classifier; see `model.recognizer`.

Shapes: B clips, T frames, P points of the view, T' output frames, V words, D features, N frames of a padded batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from torch import nn

from signloom import __version__
from signloom.model.blocks import BiLSTM
from signloom.model.onnx_graph.bodies import Padding, array, body
from signloom.model.onnx_graph.builder import Graph, float_tensor, int_tensor
from signloom.model.onnx_graph.frontend import features
from signloom.model.onnx_graph.interface import (
    CLASSIFIER,
    FEATURES,
    LENGTHS,
    LOG_PROBS,
    NUM_WORDS,
    OUTPUT_LENGTHS,
    POINTS,
)
from signloom.model.onnx_graph.quantization import Range
from signloom.model.recognizer import COSINE_SCALE, CosineClassifier, Recognizer


def onnx_model(recognizer: Recognizer, ranges: Mapping[str, Range] | None = None) -> onnx.ModelProto:
    """Returns a recogniser in evaluation mode as an ONNX model, with batch and time dynamic.

    Inputs: `points` (B, T, P, 3) float32, NaN where missing or padded; `lengths` (B,) int64, from 1 to T. Outputs:
    `log_probs` (B, T', V), `output_lengths` (B,), and `features` (B, T', D), the classifier's input.

    ranges: by layer, the range of its input: quantises these layers and the LSTMs to eight bits.
    """
    return _graph(recognizer, ranges)[0]


def calibration_model(recognizer: Recognizer) -> tuple[onnx.ModelProto, Mapping[str, str]]:
    """Returns a model with the inputs of all layers that can be quantised as outputs, and their names by layer."""
    model, inputs_of = _graph(recognizer, None)
    for name in sorted(set(inputs_of.values())):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return model, inputs_of


def _graph(recognizer: Recognizer, ranges: Mapping[str, Range] | None) -> tuple[onnx.ModelProto, Mapping[str, str]]:
    graph = Graph(ranges)
    num_frames = graph.op("Shape", POINTS, start=1, end=2)
    at_input = Padding.of(graph, LENGTHS, num_frames)
    frames = features(graph, recognizer.frontend, POINTS, at_input.valid)
    x, padding = body(graph, recognizer.body, frames, at_input)
    x = padding.batch(graph, x, recognizer.body.out_channels)
    if recognizer.config.frame_rate:
        x = _upsampled(graph, x, padding, at_input, recognizer.body.stride)
        padding = at_input
    x = _bilstm(graph, recognizer.lstm, x, padding)
    width = 2 * recognizer.config.lstm_hidden
    logits = _classified(graph, recognizer.classifier, graph.reshape(x, -1, width))
    log_probs = graph.op("LogSoftmax", logits, axis=-1)
    # Not a constant, which other layers may share: an enrolment changes it.
    num_words = graph.weight(NUM_WORDS, np.array([recognizer.num_words], np.int64))
    shape = graph.op("Concat", graph.ints(-1), padding.num_frames, num_words, axis=0)
    graph.op("Reshape", log_probs, shape, output=LOG_PROBS)
    graph.op("Identity", padding.lengths, output=OUTPUT_LENGTHS)
    model = graph.model(
        [float_tensor(POINTS, "batch", "time", recognizer.frontend.num_points, 3), int_tensor(LENGTHS, "batch")],
        [
            float_tensor(LOG_PROBS, "batch", "output_time", recognizer.num_words),
            int_tensor(OUTPUT_LENGTHS, "batch"),
            float_tensor(FEATURES, "batch", "output_time", width),
        ],
        producer_name="signloom",
        producer_version=__version__,
    )
    return model, graph.inputs_of


def _upsampled(graph: Graph, x: str, padding: Padding, after: Padding, stride: int) -> str:
    """Returns `(B, T', C)` interpolated to `(B, T, C)`; see `blocks.upsample`."""
    frames = graph.op(
        "Range", graph.constant(0, np.int64), graph.op("Squeeze", after.num_frames), graph.constant(1, np.int64)
    )
    centre = graph.op("Add", graph.op("Cast", frames, to=1), graph.constant(0.5))
    position = graph.op("Sub", graph.op("Div", centre, graph.constant(float(stride))), graph.constant(0.5))
    position = graph.op("Max", position, graph.constant(0.0))
    one = graph.constant(1, np.int64)
    last = graph.op("Unsqueeze", graph.op("Sub", padding.lengths, one), graph.ints(1))
    position = graph.op("Min", position, graph.op("Cast", last, to=1))
    floor = graph.op("Floor", position)
    weight = graph.op("Unsqueeze", graph.op("Sub", position, floor), graph.ints(2))
    lower = graph.op("Cast", floor, to=7)
    upper = graph.op("Min", graph.op("Add", lower, one), last)
    values = [
        graph.op("GatherND", x, graph.op("Unsqueeze", index, graph.ints(2)), batch_dims=1) for index in (lower, upper)
    ]
    rest = graph.op("Sub", graph.constant(1.0), weight)
    return graph.op("Add", graph.op("Mul", values[0], rest), graph.op("Mul", values[1], weight))


def _bilstm(graph: Graph, lstm: BiLSTM, x: str, padding: Padding) -> str:
    """Returns `(B, T', 2 H)`, the model's output `features`."""
    lengths = graph.op("Cast", padding.lengths, to=6)
    # ONNX's LSTM takes (T, B, C), and only this order is implemented.
    x = graph.op("Transpose", x, perm=[1, 0, 2])
    last = len(lstm.forward_layers) - 1
    for number, both in enumerate(zip(lstm.forward_layers, lstm.backward_layers, strict=True)):
        weights = {
            part: np.stack([_onnx_gates(array(getattr(layer, f"{part}_l0"))) for layer in both])
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        bias = np.concatenate([weights["bias_ih"], weights["bias_hh"]], axis=1)
        # (T, 2, B, H).
        states = graph.bidirectional_lstm(
            x, lengths, weights["weight_ih"], weights["weight_hh"], bias, name=f"lstm.{number}"
        )
        hidden = weights["weight_hh"].shape[-1]
        order = [2, 0, 1, 3] if number == last else [0, 2, 1, 3]
        x = graph.op("Transpose", states, perm=order)
        shape = graph.ints(0, 0, 2 * hidden)
        x = graph.op("Reshape", x, shape, output=FEATURES if number == last else None)
    return x


def _onnx_gates(values: np.ndarray) -> np.ndarray:
    """Returns weights `(4 H, ...)` in ONNX's order of gates: torch has input, forget, cell, output."""
    input_gate, forget, cell, output = np.split(values, 4)
    return np.concatenate([input_gate, output, forget, cell])


def _classified(graph: Graph, classifier: nn.Module, frames: str) -> str:
    """Returns logits `(N, V)`."""
    if isinstance(classifier, CosineClassifier):
        weight = array(nn.functional.normalize(classifier.weight.detach(), dim=-1) * COSINE_SCALE)
        norm = graph.op("ReduceL2", frames, axes=[1], keepdims=1)
        # As torch's normalize.
        frames = graph.op("Div", frames, graph.op("Max", norm, graph.constant(1e-12)))
        return graph.linear(frames, weight, None, name=CLASSIFIER)
    if isinstance(classifier, nn.Linear):
        return graph.linear(frames, array(classifier.weight), array(classifier.bias), name=CLASSIFIER)
    raise TypeError(f"no graph for a classifier of type {type(classifier).__name__}")
