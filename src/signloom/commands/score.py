"""Computes the word error rate of hypotheses against references, from any two files, under a named scoring rule.

Counts equal those of NIST's sclite, which need not be installed. REFERENCE is an stm file, a table (csv with id|gloss,
id,gloss, or the columns of PHOENIX, CSL-Daily or Isharah), JSON lines, or a corpus folder with --split. HYPOTHESIS is a
ctm file, a table, JSON lines, or a run folder after 'signloom evaluate'. Rules: plain, phoenix2014, phoenix2014t,
isharah, csl-daily (described in docs/scoring.md).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from signloom.console import say
from signloom.errors import InputError, plural
from signloom.files.writing import write_json, write_text
from signloom.hints import again, command
from signloom.score.formats import read_hypotheses, read_references
from signloom.score.match_ids import Matching, match_ids
from signloom.score.protocols import VARIANTS, protocol_named
from signloom.score.text import summary, worst_utterances
from signloom.score.wer import score
from signloom.text.patterns import UserPattern


@dataclass
class Options:
    """Options of `signloom score`."""

    positionals: ClassVar[tuple[str, ...]] = ("reference", "hypothesis")

    reference: Path
    """the references: .stm, .csv, .txt, .tsv, .jsonl, or a corpus folder"""
    hypothesis: Path
    """the recognised glosses: .ctm, .csv, .txt, .tsv, .jsonl, or a run folder"""
    protocol: str = "plain"
    """the scoring rule: plain, phoenix2014, phoenix2014t, isharah or csl-daily"""
    normalise_unicode: bool = False
    """variant: count words as equal that differ only in their Unicode form or in invisible characters"""
    without_on_off: bool = False
    """variant: drop __ON__ and __OFF__ from both sides"""
    merge_repeats: bool = False
    """variant: merge repeated glosses on both sides"""
    sentence_cleanup: bool = False
    """variant: clean whole sentences on both sides, as Python scorers do, instead of single words of the hypothesis"""
    split: str | None = None
    """split of a corpus or a run folder: train, dev or test"""
    signer_pattern: str | None = None
    r"""regular expression with one (group) that finds the signer in an id, e.g. '^(\d+)_' for Isharah"""
    worst: int = 5
    """number of worst utterances to show"""
    format: Literal["text", "json"] = "text"
    """output format"""
    output: Path | None = None
    """save the score as JSON, for 'signloom compare': a .json file, or a folder for score.json"""
    html: Path | None = None
    """write an HTML page with an error analysis and every utterance aligned"""


def run(options: Options) -> int:
    """Scores the hypotheses; returns exit status 0."""
    if options.worst < 0:
        raise InputError(f"--worst is {options.worst}; needed 0 or more")
    if options.output is not None and options.output.suffix not in ("", ".json") and not options.output.is_dir():
        raise InputError(f"--output is {options.output}; needed a .json file or a folder (--html writes a page)")
    variants = [name for name in VARIANTS if getattr(options, name)]
    protocol = protocol_named("+".join([options.protocol, *variants])).name
    references = read_references(options.reference, split=options.split)
    hypotheses = read_hypotheses(options.hypothesis, split=options.split)
    matching = match_ids(references, hypotheses)
    for note in matching.notes:
        say(f"warning: {note}")
    signers = _signers(matching, options.signer_pattern)
    result = score(matching.triples, protocol=protocol, signers=signers, clips=matching.clips)
    record = {
        **result.to_json(),
        "reference": str(references.path),
        "hypothesis": str(hypotheses.path),
        "missing": list(matching.missing),
        "extra": list(matching.extra),
        "notes": list(matching.notes),
    }
    if options.format == "json":
        print(json.dumps(record, ensure_ascii=False, indent=1))
    else:
        print(f"{hypotheses.path} against {references.path}, {plural(len(matching.utterances), 'utterance')}")
        print(summary(result))
        if options.worst:
            print("\n" + worst_utterances(result, options.worst))
    output = options.output
    if output is not None:
        output = output if output.suffix == ".json" else output / "score.json"
        write_json(output, record)
        say(f"written: {output}")
    if options.html:
        from signloom.report.score_page import render_score_page

        title = f"{hypotheses.path.name} against {references.path.name}"
        subtitle = f"{hypotheses.path} against {references.path}"
        labels = [*([f"scored by the variant {protocol}"] if "+" in protocol else []), *matching.notes]
        page = render_score_page(result, title=title, subtitle=subtitle, labels=labels)
        say(f"page: {write_text(options.html, page)}")
    if output is not None:
        say(f"next: {command('compare', output, 'OTHER.json')}  # the score of another system on the same references")
    else:
        with_page = again("score", options, html=options.html or "score.html", output="score.json")
        say(f"next: {with_page}  # where the errors are")
    return 0


def _signers(matching: Matching, pattern: str | None) -> dict[str, str | None]:
    if pattern is None:
        return matching.signers
    compiled = UserPattern(pattern, "--signer_pattern")
    found = {item.id: compiled.find(item.id) for item in matching.utterances}
    without = [name for name, signer in found.items() if signer is None]
    if without:
        raise InputError(
            f"--signer_pattern {pattern!r} finds no signer in {plural(len(without), 'id')}, such as {without[0]!r}"
        )
    return {name: signer or None for name, signer in found.items()}
