"""A model to try out: a copy of it, a few utterances, and simulated signing in which every body part is visible.

Shapes: B utterances, T frames, T' output frames, P points of the view, F features, V words.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from signloom.corpus import Corpus
from signloom.health.subject import Subject
from signloom.landmarks import Landmarks
from signloom.model.recognizer import Recognizer, ctc_loss
from signloom.synth.corpus import make_clip
from signloom.synth.options import SynthOptions
from signloom.synth.plans import make_plans
from signloom.train.data import Batch, Example, collate
from signloom.train.losses import plain_losses
from signloom.train.selection import draw
from signloom.vocabulary import UNKNOWN_ID, Vocabulary

# Clips for the statistics of features: enough for a precision of a few hundredths, and takes seconds.
NUM_STATISTICS = 64
# Utterances for a step of training.
NUM_TRIED = 4
# Utterances for the comparison of normalisations; of four, one bad clip would decide: see docs/health.md.
NUM_COMPARED = 32
SIMULATED_SIGNS = 8


@dataclass(frozen=True)
class Probe:
    """A model and the data to try it on.

    recognizer: a copy, which checks may train.  batch: utterances of the corpus if there is one, else simulated.
    compared: a larger batch, for trained weights only.  simulated: simulated signing in which every body part is
    visible.  clips: for statistics of features, `(1, T, P, 3)` each.  trained: whether the weights were trained.
    from_corpus: whether there is a corpus; without one, trained weights are tried on data that they may not fit.
    auxiliary_weight: of the auxiliary head's loss.
    """

    recognizer: Recognizer
    vocabulary: Vocabulary
    batch: Batch
    compared: Batch
    simulated: Batch
    clips: tuple[Tensor, ...]
    trained: bool
    from_corpus: bool
    auxiliary_weight: float


def make_probe(subject: Subject) -> Probe:
    """Returns the probe of a subject's model. New weights get the feature statistics of the probe's clips."""
    recognizer = copy.deepcopy(subject.recognizer)
    simulated = _simulated(subject)
    examples = _from_corpus(subject, subject.corpus) if subject.corpus is not None else []
    examples = examples or simulated
    clips = tuple(torch.from_numpy(example.points).unsqueeze(0) for example in examples)
    if not subject.trained and not bool(recognizer.frontend.fitted):
        recognizer.frontend.fit((clip, torch.tensor([clip.shape[1]])) for clip in clips)
    return Probe(
        recognizer,
        subject.vocabulary,
        collate(examples[:NUM_TRIED]),
        collate(examples[: NUM_COMPARED if subject.trained else NUM_TRIED]),
        collate(simulated[:NUM_TRIED]),
        clips,
        subject.trained,
        subject.corpus is not None,
        subject.auxiliary_weight,
    )


def _from_corpus(subject: Subject, corpus: Corpus) -> list[Example]:
    """Returns utterances that CTC can align, drawn by the seed: of train, or of any split if there is no train."""
    items = corpus.utterances.in_split("train") or corpus.utterances
    chosen, _ = draw(items, NUM_STATISTICS, subject.seed, subject.unalignable)
    return [_example(subject, corpus.load(item), item.glosses, item.id) for item in chosen]


def _simulated(subject: Subject) -> list[Example]:
    """Returns simulated signing without gaps, in which every body part moves."""
    return [_example(subject, *clip) for clip in _simulated_clips(subject.seed)]


# A diagnosis with a page tries the model twice.
@lru_cache(maxsize=2)
def _simulated_clips(seed: int) -> tuple[tuple[Landmarks, tuple[str, ...], str], ...]:
    """Returns the landmarks, glosses and id of each simulated clip."""
    options = SynthOptions(
        preset="clean",
        num_signs=SIMULATED_SIGNS,
        num_signers=2,
        num_test_signers=1,
        num_train=2 * NUM_TRIED,
        num_dev=1,
        num_test=1,
        seed=seed,
    )
    return tuple(
        (make_clip(options, plan).landmarks, tuple(sign.gloss for sign in plan.signs), plan.id)
        for plan in make_plans(options)
        if plan.split == "train"
    )


def _example(subject: Subject, landmarks: Landmarks, glosses: tuple[str, ...], name: str) -> Example:
    config = subject.recognizer.config
    ids = np.array(subject.vocabulary.encode(glosses), dtype=np.int64)
    # A gloss that the model does not know is replaced by one that it knows: any sentence will do to try a model.
    known = UNKNOWN_ID + 1 + np.arange(len(ids)) % max(1, len(subject.vocabulary) - UNKNOWN_ID - 1)
    ids = np.where(ids == UNKNOWN_ID, known, ids)
    return Example(landmarks.resampled(config.fps).select(config.view), ids, name)


def first(batch: Batch, count: int) -> Batch:
    """Returns the first utterances of a batch, with no more padding than they need."""
    frames = int(batch.lengths[:count].max())
    return replace(
        batch,
        points=batch.points[:count, :frames],
        lengths=batch.lengths[:count],
        targets=batch.targets[:count],
        target_lengths=batch.target_lengths[:count],
        ids=batch.ids[:count],
        weights=torch.full((count,), 1 / count),
    )


def losses_of(recognizer: Recognizer, batch: Batch) -> Tensor:
    """Returns the CTC loss per gloss of each utterance, `(B,)`, from the main classifier."""
    log_probs, lengths = recognizer(batch.points, batch.lengths)
    return ctc_loss(log_probs, lengths, batch.targets, batch.target_lengths) / batch.target_lengths


def loss_of(recognizer: Recognizer, batch: Batch, auxiliary_weight: float) -> Tensor:
    """Returns the loss of plain training: CTC per gloss, the auxiliary head's included, the mean over the batch."""
    return batch.mean_per_gloss(plain_losses(recognizer, batch, auxiliary_weight=auxiliary_weight).total)


@contextmanager
def mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """Puts the module in training or evaluation mode within the block, then restores its mode and running statistics.

    Gradients are cleared before and after.
    """
    before = {name: value.clone() for name, value in module.named_buffers()}
    was = module.training
    module.train(training)
    module.zero_grad(set_to_none=True)
    torch.manual_seed(0)
    try:
        yield
    finally:
        module.train(was)
        module.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, value in module.named_buffers():
                value.copy_(before[name])
