"""Checks whether the points are a person, in every clip, split and signer: `signloom.anatomy` measures and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from signloom import anatomy
from signloom.errors import plural
from signloom.findings import Details, Outcome, check, fail, judge, note, ok, warn
from signloom.health.checks.figures import ClipFigures, CorpusFigures
from signloom.health.checks.landmarks import (
    CHOSEN,
    JITTER_IN_A_CLIP,
    SEE_NORMALISED,
    SHOWN,
    has_filled,
    normalised,
)
from signloom.health.checks.places import FEWEST_CLIPS, MOST, Places, parts_of, places

# Frames that a finding of its own reports: `data.visibility`, `data.frozen`, `data.units`.
ELSEWHERE = ("visibility", "frozen", "outside")
# Share of clips that may look like this by bad tracking, of those which one clip alone does not show for certain.
# Healthy corpora have at most 8 % late, 12 % with hands apart, 3 % disordered and 2 % of odd size.
UNSURE = {"hands_late": 0.15, "hands_apart": 0.2, "disordered_hand": 0.06, "hand_size": 0.06, "hands_crop": 0.06}
# So few clips do not show these faults together.
FEWEST_UNSURE = 5
# Image heights, and shoulder widths per frame: the box around a person who moves so much changes by 0.0018 at least;
# half precision rounds to 0.0005.
STEADY_BOX, MOVING = 0.001, 0.005
# Shoulder widths: for the tracker a nose is 0.35 to 2.4 in front of the shoulders; in one noisy clip 0.18 behind.
BEHIND = 0.25
# Found here, beside those of `signloom.anatomy`.
FAULTS = {**anatomy.FAULTS, "z_reversed": "the depth is reversed: the head lies behind the shoulders"}
ADVICE = {
    "hands_relative": "import the hands in coordinates of the image, as the tracker gave them",
    "body_relative": "import the coordinates of the image, as the tracker gave them",
    "body_crop": "import the coordinates of the image, not of a box that changes with every frame",
    "shifted": "the points are named wrongly: look for an extra or missing column in the source, and import again",
    "x_y_exchanged": "exchange x and y and import again",
    "upside_down": "y must point down from the top of the image: import 1 - y, or turn the videos and extract again",
    "turned": "turn the videos and extract again",
    "mirrored": "mirror the videos before tracking, not the points, or exchange left and right as well; import again",
    "hands_exchanged": "exchange the blocks of the left and the right hand and import again",
    "hands_crop": "add where the crop lies in the image to the coordinates of the hands, and import again",
    "hands_late": "the hands and the pose come from different frames: take both from the same frame and import again",
    "z_reversed": "z points away from the camera: import -z",
    "disordered_hand": "the points of the hand are named wrongly: look at the order of the source and import again",
}
# Share of the way of both wrists that the left one goes where it leads, as in `landmarks.leading_hand`.
LEADS = 0.6
LEFT_HANDED = (
    "left-handed signers are no fault; if they are none, the videos were mirrored before tracking: mirror them back, "
    "or train with --augmentation.mirror 0.5 if no sign changes its meaning when mirrored"
)
OTHER_ADVICE = "look at these clips ('signloom show'); import the landmarks as the extractor gave them"


@check(
    "data.body",
    unit="clips",
    threshold="none that is no person: fail from 5 % of the clips, or in most of the clips of a split or signer, warn "
    "from one",
    source=f"{CHOSEN}; `signloom.anatomy` has the measures and their thresholds",
)
def body(figures: CorpusFigures) -> Outcome:
    """Clips whose points are no person: upside down, mirrored, x and y or the hands exchanged, shifted in their order,
    relative to a crop or a wrist, with late hands or reversed depth."""
    clips = figures.clips
    found = faulty_clips(clips)
    if not found:
        headline = f"the points are a person in all {plural(len(clips), 'clip')}"
        leading = _left_handed(clips)
        if leading:
            headline += f"; the left hand leads in the clips of {', '.join(leading[:SHOWN])}"
        # A video that was mirrored before tracking shows a left-handed person.
        return judge(headline, note=bool(leading), value=0, where=leading, advice=LEFT_HANDED)
    if normalised(figures).level == "fail":
        return note(SEE_NORMALISED)
    where_by_name = {name: places(by_id, clips) for name, by_id in found.items()}
    names = sorted(found, key=lambda name: (-where_by_name[name].count, name))
    worst = names[0]
    headline = "; ".join(f"{FAULTS[name]}: {where_by_name[name]}" for name in names[:3])
    where = [f"{name}: {measured}" for kind in names for name, measured in list(found[kind].items())[:SHOWN]]
    measured = Details(
        value=len({name for by_id in found.values() for name in by_id}),
        where=where[:SHOWN],
        figures={name: _row(where_by_name[name]) for name in names},
    )
    advice = ADVICE.get(worst, OTHER_ADVICE)
    say = fail if any(place.grave for place in where_by_name.values()) else warn
    return say(headline, advice=advice, **measured)


def _left_handed(clips: tuple[ClipFigures, ...]) -> list[str]:
    """Returns the splits and signers in most of whose clips the left hand leads."""
    leads = {clip.utterance.id for clip in clips if clip.motion.left > LEADS}
    groups = [(part.name, part.clips) for part in parts_of(clips)] or [("all", clips)]
    return [
        name for name, members in groups if sum(clip.utterance.id in leads for clip in members) > MOST * len(members)
    ]


def _row(place: Places) -> dict[str, object]:
    return {"clips": place.count, "of": place.total, "parts": place.parts}


def faulty_clips(clips: tuple[ClipFigures, ...]) -> dict[str, dict[str, str]]:
    """Returns for each fault of anatomy that the clips show what was measured, by the ids of the clips.

    A clip alone shows a fault only if it is beyond doubt. The clips of a split or signer together show it if they are
    like that in the median; and so do many clips that are each likely to have it.
    """
    clips = tuple(clip for clip in clips if not has_filled(clip))
    found: dict[str, dict[str, str]] = {}
    likely: dict[str, dict[str, str]] = {}
    for clip in clips:
        name = clip.utterance.id
        suspected = _faults(clip, one_of_several=True)
        for kind, measured in suspected.items():
            likely.setdefault(kind, {})[name] = measured
        # What is not likely is not certain.
        for kind, measured in _faults(clip).items() if suspected else ():
            found.setdefault(kind, {})[name] = measured
    groups = [clips, *(part.clips for part in parts_of(clips))]
    for members in groups:
        if len(members) < FEWEST_UNSURE:
            continue
        ids = [clip.utterance.id for clip in members]
        together = anatomy.faults_of(anatomy.combined([clip.body for clip in members]))
        # Medians of many clips show what each clip alone does not.
        for fault in together:
            if fault.name in UNSURE:
                alike = {name: likely[fault.name][name] for name in ids if name in likely.get(fault.name, {})}
                here = alike if len(alike) > MOST * len(ids) else dict.fromkeys(ids, fault.measured)
                found[fault.name] = here | found.get(fault.name, {})
    for kind, by_id in likely.items():
        least = UNSURE.get(kind)
        if least is not None and len(by_id) >= max(FEWEST_CLIPS, least * len(clips)):
            found[kind] = by_id | found.get(kind, {})
    return found


def _faults(clip: ClipFigures, *, one_of_several: bool = False) -> dict[str, str]:
    """Returns what was measured by the names of the faults that a clip shows.

    one_of_several: judge it by the thresholds of many clips together.
    """
    if clip.box < STEADY_BOX and clip.body.step > MOVING:
        return {
            "body_crop": f"the box around body and hands changes by {clip.box:.4f} of the image's height in the clip"
        }
    measures = clip.body
    if one_of_several:
        frames: Mapping[str, int] = {name: 2 * count for name, count in measures.frames.items()}
        measures = replace(measures, num_clips=2, frames=frames)
    faults = {fault.name: fault.measured for fault in reversed(anatomy.faults_of(measures))}
    # Noise makes every outline longer.
    jittery = ("disordered_face", "disordered_hand") if clip.motion.jitter > JITTER_IN_A_CLIP else ()
    if clip.head_depth > BEHIND:
        faults["z_reversed"] = f"the nose lies {clip.head_depth:.2f} shoulder widths behind the shoulders"
    return {name: measured for name, measured in faults.items() if name not in (*ELSEWHERE, *jittery)}


@check(
    "data.visibility",
    unit="clips",
    threshold="between 0 and 1 and finite in every clip, else fail",
    source="the tracker's estimate of a probability",
)
def visibility(figures: CorpusFigures) -> Outcome:
    """Clips with a visibility outside 0 to 1."""
    wrong = {
        clip.utterance.id
        for clip in figures.clips
        if clip.infinite or clip.body.visibility_low < -0.001 or clip.body.visibility_high > 1.001
    }
    place = places(wrong, figures.clips)
    if not wrong:
        return ok("the visibility of the pose is between 0 and 1, or unknown")
    return judge(
        f"the visibility of the pose is outside 0 to 1 in {place}",
        fail=True,
        value=len(wrong),
        where=sorted(wrong)[:SHOWN],
        advice="another value was taken for the visibility: look at the order of the source's columns and import again",
    )
