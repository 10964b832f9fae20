"""What a manifest says of all its utterances, as arrays: a few dozen bytes per utterance where objects take a thousand.

Shapes: N utterances.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from signloom.corpus.utterance import SPLITS, Utterance
from signloom.vocabulary import UNKNOWN_ID, Vocabulary

# The code of a signer whom the source does not name.
NOBODY = -1


@dataclass(frozen=True)
class Ragged:
    """Lists of different lengths in one array: list k is `values[starts[k] : starts[k + 1]]`.

    values: of all lists, one after the other.  starts: (N + 1,) int64, from 0 to the number of values.
    """

    values: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        return self.values[self.starts[index] : self.starts[index + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    @property
    def counts(self) -> np.ndarray:
        """The length of each list, (N,)."""
        return np.diff(self.starts)

    def take(self, rows: np.ndarray) -> Ragged:
        """Returns the lists of some rows, in their order."""
        counts = self.counts[rows]
        starts = starts_of(counts)
        places = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], counts)
        return Ragged(self.values[places], starts)

    def rows(self) -> np.ndarray:
        """Returns for each value the number of its list."""
        return np.repeat(np.arange(len(self)), self.counts)


@dataclass(frozen=True)
class Texts:
    """Texts in one array of bytes, as UTF-8: text k is `data[starts[k] : ends[k]]`. Some of them share it with all."""

    data: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Returns texts as one array."""
        parts = [text.encode() for text in texts]
        starts = starts_of(np.array([len(part) for part in parts], dtype=np.int64))
        return cls(np.frombuffer(b"".join(parts), np.uint8), starts[:-1], starts[1:])

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> str:
        return self.data[self.starts[index] : self.ends[index]].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        data = self.data.tobytes()
        places = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return (data[start:end].decode() for start, end in places)

    def take(self, rows: np.ndarray) -> Texts:
        """Returns some of the texts, in their order."""
        return Texts(self.data, self.starts[rows], self.ends[rows])


