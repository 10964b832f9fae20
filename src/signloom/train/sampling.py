"""Samplers: which utterances form a batch, and which part of it each process works on.

A *step* of the optimiser is a set of utterances, drawn from (seed, epoch) alone. It is divided into as many parts as
processes times accumulated batches. So training sees the same utterances in the same order, however the work is shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

# Batches within which utterances are sorted by length: enough of them for variety, few enough for similar lengths.
STRETCH = 8


@dataclass(frozen=True, slots=True)
class Pick:
    """An utterance of a batch: its index, and its weight in the mean over the batch."""

    index: int
    weight: float


class BucketSampler(Sampler[list[int]]):
    """Batches of utterances of similar length, in an order drawn from (seed, epoch).

    The utterances are shuffled, sorted by length within stretches of `stretch` batches and divided into batches, which
    are shuffled again.

    frames_per_batch: largest number of frames per batch, padding included. Stretches are then fixed: all utterances are
    sorted by length, and each stretch has batches of as many utterances as the limit allows for its longest. Shuffling
    within stretches gives other batches in each epoch, but always the same number. An utterance longer than the limit
    forms a batch of its own.
    parts_per_step: number of parts that a batch is divided into later; the limit holds for a part.

    shards: (N,), the shard that holds each utterance of a packed corpus. Shards are shuffled, and the utterances of
    `window` shards are batched and read before those of the next `window`, so that no more are in use at once. With
    `window` shards or fewer, the batches are those without `shards`.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        stretch: int = STRETCH,
        frames_per_batch: int | None = None,
        parts_per_step: int = 1,
        shards: np.ndarray | None = None,
        window: int = 1,
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size, self.seed, self.shuffle, self.stretch = batch_size, seed, shuffle, stretch
        self.epoch = 0
        self._shards: np.ndarray | None = None
        self._num_shards, self._window = 0, window
        if shards is not None and shuffle and len(names := np.unique(shards)) > window:
            self._shards, self._num_shards = np.searchsorted(names, shards), len(names)
        self._tiers: list[tuple[np.ndarray, int]] | None = None
        if frames_per_batch is not None:
            self._tiers = self._limited(frames_per_batch, parts_per_step)

    def _limited(self, frames: int, parts_per_step: int) -> list[tuple[np.ndarray, int]]:
        """Returns stretches of utterances of similar length, the longest first, each with its batch size."""
        order = np.argsort(-self.lengths, kind="stable")
        # As many batches of every window as there are without shards.
        stretch = self.stretch * max(1, -(-self._num_shards // self._window))
        tiers, start = [], 0
        while start < len(order):
            fitting = max(1, frames // int(self.lengths[order[start]]))
            size = min(self.batch_size, fitting * parts_per_step)
            part = order[start : start + size * stretch]
            tiers.append((part, size))
            start += len(part)
        return tiers

    def __len__(self) -> int:
        if self._tiers is not None:
            return sum(-(-len(part) // size) for part, size in self._tiers)
        return -(-len(self.lengths) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        windows = self._windows()
        batches = []
        for part, size in self._stretches(rng, windows):
            batches += [part[start : start + size] for start in range(0, len(part), size)]
        order = rng.permutation(len(batches)) if self.shuffle else np.arange(len(batches))
        # A batch with utterances of two windows comes between them.
        ends = np.array([(windows[batch].min(), windows[batch].max()) for batch in batches], dtype=np.int64)
        yield from (batches[index].tolist() for index in _sorted(order, 2 * ends[:, 0] + (ends[:, 0] < ends[:, 1])))

    def _windows(self) -> np.ndarray:
        """Returns for each utterance the number of the window that it is read in, (N,) int64: drawn anew in each
        epoch.
        """
        if self._shards is None:
            return np.zeros(len(self.lengths), dtype=np.int64)
        # Apart from the order of utterances, which is the same with and without shards.
        rng = np.random.default_rng((self.seed, self.epoch, len(self.lengths)))
        return (rng.permutation(self._num_shards) // self._window)[self._shards]

    def _stretches(self, rng: np.random.Generator, windows: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
        if self._tiers is not None:
            for part, size in self._tiers:
                yield (_sorted(rng.permutation(part), windows) if self.shuffle else part), size
            return
        order = rng.permutation(len(self.lengths)) if self.shuffle else np.arange(len(self.lengths))
        order = _sorted(order, windows)
        stretch = self.batch_size * self.stretch if self.shuffle else max(1, len(order))
        for start in range(0, len(order), stretch):
            yield _sorted(_sorted(order[start : start + stretch], self.lengths), windows), self.batch_size


def _sorted(numbers: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Returns numbers by their keys, those of equal keys in their order.  keys: of all numbers, from 0 on."""
    return numbers[np.argsort(keys[numbers], kind="stable")]


class StepSampler(Sampler[list[Pick]]):
    """The batches of one process: its parts of every step, `accumulate` of them in a row.

    All processes have the same number of batches. The weights of the utterances make the mean over the parts of a step
    equal to the mean over its utterances, even if the parts differ in size. A part without an utterance repeats one
    with weight 0.

    start: batches to skip at the beginning of the next epoch only, which a resumed run has already trained on.
    position: batches returned in this epoch, skipped ones included.
    """

    def __init__(self, steps: BucketSampler, *, accumulate: int = 1, num_processes: int = 1, rank: int = 0) -> None:
        self.steps = steps
        self.accumulate, self.num_processes, self.rank = accumulate, num_processes, rank
        self.start = self.position = 0

    def __len__(self) -> int:
        return len(self.steps) * self.accumulate

    def set_epoch(self, epoch: int) -> None:
        self.steps.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[Pick]]:
        start, self.start = self.start, 0
        for number, batch in enumerate(part for step in self.steps for part in self._own_parts(step)):
            if number >= start:
                self.position = number + 1
                yield batch

    def _own_parts(self, step: list[int]) -> Iterator[list[Pick]]:
        """Yields this process's batches of a step."""
        ordered = sorted(step, key=lambda index: self.steps.lengths[index])
        weight = self.accumulate * self.num_processes / len(step)
        for part in np.array_split(np.array(ordered), self.accumulate):
            # Every n-th of the sorted utterances, so that all processes get about the same number of frames.
            own = part[self.rank :: self.num_processes].tolist()
            yield [Pick(index, weight) for index in own] or [Pick(ordered[0], 0.0)]
