"""Folders for what is here only for a while: what comes from object storage, and what goes there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signloom.files.temporary import new_temporary_folder

# The environment variable that names another folder.
VARIABLE = "SIGNLOOM_CACHE"


def cache_folder() -> Path:
    """Returns the folder for local copies of what lies in object storage: $SIGNLOOM_CACHE, or ~/.cache/signloom."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "signloom"


@contextmanager
def scratch() -> Iterator[Path]:
    """Makes an empty local folder, which is removed when the block ends; after a kill, by the next process."""
    parent = cache_folder() / "scratch"
    parent.mkdir(parents=True, exist_ok=True)
    folder = new_temporary_folder(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
