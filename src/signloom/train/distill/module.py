"""Learning from a teacher: what the student's output is compared with, and the losses.

Shapes: B utterances, T' output frames of the student, J output frames of the teacher, V words.

A teacher's frame says which gloss ends there, and how sure that is; its probabilities of the other glosses say what
looks alike. Both are lost in the reference. The student is drawn to them in every frame, and to the reference by CTC.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from signloom.console import progress_bar
from signloom.errors import InputError
from signloom.inference.model import Model, load
from signloom.inference.torch_engine import recognizer_of
from signloom.model.recognizer import Recognizer
from signloom.run_folder import Run
from signloom.train.consistency import ConsistencyModule
from signloom.train.data import Batch, UtteranceDataset
from signloom.train.distill.cached_emissions import Emissions, fingerprint, keep_emissions
from signloom.train.distill.check_teacher import check_teacher
from signloom.train.distill.recipe import DistillRecipe
from signloom.train.distill.targets import TaughtBatch, TaughtDataset, wide_view
from signloom.train.distributed import World
from signloom.train.method import Lessons
from signloom.train.module import Losses, RecognizerModule
from signloom.vocabulary import BLANK_ID, Vocabulary

log = logging.getLogger("signloom.train")


def at_student_frames(teacher_log_probs: Tensor, matches: Tensor) -> Tensor:
    """What the teacher says at the student's frames, (B, T', V): of the frames that match, the least blank one's.

    A frame is taken as it is, never a mean of several: CTC says a gloss in one frame with blank on both sides, and half
    a gloss and half a blank would teach the student to say nothing.
    """
    blank = teacher_log_probs[:, None, :, BLANK_ID].expand(matches.shape)
    chosen = blank.masked_fill(~matches, torch.inf).argmin(-1)
    return teacher_log_probs.gather(1, chosen[..., None].expand(-1, -1, teacher_log_probs.shape[-1]))


def soft_loss(
    log_probs: Tensor,
    lengths: Tensor,
    teacher_log_probs: Tensor,
    matches: Tensor,
    *,
    temperature: float = 3.0,
    leave_out_blank: bool = False,
) -> Tensor:
    """`T^2 * KL(teacher_T || student_T)` of each utterance `(B,)`, the mean over its valid output frames; at least 0.

    log_probs: (B, T', V) of the student.  lengths: (B,) of it; frames from there on count for nothing.
    teacher_log_probs: (B, J, V), no gradient goes there.  matches: (B, T', J), see `TaughtBatch`.
    T^2 keeps the gradient of the order of temperature 1, which softening divides by T^2.
    Minimum: 0, where the student says what the teacher says at its frames.
    Source: Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", section 2.

    leave_out_blank: compare only how the rest is shared among the other words, both sides renormalised over them. A
    frame counts by the teacher's probability, at temperature 1, that it is not blank; the mean is over that weight, of
    at least one frame. Where the teacher is sure of blank, the rest is what it knows least about, and softening would
    blow it up. What remains says nothing of when a gloss is signed: that is left to CTC.
    """
    valid = torch.arange(log_probs.shape[1], device=log_probs.device) < lengths[:, None]
    teacher_log_probs = at_student_frames(teacher_log_probs.detach().float(), matches)
    if leave_out_blank:
        words = torch.arange(log_probs.shape[-1], device=log_probs.device) != BLANK_ID
        weights = (1 - teacher_log_probs[..., BLANK_ID].exp()).clamp(0, 1) * valid
        log_probs, teacher_log_probs = log_probs[..., words], teacher_log_probs[..., words]
    else:
        weights = valid.to(torch.float32)
    targets = torch.softmax(teacher_log_probs / temperature, dim=-1)
    student = torch.log_softmax(log_probs.float() / temperature, dim=-1)
    divergence = (torch.xlogy(targets, targets) - targets * student).sum(-1)
    # Rounding can make the divergence of equals a little negative.
    divergence = divergence.clamp(min=0).masked_fill(~valid, 0.0)
    return temperature**2 * (divergence * weights).sum(1) / weights.sum(1).clamp(min=1.0)


@dataclass(frozen=True)
class Teacher:
    """A trained recogniser that is only asked: in evaluation mode, without gradients, outside of the module it teaches.

    Being no submodule of the Lightning module, its weights are in no optimiser, no checkpoint and no mode switch.
    """

    recognizer: Recognizer

    def __post_init__(self) -> None:
        self.recognizer.eval().requires_grad_(False)

    @torch.no_grad()
    def log_probs(self, points: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (B, J, V) and their lengths (B,) of clips (B, T, P', 3), on the device of the clips."""
        self.recognizer.eval().to(points.device)
        log_probs, output_lengths = self.recognizer(points, lengths)
        return log_probs, output_lengths


class DistillationModule(RecognizerModule):
    """Trains a recogniser by `soft_weight * soft loss + (1 - soft_weight) * CTC`, both a gloss of the reference.

    The soft loss is a mean over output frames, the CTC loss is divided by the number of glosses, as in training without
    a teacher; so neither grows with the length of an utterance. What else the recipe adds to CTC (an auxiliary head,
    consistency between two views) stays with it; where a clip is read several times, each reading is compared with the
    teacher's of the whole clip.

    teacher: None where all it has to say is kept on disk.  alone: how the student would be trained without a teacher.
    """

    recipe: DistillRecipe

    def __init__(
        self,
        *given: Any,
        teacher: Teacher | None,
        alone: type[RecognizerModule] = RecognizerModule,
        **options: Any,
    ) -> None:
        super().__init__(*given, **options)
        self.teacher = teacher
        self.alone = alone

    def training_losses(self, batch: Batch) -> Losses:
        if not isinstance(batch, TaughtBatch):
            raise InputError("distillation: a batch without its teacher's part; needed one of a TaughtDataset")
        hard = self.alone.training_losses(self, batch)
        readings = len(hard.heads.log_probs) // len(batch.ids)
        soft = soft_loss(
            hard.heads.log_probs,
            hard.heads.lengths,
            self.teacher_log_probs(batch).repeat(readings, 1, 1),
            batch.matches.repeat(readings, 1, 1),
            temperature=self.recipe.temperature,
            leave_out_blank=self.recipe.leave_out_blank,
        )
        soft = soft.view(readings, -1).mean(0)
        weight = self.recipe.soft_weight
        # The step divides by the number of glosses: the soft loss is to come out of that as it is.
        return Losses(weight * soft * batch.target_lengths + (1 - weight) * hard.total, hard.ctc, hard.heads)

    def teacher_log_probs(self, batch: TaughtBatch) -> Tensor:
        """What the teacher says of a batch: as kept, else asked now."""
        if batch.teacher_log_probs is not None:
            return batch.teacher_log_probs
        if self.teacher is None:
            raise InputError("distillation: neither emissions of the teacher nor a teacher; needed one of them")
        points = batch.points if batch.teacher_points is None else batch.teacher_points
        return self.teacher.log_probs(points, batch.lengths)[0]


def lessons(recipe: DistillRecipe, train: UtteranceDataset, recognizer: Recognizer, vocabulary: Vocabulary) -> Lessons:
    """The training split with what the recipe's teacher says of it, and the module that learns from it.

    Raises InputError for a teacher that cannot teach here, or is not the one that the run to resume began with.
    """
    teacher = load(recipe.teacher)
    check_teacher(teacher, recipe, train.corpus, vocabulary)
    key = fingerprint(teacher)
    if recipe.resume:
        _check_same_teacher(recipe, key)
    teacher_recognizer = recognizer_of(teacher.engine)
    own, theirs = recognizer.config, teacher_recognizer.config
    emission, wide = None, None
    if recipe.cache:
        kept = _kept(recipe, teacher, train)

        def emission(index: int) -> np.ndarray:
            return kept.read(train.utterances[index])

    else:
        if theirs.fps != own.fps:
            raise InputError(
                f"{recipe.teacher}: it reads {theirs.fps:g} frames/s, the student {own.fps:g}; it cannot be asked "
                "about the student's clips. Pass --cache, which asks it once about each clip at its own rate"
            )
        if (view := wide_view(own.view, theirs.view)) != own.view:
            wide = train.in_view(view)
    data = TaughtDataset(
        train,
        student_outputs=_outputs(recognizer),
        stride=recognizer.stride,
        teacher_step=teacher_recognizer.step_seconds * own.fps,
        teacher_outputs=_outputs(teacher_recognizer),
        teacher_view=theirs.view,
        emission=emission,
        wide=wide,
    )
    record = {
        "path": str(recipe.teacher),
        "fingerprint": key,
        "parameters": teacher_recognizer.num_parameters,
        "dev": dict(teacher.info["dev"]),
        "asked": "once, about clips as recorded" if recipe.cache else "every epoch, about clips as changed at random",
    }
    module = partial(
        DistillationModule,
        teacher=None if recipe.cache else Teacher(teacher_recognizer),
        alone=ConsistencyModule if recipe.consistency else RecognizerModule,
    )
    return Lessons(data, module, {"teacher": record})


def _outputs(recognizer: Recognizer) -> Callable[[int], int]:
    return lambda num_frames: int(recognizer.output_lengths(torch.tensor(num_frames)))


def _kept(recipe: DistillRecipe, teacher: Model, train: UtteranceDataset) -> Emissions:
    """The teacher's emissions of the training split, made where they are missing; every process does its share."""
    world = World.of_environment()
    device = torch.device("cpu")
    if recipe.accelerator != "cpu" and torch.cuda.is_available():
        device = torch.device("cuda", world.rank % max(1, world.local_size))
    total = len(train)
    with progress_bar(disable=world.rank > 0) as bar:
        task = bar.add_task("asking the teacher", total=total, unit="utterances")
        try:
            kept = keep_emissions(
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
                f"{recipe.emissions_folder}: emissions cannot be kept there ({error.strerror}); give a folder of yours "
                "with --emissions"
            ) from None
    log.info("teacher's emissions of %d training utterances: %s", total, kept.folder)
    return kept


def _check_same_teacher(recipe: DistillRecipe, key: str) -> None:
    before = Run.read(recipe.output).info.get("teacher", {}).get("fingerprint")
    if before != key:
        raise InputError(
            f"{recipe.teacher}: not the teacher that the run in {recipe.output} began with (its weights are others); "
            "put that one back, or begin anew with --overwrite"
        )
