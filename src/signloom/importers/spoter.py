"""Imports csv tables of SPOTER (WLASL100_train_25fps.csv and others): a row per clip, a list of numbers for each point.

Columns are <point>_X and <point>_Y (`leftShoulder_X`, `indexTip_left_Y`), as fractions of the image, a value for each
frame; 0 is missing. `labels` is the sign, `video_fps`, `video_size_width` and `video_size_height` describe the video.
Neck and root have no counterpart; z is 0. Every row becomes an utterance of one gloss.
"""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from signloom import layout
from signloom.console import say
from signloom.errors import Faults, InputError, listed, plural
from signloom.files.reading import Kind, read_text
from signloom.importers.convert_landmarks import CameraInfo
from signloom.importers.isolated import IsolatedClip, IsolatedOptions, write_clips
from signloom.importers.keypoints import KeypointSettings, spread, to_landmarks, with_shape
from signloom.importers.point_lists import PointList
from signloom.importers.write_corpus import with_place
from signloom.landmarks import Landmarks

LABEL = "labels"
# All clips of a data set in one table: those of WLASL300 take 0.9 GB.
_TABLE = Kind("a csv table", 4_000_000_000)
# The shape of the image is estimated from so many clips.
_SAMPLED = 12
_RATE, _WIDTH, _HEIGHT = "video_fps", "video_size_width", "video_size_height"
# Source: matyasbohacek/spoter, normalization/body_normalization.py and hand_normalization.py. Its loader calls the
# hands 0 and 1 in place of left and right. Neck and root are left out.
_BODY = (
    *("nose", "leftEye", "rightEye", "leftEar", "rightEar", "leftShoulder", "rightShoulder"),
    *("leftElbow", "rightElbow", "leftWrist", "rightWrist"),
)
_JOINTS = {"wrist": "wrist", "thumbCMC": "thumb_cmc", "thumbMP": "thumb_mcp", "thumbIP": "thumb_ip"} | {
    f"{theirs}{joint}": f"{ours}_{joint.lower()}"
    for theirs, ours in {"index": "index", "middle": "middle", "ring": "ring", "little": "pinky"}.items()
    for joint in ("MCP", "PIP", "DIP", "Tip")
}
_JOINTS["thumbTip"] = "thumb_tip"
_SIDES = {"left": "left_hand", "0": "left_hand", "right": "right_hand", "1": "right_hand"}
POINTS = {name: "pose." + re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name) for name in _BODY} | {
    f"{theirs}_{side}": f"{hand}.{ours}" for theirs, ours in _JOINTS.items() for side, hand in _SIDES.items()
}
_LIST = PointList("SPOTER", layout.NUM_POINTS, {name: (layout.index(name),) for name in POINTS.values()}, min_score=0.0)


@dataclass(frozen=True, kw_only=True)
class Options(IsolatedOptions):
    """Options of `signloom import spoter`."""

    positionals: ClassVar[tuple[str, ...]] = ("sources",)

    sources: list[Path]
    """The csv tables, or folders of them."""
    fps: float | None = None
    """Frames per second. Default: as in the table, else 25, recorded as assumed."""
    image_size: str | None = None
    """Size of the images in pixels, e.g. 640x480. Default: as in the table, else assumed, and recorded as such."""
    pixel_aspect: float | None = None
    """Width of a pixel divided by its height. Default: 1."""


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    options.check_output()
    camera = CameraInfo.given(options.fps, options.image_size, options.pixel_aspect)
    faults = Faults("import spoter")
    reading = KeypointSettings(**asdict(camera))
    tables = [path for source in options.sources for path in _tables(source, faults)]
    clips = [clip for table in tables for clip in find_clips(table, reading, faults)]
    return write_clips(clips, options, importer="spoter", sources=options.sources, faults=faults)


def _tables(source: Path, faults: Faults) -> list[Path]:
    """Returns a table, or the tables of a folder; adds a fault for a folder without any."""
    if not source.is_dir():
        return [source]
    tables = sorted(source.rglob("*.csv"))
    if not tables:
        faults.add(f"{source}: no .csv files in this folder")
    return tables


