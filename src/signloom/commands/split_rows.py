"""What a new corpus has: a line per split, for people."""

from __future__ import annotations

from signloom.corpus import Corpus
from signloom.errors import plural


def split_rows(corpus: Corpus) -> list[str]:
    """Returns a line per split: utterances, glosses, signers and minutes, one below the other."""
    rows = [
        (
            split,
            plural(row["utterances"], "utterance"),
            plural(row["running_glosses"], "gloss"),
            plural(row["signers"], "signer"),
            f"{60 * row['hours']:.1f} minutes",
        )
        for split, row in corpus.summary().items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [f"  {name.ljust(widths[0])}  " + "  ".join(map(str.rjust, cells, widths[1:])) for name, *cells in rows]
