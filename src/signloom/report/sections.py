"""The sections of the report page. Each is made from the plain values of one file of the run."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signloom.corpus import simulated_label
from signloom.corpus.splits import KNOWN_DEV
from signloom.errors import plural
from signloom.report.charts import EpochChart, Span, bars, epoch_charts, is_finite, short, timeline
from signloom.report.finding import light
from signloom.report.html import Html, card, element, header, join, table
from signloom.run_folder import Run
from signloom.score.alignment import CORRECT, DELETION, Alignment, align
from signloom.score.text import by_rule
from signloom.score.wer import Score, UtteranceScore

WORST = 8
EPOCHS_EXPLAINED = (
    "An epoch is one pass over all utterances of train. The model learns from train only. After each epoch it is tried "
    "on the utterances of dev; the model with the lowest word error rate there is kept (dashed line). The loss of "
    "train is that of changed copies of its utterances (augmentation), so it may be above that of dev. If dev rises "
    "while train falls, the model learns its training utterances by heart: more signers, more utterances or fewer "
    "epochs help."
)
SPANS_EXPLAINED = (
    "Point at a bar to see its times. The model finds the moment of each sign. Where a sign starts and ends is an "
    "estimate: half-way to the next sign, or by the usual length of a sign if the next one is far away."
)
# Name and meaning of each kind of step in an alignment.
KINDS = {
    "C": ("correct", "recognised as it was signed"),
    "S": ("substituted", "another gloss was recognised"),
    "D": ("deleted", "signed, not recognised"),
    "I": ("inserted", "recognised, not signed"),
}
ERRORS = {kind: KINDS[kind] for kind in "SDI"}


def title(name: str, run: Mapping[str, Any], evaluations: Mapping[str, Mapping[str, Any]]) -> Html:
    """Returns the title and the labels. Simulated signing is named first, so that nobody takes its rates for real."""
    corpus = run.get("corpus", {})
    shown = corpus.get("name") or next((e["corpus"] for e in evaluations.values() if e.get("corpus")), None)
    return header(name, f"training run{f' on the corpus {shown}' if shown else ''}", corpus_labels(corpus))


def corpus_labels(corpus: Mapping[str, Any]) -> list[str]:
    """Returns the warnings that belong beside every rate on a corpus, from its record."""
    labels = [label] if (label := simulated_label(corpus)) else []
    if corpus.get("composed"):
        labels.append("composed of isolated signs: these figures say nothing about natural sentences")
    return labels


def headline(
    evaluation: Mapping[str, Any], split: str, run: Mapping[str, Any], history: Mapping[str, Any] | None
) -> Html:
    """Returns the word error rate with its interval and scoring rule, model size, training time, and the baseline."""
    interval, baseline = evaluation["interval"], evaluation.get("baseline")
    whose = "unseen signers" if evaluation.get("unseen_signers") else f"the {split} split"
    signed = evaluation["reference_words"]
    lead = card(
        f"Word error rate{by_rule(evaluation['protocol'])} on {whose}",
        percent(evaluation["wer"]),
        f"{interval['level']:.0%} interval {percent(interval['low'])} to {percent(interval['high'])}, "
        f"{plural(evaluation['num_utterances'], 'utterance')}",
        lead=True,
    )
    compared = None
    if baseline:
        other = baseline.get("interval") or {}
        rates = {
            "this model": (evaluation["wer"], interval["low"], interval["high"]),
            str(baseline.get("name", "baseline")): (baseline["error_rate"], other.get("low"), other.get("high")),
        }
        note = element("p", baseline["note"], class_="soft small") if baseline.get("note") else None
        title = element("h3", "Compared with a simple method (baseline)")
        compared = element("div", title, bars(rates, percent), note, style="margin-top:18px")
    return element(
        "section",
        element("div", lead, *_facts(run, history), class_="cards"),
        element(
            "p",
            f"A gloss is the written name of a sign. Of {plural(signed, 'signed gloss')}, "
            f"{evaluation['substitutions']:,} came out as another gloss (substituted) and {evaluation['deletions']:,} "
            f"did not come out (deleted); {evaluation['insertions']:,} came out without being signed (inserted). The "
            "word error rate (WER) is the sum of the three, divided by the number of signed glosses: 0 % is perfect. "
            "The interval shows how far the choice of test utterances may move it by chance.",
            class_="small",
        ),
        compared,
        rule_note(evaluation["protocol"], evaluation["rule"]),
    )


def rule_note(protocol: str, rule: str, more: str = "") -> Html:
    """Returns the description of the scoring rule, and `more` after it."""
    return element("p", element("b", f"Scoring rule “{protocol}”: "), f"{rule.rstrip('.')}.{more}", class_="soft small")


def facts(run: Mapping[str, Any], history: Mapping[str, Any] | None) -> Html | None:
    """Returns the model's size and training time alone, for a run without an evaluation."""
    cards = _facts(run, history)
    return element("section", element("div", *cards, class_="cards")) if cards else None


