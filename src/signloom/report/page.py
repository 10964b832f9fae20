"""From the files of a run folder to `report.html`."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signloom.errors import InputError
from signloom.files import atomic_write
from signloom.report import sections
from signloom.report.html import Html, element, join
from signloom.report.monitors_section import monitored
from signloom.report.style import STYLE

REPORT_PAGE = "report.html"
SPLITS = ("test", "dev", "train")


@dataclass(frozen=True)
class RunFiles:
    """What a run folder holds, as far as a report needs it; None or empty where a file is not there.

    run: `run.json`.  history: `history.json`.  evaluations: `evaluation-SPLIT.json` by split, test first.
    transcript: `transcript.json`.  curves: the bytes of `curves.png`, read only where there is no history.
    score_pages: the splits whose `score-SPLIT.html` is there.  monitors: `monitors.json`.
    """

    name: str
    run: Mapping[str, Any] | None
    history: Mapping[str, Any] | None
    evaluations: Mapping[str, Mapping[str, Any]]
    transcript: Mapping[str, Any] | None
    curves: bytes | None
    score_pages: frozenset[str] = frozenset()
    monitors: Mapping[str, Any] | None = None

    @classmethod
    def read(cls, folder: Path) -> RunFiles:
        """Raises InputError when the folder is not there, holds none of the files, or one is not a JSON object."""
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; needed the folder of a run")
        evaluations = {split: _read(folder / f"evaluation-{split}.json") for split in SPLITS}
        history = _read(folder / "history.json")
        picture = folder / "curves.png"
        found = cls(
            name=folder.resolve().name,
            run=_read(folder / "run.json"),
            history=history,
            evaluations={split: record for split, record in evaluations.items() if record is not None},
            transcript=_read(folder / "transcript.json"),
            curves=picture.read_bytes() if history is None and picture.is_file() else None,
            monitors=_read(folder / "monitors.json"),
            score_pages=frozenset(split for split in evaluations if (folder / score_page_name(split)).is_file()),
        )
        if not (found.run or found.history or found.evaluations or found.transcript):
            raise InputError(
                f"{folder}: nothing to report; needed run.json, history.json, evaluation-SPLIT.json or transcript.json"
                ", as 'signloom train' and 'signloom evaluate' leave them"
            )
        return found


def score_page_name(split: str) -> str:
    """The file, in a run folder, of the page with every aligned utterance of a split."""
    return f"score-{split}.html"


def write_report(run: Path | str) -> Path:
    """The path of `report.html`, made from what the run folder holds and written into it.

    The page is one file that loads nothing else. A part whose file is missing says how to make it.
    Raises InputError for a folder without a run, and for a file that is not what signloom writes.
    """
    folder = Path(run)
    page = render(RunFiles.read(folder), folder)
    path = folder / REPORT_PAGE
    with atomic_write(path, "w") as file:
        file.write(page)
    return path


def render(files: RunFiles, folder: Path) -> str:
    """The page as text. `folder` is named in error messages and in the commands it proposes."""
    parts: list[Html | None] = []

    def add(source: str, make: Callable[[], Html | None]) -> None:
        try:
            parts.append(make())
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise InputError(
                f"{folder / source}: not what signloom writes ({type(error).__name__}: {error}); make it again"
            ) from error

    run, history = files.run or {}, files.history
    headline = next(iter(files.evaluations), None)
    add("run.json", lambda: sections.header(files.name, run, files.evaluations))
    if headline is None:
        parts.append(
            sections.missing(
                "Word error rate",
                "no split was evaluated yet; this measures one",
                f"signloom evaluate {folder} --data_dir CORPUS --split test",
            )
        )
        add("run.json", lambda: sections.facts(run, history))
    else:
        evaluation = files.evaluations[headline]
        add(f"evaluation-{headline}.json", lambda: sections.headline(evaluation, headline, run, history))
    if history is not None:
        add("history.json", lambda: sections.training(history))
    elif files.curves is not None:
        parts.append(_embedded(files.curves))
    if files.monitors is not None:
        monitors = files.monitors
        add("monitors.json", lambda: monitored(monitors))
    if files.transcript is not None:
        transcript = files.transcript
        add("transcript.json", lambda: sections.transcript(transcript))
    for split, evaluation in files.evaluations.items():
        own = score_page_name(split) if split in files.score_pages and split != headline else None
        add(f"evaluation-{split}.json", lambda e=evaluation, s=split, p=own: sections.signers(e, s, p))  # type: ignore[misc]
    if headline is not None:
        page = score_page_name(headline) if headline in files.score_pages else None
        add(f"evaluation-{headline}.json", lambda: sections.worst(files.evaluations[headline], headline, page))
    add("run.json", lambda: sections.corpus(run))
    add("run.json", lambda: sections.settings(run))
    add("run.json", lambda: sections.next_steps(run, folder))
    return "<!doctype html>\n" + element(
        "html",
        element(
            "head",
            Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'),
            element("title", f"{files.name} - signloom"),
            Html(f"<style>{STYLE}</style>"),
        ),
        element("body", element("main", *(part for part in parts if part is not None))),
        lang="en",
    )


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error})") from None
    try:
        record = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); make it again") from None
    if not isinstance(record, dict):
        raise InputError(f"{path}: a {type(record).__name__}, needed a JSON object; make it again")
    return record


def _embedded(picture: bytes) -> Html:
    data = "data:image/png;base64," + base64.b64encode(picture).decode()
    image = Html(f'<img alt="loss and word error rate over epochs" src="{data}">')
    return element("section", element("h2", "Training"), join(image))
