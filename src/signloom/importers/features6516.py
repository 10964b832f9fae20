"""Converts older feature files of 6,516 values per frame into landmark files.

Reads <data_dir>/{train,dev,test}/<id>.npz (features, detection_masks) and .npy. The first 1,629 values of a frame are
the 543 landmarks as fractions of the image: pose, left hand, right hand, face. The other 4,887 values were computed
from them and are left out: the model computes its features itself. Standardised files are refused, because
standardisation cannot be undone and the model normalises by itself.

Next step: join the landmark files with annotations, e.g. signloom import phoenix2014 --landmarks DIR
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from signloom import layout
from signloom.errors import InputError, plural
from signloom.importers.convert_landmarks import (
    CameraInfo,
    Conversion,
    ConvertOptions,
    convert,
    find_files,
    load_arrays,
    one_clip,
    report_conversion,
)
from signloom.landmarks import MAX_FRAMES, Landmarks
from signloom.text.counts import some_of

NUM_FEATURES = 6516
NUM_LANDMARK_FEATURES = 3 * layout.NUM_POINTS
# The format was made for PHOENIX-2014: 210 x 260 pixels, to be shown as 210 x 300, 25 frames per second.
ASSUMED_SIZE = (210, 260)
ASSUMED_PIXEL_ASPECT = 260 / 300
ASSUMED_FPS = 25.0

# The limits below hold for all 105 clips (6 words, 2 signers) of real full-face recordings from which they were set.
# They fail for 95 % of the clips after a z-score per corpus, 100 % after one per clip, 67 % after min-max scaling.
# Hands and faces are within the image or close to it; legs may not be.
_RANGE = (-0.5, 1.5)
_OUTSIDE_SHARE = 0.02
_NEGATIVE = -0.02
_NEGATIVE_SHARE = 0.1
# Median lengths of a clip divided by the width of the face, in fractions of an image of any common shape.
_FACE_WIDTH = ("face.234", "face.454")
_FACE_LENGTHS = {
    ("face.10", "face.152"): (0.45, 3.5),
    ("face.33", "face.263"): (0.4, 1.0),
    ("face.61", "face.291"): (0.2, 0.8),
}
# The median of these lengths' variation (standard deviation over mean, within a clip) is at most `_BONE_VARIATION`.
_BONES = (
    ("face.33", "face.263"),
    ("face.10", "face.152"),
    _FACE_WIDTH,
    ("pose.left_shoulder", "pose.right_shoulder"),
    ("pose.left_eye_outer", "pose.right_eye_outer"),
    ("left_hand.wrist", "left_hand.index_mcp"),
    ("left_hand.wrist", "left_hand.pinky_mcp"),
    ("right_hand.wrist", "right_hand.index_mcp"),
    ("right_hand.wrist", "right_hand.pinky_mcp"),
)
_BONE_VARIATION = 0.35
_LEAST_FRAMES = 8
# If this share of a sample of the files is standardised, the whole corpus is; the other files only look valid.
_SAMPLE = 40
_SAMPLE_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Options(ConvertOptions):
    """Options of `signloom import features6516`."""

    sources: list[Path]
    """the data folder (with subfolders train, dev and test), or single .npz and .npy files"""
    image_size: str | None = None
    """width x height of the video in pixels, e.g. 1280x720; default: 210x260, to be shown as 210x300 (PHOENIX)"""
    pixel_aspect: float | None = None
    """width of a pixel divided by its height (PHOENIX: 0.8667); default: 1, or PHOENIX's without --image_size"""
    fps: float | None = None
    """frames per second of the video; default: 25"""


@dataclass(frozen=True)
class Picture:
    """Image size, pixel aspect and frame rate of the original video, and the names of those that are assumed."""

    size: tuple[int, int]
    pixel_aspect: float
    fps: float
    assumed: tuple[str, ...]

    @classmethod
    def of(cls, image_size: str | None, pixel_aspect: float | None, fps: float | None) -> Picture:
        """Returns the picture that the options describe. Raises InputError for invalid values."""
        camera = CameraInfo.given(fps, image_size, pixel_aspect)
        return cls(
            camera.image_size or ASSUMED_SIZE,
            camera.pixel_aspect or (1.0 if image_size else ASSUMED_PIXEL_ASPECT),
            camera.fps or ASSUMED_FPS,
            camera.unknown("image_size", "pixel_aspect", "fps"),
        )


def run(options: Options) -> int:
    """Converts every file; returns exit status 0, or 1 if some failed."""
    picture = Picture.of(options.image_size, options.pixel_aspect, options.fps)
    files = find_files(options.sources, (".npz", ".npy"), options.output)
    _refuse_standardised_corpus([path for path, _ in files])
    settings = {"image_size": picture.size, "pixel_aspect": picture.pixel_aspect, "fps": picture.fps}
    read = one_clip(partial(read_features, picture=picture))
    return report_conversion(
        convert(files, options.output, read, importer="features6516", settings=settings, dry_run=options.dry_run)
    )


