"""Composes isolated clips into a corpus of continuous utterances: splits the clips, draws, resamples and joins them.

The docstring of `commands/compose.py` states the rules. Utterance k of a split does not depend on the number of
utterances, and the split of the clips does not depend on the groups that are held out.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from signloom.corpus import SPLITS, Corpus, CorpusWriter, Utterance
from signloom.errors import Faults, InputError, listed
from signloom.files.paths import resolved
from signloom.landmarks import Landmarks, file_header, interpolate
from signloom.vocabulary import never_trained

# Range of the length of a sign, relative to its clip.
SPEED = (0.6, 1.1)
# Smallest number of frames of a sign.
MIN_SIGN_FRAMES = 8
# Largest share of a clip that is trimmed at either end.
MAX_TRIM = 1 / 8
# Range of the number of frames that join two signs, both ends included.
JOIN_FRAMES = (3, 7)
# Share of a gloss's clips that go to dev, and to test; train takes the rest.
DEV_SHARE = TEST_SHARE = 0.15
# Number of clips kept in memory: about half a megabyte each at 60 frames.
CACHED_CLIPS = 1500


@dataclass(frozen=True, kw_only=True)
class ComposeOptions:
    """Options of composed corpora."""

    held_out: list[str] = field(default_factory=list)
    """groups (signers) that are used only for test: the unseen signers"""
    num_train: int = 1000
    """number of utterances in train"""
    num_dev: int = 150
    """number of utterances in dev"""
    num_test: int = 150
    """number of utterances in test"""
    min_glosses: int = 3
    """smallest number of signs per utterance"""
    max_glosses: int = 8
    """largest number of signs per utterance"""
    clips_per_gloss: int | None = None
    """largest number of training clips per gloss and group (default: all)"""
    seed: int = 0
    """seed of every random draw: the same seed gives the same corpus"""

    def __post_init__(self) -> None:
        faults = Faults("compose")
        faults.need_at_least(0, self, "num_train", "num_dev", "num_test", "seed")
        faults.need_at_least(1, self, "clips_per_gloss")
        if self.num_train + self.num_dev + self.num_test == 0:
            faults.add("the corpus would have no utterances; raise --num_train, --num_dev or --num_test")
        if not 1 <= self.min_glosses <= self.max_glosses:
            faults.add(f"--min_glosses {self.min_glosses} and --max_glosses {self.max_glosses}; needed 1 <= min <= max")
        faults.raise_if_any()


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


def compose(
    corpus: Corpus,
    output: Path,
    options: ComposeOptions | None = None,
    *,
    overwrite: bool = False,
    progress: bool = False,
) -> Corpus:
    """Returns the corpus of continuous utterances made from isolated clips, written to the folder `output`.

    corpus: clips of one gloss each; the signer is the group; see `split_clips` for the corpus's own splits.
    progress: show a progress bar on stderr.
    Clips with other frame rates are first resampled to the most frequent one.
    Raises InputError as `split_clips` does, and if `output` already holds a corpus, unless `overwrite`.
    """
    from signloom.console import progress_bar

    options = options or ComposeOptions()
    if resolved(Path(output)) == resolved(corpus.root):
        raise InputError(f"{output}: this folder holds the clips; choose another --output")
    pools = split_clips(corpus, options).pools
    fps = common_fps(clip.fps for clip in corpus)

    @lru_cache(maxsize=CACHED_CLIPS)
    def load(clip_id: str) -> Landmarks:
        return corpus.load(clips[clip_id]).resampled(fps)

    clips = {clip.id: clip for clip in corpus}
    with (
        CorpusWriter(output, _info(corpus, options), overwrite=overwrite) as writer,
        progress_bar(disable=not progress) as bar,
    ):
        for number, split in enumerate(SPLITS):
            count = getattr(options, f"num_{split}")
            task = bar.add_task(f"composing {split}", total=count, unit="utterances")
            for k in range(count):
                rng = np.random.default_rng([options.seed, number, k])
                group, glosses, chosen = draw(pools[split], options, rng)
                signed, boundaries = join([load(clip.id) for clip in chosen], rng)
                writer.add(
                    f"{split}-{k:05d}",
                    split=split,
                    signer=group,
                    glosses=glosses,
                    landmarks=signed,
                    source={"maker": "signloom compose", "corpus": corpus.name},
                    truth={"boundaries": boundaries, "clips": [clip.id for clip in chosen]},
                )
                bar.advance(task)
    return Corpus.open(output)


def draw(
    pool: Pool, options: ComposeOptions, rng: np.random.Generator
) -> tuple[str | None, list[str], list[Utterance]]:
    """Returns the group, glosses and clips of one utterance.

    The group is drawn with a probability proportional to its number of clips, then each sign's gloss uniformly from the
    group's glosses, then one of its clips uniformly; all with replacement.
    """
    groups = list(pool)
    sizes = np.array([sum(map(len, pool[group].values())) for group in groups])
    group = groups[rng.choice(len(groups), p=sizes / sizes.sum())]
    known = list(pool[group])
    count = rng.integers(options.min_glosses, options.max_glosses, endpoint=True)
    glosses = [known[number] for number in rng.integers(len(known), size=count)]
    return group, glosses, [pool[group][gloss][rng.integers(len(pool[group][gloss]))] for gloss in glosses]


def join(clips: Sequence[Landmarks], rng: np.random.Generator) -> tuple[Landmarks, list[list[int]]]:
    """Returns the clips resampled and joined into one, and where each lies in it: [first frame, frame after the last].

    The frames of a join belong to neither sign. A point that is missing at either end of a join is missing throughout
    it.
    """
    positions = [retimed_positions(len(clip), rng) for clip in clips]
    joins = rng.integers(*JOIN_FRAMES, size=len(clips) - 1, endpoint=True)
    starts = np.cumsum([0, *(len(sign) + gap for sign, gap in zip(positions, joins, strict=False))])
    boundaries = [[int(start), int(start) + len(sign)] for start, sign in zip(starts, positions, strict=True)]

    def assemble(values: list[np.ndarray]) -> np.ndarray:
        signs = [interpolate(value, position) for value, position in zip(values, positions, strict=True)]
        pieces = signs[:1]
        for gap, before, after in zip(joins, signs, signs[1:], strict=False):
            between = np.arange(1, gap + 1) / (gap + 1)
            pieces += [interpolate(np.stack([before[-1], after[0]]), between), after]
        return np.concatenate(pieces)

    sizes, aspects = {clip.image_size for clip in clips}, {clip.pixel_aspect for clip in clips}
    return Landmarks(
        points=assemble([clip.points for clip in clips]),
        visibility=assemble([clip.visibility for clip in clips]),
        fps=clips[0].fps,
        image_size=sizes.pop() if len(sizes) == 1 else None,
        pixel_aspect=aspects.pop() if len(aspects) == 1 else 1.0,
        assumed=tuple(sorted({name for clip in clips for name in clip.assumed})),
        source={"maker": "signloom compose", **({"simulated": True} if any(clip.simulated for clip in clips) else {})},
    ), boundaries


def retimed_positions(num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the positions in a clip of the frames of its resampled sign, (T',) float64; T' is 0.6 to 1.1 of
    `num_frames`, at least 8.

    The first and the last position are up to an eighth of the clip away from its ends.
    """
    count = max(MIN_SIGN_FRAMES, round(num_frames * rng.uniform(*SPEED)))
    start, end = rng.uniform(0, MAX_TRIM, size=2) * (num_frames - 1)
    return np.linspace(start, num_frames - 1 - end, count)


def common_fps(rates: Iterable[float]) -> float:
    """Returns the most frequent frame rate; the highest of equally frequent ones."""
    return max(Counter(rates).items(), key=lambda item: (item[1], item[0]))[0]


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


def _info(corpus: Corpus, options: ComposeOptions) -> dict[str, Any]:
    kept = {key: value for key, value in corpus.info.items() if key not in file_header("", 0)}
    values = {item.name: getattr(options, item.name) for item in fields(ComposeOptions)}
    return {**kept, "name": f"{corpus.name}-composed", "composed": {"from": corpus.name, **values}}
