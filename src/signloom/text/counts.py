"""Counts of a whole in sentences whose verb agrees with them."""

from __future__ import annotations

from signloom.errors import plural


def some_of(count: int, total: int, noun: str, one: str, many: str, *, nouns: str | None = None) -> str:
    """Returns how many of how many do something: `1 of 5 clips has`, `2 of 5 clips have`, `0 of 1 clip have`.

    one, many: the verb for a count of one, and for others.  nouns: the plural of `noun` where an `s` does not make it.
    """
    return f"{count:,} of {plural(total, noun, nouns)} {one if count == 1 else many}"
