"""Converts OpenPose's JSON files (one per frame) into landmark files.

A clip is a folder of <clip>_<frame>_keypoints.json; a folder with the frames of several clips is divided by the part of
the name before the frame. Read are 25 (or 18) body points, 70 face points and 21 points per hand: x and y in pixels (or
fractions of the image) and a score. The 68 face points of the mark-up become the points of MediaPipe's mesh at the same
place; z is 0. In a frame with several people, the person who is largest over the clip is followed; --person chooses
another. Frames that are missing between the others are kept as frames without points, so that times stay right.

Next step: join the landmark files with annotations, e.g. signloom import isharah --landmarks DIR
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from signloom.errors import Faults, InputError, plural
from signloom.files.paths import files_of, resolved
from signloom.files.reading import read_json, sha256_of
from signloom.importers.convert_landmarks import Conversion, convert, one_clip, report_conversion
from signloom.importers.keypoints import (
    KeypointOptions,
    KeypointSettings,
    check_frame_numbers,
    one_person,
    to_landmarks,
)
from signloom.importers.point_lists import OPENPOSE, OPENPOSE_18, PointList
from signloom.importers.recognise import hint
from signloom.landmarks import Landmarks

SUFFIX = ".json"
_FRAME = re.compile(r"\A(?P<clip>.*?)_?(?P<frame>\d+)(?:_keypoints)?\Z")
# Each part's keys, today's first, and its number of points; the body has 25 or 18.
_PARTS = {
    ("face_keypoints_2d", "face_keypoints"): 70,
    ("hand_left_keypoints_2d", "hand_left_keypoints"): 21,
    ("hand_right_keypoints_2d", "hand_right_keypoints"): 21,
}
_BODY = ("pose_keypoints_2d", "pose_keypoints")
_BODIES = {25: OPENPOSE, 18: OPENPOSE_18}


@dataclass(frozen=True, kw_only=True)
class Options(KeypointOptions):
    """Options of `signloom import openpose`."""

    sources: list[Path]
    """folders of JSON files, or folders that contain such folders"""
    person: int = 0
    """the person to follow where there are several; 0 is the one who is largest over the clip"""


@dataclass(frozen=True)
class FrameFiles:
    """The frames of a clip: its name, and its files by frame number, ascending."""

    name: str
    files: Mapping[int, Path]

    def sha256(self) -> str:
        """Returns a hash of all files and their numbers."""
        lines = "".join(f"{number} {sha256_of(path)}\n" for number, path in self.files.items())
        return hashlib.sha256(lines.encode()).hexdigest()


def run(options: Options) -> int:
    """Converts every clip; returns exit status 0, or 1 if some failed."""
    if options.person < 0:
        raise InputError(f"--person is {options.person}; needed 0 or more")
    reading = options.reading()
    clips = find_clips(options.sources, options.output)
    read = partial(read_clip, clips, reading=reading, person=options.person)
    outcome = convert(
        [(place, clip.name) for place, clip in clips.items()],
        options.output,
        one_clip(read),
        importer="openpose",
        settings={**asdict(reading), "person": options.person},
        dry_run=options.dry_run,
        digest=lambda place: clips[place].sha256(),
    )
    return report_conversion(outcome, join_with="isharah")


def find_clips(sources: Iterable[Path], output: Path) -> dict[Path, FrameFiles]:
    """Returns the clips in folders of JSON files, each under its place: <folder>/<part of the name before the frame>.

    Raises InputError for sources that do not exist or have no frames, two clips of the same name, and two files of the
    same frame.
    """
    faults = Faults("sources")
    clips: dict[Path, FrameFiles] = {}
    names: dict[str, Path] = {}
    for source in sources:
        groups: defaultdict[tuple[Path, str], list[tuple[int, Path]]] = defaultdict(list)
        for path in files_of(source, faults):
            match = _FRAME.match(path.stem)
            if path.suffix.lower() == SUFFIX and match and not resolved(path).is_relative_to(resolved(output)):
                groups[path.parent, match["clip"]].append((int(match["frame"]), path))
        if not groups and source.exists():
            faults.add(
                f"{source}: no frames <clip>_<number>_keypoints{SUFFIX} in this folder, as OpenPose's --write_json "
                f"makes them{hint(source, other_than='openpose')}"
            )
        root = source if source.is_dir() else source.parent
        alone = {folder for folder, _ in groups if sum(other == folder for other, _ in groups) == 1}
        for (folder, prefix), frames in groups.items():
            below = folder.relative_to(root)
            # A folder of one clip names it; in a folder of several, their own names do.
            clip_name = below.as_posix() if folder in alone and below.parts else (below / prefix).as_posix()
            name = clip_name if clip_name != "." else root.resolve().name
            numbers = [number for number, _ in frames]
            if len(set(numbers)) < len(numbers):
                again = next(number for number in numbers if numbers.count(number) > 1)
                faults.add(f"{folder}: two files of frame {again} of {name}; remove one")
            if name in names and names[name] != folder / prefix:
                faults.add(f"{folder / prefix} and {names[name]} are both named {name}; convert them apart")
            names[name] = folder / prefix
            clips[folder / prefix] = FrameFiles(name, dict(sorted(frames)))
    faults.raise_if_any()
    return clips


def read_clip(
    clips: Mapping[Path, FrameFiles],
    place: Path,
    *,
    reading: KeypointSettings,
    person: int = 0,
    outcome: Conversion | None = None,
) -> Landmarks:
    """Returns the landmarks of the clip at `place`.

    outcome: gets remarks about several people and missing frames.

    Raises InputError for damaged files and other points, and if nobody was found.
    """
    files = clips[place].files
    first, last = min(files), max(files)
    check_frame_numbers(first, last, len(files))
    frames: list[np.ndarray] = []
    points: PointList | None = None
    for number in range(first, last + 1):
        people = _people(files[number]) if number in files else []
        bodies = {len(person_points) for person_points in people}
        if bodies - ({points.num_points} if points else bodies) or len(bodies) > 1:
            raise InputError(f"{files[number].name}: other body points than before; needed the same for all frames")
        if bodies and points is None:
            points = next(item for item in _BODIES.values() if {item.num_points} == bodies)
        frames.append(np.array(people, dtype=np.float64).reshape(len(people), -1, 3) if people else np.zeros((0, 0, 3)))
    if points is None:
        raise InputError(f"nobody was found in any of its {plural(len(files), 'frame')}")
    missing = last - first + 1 - len(files)
    if missing and outcome is not None:
        outcome.notes["a frame between the others has no file; kept as a frame without points"] += missing
    values, several = one_person(frames, person=person)
    if several and outcome is not None:
        outcome.notes["several people in some frames; the largest was followed (another: --person 1)"] += 1
    return to_landmarks(values[..., :2], points, reading, scores=values[..., 2])


def _people(path: Path) -> list[np.ndarray]:
    """Returns the points (N, 3) of everybody in one frame."""
    content = read_json(path)
    people = content.get("people") if isinstance(content, dict) else None
    # Data sets of one signer, such as AI Hub's, have the person without a list.
    people = [people] if isinstance(people, dict) else people
    if not isinstance(people, list):
        raise InputError(f"{path.name}: no list 'people'; needed a file that OpenPose's --write_json made")
    return [_points_of(entry, path.name) for entry in people]


def _points_of(entry: Any, place: str) -> np.ndarray:
    if not isinstance(entry, dict):
        raise InputError(f"{place}: a person that is a {type(entry).__name__}; needed lists of keypoints")
    body = _part(entry, _BODY, tuple(_BODIES), place)
    return np.concatenate([body, *(_part(entry, keys, (count,), place) for keys, count in _PARTS.items())])


def _part(entry: dict[str, Any], keys: tuple[str, ...], counts: tuple[int, ...], place: str) -> np.ndarray:
    """Returns the points (N, 3) of a part; all zero where it was not estimated."""
    values: Any = next((entry[key] for key in keys if key in entry), [])
    if values == []:
        return np.zeros((counts[0], 3))
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.zeros((0, 0))
    if array.ndim != 1 or array.size not in [3 * count for count in counts]:
        needed = " or ".join(str(3 * count) for count in counts)
        raise InputError(
            f"{place}: {keys[0]} has {plural(array.size, 'number')}; needed {needed}: x, y and score of each point"
        )
    return np.nan_to_num(array).reshape(-1, 3)
