"""Isolated clips -> a corpus of continuous utterances.

Every input clip shows one gloss; its signer is its group. An utterance is made of signs of one group, drawn with
replacement. Each sign is re-timed to 0.6-1.1 of its frames (at least 8) with up to an eighth trimmed at either end,
and joined to the next by 3 to 7 frames of interpolation. Within a group the clips of every gloss are shared 70/15/15
among train, dev and test, so that no clip is in two splits. Groups named by --held_out are unseen signers: the test
utterances come from all of their clips, train and dev from the other groups' shares.

The same seed gives the same bytes. Utterance k of a split does not depend on how many are made, and the sharing does
not depend on what is held out. A composed utterance keeps its truth: where each sign starts and ends, and the clip it
was made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from signloom.compose import ComposeOptions, compose, split_clips
from signloom.corpus import Corpus


@dataclass(frozen=True, kw_only=True)
class Options(ComposeOptions):
    """Options of `signloom compose`."""

    positionals: ClassVar[tuple[str, ...]] = ("corpus",)

    corpus: Path
    """a corpus of isolated clips, each of one gloss"""
    output: Path
    """the folder of the new corpus"""
    overwrite: bool = False
    """replace a corpus that is already there"""


def run(options: Options) -> int:
    """Composes, and says what came of it."""
    from signloom.console import console

    corpus = Corpus.open(options.corpus)
    shares = split_clips(corpus, options)
    for note in shares.notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    made = compose(corpus, options.output, options, overwrite=options.overwrite, progress=True)
    print(f"{options.output}: {len(made)} utterances from {len(corpus)} clips, seed {options.seed}")
    print(f"  {'split':<6}{'utterances':>11}{'glosses':>9}{'distinct':>10}{'minutes':>9}{'clips':>7}  signers")
    for split, row in made.summary().items():
        pool = shares.pools[split]
        clips = sum(len(clips) for glosses in pool.values() for clips in glosses.values())
        print(
            f"  {split:<6}{row['utterances']:>11}{row['running_glosses']:>9}{row['distinct_glosses']:>10}"
            f"{row['hours'] * 60:>9.1f}{clips:>7}  {', '.join(group or 'unknown' for group in pool)}"
            f"{' (unseen)' if split == 'test' and options.held_out else ''}"
        )
    print(f"Next: signloom train --data_dir {options.output}")
    return 0
