"""Finds the landmark file that an annotation names, whichever way either of them is written."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from signloom.corpus import HEADER
from signloom.errors import InputError, listed
from signloom.files.paths import file_stem, is_hidden, resolved
from signloom.files.reading import JSON, read_bytes
from signloom.files.urls import Url
from signloom.landmarks import SUFFIX
from signloom.text.clean import clean, told_apart

# Endings of files that landmarks are made from; annotations may name such a file.
_SOURCE_SUFFIXES = frozenset(
    (SUFFIX, *".mp4 .avi .mov .mkv .webm .mpg .mpeg .wmv .m4v .mts .flv .3gp .gif .npy .pose .pkl .json .wav".split())
)


class LandmarkFiles:
    """Finds the landmark files under a folder by utterance id or by the name of a video.

    Names are compared clean (`text.clean`), so that it does not matter in which Unicode form a file system keeps them.
    A name may have folders, and the suffix of a video. Characters that some file systems refuse may be `_` in the name
    of the file.

    Files in `output`, a corpus made before in the same folder, are left out.

    Raises InputError if the folder does not exist.
    """

    def __init__(self, root: Path, output: Path | None = None) -> None:
        if not root.is_dir():
            raise InputError(f"--landmarks {root}: no such folder; needed the output of 'signloom extract'")
        self.root = root
        self._by_stem: defaultdict[str, list[Path]] = defaultdict(list)
        self._by_safe_stem: defaultdict[str, list[Path]] = defaultdict(list)
        here = output is not None and not isinstance(output, Url) and (output / HEADER).exists()
        made = resolved(output) if here and output is not None else None
        for path in sorted(root.rglob(f"*{SUFFIX}")):
            if is_hidden(path, root) or (made and resolved(path).is_relative_to(made)):
                continue
            stem = clean(path.name.removesuffix(SUFFIX))
            self._by_stem[stem].append(path)
            self._by_safe_stem[_safe(stem)].append(path)
        self._failures = {_parts(name)[-1]: reason for name, reason in extraction_failures(root)}

    def find(self, name: str, split: str = "", near: Sequence[Sequence[str]] = ()) -> Path | None:
        """Returns the landmark file with a name, or None.

        split: of several files, one in a folder named after the split is taken.
        near: paths of folders; of several files, those are taken whose folders end as one of these paths does, in as
        many folders as possible.

        Raises InputError if several files still fit.
        """
        *folders, stem = _parts(name)
        matches = self._named(stem, folders)
        for place in near:
            common = {path: _common_end(self._folders(path), place) for path in matches}
            matches = [path for path in matches if common[path] == max(common.values())]
        if len(matches) > 1:
            matches = [path for path in matches if split in self._folders(path)] or matches
        if len(matches) > 1:
            paths = [path.relative_to(self.root).as_posix() for path in matches]
            # The same name in two Unicode forms looks like one file twice.
            alike = len({clean(path) for path in paths}) < len(paths)
            names = told_apart(paths[:3]) if alike else listed(paths, shown=3)
            raise InputError(f"several landmark files fit: {names}; keep one, or sort them into {split or 'folders'}/")
        return matches[0] if matches else None

    def _named(self, stem: str, folders: list[str]) -> list[Path]:
        """Returns the files named `stem` whose folders end with `folders`, or whose names are the whole path."""
        for candidate in dict.fromkeys((stem, _without_suffix(stem))):
            for table, key in ((self._by_stem, candidate), (self._by_safe_stem, _safe(candidate))):
                matches = [
                    path
                    for path in table.get(key, [])
                    if not folders or self._folders(path)[-len(folders) :] == [_safe(folder) for folder in folders]
                ]
                if matches:
                    return matches
            if folders and (flat := self._by_safe_stem.get(_safe("/".join([*folders, candidate])))):
                return flat
        return []

    def _folders(self, path: Path) -> list[str]:
        return [_safe(clean(part)) for part in path.relative_to(self.root).parts[:-1]]

    def why_missing(self, name: str) -> str:
        """Returns a message about a name without a file, with the reason if its extraction failed."""
        *folders, stem = _parts(name)
        stem = stem if stem in self._failures else _without_suffix(stem)
        reason = self._failures.get(stem)
        failed = f"; its extraction failed: {reason}" if reason else ""
        elsewhere = [path.relative_to(self.root).as_posix() for path in self._by_stem.get(stem, [])] if folders else []
        other = f"; of this name there is only {listed(elsewhere, shown=3)}" if elsewhere else ""
        return f"no landmark file {'/'.join([*folders, stem])}{SUFFIX} under {self.root}{failed}{other}"

    def examples(self) -> str:
        """Returns the names of a few existing files, for a message."""
        names = [path.relative_to(self.root).as_posix() for paths in self._by_stem.values() for path in paths]
        return listed(names, shown=2) if names else f"no {SUFFIX} files at all"


def extraction_failures(root: Path) -> Iterable[tuple[str, str]]:
    """Yields clip name and reason of every failed extraction, from the `failed*.jsonl` of `signloom extract`."""
    for path in sorted(root.glob("failed*.jsonl")):
        for line in read_bytes(path, JSON).decode(errors="replace").splitlines():
            try:
                record = json.loads(line)
                yield str(record["clip"]), str(record["reason"])
            except (ValueError, KeyError, TypeError, RecursionError):
                # A killed run may leave an unfinished line.
                continue


def _parts(name: str) -> list[str]:
    """Returns the folders of a name and its last part, clean; at least one part."""
    parts = [part for part in clean(name).replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return parts or [clean(name)]


def _without_suffix(stem: str) -> str:
    name, dot, suffix = stem.rpartition(".")
    return name if name and f"{dot}{suffix}".lower() in _SOURCE_SUFFIXES else stem


def _safe(text: str) -> str:
    """Returns a name as `file_stem` writes it, also one that is too long for a file."""
    try:
        return file_stem(text)
    except InputError:
        return text


def _common_end(folders: Sequence[str], others: Sequence[str]) -> int:
    """Returns how many folders two paths have in common, counted from their ends."""
    count = 0
    for one, other in zip(reversed(folders), reversed(others), strict=False):
        if one != _safe(clean(other)):
            break
        count += 1
    return count
