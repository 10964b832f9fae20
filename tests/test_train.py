import errno
import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import TINY_STUDENT, drawn_curves, finished, made_once, random_landmarks, tiny_sentence
from signloom import cli, layout
from signloom.corpus import Corpus, CorpusWriter
from signloom.corpus.splits import KNOWN_DEV
from signloom.ctc.decoding import Decoding
from signloom.errors import InputError, TrainingError
from signloom.files import staging
from signloom.inference.evaluate import evaluate
from signloom.inference.model import load
from signloom.model import presets
from signloom.run_folder import EpochRecord, History, Run
from signloom.train.augmentation import AugmentationConfig, augment
from signloom.train.checkpoint_io import SafeCheckpointIO
from signloom.train.data import BucketSampler, UtteranceDataset, collate
from signloom.train.fit import fit
from signloom.train.recipe import Recipe
from signloom.vocabulary import Vocabulary

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY_STUDENT)


def recipe(corpus, output, **changes) -> Recipe:
    values = {"epochs": 2, "batch_size": 4, "preset": "tiny", "augment": False, "threads": 1, "learning_rate": 1e-3}
    # Learnt by heart in half of the epochs and of the time; two views and two heads have tests of their own.
    values |= {"consistency": 0.0, "auxiliary_head": False}
    return Recipe(data_dir=corpus, output=output, **{**values, **changes})


@pytest.fixture(scope="module")
def learnt(tiny_corpus, tmp_path_factory):
    """A run that had the time to learn the tiny corpus."""
    presets.PRESETS["tiny"] = TINY_STUDENT
    try:
        with drawn_curves():
            run = made_once(tmp_path_factory, "learnt", lambda run: fit(recipe(tiny_corpus, run, epochs=30)))
            return finished(run)
    finally:
        del presets.PRESETS["tiny"]


def test_a_tiny_corpus_is_learnt_to_zero(learnt, tiny_corpus):
    corpus = Corpus.open(tiny_corpus)
    assert evaluate(learnt.model, corpus, "train").wer == 0
    assert evaluate(learnt.model, corpus, "dev").wer < 0.25
    assert learnt.history.epochs[-1].train_loss < 0.1 * learnt.history.epochs[0].train_loss
    assert all(record.train_loss >= 0 for record in learnt.history.epochs)


def test_a_run_leaves_everything_it_promises(learnt):
    run = learnt.run
    for name in ("model.safetensors", "last.safetensors", "curves.png", "curves.pdf", "run.json", "training.log"):
        assert (run / name).stat().st_size > 0, name
    assert list((run / "tensorboard").glob("events.*"))
    assert not list(run.rglob("*.part"))
    history = json.loads((run / "history.json").read_text())
    assert len(history["epochs"]) == 30
    assert (run / "metrics.csv").read_text().count("\n") == 31
    best = min(history["epochs"], key=lambda record: (record["dev_wer"], record["dev_loss"]))
    assert history["best_epoch"] == best["epoch"]
    log = (run / "training.log").read_text()
    assert re.search(r"before the first batch: features .* mean -?0\.\d+, std [01]\.\d+, .* at the clamp: ok\n", log)
    info = json.loads((run / "run.json").read_text())
    assert info["corpus"]["name"] == "tiny"
    assert info["recipe"]["preset"] == "tiny"


def test_the_model_kept_is_the_best_on_dev(learnt, tiny_corpus):
    # Greedy, as in training.
    again = evaluate(load(learnt.run), Corpus.open(tiny_corpus), "dev", decoding=Decoding(decoder="greedy"))
    assert again.wer == pytest.approx(learnt.history.best.dev_wer)


def test_batch_size_of_evaluation_does_not_change_the_score(learnt, tiny_corpus):
    corpus = Corpus.open(tiny_corpus)
    scores = [evaluate(learnt.model, corpus, "dev", batch_size=size).to_json() for size in (1, 6)]
    assert scores[0] == scores[1]


