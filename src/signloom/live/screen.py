"""The window of live recognition: the picture with what was tracked, captions, figures and notes.

Shapes: H and W are height and width of a picture in pixels.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from signloom.errors import InputError, SignloomError
from signloom.extract.packages import import_cv2
from signloom.live.captions import Caption
from signloom.live.panel import BANNER_HEIGHT, draw_banner, draw_panel
from signloom.live.pipeline import Pipeline, Tracked
from signloom.live.skeleton import draw_skeleton

_TITLE = "signloom live"
# The picture is reduced to this height; a portrait one is narrower than its captions.
_MOST_HEIGHT, _LEAST_WIDTH = 720, 560
# Before the first picture.
_EMPTY_SIZE = (480, 640)
_WALL = 24
_QUIT_KEYS = (ord("q"), 27)
_WITHOUT = "use --text for captions without a window"


def check_screen() -> None:
    """Raises InputError without a screen, SignloomError if OpenCV cannot open windows: Qt would end the process."""
    if not sys.platform.startswith("linux"):
        return
    if not os.environ.get("DISPLAY"):
        raise InputError(f"live: no screen (DISPLAY is not set); {_WITHOUT}")
    code = "import cv2; cv2.namedWindow('signloom'); cv2.destroyAllWindows()"
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if tried.returncode:
        lines = [line for line in tried.stderr.splitlines() if line.strip()] or ["no message"]
        reason = next((line for line in lines if "display" in line), lines[-1])
        raise SignloomError(f"live: OpenCV cannot open a window ({reason.strip()}); {_WITHOUT}")


class Screen:
    """A window that shows a pipeline. mirrored: the picture is shown as in a mirror; letters are not.

    is_closed: somebody closed it, or pressed q or Escape.
    """

    def __init__(self, *, mirrored: bool) -> None:
        self._cv2 = import_cv2("a window")
        self._mirrored = mirrored
        self._tracked: Tracked | None = None
        self.is_closed = False
        self._size: tuple[int, int] | None = None
        cv2 = self._cv2
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)

    def update(self, tracked: Tracked | None, pipeline: Pipeline, notes: Sequence[str], figures: str) -> None:
        """Shows the newest frame, or the one before with new captions."""
        cv2 = self._cv2
        # A picture would open it again.
        if self.is_closed or not self._is_open():
            self.is_closed = True
            return
        self._tracked = tracked or self._tracked
        image = compose(self._tracked, pipeline.captions.shown, notes, figures, mirrored=self._mirrored)
        size = image.shape[1], image.shape[0]
        if size != self._size:
            cv2.resizeWindow(_TITLE, *size)
            self._size = size
        cv2.imshow(_TITLE, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self.is_closed = cv2.waitKey(1) & 0xFF in _QUIT_KEYS

    def close(self) -> None:
        self._cv2.destroyAllWindows()

    def _is_open(self) -> bool:
        cv2 = self._cv2
        try:
            return bool(cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) >= 1)
        # With its last window, Qt has ended.
        except cv2.error:
            return False


def compose(
    tracked: Tracked | None, captions: tuple[Caption, ...], notes: Sequence[str], figures: str, *, mirrored: bool
) -> np.ndarray:
    """Returns what a window shows, (H, W, 3) uint8 RGB: the picture, the first note over it, the panel below."""
    picture = _picture(tracked, mirrored=mirrored)
    height, width = picture.shape[:2]
    whole = max(width, _LEAST_WIDTH)
    panel = draw_panel(whole, captions, figures)
    image = np.full((height + len(panel), whole, 3), _WALL, dtype=np.uint8)
    left = (whole - width) // 2
    image[:height, left : left + width] = picture
    image[height:] = panel
    for number, note in enumerate(notes[:3]):
        top = number * BANNER_HEIGHT
        image[top : top + BANNER_HEIGHT] = draw_banner(whole, note)
    return image


def _picture(tracked: Tracked | None, *, mirrored: bool) -> np.ndarray:
    """Returns the picture with its skeleton, at most _MOST_HEIGHT high and in its true proportions."""
    if tracked is None:
        return np.full((*_EMPTY_SIZE, 3), _WALL, dtype=np.uint8)
    cv2 = import_cv2("a window")
    frame, points = tracked.frame, tracked.points
    height = min(frame.picture.shape[0], _MOST_HEIGHT)
    size = max(1, round(height * frame.aspect)), height
    if size == frame.picture.shape[1::-1]:
        picture = frame.picture.copy()
    else:
        picture = cv2.resize(frame.picture, size, interpolation=cv2.INTER_AREA)
    if mirrored:
        picture = cv2.flip(picture, 1)
        points = points.copy()
        points[:, 0] = frame.aspect - points[:, 0]
    draw_skeleton(picture, points, tracked.visibility, aspect=frame.aspect)
    return picture
