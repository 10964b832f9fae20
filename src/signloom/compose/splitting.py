"""Splits isolated clips into those of train, dev and test, by gloss and group."""

from __future__ import annotations

import hashlib
import shlex
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from signloom.compose.options import LEAD_SHARE, ComposeOptions
from signloom.corpus import SPLITS, Corpus, Utterance
from signloom.corpus.splits import AUTO, KNOWN, KNOWN_DEV, DevSigners, check_names, choose_dev_signers
from signloom.errors import Faults, InputError, listed, plural
from signloom.hints import item_list
from signloom.vocabulary import never_trained

# Share of a gloss's clips that go to dev, and to test; train takes the rest.
DEV_SHARE = TEST_SHARE = 0.15

# Glosses that collections give to clips without a sign.
_LIKELY_IDLE = ("-", "_", "idle", "rest", "resting", "nothing", "none", "no sign", "nosign", "neutral", "background")

# The clips that utterances are drawn from: group -> gloss -> clips.
Pool = dict[str | None, dict[str, list[Utterance]]]


@dataclass(frozen=True)
class ClipSplits:
    """The clips of each split.

    pools: the clips of train, dev and test by group and gloss.
    idle: clips that show idling, by split.  others: clips of signs that the model must not name, by split and group.
    notes: what the user should know about the splits, one sentence each.
    """

    pools: Mapping[str, Pool]
    idle: Mapping[str, Sequence[Utterance]]
    others: Mapping[str, Mapping[str | None, Sequence[Utterance]]]
    notes: tuple[str, ...]

    def others_of(self, split: str, group: str | None) -> Sequence[Utterance]:
        """Returns the clips of other signs by a group or, if it has none, by all groups of the split."""
        by_group = self.others[split]
        return by_group.get(group) or [clip for some in by_group.values() for clip in some]


def split_clips(corpus: Corpus, options: ComposeOptions) -> ClipSplits:
    """Returns the clips of an isolated-sign corpus split into train, dev and test.

    The clips of each gloss and group are split 70/15/15. Clips that come with a train split and others stay in their
    own splits; train gives a share of its clips to a split that they lack. If groups are held out, test has all their
    clips and no others. Groups of dev (`choose_dev_signers`) have none of their clips in train, and train has the dev
    shares of the other groups; a dev split that the clips come with stays as it is.

    How the clips of a group are split depends on no other group, unless it is chosen for dev, and on no number of
    utterances.

    Raises InputError listing every clip that does not show one gloss of one group, for an unknown group of an option,
    and for a split that needs utterances but gets no clips.
    """
    by_group = clips_by_group(corpus)
    idle_clips = _not_signs(corpus, by_group, options.idle_glosses, "idle_glosses")
    other_clips = _not_signs(corpus, by_group, options.other_glosses, "other_glosses")
    own = _own_splits(corpus)
    _check_held_out(corpus, by_group, options)
    dev = _dev_groups(corpus, by_group, own, options)
    pools: dict[str, Pool] = {split: {} for split in SPLITS}
    for group in sorted(by_group, key=str):
        for gloss in sorted(by_group[group]):
            for split, clips in _shares(by_group[group][gloss], group, own, dev, options).items():
                if split == "train" and options.clips_per_gloss is not None:
                    clips = clips[: options.clips_per_gloss]
                if clips:
                    pools[split].setdefault(group, {})[gloss] = clips

    def split_up(taken: Mapping[str | None, list[list[Utterance]]]) -> dict[str, dict[str | None, list[Utterance]]]:
        result: dict[str, dict[str | None, list[Utterance]]] = {split: {} for split in SPLITS}
        for group, some in taken.items():
            for clips in some:
                for split, share in _shares(clips, group, own, dev, options).items():
                    result[split].setdefault(group, []).extend(share)
        return result

    for split in SPLITS:
        if getattr(options, f"num_{split}") and not pools[split]:
            most_clips = max(len(clips) for glosses in by_group.values() for clips in glosses.values())
            raise InputError(
                f"{corpus.root}: {split} gets no clips; no gloss and group has more than {most_clips}, needed 3 to "
                f"serve train, dev and test. Add clips or pass --num_{split} 0"
            )
    idle = {
        split: [clip for some in groups.values() for clip in some] for split, groups in split_up(idle_clips).items()
    }
    return ClipSplits(pools, idle, split_up(other_clips), tuple(_notes(corpus, by_group, pools, dev, options)))


