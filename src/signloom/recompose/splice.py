"""Joins parts of clips into one clip, with a smooth transition wherever two parts meet.

Shapes: T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from signloom.compose import joined_landmarks
from signloom.landmarks import Landmarks

# So many frames on either side of a join pass gradually from one part to the next; fewer in very short parts.
BLEND_FRAMES = 3


@dataclass(frozen=True)
class Part:
    """Frames `start` to `end`, exclusive, of a clip: at least one."""

    clip: Landmarks
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


def splice(parts: Sequence[Part]) -> Landmarks:
    """Returns the parts joined into one clip, which has as many frames as they have together.

    parts: of one frame rate; at least one.

    Around a join both parts go on for a few frames, as they do in their clips, while one passes gradually into the
    other. So a movement that was cut in its middle does not stop, and two parts that follow each other in one clip
    become what they were. Where a point is missing in one of the two, the join shows the part to which the frame
    belongs.
    """
    points = _spliced(parts, [part.clip.points for part in parts])
    visibility = _spliced(parts, [part.clip.visibility for part in parts])
    return joined_landmarks([part.clip for part in parts], points, visibility)


def _spliced(parts: Sequence[Part], values: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the parts of `values` (T, ...), one array per part's clip, joined."""
    result = np.concatenate([value[part.start : part.end] for part, value in zip(parts, values, strict=True)])
    join = 0
    for index, (before, after) in enumerate(pairwise(parts)):
        join += len(before)
        # Joins do not reach into each other.
        reach = min(BLEND_FRAMES, len(before) // 2, len(after) // 2)
        steps = np.arange(-reach, reach)
        weight = ((steps + reach + 0.5) / max(2 * reach, 1)).reshape(-1, *[1] * (result.ndim - 1))
        leaving = _at(values[index], before.end + steps)
        arriving = _at(values[index + 1], after.start + steps)
        blended = leaving + weight.astype(result.dtype) * (arriving - leaving)
        frames = slice(join - reach, join + reach)
        result[frames] = np.where(np.isfinite(blended), blended, result[frames])
    return result


def _at(values: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Returns `values` at `frames`; the first or the last one for frames outside the clip."""
    result: np.ndarray = values[np.clip(frames, 0, len(values) - 1)]
    return result