def _facts(run: Mapping[str, Any], history: Mapping[str, Any] | None) -> list[Html]:
    cards: list[Html] = []
    model = run.get("model", {})
    if "parameters" in model:
        cards.append(card("Size of the model", _large(model["parameters"]), f"weights{_of_preset(model)}"))
    epochs = (history or {}).get("epochs", [])
    seconds = run.get("training_seconds") or sum(epoch.get("seconds") or 0 for epoch in epochs)
    if seconds:
        cards.append(card("Training time", duration(seconds), f"{plural(len(epochs), 'epoch')}" if epochs else ""))
    rates = [epoch["frames_per_second"] for epoch in epochs if is_finite(epoch.get("frames_per_second"))]
    if rates:
        cards.append(card("Training speed", _large(sum(rates) / len(rates)), "frames per second"))
    return cards


def training(history: Mapping[str, Any], run: Mapping[str, Any]) -> Html | None:
    """Returns loss and word error rate over the epochs, as curves and as a table that can be opened, and a warning
    where dev holds signers of train only."""
    epochs = history["epochs"]
    if not epochs:
        return None
    charts = [
        EpochChart("Loss per gloss: what training makes small", {"dev": "dev_loss", "train": "train_loss"}, short),
        EpochChart("Word error rate on dev", {"dev": "dev_wer"}, _short_percent, from_zero=True),
    ]
    columns = {
        "epoch": ("epoch", lambda value: f"{value:g}"),
        "train loss": ("train_loss", short),
        "dev loss": ("dev_loss", short),
        "dev WER": ("dev_wer", percent),
        "learning rate": ("learning_rate", lambda value: f"{value:.2e}"),
        "seconds": ("seconds", lambda value: f"{value:.1f}"),
    }
    rows: list[list[object]] = [
        [show(epoch[key]) if is_finite(epoch.get(key)) else _gap(epoch.get(key)) for key, show in columns.values()]
        for epoch in epochs
    ]
    every = element("details", element("summary", "Every epoch"), table(list(columns), rows, numeric_from=0))
    known = (run.get("corpus") or {}).get("dev_is_known")
    return element(
        "section",
        element("h2", "Training"),
        element("p", light("note"), f" {KNOWN_DEV[:1].upper()}{KNOWN_DEV[1:]}.") if known else None,
        epoch_charts(epochs, charts, best_epoch=history.get("best_epoch")),
        element("p", EPOCHS_EXPLAINED, class_="soft small"),
        every,
    )


