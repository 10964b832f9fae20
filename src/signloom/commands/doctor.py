"""Looks for what makes training fail: in a corpus, a model, the folder of a run, or a recipe.

A corpus is read once and measured: missing points, frozen frames, swapped hands, features that were standardised
before, clips and signers in two splits, annotations, lengths. A model (a preset, a checkpoint, the folder of a run or a
recipe) is tried: what it makes of features, padding, batches, mirrors and gradients. Of a run the record is read too,
and what its model reads in its corpus. Every finding has a level (ok, note, warn, fail), the number, the threshold and
what to do; where they speak for a cause that is known, it is named first. Exit status 1 if a check fails.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from signloom.console import say
from signloom.errors import InputError


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
    from signloom.health.examine import evidence_of, examine
    from signloom.health.subject import find_subject
    from signloom.health.threads import cpu_threads

    with cpu_threads(options.threads):
        subject = find_subject(options.subject, options.data_dir, options.seed)
        diagnosis = examine(subject, options.suite, options.check)
        evidence = evidence_of(subject, diagnosis) if options.html else {}
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

        from signloom.health.text import print_diagnosis

        print_diagnosis(diagnosis, Console(highlight=False), rerun)
    return 1 if diagnosis.failed else 0
