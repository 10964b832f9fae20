"""Converts COCO-WholeBody keypoints (133 points, the output of HRNet and RTMPose) into landmark files.

Reads a clip from .npy or .npz ((T, 133, 3): x, y in pixels, score), and many clips from the pickles that MSKA publishes
for PHOENIX-2014, PHOENIX-2014-T and CSL-Daily, without running code in them. Glosses in a pickle are written to
<output>/<pickle>.csv as id|gloss. Body joints and hands keep their meaning. The 68 face points become the points of
MediaPipe's mesh at the same place; the rest of the mesh is missing. z is 0, because the keypoints have no depth.

Next step: signloom import isharah (with the id|gloss files) or phoenix2014 or csl_daily, with --landmarks DIR
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from signloom import layout
from signloom.errors import InputError
from signloom.files import write_text
from signloom.importers.convert_landmarks import (
    CameraInfo,
    Conversion,
    SourceClip,
    convert,
    find_files,
    load_arrays,
    report_conversion,
)
from signloom.importers.pickles import load_pickle
from signloom.landmarks import MAX_FRAMES, Landmarks

NUM_KEYPOINTS = 133
ASSUMED_FPS = 25.0
_ARRAYS = (".npy", ".npz")
_SUFFIXES = (*_ARRAYS, ".pkl", ".pickle", ".gz", ".train", ".dev", ".test")
_POINT_KEYS = ("keypoints", "keypoint", "poses", "pose", "points", "data", "arr_0")
_SCORE_KEYS = ("keypoint_scores", "scores", "score")

# COCO-WholeBody's order: 17 body joints, 6 foot points, 68 face points, 21 points per hand. Left is the person's left.
# Source: jin-s13/COCO-WholeBody, data_format.md; a test compares it with pose-format's list of the same points.
_BODY = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
).split()
# Small toes have no counterpart; MediaPipe's foot index is the big toe.
_FEET = ("left_foot_index", None, "left_heel", "right_foot_index", None, "right_heel")
_FACE_START, _LEFT_HAND_START, _RIGHT_HAND_START = 23, 91, 112

# For each of the 68 face points (iBUG's mark-up: Sagonas et al., 300 Faces in-the-Wild, 2013, figure 1) the vertex of
# MediaPipe's mesh (canonical_face_model_uv_visualization.png) at the same place: jaw from the person's right ear to the
# left, brows, nose, eyes, lips. A test compares it with the mesh's mirror map.
_FACE = (
    *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91),
    *(78, 81, 13, 311, 308, 402, 14, 178),
)
# The middle of each eyelid, which shows how far an eye is open, is between two of the 68 points.
_EYELIDS = {159: (37, 38), 145: (40, 41), 386: (43, 44), 374: (46, 47)}

# Keypoints in pixels span at least this much; fractions of the image and normalised points do not.
_LEAST_EXTENT_PIXELS = 8.0
_LARGEST_EXCESS = 1.5


def _sources() -> dict[str, tuple[int, ...]]:
    """Returns for each layout point that COCO-WholeBody covers the keypoints whose mean it is."""
    table: dict[str, tuple[int, ...]] = {f"pose.{name}": (place,) for place, name in enumerate(_BODY)}
    table |= {f"pose.{name}": (len(_BODY) + place,) for place, name in enumerate(_FEET) if name}
    table |= {f"face.{vertex}": (_FACE_START + place,) for place, vertex in enumerate(_FACE)}
    table |= {f"face.{vertex}": (_FACE_START + a, _FACE_START + b) for vertex, (a, b) in _EYELIDS.items()}
    for group, start in (("left_hand", _LEFT_HAND_START), ("right_hand", _RIGHT_HAND_START)):
        part = layout.POINT_NAMES[layout.GROUPS[group]]
        table |= {name: (start + place,) for place, name in enumerate(part)}
    return table


SOURCES = _sources()


@dataclass
class Options:
    sources: list[Path]
    """.npy or .npz files of one clip, pickles of many clips, or folders that contain such files"""
    output: Path
    """folder for the landmark files: <output>/<path below the source, or id in the pickle>.npz"""
    image_size: str | None = None
    """width x height of the video in pixels (PHOENIX 210x260, CSL-Daily 512x512); default: the area that a clip's
    points cover"""
    pixel_aspect: float | None = None
    """width of a pixel divided by its height (PHOENIX: 0.8667); default: 1"""
    fps: float | None = None
    """frames per second of the video (PHOENIX 25, CSL-Daily 30); default: 25"""
    min_score: float = 0.3
    """keypoints with a lower score are missing"""

    positionals: ClassVar[tuple[str, ...]] = ("sources",)


@dataclass(frozen=True)
class KeypointSettings(CameraInfo):
    """How to read keypoints; a default is assumed for every value that is None."""

    min_score: float = 0.3


@dataclass
class Annotations:
    """The glosses found in pickles, by pickle and clip."""

    files: dict[str, dict[str, str]] = field(default_factory=dict)

    def write(self, output: Path) -> list[Path]:
        """Writes <output>/<pickle>.csv with id|gloss for every pickle; returns the files."""
        return [
            write_text(output / f"{name}.csv", "\n".join(["id|gloss", *map("|".join, rows.items()), ""]))
            for name, rows in self.files.items()
        ]


def run(options: Options) -> int:
    """Converts every clip; returns exit status 0, or 1 if some failed."""
    if not 0 <= options.min_score < 1:
        raise InputError(f"--min_score is {options.min_score}; needed 0 to below 1")
    reading = KeypointSettings.given(options.fps, options.image_size, options.pixel_aspect, min_score=options.min_score)
    annotations = Annotations()
    outcome = convert(
        find_files(options.sources, _SUFFIXES, options.output, strip=_ARRAYS),
        options.output,
        partial(read_clips, reading=reading, annotations=annotations),
        importer="coco_wholebody",
        settings=asdict(reading),
        read_before_naming=lambda path: not _is_array(path),
    )
    tables = annotations.write(options.output)
    for table in tables:
        print(f"{table}: {len(annotations.files[table.stem]):,} annotations (id|gloss)")
    return report_conversion(outcome, join_with="isharah" if tables else "phoenix2014")


def read_clips(
    path: Path, outcome: Conversion, reading: KeypointSettings, annotations: Annotations
) -> Iterator[SourceClip]:
    """Yields the clips of a .npy, .npz or pickle file; adds the glosses of a pickle to `annotations`.

    Raises InputError for any other file.
    """
    if _is_array(path):
        yield SourceClip(None, partial(_clip_of_file, path, reading))
        return
    content = load_pickle(path)
    if isinstance(content, (list, tuple)):
        content = {str(entry.get("name", place)) if isinstance(entry, dict) else str(place): entry
                   for place, entry in enumerate(content)}  # fmt: skip
    if not isinstance(content, dict) or not content:
        raise InputError(f"a pickle of a {type(content).__name__}; needed a dictionary of clips: id -> keypoints")
    for key, entry in content.items():
        name = str(key)
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            name = entry["name"]
        name = name.strip("/")
        gloss = _gloss(entry)
        if gloss is not None:
            if any(mark in gloss + name for mark in "|\n\r"):
                outcome.faults.add(f"{path} ({name}): a '|' or a line break in id or gloss {gloss!r:.60}")
            else:
                annotations.files.setdefault(path.name, {})[name] = gloss
        yield SourceClip(name, partial(_clip_of_entry, entry, reading, outcome))


def to_landmarks(keypoints: np.ndarray, reading: KeypointSettings) -> Landmarks:
    """Returns the landmarks of COCO-WholeBody keypoints (T, 133, 3), or (T, 133, 2) without scores.

    x, y are pixels. A point is missing if its score is below `min_score`; without scores, if it is at (0, 0). Scores
    become the visibility of body points. z is 0 for every detected point.

    Raises InputError for wrong shapes, and for values that are not pixels of the image.
    """
    keypoints = _squeezed(np.asarray(keypoints))
    values = keypoints[..., :2].astype(np.float64)
    if keypoints.shape[-1] == 3:
        scores = np.nan_to_num(keypoints[..., 2].astype(np.float64))
        detected = (scores >= reading.min_score) & (scores > 0)
    else:
        detected = np.any(values != 0, axis=-1)
        scores = np.full(detected.shape, np.nan)
    detected &= np.isfinite(values).all(axis=-1)
    if not detected.any():
        raise InputError(f"no keypoint in any frame has a score of {reading.min_score} or more; lower --min_score")
    (width, height), assumed = _picture(values[detected], reading)
    values = np.where(detected[..., None], values, np.nan)
    aspect = 1.0 if reading.pixel_aspect is None else reading.pixel_aspect

    points = np.full((len(values), layout.NUM_POINTS, 3), np.nan)
    visibility = np.full((len(values), layout.NUM_POSE_POINTS), np.nan)
    for name, parts in SOURCES.items():
        place = layout.index(name)
        points[:, place, :2] = values[:, parts].mean(axis=1) * (aspect / height, 1 / height)
        if place < layout.NUM_POSE_POINTS:
            visibility[:, place] = np.clip(scores[:, parts[0]], 0, 1)
    points[..., 2] = np.where(np.isfinite(points[..., 0]), 0.0, np.nan)
    return Landmarks(
        points,
        visibility,
        fps=ASSUMED_FPS if reading.fps is None else reading.fps,
        image_size=(width, height),
        pixel_aspect=aspect,
        assumed=("z", *assumed),
    )


def _squeezed(keypoints: np.ndarray) -> np.ndarray:
    """Returns `keypoints` without the axis of a single person. Raises InputError for invalid shapes."""
    shape = keypoints.shape
    if keypoints.ndim == 4 and 1 in shape[:2]:
        keypoints = keypoints[0] if shape[0] == 1 and shape[1] != 1 else keypoints[:, 0]
    if keypoints.ndim != 3 or keypoints.shape[1] != NUM_KEYPOINTS or keypoints.shape[2] not in (2, 3):
        raise InputError(f"an array of shape {shape}, needed (T, {NUM_KEYPOINTS}, 3): x, y in pixels and a score")
    if not 0 < len(keypoints) <= MAX_FRAMES:
        raise InputError(f"{len(keypoints):,} frames; needed 1 to {MAX_FRAMES:,}")
    if not np.issubdtype(keypoints.dtype, np.number) or np.issubdtype(keypoints.dtype, np.complexfloating):
        raise InputError(f"an array of type {keypoints.dtype}, needed numbers")
    return keypoints


def _picture(values: np.ndarray, reading: KeypointSettings) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Returns the image size and the names of assumed values, given the detected points (N, 2) of a clip."""
    low, high = np.percentile(values, (1, 99), axis=0)
    if (high - low).max() < _LEAST_EXTENT_PIXELS:
        raise InputError(
            f"the keypoints span {(high - low).max():.3g}, so they are not in pixels but fractions of the image or "
            "normalised; needed x and y in pixels"
        )
    assumed = reading.unknown("pixel_aspect", "fps", "image_size")
    if reading.image_size is None:
        width, height = (max(1, int(np.ceil(edge))) for edge in values.max(axis=0))
        return (width, height), assumed
    width, height = reading.image_size
    if (high > (_LARGEST_EXCESS * width, _LARGEST_EXCESS * height)).any() or (low < (-width, -height)).any():
        raise InputError(
            f"keypoints from ({low[0]:.0f}, {low[1]:.0f}) to ({high[0]:.0f}, {high[1]:.0f}) exceed an image of "
            f"{width}x{height}; give the size of the original video as --image_size"
        )
    return (width, height), assumed


