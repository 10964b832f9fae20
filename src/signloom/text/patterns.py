"""Regular expressions that users give: compiled with care, and run with a time limit.

Some expressions, such as `(a+)+$`, take longer than the age of the universe on a short text. Python's own `re` cannot
be stopped; the package `regex` can.
"""

from __future__ import annotations

import time

from signloom.errors import InputError, plural

# Seconds that one expression may take for all the texts of a command. A good one takes a microsecond for each.
_MOST_SECONDS = 10.0
_LONGEST = 1000


class UserPattern:
    """A regular expression with one group, given as an option.

    Raises InputError, naming the option, if it is invalid, too long, or has another number of groups.
    """

    def __init__(self, text: str, option: str) -> None:
        import regex

        self.text, self.option = text, option
        self._seconds_left = _MOST_SECONDS
        if len(text) > _LONGEST:
            raise InputError(f"{option} has {plural(len(text), 'character')}; needed at most {_LONGEST:,}")
        try:
            self._compiled = regex.compile(text)
        except (regex.error, ValueError, OverflowError, RecursionError, MemoryError) as error:
            raise InputError(f"{option} {text!r} is not a regular expression ({error})") from None
        if self._compiled.groups != 1:
            raise InputError(
                f"{option} {text!r} has {self._compiled.groups} groups; needed one (group) around what it finds"
            )

    def find(self, name: str) -> str | None:
        """Returns what the group finds in a text, which may be empty; None if the expression does not match.

        Raises InputError if the expression has used up its time.
        """
        start = time.monotonic()
        try:
            match = self._compiled.search(name, timeout=max(self._seconds_left, 1e-3))
        except TimeoutError:
            raise InputError(
                f"{self.option} {self.text!r} takes longer than {_MOST_SECONDS:g} s (at {name[:80]!r}): it tries too "
                "many ways to match; make it plainer, without a repetition inside a repetition such as (a+)+"
            ) from None
        self._seconds_left -= time.monotonic() - start
        return None if match is None else match[1] or ""


def found_in(name: str, pattern: UserPattern | None) -> str | None:
    """Returns what `pattern` finds in a text; None if it finds nothing, or there is no pattern."""
    return pattern.find(name) if pattern is not None else None