def clips_by_group(corpus: Corpus) -> Pool:
    """Returns the clips of a corpus of isolated signs by group and gloss.

    Raises InputError listing every clip that does not show one gloss of one group.
    """
    faults = Faults(f"{corpus.root}: not a corpus of isolated clips")
    unnamed = sum(clip.signer is None for clip in corpus)
    by_group: Pool = defaultdict(lambda: defaultdict(list))
    for clip in corpus:
        if len(clip.glosses) != 1:
            shown = " ".join(clip.glosses)
            faults.add(
                f"{clip.id}: {plural(len(clip.glosses), 'gloss')} ({shown:.60}), needed 1: a continuous clip is not "
                "one sign"
            )
        elif clip.signer is None and unnamed < len(corpus):
            faults.add(f"{clip.id}: no signer, but other clips name one; needed a signer for every clip or for none")
        else:
            by_group[clip.signer][clip.glosses[0]].append(clip)
    faults.raise_if_any()
    return by_group


def _not_signs(
    corpus: Corpus, by_group: Pool, glosses: Sequence[str], option: str
) -> dict[str | None, list[list[Utterance]]]:
    """Returns what `take_clips` does of a corpus that must have a sign left."""
    result = take_clips(by_group, glosses, f"compose: --{option}, {corpus.root}")
    if not by_group:
        raise InputError(f"compose: --{option} leaves no gloss of {corpus.root}; needed one that is a sign")
    return result


def take_clips(by_group: Pool, glosses: Sequence[str], where: str) -> dict[str | None, list[list[Utterance]]]:
    """Returns the clips of each of some glosses by group, and takes them out of `by_group`, in place.

    A group whose clips are all taken is taken out as well. Raises InputError that begins with `where` for a gloss
    without clips.
    """
    check_names(glosses, sorted({gloss for some in by_group.values() for gloss in some}), where, "gloss")
    result: dict[str | None, list[list[Utterance]]] = {}
    for group in list(by_group):
        taken = [by_group[group].pop(gloss) for gloss in glosses if gloss in by_group[group]]
        if taken:
            result[group] = taken
        if not by_group[group]:
            del by_group[group]
    return result


def _check_held_out(corpus: Corpus, by_group: Pool, options: ComposeOptions) -> None:
    groups = [group for group in by_group if group is not None]
    check_names(options.held_out, groups, f"compose: --held_out, {corpus.root}")
    if set(options.held_out) == set(groups) and groups and options.num_train + options.num_dev:
        raise InputError(f"compose: --held_out names every group of {corpus.root}; needed one left to train on")


def _dev_groups(corpus: Corpus, by_group: Pool, own: Collection[str], options: ComposeOptions) -> DevSigners:
    """Returns the groups that are used only for dev, chosen among those that could train."""
    if "dev" in own:
        if options.dev_signers not in ([AUTO], [KNOWN]):
            raise InputError(f"compose: --dev_signers: the clips of {corpus.root} come with a dev split, which stays")
        return DevSigners(why_none="the clips come with this dev split")
    glosses = {
        group: {gloss: sum(not own or clip.split == "train" for clip in clips) for gloss, clips in by_gloss.items()}
        for group, by_gloss in by_group.items()
        if group is not None and group not in options.held_out
    }
    trained = {group: {gloss: n for gloss, n in counts.items() if n} for group, counts in glosses.items()}
    trained = {group: counts for group, counts in trained.items() if counts}
    return choose_dev_signers(trained, options.dev_signers, seed=options.seed)


def _shares(
    clips: Sequence[Utterance], group: str | None, own: Collection[str], dev: DevSigners, options: ComposeOptions
) -> dict[str, list[Utterance]]:
    """Returns the clips of one gloss and group by split."""
    if group in options.held_out:
        return {"test": sorted(clips, key=lambda clip: clip.id)}
    shares = _own_shares(clips, own, options.seed)
    if group in dev.names:
        given = [clip for clip in clips if not own or clip.split == "train"]
        shares |= {"train": [], "dev": sorted(given, key=lambda clip: clip.id)}
        if "test" not in own:
            del shares["test"]
    elif dev.names:
        # At the end: --clips_per_gloss takes the same clips with and without groups of dev.
        shares |= {"train": [*shares["train"], *shares["dev"]], "dev": []}
    if options.held_out:
        shares.pop("test", None)
    return shares


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


