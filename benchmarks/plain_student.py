"""The original student as one writes it in plain PyTorch: `nn.Conv1d`, a packed `nn.LSTM`, padding computed along.

The same layers and widths as the preset `original_student`; only how they are computed differs.
For `training_speed.py`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signloom.model.presets import StudentConfig


class PlainStudent(nn.Module):
    """Features `(B, T, 6516)`, padding 0, to log-probabilities `(B, T, V)`."""

    def __init__(self, config: StudentConfig, modalities: dict[str, slice], num_words: int) -> None:
        super().__init__()
        self.modalities = modalities
        self.encoders = nn.ModuleDict(
            {
                name: _encoder(part.stop - part.start, config.encoder_widths[name], config.dropout)
                for name, part in modalities.items()
            }
        )
        channels, width = config.stem_channels, sum(config.encoder_widths.values())
        layers: list[nn.Module] = [*_conv(width, channels), *_conv(channels, channels, 3, config.stem_stride, channels)]
        for block in config.blocks:
            layers.append(_Block(channels, block.expanded, block.channels, block.kernel, block.stride))
            channels = block.channels
        self.body = nn.Sequential(*layers, *_conv(channels, config.head_channels))
        self.lstm = nn.LSTM(config.head_channels, config.lstm_hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(2 * config.lstm_hidden, num_words)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        x = torch.cat([self.encoders[name](features[..., part]) for name, part in self.modalities.items()], dim=-1)
        x = F.interpolate(self.body(x.transpose(1, 2)), size=features.shape[1], mode="linear").transpose(1, 2)
        packed = nn.utils.rnn.pack_padded_sequence(self.dropout(x), lengths, batch_first=True, enforce_sorted=False)
        x, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=features.shape[1])
        return F.log_softmax(self.classifier(self.dropout(x)), dim=-1)


class _Block(nn.Module):
    def __init__(self, before: int, expanded: int, after: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_conv(before, expanded), *_conv(expanded, expanded, kernel, stride, expanded), *_conv(expanded, after)[:2]
        )
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


def _encoder(num_features: int, width: int, dropout: float) -> nn.Sequential:
    hidden = (num_features + width) // 2
    return nn.Sequential(
        *(nn.Linear(num_features, hidden), nn.LayerNorm(hidden), nn.Hardswish(), nn.Dropout(dropout)),
        *(nn.Linear(hidden, width), nn.LayerNorm(width), nn.Hardswish()),
    )


def _conv(before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv1d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm1d(after), nn.Hardswish()]
