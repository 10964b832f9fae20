"""Packs a corpus into a few large files, as file systems and object stores of clusters like them.

The files (shards) are tar archives in WebDataset's layout: per utterance KEY.json, its record in the manifest, and
KEY.npz, its landmark file as it is. Every split has shards of its own; its utterances are shuffled before they are
dealt out, so that neighbours differ. The same corpus and seed give the same bytes.

A packed corpus is used like any other: 'signloom train --data_dir SHARDS'. Nothing is unpacked for that. 'signloom
unpack' makes a folder of landmark files of it again. A run that was stopped goes on after its last whole shard.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from signloom.console import progress_bar, say
from signloom.corpus import Corpus, check_output
from signloom.corpus.packing import Plan, check_other_folder, pack, plan_shards
from signloom.errors import Faults, plural
from signloom.files.urls import Url
from signloom.hints import command

_MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `signloom pack`."""

    positionals: ClassVar[tuple[str, ...]] = ("corpus",)
    urls: ClassVar[tuple[str, ...]] = ("output",)

    corpus: Path
    """the corpus to pack"""
    output: Path
    """folder or URL of the packed corpus"""
    shard_megabytes: int = 256
    """largest size of a shard in megabytes; an utterance that is larger gets a shard of its own"""
    seed: int = 0
    """seed of the order in which utterances are dealt to shards"""
    dry_run: bool = False
    """show the numbers and sizes of shards, and write nothing"""
    overwrite: bool = False
    """replace an existing corpus"""


def run(options: Options) -> int:
    """Packs the corpus and prints the sizes of the shards; returns exit status 0."""
    faults = Faults("pack options")
    faults.need_at_least(1, options, "shard_megabytes")
    faults.need_at_least(0, options, "seed")
    faults.raise_if_any()
    check_output(options.output, overwrite=options.overwrite or options.dry_run)
    corpus = Corpus.open(options.corpus)
    check_other_folder(corpus, options.output)
    with progress_bar() as bar:
        task = bar.add_task("plan", total=len(corpus), unit="utterances")
        plan = plan_shards(
            corpus,
            shard_bytes=options.shard_megabytes * _MEGABYTE,
            seed=options.seed,
            advance=lambda count: bar.advance(task, count),
        )
        if not options.dry_run:
            task = bar.add_task("pack", total=len(corpus), unit="utterances")
            pack(
                corpus,
                options.output,
                plan,
                overwrite=options.overwrite,
                advance=lambda count: bar.advance(task, count),
            )
    _print_summary(options.output, plan, dry_run=options.dry_run)
    if options.dry_run:
        print("dry run: nothing was written")
    else:
        isolated = bool((corpus.utterances.columns.glosses.counts == 1).all())
        compose = command("compose", options.output, output=f"{options.output}-sentences")
        print(f"next: {compose if isolated else command('train', data_dir=options.output)}")
    return 0


def _print_summary(output: Path, plan: Plan, *, dry_run: bool) -> None:
    shards = plural(len(plan.shards), "shard")
    print(f"{output}: {'would have ' if dry_run else ''}{plural(len(plan.rows), 'utterance')} in {shards}")
    print(f"  {'split':<6}{'utterances':>12}{'shards':>8}{'megabytes':>12}{'largest':>10}")
    for split, row in plan.summary().items():
        print(
            f"  {split:<6}{row['utterances']:>12,}{row['shards']:>8,}{row['bytes'] / _MEGABYTE:>12,.1f}"
            f"{row['largest'] / _MEGABYTE:>10,.1f}"
        )
    if isinstance(output, Url):
        return
    there = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if dry_run and plan.num_bytes > free:
        say(f"warning: {plan.num_bytes / _MEGABYTE:,.0f} MB are needed, {free / _MEGABYTE:,.0f} MB are free in {there}")
