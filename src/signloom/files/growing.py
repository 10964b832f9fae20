"""A file that grows while a program runs, for what cannot wait until it is whole: live captions, recordings."""

from __future__ import annotations

import errno
from pathlib import Path

from signloom.errors import InputError, plural
from signloom.files.writing import check_target


class GrowingFile:
    """A file that others can read at any moment: it holds whole pieces only, also after a kill or on a full disk.

    fault: why it does not grow any more, in words, or None. The work goes on without it.

    Raises InputError where `check_new` does, and if `path` lies below a file; OSError if it cannot be made.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self.fault: str | None = None
        check_new(path, overwrite=overwrite)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer: a piece is in the file, or an error, when `write` returns.
            self._file = path.open("wb", buffering=0)
        except (FileExistsError, NotADirectoryError):
            raise InputError(f"{path}: a part of this path is a file; needed a folder") from None
        self._length = 0

    def write(self, piece: bytes) -> None:
        """Appends a piece, whole or not at all. After a fault nothing is written."""
        if self.fault is not None or not piece:
            return
        rest = memoryview(piece)
        try:
            while rest:
                # A disk that fills takes a part of the piece first.
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self._file.truncate(self._length)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "no space left on the disk" if full else str(error.strerror or error)
            self.fault = f"{self.path}: {reason}; the file ends here, after {plural(self._length, 'byte')}"
            return
        self._length += len(piece)

    def close(self) -> None:
        self._file.close()


def check_new(path: Path, *, overwrite: bool) -> None:
    """Raises InputError where `files.writing.check_target` does, and if the file exists and is not to be replaced."""
    check_target(path)
    if path.exists() and not overwrite:
        raise InputError(f"{path}: already exists; name another file, or replace it with --overwrite")
