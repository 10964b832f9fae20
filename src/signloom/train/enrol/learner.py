"""What learns in an enrolment, whatever computes it: torch for a run, NumPy for an exported model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from signloom.ctc.greedy import greedy_ids
from signloom.inference.model import Model
from signloom.inference.store import FeatureExample
from signloom.vocabulary import Vocabulary


class Composed(NamedTuple):
    """An utterance composed of clips: points (T, P, 3) of the model's view at its rate, and the ids of its glosses.

    There are none where it shows idling alone.
    """

    points: np.ndarray
    target: list[int]


class Lesson(NamedTuple):
    """What a learner learns from.

    new: utterances to learn; in those without a target no sign is to be named.
    stored: utterances of the store to rehearse, may be none.
    advance: called after each step.
    """

    new: Sequence[FeatureExample]
    stored: Sequence[FeatureExample]
    seed: int
    advance: Callable[[], object] = lambda: None


class Learner(Protocol):
    """A model whose last layers learn from features, which the layers before them make and which stay.

    Shapes: T' output frames, V words.
    """

    @property
    def model(self) -> Model:
        """The model as it is."""

    @property
    def num_features(self) -> int:
        """The features of a frame that the layers which learn take."""

    @property
    def num_steps(self) -> int:
        """How often `adapted` calls `Lesson.advance`."""

    def features(self, utterances: Sequence[Composed]) -> list[FeatureExample]:
        """Returns what the layers that learn take of each utterance, in the same order."""

    def log_probs(self, examples: Sequence[FeatureExample]) -> list[np.ndarray]:
        """Returns the log-probabilities (T', V) of each example."""

    def adapted(self, vocabulary: Vocabulary, lesson: Lesson) -> Learner:
        """Returns the model after it learnt, which knows `vocabulary`: its own words, and new ones last."""


def predicted(learner: Learner, examples: Sequence[FeatureExample]) -> list[list[str]]:
    """Returns the glosses that greedy decoding finds in each example."""
    return [
        learner.model.vocabulary.decode(greedy_ids(rows[None], np.array([len(rows)]))[0])
        for rows in learner.log_probs(examples)
    ]
