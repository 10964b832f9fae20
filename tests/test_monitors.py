"""Live monitors: each planted fault is named once with its figure, a healthy run is not, and nothing is changed."""

import json
import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from conftest import TINY_STUDENT
from signloom.corpus.splits import KNOWN_DEV
from signloom.errors import InputError, TrainingError
from signloom.model import presets, recognizer
from signloom.model.presets import InceptionModule, TeacherConfig
from signloom.model.recognizer import Recognizer
from signloom.report import write_report
from signloom.train import callbacks, monitor_rules, start_rules, trainer
from signloom.train import module as training_module
from signloom.train.fit import fit
from signloom.train.module import RecognizerModule
from signloom.train.monitor_rules import SETTLED, MonitorRules, RunFacts, SampledStep, StepFigures
from signloom.train.monitors import Monitors, gradient_norms, limited, rectified
from signloom.train.recipe import Recipe

pytestmark = pytest.mark.slow

TINY = replace(TINY_STUDENT, dropout=0.1)
TEACHER = TeacherConfig(
    view="compact",
    encoder_width=16,
    stem_channels=16,
    modules=(InceptionModule("3b", 8, (8, 8), (4, 4), 4),),
    lstm_hidden=12,
    lstm_layers=1,
)


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)
    monkeypatch.setitem(presets.PRESETS, "tiny_teacher", TEACHER)
    # A look in each step: a test's run has few.
    monkeypatch.setattr(trainer, "Monitors", lambda *given: Monitors(*given, every_steps=1))
    monkeypatch.setattr(monitor_rules, "FIRST_STEPS", 1)


@pytest.fixture
def plant(monkeypatch):
    """Changes the recogniser of the runs to come before their first step."""

    def planted(change):
        before = RecognizerModule.on_fit_start

        def start(self):
            before(self)
            with torch.no_grad():
                change(self)

        monkeypatch.setattr(RecognizerModule, "on_fit_start", start)

    return planted


def recipe(corpus, output, **changes) -> Recipe:
    # One view: faults are planted in the loss of a plain step, and a few epochs have to be enough.
    values = {"epochs": 30, "batch_size": 4, "preset": "tiny", "learning_rate": 1e-3, "consistency": 0.0}
    values["auxiliary_head"] = False
    return Recipe(data_dir=corpus, output=output, **{**values, **changes})


def said(run) -> list[dict]:
    return json.loads((run / "monitors.json").read_text())["said"]


def warnings_of(caplog) -> list[str]:
    """The warnings in the log, but for the one on a dev split of known signers, which every tiny corpus has."""
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [text for text in warned if not text.startswith(KNOWN_DEV)]


def only(run, caplog) -> dict:
    """The one thing that was said, which the log has once too."""
    (one,) = said(run)
    warned = warnings_of(caplog)
    assert len(warned) == 1
    assert warned[0].lower().startswith(one["headline"].lower())
    assert one["advice"].lower() in warned[0].lower()
    return one


@pytest.mark.parametrize(("name", "epochs", "learning_rate"), [("tiny", 15, 2e-3), ("tiny_teacher", 20, 2e-3)])
def test_a_healthy_run_is_silent(tiny_corpus, tmp_path, caplog, name, epochs, learning_rate):
    result = fit(
        recipe(tiny_corpus, tmp_path / "run", preset=name, epochs=epochs, learning_rate=learning_rate, augment=False)
    )
    # It has learnt, through the early epochs in which all is blank.
    assert result.best.dev_wer < 0.6
    assert said(result.run) == []
    assert warnings_of(caplog) == []


