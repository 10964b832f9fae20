"""Checks of what a trained model predicts for its own corpus: utterances it was trained on, and dev."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from signloom.errors import plural
from signloom.findings import Details, Outcome, check, fail, judge, note, ok, warn
from signloom.health.checks.gloss_permutation import best_renaming, errors
from signloom.health.checks.predictions import Prediction, Predictions
from signloom.run_folder import Run
from signloom.score.analysis import by_gloss
from signloom.text.counts import some_of
from signloom.train.monitor_rules import (
    ALL_BLANK,
    BEGINNING,
    COLLAPSED,
    SETTLED,
    SETTLED_EPOCHS,
    UNIFORM,
    uniform_outputs,
)
from signloom.vocabulary import UNKNOWN_ID

HEALTHY_RUNS = "healthy and faulty runs, docs/health.md"
SHOWN = 10
# Fewer utterances, words or occurrences show nothing.
FEWEST = 10
# Largest share of the predicted glosses that one gloss may have.
MOST_OF_ONE = 0.8
# Least share of the annotated glosses that a model which knows train predicts at least once.
LEAST_PREDICTED = 0.5
# A model knows train if a clip's own annotation is more probable than this share of others of the same length.
LEARNT = 0.9
# The same share on dev if annotations do not belong to their clips.
CHANCE = 0.55
# With fewer utterances a model knows each by heart and little else; healthy ones of twenty have 58 % on dev.
FEWEST_TRAINED = 50
# Share of clips for which the annotation of a neighbour in the split is more probable than their own.
NEIGHBOUR_WINS = 0.7
# A gloss is not learnt if this share of its occurrences is missed or invented.
NOT_LEARNT = 0.4
# Largest WER of the other glosses for which this says something about the gloss.
OTHERS_KNOWN = 0.15
# Differences of WER: rounding.
SAME = 5e-4
# Differences of WER: another machine, or half precision.
CLOSE = 0.01
# Share of errors that remains after renaming, at most, if ids stand for other glosses.
RENAMED = 0.7
# Least share of all words that renaming corrects then.
RENAMED_POINTS = 0.1


@check(
    "run.uniform",
    unit="share of log V",
    threshold=f"at most {100 * UNIFORM:g} % after {BEGINNING} steps, or if the live monitor has reported it",
    source="the live monitors' limit",
)
def uniform(predictions: Predictions) -> Outcome:
    """Entropy of the output as a share of log V, for V words."""
    entropy = _mean(one.entropy for one in predictions.every)
    headline = f"entropy of the output {100 * entropy:.1f} % of log V"
    settled = predictions.run.steps > BEGINNING or uniform_outputs.id in predictions.run.findings
    if not (entropy > UNIFORM and settled):
        return ok(headline, value=entropy)
    words = len(predictions.vocabulary)
    return fail(
        f"{headline}: every word is near log(1/{words}) = {-math.log(words):.2f}",
        value=entropy,
        advice="raise --learning_rate and lower --dropout; if neither helps, 'signloom overfit' shows whether the "
        "model can learn",
    )


@check(
    "run.blank",
    unit="share of frames",
    threshold=f"below {100 * ALL_BLANK:g} %, else note; fail after {SETTLED:,} steps and {SETTLED_EPOCHS} epochs, or "
    f"if under {100 * COLLAPSED:g} % of the annotated glosses are expected from the probabilities",
    source="the live monitors' limits",
)
def blank(predictions: Predictions) -> Outcome:
    """Share of frames in which blank is the most likely word, now and at the end of training."""
    share = _mean(one.blank_share for one in predictions.every)
    annotated = sum(len(one.target) for one in predictions.every)
    emitted = sum(one.expected for one in predictions.every) / max(1, annotated)
    run = predictions.run
    # The saved model may be of an epoch before the collapse.
    last = run.watched[-1] if run.watched else {}
    ended = last.get("blank_share", 0.0) >= ALL_BLANK and last.get("emitted", 1.0) < COLLAPSED
    only_blank = share >= ALL_BLANK
    collapsed = ((only_blank and emitted < COLLAPSED) or ended) and run.steps > BEGINNING
    late = run.steps > SETTLED and (not run.epochs or run.epochs[-1].epoch > SETTLED_EPOCHS)
    headline = (
        f"blank is the most likely word in {100 * share:.1f} % of frames, {100 * emitted:.0f} % of the annotated "
        "glosses are expected"
    )
    measured = Details(value=share, figures={"share": share, "emitted": emitted, "collapsed": collapsed})
    if collapsed:
        end = "" if only_blank else f"; at the end of training {100 * last['emitted']:.0f} %"
        advice = (
            "look whether the loss or the decoder favours blank (a term, a prior, a bias), and whether annotations "
            "reach the loss; then use a lower --learning_rate"
        )
        return fail(f"{headline}{end}: the output has collapsed to blank", advice=advice, **measured)
    if only_blank and late:
        headline += f", after {plural(run.steps, 'step')}: healthy runs have left this by {SETTLED:,}"
        advice = "'signloom overfit' shows whether the model can learn; lower --dropout, raise --learning_rate"
        return fail(headline, advice=advice, **measured)
    if only_blank:
        return note(f"{headline}: every CTC run begins like this", **measured)
    return ok(headline, **measured)


@check(
    "run.vocabulary",
    unit="share of the annotated glosses",
    threshold=f"at least {100 * LEAST_PREDICTED:g} %, else note; warn if WER on train is below 50 %",
    source=HEALTHY_RUNS,
)
def vocabulary(predictions: Predictions) -> Outcome:
    """Share of the annotated glosses that the model predicts at least once."""
    annotated = {word for one in predictions.every for word in one.target} - {UNKNOWN_ID}
    predicted = {word for one in predictions.every for word in one.predicted}
    share = len(annotated & predicted) / max(1, len(annotated))
    never = sorted(predictions.vocabulary.words[word] for word in annotated - predicted)[:SHOWN]
    known = some_of(len(annotated & predicted), len(annotated), "gloss", "is", "are")
    headline = (
        f"{known} predicted at least once ({100 * share:.0f} %), in {plural(len(predictions.every), 'utterance')}"
    )
    measured = Details(value=share, where=never)
    # run.underfitting reports a model that does not know train yet.
    if share < LEAST_PREDICTED and predictions.train_wer < 0.5:
        advice = "glosses are too rare to be learnt, or one sign has two names: add examples, or merge the names"
        return warn(headline, advice=advice, **measured)
    return (ok if share >= LEAST_PREDICTED else note)(headline, **measured)


@check(
    "run.glosses",
    unit="WER of the other glosses on train",
    threshold=f"no gloss with {FEWEST} occurrences or more is missed or invented in {100 * NOT_LEARNT:g} % of them "
    f"while the others have a WER of {100 * OTHERS_KNOWN:g} % or less; else warn",
    source=HEALTHY_RUNS,
)
def glosses(predictions: Predictions) -> Outcome:
    """WER on train without the glosses that the model does not learn from the utterances it was trained on."""
    score = predictions.score(predictions.train)
    hard = [
        one
        for one in by_gloss(score)
        if one.occurrences >= FEWEST and one.missed + one.invented >= NOT_LEARNT * one.occurrences
    ]
    # Every error is one gloss missed, or one too many.
    hard_errors = sum(one.missed + one.inserted for one in hard)
    words = score.reference_words - sum(one.occurrences for one in hard)
    others = (score.errors - hard_errors) / words if words else math.nan
    if not hard or not others <= OTHERS_KNOWN:
        return ok("no gloss is learnt worse than the others on train", value=others)
    return warn(
        f"{', '.join(one.gloss for one in hard[:5])} cause{'s' * (len(hard) == 1)} {hard_errors} of "
        f"{plural(score.errors, 'error')} on utterances of train, all others have a WER of "
        f"{100 * others:.1f} %: maybe nothing in the clips shows when they occur",
        value=others,
        where=[f"{one.gloss}: {one.missed} of {one.occurrences} missed, {one.invented} invented" for one in hard],
        advice="look at clips with and without them: leave labels of what is not signed (rest, pauses, comments) out "
        "of the annotations, and give a sign one name only",
    )


@check(
    "run.one_gloss",
    unit="share of the predicted glosses",
    threshold=f"at most {100 * MOST_OF_ONE:g} %, or twice its share of the annotations; noted up to {SETTLED:,} steps",
    source=HEALTHY_RUNS,
)
def one_gloss(predictions: Predictions) -> Outcome:
    """Share of the most frequent gloss among the predicted ones."""
    counts = Counter(word for one in predictions.every for word in one.predicted)
    annotated = Counter(word for one in predictions.every for word in one.target)
    total = sum(counts.values())
    if not total:
        return ok("the model predicts no gloss")
    if len(annotated) < 3:
        return ok("there are fewer than three glosses")
    (word, times), *_ = counts.most_common(1)
    share, expected = times / total, annotated[word] / sum(annotated.values())
    name = predictions.vocabulary.words[word]
    headline = (
        f"{name} makes {100 * share:.0f} % of {plural(total, 'predicted gloss')}, {100 * expected:.0f} % of the "
        "annotations"
    )
    measured = Details(value=share, where=[name])
    if not (share > MOST_OF_ONE and share > 2 * expected and total >= FEWEST):
        return ok(headline, **measured)
    if predictions.run.steps <= SETTLED:
        return note(headline, **measured)
    advice = (
        f"leave {name} out of the annotations if it is a filler; else lower --learning_rate, run 'signloom overfit'"
    )
    return fail(f"{headline}: the output has collapsed to one gloss", advice=advice, **measured)


@check(
    "run.signers",
    unit="dev WER - train WER",
    threshold="dev at most 40 points above a train WER below 20 %; no signer 30 points above the median signer; else "
    "warn",
    source=HEALTHY_RUNS,
)
def signers(predictions: Predictions) -> Outcome:
    """WER on dev, by signer, against WER on train."""
    if not predictions.train or not predictions.dev:
        return ok("there is no dev or train to compare")
    parts = predictions.score(predictions.dev).by_signer
    by_signer = {name: one.wer for name, one in parts.items() if one.reference_words}
    trained = {one.utterance.signer for one in predictions.train}
    train, dev = predictions.train_wer, predictions.dev_wer
    known = [wer for name, wer in by_signer.items() if name in trained]
    new_signers = [name for name in by_signer if name not in trained]
    new = [by_signer[name] for name in new_signers]
    median = float(np.median(list(by_signer.values()))) if by_signer else dev
    outliers = [name for name, wer in by_signer.items() if wer > median + 0.3 and len(by_signer) > 2]
    headline = f"WER {100 * train:.1f} % on train, {100 * dev:.1f} % on dev"
    if known and new:
        headline += f"; signers of train {100 * np.mean(known):.1f} %, others {100 * np.mean(new):.1f} %"
    if outliers:
        headline += f"; worse than most: {', '.join(outliers)}"
    where = [f"{name}: {100 * wer:.1f} %" for name, wer in sorted(by_signer.items(), key=lambda pair: -pair[1])]
    measured = Details(value=dev - train, where=where, figures={"train": train, "dev": dev, "signers": by_signer})
    advice = "use more signers in train and --augment true; look at the clips of the signers named"
    if by_signer and not new:
        # More signers are no help for signers that were in train.
        headline += "; every signer of dev is in train too"
        advice = (
            "these signers are in train, so more signers will not help: the clips of dev are imported otherwise than "
            "those of train (see data.body, data.pace, data.presence, data.alike), their annotations are wrong "
            "(data.pairing), or the model knows the training utterances by heart: use more utterances, --augment true"
        )
    elif outliers and not set(outliers) & set(new_signers):
        advice = "the signers named are in train too: compare their clips in dev with those in train, and look at them"
    return judge(headline, warn=bool(outliers) or (dev - train > 0.4 and train < 0.2), advice=advice, **measured)


@check(
    "run.names",
    unit="WER after renaming",
    threshold="a one-to-one renaming of the glosses, learnt on half of the utterances, corrects less than "
    f"{100 * (1 - RENAMED):.0f} % of the errors of the others, or less than {100 * RENAMED_POINTS:.0f} points of WER",
    source=HEALTHY_RUNS,
)
def names(predictions: Predictions) -> Outcome:
    """WER after the renaming of glosses that fits best; much lower if only the names of the glosses are wrong."""
    pairs = [(one.target, one.predicted) for one in predictions.every]
    words = sum(len(target) for target, _ in pairs)
    same = np.arange(len(predictions.vocabulary))
    before = after = errors(pairs, same)
    if len(pairs) >= 2 * FEWEST and any(predicted for _, predicted in pairs):
        halves = pairs[::2], pairs[1::2]
        after = sum(errors(other, best_renaming(half, len(same))) for half, other in (halves, halves[::-1]))
    plain_wer, wer = before / max(1, words), after / max(1, words)
    headline = f"WER {100 * plain_wer:.1f} %, {100 * wer:.1f} % when glosses are renamed"
    figures = {"plain": plain_wer, "renamed": wer}
    if after > RENAMED * before or before - after < RENAMED_POINTS * words:
        return ok(headline, value=wer, figures=figures)
    renaming, vocabulary = best_renaming(pairs, len(same)), predictions.vocabulary.words
    counts = Counter(word for one in predictions.every for word in one.predicted)
    moved = [
        f"{vocabulary[word]} is predicted where {vocabulary[renaming[word]]} was signed"
        for word, _ in counts.most_common()
        if renaming[word] != word
    ]
    return fail(
        f"{headline}: ids stand for other glosses than were trained",
        value=wer,
        where=moved[:SHOWN],
        figures=figures,
        advice="decode with the vocabulary the model was trained with, in the same order (blank 0, unknown 1)",
    )


@check(
    "run.annotations",
    unit="share of pairs; 50 % is chance",
    threshold=f"at least {100 * CHANCE:g} % on dev if train has {100 * LEARNT:g} % and {FEWEST_TRAINED} utterances or "
    f"more; no neighbour's annotation more probable in {100 * NEIGHBOUR_WINS:g} % of the clips",
    source=HEALTHY_RUNS,
)
def own_annotation(predictions: Predictions) -> Outcome:
    """How often a clip's annotation is more probable to the model than others of its length (a permutation test)."""
    parts = {"train": predictions.train, "dev": predictions.dev}
    own = {name: [one.wins for one in part if len(one.others)] for name, part in parts.items()}
    wins = {name: _mean(values) for name, values in own.items()}
    enough = all(len(values) >= FEWEST for values in own.values())
    slip, fits = _slipped(predictions.every)
    slipped = enough and fits >= NEIGHBOUR_WINS and max(wins.values()) < LEARNT
    by_heart = enough and predictions.num_trained >= FEWEST_TRAINED and wins["train"] >= LEARNT and wins["dev"] < CHANCE
    shares = ", ".join(f"{100 * value:.0f} % of pairs on {name}" for name, value in wins.items() if value == value)
    headline = f"the annotation of a clip is more probable than others of its length in {shares or 'no pair'}"
    if slipped:
        side = "after" if slip > 0 else "before"
        headline += f"; that of the utterance {abs(slip)} {side} it is more probable in {100 * fits:.0f} % of clips"
    elif by_heart:
        headline += ": the model knows train by heart, and that does not help on dev"
    measured = Details(value=wins["dev"], figures={**wins, "slipped by": slip if slipped else 0})
    advice = "look at a few clips with their glosses: the annotations are not those of the clips"
    return judge(headline, fail=slipped or by_heart, advice=advice, **measured)


