"""Reads ranges of bytes of large files, which stay open: members of the shards of a packed corpus."""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from signloom.errors import InputError, plural
from signloom.files.copies import Copied
from signloom.files.reading import ANY, open_file

# Well below the 256 open files that some systems allow a process.
_MOST_OPEN = 64


class RangeReader:
    """Reads ranges of files of a folder by their names.

    copied: where files are fetched from that the folder has not; None if it has all of them.

    The files read last stay open. Reading moves no position, so processes that are forked can share them; a pickled
    reader opens them anew.
    """

    def __init__(self, root: Path, copied: Copied | None = None) -> None:
        self.root, self.copied = root, copied
        self._open: OrderedDict[str, int] = OrderedDict()

    @property
    def place(self) -> Path:
        """The folder or URL of the files, for messages."""
        return self.copied.origin if self.copied else self.root

    def path(self, name: str) -> Path:
        """Returns the local path of a file, after fetching it if need be."""
        return self.copied.path(name) if self.copied else self.root / name

    def read(self, name: str, start: int, size: int) -> bytes:
        """Returns `size` bytes of a file from `start` on.

        Raises InputError for a file that cannot be read, or ends before.
        """
        parts, there = [], 0
        try:
            descriptor = self._descriptor(name)
            while there < size and (part := os.pread(descriptor, size - there, start + there)):
                parts.append(part)
                there += len(part)
            end = os.fstat(descriptor).st_size
        except OSError as error:
            raise InputError(f"{self.place / name}: cannot be read ({error.strerror or error})") from None
        if there < size:
            raise InputError(
                f"{self.place / name}: {plural(end, 'byte')}; needed {start + size:,}: the file is cut off"
            )
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _descriptor(self, name: str) -> int:
        if name not in self._open:
            self._close_removed()
            with open_file(self.path(name), ANY) as file:
                self._open[name] = os.dup(file.fileno())
            if len(self._open) > _MOST_OPEN:
                os.close(self._open.popitem(last=False)[1])
        self._open.move_to_end(name)
        return self._open[name]

    def _close_removed(self) -> None:
        """Closes copies that were removed to make room: an open file takes its room until then."""
        removed = [name for name, descriptor in self._open.items() if os.fstat(descriptor).st_nlink == 0]
        for name in removed if self.copied else ():
            os.close(self._open.pop(name))

    def close(self) -> None:
        """Closes the files; the next reading opens them again."""
        while self._open:
            with suppress(OSError):
                os.close(self._open.popitem()[1])

    def __getstate__(self) -> tuple[Path, Copied | None]:
        return self.root, self.copied

    def __setstate__(self, state: tuple[Path, Copied | None]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __del__(self) -> None:
        self.close()
