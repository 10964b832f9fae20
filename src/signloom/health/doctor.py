"""Looks for what makes training fail: in a corpus, a model, the folder of a run, or a recipe.

A corpus is read once and measured: missing points, frozen frames, swapped hands, features that were standardised
before, clips and signers in two splits, annotations, lengths. A model (a preset, a checkpoint, the folder of a run or a
recipe) is tried: what it makes of features, padding, batches, mirrors and gradients. Of a run the record is read too,
and what its model reads in its corpus. Every finding has a level (ok, note, warn, fail), the number, the threshold and
what to do; where they speak for a cause that is known, it is named first. Exit status 1 if a check fails.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from signloom.console import progress_bar, say
from signloom.errors import InputError, MissingExtraError
from signloom.health.findings import Diagnosis, Finding, chosen

if TYPE_CHECKING:
    from signloom.health.subject import Subject
    from signloom.health.trial import Trial


@dataclass
class Options:
    """What the doctor is told."""

    positionals: ClassVar[tuple[str, ...]] = ("subject",)

    subject: str
    """a corpus, a model file, the folder of a run, a recipe (a name or a YAML file), or a preset"""
    data_dir: Path | None = None
    """the corpus to try a model on; when not given, the one the run or recipe names, or made-up landmarks"""
    suite: Literal["all", "data", "run", "compatibility", "architecture"] = "all"
    """which checks; all that the subject allows when not given"""
    check: tuple[str, ...] = ()
    """run these checks alone, as data.fps or data.fps data.motion"""
    format: Literal["text", "json"] = "text"
    """how the findings are printed"""
    html: Path | None = None
    """also write them to this file, a page with the evidence: skeletons of the worst clips, gradients, posteriors"""
    seed: int = 0
    """of the choice of utterances and of new weights"""
    threads: int = 1
    """CPU threads"""


def run(options: Options) -> int:
    """1 when a check fails, else 0."""
    if options.threads < 1:
        raise InputError(f"doctor: --threads is {options.threads}; needed at least 1")
    try:
        import torch

        from signloom.health.subject import find_subject
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", str(error.name), "the doctor") from None
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        subject = find_subject(options.subject, options.data_dir, options.seed)
        diagnosis = examine(subject, options.suite, options.check)
        evidence = _evidence(subject, diagnosis) if options.html else {}
    finally:
        torch.set_num_threads(threads)
    data = f" --data_dir {options.data_dir}" if options.data_dir else ""
    rerun = f"signloom doctor {options.subject}{data} --check"
    if options.html:
        from signloom.report.health_page import write_health

        write_health(diagnosis.to_json(), evidence, options.html, rerun)
        say(f"page: {options.html}")
    if options.format == "json":
        print(json.dumps(diagnosis.to_json(), indent=1, ensure_ascii=False))
    else:
        from rich.console import Console

        from signloom.health.doctor_text import print_diagnosis

        print_diagnosis(diagnosis, Console(highlight=False), rerun)
    return 1 if diagnosis.failed else 0


def examine(subject: Subject, suite: str = "all", checks: tuple[str, ...] = ()) -> Diagnosis:
    """What the checks of a suite, or those named, find. Raises InputError for a check that the subject has not."""
    from signloom.health import annotation_checks, architecture, compatibility, output_checks, run_checks
    from signloom.health.causes import name_causes
    from signloom.health.data_figures import measure_corpus
    from signloom.health.readings import read
    from signloom.health.trial import make_trial

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
                readings = read(subject)
                findings += [output_checks.CHECKS[name](readings) for name in outputs]
            bar.update(task, advance=1)
        if models:
            task = bar.add_task("trying the model", total=len(models), unit="checks")
            trial = make_trial(subject)
            for name in models:
                check = compatibility.CHECKS.get(name) or architecture.CHECKS[name]
                findings.append(_tried(name, check, trial))
                bar.update(task, advance=1)
    findings.sort(key=lambda finding: wanted.index(finding.id))
    seconds = time.perf_counter() - started
    return Diagnosis(subject.description, tuple(findings), seconds, name_causes(findings))


def _evidence(subject: Subject, diagnosis: Diagnosis) -> dict[str, Any]:
    """What the page draws."""
    from signloom.health.evidence import posterior, skeletons
    from signloom.health.trial import make_trial

    found: dict[str, Any] = {}
    if subject.corpus is not None:
        found["skeletons"] = skeletons(diagnosis.findings, subject.corpus)
    if subject.trained:
        try:
            found["posterior"] = posterior(make_trial(subject))
        except RuntimeError:
            # A model that cannot run has none; that is among the findings.
            found["posterior"] = None
    return found


def _tried(name: str, check: Callable[[Trial], Finding], trial: Trial) -> Finding:
    """What a check finds; that the model cannot even run is a finding as well."""
    try:
        return check(trial)
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