def read_features(path: Path, picture: Picture, *, outcome: Conversion | None = None) -> Landmarks:
    """Returns the landmarks in a feature file; points outside the mask, and parts that are all zero, are missing.

    outcome: gets a note if mask and features disagree.

    Raises InputError for a damaged file, wrong widths, and standardised features.
    """
    points, mask = _load(path)
    detected = _detected(points, mask)
    if mask is not None and outcome is not None and (mask & ~detected).any():
        outcome.notes["points that are all zero were treated as missing although the mask has them as detected"] += 1
    points = np.where(detected[..., None], points, np.nan)
    reason = why_standardised(points)
    if reason:
        raise InputError(
            f"{reason}: these features were standardised, which cannot be undone; needed landmarks as fractions of the "
            "image. Import the files from before that step, or extract the landmarks again"
        )
    width, height = picture.size
    across = width / height * picture.pixel_aspect
    return Landmarks(
        points * (across, 1.0, across),
        np.full((len(points), layout.NUM_POSE_POINTS), np.nan),
        fps=picture.fps,
        image_size=picture.size,
        pixel_aspect=picture.pixel_aspect,
        assumed=picture.assumed,
    )


def why_standardised(points: np.ndarray) -> str | None:
    """Returns the reason why points (T, 543, 3; NaN is missing) cannot be fractions of an image, or None."""
    flat = points[:, layout.NUM_POSE_POINTS :, :2]
    flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        flat = points[:, layout.indices("pose.left_shoulder", "pose.right_shoulder", "pose.nose"), :2]
        flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        return None
    outside = float(((flat < _RANGE[0]) | (flat > _RANGE[1])).mean())
    if outside > _OUTSIDE_SHARE:
        return f"{100 * outside:.0f} % of the values are outside {_RANGE[0]} to {_RANGE[1]}"
    negative = float((flat < _NEGATIVE).mean())
    if negative > _NEGATIVE_SHARE:
        return f"{100 * negative:.0f} % of the values are negative"
    face_width = _length(points, *_FACE_WIDTH)
    for (a, b), (least, most) in _FACE_LENGTHS.items():
        length = _length(points, a, b)
        if len(face_width) and len(length) and np.median(face_width) > 0:
            ratio = float(np.median(length) / np.median(face_width))
            if not least < ratio < most:
                return f"{a} to {b} is {ratio:.2f} times the width of the face (a face has {least} to {most})"
    lengths = [_length(points, a, b) for a, b in _BONES]
    variations = [float(x.std() / x.mean()) for x in lengths if len(x) >= _LEAST_FRAMES and x.mean() > 0]
    if variations and np.median(variations) > _BONE_VARIATION:
        return f"the lengths of bones vary by {100 * np.median(variations):.0f} % within the clip"
    return None


def _length(points: np.ndarray, a: str, b: str) -> np.ndarray:
    between = points[:, layout.index(a), :2] - points[:, layout.index(b), :2]
    length = np.linalg.norm(between, axis=-1)
    return length[np.isfinite(length)]


def _load(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the points (T, 543, 3) as stored, and the mask (T, 543) if there is one."""
    arrays = load_arrays(path, ("features", "detection_masks"))
    if "features" not in arrays:
        raise InputError("no array named features; needed features (T, 6516)")
    features = arrays["features"]
    if features.ndim != 2 or features.shape[1] != NUM_FEATURES:
        raise InputError(
            f"features of shape {features.shape}, needed (T, {NUM_FEATURES}); for other widths use another importer "
            "(see signloom import --help)"
        )
    if not np.issubdtype(features.dtype, np.floating):
        raise InputError(f"features of type {features.dtype}, needed floating point numbers")
    if not 0 < len(features) <= MAX_FRAMES:
        raise InputError(f"{plural(len(features), 'frame')}; needed 1 to {MAX_FRAMES:,}")
    points = features[:, :NUM_LANDMARK_FEATURES].astype(np.float64).reshape(len(features), layout.NUM_POINTS, 3)
    if np.isinf(points).any():
        raise InputError("infinite values among the landmarks; extract them again")
    mask = arrays.get("detection_masks")
    if mask is not None:
        if mask.shape != points.shape[:2]:
            raise InputError(f"detection_masks of shape {mask.shape}, needed {points.shape[:2]}")
        mask = np.nan_to_num(mask.astype(np.float64)) > 0.5
    return points, mask


def _detected(points: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Returns which points were detected, (T, 543) bool: in the mask, finite, and in a part that is not all zero."""
    detected = np.isfinite(points).all(axis=-1)
    for group in layout.GROUPS.values():
        detected[:, group] &= np.any(points[:, group] != 0, axis=(1, 2))[:, None]
    if mask is None:
        return detected
    nonzero = np.any(points != 0, axis=-1) & detected
    if not (nonzero & mask).any() and (nonzero & ~mask).any():
        raise InputError("detection_masks is inverted: 0 for the existing points; needed 1 for detected points")
    return nonzero & mask


def _refuse_standardised_corpus(paths: list[Path]) -> None:
    """Raises InputError if a large share of a sample of the files is standardised, because then all are.

    A clip close to the corpus mean may look valid; the other clips show that it is not.
    """
    sample = paths[:: max(1, len(paths) // _SAMPLE)][:_SAMPLE]
    reasons, read = {}, 0
    for path in sample:
        try:
            points, mask = _load(path)
            reason = why_standardised(np.where(_detected(points, mask)[..., None], points, np.nan))
        except InputError:
            # A fault of this file only; the conversion reports it.
            continue
        read += 1
        if reason:
            reasons[path] = reason
    if read > 1 and len(reasons) >= _SAMPLE_SHARE * read:
        path, reason = next(iter(reasons.items()))
        raise InputError(
            f"{some_of(len(reasons), read, 'sampled file', 'has', 'have')} standardised features (e.g. {path}: "
            f"{reason}), which cannot be undone; needed landmarks as fractions of the image. Import the files "
            "from before that step, or extract the landmarks again"
        )
