"""Reads clips of keypoints from .npy, .npz and pickle files: shared by the importers of point lists.

A file holds one clip (an array, or a dictionary of its arrays), or many clips (a dictionary or list of them). What a
dictionary of arrays may hold is the same everywhere: points, perhaps scores, image size, frame rate and gloss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from signloom.errors import InputError, plural, printable
from signloom.files.reading import open_file
from signloom.files.writing import write_text
from signloom.importers.convert_landmarks import Conversion, SourceClip, convert, find_files, load_arrays
from signloom.importers.keypoints import (
    KeypointOptions,
    KeypointSettings,
    check_frames,
    one_person,
    spread,
    to_landmarks,
    with_shape,
)
from signloom.importers.pickles import load_pickle
from signloom.importers.point_lists import PointList
from signloom.importers.recognise import hint_of_points
from signloom.landmarks import Landmarks

_ARRAYS = (".npy", ".npz")
_PICKLES = (".pkl", ".pickle")
_SUFFIXES = (*_ARRAYS, *_PICKLES, ".gz", ".train", ".dev", ".test")
POINT_KEYS = ("keypoints", "keypoint", "poses", "pose", "points", "data", "arr_0")
SCORE_KEYS = ("keypoint_scores", "scores", "score", "confidences", "confidence")
SIZE_KEYS = ("w_h", "image_size", "img_size", "video_size")
RATE_KEYS = ("fps", "video_fps")
# The shape of the image is estimated from so many clips of so many files.
_SAMPLED = 8


@dataclass
class Annotations:
    """The glosses found in pickles, by table and clip."""

    tables: dict[str, dict[str, str]] = field(default_factory=dict)

    def write(self, output: Path) -> list[Path]:
        """Writes <output>/<table>.csv with id|gloss for every table; returns the files."""
        return [
            write_text(output / f"{name}.csv", "\n".join(["id|gloss", *map("|".join, rows.items()), ""]))
            for name, rows in self.tables.items()
        ]


@dataclass(frozen=True)
class Reader:
    """What all clips of a conversion are read with.

    lists: the point lists that the importer knows, told apart by their number of points.
    person: of several people, see `one_person`.
    """

    lists: Sequence[PointList]
    reading: KeypointSettings
    person: int = 0

    def needed(self) -> str:
        return " or ".join(f"(T, {points.num_points}, 2)" for points in self.lists)

    def list_of(self, shape: Sequence[int]) -> PointList:
        """Returns the list of an array of this shape.  Raises InputError if there is none."""
        points = next((points for points in self.lists if len(shape) >= 2 and shape[-2] == points.num_points), None)
        if points is None:
            titles = ", ".join(f"{plural(points.num_points, 'point')} of {points.title}" for points in self.lists)
            known = [points.num_points for points in self.lists]
            other = hint_of_points(shape[-2], other_than=known) if len(shape) >= 2 else ""
            raise InputError(f"an array of shape {tuple(shape)}, needed {self.needed()}: {titles}{other}")
        return points


def convert_arrays(
    options: KeypointOptions, lists: Sequence[PointList], *, importer: str, person: int = 0
) -> tuple[Conversion, bool]:
    """Converts every clip of the sources; returns the result, and whether tables of glosses were found.

    lists: the point lists to accept.  The tables are written beside the landmark files and printed.
    """
    reader = Reader(lists, options.reading(), person)
    files = find_files(options.sources, _SUFFIXES, options.output, strip=(*_ARRAYS, *_PICKLES))
    place = str(options.sources[0])
    # A pickle of the same path may have been read before.
    _loaded.cache_clear()
    reader = replace(reader, reading=with_shape(reader.reading, _sample(files, reader), place))
    annotations = Annotations()
    outcome = convert(
        files,
        options.output,
        partial(read_clips, reader=reader, annotations=annotations),
        importer=importer,
        settings={**asdict(reader.reading), **({"person": person} if person else {})},
        dry_run=options.dry_run,
    )
    _loaded.cache_clear()
    if not options.dry_run:
        for table in annotations.write(options.output):
            print(f"{table}: {plural(len(annotations.tables[table.stem]), 'annotation')} (id|gloss)")
    return outcome, bool(annotations.tables)


def _sample(files: Sequence[tuple[Path, str]], reader: Reader) -> Iterator[Callable[[], Landmarks]]:
    """Yields readers of some clips of some files."""
    for path, _ in spread(files, _SAMPLED):
        # Its own outcome: what is remarked here is remarked again when all clips are read.
        outcome = Conversion("sample", path.parent)
        try:
            clips = list(read_clips(path, outcome, reader, Annotations()))
        except InputError:
            continue
        yield from (clip.landmarks for clip in spread(clips, _SAMPLED))


def read_clips(path: Path, outcome: Conversion, reader: Reader, annotations: Annotations) -> Iterator[SourceClip]:
    """Yields the clips of a .npy, .npz or pickle file; adds the glosses of a pickle to `annotations`.

    Raises InputError for any other file.
    """
    if is_array(path):
        yield SourceClip(None, partial(_clip_of_file, path, reader, outcome))
        return
    content = _loaded(path)
    if _is_clip(content):
        yield SourceClip(None, partial(landmarks_of, content, reader, outcome))
        return
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
            if "|" in gloss + name or "\n" in gloss + name or printable(gloss + name) != gloss + name:
                outcome.faults.add(f"{path} ({name}): a '|', a line break or no text in id or gloss {gloss!r:.60}")
            else:
                annotations.tables.setdefault(path.name, {})[name] = gloss
        yield SourceClip(name, partial(landmarks_of, entry, reader, outcome))


@lru_cache(maxsize=1)
def _loaded(path: Path) -> Any:
    """Returns the content of a pickle; the last one stays in memory: the only pickle of a data set is read twice."""
    return load_pickle(path)


def is_array(path: Path) -> bool:
    """Returns whether a file is one of NumPy's."""
    with open_file(path) as file:
        start = file.read(6)
    return start == b"\x93NUMPY" or start[:2] == b"PK" or path.suffix.lower() in _ARRAYS