def test_the_weights_are_those_without_monitors(tiny_corpus, tmp_path, monkeypatch):
    weights = []
    for watched in (True, False):
        if not watched:
            monkeypatch.setattr(trainer, "Monitors", lambda *given: trainer.L.Callback())
        options = recipe(tiny_corpus, tmp_path / str(watched), epochs=3, consistency=0.2, accumulate=2)
        weights.append(load_file(fit(replace(options, checkpoint_activations=True)).run / "last.safetensors"))
        assert (tmp_path / str(watched) / "monitors.json").exists() == watched
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_uniform_outputs(tiny_corpus, tmp_path, caplog, plant, monkeypatch):
    monkeypatch.setattr(monitor_rules, "UNIFORM_STEPS", 5)
    plant(lambda module: module.recognizer.classifier.weight.mul_(0.1))
    # The rate is too small to learn anything.
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=4, learning_rate=2e-6))
    one = only(tmp_path / "run", caplog)
    assert one["id"] == "uniform_outputs"
    # Words nearly alike: the entropy is nearly that of log V, here of blank, unknown and four signs.
    assert 0.99 < one["value"] <= 1.0
    assert f"log(1/6) = {-math.log(6):.2f}" in one["headline"]
    assert f"{one['value']:.1%} of log V" in one["headline"]


def test_a_classifier_of_zeros(tiny_corpus, tmp_path, plant, monkeypatch):
    monkeypatch.setattr(monitor_rules, "UNIFORM_STEPS", 5)

    def zero(module):
        module.recognizer.classifier.weight.zero_().requires_grad_(False)
        module.recognizer.classifier.bias.zero_()

    plant(zero)
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=4, learning_rate=2e-6))
    found = {one["id"]: one for one in said(tmp_path / "run")}
    # Nothing passes back through weights of 0 either, and that is said too.
    assert found["uniform_outputs"]["value"] == pytest.approx(1.0, abs=1e-4)
    assert found["no_gradient"]["value"] == 0.0
    assert len(said(tmp_path / "run")) == len(found)


def test_everything_blank(tiny_corpus, tmp_path, caplog, plant, monkeypatch):
    monkeypatch.setattr(monitor_rules, "BEGINNING", 5)
    plant(lambda module: module.recognizer.classifier.bias[0].fill_(30.0))
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=5, learning_rate=1e-5))
    one = only(tmp_path / "run", caplog)
    assert one["id"] == "blank_collapse"
    # Of the glosses in the references the output expects none.
    assert one["value"] < 1e-6
    assert "its mean probability is 1.0000" in one["headline"]
    assert "0% of the reference's glosses" in one["headline"]
    assert "100.0% of frames" in one["headline"]


def test_exploding_gradient(tiny_corpus, tmp_path, caplog, monkeypatch):
    losses = RecognizerModule.training_losses

    def scaled(self, batch):
        found = losses(self, batch)
        return found._replace(total=1000 * found.total)

    monkeypatch.setattr(RecognizerModule, "training_losses", scaled)
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=5))
    one = only(tmp_path / "run", caplog)
    assert one["id"] == "exploding_gradient"
    assert one["value"] > 100
    # Of 20 steps the first two are the warm-up; then three in a row.
    assert one["figures"]["step"] == 5
    assert f"{one['value']:.4g}" in one["headline"]


def test_vanishing_gradient(tiny_corpus, tmp_path, caplog, monkeypatch):
    losses = RecognizerModule.training_losses

    def scaled(self, batch):
        found = losses(self, batch)
        return found._replace(total=1e-6 * found.total)

    monkeypatch.setattr(RecognizerModule, "training_losses", scaled)
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=3, learning_rate=2e-6))
    one = only(tmp_path / "run", caplog)
    assert one["id"] == "vanishing_gradient"
    assert one["value"] < 1e-3
    assert one["where"] == ["all weights"]


def test_no_gradient_reaches_a_part(tiny_corpus, tmp_path, caplog, plant):
    # What the BiLSTM makes of the body is next to nothing: its classifier learns, the body does not.
    def cut(module):
        for name, value in module.recognizer.lstm.named_parameters():
            if "weight_ih" in name:
                value.mul_(1e-7).requires_grad_(False)

    plant(cut)
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=3, learning_rate=2e-6))
    one = only(tmp_path / "run", caplog)
    assert one["id"] == "no_gradient"
    assert one["value"] < 1e-3
    assert "no gradient reaches the encoders and the body" in one["headline"]


def test_dead_units(tiny_corpus, tmp_path, caplog, plant):
    plant(lambda module: module.recognizer.body.blocks[0].expand_norm.bias[:36].fill_(-1e3))
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=3))
    one = only(tmp_path / "run", caplog)
    assert one["id"] == "dead_units"
    # 36 of 48.
    assert one["value"] == 0.75
    assert one["where"] == ["body.blocks.0.expand_norm"]
    assert "75% of the units of body.blocks.0.expand_norm are dead" in one["headline"]


