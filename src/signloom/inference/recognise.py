"""Recognises the glosses of whatever `Model.transcribe` is given: a clip, a list of clips, or a folder of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

from signloom.ctc.hypothesis import Hypothesis
from signloom.errors import InputError
from signloom.extract import Crop
from signloom.extract.holistic import Settings
from signloom.extract.sources import Clip
from signloom.inference.read_clips import Points, Reader, read_clips
from signloom.inference.search import is_single, search
from signloom.landmarks import Landmarks

Errors = Literal["raise", "return"]
Source: TypeAlias = Landmarks | Path | str
# A clip with its glosses, or with the reason why it has none; a folder's or pattern's, by path; and those of a list.
Result: TypeAlias = Hypothesis | InputError
ResultByPath: TypeAlias = dict[str, Hypothesis | InputError]
Recognised: TypeAlias = "Result | ResultByPath | list[Recognised]"
# A source with clips, landmarks and errors in the places of their results.
_Plan: TypeAlias = "Landmarks | Clip | InputError | dict[str, Clip] | list[_Plan]"


class ReadOptions(TypedDict, total=False):
    """Options of `Model.transcribe`, which explains them."""

    min_confidence: float | None
    crop: Crop | str | None
    pixel_aspect: float | None
    fps: float | None
    workers: int


def recognise(
    source: Source | Iterable[Source],
    decode: Callable[[Points], Hypothesis],
    view: str,
    *,
    settings: Settings,
    workers: int,
    errors: Errors,
) -> Recognised:
    """Returns the result for a source in the shape of the source; see `Model.transcribe`.

    decode: returns the glosses of landmarks.  view: the points that it takes.
    """
    if errors not in ("raise", "return"):
        raise InputError(f"errors is {errors!r}; needed 'raise' or 'return'")
    if workers < 0:
        raise InputError(f"workers is {workers}; needed at least 0")
    clips: list[Clip] = []
    plan = _plan(source, clips)
    if settings != Settings() and all(clip.is_landmarks for clip in clips):
        raise InputError("crop, pixel_aspect and fps are for videos and frames; all sources are landmarks")
    results: dict[Clip, Result] = {}

    def use(clip: Clip, landmarks: Points) -> None:
        results[clip] = decode(landmarks)

    def failed(clip: Clip, reason: str) -> None:
        results[clip] = InputError(reason)
        if errors == "raise":
            raise InputError(reason)

    def resolved(part: _Plan) -> Recognised:
        if isinstance(part, dict):
            return {name: results[clip] for name, clip in part.items()}
        if isinstance(part, list):
            return [resolved(item) for item in part]
        if isinstance(part, Clip):
            return results[part]
        if isinstance(part, Landmarks):
            return decode(part)
        return part

    if errors == "raise":
        _raise_if_any(plan)
    read_clips(clips, view, Reader(use, failed), settings=settings, workers=workers)
    return resolved(plan)


def _plan(source: Source | Iterable[Source], clips: list[Clip]) -> _Plan:
    """Returns a source with clips in the place of paths, and adds these to `clips`."""
    if isinstance(source, Landmarks):
        return source
    if isinstance(source, str | Path):
        found = search([str(source)])
        if found.failed:
            return InputError("\n".join(found.failed.values()))
        # Names are those of files that workers write, so they differ.
        named = [replace(clip, name=str(len(clips) + number)) for number, clip in enumerate(found.clips)]
        clips += named
        return named[0] if is_single([str(source)], named) else {str(clip.path): clip for clip in named}
    if isinstance(source, Iterable) and not isinstance(source, bytes):
        return [_plan(item, clips) for item in source]
    raise InputError(f"transcribe: got {type(source).__name__}; needed landmarks, a path, or a list of these")


def _raise_if_any(plan: _Plan) -> None:
    """Raises the first error of a plan."""
    if isinstance(plan, InputError):
        raise plan
    if isinstance(plan, list):
        for part in plan:
            _raise_if_any(part)
