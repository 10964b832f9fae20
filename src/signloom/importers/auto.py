"""Recognises what a folder or file holds, names the importer, and runs it with its default options.

For options of that importer (the frame rate, the image's size), run the command that is printed. Annotations need
landmark files beside them; for these the command is only named.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import ClassVar

from signloom.console import say
from signloom.errors import InputError
from signloom.importers.recognise import recognise


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `signloom import auto`."""

    positionals: ClassVar[tuple[str, ...]] = ("source",)

    source: Path
    """the folder or file"""
    output: Path
    """folder for what the importer writes: landmark files, or a corpus"""
    dry_run: bool = False
    """show what was found and what would be written, and write nothing"""


def run(options: Options) -> int:
    """Runs the importer; returns its exit status.

    Raises InputError if the source is not recognised, or needs more than its name.
    """
    if not options.source.exists():
        raise InputError(f"{options.source}: no such file or folder")
    found = recognise(options.source)
    if found is None:
        raise InputError(f"{options.source}: its kind is not recognised; 'signloom import --help' lists the kinds")
    say(f"note: {found}")
    # The package of the kinds' names is above its modules.
    module = import_module(f"signloom.importers.{found.kind}") if found.kind else None
    names = {field.name for field in fields(module.Options)} if module else set()
    if module is None or not {"sources", "source"} & names:
        raise InputError(f"{options.source}: {found.what}; run: {found.command}")
    source = {"sources": [found.path]} if "sources" in names else {"source": found.path}
    dry_run = {"dry_run": options.dry_run} if "dry_run" in names else {}
    if options.dry_run and not dry_run:
        raise InputError(f"signloom import {found.kind} has no --dry_run")
    status: int = module.run(module.Options(**source, output=options.output, **dry_run))
    return status
