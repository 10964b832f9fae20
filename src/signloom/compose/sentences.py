"""Draws clips, resamples them and joins them into continuous utterances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from signloom.compose.idle import idle_places, idle_stretch, rest_beside, with_resting_hands
from signloom.compose.leads import lead_in, lead_out
from signloom.compose.options import ComposeOptions
from signloom.compose.other_hand import by_other_hand, is_one_handed
from signloom.compose.others import draw_other, other_places
from signloom.compose.splitting import ClipSplits, Pool, lead_share, split_clips
from signloom.corpus import SPLITS, Corpus, CorpusWriter, Utterance
from signloom.errors import InputError
from signloom.files.paths import resolved
from signloom.files.urls import located
from signloom.landmarks import Landmarks, file_header, interpolate

# Range of the length of a sign, relative to its clip.
SPEED = (0.6, 1.1)
# Smallest number of frames of a sign.
MIN_SIGN_FRAMES = 8
# Largest share of a clip that is trimmed at either end.
MAX_TRIM = 1 / 8
# Range of the number of frames that join two signs, both ends included.
JOIN_FRAMES = (3, 7)
# Number of clips kept in memory: about half a megabyte each at 60 frames.
CACHED_CLIPS = 1500
# Share of others in an utterance without a sign; the rest idles.
OTHERS_ALONE = 0.5


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
    if resolved(located(output)) == resolved(corpus.root):
        raise InputError(f"{output}: this folder holds the clips; choose another --output")
    shares = split_clips(corpus, options)
    options = replace(options, lead=lead_share(shares, options))
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
                seed = [options.seed, number, k]
                made = drawn(shares, split, options, load, seed, names_others=bool(options.others))
                signed, spans = join(made.pieces, made.rng)
                signed = with_resting_hands(signed, options.resting_hand, made.idle_rng)
                writer.add(
                    f"{split}-{k:05d}",
                    split=split,
                    signer=made.group,
                    glosses=made.glosses,
                    landmarks=signed,
                    source={"maker": "signloom compose", "corpus": corpus.name},
                    truth={
                        "boundaries": [span for span, kind in zip(spans, made.kinds, strict=True) if kind == "sign"],
                        "clips": made.clips,
                        **{
                            name: [span for span, kind in zip(spans, made.kinds, strict=True) if kind == name]
                            for name in ("idle", "other", "lead")
                            if name in made.kinds
                        },
                        **({"mirrored": made.mirrored} if made.mirrored else {}),
                    },
                    others=made.others,
                )
                bar.advance(task)
    return Corpus.open(output)


@dataclass(frozen=True)
class Drawn:
    """What one utterance is made of.

    glosses, clips: of its signs, and the ids of their clips.  pieces: what it shows, each a `sign`, `idle`, `other` or
    `lead` by `kinds`.  rng, idle_rng: for what is left to draw.  mirrored: the numbers of the signs by the other hand.
    """

    group: str | None
    glosses: list[str]
    clips: list[str]
    pieces: list[Landmarks]
    kinds: list[str]
    rng: np.random.Generator
    idle_rng: np.random.Generator
    mirrored: list[int] = field(default_factory=list)

    @property
    def others(self) -> list[int]:
        """How many signs there are before each `other`: see `Utterance.others`."""
        return [self.kinds[:at].count("sign") for at, kind in enumerate(self.kinds) if kind == "other"]


def drawn(
    shares: ClipSplits,
    split: str,
    options: ComposeOptions,
    load: Callable[[str], Landmarks],
    seed: Sequence[int],
    *,
    names_others: bool,
) -> Drawn:
    """Returns what utterance `seed` of a split is made of: signs, with idling and others between them, or these alone.

    Signs of train may be mirrored, and the hands may come from rest and return to it.

    load: returns the landmarks of a clip.  names_others: see `idle_stretch`.
    """
    rng = np.random.default_rng(seed)
    group, glosses, chosen = draw(shares.pools[split], options, rng)
    # Draws of their own: which clips are composed depends on nothing else.
    idle_rng, other_rng, kind_rng, mirror_rng, lead_rng = (np.random.default_rng([*seed, use]) for use in range(1, 6))
    signs = [load(clip.id) for clip in chosen]
    mirrored = []
    if split == "train":
        asked = np.flatnonzero(mirror_rng.random(len(signs)) < options.mirror_signs).tolist()
        mirrored = [number for number in asked if is_one_handed(signs[number])]
        signs = [by_other_hand(sign) if number in mirrored else sign for number, sign in enumerate(signs)]
    idle_clips, others = shares.idle[split], shares.others_of(split, group)

    def stretch(kind: str, place: int) -> tuple[Landmarks, str]:
        """Returns what stands before a sign, and its kind: hands that idle above their rest are no rest to learn."""
        beside = signs[min(place, len(signs) - 1)]
        if kind == "other":
            return draw_other(shares.pools[split][group], others, load, other_rng, beside=beside), kind
        if not idle_clips:
            return rest_beside(signs, place, idle_rng), kind
        clip = load(idle_clips[idle_rng.integers(len(idle_clips))].id)
        return idle_stretch(clip, idle_rng, beside=beside, names_others=names_others)

    if kind_rng.random() < options.no_sign_share:
        wanted = ["other" if other else "idle" for other in kind_rng.random(len(signs)) < OTHERS_ALONE]
        # One at least: a model learns an utterance by what it names there, the unknown gloss here.
        wanted[kind_rng.integers(len(wanted))] = "other"
        shown = [stretch(kind, place) for place, kind in enumerate(wanted)]
        return Drawn(group, [], [], [clip for clip, _ in shown], [kind for _, kind in shown], rng, idle_rng)
    idle = idle_places(len(signs), options.idle_share, idle_rng)
    other = other_places(len(signs), options.others, other_rng)
    pieces, kinds = list(signs), ["sign"] * len(signs)
    # From the end: places refer to signs.
    for place in range(len(signs), -1, -1):
        for wanted_kind in [kind for kind, places in (("idle", idle), ("other", other)) if place in places]:
            clip, kind = stretch(wanted_kind, place)
            pieces.insert(place, clip)
            kinds.insert(place, kind)
    comes, goes = lead_rng.random(2) < lead_share(shares, options)
    ways = (
        (kinds.index("sign"), lead_in(signs[0], lead_rng) if comes else None),
        (len(kinds) - kinds[::-1].index("sign"), lead_out(signs[-1], lead_rng) if goes else None),
    )
    for place, way in reversed(ways):
        if way is not None:
            pieces.insert(place, way)
            kinds.insert(place, "lead")
    return Drawn(group, glosses, [clip.id for clip in chosen], pieces, kinds, rng, idle_rng, mirrored)


def drawn_idle(
    clips: Sequence[Utterance], options: ComposeOptions, load: Callable[[str], Landmarks], seed: Sequence[int]
) -> Drawn:
    """Returns what an utterance of a signer who idles and does not sign is made of: as many stretches as others have
    signs, of clips drawn with replacement, all placed like the first one, and none of them an `other`.
    """
    rng, idle_rng = (np.random.default_rng([*seed, use]) for use in (0, 1))
    shown: list[Landmarks] = []
    for _ in range(rng.integers(options.min_glosses, options.max_glosses, endpoint=True)):
        clip = load(clips[rng.integers(len(clips))].id)
        beside = shown[0] if shown else None
        shown.append(idle_stretch(clip, idle_rng, beside=beside, names_others=False)[0])
    return Drawn(None, [], [], shown, ["idle"] * len(shown), rng, idle_rng)


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

    points = assemble([clip.points for clip in clips])
    return joined_landmarks(clips, points, assemble([clip.visibility for clip in clips])), boundaries


def joined_landmarks(clips: Sequence[Landmarks], points: np.ndarray, visibility: np.ndarray) -> Landmarks:
    """Returns a clip of these points (T, 543, 3) and visibilities (T, 33), which were joined from parts of `clips`."""
    sizes, aspects = {clip.image_size for clip in clips}, {clip.pixel_aspect for clip in clips}
    return Landmarks(
        points=points,
        visibility=visibility,
        fps=clips[0].fps,
        image_size=sizes.pop() if len(sizes) == 1 else None,
        pixel_aspect=aspects.pop() if len(aspects) == 1 else 1.0,
        assumed=tuple(sorted({name for clip in clips for name in clip.assumed})),
        source={"maker": "signloom compose", **({"simulated": True} if any(clip.simulated for clip in clips) else {})},
    )


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


def _info(corpus: Corpus, options: ComposeOptions) -> dict[str, Any]:
    kept = {key: value for key, value in corpus.info.items() if key not in file_header("", 0)}
    values = {item.name: getattr(options, item.name) for item in fields(ComposeOptions)}
    return {**kept, "name": f"{corpus.name}-composed", "composed": {"from": corpus.name, **values}}
