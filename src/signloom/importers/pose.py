"""Converts `.pose` files (of the pose-format library) into landmark files, and back.

MediaPipe's points are matched by name, so partial layouts work: points that a file does not have are missing. Files
with all points of OpenPose (137) or COCO-WholeBody (133) are read as their own formats are; other sets are refused.
Coordinates must be pixels of the image, as estimators write them. Normalised files are refused, because the model
normalises by itself and normalisation must happen only once.

Next step: join the landmark files with annotations, e.g. signloom import phoenix2014 --landmarks DIR
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from signloom import layout
from signloom.errors import InputError, plural
from signloom.files.reading import CLIP, Member, read_bytes
from signloom.importers.convert_landmarks import (
    CameraInfo,
    Conversion,
    ConvertOptions,
    convert,
    find_files,
    one_clip,
    report_conversion,
)
from signloom.importers.keypoints import KeypointSettings, to_landmarks
from signloom.importers.point_lists import COCO_WHOLEBODY, NUM_HAND_POINTS, OPENPOSE, PointList
from signloom.importers.pose_writing import COMPONENTS, require_pose_format
from signloom.landmarks import MAX_FRAMES, Landmarks

SUFFIX = ".pose"

# Components of whole other lists, and their numbers of points. Source: pose-format 0.15, utils/openpose.py and
# utils/cocowholebody133_header.py.
_LISTS: dict[tuple[tuple[str, int], ...], PointList] = {
    (
        ("pose_keypoints_2d", 25),
        ("face_keypoints_2d", 70),
        ("hand_left_keypoints_2d", NUM_HAND_POINTS),
        ("hand_right_keypoints_2d", NUM_HAND_POINTS),
    ): OPENPOSE,
    (("BODY", 23), ("FACE", 68), ("LEFT_HAND", NUM_HAND_POINTS), ("RIGHT_HAND", NUM_HAND_POINTS)): COCO_WHOLEBODY,
}
# The same body again, in metres around the hips; it adds nothing to the image points.
_WORLD = "POSE_WORLD_LANDMARKS"
_NUM_IRIS_POINTS = 10

# Points that span less than this share of the image's height are not in pixels: after Pose.normalize the shoulders are
# one unit apart, a few thousandths of any image. A person that small could not be tracked.
_LEAST_EXTENT = 0.02
# MediaPipe's z is a fraction of the image's width, measured from the hips, a wrist or the middle of the face: a few
# units at most. A file that was shifted within its canvas has a much larger offset.
_LARGEST_Z = 10.0
_DEPTH_ORIGINS = ("pose.left_hip", "pose.right_hip", "left_hand.wrist", "right_hand.wrist")
# A wrist that moves less than this share of its fingers' movement was fixed by a normalisation.
_STILL = 1e-3
_STILL_FRAMES = 5


@dataclass(frozen=True, kw_only=True)
class Options(ConvertOptions):
    """Options of `signloom import pose`."""

    sources: list[Path]
    """.pose files, or folders that contain such files"""
    person: int = 0
    """the person to use from files with several persons (0 is the first)"""
    fps: float | None = None
    """frames per second for files whose header has 0"""
    pixel_aspect: float | None = None
    """width of a pixel divided by its height, for anamorphic images (PHOENIX: 0.8667); default: 1"""


def run(options: Options) -> int:
    """Converts every file; returns exit status 0, or 1 if some failed."""
    camera = CameraInfo.given(options.fps, None, options.pixel_aspect)
    if options.person < 0:
        raise InputError(f"--person is {options.person}; needed 0 or more")
    require_pose_format()
    files = find_files(options.sources, (SUFFIX,), options.output)
    settings: dict[str, Any] = {"person": options.person, "fps": options.fps}
    if camera.pixel_aspect is not None:
        settings["pixel_aspect"] = camera.pixel_aspect
    read = one_clip(partial(read_pose, person=options.person, fps=options.fps, pixel_aspect=camera.pixel_aspect))
    return report_conversion(
        convert(files, options.output, read, importer="pose", settings=settings, dry_run=options.dry_run)
    )


def read_pose(
    path: Path | Member,
    *,
    person: int = 0,
    fps: float | None = None,
    pixel_aspect: float | None = None,
    outcome: Conversion | None = None,
) -> Landmarks:
    """Returns the landmarks of a `.pose` file with MediaPipe points; masked and zero-confidence points are missing.

    person: the index of the person.  fps: used if the file has 0.  pixel_aspect: width of a pixel over its height, 1 by
    default.  outcome: gets notes about what was left out.

    Raises InputError for a damaged file, another point set, points that are not pixels, and MissingExtraError
    without the pose-format library.
    """
    pose = _load(path)
    notes: list[str] = []
    width, height = pose.header.dimensions.width, pose.header.dimensions.height
    if width < 1 or height < 1:
        raise InputError(f"the header gives an image of {width}x{height}; needed its size in pixels")
    names = _names(pose.header.components)
    source = {"pose_format_version": version("pose-format"), "components": names}
    listed = _LISTS.get(tuple(names.items()))
    if listed is not None:
        data, confidence = _one_person(pose.body, person, notes)
        rate, assumed_rate = _rate(pose.body.fps, fps)
        reading = KeypointSettings(rate, (width, height), pixel_aspect)
        landmarks = to_landmarks(data[..., :2], listed, reading, scores=confidence, source=source)
        if outcome is not None:
            outcome.notes.update(notes)
        return replace(landmarks, assumed=(*landmarks.assumed, *assumed_rate))
    columns, positions = _columns(pose.header.components, notes)
    data, confidence = _one_person(pose.body, person, notes)
    detected = (confidence > 0) & np.isfinite(data[..., :2]).all(axis=-1)
    data = np.where(detected[..., None], data, np.nan)
    if not detected[:, columns].any():
        raise InputError("no point was detected in any frame")
    _check_pixels(data[:, columns], positions, height)

    points = np.full((len(data), layout.NUM_POINTS, 3), np.nan)
    chosen = data[:, columns]
    aspect = pixel_aspect or 1.0
    points[:, positions, :2] = chosen[..., :2] * (aspect / height, 1 / height)
    assumed = []
    if data.shape[-1] >= 3:
        depth, moved = _depth(chosen[..., 2], positions)
        # pose-format scales x and y to pixels and keeps MediaPipe's z, a fraction of the image's width.
        points[:, positions, 2] = depth * (width / height * aspect)
        assumed += ["z_origin"] if moved else []
    else:
        points[:, positions, 2] = np.where(detected[:, columns], 0.0, np.nan)
        assumed.append("z")
    visibility = np.full((len(data), layout.NUM_POSE_POINTS), np.nan)
    of_pose = positions < layout.NUM_POSE_POINTS
    visibility[:, positions[of_pose]] = np.clip(confidence[:, columns[of_pose]], 0, 1)
    if _is_bounding_box(chosen, width, height):
        assumed.append("image_size")
    rate, assumed_rate = _rate(pose.body.fps, fps)
    if outcome is not None:
        outcome.notes.update(notes)
    return Landmarks(
        points,
        visibility,
        fps=rate,
        image_size=(width, height),
        pixel_aspect=aspect,
        assumed=(*assumed, *assumed_rate),
        source=source,
    )


def _rate(stored: float, given: float | None) -> tuple[float, tuple[str, ...]]:
    """Returns the frame rate of a file, and `fps` among the assumed values if the given one stands for it."""
    rate = float(stored)
    if math.isfinite(rate) and rate > 0:
        return rate, ()
    if given is None:
        raise InputError(f"the file has {rate:g} frames per second; needed a rate above 0: pass --fps")
    return given, ("fps",)


def _names(components: list[Any]) -> dict[str, int]:
    return {component.name: len(component.points) for component in components}


def _columns(components: list[Any], notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the file's points that our layout has: their columns in the file and their positions in the layout."""
    listing = ", ".join(f"{name} ({plural(count, 'point')})" for name, count in _names(components).items()) or "nothing"
    columns: dict[int, int] = {}
    unknown: list[str] = []
    start = 0
    for component in components:
        group = COMPONENTS.get(component.name)
        if group is None and component.name != _WORLD:
            notes.append(f"component {component.name} left out: not MediaPipe's")
        for offset, point in enumerate(component.points if group is not None else ()):
            ours = _our_name(group or "", str(point))
            if ours is None:
                unknown.append(f"{component.name}/{point}")
            elif ours:
                position = layout.index(ours)
                if position in columns:
                    raise InputError(f"point {component.name}/{point} occurs twice")
                columns[position] = start + offset
        start += len(component.points)
    if unknown:
        raise InputError(
            f"{plural(len(unknown), 'point')} that MediaPipe Holistic does not have: {', '.join(unknown[:5])}; needed "
            "its own names, e.g. LEFT_SHOULDER, INDEX_FINGER_TIP, or 0 to 467 in the face"
        )
    if not columns:
        kind = "OpenPose" if any("keypoints_2d" in component.name for component in components) else "another"
        raise InputError(
            f"{kind} layout; got components {listing}, needed at least one of {', '.join(COMPONENTS)}; "
            "estimate the poses again with MediaPipe Holistic"
        )
    positions = np.array(list(columns), dtype=np.int64)
    return np.array(list(columns.values()), dtype=np.int64), positions


