"""Imports Kaggle's asl-signs (Google - Isolated Sign Language Recognition): one sign per clip, MediaPipe Holistic.

The folder has train.csv (path, participant_id, sequence_id, sign) and a parquet file for each clip: frame, type,
landmark_index, x, y, z, as fractions of the image. Every clip becomes an utterance of one gloss; the participant is the
signer. Frames of the recording that a clip lacks between its first and last are kept as frames without points.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from signloom import layout
from signloom.errors import Faults, InputError, needs_extra
from signloom.files.paths import is_there
from signloom.files.reading import CLIP, open_file
from signloom.importers.convert_landmarks import CameraInfo
from signloom.importers.isolated import IsolatedClip, IsolatedOptions, write_clips
from signloom.importers.keypoints import KeypointSettings, check_frame_numbers, spread, to_landmarks, with_shape
from signloom.importers.point_lists import LAYOUT_543
from signloom.landmarks import MAX_FRAMES, Landmarks
from signloom.text.tables import read_table

TABLE = "train.csv"
COLUMNS = ("path", "participant_id", "sequence_id", "sign")
_POINT_COLUMNS = ("frame", "type", "landmark_index", "x", "y", "z")
ASSUMED_FPS = 30.0
# The shape of a participant's images is estimated from so many clips.
_SAMPLED = 6


@dataclass(frozen=True, kw_only=True)
class Options(IsolatedOptions):
    """Options of `signloom import asl_signs`."""

    positionals: ClassVar[tuple[str, ...]] = ("source",)

    source: Path
    """The folder with train.csv and train_landmark_files."""
    fps: float | None = None
    """Frames per second. Default: 30, recorded as assumed."""
    image_size: str | None = None
    """Size of the images in pixels, e.g. 640x480. Default: for each participant the shape that makes faces and bodies
    usual, recorded as estimated."""
    pixel_aspect: float | None = None
    """Width of a pixel divided by its height. Default: 1."""


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    options.check_output()
    camera = CameraInfo.given(options.fps, options.image_size, options.pixel_aspect)
    with needs_extra("a parquet file"):
        import pyarrow.parquet  # noqa: F401
    faults = Faults("import asl_signs")
    reading = KeypointSettings(**asdict(camera))
    clips = with_shapes(find_clips(options.source, reading, faults), reading, str(options.source))
    return write_clips(clips, options, importer="asl_signs", sources=[options.source.resolve()], faults=faults)


def find_clips(root: Path, reading: KeypointSettings, faults: Faults) -> list[tuple[IsolatedClip, Path]]:
    """Returns the clips of train.csv and their files; adds to `faults` lines without a parquet file.

    Raises InputError if the folder has no train.csv.
    """
    table = root / TABLE
    if not is_there(table):
        raise InputError(f"{table}: no such file; needed the table {','.join(COLUMNS)} of the competition's data")
    clips = []
    for row in read_table(table, COLUMNS, faults, delimiter=","):
        path = root / row["path"]
        if not is_there(path):
            faults.add(f"{row.place}: {path} does not exist; unpack the landmark files beside {TABLE}")
            continue
        origin = f"{root.resolve().name}/{row['path']}"
        read = partial(read_clip, path, reading)
        clip = IsolatedClip(row["sequence_id"], row["sign"], row["participant_id"], str(path), origin, read)
        clips.append((clip, path))
    return clips


def with_shapes(
    clips: Sequence[tuple[IsolatedClip, Path]], reading: KeypointSettings, place: str
) -> list[IsolatedClip]:
    """Returns the clips with the shape of each participant's images, as it is estimated where the size is not given."""
    by_signer: defaultdict[str | None, list[Path]] = defaultdict(list)
    for clip, path in clips:
        by_signer[clip.signer].append(path)
    readings = {
        signer: with_shape(
            reading,
            (partial(read_clip, path, reading) for path in spread(paths, _SAMPLED)),
            f"{place}, participant {signer}",
        )
        for signer, paths in by_signer.items()
    }
    return [replace(clip, read=partial(read_clip, path, readings[clip.signer])) for clip, path in clips]


def _whole_numbers(values: np.ndarray, column: str) -> np.ndarray:
    """Returns numbers as int64. Raises InputError for a fraction, a missing one, or one below 0."""
    numbers = values.astype(np.float64)
    wrong = ~((numbers >= 0) & (numbers == np.floor(numbers)) & np.isfinite(numbers))
    if wrong.any():
        raise InputError(f"column {column} has {values[wrong][0]}; needed whole numbers from 0")
    return values.astype(np.int64)


def read_clip(path: Path, reading: KeypointSettings) -> Landmarks:
    """Returns the landmarks of a parquet file of the competition.

    Raises InputError for a damaged file, other columns or points, and a point that a frame has twice.
    """
    with needs_extra("a parquet file"):
        import pyarrow
        import pyarrow.parquet as parquet
    try:
        # A handle of ours is closed also if the file is damaged.
        with open_file(path, CLIP) as file:
            names = parquet.read_schema(file).names
            missing = [name for name in _POINT_COLUMNS if name not in names]
            if missing:
                raise InputError(f"no column {', '.join(missing)}; got {', '.join(names[:8])}")
            file.seek(0)
            rows = parquet.ParquetFile(file).metadata.num_rows
            if rows > MAX_FRAMES * layout.NUM_POINTS:
                raise InputError(f"{rows:,} rows; needed at most {MAX_FRAMES:,} frames of {layout.NUM_POINTS} points")
            file.seek(0)
            table = parquet.read_table(file, columns=list(_POINT_COLUMNS))
        columns = {name: table.column(name) for name in _POINT_COLUMNS}
        frame, index = (_whole_numbers(columns[name].to_numpy(), name) for name in ("frame", "landmark_index"))
        groups = columns["type"].to_pylist()
        xyz = np.stack([columns[name].to_numpy().astype(np.float64) for name in "xyz"], axis=-1)
    except (pyarrow.ArrowException, OSError, ValueError, TypeError) as error:
        raise InputError(f"not a readable parquet file of numbers ({str(error).splitlines()[0][:120]})") from None
    if len(frame) == 0:
        raise InputError("no rows; needed a row for each frame and point")
    unknown = sorted({str(group) for group in groups} - layout.GROUPS.keys())
    if unknown:
        raise InputError(f"points of type {', '.join(unknown[:5])}; needed {', '.join(layout.GROUPS)}")
    starts = np.array([layout.GROUPS[group].start for group in groups])
    sizes = np.array([layout.GROUPS[group].stop for group in groups]) - starts
    if ((index < 0) | (index >= sizes)).any():
        row = int(np.flatnonzero((index < 0) | (index >= sizes))[0])
        raise InputError(f"row {row}: {groups[row]} has no point {index[row]}; needed 0 to {sizes[row] - 1}")
    check_frame_numbers(int(frame.min()), int(frame.max()), len(np.unique(frame)))
    number = frame - frame.min()
    place = number * layout.NUM_POINTS + starts + index
    if len(np.unique(place)) < len(place):
        raise InputError("a point occurs twice in a frame; needed one row for each")
    values = np.full(((int(number.max()) + 1) * layout.NUM_POINTS, 3), np.nan)
    values[place] = xyz
    return to_landmarks(values.reshape(-1, layout.NUM_POINTS, 3), LAYOUT_543, reading, assumed_fps=ASSUMED_FPS)