def _is_clip(content: Any) -> bool:
    """Returns whether the content of a pickle is a single clip: an array, or arrays by their names."""
    if isinstance(content, np.ndarray):
        return True
    if not isinstance(content, dict):
        return False
    points = next((content[key] for key in POINT_KEYS if key in content), None)
    return isinstance(points, (np.ndarray, list, tuple))


def _clip_of_file(path: Path, reader: Reader, outcome: Conversion) -> Landmarks:
    keys = (*POINT_KEYS, *SCORE_KEYS, *SIZE_KEYS, *RATE_KEYS)
    return landmarks_of(load_arrays(path, keys), reader, outcome)


def landmarks_of(entry: Any, reader: Reader, outcome: Conversion | None = None) -> Landmarks:
    """Returns the landmarks of one clip: an array, or arrays by their names.

    outcome: gets remarks.

    Raises InputError for anything else.
    """
    arrays = entry if isinstance(entry, Mapping) else {POINT_KEYS[0]: entry}
    values = next((arrays[key] for key in POINT_KEYS if key in arrays), None)
    if values is None:
        raise InputError(
            f"holds {', '.join(map(str, list(arrays)[:8])) or 'nothing'}; needed {' or '.join(POINT_KEYS)}"
        )
    scores = next((arrays[key] for key in SCORE_KEYS if key in arrays), None)
    values, scores, points, several = _single(values, scores, reader)
    if several and outcome is not None:
        outcome.notes["several people in some frames; the largest was followed (another: --person 1)"] += 1
    landmarks = to_landmarks(values, points, _with_given(reader.reading, arrays), scores=scores)
    count = arrays.get("num_frames")
    if isinstance(count, int) and count != len(landmarks) and outcome is not None:
        outcome.notes["a clip's num_frames differs from its number of keypoint frames; all frames were used"] += 1
    return landmarks


def _single(values: Any, scores: Any, reader: Reader) -> tuple[np.ndarray, np.ndarray | None, PointList, int]:
    """Returns points (T, N, 2 or 3) and scores (T, N) of one person, their list, and the frames with several people.

    values: an array (T, N, C), (T, people, N, C) or (1, T, N, C), or a list of an array (people, N, C) or (N, C) for
    each frame; the scores are in the last column or apart.
    """
    if isinstance(values, (list, tuple)):
        return _single_of_list(values, scores, reader)
    if not isinstance(values, np.ndarray):
        raise InputError(f"keypoints are a {type(values).__name__}; needed an array {reader.needed()}")
    points = reader.list_of(values.shape)
    values, scores = _split(values, scores, points)
    several = 0
    if values.ndim == 4 and 1 in values.shape[:2]:
        first = values.shape[0] == 1 and values.shape[1] != 1
        values, scores = (item if item is None else item[0] if first else item[:, 0] for item in (values, scores))
    elif values.ndim == 4:
        values, scores, several = _choose(list(values), None if scores is None else list(scores), reader)
    if values.ndim != 3:
        raise InputError(f"an array of shape {values.shape}, needed {reader.needed()}")
    check_frames(values)
    return values, scores, points, several


