"""Training from shards is training from a folder: the same run to the last bit, whole or resumed, alone or shared."""

import json
import shutil
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file

from conftest import TINY_STUDENT
from signloom.cli import dispatch
from signloom.corpus import Corpus
from signloom.corpus.packing import pack, plan_shards
from signloom.errors import StoppedError
from signloom.model import presets
from signloom.run_folder import Run
from signloom.train import callbacks
from signloom.train.fit import fit
from signloom.train.recipe import Recipe

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY_STUDENT)


@pytest.fixture(scope="module")
def shards(tiny_corpus, tmp_path_factory) -> Path:
    """The tiny corpus in shards of about two utterances."""
    root = tmp_path_factory.mktemp("packed") / "shards"
    corpus = Corpus.open(tiny_corpus)
    plan = plan_shards(corpus, shard_bytes=300_000, seed=0)
    assert plan.summary()["train"]["shards"] > 5
    pack(corpus, root, plan)
    return root


def run(corpus, output, **changes) -> Path:
    values = {"epochs": 2, "batch_size": 2, "preset": "tiny", "learning_rate": 1e-3, "consistency": 0.0}
    return fit(Recipe(data_dir=corpus, output=output, **{**values, **changes})).run


def result(folder) -> tuple[list, dict]:
    """The curve of a run without its times, and its weights."""
    epochs = json.loads(Run(folder).history_file.read_text())["epochs"]
    curve = [{name: value for name, value in row.items() if "second" not in name} for row in epochs]
    return curve, {name: value.numpy().tobytes() for name, value in load_file(Run(folder).model_file).items()}


def test_a_run_from_shards_is_the_run_from_a_folder(tiny_corpus, shards, tmp_path):
    assert result(run(tiny_corpus, tmp_path / "folder")) == result(run(shards, tmp_path / "packed"))


@pytest.mark.parametrize("window", [2, 100])
def test_a_stopped_run_goes_on_to_the_last_bit(shards, tmp_path, monkeypatch, window):
    step_done = callbacks.step_done

    def stopped(trainer, batch_index):
        if (trainer.current_epoch, batch_index) == (1, 3):
            signal.raise_signal(signal.SIGTERM)
        return step_done(trainer, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "step_done", stopped)
        with pytest.raises(StoppedError, match="--resume"):
            run(shards, tmp_path / "cut", shard_window=window)
    run(shards, tmp_path / "cut", shard_window=window, resume=True)
    assert result(tmp_path / "cut") == result(run(shards, tmp_path / "whole", shard_window=window))


def test_two_processes_share_the_steps_as_they_do_from_a_folder(tiny_corpus, shards, tmp_path):
    # The other process does not know the preset `tiny`.
    options = {"devices": 2, "preset": "student", "epochs": 1}
    packed = run(shards, tmp_path / "packed", **options)
    assert json.loads((packed / "run.json").read_text())["environment"]["processes"] == 2
    assert result(packed) == result(run(tiny_corpus, tmp_path / "folder", **options))


def test_every_command_that_takes_a_corpus_takes_a_packed_one(tiny_corpus, shards, tmp_path, capsys):
    trained = str(run(tiny_corpus, tmp_path / "run", epochs=1))
    shutil.copytree(shards, tmp_path / "copy")
    for words in (
        ["doctor", str(shards)],
        ["verify", "--data_dir", str(shards), "--num_steps", "2"],
        ["evaluate", trained, "--data_dir", str(shards), "--split", "dev"],
        ["align", str(shards), "--model", trained, "--output", str(tmp_path / "aligned")],
        ["lm", "--data_dir", str(shards), "--output", str(tmp_path / "lm.arpa")],
        ["import", "merge", str(shards), str(tmp_path / "copy"), "--output", str(tmp_path / "merged")],
        ["pack", str(shards), "--output", str(tmp_path / "again")],
    ):
        status = dispatch(words)
        assert status == 0 or (status == 1 and words[0] in ("doctor", "verify")), (words, capsys.readouterr().err)
    # The copy has the same clips with the same glosses.
    assert len(Corpus.open(tmp_path / "merged")) == len(Corpus.open(tiny_corpus))
