"""The doctor on the record of a run: planted faults are named, healthy records are left alone."""

import json
import math
from dataclasses import asdict

import pytest

from signloom.errors import InputError
from signloom.findings import Finding, checks_in
from signloom.health.checks import run as run_checks
from signloom.run_folder import EpochRecord, History, Run
from signloom.score.wer import score

pytestmark = pytest.mark.slow

CHECKS = {check.id: check for check in checks_in(run_checks)}


def curves(train, dev=None, wer=None, *, options=None, corpus=None, monitors=None):
    dev = dev or train
    wer = wer or [min(1.0, loss / 4) for loss in dev]
    epochs = [
        EpochRecord(number, *values, 1e-3, 1.0, 1000.0, steps=100 * number)
        for number, values in enumerate(zip(train, dev, wer, strict=True), 1)
    ]
    info = {"recipe": options or {}, "corpus": corpus or {}}
    monitors = monitors or {}
    findings = {record["id"]: Finding.from_json(record) for record in monitors.get("said", [])}
    return Run(info=info, history=History(epochs), monitors=monitors, findings=findings)


def phoenix(train, wer):
    """The student on a corpus of ten glosses an utterance."""
    summary = {"train": {"utterances": 10, "running_glosses": 100}}
    return curves(
        train,
        wer=wer,
        options={"preset": "student", "learning_rate": 3e-4},
        corpus={"importer": "phoenix2014", "summary": summary},
    )


def watched(said, **row):
    figures = {
        "id": said,
        "level": "warn",
        "headline": f"{said} it is",
        "advice": "do",
        "where": ["w"],
        "figures": {"step": 300},
    }
    return {"monitors": {"epochs": [{"epoch": 1, "gradient/all": 2.0, **row}], "said": [figures]}}


