"""Composes isolated clips into a corpus of continuous utterances.

Every input clip shows one gloss; its signer is its group. An utterance consists of signs of one group, drawn with
replacement. Each sign is resampled to 0.6 to 1.1 of its frames (at least 8), after up to an eighth is trimmed at either
end. 3 to 7 interpolated frames join it to the next sign. Within a group, the clips of every gloss are split 70/15/15
among train, dev and test, so no clip is in two splits. Clips that come with splits stay in them. Groups named by
--held_out are unseen signers: the test utterances come from all their clips, train and dev from the shares of the other
groups.

Dev holds strangers, too, where six or more groups are left to train: one in six of them is used for dev only, with all
its clips. Train keeps every gloss, and the dev shares of the other groups. Dev gets as many glosses as possible. The
best epoch is then the one that recognises strangers best. With fewer groups dev holds signers of train, which cannot
tell how strangers are recognised; 'signloom crossval --nested' measures that. --dev_signers overrides.

Utterances can idle, so that a model learns to stay silent. --idle_glosses names glosses whose clips show no sign.
--idle says how often utterances begin and end with such a stretch. --resting_hand lets a hand that the clips do not
show rest in view.

The same seed gives the same bytes. Utterance k of a split does not depend on the number of utterances. The groups of
dev depend on the seed, --dev_signers, and the groups that are left to train with their glosses. How the clips of a
group are split depends on no other group, unless the group is held out or in dev. A composed utterance keeps its truth:
where each sign starts and ends, and which clip it comes from.
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
    """a corpus of isolated clips with one gloss each"""
    output: Path
    """folder of the new corpus"""
    overwrite: bool = False
    """replace an existing corpus"""


def run(options: Options) -> int:
    """Composes the corpus and prints a summary of it."""
    from signloom.console import console

    corpus = Corpus.open(options.corpus)
    shares = split_clips(corpus, options)
    for note in shares.notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    made = compose(corpus, options.output, options, overwrite=options.overwrite, progress=True)
    print(f"{options.output}: {len(made)} utterances from {len(corpus)} clips, seed {options.seed}")
    print(f"  {'split':<6}{'utterances':>11}{'glosses':>9}{'distinct':>10}{'minutes':>9}{'clips':>7}  signers")
    trained = shares.pools["train"].keys()
    for split, row in made.summary().items():
        pool = shares.pools[split]
        clips = sum(len(clips) for glosses in pool.values() for clips in glosses.values())
        print(
            f"  {split:<6}{row['utterances']:>11}{row['running_glosses']:>9}{row['distinct_glosses']:>10}"
            f"{row['hours'] * 60:>9.1f}{clips:>7}  {', '.join(group or 'unknown' for group in pool)}"
            f"{' (unseen)' if split != 'train' and not trained & pool.keys() else ''}"
        )
    print(f"Next: signloom train --data_dir {options.output}")
    return 0
