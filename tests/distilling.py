"""Shared by the tests of distillation: short recipes, new recognisers, what a method's teacher predicts."""

from __future__ import annotations

import torch

from signloom.model.recognizer import Recognizer
from signloom.train.distill.recipe import DistillRecipe
from signloom.train.distill.targets import DistillBatch
from signloom.train.method import TrainingMethod

# Of a few seconds, and good enough on dev to be worth imitating.
TEACHING = {
    "epochs": 40,
    "batch_size": 4,
    "preset": "tiny_teacher",
    "augment": False,
    "learning_rate": 2e-3,
    "consistency": 0.0,
}
SHORT = {"epochs": 2, "batch_size": 4, "preset": "tiny", "augment": False, "threads": 1, "learning_rate": 1e-3}


def recipe(corpus, teacher, output, **changes) -> DistillRecipe:
    return DistillRecipe(data_dir=corpus, teacher=teacher, output=output, **{**SHORT, **changes})


def new_recognizer(config, num_words: int, seed: int = 0) -> Recognizer:
    torch.manual_seed(seed)
    return Recognizer(config, num_words)


def teacher_log_probs(method: TrainingMethod, batch: DistillBatch) -> torch.Tensor:
    """(B, J, V): those in the batch, or what the teacher of the method predicts."""
    if batch.teacher_log_probs is not None:
        return batch.teacher_log_probs
    points = batch.points if batch.teacher_points is None else batch.teacher_points
    return method.losses.keywords["teacher"].log_probs(points, batch.lengths)
