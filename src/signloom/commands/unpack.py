"""Makes a folder of landmark files of a packed corpus again: the manifest and the files that were packed.

Every shard is compared with its SHA-256 before anything of it is written. A run that was stopped goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from signloom.console import progress_bar
from signloom.corpus import Corpus, check_output
from signloom.corpus.packing import unpack
from signloom.errors import plural
from signloom.hints import command


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `signloom unpack`."""

    positionals: ClassVar[tuple[str, ...]] = ("corpus",)
    urls: ClassVar[tuple[str, ...]] = ("output",)

    corpus: Path
    """the folder or URL of a packed corpus, made by 'signloom pack'"""
    output: Path
    """folder or URL of the new corpus"""
    overwrite: bool = False
    """replace an existing corpus"""


def run(options: Options) -> int:
    """Unpacks the corpus; returns exit status 0."""
    check_output(options.output, overwrite=options.overwrite)
    corpus = Corpus.open(options.corpus)
    with progress_bar() as bar:
        task = bar.add_task("unpack", total=len(corpus), unit="utterances")
        unpack(corpus, options.output, overwrite=options.overwrite, advance=lambda count: bar.advance(task, count))
    print(f"{options.output}: {plural(len(corpus), 'utterance')}")
    print(f"next: {command('doctor', options.output)}")
    return 0
