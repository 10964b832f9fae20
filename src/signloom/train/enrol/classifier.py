"""The classifier of an exported model learns in an enrolment, in NumPy; all layers before it stay.

As in `adapt`, a batch is half new utterances, half utterances of the store. CTC is minimised on all, or, where they
show no sign, the probability that one is named; on the stored ones the divergence from what the model predicted before,
too. The result is the mean of the weights of the second half of the steps.

Shapes: B utterances, T' output frames, V words, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import cos, pi
from pathlib import Path

import numpy as np

from signloom.ctc.gradient import ctc_gradient
from signloom.errors import InputError
from signloom.inference.model import Model
from signloom.inference.onnx_classifier import Classifier, as_stored, classifier_of, with_classifier
from signloom.inference.onnx_engine import OnnxEngine
from signloom.inference.onnx_file import SUFFIX
from signloom.inference.store import FeatureExample
from signloom.train.enrol.learner import Composed, Lesson
from signloom.vocabulary import UNKNOWN_ID, Vocabulary

STEPS = 200
BATCH = 16
LEARNING_RATE = 0.01
KEEP_WEIGHT = 1.0
_WARM_STEPS = 10
_LARGEST_GRADIENT = 5.0
# Adam's means of the gradient and of its square, and what keeps its quotient finite (Kingma and Ba 2015).
_MEANS, _LEAST = (0.9, 0.999), 1e-8
# Features of unit length, which a cosine classifier takes, are as large as others after multiplication by this.
_COSINE_SCALE = 10.0
# Names an engine that no file holds yet.
_ENROLLED = Path("enrolled model")


@dataclass(frozen=True)
class ClassifierLearner:
    """See `learner.Learner`. classifier: as the graph of the model has it."""

    model: Model
    classifier: Classifier

    @classmethod
    def of(cls, model: Model) -> ClassifierLearner:
        """Returns the learner of an exported model.

        Raises InputError for a model without a store, and for one whose classifier cannot be replaced.
        """
        if model.store is None:
            raise InputError(
                f"model: it keeps no store, without which it would forget what it knows; needed an {SUFFIX} file that "
                "'signloom export --store' wrote of a run trained with --store_megabytes, or that run itself"
            )
        return cls(model, classifier_of(cls._graph(model)))

    @staticmethod
    def _graph(model: Model) -> bytes:
        if not isinstance(model.engine, OnnxEngine):
            raise TypeError(f"the engine is a {type(model.engine).__name__}; needed an OnnxEngine")
        return model.engine.graph

    @property
    def num_features(self) -> int:
        return self.classifier.weight.shape[1]

    @property
    def num_steps(self) -> int:
        return STEPS

    def features(self, utterances: Sequence[Composed]) -> list[FeatureExample]:
        return [FeatureExample(self.model.engine.features(points[None])[0][0], target) for points, target in utterances]

    def log_probs(self, examples: Sequence[FeatureExample]) -> list[np.ndarray]:
        return [_log_probs(self._inputs(example), self.classifier) for example in examples]

    def adapted(self, vocabulary: Vocabulary, lesson: Lesson) -> ClassifierLearner:
        new, stored = (
            [example._replace(features=self._inputs(example)) for example in some]
            for some in (lesson.new, lesson.stored)
        )
        classifier = _learnt(
            extended(self.classifier, len(vocabulary)),
            lesson._replace(new=new, stored=stored),
            before=self.log_probs(lesson.stored),
            scale=_COSINE_SCALE if self._is_cosine else 1.0,
            dropout=self.model.engine.config.dropout,
        )
        graph = self._graph(self.model)
        engine = OnnxEngine.of(with_classifier(graph, classifier), self.model.engine.config, _ENROLLED)
        model = replace(self.model, engine=engine, vocabulary=vocabulary)
        # Measured is what the file will hold.
        return ClassifierLearner(model, as_stored(graph, classifier))

    @property
    def _is_cosine(self) -> bool:
        return self.model.engine.config.classifier == "cosine"

    def _inputs(self, example: FeatureExample) -> np.ndarray:
        """Returns what the linear layer takes (T', D); of a cosine classifier, features of unit length."""
        features = example.features
        if not self._is_cosine:
            return features
        result: np.ndarray = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        return result


def extended(classifier: Classifier, num_words: int) -> Classifier:
    """Returns a classifier with rows for `num_words` words, the new ones last.

    A new row starts as the mean of the rows of glosses: as probable as any.
    """
    added = num_words - len(classifier.bias)
    weight, bias = (
        np.concatenate([rows, np.repeat(rows[UNKNOWN_ID + 1 :].mean(0, keepdims=True), added, axis=0)])
        for rows in (classifier.weight, classifier.bias)
    )
    return Classifier(weight, bias)


def _learnt(
    classifier: Classifier,
    lesson: Lesson,
    *,
    before: Sequence[np.ndarray],
    scale: float,
    dropout: float,
) -> Classifier:
    """Returns the classifier after STEPS steps of Adam.

    before: the log-probabilities of stored utterances that stay the aim.  scale: of features, so that one learning rate
    suits all kinds.
    """
    new, stored = lesson.new, lesson.stored
    rng = np.random.default_rng(lesson.seed)
    # Weights (V, D) and bias (V, 1) as one matrix for features with a last column of ones.
    weights = np.concatenate([classifier.weight / scale, classifier.bias[:, None]], axis=1).astype(np.float64)
    first, second, average = np.zeros_like(weights), np.zeros_like(weights), np.zeros_like(weights)
    num_new = BATCH // 2 if stored else BATCH
    for step in range(STEPS):
        batch = [new[index] for index in rng.integers(len(new), size=num_new)]
        rehearsed = rng.integers(len(stored), size=BATCH - num_new).tolist() if stored else []
        batch += [stored[index] for index in rehearsed]
        aims = [None] * num_new + [before[index] for index in rehearsed]
        gradient = _gradient(weights, batch, aims, scale, dropout, rng) / BATCH
        gradient *= min(1.0, _LARGEST_GRADIENT / max(float(np.linalg.norm(gradient)), _LEAST))
        first += (1 - _MEANS[0]) * (gradient - first)
        second += (1 - _MEANS[1]) * (gradient**2 - second)
        mean, square = first / (1 - _MEANS[0] ** (step + 1)), second / (1 - _MEANS[1] ** (step + 1))
        weights -= _learning_rate(step) * mean / (np.sqrt(square) + _LEAST)
        if step >= STEPS // 2:
            average += weights / (STEPS - STEPS // 2)
        lesson.advance()
    return Classifier((average[:, :-1] * scale).astype(np.float32), average[:, -1].astype(np.float32))


def _learning_rate(step: int) -> float:
    """Returns the learning rate: it rises in the first steps, then falls to 0 along a cosine."""
    if step < _WARM_STEPS:
        return LEARNING_RATE * (step + 1) / _WARM_STEPS
    return LEARNING_RATE * (1 + cos(pi * (step - _WARM_STEPS) / (STEPS - _WARM_STEPS))) / 2


def _gradient(
    weights: np.ndarray,
    batch: Sequence[FeatureExample],
    aims: Sequence[np.ndarray | None],
    scale: float,
    dropout: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns the gradient of the loss, summed over a batch, by the weights (V, D + 1).

    The loss of an utterance, per gloss, is CTC (`_silence_gradient` without a gloss) plus KEEP_WEIGHT times the sum
    over frames of KL(aim || prediction).
    aims: log-probabilities of the words that the model knew; None where there is none.
    """
    lengths = np.array([len(example.features) for example in batch])
    inputs = np.zeros((len(batch), lengths.max(), weights.shape[1]))
    for rows, example in zip(inputs, batch, strict=True):
        kept = rng.random(example.features.shape) >= dropout
        rows[: len(example.features), :-1] = example.features * kept * (scale / (1 - dropout))
        rows[:, -1] = 1.0
    log_probs = _normalised(inputs @ weights.T)
    _, by_logits = ctc_gradient(log_probs, lengths, [example.target for example in batch])
    for rows, predicted, example, length in zip(by_logits, log_probs, batch, lengths, strict=True):
        if not example.target:
            rows[:length] = _silence_gradient(predicted[:length])
    for rows, predicted, aim, length in zip(by_logits, log_probs, aims, lengths, strict=True):
        if aim is not None:
            rows[:length] += KEEP_WEIGHT * np.exp(predicted[:length])
            rows[:length, : aim.shape[1]] -= KEEP_WEIGHT * np.exp(aim)
    by_logits /= np.array([max(1, len(example.target)) for example in batch])[:, None, None]
    result: np.ndarray = np.tensordot(by_logits, inputs, axes=((0, 1), (0, 1)))
    return result


def _silence_gradient(log_probs: np.ndarray) -> np.ndarray:
    """Returns the gradient, by the logits (T', V), of minus the sum over frames of log P(blank or unknown gloss)."""
    result = np.exp(log_probs)
    silent = result[:, : UNKNOWN_ID + 1]
    silent -= silent / silent.sum(1, keepdims=True)
    return result


def _log_probs(inputs: np.ndarray, classifier: Classifier) -> np.ndarray:
    return _normalised(inputs @ classifier.weight.T + classifier.bias)


def _normalised(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result
