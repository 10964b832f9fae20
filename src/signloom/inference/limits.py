"""How sure a model should be of one gloss of an utterance: false glosses against true ones, on utterances of both.

Only utterances with idling, or with signs that are none of the model's, tell what comes out where nothing should.

The false glosses of dev do not choose the limit. They are few, and often of one clip that is shown again and again; new
people idle in ways that dev does not show, and make more of them. But a higher limit never leaves more of them. So the
user says which share of the true glosses silence may cost, and the highest limit that costs no more is the one to take.
It costs most where a sign stands alone: among others, some sign is mostly sure. So each true gloss counts as if it
stood alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from signloom.corpus import Corpus, Utterance, spread
from signloom.ctc.hypothesis import Emission, Hypothesis
from signloom.errors import plural
from signloom.inference.model import Model
from signloom.inference.stream_options import MIN_BESIDE_SURE
from signloom.score.alignment import CORRECT, align
from signloom.score.text import percent

# The limits that are tried, after none. A lower one would show more than streams do without any. Higher ones only seem
# cheap where dev has signers of train: with 0.95 a stranger lost a third of the signs that stood alone.
TRIED = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
# The largest share of the true glosses that a limit may cost if nobody says otherwise.
MOST_LOST = 0.03
# With fewer true glosses, one or two of them would choose the limit.
_FEWEST_TRUE = 50
# As many utterances tell enough.
_MOST_UTTERANCES = 500


@dataclass(frozen=True)
class TriedLimit:
    """What is left if one gloss of each utterance must have a confidence of `sure`: numbers of false and true glosses.

    num_alone: how many true ones would be left if each were the only one of its utterance.
    """

    sure: float
    num_false: int
    num_true: int
    num_alone: int


@dataclass(frozen=True)
class TriedLimits:
    """Every limit that was tried, the lowest first, on so many utterances, and the one to take.

    chosen: None if these utterances do not tell; `why_not` then says why.
    """

    rows: tuple[TriedLimit, ...]
    num_utterances: int
    minutes: float
    chosen: TriedLimit | None = None
    why_not: str = ""

    @property
    def can_choose(self) -> bool:
        """Whether there are enough true glosses to choose by."""
        return bool(self.rows) and self.rows[0].num_true >= _FEWEST_TRUE

    def __str__(self) -> str:
        """Returns the limits as a small table, and what was chosen."""
        if self.chosen is None:
            return f"confidence of one gloss per utterance: not chosen: {self.why_not}"
        lines = [
            f"confidence of one gloss per utterance, on {plural(self.num_utterances, 'utterance')} of dev with idling "
            "or other signs",
            f"  {'limit':>7}{'false glosses':>15}{'per minute':>12}{'true glosses kept':>19}{'if alone':>11}",
        ]
        for row in self.rows:
            mark = "  chosen" if row == self.chosen else ""
            lines.append(
                f"  {row.sure or 'none':>7}{row.num_false:>15,}{row.num_false / self.minutes:>12.1f}"
                f"{percent(row.num_true / self.rows[0].num_true):>19}"
                f"{percent(row.num_alone / self.rows[0].num_alone):>11}{mark}"
            )
        return "\n".join(lines)


def shows_more_than_signs(item: Utterance) -> bool:
    """Returns whether an utterance is known to show idling, or something that is none of its glosses."""
    return bool(item.others or item.truth.get("idle"))


def judge_limits(
    utterances: Sequence[Utterance], hypotheses: Sequence[Hypothesis], *, most_lost: float = MOST_LOST
) -> TriedLimits:
    """Returns what each limit leaves of the hypotheses of some utterances, from which nothing was dropped.

    A gloss that sclite would align with the same gloss of the reference is true, any other is false. The limit to take
    is the highest one that loses at most the share `most_lost` of the true ones, if each stood alone.
    """
    pairs = [pair for pair in zip(utterances, hypotheses, strict=True) if shows_more_than_signs(pair[0])]
    minutes = sum(item.duration_seconds for item, _ in pairs) / 60
    if not pairs:
        return TriedLimits((), 0, 0.0, why_not="dev shows nothing but signs of the model")
    rows = []
    for sure in TRIED:
        kept = [(item.glosses, found.confident(MIN_BESIDE_SURE if sure else 0.0, sure)) for item, found in pairs]
        alone = [(item.glosses, found.confident(sure)) for item, found in pairs]
        right, right_alone = (
            sum(align(reference=glosses, hypothesis=found.words).kinds.count(CORRECT) for glosses, found in some)
            for some in (kept, alone)
        )
        rows.append(TriedLimit(sure, sum(len(found.words) for _, found in kept) - right, right, right_alone))
    true_at_first = rows[0].num_true
    if true_at_first < _FEWEST_TRUE:
        glosses = plural(true_at_first, "true gloss", "true glosses")
        why_not = f"only {glosses} in {plural(len(pairs), 'utterance')} of dev; needed {_FEWEST_TRUE}"
        return TriedLimits(tuple(rows), len(pairs), minutes, why_not=why_not)
    chosen = [row for row in rows if row.num_alone >= (1 - most_lost) * true_at_first][-1]
    if not chosen.sure:
        share = f"{100 * most_lost:g} % of the true glosses"
        why_not = f"even {rows[1].sure:g} drops more than {share} if each stood alone"
        return TriedLimits(tuple(rows), len(pairs), minutes, why_not=why_not)
    return TriedLimits(tuple(rows), len(pairs), minutes, chosen)


def try_limits(
    model: Model,
    corpus: Corpus,
    *,
    most_lost: float = MOST_LOST,
    emissions: Mapping[str, np.ndarray] | None = None,
) -> TriedLimits:
    """Returns what each limit leaves on dev of the corpus that a model was trained on.

    emissions: those of dev, (T', V) by id, if they are there.
    """
    model = model.with_limits(0.0)
    items = [item for item in corpus.split("dev") if shows_more_than_signs(item)]
    items = [items[index] for index in spread(len(items), _MOST_UTTERANCES)]
    found = []
    for item in items:
        if emissions is None:
            emission = model.emission(corpus.load_view(item, model.view))
        else:
            emission = Emission(emissions[item.id], model.engine.step_seconds, item.duration_seconds)
        found.append(model.decode(emission))
    return judge_limits(items, found, most_lost=most_lost)


def with_limit(model: Model, limits: TriedLimits) -> Model:
    """Returns the model with the limit that was chosen, or with none."""
    return model.with_limits(sure=limits.chosen.sure if limits.chosen else None)
