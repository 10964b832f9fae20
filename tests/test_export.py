"""`signloom export`: what is in the file, that it computes the same, and that nothing else is ever written or read."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import TINY_STUDENT, mostly_slow, random_landmarks, worn_norms
from signloom import layout
from signloom.cli import dispatch
from signloom.corpus import Corpus
from signloom.ctc.decoding import Decoding
from signloom.ctc.kneser_ney import kneser_ney
from signloom.ctc.spans import INFO_KEY, SpanSettings
from signloom.ctc.timing import Timing
from signloom.errors import CheckFailedError, InputError, LayoutError
from signloom.files.paths import without_folders
from signloom.frame_times import spans
from signloom.inference.model import Model, load
from signloom.inference.onnx_file import OnnxFile
from signloom.inference.protobuf import encoded, fields
from signloom.run_folder import Run, corpus_record
from signloom.vocabulary import Vocabulary

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

from signloom.inference import export, parity  # noqa: E402
from signloom.inference.torch_engine import TorchEngine  # noqa: E402
from signloom.model.presets import preset  # noqa: E402
from signloom.model.recognizer import Recognizer  # noqa: E402
from without_packages import TORCH, run_without  # noqa: E402


@pytest.fixture(scope="module")
def corpus(tiny_corpus) -> Corpus:
    return Corpus.open(tiny_corpus)


@pytest.fixture(scope="module")
def model(corpus) -> Model:
    """A model of random weights with everything that a model can have; its record names folders of this machine."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.from_glosses(item.glosses for item in corpus.split("train"))
    recognizer = worn_norms(Recognizer(TINY_STUDENT, len(vocabulary)))
    # Outputs that differ from frame to frame: those of new weights are nearly uniform.
    torch.nn.init.normal_(recognizer.classifier.weight, std=4.0)
    info = {
        "signloom": "0.1.0",
        "recipe": {"data_dir": str(corpus.root), "output": "/home/somebody/runs/tiny"},
        "command": f"signloom train --data_dir {corpus.root}",
        "corpus": corpus_record(corpus),
        "model": {"preset": "tiny"},
        INFO_KEY: SpanSettings(Timing(0.04, 0.5)).to_json(),
    }
    language_model = kneser_ney([("UP", "DOWN"), ("LEFT", "UP", "RIGHT"), ("DOWN",)], 2).model
    return Model(TorchEngine(recognizer), vocabulary, info, Decoding(lm_weight=0.5), language_model)


@pytest.fixture(scope="module")
def run(model, tmp_path_factory) -> Run:
    run = Run(tmp_path_factory.mktemp("run"))
    model.save(run.model_file)
    return run


@pytest.fixture(scope="module")
def exported(run) -> Path:
    """The model as the command exports it in single precision."""
    assert dispatch(["export", str(run.path)]) == 0
    return run.exported / "float32" / "model.onnx"


@pytest.fixture(scope="module")
def eight_bits(run) -> Path:
    path = run.path / "small.onnx"
    with pytest.MonkeyPatch.context() as patch:
        # A model of random weights does not care what is in a clip, and half of its glosses are a matter of rounding.
        patch.setitem(parity.MOST_WORSE, "int8", 1.0)
        assert dispatch(["export", str(run.model_file), "--precision", "int8", "--output", str(path)]) == 0
    return path


