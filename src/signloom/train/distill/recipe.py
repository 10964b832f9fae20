"""Options of `signloom distill`. No torch here: the command line imports this module for its help."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from signloom.errors import Faults
from signloom.run_folder import Run
from signloom.train.recipe import Recipe
from signloom.train.recipes import with_recipe


@dataclass(kw_only=True)
class DistillRecipe(Recipe):
    """Options of a training run in which a student also learns from a teacher."""

    teacher: Path
    """a trained model with the same glosses: a model file, or a run folder that contains model.safetensors"""
    recipe: str = "distill"
    """a named set of options, listed by 'signloom recipes'; flags on the command line override it"""
    output: Path = Path("runs/distilled")
    """the run folder: model, curves, history, logs, the comparison with the teacher"""
    temperature: float = 3.0
    """temperature that divides the log-probabilities of both models before they are compared; a higher temperature
    gives more weight to the teacher's less probable glosses"""
    soft_weight: float = 0.7
    """weight of the comparison with the teacher; CTC with the reference gets the rest"""
    leave_out_blank: bool = False
    """compare non-blank probabilities only, renormalised; weight each frame by the teacher's non-blank probability"""
    cache: bool = False
    """compute the teacher's predictions once, from the clips as recorded, and save them on disk; default: the teacher
    predicts in every epoch, from the randomly changed clips"""
    emissions: Path | None = None
    """folder for the predictions saved by --cache; default: 'emissions' beside the teacher"""
    other_corpus: bool = False
    """accept a teacher that was trained on another corpus; its training clips must not be in dev or test of this one"""
    baseline: Path | None = None
    """the same student trained without a teacher (a run folder or model file), to compare with at the end"""

    @property
    def emissions_folder(self) -> Path:
        return self.emissions or Run.of(self.teacher).emissions_folder

    @staticmethod
    def expand(arguments: list[str]) -> list[str]:
        """Returns the command line arguments with the file of `--recipe NAME` inserted."""
        return with_recipe(arguments, "distill")

    def check(self) -> None:
        """Raises InputError listing every invalid value."""
        super().check()
        faults = Faults("distill options")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            faults.add(
                f"--temperature is {self.temperature:g}; needed above 0 (1 leaves probabilities unchanged, 3 is usual)"
            )
        if not 0 < self.soft_weight <= 1:
            faults.add(
                f"--soft_weight is {self.soft_weight:g}; needed above 0 and at most 1. To train without a teacher, use "
                "'signloom train'"
            )
        if self.emissions is not None and not self.cache:
            faults.add("--emissions is a folder for what --cache saves; add --cache, or leave it out")
        faults.raise_if_any()
