"""What ends a run early: signals, minutes, steps, patience. The state is kept, the log says why and how to go on."""

import json
import os
import signal
from dataclasses import replace

import pytest

from conftest import TINY_STUDENT
from signloom import cli
from signloom.errors import InputError, StoppedError
from signloom.model import presets
from signloom.run_folder import EpochRecord, History, Run
from signloom.train import callbacks
from signloom.train.fit import fit
from signloom.train.recipe import Recipe

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", replace(TINY_STUDENT, dropout=0.2))


def recipe(corpus, output, **changes) -> Recipe:
    values = {"epochs": 3, "batch_size": 2, "preset": "tiny", "learning_rate": 1e-3, "consistency": 0.0}
    return Recipe(data_dir=corpus, output=output, **{**values, **changes})


def curve(run) -> list[dict]:
    return [
        {name: value for name, value in vars(record).items() if "second" not in name}
        for record in Run.read(run).history.epochs
    ]


def signalled(monkeypatch, number, *, epoch, batch):
    """Sends a signal to this process before the step that a batch ends."""
    step_done, sent = callbacks.step_done, []

    def stepped(trainer, batch_index):
        if (trainer.current_epoch, batch_index) == (epoch, batch) and not sent:
            sent.append(number)
            os.kill(os.getpid(), number)
        return step_done(trainer, batch_index)

    monkeypatch.setattr(callbacks, "step_done", stepped)


@pytest.mark.parametrize(("number", "status", "epoch"), [(signal.SIGTERM, 143, 1), (signal.SIGINT, 130, 0)])
def test_a_signal_keeps_the_state_and_the_resumed_run_is_the_whole_one(
    tiny_corpus, tmp_path, monkeypatch, number, status, epoch
):
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        signalled(patch, number, epoch=epoch, batch=3)
        with pytest.raises(StoppedError, match="Go on with the same options and --resume") as stopped:
            fit(recipe(tiny_corpus, tmp_path / "cut"))
    assert stopped.value.exit_status == status
    assert signal.getsignal(number) == before
    log = (tmp_path / "cut" / "training.log").read_text()
    assert log.count(f"stopped by {number.name} at step {8 * epoch + 4}, in epoch {epoch + 1} of 3") == 1
    fit(recipe(tiny_corpus, tmp_path / "cut", resume=True))
    fit(recipe(tiny_corpus, tmp_path / "whole"))
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")


def test_the_command_says_it_once_and_has_the_status_of_the_signal(tiny_corpus, tmp_path, monkeypatch, capsys):
    signalled(monkeypatch, signal.SIGTERM, epoch=0, batch=1)
    words = f"train --data_dir {tiny_corpus} --output {tmp_path / 'run'} --preset tiny --batch_size 2".split()
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 143
    said = capsys.readouterr()
    assert "".join((said.out + said.err).split()).count("stoppedbySIGTERM") == 1
    assert "Traceback" not in said.err


def test_a_signal_in_the_last_step_leaves_a_finished_run(tiny_corpus, tmp_path, monkeypatch):
    signalled(monkeypatch, signal.SIGTERM, epoch=1, batch=7)
    assert len(fit(recipe(tiny_corpus, tmp_path / "run", epochs=2)).history.epochs) == 2


def test_sigusr1_keeps_the_state_and_goes_on(tiny_corpus, tmp_path, monkeypatch):
    signalled(monkeypatch, signal.SIGUSR1, epoch=0, batch=2)
    result = fit(recipe(tiny_corpus, tmp_path / "run", epochs=1))
    assert result.history.epochs[-1].steps == 8
    assert "the state is kept at step 3, as SIGUSR1 asked" in (tmp_path / "run" / "training.log").read_text()


def test_a_second_interrupt_ends_at_once(tiny_corpus, tmp_path, monkeypatch):
    step_done = callbacks.step_done

    def interrupted(trainer, batch_index):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return step_done(trainer, batch_index)

    monkeypatch.setattr(callbacks, "step_done", interrupted)
    with pytest.raises(StoppedError, match="stopped at once; go on from the state saved before") as stopped:
        fit(recipe(tiny_corpus, tmp_path / "run"))
    assert (stopped.value.exit_status, stopped.value.logged) == (130, False)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_steps": 5}, "ended by --max_steps 5 at step 5, in epoch 1 of 3"),
        ({"max_minutes": 0.005, "epochs": 5000}, "ended by --max_minutes 0.005 at step "),
        (
            {"patience": 1, "learning_rate": 1e-12, "schedule": "plain", "epochs": 20},
            "ended by --patience 1 (no lower WER on dev since epoch ",
        ),
    ],
)
def test_what_ended_a_run_is_said(tiny_corpus, tmp_path, changes, reason):
    fit(recipe(tiny_corpus, tmp_path / "run", **changes))
    log = (tmp_path / "run" / "training.log").read_text()
    assert reason in log
    assert "to go on, raise or leave it out, and pass --resume" in log
    assert log.splitlines()[-1].partition("INFO ")[2].startswith("best dev WER")


