"""Prints a diagnosis as text for a terminal. It shows findings and judges nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from signloom.errors import plural
from signloom.findings import LEVELS, Cause, Diagnosis, Finding

STYLES = {"ok": "green", "note": "cyan", "warn": "yellow", "fail": "bold red"}
# Places that a finding lists.
SHOWN = 5


def print_diagnosis(diagnosis: Diagnosis, to: Console, rerun: str) -> None:
    """Prints a line for each check, and below a warning or failure its threshold, places and advice.

    rerun: the command that repeats one check, without the check's name.
    """
    to.print(Text(diagnosis.subject, style="bold"), soft_wrap=True)
    for line in cause_lines(diagnosis.causes):
        to.print(line, soft_wrap=True)
    for finding in diagnosis.findings:
        for line in finding_lines(finding):
            to.print(line, soft_wrap=True)
    counts = ", ".join(f"{diagnosis.count(level)} {level}" for level in reversed(LEVELS) if diagnosis.count(level))
    to.print(f"{plural(len(diagnosis.findings), 'check')} in {diagnosis.seconds:.1f} s: {counts}", markup=False)
    if diagnosis.causes:
        cause = diagnosis.causes[0]
        to.print(f"next: {cause.advice}; then: {rerun} {cause.evidence[0][0]}", markup=False, soft_wrap=True)
        return
    if urgent := [finding for level in ("fail", "warn") for finding in diagnosis.findings if finding.level == level]:
        to.print(f"next: {urgent[0].advice}; then: {rerun} {urgent[0].id}", markup=False, soft_wrap=True)


def cause_lines(causes: Sequence[Cause]) -> list[Text]:
    """Returns the most likely cause with its evidence and advice, then other possible causes."""
    lines = []
    for number, cause in enumerate(causes):
        first = number == 0
        head = "most likely cause: " if first else "also possible: "
        lines.append(Text(f"{head}{cause.headline}", style=STYLES["fail" if first else "warn"]))
        lines += [Text(f"  {name}: {headline}", style="dim") for name, headline in cause.evidence]
        lines += [Text(f"  to do: {cause.advice}")] * first
    return lines


def finding_lines(finding: Finding) -> list[Text]:
    """Returns level, check and headline; for a warning or failure also threshold, places and advice."""
    lines = [Text.assemble((f"{finding.level:<5}", STYLES[finding.level]), f"{finding.id:<32}{finding.headline}")]
    if not finding.needs_action:
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
