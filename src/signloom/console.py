"""Terminal output shared by all commands: the console for messages, and a progress bar with rate and time left."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from signloom.errors import printable


class PlainConsole(Console):
    """A console for text from anywhere: it draws and colours, but no text can. It breaks no lines: the terminal does.

    Here rich's own control characters and those in names and glosses can still be told apart.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(highlight=False, soft_wrap=True, **settings)

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
console = PlainConsole(stderr=True)
# Where there is no terminal for a progress bar, a task in work gets a line this often.
LINE_SECONDS = 60.0


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
        rate = done / elapsed
        return Text(f"{rate:,.{0 if rate >= 10 else 1}f} {task.fields.get('unit', 'items')}/s", style="cyan")


class _Bars(Progress):
    """Progress for terminals, with lines of text below it."""

    def __init__(self, *columns: ProgressColumn, below: Callable[[], Sequence[str]], disable: bool) -> None:
        self._below = below
        super().__init__(*columns, console=console, disable=disable)

    def stop(self) -> None:
        # Before rich 14.3 the end of a bar that is switched off is an empty line.
        if not self.disable:
            super().stop()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        for line in self._below():
            yield Text(line, style="dim", no_wrap=True, overflow="ellipsis")


class _Lines(Progress):
    """Progress for files and pipes: a line for each task now and then, and one when it is done or the work ends."""

    def __init__(self, *columns: ProgressColumn, below: Callable[[], Sequence[str]]) -> None:
        super().__init__(*columns, console=console, disable=True)
        self._below = below
        self._told: dict[TaskID, float] = {}

    def start(self) -> None:
        """Draws nothing."""

    def stop(self) -> None:
        for task in self.tasks:
            if task.completed and self._told.get(task.id) != math.inf:
                self._tell(task)

    def add_task(self, *arguments: Any, **settings: Any) -> TaskID:
        name = super().add_task(*arguments, **settings)
        self._told[name] = self.get_time()
        return name

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        self._tell_if_due(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._tell_if_due(task_id)

    def _tell_if_due(self, name: TaskID) -> None:
        task = self._tasks[name]
        if task.finished and self._told[name] != math.inf:
            self._told[name] = math.inf
            self._tell(task)
        elif not task.finished and self.get_time() - self._told[name] >= LINE_SECONDS:
            self._told[name] = self.get_time()
            self._tell(task)

    def _tell(self, task: Task) -> None:
        total = "" if task.total is None else f" of {task.total:,.0f}"
        rate = str(RateColumn().render(task))
        say(f"{task.description}: {task.completed:,.0f}{total}{f', {rate}' if rate else ''}")
        for line in self._below():
            say(f"  {line}")


def progress_bar(*, disable: bool = False, below: Callable[[], Sequence[str]] = tuple) -> Progress:
    """Returns a progress bar: description, bar, done/total, rate, time left. Use as a context manager. Without a
    terminal it writes lines.

    below: returns lines to show below it.

    Add a task with `add_task(text, total=N, unit="frames", done=0)`; `done` is the count for the rate if it is not the
    number of items.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
    )
    if disable or console.is_terminal:
        return _Bars(*columns, below=below, disable=disable)
    return _Lines(*columns, below=below)