class TestFile:
    def test_is_the_same_model_in_every_other_respect(self, model, exported):
        again = load(exported)
        assert again.vocabulary == model.vocabulary
        assert again.engine.config == model.engine.config
        assert again.engine.step_seconds == model.engine.step_seconds
        assert again.decoder_name == model.decoder_name
        for table, other in zip(again.language_model.tables, model.language_model.tables, strict=True):
            for name in ("ids", "log_probs", "backoffs"):
                np.testing.assert_array_equal(getattr(table, name), getattr(other, name))
        assert SpanSettings.of(again.info) == SpanSettings.of(model.info)
        assert again.info["corpus"]["licence"] == model.info["corpus"]["licence"]
        assert again.info["export"]["precision"] == "float32"

    @pytest.mark.parametrize("num_frames", [1, 2, 3, 37, 300])
    def test_computes_the_same(self, model, exported, num_frames):
        clip = random_landmarks(num_frames, seed=num_frames)
        clip.points[num_frames // 2 :, layout.GROUPS["left_hand"]] = np.nan
        again = load(exported)
        np.testing.assert_allclose(again.emission(clip).log_probs, model.emission(clip).log_probs, atol=1e-3)
        signs, others = again.transcribe(clip).glosses, model.transcribe(clip).glosses
        assert [sign.gloss for sign in signs] == [sign.gloss for sign in others]
        assert [sign.start_seconds for sign in signs] == pytest.approx([sign.start_seconds for sign in others])
        features, lengths = again.engine.features(np.float32(again.points(clip)[:])[None])
        assert features.shape == (1, lengths[0], 2 * TINY_STUDENT.lstm_hidden)

    def test_a_clip_without_any_point_is_no_fault(self, model, exported):
        clip = replace(random_landmarks(9), points=np.full((9, layout.NUM_POINTS, 3), np.nan))
        np.testing.assert_allclose(load(exported).emission(clip).log_probs, model.emission(clip).log_probs, atol=1e-3)

    def test_names_no_folder_of_this_machine(self, corpus, exported):
        data = exported.read_bytes()
        for folder in (str(corpus.root), str(corpus.root.parent), "/home/somebody"):
            assert folder.encode() not in data
        assert load(exported).info["corpus"]["path"] == corpus.root.name
        assert load(exported).info["recipe"]["output"] == "tiny"

    def test_has_a_model_card_that_is_also_written_beside_it(self, exported):
        card = (exported.parent / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert OnnxFile.read(exported).metadata["model_card"] == card
        for text in ("Recognises 4 signs", "| input | view `compact`, 25 frames/s |", "DOWN, LEFT, RIGHT, UP"):
            assert text in card
        assert re.search(r"\| licence of the corpus \| \w+", card)
        assert re.search(r"\| same greedy output as the run \| 100.00 %", card)
        assert re.search(r"\| WER on dev of tiny, beam 10.* \| ([\d.]+ %) of the run, \1 of this file \|", card)

    def test_says_in_plain_text_what_a_browser_needs(self, exported):
        metadata = OnnxFile.read(exported).metadata
        points = metadata["points"].split()
        assert [layout.index(point) for point in points] == layout.subset("compact").tolist()
        assert (metadata["frames_per_second"], metadata["stride"]) == ("25", "4")
        assert json.loads(metadata["signloom"])["vocabulary"][2:] == ["DOWN", "LEFT", "RIGHT", "UP"]

    def test_is_a_model_that_onnx_accepts(self, exported, eight_bits):
        for path in (exported, eight_bits):
            loaded = onnx.load(path)
            onnx.checker.check_model(loaded)
            assert {entry.key for entry in loaded.metadata_props} >= {"signloom", "model_card"}
            # ONNX Runtime Web reads this version and these domains.
            assert {opset.domain: opset.version for opset in loaded.opset_import}[""] == 17
            assert {opset.domain for opset in loaded.opset_import} <= {"", "com.microsoft"}


class TestEightBits:
    def test_is_a_quarter_of_the_size(self, exported, eight_bits):
        graphs = [len(OnnxFile.read(path).graph) for path in (exported, eight_bits)]
        weights = sum(value.size for value in load_weights(exported).values())
        # Four bytes a weight against one, and what the graph itself takes.
        assert graphs[0] - graphs[1] > 2.5 * weights

    def test_a_clip_does_not_depend_on_others_in_its_batch(self, eight_bits):
        """A quantised LSTM has one scale for all of its input, padding included."""
        engine = load(eight_bits).engine
        clips = [random_landmarks(length, seed=length).select("compact") for length in (40, 9, 23)]
        points = np.full((3, 40, *clips[0].shape[1:]), np.nan, dtype=np.float32)
        for row, clip in zip(points, clips, strict=True):
            row[: len(clip)] = clip
        log_probs, lengths = engine.log_probs(points, np.array([40, 9, 23]))
        assert lengths.tolist() == engine.output_lengths(np.array([40, 9, 23])).tolist()
        for row, length, clip in zip(log_probs, lengths, clips, strict=True):
            np.testing.assert_array_equal(row[:length], engine.log_probs(np.float32(clip)[None])[0][0])

    def test_needs_training_clips(self, model, tmp_path, capsys):
        replace(model, info={}).save(tmp_path / "model.safetensors")
        with pytest.raises(InputError, match=r"int8 is calibrated on training clips; got none; .*--data_dir"):
            dispatch(["export", str(tmp_path), "--precision", "int8"])
        assert "the corpus of the run is not there (not recorded)" in capsys.readouterr().err


def load_weights(path: Path) -> dict[str, np.ndarray]:
    loaded = onnx.load(path)
    return {item.name: onnx.numpy_helper.to_array(item) for item in loaded.graph.initializer}


class TestProof:
    """The command refuses to write what it cannot prove."""

    def exported_with(self, monkeypatch, change, *options: str) -> None:
        """Exports with a fault in the graph."""
        original = export.onnx_model

        def faulty(recognizer, ranges=None):
            made = original(recognizer, ranges)
            change(made)
            return made

        monkeypatch.setattr(export, "onnx_model", faulty)
        dispatch(["export", *options])

    @pytest.mark.parametrize(
        "weight",
        mostly_slow(
            ["classifier.bias", "body.stem.weight", "lstm.0.recurrent", "body.face.0.bias"], fast=("body.stem.weight",)
        ),
    )
    def test_one_wrong_weight_in_a_layer_is_found(self, run, tmp_path, monkeypatch, weight):
        def change(made):
            (tensor,) = (item for item in made.graph.initializer if item.name == weight)
            values = onnx.numpy_helper.to_array(tensor).copy()
            values.flat[0] += 0.5
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, weight))

        output = tmp_path / "model.onnx"
        with pytest.raises(
            CheckFailedError, match=r"log-probabilities differ by up to .*; needed at most 0.001; nothing"
        ):
            self.exported_with(monkeypatch, change, str(run.path), "--output", str(output))
        assert list(tmp_path.iterdir()) == []

    def test_a_fault_of_one_length_alone_is_found(self, run, tmp_path, monkeypatch):
        """Lengths that are no multiple of the stride, rounded down, as a traced division was."""

        def change(made):
            for node in made.graph.node:
                if node.op_type == "Add" and node.output[0] in {
                    name for other in made.graph.node if other.op_type == "Div" for name in other.input
                }:
                    node.op_type = "Mul"
                    node.input[1] = one

        def with_one(made):
            made.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], np.int64), one))
            change(made)

        one = "one"
        with pytest.raises((CheckFailedError, InputError), match=r"output frames for|differ|shape|cannot run"):
            self.exported_with(monkeypatch, with_one, str(run.path), "--output", str(tmp_path / "model.onnx"))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.slow
    def test_eight_bits_that_cost_words_are_refused(self, run, tmp_path, monkeypatch):
        def change(made):
            for item in made.graph.initializer:
                if item.name == "classifier.bias":
                    # Nothing but blanks.
                    item.CopyFrom(onnx.numpy_helper.from_array(np.float32([1e4, 0, 0, 0, 0, 0]), item.name))

        with pytest.raises(CheckFailedError, match=r"WER on dev is .*; nothing was written; .*--precision float32"):
            self.exported_with(
                monkeypatch, change, str(run.path), "--precision", "int8", "--output", str(tmp_path / "model.onnx")
            )
        assert list(tmp_path.iterdir()) == []

    def test_a_model_that_gives_nan_is_refused(self, model):
        recognizer = Recognizer(TINY_STUDENT, len(model.vocabulary)).eval()
        recognizer.classifier.weight.data[0, 0] = torch.nan
        broken = replace(model, engine=TorchEngine(recognizer))
        with pytest.raises(CheckFailedError, match="output that is not finite"):
            export.exported(broken, precision="float32", corpus=None)

    def test_made_clips_have_every_length_and_every_missing_part(self):
        batches = list(parity.made_clips("compact"))
        assert {points.shape[1] for points, _ in batches} == set(parity.LENGTHS) >= {1, 2, 3, 200}
        points, lengths = next(batch for batch in batches if batch[0].shape[:2] == (11, 64))
        assert lengths.max() == 64 > lengths.min()
        missing = np.isnan(points[..., 0])
        for row, part in enumerate(layout.subset_groups("compact").values(), 1):
            assert missing[row, :, part].all()
            assert not missing[row].all()
        assert missing[0].any()
        assert not missing[-1].any()
        assert any(row.all() for row in missing)
        points, _ = next(batch for batch in batches if batch[0].shape[1] == 200)
        lost = np.isnan(points[0, :, layout.subset_groups("compact")["left_hand"], 0]).all(1)
        gaps = {end - start for start, end in spans(lost)}
        assert gaps >= set(range(1, preset("student").fill_frames + 2))


