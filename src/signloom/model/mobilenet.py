"""The student's body: an encoder per modality, then MobileNetV3-style inverted residuals over time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signloom.model.blocks import Body, DepthwiseConv, InvertedResidual, Packing
from signloom.model.modality_fusion import ModalityEncoder
from signloom.model.presets import StudentConfig


class MobileNet(Body):
    """Normalised features `(B, T, F)` to `(B, T', C)` with `T' = output_lengths(T)`.

    mirror_signs: `(F,)`, given if the right hand's encoder also encodes the left hand, mirrored by these signs.
    """

    left_signs: Tensor | None

    def __init__(self, config: StudentConfig, modalities: dict[str, slice], mirror_signs: Tensor | None = None) -> None:
        super().__init__()
        self.modalities = modalities
        left_signs = None if mirror_signs is None else mirror_signs[modalities["left_hand"]]
        # Not in the model file: the view determines it.
        self.register_buffer("left_signs", left_signs, persistent=False)
        self.encoders = nn.ModuleDict(
            {
                name: ModalityEncoder(
                    part.stop - part.start,
                    config.encoder_widths[name],
                    num_layers=config.encoder_layers,
                )
                for name, part in modalities.items()
                if name != "left_hand" or left_signs is None
            }
        )
        self.dropout = nn.Dropout(config.dropout)
        width = sum(config.encoder_widths[name] for name in modalities)
        self.stem = nn.Linear(width, config.stem_channels, bias=False)
        self.stem_norm = nn.BatchNorm1d(config.stem_channels)
        self.stem_conv = DepthwiseConv(config.stem_channels, config.stem_kernel, config.stem_stride)
        self.stem_conv_norm = nn.BatchNorm1d(config.stem_channels)
        blocks, channels = [], config.stem_channels
        for block in config.blocks:
            blocks.append(
                InvertedResidual(
                    channels,
                    block.channels,
                    kernel=block.kernel,
                    expanded=block.expanded,
                    stride=block.stride,
                    squeeze_excite=config.squeeze_excite,
                )
            )
            channels = block.channels
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(channels, config.head_channels, bias=False)
        self.head_norm = nn.BatchNorm1d(config.head_channels)
        self.out_channels = config.head_channels
        self.time_layers = (
            (config.stem_kernel, config.stem_stride),
            *((block.kernel, block.stride) for block in config.blocks),
        )

    def encode(self, frames: Tensor) -> list[Tensor]:
        """Returns the encodings of frames `(N, F)`: `(N, width)` per modality, in order."""
        if self.left_signs is None:
            return [self.encoders[name](frames[:, part]) for name, part in self.modalities.items()]
        left, right = frames[:, self.modalities["left_hand"]], frames[:, self.modalities["right_hand"]]
        # Both hands in one call: the statistics of batch norm then cover both.
        both = self.encoders["right_hand"](torch.cat([left * self.left_signs, right]))
        hands = dict(zip(("left_hand", "right_hand"), both.chunk(2), strict=True))
        return [
            hands[name] if name in hands else self.encoders[name](frames[:, part])
            for name, part in self.modalities.items()
        ]

    def forward(self, features: Tensor, lengths: Tensor | None) -> Tensor:
        """The padding of the output is 0."""
        packing = Packing(lengths, features.shape[0], features.shape[1])
        frames = packing.pack(features)
        x = torch.cat(self.encode(frames), dim=-1)
        x = F.hardswish(self.stem_norm(self.stem(self.dropout(x))))
        after = packing.strided(self.stem_conv.stride)
        x = F.hardswish(self.stem_conv_norm(after.pack(self.stem_conv(packing.unpack(x)))))
        for block in self.blocks:
            x, after = block(x, after)
        return after.unpack(F.hardswish(self.head_norm(self.head(x))))
