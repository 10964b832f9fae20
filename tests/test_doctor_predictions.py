"""What the doctor counts as annotated where clips show signs that are none of the model's, or no sign at all."""

import numpy as np
import pytest
import torch

from conftest import SMALL_STUDENT, random_landmarks
from signloom.corpus import Corpus, CorpusWriter
from signloom.findings import checks_in
from signloom.health.checks import outputs
from signloom.health.checks.predictions import predict
from signloom.health.subject import Subject
from signloom.model.recognizer import Recognizer
from signloom.run_folder import EpochRecord, History, Run
from signloom.vocabulary import UNKNOWN_ID, Vocabulary

CHECKS = {check.id: check for check in checks_in(outputs)}
VOCABULARY = Vocabulary.from_glosses([("A", "B")])
# Of one gloss, of one after an unknown sign, and of two unknown signs alone.
KINDS = ((("A",), ()), (("B",), (0,)), ((), (0, 0)))


@pytest.fixture
def predictions(tmp_path):
    """Of a model whose words are all equally probable in every frame, for 12 utterances of 3 kinds in each split."""
    with CorpusWriter(tmp_path / "corpus", {"name": "others"}) as writer:
        for split in ("train", "dev"):
            for number in range(12):
                glosses, others = KINDS[number % len(KINDS)]
                writer.add(
                    f"{split}-{number}",
                    split=split,
                    signer="A",
                    glosses=glosses,
                    others=others,
                    landmarks=random_landmarks(40, seed=number),
                )
    torch.manual_seed(0)
    recognizer = Recognizer(SMALL_STUDENT, len(VOCABULARY)).eval()
    with torch.no_grad():
        for values in recognizer.parameters():
            values.zero_()
    last = EpochRecord(9, 1.0, 1.0, 0.5, 1e-3, 1.0, 1.0, 4000)
    run = Run(history=History([last]))
    corpus = Corpus.open(tmp_path / "corpus")
    return predict(Subject("run", "run", "a student", recognizer, VOCABULARY, corpus, trained=True, seed=0, run=run))


def test_the_unknown_gloss_counts_where_a_model_is_to_give_it(predictions):
    found = [one.target for one in predictions.dev]
    a, b = VOCABULARY.encode(["A", "B"])
    assert found == [(a,), (UNKNOWN_ID, b), (UNKNOWN_ID, UNKNOWN_ID)] * 4
    # In each frame, three of four equally probable words are not blank. Three utterances have 1, 2 and 2 glosses.
    emitted = CHECKS["run.blank"](predictions).figures["emitted"]
    frames = len(predictions.dev[0].blank)
    assert emitted == pytest.approx(0.75 * 3 * frames / 5)


def test_the_probability_of_an_utterance_is_that_of_what_it_shows(predictions):
    own = [one.own for one in predictions.dev[:3]]
    assert np.isfinite(own).all()
    # All paths of a frame are equally probable, so the two targets of two glosses differ by their paths alone: two
    # equal glosses need a blank between them.
    assert own[1] > own[2]


def test_the_unknown_gloss_is_none_to_be_predicted(predictions):
    found = CHECKS["run.vocabulary"](predictions)
    assert "0 of 2 glosses are predicted at least once" in found.headline
    assert sorted(found.where) == ["A", "B"]
