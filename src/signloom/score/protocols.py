"""Scoring rules by name: what each changes in reference and hypothesis before they are aligned.

A word error rate means nothing without its rule, so every score carries the name of one.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from signloom.errors import InputError


@dataclass(frozen=True)
class Protocol:
    """A scoring rule.  rule: what it does, as a sentence to be printed beside the number."""

    name: str
    rule: str


PROTOCOLS: dict[str, Protocol] = {
    "plain": Protocol(
        "plain",
        "glosses as they stand, letters a-z without case; least-cost alignment as sclite (substitution 4, insertion 3, "
        "deletion 3); WER = (S + D + I) / reference glosses, over the whole split",
    ),
}


def protocol_named(name: str) -> Protocol:
    """The rule of that name. Raises InputError naming the nearest one there is."""
    if name not in PROTOCOLS:
        near = difflib.get_close_matches(name, PROTOCOLS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"scoring rule {name!r} is not known{hint} Known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
