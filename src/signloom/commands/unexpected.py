"""The last net: an error that nobody foresaw becomes a short message, and its traceback is kept for a report."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence

from signloom import __version__
from signloom.errors import printable

# EX_SOFTWARE of sysexits.h: an internal error. No other exit status of signloom means this.
EXIT_STATUS = 70
# Shows tracebacks in place of messages, if it is set.
VARIABLE = "SIGNLOOM_TRACEBACK"
ISSUES = "the issues of signloom's repository"
# Characters of an error's own text that are shown.
_SHOWN = 300


def report(error: Exception, arguments: Sequence[str]) -> int:
    """Prints what happened and how to report it; returns the exit status.

    The traceback goes to a file in the folder for temporary files, or to stderr if the variable asks for it or no file
    can be written: work of hours must not be repeated to see it.
    """
    print(f"signloom: error: {_what(error)}", file=sys.stderr)
    record = _record(error, arguments)
    place = None if os.environ.get(VARIABLE) else _kept(record)
    if place is None:
        print(record, file=sys.stderr)
    else:
        print(f"The traceback is in {place}; {VARIABLE}=1 shows it here.", file=sys.stderr)
    print(
        f"Please report this in {ISSUES}: attach the traceback, the command with its whole output, and the output of "
        "'signloom doctor PATH --format json' for the corpus, run or model in question.",
        file=sys.stderr,
    )
    return EXIT_STATUS


def _what(error: Exception) -> str:
    name, text = type(error).__name__, printable(" ".join(str(error).split()))[:_SHOWN]
    named = f"{name}: {text}" if text else name
    if isinstance(error, MemoryError):
        return f"not enough memory ({named}); give it less at a time, such as shorter clips or a smaller batch"
    if isinstance(error, RecursionError):
        return f"something in the input is nested too deeply ({named})"
    if isinstance(error, UnicodeEncodeError) and not error.encoding.lower().startswith("utf"):
        return (
            f"a character that the encoding {error.encoding} of this terminal lacks ({text}); set a UTF-8 locale, such "
            "as LC_ALL=C.UTF-8, or PYTHONUTF8=1"
        )
    if isinstance(error, UnicodeError):
        return f"text that is not valid Unicode ({named})"
    if isinstance(error, ImportError):
        return f"a package that signloom needs is broken or of another version ({named}); install signloom again"
    return f"unexpected {named}. This is a fault of signloom"


def _record(error: Exception, arguments: Sequence[str]) -> str:
    system = f"signloom {__version__}, Python {platform.python_version()}, {platform.platform()}"
    trace = "".join(traceback.format_exception(error))
    return printable("\n".join([system, f"arguments: {list(arguments)}", "", trace]))


def _kept(record: str) -> str | None:
    """Returns the file that the record was written to, None if it cannot be written."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="signloom-traceback-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(record)
    except OSError:
        return None
    return name
