"""Rules of the live monitors: when a monitor reports, and what. No torch here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from signloom.errors import plural
from signloom.findings import Check, Finding, Outcome, P, fail, ok, warn

SPEC = "training health as signloom specifies it"
MEASURED = "benchmarks/monitor_cost.py --healthy"

# Largest norm of the gradient before clipping.
EXPLODING = 100.0
# Least norm of the gradient.
VANISHING = 1e-3
# Norm of the gradient in healthy training.
HEALTHY = (0.1, 5.0)
# CTC loss per gloss above which there is something to learn.
STILL_TO_LEARN = 1.0
# In single precision a loss of 0 may come out as -1e-6; a wrong loss is far below.
NEGATIVE = -1e-3
# Largest entropy of the output, as a share of that of equally likely words.
UNIFORM = 0.95
# Least number of glosses expected from the probabilities of a batch, as a share of those in its references. The best
# constant output has a share of 1, however often it is blank; a model that has learnt something has more.
COLLAPSED = 0.25
# Share of frames in which blank is the most likely word. Every run begins with 1.
ALL_BLANK = 0.995
# A healthy run predicts other words than blank after at most this many steps, and epochs.
SETTLED = 3000
SETTLED_EPOCHS = 5
# The gradients of these steps may have any size: in healthy models the first had 210, the eleventh 106.
FIRST_STEPS = 30
# The check for blanks stays silent before this step: an untrained output says nothing about them.
BEGINNING = 100
# An untrained output is uniform. Healthy runs have left this by step 11; with a warm-up from nearly 0 by step 71, when
# the learning rate was at 28 % of --learning_rate.
UNIFORM_STEPS = 30
# The loss of a batch, as a multiple of that of an output in which all words are equally likely: at most 0.82 in healthy
# runs (benchmarks/figures/training.md), hundreds where a learning rate or broken landmarks throw the weights away.
LARGEST_LOSS = 10.0
# Share of a layer's units that give nothing in any frame.
DEAD = 0.5
# Share of a layer's values at their limit.
SATURATED = 0.5
LEAST_GRADIENT = f"at least {VANISHING:g} while the loss is above {STILL_TO_LEARN:g} per gloss"


@dataclass(frozen=True)
class StepFigures:
    """Figures that every step gives.

    norm: of the gradient before clipping.  lowest_loss: the lowest CTC loss of an utterance.  loss: CTC loss of the
    step per gloss.  uniform_loss: an upper bound of the loss per gloss of an output in which all words are equally
    likely: minus the log-probability of one path, T' log V for T' output frames and V words.
    """

    step: int
    epoch: int
    norm: float
    lowest_loss: float
    loss: float
    uniform_loss: float


@dataclass(frozen=True)
class SampledStep:
    """Figures of a step that was examined in full.

    loss: CTC loss of the batch per gloss.  entropy: of the output, mean over frames, as a share of log V for V words.
    blank: mean probability of blank.  blank_share: share of frames in which it is the most likely word.  emitted: sum
    over frames of the probability of all other words, as a share of the reference glosses.  gradient, clipped: norms by
    part of the model, before and after clipping; `all` is the whole.  dead: by layer, the share of units that give
    nothing in any frame.  saturated: by layer, the share of values at their limit.
    """

    step: int
    epoch: int
    loss: float
    entropy: float
    blank: float
    blank_share: float
    emitted: float
    gradient: dict[str, float] = field(default_factory=dict)
    clipped: dict[str, float] = field(default_factory=dict)
    dead: dict[str, float] = field(default_factory=dict)
    saturated: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFacts:
    """Facts that rules need about a run.

    warm_steps: of the learning rate's warm-up.  slow_steps: steps before the learning rate has reached
    `schedule.SLOW` of the base rate.  num_words: words of the vocabulary.
    """

    warm_steps: int = 0
    slow_steps: int = 0
    num_words: int = 0


@dataclass(frozen=True)
class Monitor(Check[P]):
    """A check that reports once in a run, when it has found a fault `in_a_row` times."""

    in_a_row: int


def monitor(
    id: str, *, threshold: str, in_a_row: int, source: str = SPEC
) -> Callable[[Callable[P, Outcome]], Monitor[P]]:
    """Declares a function as a monitor."""

    def declare(function: Callable[P, Outcome]) -> Monitor[P]:
        return Monitor(id, function, "", threshold, source, in_a_row)

    return declare


@monitor("exploding_gradient", threshold=f"at most {EXPLODING:g} after the warm-up and {FIRST_STEPS} steps", in_a_row=3)
def exploding_gradient(step: StepFigures, run: RunFacts) -> Outcome:
    """Norm of the gradient before clipping."""
    if not step.norm > EXPLODING or step.step <= max(run.warm_steps, FIRST_STEPS):
        return ok(f"norm of the gradient {step.norm:.4g}", value=step.norm)
    return warn(
        f"the gradient explodes: its norm before clipping is {step.norm:.4g}, over {EXPLODING:g} for three steps after "
        f"the warm-up (healthy: {HEALTHY[0]:g} to {HEALTHY[1]:g})",
        value=step.norm,
        where=["all weights"],
        advice="lower --learning_rate to a third; look for clips with broken landmarks ('signloom doctor')",
    )


@monitor("negative_loss", threshold="at least 0", in_a_row=1)
def negative_loss(step: StepFigures, run: RunFacts) -> Outcome:
    """The lowest CTC loss of an utterance; below zero it is a bug."""
    if not step.lowest_loss < NEGATIVE:
        return ok(f"lowest CTC loss {step.lowest_loss:.4g}", value=step.lowest_loss)
    return fail(
        f"a CTC loss is {step.lowest_loss:.4g}: below zero, which no probability gives, so this is a bug",
        value=step.lowest_loss,
        where=["CTC loss"],
        advice="do not trust this run; a changed loss or head gives CTC something else than log-probabilities",
    )


@monitor(
    "huge_loss",
    threshold=f"at most {LARGEST_LOSS:g} times that of an output in which all words are equally likely",
    in_a_row=3,
    source=MEASURED,
)
def huge_loss(step: StepFigures, run: RunFacts) -> Outcome:
    """CTC loss of a step, against that of an output in which all words are equally likely."""
    ratio = step.loss / step.uniform_loss
    if not ratio > LARGEST_LOSS:
        return ok(f"the loss is {ratio:.2f} times that of a uniform output", value=ratio)
    return warn(
        f"the loss is huge: {step.loss:,.0f} per gloss at step {step.step}, {ratio:,.0f} times that of an output in "
        f"which each of {plural(run.num_words, 'word')} is equally likely ({step.uniform_loss:.3g})",
        value=ratio,
        where=["CTC loss"],
        advice="the model is sure of wrong words: lower --learning_rate to a third and start again; look for clips "
        "with broken landmarks ('signloom doctor')",
    )


@monitor("vanishing_gradient", threshold=LEAST_GRADIENT, in_a_row=3)
def vanishing_gradient(step: SampledStep, run: RunFacts) -> Outcome:
    """Norm of the gradient while there is much to learn."""
    norm = step.gradient.get("all", math.nan)
    if not norm < VANISHING or not step.loss > STILL_TO_LEARN:
        return ok(f"norm of the gradient {norm:.2g}", value=norm)
    return warn(
        f"the gradient vanishes: its norm is {norm:.2g}, under {VANISHING:g}, while the loss is still {step.loss:.2f} "
        "per gloss",
        value=norm,
        where=["all weights"],
        advice="the model no longer learns: raise --learning_rate, and run 'signloom overfit' to see whether it can "
        "learn at all",
    )


@monitor("no_gradient", threshold=f"{LEAST_GRADIENT}, in every part", in_a_row=3)
def no_gradient(step: SampledStep, run: RunFacts) -> Outcome:
    """Norm of the gradient in each part of the model: encoders, body, recurrent layers, classifier."""
    norm = step.gradient.get("all", math.nan)
    cut = [part for part, value in step.gradient.items() if part != "all" and value < VANISHING]
    if not cut or not norm >= VANISHING or not step.loss > STILL_TO_LEARN:
        return ok("the gradient reaches every part")
    parts, largest = " and the ".join(cut), max(step.gradient[part] for part in cut)
    return warn(
        f"no gradient reaches the {parts}: its norm there is {largest:.2g}, under {VANISHING:g}, while that of the "
        f"whole model is {norm:.2g} and the loss {step.loss:.2f} per gloss",
        value=largest,
        where=[parts],
        advice="a layer between there and the output is dead, clamped or close to zero; run 'signloom overfit' to see "
        "whether the model can learn",
    )


@monitor(
    "uniform_outputs",
    threshold=f"at most {UNIFORM:.0%} of log V after {UNIFORM_STEPS} steps, and once the learning rate has reached "
    "40 % of --learning_rate",
    in_a_row=5,
    source=MEASURED,
)
def uniform_outputs(step: SampledStep, run: RunFacts) -> Outcome:
    """Entropy of the output as a share of log V, for V words."""
    if not step.entropy > UNIFORM or step.step <= max(run.slow_steps, UNIFORM_STEPS):
        return ok(f"entropy {step.entropy:.1%} of log V", value=step.entropy)
    return warn(
        f"the output is uniform: at step {step.step} its entropy is {step.entropy:.1%} of log V, "
        f"every word is near log(1/{run.num_words}) = {-math.log(max(run.num_words, 1)):.2f}",
        value=step.entropy,
        where=["output"],
        advice="raise --learning_rate, lower --dropout; if neither helps, run 'signloom overfit' to see whether the "
        "model can learn",
    )


@monitor(
    "blank_collapse",
    threshold=f"at least {COLLAPSED:.0%} of the reference's glosses expected after {BEGINNING} steps",
    in_a_row=5,
    source=MEASURED,
)
def blank_collapse(step: SampledStep, run: RunFacts) -> Outcome:
    """Glosses expected from the probabilities, as a share of those in the references."""
    if not step.emitted < COLLAPSED or step.step <= BEGINNING:
        return ok(f"{step.emitted:.0%} of the reference's glosses are expected", value=step.emitted)
    return warn(
        f"the output has collapsed to blank: its mean probability is {step.blank:.4f} and it is the most likely word "
        f"in {step.blank_share:.1%} of frames, so that {step.emitted:.0%} of the reference's glosses are expected",
        value=step.emitted,
        where=["output"],
        advice="lower --learning_rate and start again; look whether annotations fit their clips ('signloom doctor')",
    )


@monitor(
    "only_blank",
    threshold=f"below {ALL_BLANK:.1%} of frames after {SETTLED:,} steps and {SETTLED_EPOCHS} epochs",
    in_a_row=20,
    source=MEASURED,
)
def only_blank(step: SampledStep, run: RunFacts) -> Outcome:
    """Share of frames in which blank is the most likely word."""
    early = step.step <= SETTLED or step.epoch <= SETTLED_EPOCHS
    if not step.blank_share >= ALL_BLANK or early:
        return ok(f"blank in {step.blank_share:.1%} of frames", value=step.blank_share)
    return warn(
        f"still only blank: at step {step.step}, in epoch {step.epoch}, blank is the most likely word in "
        f"{step.blank_share:.1%} of frames (mean probability {step.blank:.2f}), and the loss is {step.loss:.2f} per "
        f"gloss; healthy runs have left this by step {SETTLED}",
        value=step.blank_share,
        where=["output"],
        advice="look whether annotations fit their clips ('signloom doctor'), then whether the model can learn "
        "('signloom overfit'); lower --dropout, raise --learning_rate",
    )


@monitor("dead_units", threshold=f"below {DEAD:.0%} of a layer", in_a_row=5, source=MEASURED)
def dead_units(step: SampledStep, run: RunFacts) -> Outcome:
    """Units of a layer that give nothing in any frame of a batch."""
    layer, share = _worst(step.dead)
    if not share >= DEAD:
        return ok(f"{share:.0%} of a layer's units are dead", value=share)
    return warn(
        f"{share:.0%} of the units of {layer} are dead: they give nothing in any frame of a batch",
        value=share,
        where=[layer],
        advice="lower --learning_rate and start again; biases or norms have moved far below zero",
    )


@monitor("saturated_units", threshold=f"below {SATURATED:.0%} of a layer", in_a_row=5, source=MEASURED)
def saturated_units(step: SampledStep, run: RunFacts) -> Outcome:
    """Values of a layer at their limit (BiLSTM, the teacher's attention), where no gradient passes."""
    layer, share = _worst(step.saturated)
    if not share >= SATURATED:
        return ok(f"{share:.0%} of a layer's values are saturated", value=share)
    return warn(
        f"{share:.0%} of the values of {layer} are at their limit, where no gradient passes",
        value=share,
        where=[layer],
        advice="lower --learning_rate; if the layer is attention, its clamp is too tight: raise --attention_clamp",
    )


@monitor("not_finite", threshold="finite", in_a_row=1)
def not_finite(headline: str, cause: str, advice: str) -> Outcome:
    """A loss or a gradient that is not finite; the run stops."""
    return fail(headline, where=[cause], advice=advice)


def _worst(shares: Mapping[str, float]) -> tuple[str, float]:
    """Returns the layer with the largest share, and that share."""
    return max(shares.items(), key=lambda item: item[1], default=("", 0.0))


EVERY_STEP = (exploding_gradient, negative_loss, huge_loss)
SAMPLED = (
    vanishing_gradient, no_gradient, uniform_outputs, blank_collapse, only_blank, dead_units, saturated_units
)  # fmt: skip


@dataclass
class MonitorRules:
    """Applies the monitors to the steps of a run; each reports once.

    streaks: how often in a row each monitor has found a fault.  findings: what was reported. Both are part of the saved
    state of a run.
    """

    run: RunFacts = field(default_factory=RunFacts)
    streaks: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def step(self, figures: StepFigures) -> list[Finding]:
        """Returns what the figures of every step lead to."""
        return self._apply(EVERY_STEP, figures)

    def sample(self, figures: SampledStep) -> list[Finding]:
        """Returns what the figures of a sampled step lead to."""
        return self._apply(SAMPLED, figures)

    def _apply(self, monitors: Iterable[Monitor[Any]], figures: StepFigures | SampledStep) -> list[Finding]:
        before = len(self.findings)
        for one in monitors:
            finding = one(figures, self.run)
            self.streaks[one.id] = self.streaks.get(one.id, 0) + 1 if finding.needs_action else 0
            if self.streaks[one.id] >= one.in_a_row:
                self.report(finding, figures.step, figures.epoch)
        return self.findings[before:]

    def report(self, finding: Finding, step: int, epoch: int) -> bool:
        """Adds a finding with its step and epoch, unless its monitor has reported before. Returns whether it did."""
        new = all(earlier.id != finding.id for earlier in self.findings)
        if new:
            self.findings.append(replace(finding, figures={**finding.figures, "step": step, "epoch": epoch}))
        return new

    def to_json(self) -> dict[str, Any]:
        return {"streaks": dict(self.streaks), "said": [finding.to_json() for finding in self.findings]}

    def restore(self, record: Mapping[str, Any]) -> None:
        """Continues from what `to_json` returned."""
        self.streaks = dict(record["streaks"])
        self.findings = [Finding.from_json(finding) for finding in record["said"]]

    def recall(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Adds findings that were reported after the state was saved, so that they are not reported again."""
        known = {finding.id for finding in self.findings}
        self.findings += [Finding.from_json(record) for record in records if record["id"] not in known]
