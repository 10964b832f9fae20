"""Shows a comparison of two systems as text for a terminal."""

from __future__ import annotations

import math

from signloom.errors import plural
from signloom.score.alignment import Op
from signloom.score.compare import Comparison, UtterancePair, aligned_columns
from signloom.score.text import by_rule, in_columns, percent

SIGNERS_SHOWN = 12
# With fewer utterances the bootstrap draws the same few over and over, and its intervals are too narrow.
FEW_UTTERANCES = 30
FEW = f"With fewer than {FEW_UTTERANCES} utterances the interval is too narrow: take it with care."


def summary(comparison: Comparison) -> str:
    """Returns the verdict, both error rates, the tests, the signers, and how many utterances changed."""
    a, b = comparison.a, comparison.b
    interval, test = comparison.interval, comparison.segment_test
    width = max(len(comparison.name_a), len(comparison.name_b))
    lines = [comparison.verdict(), ""]
    for letter, name, score in (("A", comparison.name_a, a), ("B", comparison.name_b, b)):
        counts = f"S {score.substitutions:,} D {score.deletions:,} I {score.insertions:,}"
        words = plural(score.reference_words, "reference gloss")
        rate = f"WER {percent(score.wer):>8}{by_rule(score.protocol)}"
        lines.append(f"  {letter}  {name:<{width}}  {rate}  {counts} of {words}")
    lines += [
        "",
        f"  B minus A: {points(comparison.difference)} points, {100 * interval.level:g} % interval "
        f"{points(interval.low)} to {points(interval.high)} (paired bootstrap, {interval.resamples:,} resamples of "
        f"{interval.resampled(len(comparison.pairs))}, seed {interval.seed})",
        f"  matched-pairs sentence segment test: {segment_sentence(comparison)}",
    ]
    signers = list(comparison.signers.items())
    if len(signers) > 1:
        width = max(len(name) for name, _ in signers)
        lines.append("")
        lines += [
            f"  {name:<{width}}  {percent(one.wer):>8} -> {percent(other.wer):>8}  {points(other.wer - one.wer):>7}"
            for name, (one, other) in signers[:SIGNERS_SHOWN]
        ]
        if len(signers) > SIGNERS_SHOWN:
            lines.append(f"  ... and {plural(len(signers) - SIGNERS_SHOWN, 'more signer')}")
    lines += ["", f"  {changes(comparison)}"]
    gained = [item for item in comparison.glosses if item.gained > 0][:5]
    lost = [item for item in comparison.glosses if item.gained < 0][:5]
    for title, items in (("gained", gained), ("lost", lost)):
        if items:
            shown = ", ".join(f"{item.gloss} ({item.gained:+d} of {item.occurrences})" for item in items)
            lines.append(f"  glosses {title} most by B: {shown}")
    if len(comparison.pairs) < FEW_UTTERANCES:
        lines.append(f"  {FEW}")
    lines.append(f"  scoring rule {a.protocol!r}: {a.rule}")
    if test.segments and comparison.real != (test.p_value is not None and test.p_value < 1 - interval.level):
        lines.append("  The two tests disagree: take the difference with care.")
    return "\n".join(lines)


def changed_utterances(comparison: Comparison, count: int = 5, *, width: int = 100) -> str:
    """Returns the utterances that improved and worsened most, `count` of each, with both alignments."""
    blocks = []
    for title, pairs in (("Better under B", comparison.better), ("Worse under B", comparison.worse)):
        if not pairs:
            continue
        shown = f", {count} shown" if len(pairs) > count else ""
        blocks.append(f"{title}: {plural(len(pairs), 'utterance')}{shown}")
        blocks += [render(pair, width=width) for pair in pairs[:count]]
    return "\n\n".join(blocks) or "No utterance has more or fewer errors under B."


def render(pair: UtterancePair, *, width: int = 100) -> str:
    """Returns one utterance: its errors under both systems, the reference, and both hypotheses with errors marked."""
    from rich.cells import cell_len

    signer = f", {pair.signer}" if pair.signer is not None else ""
    head = (
        f"{pair.id}{signer}: {plural(pair.a.errors, 'error')} -> {pair.b.errors} in "
        f"{plural(pair.a.reference_words, 'gloss')}"
    )
    columns = []
    for reference, *ops in aligned_columns(pair):
        texts = [reference or ""]
        for op in ops:
            texts += [_word(op, reference), "" if op is None or op.kind == "C" else op.kind]
        texts[0] = texts[0] or "*" * max(map(cell_len, texts))
        columns.append(texts)
    lines = in_columns(columns, ("REF", "A", "", "B", ""), width=width)
    return f"{head}\n{lines or '  REF  (no words)'}"


def changes(comparison: Comparison) -> str:
    """Returns how many utterances are better, worse, reworded and the same under B, in words."""
    better, worse, reworded = len(comparison.better), len(comparison.worse), len(comparison.reworded)
    same = len(comparison.pairs) - better - worse - reworded
    return (
        f"{plural(better, 'utterance')} better, {worse:,} worse, {reworded:,} with other glosses but as many errors, "
        f"{same:,} the same"
    )


def segment_sentence(comparison: Comparison) -> str:
    """Returns the result of the matched-pairs sentence segment test, in words."""
    test = comparison.segment_test
    if test.p_value is None or test.z is None:
        if test.segments > 1 and not test.mean:
            return f"as many errors in each of {test.segments:,} segments"
        return f"too few segments with errors to tell ({test.segments:,})"
    p_value = "p < 0.001" if test.p_value < 0.001 else f"p = {test.p_value:.3f}"
    return f"{p_value} (two-sided, z = {test.z:+.2f}, {test.segments:,} segments with errors)"


def difference_sentence(comparison: Comparison) -> str:
    """Returns the difference B minus A with its interval, and whether it exceeds chance, in words."""
    interval = comparison.interval
    claim = "more than chance on these utterances" if comparison.real else "chance alone could explain it"
    return (
        f"{points(comparison.difference)} points of WER ({100 * interval.level:g} % interval {points(interval.low)} "
        f"to {points(interval.high)}): {claim}"
    )


def points(rate: float) -> str:
    """Returns a signed difference of rates in points, e.g. `-1.30`; empty for NaN."""
    return "" if math.isnan(rate) else f"{100 * rate:+.2f}"


def _word(op: Op | None, reference: str | None) -> str:
    """Returns a system's word in a column: stars at a deletion, nothing if only the other system inserted a word."""
    if op is None:
        return ""
    from rich.cells import cell_len

    return "*" * cell_len(reference or "") if op.hypothesis is None else op.hypothesis
