"""Converts JSON of MediaPipe Tasks (hand, pose, face and holistic landmarker; Python, JavaScript, Swift) into landmark
files.

A file is a clip: a list of frames, alone or under `frames`. A frame holds the results of one or more landmarkers under
their own names (landmarks, poseLandmarks, hand_landmarks, ...), with `timestamp` if known. World landmarks are left
out. Hands of the hand landmarker go to the nearer wrist of the pose. Without a pose their handedness decides. What it
calls right depends on MediaPipe's version and on whether the image was mirrored; --swap_hands exchanges the hands.

Next step: signloom import clips DIR for isolated signs, or isharah, ... with --landmarks DIR for sentences
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from signloom import frame_times, layout
from signloom.errors import InputError, plural
from signloom.files.reading import read_json
from signloom.files.schemas import fits
from signloom.hints import command
from signloom.importers.convert_landmarks import Conversion, convert, find_files, one_clip, report_conversion
from signloom.importers.keypoints import KeypointOptions, KeypointSettings, one_person, spread, to_landmarks, with_shape
from signloom.importers.point_lists import LAYOUT_543
from signloom.landmarks import MAX_FRAMES, Fps, Landmarks, Pixels

SUFFIX = ".json"
# The mesh may have ten more points, the irises.
_COUNTS = {21: "hand", 33: "pose", 468: "face", 478: "face"}
# The shape of the image is estimated from so many clips.
_SAMPLED = 12
# What people call the parts themselves, without `landmarks`.
_SHORT_NAMES = ("pose", "body", "face", "hands", "lefthand", "righthand")
_FRAMES = ("frames", "results", "data")
# Median steps between time stamps in seconds are below the first, in milliseconds below the second, else microseconds.
_LARGEST_STEPS = ((1.5, 1.0), (5000.0, 1e-3), (np.inf, 1e-6))
_POSE_WRISTS = layout.indices("pose.left_wrist", "pose.right_wrist")


@dataclass(frozen=True, kw_only=True)
class Options(KeypointOptions):
    """Options of `signloom import mediapipe_tasks`."""

    sources: list[Path]
    """JSON files of one clip each, or folders that contain such files"""
    swap_hands: bool = False
    """exchange left and right where only handedness tells the hands apart"""


@dataclass
class _Frame:
    """What one frame shows.  Points are (N, 4): x, y, z, visibility.

    hands: with the side that handedness gives, or "".  sides: the hands whose side is sure.
    """

    seconds: float | None = None
    people: list[np.ndarray] = field(default_factory=list)
    faces: list[np.ndarray] = field(default_factory=list)
    hands: list[tuple[str, np.ndarray]] = field(default_factory=list)
    sides: dict[str, np.ndarray] = field(default_factory=dict)


def run(options: Options) -> int:
    """Converts every file; returns exit status 0, or 1 if some failed."""
    files = find_files(options.sources, (SUFFIX,), options.output)
    some = [partial(read_clip, path, reading=options.reading()) for path, _ in spread(files, _SAMPLED)]
    reading = with_shape(options.reading(), some, str(options.sources[0]))
    outcome = convert(
        files,
        options.output,
        one_clip(partial(read_clip, reading=reading, swap_hands=options.swap_hands)),
        importer="mediapipe_tasks",
        settings={**asdict(reading), "swap_hands": options.swap_hands},
        dry_run=options.dry_run,
    )
    return report_conversion(
        outcome, next_step=f"{command('import', 'clips', options.output, output='CORPUS')}  # of isolated signs"
    )


def read_clip(
    path: Path, *, reading: KeypointSettings, swap_hands: bool = False, outcome: Conversion | None = None
) -> Landmarks:
    """Returns the landmarks in a JSON file.  outcome: gets remarks.

    Raises InputError for damaged files, and for files without landmarks.
    """
    content = read_json(path)
    info = content if isinstance(content, dict) else {}
    entries = next((info[key] for key in _FRAMES if isinstance(info.get(key), list)), content)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError("no list of frames; needed a list, or a list under 'frames', of a landmarker's results")
    if not 0 < len(entries) <= MAX_FRAMES:
        raise InputError(f"{plural(len(entries), 'frame')}; needed 1 to {MAX_FRAMES:,}")
    frames = []
    for number, entry in enumerate(entries):
        try:
            frames.append(_frame(entry))
        except InputError as error:
            raise InputError(f"frame {number}: {error}") from None
        except RecursionError:
            raise InputError(f"frame {number}: lists nested too deeply; needed lists of landmarks") from None
    notes: list[str] = []
    values, visibility = _assembled(frames, swap_hands, notes)
    if np.isnan(values).all():
        raise InputError("no landmarks in any frame; needed landmarks, poseLandmarks, handLandmarks, ... in its frames")
    reading = _with_given(reading, info)
    seconds = _seconds(frames) if reading.fps is None else None
    if seconds is not None:
        reading = replace(reading, fps=frame_times.mean_rate(seconds))
    landmarks = to_landmarks(values, LAYOUT_543, reading, seconds=seconds)
    if outcome is not None:
        outcome.notes.update(notes)
    return replace(landmarks, visibility=visibility)


def _assembled(frames: Sequence[_Frame], swap_hands: bool, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the points (T, 543, 3) of one person, NaN where missing, and the visibility (T, 33)."""
    values = np.full((len(frames), layout.NUM_POINTS, 3), np.nan)
    visibility = np.full((len(frames), layout.NUM_POSE_POINTS), np.nan)
    for group, found in (("pose", [f.people for f in frames]), ("face", [f.faces for f in frames])):
        if not any(found):
            continue
        points, several = one_person([_scored(entries) for entries in found])
        seen = points[..., 2].any(axis=1)
        values[seen, layout.GROUPS[group]] = points[seen][:, :, [0, 1, 3]]
        if group == "pose" and points[..., 4].any():
            visibility[seen] = points[seen][:, :, 4]
        if several:
            notes.append(f"several {'people' if group == 'pose' else 'faces'} in some frames; the largest was followed")
    guessed = disagreed = False
    for number, frame in enumerate(frames):
        sides = dict(frame.sides)
        wrists = values[number, _POSE_WRISTS, :2]
        if frame.hands and np.isfinite(wrists).all():
            placed, differs = _nearest(frame.hands, wrists)
            sides |= placed
            disagreed |= differs
        elif frame.hands:
            guessed = True
            sides |= _by_handedness(frame.hands, swap_hands)
        for side, hand in sides.items():
            values[number, layout.GROUPS[f"{side}_hand"]] = hand[:, :3]
    if disagreed:
        notes.append("handedness names another hand than the nearer wrist of the pose does; the wrists decided")
    if guessed:
        notes.append(
            "hands were told apart by their handedness alone; if signloom show draws them on the wrong sides, pass "
            "--swap_hands true"
        )
    return values, visibility


