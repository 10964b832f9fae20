"""From findings to what made them: the causes known, each with the findings it takes, the surest first.

A cause that shows by itself (bones that change length, an output that is the same in every frame) goes before one that
is inferred from what a run came to and the options it had. No torch here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from signloom.findings import Cause, Finding
from signloom.train.monitor_rules import STILL_TO_LEARN

# A trained model reads clips so much better under another normalisation, and then as well as a healthy one.
OTHER_NORMALISATION, READS_WELL = 0.8, 1.5
# Best WER on dev, in percent, above which a run has come to nothing.
NOTHING = 90.0


class Found:
    """Findings by id; one that was not looked for is as if it were healthy."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self._by_id = {finding.id: finding for finding in findings}

    def failed(self, name: str) -> bool:
        return name in self._by_id and self._by_id[name].level == "fail"

    def loud(self, name: str) -> bool:
        return name in self._by_id and self._by_id[name].level in ("warn", "fail")

    def figures(self, name: str) -> Mapping[str, Any]:
        return self._by_id[name].figures if name in self._by_id else {}

    def value(self, name: str, default: float = 0.0) -> float:
        value = self._by_id[name].value if name in self._by_id else None
        return default if value is None else value

    def cause(self, name: str, headline: str, supports: Sequence[str], advice: str = "") -> Cause:
        known = [self._by_id[key] for key in supports if key in self._by_id]
        evidence = tuple((finding.id, "; ".join([finding.headline, *finding.where[:1]])) for finding in known)
        return Cause(name, headline, evidence, advice or next((one.advice for one in known if one.advice), ""))


def normalised_corpus(found: Found) -> Cause | None:
    if not found.failed("data.normalised"):
        return None
    return found.cause(
        "normalised_corpus",
        "double normalisation: the corpus was standardised before it was imported, and the model normalises again",
        ["data.normalised"],
    )


def other_annotations(found: Found) -> Cause | None:
    supports = [name for name in ("data.pairing", "run.annotations") if found.failed(name)]
    if not supports:
        return None
    return found.cause(
        "annotations", "the annotations do not belong to the clips: they slipped to others, or were mixed", supports
    )


def time_pooled(found: Found) -> Cause | None:
    if not (found.failed("architecture.time") and found.figures("architecture.time").get("pooled")):
        return None
    return found.cause("time_pooled", "the model pools time to one step", ["architecture.time"])


def normalised_model(found: Found) -> Cause | None:
    supports = ["compatibility.normalised_once"] if found.failed("compatibility.normalised_once") else []
    table = found.figures("compatibility.methods")
    twice = [row["loss"] for name, row in table.items() if name.startswith(("twice", "again"))]
    own = next((row["loss"] for name, row in table.items() if name.startswith("once")), 0.0)
    if twice and found.failed("compatibility.methods") and min(twice) < min(OTHER_NORMALISATION * own, READS_WELL):
        supports.append("compatibility.methods")
    if not supports:
        return None
    return found.cause(
        "normalised_model", "double normalisation: the model normalises, or was trained to normalise, twice", supports
    )


def vocabulary(found: Found) -> Cause | None:
    supports = [name for name in ("architecture.vocabulary", "run.names") if found.failed(name)]
    if not supports:
        return None
    return found.cause(
        "vocabulary", "the vocabulary mapping is broken: ids stand for other glosses than were trained", supports
    )


def attention_clamp(found: Found) -> Cause | None:
    if not found.failed("architecture.attention"):
        return None
    return found.cause(
        "attention_clamp",
        "the clamp of the attention among modalities is too tight",
        ["architecture.attention", *["run.units"] * found.loud("run.units")],
    )


def score_order(found: Found) -> Cause | None:
    if not found.figures("run.scores").get("exchanged"):
        return None
    return found.cause(
        "score_order", "the word error rate was computed with reference and hypothesis exchanged", ["run.scores"]
    )


def high_rate(found: Found) -> Cause | None:
    """Inferred: a run that broke, or one of a very high learning rate that came to nothing."""
    broken = [
        name
        for name, yes in {
            "run.loss": found.figures("run.loss").get("not finite"),
            "run.diverging": found.failed("run.diverging"),
            "run.gradients": found.figures("run.gradients").get("exploding"),
        }.items()
        if yes
    ]
    high = found.figures("run.settings").get("high rate")
    nothing = found.value("run.stuck") > NOTHING
    signs = [name for name in ("run.units", "architecture.time", "compatibility.forward") if found.loud(name)]
    learning = found.value("run.underfitting") > STILL_TO_LEARN
    if not broken and not (high and (nothing or signs or learning)):
        return None
    return found.cause(
        "high_rate",
        "the learning rate is too high",
        ["run.settings", *broken, *["run.stuck"] * nothing, *["run.underfitting"] * learning, *signs],
        "a lower --learning_rate (3e-4 for onecycle and the student), and --gradient_clip 1",
    )


def uniform(found: Found) -> Cause | None:
    """Inferred: an output that is uniform, or a run of very much dropout or a very small rate that came to nothing."""
    odd = [name for name in ("low rate", "much dropout") if found.figures("run.settings").get(name)]
    flat = found.failed("run.uniform")
    if not flat and not (odd and found.value("run.stuck") > NOTHING):
        return None
    why = {
        (): "the output is uniform: nothing was learnt",
        ("low rate",): "too small a learning rate",
        ("much dropout",): "too much dropout",
        ("low rate", "much dropout"): "too much dropout and too small a learning rate",
    }[tuple(odd)]
    return found.cause(
        "uniform",
        why + (": the output stays uniform" if odd and flat else ": nothing was learnt" if odd else ""),
        ["run.settings", "run.uniform", "run.stuck"],
        "raise --learning_rate and lower --dropout (3e-4 and 0.1 are usual)",
    )


def blank(found: Found) -> Cause | None:
    if not found.failed("run.blank"):
        return None
    return found.cause("blank", "everything is blank: the output has collapsed to it", ["run.blank"])


CAUSES: tuple[Callable[[Found], Cause | None], ...] = (
    normalised_corpus,
    other_annotations,
    time_pooled,
    vocabulary,
    normalised_model,
    attention_clamp,
    score_order,
    high_rate,
    uniform,
    blank,
)


def name_causes(findings: Sequence[Finding]) -> tuple[Cause, ...]:
    """The causes that the findings speak for, the likeliest first; none where nothing known fits."""
    found = Found(findings)
    return tuple(cause for cause in (rule(found) for rule in CAUSES) if cause is not None)
