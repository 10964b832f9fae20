"""An entry in a table of commands: light, so that the tables cost nothing to import."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """Where a command lives and what `--help` of its table says of it."""

    module: str
    help: str