def test_saturated_lstm(tiny_corpus, tmp_path, caplog, plant):
    def saturate(module):
        bias = module.recognizer.lstm.forward_layers[0].bias_ih_l0
        bias[:] = 50.0

    plant(saturate)
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=3))
    found = {one["id"]: one for one in said(tmp_path / "run")}
    assert found["saturated_units"]["where"] == ["lstm.0"]
    assert found["saturated_units"]["value"] > 0.5


def test_attention_at_its_clamp(tiny_corpus, tmp_path, plant):
    def clamp(module):
        module.recognizer.body.fusion.attention.clamp = 1e-4

    plant(clamp)
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=3, preset="tiny_teacher"))
    found = {one["id"]: one for one in said(tmp_path / "run")}
    assert found["saturated_units"]["where"] == ["body.fusion.attention"]
    assert "attention_clamp" in found["saturated_units"]["advice"]


def test_a_loss_below_zero_is_a_bug(tiny_corpus, tmp_path, caplog, monkeypatch):
    loss = recognizer.ctc_loss
    # Used by training and by validation.
    for module in (recognizer, training_module):
        monkeypatch.setattr(module, "ctc_loss", lambda *inputs: 0 * loss(*inputs) - 0.24)
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=2))
    one = only(tmp_path / "run", caplog)
    assert (one["id"], one["level"]) == ("negative_loss", "fail")
    assert one["value"] == pytest.approx(-0.24)
    assert "a CTC loss is -0.24: below zero" in one["headline"]
    assert one["figures"]["step"] == 1


def test_what_is_not_finite_is_kept_for_the_page(tiny_corpus, tmp_path, plant):
    plant(lambda module: module.recognizer.body.stem.weight.fill_(float("nan")))
    with pytest.raises(TrainingError, match="first made by the weights body.stem.weight"):
        fit(recipe(tiny_corpus, tmp_path / "run", epochs=2))
    (one,) = said(tmp_path / "run")
    assert one["id"] == "not_finite"
    assert one["where"][0].startswith("the weights body.stem.weight")
    assert one["value"] is None


def test_resumed_it_does_not_say_it_again(tiny_corpus, tmp_path, caplog, plant):
    plant(lambda module: module.recognizer.body.blocks[0].expand_norm.bias[:36].fill_(-1e3))
    options = recipe(tiny_corpus, tmp_path / "run", epochs=4, save_every_steps=3)
    fit(options)
    assert only(tmp_path / "run", caplog)["figures"]["step"] == 5
    whole = json.loads((tmp_path / "run" / "monitors.json").read_text())

    # Killed right after it was said: the state kept is that of step 4, which knows of none of it.
    def killed(self, trainer):
        if trainer.global_step == 5:
            raise KeyboardInterrupt

    run = tmp_path / "killed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks.Stop, "_check", killed)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            fit(replace(options, output=run))
    assert len(said(run)) == 1
    caplog.clear()
    fit(replace(options, output=run, resume=True))
    record = json.loads((run / "monitors.json").read_text())
    assert record["said"] == whole["said"]
    assert record["epochs"] == whole["epochs"]
    assert "are dead" not in caplog.text


