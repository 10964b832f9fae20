"""How a stored picture is shown: the rotation and mirroring of a video's display matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Orientation:
    """The steps from the stored to the shown picture, in this order.

    transpose: rows become columns.  flip_x: left and right change places.  flip_y: top and bottom do.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of_matrix(cls, matrix: np.ndarray) -> Orientation:
        """Returns the orientation of a display matrix: 9 integers a b u, c d v, x y w.

        A stored pixel (p, q) is shown at (a p + c q, b p + d q), shifted into the picture. An angle between two quarter
        turns is taken as the nearer one, and a matrix of zeros as none. Source: FFmpeg, libavutil/display.h.
        """
        a, b, c, d = (float(matrix[index]) for index in (0, 1, 3, 4))
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Returns a view of a stored picture (H, W, 3) as it is shown."""
        if self.transpose:
            picture = picture.transpose(1, 0, 2)
        return picture[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
