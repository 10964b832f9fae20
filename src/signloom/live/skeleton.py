"""Draws what was tracked over a picture, fast: OpenCV lines, a millisecond or two per frame.

Shapes: H and W are height and width of a picture in pixels.
"""

from __future__ import annotations

import numpy as np

from signloom import layout
from signloom.drawing.head import head_outline
from signloom.drawing.tracked import CHAINS, COLOURS, VISIBLE
from signloom.extract.packages import import_cv2

# Places are given in sixteenths of a pixel.
_SHIFT = 4
# Height of a picture in pixels for each pixel of a line's width.
_PIXELS_PER_LINE = 360
_FARTHEST = 1 << 20
_EDGE = (20, 20, 20)


def draw_skeleton(picture: np.ndarray, points: np.ndarray, visibility: np.ndarray, *, aspect: float) -> None:
    """Draws points (543, 3), in units of the picture's height, into a picture (H, W, 3) uint8 RGB.

    visibility: of the pose, (33,); limbs that are rather hidden are left out, as is what was not detected. Where no
    face was found, the pose gives the head.
    aspect: width of the picture over its height, as it is shown.
    """
    cv2 = import_cv2("drawing")
    height, width = picture.shape[:2]
    places = points[:, :2] * ((width << _SHIFT) / aspect, height << _SHIFT)
    shown = np.isfinite(places).all(axis=1)
    # NaN, of a pose that was not detected, is not visible.
    shown[layout.GROUPS["pose"]] &= visibility >= VISIBLE
    head = None if shown[layout.GROUPS["face"]].all() else head_outline(np.where(shown[:, None], places, np.nan))
    # Points far outside would overflow.
    places = np.clip(np.nan_to_num(places), -_FARTHEST, _FARTHEST).astype(np.int32)
    scale = max(1, round(height / _PIXELS_PER_LINE))
    if head is not None:
        outline = np.clip(head, -_FARTHEST, _FARTHEST).astype(np.int32)
        for colour, thickness in ((_EDGE, scale + 3), (COLOURS["pose"], scale + 1)):
            cv2.polylines(picture, [outline], True, colour, thickness, cv2.LINE_AA, _SHIFT)
    for part, chains in CHAINS.items():
        lines = [places[chain] for chain in chains if shown[chain].all()]
        if not lines:
            continue
        thickness = 1 if part == "face" else scale + (part == "pose")
        # A dark edge keeps hands apart from skin.
        if part != "face":
            cv2.polylines(picture, lines, False, _EDGE, thickness + 2, cv2.LINE_AA, _SHIFT)
        cv2.polylines(picture, lines, False, COLOURS[part], thickness, cv2.LINE_AA, _SHIFT)