def transcript(record: Mapping[str, Any]) -> Html:
    """Returns one transcribed utterance over time, the reference above the hypothesis."""
    reference, hypothesis = record["reference"], record["hypothesis"]
    aligned = align(reference=reference, hypothesis=[span["gloss"] for span in hypothesis])
    is_right = not any(op.kind != CORRECT for op in aligned.ops)
    right = [op.kind == CORRECT for op in aligned.ops if op.kind != DELETION]
    lanes: dict[str, list[Span]] = {}
    if times := record.get("reference_spans"):
        lanes["reference"] = [
            Span(gloss, start, end, f"{gloss}: {start:.2f} to {end:.2f} s")
            for gloss, (start, end) in zip(reference, times, strict=True)
        ]
    lanes["recognised"] = [
        Span(
            span["gloss"],
            span["start_seconds"],
            span["end_seconds"],
            f"{span['gloss']}: {span['start_seconds']:.2f} to {span['end_seconds']:.2f} s, "
            f"confidence {span['confidence']:.0%}{'' if good else ', not in the reference here'}",
            good,
        )
        for span, good in zip(hypothesis, right, strict=True)
    ]
    split = record.get("split", "test")
    return element(
        "section",
        element("h2", "One utterance, transcribed"),
        element("p", f"{record['id']} of the {split} split, {record['duration_seconds']:.1f} s", class_="soft small"),
        timeline(lanes, record["duration_seconds"]),
        element("h3", "Gloss by gloss", style="margin-top:14px"),
        None if is_right else _legend(),
        _aligned(aligned),
        element(
            "p",
            SPANS_EXPLAINED,
            class_="soft small",
        ),
    )


def signers(evaluation: Mapping[str, Any], split: str, page: str | None = None) -> Html | None:
    """Returns a table with one row per signer, and one for all of them."""
    parts = evaluation.get("signers") or {}
    counts = ("substitutions", "deletions", "insertions", "reference_words", "num_utterances")
    rows: list[list[object]] = [
        [name, "no rate" if part["wer"] is None else percent(part["wer"]), *(f"{part[key]:,}" for key in counts)]
        for name, part in [*parts.items(), ("all", evaluation)]
    ]
    head = ["signer", "WER", *(name for name, _ in ERRORS.values()), "signed glosses", "utterances"]
    title = f"Signers of the {split} split"
    if evaluation.get("unseen_signers"):
        title += ", none of them in training"
    return element("section", element("h2", title), table(head, rows), _score_link(split, page))


def worst(evaluation: Mapping[str, Any], split: str, page: str | None = None) -> Html | None:
    """Returns the utterances with the most errors, their alignments coloured."""
    if "utterances" not in evaluation:
        return None
    scored = [UtteranceScore.from_json(item, place=f"evaluation of {split}") for item in evaluation["utterances"]]
    wrong = Score.of(evaluation["protocol"], scored).worst(len(scored))
    perfect = len(scored) - len(wrong)
    legend = _legend()
    items = []
    for utterance in wrong[:WORST]:
        aligned = utterance.alignment
        counts = f"{plural(utterance.errors, 'error')} in {plural(utterance.reference_words, 'gloss')}"
        name = element("span", f"{utterance.id}{f' · {utterance.signer}' if utterance.signer else ''}")
        head = element("div", name, element("span", counts, class_="soft"), class_="head")
        items.append(element("div", head, _aligned(aligned), class_="utterance"))
    return element(
        "section",
        element("h2", "Utterances with the most errors" if wrong else "Utterances"),
        element(
            "p", f"{perfect:,} of {plural(len(scored), 'utterance')} of {split} without any error.", class_="soft small"
        ),
        legend if wrong else None,
        *items,
        _score_link(split, page),
    )


def _score_link(split: str, page: str | None) -> Html | None:
    """Returns a link to the page with all utterances of a split, or None where there is no such page."""
    if page is None:
        return None
    return element(
        "p",
        element("a", f"Every utterance of {split}", href=page),
        ", with search and order, and the errors by gloss, confused pair, signer and length",
        class_="small",
    )


def corpus(run: Mapping[str, Any]) -> Html | None:
    """Returns the size of each split of the corpus, or None where the run does not record it."""
    record = run.get("corpus") or {}
    if not record.get("summary"):
        return None
    rows: list[list[object]] = [
        [
            split,
            f"{row['utterances']:,}",
            row["signers"],
            f"{row['running_glosses']:,}",
            f"{row['distinct_glosses']:,}",
            duration(row["hours"] * 3600),
        ]
        for split, row in record["summary"].items()
    ]
    return element(
        "section",
        element("h2", f"Corpus {record.get('name', '')}"),
        table(["split", "utterances", "signers", "glosses", "different glosses", "duration"], rows),
    )


