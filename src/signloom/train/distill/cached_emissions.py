"""Cached emissions: a teacher's predictions for clips, computed once and saved on disk.

One file per clip, `FOLDER/TEACHER/CLIP.npy`, with (J, V) log-probabilities in half precision: J output frames, V words.
TEACHER is a hash of the teacher's weights, configuration and vocabulary, CLIP a hash of the landmark file. So a file is
never used for another teacher or a changed clip. Each file is complete or absent; a run that was killed continues with
the missing files.

Half precision, and all words: at temperature 3 the divergence between saved and exact probabilities is below a
millionth (tests/test_distill_emissions.py). Saving only the most probable words would take less space, but softening
depends on the others: of 1,118 words with normal logits of standard deviation 3, the 32 most probable have 82 % of the
probability of a frame and, after softening, 18 %.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from signloom import layout
from signloom.corpus import Corpus, Utterance
from signloom.errors import InputError
from signloom.files.arrays import ALONE, read_arrays
from signloom.files.reading import CLIP, read_bytes
from signloom.files.writing import atomic_write
from signloom.inference.model import Model
from signloom.inference.torch_engine import recognizer_of

# Part of every hash: files of another format are not read.
FORMAT = "signloom-emissions-1"
# Smallest log-probability that is saved: half precision ends at -65,504.
LOWEST = -60_000.0


@dataclass(frozen=True)
class Emissions:
    """The cached emissions of one teacher.

    folder: of this teacher.  names: file name of each utterance's emission, by its id.  num_words: V.
    """

    folder: Path
    names: dict[str, str]
    num_words: int

    def path(self, utterance: Utterance) -> Path:
        return self.folder / self.names[utterance.id]

    def read(self, utterance: Utterance) -> np.ndarray:
        """Returns (J, V) float32 log-probabilities. Raises InputError for a damaged file."""
        path = self.path(utterance)
        try:
            (values,) = read_arrays(path, [ALONE]).values()
        except (InputError, ValueError) as error:
            raise InputError(_damaged(path, str(error).removeprefix(f"{path}: "))) from None
        if values.ndim != 2 or values.shape[1] != self.num_words or values.dtype != np.float16 or not len(values):
            raise InputError(_damaged(path, f"{values.dtype} values of shape {values.shape}"))
        return values.astype(np.float32)


def _damaged(path: Path, why: str) -> str:
    return f"{path}: not a readable cached emission ({why}); delete it and start again to compute it once more"


def fingerprint(model: Model) -> str:
    """Returns a hash of all that a model's emissions depend on, but not of its path or its decoding."""
    digest = hashlib.blake2b(digest_size=12)
    header = [FORMAT, layout.NAME, layout.VERSION, model.engine.config.to_json(), list(model.vocabulary.words)]
    digest.update(json.dumps(header, sort_keys=True).encode())
    for name, values in sorted(model.engine.weights().items()):
        digest.update(name.encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def keep_emissions(
    teacher: Model,
    corpus: Corpus,
    utterances: Sequence[Utterance],
    folder: Path,
    *,
    batch_size: int = 16,
    device: torch.device | None = None,
    start: int = 0,
    advance: Callable[[int], object] = lambda count: None,
) -> Emissions:
    """Returns the emissions of `utterances`; computes those that are missing.

    folder: may contain the emissions of several teachers.  start: index of the first utterance to compute; processes
    with different starts share the work without communication.  advance: called with the number of utterances done.
    """
    kept = Emissions(
        folder / fingerprint(teacher),
        {item.id: f"{_clip_hash(corpus, item)}.npy" for item in utterances},
        len(teacher.vocabulary),
    )
    missing = [item for item in utterances if not kept.path(item).exists()]
    advance(len(utterances) - len(missing))
    if not missing:
        return kept
    recognizer_of(teacher.engine).to(device or torch.device("cpu"))
    start = start % len(missing)
    missing = missing[start:] + missing[:start]
    # Stretches of neighbours, each sorted by length, keep the order of the whole: processes rarely meet.
    stretch = 8 * batch_size
    for first in range(0, len(missing), stretch):
        part = missing[first : first + stretch]
        # Another process may have been faster.
        wanted = [item for item in part if not kept.path(item).exists()]
        advance(len(part) - len(wanted))
        for item, log_probs in teacher.emissions(corpus, wanted, batch_size=batch_size):
            with atomic_write(kept.path(item)) as file:
                np.save(file, np.maximum(log_probs, LOWEST).astype(np.float16), allow_pickle=False)
            advance(1)
    return kept


def _clip_hash(corpus: Corpus, utterance: Utterance) -> str:
    """Returns a hash of the landmark file: it is the same in a copy of the corpus, and another for a changed clip."""
    digest = hashlib.blake2b(read_bytes(corpus.file(utterance), CLIP), digest_size=12)
    return digest.hexdigest()
