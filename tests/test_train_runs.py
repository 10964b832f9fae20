"""Whole runs as processes: killed and resumed, two at once, several together; and what a user may do wrong."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from conftest import TINY_STUDENT, finished, made_once, tiny_sentence
from signloom.corpus import Corpus, CorpusWriter
from signloom.ctc.decoding import Decoding
from signloom.errors import InputError, TrainingError
from signloom.files.locks import locked
from signloom.files.writing import as_json, write_json
from signloom.inference.evaluate import evaluate
from signloom.model import presets
from signloom.run_folder import Run, corpus_record
from signloom.train.distill.recipe import DistillRecipe
from signloom.train.distributed import World, _restart_would_hang, joined
from signloom.train.fit import fit
from signloom.train.recipe import Recipe
from signloom.train.resume import FREE_TO_CHANGE, check_same_run

pytestmark = pytest.mark.slow

TINY = replace(TINY_STUDENT, dropout=0.2)


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)


def recipe(corpus, output, **changes) -> Recipe:
    values = {"epochs": 3, "batch_size": 2, "preset": "tiny", "learning_rate": 1e-3, "consistency": 0.0}
    return Recipe(data_dir=corpus, output=output, **{**values, **changes})


def curve(run) -> list[dict]:
    records = json.loads((Path(run) / "history.json").read_text())["epochs"]
    return [{name: value for name, value in row.items() if "second" not in name} for row in records]


def weights_of(run) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in load_file(run / "model.safetensors").items()}


def same_run(first, second) -> bool:
    weights = weights_of(first), weights_of(second)
    return curve(first) == curve(second) and all(
        np.array_equal(weights[0][name], weights[1][name]) for name in weights[0]
    )


KILLED = """
import os, signal, sys
from signloom.train import callbacks
save, kept = callbacks.LastState._save, []
def saved(self, trainer, **options):
    save(self, trainer, **options)
    kept.append(1)
step_done = callbacks.step_done
def stepped(trainer, batch_index):
    # Three steps of two batches into the second epoch; the state was kept after two.
    if trainer.current_epoch == 1 and batch_index == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return step_done(trainer, batch_index)
