"""Adds operators and weights to an ONNX graph; the layers that can be quantised.

Shapes: B clips, T frames, N = B * T frames of a padded batch, C channels, O output channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from signloom.model.onnx_graph.quantization import Range, quantized_lstm_weights, quantized_weights

# Read by ONNX Runtime and ONNX Runtime Web since 1.12. Later versions move axes from attributes to inputs.
OPSET = 17
IR_VERSION = 8
# The domain of ONNX Runtime's own operators, which the quantised layers need.
CONTRIB = "com.microsoft"


class Graph:
    """A graph in the making. Methods that add an operator return the name of its output.

    ranges: by layer, the range of its input; given, all layers with a range are quantised.

    `inputs_of` names the input of each layer that can be quantised, by the name of the layer.
    """

    def __init__(self, ranges: Mapping[str, Range] | None = None) -> None:
        self.ranges = ranges
        self.inputs_of: dict[str, str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def op(self, kind: str, *inputs: str, output: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Adds an operator with one output."""
        (name,) = self.ops(kind, *inputs, outputs=[output or f"{kind}_{len(self._nodes)}"], domain=domain, **attributes)
        return name

    def ops(
        self, kind: str, *inputs: str, outputs: Sequence[str], domain: str = "", **attributes: Any
    ) -> Sequence[str]:
        """Adds an operator with named outputs and returns their names."""
        self._nodes.append(
            helper.make_node(kind, inputs, outputs, name=f"{kind}_{len(self._nodes)}", domain=domain, **attributes)
        )
        return outputs

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Returns the name of a constant; equal ones are stored once."""
        array = np.asarray(value, dtype=dtype, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.weight(f"constant_{len(self._constants)}", array)
        return self._constants[key]

    def weight(self, name: str, array: np.ndarray) -> str:
        """Stores an array under a name of its own."""
        self._weights[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def ints(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def numbers(self, count: str) -> str:
        """Returns 0, 1, ... up to the one-element int64 tensor `count`."""
        return self.op("Range", self.constant(0, np.int64), self.op("Squeeze", count), self.constant(1, np.int64))

    def reshape(self, x: str, *shape: int | str) -> str:
        """Reshapes `x`; a string is the name of a one-element int64 tensor, 0 keeps a dimension."""
        if all(isinstance(size, int) for size in shape):
            return self.op("Reshape", x, self.ints(*shape))  # type: ignore[arg-type]
        sizes = [size if isinstance(size, str) else self.ints(size) for size in shape]
        return self.op("Reshape", x, self.op("Concat", *sizes, axis=0))

    def sliced(self, x: str, axis: int, start: int, stop: int | None = None, step: int = 1) -> str:
        """Returns `x[start:stop:step]` along an axis; negative numbers count from the end."""
        end = np.iinfo(np.int64).max if stop is None else stop
        return self.op("Slice", x, self.ints(start), self.ints(end), self.ints(axis), self.ints(step))

    def linear(self, x: str, weight: np.ndarray, bias: np.ndarray | None, *, name: str) -> str:
        """Returns `x @ weight.T + bias`, `(N, C)` to `(N, O)`. weight: `(O, C)`, as torch has it."""
        self.inputs_of[name] = x
        matrix = weight.T
        bias = np.zeros(weight.shape[0], np.float32) if bias is None else bias
        limits = self.ranges.get(name) if self.ranges is not None else None
        if limits is None:
            return self.op("Gemm", x, self.weight(f"{name}.weight", matrix), self.weight(f"{name}.bias", bias))
        scale, zero = self.constant(limits.scale), self.constant(limits.zero_point, np.uint8)
        values, scales = quantized_weights(matrix)
        return self.op(
            "MatMulIntegerToFloat",
            self.op("QuantizeLinear", x, scale, zero),
            self.weight(f"{name}.weight", values),
            scale,
            self.weight(f"{name}.scale", scales),
            zero,
            self.constant(0, np.int8),
            self.weight(f"{name}.bias", bias),
            domain=CONTRIB,
        )

    def bidirectional_lstm(
        self, x: str, lengths: str, inputs: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, *, name: str
    ) -> str:
        """Returns the states `(T, 2, B, H)` of two LSTMs over `(T, B, C)`, the second from each clip's end.

        inputs: `(2, 4 H, C)`.  recurrent: `(2, 4 H, H)`.  bias: `(2, 8 H)`. Gates in ONNX's order.  lengths: `(B,)`
        int32.
        """
        hidden = recurrent.shape[-1]
        attributes: dict[str, Any] = {"hidden_size": hidden, "direction": "bidirectional"}
        offsets = self.weight(f"{name}.bias", bias)
        if self.ranges is None:
            weights = (self.weight(f"{name}.inputs", inputs), self.weight(f"{name}.recurrent", recurrent))
            return self.op("LSTM", x, *weights, offsets, lengths, **attributes)
        names, scales = [], []
        for part, values in (("inputs", inputs), ("recurrent", recurrent)):
            quantized, scale = quantized_lstm_weights(values)
            names.append(self.weight(f"{name}.{part}", quantized))
            scales += [self.weight(f"{name}.{part}_scale", scale), self.constant(np.zeros(scale.shape), np.int8)]
        # The empty names are the optional initial states and peepholes.
        return self.op(
            "DynamicQuantizeLSTM", x, *names, offsets, lengths, "", "", "", *scales, domain=CONTRIB, **attributes
        )

    def model(
        self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto], **about: Any
    ) -> onnx.ModelProto:
        """Returns the whole as a checked model. Raises onnx.checker.ValidationError for a malformed one (a bug)."""
        graph = helper.make_graph(self._nodes, "recognizer", inputs, outputs, list(self._weights.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        if self.ranges is not None:
            opsets.append(helper.make_opsetid(CONTRIB, 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, **about)
        onnx.checker.check_model(model)
        return model


def float_tensor(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def int_tensor(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, shape)
