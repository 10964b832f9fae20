"""Enrolment of an exported model: its store, its classifier in the graph, and learning without torch."""

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import conftest
from conftest import TINY_STUDENT, worn_norms
from signloom import cli
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError
from signloom.inference.model import Model, load
from signloom.inference.onnx_file import OnnxFile
from signloom.inference.store import FeatureExample, Store
from signloom.vocabulary import Vocabulary

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

from enrolling import NEW_SIGNS, clips_corpus, learnt_corpus, learnt_run  # noqa: E402
from one_handed import one_handed_clip  # noqa: E402
from signloom.inference.export import classifier_store, exported  # noqa: E402
from signloom.inference.onnx_classifier import Classifier, classifier_of, with_classifier  # noqa: E402
from signloom.inference.onnx_engine import OnnxEngine  # noqa: E402
from signloom.inference.parity import made_clips  # noqa: E402
from signloom.inference.torch_engine import TorchEngine, recognizer_of  # noqa: E402
from signloom.model.recognizer import Recognizer  # noqa: E402
from signloom.train.enrol import classifier as learning  # noqa: E402
from signloom.train.enrol import enrol as enrolment  # noqa: E402
from signloom.train.enrol.classifier import ClassifierLearner  # noqa: E402
from signloom.train.enrol.keep import make_store  # noqa: E402
from signloom.train.enrol.learner import Lesson  # noqa: E402
from without_packages import TORCH, run_without  # noqa: E402


@pytest.fixture(scope="module")
def corpus(tiny_corpus) -> Corpus:
    return Corpus.open(tiny_corpus)


