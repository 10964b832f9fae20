"""The field of a table that holds the glosses of a sentence: words, or a list as Python, NumPy and JSON write it."""

from __future__ import annotations

import re

from signloom.errors import InputError


def glosses_of(text: str) -> list[str]:
    """Returns the glosses in a field: words, or the items of a list such as `['A', 'B']` or `["A","B"]`.

    A quoted item with spaces is one gloss, with dashes for the spaces.

    Raises InputError for a list of something else.
    """
    body = text.strip()
    if not (body.startswith("[") and body.endswith("]")):
        return text.split()
    inner = body[1:-1]
    if "{" in inner:
        raise InputError(f"glosses are {body!r:.60}; needed words, or a list such as ['A', 'B']")
    # Not evaluated: Python would join ['A' 'B'], as NumPy prints an array, into one word.
    quoted = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
    if re.fullmatch(r"[\s,]*", quoted.sub("", inner)):
        items = [re.sub(r"\\(.)", r"\1", one or other) for one, other in quoted.findall(inner)]
    elif "," in inner and "'" not in inner and '"' not in inner:
        items = inner.split(",")
    else:
        return text.split()
    return ["-".join(item.split()) for item in items if item.strip()]