def _single_of_list(frames: Sequence[Any], scores: Any, reader: Reader) -> tuple[Any, Any, PointList, int]:
    if not frames:
        raise InputError("0 frames; needed at least 1")
    arrays = [frame if isinstance(frame, np.ndarray) else np.zeros((0, 0, 2)) for frame in frames]
    sample = next((array for array in arrays if array.size), None)
    if sample is None:
        raise InputError("nobody was found in any frame")
    points = reader.list_of(sample.shape)
    if any(array.size and (array.ndim not in (2, 3) or array.shape[-2:] != sample.shape[-2:]) for array in arrays):
        raise InputError(f"frames of different shapes; needed points of shape {sample.shape[-2:]} in each")
    shaped = [array.reshape(-1, *sample.shape[-2:]) if array.size else np.zeros((0, *sample.shape[-2:]))
              for array in arrays]  # fmt: skip
    per_frame = None
    if scores is not None:
        if not isinstance(scores, (list, tuple, np.ndarray)) or len(scores) != len(shaped):
            count = len(scores) if isinstance(scores, (list, tuple, np.ndarray)) else "none"
            raise InputError(f"{plural(len(shaped), 'frame')} of keypoints, but {count} of scores")
        per_frame = []
        for array, score in zip(shaped, scores, strict=True):
            score = np.asarray(score, dtype=np.float64) if len(array) else np.zeros((0, points.num_points))
            if score.size != len(array) * points.num_points:
                raise InputError(f"scores of shape {score.shape} for keypoints of shape {array.shape}")
            per_frame.append(score.reshape(len(array), points.num_points))
    if all(len(array) == 1 for array in shaped):
        joined = np.concatenate(shaped)
        return *_split(joined, None if per_frame is None else np.concatenate(per_frame), points), points, 0
    if per_frame is None:
        split = [_split(array, None, points) for array in shaped]
        shaped, per_frame = [item[0] for item in split], [item[1] for item in split]
    return *(chosen := _choose(shaped, per_frame, reader))[:2], points, chosen[2]


def _choose(values: list[Any], scores: list[Any] | None, reader: Reader) -> tuple[np.ndarray, np.ndarray, int]:
    """Returns x and y (T, N, 2) and scores (T, N) of one person, and the frames with several people."""
    frames = []
    for number, array in enumerate(values):
        score = None if scores is None else scores[number]
        if score is None:
            score = (np.nan_to_num(array[..., :2]) != 0).any(axis=-1).astype(np.float64)
        frames.append(np.concatenate([array[..., :2], score.reshape(*array.shape[:2], 1)], axis=-1))
    chosen, several = one_person(frames, person=reader.person)
    return chosen[..., :2], chosen[..., 2], several


def _split(values: np.ndarray, scores: Any, points: PointList) -> tuple[np.ndarray, Any]:
    """Returns coordinates and scores; without given scores, those in the last column."""
    columns = 3 if points.z_in_widths else 2
    if scores is not None:
        if not isinstance(scores, np.ndarray) or scores.shape not in (values.shape[:-1], (*values.shape[:-1], 1)):
            got = scores.shape if isinstance(scores, np.ndarray) else f"type {type(scores).__name__}"
            raise InputError(f"scores of shape {got} for keypoints of shape {values.shape}")
        return values[..., :columns], scores.reshape(values.shape[:-1])
    if values.shape[-1] == columns + 1:
        last = values[..., columns]
        # A score is never negative: it is a depth, which this list does not have elsewhere.
        return values[..., :columns], None if (last < 0).any() else last
    if values.shape[-1] not in (2, columns):
        raise InputError(
            f"an array of shape {values.shape}, needed {plural(points.num_points, 'point')} of 2 to {columns + 1} "
            "values each"
        )
    return values, None


def _with_given(reading: KeypointSettings, arrays: Mapping[str, Any]) -> KeypointSettings:
    """Returns the settings with the image size and frame rate that a clip itself gives; options override them."""
    size = next((arrays[key] for key in SIZE_KEYS if key in arrays), None)
    if size is None and {"width", "height"} <= arrays.keys():
        size = (arrays["width"], arrays["height"])
    if reading.image_size is None and size is not None:
        width, height = _numbers(size, 2, "image size", "width and height in pixels", 100_000)
        reading = replace(reading, image_size=(int(width), int(height)))
    rate = next((arrays[key] for key in RATE_KEYS if key in arrays), None)
    if reading.fps is None and rate is not None:
        reading = replace(reading, fps=_numbers(rate, 1, "frame rate", "frames per second", 1000)[0])
    return reading


def _numbers(value: Any, count: int, what: str, needed: str, most: float) -> list[float]:
    """Returns `count` positive numbers up to `most` from a number, list or array.  Raises InputError for others."""
    numbers = np.asarray(value, dtype=object).reshape(-1).tolist()
    if len(numbers) != count or not all(isinstance(item, (int, float)) and 0 < item <= most for item in numbers):
        raise InputError(f"{what} {value!r:.60}; needed {needed}")
    return [float(item) for item in numbers]


def _gloss(entry: Any) -> str | None:
    gloss = entry.get("gloss") if isinstance(entry, Mapping) else None
    if isinstance(gloss, (list, tuple)) and all(isinstance(word, str) for word in gloss):
        gloss = " ".join(gloss)
    return " ".join(gloss.split()) if isinstance(gloss, str) else None
