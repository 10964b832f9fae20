"""Trains the layers after the body of a recogniser on the clips of an enrolment, and keeps what it knew before.

BiLSTM and classifier learn; the front end and the body stay, so that stored features stay true. A batch is half new
utterances, half utterances of the store, if there is one. On the new ones CTC is minimised. On the stored ones so is
the divergence from what the model predicted before ("learning without forgetting", Li and Hoiem 2016, with the
rehearsal of Robins 1995): it says more than the reference does, so that a few utterances keep the rest. The result is
the mean of the weights of the second half of the steps (Izmailov et al. 2018): no step is chosen by a score.

Utterances that show no sign teach that none is named, by blank or by the unknown gloss as the model likes. CTC would
ask for one of them, also of a model that is silent already, and draw the signs of the same person after it.

Shapes: B utterances, T' output frames, C features, V words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from signloom.inference.store import FeatureExample
from signloom.model.recognizer import AUXILIARY, Recognizer, ctc_loss
from signloom.train.enrol.learner import Lesson
from signloom.train.schedule import factor
from signloom.vocabulary import UNKNOWN_ID

# Chosen on people who are in no published figure (benchmarks/figures/enrolment.md).
STEPS = 200
BATCH = 16
LEARNING_RATE = 3e-3
KEEP_WEIGHT = 1.0
_WARM_STEPS = 10
_LARGEST_GRADIENT = 5.0
_MEASURED_AT_ONCE = 64


def extended(recognizer: Recognizer, num_words: int) -> Recognizer:
    """Returns a copy of a recogniser whose classifier has rows for `num_words` words, the new ones last.

    A new row starts as the mean of the rows of glosses: as probable as any. The auxiliary head is left out.
    """
    result = Recognizer(replace(recognizer.config, auxiliary_head=False), num_words)
    weights = {name: value for name, value in recognizer.state_dict().items() if not name.startswith(AUXILIARY)}
    for name in [name for name in weights if name.startswith("classifier.")]:
        rows = weights[name]
        new = rows[UNKNOWN_ID + 1 :].mean(0, keepdim=True).expand(num_words - len(rows), *rows.shape[1:])
        weights[name] = torch.cat([rows, new])
    result.load_state_dict(weights)
    return result.eval()


def adapt(recognizer: Recognizer, lesson: Lesson, *, num_known: int) -> Recognizer:
    """Trains BiLSTM and classifier of a recogniser in place, for STEPS steps. Returns it, in evaluation mode.

    num_known: the words that the recogniser knew before; it must not predict others in stored utterances.
    """
    new, stored = lesson.new, lesson.stored
    before = [rows[:, :num_known] for rows in log_probs(recognizer, stored)]
    trained = nn.ModuleList([recognizer.lstm, recognizer.classifier])
    average = AveragedModel(trained)
    optimizer = torch.optim.Adam(trained.parameters(), lr=LEARNING_RATE)
    scheduler = LambdaLR(optimizer, factor("cosine", warm_steps=_WARM_STEPS, total_steps=STEPS))
    rng = np.random.default_rng(lesson.seed)
    num_new = BATCH // 2 if stored else BATCH
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(lesson.seed)
        recognizer.train()
        for step in range(STEPS):
            batch = [new[index] for index in rng.integers(len(new), size=num_new)]
            rehearsed = rng.integers(len(stored), size=BATCH - num_new).tolist() if stored else []
            batch += [stored[index] for index in rehearsed]
            features, lengths = _padded(batch)
            outputs = _forward(recognizer, features, lengths)
            loss = _loss_per_gloss(outputs, lengths, batch).sum()
            for rows, index in zip(outputs[num_new:], rehearsed, strict=True):
                loss = loss + KEEP_WEIGHT * _divergence(rows, before[index]) / len(stored[index].target)
            optimizer.zero_grad()
            (loss / BATCH).backward()
            nn.utils.clip_grad_norm_(trained.parameters(), _LARGEST_GRADIENT)
            optimizer.step()
            scheduler.step()
            if step >= STEPS // 2:
                average.update_parameters(trained)
            lesson.advance()
    trained.load_state_dict(average.module.state_dict())
    return recognizer.eval()


@torch.inference_mode()
def log_probs(recognizer: Recognizer, examples: Sequence[FeatureExample]) -> list[Tensor]:
    """Returns the log-probabilities (T', V) of each example."""
    recognizer.eval()
    result = []
    for start in range(0, len(examples), _MEASURED_AT_ONCE):
        features, lengths = _padded(examples[start : start + _MEASURED_AT_ONCE])
        outputs = _forward(recognizer, features, lengths)
        result += [rows[:length].clone() for rows, length in zip(outputs, lengths.tolist(), strict=True)]
    return result


def _forward(recognizer: Recognizer, features: Tensor, lengths: Tensor) -> Tensor:
    """Returns log-probabilities (B, T', V) of padded features (B, T', C)."""
    return recognizer.log_probs_of(recognizer.lstm(recognizer.dropout(features), lengths))


def _padded(examples: Sequence[FeatureExample]) -> tuple[Tensor, Tensor]:
    """Returns features (B, T', C), padded with 0 as the body pads them, and their lengths (B,)."""
    features = [torch.from_numpy(example.features) for example in examples]
    return pad_sequence(features, batch_first=True), torch.tensor([len(rows) for rows in features])


def _loss_per_gloss(outputs: Tensor, lengths: Tensor, examples: Sequence[FeatureExample]) -> Tensor:
    """Returns the CTC loss of each example, (B,), divided by its number of glosses; of one without a gloss, minus the
    sum over frames of log P(blank or the unknown gloss)."""
    target_lengths = torch.tensor([len(example.target) for example in examples])
    targets = torch.tensor([word for example in examples for word in example.target], dtype=torch.int64)
    losses = ctc_loss(outputs, lengths, targets, target_lengths)
    padding = torch.arange(outputs.shape[1]) >= lengths[:, None]
    silence = outputs[..., : UNKNOWN_ID + 1].logsumexp(-1).masked_fill(padding, 0).sum(1)
    return torch.where(target_lengths > 0, losses / target_lengths.clamp(min=1), -silence)


def _divergence(outputs: Tensor, before: Tensor) -> Tensor:
    """Returns the sum over frames of KL(before || outputs), of the words that `before` (T', V') has, renormalised."""
    before = before.log_softmax(-1)
    return nn.functional.kl_div(outputs[: len(before), : before.shape[1]], before, reduction="sum", log_target=True)
