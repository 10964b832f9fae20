"""Names of results: one per clip, whatever the clips are called and wherever they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from signloom.extract.sources import Clip
from signloom.files.paths import resolved


def distinct_names(clips: Sequence[Clip], known: Mapping[str, Path]) -> list[Clip]:
    """Returns each clip once, under a name that no other has, also where file systems ignore case.

    A clip keeps its name, which is its path under its source, where it can. Clips of one name in one folder, such as
    a video and its landmarks, get their endings: `a.mp4` and `a.npz`. Clips of one name in several folders get as many
    of these folders as tell them apart: `monday/a` and `tuesday/a`.

    known: names of earlier results and the clips that have them; they keep them.
    """
    by_path: dict[Path, Clip] = {}
    for clip in clips:
        by_path.setdefault(resolved(clip.path), clip)
    owners = {path: name for name, path in known.items()}
    taken = {name.casefold() for name in known}
    names = {path: clip.name for path, clip in by_path.items() if path not in owners}
    stems = Counter(_stem(path) for path in by_path)
    names = {path: _with_ending(name, path) if stems[_stem(path)] > 1 else name for path, name in names.items()}
    room = {path: list(path.parent.parts[1:]) for path in names}
    for path, name in names.items():
        # The last folders of a name are those of the path: they are there already.
        room[path] = room[path][: len(room[path]) - name.count("/")]
    while clashing := _clashing(names, taken):
        for number, path in enumerate(clashing, 1):
            # Only names that differ in case alone have no folders left.
            names[path] = f"{room[path].pop()}/{names[path]}" if room[path] else f"{names[path]}-{number}"
    return [replace(clip, name=owners.get(path) or names[path]) for path, clip in by_path.items()]


def chosen(clips: Sequence[Clip], known: Mapping[str, Path], leave_out: Collection[Path]) -> list[Clip]:
    """Returns clips under distinct names, without results of earlier runs.

    known: names of earlier results and their clips.  leave_out: resolved paths of files, and of folders with all in
    them.
    """
    kept = [clip for clip in clips if not _is_in(resolved(clip.path), leave_out)]
    return distinct_names(kept, known)


def _is_in(path: Path, places: Collection[Path]) -> bool:
    return any(place in places for place in (path, *path.parents))


def _clashing(names: Mapping[Path, str], taken: set[str]) -> list[Path]:
    """Returns the clips whose name another clip has too."""
    counts = Counter(name.casefold() for name in names.values())
    return [path for path, name in names.items() if counts[name.casefold()] > 1 or name.casefold() in taken]


def _stem(path: Path) -> str:
    return str(path if path.is_dir() else path.with_suffix("")).casefold()


def _with_ending(name: str, path: Path) -> str:
    return name if path.is_dir() else name + path.suffix
