"""Converts the pose pickles of Isharah and the MSLR challenges (86 points of MediaPipe Holistic) into landmark files.

A pickle holds many clips: id -> keypoints (T, 86, 2), x and y in pixels, or as fractions of the image. The points are
right hand, left hand, the outer lips and the pose down to the hips. A point at (0, 0) is missing; z is 0.

Next step: signloom import isharah --annotations TABLES --landmarks DIR
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signloom.importers.clip_arrays import convert_arrays
from signloom.importers.convert_landmarks import report_conversion
from signloom.importers.keypoints import KeypointOptions
from signloom.importers.point_lists import ISHARAH_86


@dataclass(frozen=True, kw_only=True)
class Options(KeypointOptions):
    """Options of `signloom import isharah86`."""

    sources: list[Path]
    """pickles such as pose_data_isharah1000_hands_lips_body.pkl, or folders that contain them"""


def run(options: Options) -> int:
    """Converts every clip; returns exit status 0, or 1 if some failed."""
    outcome, _ = convert_arrays(options, (ISHARAH_86,), importer="isharah86")
    return report_conversion(outcome, join_with="isharah")
