"""What a model is tried with: a copy of it, a few utterances, and simulated signing where all parts are seen.

Shapes: B utterances, T frames, T' output frames, P points of the view, F features, V words.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from signloom.corpus import Corpus, Utterance
from signloom.health.subject import Subject
from signloom.landmarks import Landmarks
from signloom.model.recognizer import Recognizer, ctc_loss
from signloom.synth.corpus import make_clip
from signloom.synth.plans import SynthOptions, make_plans
from signloom.train.data import Batch, Example, collate
from signloom.vocabulary import UNKNOWN_ID, Vocabulary

# Enough to tell statistics of features by a few hundredths, few enough for seconds.
NUM_STATISTICS = 64
NUM_TRIED = 4
# Of four clips, one that is read badly decides which normalisation fits best: see docs/health.md.
NUM_COMPARED = 32
SIMULATED_SIGNS = 8


@dataclass(frozen=True)
class Trial:
    """A model and what it is tried with.

    recognizer: a copy, which the checks may train.  batch: of the corpus where there is one; compared: more
    of it, where the weights are those of training.  simulated: a batch of
    simulated signing in which every part is seen.  clips: for statistics of features, `(1, T, P, 3)` each.
    trained: whether the weights are those of training.
    """

    recognizer: Recognizer
    vocabulary: Vocabulary
    batch: Batch
    compared: Batch
    simulated: Batch
    clips: tuple[Tensor, ...]
    trained: bool


def make_trial(subject: Subject) -> Trial:
    """The trial of a subject's model. New weights get the statistics of the clips they are tried with."""
    recognizer = copy.deepcopy(subject.recognizer)
    simulated = _simulated(subject)
    examples = _from_corpus(subject, subject.corpus) if subject.corpus is not None else []
    examples = examples or simulated
    clips = tuple(torch.from_numpy(example.points).unsqueeze(0) for example in examples)
    if not subject.trained and not bool(recognizer.frontend.fitted):
        recognizer.frontend.fit((clip, torch.tensor([clip.shape[1]])) for clip in clips)
    return Trial(
        recognizer,
        subject.vocabulary,
        collate(examples[:NUM_TRIED]),
        collate(examples[: NUM_COMPARED if subject.trained else NUM_TRIED]),
        collate(simulated[:NUM_TRIED]),
        clips,
        subject.trained,
    )


def _from_corpus(subject: Subject, corpus: Corpus) -> list[Example]:
    """Utterances of train, or of whatever there is, that CTC can align, drawn by the seed."""
    items = [item for item in corpus if item.split == "train"] or list(corpus)
    order = np.random.default_rng(subject.seed).permutation(len(items))
    chosen: list[Utterance] = []
    for at in order:
        if len(chosen) == NUM_STATISTICS:
            break
        if not subject.unalignable(items[at]):
            chosen.append(items[at])
    return [_example(subject, corpus.load(item), item.glosses, item.id) for item in chosen]


def _simulated(subject: Subject) -> list[Example]:
    """Simulated signing without gaps, in which every part moves."""
    recipe = SynthOptions(
        preset="clean",
        num_signs=SIMULATED_SIGNS,
        num_signers=2,
        num_test_signers=1,
        num_train=2 * NUM_TRIED,
        num_dev=1,
        num_test=1,
        seed=subject.seed,
    )
    plans = [plan for plan in make_plans(recipe) if plan.split == "train"]
    return [
        _example(subject, make_clip(recipe, plan).landmarks, tuple(sign.gloss for sign in plan.signs), plan.id)
        for plan in plans
    ]


def _example(subject: Subject, landmarks: Landmarks, glosses: tuple[str, ...], name: str) -> Example:
    config = subject.recognizer.config
    ids = np.array(subject.vocabulary.encode(glosses), dtype=np.int64)
    # A gloss the model does not know stands for some other that it does: any sentence will do to try it.
    known = UNKNOWN_ID + 1 + np.arange(len(ids)) % max(1, len(subject.vocabulary) - UNKNOWN_ID - 1)
    ids = np.where(ids == UNKNOWN_ID, known, ids)
    return Example(landmarks.resampled(config.fps).select(config.view), ids, name)


def first(batch: Batch, count: int) -> Batch:
    """The first utterances of a batch, with no more padding than they need."""
    frames = int(batch.lengths[:count].max())
    return replace(
        batch,
        points=batch.points[:count, :frames],
        lengths=batch.lengths[:count],
        targets=batch.targets[:count],
        target_lengths=batch.target_lengths[:count],
        ids=batch.ids[:count],
        shares=torch.full((count,), 1 / count),
    )


def losses_of(recognizer: Recognizer, batch: Batch) -> Tensor:
    """CTC loss per gloss of each utterance, `(B,)`, by the main classifier."""
    log_probs, lengths = recognizer(batch.points, batch.lengths)
    return ctc_loss(log_probs, lengths, batch.targets, batch.target_lengths) / batch.target_lengths


def loss_of(recognizer: Recognizer, batch: Batch) -> Tensor:
    """CTC loss per gloss, the mean over the batch, with the auxiliary head's where there is one."""
    heads = recognizer.heads(batch.points, batch.lengths)
    outputs = [heads.log_probs] if heads.auxiliary is None else [heads.log_probs, heads.auxiliary]
    losses = [
        (ctc_loss(log_probs, heads.lengths, batch.targets, batch.target_lengths) / batch.target_lengths).mean()
        for log_probs in outputs
    ]
    return torch.stack(losses).sum()


@contextmanager
def mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """The module in that mode within the block, its running statistics and gradients as before after it."""
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
