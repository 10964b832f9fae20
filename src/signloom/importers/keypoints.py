"""Turns arrays of another tool's points into landmarks: units, image, missing points, several people.

Shapes: T frames, N points of a `PointList`. Every importer of a point list uses `to_landmarks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from signloom import layout
from signloom.anatomy.aspect import SHAPES, estimate_aspect
from signloom.console import say
from signloom.errors import InputError, plural
from signloom.importers.convert_landmarks import CameraInfo, ConvertOptions
from signloom.importers.point_lists import PointList
from signloom.landmarks import MAX_FRAMES, Landmarks

T = TypeVar("T")
# In the record of a clip, what its coordinates were.
_FRACTIONS = "fractions"
# Of fractions, which do not show the image's shape, if people do not tell it.
ASSUMED_IMAGE_SIZE = (1280, 720)

# Fractions of an image are below this, also for legs estimated below the image; pixels are above.
_LARGEST_FRACTION = 8.0
# Keypoints in pixels span at least this much.
_LEAST_EXTENT_PIXELS = 8.0
_LARGEST_EXCESS = 1.5
# Of points of head, arms and hands in the image, hardly any is left of it or above it. Points relative to a nose or a
# wrist are in half of the cases.
_OUTSIDE_SHARE = 0.2
_LOWER_BODY = ("hip", "knee", "ankle", "heel", "foot_index")
# A person moves less than this share of the own extent from one frame to the next.
_SAME_PERSON = 0.5
# People differ by up to 6 % in the proportions that are measured; the next usual shape is a third wider.
_STRETCHED = 1.25
# So many numbers of frames may be missing for each that is there, as where nobody was found.
_MOST_MISSING = 20
# How writers mark what was not detected, besides NaN and scores: both coordinates are this.
_UNDETECTED = (0.0, -1.0)


@dataclass(frozen=True)
class KeypointSettings(CameraInfo):
    """How to read keypoints; None for the default: what the file says, else the list's own, else an assumed value.

    min_score: points with a lower score are missing.
    shape: the estimated shape of the image, one of `aspect.SHAPES`; for fractions of an image of unknown size.
    """

    min_score: float | None = None
    shape: str | None = None


@dataclass(frozen=True, kw_only=True)
class KeypointOptions(ConvertOptions):
    """Options of all importers of keypoints."""

    image_size: str | None = None
    """width x height of the video in pixels, e.g. 1280x720; default: from the file, else the area that a clip's points
    cover; for fractions of the image the shape that makes faces and bodies usual, or 1280x720 if they do not tell"""
    pixel_aspect: float | None = None
    """width of a pixel divided by its height; default: 1"""
    fps: float | None = None
    """frames per second of the video; default: from the file, else 25"""
    min_score: float | None = None
    """points with a lower score are missing; default: the usual limit of the tool"""

    def reading(self) -> KeypointSettings:
        """Returns the settings. Raises InputError for invalid values."""
        if self.min_score is not None and not 0 <= self.min_score < 1:
            raise InputError(f"--min_score is {self.min_score}; needed 0 to below 1")
        return KeypointSettings.given(self.fps, self.image_size, self.pixel_aspect, min_score=self.min_score)


def to_landmarks(
    values: Any,
    points: PointList,
    reading: KeypointSettings,
    *,
    scores: Any = None,
    seconds: np.ndarray | None = None,
    assumed_fps: float | None = None,
    source: dict[str, Any] | None = None,
) -> Landmarks:
    """Returns the landmarks of keypoints.

    values: (T, N, 2), x and y in pixels or as fractions of the image (told apart by their size), or (T, N, 3) with z
    for lists that have it.
    scores: (T, N), 0 to 1. A point is missing if its score is 0 or below `min_score`, or if it is at (0, 0) or
    (-1, -1).
    Scores become the visibility of body points.
    seconds: (T,), the time of every frame.  assumed_fps: where `reading` has none, in place of the list's own.

    A list without depth gets z = 0. What `reading` lacks is assumed, and recorded as assumed: the image's size from the
    area that points in pixels cover.

    Raises InputError for wrong shapes, and for values that are neither pixels nor fractions of an image.
    """
    values = checked(values, points, depth=points.z_in_widths)
    known_scores = scores is not None
    scores = _checked_scores(scores, values) if known_scores else np.full(values.shape[:2], np.nan)
    least = points.min_score if reading.min_score is None else reading.min_score
    xy = values[..., :2].astype(np.float64)
    detected = np.isfinite(xy).all(axis=-1)
    detected &= ~np.any([(xy == mark).all(axis=-1) for mark in _UNDETECTED], axis=0)
    if known_scores:
        detected &= (scores >= least) & (scores > 0)
    if not detected.any():
        raise InputError(
            f"no keypoint in any frame has a score of {least:g} or more; lower --min_score"
            if known_scores and (scores > 0).any()
            else "nothing was detected in any frame"
        )
    fractions = float(np.percentile(np.abs(xy[detected]), 99)) <= _LARGEST_FRACTION
    in_picture = _points_in_picture(xy, detected, points)
    _refuse_normalised(in_picture, fractions)
    if not fractions:
        _check_pixels(in_picture, reading.image_size)
    assumed = reading.unknown("pixel_aspect", "fps", "image_size")
    guessed = SHAPES[reading.shape] if reading.shape else ASSUMED_IMAGE_SIZE
    width, height = reading.image_size or (guessed if fractions else _covered(xy[detected]))
    origin = {"units": _FRACTIONS if fractions else "pixels", **(source or {})}
    if fractions and reading.image_size is None and reading.shape:
        origin["estimated"] = {"image_size": reading.shape}
    aspect = 1.0 if reading.pixel_aspect is None else reading.pixel_aspect
    across = width / height * aspect
    scale = np.array([across, 1.0]) if fractions else np.array([aspect / height, 1 / height])
    scaled = np.where(detected[..., None], xy * scale, np.nan)
    if values.shape[-1] == 3:
        depth = np.where(detected, values[..., 2].astype(np.float64) * across, np.nan)
    else:
        depth = np.where(detected, 0.0, np.nan)
        assumed = ("z", *assumed)
    result = np.full((len(values), layout.NUM_POINTS, 3), np.nan)
    shown = np.full((len(values), layout.NUM_POSE_POINTS), np.nan)
    for name, parts in points.sources.items():
        place = layout.index(name)
        result[:, place, :2] = scaled[:, parts].mean(axis=1)
        result[:, place, 2] = depth[:, parts].mean(axis=1)
        if place < layout.NUM_POSE_POINTS:
            shown[:, place] = np.clip(scores[:, parts[0]], 0, 1)
    return Landmarks(
        result,
        shown,
        fps=reading.fps or assumed_fps or points.assumed_fps,
        image_size=(width, height),
        pixel_aspect=aspect,
        assumed=assumed,
        seconds=seconds,  # type: ignore[arg-type]
        source=origin,
    )


def with_shape(reading: KeypointSettings, sample: Iterable[Callable[[], Landmarks]], place: str) -> KeypointSettings:
    """Returns the settings with the shape of the image that makes the people of some clips usual, if it is not given.

    sample: each returns the landmarks of a clip of one camera; clips that cannot be read are left to the importer.
    place: for the message that says what was estimated.

    Only clips in fractions of an image of unknown size count: pixels show the image's shape. Pixels that show a shape
    which no pixels have get a warning.
    """
    fractions, pixels = [], []
    for read in sample:
        try:
            clip = read()
        except InputError:
            continue
        if clip.source.get("units") != _FRACTIONS:
            pixels.append(clip.points)
        elif "image_size" in clip.assumed:
            fractions.append(clip.points / np.array([clip.aspect, 1, clip.aspect], dtype=np.float32))
    _warn_of_stretched(pixels, place)
    if reading.image_size is not None:
        return reading
    estimate = estimate_aspect(np.concatenate(fractions)) if fractions else None
    if estimate is None or estimate.name is None:
        return reading
    say(f"{place}: images of {estimate.name}, estimated: {estimate} (--image_size overrides)")
    return replace(reading, shape=estimate.name)


def _warn_of_stretched(pixels: Sequence[np.ndarray], place: str) -> None:
    """Prints a warning if points (T, 543, 3) in pixels, the same in x and y, show faces or bodies too wide or narrow.

    OpenHands' script for arrays, for one, multiplies x by the height of the image and y by its width.
    """
    estimate = estimate_aspect(np.concatenate(pixels)) if pixels else None
    if estimate is not None and estimate.by and not 1 / _STRETCHED <= estimate.ratio <= _STRETCHED:
        say(
            f"warning: {place}: the points are stretched: a {estimate.by} would be usual if it were "
            f"{estimate.ratio:.2f} times as wide. Perhaps x and y were multiplied by the wrong sizes, or pixels are "
            "not square (--pixel_aspect)"
        )


def spread(items: Sequence[T], count: int) -> list[T]:
    """Returns up to `count` of the items, evenly spread, in their order."""
    return list(items[:: max(1, -(-len(items) // count))])


def checked(values: Any, points: PointList, *, depth: bool = False) -> np.ndarray:
    """Returns `values` as an array (T, N, 2), or (T, N, 3) with depth.  Raises InputError for anything else."""
    needed = f"(T, {points.num_points}, {'2 or 3' if depth else '2'})"
    if not isinstance(values, np.ndarray):
        raise InputError(f"keypoints are a {type(values).__name__}; needed an array {needed}")
    allowed = (2, 3) if depth else (2,)
    if values.ndim != 3 or values.shape[1] != points.num_points or values.shape[2] not in allowed:
        raise InputError(f"an array of shape {values.shape}, needed {needed}: the points of {points.title}")
    check_frames(values)
    return values


def check_frame_numbers(first: int, last: int, count: int) -> None:
    """Raises InputError if `count` frames are numbered from `first` to `last` and nearly all between are missing.

    Every missing one takes memory, too.
    """
    most = min(MAX_FRAMES, _MOST_MISSING * count + 1000)
    if last - first >= most:
        raise InputError(
            f"{plural(count, 'frame')} with numbers from {first} to {last}; needed at most {most:,} for so many"
        )


def check_frames(values: np.ndarray) -> None:
    """Raises InputError unless the array has frames, not too many, of numbers."""
    if not 0 < len(values) <= MAX_FRAMES:
        raise InputError(f"{plural(len(values), 'frame')}; needed 1 to {MAX_FRAMES:,}")
    if values.dtype.kind not in "fiu":
        raise InputError(f"an array of type {values.dtype}, needed numbers")


def _checked_scores(scores: Any, values: np.ndarray) -> np.ndarray:
    if not isinstance(scores, np.ndarray):
        raise InputError(f"scores are a {type(scores).__name__}; needed an array (T, N)")
    if scores.shape == (*values.shape[:2], 1):
        scores = scores[..., 0]
    if scores.shape != values.shape[:2] or scores.dtype.kind not in "fiub":
        raise InputError(f"scores of shape {scores.shape} for keypoints of shape {values.shape}")
    return np.nan_to_num(scores.astype(np.float64))


def _points_in_picture(xy: np.ndarray, detected: np.ndarray, points: PointList) -> np.ndarray:
    """Returns the detected points (n, 2) of head, arms and hands; estimators guess legs far below the image."""
    upper = sorted({part for name, parts in points.sources.items() if not name.endswith(_LOWER_BODY) for part in parts})
    return xy[:, upper][detected[:, upper]]


def _refuse_normalised(known: np.ndarray, fractions: bool) -> None:
    """Raises InputError if many of the points (n, 2) are left of the image or above it, or far outside."""
    if not len(known):
        return
    margin = 0.02 * float(np.percentile(np.abs(known), 99))
    negative = float((known < -margin).any(axis=-1).mean())
    beyond = float((known > _LARGEST_EXCESS).any(axis=-1).mean()) if fractions else 0.0
    for share, what in ((negative, "have negative coordinates"), (beyond, f"are above {_LARGEST_EXCESS:g}")):
        if share > _OUTSIDE_SHARE:
            raise InputError(
                f"{100 * share:.0f} % of the points of head, arms and hands {what}: they are relative to a point of "
                "the body, or were normalised, which cannot be undone; needed pixels, or fractions of the image"
            )


def _check_pixels(known: np.ndarray, image_size: tuple[int, int] | None) -> None:
    """Raises InputError unless points (n, 2) span some pixels and fit into the image, if its size is known."""
    if not len(known):
        return
    low, high = np.percentile(known, (1, 99), axis=0)
    if (high - low).max() < _LEAST_EXTENT_PIXELS:
        raise InputError(
            f"the keypoints span {(high - low).max():.3g}: too little for pixels, too much for fractions of the image; "
            "needed pixels, or fractions of the image"
        )
    if image_size is not None and (high > np.multiply(_LARGEST_EXCESS, image_size)).any():
        raise InputError(
            f"keypoints from ({low[0]:.0f}, {low[1]:.0f}) to ({high[0]:.0f}, {high[1]:.0f}) exceed an image of "
            f"{image_size[0]}x{image_size[1]}; give the size of the original video as --image_size"
        )


def _covered(values: np.ndarray) -> tuple[int, int]:
    """Returns width and height of the area from the image's corner that points (n, 2) cover."""
    width, height = (max(1, int(np.ceil(edge))) for edge in values.max(axis=0))
    return width, height


