"""The page of `signloom doctor`: one file, which loads nothing else. It shows findings and judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from signloom.errors import plural
from signloom.report.charts import MIN_TIMELINE_WIDTH, PIXELS_PER_SECOND, bars
from signloom.report.finding import FINDING_CSS, WORDS, light, show_finding
from signloom.report.html import Html, document, element, join

LEVELS = ("fail", "warn", "note", "ok")


def render(record: Mapping[str, Any], evidence: Mapping[str, Any], rerun: str) -> str:
    """Returns the page as text.

    record: a diagnosis as JSON.  evidence: `skeletons` by finding, `posterior`.  rerun: the command that repeats one
    check, without the check's name.
    """
    findings = sorted(record["findings"], key=lambda finding: LEVELS.index(finding["level"]))
    suites = list(dict.fromkeys(finding["id"].partition(".")[0] for finding in record["findings"]))
    sections = [
        element(
            "section",
            element("h2", suite.capitalize()),
            *(_finding(finding, evidence, rerun) for finding in findings if finding["id"].startswith(f"{suite}.")),
        )
        for suite in suites
    ]
    lights = [element("span", light(level), element("b", record["counts"][level]), WORDS[level]) for level in LEVELS]
    curve = _posterior(evidence.get("posterior"))
    title = f"{record['subject']} - signloom doctor"
    head = element(
        "header",
        element("h1", "Training health"),
        element("p", record["subject"], class_="soft"),
        element("div", *lights, class_="lights"),
        element("p", f"{plural(len(findings), 'check')} in {record['seconds']:.1f} seconds", class_="soft small"),
        element("p", "Repeat one check: ", element("code", f"{rerun} CHECK"), class_="soft small"),
    )
    body = (head, _causes(record["causes"]), *sections, curve)
    return document(title, *body, styles=[FINDING_CSS, "health.css"])


def _causes(causes: Sequence[Mapping[str, Any]]) -> Html | None:
    if not causes:
        return None
    parts: list[Html] = [element("h2", f"Most likely cause: {causes[0]['headline']}")]
    for number, cause in enumerate(causes):
        if number:
            parts.append(element("p", f"Also possible: {cause['headline']}"))
        shown = [element("li", element("code", name), " ", headline) for name, headline in cause["evidence"]]
        parts.append(element("ul", *shown, class_="small"))
        if not number:
            parts.append(element("p", cause["advice"], class_="advice"))
    return element("section", *parts, class_="cause")


def _finding(finding: Mapping[str, Any], evidence: Mapping[str, Any], rerun: str) -> Html:
    parts: list[Html] = []
    for clip in evidence.get("skeletons", {}).get(finding["id"], ()):
        parts.append(element("p", element("bdi", clip["id"]), class_="soft small"))
        parts.append(element("div", *(_skeleton(frame) for frame in clip["frames"]), class_="strip"))
    if finding["id"] == "compatibility.gradients" and finding["figures"]:
        norms = {name: (float(value), None, None) for name, value in finding["figures"].items()}
        parts.append(bars(norms, lambda value: f"{value:.3g}"))
    if finding["level"] in ("warn", "fail"):
        parts.append(element("pre", f"{rerun} {finding['id']}"))
    return show_finding(finding, *parts)


def _skeleton(strokes: Sequence[Sequence[Any]]) -> Html:
    paths: dict[str, list[str]] = {}
    for part, x1, y1, x2, y2 in strokes:
        paths.setdefault(part, []).append(f"M{x1:g} {y1:g}L{x2:g} {y2:g}")
    lines = [element("path", d="".join(path), class_=part) for part, path in paths.items()]
    return element("svg", *lines, viewBox="-0.03 -0.03 1.06 1.06", role="img", aria_label="skeleton of one frame")


def _posterior(posterior: Mapping[str, Any] | None) -> Html | None:
    if not posterior:
        return None
    count = max(1, len(posterior["blank"]) - 1)
    left, top, right, height = 34, 40, 30, 150
    seconds = len(posterior["blank"]) * posterior["step_seconds"]
    width = round(max(MIN_TIMELINE_WIDTH, seconds * PIXELS_PER_SECOND)) - left - right

    def across(frame: float) -> float:
        return left + width * frame / count

    def curve(values: Sequence[float], style: str) -> Html:
        points = " ".join(f"{across(frame):.1f},{top + height * (1 - value):.1f}" for frame, value in enumerate(values))
        return element("polyline", points=points, class_=style)

    def level(value: float) -> Html:
        y = top + height * (1 - value)
        line = element("line", x1=left, y1=y, x2=left + width, y2=y, class_="grid")
        return join(line, element("text", f"{value:g}", x=left - 8, y=y + 4, text_anchor="end"))

    # Alternating between two rows keeps neighbours legible.
    glosses = [
        element("text", gloss, x=f"{across(frame):.1f}", y=top - 8 - 15 * (number % 2), text_anchor="middle")
        for number, (gloss, frame) in enumerate(posterior["predicted"])
    ]
    ticks = [
        element("text", f"{second} s", x=f"{across(second / posterior['step_seconds']):.1f}", y=top + height + 18)
        for second in range(int(count * posterior["step_seconds"]) + 1)
    ]
    chart = element(
        "svg",
        *(level(value) for value in (0, 0.5, 1)),
        curve(posterior["blank"], "line1"),
        curve(posterior["gloss"], "line0"),
        *glosses,
        *ticks,
        viewBox=f"0 0 {left + width + right} {top + height + 26}",
        width=left + width + right,
        height=top + height + 26,
        role="img",
    )
    legend = join(
        element("i", class_="key key1"),
        "probability of blank",
        element("i", class_="key key0"),
        "probability of the most likely gloss, which is named above where it is predicted",
    )
    predicted = " ".join(gloss for gloss, _ in posterior["predicted"])
    return element(
        "section",
        element("h2", "How sure the model is over time"),
        element("div", chart, class_="scroll timeline"),
        element("p", legend, class_="soft small"),
        element("p", element("bdi", posterior["id"]), f", {seconds:.1f} seconds", class_="soft small"),
        element("p", "Annotated: ", element("bdi", " ".join(posterior["reference"])), class_="small"),
        element("p", "Predicted: ", element("bdi", predicted or "-"), class_="small"),
    )
