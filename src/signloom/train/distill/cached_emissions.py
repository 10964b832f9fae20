"""A teacher's emissions of clips, computed once and kept on disk: the student's epochs then cost no teacher.

One file a clip, `FOLDER/TEACHER/CLIP.npy`, (J, V) log-probabilities in half precision: J output frames, V words.
TEACHER is a hash of the teacher's weights, configuration and vocabulary, CLIP one of the landmark file: whatever
changes, what was kept for something else is not read. Each file is whole or absent; a run that was killed goes on where
it was.

Half precision, and all words: at temperature 3 the divergence of what is kept from what was said is below a millionth
(tests/test_distillation.py). Keeping the most probable words alone would take less, but softening lives off the others:
of 1,118 words with normal logits of spread 3, the 32 most probable hold 82 % of a frame and, softened, 18 %.
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
from signloom.files import atomic_write, inside
from signloom.inference.model import Model
from signloom.inference.torch_engine import recognizer_of

# Part of every key: emissions of another way to keep them are not read.
FORMAT = "signloom-emissions-1"
# Log-probabilities below are raised to it: half precision ends at -65,504.
LOWEST = -60_000.0


@dataclass(frozen=True)
class Emissions:
    """Where the emissions of one teacher lie, and those of which clip.

    folder: of this teacher.  names: file name of each utterance's emission by its id.  num_words: V.
    """

    folder: Path
    names: dict[str, str]
    num_words: int

    def path(self, utterance: Utterance) -> Path:
        return self.folder / self.names[utterance.id]

    def read(self, utterance: Utterance) -> np.ndarray:
        """(J, V) float32 log-probabilities. Raises InputError where the file is damaged."""
        path = self.path(utterance)
        try:
            values = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(_damaged(path, str(error))) from None
        if values.ndim != 2 or values.shape[1] != self.num_words or values.dtype != np.float16 or not len(values):
            raise InputError(_damaged(path, f"{values.dtype} values of shape {values.shape}"))
        return values.astype(np.float32)


def _damaged(path: Path, why: str) -> str:
    return f"{path}: cannot be read as a kept emission ({why}); delete it and start again, it is then made anew"


def fingerprint(model: Model) -> str:
    """A hash of all that a model's emissions depend on; the file it lies in and how it is decoded are no part of it."""
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
    """The emissions of all `utterances`, those that were not there computed now.

    folder: of any number of teachers.  start: which utterance comes first: processes that begin at different ones share
    the work without a word.  advance: told how many more utterances are there.
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
    """A hash of the landmark file itself: a copied corpus keeps its emissions, a changed clip does not."""
    digest = hashlib.blake2b(inside(corpus.root, utterance.landmarks).read_bytes(), digest_size=12)
    return digest.hexdigest()