class TestTrained:
    @pytest.mark.slow
    @pytest.mark.parametrize("precision", ["float32", "int8"])
    def test_a_trained_teacher_of_all_points_keeps_its_words(self, teacher, precision, tmp_path, capsys):
        """Its corpus has both shoulders at one height, so that their angles are +pi or -pi by rounding."""
        path = tmp_path / "model.onnx"
        assert dispatch(["export", str(teacher), "--precision", precision, "--output", str(path)]) == 0
        record = load(path).info["export"]
        assert record["wer_before"] < 0.3
        assert record["wer_after"] < 0.4
        if precision == "float32":
            assert record["difference"] <= parity.TOLERANCE or record["rounding"] > 0
            assert record["wer_after"] == record["wer_before"]
            assert record["same_greedy"] > 0.99
        assert f"{path}: " in capsys.readouterr().out

    def test_an_angle_that_is_a_matter_of_rounding_is_no_fault(self):
        """The run itself differs from itself where the clip is moved; what differs more than that is a fault."""
        found = parity.Parity()
        before, after = np.zeros((5, 3)), np.full((5, 3), 0.05)
        found.add("clip", before, after, lambda shift: before + 0.04)
        assert (found.rounding, found.failed) == (1, "")
        found.add("clip", before, after, lambda shift: before + 0.01)
        assert "clip: log-probabilities differ by up to 0.05; needed at most 0.001" in found.failed

    def test_eight_bits_may_cost_three_glosses_or_a_third_of_a_percent(self):
        found = parity.Parity(wer_before=0.1, wer_after=0.1 + 3 / 50, reference_words=50)
        found.check("int8")
        replace(found, wer_after=0.1029, reference_words=5000).check("int8")
        for worse in ({"wer_after": 0.1 + 4 / 50}, {"wer_after": 0.1032, "reference_words": 5000}):
            with pytest.raises(CheckFailedError, match="needed at most"):
                replace(found, **worse).check("int8")
        replace(found, wer_after=0.1 + 1 / 50).check("float32")
        with pytest.raises(CheckFailedError, match="needed at most 2.02 points more; nothing was written$"):
            replace(found, wer_after=0.1 + 2 / 50).check("float32")
        with pytest.raises(CheckFailedError, match="needed at most 0.10 points more; nothing was written$"):
            replace(found, wer_after=0.1029, reference_words=5000).check("float32")


