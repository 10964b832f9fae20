"""Which utterances make a batch, and which part of it each process works on.

A *step* of the optimiser is a set of utterances, drawn from (seed, epoch) alone. It is cut into as many pieces as there
are processes times accumulated batches, so that the same utterances are learnt from in the same order however the work
is shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

# Batches among which utterances are drawn anew in each epoch: enough for chance, few enough for similar lengths.
STRETCH = 8


@dataclass(frozen=True, slots=True)
class Pick:
    """An utterance by its index, and how much it counts in its batch's mean."""

    index: int
    share: float


class BucketSampler(Sampler[list[int]]):
    """Batches of utterances of similar length, in an order drawn from (seed, epoch).

    Shuffled, sorted by length within stretches of `stretch` batches, cut into batches, and these shuffled again.

    frames_per_batch: the most frames a batch may have, padding included. Utterances then meet others of their own
    length only: those of a stretch are neighbours in the order of length, drawn anew in each epoch, and each stretch
    has batches of as many utterances as the budget holds of its longest. So an epoch has always as many batches. An
    utterance longer than the budget is a batch of its own.
    pieces: a batch is cut into this many, and the budget is that of a piece.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        stretch: int = STRETCH,
        frames_per_batch: int | None = None,
        pieces: int = 1,
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size, self.seed, self.shuffle, self.stretch = batch_size, seed, shuffle, stretch
        self.epoch = 0
        self._tiers: list[tuple[np.ndarray, int]] | None = None
        if frames_per_batch is not None:
            self._tiers = self._budgeted(frames_per_batch, pieces)

    def _budgeted(self, frames: int, pieces: int) -> list[tuple[np.ndarray, int]]:
        """Stretches of utterances of similar length, the longest first, each with the size of its batches."""
        order = np.argsort(-self.lengths, kind="stable")
        tiers, start = [], 0
        while start < len(order):
            fitting = max(1, frames // int(self.lengths[order[start]]))
            size = min(self.batch_size, fitting * pieces)
            part = order[start : start + size * self.stretch]
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
        batches = []
        for part, size in self._stretches(rng):
            batches += [part[at : at + size].tolist() for at in range(0, len(part), size)]
        if self.shuffle:
            batches = [batches[at] for at in rng.permutation(len(batches))]
        yield from batches

    def _stretches(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, int]]:
        if self._tiers is not None:
            for part, size in self._tiers:
                yield (rng.permutation(part) if self.shuffle else part), size
            return
        order = rng.permutation(len(self.lengths)) if self.shuffle else np.arange(len(self.lengths))
        stretch = self.batch_size * self.stretch if self.shuffle else max(1, len(order))
        for start in range(0, len(order), stretch):
            part = order[start : start + stretch]
            yield part[np.argsort(self.lengths[part], kind="stable")], self.batch_size


class StepSampler(Sampler[list[Pick]]):
    """The batches of one process: its piece of every step, `accumulate` of them one after the other.

    Every process has as many batches. An utterance's share is such that the mean over the pieces of a step is the mean
    over the step's utterances, also where pieces differ in size; a piece for which no utterance is left repeats one
    that counts nothing.

    start: batches to leave out at the beginning of the next epoch only: a resumed run has been there.
    position: batches handed out in this epoch, those left out included.
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
        for number, batch in enumerate(piece for step in self.steps for piece in self._pieces(step)):
            if number >= start:
                self.position = number + 1
                yield batch

    def _pieces(self, step: list[int]) -> Iterator[list[Pick]]:
        """This process' batches of a step."""
        ordered = sorted(step, key=lambda index: self.steps.lengths[index])
        share = self.accumulate * self.num_processes / len(step)
        for part in np.array_split(np.array(ordered), self.accumulate):
            # Every other one, so that the processes have as many frames.
            own = part[self.rank :: self.num_processes].tolist()
            yield [Pick(index, share) for index in own] or [Pick(ordered[0], 0.0)]