def test_resumed_run_has_the_losses_of_an_uninterrupted_one(tiny_corpus, tmp_path):
    whole = fit(recipe(tiny_corpus, tmp_path / "whole", epochs=4, augment=True))

    class Killed(Exception):
        pass

    from signloom.train import callbacks

    original = callbacks.EpochEnd.on_train_epoch_start

    def die_in_third(self, trainer, module):
        original(self, trainer, module)
        if trainer.current_epoch == 2:
            # As if killed after the record of an epoch and before its state.
            self.history.add(replace(self.history.epochs[-1], epoch=3, steps=12, dev_wer=0.0))
            self.history.write(self.run)
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks.EpochEnd, "on_train_epoch_start", die_in_third)
        with pytest.raises(Killed):
            fit(recipe(tiny_corpus, tmp_path / "cut", epochs=4, augment=True))
    resumed = fit(recipe(tiny_corpus, tmp_path / "cut", epochs=4, augment=True, resume=True))
    # No dropout here and augmentation drawn from (seed, epoch, utterance): equal to the last bits of single precision.
    for name in ("train_loss", "dev_loss", "learning_rate"):
        expected = [getattr(record, name) for record in whole.history.epochs]
        found = [getattr(record, name) for record in resumed.history.epochs]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bf16"},
        {"frame_rate": True},
        {"accumulate": 2, "num_train_samples": 7, "batch_size": 3},
        {"preset": "original_student", "batch_size": 16},
    ],
)
def test_every_way_to_train_runs(tiny_corpus, tmp_path, changes):
    result = fit(recipe(tiny_corpus, tmp_path / "run", **{"epochs": 2, **changes}))
    first, second = result.history.epochs
    assert 0 < second.train_loss < first.train_loss


def test_patience_and_minutes_end_a_run_early(tiny_corpus, tmp_path):
    impatient = fit(recipe(tiny_corpus, tmp_path / "a", epochs=50, patience=2, learning_rate=1e-9))
    assert len(impatient.history.epochs) < 50
    hurried = fit(recipe(tiny_corpus, tmp_path / "b", epochs=5000, max_minutes=0.02))
    assert 0 < len(hurried.history.epochs) < 5000
    assert all(np.isfinite(record.dev_loss) for record in hurried.history.epochs)


def test_fine_tuning_keeps_weights_and_rows_of_known_glosses(learnt, tmp_path, caplog):
    root = tmp_path / "other"
    with CorpusWriter(root, {}) as writer:
        for number, split in enumerate(["train", "train", "dev"]):
            clip = tiny_sentence(("UP", "LEFT"), seed=number)
            writer.add(f"u{number}", split=split, signer="A", glosses=["UP", "NEW"], landmarks=clip)
    with caplog.at_level("INFO"):
        tuned = fit(recipe(root, tmp_path / "run", init=learnt.run, epochs=1, learning_rate=1e-9))
    assert "rows of 1 glosses it does not know (NEW)" in caplog.text
    assert tuned.model.vocabulary.words == ("<blank>", "<unknown>", "NEW", "UP")
    old, new = learnt.model.engine.recognizer.state_dict(), tuned.model.engine.recognizer.state_dict()
    torch.testing.assert_close(new["lstm.forward_layers.0.weight_ih_l0"], old["lstm.forward_layers.0.weight_ih_l0"])
    torch.testing.assert_close(new["frontend.mean"], old["frontend.mean"])
    row = learnt.model.vocabulary.encode(["UP"])[0]
    torch.testing.assert_close(new["classifier.weight"][3], old["classifier.weight"][row], atol=1e-6, rtol=1e-4)


