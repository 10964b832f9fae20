"""What a model is made of, as dataclasses that a checkpoint records, and the named presets.

No torch here: the command line reads this module for its help.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from signloom.errors import InputError

FRAME_RATE = 25.0


@dataclass(frozen=True)
class Block:
    """One inverted residual: its depthwise kernel, its expanded and its output width, its stride in time."""

    kernel: int
    expanded: int
    channels: int
    stride: int = 1


@dataclass(frozen=True)
class StudentConfig:
    """The one-dimensional MobileNetV3 student.

    view: the front end's view.  encoder_widths: output width for each of its modalities.  encoder_layers: 1, or 2 with
    a hidden layer half-way between input and output.  stem_*, blocks: the convolutions over time.  head_channels: width
    handed to the BiLSTM.  frame_rate: interpolate back to the frame rate before the BiLSTM, so that there is an output
    for every input frame; else one for every fourth.  classifier: `linear`, or `cosine` with weights and features of
    unit length and scale 32.
    """

    view: str
    encoder_widths: dict[str, int]
    blocks: tuple[Block, ...]
    encoder_layers: int = 1
    stem_channels: int = 128
    stem_kernel: int = 5
    stem_stride: int = 2
    squeeze_excite: bool = False
    head_channels: int = 192
    frame_rate: bool = False
    lstm_hidden: int = 128
    lstm_layers: int = 2
    classifier: str = "linear"
    dropout: float = 0.1
    fps: float = FRAME_RATE

    def __post_init__(self) -> None:
        if self.classifier not in ("linear", "cosine"):
            raise InputError(f"model: classifier {self.classifier!r}; needed linear or cosine")
        if not 0 <= self.dropout < 1:
            raise InputError(f"model: dropout {self.dropout}; needed 0 to below 1")

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> StudentConfig:
        """Raises InputError for a key this version does not know or misses."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(record) - known)
        if unknown:
            raise InputError(f"model config: unknown keys {', '.join(unknown)}; written by another signloom")
        try:
            blocks = tuple(Block(**block) for block in record["blocks"])
            return cls(**{**record, "blocks": blocks})
        except (KeyError, TypeError) as error:
            raise InputError(f"model config: {error}") from None


PRESETS: dict[str, StudentConfig] = {
    # Ours: no wider than separates signs, and a quarter of the frame rate from the second convolution on, so that it
    # trains on a laptop.
    "student": StudentConfig(
        view="compact",
        encoder_widths={"pose": 32, "left_hand": 64, "right_hand": 64, "face": 32},
        stem_channels=128,
        blocks=(
            Block(kernel=5, expanded=256, channels=160, stride=2),
            Block(kernel=5, expanded=320, channels=160),
            Block(kernel=5, expanded=320, channels=160),
        ),
        head_channels=160,
        # One layer leaves CTC's early plateau of blanks in half the epochs of two narrower ones, and errs less.
        lstm_hidden=192,
        lstm_layers=1,
    ),
    # A reconstruction of the student described in the original notes (14.2 M parameters, frame-rate output).
    "original_student": StudentConfig(
        view="full",
        encoder_widths={"pose": 64, "hands": 128, "face": 64, "temporal": 128},
        encoder_layers=2,
        stem_channels=16,
        stem_kernel=3,
        blocks=(
            Block(kernel=3, expanded=16, channels=16, stride=2),
            Block(kernel=3, expanded=72, channels=24),
            Block(kernel=3, expanded=88, channels=24),
            Block(kernel=5, expanded=96, channels=40),
            Block(kernel=5, expanded=240, channels=40),
            Block(kernel=5, expanded=288, channels=48),
        ),
        head_channels=128,
        frame_rate=True,
        lstm_hidden=128,
        lstm_layers=1,
    ),
}


def preset(name: str, **changes: Any) -> StudentConfig:
    """A preset with fields changed. Raises InputError for a name that is not in PRESETS."""
    if name not in PRESETS:
        raise InputError(f"model: no preset {name!r}; known are {', '.join(PRESETS)}")
    return dataclasses.replace(PRESETS[name], **changes)
