"""The live monitors' section of the report page: their findings, and their figures over the epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signloom.errors import plural
from signloom.report.charts import EpochChart, epoch_charts, short
from signloom.report.finding import light, show_finding
from signloom.report.html import Html, element

OUTPUT = {
    "uncertainty (100 %: every gloss is as likely)": "entropy",
    "probability of blank (no gloss)": "blank",
    "frames in which blank is most likely": "blank_share",
}
GRADIENT = "gradient/"


def monitored(record: Mapping[str, Any]) -> Html:
    """Returns the section: the findings, and charts of the output and of the gradient by part of the model."""
    epochs = record["epochs"]
    findings = [show_finding(finding, _step(finding)) for finding in record["said"]]
    if not findings:
        calm = f"No problem was found. The training was checked every {plural(record['every_steps'], 'step')}."
        findings = [element("p", light("ok"), calm)]
    parts = [name for name in (epochs[0] if epochs else {}) if name.startswith(GRADIENT) and name != f"{GRADIENT}all"]
    charts = epoch_charts(
        epochs,
        [
            EpochChart("Output of the model", OUTPUT, _percent, from_zero=True),
            EpochChart(
                "Gradient: how strongly each part changes", {name.removeprefix(GRADIENT): name for name in parts}, short
            ),
        ],
    )
    note = (
        "Each point is the median of an epoch. Blank is the output for “no gloss here”. At first it is the most likely "
        "output of nearly every frame; as the model learns, that share and the uncertainty fall. The gradient is shown "
        "as its norm, before it is clipped; 0.1 to 5 for the whole model is healthy."
    )
    return element(
        "section",
        element("h2", "Checks during training"),
        *findings,
        charts,
        element("p", note, class_="soft small") if charts else None,
    )


def _step(finding: Mapping[str, Any]) -> Html:
    when = finding["figures"]
    return element("p", f"Found at step {when['step']}, in epoch {when['epoch']}.", class_="soft small")


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"
