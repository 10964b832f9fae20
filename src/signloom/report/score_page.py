"""The page of a score: the rate and its scoring rule, where the errors are, every aligned utterance.

`assets/score.js` lists the utterances and glosses from the page's block of data. It keeps its state in the address.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus

from signloom.errors import plural
from signloom.report.charts import Column, bar, columns
from signloom.report.html import Html, card, document, element, header, table
from signloom.report.score_data import Words, block, utterance_rows
from signloom.report.sections import ERRORS, KINDS, percent, rule_note
from signloom.score.analysis import by_gloss, by_length, confusions, part
from signloom.score.protocols import protocol_named
from signloom.score.text import by_rule
from signloom.score.wer import Score

# The chart of errors per utterance has a column for each number below this one; the last column is for it and more.
MAX_ERROR_COLUMNS = 8
# With more signers than this, the table shows the worst; the others can be opened.
SIGNERS_SHOWN = 15


def render_score_page(
    score: Score,
    *,
    title: str = "Score",
    subtitle: str = "",
    labels: Sequence[str] = (),
    link: tuple[str, str] | None = None,
) -> str:
    """Returns the page as text: one HTML file, which loads nothing else and needs no server.

    title: the heading, e.g. a corpus and split.  subtitle: a line under it, e.g. which files were compared.
    labels: warnings beside it (simulated signing).  link: text and address of a page to go back to.
    """
    words, signers = Words(), Words()
    pairs = confusions(score)
    record = {
        "systems": ["hypothesis"],
        "utterances": utterance_rows([score.utterances], words, signers),
        "glosses": [
            [words[g.gloss], g.occurrences, g.correct, g.substituted, g.deleted, g.inserted, g.stands_for_another]
            for g in by_gloss(score)
        ],
        "confusions": [[words[p.reference], words[p.hypothesis], p.count, p.occurrences] for p in pairs],
    }
    record |= {"words": list(words.numbers), "signers": list(signers.numbers)}
    return score_document(
        title,
        header(title, subtitle, labels, link),
        _headline(score),
        _lengths(score),
        _signers(score),
        _glosses(score),
        element("section", element("h2", "Confused glosses"), element("div", id="pairs")) if pairs else None,
        utterance_section(),
        record=record,
    )


def score_document(title: str, *sections: Html | None, record: dict[str, Any]) -> str:
    """Returns a page whose script lists the glosses and utterances of `record`."""
    return document(f"{title} - signloom", *sections, styles=["score.css"], script="score.js", data=block(record))


def utterance_section() -> Html:
    """Returns the controls for search, order and filter, above the list that the script fills."""
    legend = [
        element("span", element("span", kind, class_=f"mark {kind}"), f"{name}: {meaning}")
        for kind, (name, meaning) in ERRORS.items()
    ]
    search = Html(
        '<input type="search" id="q" placeholder="Search id, gloss or signer" aria-label="Search id, gloss or signer">'
    )
    return element(
        "section",
        element("h2", "Utterances"),
        element("p", *legend, class_="legend soft"),
        element(
            "div",
            search,
            element("select", id="only", aria_label="which utterances"),
            element("select", id="sort", aria_label="order"),
            class_="tools",
        ),
        element("div", id="chips", class_="tools"),
        element("p", id="status", class_="soft small", aria_live="polite"),
        element("div", id="list"),
        element("button", "Show more", id="further", type="button"),
        Html("<noscript><p>The list of utterances and the tables of glosses need JavaScript.</p></noscript>"),
        id="utterances",
    )


def gloss_section(title: str, presets: Mapping[str, str], more: str) -> Html:
    """Returns the section of glosses, whose table the script fills.

    presets: orders of the table by the name on their button.  more: sentences after the explanation of the columns.
    """
    buttons = [element("button", name, type="button", data_set=f"glosses={value}") for name, value in presets.items()]
    explanation = (
        "Missed: signed, but deleted or substituted. Invented: recognised, but inserted or in the place of another "
        f"gloss. {more}"
    )
    return element(
        "section",
        element("h2", title),
        element("p", explanation, class_="soft small"),
        element("div", *buttons, class_="tools"),
        element("div", id="glosses"),
    )


def signer_link(name: str) -> str:
    """Returns a link that shows only the utterances of a signer; plain text for utterances without one."""
    if name == "?":
        return name
    address = "signer=" + quote_plus(name, errors="replace")
    return element("a", element("bdi", name), href=f"#{address}", data_filter=address)


def _headline(score: Score) -> Html:
    interval = score.interval()
    perfect = sum(not utterance.errors for utterance in score.utterances)
    share = percent(perfect / len(score.utterances))
    note = (
        f"{100 * interval.level:g} % interval {percent(interval.low)} to {percent(interval.high)}, "
        f"bootstrap over {interval.resampled(len(score.utterances))}"
    )
    signed = plural(score.reference_words, "reference gloss")
    ratio = score.hypothesis_words / score.reference_words
    cards = [
        card(f"Word error rate{by_rule(score.protocol)}", percent(score.wer), note, lead=True),
        card("Errors", f"{score.errors:,}", f"in {signed}"),
        card("Without errors", share, f"{perfect:,} of {plural(len(score.utterances), 'utterance')}"),
        card("Recognised glosses", f"{score.hypothesis_words:,}", f"{ratio:.2f} per signed gloss"),
    ]
    counts = {"C": score.correct, "S": score.substitutions, "D": score.deletions, "I": score.insertions}
    composition = element(
        "div",
        *(
            element("i", style=f"flex:{count} 0 0", class_=kind, title=f"{count:,} {KINDS[kind][0]}")
            for kind, count in counts.items()
            if count
        ),
        class_="composition",
        aria_hidden="true",
    )
    legend = [
        element(
            "span",
            element("span", kind, class_=f"mark {kind}"),
            element("b", f"{count:,} "),
            f"{KINDS[kind][0]} ({percent(count / score.reference_words)})",
        )
        for kind, count in counts.items()
    ]
    return element(
        "section",
        element("div", *cards, class_="cards"),
        composition,
        element("div", *legend, class_="legend"),
        rule_note(score.protocol, score.rule),
    )


def _lengths(score: Score) -> Html:
    items, rows = [], []
    for bucket in by_length(score.utterances):
        inside = part(score, bucket.utterances)
        head = [bucket.name, f"{len(bucket.utterances):,}"]
        counts = [f"{n:,}" for n in (inside.substitutions, inside.deletions, inside.insertions, inside.reference_words)]
        if not inside.reference_words:
            rows.append([*head, "no rate", "", *counts])
            continue
        interval = inside.interval()
        reach = f"{percent(interval.low)} to {percent(interval.high)}"
        rows.append([*head, percent(inside.wer), reach, *counts])
        note = (
            f"{bucket.name} glosses: WER {percent(inside.wer)} ({reach}), {plural(len(bucket.utterances), 'utterance')}"
        )
        under = f"{len(bucket.utterances):,}"
        items.append(Column(bucket.name, inside.wer, note, interval.low, interval.high, under, f"length={bucket.name}"))
    tally = Counter(min(utterance.errors, MAX_ERROR_COLUMNS) for utterance in score.utterances)
    most = max(tally)
    spread = []
    for errors in range(most + 1):
        name = f"{errors}+" if errors == MAX_ERROR_COLUMNS else str(errors)
        count = tally[errors]
        note = f"{plural(count, 'utterance')} with {name} {'error' if errors == 1 else 'errors'}"
        spread.append(Column(name, count / len(score.utterances), note, under=f"{count:,}"))
    head = ["glosses", "utterances", "WER", "95 % interval", "S", "D", "I", "reference glosses"]
    return element(
        "section",
        element("h2", "By utterance length"),
        element(
            "div",
            element(
                "figure",
                element("h3", "Word error rate"),
                columns(items, _round_percent, axis="glosses in the reference; below: number of utterances"),
            ),
            element(
                "figure",
                element("h3", "Errors per utterance"),
                columns(spread, _round_percent, axis="errors per utterance; below: number of utterances"),
            ),
            class_="pair",
        ),
        element("details", element("summary", "As a table"), table(head, [list(row) for row in rows])),
    )


def _signers(score: Score) -> Html | None:
    parts = score.by_signer
    if not parts:
        return None
    intervals = {name: inside.interval() for name, inside in parts.items() if inside.reference_words}
    longest = max([1e-9, *(interval.high for interval in intervals.values())])
    rows: list[list[object]] = []
    # Signers without reference glosses, who have no rate, come last.
    for name, inside in sorted(parts.items(), key=lambda item: (item[0] not in intervals, -item[1].wer, item[0])):
        rate: list[object] = [None, "no rate", ""]
        if interval := intervals.get(name):
            drawn = bar(inside.wer, interval.low, interval.high, longest, percent)
            reach = f"{percent(interval.low)} to {percent(interval.high)}"
            rate = [element("div", drawn, class_="signer-bar"), percent(inside.wer), reach]
        counts = (inside.substitutions, inside.deletions, inside.insertions, inside.reference_words)
        rows.append([signer_link(name), *rate, *(f"{n:,}" for n in (*counts, len(inside.utterances)))])
    head = ["signer", "", "WER", "95 % interval", "S", "D", "I", "glosses", "utterances"]
    title = "Signers" if len(parts) > 1 else "Signer"
    note = None
    if len(parts) == 1:
        note = element("p", "One signer made all utterances: the rate says nothing about others.", class_="soft small")
    few, more = rows[:SIGNERS_SHOWN], rows[SIGNERS_SHOWN:]
    rest = None
    if more:
        name = f"{plural(len(more), 'more signer')}, with fewer errors"
        rest = element("details", element("summary", name), table(head, more, numeric_from=2))
    return element("section", element("h2", title), note, table(head, few, numeric_from=2), rest)


def _glosses(score: Score) -> Html:
    empty = protocol_named(score.protocol).empty
    more = "Click a number to see its utterances."
    if empty and any(empty in utterance.alignment.hypothesis for utterance in score.utterances):
        more += f" The scoring rule puts {empty} in the place of a hypothesis without glosses."
    presets = {
        "most missed": "missed-",
        "highest share missed": "rate-",
        "most invented": "invented-",
        "most frequent": "occurs-",
    }
    return gloss_section("Glosses", presets, more)


def _round_percent(rate: float) -> str:
    return f"{100 * rate:g} %" if 100 * rate >= 1 or not rate else f"{100 * rate:.2g} %"
