"""Films and contact sheets of what was tracked in one clip, over its video if there is one.

Shapes: T frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signloom import layout
from signloom.console import progress_bar
from signloom.drawing.film import MAX_GIF_FPS, Page, save_png, write_gif, write_mp4
from signloom.drawing.tracked import TrackedPages
from signloom.errors import InputError, SignloomError, plural
from signloom.extract import Crop, extract_landmarks
from signloom.extract.reading import open_clip
from signloom.frame_times import frames_at, frames_between
from signloom.landmarks import Landmarks

if TYPE_CHECKING:
    from PIL.Image import Image

SHEET_HEIGHT, GIF_HEIGHT, FILM_HEIGHT = 240, 360, 720
# Of a film without a video.
_ALONE_HEIGHT = 480
# The landmarks' frame, the time and the image; no frame where nothing was tracked, no image without a video.
FrameImage = tuple[int | None, float, np.ndarray | None]
# A longer animation takes over a gigabyte of memory, and so does who looks at it.
MAX_GIF_SECONDS = 60.0
# Landmarks that last longer or shorter than this share of the video, or these seconds, are of another one.
_SAME_SHARE, _SAME_SECONDS = 0.1, 1.0


def track(source: Path, *, crop: str | None, pixel_aspect: float | None, fps: float | None) -> Landmarks:
    """Returns the landmarks of a video or a folder of frames, with a progress bar."""
    with progress_bar() as bar:
        task = bar.add_task("tracking", total=None, unit="frames", done=0)

        def progress(done: int, expected: int) -> None:
            bar.update(task, completed=done, total=max(expected, done) or None, done=done)

        return extract_landmarks(source, crop=crop, pixel_aspect=pixel_aspect, fps=fps, progress=progress)


@dataclass(frozen=True)
class Span:
    """A part of a clip. start, end: seconds.  frames: the landmarks' frames in it."""

    start: float
    end: float
    frames: slice


@dataclass(frozen=True)
class Shown:
    """Landmarks, and the video or folder of frames they were tracked in, or None."""

    landmarks: Landmarks
    video: Path | None

    def span(self, start: float, end: float | None) -> Span:
        """Returns the part between two moments. Raises InputError if it has no frame."""
        clip = self.landmarks
        last = clip.start_seconds + clip.duration_seconds
        stop = last if end is None else min(end, last)
        frames = frames_between(clip.seconds, start, stop) if start < stop else slice(0, 0)
        if frames.stop <= frames.start:
            raise InputError(
                f"--start {start:g}{'' if end is None else f' --end {end:g}'}: no frame; the clip is from "
                f"{clip.start_seconds:.2f} to {last:.2f} s"
            )
        return Span(max(start, clip.start_seconds), stop, frames)

    def summary(self, span: Span) -> str:
        """Returns how often each part was found."""
        clip = self.landmarks
        count = span.frames.stop - span.frames.start
        found = ", ".join(
            f"{name.replace('_', ' ')} in {clip.present(name)[span.frames].mean():.1%}" for name in layout.GROUPS
        )
        unread = (clip.source.get("frames") or {}).get("unread", 0)
        lost = f"; {unread:,} more could not be read" if unread else ""
        return f"{found} of {plural(count, 'frame')}{lost}"

    @cached_property
    def title(self) -> str:
        return str(self.video.name if self.video else self.landmarks.source.get("name") or "landmarks")

    @property
    def _crop(self) -> Crop | None:
        text = (self.landmarks.source.get("options") or {}).get("crop")
        return Crop.parse(text) if text else None

    def pages(self, height: int, image: np.ndarray | None) -> TrackedPages:
        aspect = None
        if image is not None and self.landmarks.image_size is None:
            aspect = image.shape[1] / image.shape[0]
        return TrackedPages(self.landmarks, height=height, title=self.title, aspect=aspect)

    def images(self) -> Iterator[FrameImage]:
        """Yields the landmarks' frame, the time and the image of each frame; no frame where nothing was tracked, no
        image without a video."""
        clip = self.landmarks
        if self.video is None:
            yield from ((frame, float(second), None) for frame, second in enumerate(clip.seconds))
            return
        frames, seconds = self._matched
        crop = self._crop
        for image, frame, second in zip(open_clip(self.video).frames(), frames, seconds, strict=False):
            part = image if crop is None else crop.of(image)
            yield (None if frame < 0 else int(frame)), float(second), np.ascontiguousarray(part)

    @cached_property
    def _matched(self) -> tuple[np.ndarray, np.ndarray]:
        """The landmarks' frame at each frame of the video (-1: none), and the times of these, both (T,)."""
        clip, video = self.landmarks, self.video
        if video is None:
            return np.arange(len(clip)), clip.seconds
        reader = open_clip(video)
        count = sum(1 for _ in reader.frames())
        if count == len(clip):
            return np.arange(count), clip.seconds
        times = reader.times(clip.source.get("assumed_fps") or clip.fps)
        duration = count / times.fps
        if abs(duration - clip.duration_seconds) > max(_SAME_SECONDS, _SAME_SHARE * duration):
            raise InputError(
                f"{video}: lasts {duration:.1f} s, its landmarks {clip.duration_seconds:.1f} s; give the landmark "
                "file of this video, or none to track it now"
            )
        frames = frames_at(clip.seconds, times.seconds)
        frames[times.seconds >= clip.start_seconds + clip.duration_seconds] = -1
        return frames, times.seconds


