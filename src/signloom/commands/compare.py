"""Two systems on the same references: is the difference of their word error rates real, and where does it come from?

A and B are run folders that were evaluated (with --split where a run has several evaluations), JSON files of scores
(of 'signloom evaluate' or 'signloom score'), or files of hypotheses, which need --reference. Differences are B less A:
below zero, B is better. --html writes a page with both alignments of each utterance.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from signloom.console import say
from signloom.corpus import SPLITS
from signloom.errors import InputError
from signloom.run_folder import Run
from signloom.score.compare import RESAMPLES, compare
from signloom.score.compare_text import changed_utterances, summary
from signloom.score.wer import LEVEL, Score, read_score, score


@dataclass
class Options:
    """What `signloom compare` is told."""

    positionals: ClassVar[tuple[str, ...]] = ("a", "b")

    a: Path
    """the first system: a run folder, a score's JSON file, or a file of hypotheses"""
    b: Path
    """the second system, in the same or another of these forms"""
    split: str | None = None
    """which evaluation of a run folder: train, dev or test; also of a corpus given as --reference"""
    reference: Path | None = None
    """references of files of hypotheses: a file or a corpus"""
    protocol: str | None = None
    """scoring rule of files of hypotheses (plain when not given); scores that were made already keep theirs"""
    level: float = LEVEL
    """of the interval of the difference"""
    resamples: int = RESAMPLES
    """draws of the bootstrap"""
    seed: int = 0
    """of the draws"""
    changed: int = 5
    """how many of the utterances that got better, and worse, are shown"""
    format: Literal["text", "json"] = "text"
    """what is printed"""
    html: Path | None = None
    """file of the page with every utterance under both"""


def run(options: Options) -> int:
    """Returns the exit status: 0 when the two were compared, whatever came out."""
    if options.split is not None and options.split not in SPLITS:
        raise InputError(f"--split is {options.split!r}; needed one of {', '.join(SPLITS)}")
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
        from signloom.report.compare_page import write_compare_page

        say(f"page: {write_compare_page(comparison, options.html)}")
    elif options.format == "text":
        say("next: give --html FILE for a page with every utterance under both, to search and sort")
    return 0


def read_system(path: Path, options: Options) -> Score:
    """Returns the score of one system, read or made.

    Raises InputError for a run folder without the evaluation asked for, and for hypotheses without references.
    """
    if path.is_dir() or path.suffix.lower() == ".json":
        file = _evaluation(path, options.split) if path.is_dir() else path
        found = read_score(file)
        if options.protocol not in (None, found.protocol):
            raise InputError(
                f"{file}: scored under the rule {found.protocol!r}, --protocol asks for {options.protocol!r}; needed "
                f"that rule, or the hypotheses themselves with --reference"
            )
        return found
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder; needed a run folder, a score's JSON file or hypotheses")
    if options.reference is None:
        raise InputError(
            f"{path} is read as a file of hypotheses, and these need --reference; a score that was made already has "
            f"the ending .json"
        )
    from signloom.score.formats import read_hypotheses, read_references
    from signloom.score.match_ids import match_ids

    split = options.split if options.reference.is_dir() else None
    matching = match_ids(read_references(options.reference, split=split), read_hypotheses(path))
    for note in matching.notes:
        say(f"note: {path}: {note}")
    return score(matching.triples, protocol=options.protocol or "plain", signers=matching.signers)


def _evaluation(folder: Path, split: str | None) -> Path:
    run = Run(folder)
    found = {name: run.evaluation_file(name) for name in SPLITS}
    found = {name: path for name, path in found.items() if path.is_file()}
    there = f"there are evaluations of {', '.join(found)}" if found else "there is none"
    if split is None and len(found) != 1:
        needed = "tell which with --split" if found else "make one with 'signloom evaluate'"
        raise InputError(f"{folder}: needed the evaluation of one split, {there}; {needed}")
    if split is not None and split not in found:
        raise InputError(f"{folder}: no {run.evaluation_file(split).name}, {there}; make it with 'signloom evaluate'")
    return found[split] if split is not None else next(iter(found.values()))
