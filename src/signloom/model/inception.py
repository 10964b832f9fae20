"""The teacher's body: I3D over time alone, behind a fusion of the modalities.

Sources: Carreira and Zisserman 2017, "Quo Vadis, Action Recognition?", figure 3, over time instead of a volume;
Szegedy et al. 2017, "Inception-v4, Inception-ResNet and the impact of residual connections on learning", section 3.2,
for the residual connections.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signloom.model.blocks import Body, Packing, TemporalConv, max_pool
from signloom.model.modality_fusion import Fusion
from signloom.model.presets import InceptionModule, TeacherConfig

# Of the pooling and of the convolutions of a module.
KERNEL = 3


class InceptionBlock(nn.Module):
    """Four branches side by side: 1x1; 1x1 and a convolution, twice; max pooling and 1x1.

    The 1x1 of the first three branches form one layer, since they have the same input. residual: the input is added to
    the first channels of the output.
    """

    def __init__(self, in_channels: int, module: InceptionModule, *, residual: bool = False) -> None:
        super().__init__()
        self.pool = module.pool
        self.residual = residual
        self.widths = [module.direct, module.first[0], module.second[0]]
        self.enter = nn.Linear(in_channels, sum(self.widths), bias=False)
        self.enter_norm = nn.BatchNorm1d(sum(self.widths))
        self.first = TemporalConv(*module.first, kernel=KERNEL)
        self.second = TemporalConv(*module.second, kernel=KERNEL)
        self.pooled = nn.Linear(in_channels, module.pooled, bias=False)
        self.first_norm = nn.BatchNorm1d(module.first[1])
        self.second_norm = nn.BatchNorm1d(module.second[1])
        self.pooled_norm = nn.BatchNorm1d(module.pooled)

    def forward(self, x: Tensor, packing: Packing) -> tuple[Tensor, Packing]:
        """`(N, C)` to `(N', C')` and the packing of the output."""
        if self.pool > 1:
            x, packing = max_pool(x, packing, KERNEL, self.pool)
        direct, first, second = F.relu(self.enter_norm(self.enter(x))).split(self.widths, dim=-1)
        first = F.relu(self.first_norm(packing.pack(self.first(packing.unpack(first)))))
        second = F.relu(self.second_norm(packing.pack(self.second(packing.unpack(second)))))
        pooled = F.relu(self.pooled_norm(self.pooled(max_pool(x, packing, KERNEL)[0])))
        after = torch.cat([direct, first, second, pooled], dim=-1)
        if self.residual:
            after = after + F.pad(x, (0, after.shape[-1] - x.shape[-1]))
        return after, packing


def _pooling(stride: int) -> tuple[tuple[int, int], ...]:
    """Returns kernel and stride of a max pooling, if there is one."""
    return ((KERNEL, stride),) if stride > 1 else ()


class Inception(Body):
    """Normalised features `(B, T, F)` to `(B, T', C)` with `T' = output_lengths(T)`."""

    def __init__(self, config: TeacherConfig, modalities: dict[str, slice]) -> None:
        super().__init__()
        self.fusion = Fusion(config, modalities)
        self.dropout = nn.Dropout(config.dropout)
        self.stem = TemporalConv(
            config.encoder_width, config.stem_channels, kernel=config.stem_kernel, stride=config.stem_stride
        )
        self.stem_norm = nn.BatchNorm1d(config.stem_channels)
        self.stem_pool = config.stem_pool
        self.inception = nn.ModuleDict()
        channels = config.stem_channels
        for module in config.modules:
            self.inception[module.name] = InceptionBlock(channels, module, residual=config.residual)
            channels = module.channels
        self.out_channels = channels
        # The branches of a module run side by side, with kernels of the same size.
        modules = (layer for module in config.modules for layer in (*_pooling(module.pool), (KERNEL, 1)))
        self.time_layers = ((config.stem_kernel, config.stem_stride), *_pooling(config.stem_pool), *modules)

    def forward(self, features: Tensor, lengths: Tensor | None) -> Tensor:
        """The padding of the output is 0."""
        packing = Packing(lengths, features.shape[0], features.shape[1])
        x = self.dropout(self.fusion(packing.pack(features)))
        after = packing.strided(self.stem.stride)
        x = F.relu(self.stem_norm(after.pack(self.stem(packing.unpack(x)))))
        if self.stem_pool > 1:
            x, after = max_pool(x, after, KERNEL, self.stem_pool)
        for block in self.inception.values():
            x, after = block(x, after)
        return after.unpack(x)
