"""The overfit test and the ten iterations: what they measure, how it is judged, what is shown."""

import json
from dataclasses import replace

import pytest
import torch

from conftest import tiny_sentence
from signloom import cli
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError
from signloom.health import learning
from signloom.health.judgement import judge_iterations, judge_overfit, level
from signloom.health.learning import Epoch, Iterations, OverfitRun, Step, choose, first_iterations, overfit
from signloom.health.settings import RELAXED, SETTINGS, STANDARD
from signloom.health.show import iterations_text, overfit_text
from signloom.model import presets
from signloom.model.presets import Block, InceptionModule, StudentConfig, TeacherConfig
from signloom.model.recognizer import Recognizer

TINY_STUDENT = StudentConfig(
    view="compact",
    encoder_widths={"pose": 8, "left_hand": 8, "right_hand": 16, "face": 8},
    stem_channels=32,
    blocks=(Block(5, 64, 32, 2),),
    head_channels=32,
    lstm_hidden=32,
    lstm_layers=1,
)
TINY_TEACHER = TeacherConfig(
    view="compact",
    encoder_width=16,
    attention_heads=2,
    stem_channels=32,
    modules=(InceptionModule("3b", 16, (16, 16), (8, 8), 8),),
    lstm_hidden=32,
    lstm_layers=1,
)


