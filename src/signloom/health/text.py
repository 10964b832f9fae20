"""A diagnosis as text for a terminal. Shows findings; it judges nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from signloom.findings import LEVELS, Cause, Diagnosis, Finding

STYLES = {"ok": "green", "note": "cyan", "warn": "yellow", "fail": "bold red"}
SHOWN = 5


def print_diagnosis(diagnosis: Diagnosis, to: Console, rerun: str) -> None:
    """Prints what was found: a line for each check, below it what the level asks for.

    rerun: the command that runs one check again, up to its name.
    """
    to.print(Text(diagnosis.subject, style="bold"), soft_wrap=True)
    for line in cause_lines(diagnosis.causes):
        to.print(line, soft_wrap=True)
    for finding in diagnosis.findings:
        for line in finding_lines(finding):
            to.print(line, soft_wrap=True)
    counts = ", ".join(f"{diagnosis.count(level)} {level}" for level in reversed(LEVELS) if diagnosis.count(level))
    to.print(f"{len(diagnosis.findings)} checks in {diagnosis.seconds:.1f} s: {counts}", markup=False)
    if diagnosis.causes:
        cause = diagnosis.causes[0]
        to.print(f"next: {cause.advice}; then {rerun} {cause.evidence[0][0]}", markup=False, soft_wrap=True)
        return
    sick = next((finding for finding in diagnosis.findings if finding.level == "fail"), None)
    sick = sick or next((finding for finding in diagnosis.findings if finding.level == "warn"), None)
    if sick is not None:
        to.print(f"next: {sick.advice}; then {rerun} {sick.id}", markup=False, soft_wrap=True)


def cause_lines(causes: Sequence[Cause]) -> list[Text]:
    """The likeliest cause with its evidence and what to do; below it the others that findings speak for."""
    lines = []
    for number, cause in enumerate(causes):
        first = number == 0
        head = "most likely cause: " if first else "also possible: "
        lines.append(Text(f"{head}{cause.headline}", style=STYLES["fail" if first else "warn"]))
        lines += [Text(f"  {name}: {headline}", style="dim") for name, headline in cause.evidence]
        lines += [Text(f"  to do: {cause.advice}")] * first
    return lines


def finding_lines(finding: Finding) -> list[Text]:
    """The level, the check and what it found; where a level asks for more, the threshold, where and what to do."""
    lines = [Text.assemble((f"{finding.level:<5}", STYLES[finding.level]), f"{finding.id:<32}{finding.headline}")]
    if finding.level not in ("warn", "fail"):
        return lines
    indent = " " * 37
    if finding.threshold:
        lines.append(Text(f"{indent}needed: {finding.threshold} ({finding.source})", style="dim"))
    for place in finding.where[:SHOWN]:
        lines.append(Text(f"{indent}- {place}"))
    if len(finding.where) > SHOWN:
        lines.append(Text(f"{indent}- and more (--format json names them)"))
    lines.append(Text(f"{indent}to do: {finding.advice}", style=STYLES[finding.level]))
    return lines
