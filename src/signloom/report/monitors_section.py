"""The live monitors' section of the report page: their findings, and their figures over the epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signloom.report.charts import curves
from signloom.report.finding import light, show_finding
from signloom.report.html import Html, element, join

OUTPUT = {
    "entropy of log V": "entropy",
    "probability of blank": "blank",
    "frames all blank": "blank_share",
}
GRADIENT = "gradient/"


def monitored(record: Mapping[str, Any]) -> Html:
    """Returns the section: the findings, and charts of the output and of the gradient by part of the model."""
    epochs = record["epochs"]
    findings = [show_finding(finding, _step(finding)) for finding in record["said"]]
    if not findings:
        calm = f"Nothing to report. Gradients, units and outputs were checked every {record['every_steps']} steps."
        findings = [element("p", light("ok"), calm)]
    parts = [name for name in (epochs[0] if epochs else {}) if name.startswith(GRADIENT) and name != f"{GRADIENT}all"]
    charts = (
        ("Output", OUTPUT, _percent, True),
        ("Gradient before clipping", {name.removeprefix(GRADIENT): name for name in parts}, _short, False),
    )
    figures = []
    for title, series, show, from_zero in charts:
        chart = curves(
            [epoch["epoch"] for epoch in epochs],
            {name: [epoch.get(key) for epoch in epochs] for name, key in series.items()},
            best_epoch=None,
            show=show,
            from_zero=from_zero,
        )
        if chart is not None:
            keys = [join(element("span", class_=f"key key{k}"), name) for k, name in enumerate(series)]
            figures.append(element("figure", element("h3", title), chart, element("figcaption", *keys, class_="small")))
    note = (
        "Medians of each epoch. Every CTC run begins with an output that is all blank; a norm of 0.1 to 5 for the "
        "whole gradient is healthy."
    )
    return element(
        "section",
        element("h2", "Live monitors"),
        *findings,
        element("div", *figures, class_="pair") if figures else None,
        element("p", note, class_="soft small") if figures else None,
    )


def _step(finding: Mapping[str, Any]) -> Html:
    when = finding["figures"]
    return element("p", f"Reported at step {when['step']}, epoch {when['epoch']}.", class_="soft small")


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _short(value: float) -> str:
    return f"{value:.3g}"
