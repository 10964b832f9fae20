"""Examples and batches of utterances: reading, caching, augmentation, padding.

`sampling` decides which utterances share a batch. Shapes: B utterances, T frames, P points of the view's subset, S
glosses.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from signloom.anatomy.faces import face_of
from signloom.anatomy.idle_hands import hand_shapes
from signloom.corpus import Corpus, Utterance, Utterances
from signloom.errors import InputError
from signloom.train.augmentation import AugmentationConfig, Parts, augment
from signloom.train.sampling import BucketSampler, Pick, StepSampler
from signloom.vocabulary import Vocabulary

# Clips whose hands serve as shapes of hands at rest and whose faces serve clips without one, hands of each for either
# side, and the most shards that are read for them.
SHAPE_CLIPS, SHAPES_PER_CLIP, SHAPE_SHARDS = 256, 4, 4

__all__ = ["Batch", "BucketSampler", "ClipCache", "Example", "Loader", "UtteranceDataset", "collate"]


@dataclass(frozen=True)
class Batch:
    """Utterances padded to the longest, the input of a training step.

    points: (B, T, P, 3) float32 at the model's frame rate, NaN where missing and in padding.  lengths: (B,) int64.
    targets: (B, S) int64, padded with 0.  target_lengths: (B,) int64.  ids: of the utterances.
    weights: (B,) float32, the weight of each utterance in the mean over the batch (see `sampling.StepSampler`); 0 for
    an utterance that only fills the batch.
    """

    points: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    ids: tuple[str, ...]
    weights: Tensor

    def __post_init__(self) -> None:
        size = len(self.ids)
        tensors = (self.points, self.lengths, self.targets, self.target_lengths, self.weights)
        sizes = tuple(len(tensor) for tensor in tensors)
        if sizes != (size,) * 5 or self.points.ndim != 4:
            raise InputError(f"batch: {size} ids with tensors of {sizes} utterances, points {tuple(self.points.shape)}")
        if int(self.lengths.max()) > self.points.shape[1] or int(self.lengths.min()) < 1:
            raise InputError(f"batch {self.ids}: lengths {self.lengths.tolist()} in {self.points.shape[1]} frames")

    @property
    def num_frames(self) -> int:
        """Frames of the utterances with a weight, without padding."""
        return int(self.lengths[self.weights > 0].sum())

    def mean_per_gloss(self, losses: Tensor) -> Tensor:
        """Returns the weighted mean over utterances of the loss per gloss, from the loss of each utterance, `(B,)`.

        A mean over utterances: long sentences count as much as short ones.
        """
        return (losses / self.target_lengths * self.weights).sum()

    def to(self, device: torch.device) -> Self:
        """Returns the batch with its tensors on a device."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Example:
    """One utterance ready for a batch: points (T, P, 3) float32, target ids (S,), its id.

    weight: in the mean over the batch; None: as much as any other.
    positions: (T,), where each frame lies in the clip as recorded; None if nothing was re-timed.  num_recorded: frames
    of that clip.
    """

    points: np.ndarray
    target: np.ndarray
    id: str
    weight: float | None = None
    positions: np.ndarray | None = None
    num_recorded: int = 0


class ClipCache:
    """Clips of a corpus that were read, in half precision, up to a number of bytes; others are read again each time."""

    def __init__(self, limit: float = 4e9) -> None:
        self.free = limit
        self._clips: dict[tuple[str, str], np.ndarray] = {}

    def get(self, view: str, utterance_id: str) -> np.ndarray | None:
        return self._clips.get((view, utterance_id))

    def add(self, view: str, utterance_id: str, points: np.ndarray) -> None:
        if points.nbytes <= self.free:
            self.free -= points.nbytes
            self._clips[view, utterance_id] = points


