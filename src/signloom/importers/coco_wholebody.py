"""Converts COCO-WholeBody keypoints (133 points, the output of HRNet and RTMPose) into landmark files.

Reads a clip from .npy, .npz or a pickle ((T, 133, 2) or (T, 133, 3): x, y, score; or a list of frames, as rtmlib and
Uni-Sign write it), and many clips from the pickles that MSKA publishes for PHOENIX-2014, PHOENIX-2014-T and CSL-Daily,
without running code in them. Coordinates are pixels, or fractions of the image. Glosses in a pickle are written to
<output>/<pickle>.csv as id|gloss. Body joints and hands keep their meaning. The 68 face points become the points of
MediaPipe's mesh at the same place; the rest of the mesh is missing. z is 0, because the keypoints have no depth. The
134 points that rtmlib writes for OpenPose's users are read as well.

Next step: signloom import isharah (with the id|gloss files) or phoenix2014 or csl_daily, with --landmarks DIR
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signloom.errors import InputError
from signloom.importers.clip_arrays import convert_arrays
from signloom.importers.convert_landmarks import report_conversion
from signloom.importers.keypoints import KeypointOptions
from signloom.importers.point_lists import COCO_WHOLEBODY, OPENPOSE_134


@dataclass(frozen=True, kw_only=True)
class Options(KeypointOptions):
    """Options of `signloom import coco_wholebody`."""

    sources: list[Path]
    """.npy, .npz or pickle files of one clip, pickles of many clips, or folders that contain such files"""
    person: int = 0
    """the person to follow in files with several people; 0 is the one who is largest over the clip"""


def run(options: Options) -> int:
    """Converts every clip; returns exit status 0, or 1 if some failed."""
    if options.person < 0:
        raise InputError(f"--person is {options.person}; needed 0 or more")
    outcome, tables = convert_arrays(
        options, (COCO_WHOLEBODY, OPENPOSE_134), importer="coco_wholebody", person=options.person
    )
    return report_conversion(outcome, join_with="isharah" if tables else "phoenix2014")
