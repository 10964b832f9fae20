"""Lengths of one simulated body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Proportions:
    """Lengths of one body in metres; `head` scales a head of average size."""

    shoulder_half_width: float = 0.165
    upper_arm: float = 0.275
    forearm: float = 0.25
    hand: float = 0.185
    neck: float = 0.17
    head: float = 1.0
    trunk: float = 0.46
    hip_half_width: float = 0.1
    leg: float = 0.82

    @property
    def head_centre(self) -> np.ndarray:
        """The middle of the head at rest, (3,) metres from the middle of the shoulders."""
        return np.array((0.0, -self.neck - 0.02 * self.head, 0.0))
