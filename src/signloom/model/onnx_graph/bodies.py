"""The bodies of student and teacher as a graph; see `model.mobilenet` and `model.inception`.

Shapes: B clips, T frames, N = B * T frames of a padded batch, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch import Tensor, nn

from signloom.errors import InputError
from signloom.model.blocks import Body, DepthwiseConv, InvertedResidual, SqueezeExcite, TemporalConv
from signloom.model.inception import KERNEL, Inception, InceptionBlock
from signloom.model.mobilenet import MobileNet
from signloom.model.modality_fusion import Fusion, ModalityAttention, ModalityEncoder
from signloom.model.onnx_graph.builder import Graph

# In the padding before a maximum. Finite, since what layers on single frames make of it must not be NaN times 0.
_LOWEST = -1e30


@dataclass(frozen=True)
class Padding:
    """Which frames of a padded batch are valid: names of tensors in a graph.

    lengths: `(B,)` int64.  num_frames: T `(1,)` int64.  valid: `(B, T)` bool.  factor: the same as float `(B, T, 1)`.
    """

    lengths: str
    num_frames: str
    valid: str
    factor: str

    @classmethod
    def of(cls, graph: Graph, lengths: str, num_frames: str) -> Padding:
        valid = graph.op("Less", graph.numbers(num_frames), graph.op("Unsqueeze", lengths, graph.ints(1)))
        factor = graph.op("Unsqueeze", graph.op("Cast", valid, to=1), graph.ints(2))
        return cls(lengths, num_frames, valid, factor)

    def strided(self, graph: Graph, stride: int) -> Padding:
        """Returns the padding after a layer of that stride: `ceil(n / stride)` frames of n."""
        if stride == 1:
            return self
        return Padding.of(graph, ceil_div(graph, self.lengths, stride), ceil_div(graph, self.num_frames, stride))

    def batch(self, graph: Graph, frames: str, num_channels: int, *, padding: float = 0.0) -> str:
        """Returns frames `(N, C)` as `(B, T, C)` with `padding` in the padding."""
        x = graph.reshape(frames, -1, self.num_frames, num_channels)
        if padding:
            inside = graph.op("Unsqueeze", self.valid, graph.ints(2))
            return graph.op("Where", inside, x, graph.constant(padding))
        return graph.op("Mul", x, self.factor)


def ceil_div(graph: Graph, lengths: str, stride: int) -> str:
    """Returns `ceil(lengths / stride)`; integers of at least 0, for which the operator Div rounds down."""
    return graph.op("Div", graph.op("Add", lengths, graph.ints(stride - 1)), graph.ints(stride))


def body(graph: Graph, module: Body, features: dict[str, str], padding: Padding) -> tuple[str, Padding]:
    """Returns the frames `(N', C)` of a body and their padding. features: normalised, `(N, F)` by modality."""
    if isinstance(module, MobileNet):
        return _mobilenet(graph, module, features, padding)
    if isinstance(module, Inception):
        return _inception(graph, module, features, padding)
    raise InputError(f"export: no graph for a body of type {type(module).__name__}")


def array(tensor: Tensor) -> np.ndarray:
    """Returns a weight in single precision."""
    result: np.ndarray = tensor.detach().cpu().float().numpy()
    return result


def _folded(weight: Tensor, norm: nn.BatchNorm1d) -> tuple[np.ndarray, np.ndarray]:
    """Returns weight `(O, ...)` and bias `(O,)` of a layer without bias and the batch norm after it."""
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()  # type: ignore[union-attr]
    bias = norm.bias.detach().double() - norm.running_mean.double() * scale  # type: ignore[union-attr]
    return array(weight.detach().double() * scale.view(-1, *[1] * (weight.dim() - 1))), array(bias)


def _linear(graph: Graph, x: str, layer: nn.Linear, norm: nn.BatchNorm1d | None = None, *, name: str) -> str:
    if norm is not None:
        weight, bias = _folded(layer.weight, norm)
    else:
        weight, bias = array(layer.weight), array(layer.bias)
    return graph.linear(x, weight, bias, name=name)


def _hardswish(graph: Graph, x: str) -> str:
    return graph.op("Mul", x, graph.op("HardSigmoid", x, alpha=1 / 6, beta=0.5))


def _encoder(graph: Graph, encoder: ModalityEncoder, x: str, *, name: str) -> str:
    for number, (layer, norm) in enumerate(zip(encoder.layers, encoder.norms, strict=True)):
        x = _hardswish(graph, _linear(graph, x, layer, norm, name=f"{name}.{number}"))  # type: ignore[arg-type]
    return x


def _taps(graph: Graph, x: str, kernel: int, stride: int) -> list[str]:
    """Returns what each tap of a kernel over time meets, `(B, T', C)` of `(B, T, C)` that is padded already."""
    return [graph.sliced(x, 1, tap, None if tap == kernel - 1 else tap - kernel + 1, stride) for tap in range(kernel)]


def _padded(graph: Graph, x: str, kernel: int, value: float) -> str:
    """Returns `(B, T, C)` with half a kernel of `value` on both sides."""
    half = kernel // 2
    return graph.op("Pad", x, graph.ints(0, half, 0, 0, half, 0), graph.constant(value))


def _depthwise(
    graph: Graph, frames: str, conv: DepthwiseConv, norm: nn.BatchNorm1d, padding: Padding, *, name: str
) -> tuple[str, Padding]:
    """Returns frames `(N', C)` of frames `(N, C)`, and their padding."""
    weight, bias = _folded(conv.weight, norm)
    image = graph.op("Transpose", padding.batch(graph, frames, conv.channels), perm=[0, 2, 1])
    out = graph.op(
        "Conv",
        image,
        graph.weight(f"{name}.weight", weight[:, :, 0]),
        graph.weight(f"{name}.bias", bias),
        group=conv.channels,
        kernel_shape=[conv.kernel],
        pads=[conv.kernel // 2] * 2,
        strides=[conv.stride],
    )
    out = graph.op("Transpose", out, perm=[0, 2, 1])
    return graph.reshape(out, -1, conv.channels), padding.strided(graph, conv.stride)


def _temporal(
    graph: Graph, frames: str, conv: TemporalConv, norm: nn.BatchNorm1d, padding: Padding, *, name: str
) -> tuple[str, Padding]:
    """Returns frames `(N', C')` of frames `(N, C)`, and their padding: a linear layer on what all taps meet."""
    weight, bias = _folded(conv.weight, norm)
    num_out, num_in = weight.shape[:2]
    x = _padded(graph, padding.batch(graph, frames, num_in), conv.kernel, 0.0)
    taps = graph.op("Concat", *_taps(graph, x, conv.kernel, conv.stride), axis=2)
    matrix = weight[:, :, 0].transpose(0, 2, 1).reshape(num_out, -1)
    out = graph.linear(graph.reshape(taps, -1, matrix.shape[1]), matrix, bias, name=name)
    return out, padding.strided(graph, conv.stride)


def _max_pool(graph: Graph, frames: str, num_channels: int, padding: Padding, stride: int = 1) -> tuple[str, Padding]:
    """Returns the maximum around every `stride`-th frame, `(N', C)` of `(N, C)`, and its padding."""
    x = _padded(graph, padding.batch(graph, frames, num_channels, padding=_LOWEST), KERNEL, _LOWEST)
    pooled = graph.op("Max", *_taps(graph, x, KERNEL, stride))
    return graph.reshape(pooled, -1, num_channels), padding.strided(graph, stride)


def _squeeze_excite(graph: Graph, frames: str, module: SqueezeExcite, padding: Padding, *, name: str) -> str:
    num_channels = module.reduce.in_features
    x = padding.batch(graph, frames, num_channels)
    total = graph.op("ReduceSum", x, graph.ints(1), keepdims=0)
    count = graph.op("Cast", graph.op("Unsqueeze", padding.lengths, graph.ints(1)), to=1)
    hidden = graph.op("Relu", _linear(graph, graph.op("Div", total, count), module.reduce, name=f"{name}.reduce"))
    gate = _linear(graph, hidden, module.expand, name=f"{name}.expand")
    gate = graph.op("Unsqueeze", graph.op("HardSigmoid", gate, alpha=1 / 6, beta=0.5), graph.ints(1))
    return graph.reshape(graph.op("Mul", x, gate), -1, num_channels)


def _inverted_residual(
    graph: Graph, frames: str, block: InvertedResidual, padding: Padding, *, name: str
) -> tuple[str, Padding]:
    x = _hardswish(graph, _linear(graph, frames, block.expand, block.expand_norm, name=f"{name}.expand"))
    x, after = _depthwise(graph, x, block.depthwise, block.depthwise_norm, padding, name=f"{name}.depthwise")
    x = _hardswish(graph, x)
    if block.squeeze_excite is not None:
        x = _squeeze_excite(graph, x, block.squeeze_excite, after, name=f"{name}.squeeze_excite")
    x = _linear(graph, x, block.project, block.project_norm, name=f"{name}.project")
    return (graph.op("Add", frames, x) if block.residual else x), after


def _mobilenet(graph: Graph, module: MobileNet, features: dict[str, str], padding: Padding) -> tuple[str, Padding]:
    encodings = []
    for name, x in features.items():
        shared = name == "left_hand" and module.left_signs is not None
        if shared:
            x = graph.op("Mul", x, graph.constant(array(module.left_signs)))  # type: ignore[arg-type]
        encoder = module.encoders["right_hand" if shared else name]
        encodings.append(_encoder(graph, encoder, x, name=f"body.{name}"))  # type: ignore[arg-type]
    x = graph.op("Concat", *encodings, axis=1)
    x = _hardswish(graph, _linear(graph, x, module.stem, module.stem_norm, name="body.stem"))
    x, padding = _depthwise(graph, x, module.stem_conv, module.stem_conv_norm, padding, name="body.stem_conv")
    x = _hardswish(graph, x)
    for number, block in enumerate(module.blocks):
        x, padding = _inverted_residual(graph, x, block, padding, name=f"body.blocks.{number}")  # type: ignore[arg-type]
    return _hardswish(graph, _linear(graph, x, module.head, module.head_norm, name="body.head")), padding


def _attention(graph: Graph, attention: ModalityAttention, tokens: str, num_tokens: int) -> str:
    """Returns what attention adds to tokens `(N, M, W)`."""
    (width,) = attention.norm.normalized_shape
    size = width // attention.num_heads
    normed = graph.op(
        "LayerNormalization",
        tokens,
        graph.constant(array(attention.norm.weight)),
        graph.constant(array(attention.norm.bias)),
        axis=-1,
        epsilon=attention.norm.eps,
    )
    projected = _linear(graph, graph.reshape(normed, -1, width), attention.projections, name="body.attention")
    heads = graph.reshape(projected, -1, num_tokens, 3, attention.num_heads, size)
    # As (N, head, M, size), keys as (N, head, size, M).
    query, key, value = (graph.op("Gather", heads, graph.constant(part, np.int64), axis=2) for part in range(3))
    query = graph.op("Transpose", query, perm=[0, 2, 1, 3])
    key = graph.op("Transpose", key, perm=[0, 2, 3, 1])
    value = graph.op("Transpose", value, perm=[0, 2, 1, 3])
    scores = graph.op("Mul", graph.op("MatMul", query, key), graph.constant(size**-0.5))
    attended = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), value)
    frames = graph.reshape(graph.op("Transpose", attended, perm=[0, 2, 1, 3]), -1, width)
    added = _linear(graph, frames, attention.output, name="body.attention_output")
    limits = graph.constant(-attention.clamp), graph.constant(attention.clamp)
    return graph.reshape(graph.op("Clip", added, *limits), -1, num_tokens, width)


def _fusion(graph: Graph, fusion: Fusion, features: dict[str, str]) -> str:
    """Returns `(N, W)`: the mean over the tokens of the modalities."""
    encodings = [
        _encoder(graph, fusion.encoders[name], x, name=f"body.{name}")  # type: ignore[arg-type]
        for name, x in features.items()
    ]
    tokens = graph.op("Concat", *(graph.op("Unsqueeze", x, graph.ints(1)) for x in encodings), axis=1)
    if fusion.attention is not None:
        tokens = graph.op("Add", tokens, _attention(graph, fusion.attention, tokens, len(encodings)))
    return graph.op("ReduceMean", tokens, axes=[1], keepdims=0)


def _inception_block(
    graph: Graph, frames: str, block: InceptionBlock, padding: Padding, *, name: str
) -> tuple[str, Padding]:
    num_in = block.enter.in_features
    if block.pool > 1:
        frames, padding = _max_pool(graph, frames, num_in, padding, block.pool)
    entered = graph.op("Relu", _linear(graph, frames, block.enter, block.enter_norm, name=f"{name}.enter"))
    starts = np.cumsum([0, *block.widths]).tolist()
    direct, *reduced = (graph.sliced(entered, 1, start, stop) for start, stop in pairwise(starts))
    branches = [direct]
    for x, conv, norm, part in zip(
        reduced, (block.first, block.second), (block.first_norm, block.second_norm), ("first", "second"), strict=True
    ):
        branches.append(graph.op("Relu", _temporal(graph, x, conv, norm, padding, name=f"{name}.{part}")[0]))
    around = _max_pool(graph, frames, num_in, padding)[0]
    branches.append(graph.op("Relu", _linear(graph, around, block.pooled, block.pooled_norm, name=f"{name}.pooled")))
    after = graph.op("Concat", *branches, axis=1)
    if block.residual:
        wider = sum(block.widths[:1]) + block.first.weight.shape[0] + block.second.weight.shape[0]
        wider += block.pooled.out_features - num_in
        if wider:
            frames = graph.op("Pad", frames, graph.ints(0, 0, 0, wider), graph.constant(0.0))
        after = graph.op("Add", after, frames)
    return after, padding


def _inception(graph: Graph, module: Inception, features: dict[str, str], padding: Padding) -> tuple[str, Padding]:
    x = _fusion(graph, module.fusion, features)
    x, padding = _temporal(graph, x, module.stem, module.stem_norm, padding, name="body.stem")
    x = graph.op("Relu", x)
    if module.stem_pool > 1:
        x, padding = _max_pool(graph, x, module.stem.weight.shape[0], padding, module.stem_pool)
    for name, block in module.inception.items():
        x, padding = _inception_block(graph, x, block, padding, name=f"body.inception.{name}")  # type: ignore[arg-type]
    return x, padding
