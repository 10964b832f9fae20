"""Checks of time: frame rates, undecoded frames, the pace of signing, and clips that run backwards."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from signloom.errors import plural
from signloom.findings import Details, Outcome, check, fail, judge, note, ok, warn
from signloom.health.checks.figures import ClipFigures, CorpusFigures
from signloom.health.checks.landmarks import CHOSEN, SHOWN
from signloom.health.checks.motion import PLACES_PER_GLOSS
from signloom.health.checks.places import FEWEST_CLIPS, MANY, parts_of, places
from signloom.text.counts import some_of

# Share of a video's frames that may be undecoded without harm.
UNREAD = 0.1
# A clip at a wrong rate is shorter for its glosses, and its hands are faster by as much. Factors relative to the other
# clips of the signer: in healthy corpora one clip of 3,000 is as far from them in both.
WRONG_PACE, WRONG_PACE_AND_SPEED = 2**0.5, 2**1.1
# A clip that is so many times shorter or longer per gloss than its signer's others; healthy corpora have up to 2 %.
CUT = 2**0.8
# Share of clips that may be so by chance.
FEW = 0.02
# Of a split or signer relative to the others: healthy ones differ by 1.4 and 2.5 at most.
OTHER_PACE, OTHER_PACE_AND_SPEED = 1.55, 2.8
# The mean path of a gloss must differ so much from itself backwards, relative to the noise, that a clip shows which way
# it runs: likely, and surely.
TELLING, SURELY_TELLING = 2.8, 4.0
# 1 for a clip that runs as its glosses do on average, -1 for one that runs backwards.
BACKWARDS = -0.5
# Share of clips that run backwards: in healthy corpora up to 6 % likely do, and up to 3 % surely.
REVERSED, SURELY_REVERSED = 0.08, 0.05


@check(
    "data.fps",
    unit="clips",
    threshold="none outside 10 to 120 frames per second, or with another rate in the file than in the manifest; "
    "assumed rates and several rates are noted",
    source="below 10 a movement of a sign is one frame; cameras for signing give 25 to 60",
)
def fps(figures: CorpusFigures) -> Outcome:
    """Clips with an invalid frame rate."""
    rates = Counter(round(clip.fps, 2) for clip in figures.clips)
    wrong = [
        clip.utterance.id
        for clip in figures.clips
        if not math.isclose(clip.fps, clip.utterance.fps, rel_tol=1e-3) or not 10 <= clip.fps <= 120
    ]
    assumed = sum("fps" in clip.assumed for clip in figures.clips)
    table = {"rates": {str(rate): count for rate, count in rates.items()}, "assumed": assumed}
    measured = Details(value=len(wrong), where=wrong[:SHOWN], figures=table)
    common = ", ".join(f"{rate:g} ({plural(count, 'clip')})" for rate, count in rates.most_common(4))
    unknown = f"; assumed, not known, for {assumed:,}" if assumed else ""
    headline = f"frames per second: {common}"
    if wrong:
        advice = "give the true rate with --fps when importing: clips are resampled by it"
        return fail(
            f"{headline}; {plural(len(wrong), 'clip has', 'clips have')} an invalid rate{unknown}",
            advice=advice,
            **measured,
        )
    say = note if assumed or len(rates) > 1 else ok
    return say(headline + unknown, **measured)


@check(
    "data.decoded",
    unit="frames",
    threshold=f"all; noted, and warn if over {100 * UNREAD:g} % of the frames of a clip are missing",
    source="a frame that cannot be decoded is a jump of the hands",
)
def decoded(figures: CorpusFigures) -> Outcome:
    """Frames of the videos that could not be decoded."""
    lost = [(clip.unread, clip) for clip in figures.clips if clip.unread]
    if not lost:
        return ok("no clip has undecoded frames, as far as its landmark file says", value=0)
    count = sum(unread for unread, _ in lost)
    lost.sort(key=lambda pair: -pair[0] / (pair[0] + pair[1].utterance.num_frames))
    where = [
        f"{clip.utterance.id}: {clip.utterance.num_frames:,} of {plural(clip.utterance.num_frames + unread, 'frame')}"
        for unread, clip in lost
    ]
    worst, clip = lost[0]
    return judge(
        f"{plural(count, 'frame')} could not be decoded, in {places({c.utterance.id for _, c in lost}, figures.clips)}",
        warn=worst > UNREAD * (worst + clip.utterance.num_frames),
        note=True,
        value=count,
        where=where[:SHOWN],
        advice="these videos are damaged: get them again and extract again, or leave these clips out",
    )


@check(
    "data.pace",
    unit="clips",
    threshold=f"no clip {WRONG_PACE:.2g} times quicker (or slower) per gloss than its signer's others while the hands "
    f"are faster as well, {WRONG_PACE_AND_SPEED:.2g} times in all; no split or signer {OTHER_PACE:g} and "
    f"{OTHER_PACE_AND_SPEED:g} times: fail from 5 % of the clips or most of a split or signer, warn from "
    f"{100 * FEW:g} %, else note; and less than {100 * MANY:g} % of the clips {CUT:.2g} times as long or short at the "
    "same speed, else warn",
    source=f"{CHOSEN}; a wrong frame rate changes both by the same factor, people who sign faster do not",
)
def pace(figures: CorpusFigures) -> Outcome:
    """Clips that seem to have another frame rate than their file says: shorter per gloss, and faster."""
    clips = [clip for clip in figures.clips if clip.motion.speed > 0]
    if len(clips) < 2 * FEWEST_CLIPS:
        return ok("too few clips to compare their pace")
    seconds = np.log2([clip.utterance.num_frames / clip.fps / len(clip.utterance.glosses) for clip in clips])
    # Pace and speed change by the factor of the rate, in opposite directions.
    both = np.log2([clip.motion.speed for clip in clips]) - seconds
    numbers = {clip.utterance.id: number for number, clip in enumerate(clips)}
    wrong: dict[str, float] = {}
    length = np.zeros(len(clips))
    for members in _by_signer(clips):
        own = np.array([numbers[clip.utterance.id] for clip in members])
        quicker, factor = seconds[own] - np.median(seconds[own]), both[own] - np.median(both[own])
        odd = _opposed(quicker, factor, WRONG_PACE, WRONG_PACE_AND_SPEED)
        wrong |= {members[index].utterance.id: factor[index] / 2 for index in np.flatnonzero(odd)}
        length[own] = quicker
    wrong |= _other_parts(clips, seconds, both)
    place = places(wrong, figures.clips)
    few = place.count < max(FEWEST_CLIPS, FEW * place.total)
    cut = [clips[index].utterance.id for index in np.flatnonzero(np.abs(length) > np.log2(CUT))]
    # A clip that is cut off may be faster by chance; most of those at a wrong rate are.
    if (few and (cut or not wrong)) or len(set(cut) - set(wrong)) > len(wrong):
        return _lengths(cut, clips)
    times = float(np.exp2(np.median(list(wrong.values()))))
    how = f"{times:.2g} times too fast" if times > 1 else f"{1 / times:.2g} times too slow"
    where = sorted(wrong, key=lambda name: -abs(wrong[name]))[:SHOWN]
    headline = f"the signing is about {how} for others of its kind in {place}"
    measured = Details(value=len(wrong), where=where)
    if few:
        return note(headline, **measured)
    advice = "their frame rate is wrong: find out the true one, and import these clips with --fps"
    headline = f"{headline}: another frame rate than their files say"
    return (fail if place.grave else warn)(headline, advice=advice, **measured)


def _other_parts(clips: Sequence[ClipFigures], seconds: np.ndarray, both: np.ndarray) -> dict[str, float]:
    """Returns the factors, as powers of two, of the clips of splits and signers that have another rate than the rest.

    The part that differs most comes first; then the others are compared without it.
    """
    wrong: dict[str, float] = {}
    ids = np.array([clip.utterance.id for clip in clips])
    parts = {part.name: np.isin(ids, [clip.utterance.id for clip in part.clips]) for part in parts_of(clips)}
    left = np.ones(len(clips), dtype=bool)
    while True:
        factors = {}
        for name, members in parts.items():
            inside, rest = members & left, left & ~members
            if FEWEST_CLIPS <= inside.sum() <= rest.sum():
                quicker, factor = (float(np.median(v[inside]) - np.median(v[rest])) for v in (seconds, both))
                if _opposed(np.array(quicker), np.array(factor), OTHER_PACE, OTHER_PACE_AND_SPEED):
                    factors[name] = factor
        if not factors:
            return wrong
        worst = max(factors, key=lambda name: abs(factors[name]))
        wrong |= {str(id): factors[worst] / 2 for id in ids[parts[worst] & left]}
        left &= ~parts[worst]


def _lengths(cut: Sequence[str], clips: Sequence[ClipFigures]) -> Outcome:
    """Returns the outcome where no rate is wrong. cut: clips that are much shorter or longer than others like them."""
    headline = "clips are as long for their glosses, and as fast, as the others of their signer"
    if not cut:
        return ok(headline, value=0)
    place = places(cut, clips)
    headline = f"for their glosses, {place} are {CUT:.2g} times shorter or longer than the others of their signer"
    measured = Details(value=len(cut), where=list(cut)[:SHOWN])
    if place.count < max(FEWEST_CLIPS, MANY * place.total):
        return note(headline, **measured)
    advice = "look at them: clips may be cut off, padded, or annotated with other sentences"
    return warn(f"{headline}, at the same speed", advice=advice, **measured)


def _opposed(quicker: np.ndarray, factor: np.ndarray, least_pace: float, least_factor: float) -> np.ndarray:
    """Returns where less time per gloss comes with more speed, or more with less, both by more than a factor."""
    return (np.abs(quicker) > np.log2(least_pace)) & (np.abs(factor) > np.log2(least_factor)) & (quicker * factor < 0)


def _by_signer(clips: Sequence[ClipFigures]) -> list[list[ClipFigures]]:
    groups: dict[str | None, list[ClipFigures]] = {}
    for clip in clips:
        groups.setdefault(clip.utterance.signer, []).append(clip)
    return [members for members in groups.values() if len(members) >= FEWEST_CLIPS]


@check(
    "data.direction",
    unit="clips",
    threshold=f"less than {100 * REVERSED:g} % of the clips run against the others of their glosses, and less than "
    f"{100 * SURELY_REVERSED:g} % of all clips do so surely, and no split or signer mostly, else warn",
    source=f"{CHOSEN}; healthy ones have up to 6 % and 3 %",
)
def direction(figures: CorpusFigures) -> Outcome:
    """Clips that run backwards, compared with the mean path of the wrists in the other clips of the same glosses."""
    clips = [clip for clip in figures.clips if clip.motion.places is not None]
    way, telling = directions(clips)
    told = telling > TELLING
    back = [clips[index].utterance.id for index in np.flatnonzero(told & (way < BACKWARDS))]
    known = [clip for clip, tells in zip(clips, told, strict=True) if tells]
    headline = (
        some_of(
            len(back), len(known), "clip that shows a direction", "runs", "run", nouns="clips that show a direction"
        )
        + " against the others of the same gloss"
    )
    place = places(back, known)
    table = {"told": len(known), "of": len(figures.clips)}
    surely = int(((telling > SURELY_TELLING) & (way < BACKWARDS)).sum())
    many = len(back) >= REVERSED * len(clips) or surely >= SURELY_REVERSED * len(clips)
    if len(back) < FEWEST_CLIPS or not (many or place.parts):
        return ok(headline, value=len(back), figures=table)
    if place.parts:
        headline += f" ({', '.join(place.parts)})"
    return warn(
        f"{headline}: these are reversed",
        value=len(back),
        where=back[:SHOWN],
        figures=table,
        advice="the frames of these clips are in the wrong order (look at names such as 10.png before 2.png): extract "
        "or import them again",
    )


def directions(clips: Sequence[ClipFigures]) -> tuple[np.ndarray, np.ndarray]:
    """Returns which way each clip runs, and how surely that can be told.

    The first is 1 for a clip as its glosses are on average and -1 for its reverse; the second is the expected
    difference between the two in standard deviations of the noise. Both (number of clips,); NaN where a gloss is too
    rare.
    """
    if not clips:
        return np.zeros(0), np.zeros(0)
    paths = [clip.motion.places for clip in clips]
    lengths = np.array([len(path) for path in paths if path is not None])
    glosses, kinds = np.unique([gloss for clip in clips for gloss in clip.utterance.glosses], return_inverse=True)
    table = np.concatenate([path.reshape(len(path), -1) for path in paths if path is not None]).astype(np.float64)
    owner = np.repeat(np.arange(len(clips)), lengths)
    table = _centred(table, clips, owner)
    sums, counts = np.zeros((len(glosses), table.shape[1])), np.bincount(kinds, minlength=len(glosses))
    np.add.at(sums, kinds, table)
    # The mean of the other clips; one other clip is not enough.
    others = counts[kinds] - 1
    mean = np.where(others[:, None] > 1, (sums[kinds] - table) / np.maximum(others, 1)[:, None], np.nan)
    here, usual = table.reshape(-1, 4), mean.reshape(-1, 4)
    rows = lengths * PLACES_PER_GLOSS
    ends = np.cumsum(rows)
    # Of each row, the one at the same distance from the other end of its clip.
    back = np.repeat(2 * ends - rows - 1, rows) - np.arange(len(here))
    turned = usual[back]
    known = np.isfinite(usual).all(1) & np.isfinite(turned).all(1)
    differs = np.where(known[:, None], usual - turned, 0)
    clip_of = np.repeat(np.arange(len(clips)), rows)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(clip_of, values, minlength=len(clips))

    expected = total((differs**2).sum(1))
    count = total(known.astype(float))
    # Nothing is known of a clip of rare glosses.
    with np.errstate(all="ignore"):
        apart = [
            total(np.where(known[:, None], (here - path) ** 2, 0).sum(1)) / (4 * count) for path in (usual, turned)
        ]
        noise = np.sqrt(np.minimum(*apart))
        return 2 * total((here * differs).sum(1)) / expected, np.sqrt(expected) / (2 * noise)


def _centred(table: np.ndarray, clips: Sequence[ClipFigures], owner: np.ndarray) -> np.ndarray:
    """Returns the places of each signer's wrists relative to their mean: signers sit and sign in other places."""
    signers = np.unique([str(clip.utterance.signer) for clip in clips], return_inverse=True)[1][owner]
    flat = table.reshape(len(table), -1, 4).mean(1)
    sums = np.zeros((signers.max() + 1, 4))
    np.add.at(sums, signers, flat)
    means = sums / np.bincount(signers)[:, None]
    return table - np.tile(means[signers], table.shape[1] // 4)
