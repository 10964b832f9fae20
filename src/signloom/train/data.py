"""Utterances to batches: reading, caching, augmentation. Which utterances share a batch is decided in `sampling`.

Shapes: B utterances, T frames, P points of the view's subset, S glosses.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from signloom.corpus import Corpus, Utterance
from signloom.errors import InputError
from signloom.train.augmentation import AugmentationConfig, augment
from signloom.train.sampling import BucketSampler, Pick, StepSampler
from signloom.vocabulary import Vocabulary

__all__ = ["Batch", "BucketSampler", "Example", "Loader", "UtteranceDataset", "collate"]


@dataclass(frozen=True)
class Batch:
    """What a training step takes.

    points: (B, T, P, 3) float32 at the model's frame rate, NaN where missing and in padding.  lengths: (B,) int64.
    targets: (B, S) int64, padded with 0.  target_lengths: (B,) int64.  ids: of the utterances.
    shares: (B,) float32, how much each counts in the batch's mean (see `sampling.StepSampler`); 0 for one that only
    fills the batch.
    """

    points: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    ids: tuple[str, ...]
    shares: Tensor

    def __post_init__(self) -> None:
        size = len(self.ids)
        shapes = tuple(
            len(part) for part in (self.points, self.lengths, self.targets, self.target_lengths, self.shares)
        )
        if shapes != (size,) * 5 or self.points.ndim != 4:
            raise InputError(
                f"batch: {size} ids with tensors of {shapes} utterances, points {tuple(self.points.shape)}"
            )
        if int(self.lengths.max()) > self.points.shape[1] or int(self.lengths.min()) < 1:
            raise InputError(f"batch {self.ids}: lengths {self.lengths.tolist()} in {self.points.shape[1]} frames")

    @property
    def num_frames(self) -> int:
        """Frames without padding, of the utterances that count."""
        return int(self.lengths[self.shares > 0].sum())

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a value for each utterance `(B,)`, each by its share."""
        return (values * self.shares).sum()

    def to(self, device: torch.device) -> Batch:
        return Batch(
            self.points.to(device),
            self.lengths.to(device),
            self.targets.to(device),
            self.target_lengths.to(device),
            self.ids,
            self.shares.to(device),
        )


@dataclass(frozen=True)
class Example:
    """One utterance ready for a batch: points (T, P, 3) float32, target ids (S,), its id.

    share: how much it counts in its batch; as much as any other where None.
    """

    points: np.ndarray
    target: np.ndarray
    id: str
    share: float | None = None


class UtteranceDataset(Dataset[Example]):
    """The utterances of a split as examples; landmarks are read once and kept in memory in half precision.

    `frames_needed` gives, for target ids, the fewest input frames that CTC can align them with, which augmentation
    keeps to. `epoch` is set by the caller; it decides, with the seed and the utterance, every random choice.
    """

    def __init__(
        self,
        corpus: Corpus,
        utterances: Sequence[Utterance],
        vocabulary: Vocabulary,
        *,
        view: str,
        fps: float,
        augmentation: AugmentationConfig | None = None,
        frames_needed: Callable[[Sequence[int]], int] = len,
        seed: int = 0,
        cache: bool = True,
    ) -> None:
        self.corpus = corpus
        self.utterances = list(utterances)
        self.targets = [np.array(vocabulary.encode(item.glosses), dtype=np.int64) for item in self.utterances]
        self.view, self.fps = view, fps
        self.augmentation = augmentation
        self.frames_needed = frames_needed
        self.seed = seed
        self.epoch = 0
        self._cache: dict[int, np.ndarray] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.utterances)

    def unchanged(self) -> UtteranceDataset:
        """The same utterances without augmentation; what either has read, both have."""
        other = copy.copy(self)
        other.augmentation = None
        return other

    def in_view(self, view: str) -> UtteranceDataset:
        """The same utterances with the points of another view."""
        other = copy.copy(self)
        other.view = view
        other._cache = None if self._cache is None else {}
        return other

    def num_frames(self, index: int) -> int:
        """Frames of an utterance at the model's rate, before augmentation, without reading it."""
        utterance = self.utterances[index]
        return max(1, round(utterance.num_frames * self.fps / utterance.fps))

    def points(self, index: int) -> np.ndarray:
        """(T, P, 3) float32 at the model's rate, as stored."""
        if self._cache is not None and index in self._cache:
            return self._cache[index].astype(np.float32)
        points = self.corpus.load(self.utterances[index]).resampled(self.fps).select(self.view)
        if self._cache is not None:
            # Files hold half precision already; a clip that was resampled is rounded once more, far below the noise.
            self._cache[index] = points.astype(np.float16)
        return points

    def collate(self, examples: Sequence[Example]) -> Batch:
        """A batch of some of these examples."""
        return collate(examples)

    def __getitem__(self, item: int | Pick) -> Example:
        index, share = (item.index, item.share) if isinstance(item, Pick) else (item, None)
        points, target = self.points(index), self.targets[index]
        if self.augmentation is not None:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            points = augment(
                points,
                self.augmentation,
                rng,
                subset=self.view,
                min_frames=self.frames_needed(target.tolist()),
                fps=self.fps,
            )
        return Example(points, target, self.utterances[index].id, share)


def collate(examples: Sequence[Example]) -> Batch:
    """A batch of examples, padded with NaN to the longest."""
    lengths = [len(example.points) for example in examples]
    points = np.empty((len(examples), max(lengths), *examples[0].points.shape[1:]), dtype=np.float32)
    targets = np.zeros((len(examples), max(len(example.target) for example in examples)), dtype=np.int64)
    for row, example in enumerate(examples):
        points[row, : lengths[row]] = example.points
        points[row, lengths[row] :] = np.nan
        targets[row, : len(example.target)] = example.target
    return Batch(
        torch.from_numpy(points),
        torch.tensor(lengths),
        torch.from_numpy(targets),
        torch.tensor([len(example.target) for example in examples]),
        tuple(example.id for example in examples),
        torch.tensor([1 / len(examples) if example.share is None else example.share for example in examples]),
    )


class Loader(DataLoader):
    """The batches of a `StepSampler`; its state is how far it has come in its epoch, for Lightning to keep."""

    def __init__(self, data: Any, sampler: StepSampler) -> None:
        super().__init__(data, batch_sampler=sampler, collate_fn=data.collate)
        self.steps = sampler

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self.steps.position % len(self.steps)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps.start = state["batches"]
