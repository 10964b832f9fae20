"""Shows a score as text for a terminal: the summary with its rule, and aligned utterances with errors marked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from signloom.errors import plural
from signloom.score.alignment import CORRECT, Alignment
from signloom.score.wer import Score, UtteranceScore


def summary(score: Score) -> str:
    """Returns the word error rate with its interval, the error counts, the signers, and the scoring rule."""
    interval = score.interval()
    words = score.reference_words
    lines = [
        f"WER {percent(score.wer)}{by_rule(score.protocol)}  ({interval.level:.0%} interval {percent(interval.low)} to "
        f"{percent(interval.high)}, bootstrap over {interval.resampled(len(score.utterances))})",
        f"  {plural(score.substitutions, 'substitution')} + {plural(score.deletions, 'deletion')} + "
        f"{plural(score.insertions, 'insertion')} = {plural(score.errors, 'error')} in "
        f"{plural(words, 'reference gloss')}",
    ]
    if score.num_dropped:
        lines.append(
            f"  {plural(score.num_dropped, 'gloss')} dropped before scoring, not sure enough: the WER is that of the "
            "rest; a right one that was dropped is a deletion"
        )
    if len(score.by_signer) > 1:
        width = max(map(len, score.by_signer))
        lines += [
            f"  {name:<{width}}  WER {percent(part.wer):>7}  S {part.substitutions} D {part.deletions} "
            f"I {part.insertions} of {part.reference_words}, {plural(len(part.utterances), 'utterance')}"
            for name, part in score.by_signer.items()
        ]
    lines.append(f"  scoring rule {score.protocol!r}: {score.rule}")
    return "\n".join(lines)


def worst_utterances(score: Score, count: int = 5, *, width: int = 100) -> str:
    """Returns the utterances with the most errors, aligned; a sentence if no utterance has an error."""
    chosen = score.worst(count)
    if not chosen:
        return "No utterance has an error."
    return "\n\n".join(render(utterance, width=width) for utterance in chosen)


def render(utterance: UtteranceScore, *, width: int = 100) -> str:
    """Returns one utterance: its name and counts, then reference over hypothesis with the errors marked below."""
    aligned = utterance.alignment
    signer = f", {utterance.signer}" if utterance.signer is not None else ""
    head = (
        f"{utterance.id}{signer}: {plural(utterance.errors, 'error')} in {plural(utterance.reference_words, 'gloss')} "
        f"(S {aligned.substitutions} D {aligned.deletions} I {aligned.insertions})"
    )
    return f"{head}\n{render_alignment(aligned, width=width)}"


def render_alignment(alignment: Alignment, *, width: int = 100) -> str:
    """Returns reference over hypothesis in columns, with `***` for a missing word and errors marked S, D, I below.

    Widths are those of a terminal (a Chinese character takes two cells); lines break at `width` cells.
    """
    from rich.cells import cell_len

    columns = []
    for kind, reference, hypothesis in alignment.ops:
        stars = "*" * max(cell_len(word) for word in (reference, hypothesis) if word is not None)
        words = (stars if reference is None else reference, stars if hypothesis is None else hypothesis)
        columns.append((*words, "" if kind == CORRECT else kind))
    return in_columns(columns, ("REF", "HYP", ""), width=width) or "  REF  (no words)\n  HYP  (no words)"


def in_columns(columns: Sequence[Sequence[str]], labels: Sequence[str], *, width: int) -> str:
    """Returns columns of words as labelled lines, broken at `width` terminal cells; empty lines are dropped.

    columns: each has one text per label.
    """
    from rich.cells import cell_len

    blocks: list[list[list[str]]] = []
    label_width = max(map(len, labels))
    used = width
    for texts in columns:
        cells = max(map(cell_len, texts))
        if used + cells + 1 > width - label_width - 4:
            blocks.append([])
            used = 0
        blocks[-1].append([text + " " * (cells - cell_len(text)) for text in texts])
        used += cells + 1
    lines = [
        f"  {label:<{label_width}}  {' '.join(row)}".rstrip()
        for block in blocks
        for label, row in zip(labels, zip(*block, strict=True), strict=True)
    ]
    return "\n".join(line for line in lines if line)


def by_rule(protocol: str) -> str:
    """Returns the text that names the rule next to a number; empty for the rule `plain`."""
    return "" if protocol == "plain" else f" by {protocol}"


def percent(rate: float) -> str:
    """Returns a rate in percent with two decimals, e.g. `7.31 %`; `no rate` for NaN."""
    return "no rate" if math.isnan(rate) else f"{100 * rate:.2f} %"
