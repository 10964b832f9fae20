"""Composes isolated clips into a corpus of continuous utterances; or, with --from_alignment, sentences into more.

Every input clip shows one gloss; its signer is its group. An utterance consists of signs of one group, drawn with
replacement. Each sign is resampled to 0.6 to 1.1 of its frames (at least 8), after up to an eighth is trimmed at either
end. 3 to 7 interpolated frames join it to the next sign. Within a group, the clips of every gloss are split 70/15/15
among train, dev and test, so no clip is in two splits. Clips that come with splits stay in them. Groups named by
--held_out are unseen signers: the test utterances come from all their clips, train and dev from the shares of the other
groups.

Dev holds strangers, too, where six or more groups are left to train: one in six of them is used for dev only, with all
its clips. Train keeps every gloss, three quarters of the clips or more, and the dev shares of the other groups. Dev
gets as many glosses as possible. The best epoch is then the one that recognises strangers best. With fewer groups dev
holds signers of train and does not show how well new people are recognised; 'signloom crossval --nested' measures it.
--dev_signers overrides.

Utterances can idle, so that a model learns to stay silent. --idle_glosses names glosses whose clips show no sign.
--idle says how often utterances begin and end with such a stretch. --resting_hand lets a hand that the clips do not
show rest in view. --others puts other signs, movements and idle hands between the signs, to which a model gives the
unknown gloss; --other_glosses names glosses whose clips are such signs. One utterance in five then shows nothing else
(--no_sign), and clips of --idle_glosses whose hands are up get the unknown gloss as well. Clips of one person in an
utterance of another are moved and scaled to that one's shoulders, and have a face only if that one has: a model would
tell them by body or face alone.

Clips of isolated signs often begin and end with the hands up. In half of the utterances they come up from rest before
the first sign, and in half they go back after the last one (--lead): a model that never saw that names signs there.

Most people make some one-handed signs with the other hand. --mirror_signs mirrors a share of them, in train alone: dev
and test show signs as they were signed. It costs some errors where people sign with the usual hand.

The same seed gives the same bytes. Utterance k of a split does not depend on the number of utterances. The groups of
dev depend on the seed, --dev_signers, and the groups that are left to train with their clips. How the clips of a
group are split depends on no other group, unless the group is held out or in dev. A composed utterance keeps its truth:
where each sign starts and ends, and which clip it comes from.

With --from_alignment the corpus is one of sentences. The model aligns each training sentence, which is cut into signs
half-way between their middles. A new sentence is a training sentence in which about half of the signs are replaced by
other cuts of the same signer: by signs that fit between their neighbours, as a bigram model of the training sentences
finds. Cuts are used only if the model recognises the sign and its neighbours by itself, with a confidence of 50 % or
more, and if they are half to twice as long as most cuts of the gloss. The new corpus has the sentences of the old one,
dev and test unchanged, and the new sentences in train. Nothing of dev or test is cut.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

from signloom.compose import ComposeOptions, compose, split_clips
from signloom.corpus import Corpus
from signloom.errors import InputError, listed, plural
from signloom.hints import command
from signloom.recompose import RecomposeOptions, recompose

# How many sentences a message names.
_NUM_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Options(ComposeOptions):
    """Options of `signloom compose`."""

    positionals: ClassVar[tuple[str, ...]] = ("corpus",)
    urls: ClassVar[tuple[str, ...]] = ("output",)

    corpus: Path
    """a corpus of isolated clips with one gloss each; with --from_alignment, one of sentences"""
    output: Path
    """folder or URL of the new corpus"""
    overwrite: bool = False
    """replace an existing corpus"""
    from_alignment: Path | None = None
    """add new training sentences made of a corpus' own signs, cut where this run or model aligns them. Of the other
    options only --new_per_sentence, --seed and --overwrite apply"""
    new_per_sentence: float = RecomposeOptions.new_per_sentence
    """with --from_alignment: number of new sentences per training sentence"""


def run(options: Options) -> int:
    """Composes the corpus and prints a summary of it."""
    if options.from_alignment is not None:
        return _recompose(options, options.from_alignment)
    if options.new_per_sentence != RecomposeOptions.new_per_sentence:
        raise InputError("compose: --new_per_sentence is for sentences; give --from_alignment RUN, or --num_train")
    from signloom.console import say

    corpus = Corpus.open(options.corpus)
    shares = split_clips(corpus, options)
    for note in shares.notes:
        say(f"note: {note}")
    made = compose(corpus, options.output, options, overwrite=options.overwrite, progress=True)
    print(f"{options.output}: {plural(len(made), 'utterance')} from {plural(len(corpus), 'clip')}, seed {options.seed}")
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
    print(f"next: {command('train', data_dir=options.output)}")
    return 0


def _recompose(options: Options, model: Path) -> int:
    """Adds new sentences to a corpus of sentences and prints how it was cut."""
    from signloom.console import say, say_list
    from signloom.inference.model import load

    unused = [
        f"--{item.name}"
        for item in fields(ComposeOptions)
        if item.name != "seed" and getattr(options, item.name) != getattr(ComposeOptions(), item.name)
    ]
    if unused:
        raise InputError(
            f"compose: {listed(unused)} cannot be used with --from_alignment, which keeps dev and test as they are; "
            "leave it out, and set the number of new sentences by --new_per_sentence"
        )
    chosen = RecomposeOptions(new_per_sentence=options.new_per_sentence, seed=options.seed)
    corpus = Corpus.open(options.corpus)
    made, cut = recompose(corpus, options.output, load(model), chosen, overwrite=options.overwrite, progress=True)
    print(f"{plural(len(cut.by_sentence), 'training sentence')} aligned and cut into {plural(len(cut.cuts), 'sign')}")
    print(f"  {len(cut.trusted):>7,} used ({len(cut.trusted) / len(cut.cuts):.1%})")
    for reason, count in cut.doubts.most_common():
        print(f"  {count:>7,} not used: {reason}")
    if cut.lost_glosses:
        say(f"note: no cut can be trusted of {listed(cut.lost_glosses)}; only their own sentences show them")
    if cut.failed:
        say(f"note: {plural(len(cut.failed), 'sentence')} could not be aligned and cut; first ones:")
        say_list([f"{name}: {reason}" for name, reason in cut.failed.items()], _NUM_SHOWN)
    if any(item.signer is None for item in corpus.split("train")):
        say("note: some sentences name no signer; a new one may join signs of different people")
    num_new = len(made) - len(corpus)
    print(
        f"{options.output}: {plural(len(corpus), 'utterance')} as they were, {num_new:,} new in train, seed "
        f"{options.seed}"
    )
    print(f"next: {command('train', data_dir=options.output)}")
    return 0
