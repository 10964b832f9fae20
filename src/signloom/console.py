"""Terminal output shared by all commands: the console for messages, and a progress bar with rate and time left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from signloom.errors import printable


class PlainConsole(Console):
    """A console for text from anywhere: it draws and colours, but no text can.

    Here rich's own control characters and those in names and glosses can still be told apart.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))

    @property
    def file(self) -> IO[str]:
        """Where the console writes. The streams of the command line, which make text plain (`commands.output`), offer
        one for what is drawn.
        """
        stream: Any = super().file
        return cast("IO[str]", getattr(stream, "drawing", stream))

    @file.setter
    def file(self, stream: IO[str]) -> None:
        self._file = stream


# Messages and progress go to stderr; stdout is for results, which can be piped.
console = PlainConsole(stderr=True, highlight=False)


def say(message: str, to: Console = console) -> None:
    """Prints a message to stderr without markup or line breaks: ids may have brackets, paths must stay whole."""
    to.print(message, markup=False, soft_wrap=True)


def say_list(lines: Sequence[str], shown: int) -> None:
    """Prints the first `shown` lines of a list to stderr, indented, and how many more there are."""
    for line in lines[:shown]:
        say(f"  {line}")
    if len(lines) > shown:
        say(f"  ... and {len(lines) - shown:,} more")


class RateColumn(ProgressColumn):
    """Items per second; a task may set its own unit and count in the fields `unit` and `done`."""

    def render(self, task: Task) -> Text:
        done = task.fields.get("done", task.completed)
        elapsed = task.finished_time if task.finished else task.elapsed
        if not elapsed or not done:
            return Text("")
        return Text(f"{done / elapsed:,.0f} {task.fields.get('unit', 'items')}/s", style="cyan")


def progress_bar(*, disable: bool = False) -> Progress:
    """Returns a progress bar: description, bar, done/total, rate, time left. Use as a context manager.

    Add a task with `add_task(text, total=N, unit="frames", done=0)`; `done` is the count for the rate if it is not the
    number of items.
    """
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=disable,
    )
