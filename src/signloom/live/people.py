"""Counts people in view: Holistic tracks one and does not say that there are others.

MediaPipe's face detector of full range (up to five metres) takes 5 ms of one core; once a second is enough.
"""

from __future__ import annotations

import numpy as np

from signloom.extract.packages import needs_opencv

_EVERY_SECONDS = 1.0
# The detector's own model for faces that are further away than a selfie's.
_FULL_RANGE = 1
_LEAST_CONFIDENCE = 0.6


class PeopleCounter:
    """Counts faces now and then. Raises MissingExtraError without MediaPipe."""

    def __init__(self) -> None:
        with needs_opencv("live recognition"):
            from mediapipe.python.solutions.face_detection import FaceDetection
        self._detector = FaceDetection(model_selection=_FULL_RANGE, min_detection_confidence=_LEAST_CONFIDENCE)
        self._next_seconds = 0.0
        self._count = 0

    def __call__(self, picture: np.ndarray, seconds: float) -> int:
        """Returns how many faces were in the picture (H, W, 3) uint8 RGB when it was looked at last."""
        if seconds >= self._next_seconds:
            self._next_seconds = seconds + _EVERY_SECONDS
            self._count = len(self._detector.process(picture).detections or ())
        return self._count

    def close(self) -> None:
        self._detector.close()
