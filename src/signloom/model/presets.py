"""Configurations of models, as dataclasses that are saved in the model file, and the named presets.

No torch here: the command line imports this module for its help.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from msgspec import Meta

from signloom.errors import InputError, listed
from signloom.files.schemas import check, one_of, shown
from signloom.landmarks import Fps

FRAME_RATE = 25.0
Lengths = TypeVar("Lengths", bound=Any)
VIEWS = ("compact", "full")
# Hands that are lost for a moment come back within this time, 12 frames at the models' frame rate.
FILL_SECONDS = 0.48

# Wider, deeper or longer than any of these is no model of ours.
Width = Annotated[int, Meta(ge=1, le=65_536)]
Layers = Annotated[int, Meta(ge=1, le=16)]
Kernel = Annotated[int, Meta(ge=1, le=255)]
Stride = Annotated[int, Meta(ge=1, le=64)]
Share = Annotated[float, Meta(ge=0, lt=1)]
_MOST_BLOCKS = 100


@dataclass(frozen=True)
class Block:
    """An inverted residual: depthwise kernel, expanded width, output width, and stride in time."""

    kernel: Kernel
    expanded: Width
    channels: Width
    stride: Stride = 1


@dataclass(frozen=True)
class InceptionModule:
    """Widths of the four branches of an Inception module, and the stride of the pooling before it.

    direct: the 1x1 branch.  first, second: (reduced, output) widths of the two convolving branches.  pooled: the branch
    after a max pooling.  pool: a stride over 1 puts a max pooling of kernel 3 before the module.
    """

    name: Annotated[str, Meta(pattern=r"^\d\w{0,20}\Z", description="a digit and letters, e.g. 3b")]
    direct: Width
    first: tuple[Width, Width]
    second: tuple[Width, Width]
    pooled: Width
    pool: Stride = 1

    @property
    def channels(self) -> int:
        return self.direct + self.first[1] + self.second[1] + self.pooled


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Configuration that all models have.

    view: the front end's view.  frame_rate: interpolate back to the frame rate before the BiLSTM, so that there is an
    output for every input frame; else one for every fourth.  classifier: `linear`, or `cosine` with weights and
    features of unit length and scale 32.  auxiliary_head: a second CTC classifier on the convolutional features, in
    training only and in no model file; it shares the classifier's weights where that is `cosine`.  fps: the frame rate
    of the model's input.  fill_seconds: parts of the body that are missing for at most so long are filled in evaluation
    mode; 0 for models of before.
    """

    kind: ClassVar[str]

    view: Annotated[str, one_of(*VIEWS)]
    frame_rate: bool = False
    lstm_hidden: Width = 128
    lstm_layers: Layers = 2
    classifier: Annotated[str, one_of("linear", "cosine")] = "linear"
    auxiliary_head: bool = False
    dropout: Share = 0.1
    fps: Fps = FRAME_RATE
    fill_seconds: Annotated[float, Meta(ge=0, le=10)] = 0.0

    def __post_init__(self) -> None:
        if self.classifier not in ("linear", "cosine"):
            raise InputError(f"model: classifier {self.classifier!r}; needed linear or cosine")
        if not 0 <= self.dropout < 1:
            raise InputError(f"model: dropout {self.dropout}; needed 0 to below 1")

    @property
    def fill_frames(self) -> int:
        """The most frames for which a part that is missing is filled."""
        return round(self.fill_seconds * self.fps)

    @property
    def body_strides(self) -> tuple[int, ...]:
        """The strides of the body's layers over time, in order."""
        raise NotImplementedError

    @property
    def stride(self) -> int:
        """Input frames per output frame."""
        return 1 if self.frame_rate else math.prod(self.body_strides)

    def output_lengths(self, lengths: Lengths) -> Lengths:
        """Returns the output frames for `lengths` frames at the model's frame rate, exact for every length from 1.

        lengths: a number, or an array or a tensor of integers.
        """
        if not self.frame_rate:
            for stride in self.body_strides:
                lengths = (lengths + stride - 1) // stride
        return lengths

    def input_frames_needed(self, num_output_frames: int) -> int:
        """Returns the fewest input frames that yield `num_output_frames`: the inverse of `output_lengths`."""
        return (num_output_frames - 1) * self.stride + 1

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, record: dict[str, Any], place: str = "model config") -> ModelConfig:
        """Returns the config in `record`. Raises InputError for an unknown kind or key, and for an impossible value.

        A record without a kind is a student's: early versions had no other kind.
        """
        kinds = {config.kind: config for config in (StudentConfig, TeacherConfig)}
        record = dict(record)
        kind = record.pop("kind", StudentConfig.kind)
        if not isinstance(kind, str) or kind not in kinds:
            raise InputError(
                f"{place}: kind {shown(kind)}; needed one of {', '.join(kinds)}; written by another signloom"
            )
        config = kinds[kind]
        unknown = sorted(set(record) - {field.name for field in dataclasses.fields(config)})
        if unknown:
            raise InputError(f"{place}: unknown keys {listed(_plain_names(unknown))}; written by another signloom")
        return check(config, record, place)


def _plain_names(names: Iterable[str]) -> Iterator[str]:
    return (name if name.isidentifier() else shown(name) for name in names)


