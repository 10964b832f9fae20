"""Looking up signs by what a model sees in clips."""

import json

import numpy as np
import pytest

from conftest import TINY_STUDENT, random_landmarks, worn_norms
from signloom.cli import dispatch
from signloom.errors import InputError
from signloom.inference.model import Model
from signloom.vocabulary import Vocabulary

torch = pytest.importorskip("torch")

from signloom.inference.lookup import Entry, embedding, nearest, read_lexicon  # noqa: E402
from signloom.inference.torch_engine import TorchEngine  # noqa: E402
from signloom.model.recognizer import Recognizer  # noqa: E402


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    vocabulary = Vocabulary.from_glosses([["UP", "DOWN"]])
    return Model(TorchEngine(worn_norms(Recognizer(TINY_STUDENT, len(vocabulary)))), vocabulary)


@pytest.fixture
def lexicon(tmp_path):
    folder = tmp_path / "lexicon"
    for number, name in enumerate(["HOUSE", "TREE", "RAIN"]):
        random_landmarks(30, seed=number).save(folder / f"{name}.npz")
    return folder


def test_a_clip_is_nearest_to_itself(model, lexicon):
    entries = read_lexicon(model, lexicon)
    assert [entry.name for entry in entries] == ["HOUSE", "RAIN", "TREE"]
    for entry in entries:
        assert np.linalg.norm(entry.embedding) == pytest.approx(1, abs=1e-5)
        first, *others = nearest(entry.embedding, entries, 3)
        assert first.entry is entry
        assert first.similarity == pytest.approx(1, abs=1e-5)
        assert all(other.similarity < first.similarity for other in others)


def test_what_a_model_sees_does_not_depend_on_what_else_it_looks_up(model):
    clip = random_landmarks(20, seed=5)
    assert np.array_equal(embedding(model, clip), embedding(model, clip.in_view(model.view)))


def test_nearest_is_the_cosine_in_descending_order(tmp_path):
    rows = {"far": [-1.0, 0.0], "near": [0.8, 0.6], "same": [1.0, 0.0]}
    entries = [Entry(name, tmp_path, np.array(row, dtype=np.float32)) for name, row in rows.items()]
    found = nearest(np.array([1.0, 0.0], dtype=np.float32), entries, 2)
    assert [(match.entry.name, round(match.similarity, 6)) for match in found] == [("same", 1.0), ("near", 0.8)]


def test_the_command_names_the_nearest_signs(model, lexicon, tmp_path, capsys):
    model.save(tmp_path / "model.safetensors")
    arguments = ["--model", str(tmp_path / "model.safetensors"), "--lexicon", str(lexicon)]
    assert dispatch(["lookup", str(lexicon / "TREE.npz"), *arguments, "--count", "2", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["clip"] == "TREE.npz"
    assert found["nearest"][0] == {"sign": "TREE", "similarity": 1.0}
    assert len(found["nearest"]) == 2


def test_a_lexicon_without_clips_is_refused(model, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        read_lexicon(model, tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no landmark files"):
        read_lexicon(model, tmp_path)
    (tmp_path / "a.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.npz"):
        read_lexicon(model, tmp_path)
