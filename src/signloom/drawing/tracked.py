"""Draws what was tracked: over the pictures of a video, or alone, with a bar that shows when each part was found.

Shapes: T frames; points are (543, 3) in units of the image height, NaN where missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from signloom import layout
from signloom.drawing.brush import Brush, Colour, mix
from signloom.drawing.hand import HAND_COLOURS
from signloom.drawing.head import head_outline
from signloom.drawing.lettering import fitted, font_for, line_height, plain_font
from signloom.drawing.person import draw_frame, import_pillow
from signloom.landmarks import Landmarks

if TYPE_CHECKING:
    from PIL.Image import Image

# Colours of the parts; they differ in any colour vision.
COLOURS: dict[str, Colour] = {"pose": (0, 158, 115), **HAND_COLOURS, "face": (204, 121, 167)}
PAPER: Colour = (255, 255, 255)
_INK, _GREY, _MISSING = (35, 38, 44), (140, 144, 152), (200, 40, 50)
_EMPTY: Colour = (232, 234, 238)
_EDGE: Colour = (20, 20, 20)
# MediaPipe's own threshold: below, a pose point is rather hidden or outside the picture.
VISIBLE = 0.5
LIMBS = [
    tuple(layout.indices(f"pose.{start}", f"pose.{end}").tolist())
    for start, end in (
        ("left_shoulder", "right_shoulder"),
        ("left_hip", "right_hip"),
        *(
            (f"{side}_{start}", f"{side}_{end}")
            for side in ("left", "right")
            for start, end in (
                ("shoulder", "elbow"),
                ("elbow", "wrist"),
                ("shoulder", "hip"),
                ("hip", "knee"),
                ("knee", "ankle"),
                ("ear", "eye"),
            )
        ),
        ("left_eye", "nose"),
        ("right_eye", "nose"),
        ("mouth_left", "mouth_right"),
    )
]


def _chains() -> dict[str, list[list[int]]]:
    """Returns the lines of each part as lists of points: a finger or a contour is one line."""
    hands = {}
    for name in ("left_hand", "right_hand"):
        start = layout.GROUPS[name].start
        hands[name] = [[start, *(start + 4 * finger + joint + 1 for joint in range(4))] for finger in range(5)]
    return {
        "face": [[*contour, contour[0]] for contour in layout.FACE_CONTOURS.values()],
        "pose": [list(limb) for limb in LIMBS],
        **hands,
    }


CHAINS = _chains()
# Height of a row of the bar, width of the names before it, and the space around things, in pixels.
_ROW, _NAMES, _GAP = 14, 70, 6
# In a narrower box a time and the names of three parts are not beside each other.
_NARROW = 330
# Lines over smaller pictures are drawn twice as large and then reduced, so that they are smooth.
_SMALL = 400


def draw_tracked(picture: Image, points: np.ndarray, visibility: np.ndarray, *, aspect: float) -> None:
    """Draws the points of one frame over its picture; aspect: width of the frame over its height.

    Limbs with an end that is rather hidden are thin and pale. Where no face was found, the pose gives the head.
    """
    brush = Brush(import_pillow().ImageDraw.Draw(picture), line=max(1.0, picture.height / 360))
    places = points[:, :2] * (picture.width / aspect, picture.height)
    found = np.isfinite(places).all(axis=1)

    def path(line: np.ndarray, colour: Colour, width: float) -> None:
        brush.path(line, _EDGE, width + 1.2)
        brush.path(line, colour, width)

    def line(ends: Sequence[int], colour: Colour, width: float) -> None:
        if found[list(ends)].all():
            path(places[list(ends)], colour, width)

    head = None if found[layout.GROUPS["face"]].all() else head_outline(places)
    if head is not None:
        path(np.vstack([head, head[:1]]), COLOURS["pose"], 2.2)
    for contour in layout.FACE_CONTOURS.values():
        line([*contour, contour[0]], COLOURS["face"], 0.8)
    for limb in LIMBS:
        hidden = not np.nanmin([1.0, *visibility[list(limb)]]) >= VISIBLE
        line(limb, mix(COLOURS["pose"], _GREY, 0.6) if hidden else COLOURS["pose"], 1.0 if hidden else 2.2)
    for name in ("left_hand", "right_hand"):
        start = layout.GROUPS[name].start
        for bone in layout.HAND_BONES:
            line([start + joint for joint in bone], COLOURS[name], 1.6)
        for tip in layout.FINGER_TIPS:
            if found[start + tip]:
                brush.ball(places[start + tip], 1.5 * brush.line, PAPER)


class TrackedPages:
    """Pages that show single frames of a clip, all of one size with even sides.

    height: of the picture, in pixels.  title: a name for the sheet.
    """

    def __init__(self, landmarks: Landmarks, *, height: int, title: str, aspect: float | None = None) -> None:
        self.landmarks = landmarks
        self.title = title
        self.aspect = aspect or landmarks.aspect
        self.size = max(16, _even(round(self.aspect * height))), _even(height)
        self.presence = {name: landmarks.present(name) for name in layout.GROUPS}
        self._drawn: Image | None = None

    def picture(self, frame: int | None, image: np.ndarray | None) -> Image:
        """Returns the picture of a frame: over the video's `image` (H, W, 3) uint8, if there is one, else drawn alone.

        frame: None for an image of which nothing was tracked.
        """
        pillow = import_pillow()
        if image is None:
            points = self.landmarks.points[frame or 0]
            drawn = draw_frame(points, aspect=self.size[0] / self.size[1], height=self.size[1])
            return drawn.resize(self.size)
        picture = pillow.Image.fromarray(image)
        if frame is not None:
            return self.with_skeleton(picture, frame)
        return picture.resize(self.size, pillow.Image.Resampling.BILINEAR)

    def with_skeleton(self, picture: Image, frame: int) -> Image:
        """Returns a picture in the size of the pages, with what was tracked drawn over it."""
        factor = 2 if self.size[1] <= _SMALL else 1
        size = self.size[0] * factor, self.size[1] * factor
        large = picture.resize(size, import_pillow().Image.Resampling.BILINEAR)
        points, visibility = self.landmarks.points[frame], self.landmarks.visibility[frame]
        draw_tracked(large, points, visibility, aspect=self.aspect)
        return large.reduce(factor) if factor > 1 else large

    def missing(self, frame: int | None) -> str:
        """Returns the parts that were not found in a frame, in words."""
        if frame is None:
            return "not tracked"
        names = [name.replace("_", " ") for name, found in self.presence.items() if not found[frame]]
        return f"no {', no '.join(names)}" if names else ""

    def label(self, brush: Any, frame: int | None, seconds: float, box: tuple[int, int, int]) -> None:
        """Writes the time of a frame, and in red what is missing in it, into a box (left, top, width).

        In a narrow one they are below each other; see `_label_height`.
        """
        left, top, width = box
        text = f"{seconds:.2f} s" + ("" if frame is None else f" · frame {frame}")
        brush.text((left, top), text, fill=_GREY, font=plain_font(11))
        below = line_height(11) if width < _NARROW else 0
        room = width if below else width - brush.textlength(text, font=plain_font(11)) - 2 * _GAP
        place = (left, top + below) if below else (left + width, top)
        missing = fitted(brush, self.missing(frame), 11, room)
        brush.text(place, missing, fill=_MISSING, font=plain_font(11, bold=True), anchor="la" if below else "ra")

    def _label_height(self, width: int) -> int:
        return line_height(11) * (2 if width < _NARROW else 1)

    def page(self, frame: int | None, seconds: float, image: np.ndarray | None) -> Image:
        """Returns a page of an animation: the picture, its time, what is missing, and the bar of the whole clip."""
        pillow = import_pillow()
        width, height = self.size
        head = self._label_height(width - 8)
        page = pillow.Image.new("RGB", (width, _even(height + head + 4 * _ROW + 2 * _GAP)), PAPER)
        page.paste(self.picture(frame, image), (0, 0))
        self.label(pillow.ImageDraw.Draw(page), frame, seconds, (4, height + 2, width - 8))
        self._bar(page, (0, height + head + _GAP, width), [] if frame is None else [frame])
        return page

    def sheet(self, shown: Sequence[tuple[int | None, float, Image]], *, num_columns: int = 4) -> Image:
        """Returns a contact sheet of pictures: frame, time and picture of each."""
        pillow = import_pillow()
        (width, height), head = self.size, self._label_height(self.size[0])
        columns = min(num_columns, len(shown))
        rows = -(-len(shown) // columns)
        top = line_height(14) + _GAP
        across = _GAP + columns * (width + _GAP)
        bar_top = top + rows * (height + head + _GAP)
        sheet = pillow.Image.new("RGB", (across, bar_top + 4 * _ROW + _GAP), PAPER)
        brush = pillow.ImageDraw.Draw(sheet)
        title = fitted(brush, self.title, 13, across - 2 * _GAP)
        brush.text((_GAP, _GAP), title, fill=_INK, font=font_for(title, 13, bold=True))
        for number, (frame, seconds, picture) in enumerate(shown):
            left, down = _GAP + number % columns * (width + _GAP), top + number // columns * (height + head + _GAP)
            self.label(brush, frame, seconds, (left, down, width))
            sheet.paste(picture, (left, down + head))
        self._bar(sheet, (_GAP, bar_top, across - 2 * _GAP), [frame for frame, _, _ in shown if frame is not None])
        return sheet

    def _bar(self, page: Image, box: tuple[int, int, int], marked: Sequence[int]) -> None:
        """Draws a row for each part: coloured where it was found, over the whole clip, with marks at some frames."""
        left, top, width = box
        length = max(width - _NAMES - 4, 1)
        page.paste(self._rows(length), (left + _NAMES, top))
        brush = import_pillow().ImageDraw.Draw(page)
        for row, (name, found) in enumerate(self.presence.items()):
            # A single frame tells what is missing in it.
            colour = _MISSING if len(marked) == 1 and not found[marked[0]] else _INK
            brush.text((left + 4, top + row * _ROW), name.replace("_", " "), fill=colour, font=plain_font(10))
        for frame in marked:
            place = left + _NAMES + (frame + 0.5) / len(self.landmarks) * length
            brush.line((place, top, place, top + len(self.presence) * _ROW), fill=_INK)

    def _rows(self, length: int) -> Image:
        """Returns the coloured rows of the bar, `length` pixels wide."""
        if self._drawn is None or self._drawn.width != length:
            edges = np.linspace(0, len(self.landmarks), length + 1)
            firsts = np.minimum(edges[:-1].astype(int), len(self.landmarks) - 1)
            lasts = np.maximum(np.ceil(edges[1:]).astype(int), firsts + 1)
            rows = np.full((len(self.presence), _ROW, length, 3), PAPER, dtype=np.float64)
            for row, (name, found) in enumerate(self.presence.items()):
                sums = np.concatenate([[0], np.cumsum(found)])
                shares = ((sums[lasts] - sums[firsts]) / (lasts - firsts))[:, None]
                rows[row, 2:-2] = shares * COLOURS[name] + (1 - shares) * np.array(_EMPTY)
            self._drawn = import_pillow().Image.fromarray(rows.reshape(-1, length, 3).round().astype(np.uint8))
        return self._drawn


def _even(length: int) -> int:
    """Returns the next even length: video codecs need even sides."""
    return length + length % 2
