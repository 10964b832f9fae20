"""Examples of signs for the page, as skeletons: clips of a corpus that show one sign, or parts of longer ones."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signloom import layout
from signloom.corpus import Corpus, Utterance
from signloom.drawing.tracked import CHAINS
from signloom.errors import InputError
from signloom.inference.align import aligned
from signloom.inference.lookup import read_lexicon
from signloom.inference.model import Model
from signloom.landmarks import Landmarks

# Enough for a drawing to look smooth.
_FPS = 12.5
# What a sign is shown with before and after it.
_MARGIN_SECONDS = 0.2
# Longer clips of one sign are mostly rest.
_LONGEST_SECONDS = 5.0
# Of so many sentences with a sign, the one in which the model is surest of it is taken.
_MOST_TRIED = 5
# Places are thousandths of the height, in 16 bits.
_UNIT, _MOST, _MISSING = 1000, 32_000, -32_768


@dataclass(frozen=True)
class _Cut:
    """A part of an utterance that shows a sign; confidence: that of the model, 1 for a clip of that sign alone."""

    utterance: Utterance
    start_seconds: float
    end_seconds: float
    confidence: float


def examples(
    model: Model, corpus: Corpus, *, advance: Callable[[int], object] = lambda count: None
) -> tuple[dict[str, Any], list[str]]:
    """Returns an example of each sign of a model, and the signs of which the training split has none.

    advance: called with 1 after each sign.
    """
    points = drawn_points()
    found, missing = [], []
    for gloss in model.vocabulary.words[2:]:
        cut = _best(model, corpus, gloss)
        if cut is None:
            missing.append(gloss)
        else:
            clip = corpus.load(cut.utterance)
            found.append({"gloss": gloss, **film(clip, points, cut.start_seconds, cut.end_seconds)})
        advance(1)
    return {"points": points, "examples": found}, missing


def lexicon(model: Model, folder: Path, *, advance: Callable[[int], object] = lambda count: None) -> dict[str, Any]:
    """Returns the clips of a folder with what the model sees in them, for looking up signs.

    advance: called with 1 after each clip. Raises InputError as `read_lexicon` does.
    """
    points = drawn_points()
    entries = [
        {"gloss": entry.name, "embedding": _base64(entry.embedding, "<f4"), **film(Landmarks.load(entry.path), points)}
        for entry in read_lexicon(model, folder, advance=advance)
    ]
    return {"points": points, "examples": entries}


def drawn_points() -> list[int]:
    """Returns the points that lines of a drawing join, as positions among the 543, down to the hips."""
    points = {point for lines in CHAINS.values() for line in lines for point in line}
    return sorted(point for point in points if not layout.POINT_NAMES[point].endswith(("_knee", "_ankle")))


def _best(model: Model, corpus: Corpus, gloss: str) -> _Cut | None:
    train = corpus.utterances.in_split("train")
    candidates = list(train.take([place for place, words in enumerate(train.columns.sentences()) if gloss in words]))
    candidates.sort(key=lambda item: (len(item.glosses), item.duration_seconds))
    cuts = [cut for item in candidates[:_MOST_TRIED] for cut in _cuts(model, corpus, item, gloss)]
    return max(cuts, key=lambda cut: cut.confidence, default=None)


def _cuts(model: Model, corpus: Corpus, item: Utterance, gloss: str) -> Iterator[_Cut]:
    if len(item.glosses) == 1 and item.duration_seconds <= _LONGEST_SECONDS:
        yield _Cut(item, 0.0, item.duration_seconds, 1.0)
        return
    clip = corpus.load_view(item, model.view)
    try:
        spans, _ = aligned(model, clip, item.glosses)
    # A sentence that cannot be aligned shows no sign apart.
    except InputError:
        return
    for span in spans:
        if span.gloss == gloss:
            start = span.start_seconds - clip.start_seconds
            end = span.end_seconds - clip.start_seconds
            yield _Cut(item, max(0.0, start - _MARGIN_SECONDS), end + _MARGIN_SECONDS, span.confidence)


def film(clip: Landmarks, points: list[int], start: float = 0.0, end: float = _LONGEST_SECONDS) -> dict[str, Any]:
    """Returns the part of a clip between two moments, seconds from its first frame, as the page draws it.

    frames: base64 of int16, (T, P, 2).
    """
    frames = clip.in_view("full").at(_FPS)
    first = min(int(start * _FPS), len(frames) - 1)
    last = max(first + 1, min(int(np.ceil(end * _FPS)), len(frames)))
    places = frames[first:last][:, points, :2]
    known = np.isfinite(places).all(axis=2, keepdims=True)
    scaled = np.clip(np.rint(np.nan_to_num(places) * _UNIT), -_MOST, _MOST)
    return {"fps": _FPS, "frames": _base64(np.where(known, scaled, _MISSING), "<i2")}


def _base64(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")
