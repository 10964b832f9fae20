"""What a trained model predicts for utterances of its corpus: some that it was trained on, and dev.

Shapes: T' output frames, V words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from signloom.corpus import Corpus, Utterance, Utterances
from signloom.corpus.columns import Ragged
from signloom.ctc.forward_score import log_forward
from signloom.ctc.greedy import greedy_ids
from signloom.errors import InputError
from signloom.health.subject import Subject
from signloom.inference.model import Model
from signloom.inference.torch_engine import TorchEngine
from signloom.run_folder import Run
from signloom.score.wer import Score, score
from signloom.train.recipe import Recipe
from signloom.train.selection import too_short, train_split
from signloom.vocabulary import BLANK_ID, Vocabulary

NUM_TRAIN = 64
# A dev split of at most this many utterances is used whole, so that its WER can be compared with the recorded one.
NUM_DEV = 300
# Utterances drawn from a larger dev split.
SOME_DEV = 64
# Annotations of other utterances that are scored on each clip.
NUM_OTHERS = 24
# Offsets within a split by which annotations may have slipped.
NEIGHBOURS = (-2, -1, 1, 2)


@dataclass(frozen=True)
class Prediction:
    """The model's prediction for one utterance.

    target, predicted: the ids that the model learns for it (`Utterance.target`), and those of the greedy hypothesis;
    both may have the unknown gloss.  blank: probability of blank per output frame `(T',)`.  entropy: mean over frames,
    as a share of log V.  blank_share: share of frames in which blank is the most likely word.  own, others:
    log-probability per gloss of the utterance's target, and of the targets of others of about the same length `(K,)`.
    neighbours: the same for the targets at these offsets in the split (negative: before the utterance).
    """

    utterance: Utterance
    target: tuple[int, ...]
    predicted: tuple[int, ...]
    blank: np.ndarray
    entropy: float
    blank_share: float
    own: float
    others: np.ndarray
    neighbours: Mapping[int, float]

    @property
    def expected(self) -> float:
        """Returns the number of glosses expected from the probabilities, the unknown gloss included."""
        return float((1 - self.blank).sum())

    @property
    def wins(self) -> float:
        """Returns the share of other annotations that are less probable than the utterance's own; NaN without any."""
        if not len(self.others):
            return float("nan")
        return float(np.mean(np.sign(self.own - self.others) / 2 + 0.5))


@dataclass(frozen=True)
class Predictions:
    """Predictions for train and dev.

    train: of utterances the model was trained on.  whole_dev: whether `dev` holds all of the split.  num_trained: how
    many utterances the model was trained on.  run: the record of the run.
    """

    corpus: Corpus
    vocabulary: Vocabulary
    train: tuple[Prediction, ...]
    dev: tuple[Prediction, ...]
    whole_dev: bool
    num_trained: int
    run: Run

    def score(self, predictions: Sequence[Prediction]) -> Score:
        """Returns the score by the plain protocol."""
        return score(
            ((one.utterance.id, one.utterance.glosses, self.vocabulary.decode(one.predicted)) for one in predictions),
            signers={one.utterance.id: one.utterance.signer for one in predictions if one.utterance.signer is not None},
        )

    @cached_property
    def train_wer(self) -> float:
        return self.score(self.train).wer if self.train else float("nan")

    @cached_property
    def dev_wer(self) -> float:
        return self.score(self.dev).wer if self.dev else float("nan")

    @cached_property
    def every(self) -> tuple[Prediction, ...]:
        return (*self.train, *self.dev)


def predict(subject: Subject) -> Predictions:
    """Returns the predictions of the subject's model for utterances of its corpus, drawn by the subject's seed.

    Raises RuntimeError for a subject without a corpus.
    """
    corpus, run = subject.corpus, subject.run or Run()
    if corpus is None:
        raise RuntimeError("predictions need a corpus")
    rng = np.random.default_rng(subject.seed)
    recipe = _recipe_of(run)
    trained = train_split(corpus, recipe) if recipe is not None else corpus.split("train")
    trained = trained.take(~too_short(subject.recognizer, trained, subject.vocabulary))
    dev = corpus.utterances.in_split("dev")
    whole = len(dev) <= NUM_DEV
    return Predictions(
        corpus,
        subject.vocabulary,
        _predict(subject, _some(trained, NUM_TRAIN, rng), trained, rng),
        _predict(subject, dev if whole else _some(dev, SOME_DEV, rng), dev, rng),
        whole,
        len(trained),
        run,
    )


def _recipe_of(run: Run) -> Recipe | None:
    """Returns the recipe of a run; None if another version of signloom recorded it."""
    try:
        return Recipe.from_json(run.options)
    except InputError:
        return None


def _some(items: Utterances, count: int, rng: np.random.Generator) -> Utterances:
    return items.take(np.sort(rng.permutation(len(items))[:count]))


def _predict(
    subject: Subject, items: Utterances, every: Utterances, rng: np.random.Generator
) -> tuple[Prediction, ...]:
    """Returns the predictions for `items`; other targets come from `every`."""
    if not items or subject.corpus is None:
        return ()
    targets = every.columns.targets(subject.vocabulary)
    model = Model(TorchEngine(subject.recognizer), subject.vocabulary)
    places = {name: place for place, name in enumerate(every.columns.ids)}
    results: dict[str, Prediction] = {}
    for item, log_probs in model.emissions(subject.corpus, items):
        # Other checks report non-finite values; here they only must not stop the decoding.
        rows = np.nan_to_num(log_probs, nan=-100.0, neginf=-100.0)
        (ids,) = greedy_ids(rows[None], np.array([len(rows)]))
        results[item.id] = _prediction(item, places[item.id], rows, ids, targets, rng)
    return tuple(results[item.id] for item in items)


def _prediction(
    item: Utterance,
    place: int,
    log_probs: np.ndarray,
    ids: Sequence[int],
    targets: Ragged,
    rng: np.random.Generator,
) -> Prediction:
    """Returns the prediction for the utterance at a place of its split, whose `targets` are given."""
    probs = np.exp(log_probs.astype(np.float64))
    same = _same_target(targets, place)
    near = np.flatnonzero((np.abs(targets.counts - targets.counts[place]) <= 1) & ~same)
    others = near[np.sort(rng.permutation(len(near))[:NUM_OTHERS])]
    neighbours = {
        offset: place + offset for offset in NEIGHBOURS if 0 <= place + offset < len(same) and not same[place + offset]
    }
    own, *sentences = (targets[row].tolist() for row in (place, *others, *neighbours.values()))
    # Probabilities of long clips underflow; an annotation without any path counts as very improbable.
    logs = np.maximum(log_forward(np.maximum(probs, 1e-12), [own, *sentences]), -1e6)
    per_gloss = logs / [len(sentence) for sentence in (own, *sentences)]
    return Prediction(
        item,
        tuple(own),
        tuple(ids),
        probs[:, BLANK_ID],
        float(-(probs * log_probs).sum(-1).mean() / np.log(probs.shape[1])),
        float((log_probs.argmax(-1) == BLANK_ID).mean()),
        float(per_gloss[0]),
        per_gloss[1 : 1 + len(others)],
        dict(zip(neighbours, per_gloss[1 + len(others) :].tolist(), strict=True)),
    )


def _same_target(targets: Ragged, place: int) -> np.ndarray:
    """Returns for each utterance whether it has the target of the one at `place`, (N,) bool."""
    own = targets[place]
    result = targets.counts == len(own)
    rows = np.flatnonzero(result)
    result[rows] = (targets.values[targets.starts[rows, None] + np.arange(len(own))] == own).all(1)
    return result
