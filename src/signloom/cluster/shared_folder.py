"""The folder that all machines of a run write into: each shows that it sees the same one."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from signloom.files.temporary import new_temporary
from signloom.files.urls import Url

# A network file system may show a new file only after some seconds.
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class SharedFolder:
    """A folder, with a file in it by which another machine knows that it sees the same folder. A URL needs none."""

    path: Path
    mark: Path
    token: str

    def fault(self) -> str | None:
        """Returns why this machine cannot write into the folder; None if it can."""
        if isinstance(self.path, Url):
            return None
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._is_seen():
            if time.monotonic() > deadline:
                return f"it does not see {self.path}, the output folder; mount it there, at the same path"
            time.sleep(0.2)
        try:
            descriptor, name = new_temporary(self.path / "try")
            os.close(descriptor)
            Path(name).unlink()
        except OSError as error:
            return f"it cannot write into {self.path} ({error.strerror})"
        return None

    def _is_seen(self) -> bool:
        try:
            return self.mark.read_text(encoding="utf-8") == self.token
        except (OSError, UnicodeDecodeError):
            return False


@contextmanager
def shared_folder(path: Path) -> Iterator[SharedFolder]:
    """Yields the folder `path`, which exists, marked while the block runs."""
    path = path.absolute()
    if isinstance(path, Url):
        yield SharedFolder(path, path, "")
        return
    descriptor, name = new_temporary(path / "seen")
    token = secrets.token_hex(8)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(token)
        # Users of other machines may have another number there.
        os.chmod(name, 0o644)
        yield SharedFolder(path, Path(name), token)
    finally:
        Path(name).unlink(missing_ok=True)
