"""How many of a run's errors are in clips in which the tracker lost the hands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from signloom.corpus import Corpus, Utterance
from signloom.errors import InputError, plural
from signloom.findings import Details, Outcome, check, judge, ok
from signloom.health.checks.figures import HANDS
from signloom.health.checks.landmarks import SELDOM
from signloom.health.checks.places import by_split
from signloom.health.checks.predictions import Predictions
from signloom.text.counts import some_of

# Share of a split's errors that these clips may have, and how many times the errors of other clips.
COSTLY, TIMES = 0.2, 1.5
# Fewer errors show nothing.
FEWEST = 5


@check(
    "run.lost_hands",
    unit="share of a split's errors",
    threshold=f"clips with each hand in under {100 * SELDOM:g} % of the frames have under {100 * COSTLY:g} % of the "
    f"errors of each split, or at most {TIMES:g} times the errors per gloss of its other clips; else warn",
    source="signs are made by the hands; such clips had most of the errors on one set of recordings of unseen signers",
)
def lost_hands(predictions: Predictions) -> Outcome:
    """Share of a split's errors that are in clips in which the tracker lost the hands, the largest over the splits."""
    table: dict[str, Any] = {}
    lost: dict[str, str] = {}
    costly = {}
    for split, errors in _errors(predictions).items():
        items = [item for item in predictions.corpus if item.id in errors]
        here = {item.id for item in items if _seen(predictions.corpus, item) < SELDOM}
        wrong, all_wrong = sum(errors[name] for name in here), sum(errors.values())
        glosses = sum(len(item.glosses) for item in items if item.id in here)
        others = sum(len(item.glosses) for item in items) - glosses
        table[split] = {"clips": len(here), "of clips": len(items), "errors": wrong, "of errors": all_wrong}
        ordered = sorted(here, key=lambda name: (-errors[name], name))
        lost |= {name: plural(errors[name], "error") for name in ordered}
        often = not others or wrong * others > TIMES * (all_wrong - wrong) * glosses
        if wrong >= max(FEWEST, COSTLY * all_wrong) and often:
            costly[split] = wrong / all_wrong
    named = [one.utterance for one in predictions.every]
    worst = max((row["errors"] / row["of errors"] for row in table.values() if row["of errors"]), default=0.0)
    shown = [
        some_of(row["errors"], row["of errors"], f"error of {split}", "is", "are", nouns=f"errors of {split}")
        + f" in {row['clips']:,} of {plural(row['of clips'], 'clip')}"
        for split, row in table.items()
        if row["clips"]
    ]
    if not shown:
        return ok("no clip that was scored shows each hand in too few frames", value=0.0, figures={"splits": table})
    return judge(
        f"{'; '.join(shown)} with each hand in under {100 * SELDOM:g} % of the frames",
        warn=bool(costly),
        note=True,
        advice="the model is not to blame for these: look at them ('signloom show'); extract them again from larger or "
        "brighter video, or score without them ('signloom doctor' on the corpus names them all)",
        **Details(
            value=worst,
            where=by_split(lost, named),
            figures={"splits": table, "clips": lost},
        ),
    )


def _errors(predictions: Predictions) -> dict[str, dict[str, int]]:
    """Returns the errors of each clip by split: those of recorded evaluations, else of the predictions for dev.

    Splits without errors are left out.
    """
    of = {"dev": {row.id: row.errors for row in predictions.score(predictions.dev).utterances}}
    for split, record in predictions.run.evaluations.items():
        if record.get("corpus") == predictions.corpus.name:
            of[split] = dict(_recorded(record)) or of.get(split, {})
    return {split: errors for split, errors in of.items() if any(errors.values())}


def _recorded(record: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yields the id and the errors of each utterance of a recorded evaluation."""
    for row in record.get("utterances") or ():
        yield row["id"], row["substitutions"] + row["deletions"] + row["insertions"]


def _seen(corpus: Corpus, item: Utterance) -> float:
    """Returns the share of frames with the hand that is seen more often; 1 for a clip that cannot be read, which
    `data.readable` reports."""
    try:
        clip = corpus.load(item)
    except InputError:
        return 1.0
    return max(float(clip.present(hand).mean()) for hand in HANDS)