def starts_of(counts: np.ndarray) -> np.ndarray:
    """Returns where lists of these lengths start, and the end of the last, (N + 1,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


@dataclass(frozen=True)
class Columns:
    """The entries of N utterances.

    splits: (N,), numbers of `SPLITS`.  signers: (N,), numbers of `people`, NOBODY where the
    source does not say.  num_frames, fps: (N,).  glosses: numbers of `words`.  others: places, as in `Utterance`.
    people, words: names of signers and glosses, each once; some of them may be of other utterances.
    """

    ids: Texts
    landmarks: Texts
    splits: np.ndarray
    signers: np.ndarray
    num_frames: np.ndarray
    fps: np.ndarray
    glosses: Ragged
    others: Ragged
    people: tuple[str, ...]
    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.splits)

    def take(self, rows: np.ndarray) -> Columns:
        """Returns the entries of some utterances, in the order of `rows`."""
        taken: dict[str, Any] = {
            name: value[rows] if isinstance(value, np.ndarray) else value.take(rows)
            for name, value in ((item.name, getattr(self, item.name)) for item in fields(self))
            if isinstance(value, np.ndarray | Ragged | Texts)
        }
        return Columns(**taken, people=self.people, words=self.words)

    @cached_property
    def seconds(self) -> np.ndarray:
        """The duration of each utterance, (N,)."""
        return self.num_frames / self.fps

    def frames_at(self, fps: float) -> np.ndarray:
        """Returns the frames of each utterance at a rate, (N,) int64, at least 1."""
        return np.maximum(1, np.rint(self.num_frames * fps / self.fps)).astype(np.int64)

    def words_used(self) -> list[str]:
        """Returns the glosses that occur, each once."""
        return [self.words[number] for number in np.unique(self.glosses.values)]

    def gloss_counts(self) -> dict[str, int]:
        """Returns how often each gloss occurs, those that do in the order in which they first do."""
        numbers, first, counts = np.unique(self.glosses.values, return_index=True, return_counts=True)
        order = np.argsort(first)
        return {self.words[number]: int(count) for number, count in zip(numbers[order], counts[order], strict=True)}

    def signer_counts(self) -> dict[str | None, int]:
        """Returns how many utterances each signer has, in the order in which they first occur."""
        numbers, first, counts = np.unique(self.signers, return_index=True, return_counts=True)
        order = np.argsort(first)
        return {self._signer(number): int(count) for number, count in zip(numbers[order], counts[order], strict=True)}

    def sentences(self) -> Iterator[tuple[str, ...]]:
        """Yields the glosses of each utterance."""
        words, numbers, starts = self.words, self.glosses.values.tolist(), self.glosses.starts.tolist()
        for start, end in pairwise(starts):
            yield tuple([words[number] for number in numbers[start:end]])

    def targets(self, vocabulary: Vocabulary) -> Ragged:
        """Returns what a model learns for each utterance, see `Utterance.target`: ids as int64."""
        lookup = np.array(vocabulary.encode(self.words), dtype=np.int64)
        values = lookup[self.glosses.values]
        if not len(self.others.values):
            return Ragged(values, self.glosses.starts)
        places = self.glosses.starts[self.others.rows()] + self.others.values
        return Ragged(np.insert(values, places, UNKNOWN_ID), self.glosses.starts + self.others.starts)

    def agrees(self, row: int, utterance: Utterance) -> bool:
        """Returns whether the columns say the same of an utterance as itself."""
        return (
            self.ids[row] == utterance.id
            and self.landmarks[row] == utterance.landmarks
            and SPLITS[self.splits[row]] == utterance.split
            and self._signer(self.signers[row]) == utterance.signer
            and self.num_frames[row] == utterance.num_frames
            and self.fps[row] == utterance.fps
            and tuple(self.words[number] for number in self.glosses[row]) == utterance.glosses
            and tuple(self.others[row].tolist()) == utterance.others
        )

    def _signer(self, number: int) -> str | None:
        return None if number == NOBODY else self.people[number]


class ColumnsBuilder:
    """Gathers the entries of utterances, one after the other."""

    def __init__(self) -> None:
        self._texts = {name: bytearray() for name in ("ids", "landmarks")}
        self._ends = {name: array("q", [0]) for name in ("ids", "landmarks", "glosses", "others")}
        self._numbers = {name: array("i") for name in ("splits", "signers", "num_frames", "glosses", "others")}
        self._fps = array("d")
        self._people: dict[str, int] = {}
        self._words: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._fps)

    def add(self, utterance: Utterance) -> None:
        """Adds the entries of an utterance."""
        for name, text in (("ids", utterance.id), ("landmarks", utterance.landmarks)):
            self._texts[name] += text.encode()
            self._ends[name].append(len(self._texts[name]))
        numbers, words, people = self._numbers, self._words, self._people
        numbers["splits"].append(SPLITS.index(utterance.split))
        signer = utterance.signer
        numbers["signers"].append(NOBODY if signer is None else people.setdefault(signer, len(people)))
        numbers["num_frames"].append(utterance.num_frames)
        self._fps.append(utterance.fps)
        numbers["glosses"].extend([words.setdefault(gloss, len(words)) for gloss in utterance.glosses])
        self._ends["glosses"].append(len(numbers["glosses"]))
        numbers["others"].extend(utterance.others)
        self._ends["others"].append(len(numbers["others"]))

    def build(self) -> Columns:
        """Returns the columns of all that was added."""
        starts = {name: np.array(ends, np.int64) for name, ends in self._ends.items()}
        texts = {
            name: Texts(np.frombuffer(text, np.uint8), starts[name][:-1], starts[name][1:])
            for name, text in self._texts.items()
        }
        lists = {name: Ragged(np.array(self._numbers[name], np.int32), starts[name]) for name in ("glosses", "others")}
        return Columns(
            ids=texts["ids"],
            landmarks=texts["landmarks"],
            glosses=lists["glosses"],
            others=lists["others"],
            splits=np.array(self._numbers["splits"], np.uint8),
            signers=np.array(self._numbers["signers"], np.int32),
            num_frames=np.array(self._numbers["num_frames"], np.int32),
            fps=np.array(self._fps, np.float64),
            people=tuple(self._people),
            words=tuple(self._words),
        )


def columns_of(utterances: Iterable[Utterance]) -> Columns:
    """Returns the entries of utterances as columns."""
    builder = ColumnsBuilder()
    for utterance in utterances:
        builder.add(utterance)
    return builder.build()
