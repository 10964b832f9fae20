"""Causes from findings: what each takes, what goes before what, and how they are shown."""

import io
import json

import pytest
from rich.console import Console

from signloom.findings import Diagnosis, Finding
from signloom.health.causes import CAUSES, name_causes
from signloom.health.text import print_diagnosis
from signloom.report.health_page import render


def finding(name, level="ok", value=None, **figures):
    advice = "do this" if level in ("warn", "fail") else ""
    return Finding(id=name, level=level, headline=f"{name} is {level}", value=value, advice=advice, figures=figures)


def methods(own, again):
    level = "fail" if again < 0.9 * own else "ok"
    table = {"once, as the model does": {"loss": own}, "again, clip by clip": {"loss": again}}
    return finding("compatibility.methods", level, **table)


HAND = "train shows the right hand in 2 % of GOOD, test in 50 %"
PEAK = {"low rate": False, "high rate": False, "much dropout": False}
# What a healthy run of few epochs gives: on the plateau, with much to learn, by usual options.
HEALTHY = [
    finding("data.normalised"),
    finding("data.body", "warn", 1),
    finding("data.pairing"),
    finding("run.loss", **{"below zero": False, "not finite": False}),
    finding("run.diverging", value=1.0),
    finding("run.stuck", "note", 100.0),
    finding("run.underfitting", "note", 2.6),
    finding("run.settings", **PEAK),
    finding("run.blank", "note", 1.0, collapsed=False),
    finding("run.uniform", value=0.5),
    finding("run.names"),
    finding("run.scores", "warn", exchanged=False),
    finding("architecture.time", pooled=False),
    finding("architecture.attention"),
    methods(2.6, 2.5),
]
PLANTED = {
    "normalised_corpus": [finding("data.normalised", "fail")],
    "body": [finding("data.body", "fail", 20)],
    "annotations": [finding("run.annotations", "fail")],
    "time_pooled": [finding("architecture.time", "fail", 0.0, pooled=True)],
    "vocabulary": [finding("run.names", "fail")],
    "normalised_model": [finding("compatibility.normalised_once", "fail")],
    "attention_clamp": [finding("architecture.attention", "fail", 0.9)],
    "score_order": [finding("run.scores", "fail", exchanged=True)],
    "high_rate": [finding("run.settings", "note", **PEAK | {"high rate": True})],
    "uniform": [finding("run.uniform", "fail", 0.99)],
    "blank": [finding("run.blank", "fail", 1.0, collapsed=True)],
    "presence": [finding("data.presence", "warn", 1, worst=HAND)],
}


def with_these(*changed):
    return [one for one in HEALTHY if one.id not in {other.id for other in changed}] + list(changed)


def named(*changed):
    return [cause.id for cause in name_causes(with_these(*changed))]


def test_a_healthy_run_has_no_cause():
    assert named() == []
    assert name_causes([]) == ()


def test_every_cause_has_a_planted_fault():
    assert len(PLANTED) == len(CAUSES)


@pytest.mark.parametrize("cause", PLANTED)
def test_a_cause_is_named_with_its_evidence_and_what_to_do(cause):
    (found,) = name_causes(with_these(*PLANTED[cause]))
    assert found.id == cause
    assert found.advice
    key = PLANTED[cause][0].id
    assert key in dict(found.evidence)
    assert dict(found.evidence)[key] == PLANTED[cause][0].headline


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        # The same clips, shifted labels: nothing can be learnt, whatever else it looks like.
        ([finding("data.pairing", "fail"), finding("run.uniform", "fail", 0.99)], "annotations"),
        # Outputs that stand for other glosses have large losses, which another normalisation may lower a little.
        ([finding("run.names", "fail"), methods(7.5, 5.0)], "vocabulary"),
        # A rate that drives all to blank: the rate goes before what it led to.
        (
            [finding("run.settings", "note", **PEAK | {"high rate": True}), finding("run.blank", "fail", 1.0)],
            "high_rate",
        ),
        # A corpus that was standardised shows in whatever reads it.
        ([finding("data.normalised", "fail"), finding("run.blank", "fail", 1.0)], "normalised_corpus"),
    ],
)
def test_what_explains_the_rest_goes_first(changed, cause):
    assert named(*changed)[0] == cause