@pytest.fixture(scope="module", params=["linear", "cosine"])
def model(request, corpus) -> Model:
    """A model of random weights with a store. A classifier can learn from random features, too."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.from_glosses(item.glosses for item in corpus.split("train"))
    config = replace(TINY_STUDENT, classifier=request.param)
    model = Model(TorchEngine(worn_norms(Recognizer(config, len(vocabulary)))), vocabulary)
    return replace(model, store=make_store(model, corpus, 1.0, seed=0))


@pytest.fixture(scope="module")
def files(model, corpus, tmp_path_factory) -> dict[str, Path]:
    """The model exported with its store, in both precisions."""
    folder = tmp_path_factory.mktemp("exported")
    paths = {}
    for precision in ("float32", "int8"):
        # Eight bits of a model that learnt nothing may err a little more than is allowed.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("signloom.inference.parity.Parity.check", lambda self, precision: None)
            result, _ = exported(model, precision=precision, corpus=corpus, keep_store=True)
        paths[precision] = folder / precision / "model.onnx"
        result.save(paths[precision])
    return paths


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Isolated clips of a signer, one sign of which is new."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conftest, "TINY_SIGNS", NEW_SIGNS)
        return clips_corpus(tmp_path_factory.mktemp("clips") / "clips", {"UP": 3, "LEFT": 3, "WIDE": 3}).root


class TestStore:
    def test_an_export_keeps_the_store_only_if_told(self, model, corpus, files):
        without, _ = exported(model, precision="float32", corpus=None)
        assert without.store is None
        kept = load(files["float32"])
        assert [example.target for example in kept.store.dev] == [example.target for example in model.store.dev]
        card = (files["float32"].parent / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert f"| store for enrolments | features of {len(model.store)} utterances" in card
        assert "people" in card

    def test_the_store_holds_what_the_classifier_takes(self, model, files):
        lstm = recognizer_of(model.engine).lstm
        kept = load(files["float32"]).store
        for example, other in zip(model.store.dev, kept.dev, strict=True):
            expected = lstm(torch.from_numpy(example.features)[None], None)[0].detach().numpy()
            # Half of one of 255 levels of a feature, which lies in -1 to 1.
            np.testing.assert_allclose(other.features, expected, atol=1.01 / 255)

    def test_of_a_large_store_the_first_utterances_of_both_halves_are_kept(self):
        rng = np.random.default_rng(0)
        examples = [FeatureExample(rng.normal(size=(20, 4)).astype(np.float32), [2 + k % 3]) for k in range(30)]
        store = Store.of(examples[:20], examples[20:])
        wide = store.mapped(lambda example: np.tile(example.features, (1, 10)), store.megabytes * 4)
        assert wide.megabytes <= store.megabytes * 4
        assert 5 <= wide.num_train < 20
        assert [item.target for item in wide.train] == [item.target for item in store.train[: wide.num_train]]
        assert len(wide.dev) == pytest.approx(wide.num_train / 2, abs=1)
        assert store.mapped(lambda example: example.features, 1e-6) is None

    def test_a_model_without_one_has_none_to_keep(self, model, tmp_path):
        replace(model, store=None).save(tmp_path / "model.safetensors")
        with pytest.raises(InputError, match="keeps no store for enrolments; leave out --store, or train with"):
            cli.dispatch(["export", str(tmp_path), "--store"])
        with pytest.raises(InputError, match="keeps no store"):
            classifier_store(replace(model, store=None))

    def test_a_damaged_store_is_refused(self, files, tmp_path):
        file = OnnxFile.read(files["float32"])
        key = "signloom.store.features"
        cut = base64.b64encode(base64.b64decode(file.metadata[key])[:-1]).decode()
        for text, told in (("?", "its store is damaged"), (cut, "needed uint8 with 2 axes"), (None, "nothing")):
            metadata = {name: value for name, value in file.metadata.items() if name != key}
            if text is not None:
                metadata[key] = text
            path = tmp_path / "forged.onnx"
            path.write_bytes(replace(file, metadata=metadata).to_bytes())
            with pytest.raises(InputError, match=f"forged.onnx.*{told}"):
                load(path)


class TestClassifierInTheGraph:
    @pytest.mark.parametrize("precision", ["float32", "int8"])
    def test_the_same_classifier_gives_the_same_file(self, files, precision):
        engine = load(files[precision]).engine
        again = OnnxEngine.of(with_classifier(engine.graph, classifier_of(engine.graph)), engine.config, Path("again"))
        points, lengths = next(made_clips("compact"))
        np.testing.assert_array_equal(engine.log_probs(points, lengths)[0], again.log_probs(points, lengths)[0])

    @pytest.mark.parametrize("precision", ["float32", "int8"])
    def test_another_classifier_of_more_words_computes_what_numpy_computes(self, files, precision):
        loaded = load(files[precision])
        graph = loaded.engine.graph
        shape = (len(loaded.vocabulary) + 3, 2 * TINY_STUDENT.lstm_hidden)
        rng = np.random.default_rng(1)
        other = Classifier(rng.normal(0, 0.3, shape).astype(np.float32), rng.normal(size=shape[0]).astype(np.float32))
        changed = with_classifier(graph, other)
        onnx.checker.check_model(onnx.load_from_string(changed))
        engine = OnnxEngine.of(changed, loaded.engine.config, Path("changed"))
        assert engine.num_words == shape[0]
        learner = ClassifierLearner(replace(loaded, engine=engine, vocabulary=words(shape[0])), classifier_of(changed))
        np.testing.assert_allclose(learner.classifier.weight, other.weight, atol=0.02 if precision == "int8" else 0)
        # In eight bits, the input of the classifier is rounded to one of 255 levels.
        tolerance = 0.2 if precision == "int8" else 1e-4
        for points, lengths in list(made_clips("compact"))[6:10]:
            features, output_lengths = engine.features(points, lengths)
            log_probs, _ = engine.log_probs(points, lengths)
            for rows, predicted, length in zip(features, log_probs, output_lengths, strict=True):
                (expected,) = learner.log_probs([FeatureExample(rows[:length], [2])])
                np.testing.assert_allclose(predicted[:length], expected, atol=tolerance)

    def test_a_graph_that_does_not_name_its_classifier_is_refused(self, files):
        graph = load(files["float32"]).engine.graph.replace(b"num_words", b"not_words")
        with pytest.raises(InputError, match="does not name its classifier.*; export the model again"):
            classifier_of(graph)


def words(count: int) -> Vocabulary:
    return Vocabulary.from_glosses([[f"G{number:02d}" for number in range(count - 2)]])


class TestLearning:
    def test_it_learns_what_it_is_shown_and_keeps_what_it_rehearses(self):
        """Features that point to the gloss: two known words, and a new one."""
        rng = np.random.default_rng(0)

        def example(*glosses):
            rows = [rng.normal(0, 0.1, (3, 60))]
            for gloss in glosses:
                # Ten features for each gloss.
                rows += [rng.normal(0, 0.1, (2, 60)) + np.repeat(np.eye(6)[gloss], 10), rng.normal(0, 0.1, (2, 60))]
            return FeatureExample(np.concatenate(rows).astype(np.float32), list(glosses))

        known = Classifier(np.repeat(np.eye(4, 6), 10, axis=1).astype(np.float32), np.array([2, 0, 0, 0], np.float32))
        stored = [example(*rng.integers(2, 4, 3).tolist()) for _ in range(10)]
        new = [example(*rng.integers(2, 5, 3).tolist()) for _ in range(20)]
        before = [learning._log_probs(item.features, known) for item in stored]
        start = learning.extended(known, 5)
        learnt = learning._learnt(start, Lesson(new, stored, seed=0), before=before, scale=1.0, dropout=0.1)
        for item in (example(4, 2, 4), example(3, 3, 2)):
            ids = learning._log_probs(item.features, learnt).argmax(1)
            assert [word for word, last in zip(ids, [0, *ids], strict=False) if word not in (0, last)] == item.target
        for item, rows in zip(stored, before, strict=True):
            assert np.abs(learning._log_probs(item.features, learnt)[:, :4].argmax(1) - rows.argmax(1)).max() == 0

    def test_new_words_change_nothing_among_the_old_ones(self):
        rng = np.random.default_rng(0)
        old = Classifier(rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=6).astype(np.float32))
        features = rng.normal(size=(7, 4)).astype(np.float32)
        before, after = (learning._log_probs(features, item) for item in (old, learning.extended(old, 8)))
        np.testing.assert_allclose(learning._normalised(after[:, :6]), before, atol=1e-5)


CODE = """
import json
from signloom.cli import dispatch
import signloom
from signloom.train.enrol import classifier
classifier.STEPS = int(sys.argv[4])
path, clips, output = sys.argv[1:4]
assert dispatch(["enrol", path, clips, "--output", output]) == 0
model = signloom.load(output + "/model.onnx")
print(json.dumps([model.info["enrolled"], list(model.vocabulary.words), len(model.store)]))
"""


class TestCommand:
    @pytest.mark.slow
    @pytest.mark.parametrize("precision", ["float32", "int8"])
    def test_a_model_that_learnt_is_enrolled_without_torch(self, precision, tmp_path, tmp_path_factory):
        corpus = learnt_corpus(tmp_path_factory)
        run = learnt_run(corpus, tmp_path_factory)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(conftest, "TINY_SIGNS", NEW_SIGNS)
            clips_corpus(tmp_path / "clips", {"UP": 3, "LEFT": 3, "WIDE": 3})
        path = tmp_path / "model.onnx"
        told = ["--data_dir", str(corpus), "--precision", precision, "--store"]
        assert cli.dispatch(["export", str(run), "--output", str(path), *told]) == 0
        before = path.read_bytes()
        printed = run_without((*TORCH, "safetensors", "onnx"), CODE, path, tmp_path / "clips", tmp_path / "new", 200)
        record, vocabulary, stored = json.loads(printed.strip().splitlines()[-1])
        assert path.read_bytes() == before
        assert vocabulary == [*load(run).vocabulary.words, "WIDE"]
        assert record["new_glosses"] == ["WIDE"]
        assert stored == len(load(run).store)
        assert "new signs: 0.00 % recognised before" in printed
        assert record["clips_wer_after"] < record["clips_wer_before"]
        assert record["old_wer_after"] <= record["old_wer_before"] + 0.1

    @pytest.mark.parametrize("precision", ["float32", "int8"])
    def test_it_writes_a_model_that_passes_all_checks_and_reports(
        self, files, clips, model, precision, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.setattr(learning, "STEPS", 4)
        monkeypatch.setattr(enrolment, "NUM_TRAINING", 8)
        monkeypatch.setattr(enrolment, "NUM_MEASURED", 4)
        assert cli.dispatch(["enrol", str(files[precision]), str(clips), "--output", str(tmp_path / "new")]) == 0
        printed = capsys.readouterr().out
        assert "3 signs, 3 clips each of 1 signer, 1 new to the model: WIDE" in printed
        assert "old signers, dev utterances of the store: WER" in printed
        enrolled = load(tmp_path / "new" / "model.onnx")
        onnx.checker.check_model(onnx.load_from_string(enrolled.engine.graph))
        assert enrolled.engine.num_words == len(model.vocabulary) + 1
        assert len(enrolled.store) == len(load(files[precision]).store)
        card = (tmp_path / "new" / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert "| enrolled with | 9 clips of 3 signs by 1 signer, of clips; 1 sign new |" in card
        assert f", {precision} |" in card

    @pytest.mark.parametrize("precision", ["float32", "int8"])
    def test_it_learns_that_idling_alone_is_no_sign(self, files, precision, tmp_path, monkeypatch, capsys):
        """A model of random weights names much in anything; its classifier alone learns to name less."""
        monkeypatch.setattr(learning, "STEPS", 30)
        monkeypatch.setattr(enrolment, "NUM_TRAINING", 12)
        monkeypatch.setattr(enrolment, "NUM_IDLE", 4)
        with CorpusWriter(tmp_path / "clips", {"name": "idling"}) as writer:
            landmarks = one_handed_clip(hertz=0.7, num_frames=400)
            writer.add("recording", split="train", signer="C", glosses=["IDLE"], landmarks=landmarks)
        told = ["enrol", str(files[precision]), str(tmp_path / "clips"), "--idle_glosses", "IDLE"]
        assert cli.dispatch([*told, "--output", str(tmp_path / "new")]) == 0
        assert "16 s of idling of 1 signer" in capsys.readouterr().out
        before, enrolled = load(files[precision]), load(tmp_path / "new" / "model.onnx")
        assert enrolled.vocabulary == before.vocabulary
        record = enrolled.info["enrolled"]
        assert record["idle_per_minute_before"] > 5
        assert record["idle_per_minute_after"] < 0.3 * record["idle_per_minute_before"]
        card = (tmp_path / "new" / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert "| enrolled with | 16 s of idling by 1 signer, of idling |" in card

    def test_it_refuses(self, files, clips, tmp_path):
        shutil.copytree(files["float32"].parent, tmp_path / "m")
        path = tmp_path / "m" / "model.onnx"
        replace(load(path), store=None).save(tmp_path / "none" / "model.onnx")
        for source, output, told in (
            (tmp_path / "none" / "model.onnx", tmp_path / "new", "keeps no store.*'signloom export --store'"),
            (path, tmp_path / "a.safetensors", "an exported model stays one; needed another folder, or a file named"),
            (path, path, "would overwrite an input"),
        ):
            with pytest.raises(InputError, match=told):
                cli.dispatch(["enrol", str(source), str(clips), "--output", str(output), "--overwrite"])
        assert not (tmp_path / "new").exists()
