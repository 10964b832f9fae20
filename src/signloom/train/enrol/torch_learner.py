"""The layers of a run's model that learn in an enrolment: those after the body, in torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from signloom.inference.model import Model
from signloom.inference.store import FeatureExample
from signloom.inference.torch_engine import TorchEngine, recognizer_of
from signloom.model.recognizer import Recognizer
from signloom.train.data import Example, collate
from signloom.train.enrol import adapt
from signloom.train.enrol.learner import Composed, Lesson
from signloom.vocabulary import Vocabulary

_BATCH = 32


@dataclass(frozen=True)
class TorchLearner:
    """See `learner.Learner`: BiLSTM and classifier learn; the front end and the body stay."""

    model: Model

    @property
    def recognizer(self) -> Recognizer:
        return recognizer_of(self.model.engine)

    @property
    def num_features(self) -> int:
        return self.recognizer.body.out_channels

    @property
    def num_steps(self) -> int:
        return adapt.STEPS

    def features(self, utterances: Sequence[Composed]) -> list[FeatureExample]:
        return body_features(self.recognizer, [Example(points, np.array(target), "") for points, target in utterances])

    def log_probs(self, examples: Sequence[FeatureExample]) -> list[np.ndarray]:
        return [rows.numpy() for rows in adapt.log_probs(self.recognizer, examples)]

    def adapted(self, vocabulary: Vocabulary, lesson: Lesson) -> TorchLearner:
        extended = adapt.extended(self.recognizer, len(vocabulary))
        recognizer = adapt.adapt(extended, lesson, num_known=len(self.model.vocabulary))
        return TorchLearner(replace(self.model, engine=TorchEngine(recognizer), vocabulary=vocabulary))


@torch.inference_mode()
def body_features(recognizer: Recognizer, examples: Sequence[Example]) -> list[FeatureExample]:
    """Returns what the layers after the body take of each example, in the same order."""
    recognizer.eval()
    result: dict[int, FeatureExample] = {}
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].points))
    for start in range(0, len(order), _BATCH):
        indices = order[start : start + _BATCH]
        batch = collate([examples[index] for index in indices])
        features, _ = recognizer.features(batch.points, batch.lengths)
        lengths = recognizer.output_lengths(batch.lengths)
        for index, rows, length in zip(indices, features.float().numpy(), lengths.tolist(), strict=True):
            # A copy: a view would keep the whole padded batch in memory.
            result[index] = FeatureExample(rows[:length].copy(), examples[index].target.tolist())
    return [result[index] for index in range(len(examples))]
