"""A model on its engine: what needs torch and what does not, batches, the model file."""

import json
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

from conftest import TINY_STUDENT, random_landmarks, worn_norms
from signloom.corpus import Corpus, CorpusWriter
from signloom.ctc.decoding import Decoding
from signloom.ctc.kneser_ney import kneser_ney
from signloom.errors import InputError
from signloom.inference.evaluate import evaluate
from signloom.inference.model import Model, load
from signloom.inference.model_file import ModelFile
from signloom.model.presets import ModelConfig
from signloom.score.text import summary
from signloom.vocabulary import Vocabulary
from without_packages import TORCH, run_without

# Rooms whose work is a network's; everything else has to be importable without torch.
NEED_TORCH = (
    "signloom.model.",
    "signloom.train.",
    "signloom.health.",
    "signloom.inference.torch_engine",
    "signloom.inference.export",
)


@pytest.mark.slow
def test_all_but_the_network_imports_without_torch():
    code = f"""
import importlib, pkgutil, signloom

for module in pkgutil.walk_packages(signloom.__path__, "signloom."):
    if not module.name.startswith({NEED_TORCH!r}):
        importlib.import_module(module.name)
        print(module.name)
"""
    imported = run_without(TORCH, code).split()
    for name in ("ctc.beam", "score.wer", "importers.pose", "extract.holistic", "compose", "synth.corpus"):
        assert f"signloom.{name}" in imported
    for name in (
        "drawing.person",
        "report.run_page",
        "inference.evaluate",
        "corpus",
        "findings",
        "commands.transcribe",
        "commands.live",
        "live.pipeline",
    ):
        assert f"signloom.{name}" in imported


@pytest.fixture(scope="module")
def vocabulary(tiny_corpus) -> Vocabulary:
    return Vocabulary.from_glosses(item.glosses for item in Corpus.open(tiny_corpus).split("train"))


@pytest.fixture(scope="module")
def model(vocabulary) -> Model:
    """A model of random weights whose batch norms are those of a trained one, with a language model."""
    torch = pytest.importorskip("torch")
    from signloom.inference.torch_engine import TorchEngine
    from signloom.model.recognizer import Recognizer

    torch.manual_seed(0)
    engine = TorchEngine(worn_norms(Recognizer(TINY_STUDENT, len(vocabulary))))
    words = kneser_ney([("UP", "DOWN"), ("LEFT", "UP", "RIGHT"), ("DOWN",)], 2).model
    return Model(engine, vocabulary, {"recipe": {"seed": 3}}, Decoding(lm_weight=0.5), words)


