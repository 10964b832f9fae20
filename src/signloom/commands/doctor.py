"""Checks a corpus, a model, a run folder or a recipe for what makes training fail.

Of a corpus it measures landmarks and annotations: missing points, frozen frames, swapped hands, features that were
standardised before, clips and signers in two splits, lengths. It tries a model (a preset, a model file, or that of a
run or recipe) on features, padding, batches, mirrored clips and gradients. Of a run it also checks the record, and what
the model predicts for its corpus. Every finding has a level (ok, note, warn, fail), the measured number, the threshold
and what to do. If findings point to a known cause, the cause comes first. Exit status 1 if a check fails.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from signloom.console import PlainConsole, say
from signloom.errors import InputError
from signloom.files.writing import write_text
from signloom.hints import again


@dataclass
class Options:
    """Options of `signloom doctor`."""

    positionals: ClassVar[tuple[str, ...]] = ("subject",)
    urls: ClassVar[tuple[str, ...]] = ("subject",)

    subject: str
    """a corpus, a model file, a run folder, a recipe (a name or a YAML file), or a preset"""
    data_dir: Path | None = None
    """the corpus to try a model on; default: the one that the run or recipe names, else simulated signing"""
    suite: Literal["all", "data", "run", "compatibility", "architecture"] = "all"
    """the checks to run; all runs every suite that applies to the subject"""
    check: tuple[str, ...] = ()
    """run only these checks, for example: data.fps,data.motion"""
    format: Literal["text", "json"] = "text"
    """the format in which findings are printed"""
    html: Path | None = None
    """also write findings to this page, with evidence: skeletons of the worst clips, gradients, posteriors"""
    clips: int | None = None
    """clips of a corpus whose landmarks are measured, spread evenly over every split; 0: all. Default: all of up to
    10,000, else 2,000; annotations are always checked as a whole"""
    seed: int = 0
    """seed for the choice of utterances and for new weights"""
    threads: int = 1
    """number of CPU threads"""


def run(options: Options) -> int:
    """Returns 1 if a check fails or a cause is named, else 0."""
    if options.threads < 1:
        raise InputError(f"doctor: --threads is {options.threads}; needed at least 1")
    if options.clips is not None and options.clips < 0:
        raise InputError(f"doctor: --clips is {options.clips}; needed at least 0")
    from signloom.health.examine import evidence_of, examine
    from signloom.health.subject import find_subject
    from signloom.health.threads import cpu_threads

    with cpu_threads(options.threads):
        subject = replace(find_subject(options.subject, options.data_dir, options.seed), num_clips=options.clips)
        diagnosis = examine(subject, options.suite, options.check)
        evidence = evidence_of(subject, diagnosis) if options.html else {}
    rerun = f"{again('doctor', options, leave_out=('suite', 'check', 'format', 'html'))} --check"
    if options.html:
        from signloom.report.health_page import render

        say(f"page: {write_text(options.html, render(diagnosis.to_json(), evidence, rerun))}")
    if options.format == "json":
        print(json.dumps(diagnosis.to_json(), indent=1, ensure_ascii=False))
    else:
        from signloom.health.text import print_diagnosis

        print_diagnosis(diagnosis, PlainConsole(), rerun)
    return 1 if diagnosis.failed else 0
