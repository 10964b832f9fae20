"""Cleans the text of names and glosses where it enters, and shows characters that look alike.

One word can be written in several ways that nobody sees: a letter and its accent as one character or as two (Unicode's
forms NFC and NFD), with a zero-width space, a byte order mark or a soft hyphen inside. `clean` makes them one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

from signloom.errors import listed, plural

# Source: Unicode 15.1, DerivedCoreProperties.txt, Default_Ignorable_Code_Point: zero-width spaces and joiners, byte
# order mark, soft hyphen, marks of direction, variation selectors, fillers. The first ranges are control characters
# without the white space among them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
# White space of other kinds, such as the no-break space and the ideographic space. A tab separates columns.
_SPACES = re.compile(r"[^\S \t\r\n]")
# Letters of other scripts that look like a Latin letter, and the yeh and kaf that keyboards for Arabic and for Persian
# type. Source: Unicode's confusables.txt, the pairs that occur in words and that no language tells apart.
_SAME_LOOK = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаесорухіјѕԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧονі\u06cc\u06a9",
    "ABESIJKMHOPCTYXaecopyxijsdqwABEZHIKMNOPTYXovi\u064a\u0643",
)


def clean(text: str) -> str:
    """Returns `text` in the form NFC, without invisible characters, with plain spaces for other white space."""
    if text.isascii() and text.isprintable():
        return text
    return unicodedata.normalize("NFC", _SPACES.sub(" ", _INVISIBLE.sub("", text)))


class Cleaner:
    """Cleans texts and counts what it changed, for one message about all of them."""

    def __init__(self) -> None:
        self._removed = Counter[str]()
        self._composed = 0

    def __call__(self, text: str) -> str:
        """Returns the clean text; see `clean`."""
        cleaned = clean(text)
        if cleaned != text:
            hidden = _INVISIBLE.findall(text) + _SPACES.findall(text)
            self._removed.update(hidden)
            self._composed += not hidden or unicodedata.normalize("NFC", text) != text
        return cleaned

    def words(self, text: str) -> tuple[str, ...]:
        """Returns the words of a text, clean; those of invisible characters alone are left out."""
        return tuple(self(text).split())

    def note(self) -> str | None:
        """Returns a message about all changes, or None if there were none."""
        parts = []
        if self._removed:
            names = (f"{code_points(letter)} ({count:,})" for letter, count in self._removed.most_common())
            parts.append(f"invisible characters were removed: {listed(names, shown=5)}")
        if self._composed:
            changed = plural(self._composed, "name or gloss was", "names or glosses were")
            parts.append(f"{changed} brought into one Unicode form (NFC)")
        return "; ".join(parts) or None


def code_points(text: str) -> str:
    """Returns the characters of a text as code points; the name of a single one: `U+200B ZERO WIDTH SPACE`."""
    points = " ".join(f"U+{ord(letter):04X}" for letter in text)
    return f"{points} {unicodedata.name(text, '')}".strip() if len(text) == 1 else points


def skeleton(text: str) -> str:
    """Returns a form that texts which look alike, or differ in case only, have in common."""
    return unicodedata.normalize("NFKC", clean(text).translate(_SAME_LOOK)).casefold().translate(_SAME_LOOK)


def look_alikes(texts: Iterable[str]) -> list[tuple[str, ...]]:
    """Returns the groups of different texts that look alike or differ in case only, each sorted."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for text in texts:
        groups[skeleton(text)].add(text)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)


def told_apart(texts: Iterable[str]) -> str:
    """Returns texts for a message; those that look like another one with the characters that differ, as code points."""
    texts = list(texts)
    shown = []
    for text in texts:
        others = [other for other in texts if other != text and look(other) == look(text)]
        theirs = set("".join(others))
        differing = "".join(dict.fromkeys(letter for letter in text if letter not in theirs))
        shown.append(f"{text!r} ({code_points(differing or text)})" if others else repr(text))
    return ", ".join(shown)


def look(text: str) -> str:
    """Returns a form that texts have in common if no reader could tell them apart; case matters."""
    return unicodedata.normalize("NFKC", clean(text).translate(_SAME_LOOK))