def test_loading_a_model_without_torch_names_the_extra(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    code = """
import signloom
from signloom.errors import MissingExtraError
from signloom.inference.model_file import ModelFile

# Vocabulary, language model and record need no torch; the network does.
file = ModelFile.read(__import__("pathlib").Path(sys.argv[1]) / "model.safetensors")
print(file.vocabulary.words[2], file.language_model.order, file.info["recipe"]["seed"], file.config.view)
try:
    signloom.load(sys.argv[1])
except MissingExtraError as error:
    print(error)
"""
    header, message = run_without(TORCH, code, tmp_path).splitlines()
    assert header == "DOWN 2 3 compact"
    assert re.search(r"loading a model needs the package 'torch'.*pip install -e '\.\[model\]'", message)


@dataclass(frozen=True)
class HandEngine:
    """An engine of a few lines: the more a clip's first point lies to the right, the more probable is its last word."""

    num_words: int
    config: ModelConfig = TINY_STUDENT
    step_seconds: float = 0.08

    def output_lengths(self, lengths):
        return (np.asarray(lengths) + 1) // 2

    def log_probs(self, points, lengths=None):
        lengths = np.full(len(points), points.shape[1]) if lengths is None else lengths
        logits = np.zeros((len(points), (points.shape[1] + 1) // 2, self.num_words), dtype=np.float32)
        logits[..., -1] = 100 * np.nan_to_num(points[:, ::2, 0, 0])
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True)), self.output_lengths(lengths)

    def features(self, points, lengths=None):
        raise InputError("no features")

    def weights(self):
        raise InputError("no weights")

    def save(self, path, file):
        file.write(path, self.weights())


def test_a_model_runs_on_any_engine(vocabulary, tiny_corpus):
    model, corpus = Model(HandEngine(len(vocabulary)), vocabulary), Corpus.open(tiny_corpus)
    clip = corpus.load(corpus.split("dev")[0])
    assert len(model.emission(clip).log_probs) == (len(clip) + 1) // 2
    # The point is near the middle of the image: the last word's logit is far above the others', which are 0.
    assert [span.gloss for span in model.transcribe(clip).glosses] == [vocabulary.words[-1]]
    result = evaluate(model, corpus, "dev")
    assert all(utterance.hypothesis_as_given == (vocabulary.words[-1],) for utterance in result.utterances)
    assert result.num_dropped == 0
    assert "dropped" not in summary(result)
    strict = evaluate(model.with_limits(1.0), corpus, "dev")
    assert (strict.num_dropped, strict.wer) == (len(result.utterances), 1.0)
    assert strict.to_json()["num_dropped"] == strict.num_dropped
    assert "dropped before scoring" in summary(strict)
    with pytest.raises(InputError, match="no weights"):
        model.save(tiny_corpus / "never.safetensors")
    with pytest.raises(InputError, match="classifier of 5 words, vocabulary of 6"):
        Model(HandEngine(5), vocabulary)


def test_training_code_asks_for_a_torch_engine(vocabulary):
    pytest.importorskip("torch")
    from signloom.inference.torch_engine import recognizer_of

    with pytest.raises(InputError, match="its engine is a HandEngine; needed one with torch weights"):
        recognizer_of(HandEngine(len(vocabulary)))


@pytest.fixture(scope="module")
def mixed_corpus(tmp_path_factory) -> Corpus:
    """Clips of many lengths, one of a single frame and one at another frame rate; the last one has the most seconds."""
    root = tmp_path_factory.mktemp("mixed") / "corpus"
    with CorpusWriter(root, {"name": "mixed"}) as writer:
        for number, (num_frames, fps) in enumerate(
            [(40, 25), (1, 25), (17, 25), (96, 50), (9, 25), (30, 25), (31, 12.5)]
        ):
            clip = random_landmarks(num_frames, seed=number, fps=fps)
            writer.add(f"clip-{number}", split="train", signer="A", glosses=("UP",), landmarks=clip)
    return Corpus.open(root)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_a_batch_gives_each_clip_what_it_gets_alone(model, mixed_corpus, batch_size):
    results = list(model.emissions(mixed_corpus, mixed_corpus.utterances, batch_size=batch_size))
    assert [item.id for item, _ in results] == [f"clip-{number}" for number in (1, 4, 2, 5, 0, 3, 6)]
    for item, log_probs in results:
        alone = model.emission(mixed_corpus.load(item)).log_probs
        assert log_probs.shape == alone.shape
        # Single precision, sums in another order.
        np.testing.assert_allclose(log_probs, alone, atol=2e-5)


def test_clips_are_read_a_batch_at_a_time(model, mixed_corpus, monkeypatch):
    read = []
    original = Corpus.load_view
    monkeypatch.setattr(
        Corpus, "load_view", lambda corpus, item, view: (read.append(item.id), original(corpus, item, view))[1]
    )
    results = model.emissions(mixed_corpus, mixed_corpus.utterances, batch_size=3)
    assert read == []
    _, log_probs = next(results)
    assert len(read) == 3
    # No view of a whole padded batch.
    assert log_probs.base is None


def test_an_emission_of_no_utterances_is_none(model, mixed_corpus):
    assert list(model.emissions(mixed_corpus, [])) == []


class TestTorchEngine:
    def test_output_lengths_are_exact(self, model):
        for num_frames in (1, 2, 3, 4, 5, 17, 40):
            points = random_landmarks(num_frames).select("compact").astype(np.float32)[None]
            log_probs, lengths = model.engine.log_probs(points)
            assert (
                lengths.tolist() == model.engine.output_lengths(np.array([num_frames])).tolist() == [log_probs.shape[1]]
            )

    def test_features_are_what_the_classifier_gets(self, model):
        import torch

        clips = [random_landmarks(num_frames, seed=num_frames).select("compact") for num_frames in (24, 40)]
        points = np.full((2, 40, *clips[0].shape[1:]), np.nan, dtype=np.float32)
        for row, clip in zip(points, clips, strict=True):
            row[: len(clip)] = clip
        lengths = np.array([24, 40])
        features, feature_lengths = model.engine.features(points, lengths)
        log_probs, output_lengths = model.engine.log_probs(points, lengths)
        assert feature_lengths.tolist() == output_lengths.tolist()
        assert features.shape == (*log_probs.shape[:2], 2 * TINY_STUDENT.lstm_hidden)
        with torch.no_grad():
            expected = model.engine.recognizer.classifier(torch.from_numpy(features)).log_softmax(-1).numpy()
        for row, length in enumerate(output_lengths):
            np.testing.assert_allclose(log_probs[row, :length], expected[row, :length], atol=1e-5)

    def test_puts_the_recogniser_into_evaluation_mode_and_keeps_no_state(self, vocabulary):
        pytest.importorskip("torch")
        from signloom.inference.torch_engine import TorchEngine
        from signloom.model.recognizer import Recognizer

        recognizer = Recognizer(replace(TINY_STUDENT, dropout=0.5), len(vocabulary)).train()
        engine = TorchEngine(recognizer)
        assert not recognizer.training
        points = random_landmarks(20).select("compact").astype(np.float32)[None]
        first = engine.log_probs(points)[0]
        engine.log_probs(points[:, :7])
        np.testing.assert_array_equal(engine.log_probs(points)[0], first)


class TestModelFile:
    def test_holds_what_training_wrote_before_there_were_engines(self, model, tmp_path):
        """The same bytes as torch's half of safetensors makes of the same header and weights."""
        from safetensors.torch import save

        model.save(tmp_path / "model.safetensors")
        torch = pytest.importorskip("torch")
        header = {
            "format": "signloom-model",
            "version": 1,
            "layout": "holistic543",
            "layout_version": 1,
            "config": TINY_STUDENT.to_json(),
            "vocabulary": list(model.vocabulary.words),
            "info": {"recipe": {"seed": 3}},
            "decoding": model.decoding.to_json(),
            "language_model": {"words": list(model.language_model.words), "order": 2},
        }
        tensors = dict(model.engine.recognizer.state_dict())
        for order, table in enumerate(model.language_model.tables, 1):
            for name in ("ids", "log_probs", "backoffs"):
                tensors[f"language_model.{order}.{name}"] = torch.from_numpy(getattr(table, name).copy())
        expected = save(tensors, metadata={"signloom": json.dumps(header, ensure_ascii=False)})
        assert (tmp_path / "model.safetensors").read_bytes() == expected

    def test_keeps_the_float_type_and_gives_back_all_of_a_model(self, model, vocabulary, tmp_path):
        import torch
        from safetensors import safe_open

        from signloom.inference.torch_engine import TorchEngine
        from signloom.model.recognizer import Recognizer

        again = load(save_to(model, tmp_path / "single"))
        assert again.decoding == model.decoding
        assert again.language_model.words == model.language_model.words
        clip = random_landmarks(30)
        np.testing.assert_array_equal(again.emission(clip).log_probs, model.emission(clip).log_probs)
        half = Recognizer(TINY_STUDENT, len(vocabulary)).half()
        path = save_to(Model(TorchEngine(half), vocabulary), tmp_path / "half")
        with safe_open(path / "model.safetensors", framework="pt") as file:
            assert file.get_tensor("classifier.weight").dtype == torch.float16
        # Read into a network of single precision.
        assert load(path).engine.recognizer.classifier.weight.dtype == torch.float32

    def test_weights_of_another_network_are_refused(self, model, tmp_path):
        other = ModelFile(replace(TINY_STUDENT, lstm_hidden=32), model.vocabulary)
        other.write(tmp_path / "model.safetensors", model.engine.weights())
        with pytest.raises(InputError, match="the weights do not fit the model that the file describes"):
            load(tmp_path)

    def test_a_damaged_language_model_is_named(self, model, tmp_path):
        from safetensors import safe_open
        from safetensors.numpy import save_file

        path = save_to(model, tmp_path) / "model.safetensors"
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys() if name != "language_model.2.ids"}  # noqa: SIM118
            metadata = file.metadata()
        save_file(tensors, path, metadata=metadata)
        with pytest.raises(InputError, match="its language model is damaged"):
            load(path)


def save_to(model: Model, folder):
    model.save(folder / "model.safetensors")
    return folder