def test_weights_that_read_better_normalised_twice_are_of_such_a_model_only_if_they_then_read_well():
    assert named(methods(1.3, 0.75)) == ["normalised_model"]
    # Of weights that have collapsed, any loss is as good as another.
    assert named(methods(6.4, 4.7)) == []
    assert named(methods(0.30, 0.28)) == []


def test_a_hand_in_view_is_named_with_the_gloss_and_after_what_is_more_certain():
    seen, strangers = finding("data.presence", "warn", 1, worst=HAND), finding("run.signers", "warn", 0.5)
    (cause,) = name_causes(with_these(seen, strangers))
    assert cause.headline == f"a part in view is taken for part of a sign: {HAND}"
    assert [name for name, _ in cause.evidence] == ["data.presence", "run.signers"]
    assert named(seen, finding("data.body", "fail", 20)) == ["body", "presence"]
    assert named(strangers) == []


def test_a_high_rate_is_no_fault_where_the_run_learnt():
    high = finding("run.settings", "note", **PEAK | {"high rate": True})
    learnt = [finding("run.stuck", value=5.0), finding("run.underfitting", value=0.1)]
    assert named(high, *learnt) == []
    assert named(high, *learnt, finding("run.units", "warn")) == ["high_rate"]


@pytest.mark.parametrize(
    "broken",
    [
        finding("run.loss", "fail", **{"below zero": False, "not finite": True}),
        finding("run.diverging", "fail", 5.0),
        finding("run.gradients", "warn", exploding=True),
    ],
)
def test_a_run_that_broke_had_too_high_a_rate_whatever_it_was(broken):
    assert named(broken) == ["high_rate"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"low rate": True}, "the learning rate is too low: the model learnt nothing"),
        ({"much dropout": True}, "there is too much dropout: the model learnt nothing"),
        (
            {"low rate": True, "much dropout": True},
            "there is too much dropout and the learning rate is too low: the model learnt nothing",
        ),
    ],
)
def test_too_much_dropout_and_too_small_a_rate_are_told_apart(options, words):
    (cause,) = name_causes(with_these(finding("run.settings", "note", **PEAK | options)))
    assert (cause.id, cause.headline) == ("uniform", words)


def test_features_that_are_dead_are_not_called_pooled():
    assert named(finding("architecture.time", "fail", 0.0, pooled=False)) == []


def test_the_cause_stands_at_the_top_of_text_json_and_page():
    findings = with_these(*PLANTED["normalised_corpus"], *PLANTED["blank"])
    diagnosis = Diagnosis("run x", tuple(findings), 1.0, name_causes(findings))
    to = io.StringIO()
    print_diagnosis(diagnosis, Console(file=to, width=200), "signloom doctor x --check")
    lines = to.getvalue().splitlines()
    assert lines[1].startswith("most likely cause: double normalisation: the corpus was standardised before")
    assert lines[2] == "  data.normalised: data.normalised is fail"
    assert lines[3] == "  to do: do this"
    assert lines[4].startswith("also possible: everything is blank")
    assert lines[-1] == "next: do this; then: signloom doctor x --check data.normalised"
    record = json.loads(json.dumps(diagnosis.to_json()))
    assert [cause["id"] for cause in record["causes"]] == ["normalised_corpus", "blank"]
    page = render(record, {}, "signloom doctor x --check")
    assert page.index("Most likely cause: double normalisation") < page.index("<h2>Data")
    assert "Also possible: everything is blank" in page
    healthy = Diagnosis("run x", tuple(HEALTHY), 1.0)
    assert "Most likely cause" not in render(healthy.to_json(), {}, "signloom doctor x --check")