def _scored(entries: Sequence[np.ndarray]) -> np.ndarray:
    """Returns entries (N, 4) as `one_person` takes them: x, y, score 1, z, visibility."""
    if not entries:
        return np.zeros((0, 0, 5))
    points = np.stack(entries)
    return np.concatenate([points[..., :2], np.ones((*points.shape[:2], 1)), points[..., 2:]], axis=-1)


def _nearest(hands: Sequence[tuple[str, np.ndarray]], wrists: np.ndarray) -> tuple[dict[str, np.ndarray], bool]:
    """Returns the hands by side, each at the nearer wrist, and whether handedness says otherwise.

    wrists: (2, 2), left and right of the pose.
    """
    pairs = sorted(
        (float(np.linalg.norm(hand[0, :2] - wrists[place])), number, side)
        for number, (_, hand) in enumerate(hands)
        for place, side in enumerate(("left", "right"))
    )
    placed: dict[str, np.ndarray] = {}
    used: set[int] = set()
    differs = False
    for _, number, side in pairs:
        if side not in placed and number not in used:
            placed[side] = hands[number][1]
            used.add(number)
            differs |= hands[number][0] not in ("", side)
    return placed, differs


def _by_handedness(hands: Sequence[tuple[str, np.ndarray]], swap: bool) -> dict[str, np.ndarray]:
    """Returns the hands by side. A second hand of the same side is the other hand: a person has one of each."""
    other = {"left": "right", "right": "left"}
    placed: dict[str, np.ndarray] = {}
    for label, hand in hands[:2]:
        if not label:
            raise InputError("hands without handedness and without a pose; it cannot be told which is left")
        side = other[label] if swap else label
        placed[side if side not in placed else other[side]] = hand
    return placed


def _frame(entry: Mapping[str, Any]) -> _Frame:
    frame = _Frame(seconds=_time(entry))
    hands: list[np.ndarray] = []
    labels: list[str] = []
    for key, value in _parts(entry):
        if key.startswith("handedness") or key == "multihandedness":
            labels += _labels(value)
            continue
        side = re.fullmatch(r"(left|right)hand(landmarks)?", key)
        for points in _point_sets(value):
            kind = _COUNTS.get(len(points))
            if kind is None:
                raise InputError(f"{key} has {plural(len(points), 'point')}; needed {', '.join(map(str, _COUNTS))}")
            if side:
                frame.sides[side[1]] = points
            elif kind == "hand":
                hands.append(points)
            elif kind == "pose":
                frame.people.append(points)
            else:
                frame.faces.append(points[: layout.NUM_FACE_POINTS])
    if labels and len(labels) != len(hands):
        raise InputError(f"{plural(len(hands), 'hand')}, but {plural(len(labels), 'handedness', 'handednesses')}")
    frame.hands = list(zip(labels or [""] * len(hands), hands, strict=True))
    return frame


