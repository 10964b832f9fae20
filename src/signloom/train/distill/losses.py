"""Losses of distillation: what the student's output is compared with, and how.

Shapes: B utterances, T' output frames of the student, J output frames of the teacher, V words.

The teacher's frames say when a gloss is signed, with what probability, and which other glosses look alike. The
reference says none of this. The student learns the teacher's distribution in every frame, and the reference by CTC.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from signloom.errors import InputError
from signloom.model.recognizer import Recognizer
from signloom.train.data import Batch
from signloom.train.distill.targets import DistillBatch
from signloom.train.losses import Losses, LossFunction
from signloom.vocabulary import BLANK_ID


def at_student_frames(teacher_log_probs: Tensor, matches: Tensor) -> Tensor:
    """Returns the teacher's log-probabilities at the student's frames, (B, T', V).

    Of the teacher's frames that match, takes the one with the lowest probability of blank, never a mean of several: CTC
    models predict a gloss in one frame with blank on both sides, and the mean, half a gloss and half a blank, would
    teach the student to predict nothing.
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
    """Returns `T^2 * KL(teacher_T || student_T)` of each utterance `(B,)`, the mean over its valid output frames.

    log_probs: (B, T', V) of the student.  lengths: (B,) of it; later frames are ignored.
    teacher_log_probs: (B, J, V), gets no gradient.  matches: (B, T', J), see `DistillBatch`.
    T^2 keeps the gradient of the order of that at temperature 1, since softening divides it by T^2.
    Minimum: 0, where the student predicts what the teacher predicts.
    Source: Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", section 2.

    leave_out_blank: compare non-blank probabilities only, renormalised on both sides. The weight of a frame is the
    teacher's non-blank probability at temperature 1; the mean is over these weights, divided by at least 1. Where the
    teacher is sure of blank, its other probabilities are the least reliable, and softening would amplify them. This
    loss does not say when a gloss is signed: that is left to CTC.
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
    # Rounding can make the divergence of equal distributions slightly negative.
    divergence = divergence.clamp(min=0).masked_fill(~valid, 0.0)
    return temperature**2 * (divergence * weights).sum(1) / weights.sum(1).clamp(min=1.0)


@dataclass(frozen=True)
class Teacher:
    """A trained recogniser that only predicts: in evaluation mode, without gradients.

    It is no submodule of the Lightning module, so no optimiser, checkpoint or change of mode includes it.
    """

    recognizer: Recognizer

    def __post_init__(self) -> None:
        self.recognizer.eval().requires_grad_(False)

    @torch.no_grad()
    def log_probs(self, points: Tensor, lengths: Tensor) -> Tensor:
        """Returns log-probabilities (B, J, V) of clips (B, T, P', 3), on the device of the clips."""
        log_probs, _ = self.recognizer.eval().to(points.device)(points, lengths)
        return log_probs


def distillation_losses(
    recognizer: Recognizer,
    batch: Batch,
    *,
    hard: LossFunction,
    teacher: Teacher | None,
    soft_weight: float,
    temperature: float,
    leave_out_blank: bool,
) -> Losses:
    """Returns `soft_weight * soft loss + (1 - soft_weight) * hard loss`.

    hard: the loss against the reference (CTC, with an auxiliary head or consistency between two views).  teacher: None
    if its emissions are in the batch. If the student sees several views of a clip, each is compared with the teacher's
    prediction for the whole clip.

    The hard loss is divided by the number of glosses later; the soft loss, a mean over output frames, is not. So
    neither grows with the length of an utterance.
    """
    if not isinstance(batch, DistillBatch):
        raise InputError("distillation: the batch has no data of the teacher; needed one of a DistillDataset")
    against_reference = hard(recognizer, batch)
    heads = against_reference.heads
    num_views = len(heads.log_probs) // len(batch.ids)
    soft = soft_loss(
        heads.log_probs,
        heads.lengths,
        _teacher_log_probs(teacher, batch).repeat(num_views, 1, 1),
        batch.matches.repeat(num_views, 1, 1),
        temperature=temperature,
        leave_out_blank=leave_out_blank,
    )
    # Cancels the division by the number of glosses.
    soft = soft.view(num_views, -1).mean(0) * batch.target_lengths
    return against_reference._replace(total=soft_weight * soft + (1 - soft_weight) * against_reference.total)


def _teacher_log_probs(teacher: Teacher | None, batch: DistillBatch) -> Tensor:
    """Returns the teacher's log-probabilities (B, J, V): those in the batch, or computed now."""
    if batch.teacher_log_probs is not None:
        return batch.teacher_log_probs
    if teacher is None:
        raise InputError("distillation: neither emissions of the teacher nor a teacher; needed one of them")
    return teacher.log_probs(batch.points if batch.teacher_points is None else batch.teacher_points, batch.lengths)
