"""Names the known causes that explain findings, the most certain first.

A cause that shows by itself (bones that change length, an output that is the same in every frame) comes before one that
is inferred from the result of a run and its options. No torch here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from signloom.findings import Cause, Finding
from signloom.train.monitor_rules import STILL_TO_LEARN

# Loss under another normalisation, as a share of that under the model's own, if the model was trained with the other.
OTHER_NORMALISATION = 0.8
# Loss per gloss of a model that recognises clips well.
RECOGNISES_WELL = 1.5
# Best WER on dev, in percent, above which a run has learnt nothing.
NOTHING = 90.0


class Evidence:
    """Findings by id; a check that did not run counts as healthy."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self._by_id = {finding.id: finding for finding in findings}

    def failed(self, name: str) -> bool:
        return name in self._by_id and self._by_id[name].level == "fail"

    def needs_action(self, name: str) -> bool:
        return name in self._by_id and self._by_id[name].needs_action

    def figures(self, name: str) -> Mapping[str, Any]:
        return self._by_id[name].figures if name in self._by_id else {}

    def value(self, name: str, default: float = 0.0) -> float:
        value = self._by_id[name].value if name in self._by_id else None
        return default if value is None else value

    def cause(self, name: str, headline: str, supports: Sequence[str], advice: str = "") -> Cause:
        known = [self._by_id[key] for key in supports if key in self._by_id]
        shown = tuple((finding.id, "; ".join([finding.headline, *finding.where[:1]])) for finding in known)
        return Cause(name, headline, shown, advice or next((one.advice for one in known if one.advice), ""))


def normalised_corpus(evidence: Evidence) -> Cause | None:
    if not evidence.failed("data.normalised"):
        return None
    return evidence.cause(
        "normalised_corpus",
        "double normalisation: the corpus was standardised before import, and the model normalises again",
        ["data.normalised"],
    )


def other_annotations(evidence: Evidence) -> Cause | None:
    supports = [name for name in ("data.pairing", "run.annotations") if evidence.failed(name)]
    if not supports:
        return None
    return evidence.cause(
        "annotations",
        "the annotations do not belong to the clips: they were shifted or shuffled",
        supports,
    )


def time_pooled(evidence: Evidence) -> Cause | None:
    if not (evidence.failed("architecture.time") and evidence.figures("architecture.time").get("pooled")):
        return None
    return evidence.cause("time_pooled", "the model pools time to one step", ["architecture.time"])


def normalised_model(evidence: Evidence) -> Cause | None:
    supports = ["compatibility.normalised_once"] if evidence.failed("compatibility.normalised_once") else []
    table = evidence.figures("compatibility.methods")
    twice = [row["loss"] for name, row in table.items() if name.startswith(("twice", "again"))]
    own = next((row["loss"] for name, row in table.items() if name.startswith("once")), 0.0)
    limit = min(OTHER_NORMALISATION * own, RECOGNISES_WELL)
    if twice and evidence.failed("compatibility.methods") and min(twice) < limit:
        supports.append("compatibility.methods")
    if not supports:
        return None
    return evidence.cause(
        "normalised_model", "double normalisation: the model normalises, or was trained to normalise, twice", supports
    )


def vocabulary(evidence: Evidence) -> Cause | None:
    supports = [name for name in ("architecture.vocabulary", "run.names") if evidence.failed(name)]
    if not supports:
        return None
    return evidence.cause(
        "vocabulary", "the vocabulary mapping is broken: ids stand for other glosses than were trained", supports
    )


def attention_clamp(evidence: Evidence) -> Cause | None:
    if not evidence.failed("architecture.attention"):
        return None
    return evidence.cause(
        "attention_clamp",
        "the clamp of the attention among modalities is too tight",
        ["architecture.attention", *["run.units"] * evidence.needs_action("run.units")],
    )


def score_order(evidence: Evidence) -> Cause | None:
    if not evidence.figures("run.scores").get("exchanged"):
        return None
    return evidence.cause(
        "score_order", "the word error rate was computed with reference and hypothesis exchanged", ["run.scores"]
    )


def high_rate(evidence: Evidence) -> Cause | None:
    """Inferred: the run broke, or it learnt nothing at a very high learning rate."""
    broken = [
        name
        for name, yes in {
            "run.loss": evidence.figures("run.loss").get("not finite"),
            "run.diverging": evidence.failed("run.diverging"),
            "run.gradients": evidence.figures("run.gradients").get("exploding"),
        }.items()
        if yes
    ]
    high = evidence.figures("run.settings").get("high rate")
    nothing = evidence.value("run.stuck") > NOTHING
    collapsed = ("run.units", "architecture.time", "compatibility.forward")
    signs = [name for name in collapsed if evidence.needs_action(name)]
    learning = evidence.value("run.underfitting") > STILL_TO_LEARN
    if not broken and not (high and (nothing or signs or learning)):
        return None
    return evidence.cause(
        "high_rate",
        "the learning rate is too high",
        ["run.settings", *broken, *["run.stuck"] * nothing, *["run.underfitting"] * learning, *signs],
        "use a lower --learning_rate (3e-4 for onecycle and the student), and --gradient_clip 1",
    )


def uniform(evidence: Evidence) -> Cause | None:
    """Inferred: the output is uniform, or the run learnt nothing with very much dropout or a very low rate."""
    odd = [name for name in ("low rate", "much dropout") if evidence.figures("run.settings").get(name)]
    flat = evidence.failed("run.uniform")
    if not flat and not (odd and evidence.value("run.stuck") > NOTHING):
        return None
    why = {
        (): "the output is uniform",
        ("low rate",): "the learning rate is too low",
        ("much dropout",): "there is too much dropout",
        ("low rate", "much dropout"): "there is too much dropout and the learning rate is too low",
    }[tuple(odd)]
    result = "the output stays uniform" if odd and flat else "the model learnt nothing"
    return evidence.cause(
        "uniform",
        f"{why}: {result}",
        ["run.settings", "run.uniform", "run.stuck"],
        "raise --learning_rate and lower --dropout (3e-4 and 0.1 are usual)",
    )


def blank(evidence: Evidence) -> Cause | None:
    if not evidence.failed("run.blank"):
        return None
    return evidence.cause("blank", "everything is blank: the output has collapsed to it", ["run.blank"])


CAUSES: tuple[Callable[[Evidence], Cause | None], ...] = (
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
    """Returns the causes that explain the findings, the most certain first; none if no known cause does."""
    evidence = Evidence(findings)
    return tuple(cause for cause in (rule(evidence) for rule in CAUSES) if cause is not None)