def test_fine_tuning_may_take_the_new_corpus_statistics(learnt, tmp_path, caplog):
    root = tmp_path / "larger"
    with CorpusWriter(root, {}) as writer:
        for number, split in enumerate(["train", "train", "dev"]):
            clip = tiny_sentence(("UP", "LEFT"), seed=number)
            clip = replace(clip, points=clip.points * np.array((2, 2, 1), dtype=np.float32))
            writer.add(f"u{number}", split=split, signer="A", glosses=["UP", "LEFT"], landmarks=clip)
    with caplog.at_level("INFO"):
        tuned = fit(
            recipe(root, tmp_path / "run", init=learnt.run, refit_statistics=True, epochs=1, learning_rate=1e-9)
        )
    assert "uses the statistics of this corpus" in caplog.text
    scratch = fit(recipe(root, tmp_path / "scratch", epochs=1))
    old, new, own = (run.model.engine.recognizer.state_dict() for run in (learnt, tuned, scratch))
    for name in ("frontend.mean", "frontend.std"):
        # Those that a model from scratch has of this corpus, to the last bit.
        assert torch.equal(new[name], own[name])
        assert not torch.equal(new[name], old[name])
    torch.testing.assert_close(new["lstm.forward_layers.0.weight_ih_l0"], old["lstm.forward_layers.0.weight_ih_l0"])