callbacks.LastState._save, callbacks.step_done = saved, stepped
from signloom.cli import main
main(sys.argv[1:])
"""


def test_killed_in_an_epoch_and_resumed_is_the_uninterrupted_run_to_the_last_bit(tiny_corpus, tmp_path):
    # Dropout, augmentation, masks of two views, accumulation: all that chance and the order of work decide.
    options = {
        "epochs": 3,
        "save_every_steps": 2,
        "dropout": 0.2,
        "consistency": 2.0,
        "preset": "student",
        "num_train_samples": 8,
        "accumulate": 2,
        "learning_rate": 3e-4,
    }
    flags = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    flags += ["--data_dir", str(tiny_corpus), "--batch_size", "1"]
    cut = tmp_path / "cut"
    process = subprocess.run(
        [sys.executable, "-c", KILLED, "train", *flags, "--output", str(cut)], capture_output=True, text=True
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert [row["epoch"] for row in curve(cut)] == [1]
    # The lock of the killed process does not stand in the way.
    resumed = fit(recipe(tiny_corpus, cut, **options, batch_size=1, resume=True))
    assert "features of training clips" not in (cut / "training.log").read_text().split("2/3")[1]
    whole = fit(recipe(tiny_corpus, tmp_path / "whole", **options, batch_size=1))
    assert [record.steps for record in resumed.history.epochs] == [4, 8, 12]
    # One thread does the same sums in the same order: nothing to tolerate.
    assert same_run(cut, whole.run)


def test_a_run_stopped_by_its_minutes_goes_on_within_the_epoch(tiny_corpus, tmp_path, monkeypatch):
    from signloom.train import callbacks

    whole = fit(recipe(tiny_corpus, tmp_path / "whole"))
    judge = callbacks.Stop._check

    def stop(self, trainer):
        judge(self, trainer)
        trainer.should_stop |= trainer.global_step == 11

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Stop, "_check", stop)
        stopped = fit(recipe(tiny_corpus, tmp_path / "cut"))
    # 8 steps an epoch: stopped after three of the second, with a record and a score of what there was.
    assert [record.steps for record in stopped.history.epochs] == [8, 11]
    resumed = fit(recipe(tiny_corpus, tmp_path / "cut", resume=True))
    assert [record.steps for record in resumed.history.epochs] == [8, 11, 16, 24]
    found = [row for row in curve(resumed.run) if row["steps"] != 11]
    assert found == curve(whole.run)
    # The second epoch's loss is over all of it, not over what was left.
    assert found[1]["train_loss"] == curve(whole.run)[1]["train_loss"]
    again = fit(recipe(tiny_corpus, tmp_path / "cut", resume=True))
    assert curve(again.run) == curve(resumed.run)


@pytest.mark.parametrize("kind", [Recipe, DistillRecipe])
def test_an_option_added_later_does_not_refuse_an_older_run(kind, tiny_corpus, tmp_path):
    corpus = Corpus.open(tiny_corpus)
    required = {"teacher": tmp_path / "teacher"} if kind is DistillRecipe else {}
    given = kind(data_dir=tiny_corpus, output=tmp_path, resume=True, **required)
    record = as_json(asdict(given))
    # The last option stands for one that the older version did not have.
    added = [name for name in record if name not in FREE_TO_CHANGE][-1]
    del record[added]
    Run(tmp_path).state_file.touch()
    write_json(Run(tmp_path).info_file, {"recipe": record, "corpus": corpus_record(corpus)})
    check_same_run(given, corpus)
    with pytest.raises(InputError, match=f"1 fault\n.*--{added} was .*, now 'x'"):
        check_same_run(replace(given, **{added: "x"}), corpus)


def test_max_steps_ends_a_run_with_a_score(tiny_corpus, tmp_path):
    result = fit(recipe(tiny_corpus, tmp_path / "run", max_steps=3, schedule="cosine", warmup_epochs=0))
    (record,) = result.history.epochs
    assert record.steps == 3
    # The schedule is fitted to the steps: at their end the rate is 0.
    assert record.learning_rate == pytest.approx(0, abs=1e-9)


class TestOneAtATime:
    def test_a_second_run_in_the_same_folder_is_refused_by_name(self, tiny_corpus, tmp_path):
        with locked(tmp_path / "run"):
            message = f"another process writes here \\(process {os.getpid()} on .*another --output"
            with pytest.raises(InputError, match=message):
                fit(recipe(tiny_corpus, tmp_path / "run"))
        fit(recipe(tiny_corpus, tmp_path / "run", max_steps=1))


# Two views: with one, ten epochs are too few to come to the same place.
PAIR = {"preset": "student", "epochs": 10, "learning_rate": 3e-4, "dropout": 0.0, "consistency": 2.0}


@pytest.fixture(scope="module")
def pair(tiny_corpus, tmp_path_factory):
    """A run of two processes, and one of a process with batches twice as large: the same steps."""

    def make(root):
        fit(recipe(tiny_corpus, root / "both", **PAIR, devices=2, batch_size=2))
        fit(recipe(tiny_corpus, root / "alone", **PAIR, batch_size=4))

    root = made_once(tmp_path_factory, "pair", make)
    return finished(root / "both"), finished(root / "alone")


class TestSeveralProcesses:
    def test_they_learn_as_one(self, pair):
        both, alone = pair
        assert [record.steps for record in both.history.epochs] == [record.steps for record in alone.history.epochs]
        losses = np.array([[record.train_loss for record in run.history.epochs] for run in pair])
        # The same utterances in every step, though batch norm sees half of them in either process: hardly a difference
        # at first, other paths later (a factor of 1.37 where they were furthest apart), the same place in the end.
        apart = np.abs(np.log(losses[0] / losses[1]))
        assert apart[0] < 0.02
        assert apart[-1] < 0.2
        assert (losses[:, -1] < 0.6 * losses[:, 0]).all()

    def test_their_scores_are_those_of_one_process_with_the_same_weights(self, pair, tiny_corpus):
        both, _ = pair
        greedy = Decoding(decoder="greedy")
        again = evaluate(both.model, Corpus.open(tiny_corpus), "dev", decoding=greedy)
        assert again.wer == pytest.approx(both.best.dev_wer)
        assert len(again.utterances) == 6

    def test_only_one_writes_and_the_record_says_how_many_there_were(self, pair):
        both, _ = pair
        info = json.loads((both.run / "run.json").read_text())
        assert info["environment"]["processes"] == 2
        assert (both.run / "training.log").read_text().count("epoch 1/10") == 1
        assert len(list((both.run / "tensorboard").glob("events.*"))) == 1
        assert not any(name in os.environ for name in ("RANK", "WORLD_SIZE", "SIGNLOOM_LAUNCHED"))

    def test_what_goes_wrong_in_another_process_is_told(self, tiny_corpus, tmp_path):
        # The preset is known in the first process only, which may have to be ended from within.
        code = (
            "import sys; from signloom.model import presets; presets.PRESETS['odd'] = presets.PRESETS['student']\n"
            "from signloom.cli import main; from signloom.train import distributed; distributed.PATIENCE_SECONDS = 1\n"
            "main(sys.argv[1:])"
        )
        flags = ["--data_dir", str(tiny_corpus), "--output", str(tmp_path / "run"), "--preset", "odd", "--devices", "2"]
        found = subprocess.run([sys.executable, "-c", code, "train", *flags], capture_output=True, text=True)
        assert found.returncode == 1
        assert "model: no preset 'odd'" in found.stderr
        assert "Traceback" not in found.stderr

    def test_torchrun_is_the_same_run(self, tiny_corpus, tmp_path, pair):
        # The masks of two views are drawn in each process. The clocks are compared after ten steps.
        options = {**PAIR, "batch_size": 2, "max_minutes": 1e-4}
        flags = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        command = [
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node",
            "2",
            "-m",
            "signloom.cli",
            "train",
        ]
        found = subprocess.run(
            [sys.executable, *command, "--data_dir", str(tiny_corpus), "--output", str(tmp_path / "torchrun"), *flags],
            capture_output=True,
            text=True,
        )
        assert found.returncode == 0, found.stderr
        assert found.stdout.count("best dev WER") == 1
        curves = curve(tmp_path / "torchrun"), curve(pair[0].run)
        assert [row["steps"] for row in curves[0]] == [4, 8, 10]
        assert curves[0][:2] == curves[1][:2]


class TestWorld:
    def test_alone(self):
        assert World.of_environment({}) == World()

    def test_torchrun_on_two_machines(self):
        variables = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "RANK": "5", "LOCAL_WORLD_SIZE": "4"}
        assert World.of_environment(variables) == World(5, 8, 4, "torchrun")
        assert World.of_environment(variables).num_nodes == 2

    def test_restarts_that_would_hang_are_told_of(self):
        shared = {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_MAX_RESTARTS": "3"}
        two_machines = World(0, 2, 1, "torchrun")
        assert _restart_would_hang(two_machines, shared)
        assert not _restart_would_hang(two_machines, {**shared, "TORCHELASTIC_USE_AGENT_STORE": "False"})
        assert not _restart_would_hang(two_machines, {**shared, "TORCHELASTIC_MAX_RESTARTS": "0"})
        assert not _restart_would_hang(World(0, 2, 2, "torchrun"), shared)

    def test_a_lost_connection_is_no_fault_of_this_process(self):
        with pytest.raises(TrainingError, match="process 1 of 2 has lost the connection"), joined(World(1, 2, 1, "x")):
            raise RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:537] Connection reset by peer")
        with pytest.raises(RuntimeError, match="ours"), joined(World(1, 2, 1, "x")):
            raise RuntimeError("ours")

    def test_a_step_of_slurm_but_not_a_shell_in_its_allocation(self):
        allocation = {"SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_JOB_ID": "7"}
        assert World.of_environment(allocation) == World()
        step = {**allocation, "SLURM_STEP_ID": "0", "SLURM_PROCID": "3"}
        assert World.of_environment(step) == World(3, 4, 2, "SLURM")
        with pytest.raises(InputError, match="SLURM has started 5 processes, 2 on this machine"):
            World.of_environment({**step, "SLURM_NTASKS": "5"})


class TestWhatAUserMayGive:
    def corpus(self, root, sentences):
        with CorpusWriter(root, {}) as writer:
            for number, (split, glosses) in enumerate(sentences):
                clip = tiny_sentence(glosses, seed=number)
                writer.add(f"u{number}", split=split, signer="A", glosses=list(glosses), landmarks=clip)
        return root

    def test_one_utterance_and_a_batch_larger_than_the_corpus(self, tmp_path):
        root = self.corpus(tmp_path / "c", [("train", ("UP", "DOWN")), ("dev", ("UP",))])
        result = fit(recipe(root, tmp_path / "run", epochs=2, batch_size=64, accumulate=3))
        # One step an epoch: three accumulated batches, of which two count nothing.
        assert [record.steps for record in result.history.epochs] == [1, 2]
        assert all(np.isfinite(record.train_loss) for record in result.history.epochs)

    def test_one_utterance_in_all_has_nothing_to_choose_the_best_epoch_on(self, tmp_path):
        root = self.corpus(tmp_path / "c", [("train", ("UP", "DOWN"))])
        with pytest.raises(InputError, match="split 'dev' has no utterances; needed at least 1, got 1 in train"):
            fit(recipe(root, tmp_path / "run"))
        assert not (tmp_path / "run" / "run.json").exists()

    def test_a_single_gloss_can_be_learnt(self, tmp_path):
        # Blank, unknown and one gloss: the smallest vocabulary there is.
        root = self.corpus(tmp_path / "c", [("train", ("UP",)), ("train", ("UP", "UP")), ("dev", ("UP",))])
        result = fit(recipe(root, tmp_path / "run", epochs=30))
        assert result.model.vocabulary.words == ("<blank>", "<unknown>", "UP")
        assert result.history.epochs[-1].train_loss < result.history.epochs[0].train_loss

    def test_an_utterance_without_hands_is_trained_on_and_stays_finite(self, tmp_path):
        from signloom import layout

        root = tmp_path / "c"
        with CorpusWriter(root, {}) as writer:
            for number, split in enumerate(["train", "train", "dev"]):
                clip = tiny_sentence(("UP", "DOWN"), seed=number)
                if number == 1:
                    points = clip.points.copy()
                    for name in ("left_hand", "right_hand"):
                        points[:, layout.GROUPS[name]] = np.nan
                    clip = replace(clip, points=points)
                writer.add(f"u{number}", split=split, signer="A", glosses=["UP", "DOWN"], landmarks=clip)
        result = fit(recipe(root, tmp_path / "run", epochs=2))
        assert all(np.isfinite(record.train_loss) for record in result.history.epochs)
        assert "2 train and 1 dev utterance" in (result.run / "training.log").read_text()

    def test_several_processes_cannot_share_a_corpus_in_memory(self, tiny_corpus, tmp_path):
        with pytest.raises(InputError, match="2 processes cannot share a corpus that lies in memory"):
            fit(recipe(tiny_corpus, tmp_path / "run", devices=2), corpus=Corpus.open(tiny_corpus))

    def test_every_impossible_option_is_told_at_once(self, tiny_corpus):
        with pytest.raises(InputError) as raised:
            recipe(tiny_corpus, "x", max_steps=0, frames_per_batch=-1, save_every_minutes=0.0, devices=0).check()
        assert "4 faults" in str(raised.value)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 40 MB, where this user may mount one."""
    there = tmp_path / "disk"
    there.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(there)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a file system needs rights this user does not have")
    yield there
    subprocess.run(["umount", "--lazy", str(there)], check=True)