class UtteranceDataset(Dataset[Example]):
    """The utterances of a split as examples; landmarks are kept in memory as far as the cache allows.

    targets: ids to learn, by utterance.  lengths: (N,), frames of each utterance at the model's rate, before
    augmentation; known without reading its file.
    frames_needed: returns the fewest input frames that CTC needs for target ids; augmentation leaves at least as many.
    The caller sets `epoch`; seed, epoch and utterance alone determine the augmentation.
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
        cache: ClipCache | None = None,
    ) -> None:
        self.corpus = corpus
        self.utterances = Utterances.of(utterances)
        self.targets = self.utterances.columns.targets(vocabulary)
        self.lengths = self.utterances.columns.frames_at(fps)
        self.view, self.fps = view, fps
        self.augmentation = augmentation
        self.frames_needed = frames_needed
        self.seed = seed
        self.epoch = 0
        self._cache = cache or ClipCache()
        self._parts: Parts | None = None

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def shards(self) -> np.ndarray | None:
        """The shard that holds each utterance of a packed corpus, (N,); None for a folder."""
        shards = self.corpus.shards
        return None if shards is None else shards.numbers(self.utterances.columns.ids)

    def parts(self) -> Parts:
        """Returns hands and faces of some utterances, drawn by the seed alone; read at the first call."""
        if self._parts is None:
            rng = np.random.default_rng((self.seed, len(self)))
            order, shards = rng.permutation(len(self)), self.shards
            if shards is not None:
                order = order[np.isin(shards[order], rng.permutation(np.unique(shards))[:SHAPE_SHARDS])]
            chosen = order[:SHAPE_CLIPS].tolist()
            hands = [hand_shapes(self.points(index), SHAPES_PER_CLIP, rng, view=self.view) for index in chosen]
            faces = [face_of(self.points(index), rng, view=self.view, fps=self.fps) for index in chosen]
            self._parts = Parts(np.concatenate(hands), [face for face in faces if face is not None])
        return self._parts

    def unchanged(self) -> UtteranceDataset:
        """Returns the same utterances without augmentation; both datasets share their cache."""
        other = copy.copy(self)
        other.augmentation = None
        return other

    def in_view(self, view: str) -> UtteranceDataset:
        """Returns the same utterances with the points of another view."""
        other = copy.copy(self)
        other.view, other._parts = view, None
        return other

    def points(self, index: int) -> np.ndarray:
        """Returns the points of an utterance at the model's rate, without augmentation: (T, P, 3) float32."""
        name = self.utterances.columns.ids[index]
        points = self._cache.get(self.view, name)
        if points is None:
            frames = self.corpus.load_view(self.utterances[index], self.view).at(self.fps)
            # Files hold half precision already. Rounding a resampled clip once more is far below the noise, and a clip
            # is the same whether it is kept or not.
            points = frames[0 : len(frames)].astype(np.float16)
            self._cache.add(self.view, name, points)
        return points.astype(np.float32)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Returns a batch of examples of this dataset."""
        return collate(examples)

    def __getitem__(self, item: int | Pick) -> Example:
        index, weight = (item.index, item.weight) if isinstance(item, Pick) else (item, None)
        points, target = self.points(index), self.targets[index]
        num_recorded, positions = len(points), None
        if self.augmentation is not None:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            points, positions = augment(
                points,
                self.augmentation,
                rng,
                subset=self.view,
                min_frames=self.frames_needed(target.tolist()),
                fps=self.fps,
                parts=self.parts() if self.augmentation.resting_hand or self.augmentation.add_face else None,
            )
        return Example(points, target, self.utterances.columns.ids[index], weight, positions, num_recorded)


def collate(examples: Sequence[Example]) -> Batch:
    """Returns a batch of examples, padded with NaN to the longest."""
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
        torch.tensor([1 / len(examples) if example.weight is None else example.weight for example in examples]),
    )


class Loader(DataLoader):
    """Loads the batches of a `StepSampler`; its state, saved by Lightning, is its position within the epoch."""

    def __init__(self, data: Any, sampler: StepSampler) -> None:
        super().__init__(data, batch_sampler=sampler, collate_fn=data.collate)
        self.steps = sampler

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self.steps.position % len(self.steps)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps.start = state["batches"]
