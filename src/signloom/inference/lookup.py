"""Looks up signs: the nearest clips of a lexicon, by what a model sees in them. It need not know their glosses.

Shapes: D features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signloom.errors import Faults, InputError
from signloom.files.paths import files_of
from signloom.inference.model import Model
from signloom.landmarks import SUFFIX, ClipView, Landmarks, read_view


@dataclass(frozen=True)
class Entry:
    """A clip of a lexicon. name: its file's, without ending.  embedding: (D,) float32 of unit length."""

    name: str
    path: Path
    embedding: np.ndarray


@dataclass(frozen=True)
class Match:
    """An entry that was found. similarity: cosine of the two embeddings, -1 to 1."""

    entry: Entry
    similarity: float


def embedding(model: Model, clip: Landmarks | ClipView) -> np.ndarray:
    """Returns what a model sees in a clip of one sign, (D,) float32 of unit length.

    It is the mean of the classifier's input over all frames.
    """
    points = model.points(clip)
    features, _ = model.engine.features(points[0 : len(points)][None])
    mean = features[0].mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(mean))
    return (mean / length if length > 0 else mean).astype(np.float32)


def read_lexicon(model: Model, folder: Path, *, advance: Callable[[int], object] = lambda count: None) -> list[Entry]:
    """Returns the landmark files in a folder and its subfolders as a lexicon, in the order of their names.

    advance: called with 1 after each. Raises InputError for a folder without landmark files, and for damaged ones.
    """
    if not folder.is_dir():
        raise InputError(f"--lexicon {folder}: no such folder; needed one with landmark files ({SUFFIX})")
    faults = Faults("lexicon")
    entries = []
    for path in [path for path in files_of(folder, faults) if path.suffix == SUFFIX]:
        try:
            entries.append(Entry(path.stem, path, embedding(model, read_view(path, model.view))))
        except InputError as error:
            faults.add(str(error))
        advance(1)
    faults.raise_if_any()
    if not entries:
        raise InputError(
            f"--lexicon {folder}: has no landmark files ({SUFFIX}); 'signloom extract' makes them from videos"
        )
    return entries


def nearest(query: np.ndarray, lexicon: Sequence[Entry], count: int) -> list[Match]:
    """Returns the entries whose embeddings are nearest to a query (D,), nearest first."""
    similarities = np.stack([entry.embedding for entry in lexicon]) @ query
    order = np.argsort(-similarities, kind="stable")[:count]
    return [Match(lexicon[index], float(similarities[index])) for index in order]
