"""Fusion of the modalities to one vector per frame: an encoder per modality, then attention among them.

Shapes: N frames, M modalities, W channels.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signloom.model.presets import TeacherConfig

# Gain of the initial weights of attention.
ATTENTION_GAIN = 0.5


class ModalityEncoder(nn.Module):
    """Features of one modality `(N, F)` to `(N, width)`: one layer, or two with a hidden one half-way."""

    def __init__(self, num_features: int, width: int, *, num_layers: int) -> None:
        super().__init__()
        widths = [num_features, *([(num_features + width) // 2] if num_layers == 2 else []), width]
        self.layers = nn.ModuleList(nn.Linear(before, after, bias=False) for before, after in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm1d(after) for after in widths[1:])

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.hardswish(norm(layer(x)))
        return x


class ModalityAttention(nn.Module):
    """What attention adds to the token of each modality from those of the same frame, `(N, M, W)`, within +-clamp.

    Multi-head self-attention after a layer norm (pre-norm: Xiong et al. 2020), without a residual connection.
    """

    def __init__(self, width: int, num_heads: int, *, dropout: float, clamp: float) -> None:
        super().__init__()
        self.num_heads, self.clamp = num_heads, clamp
        self.norm = nn.LayerNorm(width)
        self.projections = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        # Separately for queries, keys and values: Xavier's bound depends on the number of outputs.
        for weight in (*self.projections.weight.chunk(3), self.output.weight):
            nn.init.xavier_uniform_(weight, gain=ATTENTION_GAIN)
        for layer in (self.projections, self.output):
            nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        num_tokens, width = tokens.shape[1:]
        heads = self.projections(self.norm(tokens)).view(-1, num_tokens, 3, self.num_heads, width // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        weights = self.dropout((query @ key.transpose(-1, -2) * (width // self.num_heads) ** -0.5).softmax(-1))
        attended = (weights @ value).transpose(1, 2).reshape(-1, num_tokens, width)
        return self.output(attended).clamp(-self.clamp, self.clamp)


class Fusion(nn.Module):
    """Normalised features `(N, F)` to `(N, W)`: the mean over the tokens of the modalities, frame by frame."""

    def __init__(self, config: TeacherConfig, modalities: dict[str, slice]) -> None:
        super().__init__()
        self.modalities = modalities
        self.encoders = nn.ModuleDict(
            {
                name: ModalityEncoder(part.stop - part.start, config.encoder_width, num_layers=config.encoder_layers)
                for name, part in modalities.items()
            }
        )
        self.attention = (
            ModalityAttention(
                config.encoder_width,
                config.attention_heads,
                dropout=config.attention_dropout,
                clamp=config.attention_clamp,
            )
            if config.attention
            else None
        )

    def forward(self, features: Tensor) -> Tensor:
        tokens = torch.stack([self.encoders[name](features[:, part]) for name, part in self.modalities.items()], dim=1)
        if self.attention is not None:
            tokens = tokens + self.attention(tokens)
        return tokens.mean(1)
