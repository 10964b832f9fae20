"""Standard output and error that survive their reader, their terminal and their encoding.

A reader may go away (`| head`, a closed terminal) without ending the work. Text is shown on a terminal without the
characters that it would obey: names and glosses come from files that anybody may have made. An encoding that lacks a
character, as in an ASCII locale, gets its escape.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from signloom.errors import printable

# The name of the way to write what an encoding lacks: as JSON does, so that JSON stays JSON.
_ESCAPES = "signloom.escapes"


class _Patient:
    """A text stream that throws its text away from the moment on that nobody reads it.

    plain: text is written as `printable` returns it.
    """

    def __init__(self, stream: Any, *, plain: bool) -> None:
        self._stream, self._plain = stream, plain

    def write(self, text: str) -> int:
        try:
            self._stream.write(printable(text) if self._plain else text)
        except BrokenPipeError:
            self._discard()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._discard()

    @property
    def drawing(self) -> _Patient:
        """The same stream for text with its own control characters (colours, a progress bar): see `console`."""
        return _Patient(self._stream, plain=False)

    def _discard(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def patient_output() -> Iterator[None]:
    """Makes standard output and error patient while the block runs: files are written, and the exit status is that of
    the work, even if nobody reads the text.

    Messages are always plain. A result is plain on a terminal only: in a file or a pipe it stays as it is.
    """
    before = sys.stdout, sys.stderr
    codecs.register_error(_ESCAPES, _escaped)
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ESCAPES)
    # A stream that was closed before the program started is None.
    sys.stdout = before[0] and _Patient(before[0], plain=before[0].isatty())
    sys.stderr = before[1] and _Patient(before[1], plain=True)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Returns the escapes of the characters that an encoding lacks, as JSON writes them, and where they end."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)), error.end
