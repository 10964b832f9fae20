"""Reads the landmarks of many clips: those in landmark files, and those of videos and frame folders, by extraction."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from signloom.errors import InputError
from signloom.extract import extract_landmarks
from signloom.extract.clip_worker import ClipResult
from signloom.extract.holistic import Settings
from signloom.extract.parallel import extract_all
from signloom.extract.resume import survey
from signloom.extract.sources import Clip
from signloom.landmarks import ClipView, Landmarks, read_view

Points = Landmarks | ClipView


@dataclass(frozen=True)
class Reader:
    """What happens with the clips that `read_clips` reads.

    use: called with each clip and its landmarks; InputError in it concerns this clip only.
    failed: called with each clip that has none, or that `use` refuses, and the reason.
    progress: called with the number of clips done (clips in progress count as fractions) and of frames done.
    """

    use: Callable[[Clip, Points], None]
    failed: Callable[[Clip, str], None]
    progress: Callable[[float, int], None] = lambda clips, frames: None


def read_clips(
    clips: Sequence[Clip],
    view: str | None,
    reader: Reader,
    *,
    settings: Settings,
    workers: int = 0,
    folder: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Reads clips and gives each to `reader` as soon as it can: landmark files first.

    view: read the points of this view only, where they are in a file; None: all points.
    settings: of the extraction.  workers: processes that extract; 0: this process does.
    folder: keep the extracted landmarks here, as `signloom extract` does, and use those that are here already. Its user
    holds its lock.  overwrite: replace those that were extracted with other settings.

    Raises InputError if there are such without `overwrite`, and what `extract_all` raises.
    """
    videos = [clip for clip in clips if not clip.is_landmarks]
    files = [(clip, clip.path) for clip in clips if clip.is_landmarks]
    missing = videos
    if folder is not None and videos:
        state = survey(videos, folder, settings)
        if not overwrite:
            state.refuse_differing(folder)
        missing = [clip for clip in videos if clip not in state.done]
        files += [(clip, clip.output(folder)) for clip in state.done]
    count = frames = 0
    for clip, path in files:
        count += 1
        frames += _read(reader, clip, partial(_load, path, view))
        reader.progress(count, frames)
    if not missing:
        return
    if not workers and folder is None:
        for clip in missing:
            frames += _read(reader, clip, partial(_extract, clip, settings))
            count += 1
            reader.progress(count, frames)
        return
    with tempfile.TemporaryDirectory(prefix="signloom-") as temporary:
        target = folder or Path(temporary)

        def done(result: ClipResult) -> None:
            if result.status == "failed":
                reader.failed(result.clip, result.message)
            elif result.status == "done":
                path = result.clip.output(target)
                _read(reader, result.clip, partial(_load, path, view))
                if folder is None:
                    path.unlink(missing_ok=True)

        extract_all(
            missing,
            target,
            settings,
            workers=max(workers, 1),
            on_outcome=done,
            on_progress=lambda clips, new: reader.progress(count + clips, frames + new),
        )


def _load(path: Path, view: str | None) -> Points:
    return Landmarks.load(path) if view is None else read_view(path, view)


def _extract(clip: Clip, settings: Settings) -> Landmarks:
    return extract_landmarks(clip.path, crop=settings.crop, pixel_aspect=settings.pixel_aspect, fps=settings.fps)


def _read(reader: Reader, clip: Clip, load: Callable[[], Points]) -> int:
    """Gives a clip to the reader; returns its number of frames, 0 if it has none."""
    try:
        landmarks = load()
    except (InputError, OSError) as error:
        # An OSError of a file that is read concerns this file; one of a result that is written concerns all.
        reader.failed(clip, _reason(clip, error))
        return 0
    try:
        reader.use(clip, landmarks)
    except InputError as error:
        reader.failed(clip, _reason(clip, error))
    return len(landmarks)


def _reason(clip: Clip, error: InputError | OSError) -> str:
    """Returns a message that names the clip."""
    text = str(error) if isinstance(error, InputError) else f"{error.strerror}"
    return text if str(clip.path) in text else f"{clip.path}: {text}"