def test_a_full_disk_spoils_nothing(tiny_corpus, small_disk, tmp_path):
    run = small_disk / "run"
    options = {"preset": "student", "epochs": 3}
    filler = small_disk / "filler"
    fit(recipe(tiny_corpus, tmp_path / "whole", **options))

    from signloom.train import callbacks

    begin = callbacks.EpochEnd.on_train_epoch_start

    def fill_in_second(self, trainer, module):
        begin(self, trainer, module)
        if trainer.current_epoch == 1:
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(2**16))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks.EpochEnd, "on_train_epoch_start", fill_in_second)
        with pytest.raises(TrainingError, match="no space left on the disk.*are whole; free some space"):
            fit(recipe(tiny_corpus, run, **options))
    assert not list(run.rglob(".*.part"))
    filler.unlink()
    fit(recipe(tiny_corpus, run, **options, resume=True))
    assert same_run(run, tmp_path / "whole")


def test_the_state_is_kept_by_the_clock(tiny_corpus, tmp_path, monkeypatch):
    from signloom.train import callbacks

    saved = []
    save = callbacks.LastState._save

    def noted(self, trainer, **options):
        saved.append(trainer.global_step)
        save(self, trainer, **options)

    monkeypatch.setattr(callbacks.LastState, "_save", noted)
    clock = time.monotonic
    # A minute passes with every look at the clock.
    ticks = iter(range(100_000))
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: clock() + 60 * next(ticks))
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=1, save_every_minutes=2.5))
    assert saved[-1] == 8
    assert 2 <= len(saved) <= 5
