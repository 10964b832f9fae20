"""Recognises the glosses of whatever `Model.transcribe` is given: a clip, a list of clips, or a folder of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from signloom.ctc.hypothesis import Hypothesis
from signloom.errors import InputError
from signloom.extract.holistic import Settings
from signloom.extract.sources import Clip
from signloom.inference.read_clips import Points, Reader, read_clips
from signloom.inference.search import is_single, search
from signloom.landmarks import Landmarks

Errors = Literal["raise", "return"]


def recognise(
    source: Any,
    decode: Callable[[Points], Hypothesis],
    view: str,
    *,
    settings: Settings,
    workers: int,
    errors: Errors,
) -> Any:
    """Returns the result for a source in the shape of the source; see `Model.transcribe`.

    decode: returns the glosses of landmarks.  view: the points that it takes.
    """
    if errors not in ("raise", "return"):
        raise InputError(f"errors is {errors!r}; needed 'raise' or 'return'")
    if workers < 0:
        raise InputError(f"workers is {workers}; needed at least 0")
    clips: list[Clip] = []
    # The same in shape, with clips, landmarks and errors.
    plan = _plan(source, clips)
    if settings != Settings() and all(clip.is_landmarks for clip in clips):
        raise InputError("crop, pixel_aspect and fps are for videos and frames; all sources are landmarks")
    results: dict[Clip, Hypothesis | InputError] = {}

    def use(clip: Clip, landmarks: Points) -> None:
        results[clip] = decode(landmarks)

    def failed(clip: Clip, reason: str) -> None:
        results[clip] = InputError(reason)
        if errors == "raise":
            raise InputError(reason)

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: resolved(item) for name, item in part.items()}
        if isinstance(part, list):
            return [resolved(item) for item in part]
        if isinstance(part, Clip):
            return results[part]
        if isinstance(part, Landmarks):
            return decode(part)
        if errors == "raise":
            raise part
        return part

    if errors == "raise":
        _raise_if_any(plan)
    read_clips(clips, view, Reader(use, failed), settings=settings, workers=workers)
    return resolved(plan)


def _plan(source: Any, clips: list[Clip]) -> Any:
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


def _raise_if_any(plan: Any) -> None:
    """Raises the first error of a plan."""
    if isinstance(plan, InputError):
        raise plan
    if isinstance(plan, list):
        for part in plan:
            _raise_if_any(part)
