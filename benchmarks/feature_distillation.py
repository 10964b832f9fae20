"""Distilling features as well as outputs: what is tried by `distillation.py --sides features`, and no part of signloom.

A linear layer brings the student's features to the width of the teacher's, and one minus the cosine of both in each
output frame is added to the losses of distillation (as the hints of Romero et al. 2015, "FitNets", here with directions
alone compared). Features are those that the classifiers read (`recurrent`) or those of the convolutions (`body`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signloom.train.distill.module import DistillationModule
from signloom.train.distill.recipe import DistillRecipe
from signloom.train.module import Losses

if TYPE_CHECKING:
    from signloom.model.recognizer import Recognizer
    from signloom.train.method import Lessons


@dataclass(kw_only=True)
class FeatureRecipe(DistillRecipe):
    """As `DistillRecipe`, and this."""

    feature_weight: float = 1.0
    """of the comparison of features, beside which that of outputs and CTC keep their weights"""
    features: str = "recurrent"
    """which are compared: recurrent or body"""

    def lessons(self, train: Any, recognizer: Any, vocabulary: Any) -> Lessons:
        """As without features, trained by the module that compares them."""
        found = super().lessons(train, recognizer, vocabulary)
        plain: Any = found.module
        return replace(found, module=partial(FeatureModule, **plain.keywords))


class FeatureModule(DistillationModule):
    """Adds `feature_weight * (1 - cos(W student, teacher))`, the mean over output frames, to what is trained on."""

    recipe: FeatureRecipe

    def __init__(self, recognizer: Recognizer, *given: Any, **options: Any) -> None:
        super().__init__(recognizer, *given, **options)
        if self.teacher is None or recognizer.auxiliary is None:
            raise SystemExit("features are compared with a teacher that is asked, by a student with an auxiliary head")
        self.seen: dict[str, Tensor] = {}
        layer = "lstm" if self.recipe.features == "recurrent" else "body"
        for name, model in (("student", recognizer), ("teacher", self.teacher.recognizer)):
            getattr(model, layer).register_forward_hook(partial(self._keep, name))
        # With the auxiliary head it is trained, and left out of model files.
        self.project = nn.Linear(self._width(recognizer, layer), self._width(self.teacher.recognizer, layer))
        recognizer.auxiliary.add_module("features", self.project)

    @staticmethod
    def _width(model: Recognizer, layer: str) -> int:
        return 2 * model.config.lstm_hidden if layer == "lstm" else model.body.out_channels

    def _keep(self, name: str, _module: nn.Module, _given: Any, output: Tensor) -> None:
        self.seen[name] = output

    def training_losses(self, batch: Any) -> Losses:
        found = super().training_losses(batch)
        student = self.project(self.seen["student"])
        shares = batch.matches / batch.matches.sum(-1, keepdim=True).clamp(min=1)
        teacher = shares @ self.seen["teacher"].detach()
        readings = len(student) // len(teacher)
        distance = 1 - F.cosine_similarity(student, teacher.repeat(readings, 1, 1), dim=-1)
        lengths = found.heads.lengths
        valid = torch.arange(distance.shape[1], device=distance.device) < lengths[:, None]
        distance = (distance.masked_fill(~valid, 0.0).sum(1) / lengths).view(readings, -1).mean(0)
        # The step divides by the number of glosses.
        total = found.total + self.recipe.feature_weight * distance * batch.target_lengths
        return Losses(total, found.ctc, found.heads)
