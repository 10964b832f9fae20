"""A part of the image to use: an interpreter's inset, or one of two people."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from signloom.errors import InputError

# In a smaller image no person can be detected, and MediaPipe's own resizing fails.
MIN_SIDE = 16


@dataclass(frozen=True)
class Crop:
    """A part of the image: x, y of its top left corner, width, height; in pixels or in fractions of the image."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def parse(cls, text: str) -> Crop:
        """Returns the crop written as `x,y,width,height`. Raises InputError for anything else."""
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
            raise InputError(f"crop {text!r}: needed four numbers x,y,width,height, e.g. 900,500,320,480")
        crop = cls(*numbers)
        if min(crop.x, crop.y) < 0 or min(crop.width, crop.height) <= 0:
            raise InputError(f"crop {text!r}: needed x and y of at least 0, width and height above 0")
        return crop

    def __str__(self) -> str:
        return ",".join(f"{number:g}" for number in (self.x, self.y, self.width, self.height))

    def of(self, frame: np.ndarray) -> np.ndarray:
        """Returns the part of an image (height, width, 3). Raises InputError if the crop exceeds the image."""
        height, width = frame.shape[:2]
        in_fractions = max(self.x, self.y, self.width, self.height) <= 1
        scale_x, scale_y = (width, height) if in_fractions else (1, 1)
        left, top = round(self.x * scale_x), round(self.y * scale_y)
        right, bottom = round((self.x + self.width) * scale_x), round((self.y + self.height) * scale_y)
        if right > width or bottom > height:
            raise InputError(f"crop {self} ends at {right},{bottom}, outside the image of {width}x{height} pixels")
        if min(right - left, bottom - top) < MIN_SIDE:
            raise InputError(
                f"crop {self} is {right - left}x{bottom - top} of {width}x{height} pixels; needed at least "
                f"{MIN_SIDE}x{MIN_SIDE}. Four numbers up to 1 are fractions of the image, others are pixels"
            )
        return frame[top:bottom, left:right]
