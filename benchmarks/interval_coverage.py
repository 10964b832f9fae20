"""How often the 95 % interval of the WER of composed utterances holds the true rate, in a simulation that knows it.

Glosses, signers, clips and utterances differ in how hard they are (normal effects on the log-odds of an error).
Utterances are drawn as `signloom compose` does: a signer, then the gloss of each sign, then one of its clips. The true
rate is that of other clips of the same glosses and signers. Compared are the bootstrap over utterances, which takes
them for independent; the interval of signloom; and the pigeonhole bootstrap (Owen 2007, "The pigeonhole bootstrap",
Annals of Applied Statistics 1(2)), which draws utterances and clips and multiplies their weights. Right is 95 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from common import finish, parser, table

from signloom.score.alignment import CORRECT, SUBSTITUTION, Alignment
from signloom.score.wer import Score, UtteranceScore

# Spread of the effects on the log-odds. Clips of one sign by one signer differ as much as signs do.
SPREAD = {"gloss": 1.0, "signer": 0.5, "clip": 1.0, "utterance": 0.5}
MEAN = -1.0


@dataclass(frozen=True)
class Scenario:
    """Sizes of a test split."""

    utterances: int
    glosses: int
    signers: int
    clips: int

    def __str__(self) -> str:
        return f"{self.utterances} utterances, {self.glosses} glosses, {self.signers} signers, {self.clips} clips each"


SCENARIOS = (Scenario(150, 16, 3, 30), Scenario(150, 16, 3, 6), Scenario(600, 16, 3, 6), Scenario(600, 26, 1, 3))


def effects(scenario: Scenario, rng: np.random.Generator) -> np.ndarray:
    """Returns the log-odds of an error of each gloss by each signer, (glosses, signers)."""
    gloss = rng.normal(0, SPREAD["gloss"], (scenario.glosses, 1))
    return MEAN + gloss + rng.normal(0, SPREAD["signer"], (1, scenario.signers))


def true_rate(kinds: np.ndarray, rng: np.random.Generator) -> float:
    """Returns the rate over clips and utterances without number."""
    other = np.hypot(SPREAD["clip"], SPREAD["utterance"]) * rng.normal(size=(20_000, 1, 1))
    return float((1 / (1 + np.exp(-(kinds + other)))).mean())


def draw(scenario: Scenario, kinds: np.ndarray, rng: np.random.Generator) -> Score:
    """Returns the score of a test split with new clips."""
    clips = rng.normal(0, SPREAD["clip"], (scenario.clips, *kinds.shape)) + kinds
    utterances = []
    for number in range(scenario.utterances):
        signer = int(rng.integers(scenario.signers))
        glosses = rng.integers(scenario.glosses, size=rng.integers(3, 9))
        chosen = rng.integers(scenario.clips, size=len(glosses))
        odds = clips[chosen, glosses, signer] + rng.normal(0, SPREAD["utterance"])
        wrong = rng.random(len(glosses)) < 1 / (1 + np.exp(-odds))
        reference = tuple(f"G{gloss}" for gloss in glosses)
        hypothesis = tuple("X" if bad else word for bad, word in zip(wrong, reference, strict=True))
        kind = "".join(SUBSTITUTION if bad else CORRECT for bad in wrong)
        names = tuple(f"{signer} {gloss} {clip}" for gloss, clip in zip(glosses, chosen, strict=True))
        utterances.append(
            UtteranceScore(f"u{number}", str(signer), Alignment(reference, hypothesis, kind), clips=names)
        )
    return Score.of("plain", utterances)


def pigeonhole(score: Score, resamples: int, rng: np.random.Generator) -> tuple[float, float]:
    """Returns the interval of the pigeonhole bootstrap over utterances and clips."""
    signs = [sign for utterance in score.utterances for sign in utterance.signs]
    errors = np.array([sign.errors for sign in signs])
    weights = np.ones((resamples, len(signs)))
    for names in ([sign.utterance for sign in signs], [str(sign.clip) for sign in signs]):
        _, group = np.unique(names, return_inverse=True)
        count = int(group.max()) + 1
        weights *= rng.multinomial(count, np.full(count, 1 / count), size=resamples)[:, group]
    low, high = np.quantile((weights @ errors) / weights.sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def coverage(
    scenario: Scenario, repetitions: int, *, resamples: int = 400, seed: int = 0, with_pigeonhole: bool = True
) -> dict[str, list[float]]:
    """Returns by method how often its interval holds the true rate, and its mean width."""
    rng = np.random.default_rng(seed)
    held: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    for repetition in range(repetitions):
        kinds = effects(scenario, rng)
        rate, score = true_rate(kinds, rng), draw(scenario, kinds, rng)
        own = score.interval(resamples=resamples, seed=repetition)
        narrow = [score.wer + (bound - score.wer) / own.widening for bound in (own.low, own.high)]
        methods = {"utterances": (narrow[0], narrow[1]), "signloom": (own.low, own.high)}
        if with_pigeonhole:
            methods["pigeonhole"] = pigeonhole(score, resamples, rng)
        for name, (low, high) in methods.items():
            held.setdefault(name, []).append(low <= rate <= high)
            widths.setdefault(name, []).append(high - low)
    return {name: [float(np.mean(held[name])), float(np.mean(widths[name]))] for name in held}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--repetitions", type=int, default=500)
    options = made.parse_args()
    rows: list[list[str]] = []
    results: list[dict[str, Any]] = []
    for scenario in SCENARIOS:
        found = coverage(scenario, options.repetitions)
        results.append({"scenario": str(scenario), "coverage and mean width": found})
        rows.append([str(scenario), *(f"{100 * held:.1f} % ({100 * width:.1f})" for held, width in found.values())])
    print(table(["test split", *results[0]["coverage and mean width"]], rows))
    print("share of 95 % intervals that hold the true rate; in parentheses their mean width in points of WER")
    finish(options, {"scenarios": results})


if __name__ == "__main__":
    main()
