"""For how long a person's hands have rested, frame by frame: a stream has no other sign of where sentences end.

Shapes: P points of a view.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from signloom import layout

# Heights are below the shoulders, in shoulder widths; the elbow of a hanging arm is at about 0.9, the hand at 1.4.
# Hands rest at 0.9 and lower (simulated signing, and the idle clips of 2 groups of real signers). Of frames with a
# sign, 1 % of the real ones and a quarter of the simulated ones have no hand higher than this ...
_LOW = 0.85
# ... but there wrist or fingers move: the median is 1.8 shoulder widths per second, that of resting hands 0.3.
_SLOW = 0.6
# An undetected hand that low is out of view. Its wrist is guessed by the tracker and may jump.
_OUT_OF_VIEW = 1.1
# A hand moves further than the tracker's noise in this time.
_STEP_SECONDS = 0.2
# Smallest width of shoulders, in units of image height; a smaller one is a fault of the tracker.
_LEAST_WIDTH = 1e-3
# The place of the shoulders is averaged over about so long.
_BODY_SECONDS = 1.0


class RestDetector:
    """Counts the frames for which both hands have rested: they are not there, out of view, or low and slow.

    view: of the frames.  fps: their rate.
    num_unseen: for how many frames up to the last one no hand was detected.
    """

    def __init__(self, view: str, fps: float) -> None:
        groups = layout.subset_groups(view)
        self._shoulders = [layout.subset_index(view, f"pose.{side}_shoulder") for side in ("left", "right")]
        self._wrists = [layout.subset_index(view, f"pose.{side}_wrist") for side in ("left", "right")]
        self._hands = [groups[f"{side}_hand"] for side in ("left", "right")]
        self._tips = np.array([[hand.start + tip for tip in layout.FINGER_TIPS] for hand in self._hands])
        self._share = min(1.0, 1 / (_BODY_SECONDS * fps))
        # Centre (x, y) and width of the shoulders; unknown until both were seen.
        self._body: np.ndarray | None = None
        lag = max(1, round(_STEP_SECONDS * fps))
        self._lag_seconds = lag / fps
        self._earlier: deque[np.ndarray] = deque(maxlen=lag)
        self._counts = [0, 0]
        self.num_unseen = 0

    def advance(self, points: np.ndarray) -> int:
        """Returns for how many frames up to the next one (P, 3) both hands have rested; 0: one of them does not."""
        left, right = points[self._shoulders, :2].astype(np.float64)
        body = np.append((left + right) / 2, np.hypot(*(left - right)))
        if np.isfinite(body).all():
            self._body = body if self._body is None else self._body + self._share * (body - self._body)
        detected = [bool(np.isfinite(points[hand, 0]).any()) for hand in self._hands]
        self.num_unseen = 0 if any(detected) else self.num_unseen + 1
        # The first point of a hand is its wrist, for frames without the pose's.
        wrists = [
            wrist if np.isfinite(points[wrist, 0]) else hand.start
            for wrist, hand in zip(self._wrists, self._hands, strict=True)
        ]
        # Wrist and fingertips, (2, 6, 2): a hand can sign while its wrist is still.
        places = points[np.column_stack([wrists, self._tips]), :2].astype(np.float64)
        before = self._earlier[0] if self._earlier else places
        self._earlier.append(places)
        # Without shoulders nothing is low.
        body = np.array([0.0, np.inf, 1.0]) if self._body is None else self._body
        width = max(float(body[2]), _LEAST_WIDTH)
        heights = (places[:, 0, 1] - body[1]) / width
        ways = np.linalg.norm(places - before, axis=2)
        # Tips that were not detected do not count.
        speeds = np.fmax(ways[:, 0], np.median(ways[:, 1:], axis=1)) / (width * self._lag_seconds)
        for hand in range(2):
            if not detected[hand] and not heights[hand] <= _OUT_OF_VIEW:
                self._counts[hand] += 1
            elif not heights[hand] > _LOW or speeds[hand] >= _SLOW:
                self._counts[hand] = 0
            # A hand that was not seen a moment ago has no speed yet: that frame changes nothing.
            elif speeds[hand] < _SLOW:
                # It was slow since that moment.
                self._counts[hand] = max(self._counts[hand] + 1, len(self._earlier))
        return min(self._counts)