class TestBadInput:
    @pytest.fixture
    def infeasible(self, tmp_path):
        root = tmp_path / "corpus"
        with CorpusWriter(root, {}) as writer:
            for number, split in enumerate(["train", "train", "dev"]):
                writer.add(
                    f"ok-{number}", split=split, signer="A", glosses=["UP"], landmarks=tiny_sentence(("UP",), seed=1)
                )
            writer.add("short", split="train", signer="A", glosses=list("ABCDEFGHI"), landmarks=random_landmarks(5))
        return root

    def test_utterances_that_ctc_cannot_align_are_listed_with_both_numbers(self, infeasible, tmp_path):
        message = "short: 9 glosses need at least 9 output frames, the model yields 2 from 5"
        with pytest.raises(InputError, match=message) as raised:
            fit(recipe(infeasible, tmp_path / "run"))
        assert "--frame_rate" in str(raised.value)
        assert "--skip_infeasible" in str(raised.value)

    def test_they_are_left_out_only_when_asked_and_said(self, infeasible, tmp_path):
        result = fit(recipe(infeasible, tmp_path / "run", epochs=1, skip_infeasible=True))
        assert "left out: short: 9 glosses" in (result.run / "training.log").read_text()

    def test_a_dev_gloss_that_training_never_had_is_an_error_in_the_score(self, tmp_path):
        root = tmp_path / "corpus"
        with CorpusWriter(root, {}) as writer:
            clip = tiny_sentence(("UP", "DOWN"), seed=0)
            writer.add("t", split="train", signer="A", glosses=["UP", "DOWN"], landmarks=clip)
            writer.add("d", split="dev", signer="A", glosses=["UP", "NEVER"], landmarks=clip)
        result = fit(recipe(root, tmp_path / "run", epochs=25, batch_size=1))
        log = (result.run / "training.log").read_text()
        assert "dev has 1 gloss that is not in the training split (NEVER)" in log
        # DOWN is recognised where the reference says NEVER: one substitution in two, never less.
        assert result.history.best.dev_wer == 0.5

    def test_a_run_is_not_overwritten_by_accident(self, learnt, tiny_corpus):
        with pytest.raises(InputError, match="already holds a run .*--resume .*--overwrite"):
            fit(recipe(tiny_corpus, learnt.run))

    def test_a_run_that_cannot_be_replaced_stays(self, infeasible, tiny_corpus, tmp_path):
        run = tmp_path / "run"
        fit(recipe(tiny_corpus, run, epochs=1))
        (run / "evaluation-test.json").write_text("{}")
        before = (run / "model.safetensors").read_bytes()
        with pytest.raises(InputError, match="cannot align"):
            fit(recipe(infeasible, run, overwrite=True))
        assert (run / "model.safetensors").read_bytes() == before
        # Started from the very model it replaces; the earlier model's scores are gone with it.
        tuned = fit(recipe(tiny_corpus, run, epochs=1, overwrite=True, init=run))
        assert "started from" in (run / "training.log").read_text()
        assert not (run / "evaluation-test.json").exists()
        assert len(tuned.history.epochs) == 1

    def test_an_earlier_run_stays_until_the_new_one_has_a_state(self, tiny_corpus, tmp_path, monkeypatch):
        """Ends the new run before its first state, and at each step of the exchange, as a kill would."""
        run = Run(tmp_path / "run")
        fit(recipe(tiny_corpus, run.path, epochs=1))
        run.evaluation_file("test").write_text("{}")
        (run.path / "mine.txt").write_text("not ours")

        def content():
            files = [run.path / name for name in [*run.files(), "mine.txt"]]
            return {path.name: path.read_bytes() for path in files}

        before, events = content(), set(run.tensorboard.iterdir())

        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        def killed(folder):
            raise RuntimeError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(SafeCheckpointIO, "save_checkpoint", full)
            with pytest.raises(TrainingError, match="no space left.*earlier run there is unchanged.*start again"):
                fit(recipe(tiny_corpus, run.path, epochs=1, seed=1, overwrite=True))
        assert content() == before
        assert events < set(run.tensorboard.iterdir())
        assert load(run.path).info["seed"] == 0
        with monkeypatch.context() as patch:
            # Killed when the plan is there and nothing is moved.
            patch.setattr(staging, "_carry_out", killed)
            with pytest.raises(RuntimeError, match="killed"):
                fit(recipe(tiny_corpus, run.path, epochs=1, seed=1, overwrite=True))
        # The next reader finishes the exchange; the new run can be resumed.
        assert load(run.path).info["seed"] == 1
        assert not run.evaluation_file("test").exists()
        assert not events & set(run.tensorboard.iterdir())
        assert (run.path / "mine.txt").read_text() == "not ours"
        assert run.written is run
        fresh = fit(recipe(tiny_corpus, tmp_path / "fresh", epochs=1, seed=1))
        again = fit(recipe(tiny_corpus, run.path, epochs=2, seed=1, resume=True))
        assert [item.epoch for item in again.history.epochs] == [1, 2]
        assert again.history.epochs[0].train_loss == fresh.history.epochs[0].train_loss

    def test_nothing_to_resume(self, tiny_corpus, tmp_path):
        with pytest.raises(InputError, match=r"nothing to resume; no last.safetensors there"):
            fit(recipe(tiny_corpus, tmp_path / "run", resume=True))

    def test_the_same_command_begins_a_run_and_then_continues_it(self, tiny_corpus, tmp_path):
        run = tmp_path / "run"
        first = fit(recipe(tiny_corpus, run, epochs=1, auto_resume=True))
        again = fit(recipe(tiny_corpus, run, epochs=2, auto_resume=True))
        assert [item.epoch for item in again.history.epochs] == [1, 2]
        assert again.history.epochs[0] == first.history.epochs[0]
        with pytest.raises(InputError, match="--seed was 0, now 4"):
            fit(recipe(tiny_corpus, run, epochs=2, seed=4, auto_resume=True))
        # A model whose state is gone cannot be continued, and is not replaced unasked.
        Run(run).state_file.unlink()
        with pytest.raises(InputError, match="already holds a run"):
            fit(recipe(tiny_corpus, run, epochs=2, auto_resume=True))
        with pytest.raises(InputError, match="--auto_resume and --overwrite contradict"):
            recipe(tiny_corpus, run, auto_resume=True, overwrite=True).check()

    def test_resuming_with_other_options_says_which_and_spoils_nothing(self, tiny_corpus, tmp_path):
        run = tmp_path / "run"
        fit(recipe(tiny_corpus, run, epochs=1))
        before = (run / "run.json").read_bytes()
        with pytest.raises(InputError) as raised:
            fit(recipe(tiny_corpus, run, batch_size=3, seed=4, resume=True))
        assert "2 faults" in str(raised.value)
        assert "--batch_size was 4, now 3" in str(raised.value)
        assert "--seed was 0, now 4" in str(raised.value)
        assert "--init" in str(raised.value)
        assert (run / "run.json").read_bytes() == before

    def test_a_change_of_clips_that_the_run_did_not_know_counts_as_off(self, tiny_corpus, tmp_path):
        run = tmp_path / "run"
        amounts = AugmentationConfig(resting_hand=0.0)
        fit(recipe(tiny_corpus, run, epochs=1, augmentation=amounts))
        info = json.loads((run / "run.json").read_text())
        del info["recipe"]["augmentation"]["resting_hand"]
        (run / "run.json").write_text(json.dumps(info))
        now = AugmentationConfig().resting_hand
        with pytest.raises(InputError, match=f"--augmentation.resting_hand was 0, now {now:g}"):
            fit(recipe(tiny_corpus, run, epochs=2, resume=True))
        fit(recipe(tiny_corpus, run, epochs=2, augmentation=amounts, resume=True))

    def test_every_impossible_option_is_told_at_once(self, tiny_corpus):
        with pytest.raises(InputError) as raised:
            recipe(tiny_corpus, "x", epochs=0, batch_size=-1, dropout=2.0, learning_rate=0.0).check()
        assert "4 faults" in str(raised.value)
        with pytest.raises(InputError, match="--refit_statistics without --init"):
            recipe(tiny_corpus, "x", refit_statistics=True).check()

    def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_clip(self, tiny_corpus, tmp_path, monkeypatch):
        original = UtteranceDataset.__getitem__

        def poisoned(self, index):
            example = original(self, index)
            if example.id == "train-3":
                # Landmarks are never infinite; a tracker gone wrong might be.
                example.points[:] = 1e30
            return example

        from signloom.model.frontend import FrontEnd

        forward = FrontEnd.forward

        def leaking(self, points, lengths=None):
            features = forward(self, points, lengths)
            return torch.where(torch.nan_to_num(points).amax((1, 2, 3))[:, None, None] > 1e29, torch.nan, features)

        monkeypatch.setattr(UtteranceDataset, "__getitem__", poisoned)
        monkeypatch.setattr(FrontEnd, "forward", leaking)
        with pytest.raises(TrainingError, match="epoch 1, step .*train-3.* is not finite"):
            fit(recipe(tiny_corpus, tmp_path / "run"))

    def test_full_disk_keeps_the_model_there_was(self, tiny_corpus, tmp_path, monkeypatch):
        from signloom.files import writing as files
        from signloom.train import callbacks

        run = tmp_path / "run"
        disk = {"full": False}
        sync, end = files.os.fsync, callbacks.EpochEnd.on_train_epoch_end

        def fsync(descriptor):
            if disk["full"]:
                raise OSError(errno.ENOSPC, "No space left on device")
            sync(descriptor)

        def fill_in_second(self, trainer, module):
            if trainer.current_epoch == 1:
                disk.update(full=True, model=(run / "model.safetensors").read_bytes())
            end(self, trainer, module)

        monkeypatch.setattr(files.os, "fsync", fsync)
        monkeypatch.setattr(callbacks.EpochEnd, "on_train_epoch_end", fill_in_second)
        with pytest.raises(TrainingError, match="no space left on the disk.*kept before are whole.*--resume"):
            fit(recipe(tiny_corpus, run, epochs=3))
        assert (run / "model.safetensors").read_bytes() == disk["model"]
        assert not list(run.rglob(".*.part"))
        # With space again the run goes on from its last finished epoch.
        disk["full"] = False
        monkeypatch.setattr(callbacks.EpochEnd, "on_train_epoch_end", end)
        assert [record.epoch for record in fit(recipe(tiny_corpus, run, epochs=3, resume=True)).history.epochs] == [
            1,
            2,
            3,
        ]


