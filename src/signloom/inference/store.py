"""The store of a model: features of utterances of its corpus, from which `signloom enrol` keeps what the model knows.

An enrolment trains the last layers of a model, and has no corpus. A store gives it what these layers take: of some
training utterances to rehearse, of some dev utterances to measure what is lost. The store of a run holds the input of
the layers after the convolutional body, that of an exported model the input of the classifier. A byte holds a feature:
of the student, a megabyte is about a quarter of an hour of signing in a run, and six minutes in an exported model.
Features are made from people's landmarks: a store is written only where somebody asks for it.

Shapes: U utterances, N output frames of all of them, C features, S glosses of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, NamedTuple

import numpy as np
from msgspec import Meta, Struct

from signloom.errors import InputError, plural
from signloom.vocabulary import UNKNOWN_ID

# Tensors of a model file whose names begin so are the store's.
PREFIX = "store."
# The most that a store may take: enough to measure half a point of WER, and a small part of a model's own size.
MOST_MEGABYTES = 2.0
# Levels of a feature between its least and its greatest value.
_LEVELS = 255
_DTYPES = {"features": np.uint8, "low": np.float32, "step": np.float32, "lengths": np.int32}
_DTYPES |= {"targets": np.int32, "target_lengths": np.int32}


class FeatureExample(NamedTuple):
    """Features of one utterance (T', C) float32, the input of the layers that an enrolment trains, and its target."""

    features: np.ndarray
    target: list[int]


class StoreHeader(Struct):
    """What the header of a model file says of its store."""

    num_train: Annotated[int, Meta(ge=0, le=1_000_000)]


@dataclass(frozen=True)
class Store:
    """Features in one byte each: `low + step * features`.

    features: (N, C) uint8.  low, step: (C,) float32.  lengths: (U,) int32, output frames.
    targets: (S,) int32, ids of the model's glosses, the unknown one among them.  target_lengths: (U,) int32.
    num_train: so many utterances are of train; the others, of dev, measure.
    """

    features: np.ndarray
    low: np.ndarray
    step: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray
    target_lengths: np.ndarray
    num_train: int

    @classmethod
    def of(cls, train: Sequence[FeatureExample], dev: Sequence[FeatureExample]) -> Store:
        """Returns the store of at least one utterance."""
        examples = [*train, *dev]
        values = np.concatenate([example.features for example in examples]).astype(np.float32)
        low = values.min(0)
        step = (values.max(0) - low) / _LEVELS
        levels = (values - low) / np.where(step > 0, step, 1)
        return cls(
            features=levels.round().astype(np.uint8),
            low=low,
            step=step.astype(np.float32),
            lengths=np.array([len(example.features) for example in examples], np.int32),
            targets=np.array([word for example in examples for word in example.target], np.int32),
            target_lengths=np.array([len(example.target) for example in examples], np.int32),
            num_train=len(train),
        )

    @staticmethod
    def array(name: str, data: bytes) -> np.ndarray:
        """Returns a tensor of a store from its bytes, in one row. Raises KeyError and ValueError for another one."""
        return np.frombuffer(data, _DTYPES[name])

    @property
    def train(self) -> list[FeatureExample]:
        """The utterances to rehearse."""
        return list(self._examples(slice(0, self.num_train)))

    @property
    def dev(self) -> list[FeatureExample]:
        """The utterances to measure on."""
        return list(self._examples(slice(self.num_train, len(self))))

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def num_features(self) -> int:
        """C."""
        return self.features.shape[1]

    def mapped(self, change: Callable[[FeatureExample], np.ndarray], most_megabytes: float) -> Store | None:
        """Returns the store of the features that `change` returns for each utterance; None if none fits.

        If not all fit into `most_megabytes`, the first ones of train and of dev are kept, in the same proportion.
        """
        parts = [[item._replace(features=change(item)) for item in part] for part in (self.train, self.dev)]
        while any(parts):
            result = Store.of(*parts)
            if result.megabytes <= most_megabytes:
                return result
            # A little less than would fit on average: utterances differ in length.
            share = 0.98 * most_megabytes / result.megabytes
            parts = [part[: int(len(part) * share)] for part in parts]
        return None

    @property
    def megabytes(self) -> float:
        """The size in the model file."""
        return sum(tensor.nbytes for tensor in self.tensors().values()) / 1e6

    def tensors(self) -> dict[str, np.ndarray]:
        """Returns what a model file keeps of the store besides the header, by name."""
        return {f"{PREFIX}{item.name}": getattr(self, item.name) for item in fields(self) if item.name in _DTYPES}

    def header(self) -> dict[str, Any]:
        """Returns what the header of a model file says of the store: the record of `StoreHeader`."""
        return {"num_train": self.num_train}

    @classmethod
    def read(cls, header: StoreHeader, tensors: Mapping[str, np.ndarray], num_words: int) -> Store:
        """Returns the store that `tensors` and `header` describe, for a vocabulary of `num_words`.

        Features may be in one row: the range of each says how many there are.

        Raises InputError for tensors of another type or shape, for values out of range, and for a store that is larger
        than any that signloom writes.
        """
        values: dict[str, np.ndarray] = {}
        for name, dtype in _DTYPES.items():
            tensor = tensors.get(f"{PREFIX}{name}")
            num_axes = 2 if name == "features" else 1
            if tensor is not None and name == "features" and tensor.ndim == 1:
                tensor = _in_rows(tensor, tensors.get(f"{PREFIX}low"))
            if tensor is None or tensor.dtype != dtype or tensor.ndim != num_axes:
                found = "nothing" if tensor is None else f"{tensor.dtype} of shape {tensor.shape}"
                raise InputError(f"{name} is {found}; needed {np.dtype(dtype)} with {plural(num_axes, 'axis', 'axes')}")
            values[name] = tensor
        store = cls(**values, num_train=header.num_train)
        store._check(num_words)
        return store

    def _check(self, num_words: int) -> None:
        """Raises InputError naming the first thing in which the parts contradict each other."""
        count, num_features = self.features.shape
        if not (len(self.low) == len(self.step) == num_features and num_features):
            raise InputError(f"{num_features} features, but ranges of {len(self.low)} and {len(self.step)}")
        if not (np.isfinite(self.low).all() and np.isfinite(self.step).all() and (self.step >= 0).all()):
            raise InputError("ranges of features that are not finite, or end before they start")
        if not (0 < len(self) == len(self.target_lengths) and self.num_train <= len(self)):
            raise InputError(
                f"{plural(len(self), 'utterance')}, {len(self.target_lengths)} of them with glosses, {self.num_train} "
                "for training; needed the same utterances"
            )
        for name, lengths, total in (
            ("output frames", self.lengths, count),
            ("glosses", self.target_lengths, len(self.targets)),
        ):
            if lengths.min() < 1 or int(lengths.sum(dtype=np.int64)) != total:
                raise InputError(f"{total} {name}, but utterances of {int(lengths.sum(dtype=np.int64))}")
        if self.targets.min() < UNKNOWN_ID or self.targets.max() >= num_words:
            raise InputError(f"glosses with ids of {self.targets.min()} to {self.targets.max()}; there are {num_words}")
        if self.megabytes > MOST_MEGABYTES:
            raise InputError(f"{self.megabytes:.1f} MB; needed at most {MOST_MEGABYTES:g}")

    def _examples(self, part: slice) -> Iterator[FeatureExample]:
        frames = np.cumsum([0, *self.lengths])
        words = np.cumsum([0, *self.target_lengths])
        for index in range(len(self))[part]:
            features = self.low + self.step * self.features[frames[index] : frames[index + 1]]
            yield FeatureExample(features.astype(np.float32), self.targets[words[index] : words[index + 1]].tolist())


def _in_rows(features: np.ndarray, low: np.ndarray | None) -> np.ndarray:
    """Returns features (N * C,) as (N, C), or as they are where they have no C ranges each."""
    num_features = 0 if low is None else low.size
    return features.reshape(-1, num_features) if num_features and features.size % num_features == 0 else features
