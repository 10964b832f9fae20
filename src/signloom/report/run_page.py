"""The report page of a run."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path

from signloom.errors import InputError
from signloom.files.writing import write_text
from signloom.report import sections
from signloom.report.finding import FINDING_CSS
from signloom.report.html import Html, document, element, join
from signloom.report.monitors_section import monitored
from signloom.run_folder import Run, checked


def write_report(folder: Path | str) -> Path:
    """Writes the report page of a run into its folder. Returns the path of the page.

    The page is one file, which loads nothing else. Where a file is missing, its section is left
    out, or says how to make the file.
    Raises InputError for a folder without a run, and for a file that signloom did not write.
    """
    run = Run.read(folder)
    return write_text(run.report_page, render(run))


def render(run: Run) -> str:
    """Returns the page as text. Raises InputError for a run without results, naming the files it needs."""
    if not (run.info or run.epochs or run.evaluations or run.transcript):
        needed = (run.info_file, run.history_file, run.evaluation_file("SPLIT"), run.transcript_file)
        raise InputError(
            f"{run.path}: nothing to report; needed one of {', '.join(path.name for path in needed)}"
            ", as written by 'signloom train' and 'signloom evaluate'"
        )
    parts: list[Html | None] = []

    def add(source: Path, make: Callable[[], Html | None]) -> None:
        parts.append(checked(source, make))

    def page_of(split: str) -> str | None:
        return run.score_page(split).name if run.score_page(split).is_file() else None

    name = run.path.resolve().name
    history = {**run.history.to_json(), "best_epoch": run.history.best_epoch or None} if run.epochs else None
    headline = next(iter(run.evaluations), None)
    add(run.info_file, lambda: sections.title(name, run.info, run.evaluations))
    if headline is None:
        parts.append(
            sections.missing(
                "Word error rate",
                "not measured yet; this command measures it on utterances that training has not seen",
                f"signloom evaluate {run.path} --data_dir CORPUS --split test",
            )
        )
        add(run.info_file, lambda: sections.facts(run.info, history))
    else:
        best = run.evaluations[headline]
        add(run.evaluation_file(headline), lambda: sections.headline(best, headline, run.info, history))
    if history is not None:
        add(run.history_file, lambda: sections.training(history, run.info))
    elif run.curves_png.is_file():
        parts.append(_embedded(run.curves_png.read_bytes()))
    if run.monitors:
        add(run.monitors_file, lambda: monitored(run.monitors))
    if run.transcript:
        add(run.transcript_file, lambda: sections.transcript(run.transcript))
    for split, evaluation in run.evaluations.items():
        # The page of the headline's split is linked below its worst utterances.
        link = page_of(split) if split != headline else None
        add(run.evaluation_file(split), partial(sections.signers, evaluation, split, link))
    if headline is not None:
        add(run.evaluation_file(headline), lambda: sections.worst(best, headline, page_of(headline)))
    add(run.info_file, lambda: sections.corpus(run.info))
    add(run.info_file, lambda: sections.settings(run.info))
    add(run.info_file, lambda: sections.next_steps(run.info, run.path))
    return document(f"{name} - signloom", *parts, styles=[FINDING_CSS])


def _embedded(picture: bytes) -> Html:
    data = "data:image/png;base64," + base64.b64encode(picture).decode()
    image = Html(f'<img alt="loss and word error rate over epochs" src="{data}">')
    return element("section", element("h2", "Training"), join(image))
