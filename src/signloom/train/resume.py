"""Checks before a run folder is trained into: nothing is replaced by accident, and only the same run is resumed.

No torch here: the command line reads this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, replace
from typing import Any, TypeVar

from signloom.corpus import Corpus
from signloom.errors import Faults, InputError
from signloom.files.writing import as_json
from signloom.run_folder import Run
from signloom.train.augmentation import AugmentationConfig
from signloom.train.recipe import Recipe

RecipeType = TypeVar("RecipeType", bound=Recipe)

# Options that may be raised: the run then lasts longer, and the learning rate follows the longer schedule.
MAY_BE_RAISED = ("epochs", "max_steps")
# Options that may differ when a run is resumed: folders, duration and threads, never what is learnt.
FREE_TO_CHANGE = (
    *("data_dir", "output", "resume", "auto_resume", "overwrite", "recipe", "threads", "max_minutes", "patience"),
    *("emissions", "other_corpus", "baseline", "store_megabytes", "cache_gigabytes", "statistics_clips"),
    *("save_every_minutes", "save_every_steps", "checkpoint_activations", "accelerator"),
)


def resolved(recipe: RecipeType) -> RecipeType:
    """Returns the recipe with `resume` set if --auto_resume is given and the run folder has a state.

    The folder is settled: every process of a run must see the same.
    """
    if not recipe.auto_resume:
        return recipe
    return replace(recipe, resume=Run(recipe.output).state_file.exists())


def refuse_earlier(recipe: Recipe) -> None:
    """Raises InputError if the run folder holds a run and neither --resume nor --overwrite is given."""
    run, recipe = Run(recipe.output), resolved(recipe)
    if run.is_trained and not (recipe.resume or recipe.overwrite):
        raise InputError(
            f"{run.path}: already holds a run ({', '.join(run.files())}); pass --resume to continue it, "
            "--overwrite to replace it, or another --output"
        )


def check_same_run(recipe: Recipe, corpus: Corpus) -> None:
    """Raises InputError listing what differs, unless `recipe` and `corpus` are those of the run to be resumed."""
    run = Run(recipe.output)
    if not run.state_file.exists():
        raise InputError(f"{run.path}: nothing to resume; no {run.state_file.name} there. Train without --resume")
    run = Run.read(recipe.output)
    if not run.info:
        raise InputError(f"{run.path}: nothing to resume; no {run.info_file.name} there. Train without --resume")
    # An option that an earlier version did not have counts as not given, a random change of the clips as switched off.
    before = _flat(_defaults(recipe)) | dict.fromkeys(_amounts(), 0) | _flat(run.options)
    faults = Faults(f"{run.path}: cannot be resumed with other options")
    for name, value in _flat(as_json(asdict(recipe))).items():
        if name in MAY_BE_RAISED and (value is None or (before.get(name) or math.inf) <= value):
            continue
        if name not in FREE_TO_CHANGE and before.get(name) != value:
            faults.add(f"--{name} was {before.get(name)!r}, now {value!r}")
    summary = run.corpus.get("summary")
    if summary != as_json(corpus.summary()):
        faults.add(f"the corpus in {recipe.data_dir} is another: {corpus.summary()}, trained on {summary}")
    faults.advice = (
        "repeat the options as they were (--epochs and --max_steps may be raised); to train differently, start a new "
        "run with --init"
    )
    faults.raise_if_any()


def _amounts() -> list[str]:
    return [f"augmentation.{item.name}" for item in fields(AugmentationConfig)]


def _flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options by the names that they have on the command line."""
    amounts = options.get("augmentation") or {}
    rest = {name: value for name, value in options.items() if name != "augmentation"}
    return rest | {f"augmentation.{name}": value for name, value in amounts.items()}


def _defaults(recipe: Recipe) -> dict:
    """The options of a recipe of this kind of which only the required ones are given."""
    kind = type(recipe)
    required = {
        item.name: getattr(recipe, item.name)
        for item in fields(kind)
        if item.default is MISSING and item.default_factory is MISSING
    }
    return as_json(asdict(kind(**required)))