def settings(run: Mapping[str, Any]) -> Html | None:
    """Returns recipe, model and environment: what is needed to repeat this run. None where none is recorded."""
    blocks = []
    for title, key in (
        ("Options of the training (recipe)", "recipe"),
        ("Model", "model"),
        ("Computer and packages", "environment"),
    ):
        values = dict(run.get(key) or {})
        if key == "recipe" and "seed" in run:
            values.setdefault("seed", run["seed"])
        if values:
            rows: list[list[object]] = [[name, element("code", _plain(value))] for name, value in values.items()]
            blocks.append(element("details", element("summary", title), table(["name", "value"], rows, numeric_from=9)))
    return element("section", element("h2", "How this run was made"), *blocks) if blocks else None


def next_steps(run: Mapping[str, Any], folder: Path) -> Html:
    """Returns the next steps: the run's own (`next_steps` of its record: text and command), or else the usual ones."""
    corpus = run.get("corpus") or {}
    nested = {
        "text": "Measure how well new people are recognised. Dev cannot: all its signers are in train too",
        "command": f"signloom crossval --data_dir {corpus.get('path', 'CORPUS')} --nested --output runs/nested",
    }
    steps = run.get("next_steps") or [
        *([nested] if corpus.get("dev_is_known") else []),
        {
            "text": "Recognise signs in a video of your own",
            "command": f"signloom transcribe video.mp4 --model {Run(folder).model_file}",
        },
        {
            "text": "Extract landmarks from your own videos, to train on them",
            "command": "signloom extract videos --output landmarks",
        },
        {
            "text": "Turn annotations or other people's landmarks into a corpus",
            "command": "signloom import --help",
        },
    ]
    items = [element("li", step["text"], element("pre", step["command"])) for step in steps]
    return element("section", element("h2", "What to do next"), element("ol", *items))


def missing(title: str, what: str, command: str) -> Html:
    """Returns the place of a section that cannot be shown yet, with the command that provides it."""
    return element("section", element("h2", title), element("p", f"{what}:", class_="soft"), element("pre", command))


def _legend() -> Html:
    """Returns what the colours of an alignment mean."""
    kinds = [
        join(element("span", name, class_=f"chip {kind}"), element("span", meaning, class_="soft small"))
        for kind, (name, meaning) in ERRORS.items()
    ]
    where = element("span", "above: what was signed (reference); below: what was recognised", class_="soft small")
    return element("p", *(element("span", kind) for kind in kinds), where, class_="legend")


def _aligned(alignment: Alignment) -> Html:
    steps = []
    for op in alignment.ops:
        tooltip = None if op.kind == CORRECT else KINDS[op.kind][0]
        reference = element("bdi", op.reference or "", class_="ref")
        hypothesis = element("bdi", op.hypothesis or "", class_="hyp")
        shown = (reference, hypothesis) if op.kind != CORRECT or op.reference != op.hypothesis else (reference,)
        steps.append(element("span", *shown, class_=f"step {op.kind}", title=tooltip))
    # `dir="auto"` ignores the text inside <bdi>.
    words = alignment.reference or alignment.hypothesis
    return element("div", *steps, class_="aligned", dir="rtl" if words and right_to_left(words[0]) else None)


def right_to_left(text: str) -> bool:
    """Returns whether the first letter that has a direction belongs to a script written from right to left."""
    directions = (unicodedata.bidirectional(letter) for letter in text)
    return next((direction in ("R", "AL") for direction in directions if direction in ("L", "R", "AL")), False)


def percent(rate: float) -> str:
    """Returns a rate with two decimals below 10 %, else with one, e.g. `7.31 %`."""
    return f"{100 * rate:.2f} %" if abs(rate) < 0.1 else f"{100 * rate:.1f} %"


def duration(seconds: float) -> str:
    """Returns a duration in seconds, minutes or hours, e.g. `42 s`, `3.5 min`, `2.1 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _of_preset(model: Mapping[str, Any]) -> str:
    return f", preset {model['preset']}" if model.get("preset") else ""


def _large(number: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def _short_percent(value: float) -> str:
    return f"{100 * value:g} %" if 100 * value == round(100 * value) else percent(value)


def _gap(value: Any) -> str:
    return "" if value is None else str(value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
