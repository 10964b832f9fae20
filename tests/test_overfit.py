"""The overfit test and the ten iterations: what they measure, how it is judged, what is shown."""

import json
import os
import shlex
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from conftest import QUICK_STUDENT, QUICK_TEACHER, tiny_sentence
from signloom import cli
from signloom.commands import overfit as command
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError, StoppedError
from signloom.health.overfit import training
from signloom.health.overfit.architecture import find_architecture
from signloom.health.overfit.bisection import bisect
from signloom.health.overfit.regimes import (
    CHANGES,
    REGIMES,
    RELAXED,
    STANDARD,
    changes_of,
    with_changes,
)
from signloom.health.overfit.report import OverfitReport, iterations_text, write_overfit
from signloom.health.overfit.training import (
    Epoch,
    Iterations,
    OverfitRun,
    Step,
    choose_samples,
    first_iterations,
    overfit,
)
from signloom.health.overfit.verdict import bisection_verdict, iterations_verdict, level, overfit_verdict
from signloom.inference.model import Model
from signloom.inference.torch_engine import TorchEngine
from signloom.model import presets, recognizer
from signloom.model.modality_fusion import ModalityAttention
from signloom.model.recognizer import Recognizer
from signloom.train.recipe import Recipe
from signloom.vocabulary import Vocabulary

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def tiny_presets(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny_student", QUICK_STUDENT)
    monkeypatch.setitem(presets.PRESETS, "tiny_teacher", QUICK_TEACHER)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("model", ["tiny_student", "tiny_teacher"])
@pytest.mark.parametrize("setting", [STANDARD, RELAXED], ids=lambda setting: setting.name)
def test_a_tiny_corpus_is_learnt_by_heart(model, setting, tiny_corpus):
    seen = []
    # Models this small and an epoch of one step ask for larger ones.
    setting = replace(setting, learning_rate=5e-3)
    run = overfit(
        Corpus.open(tiny_corpus), find_architecture(model), setting, num_samples=5, max_epochs=400, on_epoch=seen.append
    )
    assert run.passed
    # It stopped as soon as five epochs in a row had no error.
    assert run.zero_epoch == len(run.epochs) - 4
    assert run.epochs[-6].wer > 0
    assert seen == list(run.epochs)
    assert len(run.ids) == 5
    assert overfit_verdict([run]).passed
    low, high = run.gradient_norms
    assert 0 < low < high
    assert run.final.loss < run.epochs[0].loss


def test_the_same_seed_gives_the_same_curve(tiny_corpus):
    corpus = Corpus.open(tiny_corpus)
    runs = [
        overfit(corpus, find_architecture("tiny_teacher"), STANDARD, num_samples=3, max_epochs=4, seed=seed)
        for seed in (1, 1, 2)
    ]
    assert runs[0].epochs == runs[1].epochs != runs[2].epochs
    assert runs[0].ids == runs[1].ids


def test_settings_reach_the_model():
    config = presets.PRESETS["teacher"]
    teacher = STANDARD.configure(config)
    assert (teacher.dropout, teacher.attention_dropout, teacher.attention_clamp) == (0.1, 0.1, 10)
    relaxed = RELAXED.configure(config)
    assert (relaxed.dropout, relaxed.attention_dropout, relaxed.attention_clamp) == (0, 0, 100)
    assert relaxed.attention
    assert not replace(RELAXED, attention=False).configure(config).attention
    assert RELAXED.configure(presets.PRESETS["student"]).dropout == 0
    assert STANDARD.describe(config).endswith("augmentation on, attention clamp 10")
    assert STANDARD.describe(presets.PRESETS["student"]).endswith("augmentation on")
    assert replace(STANDARD, attention=False).describe(config).endswith("attention off: plain average")


def test_a_model_is_a_preset_a_file_or_a_run(tmp_path):
    assert find_architecture("tiny_student").config is QUICK_STUDENT
    vocabulary = Vocabulary.from_glosses([["A", "B"]])
    config = replace(QUICK_TEACHER, dropout=0.7, attention_dropout=0.3, attention_clamp=0.5)
    Model(TorchEngine(Recognizer(config, len(vocabulary))), vocabulary).save(tmp_path / "mine" / "model.safetensors")
    for name in (tmp_path / "mine", tmp_path / "mine" / "model.safetensors"):
        tested = find_architecture(str(name))
        assert (tested.name, tested.config) == ("mine", config)
        # Regularised as it was trained; relaxed all the same.
        standard = tested.regime("standard").configure(tested.config)
        assert (standard.dropout, standard.attention_dropout, standard.attention_clamp) == (0.7, 0.3, 0.5)
        assert tested.regime("relaxed") == RELAXED
        assert tested.regime("standard").learning_rate == STANDARD.learning_rate
    with pytest.raises(InputError, match="no preset 'giant', and no model file; known presets are student"):
        find_architecture("giant")
    with pytest.raises(InputError, match="no such model"):
        find_architecture(str(tmp_path))


def test_utterances_that_ctc_cannot_align_are_passed_over_and_named(tmp_path):
    with CorpusWriter(tmp_path / "short", {"name": "short"}) as writer:
        for number in range(3):
            landmarks = tiny_sentence(("UP", "DOWN"), seed=number)
            glosses = ("UP", "DOWN") if number else ("UP",) * 9
            writer.add(f"u{number}", split="train", signer="A", glosses=glosses, landmarks=landmarks)
    corpus = Corpus.open(tmp_path / "short")
    samples = choose_samples(corpus, QUICK_STUDENT, 10, seed=0)
    assert sorted(item.id for item in samples.utterances) == ["u1", "u2"]
    assert samples.left_out == ("u0: 9 glosses need at least 17 output frames, the model yields 6 from 24",)
    run = overfit(corpus, find_architecture("tiny_student"), RELAXED, max_epochs=1)
    assert "left out, since CTC cannot align them: 1\n  u0: 9 glosses" in report_of([run]).text()


def test_nothing_that_ctc_can_align_is_refused(tmp_path):
    with CorpusWriter(tmp_path / "short", {"name": "short"}) as writer:
        landmarks = tiny_sentence(("UP",), seed=0)
        writer.add("u", split="train", signer="A", glosses=("UP",) * 9, landmarks=landmarks)
    with pytest.raises(
        InputError, match="no training utterance that CTC can align at the model's stride; u: 9 glosses"
    ):
        choose_samples(Corpus.open(tmp_path / "short"), QUICK_STUDENT, 10, seed=0)


def test_a_loss_that_is_not_finite_ends_the_run_and_is_told(tiny_corpus, monkeypatch):
    calls = []

    def faulty(*arguments):
        calls.append(None)
        loss = learning_loss(*arguments)
        return loss * float("nan") if len(calls) == 3 else loss

    learning_loss = recognizer.ctc_loss
    monkeypatch.setattr(recognizer, "ctc_loss", faulty)
    corpus = Corpus.open(tiny_corpus)
    run = overfit(corpus, find_architecture("tiny_student"), RELAXED, num_samples=4, batch_size=2, max_epochs=10)
    assert not run.passed
    # Two steps an epoch: the third is the second epoch's first.
    assert run.failure.startswith("epoch 2, step 1: loss nan")
    assert len(run.epochs) == 1
    text = report_of([run]).text()
    assert "NaN or Inf           yes: epoch 2, step 1: loss nan" in text
    assert "verdict: relaxed fails: broken, run the checklist" in text
    calls.clear()
    steps = first_iterations(corpus, find_architecture("tiny_student"), RELAXED).steps
    assert len(steps) == 3
    assert not steps[-1].finite


def test_an_emission_that_is_not_finite_ends_the_run(tiny_corpus, monkeypatch):
    monkeypatch.setattr(
        Recognizer, "forward", lambda self, points, lengths: (torch.full((3, 9, 6), torch.nan), lengths)
    )
    run = overfit(Corpus.open(tiny_corpus), find_architecture("tiny_student"), RELAXED, num_samples=3, max_epochs=10)
    assert run.failure == "epoch 1: the log-probabilities in evaluation mode"
    assert run.gradient_norms is None
    assert "final WER            none" in report_of([run]).text()


def made_up(setting, wers, *, failure="", losses=None, model="teacher", **ends):
    losses = losses or [1.0] * len(wers)
    epochs = tuple(
        Epoch(number, loss, wer, (0.5, 2.0), (-9.5, -0.1), 0.5 * number)
        for number, (wer, loss) in enumerate(zip(wers, losses, strict=True), 1)
    )
    described = setting.describe(presets.PRESETS[model])
    return OverfitRun(
        model, setting, described, 9, 7, ("u",), epochs, 20, 5, 1.0, failure, train=f"train {setting.name}", **ends
    )


def report_of(runs, **others):
    return OverfitReport(tuple(runs), overfit_verdict(runs, **others), **others)


GOOD, BAD = [0.5, 0.1, 0, 0, 0, 0, 0], [0.9] * 20


class TestJudgement:
    @pytest.mark.parametrize(
        ("standard", "relaxed", "passed", "headline"),
        [
            (GOOD, GOOD, True, "both settings pass: the model learns"),
            (BAD, GOOD, False, "only relaxed passes: over-regularised"),
            (GOOD, BAD, False, "only standard passes"),
            (BAD, BAD, False, "both settings fail: broken, run the checklist"),
            # Learnt, but not held for five epochs.
            ([0.9] * 16 + [0] * 4, BAD, False, "standard was still learning when its epochs ended, at 0.0 % WER"),
        ],
    )
    def test_two_settings(self, standard, relaxed, passed, headline):
        verdict = overfit_verdict([made_up(STANDARD, standard), made_up(RELAXED, relaxed)])
        assert verdict.passed == passed
        assert headline in verdict.headline
        assert bool(verdict.advice) != passed
        # The settings that pass can be pasted.
        assert verdict.commands == (("train standard",) if standard is GOOD else ("train relaxed",) * (relaxed is GOOD))

    def test_one_setting(self):
        assert overfit_verdict([made_up(STANDARD, GOOD)]).headline == "standard passes: the model learns"
        assert overfit_verdict([made_up(STANDARD, BAD)]).headline == "standard fails: broken, run the checklist"

    def test_over_regularised_names_the_relaxed_settings(self):
        text = report_of([made_up(STANDARD, BAD), made_up(RELAXED, GOOD)]).text()
        assert text.endswith(
            "train with the relaxed settings; then add dropout, weight decay and augmentation again, one at a time\n"
            "with the settings that let it learn:\ntrain relaxed"
        )

    def test_a_loss_that_still_falls_asks_for_more_epochs(self):
        losses = [2.0 * 0.8**epoch for epoch in range(20)]
        verdict = overfit_verdict([made_up(STANDARD, BAD, losses=losses)])
        assert verdict.advice == ("the last epochs still improved: allow more epochs, --max_epochs 40",)

    @pytest.mark.parametrize(
        ("ends", "headline", "advice"),
        [
            ({}, "was still learning when its epochs ended, at 90.0 % WER", "allow more epochs, --max_epochs 40"),
            ({"out_of_time": True}, "was still learning when its time ended", "allow more time with --max_minutes"),
            ({"stopped": True, "losses": [1.0] * 20}, "was stopped in epoch 20", "run the test again"),
        ],
    )
    @pytest.mark.parametrize("open_end", [STANDARD, RELAXED], ids=lambda setting: setting.name)
    def test_a_run_that_was_still_learning_is_no_failure(self, open_end, ends, headline, advice):
        """Neither over-regularised nor too high a learning rate, and no fault of the model or the data."""
        losses = ends.pop("losses", [2.0 * 0.8**epoch for epoch in range(20)])
        unfinished = made_up(open_end, BAD, losses=losses, **ends)
        other = RELAXED if open_end is STANDARD else STANDARD
        verdict = overfit_verdict([unfinished, made_up(other, GOOD)])
        assert verdict.headline.startswith(f"{other.name} passes; {open_end.name} {headline}")
        assert verdict.headline.endswith("no verdict yet")
        assert advice in verdict.advice[0]
        assert verdict.commands == (f"train {other.name}",)
        # The student that passes does not prove a fault in a model that had no time to learn.
        alone = overfit_verdict([unfinished], baseline=[made_up(open_end, GOOD, model="student")])
        assert advice in alone.advice[0]

    def test_one_or_two_epochs_are_no_failure_unless_the_loss_stands_still(self):
        for losses, headline in (([2.0], "no verdict yet"), ([2.0, 1.0], "no verdict yet"), ([2.0, 2.0], "broken")):
            verdict = overfit_verdict([made_up(STANDARD, [0.9] * len(losses), losses=losses, out_of_time=True)])
            assert headline in verdict.headline

    def test_no_loss_in_training_and_errors_in_evaluation_is_batch_norm(self):
        """As a student in batches of two of ten: loss 0, and 6 % of the glosses wrong in evaluation mode."""
        run = made_up(RELAXED, [0.06] * 20, losses=[0.001] * 20)
        for runs in ([run], [made_up(STANDARD, GOOD), run]):
            verdict = overfit_verdict(runs)
            assert (
                verdict.headline
                == "relaxed knows the samples in training mode, but has a WER of 6.0 % on them in evaluation mode"
            )
            assert "use a larger --batch_size" in verdict.advice[0]

    def test_zero_epoch_is_that_of_the_last_stretch_without_errors(self):
        assert made_up(STANDARD, [0.2, 0, 0.1, 0, 0, 0, 0, 0]).zero_epoch == 4
        assert made_up(STANDARD, [0, 0, 0.1]).zero_epoch is None
        assert not made_up(STANDARD, [0, 0, 0, 0]).passed
        assert not made_up(STANDARD, [0] * 5, failure="epoch 6").passed

    def test_levels(self):
        found = [level(wer) for wer in (0, 0.049, 0.05, 0.149, 0.15, 1.2)]
        assert found == ["perfect", "good", "learns", "learns", "does not learn", "does not learn"]

    @pytest.mark.parametrize(
        ("losses", "passed", "headline"),
        [
            ([12, 9, 5], True, "the loss fell from 12.000 to 5.000 per gloss in 3 steps"),
            ([12, 9, 12], False, "the loss did not fall: 12.000 per gloss at first, 12.000 at last"),
            ([12, float("inf")], False, "step 2 is non-finite"),
            ([2, -0.24], False, "a CTC loss below zero is a bug"),
        ],
    )
    def test_iterations(self, losses, passed, headline):
        steps = tuple(Step(loss, 1.0) for loss in losses)
        verdict = iterations_verdict(Iterations("student", 9, ("u",), 5e-4, steps, 1.0))
        assert (verdict.passed, verdict.headline[: len(headline)]) == (passed, headline)


def test_report_has_every_field():
    text = report_of([made_up(STANDARD, BAD), made_up(RELAXED, GOOD)]).text()
    assert "levels: under 15 % learns, under 5 % good, 0 % perfect" in text
    standard, relaxed = text.split("relaxed: passed (")
    assert "standard: failed (learning rate 0.0005" in standard
    assert "final WER            90.00 % (does not learn)" in standard
    assert "0 % reached          no, in 20 of at most 20 epochs (1.0 s)" in standard
    assert "final WER            0.00 % (perfect)" in relaxed
    # The third of seven epochs of half a second.
    assert "0 % reached          epoch 3, after 1.5 s (of at most 20 epochs)" in relaxed
    assert "NaN or Inf           no" in relaxed
    assert "final loss           1.0000 per gloss" in relaxed
    assert "gradient norms       min 0.5, max 2" in relaxed
    assert "log-probabilities    least -9.5, largest -0.1" in relaxed
    assert "verdict: only relaxed passes: over-regularised\nto do: train with" in text


def test_another_model_is_compared_with_the_student():
    runs = [made_up(STANDARD, BAD), made_up(RELAXED, BAD)]
    baseline = [made_up(setting, GOOD, model="student") for setting in (STANDARD, RELAXED)]
    report = report_of(runs, baseline=tuple(baseline))
    assert report.verdict.advice[0] == (
        "student passes on the same utterances: the data can be learnt, the fault is in teacher"
    )
    lines = report.text().splitlines()
    at = lines.index("compared with student on the same utterances:")
    assert [line.split() for line in lines[at + 2 : at + 4]] == [
        ["standard", "teacher", "90.00", "%", "never", "1.0"],
        ["standard", "student", "0.00", "%", "3", "1.5"],
    ]
    failing = [made_up(setting, BAD, model="student") for setting in (STANDARD, RELAXED)]
    assert "student fails on the same utterances too" in overfit_verdict(runs, baseline=failing).advice[0]


def attempts(passing, *, helping=()):
    """Trains nothing: passes where all of `passing` is switched, does better where some of `helping` is."""
    tried = []

    def attempt(name, setting):
        names = set(name.split(" + "))
        tried.append(names)
        good = any(one <= names for one in passing)
        return made_up(setting, GOOD if good else [0.5 if names & set(helping) else 0.9] * 20)

    return attempt, tried


class TestBisection:
    base = made_up(STANDARD, BAD)
    teacher, student = presets.PRESETS["teacher"], presets.PRESETS["student"]

    def test_only_what_changes_something_is_tried(self):
        assert changes_of(STANDARD, self.teacher) == list(CHANGES)
        assert set(CHANGES) - set(changes_of(STANDARD, self.student)) == {"attention off", "attention clamp 100"}
        # Relaxed has nothing left to take away but attention and half of its learning rate.
        assert changes_of(RELAXED, self.teacher) == ["attention off", "learning rate 0.0001"]
        both = with_changes(STANDARD, ("dropout off", "attention off"))
        assert (both.dropout, both.attention, both.augment) == (0.0, False, True)
        assert both.name == "standard, dropout off, attention off"

    @pytest.mark.parametrize("name", CHANGES)
    def test_the_one_that_unblocks_is_named(self, name):
        attempt, tried = attempts([{name}])
        found = bisect(self.base, self.teacher, attempt)
        assert [one.name for one in found.unblocking] == [name]
        assert len(tried) == len(CHANGES)
        verdict = bisection_verdict(found)
        assert verdict.headline == f"{name} unblocks learning: 0 % from epoch 3"
        assert verdict.advice == (f"train with {name}",)
        assert verdict.commands == (f"train standard, {name}",)

    def test_what_unblocks_only_together_is_named_without_what_only_helps(self):
        pair = {"dropout off", "attention off"}
        attempt, _ = attempts([pair], helping=[*pair, "weight decay off"])
        found = bisect(self.base, self.teacher, attempt)
        assert set(found.needed) == pair
        assert "only together dropout off and attention off" in bisection_verdict(found).headline
        assert bisection_verdict(found).commands == ("train standard, dropout off, attention off",)
        # Even where none of them helps alone.
        assert set(bisect(self.base, self.teacher, attempts([pair])[0]).needed) == pair

    def test_where_nothing_unblocks_it_says_so_and_keeps_the_checklist(self):
        attempt, tried = attempts([])
        found = bisect(self.base, self.teacher, attempt)
        # Each alone, and all at once, of the two learning rates one.
        assert len(tried) == len(CHANGES) + 1
        assert len(tried[-1]) == len(CHANGES) - 1
        report = report_of([self.base], bisection=found)
        assert "none of 8 changes to standard unblocks learning, nor all together" in report.verdict.headline
        assert report.verdict.advice[0].startswith("do the annotations belong to the clips?")
        assert "  dropout off " in report.text()

    def test_learning_within_the_epochs_of_a_try_is_enough(self):
        """As a student with dropout 0.9: without it WER is 0 in the last of 100 epochs, not yet in five in a row."""

        def attempt(name, setting):
            return made_up(setting, [0.9] * 18 + [0.04, 0.0] if name == "dropout off" else BAD)

        found = bisect(self.base, self.student, attempt)
        assert [one.name for one in found.unblocking] == ["dropout off"]
        assert bisection_verdict(found).headline == (
            "dropout off unblocks learning: WER 0.0 %, loss 1.000 per gloss after 20 epochs"
        )
        assert "dropout off           learns: WER 0.0 %" in report_of([self.base], bisection=found).text()
        # What has learnt already is unblocked by nothing less than 0 % for five epochs.
        assert not bisect(made_up(STANDARD, [0.1] * 20), self.student, attempt).unblocking

    def test_the_report_and_the_picture_show_every_try(self, tmp_path):
        found = bisect(self.base, self.student, attempts([{"dropout off"}], helping=["augmentation off"])[0])
        report = report_of([self.base], bisection=found)
        text = report.text()
        assert "what unblocks standard, at most 20 epochs per try:" in text
        assert "dropout off           passes: 0 % from epoch 3" in text
        assert "augmentation off      fails: WER 50.0 %, loss 1.000 per gloss after 20 epochs; helps" in text
        assert "verdict: standard fails; dropout off unblocks learning: 0 % from epoch 3" in text
        assert (
            "to do: train with dropout off\nwith the settings that let it learn:\ntrain standard, dropout off" in text
        )
        paths = write_overfit(report, tmp_path)
        assert paths["png"].read_bytes().startswith(b"\x89PNG")
        record = json.loads(paths["json"].read_text())
        assert record["bisection"]["tries"][0]["changes"] == ["dropout off"]

    def test_what_was_tried_before_the_time_was_over_is_kept(self):
        attempt, tried = attempts([{"augmentation off"}])

        def timed(allowed):
            tried.clear()
            return bisect(self.base, self.student, lambda *try_: attempt(*try_) if len(tried) < allowed else None)

        found = timed(1)
        assert (len(found.tries), found.complete) == (1, False)
        assert "none of 1 change to standard that the time allowed" in bisection_verdict(found).headline
        assert "(ended before all changes were tried)" in report_of([self.base], bisection=found).text()
        assert [one.name for one in timed(2).unblocking] == ["augmentation off"]

    def test_a_blocking_dropout_is_found_by_training(self, tiny_corpus):
        corpus, tested = Corpus.open(tiny_corpus), find_architecture("tiny_student")
        setting = replace(STANDARD, dropout=0.95, learning_rate=5e-3, augment=False, weight_decay=0.0)
        base = overfit(corpus, tested, setting, num_samples=3, max_epochs=60)
        assert not base.passed

        def attempt(name, changed):
            return overfit(corpus, tested, changed, num_samples=3, max_epochs=60)

        assert "dropout off" in [one.name for one in bisect(base, tested.config, attempt).unblocking]

    def test_attention_that_breaks_the_model_is_found_by_training(self, tiny_corpus, monkeypatch):
        """Attention whose output is not finite: only a model without it can learn."""
        monkeypatch.setattr(ModalityAttention, "forward", lambda self, tokens: tokens * torch.nan)
        corpus, tested = Corpus.open(tiny_corpus), find_architecture("tiny_teacher")
        setting = replace(RELAXED, learning_rate=5e-3)
        base = overfit(corpus, tested, setting, num_samples=3, max_epochs=60)
        assert base.failure

        def attempt(name, changed):
            return overfit(corpus, tested, changed, num_samples=3, max_epochs=60)

        found = bisect(base, tested.config, attempt)
        assert [one.name for one in found.unblocking] == ["attention off"]


def test_time_that_is_over_ends_a_run_and_is_told(tiny_corpus):
    run = overfit(Corpus.open(tiny_corpus), find_architecture("tiny_student"), STANDARD, num_samples=2, max_seconds=0.0)
    # An epoch is finished once it has begun.
    assert (len(run.epochs), run.out_of_time, run.passed) == (1, True, False)
    assert "; the time ran out)" in report_of([run]).text()


def test_iterations_are_shown_a_line_a_step():
    measured = Iterations("student", 9, ("u",), 5e-4, (Step(12.2, 331.0), Step(4.1, 7.5)), 1.0)
    lines = iterations_text(measured, iterations_verdict(measured)).splitlines()
    assert lines[2].split() == ["1", "12.2000", "331"]
    assert lines[3].split() == ["2", "4.1000", "7.5"]


def assert_trains(command_line, config, regime):
    """A command line of `signloom train` is valid and builds the model of an overfit test, trained as there."""
    program, name, *arguments = shlex.split(command_line)
    assert (program, name) == ("signloom", "train")
    recipe = cli.parse(Recipe, "", "signloom train", arguments)
    recipe.check()
    assert recipe.model_config() == regime.configure(config)
    options = (recipe.learning_rate, recipe.schedule, recipe.weight_decay, recipe.augment, recipe.consistency)
    assert options == (regime.learning_rate, "plain", regime.weight_decay, regime.augment, 0)


class TestCommands:
    def test_overfit(self, tiny_corpus, tmp_path, capsys, monkeypatch):
        monkeypatch.setitem(REGIMES, "standard", replace(STANDARD, learning_rate=5e-3))
        arguments = f"overfit --data_dir {tiny_corpus} --model tiny_teacher --num_samples 2 --output {tmp_path}"
        arguments += " --baseline tiny_student"
        assert cli.dispatch(arguments.split()) == 0
        out = capsys.readouterr().out
        assert "verdict: both settings pass: the model learns" in out
        assert "compared with tiny_student on the same utterances:" in out
        pasted = f"signloom train --data_dir {tiny_corpus} --preset tiny_teacher --auxiliary_head false --learning_rate"
        assert f"with the settings that pass:\n{pasted} 0.005" in out
        assert (tmp_path / "overfit-tiny_teacher.txt").read_text().strip() in out
        assert (tmp_path / "overfit-tiny_teacher.png").read_bytes().startswith(b"\x89PNG")
        record = json.loads((tmp_path / "overfit-tiny_teacher.json").read_text())
        assert [run["setting"]["name"] for run in record["runs"]] == ["standard", "relaxed"]
        assert record["runs"][0]["epochs"][-1]["wer"] == 0
        assert record["verdict"]["passed"]

    def test_overfit_that_is_not_reached(self, tiny_corpus, tmp_path, capsys):
        arguments = f"overfit --data_dir {tiny_corpus} --model tiny_student --max_epochs 2 --output {tmp_path}"
        # With this rate nothing changes in two epochs.
        assert cli.dispatch([*arguments.split(), "--setting", "relaxed", "--learning_rate", "1e-9"]) == 1
        out = capsys.readouterr().out
        assert "0 % reached          no" in out
        assert "--model tiny_student --setting relaxed --max_epochs 2 --bisect --learning_rate 1e-09 --output" in out

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_signal_keeps_what_was_measured(self, number, status, tiny_corpus, tmp_path, capsys, monkeypatch):
        before = signal.getsignal(number)
        plain = training._evaluated

        def signalled(*arguments):
            os.kill(os.getpid(), number)
            return plain(*arguments)

        monkeypatch.setattr(training, "_evaluated", signalled)
        arguments = f"overfit --data_dir {tiny_corpus} --model tiny_teacher --num_samples 2 --output {tmp_path}"
        with pytest.raises(
            StoppedError, match=f"stopped by {number.name}; what was measured until then is in"
        ) as error:
            cli.dispatch(arguments.split())
        assert error.value.exit_status == status
        assert signal.getsignal(number) == before
        out = capsys.readouterr().out
        assert f"verdict: stopped by {number.name}; standard was stopped in epoch 1" in out
        # The run that had begun, and nothing after it.
        record = json.loads((tmp_path / "overfit-tiny_teacher.json").read_text())
        assert [(run["setting"]["name"], len(run["epochs"]), run["stopped"]) for run in record["runs"]] == [
            ("standard", 1, True)
        ]
        assert (record["baseline"], record["verdict"]["passed"]) == ([], False)

    def test_the_minutes_are_those_of_the_whole_command(self, tiny_corpus, tmp_path, capsys, monkeypatch):
        """By a clock that an epoch moves on by a second: of 20 seconds each of five parts gets what is left for it."""
        clock = [0.0]
        plain = training._evaluated

        def ticking(*arguments):
            clock[0] += 1.0
            return plain(*arguments)

        monkeypatch.setattr(training, "_evaluated", ticking)
        monkeypatch.setattr(training.time, "perf_counter", lambda: clock[0])
        monkeypatch.setattr(command, "clock", lambda: clock[0])
        arguments = f"overfit --data_dir {tiny_corpus} --model tiny_teacher --num_samples 2 --output {tmp_path}"
        arguments += f" --baseline tiny_student --max_minutes {20 / 60} --learning_rate 1e-9 --bisect true"
        assert cli.dispatch(arguments.split()) == 1
        shown = capsys.readouterr()
        record = json.loads((tmp_path / "overfit-tiny_teacher.json").read_text())
        epochs = [len(run["epochs"]) for run in (*record["runs"], *record["baseline"])]
        tries = [len(one["run"]["epochs"]) for one in record["bisection"]["tries"]]
        # A share of 4 seconds ends with the epoch that exceeds it.
        assert epochs[0] == 5
        assert min(tries) >= 1
        # Nothing begins when the time is over, and what has begun ends with its epoch.
        assert 20 <= sum(epochs) + sum(tries) <= 21
        assert not record["bisection"]["complete"]
        # There is no terminal, so the log has a line for each run that ended.
        assert "standard: WER" in shown.err

    def test_without_a_terminal_there_is_a_line_from_time_to_time(self, tiny_corpus, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(command, "LINE_SECONDS", 0.0)
        arguments = f"overfit --data_dir {tiny_corpus} --model tiny_student --max_epochs 2 --num_samples 2"
        cli.dispatch([*arguments.split(), "--setting", "relaxed", "--output", str(tmp_path)])
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("relaxed: WER ")]
        assert [line.rpartition(", ")[2] for line in lines[:2]] == ["epoch 1 of at most 2", "epoch 2 of at most 2"]

    @pytest.mark.parametrize("name", ["student", "teacher_compact"])
    @pytest.mark.parametrize("regime", [STANDARD, RELAXED], ids=lambda regime: regime.name)
    def test_the_command_line_trains_what_passed(self, name, regime):
        tested = find_architecture(name)
        command_line = tested.train_command(Path("my corpus"), regime, 2.0)
        assert_trains(command_line, tested.config, regime)
        assert "'my corpus'" in command_line
        assert "--gradient_clip 2" in command_line

    @pytest.mark.parametrize("recipe", [{"preset": "tiny_teacher", "frame_rate": True}, {"preset": "tiny_student"}, {}])
    def test_so_does_that_of_a_run(self, recipe, tmp_path):
        """A run's recipe builds its model again; where it does not, the model's file gives the architecture."""
        kind = QUICK_STUDENT if recipe.get("preset") == "tiny_student" else QUICK_TEACHER
        config = replace(kind, frame_rate=recipe.get("frame_rate", False), dropout=0.3)
        vocabulary = Vocabulary.from_glosses([["A", "B"]])
        model = Model(TorchEngine(Recognizer(config, len(vocabulary))), vocabulary, info={"recipe": recipe})
        model.save(tmp_path / "mine" / "model.safetensors")
        tested = find_architecture(str(tmp_path / "mine"))
        regime = replace(tested.regime("standard"), attention=False, attention_dropout=None)
        command_line = tested.train_command(tmp_path, regime, 1.0)
        if recipe:
            assert_trains(command_line, tested.config, regime)
        else:
            assert f"--init {tmp_path / 'mine'}" in command_line

    def test_bisect_and_switches(self, tiny_corpus, tmp_path, capsys):
        """A dropout that lets nothing through, on a run's own model; each switch reaches the setting."""
        vocabulary = Vocabulary.from_glosses([["UP"]])
        Model(TorchEngine(Recognizer(QUICK_TEACHER, len(vocabulary))), vocabulary).save(
            tmp_path / "mine" / "model.safetensors"
        )
        arguments = f"overfit --data_dir {tiny_corpus} --model {tmp_path / 'mine'} --output {tmp_path} --num_samples 2"
        arguments += " --setting standard --baseline none --max_epochs 3 --bisect true --bisect_epochs 2 --dropout 0.9"
        arguments += " --attention_clamp 3 --weight_decay 0 --augment false --learning_rate 1e-6"
        assert cli.dispatch(arguments.split()) == 1
        out = capsys.readouterr().out
        assert "learning rate 1e-06, dropout 0.9, weight decay 0, augmentation off, attention clamp 3" in out
        assert "what unblocks standard, at most 2 epochs per try:" in out
        assert "compared with" not in out
        assert (tmp_path / "overfit-mine.json").is_file()
        assert cli.dispatch([*arguments.split(), "--bisect", "false", "--attention", "false"]) == 1
        assert "attention off: plain average" in capsys.readouterr().out

    def test_verify(self, tiny_corpus, capsys):
        assert cli.dispatch(f"verify --data_dir {tiny_corpus} --model tiny_teacher".split()) == 0
        out = capsys.readouterr().out
        assert "verdict: the loss fell from" in out
        assert len([line for line in out.splitlines() if line[:4].strip().isdigit()]) == 10

    def test_verify_names_a_loss_that_does_not_fall(self, tiny_corpus, capsys):
        # A step this large throws the model away from where it started.
        arguments = f"verify --data_dir {tiny_corpus} --model tiny_student --learning_rate 1000 --gradient_clip 1e9"
        assert cli.dispatch(arguments.split()) == 1
        assert "verdict: the loss did not fall" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                "overfit --num_samples 0 --batch_size 0",
                r"--num_samples is 0; needed at least 1(.|\n)*--batch_size is 0",
            ),
            ("overfit --dropout 1", "--dropout is 1.0; needed 0 to below 1"),
            ("overfit --attention_clamp 0", "--attention_clamp is 0.0; needed above 0"),
            ("overfit --baseline giant", "--baseline is 'giant'; needed none or one of student"),
            ("overfit --model giant", "no preset 'giant'"),
            ("verify --num_steps 1", "--num_steps is 1; needed at least 2 to see the loss fall"),
            ("verify --learning_rate 0", "--learning_rate is 0.0; needed above 0"),
            ("verify --model giant", "no preset 'giant'"),
        ],
    )
    def test_misuse(self, arguments, message, tiny_corpus):
        command, *rest = arguments.split()
        with pytest.raises(InputError, match=message):
            cli.dispatch([command, "--data_dir", str(tiny_corpus), *rest])
