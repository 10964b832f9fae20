"""Model files and training states with one thing forged: refused by name and field, or read as what they say."""

import json
import os
import re
import zipfile
from dataclasses import replace

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
from signloom.train.checkpoint_io import SafeCheckpointIO
from signloom.train.fit import fit
from signloom.train.recipe import Recipe
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


STATE = {
    "epoch": 1,
    "global_step": 7,
    "pytorch-lightning_version": "2.5",
    "loops": {},
    "callbacks": {"a": (1, 2.5)},
    "state_dict": {"weight": torch.ones(2)},
    "lr_schedulers": [{"last_epoch": 7}],
    "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]}],
    "epoch_so_far": {"batches": 3, "sums": (1.0, 2.0, 3.0), "seconds": 0.5},
}


def test_a_training_state_is_written_and_read_back(tmp_path):
    SafeCheckpointIO().save_checkpoint(STATE, tmp_path / "last.safetensors")
    back = SafeCheckpointIO().load_checkpoint(tmp_path / "last.safetensors")
    assert back["callbacks"] == {"a": (1, 2.5)}
    assert torch.equal(back["optimizer_states"][0]["state"][0]["exp_avg"], torch.zeros(2))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"epoch": float("nan")}, "epoch is nan"),
        ({"epoch": None}, "epoch is null; needed a whole number"),
        ({"global_step": -1}, "global_step is -1; needed a whole number of 0 to"),
        ({"global_step": "7"}, "global_step is '7'"),
        ({"state_dict": []}, "state_dict is a list of 0; needed an object"),
        ({"optimizer_states": []}, "optimizer_states is a list of 0; needed a list of 1"),
        ({"epoch_so_far": {"batches": 3, "sums": (1.0,), "seconds": 0.5}}, "epoch_so_far.sums is a list of 1"),
        (
            {"epoch_so_far": {"batches": 3, "sums": (1.0, 2.0, float("nan")), "seconds": 0.5}},
            "epoch_so_far.sums[2] is nan",
        ),
        ({"epoch_so_far": {}}, "epoch_so_far.batches is missing"),
    ],
)
def test_a_forged_value_of_a_training_state_is_refused_with_its_field(change, told, tmp_path):
    path = tmp_path / "last.safetensors"
    SafeCheckpointIO().save_checkpoint({**STATE, **change}, path)
    refused(lambda: SafeCheckpointIO().load_checkpoint(path), f"{path}: ", told)


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("null", "needed an object"),
        ("[]", "needed an object"),
        ('{"tensor": "9"}', "its tree is damaged"),
        ('{"dict": [], "tuple": []}', "its tree is damaged"),
        ('{"dict": [[1]]}', "its tree is damaged"),
        ('{"dict": [[[], 1]]}', "its tree is damaged"),
        ('{"wings": []}', "its tree is damaged"),
        ('{"dict": []}', "is missing"),
    ],
    ids=range(10),
)
def test_a_damaged_tree_is_refused(tree, told, tmp_path):
    path = tmp_path / "last.safetensors"
    save_file({"0": torch.zeros(2)}, path, metadata={"format": "signloom-training-state", "tree": tree})
    refused(lambda: SafeCheckpointIO().load_checkpoint(path), f"{path}: ", told)


def test_other_files_are_no_training_states(model, tmp_path):
    path = forged(tmp_path, *model)
    refused(lambda: SafeCheckpointIO().load_checkpoint(path), f"{path}: not a training state", "it is a model")
    save_file({"0": torch.zeros(2)}, path)
    refused(lambda: SafeCheckpointIO().load_checkpoint(path), "another file of tensors")
    for content in (b"", b"text", b"\xff" * 100):
        path.write_bytes(content)
        refused(lambda: SafeCheckpointIO().load_checkpoint(path), f"{path}: not a training state")
    path.unlink()
    os.mkfifo(path)
    refused(lambda: SafeCheckpointIO().load_checkpoint(path), f"{path}: is a named pipe")


@pytest.mark.slow
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing_in_the_folder(tiny_corpus, tiny_presets, tmp_path):
    recipe = Recipe(tiny_corpus, output=tmp_path / "run", preset="tiny", epochs=2, consistency=0.0, max_steps=2)
    fit(recipe)
    path = tmp_path / "run" / "last.safetensors"
    good = SafeCheckpointIO().load_checkpoint(path)
    name = next(iter(good["state_dict"]))
    weights = good["state_dict"]
    moments = good["optimizer_states"][0]
    first = {**moments["state"][0], "exp_avg": torch.zeros(3, 5, 7)}
    for change, told in (
        ({"state_dict": {**weights, name: torch.zeros(3, 5, 7)}}, f"{name} has shape (3, 5, 7)"),
        ({"state_dict": {**weights, name: torch.full_like(weights[name], torch.nan)}}, f"{name} is not finite"),
        ({"state_dict": {}}, "is missing"),
        ({"optimizer_states": [{**moments, "state": {**moments["state"], 0: first}}]}, "the optimiser's averages"),
        ({"loops": {}}, "does not fit this run"),
        ({"callbacks": {key: {"wings": 1} for key in good["callbacks"]}}, "does not fit this run"),
    ):
        SafeCheckpointIO().save_checkpoint({**good, **change}, path)
        before = {file: file.read_bytes() for file in (tmp_path / "run").glob("*.json")}
        with pytest.raises(InputError, match=re.escape(told)) as caught:
            fit(replace(recipe, resume=True, max_steps=4))
        assert str(caught.value).startswith(f"{path}: ")
        assert {file: file.read_bytes() for file in (tmp_path / "run").glob("*.json")} == before
