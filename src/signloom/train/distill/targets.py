"""Training examples of distillation: utterances with the teacher's emissions, or with the points that it needs.

Shapes: B utterances, T frames, T' output frames of the student, J of the teacher, V words.

Teacher and student may differ in view and in stride, and a clip may be re-timed at random. All of this leads to one
matrix per utterance: which teacher frames match each student frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from signloom import layout
from signloom.errors import InputError, plural
from signloom.train.data import Batch, Example, UtteranceDataset, collate
from signloom.train.sampling import Pick

# A teacher frame also matches every student frame that covers at least this share of it.
MIN_OVERLAP = 0.2


@dataclass(frozen=True)
class DistillBatch(Batch):
    """A batch with the data of the teacher.

    matches: (B, T', J) bool, the teacher frames that match each student frame, at least one; none in padding.
    teacher_log_probs: (B, J, V) float32, cached emissions, or None if the teacher predicts during training.
    teacher_points: (B, T, P', 3) float32, then the same clips in the teacher's view; None if that is the student's.
    """

    matches: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))
    teacher_log_probs: Tensor | None = None
    teacher_points: Tensor | None = None


@dataclass(frozen=True)
class DistillExample(Example):
    """One utterance with the data of the teacher, as in `DistillBatch` without B."""

    matches: np.ndarray = field(default_factory=lambda: np.empty((0, 0), dtype=bool))
    teacher_log_probs: np.ndarray | None = None
    teacher_points: np.ndarray | None = None


def frame_edges(positions: np.ndarray, num_frames: int, stride: int, num_outputs: int) -> np.ndarray:
    """Returns the edges of the output frames on the time line of the recorded clip, (num_outputs + 1,).

    positions: (T,), where each frame of the re-timed clip lies in the recorded one (`augmentation.retiming`);
    `arange(T)` if nothing was re-timed.  num_frames: of the recorded clip, whose frame t lasts from t to t + 1.  An
    output frame covers `stride` frames of the re-timed clip, the last one the rest.
    """
    inner = (positions[1:] + positions[:-1]) / 2 + 0.5
    edges = np.concatenate([[0.0], inner, [float(num_frames)]])
    return edges[np.minimum(stride * np.arange(num_outputs + 1), len(positions))]


def matching(edges: np.ndarray, step: float, num_steps: int) -> np.ndarray:
    """Returns which of the teacher's `num_steps` output frames (steps) match each student frame, (N, num_steps) bool.

    A step matches the student frame that it overlaps most, so that no step is lost: the teacher may predict a gloss in
    a single one. It also matches every student frame that covers at least MIN_OVERLAP of it: had the clip begun
    slightly later, the teacher might have predicted the gloss there. A student frame left without a match takes the
    step it overlaps most.

    edges: (N + 1,), of the student frames, rising.  step: length of a step in the same unit; the first begins at 0, the
    last never ends. A student frame of length 0 takes the step at its position.
    """
    if len(edges) < 2 or not step > 0 or num_steps < 1:
        raise InputError(
            f"frames: {plural(len(edges), 'edge')}, {plural(num_steps, 'step')} of {step}; needed 2, 1, and a length "
            "above 0"
        )
    bounds = step * np.arange(num_steps + 1)
    bounds[-1] = max(bounds[-1], edges[-1] + step)
    overlap = np.minimum(edges[1:, None], bounds[1:]) - np.maximum(edges[:-1, None], bounds[:-1])
    overlap = np.maximum(overlap, 0.0)
    matches = overlap >= MIN_OVERLAP * step
    (covered,) = np.nonzero(overlap.any(0))
    matches[overlap[:, covered].argmax(0), covered] = True
    (unmatched,) = np.nonzero(~matches.any(1))
    at_position = np.minimum((edges[:-1] / step).astype(int), num_steps - 1)
    nearest = np.where(overlap.any(1), overlap.argmax(1), at_position)
    matches[unmatched, nearest[unmatched]] = True
    return matches


class DistillDataset(Dataset[Example]):
    """The examples of `data` with the teacher's cached emissions, or with the points that the teacher needs.

    emission: returns the (J, V) log-probabilities of an utterance, by its index, for the clip as recorded. The matches
    follow the re-timing of the clip; other changes (camera, signer, lost hands) affect the student only. None: the
    teacher predicts during training, from the same changed clip as the student.
    wide: the same utterances in a view with the points of both models, needed if the teacher predicts during training
    from another view.
    student_outputs, teacher_outputs: return the number of output frames for a number of frames.
    stride: of the student.  teacher_step: from one output frame of the teacher to the next, in frames at the student's
    rate.
    """

    def __init__(
        self,
        data: UtteranceDataset,
        *,
        student_outputs: Callable[[int], int],
        stride: int,
        teacher_step: float,
        teacher_outputs: Callable[[int], int],
        teacher_view: str,
        emission: Callable[[int], np.ndarray] | None = None,
        wide: UtteranceDataset | None = None,
    ) -> None:
        self.data = data if wide is None else wide
        self.view, self.teacher_view = data.view, teacher_view
        self.student_outputs, self.stride = student_outputs, stride
        self.teacher_step, self.teacher_outputs = teacher_step, teacher_outputs
        self.emission = emission

    @property
    def epoch(self) -> int:
        return self.data.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.data.epoch = epoch

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, item: int | Pick) -> DistillExample:
        example = self.data[item]
        num_frames = len(example.points)
        positions = np.arange(num_frames)
        emission, teacher_points = None, None
        if self.emission is not None:
            emission = self.emission(item.index if isinstance(item, Pick) else item)
            # The teacher saw the clip as recorded, before it was re-timed.
            num_frames = example.num_recorded
            positions = positions if example.positions is None else example.positions
        elif self.teacher_view != self.view:
            teacher_points = example.points[:, _columns(self.data.view, self.teacher_view)]
        num_steps = self.teacher_outputs(num_frames) if emission is None else len(emission)
        edges = frame_edges(positions, num_frames, self.stride, self.student_outputs(len(example.points)))
        points = example.points
        if self.data.view != self.view:
            points = points[:, _columns(self.data.view, self.view)]
        return DistillExample(
            points,
            example.target,
            example.id,
            example.weight,
            matches=matching(edges, self.teacher_step, num_steps),
            teacher_log_probs=emission,
            teacher_points=teacher_points,
        )

    @staticmethod
    def collate(examples: Sequence[DistillExample]) -> DistillBatch:
        """Returns a batch of examples, padded to the longest."""
        base = collate(examples)
        size = len(examples)
        matches = np.zeros((size, *np.max([example.matches.shape for example in examples], axis=0)), dtype=bool)
        emissions, points = None, None
        if (first := examples[0].teacher_log_probs) is not None:
            emissions = np.zeros((size, matches.shape[2], first.shape[1]), dtype=np.float32)
        if (clip := examples[0].teacher_points) is not None:
            points = np.full((size, base.points.shape[1], *clip.shape[1:]), np.nan, dtype=np.float32)
        for row, example in enumerate(examples):
            rows, steps = example.matches.shape
            matches[row, :rows, :steps] = example.matches
            if emissions is not None and example.teacher_log_probs is not None:
                emissions[row, :steps] = example.teacher_log_probs
            if points is not None and example.teacher_points is not None:
                points[row, : len(example.teacher_points)] = example.teacher_points
        return DistillBatch(
            **vars(base),
            matches=torch.from_numpy(matches),
            teacher_log_probs=None if emissions is None else torch.from_numpy(emissions),
            teacher_points=None if points is None else torch.from_numpy(points),
        )


def wide_view(one: str, other: str) -> str:
    """Returns the one of two views that holds the points of both. Raises InputError if neither does."""
    for wide, narrow in ((one, other), (other, one)):
        if set(layout.subset(narrow).tolist()) <= set(layout.subset(wide).tolist()):
            return wide
    raise InputError(f"views {one!r} and {other!r}: neither holds the points of the other")


@cache
def _columns(wide: str, view: str) -> np.ndarray:
    """Returns the indices of the points of `view` among those of `wide`, in the order of `view`."""
    columns = {point: column for column, point in enumerate(layout.subset(wide).tolist())}
    return np.array([columns[point] for point in layout.subset(view).tolist()])
