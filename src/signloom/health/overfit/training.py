"""Trains a model on a few utterances and measures how that goes.

The loops are plain torch, without Lightning: its import alone takes longer than ten iterations, and a test that ran the
training loop could not reveal a fault of that loop. Data, collation, model, front end and loss are those of training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch

from signloom.corpus import Corpus, Utterance
from signloom.ctc.collapse import frames_needed
from signloom.ctc.greedy import greedy_ids
from signloom.errors import InputError
from signloom.health.overfit.architecture import Architecture
from signloom.health.overfit.regimes import Regime
from signloom.model.presets import ModelConfig
from signloom.model.recognizer import Recognizer
from signloom.score.wer import score
from signloom.train.augmentation import AugmentationConfig
from signloom.train.data import Batch, BucketSampler, UtteranceDataset, collate
from signloom.train.losses import plain_losses
from signloom.train.selection import draw, unalignable
from signloom.vocabulary import Vocabulary


@dataclass(frozen=True)
class Step:
    """One iteration.  loss: CTC loss per gloss, mean over the batch.  gradient_norm: before clipping."""

    loss: float
    gradient_norm: float

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


@dataclass(frozen=True)
class Epoch:
    """One pass over the utterances.

    number: from 1.  loss: mean over the steps, with augmentation and dropout.  wer: after the epoch, on the unchanged
    clips, in evaluation mode, by greedy decoding.  gradient_norms: smallest and largest, before clipping.
    log_probs: the least and the largest, in evaluation mode.  seconds: since the start of the run.
    """

    number: int
    loss: float
    wer: float
    gradient_norms: tuple[float, float]
    log_probs: tuple[float, float]
    # Equal runs differ in their time.
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class OverfitRun:
    """A training on a few utterances, until the model knew them or its epochs or time ran out.

    setting: the regime.  epochs: the finished ones.  max_epochs: their limit.  hold: epochs in a row without an error
    that end the run.  failure: place of the first non-finite value, or empty.  left_out: why CTC cannot align an
    utterance at the model's stride, for each such utterance.  out_of_time: whether the time ran out first.
    stopped: whether `should_stop` ended it first.  train: the command line that trains with the same settings.
    """

    model: str
    setting: Regime
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
    stopped: bool = False
    train: str = ""

    @property
    def passed(self) -> bool:
        last = self.epochs[-self.hold :]
        return not self.failure and len(last) == self.hold and all(epoch.wer == 0 for epoch in last)

    @property
    def zero_epoch(self) -> int | None:
        """The first epoch of the last stretch without errors; None where the last epoch has some."""
        last = next((epoch.number for epoch in reversed(self.epochs) if epoch.wer != 0), 0)
        return last + 1 if last < len(self.epochs) else None

    @property
    def zero_seconds(self) -> float | None:
        """Seconds until the end of that epoch."""
        return None if self.zero_epoch is None else self.epochs[self.zero_epoch - 1].seconds

    @property
    def final(self) -> Epoch | None:
        return self.epochs[-1] if self.epochs else None

    @property
    def gradient_norms(self) -> tuple[float, float] | None:
        """The smallest and the largest of the run; None where no epoch was finished."""
        norms = [norm for epoch in self.epochs for norm in epoch.gradient_norms]
        return (min(norms), max(norms)) if norms else None


@dataclass(frozen=True)
class Iterations:
    """The first steps of a training on a single batch."""

    model: str
    parameters: int
    ids: tuple[str, ...]
    learning_rate: float
    steps: tuple[Step, ...]
    seconds: float


@dataclass(frozen=True)
class Samples:
    """A few utterances of a training split, and the vocabulary of the whole split."""

    corpus: Corpus
    vocabulary: Vocabulary
    utterances: tuple[Utterance, ...]
    left_out: tuple[str, ...]

    def dataset(self, recognizer: Recognizer, *, augment: bool, seed: int) -> UtteranceDataset:
        return UtteranceDataset(
            self.corpus,
            self.utterances,
            self.vocabulary,
            view=recognizer.config.view,
            fps=recognizer.config.fps,
            augmentation=AugmentationConfig() if augment else None,
            frames_needed=lambda ids: recognizer.input_frames_needed(frames_needed(ids)),
            seed=seed,
        )


def choose_samples(corpus: Corpus, config: ModelConfig, num_samples: int, seed: int) -> Samples:
    """Returns the first `num_samples` training utterances that CTC can align, in an order drawn by the seed; or all.

    Raises InputError where there are none.
    """
    items = corpus.with_glosses.split("train")
    vocabulary = Vocabulary.from_glosses([items.columns.words_used()])
    recognizer = Recognizer(config, len(vocabulary))
    chosen, left_out = draw(items, num_samples, seed, lambda item: unalignable(recognizer, item, vocabulary))
    if not chosen:
        raise InputError(
            f"{corpus.root}: no training utterance that CTC can align at the model's stride"
            + (f"; {left_out[0]}" if left_out else "")
        )
    return Samples(corpus, vocabulary, tuple(chosen), tuple(left_out))


def overfit(
    corpus: Corpus,
    architecture: Architecture,
    regime: Regime,
    *,
    num_samples: int = 10,
    max_epochs: int = 3000,
    max_seconds: float = math.inf,
    batch_size: int | None = None,
    gradient_clip: float = 1.0,
    hold: int = 5,
    seed: int = 0,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> OverfitRun:
    """Trains a new model on a few utterances until `hold` epochs in a row have no error.

    batch_size: None puts all utterances into one batch.  should_stop: asked after every epoch.

    Raises InputError for a corpus without a training utterance that CTC can align.
    """
    samples, recognizer, whole = _prepare(corpus, architecture, regime, num_samples, seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recognizer.to(device)
    whole = whole.to(device)
    optimizer = _optimizer(recognizer, regime)
    train = samples.dataset(recognizer, augment=regime.augment, seed=seed)
    sampler = BucketSampler(train.lengths, batch_size or len(train), seed=seed)
    references = [samples.vocabulary.decode(targets.tolist()) for targets in train.targets]
    epochs: list[Epoch] = []
    failure, clear, out_of_time, stopped = "", 0, False, False
    started = time.perf_counter()
    for number in range(1, max_epochs + 1):
        train.epoch = number
        sampler.set_epoch(number)
        batches = (collate([train[index] for index in indices]).to(device) for indices in sampler)
        steps = list(_steps(recognizer, optimizer, batches, gradient_clip, architecture.auxiliary_weight))
        if not steps[-1].finite:
            failure = f"epoch {number}, step {len(steps)}: loss {steps[-1].loss}, gradient {steps[-1].gradient_norm}"
            break
        result = _evaluated(recognizer, whole, samples.vocabulary, references)
        if result is None:
            failure = f"epoch {number}: the log-probabilities in evaluation mode"
            break
        wer, log_probs = result
        norms = [step.gradient_norm for step in steps]
        loss, seconds = sum(step.loss for step in steps) / len(steps), time.perf_counter() - started
        epochs.append(Epoch(number, loss, wer, (min(norms), max(norms)), log_probs, seconds))
        on_epoch(epochs[-1])
        clear = clear + 1 if wer == 0 else 0
        out_of_time, stopped = seconds > max_seconds, should_stop()
        if clear == hold or out_of_time or stopped:
            break
    return OverfitRun(
        model=architecture.name,
        setting=regime,
        description=regime.describe(architecture.config),
        parameters=recognizer.num_parameters,
        vocabulary_size=len(samples.vocabulary),
        ids=whole.ids,
        epochs=tuple(epochs),
        max_epochs=max_epochs,
        hold=hold,
        seconds=time.perf_counter() - started,
        failure=failure,
        left_out=samples.left_out,
        out_of_time=out_of_time and clear < hold,
        stopped=stopped and clear < hold,
        train=architecture.train_command(corpus.root, regime, gradient_clip),
    )


def first_iterations(
    corpus: Corpus,
    architecture: Architecture,
    regime: Regime,
    *,
    num_steps: int = 10,
    batch_size: int = 4,
    gradient_clip: float = 1.0,
    seed: int = 0,
) -> Iterations:
    """Trains a new model on one batch for a few steps, the last of which may be non-finite.

    Raises InputError as `overfit` does.
    """
    _, recognizer, batch = _prepare(corpus, architecture, regime, batch_size, seed)
    started = time.perf_counter()
    optimizer, batches = _optimizer(recognizer, regime), [batch] * num_steps
    steps = tuple(_steps(recognizer, optimizer, batches, gradient_clip, architecture.auxiliary_weight))
    return Iterations(
        architecture.name,
        recognizer.num_parameters,
        batch.ids,
        regime.learning_rate,
        steps,
        time.perf_counter() - started,
    )


def _prepare(
    corpus: Corpus, architecture: Architecture, regime: Regime, num_samples: int, seed: int
) -> tuple[Samples, Recognizer, Batch]:
    """Returns the utterances, a new model whose front end is fitted to them, and their batch, unchanged."""
    config = regime.configure(architecture.config)
    samples = choose_samples(corpus, config, num_samples, seed)
    torch.manual_seed(seed)
    recognizer = Recognizer(config, len(samples.vocabulary))
    data = samples.dataset(recognizer, augment=False, seed=seed)
    batch = collate([data[index] for index in range(len(data))])
    recognizer.frontend.fit([(batch.points, batch.lengths)])
    return samples, recognizer, batch


def _optimizer(recognizer: Recognizer, regime: Regime) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        recognizer.parameters(), lr=regime.learning_rate, weight_decay=regime.weight_decay, fused=True
    )


def _steps(
    recognizer: Recognizer,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    gradient_clip: float,
    auxiliary_weight: float,
) -> Iterable[Step]:
    """Yields a step per batch. The first non-finite step is the last, and its gradient is not applied."""
    for batch in batches:
        recognizer.train()
        loss = batch.mean_per_gloss(plain_losses(recognizer, batch, auxiliary_weight=auxiliary_weight).total)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(recognizer.parameters(), gradient_clip)
        step = Step(loss.item(), norm.item())
        yield step
        if not step.finite:
            return
        optimizer.step()


@torch.no_grad()
def _evaluated(
    recognizer: Recognizer, batch: Batch, vocabulary: Vocabulary, references: Sequence[Sequence[str]]
) -> tuple[float, tuple[float, float]] | None:
    """Returns the WER of the batch, greedily decoded in evaluation mode, and its least and largest log-probability.

    None for non-finite log-probabilities.
    """
    recognizer.eval()
    log_probs, lengths = recognizer(batch.points, batch.lengths)
    if not torch.isfinite(log_probs).all():
        return None
    inside = log_probs[torch.arange(log_probs.shape[1], device=lengths.device) < lengths[:, None]]
    hypotheses = greedy_ids(log_probs.cpu().numpy(), lengths.cpu().numpy())
    wer = score(
        (name, reference, vocabulary.decode(ids))
        for name, reference, ids in zip(batch.ids, references, hypotheses, strict=True)
    ).wer
    return wer, (float(inside.min()), float(inside.max()))
