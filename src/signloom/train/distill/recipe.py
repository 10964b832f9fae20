"""What `signloom distill` is told. No torch here: the command line reads this module for its help."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from signloom.errors import Faults
from signloom.run_folder import Run
from signloom.train.recipe import Recipe
from signloom.train.recipes import with_recipe

if TYPE_CHECKING:
    from signloom.model.recognizer import Recognizer
    from signloom.train.data import UtteranceDataset
    from signloom.train.method import Lessons
    from signloom.vocabulary import Vocabulary


@dataclass(kw_only=True)
class DistillRecipe(Recipe):
    """How a student is trained that also learns from a teacher: what `signloom train` is told, and this."""

    teacher: Path
    """a trained model that knows the same glosses: a model file, or a run folder that holds model.safetensors"""
    recipe: str = "distill"
    """a named set of options, listed by 'signloom recipes'; flags on the command line override it"""
    output: Path = Path("runs/distilled")
    """the run folder: model, curves, history, logs, the comparison with the teacher"""
    temperature: float = 3.0
    """by which both sides' log-probabilities are divided before they are compared; higher ones tell more of what the
    teacher thinks of the less probable glosses"""
    soft_weight: float = 0.7
    """weight of the comparison with the teacher; CTC with the reference has the rest"""
    leave_out_blank: bool = False
    """compare only how the glosses share what blank leaves; frames count by what the teacher leaves them"""
    cache: bool = False
    """ask the teacher once about each clip as it was recorded, and keep that on disk, instead of every epoch about the
    clip as it was changed at random"""
    emissions: Path | None = None
    """folder of what is kept by --cache; 'emissions' beside the teacher when not given"""
    other_corpus: bool = False
    """take a teacher that was trained on another corpus; what it saw there must not be in dev or test here"""
    baseline: Path | None = None
    """the same student trained without a teacher (a run folder or model file), to be compared with at the end"""

    @property
    def emissions_folder(self) -> Path:
        return self.emissions or Run.of(self.teacher).emissions_folder

    @staticmethod
    def expand(arguments: list[str]) -> list[str]:
        """Command line arguments in which `--recipe NAME` is followed up by the recipe's file."""
        return with_recipe(arguments, "distill")

    def check(self) -> None:
        """Raises InputError with every value that cannot be."""
        super().check()
        faults = Faults("distill options")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            faults.add(f"--temperature is {self.temperature:g}; needed above 0 (1 compares as it is, 3 is usual)")
        if not 0 < self.soft_weight <= 1:
            faults.add(
                f"--soft_weight is {self.soft_weight:g}; needed above 0 and at most 1. Without a teacher there is "
                "'signloom train'"
            )
        if self.emissions is not None and not self.cache:
            faults.add("--emissions is a folder for what --cache keeps; add --cache, or leave it out")
        faults.raise_if_any()

    def lessons(self, train: UtteranceDataset, recognizer: Recognizer, vocabulary: Vocabulary) -> Lessons:
        """The training split with what the teacher says of it."""
        from signloom.train.distill.module import lessons

        return lessons(self, train, recognizer, vocabulary)
