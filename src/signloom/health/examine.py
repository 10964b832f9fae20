"""Runs the doctor's checks on a subject."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from signloom.console import progress_bar
from signloom.errors import InputError
from signloom.findings import Diagnosis, Finding, chosen

if TYPE_CHECKING:
    from signloom.health.checks.probe import Probe
    from signloom.health.subject import Subject


def examine(subject: Subject, suite: str = "all", checks: tuple[str, ...] = ()) -> Diagnosis:
    """What the checks of a suite, or those named, find. Raises InputError for a check that the subject has not."""
    from signloom.health.causes import name_causes
    from signloom.health.checks import annotations as annotation_checks
    from signloom.health.checks import architecture, compatibility
    from signloom.health.checks import outputs as output_checks
    from signloom.health.checks import run as run_checks
    from signloom.health.checks.figures import measure_corpus
    from signloom.health.checks.predictions import predict
    from signloom.health.checks.probe import make_probe

    started = time.perf_counter()
    known = {
        "data": list(annotation_checks.CHECKS),
        "run": list(run_checks.CHECKS) + list(output_checks.CHECKS) * subject.readable,
        "compatibility": list(compatibility.CHECKS),
        "architecture": list(architecture.CHECKS),
    }
    ids = [name for key in subject.suites if suite in ("all", key) for name in known[key]]
    if not ids:
        raise InputError(f"{subject.name}: no suite {suite} for this; there are {', '.join(subject.suites)}")
    wanted = chosen(ids, checks)
    findings: list[Finding] = []
    data = [name for name in wanted if name in annotation_checks.CHECKS]
    models = [name for name in wanted if name in known["compatibility"] + known["architecture"]]
    outputs = [name for name in wanted if name in output_checks.CHECKS]
    if subject.run is not None:
        findings += [run_checks.CHECKS[name](subject.run) for name in wanted if name in run_checks.CHECKS]
    with progress_bar() as bar:
        if data and subject.corpus is not None:
            task = bar.add_task("reading landmarks", total=len(subject.corpus), unit="clips")
            figures = measure_corpus(
                subject.corpus,
                unalignable=subject.unalignable,
                model=subject.model_name,
                on_clip=lambda: bar.update(task, advance=1),
            )
            findings += [annotation_checks.CHECKS[name](figures) for name in data]
        if outputs:
            task = bar.add_task("reading with the model", total=1, unit="pass")
            # A model that cannot run has none; that is among the findings on the model.
            with suppress(RuntimeError, ValueError, IndexError):
                predictions = predict(subject)
                findings += [output_checks.CHECKS[name](predictions) for name in outputs]
            bar.update(task, advance=1)
        if models:
            task = bar.add_task("trying the model", total=len(models), unit="checks")
            probe = make_probe(subject)
            for name in models:
                check = compatibility.CHECKS.get(name) or architecture.CHECKS[name]
                findings.append(_tried(name, check, probe))
                bar.update(task, advance=1)
    findings.sort(key=lambda finding: wanted.index(finding.id))
    seconds = time.perf_counter() - started
    return Diagnosis(subject.description, tuple(findings), seconds, name_causes(findings))


def evidence_of(subject: Subject, diagnosis: Diagnosis) -> dict[str, Any]:
    """What the page draws."""
    from signloom.health.checks.probe import make_probe
    from signloom.health.evidence import posterior, skeletons

    found: dict[str, Any] = {}
    if subject.corpus is not None:
        found["skeletons"] = skeletons(diagnosis.findings, subject.corpus)
    if subject.trained:
        try:
            found["posterior"] = posterior(make_probe(subject))
        except RuntimeError:
            # A model that cannot run has none; that is among the findings.
            found["posterior"] = None
    return found


def _tried(name: str, check: Callable[[Probe], Finding], probe: Probe) -> Finding:
    """What a check finds; that the model cannot even run is a finding as well."""
    try:
        return check(probe)
    except (RuntimeError, ValueError, IndexError, InputError) as error:
        return Finding(
            name,
            "fail",
            f"the model cannot be tried: {type(error).__name__}: {str(error).splitlines()[0]}",
            where=tuple(str(error).splitlines()[1:4]),
            threshold="the model runs",
            source="nothing can be learnt otherwise",
            advice="the shapes of its layers do not fit each other or its input; mend the model, or load another",
        )
