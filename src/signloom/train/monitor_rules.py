"""What the figures of a run's steps mean: when a monitor speaks, and what it says. No torch here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

SPEC = "training health as signloom specifies it"
MEASURED = "benchmarks/monitor_cost.py --healthy"

# Norm of the gradient before clipping.
EXPLODING = 100.0
VANISHING = 1e-3
HEALTHY = (0.1, 5.0)
# CTC loss a gloss above which a gradient has something to do.
STILL_TO_LEARN = 1.0
# Single precision makes of a loss of 0 something like -1e-6; a wrong loss is far below.
NEGATIVE = -1e-3
# Entropy of the output, as a share of that of equally likely words.
UNIFORM = 0.95
# Glosses expected from the probabilities of a batch, as a share of those in its references. The best constant output
# has a share of 1, however much of it is blank; what has learnt has more.
COLLAPSED = 0.25
# Frames whose likeliest word is blank. Every run begins so; a healthy one has left it after at most SETTLED steps.
ALL_BLANK = 0.995
SETTLED = 3000
SETTLED_EPOCHS = 5
# Steps whose gradients may be of any size: of healthy models the first had 210, the eleventh 106.
FIRST_STEPS = 30
# A look before this step is never one of a whole output: it starts out uniform.
BEGINNING = 100
DEAD = 0.5
SATURATED = 0.5


@dataclass(frozen=True)
class Sample:
    """What one step showed.

    loss: CTC of the batch a gloss.  entropy: of the output, mean over frames, as a share of log V.  blank: its mean
    probability.  blank_share: of frames that it is the likeliest word of.  emitted: the sum over frames of the
    probability of all other words, as a share of the reference glosses.  gradient, clipped: norms by part of the model,
    before and after clipping; `all` is the whole.  dead: by layer, the share of its units that give nothing in any
    frame.  saturated: by layer, the share of its values at its limit.
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
class Said:
    """What a monitor said, in the fields of a finding of `signloom doctor`.

    id: which monitor.  level: `warn` or `fail`.  headline: the sentence, with its number.  value: that number, None
    where there is none.  threshold: what it was held against, in words.  where: the part of the model.  figures: the
    step and epoch it was said in.
    """

    id: str
    level: str
    headline: str
    value: float | None
    threshold: str
    where: tuple[str, ...]
    advice: str
    figures: dict[str, int]
    unit: str = ""
    source: str = SPEC

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Said:
        return cls(**{**record, "where": tuple(record["where"])})


