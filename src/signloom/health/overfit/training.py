"""What a model does when it is trained on a few utterances: measured here, judged and shown elsewhere.

The loops are plain torch and not Lightning's: one model, one device and a handful of clips need none of what it brings
(its import alone takes longer than ten iterations), and a fault in the training code must not be hidden by a tool that
runs through the same code. Data, collation, model, front end and loss are those of training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from signloom.corpus import Corpus, Utterance
from signloom.ctc.collapse import frames_needed
from signloom.ctc.greedy import greedy_ids
from signloom.errors import InputError
from signloom.health.overfit.architecture import Tested
from signloom.health.overfit.regimes import Setting
from signloom.model.presets import ModelConfig
from signloom.model.recognizer import Recognizer, ctc_loss
from signloom.score.wer import score
from signloom.train.augmentation import AugmentationConfig
from signloom.train.data import Batch, BucketSampler, UtteranceDataset, collate
from signloom.train.selection import unalignable
from signloom.vocabulary import Vocabulary


@dataclass(frozen=True)
class Step:
    """One iteration.  loss: CTC per gloss, mean over the batch.  gradient_norm: before clipping."""

    loss: float
    gradient_norm: float

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


@dataclass(frozen=True)
class Epoch:
    """One pass over the utterances.

    number: from 1.  loss: mean over the epoch's steps, augmentation and dropout included.  wer: after it, of the clips
    as they are, the model in evaluation mode, greedily decoded.  gradient_norms: least and greatest, before clipping.
    seconds: since the run began.
    """

    number: int
    loss: float
    wer: float
    gradient_norms: tuple[float, float]
    # No two runs take the same time.
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class OverfitRun:
    """A model trained on a few utterances until it knew them, or until the epochs were over.

    epochs: those that were finished.  max_epochs: as many as it might have had.  hold: epochs without an error that
    end it.  failure: where a loss or gradient was no longer finite, else empty.  left_out: utterances that CTC cannot
    align at the model's stride, why each.  out_of_time: whether the time given was over before the epochs were.
    """

    model: str
    setting: Setting
    description: str
    parameters: int
    vocabulary_size: int
    ids: tuple[str, ...]
    epochs: tuple[Epoch, ...]
    max_epochs: int
    hold: int
    seconds: float
    failure: str = ""
    left_out: tuple[str, ...] = ()
    out_of_time: bool = False

    @property
    def passed(self) -> bool:
        last = self.epochs[-self.hold :]
        return not self.failure and len(last) == self.hold and all(epoch.wer == 0 for epoch in last)

    @property
    def zero_epoch(self) -> int | None:
        """The epoch from which on there was no error; None where the last epoch has some."""
        found = None
        for epoch in reversed(self.epochs):
            if epoch.wer != 0:
                break
            found = epoch.number
        return found

    @property
    def zero_seconds(self) -> float | None:
        """When that epoch was finished."""
        return None if self.zero_epoch is None else self.epochs[self.zero_epoch - 1].seconds

    @property
    def final(self) -> Epoch | None:
        return self.epochs[-1] if self.epochs else None

    @property
    def gradient_norms(self) -> tuple[float, float] | None:
        """The least and the greatest of the whole run; None where not one epoch was finished."""
        if not self.epochs:
            return None
        return min(epoch.gradient_norms[0] for epoch in self.epochs), max(
            epoch.gradient_norms[1] for epoch in self.epochs
        )


@dataclass(frozen=True)
class Iterations:
    """The first steps of training on one batch, which stays the same."""

    model: str
    parameters: int
    ids: tuple[str, ...]
    learning_rate: float
    steps: tuple[Step, ...]
    seconds: float


@dataclass(frozen=True)
class Samples:
    """A few utterances of a training split, and the vocabulary of all of it."""

    corpus: Corpus
    vocabulary: Vocabulary
    utterances: tuple[Utterance, ...]
    left_out: tuple[str, ...]

    def dataset(self, config: ModelConfig, recognizer: Recognizer, *, augment: bool, seed: int) -> UtteranceDataset:
        return UtteranceDataset(
            self.corpus,
            self.utterances,
            self.vocabulary,
            view=config.view,
            fps=config.fps,
            augmentation=AugmentationConfig() if augment else None,
            frames_needed=lambda ids: recognizer.input_frames_needed(frames_needed(ids)),
            seed=seed,
        )


def choose(corpus: Corpus, config: ModelConfig, num_samples: int, seed: int) -> Samples:
    """The first `num_samples` training utterances (or all), by a shuffle of the seed, that CTC can align.

    Raises InputError where there is none.
    """
    items = corpus.split("train")
    vocabulary = Vocabulary.from_glosses(item.glosses for item in items)
    recognizer = Recognizer(config, len(vocabulary))
    chosen: list[Utterance] = []
    left_out: list[str] = []
    for at in np.random.default_rng(seed).permutation(len(items)):
        if len(chosen) == num_samples:
            break
        fault = unalignable(recognizer, items[at], vocabulary)
        if fault:
            left_out.append(fault)
        else:
            chosen.append(items[at])
    if not chosen:
        raise InputError(
            f"{corpus.root}: no training utterance that CTC can align at the model's stride"
            + (f"; {left_out[0]}" if left_out else "")
        )
    return Samples(corpus, vocabulary, tuple(chosen), tuple(left_out))


def overfit(
    corpus: Corpus,
    model: Tested,
    setting: Setting,
    *,
    num_samples: int = 10,
    max_epochs: int = 3000,
    max_seconds: float = math.inf,
    batch_size: int | None = None,
    gradient_clip: float = 1.0,
    hold: int = 5,
    seed: int = 0,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> OverfitRun:
    """Trains a new model of the build of `model` on a few utterances until `hold` epochs in a row have no error.

    batch_size: all utterances when None.

    Raises InputError for a corpus without a training utterance that CTC can align.
    """
    config = setting.configure(model.config)
    samples = choose(corpus, config, num_samples, seed)
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recognizer = Recognizer(config, len(samples.vocabulary))
    plain = samples.dataset(config, recognizer, augment=False, seed=seed)
    train = samples.dataset(config, recognizer, augment=setting.augment, seed=seed)
    whole = collate([plain[at] for at in range(len(plain))])
    recognizer.frontend.fit([(whole.points, whole.lengths)])
    recognizer.to(device)
    whole = whole.to(device)
    optimizer = torch.optim.AdamW(
        recognizer.parameters(), lr=setting.learning_rate, weight_decay=setting.weight_decay, fused=True
    )
    sampler = BucketSampler([train.num_frames(at) for at in range(len(train))], batch_size or len(train), seed=seed)
    references = [samples.vocabulary.decode(train.targets[at].tolist()) for at in range(len(train))]
    epochs: list[Epoch] = []
    failure, clear, out_of_time = "", 0, False
    started = time.perf_counter()
    for number in range(1, max_epochs + 1):
        train.epoch = number
        sampler.set_epoch(number)
        batches = (collate([train[at] for at in index]).to(device) for index in sampler)
        steps = list(_train(recognizer, optimizer, batches, gradient_clip))
        if not steps[-1].finite:
            failure = f"epoch {number}, step {len(steps)}: loss {steps[-1].loss}, gradient {steps[-1].gradient_norm}"
            break
        norms = [step.gradient_norm for step in steps]
        wer = _wer(recognizer, whole, samples.vocabulary, references)
        if wer is None:
            failure = f"epoch {number}: the log-probabilities in evaluation mode"
            break
        loss, seconds = sum(step.loss for step in steps) / len(steps), time.perf_counter() - started
        epochs.append(Epoch(number, loss, wer, (min(norms), max(norms)), seconds))
        on_epoch(epochs[-1])
        clear = clear + 1 if wer == 0 else 0
        out_of_time = seconds > max_seconds
        if clear == hold or out_of_time:
            break
    return OverfitRun(
        model.name,
        setting,
        setting.describe(model.config),
        recognizer.num_parameters,
        len(samples.vocabulary),
        tuple(item.id for item in samples.utterances),
        tuple(epochs),
        max_epochs,
        hold,
        time.perf_counter() - started,
        failure,
        samples.left_out,
        out_of_time and clear < hold,
    )


def first_iterations(
    corpus: Corpus,
    model: Tested,
    setting: Setting,
    *,
    num_steps: int = 10,
    batch_size: int = 4,
    gradient_clip: float = 1.0,
    seed: int = 0,
    on_step: Callable[[int, Step], None] = lambda number, step: None,
) -> Iterations:
    """Trains a new model of the build of `model` on one batch for a few steps; stops at one that is not finite.

    Raises InputError as `overfit` does.
    """
    config = setting.configure(model.config)
    samples = choose(corpus, config, batch_size, seed)
    torch.manual_seed(seed)
    recognizer = Recognizer(config, len(samples.vocabulary))
    data = samples.dataset(config, recognizer, augment=False, seed=seed)
    batch = collate([data[at] for at in range(len(data))])
    recognizer.frontend.fit([(batch.points, batch.lengths)])
    optimizer = torch.optim.AdamW(
        recognizer.parameters(), lr=setting.learning_rate, weight_decay=setting.weight_decay, fused=True
    )
    steps = []
    started = time.perf_counter()
    for step in _train(recognizer, optimizer, [batch] * num_steps, gradient_clip):
        steps.append(step)
        on_step(len(steps), step)
    return Iterations(
        model.name,
        recognizer.num_parameters,
        batch.ids,
        setting.learning_rate,
        tuple(steps),
        time.perf_counter() - started,
    )


def _train(
    recognizer: Recognizer, optimizer: torch.optim.Optimizer, batches: Iterable[Batch], gradient_clip: float
) -> Iterable[Step]:
    """A step for each batch, ending with the first that is not finite, whose gradient is not applied."""
    for batch in batches:
        recognizer.train()
        heads = recognizer.heads(batch.points, batch.lengths)
        loss = _loss(heads.log_probs, heads.lengths, batch)
        if heads.auxiliary is not None:
            loss = loss + _loss(heads.auxiliary, heads.lengths, batch)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(recognizer.parameters(), gradient_clip)
        step = Step(loss.item(), norm.item())
        yield step
        if not step.finite:
            return
        optimizer.step()


def _loss(log_probs: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
    return (ctc_loss(log_probs, lengths, batch.targets, batch.target_lengths) / batch.target_lengths).mean()


@torch.no_grad()
def _wer(
    recognizer: Recognizer, batch: Batch, vocabulary: Vocabulary, references: Sequence[Sequence[str]]
) -> float | None:
    """Of the batch, greedily decoded in evaluation mode; None where its log-probabilities are not finite."""
    recognizer.eval()
    log_probs, lengths = recognizer(batch.points, batch.lengths)
    if not torch.isfinite(log_probs).all():
        return None
    found = greedy_ids(log_probs.cpu().numpy(), lengths.cpu().numpy())
    return score(
        (name, reference, vocabulary.decode(ids))
        for name, reference, ids in zip(batch.ids, references, found, strict=True)
    ).wer
