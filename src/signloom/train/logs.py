"""The log of a training run: to the console and to a file, without the notices of Lightning."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signloom.console import say
from signloom.errors import printable


class _PlainFormatter(logging.Formatter):
    """Writes no character that a terminal would obey when somebody looks at the log."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _ConsoleHandler(logging.Handler):
    """Prints a line per record to the console."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            say(self.format(record))
        except Exception:
            self.handleError(record)


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Sends the package's log to the console and to `path` while the block runs."""
    handlers: list[logging.Handler] = [
        _ConsoleHandler(),
        logging.FileHandler(path, encoding="utf-8"),
    ]
    handlers[0].setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    handlers[1].setFormatter(_PlainFormatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("signloom")
    level = logger.level
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hides Lightning's notices about hardware and workers while the block runs; its other warnings stay."""
    names = ("lightning.pytorch", "lightning.fabric")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # One process is enough here: examples are small arrays in memory.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Lightning 2.6 on torch 2.13; harmless, and not our code.
        warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
        # A short epoch of a few steps is the user's choice.
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
        # Old names of options, which torch 2.6 knows.
        warnings.filterwarnings("ignore", message=".*`broadcast_buffers` is deprecated.*")
        # Weights of a convolution over time have the memory layout of an image's.
        warnings.filterwarnings("ignore", message=".*Grad strides do not match bucket view strides.*")
        # Every process logs the same figures: they are gathered first.
        warnings.filterwarnings("ignore", message=".*recommended to use `self.log.*sync_dist=True.*")
        warnings.filterwarnings("ignore", message=".*Experiment logs directory .* exists and is not empty.*")
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
