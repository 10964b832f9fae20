"""Judges what a command did with a bad input."""

from __future__ import annotations

import re
from collections.abc import Callable

from forging.cases import PAYLOAD_RAN, Case
from forging.execute import MEMORY_BYTES, Outcome

# Faults of a command, in the order of the summary.
FAULTS = {
    "harness": "the good input fails: the case proves nothing",
    "traceback": "a traceback, an exception's name or the last net",
    "hang": "over the limit of CPU time, or waiting for ever",
    "silent": "accepted without a word",
    "status": "another exit status than 0, 1 or 2",
    "memory": "more memory than the limit",
    "written": "a file left behind, or changed, by a command that failed",
    "unnamed": "the message does not name the place",
    "control": "control characters reach the terminal",
    "payload": "code in the input ran",
    "other": "another result than the good input's",
}
# Exit status of the last net, for what no code expected (EX_SOFTWARE).
_NET = 70
_EXCEPTION = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Warning|Interrupt)\b(?=[:(\s]|$)|\bTraceback\b", re.M)
_OUT_OF_MEMORY = re.compile(r"MemoryError|out of memory|Unable to allocate|cannot allocate memory|bad_alloc", re.I)
# A line that tells of a fault, where the command still succeeds.
_TELLS = re.compile(
    r"\b(warning|note|skipp\w*|left out|faults?|invalid|damaged|ignored|missing|not|cannot|nan|without|fail\w*|unknown|"
    r"no|needed|only|twice|looks?|WARN|FAIL)\b",
    re.I,
)
# A lock's file stays, as locks of files do.
_LOCK = r"(.*/)?\.signloom(\..+)?\.lock"
# Everything but tab, line feed and carriage return.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def judge(case: Case, outcome: Outcome, good: Callable[[], Outcome] | None) -> list[str]:
    """Returns the faults of a command, each as `kind: detail`; none if it did right.

    good: runs the same command on the good files.
    """
    faults = []
    if good is not None and (result := good()).status not in (0, 1):
        last = (result.text.strip().splitlines() or ["nothing printed"])[-1]
        faults.append(f"harness: status {result.status}: {last[:200]}")
    text = outcome.text
    if outcome.hang:
        faults.append(f"hang: {outcome.hang}")
    elif outcome.status not in (0, 1, 2, _NET):
        faults.append(f"status: {outcome.status}")
    if outcome.status == _NET or (match := _EXCEPTION.search(text)):
        where = "the last net" if outcome.status == _NET else match[0] if match else ""
        faults.append(f"traceback: {where}; {_last_line(text)}")
    elif outcome.status == 99:
        faults.append("harness: the child did not start")
    if _OUT_OF_MEMORY.search(text) or outcome.peak_bytes > MEMORY_BYTES:
        faults.append(f"memory: peak {outcome.peak_bytes / 2**20:.0f} MiB")
    if (outcome.folder / PAYLOAD_RAN).exists():
        faults.append("payload: it ran")
    faults += _control(case, outcome)
    if not faults:
        faults += _result(case, outcome, good)
    if outcome.status != 0 and not outcome.hang:
        faults += _files(case, outcome)
    return faults


def _last_line(text: str) -> str:
    """Returns the line that says what went wrong: signloom's own, if there is one, or the last."""
    lines = text.strip().splitlines() or [""]
    return next((line for line in lines if line.startswith("signloom: ")), lines[-1])[:200]


def _control(case: Case, outcome: Outcome) -> list[str]:
    # What goes into a file may be exact; on a terminal our own colours and cursors are escapes too.
    planted = [word for word in case.planted if case.stdout == "terminal" and word in outcome.text]
    if planted:
        return [f"control: {planted[0]!r}"]
    text = outcome.stderr
    if match := _CONTROL.search(text):
        return [f"control: {match[0]!r} in {text[max(0, match.start() - 30) : match.end() + 30]!r}"]
    return []


def _result(case: Case, outcome: Outcome, good: Callable[[], Outcome] | None) -> list[str]:
    """Returns the faults of a command that ended in an ordinary way."""
    refused = outcome.status in (1, 2)
    same = outcome.status == 0 and good is not None and outcome.stdout == good().stdout
    if case.expected == "any":
        return []
    if case.expected == "accepted":
        return [] if outcome.status == 0 else [f"other: status {outcome.status}, accepted was due; {case.reason}"]
    if case.expected == "same" or (case.expected == "either" and not refused):
        told = case.expected == "either" and _told(case, outcome.text)
        return [] if same or told else [f"other: {_last_line(outcome.text)}"]
    if not refused:
        return [] if _told(case, outcome.text) else ["silent: status 0"]
    if not _names(case, outcome.text):
        return [f"unnamed: needed one of {', '.join(case.names)}; {_last_line(outcome.text)}"]
    return []


def _told(case: Case, text: str) -> bool:
    """Returns whether a line names the fault's place and, itself or as an item below a heading, tells of a fault."""
    lines = text.splitlines()
    return any(
        _names(case, line) and _TELLS.search(f"{lines[number - 1] if number and line.startswith('  ') else ''} {line}")
        for number, line in enumerate(lines)
    )


def _names(case: Case, text: str) -> bool:
    return not case.names or any(name in text for name in case.names)


def _files(case: Case, outcome: Outcome) -> list[str]:
    """Returns the files that a failing command left or changed."""
    differ = sorted(
        name
        for name in outcome.before.keys() | outcome.after.keys()
        if outcome.before.get(name) != outcome.after.get(name)
    )
    allowed = (_LOCK, *case.may_write)
    differ = [name for name in differ if not any(re.fullmatch(pattern, name) for pattern in allowed)]
    return [f"written: {', '.join(differ[:3])}"] if differ else []
