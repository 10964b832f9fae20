"""Splits isolated clips into those of train, dev and test, by gloss and group."""

from __future__ import annotations

import difflib
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from signloom.compose.options import ComposeOptions
from signloom.corpus import SPLITS, Corpus, Utterance
from signloom.errors import Faults, InputError, listed
from signloom.vocabulary import never_trained

# Share of a gloss's clips that go to dev, and to test; train takes the rest.
DEV_SHARE = TEST_SHARE = 0.15

# The clips that utterances are drawn from: group -> gloss -> clips.
Pool = dict[str | None, dict[str, list[Utterance]]]


@dataclass(frozen=True)
class ClipSplits:
    """The clips of each split.

    pools: the clips of train, dev and test by group and gloss.
    notes: what the user should know about the splits, one sentence each.
    """

    pools: Mapping[str, Pool]
    notes: tuple[str, ...]


def split_clips(corpus: Corpus, options: ComposeOptions) -> ClipSplits:
    """Returns the clips of an isolated-sign corpus split into train, dev and test.

    The clips of each gloss and group are split 70/15/15. Clips that come with a train split and others stay in their
    own splits; train gives a share of its clips to a split that they lack. If groups are held out, test has all their
    clips and no others.

    Raises InputError listing every clip that does not show one gloss of one group, for an unknown held-out group, and
    for a split that needs utterances but gets no clips.
    """
    by_group = _by_group(corpus)
    held_out = set(options.held_out)
    own = _own_splits(corpus)
    _check_held_out(corpus, by_group, options)
    pools: dict[str, Pool] = {split: {} for split in SPLITS}
    for group in sorted(by_group, key=str):
        for gloss in sorted(by_group[group]):
            shares = _own_shares(by_group[group][gloss], own, options.seed)
            if group in held_out:
                shares = {"test": sorted(by_group[group][gloss], key=lambda clip: clip.id)}
            elif held_out:
                del shares["test"]
            for split, clips in shares.items():
                if split == "train" and options.clips_per_gloss is not None:
                    clips = clips[: options.clips_per_gloss]
                if clips:
                    pools[split].setdefault(group, {})[gloss] = clips
    for split in SPLITS:
        if getattr(options, f"num_{split}") and not pools[split]:
            most_clips = max(len(clips) for glosses in by_group.values() for clips in glosses.values())
            raise InputError(
                f"{corpus.root}: {split} gets no clips; no gloss and group has more than {most_clips}, needed 3 to "
                f"serve train, dev and test. Add clips or pass --num_{split} 0"
            )
    return ClipSplits(pools, tuple(_notes(corpus, by_group, pools, options)))


def _by_group(corpus: Corpus) -> Pool:
    faults = Faults(f"{corpus.root}: not a corpus of isolated clips")
    unnamed = sum(clip.signer is None for clip in corpus)
    by_group: Pool = defaultdict(lambda: defaultdict(list))
    for clip in corpus:
        if len(clip.glosses) != 1:
            shown = " ".join(clip.glosses)
            faults.add(
                f"{clip.id}: {len(clip.glosses)} glosses ({shown:.60}), needed 1: a continuous clip is not one sign"
            )
        elif clip.signer is None and unnamed < len(corpus):
            faults.add(f"{clip.id}: no signer, but other clips name one; needed a signer for every clip or for none")
        else:
            by_group[clip.signer][clip.glosses[0]].append(clip)
    faults.raise_if_any()
    return by_group


