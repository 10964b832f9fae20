"""A folder of object storage with a local copy, whose files are fetched when they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from signloom.errors import InputError
from signloom.files.cache import cached, used
from signloom.files.paths import inside
from signloom.files.reading import Kind, Member, read_bytes
from signloom.files.storage import MissingObjectError
from signloom.files.urls import Url

# A copy that another process removes meanwhile, to make room, is fetched again.
_TRIES = 5


@dataclass(frozen=True)
class Copied:
    """A folder of object storage, and the local folder of its copies.

    sizes: of the objects that a listing found, by their paths; empty without one.
    """

    origin: Url
    folder: Path
    sizes: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)

    def path(self, name: str) -> Path:
        """Returns the local path of a file, after fetching it if it is not there.

        Raises InputError for a path that leaves the folder, and as `storage.fetch` does.
        """
        path = inside(self.folder, name)
        try:
            return path if used(path) else cached(self.origin / name, path)
        except MissingObjectError as error:
            raise InputError(f"{error}; if it was there, it was replaced meanwhile: run this again") from None

    def member(self, name: str, kind: Kind) -> Member:
        """Returns the content of a file, which messages call by its URL. Raises InputError as `path` does."""
        for _ in range(_TRIES):
            path = self.path(name)
            try:
                return Member(str(self.origin / name), read_bytes(path, kind))
            except InputError as error:
                if path.exists():
                    raise InputError(str(error).replace(str(path), str(self.origin / name))) from None
        raise InputError(f"{self.origin / name}: copies are removed before they are read; raise SIGNLOOM_CACHE_GB")
