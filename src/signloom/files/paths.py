"""Paths: the files of a folder, relative paths that stay inside it, and names of files from ids."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from signloom.errors import Faults, InputError
from signloom.files.reading import check_name
from signloom.files.urls import Url


def files_of(source: Path, faults: Faults) -> list[Path]:
    """Returns `source` if it is a file, or what is in it and its subfolders and no folder; adds a fault if it does not
    exist, and for a folder that cannot be read.

    Broken links, pipes and devices are among them: reading them says what is wrong.
    """
    if source.is_dir():
        found: list[Path] = []

        def failed(error: OSError) -> None:
            faults.add(f"{error.filename}: cannot be read ({error.strerror}); needed a folder")

        for folder, _, names in os.walk(source, onerror=failed):
            found += [Path(folder, name) for name in names]
        return sorted(found)
    if not is_there(source):
        faults.add(f"{source}: no such file or folder")
        return []
    return [source]


def resolved(path: Path) -> Path:
    """Returns the absolute path without links. `Path.resolve` refuses a link that leads to itself; here it stays. A URL
    is returned as it is.
    """
    return path if isinstance(path, Url) else Path(os.path.realpath(path))


def is_there(path: Path) -> bool:
    """Returns whether anything has this name, also a pipe, a device or a broken link: reading says what it is."""
    return path.exists() or path.is_symlink()


def is_hidden(path: Path, root: Path) -> bool:
    """Returns whether `path`, below the folder `root`, is hidden or in a hidden folder there."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def inside(root: Path, relative: str) -> Path:
    """Returns `root / relative`; `relative` must be a POSIX path inside `root`.

    Raises InputError for an absolute path, a path with `..`, or one that leaves `root` through a symbolic link.
    """
    path = Path(root).joinpath(*check_stays(root, relative).parts)
    try:
        stays = path.resolve().is_relative_to(Path(root).resolve())
        # Asks the system, which refuses names that are too long.
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        # A loop of symbolic links is a RuntimeError before Python 3.13.
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"path {relative[:200]!r} cannot be used ({reason})") from None
    if not stays:
        raise InputError(f"path {relative!r} leads out of its folder {root} through a symbolic link")
    return path


# Characters that file systems refuse in a name.
_REFUSED = re.compile(r'[/\\:*?"<>|\x00-\x1f]')


def file_stem(utterance_id: str) -> str:
    """Returns a file name for an utterance id: the id, with characters that file systems refuse replaced by `_`.

    Raises InputError for an id that cannot name a file.
    """
    check_name(utterance_id)
    stem = _REFUSED.sub("_", utterance_id)
    if stem.strip(". ") == "" or len(stem.encode()) > 200:
        raise InputError(f"utterance id {utterance_id[:80]!r} cannot name a file; needed 1 to 200 bytes, not only dots")
    return stem


def check_stays(root: Path, relative: str) -> PurePosixPath:
    """Returns a POSIX path inside `root` as such. Raises InputError for another one, whatever links there may be."""
    pure = PurePosixPath(relative)
    if pure.is_absolute() or ".." in pure.parts or "\\" in relative or not pure.parts:
        raise InputError(f"path {relative!r} leaves its folder {root}; needed a relative path without '..'")
    return pure


class Listing:
    """The files in a folder and in those below it, asked from the system by the folder, not by the file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[str, set[str]] = {}

    def has(self, relative: str) -> bool:
        """Returns whether `inside(root, relative)` is a file. Raises InputError as `inside` does."""
        folder, _, name = relative.rpartition("/")
        if folder not in self._names:
            self._names[folder] = self._plain_files(folder)
        # Anything unusual is asked for by itself: a link, another spelling, what is not there.
        return name in self._names[folder] or inside(self.root, relative).is_file()

    def _plain_files(self, folder: str) -> set[str]:
        """Returns the names of the files in a folder that are no links; none for a folder that cannot be listed."""
        try:
            with os.scandir(inside(self.root, folder) if folder else self.root) as entries:
                return {
                    entry.name for entry in entries if entry.is_file(follow_symlinks=False) and "\\" not in entry.name
                }
        except (InputError, OSError):
            return set()


# An absolute path within a text: of POSIX, from a home folder, or of Windows. Not what follows a scheme, as in https://.
_ABSOLUTE = re.compile(
    r"(?<![\w.:/~\\-])(?:~[\w.-]*(?=[/\\])|[A-Za-z]:(?=[/\\]))?[/\\][^\s'\"<>|,;]+|file:[/\\]+[^\s'\",;]+"
)


def without_folders(value: Any) -> Any:
    """Returns a JSON value whose texts have the last name of a path in the place of each absolute path."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    if not isinstance(value, str):
        return value
    # A path alone may have spaces.
    if PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute():
        return PureWindowsPath(value).name
    return _ABSOLUTE.sub(lambda match: PureWindowsPath(match.group()).name, value)
