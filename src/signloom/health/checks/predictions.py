"""What a trained model reads in utterances of its corpus: some of those it was trained on, and dev.

Shapes: T' output frames, V words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from signloom.corpus import Corpus, Utterance
from signloom.ctc.forward_score import log_forward
from signloom.ctc.greedy import greedy_ids
from signloom.health.run_record import RunRecord, recipe_of
from signloom.health.subject import Subject
from signloom.score.wer import Score, score
from signloom.train.data import BucketSampler, UtteranceDataset, collate
from signloom.train.selection import train_split
from signloom.vocabulary import BLANK_ID, Vocabulary

NUM_TRAIN = 64
# All of dev up to so many, so that the word error rate the run recorded can be had again; some of a larger one.
NUM_DEV = 300
SOME_DEV = 64
# Other utterances whose annotation is tried on a clip.
NUM_OTHERS = 24
# Places in the split that annotations may have slipped by.
NEIGHBOURS = (-2, -1, 1, 2)
BATCH = 16


@dataclass(frozen=True)
class Reading:
    """One utterance as the model reads it.

    target, found: ids of its annotation, and of what greedy decoding gives.  blank: probability in each output frame
    `(T',)`.  entropy: mean over frames, as a share of log V.  blank_share: of frames in which it is the likeliest.
    own, others: log-probability a gloss of its annotation, and of those of others of about its length `(K,)`.
    neighbours: the same of the annotations so many places before (below 0) or after it in its split.
    """

    utterance: Utterance
    target: tuple[int, ...]
    found: tuple[int, ...]
    blank: np.ndarray
    entropy: float
    blank_share: float
    own: float
    others: np.ndarray
    neighbours: Mapping[int, float]

    @property
    def emitted(self) -> float:
        """Glosses to be expected from the probabilities, as a share of those in its annotation."""
        return float((1 - self.blank).sum() / len(self.target))

    @property
    def wins(self) -> float:
        """The share of others' annotations that are less probable than its own; NaN without any."""
        if not len(self.others):
            return float("nan")
        return float(np.mean(np.sign(self.own - self.others) / 2 + 0.5))


@dataclass(frozen=True)
class Readings:
    """Readings of train and dev.

    whole_dev: whether they are of all of dev.  num_trained: utterances the model was trained on.  run: the record they
    belong to.
    """

    corpus: Corpus
    vocabulary: Vocabulary
    train: tuple[Reading, ...]
    dev: tuple[Reading, ...]
    whole_dev: bool
    num_trained: int
    run: RunRecord

    def score(self, readings: Sequence[Reading]) -> Score:
        """By the plain rule."""
        return score(
            ((one.utterance.id, one.utterance.glosses, self.vocabulary.decode(one.found)) for one in readings),
            signers={one.utterance.id: one.utterance.signer for one in readings if one.utterance.signer is not None},
        )

    @cached_property
    def train_wer(self) -> float:
        return self.score(self.train).wer if self.train else float("nan")

    @cached_property
    def dev_wer(self) -> float:
        return self.score(self.dev).wer if self.dev else float("nan")

    @cached_property
    def every(self) -> tuple[Reading, ...]:
        return (*self.train, *self.dev)


def read(subject: Subject) -> Readings:
    """What the subject's model reads of its corpus, drawn by the subject's seed. The corpus has to be there."""
    corpus, run = subject.corpus, subject.run or RunRecord()
    if corpus is None:
        raise RuntimeError("readings without a corpus")
    rng = np.random.default_rng(subject.seed)
    recipe = recipe_of(run)
    trained = train_split(corpus, recipe) if recipe is not None else corpus.split("train")
    trained = [item for item in trained if not subject.unalignable(item)]
    dev = [item for item in corpus if item.split == "dev"]
    whole = len(dev) <= NUM_DEV
    return Readings(
        corpus,
        subject.vocabulary,
        _read(subject, _some(trained, NUM_TRAIN, rng), trained, rng),
        _read(subject, dev if whole else _some(dev, SOME_DEV, rng), dev, rng),
        whole,
        len(trained),
        run,
    )


def _some(items: Sequence[Utterance], count: int, rng: np.random.Generator) -> list[Utterance]:
    return [items[at] for at in sorted(rng.permutation(len(items))[:count])]


def _read(
    subject: Subject, items: Sequence[Utterance], every: Sequence[Utterance], rng: np.random.Generator
) -> tuple[Reading, ...]:
    """Readings of `items`; other annotations are those of `every`."""
    if not items or subject.corpus is None:
        return ()
    recognizer, vocabulary = subject.recognizer, subject.vocabulary
    data = UtteranceDataset(
        subject.corpus, items, vocabulary, view=recognizer.config.view, fps=recognizer.config.fps, cache=False
    )
    lengths = [data.num_frames(at) for at in range(len(data))]
    places = {item.id: at for at, item in enumerate(every)}
    found: dict[int, Reading] = {}
    recognizer.eval()
    with torch.inference_mode():
        for indices in BucketSampler(lengths, BATCH, shuffle=False):
            batch = collate([data[at] for at in indices])
            log_probs, frames = recognizer(batch.points, batch.lengths)
            # What is not finite is told by other checks; here it is no decision.
            rows = log_probs.nan_to_num(nan=-100.0, neginf=-100.0).numpy()
            for at, row, count, ids in zip(
                indices, rows, frames.tolist(), greedy_ids(rows, frames.numpy()), strict=True
            ):
                place = places[items[at].id]
                found[at] = _reading(place, row[:count], ids, vocabulary, every, rng)
    return tuple(found[at] for at in range(len(items)))


def _reading(
    place: int,
    log_probs: np.ndarray,
    ids: Sequence[int],
    vocabulary: Vocabulary,
    every: Sequence[Utterance],
    rng: np.random.Generator,
) -> Reading:
    item = every[place]
    probs = np.exp(log_probs.astype(np.float64))
    near = [
        other for other in every if other.glosses != item.glosses and abs(len(other.glosses) - len(item.glosses)) <= 1
    ]
    beside = {
        step: every[place + step]
        for step in NEIGHBOURS
        if 0 <= place + step < len(every) and every[place + step].glosses != item.glosses
    }
    others = _some(near, NUM_OTHERS, rng)
    own, *sentences = (vocabulary.encode(one.glosses) for one in (item, *others, *beside.values()))
    # Probabilities of long clips fall below a double's least; those of no path at all count as very small.
    logs = np.maximum(log_forward(np.maximum(probs, 1e-12), [own, *sentences]), -1e6)
    a_gloss = logs / [len(sentence) for sentence in (own, *sentences)]
    return Reading(
        item,
        tuple(own),
        tuple(ids),
        probs[:, BLANK_ID],
        float(-(probs * log_probs).sum(-1).mean() / np.log(probs.shape[1])),
        float((log_probs.argmax(-1) == BLANK_ID).mean()),
        float(a_gloss[0]),
        a_gloss[1 : 1 + len(others)],
        dict(zip(beside, a_gloss[1 + len(others) :].tolist(), strict=True)),
    )
