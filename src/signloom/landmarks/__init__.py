"""The points of a clip: `Landmarks`, landmark files, and `ClipView`, which has what a model takes."""

from signloom.landmarks.clip import Landmarks, leading_hand
from signloom.landmarks.format import (
    MAX_FRAMES,
    SIMULATOR,
    SUFFIX,
    Fps,
    PixelAspect,
    Pixels,
    check_header,
    file_header,
    is_simulated,
    parse_image_size,
    read_header,
)
from signloom.landmarks.view import ClipView, Frames, interpolate, read_view

__all__ = [
    "MAX_FRAMES",
    "SIMULATOR",
    "SUFFIX",
    "ClipView",
    "Fps",
    "Frames",
    "Landmarks",
    "PixelAspect",
    "Pixels",
    "check_header",
    "file_header",
    "interpolate",
    "is_simulated",
    "leading_hand",
    "parse_image_size",
    "read_header",
    "read_view",
]
