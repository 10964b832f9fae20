"""Model files with one thing forged: refused by name and field, or read as what they say."""

import json
import zipfile

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from conftest import SMALL_TEACHER, TINY_STUDENT, random_landmarks
from forged import changed, each, places, refused
from signloom.ctc.decoding import Decoding
from signloom.ctc.kneser_ney import kneser_ney
from signloom.errors import InputError
from signloom.inference.model import Model, load
from signloom.inference.model_file import ModelFile
from signloom.inference.torch_engine import TorchEngine
from signloom.model.recognizer import Recognizer
from signloom.vocabulary import Vocabulary

VOCABULARY = Vocabulary.from_glosses([["A", "B", "C"]])
SPANS = {"timing": {"shift_seconds": 0.1, "gloss_seconds": 0.5}, "calibration": {"slope": 1.0, "offset": 0.0}}


def parts_of(path):
    """Tensors and header of a model file."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        return tensors, json.loads(file.metadata()["signloom"])


@pytest.fixture(scope="module", params=[TINY_STUDENT, SMALL_TEACHER], ids=["student", "teacher"])
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    language_model = kneser_ney([["A", "B"], ["C"]], order=2).model
    engine = TorchEngine(Recognizer(request.param, len(VOCABULARY)))
    info = {"dev": {"dev_loss": float("inf")}, "spans": SPANS}
    Model(engine, VOCABULARY, info, Decoding(lm_weight=0.5), language_model).save(path)
    return parts_of(path)


def forged(folder, tensors, header):
    path = folder / "model.safetensors"
    text = header if isinstance(header, str) else json.dumps(header)
    save_file(tensors, path, metadata={"signloom": text})
    return path


def test_a_model_that_was_not_forged_is_loaded(model, tmp_path):
    assert load(forged(tmp_path, *model)).vocabulary == VOCABULARY


def test_an_odd_value_anywhere_in_the_header_is_refused_with_its_field_or_kept(model, tmp_path):
    tensors, header = model
    # The header is read without the weights.
    tensors = {name: value for name, value in tensors.items() if name.startswith("language_model.")}
    before = facts(ModelFile.read(forged(tmp_path, tensors, header)))
    for place, value in each(places(header)):
        if value == "\ud800":
            # safetensors' own header is valid Unicode.
            continue
        other = changed(header, place, value)
        path = forged(tmp_path, tensors, other)
        try:
            after = facts(ModelFile.read(path))
        except InputError as error:
            message = str(error)
            assert message.startswith(f"{path}: ")
            assert any(str(part).partition("_")[0] in message for part in place if isinstance(part, str)), message
        else:
            # None and an empty object stand for a part that is left out.
            assert after != before or other == header or value in (None, {}), place


def facts(file):
    words = file.language_model and file.language_model.words
    return file.config, file.vocabulary, file.info, file.decoding, words


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lstm_hidden", 60_000),
        ("stem_channels", 65_536),
        ("lstm_layers", 16),
        ("head_channels", 30_000),
        ("encoder_width", 60_000),
        ("encoder_widths", {"pose": 60_000, "left_hand": 8, "right_hand": 8, "face": 8}),
        ("encoder_widths", {"pose": 8}),
        ("view", "full"),
        ("auxiliary_head", True),
        ("classifier", "cosine"),
    ],
)
def test_a_config_of_another_network_costs_no_memory(model, field, value, tmp_path):
    tensors, header = model
    if field in header["config"] and header["config"][field] != value:
        path = forged(tmp_path, tensors, changed(header, ("config", field), value))
        refused(lambda: load(path), f"{path}: the weights do not fit the model that the file describes")


def test_weights_are_compared_and_finite(model, tmp_path):
    tensors, header = model
    name = "classifier.weight"
    for broken, told in (
        ({name: torch.full_like(tensors[name], torch.nan)}, f"{name} has values that are not finite"),
        ({name: tensors[name][:-1]}, f"{name} has shape ({len(VOCABULARY) - 1}, "),
        ({name: torch.zeros(())}, f"{name} has shape ()"),
        ({"wings": torch.zeros(3)}, "wings is unknown"),
        ({name: torch.zeros_like(tensors[name], dtype=torch.int32)}, f"{name} holds torch.int32, needed torch.float32"),
    ):
        path = forged(tmp_path, {**tensors, **broken}, header)
        refused(lambda path=path: load(path), f"{path}: ", told)
    path = forged(tmp_path, {key: value for key, value in tensors.items() if key != name}, header)
    refused(lambda: load(path), f"{name} is missing")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("2.ids", torch.zeros(3, 3, dtype=torch.int32)),
        ("2.ids", torch.full((3, 2), 1000, dtype=torch.int32)),
        ("2.ids", torch.zeros(3, 2)),
        ("1.ids", torch.zeros(0, 1, dtype=torch.int32)),
        ("1.log_probs", torch.zeros(1)),
        ("1.log_probs", torch.full((6,), torch.nan)),
        ("2.backoffs", torch.full((4,), torch.inf)),
    ],
)
def test_the_tensors_of_a_language_model_are_compared(model, name, value, tmp_path):
    tensors, header = model
    if name == "1.log_probs" and len(value) > 1:
        value = torch.full_like(tensors[f"language_model.{name}"], torch.nan)
    path = forged(tmp_path, {**tensors, f"language_model.{name}": value}, header)
    refused(lambda: load(path), f"{path}: its language model is damaged")


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"format": "signloom-model", "format": "signloom-model"}', "'format' occurs twice"),
        ("[]", "format 'list'"),
    ],
    ids=["empty", "nested", "twice", "list"],
)
def test_a_header_that_is_no_json_of_ours_is_refused(model, header, told, tmp_path):
    path = forged(tmp_path, model[0], header)
    refused(lambda: load(path), f"{path}: ", told)


def test_a_huge_vocabulary_with_a_word_twice_is_refused_at_once(model, tmp_path):
    tensors, header = model
    words = [*header["vocabulary"][:2], *map(str, range(50_000)), "7"]
    path = forged(tmp_path, tensors, {**header, "vocabulary": words})
    refused(lambda: load(path), "words that occur twice: 7")


def test_other_kinds_of_files_are_named(model, tmp_path):
    random_landmarks(3).save(tmp_path / "a.npz")
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.txt").write_text("weights: none\n" * 100)
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04K\x01.")
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    save_file({"0": torch.zeros(2)}, tmp_path / "last.safetensors", metadata={"format": "signloom-training-state"})
    for name, what in {
        "a.npz": "a zip archive, such as a landmark file",
        "a.pt": "a checkpoint of torch",
        "a.npy": "an array of NumPy",
        "a.txt": "text",
        "a.pkl": "a pickle",
        "last.safetensors": "signloom-training-state",
    }.items():
        refused(lambda name=name: load(tmp_path / name), f"{name}: not a model file of signloom (it is ", what)
    refused(lambda: load(tmp_path / "none"), "none: no such model")
