"""Layers over time in which padding never changes a result.

Shapes: B utterances padded to T frames, N frames of them that are not padding, C channels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Packing:
    """Packs the frames of a padded batch: layers on single frames, and batch norm, get the `N` valid frames only.

    lengths: `(B,)`, or None if nothing is padded.
    """

    def __init__(self, lengths: Tensor | None, batch_size: int, num_frames: int) -> None:
        self.lengths = lengths
        self.batch_size, self.num_frames = batch_size, num_frames
        self.index: Tensor | None = None
        if lengths is not None and int(lengths.min()) < num_frames:
            inside = torch.arange(num_frames, device=lengths.device) < lengths[:, None]
            self.index = inside.flatten().nonzero().squeeze(1)

    def pack(self, x: Tensor) -> Tensor:
        """Returns the valid frames, `(N, C)`, of `(B, T, C)`."""
        flat = x.reshape(-1, x.shape[-1])
        return flat if self.index is None else flat.index_select(0, self.index)

    def unpack(self, x: Tensor, padding: float = 0.0) -> Tensor:
        """Returns frames `(N, C)` as a padded batch `(B, T, C)`."""
        if self.index is not None:
            x = x.new_full((self.batch_size * self.num_frames, x.shape[-1]), padding).index_copy(0, self.index, x)
        return x.view(self.batch_size, self.num_frames, -1)

    def mean(self, x: Tensor) -> Tensor:
        """Returns the mean over the frames of each utterance, for each of its frames: `(N, C)` to `(N, C)`."""
        padded = self.unpack(x)
        if self.lengths is None:
            mean = padded.mean(1, keepdim=True)
        else:
            mean = padded.sum(1, keepdim=True) / self.lengths[:, None, None]
        return self.pack(mean.expand_as(padded))

    def strided(self, stride: int) -> Packing:
        """Returns the packing after a convolution of that stride: `ceil(n / stride)` frames of n."""
        if stride == 1:
            return self
        lengths = None if self.lengths is None else ceil_div(self.lengths, stride)
        return Packing(lengths, self.batch_size, -(-self.num_frames // stride))


def ceil_div(lengths: Tensor, stride: int) -> Tensor:
    """Returns the output frames of a convolution of `stride` with padding (kernel - 1) / 2 for `lengths` frames."""
    return torch.div(lengths + stride - 1, stride, rounding_mode="floor")


class Body(nn.Module):
    """Features `(B, T, F)` to `(B, T', C)` with `T' = output_lengths(T)`: base class of student and teacher.

    out_channels: C.  time_layers: kernel and stride of its layers over time, in order.
    """

    out_channels: int
    time_layers: tuple[tuple[int, int], ...]

    @property
    def stride(self) -> int:
        """Input frames per frame of the body's output."""
        return math.prod(stride for _, stride in self.time_layers)

    @property
    def reach(self) -> int | None:
        """The input frames before and after the frame `stride * t` that output frame t depends on; None for all frames
        of the clip.
        """
        if any(isinstance(module, SqueezeExcite) for module in self.modules()):
            return None
        reach, stride = 0, 1
        for kernel, layer_stride in self.time_layers:
            reach += kernel // 2 * stride
            stride *= layer_stride
        return reach

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Returns the frames after the body for utterances of `lengths` frames: `ceil(n / stride)` for each stride."""
        for _, stride in self.time_layers:
            lengths = ceil_div(lengths, stride)
        return lengths


class DepthwiseConv(nn.Module):
    """Depthwise convolution over time with padding (kernel - 1) / 2: `T' = ceil(T / stride)`."""

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.channels, self.kernel, self.stride = channels, kernel, stride
        self.weight = nn.Parameter(torch.empty(channels, 1, 1, kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, C)`, padding 0, to `(B, T', C)`."""
        # As a (B, C, 1, T) image in channels-last memory: 5 to 10 times faster on a CPU than conv1d.
        image = x.transpose(1, 2).unsqueeze(2)
        out = F.conv2d(image, self.weight, stride=(1, self.stride), padding=(0, self.kernel // 2), groups=self.channels)
        return out.squeeze(2).transpose(1, 2)


class TemporalConv(nn.Module):
    """Convolution over time with padding (kernel - 1) / 2: `T' = ceil(T / stride)`."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 1, kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, C)`, padding 0, to `(B, T', C')`."""
        image = x.transpose(1, 2).unsqueeze(2)
        out = F.conv2d(image, self.weight, stride=(1, self.stride), padding=(0, self.kernel // 2))
        return out.squeeze(2).transpose(1, 2)


def max_pool(x: Tensor, packing: Packing, kernel: int, stride: int = 1) -> tuple[Tensor, Packing]:
    """Returns the maximum around every `stride`-th frame, `(N, C)` to `(N', C)` with `ceil(n / stride)` frames of n.

    Padding is minus infinity, so that only the frames of an utterance count.
    """
    after = packing.strided(stride)
    padded = packing.unpack(x, padding=-torch.inf).transpose(1, 2)
    pooled = F.max_pool1d(padded, kernel, stride, padding=kernel // 2).transpose(1, 2)
    return after.pack(pooled), after


class SqueezeExcite(nn.Module):
    """Channel gate from the mean over an utterance's own frames (Hu et al. 2018; MobileNetV3's hard sigmoid)."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, max(8, channels // reduction))
        self.expand = nn.Linear(max(8, channels // reduction), channels)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        return x * F.hardsigmoid(self.expand(F.relu(self.reduce(packing.mean(x)))))


class InvertedResidual(nn.Module):
    """MobileNetV3's block over time: expand, depthwise convolution, (squeeze-excite), project, residual.

    Source: Howard et al. 2019, "Searching for MobileNetV3", figure 4, over time instead of an image.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int,
        expanded: int,
        stride: int = 1,
        squeeze_excite: bool = False,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.expand = nn.Linear(in_channels, expanded, bias=False)
        self.expand_norm = nn.BatchNorm1d(expanded)
        self.depthwise = DepthwiseConv(expanded, kernel, stride)
        self.depthwise_norm = nn.BatchNorm1d(expanded)
        self.squeeze_excite = SqueezeExcite(expanded) if squeeze_excite else None
        self.project = nn.Linear(expanded, out_channels, bias=False)
        self.project_norm = nn.BatchNorm1d(out_channels)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor, packing: Packing) -> tuple[Tensor, Packing]:
        """`(N, C)` to `(N', C')` and the packing of the output."""
        after = packing.strided(self.stride)
        y = F.hardswish(self.expand_norm(self.expand(x)))
        y = after.pack(self.depthwise(packing.unpack(y)))
        y = F.hardswish(self.depthwise_norm(y))
        if self.squeeze_excite is not None:
            y = self.squeeze_excite(y, after)
        y = self.project_norm(self.project(y))
        return (x + y if self.residual else y), after


class BiLSTM(nn.Module):
    """Bidirectional LSTM layers whose backward direction starts at each utterance's own last frame.

    Two one-way LSTMs per layer, the second on frames reversed within the length: equivalent to packing, and twice as
    fast in training on a CPU. The forget gates start at bias 1 (Gers et al. 2000).
    """

    def __init__(self, in_channels: int, hidden: int, num_layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden = hidden
        widths = [in_channels] + [2 * hidden] * (num_layers - 1)
        self.forward_layers = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.backward_layers = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.dropout = nn.Dropout(dropout)
        for lstm in (*self.forward_layers, *self.backward_layers):
            for name, parameter in lstm.named_parameters():
                if name.startswith("bias"):
                    nn.init.zeros_(parameter)
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(parameter)
                else:
                    nn.init.xavier_uniform_(parameter)
            with torch.no_grad():
                lstm.bias_ih_l0[hidden : 2 * hidden] = 1.0

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`(B, T, C)` to `(B, T, 2 * hidden)`; the output in the padding is undefined."""
        reverse = None if lengths is None else reversal(lengths, x.shape[1])
        for number, (ahead, back) in enumerate(zip(self.forward_layers, self.backward_layers, strict=True)):
            if number:
                x = self.dropout(x)
            x = torch.cat([ahead(x)[0], _reversed(back(_reversed(x, reverse))[0], reverse)], dim=-1)
        return x


def reversal(lengths: Tensor, num_frames: int) -> Tensor:
    """Returns the indices `(B, T)` that reverse each utterance within its length."""
    frames = torch.arange(num_frames, device=lengths.device)
    return torch.where(frames < lengths[:, None], lengths[:, None] - 1 - frames, frames)


def _reversed(x: Tensor, reverse: Tensor | None) -> Tensor:
    if reverse is None:
        return x.flip(1)
    return x.gather(1, reverse.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def upsample(x: Tensor, lengths: Tensor | None, stride: int, num_frames: int, *, first: int = 0) -> Tensor:
    """Returns `(B, T', C)` linearly interpolated to `(B, num_frames, C)`: the output frames from `first` on.

    Output frame t is at position (t + 0.5) / stride - 0.5, limited to each utterance's own T' frames. So the result
    does not depend on the length of the padding, unlike interpolation to a size.
    """
    last = x.shape[1] - 1
    position = (torch.arange(first, first + num_frames, device=x.device) + 0.5) / stride - 0.5
    position = position.clamp(min=0).expand(x.shape[0], -1)
    if lengths is None:
        position = position.clamp(max=last)
    else:
        position = torch.minimum(position, (lengths - 1).clamp(min=0)[:, None].to(position.dtype))
    lower = position.floor().long()
    upper = (lower + 1).clamp(max=last)
    weight = (position - lower).unsqueeze(-1).to(x.dtype)

    def read(index: Tensor) -> Tensor:
        return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))

    # At the last frame the weight of the upper neighbour, which may be padding, is 0.
    return read(lower) * (1 - weight) + read(upper) * weight
