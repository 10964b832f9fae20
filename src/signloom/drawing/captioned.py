"""Writes a clip with what was tracked drawn over its video, and its glosses as captions below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signloom.ctc.hypothesis import GlossSpan
from signloom.drawing.brush import Colour
from signloom.drawing.film import Page, write_mp4
from signloom.drawing.lettering import fitted, font_for, line_height, plain_font
from signloom.drawing.person import import_pillow
from signloom.drawing.show import FILM_HEIGHT, Shown

if TYPE_CHECKING:
    from PIL.Image import Image

_PAPER: Colour = (24, 26, 30)
_NOW, _BEFORE = (255, 255, 255), (150, 154, 162)
_GAP = 10
# Of a clip without a video.
_DRAWN_HEIGHT = 480


def write_captioned(shown: Shown, glosses: Sequence[GlossSpan], path: Path) -> None:
    """Writes an .mp4 of the whole clip: below the picture, the glosses so far; the one that is signed is white.

    Raises MissingExtraError without Pillow or PyAV, InputError if the video does not fit its landmarks.
    """
    start, end = shown.landmarks.start_seconds, shown.landmarks.start_seconds + shown.landmarks.duration_seconds
    film = _film(shown, glosses, start, end)
    write_mp4(film, end - start, path)


def _film(shown: Shown, glosses: Sequence[GlossSpan], start: float, end: float) -> Iterator[Page]:
    pages, size = None, 0
    for frame, seconds, image in shown.images():
        if seconds >= end:
            break
        if seconds < start:
            continue
        if pages is None:
            pages = shown.pages(_DRAWN_HEIGHT if image is None else min(FILM_HEIGHT, image.shape[0]), image)
            size = max(14, pages.size[1] // 18)
        picture = pages.picture(frame, image)
        yield seconds - start, _captioned(picture, glosses, seconds, size)


def _captioned(picture: Image, glosses: Sequence[GlossSpan], seconds: float, size: int) -> Image:
    """Returns the picture above a strip with the last glosses that have begun, as many as fit."""
    pillow = import_pillow()
    width, height = picture.size
    strip = line_height(size) + line_height(size // 2) + 2 * _GAP
    page = pillow.Image.new("RGB", (width, height + strip + strip % 2), _PAPER)
    page.paste(picture, (0, 0))
    brush = pillow.ImageDraw.Draw(page)
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