def sample(step, **changes) -> SampledStep:
    """What a healthy run shows on CTC's early plateau: all blank, but as much probability for glosses as there are."""
    values = {"epoch": 1 + step // 100, "loss": 4.0, "entropy": 0.4, "blank": 0.75, "blank_share": 1.0, "emitted": 1.0}
    gradient = {"all": 0.7, "encoders": 0.1, "body": 0.3}
    return SampledStep(**{"step": step, **values, "gradient": gradient, **changes})


def figures(step, **changes) -> StepFigures:
    """Figures of a healthy step."""
    values = {"epoch": 1, "norm": 1.0, "lowest_loss": 1.0, "loss": 4.0, "uniform_loss": 20.0}
    return StepFigures(**{"step": step, **values, **changes})


def ids(rules, samples) -> list[str]:
    return [one.id for each in samples for one in rules.sample(each)]


def test_only_blank_is_natural_for_a_while_and_then_it_is_not():
    rules = MonitorRules(RunFacts(warm_steps=50, num_words=100))
    assert ids(rules, (sample(step) for step in range(1, SETTLED + 1, 10))) == []
    later = list(range(SETTLED + 1, 2 * SETTLED, 10))
    assert ids(rules, map(sample, later)) == ["only_blank"]
    assert rules.findings[0].figures["step"] == later[19]
    # Many steps of a large corpus are still few epochs.
    rules = MonitorRules(RunFacts(warm_steps=50, num_words=100))
    assert ids(rules, (sample(step, epoch=2) for step in later)) == []


def test_what_passes_is_not_said():
    rules = MonitorRules(RunFacts(num_words=100))
    # Four looks in a row, then one that is well, and again.
    dead = [sample(step, dead={"body": 1.0 if step % 5 else 0.0}) for step in range(200, 300)]
    assert ids(rules, dead) == []
    norms = [rules.step(figures(step, norm=500.0 if step % 3 else 1.0)) for step in range(99)]
    assert not any(norms)
    # A small gradient of what is learnt is as it should be.
    assert ids(rules, (sample(step, loss=0.2, gradient={"all": 1e-6}) for step in range(200, 300))) == []


def test_the_warm_up_may_explode():
    rules = MonitorRules(RunFacts(warm_steps=10))
    found = [step for step in range(1, 20) if rules.step(figures(step, norm=1e4))]
    assert found == [13]


def test_a_huge_loss_is_said_in_the_first_steps():
    rules = MonitorRules(RunFacts(num_words=100))
    # As long as it is that of an output that knows nothing, a loss may have any size: long clips, many words.
    assert not any(rules.step(figures(step, loss=700.0, uniform_loss=700.0)) for step in range(1, 20))
    rules = MonitorRules(RunFacts(num_words=100))
    told = [one for step in range(1, 20) for one in rules.step(figures(step, loss=4321.0))]
    assert [(one.id, one.figures["step"]) for one in told] == [("huge_loss", 3)]
    assert "4,321 per gloss at step 3, 216 times" in told[0].headline


def test_a_huge_loss(tiny_corpus, tmp_path, plant):
    plant(lambda module: module.recognizer.classifier.weight.mul_(3000.0))
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=2))
    assert "huge_loss" in {one["id"] for one in said(tmp_path / "run")}


def test_uniform_outputs_wait_for_a_slow_start():
    flat = [sample(step, entropy=0.999) for step in range(1, 161, 10)]
    rules = MonitorRules(RunFacts(num_words=100))
    ids(rules, flat)
    assert rules.findings[0].figures["step"] == 71
    # A warm-up from nearly 0: the rate is still low.
    rules = MonitorRules(RunFacts(warm_steps=250, slow_steps=100, num_words=100))
    ids(rules, flat)
    assert rules.findings[0].figures["step"] == 141


@pytest.mark.parametrize(("options", "peak"), [({}, 3e-3), ({"schedule": "plain"}, 3e-4)])
def test_the_learning_rate_is_judged_by_its_peak(tmp_path, options, peak):
    def judged(**changes):
        return start_rules.learning_rate(*start_rules.learning_rate_of(Recipe(tmp_path, **{**options, **changes})))

    assert (judged().level, judged().value) == ("ok", pytest.approx(peak))
    times = peak / 3e-4
    for bound, word, other in ((1e-5, "under 1e-05", "raise"), (2e-2, "over 0.02", "lower")):
        inside = judged(learning_rate=1.001 * bound / times if word.startswith("under") else 0.999 * bound / times)
        assert inside.level == "ok"
        beyond = judged(learning_rate=0.9 * bound / times if word.startswith("under") else 1.1 * bound / times)
        assert beyond.level == "warn"
        assert word in beyond.headline
        assert beyond.advice.startswith(other)
        # What the recipe has: default.yaml.
        assert "the recipe default has --learning_rate 0.0003 with the schedule onecycle, which rises to 10 times" in (
            beyond.advice
        )


def test_a_learning_rate_is_judged_before_the_first_step(tiny_corpus, tmp_path, caplog):
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=1, max_steps=1, learning_rate=1e-7))
    one = only(tmp_path / "run", caplog)
    assert (one["id"], one["figures"]["step"]) == ("learning_rate", 0)


