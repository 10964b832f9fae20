"""Idling in composed utterances: stretches with the arms at rest, and a resting hand beside signs of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from signloom import frame_times, layout
from signloom.anatomy.idle_hands import SIDES, draw_out_of_view, draw_rest, idle_hand, missing_hand, rest_hand, trunk_of
from signloom.compose.placing import in_place_of
from signloom.landmarks import Landmarks

# Length of a stretch that is cut out of a longer clip, and of one that is made up with hands up, seconds.
STRETCH_SECONDS = (0.6, 3.0)
# Length of a stretch with the arms at rest, seconds.
REST_SECONDS = (0.4, 2.0)
# Share of the idle stretches between two signs, relative to those at an end.
BETWEEN = 0.25
# Share of the resting arms whose hand is in view.
_IN_VIEW = 0.5
# Share of the frames of an idle clip in which a hand that does not rest makes it one of hands that are up.
_UP_SHARE = 0.25
_ARMS = {
    side: [
        number - layout.GROUPS["pose"].start
        for number in layout.indices(
            *(f"pose.{side}_{joint}" for joint in ("elbow", "wrist", "pinky", "index", "thumb"))
        )
    ]
    for side in SIDES
}


def idle_places(num_signs: int, share: float, rng: np.random.Generator) -> list[int]:
    """Returns before which signs an utterance idles, rising; `num_signs` is after the last one."""
    shares = np.full(num_signs + 1, share * BETWEEN)
    shares[[0, -1]] = share
    return np.flatnonzero(rng.random(num_signs + 1) < shares).tolist()


def idle_stretch(
    clip: Landmarks, rng: np.random.Generator, *, beside: Landmarks | None, names_others: bool
) -> tuple[Landmarks, str]:
    """Returns a stretch of an idle clip, all of it or, of one that is longer than any stretch, a part; and its kind:
    `other` where the hands are up, for a model that gives others the unknown gloss (`names_others`), else `idle`.

    beside: the clip of the signer where the stretch is placed; None to leave it where it is.
    """
    clip = cut_out(clip, rng)
    kind = "other" if names_others and hands_are_up(clip) else "idle"
    clip = varied(clip, rng)
    return clip if beside is None else in_place_of(clip, beside, rng), kind


def cut_out(clip: Landmarks, rng: np.random.Generator) -> Landmarks:
    """Returns a part of a clip that is longer than STRETCH_SECONDS, 0.6 to 3 seconds at any place in it; a shorter clip
    as it is, for which nothing is drawn."""
    if len(clip) <= STRETCH_SECONDS[1] * clip.fps:
        return clip
    count = max(2, round(rng.uniform(*STRETCH_SECONDS) * clip.fps))
    start = int(rng.integers(len(clip) - count, endpoint=True))
    return clip[start : start + count]


def hands_are_up(clip: Landmarks) -> bool:
    """Returns whether an idle clip shows hands that do not rest: in view, and neither slow and low nor out of view, in
    a quarter of its frames or more. Without shoulders there is no telling, and they do not count as up."""
    trunk = trunk_of(clip.points, "full")
    if trunk is None:
        return False
    up = np.zeros(len(clip), dtype=bool)
    for side in SIDES:
        moving = clip.present(f"{side}_hand")
        for frames in idle_hand(clip.points, trunk, side, view="full", fps=clip.fps):
            moving[frames] = False
        up |= moving
    return bool(up.mean() >= _UP_SHARE)


def varied(clip: Landmarks, rng: np.random.Generator) -> Landmarks:
    """Returns an idle clip as it is, mirrored, backwards, or both: whatever way hands idle, they make no sign."""
    mirror, backwards = rng.random(2) < 0.5
    clip = clip.mirrored() if mirror else clip
    if not backwards:
        return clip
    return replace(clip, points=clip.points[::-1], visibility=clip.visibility[::-1])


def rest_beside(pieces: Sequence[Landmarks], place: int, rng: np.random.Generator) -> Landmarks:
    """Returns a stretch with the arms at rest, to stand before piece number `place`: its signer holds still."""
    clip, frame = (pieces[place], 0) if place < len(pieces) else (pieces[-1], -1)
    count = max(2, round(rng.uniform(*REST_SECONDS) * clip.fps))
    points = np.repeat(clip.points[[frame]], count, axis=0)
    visibility = np.repeat(clip.visibility[[frame]], count, axis=0)
    if (trunk := trunk_of(points, "full")) is not None:
        for side in SIDES:
            seen = draw_rest(clip.points, trunk, side, rng, view="full") if rng.random() < _IN_VIEW else None
            rest = seen or draw_out_of_view(clip.points, trunk, side, rng, view="full")
            frames, in_view = slice(0, count), seen is not None
            rest_hand(points, trunk, side, frames, rest, rng, view="full", fps=clip.fps, in_view=in_view)
    seconds = frame_times.even_times(count, clip.fps)
    return replace(clip, points=points, visibility=visibility, seconds=seconds)


def with_resting_hands(landmarks: Landmarks, share: float, rng: np.random.Generator) -> Landmarks:
    """Returns an utterance in which a share of the hands that are out of view rest in view."""
    shown = rng.random(2) < share
    if not shown.any() or (trunk := trunk_of(landmarks.points, "full")) is None:
        return landmarks
    points, visibility = landmarks.points.copy(), landmarks.visibility.copy()
    for side in [side for side, show in zip(SIDES, shown, strict=True) if show]:
        if rest := draw_rest(points, trunk, side, rng, view="full"):
            for frames in missing_hand(points, trunk, side, view="full", fps=landmarks.fps):
                rest_hand(points, trunk, side, frames, rest, rng, view="full", fps=landmarks.fps)
                visibility[frames, _ARMS[side]] = 1
    return replace(landmarks, points=points, visibility=visibility)
