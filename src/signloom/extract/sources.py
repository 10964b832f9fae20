"""Finds the clips to extract (video files and folders of frames) in files, folders, globs and folder trees."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from signloom.errors import Faults, InputError
from signloom.extract.clip import (
    CAMERA_FOLDER,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    Clip,
    videos_and_images,
)
from signloom.extract.stored import clips_at
from signloom.files.paths import resolved
from signloom.files.urls import Url, is_url, located
from signloom.landmarks import SUFFIX


@dataclass
class FoundClips:
    """The result of a search.

    clips: sorted by name, no two with the same output.  passed_over: number of files that are not clips, by suffix.
    """

    clips: list[Clip]
    passed_over: Counter[str] = field(default_factory=Counter)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Returns a sort key under which `frame2` comes before `frame10`."""
    return [
        (0, int(part), part) if part.isdecimal() else (1, 0, part.casefold())
        for part in re.split(r"([0-9]+)", name)
        if part
    ]


def frame_files(folder: Path) -> list[Path]:
    """Returns the images directly in `folder`, in natural order of their names."""
    _, files = _contents(folder)
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    return sorted(images, key=lambda path: (natural_key(path.name), path.name))


def find_clips(sources: Sequence[str | Path]) -> FoundClips:
    """Returns the clips of files, folders, trees and glob patterns, sorted by name; see `clips_of`.

    Raises InputError listing every source that does not exist or matches nothing, and clips with the same output.
    """
    faults = Faults("sources")
    result = FoundClips([])
    for source in sources:
        found = clips_of(source, faults)
        result.clips += found.clips
        result.passed_over += found.passed_over
    result.clips = _unique(result.clips, faults)
    faults.raise_if_any()
    return result


def clips_of(source: str | Path, faults: Faults, *, landmarks: bool = False) -> FoundClips:
    """Returns the clips of one source: a file, a folder, a tree, a glob pattern, or a file or folder by URL.

    A source that is a file is a video, whatever its suffix. In a tree, a clip is a file with a video suffix, or a
    folder with images and no videos. A folder `1` that is alone in its parent represents the parent (PHOENIX). An empty
    folder counts as a clip without frames if its tree has frame folders. The name of a clip is its path under the
    source; for a pattern, its path under the part before the first wildcard.

    landmarks: landmark files are clips too. Adds a fault for a source that does not exist, matches nothing or cannot
    be read.
    """
    result = FoundClips([])
    if is_url(source):
        try:
            source = located(source)
            if isinstance(source, Url):
                result.clips += clips_at(source, result.passed_over)
                return result
        except InputError as error:
            faults.add(str(error))
            return result
    matches = _expand(str(source))
    if not matches:
        what = "the pattern matches nothing" if glob.has_magic(str(source)) else "no such file or folder"
        faults.add(f"{source}: {what}")
    suffixes = VIDEO_SUFFIXES | {SUFFIX} if landmarks else VIDEO_SUFFIXES
    for root, path in matches:
        try:
            result.clips += _clips_of(path, root, suffixes, result.passed_over)
        except (InputError, OSError) as error:
            faults.add(str(error) if isinstance(error, InputError) else f"{path}: {error.strerror}")
    return result


def _expand(source: str) -> list[tuple[Path | None, Path]]:
    """Returns (root, path) of every match; root is None if the source is a literal path."""
    if Path(source).exists():
        return [(None, Path(source))]
    if not glob.has_magic(source):
        return []
    parts = Path(source).parts
    first = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:first])
    matches = sorted(Path(match) for match in glob.glob(source, recursive=True))
    # `**` matches a folder and also everything in it; the content of a matched folder is found through the folder.
    folders = {path for path in matches if path.is_dir()}
    return [(root, path) for path in matches if not folders.intersection(path.parents)]


def _clips_of(path: Path, root: Path | None, suffixes: Set[str], passed_over: Counter[str]) -> list[Clip]:
    """Returns the clips of one match of a source; suffixes: of the files that are clips."""
    if path.is_file():
        if root is not None and path.suffix.lower() not in suffixes:
            passed_over[path.suffix.lower() or path.name] += 1
            return []
        if path.suffix.lower() in IMAGE_SUFFIXES:
            raise InputError(f"{path}: a single image; needed a video or the folder of a clip's frames")
        return [Clip(path, _name(path.with_suffix(""), root or path.parent))]
    walked: list[Path] = []
    empty: list[Path] = []
    _walk(path, walked, empty, suffixes, passed_over, set())
    if any(clip.is_dir() for clip in walked):
        walked += empty
    base = root or path
    clips = []
    for clip in walked:
        target = without_camera(clip) if clip.is_dir() else clip.with_suffix("")
        # A frame folder given as source has no path under the source; it keeps its own name.
        clips.append(Clip(clip, _name(target, base) if base in target.parents else target.resolve().name))
    return clips


def _walk(
    folder: Path,
    clips: list[Path],
    empty: list[Path],
    suffixes: Set[str],
    passed_over: Counter[str],
    seen: set[Path],
) -> None:
    # Data sets are often trees of symbolic links; a link to a parent must not cause an endless loop.
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    folders, files = _contents(folder)
    videos, images = videos_and_images(files)
    if images and not videos:
        clips.append(folder)
    elif not folders and not files:
        empty.append(folder)
    points = [entry for entry in files if entry.suffix.lower() == SUFFIX] if SUFFIX in suffixes else []
    clips += [*videos, *points]
    taken = {*(videos or images), *points}
    passed_over.update(entry.suffix.lower() or entry.name for entry in files if entry not in taken)
    for entry in folders:
        _walk(entry, clips, empty, suffixes, passed_over, seen)


def _contents(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns the folders and the files in `folder`, sorted, without hidden ones."""
    folders: list[Path] = []
    files: list[Path] = []
    # scandir knows the type of an entry without another system call; a tree of frames has a million entries.
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                (folders if entry.is_dir() else files).append(folder / entry.name)
    return sorted(folders), sorted(files)


def with_camera(folder: Path) -> Path:
    """Returns `<id>/1`, the folder of the frames, for PHOENIX's `<id>`; any other folder is returned unchanged."""
    camera = folder / CAMERA_FOLDER
    return camera if _contents(folder) == ([camera], []) else folder


def without_camera(folder: Path) -> Path:
    """Returns `<id>` for PHOENIX's `<id>/1`; any other folder is returned unchanged."""
    is_camera = folder.name == CAMERA_FOLDER and _contents(folder.parent) == ([folder], [])
    return folder.parent if is_camera else folder


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _unique(clips: Iterable[Clip], faults: Faults) -> list[Clip]:
    """Returns the clips sorted by name, one per source; two sources with the same name are faults."""
    by_name: dict[str, Clip] = {}
    for clip in clips:
        other = by_name.setdefault(clip.name, clip)
        if resolved(other.path) != resolved(clip.path):
            faults.add(
                f"{other.path} and {clip.path} would both be written to {clip.name}{SUFFIX}; "
                "rename one or extract them to two folders"
            )
    return [by_name[name] for name in sorted(by_name)]


def take_shard(clips: Sequence[Clip], shard: str | None) -> list[Clip]:
    """Returns every n-th clip from the i-th on for a shard `i/n` with i from 1 to n; all clips for None.

    Raises InputError for anything else.
    """
    if shard is None:
        return list(clips)
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", shard.strip())
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise InputError(f"--shard {shard}: needed i/n with i from 1 to n, e.g. 3/8; array jobs are numbered from 1")
    return list(clips[number - 1 :: count])
