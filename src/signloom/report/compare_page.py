"""The page that compares two systems: the verdict, and both alignments of every utterance."""

from __future__ import annotations

from signloom.report.charts import bars, difference
from signloom.report.html import Html, element, header, table
from signloom.report.score_data import Words, utterance_rows
from signloom.report.score_page import gloss_section, score_document, signer_link, utterance_section
from signloom.report.sections import percent, rule_note
from signloom.score.compare import Comparison
from signloom.score.compare_text import FEW, FEW_UTTERANCES, changes, points, segment_sentence
from signloom.score.text import by_rule


def render_compare_page(comparison: Comparison) -> str:
    """Returns the page as text: one HTML file, which loads nothing else and needs no server."""
    words, signers = Words(), Words()
    record = {
        "systems": [comparison.name_a, comparison.name_b],
        "utterances": utterance_rows(
            [[pair.a for pair in comparison.pairs], [pair.b for pair in comparison.pairs]], words, signers
        ),
        "glosses": [
            [words[g.gloss], g.occurrences, g.a.missed, g.b.missed, g.a.invented, g.b.invented]
            for g in comparison.glosses
        ],
    }
    record |= {"words": list(words.numbers), "signers": list(signers.numbers)}
    title = "Comparison of two systems"
    presets = {
        "most gained": "gain-",
        "most lost": "gain+",
        "fewer invented": "fewer-",
        "more invented": "fewer+",
    }
    more = "A positive number means that B is better. Click a number to see its utterances."
    return score_document(
        title,
        header(title, f"A: {comparison.name_a} · B: {comparison.name_b}"),
        _headline(comparison),
        _signers(comparison),
        gloss_section("Glosses gained and lost", presets, more),
        utterance_section(),
        record=record,
    )


def _headline(comparison: Comparison) -> Html:
    rates = {}
    for letter, name, score in (("A", comparison.name_a, comparison.a), ("B", comparison.name_b, comparison.b)):
        own = score.interval()
        rates[letter if name == letter else f"{letter}  {name}"] = (score.wer, own.low, own.high)
    interval = comparison.interval
    note = (
        f"B minus A: {points(comparison.difference)} points; {100 * interval.level:g} % interval "
        f"{points(interval.low)} to {points(interval.high)} by the paired bootstrap over "
        f"{interval.resampled(len(comparison.pairs))} ({interval.resamples:,} resamples, seed {interval.seed}). "
        "The same utterances are drawn for both systems, so this interval decides, even where the intervals of the "
        f"two rates overlap. Matched-pairs sentence segment test: {segment_sentence(comparison)}. Neither says "
        "anything about other signers, or about the same systems after another training."
        + (f" {FEW}" if len(comparison.pairs) < FEW_UTTERANCES else "")
    )
    return element(
        "section",
        element("p", comparison.verdict(), class_="verdict"),
        element("p", f"{changes(comparison)}.", class_="soft"),
        element(
            "div",
            element("figure", element("h3", f"Word error rate{by_rule(comparison.a.protocol)}"), bars(rates, percent)),
            element(
                "figure",
                element("h3", "Difference in points, B minus A"),
                difference(
                    comparison.difference,
                    interval.low,
                    interval.high,
                    lambda rate: f"{100 * rate:+.3g}" if rate else "0",
                    left="B is better",
                    right="A is better",
                ),
            ),
            class_="pair",
        ),
        element("p", note, class_="soft small"),
        rule_note(comparison.a.protocol, comparison.a.rule),
    )


def _signers(comparison: Comparison) -> Html | None:
    if not comparison.signers:
        return None
    rows: list[list[object]] = []
    for name, (a, b) in comparison.signers.items():
        change = b.wer - a.wer
        mark = element("span", points(change), class_="up" if change < 0 else "down" if change > 0 else None)
        counts = (f"{a.reference_words:,}", f"{len(a.utterances):,}")
        rows.append([signer_link(name), percent(a.wer), percent(b.wer), mark, *counts])
    head = ["signer", "WER of A", "WER of B", "B minus A, points", "glosses", "utterances"]
    return element("section", element("h2", "Signers" if len(rows) > 1 else "Signer"), table(head, rows))