HEALTHY = {
    "falling": curves([6, 3.7, 2.7, 1.8, 1.2, 0.9, 0.6, 0.4, 0.3, 0.3]),
    # Memorised: the loss wavers about next to nothing.
    "memorised": curves([4, 1, 0.2, 0.01, 0.002, 0.005, 0.001, 0.004]),
    # A dev loss that rises while its word error rate does not: more confident, no worse.
    "confident": curves([4, 2, 1, 0.5, 0.3, 0.2], [4, 3, 2, 2, 3, 3.5], [1, 0.7, 0.5, 0.4, 0.38, 0.39]),
    "short": curves([6, 5]),
    "plateau": curves([4] * 8 + [3, 2], wer=[1.0] * 9 + [0.8]),
    # Still getting on when it ended.
    "unfinished": curves([4 * 0.9**k for k in range(15)]),
    "no epoch": Run(),
    "watched": curves([3, 2], monitors={"epochs": [{"epoch": 1, "gradient/all": 2.0, "dead": 0.1, "saturated": 0.2}]}),
    # By a rate and dropout that are usual.
    "options": curves([3, 2], options={"learning_rate": 3e-4, "schedule": "onecycle", "dropout": 0.3}),
    "on the curve": phoenix([0.4] * 5 + [0.2] * 15, [0.85] * 5 + [0.75] * 5 + [0.6] * 10),
}
FAULTY = {
    "run.loss": [
        curves([3, 2, 1, -0.24, -0.3]),
        curves([3, 2, math.nan, 2, 2]),
        curves([3, 2, math.inf]),
        # It ended before its first epoch did.
        Run(not_finite={"place": "epoch 1, step 3", "what": "a loss is not finite", "cause": "body.head"}),
    ],
    "run.diverging": [curves([3, 2, 1, 4, 8, 12]), curves([2, 1, 0.02, 0.01, 0.5, 0.6])],
    "run.stuck": [curves([4 - 0.2 * k for k in range(15)], wer=[0.99] * 15)],
    "run.overfitting": [curves([4, 2, 1, 0.5, 0.2, 0.1], [4, 3, 2, 3, 4, 5], [1, 0.7, 0.5, 0.5, 0.55, 0.6])],
    "run.underfitting": [curves([3, 2.5, 2.2] + [2.0] * 15)],
    # Eight tenths of the words wrong at epoch 20, where seven are allowed.
    "run.milestones": [phoenix([0.4] * 5 + [0.2] * 15, [0.85] * 5 + [0.75] * 15)],
    "run.gradients": [curves([3, 2], **watched("exploding_gradient")), curves([3, 2], **watched("no_gradient"))],
    "run.units": [curves([3, 2], **watched("dead_units", dead=0.9)), curves([3, 2], **watched("saturated_units"))],
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_records_are_left_alone(name):
    findings = {key: check(HEALTHY[name]) for key, check in CHECKS.items()}
    assert {key for key, finding in findings.items() if finding.level in ("warn", "fail")} == set()


@pytest.mark.parametrize(("check", "run"), [(check, run) for check, cases in FAULTY.items() for run in cases])
def test_sick_records_are_named_by_their_cause_alone(check, run):
    findings = {key: c(run) for key, c in CHECKS.items()}
    assert {key for key, finding in findings.items() if finding.level in ("warn", "fail")} == {check}
    assert findings[check].advice
    assert findings[check].source


def test_a_loss_below_zero_is_called_what_it_is():
    finding = CHECKS["run.loss"](FAULTY["run.loss"][0])
    assert finding.headline == "loss below zero in epoch 4"
    assert "computed wrongly" in finding.advice


def test_losses_of_the_milestones_are_per_utterance_and_only_noted():
    # Half a nat a gloss, ten glosses an utterance: 5.0, where it has to be below.
    finding = CHECKS["run.milestones"](phoenix([0.5] * 5, [0.85] * 5))
    assert finding.level == "note"
    assert finding.where == ("epoch 5: loss 0.50 per gloss, 5.0 per utterance, needed below 5",)
    assert "student on PHOENIX only" in CHECKS["run.milestones"](curves([0.5] * 5)).headline


@pytest.mark.parametrize(
    ("options", "words"),
    [
        # The cycle goes up to ten times the base.
        ({"learning_rate": 0.01, "schedule": "onecycle"}, "the learning rate peaks at 0.1: unusual"),
        ({"learning_rate": 1e-6, "schedule": "plain"}, "the learning rate peaks at 1e-06: unusual"),
        ({"learning_rate": 3e-4, "dropout": 0.9}, "dropout is 0.9: unusual"),
    ],
)
def test_unusual_options_are_noted_and_no_more(options, words):
    finding = CHECKS["run.settings"](curves([3, 2], options=options))
    assert (finding.level, finding.headline) == ("note", words)


def test_a_run_is_read_from_its_folder(tmp_path):
    assert Run.read(tmp_path) == Run(tmp_path)
    epochs = HEALTHY["short"].epochs
    said = watched("dead_units")["monitors"]["said"][0]
    scored = score([("a", ["A"] * 12, ["A"])])
    for name, record in {
        "history.json": History(epochs, 2).to_json(),
        "run.json": {"recipe": {"learning_rate": 0.01}, "corpus": {"name": "c"}},
        "monitors.json": {"epochs": [{"epoch": 1, "dead": 0.5}], "said": [said], "every_steps": 10},
        "evaluation-dev.json": scored.to_json(),
        "not-finite.json": {"place": "epoch 2, step 1"},
    }.items():
        (tmp_path / name).write_text(json.dumps(record), encoding="utf-8")
    run = Run.read(tmp_path)
    assert run.epochs == epochs
    assert asdict(run.best) == asdict(epochs[1])
    # The last epoch ended at step 200; the monitors spoke at step 300.
    assert run.steps == 300
    assert CHECKS["run.settings"](run).value == pytest.approx(0.1)
    assert (run.watched[0]["dead"], set(run.findings)) == (0.5, {"dead_units"})
    assert (run.evaluations["dev"]["reference_words"], run.not_finite["place"]) == (12, "epoch 2, step 1")


@pytest.mark.parametrize(
    ("name", "record", "fault"),
    [
        ("history.json", {"epochs": 3, "best_epoch": 1}, "epochs is 3; needed a list"),
        ("run.json", {"recipe": 3}, "recipe is 3; needed"),
        ("monitors.json", {"epochs": 3, "said": []}, "epochs is 3; needed a list"),
        ("evaluation-dev.json", {"epochs": 3}, "protocol is missing; needed text"),
    ],
)
def test_a_damaged_record_is_refused(name, record, fault, tmp_path):
    (tmp_path / name).write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(InputError, match=f"{name}: {fault}"):
        Run.read(tmp_path)
