"""Checks of landmarks: are they those of people signing, and can a model learn from them?

Thresholds on landmarks were chosen between healthy corpora (real webcam clips, alone and composed to sentences, and
simulated ones from clean to hard) and planted faults: docs/health.md has both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from signloom import layout
from signloom.errors import plural
from signloom.findings import Details, Outcome, check, fail, judge, note, ok, warn
from signloom.health.checks.figures import FASTEST, ClipFigures, CorpusFigures

CHOSEN = "between healthy corpora and planted faults, docs/health.md"
# Share of clips from which on a fault is one of the corpus, not of a few clips.
MOST = 0.5
# Clips, signers or glosses that a finding lists.
SHOWN = 10

# Variation of the hand's bones: 0.1 (simulated, no noise) to 0.65 (real) of their length, 1.1 to 1.5 if standardised.
HAND_BONES_FAIL = 0.9
# Variation of the distance of the eyes: 0.01 to 0.25, 0.6 to 1.8 if standardised.
EYES_FAIL = 0.55
# Share of standardised clips from which on they are reported.
FEWEST_CLIPS_STANDARDISED = 0.05
# Landmarks in units of image height lie within a few; pixels are hundreds, millimetres are more.
FARTHEST = 20.0
SEE_NORMALISED = "cannot be measured on standardised landmarks: see data.normalised"


@check("data.readable", unit="files", threshold="none", source="an unreadable file stops training")
def readable(figures: CorpusFigures) -> Outcome:
    """Landmark files that cannot be read."""
    count, total = len(figures.unreadable), len(figures.corpus)
    headline = (
        f"{count:,} of {total:,} landmark files cannot be read"
        if count
        else f"all {total:,} landmark files can be read"
    )
    where = figures.unreadable[:SHOWN]
    return judge(headline, fail=count > 0, value=count, where=where, advice="extract or import these again")


@check(
    "data.units",
    unit="image heights",
    threshold=f"at most {FARTHEST:g} image heights; warn if one clip has more, fail if over {100 * MOST:g} % of the "
    "clips have",
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
    largest = {clip.utterance.id: _largest(clip) for clip in figures.clips}
    farthest = max(largest.values(), default=0.0)
    far = _worst((value, name) for name, value in largest.items() if value > FARTHEST)
    headline = f"coordinates up to {farthest:.3g} image heights"
    measured = Details(value=farthest, where=far[:SHOWN], figures=table)
    advice = "these look like pixels or other units: import again with --image_size, or extract again"
    return judge(headline, fail=len(far) > MOST * len(largest), warn=bool(far), advice=advice, **measured)


def _largest(clip: ClipFigures) -> float:
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
    standardised = [clip.utterance.id for clip in figures.clips if _is_standardised(clip)]
    share = len(standardised) / max(1, len(figures.clips))
    own = _mean(clip.standardised for clip in figures.clips)
    headline = (
        f"bones of the hand vary by {100 * bones:.0f} % of their length within a clip, the distance of the eyes by "
        f"{100 * eyes:.0f} %"
    )
    failed = bones > HAND_BONES_FAIL or eyes > EYES_FAIL or share > MOST
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
        figures={"hand_bones": bones, "eyes": eyes, "clips": share, "mean 0 and deviation 1": own},
        advice="import the landmarks as the extractor gave them: the model normalises once, and a second normalisation "
        "turns bones into noise",
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
    hands = {signer: _mean(clip.without_hands for clip in clips) for signer, clips in by_signer.items()}
    usual = float(np.median(list(hands.values()))) if hands else 0.0
    # Tracking that fails on one signer shows up later as that signer's word error rate.
    far = _worst((share, signer) for signer, share in hands.items() if share > usual + 0.3)
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
    return {name: _mean(clip.missing[name] for clip in clips) for name in layout.GROUPS}


@check(
    "data.hands",
    unit="share of clips",
    threshold="warn from 5 %, fail from 20 %; a clip without hands has neither hand in over 95 % of its frames",
    source="signs are made by the hands",
)
def hands(figures: CorpusFigures) -> Outcome:
    """Share of clips without hands."""
    without = [(clip.without_hands, clip.utterance.id) for clip in figures.clips]
    empty = _worst((share, name) for share, name in without if share > 0.95)
    share = len(empty) / max(1, len(without))
    headline = f"{len(empty):,} of {len(without):,} clips have no hands ({100 * share:.1f} %)"
    advice = "look at these clips ('signloom extract' prints what it found); leave them out if nobody signs in them"
    measured = Details(value=share, where=empty[:SHOWN])
    return judge(headline, fail=share >= 0.2, warn=share >= 0.05, note=share > 0, advice=advice, **measured)


@check(
    "data.zeros",
    unit="share of points",
    threshold="warn from 2 %, fail from 10 %",
    source="a part that was not found is missing (NaN); a point at the corner of the image is next to impossible",
)
def zeros(figures: CorpusFigures) -> Outcome:
    """Share of the known points that lie exactly at (0, 0, 0)."""
    share = _mean(clip.zeros for clip in figures.clips)
    if share >= 0.02 and normalised(figures).level == "fail":
        return note(SEE_NORMALISED)
    headline = f"{100 * share:.2f} % of the known points lie exactly at (0, 0, 0)"
    where = _worst((clip.zeros, clip.utterance.id) for clip in figures.clips if clip.zeros > 0.02)[:SHOWN]
    advice = "the importer stored missing points as positions: make those points NaN"
    return judge(headline, fail=share >= 0.1, warn=share >= 0.02, value=share, where=where, advice=advice)


@check(
    "data.frozen",
    unit="share of frames",
    threshold="warn from 10 % of the frames or 2 % of the clips, fail from 50 % of either",
    source="no tracker gives two frames of a camera the same points to the last bit",
)
def frozen(figures: CorpusFigures) -> Outcome:
    """Share of frames that repeat the frame before, to the last bit."""
    share = _mean(clip.repeated for clip in figures.clips)
    still = _worst(
        (clip.longest_seconds, clip.utterance.id)
        for clip in figures.clips
        if clip.longest_seconds >= 0.5 or clip.repeated > 0.25
    )
    clips = len(still) / max(1, len(figures.clips))
    return judge(
        f"{100 * share:.1f} % of the frames repeat the frame before; {len(still):,} clips stand still for half a "
        "second or repeat every fourth frame",
        fail=share >= 0.5 or clips >= 0.5,
        warn=share >= 0.1 or clips >= 0.02,
        value=share,
        where=still[:SHOWN],
        advice="the video was decoded or resampled badly: extract from the original, at its own frame rate",
    )


@check(
    "data.motion",
    unit="per second",
    threshold=f"warn from 0.25, fail from 1; too fast is over {FASTEST:g} shoulder widths per second",
    source=f"{CHOSEN}; healthy ones have up to 0.1",
)
def motion(figures: CorpusFigures) -> Outcome:
    """Frames per second in which the hands swap places, or a hand moves too fast."""
    seconds = sum(clip.utterance.duration_seconds for clip in figures.clips)
    swaps, jumps = sum(clip.swaps for clip in figures.clips), sum(clip.jumps for clip in figures.clips)
    rate = (swaps + jumps) / max(seconds, 1e-9)
    # Standardising makes hands jump too; one cause is reported once.
    if rate >= 0.25 and normalised(figures).level == "fail":
        return note(SEE_NORMALISED)
    counts = [(clip.swaps + clip.jumps, clip.utterance.id) for clip in figures.clips]
    worst = _worst((count, name) for count, name in counts if count)[:SHOWN]
    return judge(
        f"the hands swap places in {plural(swaps, 'frame')}; a hand moves faster than anyone can in "
        f"{plural(jumps, 'frame')} ({rate:.3f} per second)",
        fail=rate >= 1.0,
        warn=rate >= 0.25,
        value=rate,
        where=worst if rate >= 0.25 else (),
        figures={"swaps": swaps, "jumps": jumps},
        advice="the tracker confuses the hands, or the frame rate in the file is wrong: extract again",
    )


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
    common = ", ".join(f"{rate:g} ({count:,} clips)" for rate, count in rates.most_common(4))
    unknown = f"; assumed, not known, for {assumed:,}" if assumed else ""
    headline = f"frames per second: {common}"
    if wrong:
        advice = "give the true rate with --fps when importing: clips are resampled by it"
        return fail(f"{headline}; {len(wrong):,} clips have an invalid rate{unknown}", advice=advice, **measured)
    say = note if assumed or len(rates) > 1 else ok
    return say(headline + unknown, **measured)


def _by_signer(figures: CorpusFigures) -> dict[str, list[ClipFigures]]:
    clips: dict[str, list[ClipFigures]] = {}
    for clip in figures.clips:
        clips.setdefault(str(clip.utterance.signer), []).append(clip)
    return dict(sorted(clips.items()))


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return float(np.mean(values)) if values else 0.0


def _median(values: Iterable[float]) -> float:
    """Returns the median of the finite values; 0 if there is none."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else 0.0


def _worst(pairs: Iterable[tuple[float, str]]) -> list[str]:
    """Returns the names, those with the greatest value first."""
    return [name for _, name in sorted(pairs, key=lambda pair: (-pair[0], pair[1]))]
