"""Text on pictures: fonts for any script, the height of lines, and texts cut to fit."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from signloom.drawing.person import import_pillow

# Scripts from this code point on are missing in the fonts of Python packages.
_EAST_ASIAN = 0x2E80
# Fonts of operating systems that have these scripts.
_EAST_ASIAN_FONTS = ("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "msyh.ttc", "PingFang.ttc", "STHeiti Light.ttc")


def line_height(size: int) -> int:
    """Returns the height of a line of text of this size."""
    return round(1.45 * size)


@cache
def plain_font(size: int, *, bold: bool = False) -> Any:
    """Returns DejaVu Sans, which comes with matplotlib and has Latin, Greek, Cyrillic and Arabic letters."""
    image_font = import_pillow().ImageFont
    try:
        import matplotlib

        fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        return image_font.truetype(str(fonts / f"DejaVuSans{'-Bold' if bold else ''}.ttf"), size)
    except (ImportError, OSError):
        return image_font.load_default(size)


@cache
def font_for(text: str, size: int, *, bold: bool = False) -> Any:
    """Returns `plain_font`, or for a text in East Asian script the first font of the system that has it."""
    if all(ord(letter) < _EAST_ASIAN for letter in text):
        return plain_font(size, bold=bold)
    for name in _EAST_ASIAN_FONTS:
        with suppress(OSError):
            return import_pillow().ImageFont.truetype(name, size)
    return plain_font(size, bold=bold)


def fitted(brush: Any, text: str, size: int, room: float) -> str:
    """Returns the text, cut with an ellipsis if it is longer than its room."""
    bold = font_for(text, size, bold=True)
    if brush.textlength(text, font=bold) <= room:
        return text
    while text and brush.textlength(f"{text}…", font=bold) > room:
        text = text[:-1]
    return f"{text}…"