def _parts(entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the landmark lists of a frame, and of results in it, with their keys without case and underscores."""
    for key, value in entry.items():
        plain = key.replace("_", "").lower()
        if "world" in plain:
            continue
        listed = plain in _SHORT_NAMES and isinstance(value, list)
        if plain.endswith("landmarks") or "handedness" in plain or listed:
            yield plain, value
        elif isinstance(value, Mapping):
            yield from _parts(value)


def _point_sets(value: Any) -> Iterator[np.ndarray]:
    """Yields the points (N, 4) of each detection: a list of landmarks, or a list of such lists."""
    if not isinstance(value, list):
        if isinstance(value, Mapping) and isinstance(value.get("landmark"), list):
            yield from _point_sets(value["landmark"])
        elif value is not None:
            raise InputError(f"landmarks that are a {type(value).__name__}; needed lists of x, y and z")
        return
    if not value:
        return
    first = value[0]
    if (isinstance(first, Mapping) and "x" in first) or (isinstance(first, list) and first and _is_number(first[0])):
        yield np.array([_point(item) for item in value])
        return
    for item in value:
        yield from _point_sets(item)


def _point(item: Any) -> tuple[float, float, float, float]:
    if isinstance(item, Mapping):
        numbers = [item.get("x"), item.get("y"), item.get("z", 0), item.get("visibility", 0)]
    else:
        numbers = [*item, 0, 0][:4] if isinstance(item, list) and len(item) >= 2 else [None]
    if not all(_is_number(number) for number in numbers[:3]):
        raise InputError(f"a landmark {str(item)[:60]}; needed numbers x, y and z")
    x, y, z = map(float, numbers[:3])
    return x, y, z, float(numbers[3]) if _is_number(numbers[3]) else 0.0


def _is_number(value: Any) -> bool:
    # JSON may hold whole numbers that no floating point number can.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not abs(value) > sys.float_info.max


def _labels(value: Any) -> list[str]:
    """Returns `left` or `right` for each hand, from categories, or lists of them with the likeliest first."""
    labels = []
    for item in value if isinstance(value, list) else []:
        while isinstance(item, list) and item:
            item = item[0]
        name = item
        if isinstance(item, Mapping):
            name = next((item[key] for key in ("categoryName", "category_name", "label") if key in item), "")
        if str(name).lower() not in ("left", "right"):
            raise InputError(f"handedness {str(item)[:60]}; needed Left or Right as categoryName")
        labels.append(str(name).lower())
    return labels


def _time(entry: Mapping[str, Any]) -> float | None:
    """Returns the time stamp of a frame as it stands, in milliseconds if its key says so."""
    for key, value in entry.items():
        plain = key.replace("_", "").lower()
        if (
            plain in ("timestamp", "timestampms", "time", "timems", "seconds")
            and _is_number(value)
            and math.isfinite(value)
        ):
            return float(value) / 1000 if plain.endswith("ms") else float(value)
    return None


def _seconds(frames: Sequence[_Frame]) -> np.ndarray | None:
    """Returns the times of the frames from the first on, (T,); None if some are unknown, or for a single frame.

    Raises InputError unless they ascend.
    """
    times = [frame.seconds for frame in frames]
    if len(times) < 2 or any(time is None for time in times):
        return None
    stamps = np.array(times, dtype=np.float64)
    steps = np.diff(stamps)
    if (back := np.flatnonzero(steps <= 0)).size:
        number = int(back[0]) + 1
        raise InputError(
            f"frame {number}: its time stamp {stamps[number]:g} is not after that of the frame before, "
            f"{stamps[number - 1]:g}; pass --fps to ignore the time stamps"
        )
    unit = next(unit for most, unit in _LARGEST_STEPS if float(np.median(steps)) < most)
    return np.asarray((stamps - stamps[0]) * unit)


_Size = tuple[Pixels, Pixels]


def _with_given(reading: KeypointSettings, info: Mapping[str, Any]) -> KeypointSettings:
    """Returns the settings with the frame rate and image size that a file gives; options override them."""
    plain = {key.replace("_", "").lower(): value for key, value in info.items()}
    width, height = (plain.get(key, plain.get(f"video{key}", plain.get(f"image{key}"))) for key in ("width", "height"))
    if (
        reading.image_size is None
        and isinstance(width, int)
        and isinstance(height, int)
        and fits(_Size, (width, height))
    ):
        reading = replace(reading, image_size=(width, height))
    if reading.fps is None and fits(Fps, plain.get("fps")):
        reading = replace(reading, fps=float(plain["fps"]))
    return reading
