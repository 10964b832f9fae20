"""Findings: what a check reports, how a check is declared, and a diagnosis made of findings.

A check is a function with a declaration; it returns one outcome. Together they make a finding:

    @check("architecture.size", unit="MB", threshold="below 100 MB", source="docs/health.md")
    def size(probe: Probe) -> Outcome:
        '''Size of the weights.'''
        ...
        if megabytes >= 100:
            return fail(f"{megabytes:.1f} MB of weights", value=megabytes, advice="make layers narrower")
        return ok(f"{megabytes:.1f} MB of weights", value=megabytes)

The docstring says what is measured; the tables in the documentation are made from it and from the declaration.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import Any, Generic, ParamSpec, TypedDict, Unpack

from signloom.errors import InputError
from signloom.files.schemas import check as check_schema

# From harmless to broken. A note is worth knowing and asks for nothing.
LEVELS = ("ok", "note", "warn", "fail")

P = ParamSpec("P")


class Details(TypedDict, total=False):
    """Parts of an outcome that may be left out.

    value: the measured number, if there is a single one.  where: the clips, signers or modules concerned, the worst
    first.  figures: the measurements behind it.
    """

    value: float
    where: Sequence[str]
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The result of one check, without its declaration. Made by `ok`, `note`, `warn` and `fail`."""

    level: str
    headline: str
    advice: str
    details: Details


def ok(headline: str, **details: Unpack[Details]) -> Outcome:
    """Returns the outcome of a check that passed. headline: one sentence, with the number."""
    return Outcome("ok", headline, "", details)


def note(headline: str, *, advice: str = "", **details: Unpack[Details]) -> Outcome:
    """Returns the outcome of a check that found something worth knowing, and no fault."""
    return Outcome("note", headline, advice, details)


def warn(headline: str, *, advice: str, **details: Unpack[Details]) -> Outcome:
    """Returns the outcome of a check that found something to look at. advice: what to do."""
    return Outcome("warn", headline, advice, details)


def fail(headline: str, *, advice: str, **details: Unpack[Details]) -> Outcome:
    """Returns the outcome of a check that failed. advice: what to do."""
    return Outcome("fail", headline, advice, details)


def judge(
    headline: str,
    *,
    fail: bool = False,
    warn: bool = False,
    note: bool = False,
    advice: str,
    **details: Unpack[Details],
) -> Outcome:
    """Returns the outcome of a check whose levels differ in nothing else: the gravest level that holds, else ok.

    fail, warn, note: whether the level holds.  advice: what to do, unless the outcome is ok.
    """
    level = next((level for level, holds in (("fail", fail), ("warn", warn), ("note", note)) if holds), "ok")
    return Outcome(level, headline, "" if level == "ok" else advice, details)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check reports: its outcome, and what it was declared with.

    id: `suite.check`, or the name of a live monitor.  level: one of LEVELS.  headline: one sentence, with the number.
    value: the measured number in `unit`, None if there is no single one.  threshold: what is needed, in words.  source:
    where the threshold comes from.  where: the clips, signers or modules concerned, the worst first.  advice: what to
    do.  figures: the measurements behind it.

    Raises InputError for an unknown level, and for a warning or a failure without advice.
    """

    id: str
    level: str
    headline: str
    value: float | None = None
    unit: str = ""
    threshold: str = ""
    source: str = ""
    where: tuple[str, ...] = ()
    advice: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise InputError(f"finding {self.id}: level {self.level!r}; needed one of {', '.join(LEVELS)}")
        if self.needs_action and not self.advice:
            raise InputError(f"finding {self.id}: level {self.level} without advice; say what to do")

    @property
    def needs_action(self) -> bool:
        return self.level in ("warn", "fail")

    @property
    def sentences(self) -> str:
        """The headline and what to do, as two sentences without a full stop at the end."""
        return ". ".join(text[:1].upper() + text[1:] for text in (self.headline, self.advice) if text)

    def to_json(self) -> dict[str, Any]:
        """Returns values that JSON can hold; non-finite numbers become text."""
        return plain(asdict(self))

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Finding:
        """Returns the finding of a record that `to_json` wrote. Raises InputError for another record."""
        value = record.get("value")
        # JSON cannot hold numbers that are not finite.
        return check_schema(
            cls, {**record, "value": float(value) if value in ("nan", "inf", "-inf") else value}, "finding"
        )


@dataclass(frozen=True)
class Check(Generic[P]):
    """A declared check; calling it returns a finding.

    id: `suite.check`.  function: returns the outcome.  unit: of the measured value.  threshold: what is needed, in
    words.  source: where the threshold comes from.
    """

    id: str
    function: Callable[P, Outcome]
    unit: str
    threshold: str
    source: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Finding:
        return self.finding(self.function(*args, **kwargs))

    def finding(self, outcome: Outcome) -> Finding:
        return Finding(
            id=self.id,
            level=outcome.level,
            headline=outcome.headline,
            value=outcome.details.get("value"),
            unit=self.unit,
            threshold=self.threshold,
            source=self.source,
            where=tuple(outcome.details.get("where", ())),
            advice=outcome.advice,
            figures=outcome.details.get("figures", {}),
        )

    @property
    def suite(self) -> str:
        return self.id.partition(".")[0]

    @property
    def measures(self) -> str:
        """Returns what the check measures: the first sentence of its docstring."""
        sentence, _, _ = " ".join((inspect.getdoc(self.function) or "").split()).partition(". ")
        return sentence.removesuffix(".")


def check(id: str, *, threshold: str, source: str, unit: str = "") -> Callable[[Callable[P, Outcome]], Check[P]]:
    """Declares a function as a check."""

    def declare(function: Callable[P, Outcome]) -> Check[P]:
        return Check(id, function, unit, threshold, source)

    return declare


def checks_in(*modules: ModuleType) -> list[Check[Any]]:
    """Returns the checks that the modules declare, in the order of their declaration."""
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Check) and value.function.__module__ == module.__name__
    ]


@dataclass(frozen=True)
class Cause:
    """What is most likely wrong.

    id: its name.  headline: in words.  evidence: the id and headline of each finding that supports it.  advice: what to
    do.
    """

    id: str
    headline: str
    evidence: tuple[tuple[str, str], ...]
    advice: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Diagnosis:
    """The result of `signloom doctor`.

    subject: what was examined.  seconds: how long it took.  causes: what most likely explains the findings, the most
    likely first.
    """

    subject: str
    findings: tuple[Finding, ...]
    seconds: float
    causes: tuple[Cause, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a check failed or a cause of trouble is named."""
        return bool(self.causes) or any(finding.level == "fail" for finding in self.findings)

    def count(self, level: str) -> int:
        return sum(finding.level == level for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "failed": self.failed,
            "seconds": round(self.seconds, 2),
            "causes": [cause.to_json() for cause in self.causes],
            "counts": {level: self.count(level) for level in LEVELS},
            "findings": [finding.to_json() for finding in self.findings],
        }


def chosen(ids: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Returns the ids that `wanted` names, all if it is empty: `data.fps` names one, `data` all of a suite.

    Raises InputError for a name that fits none.
    """

    def fits(id: str, name: str) -> bool:
        return id == name or id.startswith(f"{name}.")

    for name in wanted:
        if not any(fits(id, name) for id in ids):
            raise InputError(f"doctor: no check {name!r} for this; known are {', '.join(ids)}")
    return [id for id in ids if not wanted or any(fits(id, name) for name in wanted)]


def plain(value: Any) -> Any:
    """Returns `value` as containers and numbers that JSON can hold; non-finite numbers become text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
