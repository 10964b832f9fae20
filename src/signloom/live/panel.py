"""The panel below the picture of a live window: captions with confidences, and figures. Needs Pillow.

OpenCV's own letters are ASCII; glosses are of any script.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from signloom.drawing.brush import Colour, mix
from signloom.drawing.lettering import fitted, font_for, line_height, plain_font
from signloom.drawing.person import import_pillow
from signloom.live.captions import Caption

_PAPER: Colour = (24, 26, 30)
_INK, _GREY, _WARNING = (245, 245, 245), (150, 154, 162), (255, 196, 84)
# Bars of confidence.
_SURE: Colour = (86, 180, 233)
_GLOSS, _SMALL = 24, 12
_GAP, _BAR = 10, 4
HEIGHT = _GAP + line_height(_GLOSS) + _BAR + line_height(_SMALL) + _GAP + line_height(_SMALL) + _GAP
BANNER_HEIGHT = line_height(15) + _GAP


# While nothing changes, nothing is drawn.
@lru_cache(maxsize=2)
def draw_panel(width: int, captions: tuple[Caption, ...], figures: str) -> np.ndarray:
    """Returns the panel (HEIGHT, width, 3) uint8 RGB: final glosses are bright, provisional ones grey.

    Where there are more glosses than room, the newest are shown.
    """
    pillow = import_pillow("a window")
    panel = pillow.Image.new("RGB", (width, HEIGHT), _PAPER)
    brush = pillow.ImageDraw.Draw(panel)
    texts = [fitted(brush, caption.gloss, _GLOSS, width - 2 * _GAP) for caption in captions]
    fonts = [font_for(text, _GLOSS, bold=True) for text in texts]
    # A short gloss has the room of its confidence.
    least = brush.textlength("100%", font=plain_font(_SMALL))
    widths = [max(brush.textlength(text, font=font), least) for text, font in zip(texts, fonts, strict=True)]
    left = float(_GAP)
    for number in range(_first_shown(widths, width), len(captions)):
        caption, length = captions[number], widths[number]
        colour = _INK if caption.is_final else _GREY
        brush.text((left, _GAP), texts[number], fill=colour, font=fonts[number])
        top = _GAP + line_height(_GLOSS)
        brush.rectangle((left, top, left + length, top + _BAR), fill=mix(_PAPER, _GREY, 0.3))
        brush.rectangle((left, top, left + length * caption.confidence, top + _BAR), fill=mix(_SURE, colour, 0.2))
        brush.text((left, top + _BAR + 1), f"{caption.confidence:.0%}", fill=_GREY, font=plain_font(_SMALL))
        left += length + 2 * _GAP
    text = fitted(brush, figures, _SMALL, width - 2 * _GAP)
    brush.text((_GAP, HEIGHT - line_height(_SMALL) - _GAP / 2), text, fill=_GREY, font=plain_font(_SMALL))
    return np.asarray(panel)


@lru_cache(maxsize=2)
def draw_banner(width: int, note: str) -> np.ndarray:
    """Returns a strip (BANNER_HEIGHT, width, 3) uint8 RGB with a note."""
    pillow = import_pillow("a window")
    strip = pillow.Image.new("RGB", (width, BANNER_HEIGHT), _PAPER)
    brush = pillow.ImageDraw.Draw(strip)
    text = fitted(brush, note, 14, width - 2 * _GAP)
    brush.text((width / 2, BANNER_HEIGHT / 2), text, fill=_WARNING, font=font_for(text, 14, bold=True), anchor="mm")
    return np.asarray(strip)


def _first_shown(widths: Sequence[float], width: int) -> int:
    """Returns the first gloss with which those up to the last one have room."""
    room = width - 2.0 * _GAP
    for number in range(len(widths) - 1, -1, -1):
        room -= widths[number]
        if room < 0:
            return min(number + 1, len(widths) - 1)
        room -= 2 * _GAP
    return 0
