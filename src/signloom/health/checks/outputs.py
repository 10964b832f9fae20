"""What a trained model reads in its own corpus, and what that means. Utterances of train are ones it was trained on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from signloom.findings import Finding
from signloom.health.checks.gloss_permutation import best_renaming, errors
from signloom.health.checks.predictions import Prediction, Predictions
from signloom.score.analysis import by_gloss
from signloom.train.monitor_rules import ALL_BLANK, BEGINNING, COLLAPSED, SETTLED, SETTLED_EPOCHS, UNIFORM

HEALTHY_RUNS = "healthy and faulty runs, docs/health.md"
# Fewer utterances tell nothing.
FEWEST = 10
# Of the glosses read, that are one and the same; of the vocabulary, that is ever read by a model that knows train.
MOST_OF_ONE = 0.8
LEAST_READ = 0.5
# A model has learnt its training split when its own annotation beats others of the same length so often.
LEARNT, CHANCE = 0.9, 0.55
# Of fewer a model knows each by heart and little else; healthy ones of twenty read dev in 58 % of pairs.
FEWEST_TRAINED = 50
# Share of clips for which the annotation of another place in the split is more probable than their own.
NEIGHBOUR_WINS = 0.7
# A gloss missed or invented so often, of its occurrences, is not learnt, where all others are read this well.
UNTOLD, OTHERS_KNOWN = 0.4, 0.15
# Word error rates are the same but for the order of sums; where training ran on another machine, or in half precision,
# a few words differ.
SAME, CLOSE = 5e-4, 0.01
# Renamed, so much fewer of the words are wrong, and so many fewer of all words.
RENAMED, RENAMED_POINTS = 0.7, 0.1


def uniform(predictions: Predictions) -> Finding:
    entropy = _mean(one.entropy for one in predictions.every)
    early = predictions.run.steps <= BEGINNING
    sick = entropy > UNIFORM and not early
    words = len(predictions.vocabulary)
    return Finding(
        "run.uniform",
        "fail" if sick else "ok",
        f"entropy of the output {100 * entropy:.1f} % of log V"
        + (f": every word near log(1/{words}) = {-math.log(words):.2f}" if sick else ""),
        entropy,
        "share of log V",
        f"at most {100 * UNIFORM:g} % after {BEGINNING} steps",
        "the live monitors' limit",
        (),
        "raise --learning_rate and lower --dropout; where neither helps, 'signloom overfit' tells whether the model "
        "can learn"
        if sick
        else "",
    )


def blank(predictions: Predictions) -> Finding:
    """Everything blank: a collapse where fewer glosses are to be expected than a constant output would have."""
    share = _mean(one.blank_share for one in predictions.every)
    emitted = _mean(one.emitted for one in predictions.every)
    run = predictions.run
    # The model that was kept may be of an epoch before the collapse.
    last = run.watched[-1] if run.watched else {}
    ended = last.get("blank_share", 0.0) >= ALL_BLANK and last.get("emitted", 1.0) < COLLAPSED
    only = share >= ALL_BLANK
    collapsed = ((only and emitted < COLLAPSED) or ended) and run.steps > BEGINNING
    late = only and run.steps > SETTLED and (not run.epochs or run.epochs[-1].epoch > SETTLED_EPOCHS)
    level = "fail" if collapsed or late else "note" if only else "ok"
    how = ""
    if collapsed and not only:
        how = f"; at the end of training {100 * last['emitted']:.0f} %: the output has collapsed to blank"
    elif collapsed:
        how = ": the output has collapsed to blank"
    elif late:
        how = f", after {run.steps:,} steps: healthy runs have left this by {SETTLED:,}"
    elif only:
        how = ": every CTC run begins so"
    advice = ""
    if collapsed:
        advice = (
            "look whether the loss or the decoder favours blank (a term, a prior, a bias), and whether annotations "
            "reach the loss; then a lower --learning_rate"
        )
    elif late:
        advice = "'signloom overfit' tells whether the model can learn; lower --dropout, raise --learning_rate"
    return Finding(
        "run.blank",
        level,
        f"blank is the likeliest word in {100 * share:.1f} % of frames, {100 * emitted:.0f} % of the annotated glosses "
        "are to be expected" + how,
        share,
        "share of frames",
        f"below {100 * ALL_BLANK:g} %, or {100 * COLLAPSED:g} % of the glosses expected and at most {SETTLED:,} steps",
        "the live monitors' limits",
        (),
        advice,
        {"share": share, "emitted": emitted, "collapsed": collapsed},
    )


def vocabulary(predictions: Predictions) -> Finding:
    """How many of the glosses that stand in the annotations are ever read."""
    annotated = {word for one in predictions.every for word in one.target}
    found = {word for one in predictions.every for word in one.predicted}
    share = len(annotated & found) / max(1, len(annotated))
    # One that has not learnt train yet says little; that is told by run.underfitting.
    sick = share < LEAST_READ and predictions.train_wer < 0.5
    never = sorted(predictions.vocabulary.words[word] for word in annotated - found)
    return Finding(
        "run.vocabulary",
        "warn" if sick else "note" if share < LEAST_READ else "ok",
        f"{len(annotated & found):,} of {len(annotated):,} glosses are ever read ({100 * share:.0f} %), in "
        f"{len(predictions.every):,} utterances",
        share,
        "share of the glosses annotated",
        f"at least {100 * LEAST_READ:g} % where WER on train is below 50 %",
        HEALTHY_RUNS,
        tuple(never[:10]),
        "glosses that are too rare to be learnt, or two names for one sign: more examples, or merge them"
        if sick
        else "",
    )


def glosses(predictions: Predictions) -> Finding:
    """Glosses that a model does not learn from the very utterances it was trained on, where it learns all others."""
    score = predictions.score(predictions.train)
    counts = by_gloss(score)
    hard = [
        one for one in counts if one.occurrences >= FEWEST and one.missed + one.invented >= UNTOLD * one.occurrences
    ]
    # Every error is one gloss missed, or one too many.
    errors_of = sum(one.missed + one.inserted for one in hard)
    words = score.reference_words - sum(one.occurrences for one in hard)
    others = (score.errors - errors_of) / words if words else math.nan
    sick = bool(hard) and others <= OTHERS_KNOWN
    return Finding(
        "run.glosses",
        "warn" if sick else "ok",
        f"{', '.join(one.gloss for one in hard[:5])} make{'s' if len(hard) == 1 else ''} {errors_of} of "
        f"{score.errors} errors on utterances of train, all others have a WER of {100 * others:.1f} %: nothing in the "
        "clips may tell them"
        if sick
        else "no gloss stays behind the others on train",
        others,
        "WER of the other glosses on train",
        f"no gloss of {FEWEST} and more wrong in {100 * UNTOLD:g} % where the others have a WER of "
        f"{100 * OTHERS_KNOWN:g} % or less",
        HEALTHY_RUNS,
        tuple(
            f"{one.gloss}: {one.missed} of {one.occurrences} missed, {one.invented} invented" for one in hard if sick
        ),
        "look at clips with and without them: labels of what is not signed (rest, pauses, comments) are to be left out "
        "of the annotations; one sign under two names is to have one"
        if sick
        else "",
    )


def one_gloss(predictions: Predictions) -> Finding:
    """Whether nearly all that is read is one gloss."""
    counts = Counter(word for one in predictions.every for word in one.predicted)
    annotated = Counter(word for one in predictions.every for word in one.target)
    total = sum(counts.values())
    if not total or len(annotated) < 3:
        return Finding("run.one_gloss", "ok", "nothing is read" if not total else "there are no three glosses to tell")
    (word, times), *_ = counts.most_common(1)
    share, due = times / total, annotated[word] / sum(annotated.values())
    much = share > MOST_OF_ONE and share > 2 * due and total >= FEWEST
    level = "ok"
    if much:
        level = "fail" if predictions.run.steps > SETTLED else "note"
    name = predictions.vocabulary.words[word]
    return Finding(
        "run.one_gloss",
        level,
        f"{100 * share:.0f} % of the {total:,} words read are {name}, {100 * due:.0f} % of the annotations"
        + (": the output has collapsed to one gloss" if level == "fail" else ""),
        share,
        "share of the words read",
        f"at most {100 * MOST_OF_ONE:g} %, after {SETTLED:,} steps",
        HEALTHY_RUNS,
        (name,),
        f"take {name} out of the annotations if it is a filler; else a lower --learning_rate, and 'signloom overfit'"
        if level == "fail"
        else "",
    )


def signers(predictions: Predictions) -> Finding:
    """WER of each signer of dev against that on training utterances."""
    if not predictions.train or not predictions.dev:
        return Finding("run.signers", "ok", "there is no dev or train to compare")
    by = {name: one.wer for name, one in predictions.score(predictions.dev).by_signer.items()}
    trained = {one.utterance.signer for one in predictions.train}
    train, dev = predictions.train_wer, predictions.dev_wer
    known = [value for name, value in by.items() if name in trained]
    new = [value for name, value in by.items() if name not in trained]
    median = float(np.median(list(by.values()))) if by else dev
    bad = [name for name, value in by.items() if value > median + 0.3 and len(by) > 2]
    gap = dev - train
    level = "warn" if bad or (gap > 0.4 and train < 0.2) else "ok"
    words = [f"WER {100 * train:.1f} % on train, {100 * dev:.1f} % on dev"]
    if known and new:
        words.append(f"signers who trained {100 * np.mean(known):.1f} %, others {100 * np.mean(new):.1f} %")
    if bad:
        words.append(f"worse than most: {', '.join(bad)}")
    return Finding(
        "run.signers",
        level,
        "; ".join(words),
        gap,
        "dev WER - train WER",
        "dev at most 40 points above a train WER below 20 %; no signer 30 points above the median signer",
        HEALTHY_RUNS,
        tuple(f"{name}: {100 * value:.1f} %" for name, value in sorted(by.items(), key=lambda pair: -pair[1])),
        "more signers in train, --augment true; look at the clips of the signers named" if level == "warn" else "",
        {"train": train, "dev": dev, "signers": by},
    )


def names(predictions: Predictions) -> Finding:
    """Whether the words are right but for their names: a renaming learnt on half of the utterances mends the others."""
    pairs = [(one.target, one.predicted) for one in predictions.every]
    words = sum(len(target) for target, _ in pairs)
    same = np.arange(len(predictions.vocabulary))
    plain = errors(pairs, same)
    mended = plain
    if len(pairs) >= 2 * FEWEST and any(found for _, found in pairs):
        halves = pairs[::2], pairs[1::2]
        mended = sum(errors(other, best_renaming(half, len(same))) for half, other in (halves, halves[::-1]))
    sick = mended <= RENAMED * plain and plain - mended >= RENAMED_POINTS * words
    renaming = best_renaming(pairs, len(same)) if sick else same
    read = Counter(word for one in predictions.every for word in one.predicted)
    vocabulary = predictions.vocabulary.words
    moved = [
        f"{vocabulary[word]} is read where {vocabulary[renaming[word]]} was signed"
        for word, _ in read.most_common()
        if renaming[word] != word
    ]
    return Finding(
        "run.names",
        "fail" if sick else "ok",
        f"WER {100 * plain / max(1, words):.1f} %, {100 * mended / max(1, words):.1f} % when glosses are renamed"
        + (": ids stand for other glosses than were trained" if sick else ""),
        mended / max(1, words),
        "WER after renaming",
        f"a renaming, one to one, learnt on half of the utterances mends less than {100 * (1 - RENAMED):.0f} % of the "
        "errors of the others",
        HEALTHY_RUNS,
        tuple(moved[:10]),
        "decode with the vocabulary the model was trained with, in the same order (blank 0, unknown 1)" if sick else "",
        {"plain": plain / max(1, words), "renamed": mended / max(1, words)},
    )


def own_annotation(predictions: Predictions) -> Finding:
    """Whether a clip's own annotation is more probable than others' of its length: a permutation test by the model."""
    own = {name: [one.wins for one in part if len(one.others)] for name, part in _parts(predictions)}
    wins = {name: _mean(values) for name, values in own.items()}
    enough = all(len(values) >= FEWEST for values in own.values())
    slip, fits = _slipped(predictions.every)
    slipped = enough and fits >= NEIGHBOUR_WINS and max(wins.values()) < LEARNT
    sick = slipped or (
        enough and predictions.num_trained >= FEWEST_TRAINED and wins["train"] >= LEARNT and wins["dev"] < CHANCE
    )
    share = {name: value for name, value in wins.items() if not math.isnan(value)}
    return Finding(
        "run.annotations",
        "fail" if sick else "ok",
        "the annotation of a clip is more probable than others of its length in "
        + (", ".join(f"{100 * value:.0f} % of pairs on {name}" for name, value in share.items()) or "no pair")
        + (
            f"; that of the utterance {abs(slip)} {'after' if slip > 0 else 'before'} it is more probable in "
            f"{100 * fits:.0f} % of clips"
            if slipped
            else ": train was learnt by heart, and dev does not follow from it"
            if sick
            else ""
        ),
        wins["dev"],
        "share of pairs; 50 % is chance",
        f"at least {100 * CHANCE:g} % on dev where {FEWEST_TRAINED} utterances or more of train have "
        f"{100 * LEARNT:g} %; no neighbour's more probable in {100 * NEIGHBOUR_WINS:g} %",
        HEALTHY_RUNS,
        (),
        "look at a few clips with their glosses: the annotations are not those of the clips" if sick else "",
        {**wins, "slipped by": slip if slipped else 0},
    )


def _slipped(predictions: Sequence[Prediction]) -> tuple[int, float]:
    """The place beside an utterance whose annotation is oftenest more probable than its own, and how often."""
    won: dict[int, list[bool]] = {}
    for one in predictions:
        for step, value in one.neighbours.items():
            won.setdefault(step, []).append(value > one.own)
    shares = {step: sum(values) / len(values) for step, values in won.items() if len(values) >= FEWEST}
    step = max(shares, key=lambda key: shares[key], default=0)
    return step, shares.get(step, 0.0)


def scores(predictions: Predictions) -> Finding:
    """Whether word error rates on record are those of the model, and not with reference and hypothesis exchanged."""
    run, where, levels, swapped = predictions.run, [], ["ok"], False
    if run.best is not None and predictions.dev and predictions.whole_dev:
        right = predictions.score(predictions.dev)
        recorded = run.best.dev_wer
        if abs(recorded - right.wer) > CLOSE:
            other = right.errors / right.hypothesis_words if right.hypothesis_words else math.inf
            exchanged = abs(recorded - other) <= SAME
            swapped |= exchanged
            levels.append("fail" if exchanged else "warn")
            where.append(
                f"history.json: {100 * recorded:.2f} % on dev, where {right.errors} errors in {right.reference_words} "
                f"annotated words are {100 * right.wer:.2f} %"
                + (f"; {recorded:.4f} is {right.errors} / {right.hypothesis_words} words read" if exchanged else "")
            )
    for split, record in run.evaluations.items():
        said, exchanged = _evaluation(predictions, split, record)
        if said:
            swapped |= exchanged
            levels.append("fail" if exchanged else "warn")
            where.append(said)
    level = "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"
    return Finding(
        "run.scores",
        level,
        "reference and hypothesis are exchanged in a score on record"
        if swapped
        else "a score on record is not the model's"
        if level == "warn"
        else "scores on record are those of the model and the corpus",
        float(len(where)),
        "scores",
        "the same errors, over the words of the annotations",
        "the word error rate is errors / words of the reference",
        tuple(where),
        "score(reference, hypothesis), in this order and by name; 'signloom evaluate' writes it anew"
        if swapped
        else "the corpus, the model file or the decoder changed since: 'signloom evaluate' writes it anew"
        if level == "warn"
        else "",
        {"exchanged": swapped},
    )


def _evaluation(predictions: Predictions, split: str, record: Mapping[str, Any]) -> tuple[str, bool]:
    """What is wrong with an evaluation on record, and whether it is an exchange of reference and hypothesis."""
    corpus = {item.id: item.glosses for item in predictions.corpus if item.split == split}
    if record.get("protocol") != "plain" or record.get("corpus") != predictions.corpus.name or not corpus:
        return "", False
    utterances = record.get("utterances") or []
    ids = {one["id"] for one in utterances} & set(corpus) or set(corpus)
    annotated = sum(len(corpus[name]) for name in ids)
    counted = int(record["reference_words"])
    if counted == annotated:
        differs = [one for one in utterances if one["id"] in corpus and tuple(one["reference"]) != corpus[one["id"]]]
        if not differs:
            return "", False
    other = counted - int(record.get("deletions", 0)) + int(record.get("insertions", 0))
    exchanged = other == annotated or (
        bool(utterances) and all(tuple(one["hypothesis"]) == corpus.get(one["id"]) for one in utterances)
    )
    return (
        f"evaluation-{split}.json: {counted:,} reference words, where the annotations of {split} have {annotated:,}"
        + (", as many as its hypotheses" if exchanged else ""),
        exchanged,
    )


def _parts(predictions: Predictions) -> tuple[tuple[str, Sequence[Prediction]], ...]:
    return ("train", predictions.train), ("dev", predictions.dev)


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan


Check = Callable[[Predictions], Finding]
CHECKS: dict[str, Check] = {
    "run.uniform": uniform,
    "run.blank": blank,
    "run.vocabulary": vocabulary,
    "run.glosses": glosses,
    "run.one_gloss": one_gloss,
    "run.signers": signers,
    "run.names": names,
    "run.annotations": own_annotation,
    "run.scores": scores,
}
