"""Draws one frame of landmarks as a person: trunk, arms, head, face and hands, nearer parts over farther ones.

Points are (543, 3) in units of the image height, NaN where missing; missing points are not drawn. Works for any
landmarks of the layout, tracked or simulated. Needs Pillow.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from signloom import layout
from signloom.drawing.brush import Brush, Colour, Part, lit, mix, paint, rounded
from signloom.drawing.hand import draw_hand
from signloom.drawing.head import pose_outline
from signloom.errors import needs_extra

if TYPE_CHECKING:
    from PIL.Image import Image

# Factor by which a picture is drawn larger and then reduced, so that edges are smooth.
_SUPERSAMPLING = 2
BACKGROUND: Colour = (233, 236, 240)
_SKINS: tuple[Colour, ...] = ((244, 214, 190), (232, 190, 158), (205, 156, 120), (160, 112, 80), (120, 82, 60))
_HAIRS: tuple[Colour, ...] = ((52, 40, 34), (92, 64, 44), (28, 28, 32), (150, 112, 70), (120, 116, 114))
_SHIRTS: tuple[Colour, ...] = ((66, 76, 92), (84, 70, 88), (60, 86, 82), (92, 74, 70), (74, 82, 66))
_INK: Colour = (45, 40, 44)

# Lines of the face besides its contours, and the ends of its outline.
_NOSTRILS = layout.indices(*(f"face.{number}" for number in (64, 98, 97, 2, 326, 327, 294)))
_NOSE_SIDE = layout.indices(*(f"face.{number}" for number in (168, 197, 195, 45, 48, 64)))
_TOP, _CHIN, _RIGHT, _LEFT = layout.indices("face.10", "face.152", "face.234", "face.454")


@dataclass(frozen=True)
class Appearance:
    """Colours of one person."""

    skin: Colour = _SKINS[0]
    hair: Colour = _HAIRS[0]
    shirt: Colour = _SHIRTS[0]
    long_hair: bool = False


def appearance_of(signer: str | None) -> Appearance:
    """Returns the colours of a signer, always the same for one name."""
    number = zlib.crc32((signer or "").encode())
    chosen = []
    for count in (len(_SKINS), len(_HAIRS), len(_SHIRTS), 2):
        number, choice = divmod(number, count)
        chosen.append(choice)
    skin, hair, shirt, long_hair = chosen
    return Appearance(_SKINS[skin], _HAIRS[hair], _SHIRTS[shirt], bool(long_hair))


def import_pillow(purpose: str = "a preview") -> Any:
    """Pillow. Raises MissingExtraError without it."""
    with needs_extra(purpose):
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
    return PIL


def draw_frame(
    points: np.ndarray, *, aspect: float = 4 / 3, height: int = 400, look: Appearance | None = None
) -> Image:
    """Returns the picture of one frame (543, 3), `height` pixels high and `aspect` times as wide, cropped as the frame
    was.

    Raises MissingExtraError without Pillow.
    """
    pillow = import_pillow()
    size = max(1, round(aspect * height)), height
    large = pillow.Image.new("RGB", (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING), BACKGROUND)
    _Person(pillow.ImageDraw.Draw(large), points, height * _SUPERSAMPLING, look or Appearance()).draw()
    return large.reduce(_SUPERSAMPLING)


class _Person:
    """One frame being drawn. Lengths are pixels of the enlarged picture."""

    def __init__(self, draw: Any, points: np.ndarray, scale: float, look: Appearance) -> None:
        self.brush = Brush(draw, line=max(1.0, scale / 400))
        self.look = look
        self.points = np.asarray(points, dtype=np.float64) * scale
        self.found = np.isfinite(self.points[:, :2]).all(axis=1)
        shoulders = self.points[layout.indices("pose.left_shoulder", "pose.right_shoulder")]
        # Seen from the side, the shoulders are near each other in the picture but not in space.
        width = float(np.linalg.norm(shoulders[0] - shoulders[1]))
        flat = float(np.linalg.norm(shoulders[0, :2] - shoulders[1, :2]))
        # What cannot be measured follows common proportions; depth is too uncertain to count for much.
        self.width = min(width, 1.3 * flat) if np.isfinite(width) else flat if np.isfinite(flat) else 0.3 * scale
        self.width = min(max(self.width, 0.02 * scale), 2 * scale)

    def place(self, name: str) -> np.ndarray | None:
        """Returns a pose point, or None if it is missing."""
        number = layout.index(f"pose.{name}")
        return self.points[number] if self.found[number] else None

    def draw(self) -> None:
        if self.look.long_hair and self._has_face():
            self._long_hair()
        self._trunk()
        parts: list[Part] = []
        for side in ("left", "right"):
            parts += self._arm(side)
        # The tracker's depth of a hand relative to the head is rough: the hand is behind it only if clearly so.
        behind_head = self._head_depth() + 0.8 * self.width
        paint([part for part in parts if part[0] > behind_head])
        self._head()
        paint([part for part in parts if part[0] <= behind_head])

    # Trunk, neck and head

    def _trunk(self) -> None:
        left, right = self.place("left_shoulder"), self.place("right_shoulder")
        if left is None or right is None:
            return
        unit = self.width
        middle = (left[:2] + right[:2]) / 2
        across = (left[:2] - right[:2]) / max(np.linalg.norm(left[:2] - right[:2]), 1e-6)
        hips = [self.place("left_hip"), self.place("right_hip")]
        if hips[0] is None or hips[1] is None:
            down = np.array((-across[1], across[0]))
            bottoms = [middle + 1.5 * unit * down + sign * 0.3 * unit * across for sign in (1, -1)]
        else:
            bottoms = [hips[0][:2], hips[1][:2]]
        down = (bottoms[0] + bottoms[1]) / 2 - middle
        down = down / max(np.linalg.norm(down), 1e-6)
        outline = []
        for shoulder, bottom, sign in ((left[:2], bottoms[0], 1.0), (right[:2], bottoms[1], -1.0)):
            out = sign * across
            half = [
                middle + 0.20 * unit * out - 0.20 * unit * down,
                shoulder - 0.12 * unit * out - 0.15 * unit * down,
                shoulder + 0.10 * unit * out - 0.06 * unit * down,
                shoulder + 0.09 * unit * out + 0.22 * unit * down,
                shoulder - 0.01 * unit * out + 0.5 * unit * down,
                0.4 * shoulder + 0.6 * bottom + 0.06 * unit * out,
                bottom + 0.2 * unit * out,
                bottom + 0.22 * unit * out + 0.3 * unit * down,
            ]
            outline += half if sign > 0 else half[::-1]
        self.brush.polygon(rounded(np.array(outline)), self.look.shirt, lit(self.look.shirt, -0.45))
        self._neck(middle, across, down)

    def _neck(self, middle: np.ndarray, across: np.ndarray, down: np.ndarray) -> None:
        """Draws the neck, from under the head to a round neckline."""
        centre = self._head_middle()
        if centre is None:
            return
        unit, skin = self.width, lit(self.look.skin, -0.14)
        angles = np.linspace(0, np.pi, 13)[:, None]
        base = middle - 0.22 * unit * down
        neckline = base + unit * (0.175 * np.cos(angles) * across + 0.16 * np.sin(angles) * down)
        tops = [centre[:2] - 0.14 * unit * across, centre[:2] + 0.14 * unit * across]
        throat = [*(base + 0.14 * unit * across * sign - 0.08 * unit * down for sign in (-1.0, 1.0))]
        self.brush.polygon([*neckline, throat[0], *tops, throat[1]], skin)
        for rim, width in (
            (neckline, 3.0),
            ([neckline[-1], throat[0], tops[0]], 1.0),
            ([*neckline[:1], throat[1], tops[1]], 1.0),
        ):
            colour = lit(self.look.shirt, -0.3) if width > 1 else lit(skin, -0.45)
            self.brush.path(rim, colour, width)

    def _head_middle(self) -> np.ndarray | None:
        ears = [self.place("left_ear"), self.place("right_ear")]
        if ears[0] is not None and ears[1] is not None:
            return (ears[0] + ears[1]) / 2
        if self._has_face():
            return self.points[list(layout.FACE_CONTOURS["oval"])].mean(axis=0)
        return self.place("nose")

    def _head_depth(self) -> float:
        """Returns the depth of the ears in the pose."""
        ears = [place for place in (self.place("left_ear"), self.place("right_ear")) if place is not None]
        depths = [float(ear[2]) for ear in ears if np.isfinite(ear[2])]
        return sum(depths) / len(depths) if depths else np.inf

    def _contour(self, name: str) -> np.ndarray:
        return self.points[list(layout.FACE_CONTOURS[name]), :2]

    def _has_face(self) -> bool:
        return bool(self.found[layout.GROUPS["face"]].all())

    def _long_hair(self) -> None:
        """Draws hair that falls behind the shoulders."""
        top, chin, right, left = self.points[[_TOP, _CHIN, _RIGHT, _LEFT], :2]
        down, out = chin - top, (left - right) / 2
        middle = (left + right) / 2
        half = [
            top - 0.16 * down + 0.5 * out,
            middle - 0.3 * down + 1.32 * out,
            middle + 0.3 * down + 1.38 * out,
            chin + 0.1 * down + 1.5 * out,
            chin + 0.36 * down + 1.2 * out,
        ]
        other = [place - 2 * np.dot(place - middle, out) / max(np.dot(out, out), 1e-6) * out for place in half]
        self.brush.polygon(rounded(np.array(half + other[::-1])), lit(self.look.hair, -0.12), lit(self.look.hair, -0.5))

    def _head(self) -> None:
        for name in ("left_ear", "right_ear"):
            ear = self.place(name)
            if ear is not None and not (self.look.long_hair and self._has_face()):
                self.brush.ball(ear, 0.055 * self.width + self.brush.line, lit(self.look.skin, -0.45))
                self.brush.ball(ear, 0.055 * self.width, lit(self.look.skin, -0.08))
        if self._has_face():
            self._face()
        else:
            self._blank_head()

    def _blank_head(self) -> None:
        """Draws a head without a face, which the tracker lost or never searched for; the pose gives its place."""
        outline = pose_outline(self.points, self.width)
        if outline is not None:
            pale = mix(self.look.skin, BACKGROUND, 0.5)
            self.brush.polygon(outline, pale, lit(pale, -0.35))

    def _face(self) -> None:
        look, oval = self.look, self._contour("oval")
        top, chin = self.points[[_TOP, _CHIN], :2]
        centre = (top + chin) / 2
        up = top - chin
        tall = max(float(np.linalg.norm(up)), 1e-6)
        up = up / tall
        high = (oval - centre) @ up / tall
        # Hair: the outline of the face, raised over its upper half and a little wider.
        lift = np.clip(high + 0.12, 0, None)[:, None]
        crown = rounded(centre + (oval - centre) * (1 + 0.2 * np.clip(lift * 4, 0, 1)) + 0.2 * tall * lift * up)
        skin_line = lit(look.skin, -0.45)
        skull = self._head_middle()
        if skull is not None:
            # What is seen behind the face of a turned head.
            self.brush.ball(skull[:2] + 0.2 * tall * up, 0.46 * tall + self.brush.line, lit(look.hair, -0.4))
            self.brush.ball(skull[:2] + 0.2 * tall * up, 0.46 * tall, look.hair)
        self.brush.polygon(crown, look.hair, lit(look.hair, -0.4))
        self.brush.polygon(oval, look.skin, skin_line)
        # A band of hair along the upper edge of the face; the ring is rotated so that its seam is at the chin.
        turned = np.roll(np.arange(len(oval)), len(oval) // 2)
        edge = oval[turned][high[turned] > 0.22]
        band = 0.14 * tall * np.sqrt(np.sin(np.linspace(0, np.pi, len(edge))))[:, None]
        self.brush.polygon(np.concatenate([edge + 0.03 * tall * up, (edge - band * up)[::-1]]), look.hair)
        shade = lit(look.skin, -0.2)
        self.brush.path(self.points[_NOSE_SIDE], shade, 1.2)
        self.brush.path(self.points[_NOSTRILS], lit(look.skin, -0.4), 1.5)
        for side in ("right", "left"):
            self._eye(self._contour(f"{side}_eye"))
        for side in ("right", "left"):
            self.brush.polygon(self._contour(f"{side}_brow"), lit(look.hair, -0.1))
        lips = mix(look.skin, (176, 52, 62), 0.55)
        self.brush.polygon(self._contour("lips"), lips)
        mouth = self._contour("mouth")
        # Between the middles of the upper and the lower lip.
        gap = float(np.linalg.norm(mouth[5] - mouth[15]))
        if gap > 1.5 * self.brush.line:
            self.brush.polygon(mouth, (92, 28, 34))
        self.brush.path(mouth[:11], lit(lips, -0.5), 0.8)

    def _eye(self, rim: np.ndarray) -> None:
        wide = float(np.linalg.norm(rim[0] - rim[8]))
        opening = float(np.linalg.norm(rim[4] - rim[12]))
        if opening > 0.08 * wide:
            self.brush.polygon(rim, (250, 250, 250))
            iris, across, down = rim.mean(axis=0), 0.24 * wide, min(0.24 * wide, 0.5 * opening)
            self.brush.ellipse(iris, across, down, mix(self.look.hair, (70, 60, 50), 0.4))
            self.brush.ellipse(iris, across / 2, down / 2, (15, 15, 15))
        self.brush.path(rim[:9], _INK, 1.2)

    # Arms and hands

    def _arm(self, side: str) -> list[Part]:
        """Returns upper arm, forearm and hand of one side as far as they were found: depth, and the function that
        paints it."""
        shoulder, elbow, wrist = (self.place(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist"))
        group = layout.GROUPS[f"{side}_hand"]
        hand = self.points[group] if self.found[group].all() else None
        parts: list[Part] = []
        unit, shirt = self.width, self.look.shirt
        if shoulder is not None and elbow is not None:
            parts.append((_depth(shoulder, elbow), lambda: self._sleeve(shoulder, elbow, (0.135, 0.112), shirt)))
        if elbow is not None and wrist is not None:
            # Two models find wrist and hand and differ a little; the arm ends where the hand begins.
            end = hand[0] if hand is not None and np.linalg.norm((hand[0] - wrist)[:2]) < 0.25 * unit else wrist
            sleeve = lit(shirt, 0.06)

            def forearm() -> None:
                self._sleeve(elbow, elbow + 0.9 * (end - elbow), (0.112, 0.078), sleeve, end)

            parts.append((_depth(elbow, wrist), forearm))
        if hand is not None:
            relative = hand[:, 2] - hand[0, 2]
            base = wrist[2] if wrist is not None and np.isfinite(wrist[2]) else hand[0, 2]
            middle = float(np.nan_to_num(base + relative.mean()))
            parts.append((middle, lambda: draw_hand(self.brush, hand, f"{side}_hand", width=self.width)))
        return parts

    def _sleeve(
        self,
        start: np.ndarray,
        end: np.ndarray,
        radii: tuple[float, float],
        shirt: Colour,
        wrist: np.ndarray | None = None,
    ) -> None:
        first, second, line = radii[0] * self.width, radii[1] * self.width, self.brush.line
        if wrist is not None:
            skin = lit(self.look.skin, -0.08)
            for radius, fill in ((0.76 * second + line, lit(skin, -0.45)), (0.76 * second, skin)):
                self.brush.limb(end, wrist, (radius, radius), fill)
        self.brush.limb(start, end, (first + line, second + line), lit(shirt, -0.45))
        self.brush.limb(start, end, (first, second), shirt)
        self.brush.limb(start, end, (0.45 * first, 0.45 * second), lit(shirt, 0.05))


def _depth(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.nan_to_num((first[2] + second[2]) / 2))
