"""Checks of landmarks: are they those of people signing, and can a model learn from them?

Thresholds on landmarks were chosen between healthy corpora (real webcam clips, alone and composed to sentences, and
simulated ones from clean to hard) and planted faults: docs/health.md has both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from signloom import anatomy, layout
from signloom.errors import kind_of, listed, plural
from signloom.findings import Details, Outcome, check, judge, note, ok, warn
from signloom.health.checks.figures import HANDS, ClipFigures, CorpusFigures
from signloom.health.checks.places import MANY, MOST, by_split, parts_of, places
from signloom.text.counts import some_of

CHOSEN = "between healthy corpora and planted faults, docs/health.md"
# Clips, signers or glosses that a finding lists.
SHOWN = 10

# Variation of the hand's bones: 0.1 (simulated, no noise) to 0.65 (real) of their length, 1.1 to 1.5 if standardised.
HAND_BONES_FAIL = 0.9
# Variation of the distance of the eyes: 0.01 to 0.25, 0.6 to 1.8 if standardised.
EYES_FAIL = 0.55
# The mean of all vectors from shoulder to shoulder, relative to their mean length: 0.98 and more in healthy corpora and
# with jitter, up to 0.1 if standardised: each point then has its own zero.
SHAPE_LOST = 0.7
# Shoulder widths: median over the clips, up to 0.003 in healthy corpora and 0.021 of one signer; in one clip up to
# 0.031.
JITTER, JITTER_IN_A_CLIP = 0.025, 0.035
# Share of standardised clips from which on they are reported.
FEWEST_CLIPS_STANDARDISED = 0.05
# Landmarks in units of image height lie within a few; pixels are hundreds, millimetres are more.
FARTHEST = 20.0
# Share of a clip's frames.
FILLED = 0.02
# Shares of a clip's frames: without either hand, and with the hand that is seen more often.
NO_HANDS, SELDOM = 0.95, 0.2
SEE_NORMALISED = "cannot be measured on standardised landmarks: see data.normalised"


@check("data.readable", unit="files", threshold="none", source="an unreadable file stops training")
def readable(figures: CorpusFigures) -> Outcome:
    """Landmark files that cannot be read."""
    count, total = len(figures.unreadable), figures.num_measured
    headline = f"all {plural(total, 'landmark file')} can be read"
    if count:
        kinds = Counter(kind_of(reason) for reason in figures.unreadable)
        reasons = "; ".join(f"{kind.strip(' *:;')} ({number:,})" for kind, number in kinds.most_common(3))
        headline = f"{count:,} of {plural(total, 'landmark file')} cannot be read: {reasons}"
    where = figures.unreadable[:SHOWN]
    return judge(headline, fail=count > 0, value=count, where=where, advice="extract or import these again")


@check(
    "data.units",
    unit="image heights",
    threshold=f"at most {FARTHEST:g} image heights, and less than 30 % of the points of head and hands outside the "
    f"picture; warn if one clip has more, fail if over {100 * MANY:g} % of the clips have, or most clips of a split or "
    "signer",
    source="points of one person in the image; z and guessed legs reach about 5",
)
def units(figures: CorpusFigures) -> Outcome:
    """The largest coordinate; mean and deviation of each body part."""
    table: dict[str, Any] = {}
    for name in layout.GROUPS:
        spreads = [clip.spreads[name] for clip in figures.clips if clip.spreads[name].count]
        count = sum(spread.count for spread in spreads)
        if not count:
            table[name] = None
            continue
        mean = np.sum([spread.total for spread in spreads], axis=0) / count
        square = np.sum([spread.square for spread in spreads], axis=0) / count
        table[name] = {
            "mean": [round(float(value), 4) for value in mean],
            "std": [round(float(value), 4) for value in np.sqrt(np.maximum(square - mean**2, 0))],
            "least": round(min(spread.low for spread in spreads), 4),
            "greatest": round(max(spread.high for spread in spreads), 4),
        }
    largest = {clip.utterance.id: max_coordinate(clip) for clip in figures.clips}
    farthest = max(largest.values(), default=0.0)
    outside = {clip.utterance.id for clip in figures.clips if _outside(clip)}
    far = worst_first((value, name) for name, value in largest.items() if value > FARTHEST or name in outside)
    headline = f"coordinates up to {farthest:.3g} image heights"
    measured = Details(value=farthest, where=far[:SHOWN], figures=table)
    if not far:
        return ok(headline, **measured)
    if normalised(figures).level == "fail":
        return note(SEE_NORMALISED)
    place = places(far, figures.clips)
    some = next(clip for clip in figures.clips if clip.utterance.id == far[0])
    headline = f"{headline}; too large, or outside the picture, in {place}"
    advice = "these look like pixels or other units: import again with --image_size, or extract again"
    if largest[some.utterance.id] <= FARTHEST:
        advice = "these look like coordinates of another picture, or scaled: import the coordinates of the whole image"
    return judge(headline, fail=place.grave, warn=True, advice=advice, **measured)


def _outside(clip: ClipFigures) -> bool:
    if not clip.body.outside > 0:
        return False
    # What turns a body or moves its hands also takes it out of the picture.
    return [fault.name for fault in anatomy.faults_of(clip.body)] == ["outside"] and not has_filled(clip)


def max_coordinate(clip: ClipFigures) -> float:
    """Returns the largest coordinate of a clip, in absolute value."""
    known = [spread for spread in clip.spreads.values() if spread.count]
    return max((max(abs(spread.low), abs(spread.high)) for spread in known), default=0.0)


@check(
    "data.normalised",
    unit="(90th - 10th percentile) / median",
    threshold=f"hand bones at most {HAND_BONES_FAIL:g} and eyes at most {EYES_FAIL:g}: fail if either is more in the "
    f"median clip, or both in over {100 * MOST:g} % of the clips; warn if both are in over "
    f"{100 * FEWEST_CLIPS_STANDARDISED:g} %",
    source=f"{CHOSEN}; healthy ones have 0.1 to 0.65 (eyes 0.01 to 0.25), standardised ones 1.1 to 1.5 (0.6 to 1.8)",
)
def normalised(figures: CorpusFigures) -> Outcome:
    """Variation within a clip of the length of hand bones and of the distance of the eyes: large if standardised."""
    bones = _median(clip.hand_bones for clip in figures.clips)
    eyes = _median(clip.eyes for clip in figures.clips)
    misshapen = _misshapen(figures.clips)
    standardised = [
        clip.utterance.id for clip in figures.clips if _is_standardised(clip) and clip.utterance.id in misshapen
    ]
    share = len(standardised) / max(1, len(figures.clips))
    own = mean(clip.standardised for clip in figures.clips)
    headline = (
        f"bones of the hand vary by {100 * bones:.0f} % of their length within a clip, the distance of the eyes by "
        f"{100 * eyes:.0f} %"
    )
    vary = bones > HAND_BONES_FAIL or eyes > EYES_FAIL
    shape = _shape(figures.clips)
    failed = (vary and shape < SHAPE_LOST) or share > MOST
    if vary and not failed:
        # Each point has kept its place in the body: other noise.
        return note(f"{headline}, but the body has kept its shape: see data.jitter and data.motion", value=bones)
    if failed:
        how = "by the statistics of the corpus"
        if own > MOST:
            how = "each clip by itself: its coordinates have mean 0 and deviation 1"
        headline += f": these landmarks were standardised before, {how}"
    return judge(
        headline,
        fail=failed,
        warn=share > FEWEST_CLIPS_STANDARDISED,
        value=bones,
        where=standardised[:SHOWN],
        figures={"hand_bones": bones, "eyes": eyes, "clips": share, "mean 0 and deviation 1": own, "shape": shape},
        advice="import the landmarks as the extractor gave them: the model normalises once, and a second normalisation "
        "turns bones into noise",
    )


def _misshapen(clips: Sequence[ClipFigures]) -> set[str]:
    """Returns the ids of the clips that have lost the shape of a body, alone or with those of their split or signer."""
    groups = [[clip] for clip in clips] + [list(part.clips) for part in parts_of(clips)] + [list(clips)]
    return {clip.utterance.id for group in groups if _shape(group) < SHAPE_LOST for clip in group}


def _shape(clips: Sequence[ClipFigures]) -> float:
    """Returns the length of the mean vector from shoulder to shoulder, relative to their mean length."""
    known = [clip for clip in clips if clip.shoulders > 0]
    if not known:
        return 1.0
    across = np.mean([clip.across for clip in known], axis=0)
    return float(np.linalg.norm(across) / np.mean([clip.shoulders for clip in known]))


@check(
    "data.jitter",
    unit="shoulder widths",
    threshold=f"at most {JITTER:g} in the median clip, of the corpus and of each split and signer, and over "
    f"{JITTER_IN_A_CLIP:g} in less than {100 * MANY:g} % of the clips, else warn",
    source=f"{CHOSEN}; healthy ones have up to 0.003, one signer 0.021, one clip 0.031",
)
def jitter(figures: CorpusFigures) -> Outcome:
    """How far nose and shoulders are from the middle between the frames before and after, in the median clip."""
    clips = figures.clips
    middle = _median(clip.motion.jitter for clip in clips)
    noisy = {clip.utterance.id: clip.motion.jitter for clip in clips if clip.motion.jitter > JITTER_IN_A_CLIP}
    for part in parts_of(clips):
        if _median(clip.motion.jitter for clip in part.clips) > JITTER:
            noisy |= {clip.utterance.id: clip.motion.jitter for clip in part.clips}
    place = places(noisy, clips)
    headline = f"head and shoulders jump by {middle:.4f} shoulder widths from frame to frame"
    if not (middle > JITTER or place.grave):
        return ok(headline, value=middle)
    if normalised(figures).level == "fail":
        return note(SEE_NORMALISED)
    worst = worst_first((value, name) for name, value in noisy.items())
    return warn(
        f"{headline}: the points jitter in {place}" if noisy else f"{headline}: the points jitter",
        value=middle,
        where=worst[:SHOWN],
        advice="noise was added, or frames are in the wrong order: extract again from the original video",
    )


def _is_standardised(clip: ClipFigures) -> bool:
    """Returns whether both known measures are too large: one alone may come from one badly tracked hand."""
    measures = ((clip.hand_bones, HAND_BONES_FAIL), (clip.eyes, EYES_FAIL))
    known = [(value, limit) for value, limit in measures if math.isfinite(value)]
    return bool(known) and all(value > limit for value, limit in known)


@check(
    "data.missing",
    unit="share of frames without a pose",
    threshold="pose missing in at most 20 %, no signer without hands 30 points more often than the median signer, else "
    "warn; a body part that is never there is noted",
    source=CHOSEN,
)
def missing(figures: CorpusFigures) -> Outcome:
    """Share of frames without each body part, by signer."""
    by_signer = _by_signer(figures)
    parts = _missing_parts(figures.clips)
    table = {"parts": parts, "signers": {signer: _missing_parts(clips) for signer, clips in by_signer.items()}}
    hands = {signer: mean(clip.without_hands for clip in clips) for signer, clips in by_signer.items()}
    usual = float(np.median(list(hands.values()))) if hands else 0.0
    # Tracking that fails on one signer shows up later as that signer's word error rate.
    far = worst_first((share, signer) for signer, share in hands.items() if share > usual + 0.3)
    shown = ", ".join(f"{name.replace('_', ' ')} in {100 * share:.1f} %" for name, share in parts.items())
    headline = f"missing: {shown} of the frames"
    measured = Details(value=parts["pose"], where=far[:SHOWN], figures=table)
    if far:
        names = ", ".join(far[:3])
        advice = f"look at the videos of {names}: light, sleeves or framing may hide the hands"
        return warn(f"{headline}; signers whose hands are seldom found: {names}", advice=advice, **measured)
    if parts["pose"] > 0.2:
        advice = "all other points depend on the pose: extract again, with the signer in the middle of the image"
        return warn(headline, advice=advice, **measured)
    say = note if any(share > 0.99 for share in parts.values()) else ok
    return say(headline, **measured)


def _missing_parts(clips: Iterable[ClipFigures]) -> dict[str, float]:
    clips = list(clips)
    return {name: mean(clip.missing[name] for clip in clips) for name in layout.GROUPS}


@check(
    "data.hands",
    unit="share of clips",
    threshold=f"warn from 5 %, fail from 20 % of all clips or {100 * MOST:g} % of a split's or signer's without hands: "
    f"with neither hand in over {100 * NO_HANDS:g} % of the frames; warn if a clip has each hand in under "
    f"{100 * SELDOM:g} % of them",
    source="signs are made by the hands; clips that show each hand in under a fifth of their frames had most of the "
    "errors on one set of recordings of unseen signers",
)
def hands(figures: CorpusFigures) -> Outcome:
    """Share of clips without hands; clips in which the tracker seldom found either hand."""
    clips = figures.clips
    empty = {clip.utterance.id for clip in clips if clip.without_hands > NO_HANDS}
    share = len(empty) / max(1, len(clips))
    headline = f"{some_of(len(empty), len(clips), 'clip', 'has', 'have')} no hands ({100 * share:.1f} %)"
    place = places(empty, clips)
    if place.parts:
        headline += f": {', '.join(place.parts)}"
    seen = {clip.utterance.id: 1 - min(clip.missing[hand] for hand in HANDS) for clip in clips}
    seldom = sorted(
        (clip for clip in clips if seen[clip.utterance.id] < SELDOM),
        key=lambda clip: (seen[clip.utterance.id], clip.utterance.id),
    )
    shares = {
        clip.utterance.id: " and ".join(
            f"{hand.partition('_')[0]} {100 * (1 - clip.missing[hand]):.0f} %" for hand in HANDS
        )
        for clip in seldom
    }
    splits = Counter(clip.utterance.split for clip in seldom)
    signers = Counter(str(clip.utterance.signer) for clip in seldom)
    if seldom:
        headline += (
            f"; in {plural(len(seldom), 'clip')} each hand is in under {100 * SELDOM:g} % of the frames: "
            f"{_counts(splits, 'in')}; {_counts(signers, 'by signer')}"
        )
    return judge(
        headline,
        fail=share >= 0.2 or bool(place.parts),
        warn=share >= 0.05 or bool(seldom),
        value=share,
        where=by_split(shares, (clip.utterance for clip in seldom)),
        figures={
            "clips": {clip.utterance.id: round(seen[clip.utterance.id], 3) for clip in seldom},
            "splits": dict(splits),
            "signers": dict(signers),
        },
        advice="a model cannot learn or recognise signs without hands: look at these clips ('signloom show'); extract "
        "them again from larger or brighter video, with the hands in the picture, or leave them out",
    )


def _counts(counts: Counter[str], preposition: str) -> str:
    """Returns the counts by name in words, the largest first."""
    shown = [f"{count:,} {preposition} {name}" for name, count in counts.most_common()]
    return listed(shown, shown=SHOWN)


@check(
    "data.zeros",
    unit="share of points",
    threshold="warn from 2 %, fail from 10 %; and no body part with points at one and the same place in over "
    f"{100 * FILLED:g} % of a clip's frames, else warn, and fail from {100 * MANY:g} % of the clips or most of a split "
    "or signer",
    source="a part that was not found is missing (NaN); a point at the corner of the image is next to impossible, and "
    "so are two points at one place",
)
def zeros(figures: CorpusFigures) -> Outcome:
    """Share of the known points that lie exactly at (0, 0, 0), and clips whose missing points have another value."""
    share = mean(clip.zeros for clip in figures.clips)
    filled = [clip for clip in figures.clips if clip.filled[0] > FILLED]
    headline = f"{100 * share:.2f} % of the known points lie exactly at (0, 0, 0)"
    if (share >= 0.02 or filled) and normalised(figures).level == "fail":
        return note(SEE_NORMALISED)
    place = places({clip.utterance.id for clip in filled}, figures.clips)
    if filled:
        values = Counter(f"({x:.3g}, {y:.3g})" for x, y in (clip.filled[1] for clip in filled))
        (value, _), *_ = values.most_common(1)
        headline += f"; points of a body part all lie at {value} of the image in {place}: missing ones were written so"
    where = worst_first(
        (max(clip.zeros, clip.filled[0]), clip.utterance.id)
        for clip in figures.clips
        if clip.zeros > 0.02 or has_filled(clip)
    )
    advice = "the importer stored missing points as positions: make those points NaN"
    return judge(
        headline,
        fail=share >= 0.1 or place.grave,
        warn=share >= 0.02 or bool(filled),
        value=share,
        where=where[:SHOWN],
        advice=advice,
    )


def has_filled(clip: ClipFigures) -> bool:
    """Returns whether missing points were written as positions."""
    return clip.filled[0] > FILLED


def _by_signer(figures: CorpusFigures) -> dict[str, list[ClipFigures]]:
    clips: dict[str, list[ClipFigures]] = {}
    for clip in figures.clips:
        clips.setdefault(str(clip.utterance.signer), []).append(clip)
    return dict(sorted(clips.items()))


def mean(values: Iterable[float]) -> float:
    values = list(values)
    return float(np.mean(values)) if values else 0.0


def _median(values: Iterable[float]) -> float:
    """Returns the median of the finite values; 0 if there is none."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else 0.0


def worst_first(pairs: Iterable[tuple[float, str]]) -> list[str]:
    """Returns the names, those with the greatest value first."""
    return [name for _, name in sorted(pairs, key=lambda pair: (-pair[0], pair[1]))]