class TestCommandLine:
    def run(self, *arguments: object) -> int:
        with pytest.raises(SystemExit) as exited:
            cli.main([str(argument) for argument in arguments])
        return exited.value.code

    def test_train_evaluate_transcribe(self, tiny_corpus, tmp_path, capsys):
        run = tmp_path / "run"
        flags = ["--preset", "tiny", "--epochs", 2, "--batch_size", 4, "--threads", 1, "--augmentation.mirror", 0.5]
        assert self.run("train", "--data_dir", tiny_corpus, "--output", run, *flags) == 0
        shown = capsys.readouterr()
        assert "best dev WER" in shown.out
        assert "next: signloom evaluate" in shown.out
        assert f"page: {run / 'report.html'}\n" in shown.out
        assert "Checks during training" in (run / "report.html").read_text(encoding="utf-8")
        # The signer of dev, A, is in train too.
        assert KNOWN_DEV in shown.out
        assert "dev does not show how well new people are recognised" in (run / "training.log").read_text()
        assert json.loads((run / "run.json").read_text())["corpus"]["dev_is_known"] is True
        assert self.run("evaluate", run, "--data_dir", tiny_corpus, "--split", "test") == 0
        out = capsys.readouterr().out
        assert "scoring rule 'plain'" in out
        assert "substitutions" in out
        written = json.loads((run / "evaluation-test.json").read_text())
        assert written["unseen_signers"] is True
        assert (run / "hypotheses-test.csv").read_text().startswith("id|gloss\n")
        clip = tiny_corpus / "landmarks" / "test-0.npz"
        assert self.run("transcribe", clip, "--model", run, "--format", "json") == 0
        assert set(json.loads(capsys.readouterr().out)) == {
            "source",
            "duration_seconds",
            "text",
            "glosses",
            "score",
            "decoder",
        }

    def test_options_from_a_file_and_a_misspelt_one(self, tiny_corpus, tmp_path, capsys):
        config = tmp_path / "recipe.yaml"
        config.write_text(f"data_dir: {tiny_corpus}\noutput: {tmp_path / 'run'}\nepochs: 1\npreset: tiny\n")
        assert self.run("train", "--config", config, "--batch_size", 8) == 0
        info = json.loads((tmp_path / "run" / "run.json").read_text())
        assert (info["recipe"]["epochs"], info["recipe"]["batch_size"]) == (1, 8)
        capsys.readouterr()
        assert self.run("train", "--data_dir", tiny_corpus, "--batchsize", 8) == 2
        assert "did you mean --batch_size?" in capsys.readouterr().err

    def test_mistakes_have_no_traceback(self, tmp_path, capsys):
        assert self.run("train", "--data_dir", tmp_path / "nowhere") == 2
        assert "no such folder; needed a corpus" in capsys.readouterr().err
        assert self.run("transcribe", tmp_path / "no.mp4", "--model", tmp_path) == 2
        assert "no such file" in capsys.readouterr().err
        assert self.run("evaluat") == 2
        assert "did you mean 'evaluate'?" in capsys.readouterr().err