class TestCommand:
    def test_does_not_replace_what_is_there(self, run, exported, tmp_path):
        with pytest.raises(InputError, match=r"exists already; choose another name or pass --overwrite"):
            dispatch(["export", str(run.path)])
        (tmp_path / "MODEL_CARD.md").write_text("# My own", encoding="utf-8")
        with pytest.raises(InputError, match=r"MODEL_CARD.md: not written by signloom"):
            dispatch(["export", str(run.path), "--output", str(tmp_path / "model.onnx")])
        assert (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8") == "# My own"

    def test_wants_the_name_of_an_onnx_file_and_a_run(self, run, exported, tmp_path):
        with pytest.raises(InputError, match=r"needed one that ends in .onnx"):
            dispatch(["export", str(run.path), "--output", str(tmp_path / "model.tflite")])
        with pytest.raises(InputError, match=r"is exported already"):
            dispatch(["export", str(exported)])

    def test_an_exported_model_stays_one(self, model, exported, tmp_path):
        with pytest.raises(InputError, match=r"an exported model stays one"):
            load(exported).save(tmp_path / "model.safetensors")
        with pytest.raises(InputError, match=r"'signloom export' makes"):
            model.save(tmp_path / "model.onnx")
        with pytest.raises(InputError, match=r"keeps no weights"):
            load(exported).engine.weights()

    def test_scores_of_an_exported_model_are_not_the_runs(self, run):
        assert Run.of(run.path / "small.onnx").path == run.exported / "small"
        assert Run.of(run.model_file).path == run.path
        assert Run.of(run.exported / "float32" / "model.onnx").path == run.exported / "float32"


@pytest.mark.slow
def test_all_commands_take_an_exported_model_without_torch(exported, corpus, tmp_path):
    """In a process where torch, safetensors and onnx cannot be imported."""
    copy = tmp_path / "model.onnx"
    shutil.copy(exported, copy)
    clip = corpus.load(corpus.split("test")[0])
    clip.save(tmp_path / "clip.npz")
    code = """
import contextlib, io
from pathlib import Path

import signloom
from signloom.cli import dispatch

model, folder, corpus = (Path(name) for name in sys.argv[1:])
def run(*words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert dispatch([str(word) for word in words]) == 0
    return out.getvalue()

signs = signloom.load(model).transcribe(folder / "clip.npz").glosses
text = run("transcribe", folder / "clip.npz", "--model", model, "--format", "json")
import json
assert [sign["gloss"] for sign in json.loads(text)["glosses"]] == [sign.gloss for sign in signs]
assert "WER" in run("evaluate", model, "--data_dir", corpus, "--split", "dev", "--worst", 0)
assert "UP" in run("align", folder / "clip.npz", "--glosses", "UP", "--model", model)
print(run("tune", model, "--data_dir", corpus))
after = signloom.load(model)
print(json.dumps([after.info["tuned"], after.info["export"]["precision"], after.decoder_name]))
"""
    output = run_without((*TORCH, "safetensors", "onnx"), code, copy, tmp_path, corpus.root)
    assert "settings tried" in output
    tuned, precision, decoder = json.loads(output.strip().splitlines()[-1])
    assert tuned["split"] == "dev"
    assert precision == "float32"
    # The graph is untouched; the header has the new decoder, and so has the card.
    assert OnnxFile.read(copy).graph == OnnxFile.read(exported).graph
    assert f"| decoder | {decoder} |" in (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert (tmp_path / "evaluation-dev.json").is_file()


class TestForgedFiles:
    """Whatever a file says, the result is an error that names it, or the model."""

    def refused(self, tmp_path, data: bytes, message: str, error=InputError) -> None:
        path = tmp_path / "forged.onnx"
        path.write_bytes(data)
        with pytest.raises(error, match=rf"forged.onnx.*{message}"):
            load(path)

    def with_header(self, exported, **changes) -> bytes:
        file = OnnxFile.read(exported)
        header = {**json.loads(file.metadata["signloom"]), **changes}
        return replace(file, metadata={**file.metadata, "signloom": json.dumps(header)}).to_bytes()

    def with_graph(self, exported, change) -> bytes:
        loaded = onnx.load(exported)
        change(loaded)
        return loaded.SerializeToString()

    def test_missing_and_other_files(self, tmp_path, run):
        with pytest.raises(InputError, match=r"none.onnx: no such model"):
            load(tmp_path / "none.onnx")
        self.refused(tmp_path, b"", "not a model of signloom")
        self.refused(tmp_path, b"\x80\x04K\x01.", "not an ONNX model")
        self.refused(tmp_path, run.model_file.read_bytes(), "not an ONNX model")
        self.refused(tmp_path, b"# a text\n", "not an ONNX model")

    def test_a_model_of_somebody_else(self, tmp_path, exported):
        def change(loaded):
            del loaded.metadata_props[:]

        self.refused(tmp_path, self.with_graph(exported, change), "no signloom header")

    def test_another_format_version_and_layout(self, tmp_path, exported):
        self.refused(tmp_path, self.with_header(exported, version=2), "version 2 of signloom-onnx")
        self.refused(tmp_path, self.with_header(exported, format="signloom-model"), "format 'signloom-model'")
        self.refused(tmp_path, self.with_header(exported, layout="other"), "point layout 'other'", LayoutError)

    def test_a_header_that_does_not_fit_the_graph(self, tmp_path, exported):
        config = TINY_STUDENT.to_json()
        words = ["<blank>", "<unknown>", "ONE"]
        path = tmp_path / "forged.onnx"
        path.write_bytes(self.with_header(exported, vocabulary=words))
        with pytest.raises(InputError, match="classifier of 6 words, vocabulary of 3"):
            load(path)
        self.refused(
            tmp_path,
            self.with_header(exported, config={**config, "lstm_hidden": 20}),
            r"its graph has .*48\] as 'features'; needed .*40\]",
        )
        path.write_bytes(self.with_header(exported, config={**config, "stem_stride": 1}))
        with pytest.raises(InputError, match=r"its graph gives \[5\] output frames for \[20\] frames, its header says"):
            load(path).emission(random_landmarks(20))

    @pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"format": "signloom-onnx"}', "[" * 100_000])
    def test_a_header_that_is_none(self, tmp_path, exported, text):
        file = OnnxFile.read(exported)
        data = replace(file, metadata={"signloom": text}).to_bytes()
        self.refused(tmp_path, data, "", (InputError, LayoutError))

    def test_a_damaged_language_model(self, tmp_path, exported):
        file = OnnxFile.read(exported)
        for text in ("!", "AAA", "AAAA"):
            metadata = {**file.metadata, "signloom.language_model.2.ids": text}
            self.refused(tmp_path, replace(file, metadata=metadata).to_bytes(), "its language model is damaged")

    @pytest.mark.parametrize(
        "info",
        [
            {"export": {"difference": "none"}},
            {"export": {"difference": 0.1, "wer_after": []}},
            {"corpus": {"summary": {"train": {"utterances": "many"}}}},
            {"export": 3, "model": [], "corpus": {"licence": {}}},
        ],
    )
    def test_a_record_that_signloom_did_not_write_costs_its_line_of_the_card(self, tmp_path, exported, info):
        path = tmp_path / "forged.onnx"
        path.write_bytes(self.with_header(exported, info=info))
        load(path).save(path)
        assert "Recognises 4 signs" in (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8")

    def test_weights_in_other_files(self, tmp_path, exported):
        secret = tmp_path / "secret"
        secret.write_bytes(bytes(10**6))

        def change(loaded):
            tensor = loaded.graph.initializer[-1]
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=str(secret))

        self.refused(tmp_path, self.with_graph(exported, change), "weights in other files.*refused")

        def hidden(loaded):
            value = onnx.numpy_helper.from_array(np.zeros(1, np.float32))
            value.data_location = onnx.TensorProto.EXTERNAL
            loaded.graph.node.append(onnx.helper.make_node("Constant", [], ["c"], value=value))

        self.refused(tmp_path, self.with_graph(exported, hidden), "weights in other files.*refused")

    def test_sub_graphs_and_functions(self, tmp_path, exported):
        def loop(loaded):
            body = onnx.helper.make_graph([], "body", [], [])
            loaded.graph.node.append(onnx.helper.make_node("Loop", ["", ""], [], body=body))

        def function(loaded):
            loaded.functions.add(name="f", domain="d")

        self.refused(tmp_path, self.with_graph(exported, loop), "sub-graphs.*refused")
        self.refused(tmp_path, self.with_graph(exported, function), "functions.*refused")

    def test_a_graph_that_is_another_network(self, tmp_path, exported):
        def rename(loaded):
            loaded.graph.input[0].name = "images"

        def unknown(loaded):
            loaded.graph.node[0].op_type = "Exec"

        self.refused(tmp_path, self.with_graph(exported, rename), "ONNX Runtime cannot load it|its graph has")
        self.refused(tmp_path, self.with_graph(exported, unknown), "ONNX Runtime cannot load it")

    def test_a_file_that_ends_early(self, tmp_path, exported):
        data = exported.read_bytes()
        for share in (0.01, 0.3, 0.7, 0.99, 0.99999):
            self.refused(tmp_path, data[: int(share * len(data))], "not a(n ONNX)? model|damaged|cannot load")

    @pytest.mark.slow
    def test_a_vocabulary_of_one_gloss(self, model, tmp_path):
        vocabulary = Vocabulary(("<blank>", "<unknown>", "ONE"))
        one = Model(TorchEngine(worn_norms(Recognizer(TINY_STUDENT, 3))), vocabulary)
        one.save(tmp_path / "model.safetensors")
        assert dispatch(["export", str(tmp_path)]) == 0
        again = load(tmp_path / "exported" / "float32" / "model.onnx")
        for num_frames in (1, 30):
            clip = random_landmarks(num_frames)
            np.testing.assert_allclose(again.emission(clip).log_probs, one.emission(clip).log_probs, atol=1e-3)


class TestProtobuf:
    def test_fields_are_those_that_were_written(self):
        # Sizes of one, two and three bytes.
        contents = {1: b"", 14: b"x" * 127, 15: b"y" * 128, 16: b"z" * 300, 2000: b"w" * 20000}
        message = memoryview(b"".join(encoded(number, content) for number, content in contents.items()))
        found = list(fields(message))
        assert {field.number: bytes(field.content) for field in found} == contents
        assert b"".join(message[field.start : field.end] for field in found) == message

    def test_reads_what_onnx_writes(self, exported):
        loaded = onnx.load(exported)
        message = memoryview(loaded.SerializeToString())
        numbers = [field.number for field in fields(message)]
        assert numbers.count(14) == len(loaded.metadata_props)
        assert next(field.value for field in fields(message) if field.number == 1) == loaded.ir_version

    @pytest.mark.parametrize(
        "data",
        [b"\x0a", b"\x0a\x05abc", b"\x0b", b"\x00\x00", b"\xff" * 20, b"\x08" + b"\xff" * 12, b"\x0d\x00", b"\x09\x00"],
    )
    def test_what_is_no_message_is_refused(self, data):
        with pytest.raises(ValueError):
            list(fields(memoryview(data)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/me/my data/corpus", "corpus"),
        (r"C:\Users\me\run", "run"),
        ("signloom train /home/me/a --output=/x/y.z", "signloom train a --output=y.z"),
        ("see ~/data/x and ~me/y", "see x and y"),
        ("file:///home/me/x", "x"),
        ("runs/a and D:/x/y", "runs/a and y"),
        ("CC BY/SA 4.0, 50 km/h, https://example.org/a/b", "CC BY/SA 4.0, 50 km/h, https://example.org/a/b"),
        ("../corpus/tiny", "../corpus/tiny"),
    ],
)
def test_texts_lose_their_folders(text, expected):
    assert without_folders(text) == expected
    assert without_folders({"a": [text, 1, None]}) == {"a": [expected, 1, None]}
