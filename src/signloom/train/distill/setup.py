"""Sets up distillation: loads and checks the teacher, and adds its data to the training examples."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from signloom.console import progress_bar
from signloom.errors import InputError
from signloom.inference.model import Model, load
from signloom.inference.torch_engine import recognizer_of
from signloom.model.recognizer import Recognizer
from signloom.run_folder import Run
from signloom.train.data import UtteranceDataset
from signloom.train.distill.cached_emissions import Emissions, fingerprint, keep_emissions
from signloom.train.distill.check_teacher import check_teacher
from signloom.train.distill.losses import Teacher
from signloom.train.distill.recipe import DistillRecipe
from signloom.train.distill.targets import DistillDataset, wide_view
from signloom.train.distributed import World
from signloom.vocabulary import Vocabulary

log = logging.getLogger("signloom.train")


def set_up(
    recipe: DistillRecipe, train: UtteranceDataset, recognizer: Recognizer, vocabulary: Vocabulary
) -> tuple[DistillDataset, Teacher | None, dict[str, Any]]:
    """Returns the training examples with the teacher's data, the teacher, and a record of it for the run.

    The teacher is None if its emissions are in the examples. Raises InputError for a teacher that cannot teach this
    student, or that is not the one of the run to resume.
    """
    model = load(recipe.teacher)
    check_teacher(model, recipe, train.corpus, vocabulary)
    key = fingerprint(model)
    if recipe.resume:
        _check_same_teacher(recipe, key)
    teacher = recognizer_of(model.engine)
    own, theirs = recognizer.config, teacher.config
    emission: Callable[[int], np.ndarray] | None = None
    wide = None
    if recipe.cache:
        emissions = _emissions(recipe, model, train)

        def emission(index: int) -> np.ndarray:
            return emissions.read(train.utterances[index])

    else:
        if theirs.fps != own.fps:
            raise InputError(
                f"{recipe.teacher}: it works at {theirs.fps:g} frames/s, the student at {own.fps:g}; it cannot predict "
                "from the student's clips. Pass --cache: it then predicts once from each clip at its own rate"
            )
        if (view := wide_view(own.view, theirs.view)) != own.view:
            wide = train.in_view(view)
    data = DistillDataset(
        train,
        student_outputs=_num_outputs(recognizer),
        stride=recognizer.stride,
        teacher_step=teacher.step_seconds * own.fps,
        teacher_outputs=_num_outputs(teacher),
        teacher_view=theirs.view,
        emission=emission,
        wide=wide,
    )
    record = {
        "path": str(recipe.teacher),
        "fingerprint": key,
        "parameters": teacher.num_parameters,
        "dev": dict(model.info["dev"]),
        "asked": "once, about clips as recorded" if recipe.cache else "every epoch, about clips as changed at random",
    }
    return data, None if recipe.cache else Teacher(teacher), record


def _num_outputs(recognizer: Recognizer) -> Callable[[int], int]:
    return lambda num_frames: int(recognizer.output_lengths(torch.tensor(num_frames)))


def _emissions(recipe: DistillRecipe, teacher: Model, train: UtteranceDataset) -> Emissions:
    """Returns the teacher's emissions of the training split; computes missing ones, shared among all processes."""
    world = World.of_environment()
    device = torch.device("cpu")
    if recipe.accelerator != "cpu" and torch.cuda.is_available():
        device = torch.device("cuda", world.rank % max(1, world.local_size))
    total = len(train)
    with progress_bar(disable=world.rank > 0) as bar:
        task = bar.add_task("teacher's predictions", total=total, unit="utterances")
        try:
            emissions = keep_emissions(
                teacher,
                train.corpus,
                train.utterances,
                recipe.emissions_folder,
                batch_size=recipe.batch_size,
                device=device,
                start=world.rank * total // world.size,
                advance=lambda count: bar.advance(task, count),
            )
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise InputError(
                f"{recipe.emissions_folder}: emissions cannot be kept there ({error.strerror}); choose another folder "
                "with --emissions"
            ) from None
    log.info("teacher's emissions of %d training utterances: %s", total, emissions.folder)
    return emissions


def _check_same_teacher(recipe: DistillRecipe, key: str) -> None:
    before = Run.read(recipe.output).info.get("teacher", {}).get("fingerprint")
    if before != key:
        raise InputError(
            f"{recipe.teacher}: not the teacher that the run in {recipe.output} began with (its weights differ); "
            "restore that one, or start the run again with --overwrite"
        )
