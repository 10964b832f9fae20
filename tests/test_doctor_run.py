"""The doctor on the curves of a run: planted faults are named, healthy curves are left alone."""

import json
import math

import pytest

from signloom.errors import InputError
from signloom.health.run_checks import CHECKS, read_history
from signloom.train.history import EpochRecord, History


def curves(train, dev=None, wer=None):
    dev = dev or train
    wer = wer or [min(1.0, loss / 4) for loss in dev]
    return tuple(
        EpochRecord(number, *values, 1e-3, 1.0, 1000.0)
        for number, values in enumerate(zip(train, dev, wer, strict=True), 1)
    )


HEALTHY = {
    "falling": curves([6, 3.7, 2.7, 1.8, 1.2, 0.9, 0.6, 0.4, 0.3, 0.3]),
    # Memorised: the loss wavers about next to nothing.
    "memorised": curves([4, 1, 0.2, 0.01, 0.002, 0.005, 0.001, 0.004]),
    # A dev loss that rises while its word error rate does not: more confident, no worse.
    "confident": curves([4, 2, 1, 0.5, 0.3, 0.2], [4, 3, 2, 2, 3, 3.5], [1, 0.7, 0.5, 0.4, 0.38, 0.39]),
    "short": curves([6, 5]),
    "plateau": curves([4] * 8 + [3, 2], wer=[1.0] * 9 + [0.8]),
}
SICK = {
    "run.loss": [curves([3, 2, 1, -0.24, -0.3]), curves([3, 2, math.nan, 2, 2]), curves([3, 2, math.inf])],
    "run.diverging": [curves([3, 2, 1, 4, 8, 12]), curves([2, 1, 0.02, 0.01, 0.5, 0.6])],
    "run.stuck": [curves([4] * 16, wer=[1.0] * 16), curves([4 - 0.05 * k for k in range(20)], wer=[0.99] * 20)],
    "run.overfitting": [curves([4, 2, 1, 0.5, 0.2, 0.1], [4, 3, 2, 3, 4, 5], [1, 0.7, 0.5, 0.5, 0.55, 0.6])],
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_curves_are_left_alone(name):
    findings = {key: check(HEALTHY[name]) for key, check in CHECKS.items()}
    assert {key for key, finding in findings.items() if finding.level in ("warn", "fail")} == set()
    assert all(key == finding.id for key, finding in findings.items())


@pytest.mark.parametrize(("check", "epochs"), [(check, epochs) for check, cases in SICK.items() for epochs in cases])
def test_sick_curves_are_named_by_their_cause_alone(check, epochs):
    loud = {key: finding for key, finding in ((k, c(epochs)) for k, c in CHECKS.items()) if finding.advice}
    assert set(loud) == {check}


def test_a_loss_below_zero_is_called_what_it_is():
    finding = CHECKS["run.loss"](SICK["run.loss"][0])
    assert finding.headline == "loss below zero in epoch 4"
    assert "computed wrongly" in finding.advice


def test_a_run_is_read_from_its_folder(tmp_path):
    assert read_history(tmp_path) == ()
    (tmp_path / "history.json").write_text(json.dumps(History(list(HEALTHY["short"]), 2).to_json()), encoding="utf-8")
    assert read_history(tmp_path) == HEALTHY["short"]
    (tmp_path / "history.json").write_text('{"epochs": 3}', encoding="utf-8")
    with pytest.raises(InputError, match="history.json: not what signloom writes"):
        read_history(tmp_path)
