"""What the figures of a corpus mean: are the landmarks those of people signing, and can they be learnt from?

The thresholds that speak of landmarks were chosen between healthy corpora (real webcam clips, alone and composed to
sentences, and simulated ones from clean to hard) and planted faults: docs/health.md has both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from signloom import layout
from signloom.findings import Finding, graded, worse
from signloom.health.checks.figures import FASTEST, ClipFigures, CorpusFigures

CHOSEN = "between healthy corpora and planted faults, docs/health.md"
# Half of all clips: one that tells the corpus from a few clips of it.
MOST = 0.5
SHOWN = 10

# Bones of the hand vary by 0.1 (simulated, no noise) to 0.65 (real) of their length, by 1.1 to 1.5 when standardised.
HAND_BONES_FAIL = 0.9
# The distance of the eyes by 0.01 to 0.25, by 0.6 to 1.8 when standardised.
EYES_FAIL = 0.55
FEWEST_CLIPS_STANDARDISED = 0.05
# Landmarks in units of image height lie within a few; pixels are hundreds, millimetres are more.
FARTHEST = 20.0


def readable(figures: CorpusFigures) -> Finding:
    count = len(figures.unreadable)
    return Finding(
        "data.readable",
        "fail" if count else "ok",
        f"{count:,} of {len(figures.corpus):,} landmark files cannot be read"
        if count
        else f"all {len(figures.corpus):,} landmark files can be read",
        count,
        "files",
        "none",
        "a file that cannot be read ends training",
        figures.unreadable[:SHOWN],
        "extract or import these again" if count else "",
    )


def units(figures: CorpusFigures) -> Finding:
    table: dict[str, Any] = {}
    for name in layout.GROUPS:
        spreads = [clip.spreads[name] for clip in figures.clips if clip.spreads[name].count]
        count = sum(spread.count for spread in spreads)
        if not count:
            table[name] = None
            continue
        total = np.sum([spread.total for spread in spreads], axis=0) / count
        square = np.sum([spread.square for spread in spreads], axis=0) / count
        table[name] = {
            "mean": [round(float(value), 4) for value in total],
            "std": [round(float(value), 4) for value in np.sqrt(np.maximum(square - total**2, 0))],
            "least": round(min(spread.low for spread in spreads), 4),
            "greatest": round(max(spread.high for spread in spreads), 4),
        }
    far = {
        clip.utterance.id: max(
            (max(abs(spread.low), abs(spread.high)) for spread in clip.spreads.values() if spread.count), default=0.0
        )
        for clip in figures.clips
    }
    farthest = max(far.values(), default=0.0)
    bad = _worst((value, name) for name, value in far.items() if value > FARTHEST)
    level = "ok" if not bad else "fail" if len(bad) > MOST * len(far) else "warn"
    return Finding(
        "data.units",
        level,
        f"coordinates up to {farthest:.3g} image heights",
        farthest,
        "image heights",
        f"at most {FARTHEST:g}",
        "points of one person in the picture; z and guessed legs reach about 5",
        tuple(bad[:SHOWN]),
        "these look like pixels or other units: import again with --image_size, or extract again" if bad else "",
        table,
    )


def missing(figures: CorpusFigures) -> Finding:
    parts = {name: _mean(clip.missing[name] for clip in figures.clips) for name in layout.GROUPS}
    signers = {
        signer: {name: _mean(clip.missing[name] for clip in clips) for name in layout.GROUPS}
        for signer, clips in _by_signer(figures).items()
    }
    hands = {signer: _mean(clip.without_hands for clip in clips) for signer, clips in _by_signer(figures).items()}
    usual = float(np.median(list(hands.values()))) if hands else 0.0
    # Tracking that works on one signer and not on another shows up as that signer's word error rate.
    far = _worst((share, signer) for signer, share in hands.items() if share > usual + 0.3)
    level = worse(
        ["warn" if far else "ok", "warn" if parts["pose"] > 0.2 else "ok", "note" if _absent(parts) else "ok"]
    )
    advice = ""
    if far:
        advice = f"look at the videos of {', '.join(far[:3])}: light, sleeves or framing may hide the hands"
    elif parts["pose"] > 0.2:
        advice = "the body frames every other point: extract again, with the signer in the middle of the picture"
    return Finding(
        "data.missing",
        level,
        "missing: "
        + ", ".join(f"{name.replace('_', ' ')} in {100 * share:.1f} %" for name, share in parts.items())
        + " of the frames"
        + (f"; signers whose hands are seldom found: {', '.join(far[:3])}" if far else ""),
        parts["pose"],
        "share of frames without a pose",
        "pose at most 20 %; no signer 30 points more often without hands than the median signer",
        CHOSEN,
        tuple(far[:SHOWN]),
        advice,
        {"parts": parts, "signers": signers},
    )


def hands(figures: CorpusFigures) -> Finding:
    without = [(clip.without_hands, clip.utterance.id) for clip in figures.clips]
    empty = _worst((share, name) for share, name in without if share > 0.95)
    share = len(empty) / max(1, len(without))
    level = "ok" if not empty else "fail" if share >= 0.2 else "warn" if share >= 0.05 else "note"
    return Finding(
        "data.hands",
        level,
        f"{len(empty):,} of {len(without):,} clips have no hands ({100 * share:.1f} %)",
        share,
        "share of clips",
        "warn from 5 %, fail from 20 %; a clip has none when 95 % of its frames have neither hand",
        "the signs are in the hands",
        tuple(empty[:SHOWN]),
        "look at these clips ('signloom extract' prints what it found); leave them out of the corpus if nobody signs"
        if level != "ok"
        else "",
    )


def zeros(figures: CorpusFigures) -> Finding:
    share = _mean(clip.zeros for clip in figures.clips)
    level = graded(share, warn=0.02, fail=0.1)
    if level != "ok" and normalised(figures).level == "fail":
        return Finding("data.zeros", "note", "cannot be told of landmarks that were standardised: see data.normalised")
    bad = _worst((clip.zeros, clip.utterance.id) for clip in figures.clips if clip.zeros > 0.02)
    return Finding(
        "data.zeros",
        level,
        f"{100 * share:.2f} % of the known points lie exactly at (0, 0, 0)",
        share,
        "share of points",
        "warn from 2 %, fail from 10 %",
        "a part that was not found is missing (NaN); a point at the corner of the image is next to impossible",
        tuple(bad[:SHOWN]),
        "the importer took 'not found' for a place: make those points NaN" if level != "ok" else "",
    )


def frozen(figures: CorpusFigures) -> Finding:
    share = _mean(clip.repeated for clip in figures.clips)
    still = _worst(
        (clip.longest_seconds, clip.utterance.id)
        for clip in figures.clips
        if clip.longest_seconds >= 0.5 or clip.repeated > 0.25
    )
    part = len(still) / max(1, len(figures.clips))
    level = worse([graded(share, warn=0.1, fail=0.5), graded(part, warn=0.02, fail=0.5)])
    return Finding(
        "data.frozen",
        level,
        f"{100 * share:.1f} % of the frames are the frame before; {len(still):,} clips stand still for half a second "
        "or repeat every fourth frame",
        share,
        "share of frames",
        "warn from 10 % of frames or 2 % of clips, fail from 50 %",
        "no tracker gives two frames of a camera the same points to the last bit",
        tuple(still[:SHOWN]),
        "the video was decoded or re-timed badly: extract from the original, at its own frame rate"
        if level != "ok"
        else "",
    )


def motion(figures: CorpusFigures) -> Finding:
    seconds = sum(clip.utterance.duration_seconds for clip in figures.clips)
    swaps, jumps = (sum(getattr(clip, name) for clip in figures.clips) for name in ("swaps", "jumps"))
    rate = (swaps + jumps) / max(seconds, 1e-9)
    level = graded(rate, warn=0.25, fail=1.0)
    # Standardising moves hands about as no tracker does: one cause, one accusation.
    if level != "ok" and normalised(figures).level == "fail":
        return Finding("data.motion", "note", "cannot be told of landmarks that were standardised: see data.normalised")
    bad = _worst((clip.swaps + clip.jumps, clip.utterance.id) for clip in figures.clips if clip.swaps + clip.jumps)
    return Finding(
        "data.motion",
        level,
        f"in {swaps:,} frames the hands change places, in {jumps:,} a hand moves faster than anyone can "
        f"({rate:.3f} a second)",
        rate,
        "a second",
        f"warn from 0.25, fail from 1; too fast is {FASTEST:g} shoulder widths a second",
        f"{CHOSEN}; healthy ones have up to 0.1",
        tuple(bad[:SHOWN]) if level != "ok" else (),
        "the tracker takes one hand for the other, or the frame rate is not what the file says: extract again"
        if level != "ok"
        else "",
        {"swaps": swaps, "jumps": jumps},
    )


def fps(figures: CorpusFigures) -> Finding:
    rates = Counter(round(clip.fps, 2) for clip in figures.clips)
    wrong = [
        clip.utterance.id
        for clip in figures.clips
        if not math.isclose(clip.fps, clip.utterance.fps, rel_tol=1e-3) or not 10 <= clip.fps <= 120
    ]
    assumed = sum("fps" in clip.assumed for clip in figures.clips)
    common = ", ".join(f"{rate:g} ({count:,} clips)" for rate, count in rates.most_common(4))
    level = "fail" if wrong else "note" if assumed or len(rates) > 1 else "ok"
    return Finding(
        "data.fps",
        level,
        f"frames a second: {common}"
        + (f"; {len(wrong):,} clips are odd" if wrong else "")
        + (f"; assumed, not known, for {assumed:,}" if assumed else ""),
        len(wrong),
        "clips",
        "10 to 120, and in the file what the manifest says",
        "below 10 a movement of a sign is one frame; cameras for signing give 25 to 60",
        tuple(wrong[:SHOWN]),
        "give the true rate with --fps when importing: sequences are re-timed by it" if wrong else "",
        {"rates": {str(rate): count for rate, count in rates.items()}, "assumed": assumed},
    )


def normalised(figures: CorpusFigures) -> Finding:
    """Whether features were standardised before they were imported: bones then change their length within a clip."""
    bones = _median(clip.hand_bones for clip in figures.clips)
    eyes = _median(clip.eyes for clip in figures.clips)
    measured = [(clip, _standardised(clip)) for clip in figures.clips]
    bad = [clip.utterance.id for clip, yes in measured if yes]
    share = len(bad) / max(1, len(measured))
    own = _mean(clip.standardised for clip in figures.clips)
    whole = bones > HAND_BONES_FAIL or eyes > EYES_FAIL
    level = "fail" if whole or share > MOST else "warn" if share > FEWEST_CLIPS_STANDARDISED else "ok"
    how = (
        "each clip by itself: its coordinates have mean 0 and deviation 1"
        if own > MOST
        else "by the statistics of the corpus"
    )
    return Finding(
        "data.normalised",
        level,
        f"bones of the hand vary by {100 * bones:.0f} % of their length within a clip, the distance of the eyes by "
        f"{100 * eyes:.0f} %" + (f": these landmarks were standardised before, {how}" if level == "fail" else ""),
        bones,
        "(90th - 10th percentile) / median",
        f"at most {HAND_BONES_FAIL:g}, eyes at most {EYES_FAIL:g}, in the median clip; both in at most "
        f"{100 * FEWEST_CLIPS_STANDARDISED:g} % of clips",
        f"{CHOSEN}; healthy ones have 0.1 to 0.65 (eyes 0.01 to 0.25), standardised ones 1.1 to 1.5 (0.6 to 1.8)",
        tuple(bad[:SHOWN]) if level != "ok" else (),
        "import the landmarks as the extractor gave them: the model normalises, once, and a second time turns bones "
        "into noise"
        if level != "ok"
        else "",
        {"hand_bones": bones, "eyes": eyes, "clips": share, "mean 0 and deviation 1": own},
    )


def _standardised(clip: ClipFigures) -> bool:
    # One clip alone may have a wild hand; both measures together have not been seen in a healthy one.
    bones = not clip.hand_bones <= HAND_BONES_FAIL if math.isfinite(clip.hand_bones) else True
    known = math.isfinite(clip.hand_bones) or math.isfinite(clip.eyes)
    eyes = clip.eyes > EYES_FAIL if math.isfinite(clip.eyes) else True
    return known and bones and eyes


def _by_signer(figures: CorpusFigures) -> dict[str, list[ClipFigures]]:
    found: dict[str, list[ClipFigures]] = {}
    for clip in figures.clips:
        found.setdefault(str(clip.utterance.signer), []).append(clip)
    return dict(sorted(found.items()))


def _absent(parts: dict[str, float]) -> bool:
    return any(share > 0.99 for share in parts.values())


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return float(np.mean(values)) if values else 0.0


def _median(values: Iterable[float]) -> float:
    """Over the known ones; 0 where there is none."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else 0.0


def _worst(pairs: Iterable[tuple[float, str]]) -> list[str]:
    """The names, those with the greatest value first."""
    return [name for _, name in sorted(pairs, key=lambda pair: (-pair[0], pair[1]))]


Check = Callable[[CorpusFigures], Finding]
LANDMARK_CHECKS: dict[str, Check] = {
    "data.readable": readable,
    "data.units": units,
    "data.normalised": normalised,
    "data.missing": missing,
    "data.hands": hands,
    "data.zeros": zeros,
    "data.frozen": frozen,
    "data.motion": motion,
    "data.fps": fps,
}
