"""The section of the report page with what watched a run: its sentences, and its figures over the epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signloom.report.charts import curves
from signloom.report.html import Html, element, join

OUTPUT = {
    "entropy of log V": "entropy",
    "probability of blank": "blank",
    "frames all blank": "blank_share",
}
GRADIENT = "gradient/"


def monitored(record: Mapping[str, Any]) -> Html:
    """What was said, or that nothing was, and two charts: the output, and the gradient by part of the model."""
    epochs = record["epochs"]
    said = [
        element(
            "div",
            element("b", _sentence(one["headline"])),
            element("p", _sentence(one["advice"])),
            element("span", _held_against(one), class_="soft small"),
            class_=f"said {one['level']}",
        )
        for one in record["said"]
    ]
    if not said:
        looked = f"a look every {record['every_steps']} steps at gradients, units and outputs"
        calm = f"Nothing was out of the ordinary: {looked}."
        said = [element("div", calm, class_="said ok")]
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
        "Medians of each epoch. Every CTC run begins with an output that is all blank; a gradient of 0.1 to 5 in all "
        "is healthy."
    )
    return element(
        "section",
        element("h2", "Watched while it trained"),
        *said,
        element("div", *figures, class_="pair") if figures else None,
        element("p", note, class_="soft small") if figures else None,
    )


def _held_against(one: Mapping[str, Any]) -> str:
    at = one["figures"]
    return f"{', '.join(one['where'])}; step {at['step']}, epoch {at['epoch']}; needed {one['threshold']}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _short(value: float) -> str:
    return f"{value:.3g}"
