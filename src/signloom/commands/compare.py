"""Compares two systems on the same references: is the difference of their word error rates real, and what causes it?

A and B are run folders after 'signloom evaluate' (with --split if a run has several evaluations), JSON files of scores
(of 'signloom evaluate' or 'signloom score'), or files of hypotheses, which need --reference. Differences are B minus A:
below zero, B is better. --html writes a page with both alignments of each utterance.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from signloom.console import say
from signloom.corpus import SPLITS, check_split
from signloom.errors import InputError
from signloom.files.writing import write_text
from signloom.hints import again
from signloom.run_folder import Run
from signloom.score.compare import RESAMPLES, compare
from signloom.score.compare_text import changed_utterances, summary
from signloom.score.interval import LEVEL
from signloom.score.misfits import misfit_notes
from signloom.score.wer import Score, read_score, score


@dataclass
class Options:
    """Options of `signloom compare`."""

    positionals: ClassVar[tuple[str, ...]] = ("a", "b")

    a: Path
    """the first system: a run folder, the JSON file of a score, or a file of hypotheses"""
    b: Path
    """the second system, in any of these forms"""
    split: str | None = None
    """the evaluation of a run folder to use: train, dev or test; also the split of a corpus given as --reference"""
    reference: Path | None = None
    """references for files of hypotheses: a file or a corpus"""
    protocol: str | None = None
    """scoring rule for files of hypotheses (default: plain); existing scores keep their rule"""
    level: float = LEVEL
    """level of the interval of the difference"""
    resamples: int = RESAMPLES
    """number of bootstrap draws"""
    seed: int = 0
    """seed of the draws"""
    changed: int = 5
    """number of improved and of worsened utterances to show"""
    format: Literal["text", "json"] = "text"
    """output format"""
    html: Path | None = None
    """write an HTML page with every utterance under both systems"""


def run(options: Options) -> int:
    """Compares the two systems; returns exit status 0, whatever the result."""
    check_split(options.split)
    if options.changed < 0:
        raise InputError(f"--changed is {options.changed}; needed 0 or more")
    comparison = compare(
        read_system(options.a, options),
        read_system(options.b, options),
        name_a=str(options.a),
        name_b=str(options.b),
        level=options.level,
        resamples=options.resamples,
        seed=options.seed,
    )
    if options.format == "json":
        print(json.dumps(comparison.to_json(), indent=1, ensure_ascii=False))
    else:
        print(summary(comparison))
        if options.changed:
            print("\n" + changed_utterances(comparison, options.changed))
    if options.html is not None:
        from signloom.report.compare_page import render_compare_page

        say(f"page: {write_text(options.html, render_compare_page(comparison))}")
    elif options.format == "text":
        say(f"next: {again('compare', options, html='compare.html')}  # every utterance under both systems")
    return 0


def read_system(path: Path, options: Options) -> Score:
    """Returns the score of one system: an existing one, or that of a file of hypotheses.

    Raises InputError for a run folder without the requested evaluation, and for hypotheses without references.
    """
    if path.is_dir() or path.suffix.lower() == ".json":
        file = _evaluation(path, options.split) if path.is_dir() else path
        result = read_score(file)
        for note in misfit_notes(
            [(item.id, item.alignment.reference, item.alignment.hypothesis) for item in result.utterances]
        ):
            say(f"warning: {file}: {note}")
        if options.protocol not in (None, result.protocol):
            raise InputError(
                f"{file}: scored under the rule {result.protocol!r}, but --protocol is {options.protocol!r}; give the "
                f"same rule, or the hypotheses themselves with --reference"
            )
        return result
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder; needed a run folder, a score's JSON file or hypotheses")
    if options.reference is None:
        raise InputError(
            f"{path} is read as a file of hypotheses, which needs --reference; an existing score has the ending .json"
        )
    from signloom.score.formats import read_hypotheses, read_references
    from signloom.score.match_ids import match_ids

    split = options.split if options.reference.is_dir() else None
    matching = match_ids(read_references(options.reference, split=split), read_hypotheses(path))
    for note in matching.notes:
        say(f"warning: {path}: {note}")
    protocol = options.protocol or "plain"
    return score(matching.triples, protocol=protocol, signers=matching.signers, clips=matching.clips)


def _evaluation(folder: Path, split: str | None) -> Path:
    run = Run(folder)
    files = {name: run.evaluation_file(name) for name in SPLITS}
    existing = {name: path for name, path in files.items() if path.is_file()}
    there = f"there are evaluations of {', '.join(existing)}" if existing else "there is none"
    if split is None and len(existing) != 1:
        needed = "choose one with --split" if existing else "make one with 'signloom evaluate'"
        raise InputError(f"{folder}: needed the evaluation of one split, {there}; {needed}")
    if split is not None and split not in existing:
        raise InputError(f"{folder}: no {files[split].name}, {there}; make it with 'signloom evaluate'")
    return existing[split] if split is not None else next(iter(existing.values()))