@dataclass(frozen=True, kw_only=True)
class StudentConfig(ModelConfig):
    """The one-dimensional MobileNetV3 student.

    encoder_widths: output width for each modality of the view.  encoder_layers: 1, or 2 with a hidden layer half-way
    between input and output.  share_hands: the left hand, mirrored, goes through the right hand's encoder (compact view
    only).  stem_*, blocks: the convolutions over time.  head_channels: width handed to the BiLSTM.
    """

    kind: ClassVar[str] = "mobilenet"

    encoder_widths: Annotated[dict[str, Width], Meta(max_length=20)]
    blocks: Annotated[tuple[Block, ...], Meta(max_length=_MOST_BLOCKS)]
    encoder_layers: Annotated[int, Meta(ge=1, le=2)] = 1
    stem_channels: Width = 128
    stem_kernel: Kernel = 5
    stem_stride: Stride = 2
    squeeze_excite: bool = False
    head_channels: Width = 192
    share_hands: bool = False

    @property
    def body_strides(self) -> tuple[int, ...]:
        return (self.stem_stride, *(block.stride for block in self.blocks))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.share_hands:
            return
        if self.view != "compact":
            raise InputError(f"model: share_hands in the {self.view} view; needed compact, where each hand is apart")
        widths = [self.encoder_widths.get(name) for name in ("left_hand", "right_hand")]
        if widths[0] != widths[1]:
            raise InputError(f"model: share_hands with encoders of widths {widths[0]} and {widths[1]}; needed the same")


# The widths of GoogLeNet (Szegedy et al. 2015, table 1), which I3D keeps (Carreira and Zisserman 2017, figure 3).
I3D_MODULES = (
    InceptionModule("3b", 64, (96, 128), (16, 32), 32),
    InceptionModule("3c", 128, (128, 192), (32, 96), 64),
    InceptionModule("4b", 192, (96, 208), (16, 48), 64),
    InceptionModule("4c", 160, (112, 224), (24, 64), 64),
    InceptionModule("4d", 128, (128, 256), (24, 64), 64),
    InceptionModule("4e", 112, (144, 288), (32, 64), 64),
    InceptionModule("4f", 256, (160, 320), (32, 128), 128),
    InceptionModule("5b", 256, (160, 320), (32, 128), 128),
    InceptionModule("5c", 384, (192, 384), (48, 128), 128),
)


@dataclass(frozen=True, kw_only=True)
class TeacherConfig(ModelConfig):
    """The one-dimensional I3D teacher.

    encoder_width: of each modality's token.  attention: let each frame's tokens attend to each other before they are
    averaged; else the plain average.  attention_clamp: largest absolute value of what attention adds to a token.
    stem_*: the convolution before the first max pooling, whose stride is `stem_pool`.  modules: the Inception modules.
    residual: add what goes into a module to what comes out of it, which must be no narrower.
    """

    kind: ClassVar[str] = "inception"

    encoder_width: Width = 96
    encoder_layers: Annotated[int, Meta(ge=1, le=2)] = 1
    attention: bool = True
    attention_heads: Annotated[int, Meta(ge=1, le=64)] = 4
    attention_dropout: Share = 0.1
    attention_clamp: Annotated[float, Meta(gt=0, le=1e6)] = 10.0
    stem_channels: Width = 192
    stem_kernel: Kernel = 7
    stem_stride: Stride = 2
    stem_pool: Stride = 2
    modules: Annotated[tuple[InceptionModule, ...], Meta(max_length=_MOST_BLOCKS)] = I3D_MODULES
    residual: bool = False

    @property
    def body_strides(self) -> tuple[int, ...]:
        return (self.stem_stride, self.stem_pool, *(module.pool for module in self.modules))

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = [self.stem_channels, *(module.channels for module in self.modules)]
        if self.residual and widths != sorted(widths):
            raise InputError(f"model: residual Inception modules of widths {widths}; needed none narrower than before")
        if not self.attention_clamp > 0:
            raise InputError(f"model: attention_clamp {self.attention_clamp}; needed above 0")
        if not 0 <= self.attention_dropout < 1:
            raise InputError(f"model: attention_dropout {self.attention_dropout}; needed 0 to below 1")
        if self.encoder_width % self.attention_heads:
            raise InputError(
                f"model: encoder_width {self.encoder_width} for {self.attention_heads} attention heads; "
                "needed a multiple"
            )


PRESETS: dict[str, ModelConfig] = {
    # Ours: only as wide as needed to separate signs, and a quarter of the frame rate from the second convolution on, so
    # that it trains on a laptop.
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
        # One layer leaves CTC's early plateau of blanks in half the epochs of two narrower ones, with a lower WER.
        lstm_hidden=192,
        lstm_layers=1,
        fill_seconds=FILL_SECONDS,
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
    # The teacher at a quarter of the frame rate from its stem on, since a gloss takes about twelve frames; sized as the
    # one of the original notes (7,287,581 parameters at 973 words).
    "teacher": TeacherConfig(view="full", residual=True, lstm_hidden=256, lstm_layers=1, fill_seconds=FILL_SECONDS),
    "teacher_compact": TeacherConfig(
        view="compact", residual=True, lstm_hidden=256, lstm_layers=1, fill_seconds=FILL_SECONDS
    ),
    # A reconstruction of the teacher of the original notes: I3D's own strides, 16 in all, and back to the frame rate.
    "teacher_original": TeacherConfig(
        view="full",
        modules=tuple(
            dataclasses.replace(module, pool=2) if module.name in ("4b", "5b") else module for module in I3D_MODULES
        ),
        frame_rate=True,
        lstm_hidden=256,
        lstm_layers=1,
    ),
}


def preset(name: str, **changes: Any) -> ModelConfig:
    """Returns a preset with changed fields. Raises InputError for an unknown preset or field."""
    if name not in PRESETS:
        raise InputError(f"model: no preset {name!r}; known are {', '.join(PRESETS)}")
    config = PRESETS[name]
    if unknown := sorted(set(changes) - {field.name for field in dataclasses.fields(config)}):
        raise InputError(f"model: {name} has no {', '.join(unknown)}")
    return dataclasses.replace(config, **changes)
