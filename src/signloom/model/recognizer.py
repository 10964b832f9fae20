"""The recogniser: raw landmarks to log-probabilities over the vocabulary; its CTC losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signloom.errors import InputError, plural
from signloom.model.blocks import BiLSTM, Body, upsample
from signloom.model.frontend import FrontEnd
from signloom.model.inception import Inception
from signloom.model.mobilenet import MobileNet
from signloom.model.presets import ModelConfig, StudentConfig, TeacherConfig
from signloom.vocabulary import BLANK_ID

# Scale of the cosine classifier's logits, as in CoSign.
COSINE_SCALE = 32.0
# Prefix of the names of the auxiliary head's weights.
AUXILIARY = "auxiliary."


class CosineClassifier(nn.Module):
    """Logits `scale * cos(x, w)`, with weights and features of unit length (Gidaris and Komodakis 2018)."""

    def __init__(self, in_channels: int, num_words: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_words, in_channels))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return COSINE_SCALE * F.linear(F.normalize(x, dim=-1), F.normalize(self.weight, dim=-1))


@dataclass(frozen=True)
class Heads:
    """Log-probabilities `(B, T', V)` of the classifier and of the auxiliary head, and their lengths `(B,)`.

    auxiliary: from the convolutional features, before the BiLSTM; None without such a head, and in evaluation mode.
    """

    log_probs: Tensor
    lengths: Tensor
    auxiliary: Tensor | None = None


def build_body(config: ModelConfig, frontend: FrontEnd) -> Body:
    """Returns the body that a config describes: normalised features `(B, T, F)` to `(B, T', C)`."""
    modalities = frontend.modality_slices()
    if isinstance(config, StudentConfig):
        return MobileNet(config, modalities, frontend.mirror_signs() if config.share_hands else None)
    if isinstance(config, TeacherConfig):
        return Inception(config, modalities)
    raise InputError(f"model: no body for a config of type {type(config).__name__}")


class Recognizer(nn.Module):
    """Raw landmarks `(B, T, P, 3)` to log-probabilities `(B, T', V)`, the front end included.

    P are the points of the view's subset (`layout.subset(config.view)`); T' is `output_lengths(T)`.
    """

    def __init__(self, config: ModelConfig, num_words: int) -> None:
        super().__init__()
        if num_words < 3:
            raise InputError(
                f"model: vocabulary of {plural(num_words, 'word')}; needed blank, unknown and at least one gloss"
            )
        self.config = config
        self.num_words = num_words
        self.frontend = FrontEnd(
            config.view,
            share_hands=isinstance(config, StudentConfig) and config.share_hands,
            fill_frames=config.fill_frames,
        )
        self.body = build_body(config, self.frontend)
        self.dropout = nn.Dropout(config.dropout)
        self.lstm = BiLSTM(self.body.out_channels, config.lstm_hidden, config.lstm_layers, config.dropout)
        width = 2 * config.lstm_hidden
        self.classifier: nn.Module
        if config.classifier == "cosine":
            self.classifier = CosineClassifier(width, num_words)
        else:
            self.classifier = _linear(width, num_words)
        # Projects to the shared classifier's input width if there is one; otherwise it is a classifier itself.
        self.auxiliary: nn.Module | None = None
        if config.auxiliary_head:
            self.auxiliary = _linear(self.body.out_channels, width if self._shares_classifier else num_words)

    @property
    def _shares_classifier(self) -> bool:
        return self.config.classifier == "cosine"

    @property
    def num_parameters(self) -> int:
        """Number of parameters of the saved model: without the auxiliary head, which only training uses."""
        return sum(parameter.numel() for name, parameter in self.named_parameters() if not name.startswith(AUXILIARY))

    @property
    def stride(self) -> int:
        """Input frames per output frame."""
        return self.config.stride

    @property
    def step_seconds(self) -> float:
        """Seconds from one output frame to the next."""
        return self.stride / self.config.fps

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Returns the output frames for `lengths` frames at the model's frame rate, exact for every length from 1."""
        return self.config.output_lengths(lengths)

    def input_frames_needed(self, num_output_frames: int) -> int:
        """Returns the fewest input frames that yield `num_output_frames`: the inverse of `output_lengths`."""
        return self.config.input_frames_needed(num_output_frames)

    def forward(self, points: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns log-probabilities `(B, T', V)` and their lengths `(B,)`.

        points: `(B, T, P, 3)` in units of image height, NaN where missing or padded.
        lengths: `(B,)` int, None if nothing is padded.
        """
        x, body_lengths = self.features(points, lengths)
        return self._classify(x, body_lengths), self._out_lengths(points, lengths)

    def heads(self, points: Tensor, lengths: Tensor | None = None) -> Heads:
        """Returns the outputs of `forward` and, in training mode, those of the auxiliary head if there is one."""
        x, body_lengths = self.features(points, lengths)
        auxiliary = None
        if self.auxiliary is not None and self.training:
            logits = self.auxiliary(self.dropout(x))
            if self._shares_classifier:
                logits = self.classifier(logits)
            auxiliary = F.log_softmax(logits.float(), dim=-1)
        return Heads(self._classify(x, body_lengths), self._out_lengths(points, lengths), auxiliary)

    def features(self, points: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Returns convolutional features `(B, T', C)` at the output rate, and their lengths if there is padding."""
        x = self.body(self.frontend(points, lengths), lengths)
        body_lengths = None if lengths is None else self.body.output_lengths(lengths)
        if not self.config.frame_rate:
            return x, body_lengths
        return upsample(x, body_lengths, self.body.stride, points.shape[1]), lengths

    def _classify(self, features: Tensor, lengths: Tensor | None) -> Tensor:
        return self.log_probs_of(self.lstm(self.dropout(features), lengths))

    def log_probs_of(self, x: Tensor) -> Tensor:
        """Returns the log-probabilities `(..., V)` of outputs of the BiLSTM `(..., D)`."""
        logits = self.classifier(self.dropout(x))
        # Always in single precision: CTC sums hundreds of these.
        return F.log_softmax(logits.float(), dim=-1)

    def _out_lengths(self, points: Tensor, lengths: Tensor | None) -> Tensor:
        if lengths is None:
            lengths = torch.full((len(points),), points.shape[1], device=points.device)
        return self.output_lengths(lengths)


def _linear(in_channels: int, out_channels: int) -> nn.Linear:
    layer = nn.Linear(in_channels, out_channels)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def ctc_of_heads(
    heads: Heads, targets: Tensor, target_lengths: Tensor, *, auxiliary_weight: float
) -> tuple[Tensor, Tensor]:
    """Returns two losses of each target, `(B,)`: that of all heads, and the CTC loss of the classifier alone.

    The first adds `auxiliary_weight` times the CTC loss of the auxiliary head; without one both are the same.
    targets, target_lengths: as for `ctc_loss`. Training divides both by the number of glosses.
    """
    ctc = ctc_loss(heads.log_probs, heads.lengths, targets, target_lengths)
    if heads.auxiliary is None:
        return ctc, ctc
    return ctc + auxiliary_weight * ctc_loss(heads.auxiliary, heads.lengths, targets, target_lengths), ctc


def ctc_loss(log_probs: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
    """Returns the negative log-likelihood of each target `(B,)` over all paths; at least 0, infinite without a path.

    log_probs: `(B, T', V)`.  lengths, target_lengths: `(B,)`.  targets: `(B, S)` padded, or concatenated.
    Source: Graves et al. 2006, by torch's implementation, which takes `(T', B, V)`.
    """
    return F.ctc_loss(log_probs.transpose(0, 1), targets, lengths, target_lengths, blank=BLANK_ID, reduction="none")