def _slipped(predictions: Sequence[Prediction]) -> tuple[int, float]:
    """Returns the offset whose annotation is most often more probable than an utterance's own, and how often."""
    wins: dict[int, list[bool]] = {}
    for one in predictions:
        for offset, value in one.neighbours.items():
            wins.setdefault(offset, []).append(value > one.own)
    shares = {offset: sum(values) / len(values) for offset, values in wins.items() if len(values) >= FEWEST}
    offset = max(shares, key=lambda key: shares[key], default=0)
    return offset, shares.get(offset, 0.0)


@check(
    "run.scores",
    unit="scores",
    threshold="the errors of the model over the words of the annotations; warn if others, fail if reference and "
    "hypothesis were exchanged",
    source="the word error rate is errors / words of the reference",
)
def scores(predictions: Predictions) -> Outcome:
    """Recorded word error rates that are not those of the model on its corpus."""
    faults = [_history_fault(predictions)]
    faults += [_evaluation_fault(predictions, split, record) for split, record in predictions.run.evaluations.items()]
    known = [fault for fault in faults if fault is not None]
    exchanged = any(exchanged for _, exchanged in known)
    measured = Details(value=len(known), where=[text for text, _ in known], figures={"exchanged": exchanged})
    if exchanged:
        advice = "call score(reference, hypothesis) in this order and by name; then run 'signloom evaluate' again"
        return fail("reference and hypothesis are exchanged in a recorded score", advice=advice, **measured)
    if known:
        advice = "the corpus, the model file or the decoder has changed since: run 'signloom evaluate' again"
        return warn("a recorded score is not the model's", advice=advice, **measured)
    return ok("recorded scores are those of the model and the corpus", **measured)


