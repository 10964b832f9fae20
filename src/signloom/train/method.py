"""Training methods: plain CTC, consistency between two views, distillation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from signloom.model.recognizer import Recognizer
from signloom.train.consistency import consistency_losses
from signloom.train.data import UtteranceDataset
from signloom.train.distill.losses import distillation_losses
from signloom.train.distill.recipe import DistillRecipe
from signloom.train.distill.setup import set_up
from signloom.train.distill.targets import DistillDataset
from signloom.train.losses import LossFunction, plain_losses
from signloom.train.recipe import Recipe
from signloom.vocabulary import Vocabulary


@dataclass(frozen=True)
class TrainingMethod:
    """What a training method supplies.

    train: the training examples.  losses: the loss function.  info: metadata for `run.json` and the model file.
    """

    train: UtteranceDataset | DistillDataset
    losses: LossFunction
    info: Mapping[str, Any] = field(default_factory=dict)


def method_of(
    recipe: Recipe, train: UtteranceDataset, recognizer: Recognizer, vocabulary: Vocabulary
) -> TrainingMethod:
    """Returns the method that the recipe selects: distillation, consistency or plain CTC.

    Raises InputError for a teacher that cannot teach this student.
    """
    losses = loss_function(recipe)
    if not isinstance(recipe, DistillRecipe):
        return TrainingMethod(train, losses)
    examples, teacher, info = set_up(recipe, train, recognizer, vocabulary)
    distilled = partial(
        distillation_losses,
        hard=losses,
        teacher=teacher,
        soft_weight=recipe.soft_weight,
        temperature=recipe.temperature,
        leave_out_blank=recipe.leave_out_blank,
    )
    return TrainingMethod(examples, distilled, {"teacher": info})


def loss_function(recipe: Recipe) -> LossFunction:
    """Returns the loss against the reference: consistency between two views, or plain CTC if its weight is 0."""
    if recipe.consistency:
        return partial(consistency_losses, weight=recipe.consistency, auxiliary_weight=recipe.auxiliary_weight)
    return partial(plain_losses, auxiliary_weight=recipe.auxiliary_weight)