class TestAugmentation:
    @given(st.integers(1, 80), st.integers(1, 30), st.integers(0, 10_000))
    @settings(max_examples=60)
    def test_stays_alignable_and_finite(self, num_frames, min_frames, seed):
        points = random_landmarks(num_frames, seed=seed % 7).select("compact")
        before = points.copy()
        found, _ = augment(
            points,
            AugmentationConfig(mirror=0.5),
            np.random.default_rng(seed),
            subset="compact",
            min_frames=min_frames,
            fps=25.0,
        )
        assert len(found) >= min(min_frames, num_frames)
        assert found.dtype == np.float32
        assert np.abs(np.nan_to_num(found)).max() < 10
        np.testing.assert_array_equal(points, before)

    def test_all_off_is_the_identity(self):
        points = random_landmarks(30).select("compact")
        off = AugmentationConfig(**dict.fromkeys(asdict(AugmentationConfig()), 0.0))
        found, _ = augment(points, off, np.random.default_rng(0), subset="compact", min_frames=1, fps=25.0)
        np.testing.assert_allclose(found, points, atol=1e-6)

    def test_missing_points_stay_missing(self):
        points = random_landmarks(30).select("compact").copy()
        groups = layout.subset_groups("compact")
        points[:, groups["face"]] = np.nan
        rng = np.random.default_rng(0)
        found, _ = augment(points, AugmentationConfig(), rng, subset="compact", min_frames=1, fps=25.0)
        assert np.isnan(found[:, groups["face"]]).all()
        assert np.isfinite(found[:, groups["pose"]]).all()

    def test_mirror_exchanges_the_hands(self):
        points = random_landmarks(10).select("compact").copy()
        groups = layout.subset_groups("compact")
        points[:, groups["left_hand"]] = np.nan
        off = AugmentationConfig(**dict.fromkeys(asdict(AugmentationConfig()), 0.0))
        rng = np.random.default_rng(0)
        found, _ = augment(points, replace(off, mirror=1.0), rng, subset="compact", min_frames=1, fps=25.0)
        assert np.isnan(found[:, groups["right_hand"]]).all()
        np.testing.assert_allclose(found[:, groups["left_hand"], 0], 1 - points[:, groups["right_hand"], 0], atol=1e-6)

    def test_drawn_from_seed_epoch_and_utterance_alone(self, tiny_corpus):
        corpus = Corpus.open(tiny_corpus)
        items = corpus.split("train")
        vocabulary = Vocabulary.from_glosses(item.glosses for item in items)

        def dataset(seed: int, epoch: int) -> UtteranceDataset:
            data = UtteranceDataset(
                corpus, items, vocabulary, view="compact", fps=25.0, augmentation=AugmentationConfig(), seed=seed
            )
            data.epoch = epoch
            return data

        one, other = dataset(1, 3), dataset(1, 3)
        other[5], other[0]
        np.testing.assert_array_equal(one[2].points, other[2].points)
        assert one[2].points.shape != dataset(1, 4)[2].points.shape or not np.array_equal(
            one[2].points, dataset(1, 4)[2].points, equal_nan=True
        )


