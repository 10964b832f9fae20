"""Recognises what kind of data a folder or file holds, from its names and a few of its files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signloom.corpus import shard_files
from signloom.errors import InputError, plural
from signloom.files.arrays import array_header
from signloom.files.reading import Kind, open_file, read_json
from signloom.hints import command
from signloom.importers.pickles import load_pickle

# The importer of arrays with so many points, in the last axis but one.
KIND_OF_POINTS = {133: "coco_wholebody", 134: "coco_wholebody", 86: "isharah86", 75: "openhands"}
# The numbers of values per frame that `holistic` reads.
_HOLISTIC_WIDTHS = (126, 225, 258, 1629, 1659, 1662, 1692)
_POINT_KEYS = ("keypoints", "keypoint", "poses", "pose", "points", "data")
_VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".gif")
# A larger pickle or table is not opened only to name it.
_SMALL = Kind("a small file", 100 * 2**20)
# Folders of large data sets have millions of files; the first ones tell their kind.
_MOST_FILES = 2000


@dataclass(frozen=True)
class Recognised:
    """A kind of data.

    what: in words.  kind: of `signloom import`; None for another command.  path: what the command takes.
    """

    what: str
    kind: str | None
    path: Path

    @property
    def command(self) -> str:
        """The command that reads it."""
        if shard_files(self.path):
            return command("unpack", self.path, output="CORPUS")
        if self.kind is None:
            return command("extract", self.path, output="LANDMARKS")
        if self.kind in _WITH_LANDMARKS:
            return command("import", self.kind, annotations=self.path, landmarks="LANDMARKS", output="CORPUS")
        return command("import", self.kind, self.path, output="CORPUS" if self.kind in _CORPORA else "LANDMARKS")

    def __str__(self) -> str:
        return f"this looks like {self.what}: {self.command}"


_CORPORA = ("asl_signs", "clips", "glosl", "holistic", "spoter", "webdataset")
# Annotations, which need landmark files beside them.
_WITH_LANDMARKS = ("phoenix2014", "csl_daily", "elan", "isharah", "subtitles", "textgrid")


def recognise(path: Path) -> Recognised | None:
    """Returns what a file or folder holds, None if it is not recognised.  Raises nothing for damaged files."""
    if shard_files(path):
        return Recognised("a packed corpus", None, path)
    files = _some_files(path)
    by_suffix: dict[str, list[Path]] = {}
    for file in files:
        by_suffix.setdefault(file.suffix.lower(), []).append(file)
    for table in by_suffix.get(".csv", [])[:5]:
        if (found := _of_table(table, path)) is not None:
            return found
    for suffix, look in _LOOKS.items():
        for file in by_suffix.get(suffix, [])[:3]:
            if (found := look(file, path)) is not None:
                return found
    if any(suffix in by_suffix for suffix in _VIDEOS):
        return Recognised("videos", None, path)
    return None


def hint(path: Path, *, other_than: str = "") -> str:
    """Returns `; this looks like ...` for a message, empty if the kind is not recognised or is `other_than`."""
    found = recognise(path)
    return "" if found is None or found.kind == other_than else f"; {found}"


def hint_of_points(num_points: int, *, other_than: Iterable[int] = ()) -> str:
    """Returns the importer of arrays with so many points, for a message; empty if there is none."""
    kind = KIND_OF_POINTS.get(num_points)
    return (
        ""
        if kind is None or num_points in other_than
        else f"; for {plural(num_points, 'point')} use: signloom import {kind}"
    )


def _some_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files: list[Path] = []
    # The shallow files first: tables and cards lie above the data.
    folders = [path]
    while folders and len(files) < _MOST_FILES:
        folder = folders.pop(0)
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            (folders if entry.is_dir() else files).append(entry)
    return files[:_MOST_FILES]


def _of_table(file: Path, path: Path) -> Recognised | None:
    try:
        with open_file(file) as lines:
            first = lines.readline(100_000).decode("utf-8-sig", errors="replace")
    except InputError:
        return None
    columns = {name.strip().strip('"') for name in first.replace("|", ",").split(",")}
    folder = file.parent if path.is_dir() else path
    if {"path", "participant_id", "sequence_id", "sign"} <= columns:
        return Recognised("Kaggle's asl-signs", "asl_signs", folder)
    if {"gloss_type", "pose_file"} <= columns:
        return Recognised("GloSL's corpus of .pose files", "glosl", folder)
    if "labels" in columns and any(name.endswith(("_left_X", "_0_X", "Shoulder_X")) for name in columns):
        return Recognised("a table of SPOTER", "spoter", file)
    if {"id", "folder", "signer", "annotation"} <= columns:
        return Recognised("annotations of PHOENIX-2014", "phoenix2014", path)
    if {"id", "gloss"} <= columns:
        return Recognised("a table of id and gloss", "isharah", path)
    return None


def _of_json(file: Path, path: Path) -> Recognised | None:
    if file.stem.endswith("_keypoints"):
        return Recognised("OpenPose JSON", "openpose", path)
    content = _json(file)
    if isinstance(content, dict) and isinstance(content.get("people"), list):
        return Recognised("OpenPose JSON", "openpose", path)
    frames = content.get("frames", content) if isinstance(content, dict) else content
    first = frames[0] if isinstance(frames, list) and frames else frames
    if isinstance(first, dict) and any("landmarks" in str(key).lower() for key in first):
        return Recognised("JSON of MediaPipe Tasks", "mediapipe_tasks", path)
    return None


def _json(file: Path) -> Any:
    try:
        return read_json(file, _SMALL)
    except InputError:
        return None


def _of_pickle(file: Path, path: Path) -> Recognised | None:
    try:
        with open_file(file, _SMALL):
            content = load_pickle(file)
    except InputError:
        return None
    if isinstance(content, dict) and isinstance(content.get("info"), list):
        return Recognised("CSL-Daily's pickle", "csl_daily", path)
    values = _points_in(content)
    if values is None and isinstance(content, (dict, list)) and content:
        values = _points_in(next(iter(content.values())) if isinstance(content, dict) else content[0])
    kind = KIND_OF_POINTS.get(values.shape[-2]) if values is not None and values.ndim >= 2 else None
    return Recognised(f"pickles of {values.shape[-2]} points", kind, path) if kind and values is not None else None


def _points_in(content: Any) -> np.ndarray | None:
    """Returns the array of points of a clip, or of its first frame."""
    if isinstance(content, Mapping):
        content = next((content[key] for key in _POINT_KEYS if key in content), None)
    if isinstance(content, (list, tuple)) and content:
        content = content[0]
    return content if isinstance(content, np.ndarray) else None


def _of_array(file: Path, path: Path) -> Recognised | None:
    shape: tuple[int, ...] = ()
    try:
        with open_file(file) as opened:
            if file.suffix.lower() == ".npy":
                shape = array_header(opened)[0]
            else:
                with zipfile.ZipFile(opened) as archive:
                    names = {name.removesuffix(".npy") for name in archive.namelist()}
                    if {"points", "visibility", "meta"} <= names:
                        return Recognised("landmark files of signloom", "clips", path)
                    if {"frames", "start", "length", "label"} <= names:
                        return Recognised("an archive of Holistic values", "holistic", file)
                    if name := next((key for key in (*_POINT_KEYS, "features", "arr_0") if key in names), None):
                        with archive.open(f"{name}.npy") as member:
                            shape = array_header(member)[0]
    except (InputError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return None
    if shape and shape[-1] == 6516:
        return Recognised("feature files of 6,516 values", "features6516", path)
    if shape and len(shape) <= 2 and shape[-1] in _HOLISTIC_WIDTHS:
        return Recognised(f"arrays of {shape[-1]:,} Holistic values", "holistic", path)
    if len(shape) < 2:
        return None
    # Arrays of Holistic's points lie in folders of signs; OpenHands keeps pickles.
    kind = "holistic" if shape[-2] in (75, 543) else KIND_OF_POINTS.get(shape[-2])
    return Recognised(f"arrays of {shape[-2]} points", kind, path) if kind else None


def _by_name(what: str, kind: str) -> Callable[[Path, Path], Recognised]:
    return lambda file, path: Recognised(what, kind, path)


_LOOKS: dict[str, Callable[[Path, Path], Recognised | None]] = {
    ".pose": _by_name(".pose files", "pose"),
    ".json": _of_json,
    ".pkl": _of_pickle,
    ".pickle": _of_pickle,
    ".npy": _of_array,
    ".npz": _of_array,
    ".eaf": _by_name("ELAN files", "elan"),
    ".textgrid": _by_name("TextGrids", "textgrid"),
    ".srt": _by_name("subtitles", "subtitles"),
    ".vtt": _by_name("subtitles", "subtitles"),
    ".tar": _by_name("tar shards of WebDataset", "webdataset"),
}