@dataclass
class Judge:
    """Speaks once of each thing that stays wrong; what is natural early in a run it lets pass.

    warm_steps: of the learning rate's warm-up.  num_words: the vocabulary's size.  streaks: how often in a row each
    thing was wrong; said: what was said.  Both are kept with the state of a run.
    """

    warm_steps: int = 0
    num_words: int = 0
    streaks: dict[str, int] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)

    def has_said(self, name: str) -> bool:
        return any(said.id == name for said in self.said)

    def step(self, *, step: int, epoch: int, norm: float, lowest_loss: float) -> list[Said]:
        """What the figures of every step give: the norm of its gradient, and the lowest loss of an utterance."""
        found = []
        at = {"step": step, "epoch": epoch}
        if self._lasts("exploding_gradient", norm > EXPLODING and step > max(self.warm_steps, FIRST_STEPS), 3):
            found.append(
                Said(
                    "exploding_gradient",
                    "warn",
                    f"the gradient explodes: its norm before clipping is {norm:.4g}, over {EXPLODING:g} for three "
                    f"steps since the warm-up (healthy: {HEALTHY[0]:g} to {HEALTHY[1]:g})",
                    norm,
                    f"at most {EXPLODING:g} after the warm-up",
                    ("all weights",),
                    "lower --learning_rate to a third; look for clips with broken landmarks ('signloom doctor')",
                    at,
                )
            )
        if self._lasts("negative_loss", lowest_loss < NEGATIVE, 1):
            found.append(
                Said(
                    "negative_loss",
                    "fail",
                    f"a CTC loss is {lowest_loss:.4g}: below zero, which no probability gives, so this is a bug",
                    lowest_loss,
                    "at least 0",
                    ("CTC loss",),
                    "do not trust this run; a changed loss or head hands CTC what are not log-probabilities",
                    at,
                )
            )
        self.said += found
        return found

    def sample(self, sample: Sample) -> list[Said]:
        """What the figures of a sampled step give."""
        found = [said for said in self._sampled(sample) if said is not None]
        self.said += found
        return found

    def _sampled(self, sample: Sample) -> Iterator[Said | None]:
        past_warm_up = sample.step > self.warm_steps

        def say(
            name: str, wrong: bool, times: int, value: float, threshold: str, where: str, headline: str, advice: str,
            source: str = SPEC,
        ) -> Said | None:  # fmt: skip
            if not self._lasts(name, wrong, times):
                return None
            at = {"step": sample.step, "epoch": sample.epoch}
            return Said(name, "warn", headline, value, threshold, (where,), advice, at, source=source)

        gradient = sample.gradient
        norm = gradient.get("all", math.nan)
        learning = sample.loss > STILL_TO_LEARN
        some = f"at least {VANISHING:g} while the loss is above {STILL_TO_LEARN:g} a gloss"
        yield say(
            "vanishing_gradient", norm < VANISHING and learning, 3, norm, some, "all weights",
            f"the gradient vanishes: its norm is {norm:.2g}, under {VANISHING:g}, while the loss is still "
            f"{sample.loss:.2f} a gloss",
            "nothing is learnt any more: raise --learning_rate, and let 'signloom overfit' tell whether the model can "
            "learn at all",
        )  # fmt: skip
        cut = [part for part, value in gradient.items() if part != "all" and value < VANISHING]
        parts, most = " and the ".join(cut), max((gradient[part] for part in cut), default=0.0)
        yield say(
            "no_gradient", bool(cut) and norm >= VANISHING and learning, 3, most, some, parts,
            f"no gradient reaches the {parts}: its norm there is {most:.2g}, under {VANISHING:g}, while that of "
            f"the whole model is {norm:.2g} and the loss {sample.loss:.2f} a gloss",
            "what lies between there and the output is dead, clamped or next to zero; 'signloom overfit' tells whether "
            "the model can learn",
        )  # fmt: skip
        yield say(
            "uniform_outputs", sample.entropy > UNIFORM and past_warm_up and sample.step > BEGINNING, 5,
            sample.entropy, f"at most {UNIFORM:.0%} of log V after the warm-up", "output",
            f"the output is uniform: at step {sample.step}, past the warm-up, its entropy is {sample.entropy:.1%} of "
            f"log V, every word near log(1/{self.num_words}) = {-math.log(max(self.num_words, 1)):.2f}",
            "raise --learning_rate, lower --dropout; where neither helps, 'signloom overfit' tells whether the "
            "model can learn",
        )  # fmt: skip
        yield say(
            "blank_collapse", sample.emitted < COLLAPSED and sample.step > BEGINNING, 5, sample.emitted,
            f"at least {COLLAPSED:.0%} of the reference's glosses expected", "output",
            f"the output has collapsed to blank: its mean probability is {sample.blank:.4f} and it is the likeliest "
            f"word in {sample.blank_share:.1%} of frames, so that {sample.emitted:.0%} of the reference's glosses are "
            "to be expected",
            "lower --learning_rate and start anew; look whether annotations fit their clips ('signloom doctor')",
            MEASURED,
        )  # fmt: skip
        yield say(
            "only_blank",
            sample.blank_share >= ALL_BLANK and sample.step > SETTLED and sample.epoch > SETTLED_EPOCHS,
            20, sample.blank_share, f"below {ALL_BLANK:.1%} of frames after {SETTLED} steps", "output",
            f"still only blank: at step {sample.step}, in epoch {sample.epoch}, blank is the likeliest word in "
            f"{sample.blank_share:.1%} of frames (mean probability {sample.blank:.2f}), and the loss is "
            f"{sample.loss:.2f} a gloss; healthy runs have left this by step {SETTLED}",
            "look whether annotations fit their clips ('signloom doctor'), then whether the model can learn "
            "('signloom overfit'); lower --dropout, raise --learning_rate",
            MEASURED,
        )  # fmt: skip
        for name, shares, limit, what, advice in (
            (
                "dead_units", sample.dead, DEAD, "the units of {} are dead: they give nothing in any frame of a batch",
                "lower --learning_rate and start anew; biases or norms have been driven far below zero",
            ),
            (
                "saturated_units", sample.saturated, SATURATED,
                "the values of {} stand at their limit, where no gradient passes",
                "lower --learning_rate; where it is attention, its clamp is too tight for what it "
                "adds: raise --attention_clamp",
            ),
        ):  # fmt: skip
            layer, share = max(shares.items(), key=lambda item: item[1], default=("", 0.0))
            yield say(
                name, share >= limit, 5, share, f"below {limit:.0%} of a layer", layer,
                f"{share:.0%} of {what.format(layer)}", advice, MEASURED,
            )  # fmt: skip

    def _lasts(self, name: str, wrong: bool, times: int) -> bool:
        """Whether this is the `times`-th look in a row that finds it wrong, and it was not said before."""
        streak = self.streaks.get(name, 0) + 1 if wrong else 0
        self.streaks[name] = streak
        return streak >= times and not self.has_said(name)

    def to_json(self) -> dict[str, Any]:
        return {"streaks": dict(self.streaks), "said": [said.to_json() for said in self.said]}

    def restore(self, record: dict[str, Any]) -> None:
        """Goes on from what `to_json` gave."""
        self.streaks = dict(record["streaks"])
        self.said = [Said.from_json(said) for said in record["said"]]

    def recall(self, said: list[dict[str, Any]]) -> None:
        """Adds what was said after the state was kept, so that it is not said again."""
        self.said += [Said.from_json(one) for one in said if not self.has_said(one["id"])]