def test_a_run_that_ended_by_its_steps_goes_on_when_they_are_raised(tiny_corpus, tmp_path):
    fit(recipe(tiny_corpus, tmp_path / "run", max_steps=5))
    longer = fit(recipe(tiny_corpus, tmp_path / "run", max_steps=12, resume=True))
    assert longer.history.epochs[-1].steps == 12


def test_patience_that_ends_with_the_last_epoch_is_no_early_end(tiny_corpus, tmp_path):
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=2, patience=1, learning_rate=1e-9))
    assert "ended by" not in (tmp_path / "run" / "training.log").read_text()


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_a_finished_run_goes_on_for_more_epochs_by_the_longer_schedule(tiny_corpus, tmp_path, schedule):
    run = tmp_path / "run"
    options = {"schedule": schedule, "warmup_epochs": 1.0}
    fit(recipe(tiny_corpus, run, epochs=2, **options))
    longer = fit(recipe(tiny_corpus, run, epochs=4, resume=True, **options))
    assert [record.epoch for record in longer.history.epochs] == [1, 2, 3, 4]
    whole = fit(recipe(tiny_corpus, tmp_path / "whole", epochs=4, **options))
    rates = [[record.learning_rate for record in result.history.epochs[2:]] for result in (longer, whole)]
    assert rates[0] == pytest.approx(rates[1], rel=1e-6)
    assert "the learning rate follows the longer schedule from step 16 on" in (run / "training.log").read_text()
    with pytest.raises(InputError, match="--epochs was 4, now 3"):
        fit(recipe(tiny_corpus, run, epochs=3, resume=True, **options))


def test_a_lost_history_is_an_empty_one(tiny_corpus, tmp_path):
    run = Run(tmp_path / "run")
    fit(recipe(tiny_corpus, run.path, epochs=2))
    run.history_file.unlink()
    result = fit(recipe(tiny_corpus, run.path, epochs=3, resume=True))
    assert [record.epoch for record in result.history.epochs] == [3]
    assert "history.json is missing" in run.log_file.read_text()


def test_landmarks_that_vanish_do_not_make_a_finished_run_fail(tiny_corpus, tmp_path, monkeypatch):
    def gone(*arguments):
        raise InputError("a.npz: no such landmark file")

    monkeypatch.setattr("signloom.train.fit.store_settings", gone)
    assert fit(recipe(tiny_corpus, tmp_path / "run", epochs=1)).best.epoch == 1
    log = (tmp_path / "run" / "training.log").read_text()
    assert "time spans and confidences of glosses are not fitted: a.npz" in log


def test_the_vocabulary_is_that_of_the_whole_split(tiny_corpus, tmp_path):
    few = fit(recipe(tiny_corpus, tmp_path / "few", epochs=1, num_train_samples=1))
    whole = fit(recipe(tiny_corpus, tmp_path / "many", epochs=1, num_train_samples=1000))
    assert few.model.vocabulary.words == whole.model.vocabulary.words
    assert "--num_train_samples 1000: train has only 16 utterances" in (tmp_path / "many" / "training.log").read_text()


def test_a_model_that_is_all_blank_is_no_best_for_its_wer():
    def epoch(number, wer, loss):
        return EpochRecord(number, 1.0, loss, wer, 1e-3, 1.0, 1.0)

    history = History()
    # All blank, then the first glosses, most of them wrong: the loss has fallen, and it decides.
    assert history.add(epoch(1, 1.0, 9.0))
    assert history.add(epoch(2, 1.2, 5.0))
    assert not history.add(epoch(3, 1.0, 6.0))
    assert history.add(epoch(4, 0.9, 7.0))
    assert not history.add(epoch(5, 0.95, 3.0))
    assert history.best.epoch == history.best_epoch == 4
    assert json.loads(json.dumps(history.to_json()))["best_epoch"] == 4
