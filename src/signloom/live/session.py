"""One live session: shows what a pipeline recognises until its source ends, somebody ends it, or a signal comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from signloom.errors import plural
from signloom.live.dropping_queue import Ended
from signloom.live.pipeline import Pipeline, Tracked
from signloom.signals import SignalWatch

# Without new frames, displays follow notes and captions at this pace.
_UPDATE_SECONDS = 0.1
# Figures that change with every frame cannot be read.
_FIGURES_SECONDS = 0.5


class Display(Protocol):
    """Shows a pipeline. is_closed: somebody wants to end the session."""

    is_closed: bool

    def update(self, tracked: Tracked | None, pipeline: Pipeline, notes: Sequence[str], figures: str) -> None:
        """Shows the newest frame, or what else is new without one."""


def run_session(pipeline: Pipeline, displays: Sequence[Display], signals: SignalWatch) -> None:
    """Shows a pipeline that is not running yet, until its end. Raises the error that ended it."""
    figures, due = "", 0.0
    with pipeline:
        try:
            while signals.ending is None and not any(display.is_closed for display in displays):
                tracked = pipeline.shown.get(_UPDATE_SECONDS)
                if time.monotonic() >= due:
                    figures, due = _figures(pipeline), time.monotonic() + _FIGURES_SECONDS
                _update(displays, tracked, pipeline, figures)
        except Ended:
            pass
    # What became final at the end.
    _update(displays, None, pipeline, _figures(pipeline))
    pipeline.raise_error()


def _update(displays: Sequence[Display], tracked: Tracked | None, pipeline: Pipeline, figures: str) -> None:
    notes = pipeline.notes()
    for display in displays:
        display.update(tracked, pipeline, notes, figures)


def _figures(pipeline: Pipeline) -> str:
    dropped = f" · {plural(pipeline.num_dropped, 'frame')} dropped" if pipeline.num_dropped else ""
    return f"{pipeline.figures.snapshot()}{dropped}"
