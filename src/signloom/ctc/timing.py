"""The time shift between a model's emissions and the signs, fitted without annotated boundaries.

A model trained with CTC emits a gloss on one or two frames, anywhere within the sign or after its end. The loss does
not determine where, but one model does it at about the same place in every sign. `fit_timing` finds that place without
any
boundaries: it is where the gloss explains most about the position of the hands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from signloom import layout
from signloom.errors import InputError
from signloom.frame_times import frames_at
from signloom.landmarks import Landmarks

# About 12 frames per gloss at 25 frames per second: PHOENIX-2014, and most corpora of news and everyday conversation.
DEFAULT_GLOSS_SECONDS = 0.48
# The moments around an emission that are examined reach this far before and after it ...
_REACH_SECONDS = 1.2
# ... in steps of this size.
_STEP_SECONDS = 0.04
# Glosses that occur less often are not used.
_MIN_TOKENS = 3
_POINTS = [
    layout.index(f"{side}_hand.{point}")
    for side in ("left", "right")
    for point in ("wrist", "thumb_tip", "index_tip", "middle_tip", "pinky_tip")
]
_SHOULDERS = [layout.index("pose.left_shoulder"), layout.index("pose.right_shoulder")]


@dataclass(frozen=True)
class Timing:
    """The position of signs relative to a model's emissions.

    shift_seconds: from the middle of an emission to the middle of its sign; negative if the model emits late.
    gloss_seconds: from one sign to the next in fluent signing.
    """

    shift_seconds: float = 0.0
    gloss_seconds: float = DEFAULT_GLOSS_SECONDS

    def __post_init__(self) -> None:
        if not (np.isfinite(self.shift_seconds) and np.isfinite(self.gloss_seconds) and self.gloss_seconds > 0):
            raise InputError(
                f"timing: shift {self.shift_seconds} s, {self.gloss_seconds} s per gloss; needed numbers, "
                "the second above 0"
            )

    def to_json(self) -> dict[str, float]:
        return {"shift_seconds": round(self.shift_seconds, 4), "gloss_seconds": round(self.gloss_seconds, 4)}


@dataclass(frozen=True)
class AlignedClip:
    """The landmarks of one clip, its glosses as ids (S,), and the middle of each gloss's emission (S,), in seconds from
    the clip's first frame.
    """

    landmarks: Landmarks
    ids: np.ndarray
    seconds: np.ndarray


def fit_timing(clips: Iterable[AlignedClip]) -> Timing:
    """Returns the timing of a model, fitted on clips of its training corpus with its own forced alignments.

    For every moment around an emission it computes the share of the hands' variance that the gloss explains (one minus
    the variance within glosses divided by the total variance): near 1 in the middle of the sign, 0 during its
    neighbours. The shift is the centroid of the part of this curve above half its height. `gloss_seconds` is the mean
    of the middle half of the distances between neighbouring emissions.

    The shift is 0 if fewer than two glosses occur three times or more, or if the gloss explains nothing.
    """
    moments = np.arange(-_REACH_SECONDS, _REACH_SECONDS + _STEP_SECONDS / 2, _STEP_SECONDS)
    tokens: defaultdict[int, list[np.ndarray]] = defaultdict(list)
    distances: list[float] = []
    for clip in clips:
        hands = _hands(clip.landmarks)
        for gloss, seconds in zip(np.asarray(clip.ids).tolist(), np.asarray(clip.seconds).tolist(), strict=True):
            shown = moments + seconds + clip.landmarks.start_seconds
            frames = frames_at(clip.landmarks.seconds, shown)
            inside = (frames >= 0) & (shown < clip.landmarks.start_seconds + clip.landmarks.duration_seconds)
            token = np.full((len(moments), hands.shape[1]), np.nan, dtype=np.float32)
            token[inside] = hands[frames[inside]]
            tokens[gloss].append(token)
        distances += np.diff(clip.seconds).tolist()
    # The mean of the middle half is robust against pauses between signs and against the grid of output frames.
    middle = np.sort(distances)[len(distances) // 4 : len(distances) - len(distances) // 4]
    gloss_seconds = float(middle.mean()) if len(middle) else DEFAULT_GLOSS_SECONDS
    explained = _explained([np.stack(group) for group in tokens.values() if len(group) >= _MIN_TOKENS])
    if explained is None or explained.max() <= 0:
        return Timing(0.0, gloss_seconds)
    weight = np.clip(explained - explained.max() / 2, 0, None)
    return Timing(float((weight * moments).sum() / weight.sum()), gloss_seconds)


def _explained(glosses: list[np.ndarray]) -> np.ndarray | None:
    """Returns for each moment the share of variance that glosses explain, or None with fewer than two glosses.

    glosses: one array (tokens, moments, values) per gloss; NaN is missing.
    """
    if len(glosses) < 2:
        return None
    within, degrees = 0.0, 0.0
    total_sum, total_square, total_count = 0.0, 0.0, 0.0
    for tokens in glosses:
        present = np.isfinite(tokens)
        values = np.where(present, tokens, 0.0).astype(np.float64)
        count, sums, squares = present.sum(axis=0), values.sum(axis=0), (values**2).sum(axis=0)
        within = within + squares - sums**2 / np.maximum(count, 1)
        degrees = degrees + np.maximum(count - 1, 0)
        total_sum, total_square, total_count = total_sum + sums, total_square + squares, total_count + count
    total = total_square - total_sum**2 / np.maximum(total_count, 1)
    # Summed over the values, so that points that hardly move count little. Moments outside all clips explain nothing.
    inner = (within / np.maximum(degrees, 1)).sum(axis=1)
    outer = (total / np.maximum(total_count - 1, 1)).sum(axis=1)
    share: np.ndarray = np.where(outer > 0, 1 - inner / np.where(outer > 0, outer, 1), 0.0)
    return share


def _hands(landmarks: Landmarks) -> np.ndarray:
    """Returns wrists and finger tips relative to the middle of the shoulders, in shoulder widths, (T, 20)."""
    shoulders = landmarks.points[:, _SHOULDERS, :2]
    known = np.isfinite(shoulders).all(axis=(1, 2))
    if not known.any():
        return np.full((len(landmarks), 2 * len(_POINTS)), np.nan, dtype=np.float32)
    left, right = np.median(shoulders[known], axis=0)
    width = max(float(np.linalg.norm(left - right)), 1e-3)
    hands: np.ndarray = (landmarks.points[:, _POINTS, :2] - (left + right) / 2) / width
    return hands.reshape(len(landmarks), -1)