@pytest.fixture(autouse=True)
def tiny_presets(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny_student", TINY_STUDENT)
    monkeypatch.setitem(presets.PRESETS, "tiny_teacher", TINY_TEACHER)


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
    run = overfit(Corpus.open(tiny_corpus), model, setting, num_samples=5, max_epochs=400, on_epoch=seen.append)
    assert run.passed
    # It stopped as soon as five epochs in a row had no error.
    assert run.zero_epoch == len(run.epochs) - 4
    assert run.epochs[-6].wer > 0
    assert seen == list(run.epochs)
    assert len(run.ids) == 5
    assert judge_overfit([run]).passed
    low, high = run.gradient_norms
    assert 0 < low < high
    assert run.final.loss < run.epochs[0].loss


def test_the_same_seed_gives_the_same_curve(tiny_corpus):
    corpus = Corpus.open(tiny_corpus)
    runs = [overfit(corpus, "tiny_teacher", STANDARD, num_samples=3, max_epochs=4, seed=seed) for seed in (1, 1, 2)]
    assert runs[0].epochs == runs[1].epochs != runs[2].epochs
    assert runs[0].ids == runs[1].ids


def test_settings_reach_the_model():
    teacher = STANDARD.configure("teacher")
    assert (teacher.dropout, teacher.attention_dropout, teacher.attention_clamp) == (0.1, 0.1, 10)
    relaxed = RELAXED.configure("teacher")
    assert (relaxed.dropout, relaxed.attention_dropout, relaxed.attention_clamp) == (0, 0, 100)
    assert relaxed.attention
    assert not replace(RELAXED, attention=False).configure("teacher").attention
    assert RELAXED.configure("student").dropout == 0
    with pytest.raises(InputError, match="no preset 'giant'"):
        STANDARD.configure("giant")


def test_utterances_that_ctc_cannot_align_are_passed_over_and_named(tmp_path):
    with CorpusWriter(tmp_path / "short", {"name": "short"}) as writer:
        for number in range(3):
            landmarks = tiny_sentence(("UP", "DOWN"), seed=number)
            glosses = ("UP", "DOWN") if number else ("UP",) * 9
            writer.add(f"u{number}", split="train", signer="A", glosses=glosses, landmarks=landmarks)
    corpus = Corpus.open(tmp_path / "short")
    samples = choose(corpus, TINY_STUDENT, 10, seed=0)
    assert sorted(item.id for item in samples.utterances) == ["u1", "u2"]
    assert samples.left_out == ("u0: 9 glosses need at least 17 output frames, the model yields 6 from 24",)
    run = overfit(corpus, "tiny_student", RELAXED, max_epochs=1)
    assert "passed over, since CTC cannot align them: 1\n  u0: 9 glosses" in overfit_text([run], judge_overfit([run]))


def test_nothing_that_ctc_can_align_is_refused(tmp_path):
    with CorpusWriter(tmp_path / "short", {"name": "short"}) as writer:
        landmarks = tiny_sentence(("UP",), seed=0)
        writer.add("u", split="train", signer="A", glosses=("UP",) * 9, landmarks=landmarks)
    with pytest.raises(
        InputError, match="no training utterance that CTC can align at the model's stride; u: 9 glosses"
    ):
        choose(Corpus.open(tmp_path / "short"), TINY_STUDENT, 10, seed=0)


def test_a_loss_that_is_not_finite_ends_the_run_and_is_told(tiny_corpus, monkeypatch):
    calls = []

    def sick(*arguments):
        calls.append(None)
        loss = learning_loss(*arguments)
        return loss * float("nan") if len(calls) == 3 else loss

    learning_loss = learning.ctc_loss
    monkeypatch.setattr(learning, "ctc_loss", sick)
    corpus = Corpus.open(tiny_corpus)
    run = overfit(corpus, "tiny_student", RELAXED, num_samples=4, batch_size=2, max_epochs=10)
    assert not run.passed
    # Two steps an epoch: the third is the second epoch's first.
    assert run.failure.startswith("epoch 2, step 1: loss nan")
    assert len(run.epochs) == 1
    text = overfit_text([run], judge_overfit([run]))
    assert "NaN or Inf           yes: epoch 2, step 1: loss nan" in text
    assert "verdict: relaxed fails: broken, run the checklist" in text
    calls.clear()
    steps = first_iterations(corpus, "tiny_student", RELAXED).steps
    assert len(steps) == 3
    assert not steps[-1].finite


def test_an_emission_that_is_not_finite_ends_the_run(tiny_corpus, monkeypatch):
    monkeypatch.setattr(
        Recognizer, "forward", lambda self, points, lengths: (torch.full((3, 9, 6), torch.nan), lengths)
    )
    run = overfit(Corpus.open(tiny_corpus), "tiny_student", RELAXED, num_samples=3, max_epochs=10)
    assert run.failure == "epoch 1: the log-probabilities in evaluation mode"
    assert run.gradient_norms is None
    assert "final WER            none" in overfit_text([run], judge_overfit([run]))


def made_up(setting, wers, *, failure="", losses=None):
    losses = losses or [1.0] * len(wers)
    epochs = tuple(
        Epoch(number, loss, wer, (0.5, 2.0)) for number, (wer, loss) in enumerate(zip(wers, losses, strict=True), 1)
    )
    return OverfitRun("teacher", setting, 9, 7, ("u",), epochs, 20, 5, 1.0, failure)


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
            ([0.9] * 16 + [0] * 4, BAD, False, "still learning at 0.0 % WER"),
        ],
    )
    def test_two_settings(self, standard, relaxed, passed, headline):
        verdict = judge_overfit([made_up(STANDARD, standard), made_up(RELAXED, relaxed)])
        assert verdict.passed == passed
        assert headline in verdict.headline
        assert bool(verdict.advice) != passed

    def test_one_setting(self):
        assert judge_overfit([made_up(STANDARD, GOOD)]).headline == "standard passes: the model learns"
        assert judge_overfit([made_up(STANDARD, BAD)]).headline == "standard fails: broken, run the checklist"

    def test_over_regularised_names_the_relaxed_settings(self):
        (advice,) = judge_overfit([made_up(STANDARD, BAD), made_up(RELAXED, GOOD)]).advice
        assert "--dropout 0 --weight_decay 0 --augment false" in advice

    def test_a_loss_that_still_falls_asks_for_more_epochs(self):
        losses = [2.0 * 0.8**epoch for epoch in range(20)]
        verdict = judge_overfit([made_up(STANDARD, BAD, losses=losses)])
        assert verdict.advice == ("the last epochs were still getting better: allow more of them with --max_epochs",)

    def test_no_loss_in_training_and_errors_in_evaluation_is_batch_norm(self):
        """As a student in batches of two of ten: loss 0, and 6 % of the glosses wrong in evaluation mode."""
        run = made_up(RELAXED, [0.06] * 20, losses=[0.001] * 20)
        for runs in ([run], [made_up(STANDARD, GOOD), run]):
            verdict = judge_overfit(runs)
            assert (
                verdict.headline
                == "relaxed knows the samples in training and errs on 6.0 % of their glosses in evaluation"
            )
            assert "give a larger --batch_size" in verdict.advice[0]

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
            ([12, 9, 5], True, "the loss fell from 12.000 to 5.000 a gloss in 3 steps"),
            ([12, 9, 12], False, "the loss did not fall: 12.000 a gloss at first, 12.000 at last"),
            ([12, float("inf")], False, "step 2 is not finite"),
            ([2, -0.24], False, "a CTC loss below zero is a bug"),
        ],
    )
    def test_iterations(self, losses, passed, headline):
        steps = tuple(Step(loss, 1.0) for loss in losses)
        verdict = judge_iterations(Iterations("student", 9, ("u",), 5e-4, steps, 1.0))
        assert (verdict.passed, verdict.headline[: len(headline)]) == (passed, headline)


