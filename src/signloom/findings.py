"""What a check says: a finding. Checks make them, renderers show them; neither does the other's work.

No torch here: commands read it for their options.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from signloom.errors import InputError

# From harmless to broken. A note tells what is worth knowing and asks for nothing.
LEVELS = ("ok", "note", "warn", "fail")


@dataclass(frozen=True)
class Finding:
    """What one check found.

    id: `suite.check`, by which it is run again.  level: one of LEVELS.  headline: in one sentence, with the number.
    value: what was measured, in `unit`; None where it is no single number.  threshold: what it was held against, in
    words.  source: where the threshold comes from.  where: clips, signers or modules it speaks of, the worst first.
    advice: what to do; empty at ok.  figures: the measurements behind it.
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
        if self.level in ("warn", "fail") and not self.advice:
            raise InputError(f"finding {self.id}: level {self.level} without advice; say what to do")

    def to_json(self) -> dict[str, Any]:
        """As JSON has it: numbers that are not finite as text."""
        return plain(asdict(self))


@dataclass(frozen=True)
class Cause:
    """What is most likely wrong.

    id: its name.  headline: in words.  evidence: of each finding that supports it, its id and what it measured.
    advice: what to do.
    """

    id: str
    headline: str
    evidence: tuple[tuple[str, str], ...]
    advice: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Diagnosis:
    """All that a doctor found.

    subject: what was looked at.  seconds: that it took.  causes: what most likely made the findings, likeliest first.
    """

    subject: str
    findings: tuple[Finding, ...]
    seconds: float
    causes: tuple[Cause, ...] = ()

    @property
    def failed(self) -> bool:
        return any(finding.level == "fail" for finding in self.findings)

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


def worse(levels: Iterable[str]) -> str:
    """The worst of several levels; ok for none."""
    return max(levels, key=LEVELS.index, default=LEVELS[0])


def graded(value: float, *, warn: float, fail: float) -> str:
    """The level of a value that should be small: fail from `fail` on, warn from `warn` on; NaN is worst of all."""
    if math.isnan(value) or value >= fail:
        return "fail"
    return "warn" if value >= warn else "ok"


def chosen(ids: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The ids that are wanted, all where nothing is: `data.fps` names one, `data` all of a suite.

    Raises InputError for a name that fits none.
    """
    for name in wanted:
        if not any(_fits(one, name) for one in ids):
            raise InputError(f"doctor: no check {name!r} for this; known are {', '.join(ids)}")
    return [one for one in ids if not wanted or any(_fits(one, name) for name in wanted)]


def _fits(identity: str, name: str) -> bool:
    return identity == name or identity.startswith(f"{name}.")


def plain(value: Any) -> Any:
    """`value` of containers and numbers that JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
