"""The inputs of a command, which none of its outputs may overwrite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signloom.errors import InputError
from signloom.files.paths import resolved

# By device and number on it: other spellings of a name, symbolic and hard links lead to the same file.
_files: dict[tuple[int, int], str] = {}
_folders: dict[Path, str] = {}


@contextmanager
def protected_inputs() -> Iterator[None]:
    """Ends the protection of all inputs when the block ends."""
    try:
        yield
    finally:
        _files.clear()
        _folders.clear()


def protect(path: Path, name: str) -> None:
    """Protects a file, or all files in a folder, until `protected_inputs` ends; one that is missing needs none.

    name: of the input, for messages.
    """
    if path.is_dir():
        _folders.setdefault(resolved(path), name)
    elif (key := _key(path)) is not None:
        _files.setdefault(key, name)


def check_no_input(path: Path) -> None:
    """Raises InputError if writing the file `path` would replace a protected one."""
    if not (_files or _folders) or (key := _key(path)) is None:
        return
    name = _files.get(key)
    if name is None and _folders:
        parents = set(resolved(path).parents)
        name = next((name for folder, name in _folders.items() if folder in parents), None)
    if name is not None:
        raise InputError(f"{path}: is an input of this command ({name}); choose another name for the output")


def _key(path: Path) -> tuple[int, int] | None:
    """Returns what identifies a file, or None if there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
