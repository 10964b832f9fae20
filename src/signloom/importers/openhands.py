"""Converts the pose pickles of OpenHands (75 points of MediaPipe Holistic: pose and hands) into landmark files.

A pickle holds one clip: keypoints (T, 75, 3), x and y as fractions of the image and z, and confidences (T, 75). Arrays
.npy and .npz are read as well, also with all 543 points in Holistic's order (pose, face, left hand, right hand). The
confidence of a body point is its visibility; a point of confidence 0 is missing.

Next step: signloom import clips DIR for isolated signs, or isharah, ... with --landmarks DIR for sentences
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signloom.hints import command
from signloom.importers.clip_arrays import convert_arrays
from signloom.importers.convert_landmarks import report_conversion
from signloom.importers.keypoints import KeypointOptions
from signloom.importers.point_lists import HOLISTIC_75, HOLISTIC_543


@dataclass(frozen=True, kw_only=True)
class Options(KeypointOptions):
    """Options of `signloom import openhands`."""

    sources: list[Path]
    """pickles or arrays of one clip each, or folders that contain such files"""


def run(options: Options) -> int:
    """Converts every clip; returns exit status 0, or 1 if some failed."""
    outcome, _ = convert_arrays(options, (HOLISTIC_75, HOLISTIC_543), importer="openhands")
    return report_conversion(
        outcome, next_step=f"{command('import', 'clips', options.output, output='CORPUS')}  # of isolated signs"
    )