class TestData:
    @given(st.lists(st.integers(1, 200), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 5))
    def test_every_utterance_is_in_exactly_one_batch(self, lengths, batch_size, epoch):
        sampler = BucketSampler(lengths, batch_size, seed=1)
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
        assert list(sampler) == batches

    def test_batches_hold_similar_lengths_and_orders_differ_by_epoch(self):
        lengths = np.random.default_rng(0).integers(10, 300, 512)
        sampler = BucketSampler(lengths, 16, seed=0)
        first = list(sampler)
        padding = sum(16 * lengths[batch].max() - lengths[batch].sum() for batch in first) / lengths.sum()
        assert padding < 0.15
        sampler.set_epoch(1)
        assert list(sampler) != first

    def test_a_batch_pads_with_missing(self, tiny_corpus):
        corpus = Corpus.open(tiny_corpus)
        items = corpus.split("train")[:3]
        vocabulary = Vocabulary.from_glosses(item.glosses for item in items)
        data = UtteranceDataset(corpus, items, vocabulary, view="compact", fps=25.0)
        batch = collate([data[at] for at in range(3)])
        assert batch.lengths.tolist() == [12 * len(item.glosses) for item in items]
        for row, length in enumerate(batch.lengths):
            assert torch.isnan(batch.points[row, length:]).all()
            target = batch.targets[row, : batch.target_lengths[row]].tolist()
            assert vocabulary.decode(target) == list(items[row].glosses)


def test_history_prefers_a_lower_wer_then_a_lower_loss():
    history = History()
    kept = [
        history.add(EpochRecord(number + 1, 1.0, loss, wer, 1e-3, 1.0, 1.0, steps=10 * number + 10))
        for number, (wer, loss) in enumerate([(0.5, 1.0), (0.4, 2.0), (0.4, 1.5), (0.4, 1.6), (0.6, 0.1)])
    ]
    assert kept == [True, True, True, False, False]
    assert history.best_epoch == 3
    assert History.from_json(history.to_json()) == history
    history.rewind(25)
    assert [record.epoch for record in history.epochs] == [1, 2]
    assert history.best_epoch == 2
    history.rewind(0)
    assert history == History()