def write_sheet(shown: Shown, span: Span, path: Path, *, num_frames: int, height: int | None) -> None:
    """Writes a contact sheet of frames evenly spread over a part of the clip."""
    images = _with_progress(shown.images(), len(shown.landmarks))
    picture = contact_sheet(shown, span, images, num_frames=num_frames, height=height)
    save_png(picture, path, num_colours=None if shown.video else 256)


def contact_sheet(
    shown: Shown, span: Span, images: Iterator[FrameImage], *, num_frames: int, height: int | None
) -> Image:
    """Returns a contact sheet of frames evenly spread over a part of the clip; images: of all frames of `shown`."""
    clip = shown.landmarks
    moments = span.start + (np.arange(num_frames) + 0.5) / num_frames * (span.end - span.start)
    wanted = set(np.clip(frames_at(clip.seconds, moments), span.frames.start, span.frames.stop - 1).tolist())
    pages, pictures = None, []
    for frame, seconds, image in images:
        if frame in wanted:
            wanted.remove(frame)
            pages = pages or shown.pages(height or SHEET_HEIGHT, image)
            pictures.append((frame, seconds, pages.picture(frame, image)))
        if not wanted:
            break
    if pages is None:
        raise SignloomError(f"{shown.video}: none of the frames to show could be read")
    return pages.sheet(pictures)


def write_film(shown: Shown, span: Span, path: Path, *, height: int | None) -> None:
    """Writes an animation of a part of the clip in real time, by the times of its frames."""
    is_gif = path.suffix.lower() == ".gif"
    length = span.end - span.start
    film = _film(shown, span, height or (GIF_HEIGHT if is_gif else None), MAX_GIF_FPS if is_gif else None)
    if is_gif:
        check_gif(path, length)
        rest = list(film)
        write_gif(rest, length, rest[len(rest) // 2][1], path)
    else:
        write_mp4(film, length, path)


def check_gif(path: Path, length: float) -> None:
    """Raises InputError for an animation of too many seconds."""
    if length > MAX_GIF_SECONDS:
        raise InputError(
            f"--output {path}: an animation of {length:.0f} s would be too large; write an .mp4, or shorten it by --end"
        )


def images_in(images: Iterator[FrameImage], shown: Shown, span: Span, max_fps: float | None) -> Iterator[FrameImage]:
    """Yields the images of a part of the clip, at most `max_fps` per second."""
    due = -np.inf
    first = shown.landmarks.seconds[span.frames.start]
    for frame, seconds, image in images:
        if seconds >= span.end:
            break
        # Of frames that follow each other faster, every so many is left out; rounding counts for nothing.
        if seconds < first or (max_fps is not None and seconds < due - 0.1 / max_fps):
            continue
        if max_fps is not None:
            due = max(due + 1 / max_fps, seconds) if np.isfinite(due) else seconds + 1 / max_fps
        yield frame, seconds, image


def drawn_height(image: np.ndarray | None) -> int:
    """Returns the height of a film over a video's image, or of one that is drawn alone."""
    return _ALONE_HEIGHT if image is None else min(FILM_HEIGHT, image.shape[0])


def _film(shown: Shown, span: Span, height: int | None, max_fps: float | None) -> Iterator[Page]:
    pages = None
    images = _with_progress(shown.images(), len(shown.landmarks))
    for frame, seconds, image in images_in(images, shown, span, max_fps):
        if pages is None:
            pages = shown.pages(height or drawn_height(image), image)
        yield max(seconds - span.start, 0.0), pages.page(frame, seconds, image)


def _with_progress(images: Iterator[FrameImage], total: int) -> Iterator[FrameImage]:
    with progress_bar() as bar:
        task = bar.add_task("drawing", total=total, unit="frames", done=0)
        for number, each in enumerate(images, 1):
            yield each
            bar.update(task, completed=min(number, total), done=number)
        # A contact sheet needs no frame after its last one.
        bar.update(task, completed=total)
