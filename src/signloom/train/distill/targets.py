"""Utterances with what a teacher says of them, or sees of them, at the student's output frames.

Shapes: B utterances, T frames, T' output frames of the student, J of the teacher, V words.

Teacher and student may differ in view and in stride, and a clip may be re-timed at random. All of it comes down to one
matrix for each utterance: which teacher frames match each student frame.
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
from signloom.errors import InputError
from signloom.train.augmentation import retiming
from signloom.train.data import Batch, Example, UtteranceDataset, collate
from signloom.train.sampling import Pick

# The share of a teacher's frame from which on it matches a student's that is not the one which holds most of it.
HELD = 0.2


@dataclass(frozen=True)
class TaughtBatch(Batch):
    """A batch with its teacher's part.

    matches: (B, T', J) bool, the teacher's frames that match each student frame, at least one; none in padding.
    teacher_log_probs: (B, J, V) float32, emissions that were kept; else None, and
    teacher_points: (B, T, P', 3) float32, the same clips in the teacher's view, None where that is the student's.
    """

    matches: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))
    teacher_log_probs: Tensor | None = None
    teacher_points: Tensor | None = None

    def to(self, device: torch.device) -> TaughtBatch:
        def moved(part: Tensor | None) -> Tensor | None:
            return None if part is None else part.to(device)

        base = super().to(device)
        return TaughtBatch(
            **{name: getattr(base, name) for name in Batch.__dataclass_fields__},
            matches=self.matches.to(device),
            teacher_log_probs=moved(self.teacher_log_probs),
            teacher_points=moved(self.teacher_points),
        )


@dataclass(frozen=True)
class TaughtExample(Example):
    """One utterance with its teacher's part, as in `TaughtBatch` without B."""

    matches: np.ndarray = field(default_factory=lambda: np.empty((0, 0), dtype=bool))
    teacher_log_probs: np.ndarray | None = None
    teacher_points: np.ndarray | None = None


def frame_edges(positions: np.ndarray, num_frames: int, stride: int, num_outputs: int) -> np.ndarray:
    """Where output frames begin and end on the time line of the clip a re-timed one was made of, (num_outputs + 1,).

    positions: (T,), where each frame of the re-timed clip lies in the clip (`augmentation.retiming`); `arange(T)` where
    nothing was changed.  num_frames: of the clip, whose frame t takes up t to t + 1.  An output frame takes up `stride`
    frames of the re-timed clip, the last one what is left.
    """
    inner = (positions[1:] + positions[:-1]) / 2 + 0.5
    edges = np.concatenate([[0.0], inner, [float(num_frames)]])
    return edges[np.minimum(stride * np.arange(num_outputs + 1), len(positions))]


def matching(edges: np.ndarray, step: float, num_steps: int) -> np.ndarray:
    """Which of `num_steps` steps match each frame, (N, num_steps) bool; at least one does.

    A step matches the frame that holds most of it, so that what a teacher says in one frame alone, as it does of a
    gloss, is never lost, and every other frame that holds at least HELD of it: which of two it would have said it in,
    had the clip begun a little later, nobody knows. A frame that no step matches so takes the one it holds most of.

    edges: (N + 1,), where the frames begin and end, rising.  step: the length of a step in the same unit; the first
    begins at 0, the last goes on for ever. A frame without length lies in the step it stands in.
    """
    if len(edges) < 2 or not step > 0 or num_steps < 1:
        raise InputError(f"frames: {len(edges)} edges, {num_steps} steps of {step}; needed 2, 1, and a length above 0")
    bounds = step * np.arange(num_steps + 1)
    bounds[-1] = max(bounds[-1], edges[-1] + step)
    shared = np.minimum(edges[1:, None], bounds[1:]) - np.maximum(edges[:-1, None], bounds[:-1])
    shared = np.maximum(shared, 0.0)
    matches = shared >= HELD * step
    (reached,) = np.nonzero(shared.any(0))
    matches[shared[:, reached].argmax(0), reached] = True
    (alone,) = np.nonzero(~matches.any(1))
    stands = np.minimum((edges[:-1] / step).astype(int), num_steps - 1)
    nearest = np.where(shared.any(1), shared.argmax(1), stands)
    matches[alone, nearest[alone]] = True
    return matches


class TaughtDataset(Dataset[Example]):
    """The examples of `data` with their teacher's part, by kept emissions or by the teacher's own view of the clip.

    emission: (J, V) log-probabilities of an utterance by its index, unchanged as stored. A clip that was re-timed has
    them re-timed alike; other changes (camera, signer, lost hands) are for the student only: the teacher has seen the
    clip as it was recorded. None: the teacher is to be asked, and gets the very clip that the student gets.
    wide: the same utterances in a view that holds the points of both, where the teacher is asked and its view is
    another.
    student_outputs, teacher_outputs: output frames for a number of frames.
    stride: of the student.  teacher_step: from one output frame of the teacher to the next, in frames of the student's
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

    def num_frames(self, index: int) -> int:
        return self.data.num_frames(index)

    def __getitem__(self, item: int | Pick) -> TaughtExample:
        example = self.data[item]
        index = item.index if isinstance(item, Pick) else item
        num_outputs = self.student_outputs(len(example.points))
        kept = None if self.emission is None else self.emission(index)
        if kept is None:
            positions, num_frames = np.arange(len(example.points)), len(example.points)
            num_steps = self.teacher_outputs(num_frames)
        else:
            positions, num_frames = self._positions(index)
            num_steps = len(kept)
        edges = frame_edges(positions, num_frames, self.stride, num_outputs)
        points, seen = example.points, None
        if self.data.view != self.view:
            points = example.points[:, _positions_in(self.data.view, self.view)]
        if kept is None and self.teacher_view != self.view:
            seen = example.points[:, _positions_in(self.data.view, self.teacher_view)]
        matches = matching(edges, self.teacher_step, num_steps)
        return TaughtExample(points, example.target, example.id, example.share, matches, kept, seen)

    def _positions(self, index: int) -> tuple[np.ndarray, int]:
        """Where each frame of this epoch's example lies in the utterance, and the utterance's frames."""
        data = self.data
        num_frames = len(data.points(index))
        if data.augmentation is None:
            return np.arange(num_frames), num_frames
        rng = np.random.default_rng((data.seed, data.epoch, index))
        needed = data.frames_needed(data.targets[index].tolist())
        return retiming(num_frames, data.augmentation, rng, min_frames=needed, fps=data.fps), num_frames

    @staticmethod
    def collate(examples: Sequence[TaughtExample]) -> TaughtBatch:
        """A batch of examples, padded to the longest."""
        base = collate(examples)
        size = len(examples)
        matches = np.zeros((size, *np.max([example.matches.shape for example in examples], axis=0)), dtype=bool)
        emissions, views = None, None
        if (first := examples[0].teacher_log_probs) is not None:
            emissions = np.zeros((size, matches.shape[2], first.shape[1]), dtype=np.float32)
        if (seen := examples[0].teacher_points) is not None:
            views = np.full((size, base.points.shape[1], *seen.shape[1:]), np.nan, dtype=np.float32)
        for row, example in enumerate(examples):
            rows, steps = example.matches.shape
            matches[row, :rows, :steps] = example.matches
            if emissions is not None and example.teacher_log_probs is not None:
                emissions[row, :steps] = example.teacher_log_probs
            if views is not None and example.teacher_points is not None:
                views[row, : len(example.teacher_points)] = example.teacher_points
        return TaughtBatch(
            **{name: getattr(base, name) for name in Batch.__dataclass_fields__},
            matches=torch.from_numpy(matches),
            teacher_log_probs=None if emissions is None else torch.from_numpy(emissions),
            teacher_points=None if views is None else torch.from_numpy(views),
        )


def wide_view(one: str, other: str) -> str:
    """The view that holds the points of both. Raises InputError where neither does."""
    for wide, narrow in ((one, other), (other, one)):
        if set(layout.subset(narrow).tolist()) <= set(layout.subset(wide).tolist()):
            return wide
    raise InputError(f"views {one!r} and {other!r}: neither holds the points of the other")


@cache
def _positions_in(wide: str, view: str) -> np.ndarray:
    """Where the points of `view` stand among those of `wide`, in the order of `view`."""
    place = {point: at for at, point in enumerate(layout.subset(wide).tolist())}
    return np.array([place[point] for point in layout.subset(view).tolist()])
