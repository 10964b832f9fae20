"""Training states: what is written is read back; one thing forged is refused by name and field."""

import os
import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from conftest import TINY_STUDENT
from forged import refused
from signloom.errors import InputError
from signloom.inference.model import Model
from signloom.inference.torch_engine import TorchEngine
from signloom.model.recognizer import Recognizer
from signloom.train.recipe import Recipe
from signloom.train.training_state import read_state, write_state
from signloom.vocabulary import Vocabulary

# What Lightning always has in a state.
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
    write_state(STATE, tmp_path / "last.safetensors")
    back = read_state(tmp_path / "last.safetensors")
    assert back["callbacks"] == {"a": (1, 2.5)}
    assert torch.equal(back["optimizer_states"][0]["state"][0]["exp_avg"], torch.zeros(2))


TREE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.tuples(inner, inner)
    | st.dictionaries(st.text(max_size=5) | st.integers(0, 9), inner, max_size=3),
    max_leaves=12,
)


@given(TREE)
@settings(max_examples=40)
def test_training_state_survives_without_pickle(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("state") / "last.safetensors"
    weights = torch.randn(3, 2).to(torch.bfloat16)
    write_state({**STATE, "tree": tree, "weights": [weights, weights]}, path)
    back = read_state(path)
    assert back["tree"] == tree
    assert torch.equal(back["weights"][1], weights)


def test_training_state_refuses_objects_and_other_files(tmp_path):
    with pytest.raises(TypeError, match="holds a set"):
        write_state({"a": {1, 2}}, tmp_path / "x")
    torch.save({}, tmp_path / "pickle.ckpt")
    with pytest.raises(InputError, match="not a training state"):
        read_state(tmp_path / "pickle.ckpt")


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
    write_state({**STATE, **change}, path)
    refused(lambda: read_state(path), f"{path}: ", told)


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
    refused(lambda: read_state(path), f"{path}: ", told)


def test_other_files_are_no_training_states(tmp_path):
    path = tmp_path / "model.safetensors"
    vocabulary = Vocabulary.from_glosses([["A", "B"]])
    Model(TorchEngine(Recognizer(TINY_STUDENT, len(vocabulary))), vocabulary).save(path)
    refused(lambda: read_state(path), f"{path}: not a training state", "it is a model")
    save_file({"0": torch.zeros(2)}, path)
    refused(lambda: read_state(path), "another file of tensors")
    for content in (b"", b"text", b"\xff" * 100):
        path.write_bytes(content)
        refused(lambda: read_state(path), f"{path}: not a training state")
    path.unlink()
    os.mkfifo(path)
    refused(lambda: read_state(path), f"{path}: is a named pipe")


@pytest.mark.slow
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing_in_the_folder(tiny_corpus, tiny_presets, tmp_path):
    from signloom.train.fit import fit

    recipe = Recipe(tiny_corpus, output=tmp_path / "run", preset="tiny", epochs=2, consistency=0.0, max_steps=2)
    fit(recipe)
    path = tmp_path / "run" / "last.safetensors"
    good = read_state(path)
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
        write_state({**good, **change}, path)
        before = {file: file.read_bytes() for file in (tmp_path / "run").glob("*.json")}
        with pytest.raises(InputError, match=re.escape(told)) as caught:
            fit(replace(recipe, resume=True, max_steps=4))
        assert str(caught.value).startswith(f"{path}: ")
        assert {file: file.read_bytes() for file in (tmp_path / "run").glob("*.json")} == before
