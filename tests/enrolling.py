"""What tests of enrolment share: a model that learnt the tiny signs, and clips of a new signer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import conftest
from conftest import TINY_STUDENT, made_once, tiny_sentence
from signloom.corpus import Corpus, CorpusWriter
from signloom.model.presets import PRESETS
from signloom.train.fit import fit
from signloom.train.recipe import Recipe

# A sign that the tiny corpus does not have.
NEW_SIGNS = {**conftest.TINY_SIGNS, "WIDE": (-0.35, -0.3, 0.12)}


def clips_corpus(folder, signs, *, signer="C", fps=25.0, split="train"):
    """Isolated clips of a signer. signs: number of clips by gloss."""
    with CorpusWriter(folder, {"name": "clips"}) as writer:
        for gloss, count in signs.items():
            for number in range(count):
                clip = tiny_sentence((gloss,), seed=1000 + 10 * number + len(gloss), fps=fps)
                # This signer sits elsewhere and signs larger.
                clip = replace(clip, points=clip.points * 1.15 + np.float32(0.03))
                writer.add(f"{gloss}-{number}", split=split, signer=signer, glosses=[gloss], landmarks=clip)
    return Corpus.open(folder)


def learnt_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough utterances of the tiny signs that a body is learnt which is worth keeping."""
    rng = np.random.default_rng(0)
    with CorpusWriter(tmp_path_factory.mktemp("enrol") / "corpus", {"name": "tiny"}) as writer:
        for split, count in (("train", 48), ("dev", 12)):
            for number in range(count):
                glosses = tuple(rng.choice(list(conftest.TINY_SIGNS), size=rng.integers(2, 5)).tolist())
                clip = tiny_sentence(glosses, seed=100 * len(split) + number)
                writer.add(f"{split}-{number}", split=split, signer="A", glosses=glosses, landmarks=clip)
        return writer.root


def learnt_run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a model that learnt `learnt_corpus` and kept a store; trained once for all tests."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(PRESETS, "tiny", TINY_STUDENT)
            recipe = Recipe(corpus, output=folder, preset="tiny", epochs=20, batch_size=4, learning_rate=1e-3)
            fit(replace(recipe, consistency=0.0, auxiliary_head=False, store_megabytes=1.0))

    return made_once(tmp_path_factory, "enrolled", make)