def _clip_of_file(path: Path, reading: KeypointSettings) -> Landmarks:
    return _clip_of_arrays(load_arrays(path, (*_POINT_KEYS, *_SCORE_KEYS)), reading)


def _clip_of_entry(entry: Any, reading: KeypointSettings, outcome: Conversion) -> Landmarks:
    arrays = entry if isinstance(entry, Mapping) else {_POINT_KEYS[0]: entry}
    landmarks = _clip_of_arrays(arrays, reading)
    count = arrays.get("num_frames")
    if isinstance(count, int) and count != len(landmarks):
        outcome.notes["a clip's num_frames differs from its number of keypoint frames; all frames were used"] += 1
    return landmarks


def _clip_of_arrays(arrays: Mapping[str, Any], reading: KeypointSettings) -> Landmarks:
    points = next((arrays[key] for key in _POINT_KEYS if key in arrays), None)
    if points is None:
        raise InputError(f"holds {', '.join(map(str, list(arrays)[:8]))}; needed {' or '.join(_POINT_KEYS)}")
    if not isinstance(points, np.ndarray):
        raise InputError(f"keypoints are a {type(points).__name__}; needed an array (T, {NUM_KEYPOINTS}, 3)")
    scores = next((arrays[key] for key in _SCORE_KEYS if key in arrays), None)
    return to_landmarks(_with_scores(points, scores), reading)


def _with_scores(points: np.ndarray, scores: Any) -> np.ndarray:
    if not isinstance(scores, np.ndarray) or points.ndim < 1 or points.shape[-1] != 2:
        return points
    if scores.shape == points.shape[:-1]:
        scores = scores[..., None]
    if scores.shape != (*points.shape[:-1], 1):
        raise InputError(f"scores of shape {scores.shape} for keypoints of shape {points.shape}")
    return np.concatenate([points, scores], axis=-1)


def _gloss(entry: Any) -> str | None:
    gloss = entry.get("gloss") if isinstance(entry, Mapping) else None
    if isinstance(gloss, (list, tuple)) and all(isinstance(word, str) for word in gloss):
        gloss = " ".join(gloss)
    return " ".join(gloss.split()) if isinstance(gloss, str) else None


def _is_array(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(6)
    return start == b"\x93NUMPY" or start[:2] == b"PK" or path.suffix.lower() in _ARRAYS