def _check_held_out(corpus: Corpus, by_group: Pool, options: ComposeOptions) -> None:
    faults = Faults("compose: --held_out")
    groups = [group for group in by_group if group is not None]
    for name in options.held_out:
        if name not in groups:
            near = difflib.get_close_matches(name, groups, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            known = listed(sorted(groups)) or "none, because its clips name no signer"
            faults.add(f"no group {name!r} in {corpus.root}; {hint}Groups: {known}")
    faults.raise_if_any()
    if set(options.held_out) == set(groups) and groups and options.num_train + options.num_dev:
        raise InputError(f"compose: --held_out names every group of {corpus.root}; needed one left to train on")


def _share(clips: Sequence[Utterance], seed: int) -> dict[str, list[Utterance]]:
    """Returns the clips of one gloss and group split 70/15/15; of two clips, one goes to train and one to test; a
    single clip goes to train."""
    ordered = sorted(clips, key=lambda clip: clip.id)
    # The seed includes the clips' ids, so that another group or gloss in the corpus changes nothing here.
    names = hashlib.sha256("\0".join(clip.id for clip in ordered).encode()).digest()
    rng = np.random.default_rng([seed, *names])
    shuffled = [ordered[number] for number in rng.permutation(len(ordered))]
    if len(shuffled) < 3:
        return {"train": shuffled[:1], "dev": [], "test": shuffled[1:]}
    dev = max(1, round(DEV_SHARE * len(shuffled)))
    test = max(1, round(TEST_SHARE * len(shuffled)))
    return {"train": shuffled[dev + test :], "dev": shuffled[:dev], "test": shuffled[dev : dev + test]}


def _own_splits(corpus: Corpus) -> set[str]:
    """Returns the splits that the clips came with; none if they are all in one split, or none is for training."""
    splits = {clip.split for clip in corpus}
    return splits if len(splits) > 1 and "train" in splits else set()


def _own_shares(clips: Sequence[Utterance], own: set[str], seed: int) -> dict[str, list[Utterance]]:
    """Returns the clips of one gloss and group by their own splits `own`, or split by `_share` if there are none."""
    if not own:
        return _share(clips, seed)
    shares = {split: sorted((c for c in clips if c.split == split), key=lambda clip: clip.id) for split in SPLITS}
    lacking = [split for split in SPLITS if split not in own]
    if lacking and shares["train"]:
        parts = _share(shares["train"], seed)
        given = {clip.id for split in lacking for clip in parts[split]}
        shares.update({split: parts[split] for split in lacking})
        shares["train"] = [clip for clip in shares["train"] if clip.id not in given]
    return shares


def _notes(corpus: Corpus, by_group: Pool, pools: Mapping[str, Pool], options: ComposeOptions) -> list[str]:
    """Returns what the user should know before training on the result."""
    everything = {gloss for glosses in by_group.values() for gloss in glosses}
    notes = []
    if None in by_group:
        notes.append("the clips name no signer; one utterance may join signs of different people")
    for group, glosses in sorted(by_group.items(), key=lambda item: str(item[0])):
        if len(glosses) < len(everything):
            missing = listed(sorted(everything - set(glosses)))
            notes.append(f"group {group} has {len(glosses)} of {len(everything)} glosses; without {missing}")
    for split in SPLITS:
        if not getattr(options, f"num_{split}"):
            continue
        here = {gloss for glosses in pools[split].values() for gloss in glosses}
        groups = [g for g in by_group if not options.held_out or (g in options.held_out) == (split == "test")]
        wanted = {gloss for group in groups for gloss in by_group[group]}
        if wanted - here:
            notes.append(
                f"{split} has no clips of {listed(sorted(wanted - here))}; a gloss needs 3 clips in a group to be in "
                "all of train, dev and test"
            )
    trained = {gloss for glosses in pools["train"].values() for gloss in glosses}
    for split in ("dev", "test"):
        untrained = {gloss for glosses in pools[split].values() for gloss in glosses} - trained
        if untrained and getattr(options, f"num_{split}"):
            notes.append(f"{never_trained(split, untrained)}; each of them counts as an error")
    if own := _own_splits(corpus):
        lacking = " and ".join(split for split in SPLITS if split not in own)
        notes.append(f"the clips stay in their own splits{f'; {lacking} gets a share of train' if lacking else ''}")
    elif len({clip.split for clip in corpus}) > 1:
        notes.append("the clips' own splits are ignored; train, dev and test are split again")
    unused = sum(len(clips) for glosses in by_group.values() for clips in glosses.values()) - sum(
        len(clips) for pool in pools.values() for glosses in pool.values() for clips in glosses.values()
    )
    if unused:
        reasons = []
        if options.held_out:
            reasons.append("the test shares of the groups that train")
        if options.clips_per_gloss is not None:
            reasons.append("what --clips_per_gloss leaves over")
        notes.append(f"{unused} clips are in no split: {' and '.join(reasons)}")
    return notes
