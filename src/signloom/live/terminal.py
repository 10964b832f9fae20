"""Captions in a terminal: each utterance is a line on stdout. Without a window, the running one stands below them."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Sequence

from rich.live import Live
from rich.text import Text

from signloom.console import PlainConsole, say
from signloom.live.captions import Caption
from signloom.live.pipeline import Pipeline, Tracked

_UPDATES_PER_SECOND = 8
# A note that comes and goes is not said each time.
_SAID_AGAIN_SECONDS = 10.0


class Terminal:
    """Prints what a pipeline recognises.

    follows: the last lines of the terminal show the running utterance, figures and the first note. Otherwise, and where
    stdout is no terminal, each note is said on stderr when it is new.
    """

    is_closed = False

    def __init__(self, *, follows: bool) -> None:
        self._console = PlainConsole()
        self._live: Live | None = None
        # When each kind of note was given last.
        self._said: dict[str, float] = {}
        if follows and self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=_UPDATES_PER_SECOND, transient=True)
            self._live.start()

    def update(self, tracked: Tracked | None, pipeline: Pipeline, notes: Sequence[str], figures: str) -> None:
        for utterance in pipeline.captions.take_ended():
            self._console.print(Text(str(utterance)), soft_wrap=True)
            sys.stdout.flush()
        if self._live is not None:
            self._live.update(running(pipeline.captions.shown, notes, figures))
            return
        now = time.monotonic()
        for note in notes:
            # Numbers in notes change from second to second.
            kind = re.sub(r"\d+", "#", note)
            if now - self._said.get(kind, -math.inf) > _SAID_AGAIN_SECONDS:
                say(note)
            self._said[kind] = now

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()


def running(captions: Sequence[Caption], notes: Sequence[str], figures: str) -> Text:
    """Returns the captions, those that may still change dimmed, the figures and the first note."""
    text = Text()
    for caption in captions:
        text.append(f"{caption.gloss} ", style="bold" if caption.is_final else "dim")
        text.append(f"{caption.confidence:.0%}  ", style="dim cyan")
    text.append(f"\n{figures}", style="dim")
    if notes:
        text.append(f"\n{notes[0]}", style="yellow")
    return text
