"""Writes a clip with what was tracked over its video, or over a drawn person, and its glosses as captions below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signloom.ctc.hypothesis import GlossSpan
from signloom.drawing.brush import Colour
from signloom.drawing.film import MAX_GIF_FPS, Page, write_gif, write_mp4
from signloom.drawing.lettering import fitted, font_for, line_height, plain_font
from signloom.drawing.person import import_pillow
from signloom.drawing.show import GIF_HEIGHT, Shown, Span, check_gif, drawn_height, images_in

if TYPE_CHECKING:
    from PIL.Image import Image

_PAPER: Colour = (24, 26, 30)
_NOW, _BEFORE = (255, 255, 255), (150, 154, 162)
_GAP = 10
_LABEL: Colour = (90, 94, 102)
_LAST_SECONDS = 1.5


def write_captioned(
    shown: Shown, glosses: Sequence[GlossSpan], path: Path, *, span: Span | None = None, height: int | None = None
) -> None:
    """Writes an .mp4 or a .gif: below the picture, the glosses so far; the one that is signed is white.

    Without a video, a person is drawn, and over it what was tracked.
    span: the part of the clip; None for all of it.  height: of the picture, in pixels.

    Raises MissingExtraError without Pillow, or PyAV for an .mp4; InputError if the video does not fit its landmarks, or
    a .gif would be too large.
    """
    clip = shown.landmarks
    span = span or Span(clip.start_seconds, clip.start_seconds + clip.duration_seconds, slice(0, len(clip)))
    length = span.end - span.start
    if path.suffix.lower() == ".gif":
        check_gif(path, length)
        pages = list(_film(shown, glosses, span, height or GIF_HEIGHT, MAX_GIF_FPS))
        # It stays at its end for a moment before it begins again.
        write_gif(pages, length + _LAST_SECONDS, pages[len(pages) // 2][1], path)
    else:
        write_mp4(_film(shown, glosses, span, height, None), length, path)


def _film(
    shown: Shown, glosses: Sequence[GlossSpan], span: Span, height: int | None, max_fps: float | None
) -> Iterator[Page]:
    pages = None
    label = "simulated signing" if shown.landmarks.simulated else ""
    for frame, seconds, image in images_in(shown.images(), shown, span, max_fps):
        if pages is None:
            pages = shown.pages(height or drawn_height(image), image)
        picture = pages.picture(frame, image)
        if image is None and frame is not None:
            picture = pages.with_skeleton(picture, frame)
        yield max(seconds - span.start, 0.0), _captioned(picture, glosses, seconds, label)


def _captioned(picture: Image, glosses: Sequence[GlossSpan], seconds: float, label: str) -> Image:
    """Returns the picture above a strip with the last glosses that have begun, as many as fit."""
    pillow = import_pillow()
    width, height = picture.size
    size = max(14, height // 18)
    strip = line_height(size) + line_height(size // 2) + 2 * _GAP
    page = pillow.Image.new("RGB", (width, height + strip + strip % 2), _PAPER)
    page.paste(picture, (0, 0))
    brush = pillow.ImageDraw.Draw(page)
    brush.text((_GAP, _GAP), label, fill=_LABEL, font=plain_font(size * 2 // 3))
    begun = [span for span in glosses if span.start_seconds <= seconds]
    room = width - 2 * _GAP
    texts = [fitted(brush, span.gloss, size, room) for span in begun]
    widths = [brush.textlength(text, font=font_for(text, size, bold=True)) for text in texts]
    lengths = list(accumulate((length + 2 * _GAP for length in reversed(widths)), initial=-2 * _GAP))[1:]
    count = int(np.searchsorted(lengths, room, side="right"))
    first = len(begun) - count
    left = (width - (lengths[count - 1] if count else 0)) / 2
    for span, text, length in zip(begun[first:], texts[first:], widths[first:], strict=True):
        now = seconds < span.end_seconds
        place = (left, height + _GAP)
        brush.text(place, text, fill=_NOW if now else _BEFORE, font=font_for(text, size, bold=True))
        if now:
            below = (left, height + _GAP + line_height(size))
            brush.text(below, f"{span.confidence:.0%}", fill=_BEFORE, font=plain_font(size // 2))
        left += length + 2 * _GAP
    return page