def _own_shares(clips: Sequence[Utterance], own: Collection[str], seed: int) -> dict[str, list[Utterance]]:
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


def _notes(
    corpus: Corpus, by_group: Pool, pools: Mapping[str, Pool], dev: DevSigners, options: ComposeOptions
) -> list[str]:
    """Returns what the user should know before training on the result."""
    everything = {gloss for glosses in by_group.values() for gloss in glosses}
    of = {split: {gloss for glosses in pools[split].values() for gloss in glosses} for split in SPLITS}
    notes = []
    if None in by_group:
        notes.append("the clips name no signer; one utterance may join signs of different people")
    for group, glosses in sorted(by_group.items(), key=lambda item: str(item[0])):
        if len(glosses) < len(everything):
            missing = listed(sorted(everything - set(glosses)))
            notes.append(f"group {group} has {len(glosses)} of {plural(len(everything), 'gloss')}; without {missing}")
    notes += likely_idle(everything)
    if options.lead is None and (resting := _resting(everything)):
        notes.append(f"no utterance begins or ends at rest (--lead): {listed(resting)} seems to be the gloss of that")
    if options.num_dev:
        notes += _notes_on_dev(pools, of, dev)
    for split in SPLITS:
        if not getattr(options, f"num_{split}") or (split == "dev" and dev.names):
            continue
        groups = [g for g in by_group if not options.held_out or (g in options.held_out) == (split == "test")]
        wanted = {gloss for group in groups for gloss in by_group[group]}
        if wanted - of[split]:
            notes.append(
                f"{split} has no clips of {listed(sorted(wanted - of[split]))}; a gloss needs 3 clips in a group to be "
                "in all of train, dev and test"
            )
    for split in ("dev", "test"):
        untrained = of[split] - of["train"]
        if untrained and getattr(options, f"num_{split}"):
            notes.append(f"{never_trained(split, untrained)}; each of them counts as an error")
    if own := _own_splits(corpus):
        lacking = [split for split in SPLITS if split not in own and not (split == "dev" and dev.names)]
        given = f"; {' and '.join(lacking)} gets a share of train" if lacking else ""
        notes.append(f"the clips stay in their own splits{given}")
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
        notes.append(f"{plural(unused, 'clip is', 'clips are')} in no split: {' and '.join(reasons)}")
    return notes


def lead_share(shares: ClipSplits, options: ComposeOptions) -> float:
    """Returns the probability that the hands of an utterance come from rest, and that they go back to it."""
    if options.lead is not None:
        return options.lead
    glosses = {gloss for pool in shares.pools.values() for signs in pool.values() for gloss in signs}
    return 0.0 if _resting(glosses) else LEAD_SHARE


def _resting(glosses: Collection[str]) -> list[str]:
    """Returns the glosses whose names say that their clips may show no sign."""
    return sorted(gloss for gloss in glosses if gloss.lower() in _LIKELY_IDLE)


def likely_idle(glosses: Collection[str]) -> list[str]:
    """Returns the note on glosses whose names say that their clips may show no sign; none if there are no such ones."""
    likely = _resting(glosses)
    if not likely:
        return []
    return [
        f"{listed(likely)} may be no sign; with --idle_glosses {shlex.quote(item_list(likely))} such clips become "
        "stretches without a gloss, from which a model learns to stay silent"
    ]


def _notes_on_dev(pools: Mapping[str, Pool], of: Mapping[str, Collection[str]], dev: DevSigners) -> list[str]:
    """Returns the note on who is in dev: strangers, or known signers only; none if that is not known."""
    if dev.names:
        who = f"{listed(dev.names)}, who {'is' if len(dev.names) == 1 else 'are'} not in train"
        return [
            f"dev holds {who}, and {len(of['dev'])} of the {plural(len(of['train']), 'gloss')} of train; --dev_signers "
            f"{KNOWN} makes it of clips of every group instead"
        ]
    if pools["dev"] and None not in pools["dev"] and pools["dev"].keys() <= pools["train"].keys():
        return [f"{KNOWN_DEV} ({dev.why_none})"]
    return []
