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

    def failed(self, *names: str) -> list[str]:
        """Returns those of the checks that failed."""
        return [name for name in names if name in self._by_id and self._by_id[name].level == "fail"]

    def needs_action(self, *names: str) -> list[str]:
        """Returns those of the checks that failed or warned."""
        return [name for name in names if name in self._by_id and self._by_id[name].needs_action]

    def figures(self, name: str) -> Mapping[str, Any]:
        return self._by_id[name].figures if name in self._by_id else {}

    def value(self, name: str, default: float = 0.0) -> float:
        value = self._by_id[name].value if name in self._by_id else None
        return default if value is None else value

    def cause(self, name: str, headline: str, supports: Sequence[str], advice: str = "") -> Cause | None:
        """Returns the cause that these checks support, None for no check. advice: by default that of a check."""
        if not supports:
            return None
        known = [self._by_id[key] for key in supports if key in self._by_id]
        shown = tuple((finding.id, "; ".join([finding.headline, *finding.where[:1]])) for finding in known)
        return Cause(name, headline, shown, advice or next((one.advice for one in known if one.advice), ""))


Rule = Callable[[Evidence], Cause | None]


def failed(name: str, headline: str, *checks: str) -> Rule:
    """Returns the rule of a cause that one failed check of `checks` is enough to name."""
    return lambda evidence: evidence.cause(name, headline, evidence.failed(*checks))


def time_pooled(evidence: Evidence) -> Cause | None:
    supports = ["architecture.time"] if evidence.figures("architecture.time").get("pooled") else []
    return evidence.cause("time_pooled", "the model pools time to one step", evidence.failed(*supports))


def normalised_model(evidence: Evidence) -> Cause | None:
    supports = evidence.failed("compatibility.normalised_once")
    table = evidence.figures("compatibility.methods")
    twice = [row["loss"] for name, row in table.items() if name.startswith(("twice", "again"))]
    own = next((row["loss"] for name, row in table.items() if name.startswith("once")), 0.0)
    if twice and min(twice) < min(OTHER_NORMALISATION * own, RECOGNISES_WELL):
        supports += evidence.failed("compatibility.methods")
    headline = "double normalisation: the model normalises, or was trained to normalise, twice"
    return evidence.cause("normalised_model", headline, supports)


def attention_clamp(evidence: Evidence) -> Cause | None:
    supports = evidence.failed("architecture.attention")
    supports += evidence.needs_action("run.units") if supports else []
    return evidence.cause("attention_clamp", "the clamp of the attention among modalities is too tight", supports)


def score_order(evidence: Evidence) -> Cause | None:
    supports = ["run.scores"] if evidence.figures("run.scores").get("exchanged") else []
    headline = "the word error rate was computed with reference and hypothesis exchanged"
    return evidence.cause("score_order", headline, supports)


def high_rate(evidence: Evidence) -> Cause | None:
    """Inferred: the run broke, or it learnt nothing at a very high learning rate."""
    broken = ["run.loss"] if evidence.figures("run.loss").get("not finite") else []
    broken += evidence.failed("run.diverging")
    broken += ["run.gradients"] if evidence.figures("run.gradients").get("exploding") else []
    high = evidence.figures("run.settings").get("high rate")
    nothing = evidence.value("run.stuck") > NOTHING
    signs = evidence.needs_action("run.units", "architecture.time", "compatibility.forward")
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
    flat = bool(evidence.failed("run.uniform"))
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


def presence(evidence: Evidence) -> Cause | None:
    """Inferred: a hand or the face is in view at other glosses elsewhere than in train, which misleads a model."""
    supports = evidence.needs_action("data.presence")
    worst = evidence.figures("data.presence").get("worst", "")
    headline = f"a part in view is taken for part of a sign: {worst}"
    return evidence.cause("presence", headline, [*supports, *evidence.needs_action("run.signers")] if supports else [])


CAUSES: tuple[Rule, ...] = (
    failed(
        "normalised_corpus",
        "double normalisation: the corpus was standardised before import, and the model normalises again",
        "data.normalised",
    ),
    failed(
        "body",
        "the landmarks are not those of a person in the coordinates of the image",
        "data.body",
    ),
    failed(
        "annotations",
        "the annotations do not belong to the clips: they were shifted or shuffled",
        "data.pairing",
        "run.annotations",
    ),
    time_pooled,
    failed(
        "vocabulary",
        "the vocabulary mapping is broken: ids stand for other glosses than were trained",
        "architecture.vocabulary",
        "run.names",
    ),
    normalised_model,
    attention_clamp,
    score_order,
    high_rate,
    uniform,
    failed("blank", "everything is blank: the output has collapsed to it", "run.blank"),
    presence,
)


def name_causes(findings: Sequence[Finding]) -> tuple[Cause, ...]:
    """Returns the causes that explain the findings, the most certain first; none if no known cause does."""
    evidence = Evidence(findings)
    return tuple(cause for cause in (rule(evidence) for rule in CAUSES) if cause is not None)
