"""A finding as a block of a page, the same for the doctor's checks and the live monitors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signloom.report.html import Html, element

# Style sheet of the block.
FINDING_CSS = "finding.css"
WORDS = {"fail": "broken", "warn": "look at it", "note": "good to know", "ok": "healthy"}


def light(level: str) -> Html:
    return element("i", class_=f"light {level}", title=WORDS[level])


def show_finding(finding: Mapping[str, Any], *evidence: Html | None) -> Html:
    """Returns the block of a finding, given as JSON; `evidence` is shown between its advice and its threshold."""
    head = element("span", finding["headline"])
    parts: list[Html | None] = [element("h3", light(finding["level"]), head, element("code", finding["id"]))]
    if finding["advice"]:
        parts.append(element("p", finding["advice"], class_="advice"))
    if finding["level"] in ("warn", "fail") and finding["where"]:
        parts.append(element("ul", *(element("li", element("bdi", place)) for place in finding["where"])))
    parts += evidence
    if finding["threshold"]:
        text = f"Needed: {finding['threshold']}. Source: {finding['source']}."
        parts.append(element("p", text, class_="soft small"))
    return element("div", *parts, class_="finding", id=finding["id"])
