"""Runs the doctor's checks on a subject."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from signloom.console import progress_bar
from signloom.errors import InputError
from signloom.findings import Check, Diagnosis, Finding, checks_in, chosen, fail
from signloom.health.causes import name_causes
from signloom.health.checks import (
    architecture,
    body,
    compatibility,
    landmarks,
    lost_hands,
    manifest,
    movement,
    outputs,
    presence,
    run,
    timing,
)
from signloom.health.checks.figures import measure_corpus
from signloom.health.checks.predictions import predict
from signloom.health.checks.probe import make_probe
from signloom.health.evidence import posterior, skeletons
from signloom.health.subject import Subject

DATA_CHECKS = checks_in(landmarks, movement, body, timing, presence, manifest)
PREDICTION_CHECKS = checks_in(outputs, lost_hands)
# Raised by a model that cannot run.
BROKEN_MODEL = (RuntimeError, ValueError, IndexError)


@dataclass(frozen=True)
class Group:
    """Checks of the same measurements.

    applies: whether a subject has them.  examine: measures a subject and returns a finding for each of some checks.
    """

    checks: Sequence[Check[Any]]
    applies: Callable[[Subject], bool]
    examine: Callable[[Subject, Sequence[Check[Any]], Progress], list[Finding]]


def examine(subject: Subject, suite: str = "all", checks: tuple[str, ...] = ()) -> Diagnosis:
    """Returns the findings of a suite, or of the checks named. Raises InputError for a check that does not apply."""
    started = time.perf_counter()
    groups = [group for group in GROUPS if group.applies(subject)]
    known = [one for group in groups for one in group.checks]
    ids = [one.id for one in known if suite in ("all", one.suite)]
    if not ids:
        suites = dict.fromkeys(one.suite for one in known)
        raise InputError(f"{subject.name}: no suite {suite} for this; there are {', '.join(suites)}")
    wanted = chosen(ids, checks)
    findings: list[Finding] = []
    with progress_bar() as bar:
        for group in groups:
            if selected := [one for one in group.checks if one.id in wanted]:
                findings += group.examine(subject, selected, bar)
    seconds = time.perf_counter() - started
    return Diagnosis(subject.description, tuple(findings), seconds, name_causes(findings))


def evidence_of(subject: Subject, diagnosis: Diagnosis) -> dict[str, Any]:
    """Returns what the page draws: `skeletons` of the clips that findings name, `posterior` of a trained model."""
    evidence: dict[str, Any] = {}
    if subject.corpus is not None:
        evidence["skeletons"] = skeletons(diagnosis.findings, subject.corpus)
    if subject.trained:
        try:
            evidence["posterior"] = posterior(make_probe(subject))
        except RuntimeError:
            # Findings report a model that cannot run.
            evidence["posterior"] = None
    return evidence


def _examine_corpus(subject: Subject, checks: Sequence[Check[Any]], bar: Progress) -> list[Finding]:
    if subject.corpus is None:
        return []
    chosen = subject.measured(subject.corpus)
    task = bar.add_task("measuring landmarks", total=len(chosen), unit="clips")
    figures = measure_corpus(
        subject.corpus,
        unalignable=subject.unalignable_in,
        model=subject.model_name,
        utterances=chosen,
        on_clip=lambda: bar.update(task, advance=1),
    )
    return [one(figures) for one in checks]


def _examine_record(subject: Subject, checks: Sequence[Check[Any]], bar: Progress) -> list[Finding]:
    return [one(subject.run) for one in checks]


def _examine_predictions(subject: Subject, checks: Sequence[Check[Any]], bar: Progress) -> list[Finding]:
    task = bar.add_task("predicting with the model", total=1, unit="passes")
    try:
        predictions = predict(subject)
        return [one(predictions) for one in checks]
    except BROKEN_MODEL:
        # Other checks report a model that cannot run.
        return []
    finally:
        bar.update(task, advance=1)


def _examine_model(subject: Subject, checks: Sequence[Check[Any]], bar: Progress) -> list[Finding]:
    task = bar.add_task("trying the model", total=len(checks), unit="checks")
    probe = make_probe(subject)
    findings = []
    for one in checks:
        try:
            findings.append(one(probe))
        except (*BROKEN_MODEL, InputError) as error:
            what, *details = str(error).splitlines()
            outcome = fail(
                f"the model cannot be tried: {type(error).__name__}: {what}",
                where=details[:3],
                advice="the shapes of its layers do not fit each other or its input; repair the model, or load another",
            )
            findings.append(one.finding(outcome))
        bar.update(task, advance=1)
    return findings


GROUPS = (
    Group(DATA_CHECKS, lambda subject: subject.examine_data, _examine_corpus),
    Group(checks_in(run), lambda subject: subject.run is not None, _examine_record),
    Group(PREDICTION_CHECKS, lambda subject: subject.examine_predictions, _examine_predictions),
    Group(checks_in(compatibility, architecture), lambda subject: subject.examine_model, _examine_model),
)