def _history_fault(predictions: Predictions) -> tuple[str, bool] | None:
    """Returns how the recorded WER on dev differs, and whether reference and hypothesis were exchanged; else None."""
    best = predictions.run.best
    if best is None or not predictions.dev or not predictions.whole_dev:
        return None
    right, recorded = predictions.score(predictions.dev), best.dev_wer
    if abs(recorded - right.wer) <= CLOSE:
        return None
    other = right.errors / right.hypothesis_words if right.hypothesis_words else math.inf
    exchanged = abs(recorded - other) <= SAME
    text = (
        f"{Run.history_file.name}: {100 * recorded:.2f} % on dev, where the WER is {100 * right.wer:.2f} % "
        f"({plural(right.errors, 'error')} in {plural(right.reference_words, 'annotated word')})"
    )
    if exchanged:
        text += f"; {recorded:.4f} is {right.errors} / {plural(right.hypothesis_words, 'predicted word')}"
    return text, exchanged


def _evaluation_fault(predictions: Predictions, split: str, record: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Returns how a recorded evaluation differs, and whether reference and hypothesis were exchanged; else None."""
    corpus = {item.id: item.glosses for item in predictions.corpus if item.split == split}
    if record.get("protocol") != "plain" or record.get("corpus") != predictions.corpus.name or not corpus:
        return None
    utterances = record.get("utterances") or []
    ids = {one["id"] for one in utterances} & set(corpus) or set(corpus)
    annotated = sum(len(corpus[name]) for name in ids)
    counted = int(record["reference_words"])
    if counted == annotated and all(
        tuple(one["reference"]) == corpus[one["id"]] for one in utterances if one["id"] in corpus
    ):
        return None
    hypothesis_words = counted - int(record.get("deletions", 0)) + int(record.get("insertions", 0))
    exchanged = hypothesis_words == annotated or (
        bool(utterances) and all(tuple(one["hypothesis"]) == corpus.get(one["id"]) for one in utterances)
    )
    text = (
        f"{predictions.run.evaluation_file(split).name}: {plural(counted, 'reference word')}, where the annotations of "
        f"{split} have {annotated:,}"
    )
    return text + ", as many as its hypotheses" * exchanged, exchanged


def _mean(values: Iterable[float]) -> float:
    """Returns the mean of the finite values; NaN if there is none."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan
