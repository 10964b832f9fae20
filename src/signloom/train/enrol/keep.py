"""Keeps features of a few utterances in the file of a trained model: the store that `signloom enrol` rehearses from."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from signloom.corpus import Corpus, Utterances
from signloom.corpus.columns import Columns
from signloom.errors import plural
from signloom.inference.model import Model, load
from signloom.inference.store import FeatureExample, Store
from signloom.inference.torch_engine import recognizer_of
from signloom.train.data import ClipCache, UtteranceDataset
from signloom.train.enrol.torch_learner import body_features
from signloom.train.selection import too_short

log = logging.getLogger("signloom.train")

# Bytes of a store besides its features: the range of each, the lengths of each utterance, each gloss.
_RANGE_BYTES, _LENGTHS_BYTES, _GLOSS_BYTES = 8, 8, 4
# Utterances whose landmarks are in memory at once.
_PART = 64


def keep_store(path: Path, corpus: Corpus, megabytes: float, seed: int) -> None:
    """Adds a store to the model in a file that was trained on a corpus."""
    model = load(path)
    store = make_store(model, corpus, megabytes, seed)
    if store is None:
        log.warning("no store is kept: no utterance fits into %g MB", megabytes)
        return
    replace(model, store=store).save(path)
    log.info(
        "store for enrolments: features of %s of train and %d of dev, %.2f MB in the model file. They come from "
        "landmarks of the people in the corpus",
        plural(store.num_train, "utterance"),
        len(store) - store.num_train,
        store.megabytes,
    )


def make_store(model: Model, corpus: Corpus, megabytes: float, seed: int) -> Store | None:
    """Returns the store of a model: half of it dev, or less where dev is small, the rest train; None if nothing fits.

    Utterances are drawn by the seed; those with a gloss that has not been drawn yet come first.
    """
    most_bytes = int(1e6 * megabytes) - _RANGE_BYTES * recognizer_of(model.engine).body.out_channels
    dev = chosen(model, corpus.split("dev"), most_bytes // 2, seed)
    most_bytes -= int(num_bytes(model, dev.columns).sum())
    train = _examples(model, corpus, chosen(model, corpus.split("train"), most_bytes, seed))
    dev_examples = _examples(model, corpus, dev)
    return Store.of(train, dev_examples) if train or dev else None


def chosen(model: Model, items: Utterances, most_bytes: int, seed: int) -> Utterances:
    """Returns utterances that take at most `most_bytes` in a store, of those that the model can be trained on."""
    columns = items.columns
    unknown = np.array([word not in model.vocabulary for word in columns.words], dtype=bool)[columns.glosses.values]
    usable = ~too_short(recognizer_of(model.engine), items, model.vocabulary)
    usable[columns.glosses.rows()[unknown]] = False
    places = np.random.default_rng(seed).permutation(np.flatnonzero(usable))
    covered: set[int] = set()
    first: list[int] = []
    others: list[int] = []
    for place in places.tolist():
        glosses = columns.glosses[place].tolist()
        (others if covered.issuperset(glosses) else first).append(place)
        covered.update(glosses)
    order = np.array(first + others, dtype=np.int64)
    return items.take(order[np.cumsum(num_bytes(model, columns)[order]) <= most_bytes])


def num_bytes(model: Model, columns: Columns) -> np.ndarray:
    """Returns what each utterance takes in a store, (N,)."""
    output_frames = model.engine.output_lengths(columns.frames_at(model.engine.config.fps))
    features = np.asarray(output_frames) * recognizer_of(model.engine).body.out_channels
    return features + _LENGTHS_BYTES + _GLOSS_BYTES * (columns.glosses.counts + columns.others.counts)


def _examples(model: Model, corpus: Corpus, items: Utterances) -> list[FeatureExample]:
    data = UtteranceDataset(
        corpus, items, model.vocabulary, view=model.view, fps=model.engine.config.fps, cache=ClipCache(0)
    )
    examples = []
    for start in range(0, len(data), _PART):
        part = [data[index] for index in range(start, min(start + _PART, len(data)))]
        examples += body_features(recognizer_of(model.engine), part)
    return examples
