"""What a source of pictures gives: frames with their times, and states in which there are none.

Shapes: H and W are height and width of a picture in pixels.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a source.

    picture: (H, W, 3) uint8 RGB, contiguous. Nobody writes into it.
    seconds: on the source's clock, which starts at about 0; later than the frame before.
    arrived: `time.monotonic` at which the picture was there, from which latency counts.
    pixel_aspect: width of a pixel over its height.
    """

    picture: np.ndarray
    seconds: float
    arrived: float
    pixel_aspect: float = 1.0

    @property
    def aspect(self) -> float:
        """Width of the picture in units of its height, as it is shown."""
        height, width = self.picture.shape[:2]
        return width / height * self.pixel_aspect


@dataclass(frozen=True)
class State:
    """Why a source gives no frames now, and what to do: one line for people. The next frame ends the state."""

    text: str


class Source(Protocol):
    """Where pictures come from. name: for people."""

    name: str

    def items(self, stopping: threading.Event) -> Iterator[Frame | State]:
        """Yields frames at the pace at which they happen, until the source ends or `stopping` is set.

        Raises InputError if the source turns out to be damaged.
        """
