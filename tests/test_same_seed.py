"""The same seed gives the same bytes: commands run twice, and a run that is stopped and resumed between its epochs.

`synth`, `compose` and a training that is killed within an epoch have tests of their own.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from signloom import cli

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_presets")]

# Augmentation, dropout, masks of two views and the order of utterances are drawn.
TRAINING = "--preset tiny --dropout 0.2 --batch_size 4 --epochs 2 --learning_rate 1e-3 --seed 3"


def run(command: str) -> None:
    assert cli.dispatch(command.split()) == 0


def figures_of(folder: Path) -> list[dict]:
    """The history without seconds."""
    rows = json.loads((folder / "history.json").read_text())["epochs"]
    return [{name: value for name, value in row.items() if "second" not in name} for row in rows]


def state_of(folder: Path) -> dict[str, np.ndarray]:
    """Weights, optimiser and all else that the last state holds, as bytes: a NaN equals itself."""
    return {name: value.tobytes() for name, value in load_file(folder / "last.safetensors").items()}


def assert_same(one: Path, other: Path) -> None:
    assert figures_of(one) == figures_of(other)
    assert state_of(one) == state_of(other)


@pytest.fixture(scope="module")
def runs(tiny_corpus, tmp_path_factory):
    """Two runs of one command, and one that ends after its first epoch and goes on."""
    from conftest import TINY_STUDENT
    from signloom.model.presets import PRESETS

    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "tiny", TINY_STUDENT)
        for name in ("one", "two"):
            run(f"train --data_dir {tiny_corpus} --output {root / name} {TRAINING}")
        # A minute's limit changes no schedule; it is looked at after every step.
        stopped = f"train --data_dir {tiny_corpus} --output {root / 'resumed'} {TRAINING}"
        run(f"{stopped} --max_minutes 1e-4")
        run(f"{stopped} --resume")
    return root


def test_train(runs):
    assert_same(runs / "one", runs / "two")


def test_another_seed_is_another_run(runs, tiny_corpus, tmp_path):
    command = f"train --data_dir {tiny_corpus} --output {tmp_path / 'other'} {TRAINING}"
    run(command.replace("--seed 3", "--seed 4"))
    assert figures_of(tmp_path / "other") != figures_of(runs / "one")


def test_resumed(runs):
    whole, resumed = (state_of(runs / name) for name in ("one", "resumed"))
    assert whole == resumed
    # The epoch that was cut has a record and a score of its own.
    rows = {row["steps"]: row for row in figures_of(runs / "resumed")}
    assert [rows[row["steps"]] for row in figures_of(runs / "one")] == figures_of(runs / "one")


@pytest.mark.parametrize("cache", [True, False])
def test_distill(teacher, tiny_corpus, tmp_path, cache):
    for name in ("one", "two"):
        command = f"distill --data_dir {tiny_corpus} --teacher {teacher} --output {tmp_path / name} {TRAINING}"
        # Predictions that were saved before would be none of this run's.
        run(f"{command} --cache true --emissions {tmp_path / name}-emissions" if cache else command)
    assert_same(tmp_path / "one", tmp_path / "two")


def test_lm_tune_and_evaluate(runs, tiny_corpus, tmp_path):
    written = []
    for name, workers in (("one", 1), ("two", 2)):
        folder = tmp_path / "same" / "run"
        shutil.copytree(runs / "one", folder)
        arpa = tmp_path / f"{name}.arpa"
        run(f"lm --data_dir {tiny_corpus} --order 2 --output {arpa}")
        run(f"tune {folder} --data_dir {tiny_corpus} --lm {arpa}")
        run(f"evaluate {folder} --data_dir {tiny_corpus} --split dev --workers {workers}")
        names = ("model.safetensors", "evaluation-dev.json", "hypotheses-dev.csv", "score-dev.html")
        written.append([arpa.read_bytes(), *((folder / file).read_bytes() for file in names)])
        shutil.rmtree(folder)
    # Neither the second time nor two processes change a byte.
    assert [one == two for one, two in zip(*written, strict=True)] == [True] * 5