def test_report_has_every_field():
    runs = [made_up(STANDARD, BAD), made_up(RELAXED, GOOD)]
    text = overfit_text(runs, judge_overfit(runs))
    standard, relaxed = text.split("relaxed: ")
    assert "final WER            90.00 % (does not learn)" in standard
    assert "0 % reached          no" in standard
    assert "final WER            0.00 % (perfect)" in relaxed
    assert "0 % reached          epoch 3" in relaxed
    assert "NaN or Inf           no" in relaxed
    assert "final loss           1.0000 a gloss" in relaxed
    assert "gradient norms       0.5 to 2" in relaxed
    assert "verdict: only relaxed passes: over-regularised\nto do: train with" in text


def test_iterations_are_shown_a_line_a_step():
    measured = Iterations("student", 9, ("u",), 5e-4, (Step(12.2, 331.0), Step(4.1, 7.5)), 1.0)
    lines = iterations_text(measured, judge_iterations(measured)).splitlines()
    assert lines[2].split() == ["1", "12.2000", "331"]
    assert lines[3].split() == ["2", "4.1000", "7.5"]


class TestCommands:
    def test_overfit(self, tiny_corpus, tmp_path, capsys, monkeypatch):
        monkeypatch.setitem(SETTINGS, "standard", replace(STANDARD, learning_rate=5e-3))
        arguments = f"overfit --data_dir {tiny_corpus} --model tiny_teacher --num_samples 4 --output {tmp_path}"
        assert cli.dispatch(arguments.split()) == 0
        out = capsys.readouterr().out
        assert "verdict: both settings pass: the model learns" in out
        assert f"next: signloom train --data_dir {tiny_corpus} --preset tiny_teacher" in out
        assert (tmp_path / "overfit-tiny_teacher.txt").read_text().strip() in out
        assert (tmp_path / "overfit-tiny_teacher.png").read_bytes().startswith(b"\x89PNG")
        record = json.loads((tmp_path / "overfit-tiny_teacher.json").read_text())
        assert [run["setting"]["name"] for run in record["runs"]] == ["standard", "relaxed"]
        assert record["runs"][0]["epochs"][-1]["wer"] == 0
        assert record["verdict"]["passed"]

    def test_overfit_that_is_not_reached(self, tiny_corpus, tmp_path, capsys):
        arguments = f"overfit --data_dir {tiny_corpus} --model tiny_student --max_epochs 2 --output {tmp_path}"
        assert cli.dispatch([*arguments.split(), "--setting", "relaxed"]) == 1
        assert "0 % reached          no" in capsys.readouterr().out

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
            ("verify --num_steps 1", "--num_steps is 1; needed at least 2 to see the loss fall"),
            ("verify --learning_rate 0", "--learning_rate is 0.0; needed above 0"),
            ("verify --model giant", "no preset 'giant'"),
        ],
    )
    def test_misuse(self, arguments, message, tiny_corpus):
        command, *rest = arguments.split()
        with pytest.raises(InputError, match=message):
            cli.dispatch([command, "--data_dir", str(tiny_corpus), *rest])