def test_features_are_judged_before_the_first_step(tiny_corpus, tmp_path, caplog):
    fit(recipe(tiny_corpus, tmp_path / "run", epochs=1, max_steps=1))
    assert said(tmp_path / "run") == []
    (line,) = [record.getMessage() for record in caplog.records if "features of training clips" in record.getMessage()]
    assert line.endswith("at the clamp: ok")
    # Another corpus' statistics: by them the features are larger.
    model = tmp_path / "run" / "model.safetensors"
    weights = {"frontend.std": load_file(model)["frontend.std"] / 1.5}
    edited = tmp_path / "other.safetensors"
    with safe_open(model, "pt") as file:
        save_file({**load_file(model), **weights}, edited, file.metadata())
    caplog.clear()
    fit(recipe(tiny_corpus, tmp_path / "again", epochs=1, max_steps=1, init=edited))
    one = only(tmp_path / "again", caplog)
    assert (one["id"], one["value"]) == ("features", pytest.approx(1.5, abs=0.01))
    assert "--refit_statistics true" in one["advice"]
    assert "std 0.75 to 1.25" in one["headline"]


def test_norms_by_part_and_what_clipping_leaves(tiny_corpus, tmp_path):
    torch.manual_seed(0)
    recognizer = Recognizer(TINY, 6)
    assert gradient_norms(recognizer) == {}
    for parameter in recognizer.parameters():
        parameter.grad = torch.ones_like(parameter)
    norms = gradient_norms(recognizer)
    assert set(norms) == {"encoders", "body", "recurrent layers", "classifier", "all"}
    # Of ones: the root of how many there are.
    assert norms["all"] == pytest.approx(math.sqrt(recognizer.num_parameters))
    assert norms["classifier"] == pytest.approx(math.sqrt(6 * 48 + 6))
    run = fit(recipe(tiny_corpus, tmp_path / "run", epochs=2, gradient_clip=0.01)).run
    for epoch in json.loads((run / "monitors.json").read_text())["epochs"]:
        assert epoch["gradient/all"] > 0.1
        assert epoch["clipped/all"] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("config", [TINY, TEACHER], ids=["student", "teacher"])
def test_layers_that_are_watched(config):
    recognizer = Recognizer(config, 6)
    norms = {name for name, part in recognizer.body.named_modules() if isinstance(part, torch.nn.BatchNorm1d)}
    # Behind a projection there is no activation.
    assert {f"body.{name}" for name in norms if "project_norm" not in name} == set(rectified(recognizer))
    assert len(limited(recognizer)) == (2 if config is TINY else 3)


def test_tensorboard_and_page_show_them(tiny_corpus, tmp_path, plant):
    plant(lambda module: module.recognizer.body.blocks[0].expand_norm.bias.fill_(-1e3))
    run = fit(recipe(tiny_corpus, tmp_path / "run", epochs=3)).run
    board = EventAccumulator(str(run / "tensorboard")).Reload()
    steps = [event.step for event in board.Scalars("monitors/gradient/encoders")]
    assert steps == list(range(1, 13))
    assert np.isfinite([event.value for event in board.Scalars("monitors/entropy")]).all()
    (text,) = board.Tensors("monitors/dead_units/text_summary")
    assert b"are dead" in text.tensor_proto.string_val[0]
    assert text.step == 5
    page = write_report(run).read_text()
    assert "<h2>Checks during training</h2>" in page
    assert "100% of the units of body.blocks.0.expand_norm are dead" in page
    assert page.count("<svg") >= 4
    healthy = json.loads((run / "monitors.json").read_text()) | {"said": []}
    (run / "monitors.json").write_text(json.dumps(healthy))
    assert "No problem was found" in write_report(run).read_text()


def test_a_damaged_record_is_named(tiny_corpus, tmp_path):
    run = fit(recipe(tiny_corpus, tmp_path / "run", epochs=1)).run
    (run / "monitors.json").write_text('{"said": 3}')
    with pytest.raises(InputError, match=r"monitors\.json: said is 3; needed a list"):
        write_report(run)