def _our_name(group: str, point: str) -> str | None:
    """Returns the layout's name of a pose-format point; empty for an iris point (not kept), None for an unknown one."""
    if group == "face":
        if not (point.isascii() and point.isdecimal()):
            return None
        number = int(point)
        if number >= layout.NUM_FACE_POINTS:
            return "" if number < layout.NUM_FACE_POINTS + _NUM_IRIS_POINTS else None
        return f"face.{number}"
    part = point.lower().replace("_finger", "") if group.endswith("hand") else point.lower()
    name = f"{group}.{part}"
    return name if name in layout.POINT_NAMES else None


def _one_person(body: Any, person: int, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns coordinates (T, N, D), NaN if masked, and confidence (T, N) of one person."""
    # Damaged bytes can be NaN of a kind that NumPy warns of.
    with np.errstate(invalid="ignore"):
        data = np.ma.filled(np.ma.asarray(body.data).astype(np.float64), np.nan)
        confidence = np.nan_to_num(np.ma.filled(np.ma.asarray(body.confidence).astype(np.float64), 0.0))
    frames, people = data.shape[:2]
    if frames == 0:
        raise InputError("no frames")
    if frames > MAX_FRAMES:
        raise InputError(f"{plural(frames, 'frame')}; needed at most {MAX_FRAMES:,}")
    if person >= people:
        raise InputError(f"--person is {person}, but the file has {people} persons (the first is 0); change --person")
    if people > 1:
        notes.append(f"{people} persons in a file, number {person} used; the format does not track identities")
    return data[:, person], confidence[:, person]


def _check_pixels(points: np.ndarray, positions: np.ndarray, height: int) -> None:
    """Raises InputError if points (T, N, 3), which may be NaN, cannot be pixels of an image of this height."""
    low, high = np.nanpercentile(points[..., :2], (1, 99), axis=(0, 1))
    extent = float((high - low).max())
    if extent < _LEAST_EXTENT * height:
        raise InputError(
            f"the points span {extent:.3g} in an image {height} pixels high, so they are not in pixels (Pose.normalize "
            "was applied, or they are fractions of the image); needed the file as the estimator wrote it"
        )
    for hand in ("left_hand", "right_hand"):
        _check_hand_moves(points, positions, hand)


def _check_hand_moves(points: np.ndarray, positions: np.ndarray, hand: str) -> None:
    """Raises InputError if the fingers of a hand move but its wrist does not."""
    part = layout.GROUPS[hand]
    of_hand = points[:, (positions >= part.start) & (positions < part.stop), :2]
    wrist = points[:, positions == layout.index(f"{hand}.wrist"), :2]
    if wrist.shape[1] == 0:
        return
    complete = np.isfinite(of_hand).all(axis=(1, 2))
    if complete.sum() < _STILL_FRAMES:
        return
    if np.ptp(wrist[complete], axis=0).max() < _STILL * np.ptp(of_hand[complete], axis=0).max():
        raise InputError(
            f"the wrist of the {hand.replace('_', ' ')} does not move while its fingers do: each frame was normalised "
            "by itself, so the position of the hand is lost; needed the file as the estimator wrote it"
        )


def _depth(z: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, bool]:
    """Returns z (T, N) relative to its origin, and whether an offset was removed.

    MediaPipe measures the body's z from the hips and a hand's z from its wrist, so their z is the offset.
    """
    if not np.isfinite(z).any() or abs(np.nanmedian(z)) <= _LARGEST_Z:
        return z, False
    zeros = z[:, np.isin(positions, layout.indices(*_DEPTH_ORIGINS))]
    return z - np.nanmedian(zeros if np.isfinite(zeros).any() else z), True


def _is_bounding_box(points: np.ndarray, width: int, height: int) -> bool:
    """Returns whether the header's size is the bounding box of the points (Pose.focus), not the size of an image."""
    low = np.nanmin(points[..., :2], axis=(0, 1))
    high = np.nanmax(points[..., :2], axis=(0, 1))
    return bool((np.abs(low) < 1e-6).all() and (np.ceil(high) == (width, height)).all())


def _load(path: Path | Member) -> Any:
    pose_format = require_pose_format()
    content = read_bytes(path, CLIP)
    if not content:
        raise InputError("an empty file")
    try:
        return pose_format.Pose.read(content)
    except Exception as error:
        # The parser does not check its input: damaged bytes cause a dozen kinds of errors.
        raise InputError(f"not a readable .pose file ({type(error).__name__}: {error})") from None
