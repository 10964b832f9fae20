"""Which least confidence a model should ask for: false glosses against true ones, on utterances that show both.

Only utterances with idling, or with signs that are none of the model's, tell what comes out where nothing should.

The false glosses of dev do not choose the limit. They are few, and often of one clip that is shown again and again; new
people idle in ways that dev does not show, and make more of them. But a higher limit never leaves more of them. So the
user says which share of the true glosses silence may cost, and the highest limit that costs no more is the one to take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from signloom.corpus import Utterance
from signloom.ctc.hypothesis import Hypothesis
from signloom.errors import plural
from signloom.score.alignment import CORRECT, align
from signloom.score.text import percent

# The limits that are tried.
TRIED = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
# With fewer true glosses, one or two of them would choose the limit.
_FEWEST_TRUE = 50


@dataclass(frozen=True)
class Limit:
    """What a least confidence leaves: numbers of false and of true glosses."""

    least: float
    num_false: int
    num_true: int


@dataclass(frozen=True)
class Limits:
    """Every limit that was tried, the lowest first, on so many utterances, and the one to take.

    chosen: None if these utterances do not tell; `why_not` then says why.
    """

    rows: tuple[Limit, ...]
    num_utterances: int
    minutes: float
    chosen: Limit | None = None
    why_not: str = ""

    def __str__(self) -> str:
        """Returns the limits as a small table, and what was chosen."""
        if self.chosen is None:
            return f"least confidence: not chosen: {self.why_not}"
        lines = [
            f"least confidence, on {plural(self.num_utterances, 'utterance')} of dev with idling or other signs",
            f"  {'limit':>7}{'false glosses':>15}{'per minute':>12}{'true glosses kept':>19}",
        ]
        for row in self.rows:
            mark = "  chosen" if row == self.chosen else ""
            lines.append(
                f"  {row.least or 'none':>7}{row.num_false:>15,}{row.num_false / self.minutes:>12.1f}"
                f"{percent(row.num_true / self.rows[0].num_true):>19}{mark}"
            )
        return "\n".join(lines)


def shows_more_than_signs(item: Utterance) -> bool:
    """Returns whether an utterance is known to show idling, or something that is none of its glosses."""
    return bool(item.others or item.truth.get("idle"))


def judge_limits(utterances: Sequence[Utterance], hypotheses: Sequence[Hypothesis], *, most_lost: float) -> Limits:
    """Returns what each limit leaves of the hypotheses of some utterances, from which nothing was dropped.

    A gloss that sclite would align with the same gloss of the reference is true, any other is false. The limit to take
    is the highest one that loses at most the share `most_lost` of the true ones.
    """
    pairs = [pair for pair in zip(utterances, hypotheses, strict=True) if shows_more_than_signs(pair[0])]
    minutes = sum(item.duration_seconds for item, _ in pairs) / 60
    if not pairs:
        return Limits((), 0, 0.0, why_not="dev shows nothing but signs of the model")
    rows = []
    for least in TRIED:
        found = [(item.glosses, hypothesis.confident(least).words) for item, hypothesis in pairs]
        right = sum(align(reference=reference, hypothesis=words).kinds.count(CORRECT) for reference, words in found)
        rows.append(Limit(least, sum(len(words) for _, words in found) - right, right))
    true_at_first = rows[0].num_true
    if true_at_first < _FEWEST_TRUE:
        glosses = plural(true_at_first, "true gloss", "true glosses")
        why_not = f"only {glosses} in {plural(len(pairs), 'utterance')} of dev; needed {_FEWEST_TRUE}"
        return Limits(tuple(rows), len(pairs), minutes, why_not=why_not)
    allowed = [row for row in rows if row.num_true >= (1 - most_lost) * true_at_first]
    return Limits(tuple(rows), len(pairs), minutes, allowed[-1])
