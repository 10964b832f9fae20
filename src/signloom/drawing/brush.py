"""Shapes to draw people with: outlined areas, balls, tapered limbs, and mixed colours.

Places are in pixels; the first two values of their arrays are x and y.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Colour = tuple[int, int, int]
# Depth of a part, and the function that paints it.
Part = tuple[float, Callable[[], None]]


class Brush:
    """Draws on one Pillow picture. line: width of an outline in pixels."""

    def __init__(self, draw: Any, *, line: float) -> None:
        self.draw = draw
        self.line = line

    def polygon(self, places: np.ndarray | Sequence[np.ndarray], fill: Colour, outline: Colour | None = None) -> None:
        corners = [(float(place[0]), float(place[1])) for place in places]
        if len(corners) < 3:
            return
        self.draw.polygon(corners, fill=fill)
        if outline is not None:
            self.path([*places, places[0]], outline)

    def path(self, places: np.ndarray | Sequence[np.ndarray], colour: Colour, width: float = 1.0) -> None:
        """Draws a line through places; `width` in outlines."""
        corners = [(float(place[0]), float(place[1])) for place in places]
        self.draw.line(corners, fill=colour, width=max(1, round(width * self.line)), joint="curve")

    def ellipse(self, place: np.ndarray, across: float, down: float, fill: Colour) -> None:
        x, y = float(place[0]), float(place[1])
        self.draw.ellipse((x - across, y - down, x + across, y + down), fill=fill)

    def ball(self, place: np.ndarray, radius: float, fill: Colour) -> None:
        self.ellipse(place, radius, radius, fill)

    def limb(self, start: np.ndarray, end: np.ndarray, radii: tuple[float, float], fill: Colour) -> None:
        """Draws a tapered stroke with round ends."""
        x, y = float(start[0]), float(start[1])
        across, down = float(end[0]) - x, float(end[1]) - y
        length = (across * across + down * down) ** 0.5
        first, second = radii
        if length > 1e-6:
            a, b = -down / length, across / length
            corners = [
                (x + a * first, y + b * first),
                (x + across + a * second, y + down + b * second),
                (x + across - a * second, y + down - b * second),
                (x - a * first, y - b * first),
            ]
            self.draw.polygon(corners, fill=fill)
        self.ball(start, first, fill)
        self.ball(end, second, fill)


def paint(parts: list[Part]) -> None:
    """Paints the parts, the farthest first."""
    for _, paint in sorted(parts, key=lambda part: -part[0]):
        paint()


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Returns `first` with a `share` of `second`."""
    mixed = [round(a + share * (b - a)) for a, b in zip(first, second, strict=True)]
    return (mixed[0], mixed[1], mixed[2])


def lit(colour: Colour, light: float) -> Colour:
    """Returns a brighter colour for `light` above 0, a darker one below."""
    return mix(colour, (255, 255, 255) if light > 0 else (0, 0, 0), abs(light))


def rounded(corners: np.ndarray) -> np.ndarray:
    """Returns a closed outline with its corners cut twice (Chaikin's subdivision)."""
    for _ in range(2):
        following = np.roll(corners, -1, axis=0)
        corners = np.stack([0.75 * corners + 0.25 * following, 0.25 * corners + 0.75 * following], axis=1).reshape(
            -1, 2
        )
    return corners