def find_clips(path: Path, reading: KeypointSettings, faults: Faults) -> list[IsolatedClip]:
    """Returns the clips of a table; adds to `faults` what is wrong with the table.

    SPOTER's own tables count y upwards: its normalisation subtracts head sizes to go down from the eyes. Tables made
    with MediaPipe count it downwards. The nose, which is above the shoulders, tells.
    """
    clips = []
    try:
        rows = list(_rows(path))
        heights = [height for _, row in rows if (height := _nose_below_shoulders(row)) is not None]
        upwards = bool(heights) and float(np.median(heights)) > 0
        if upwards:
            say(f"note: {path}: y counts upwards, as in SPOTER's own tables; it was turned over")
        some = (partial(read_clip, row, reading, upwards=upwards) for _, row in spread(rows, _SAMPLED))
        reading = with_shape(reading, some, str(path))
        for number, row in rows:
            place = f"{path}: row {number}"
            label = row[LABEL].strip()
            # A number that was a category of a data frame: 3.0 is sign 3.
            label = label.removesuffix(".0") if label.removesuffix(".0").isdecimal() else label
            name = f"{path.stem}-{number}"
            read = partial(read_clip, row, reading, upwards=upwards)
            clips.append(IsolatedClip(name, label, None, place, f"{path.name}: row {number}", read))
    except InputError as error:
        faults.add(with_place(str(path), error))
    else:
        if not clips:
            faults.add(f"{path}: no rows below the column names")
    return clips


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields the rows with their numbers, from 1.  Raises InputError for a file that is no table of SPOTER."""
    text = read_text(path, _TABLE)
    try:
        reader = csv.DictReader(io.StringIO(text), strict=True)
        header = reader.fieldnames or []
        known = [name for name in header if name[:-2] in POINTS and name[-2:] in ("_X", "_Y")]
        if LABEL not in header or not known:
            raise InputError(
                f"no column {LABEL} or no points; got {listed(header, shown=6) or 'nothing'}, needed columns such "
                f"as leftShoulder_X, leftShoulder_Y, indexTip_left_X and {LABEL}"
            )
        alone = [name for name in known if name[:-1] + ("Y" if name.endswith("X") else "X") not in header]
        if alone:
            raise InputError(f"{listed(alone, shown=5)} without the other coordinate")
        for number, row in enumerate(reader, 1):
            if None in row or None in row.values():
                raise InputError(f"row {number}: another number of fields than the first line")
            yield number, row
    except csv.Error as error:
        raise InputError(f"not a readable csv table ({error})") from None


def _nose_below_shoulders(row: Mapping[str, str]) -> float | None:
    """Returns the median y of the nose minus that of the shoulders; None if they are not in the row."""
    names = ("nose_Y", "leftShoulder_Y", "rightShoulder_Y")
    try:
        nose, *shoulders = (_numbers(name, row.get(name, "[]")) for name in names)
        known = np.stack([nose, *shoulders])[:, (nose != 0) & (shoulders[0] != 0)]
    except (InputError, ValueError):
        # A fault of this row; reading it reports it.
        return None
    return float(np.nanmedian(known[0] - known[1:].mean(axis=0))) if known.size else None


def read_clip(row: Mapping[str, str], reading: KeypointSettings, *, upwards: bool = False) -> Landmarks:
    """Returns the landmarks of a row.  upwards: y is a fraction of the image from its bottom.

    Raises InputError for cells that are no lists of numbers of the same length.
    """
    columns = {
        name: _numbers(name, cell) for name, cell in row.items() if name[:-2] in POINTS and name[-2:] in ("_X", "_Y")
    }
    lengths = {name: len(values) for name, values in columns.items()}
    length = max(lengths.values())
    if length == 0:
        raise InputError("no frames; needed a list of at least one number in each column")
    if short := [name for name, count in lengths.items() if count != length]:
        raise InputError(
            f"{plural(lengths[short[0]], 'number')} in {short[0]}, {length} in others; needed one for each frame"
        )
    values = np.full((length, layout.NUM_POINTS, 2), np.nan)
    for name, column in columns.items():
        values[:, layout.index(POINTS[name[:-2]]), "XY".index(name[-1])] = column
    if upwards:
        values[..., 1] = np.where((values != 0).any(axis=-1), 1 - values[..., 1], 0)
    return to_landmarks(values, _LIST, _with_given(reading, row))


def _numbers(name: str, cell: str) -> np.ndarray:
    try:
        values = np.array(ast.literal_eval(cell.replace("nan", "None")), dtype=np.float64)
    except (ValueError, SyntaxError, TypeError, OverflowError, MemoryError, RecursionError):
        raise InputError(f"{name} is {cell[:40]!r}; needed a list of numbers such as [0.31, 0.32]") from None
    if values.ndim != 1:
        raise InputError(f"{name} is {cell[:40]!r}; needed a list of numbers such as [0.31, 0.32]")
    return values


def _with_given(reading: KeypointSettings, row: Mapping[str, str]) -> KeypointSettings:
    """Returns the settings with the frame rate and image size of the row; options override them."""
    rate, width, height = (_positive(row.get(name, "")) for name in (_RATE, _WIDTH, _HEIGHT))
    if reading.fps is None and rate is not None:
        reading = replace(reading, fps=rate)
    if reading.image_size is None and width is not None and height is not None:
        reading = replace(reading, image_size=(round(width), round(height)))
    return reading


def _positive(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if 0 < value < 100_000 else None