@dataclass
class _Person:
    """One person over the frames: the entry in each frame, where and how large the person was last seen, and the sum of
    extent times score.
    """

    entries: dict[int, int]
    centre: np.ndarray
    extent: float
    weight: float


def one_person(frames: Sequence[np.ndarray], *, person: int = 0) -> tuple[np.ndarray, int]:
    """Returns the points (T, N, C) of one of several people, and the number of frames with several people.

    frames: per frame (people, N, C): x, y, score, and further columns; there may be none.
    person: 0 is the person whose size, added over the frames, is largest; 1 the next, and so on.

    People are followed by their position, because estimators list them in any order. People who are never in a frame
    together count as one. A frame without the person is all zero.

    Raises InputError if there are fewer people.
    """
    people: list[_Person] = []
    for number, points in enumerate(frames):
        _follow(people, number, [_extent(entry) for entry in points])
    people.sort(key=lambda item: -item.weight)
    merged: list[_Person] = []
    for item in people:
        same = next((other for other in merged if other.entries.keys().isdisjoint(item.entries)), None)
        if same is None:
            merged.append(item)
        else:
            same.entries |= item.entries
    if person >= len(merged):
        found = f"{plural(len(merged), 'person was', 'people were')} found" if merged else "nobody was found"
        raise InputError(f"{found} in its {plural(len(frames), 'frame')}; --person is {person}, the first is 0")
    shape = next(points.shape[1:] for points in frames if len(points))
    result = np.zeros((len(frames), *shape))
    for number, entry in merged[person].entries.items():
        result[number] = frames[number][entry]
    return result, sum(len(points) > 1 for points in frames)


