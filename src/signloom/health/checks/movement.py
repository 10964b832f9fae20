"""Checks of movement: frames or hands that stand still, hands that swap places or move faster than anyone can."""

from __future__ import annotations

from signloom.errors import plural
from signloom.findings import Outcome, check, judge, note
from signloom.health.checks.figures import FASTEST, ClipFigures, CorpusFigures
from signloom.health.checks.landmarks import (
    CHOSEN,
    SEE_NORMALISED,
    SHOWN,
    has_filled,
    mean,
    normalised,
    worst_first,
)
from signloom.health.checks.places import FEWEST_CLIPS, MANY, places

# Share of a hand's frames: up to 0.06 in simulated clips without noise, 0 in others.
HELD = 0.3
# Deviation of the place of a wrist, in shoulder widths: at least 0.011 in healthy clips of one gloss (at rest), 0.127
# in sentences; and share of frames in which the wrists rest: up to 0.73 in clips of one gloss, 0.26 in sentences.
STILL_REACH, STILL_REACH_OF_SENTENCES = 0.006, 0.05
STILL_SHARE, STILL_SHARE_OF_SENTENCES = 0.8, 0.6


@check(
    "data.frozen",
    unit="share of frames",
    threshold="warn from 10 % of the frames or 2 % of the clips, fail from 50 % of either; and less than "
    f"{100 * MANY:g} % of the clips nearly still or with a hand that is held, else fail",
    source="no tracker gives two frames of a camera the same points to the last bit; in healthy clips the wrists move "
    "by 0.011 shoulder widths (deviation) and more, in sentences by 0.13",
)
def frozen(figures: CorpusFigures) -> Outcome:
    """Share of frames that repeat the frame before, to the last bit, and clips in which wrists or hands hardly move."""
    share = mean(clip.repeated for clip in figures.clips)
    still = worst_first(
        (clip.longest_seconds, clip.utterance.id)
        for clip in figures.clips
        if clip.longest_seconds >= 0.5 or clip.repeated > 0.25
    )
    clips = len(still) / max(1, len(figures.clips))
    held = {clip.utterance.id for clip in figures.clips if clip.held > HELD} - set(still)
    nearly = {clip.utterance.id for clip in figures.clips if _nearly_still(clip)} - set(still)
    place = places(nearly, figures.clips)
    headline = (
        f"{100 * share:.1f} % of the frames repeat the frame before; "
        f"{plural(len(still), 'clip stands', 'clips stand')} still for half a second or repeat every fourth frame"
    )
    if nearly:
        headline += f"; the points are nearly frozen in {place}"
    held_place = places(held, figures.clips)
    if held:
        headline += f"; a hand stays the same to the last bit while the body moves in {held_place}"
    return judge(
        headline,
        fail=share >= 0.5 or clips >= 0.5 or place.grave or held_place.grave,
        warn=share >= 0.1 or clips >= 0.02 or len(nearly) >= FEWEST_CLIPS or len(held) >= FEWEST_CLIPS,
        note=bool(nearly or held),
        value=share,
        where=[*still, *sorted(nearly), *sorted(held)][:SHOWN],
        advice="the video was decoded or resampled badly, or missing points were filled with those of another frame: "
        "extract from the original, at its own frame rate",
    )


def _nearly_still(clip: ClipFigures) -> bool:
    """Returns whether the wrists hardly move: less than in any healthy clip of one gloss, or of several."""
    if len(clip.utterance.glosses) == 1:
        return clip.motion.reach < STILL_REACH or clip.motion.still > STILL_SHARE
    return clip.motion.reach < STILL_REACH_OF_SENTENCES or clip.motion.still > STILL_SHARE_OF_SENTENCES


@check(
    "data.motion",
    unit="per second",
    threshold=f"warn from 0.25, fail from 1; too fast is over {FASTEST:g} shoulder widths per second",
    source=f"{CHOSEN}; healthy ones have up to 0.1",
)
def motion(figures: CorpusFigures) -> Outcome:
    """Frames per second in which the hands swap places, or a hand moves too fast."""
    # A hand that is missing jumps to the place that stands for it.
    clips = [clip for clip in figures.clips if not has_filled(clip)]
    seconds = sum(clip.utterance.duration_seconds for clip in clips)
    swaps, jumps = sum(clip.swaps for clip in clips), sum(clip.jumps for clip in clips)
    rate = (swaps + jumps) / max(seconds, 1e-9)
    # Standardising makes hands jump too; one cause is reported once.
    if rate >= 0.25 and normalised(figures).level == "fail":
        return note(SEE_NORMALISED)
    counts = [(clip.swaps + clip.jumps, clip.utterance.id) for clip in clips]
    worst = worst_first((count, name) for count, name in counts if count)[:SHOWN]
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