def _follow(people: list[_Person], number: int, seen: Sequence[tuple[np.ndarray, float, float] | None]) -> None:
    """Adds what is seen in frame `number` to the nearest of `people`, or as new people."""
    entries = {entry: box for entry, box in enumerate(seen) if box is not None}
    pairs = sorted(
        (float(np.linalg.norm(centre - other.centre)) / max(other.extent, extent, 1e-9), which, entry)
        for entry, (centre, extent, _) in entries.items()
        for which, other in enumerate(people)
    )
    taken = set()
    for distance, which, entry in pairs:
        if distance > _SAME_PERSON or which in taken or entry not in entries:
            continue
        taken.add(which)
        other = people[which]
        other.centre, other.extent, weight = entries.pop(entry)
        other.entries[number] = entry
        other.weight += weight
    people += [_Person({number: entry}, *box) for entry, box in entries.items()]


def _extent(points: np.ndarray) -> tuple[np.ndarray, float, float] | None:
    """Returns the centre of a person's points (N, C), their extent, and extent times mean score; None without any."""
    known = (points[:, 2] > 0) & np.isfinite(points).all(axis=-1)
    if not known.any():
        return None
    xy = points[known, :2]
    # Without the outermost points, which may be stray.
    low, high = np.percentile(xy, (10, 90), axis=0)
    extent = float(np.linalg.norm(high - low))
    return np.median(xy, axis=0), extent, extent * float(points[known, 2].sum()) / len(points)
