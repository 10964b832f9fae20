"""The files of NIST's scorer: stm references (segments with times) and ctm hypotheses (words with times).

stm: `recording channel signer start end [<label>] words`, a segment a line.
ctm: `recording channel start duration word [confidence]`, a word a line; a line without a word says that nothing was
recognised there. In both `;;` begins a comment, fields are separated by ASCII space, a word ends at its first `;`
(what follows are tags), `\\;` is a semicolon, a `*` at the end of a word is dropped, and `@` is no word.
Source: NIST SCTK 2.4, `doc/infmts.htm`, and what its sclite does with such files.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from signloom.errors import Faults
from signloom.score.alignment import fold
from signloom.score.alternations import Alternation, Item
from signloom.tables import read_lines

IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
_SPACE = re.compile(r"[ \t\f\v]+")
_TAGS = re.compile(r"(?<!\\);.*", re.DOTALL)
_STM_FIELDS = 5
_CTM_FIELDS = 4


@dataclass(frozen=True)
class Segment:
    """A line of an stm file: what was signed in a stretch of a recording.

    start, end: seconds.  items: words and alternations.  ignored: out of bounds, whatever is recognised there.
    """

    recording: str
    channel: str
    signer: str
    start: float
    end: float
    items: tuple[Item, ...]
    ignored: bool
    place: str

    @property
    def key(self) -> tuple[str, str]:
        return recording_key(self.recording, self.channel)


class TimedWord(NamedTuple):
    """A word of a ctm file, or words of which one is to be taken.

    start, middle: seconds; of alternatives the start of the first and the latest middle.  word: None where none was
    recognised.  start_text: as it stands in the file.
    """

    recording: str
    channel: str
    start: float
    middle: float
    word: Item
    start_text: str


@lru_cache(maxsize=65536)
def recording_key(recording: str, channel: str) -> tuple[str, str]:
    """What tells recordings apart: name and channel without the case of a-z, as sclite compares them."""
    return fold(recording), fold(channel)


def read_stm(path: Path, faults: Faults) -> list[Segment]:
    """The segments of an stm file, in its order; faults of its lines are added to `faults`."""
    segments = []
    for place, line in _lines(path, faults):
        fields = _SPACE.split(line.strip(" \t\f\v"), _STM_FIELDS)
        if len(fields) < _STM_FIELDS:
            faults.add(f"{place}: {len(fields)} fields; needed recording channel signer start end, then the glosses")
            continue
        recording, channel, signer = fields[:3]
        start, end = _seconds(fields[3]), _seconds(fields[4])
        if start is None or end is None or end < start:
            faults.add(
                f"{place} ({recording}): start {fields[3]} and end {fields[4]}; needed seconds, the end not first"
            )
            continue
        text = fields[_STM_FIELDS] if len(fields) > _STM_FIELDS else ""
        if text.startswith("<"):
            text = " ".join(_SPACE.split(text, 1)[1:])
        ignored = IGNORED.lower() in text.lower()
        try:
            items = () if ignored else parse_transcript(text)
        except ValueError as error:
            faults.add(f"{place} ({recording}): {error}")
            continue
        segments.append(Segment(recording, channel, signer, start, end, items, ignored, place))
    return segments


def read_ctm(path: Path, faults: Faults) -> list[TimedWord]:
    """The words of a ctm file, in its order; faults of its lines are added to `faults`."""
    words: list[TimedWord] = []
    alternatives: _Alternatives | None = None
    for place, line in _lines(path, faults):
        fields = _fields(line)
        mark = fields[4].upper() if len(fields) > _CTM_FIELDS else ""
        if mark in ("<ALT_BEGIN>", "<ALT>", "<ALT_END>"):
            if (mark == "<ALT_BEGIN>") != (alternatives is None):
                faults.add(f"{place}: {mark} out of place; needed <ALT_BEGIN>, words, <ALT>, words, <ALT_END>")
            if alternatives is None:
                alternatives = _Alternatives(place)
            elif mark == "<ALT>":
                alternatives.choices.append([])
            else:
                words += alternatives.word()
                alternatives = None
            continue
        word = _timed_word(fields, place, faults)
        if word is None:
            continue
        if alternatives is None:
            words.append(word)
        else:
            alternatives.choices[-1].append(word)
    if alternatives is not None:
        faults.add(f"{alternatives.place}: <ALT_BEGIN> without <ALT_END>")
    return words


@dataclass
class _Alternatives:
    """The words between <ALT_BEGIN> and <ALT_END>, while they are read."""

    place: str
    choices: list[list[TimedWord]] = field(default_factory=lambda: [[]])

    def word(self) -> list[TimedWord]:
        """One word that is any of them; none where there is no word at all."""
        words = [word for choice in self.choices for word in choice]
        if not words:
            return []
        choices = tuple(tuple(word.word for word in choice) or (None,) for choice in self.choices)
        first = words[0]
        middle = max(word.middle for word in words)
        return [TimedWord(first.recording, first.channel, first.start, middle, Alternation(choices), first.start_text)]


def _timed_word(fields: Sequence[str], place: str, faults: Faults) -> TimedWord | None:
    """The word of a line; None, and a fault, where it is none."""
    if len(fields) < _CTM_FIELDS:
        faults.add(f"{place}: {len(fields)} fields; needed recording channel start duration word")
        return None
    start, duration = _seconds(fields[2]), _seconds(fields[3])
    if start is None or duration is None:
        faults.add(f"{place} ({fields[0]}): start {fields[2]} and duration {fields[3]}; needed seconds")
        return None
    if len(fields) > _CTM_FIELDS + 1 and _number(fields[5]) is None:
        faults.add(f"{place} ({fields[0]}): {fields[5]!r} where a confidence stands; a word holds no space")
        return None
    try:
        word = parse_word(fields[4]) if len(fields) > _CTM_FIELDS else None
    except ValueError as error:
        faults.add(f"{place} ({fields[0]}): {error}")
        return None
    return TimedWord(fields[0], fields[1], start, start + duration / 2, word, fields[2])


@lru_cache(maxsize=65536)
def parse_word(text: str) -> str | None:
    """The word without its tags; None for `@`. Raises ValueError where nothing is left of it."""
    if text == "@":
        return None
    word = _TAGS.sub("", text).replace("\\", "")
    if len(word) > 1:
        word = word.removesuffix("*")
    if not word:
        raise ValueError(f"the word {text!r} is only tags; a semicolon in a word is written \\;")
    return None if word == "@" else word


def parse_transcript(text: str, *, choice: bool = False) -> tuple[Item, ...]:
    """The words and alternations of a transcript. Raises ValueError for braces that do not match.

    choice: the text is one of several wordings. Only there, and beside such, `@` says something; else it is left out.
    """
    if "{" not in text:
        words = tuple(parse_word(part) for part in _fields(text))
        return words if choice else tuple(word for word in words if word is not None)
    items: list[Item] = []
    at = 0
    while at < len(text):
        if text[at] in " \t\f\v":
            at += 1
        elif text[at] == "{":
            end = _closing(text, at)
            choices = [parse_transcript(wording, choice=True) for wording in _choices(text[at + 1 : end])]
            if not choices:
                raise ValueError(f"an alternation without words: {text[at : end + 1]!r}; write @ for no word")
            items.append(Alternation(tuple(choices)))
            at = end + 1
        else:
            word_text = _SPACE.split(text[at:], 1)[0]
            if "{" in word_text:
                raise ValueError(f"a brace within the word {word_text!r}; put a space before an alternation")
            items.append(parse_word(word_text))
            at += len(word_text)
    return tuple(items)


def _closing(text: str, start: int) -> int:
    depth = 0
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
    raise ValueError(f"the alternation {text[start : start + 40]!r} is not closed; needed a }} for each {{")


def _choices(text: str) -> Iterator[str]:
    """The wordings of an alternation: what stands between the slashes that are in no inner one."""
    depth = 0
    part = ""
    for letter in f"{text}/":
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "/" and depth == 0:
            if part.strip():
                yield part
            part = ""
        else:
            part += letter


def assign(segments: Sequence[Segment], words: Iterable[TimedWord]) -> list[list[TimedWord]]:
    """The words that belong to each segment of one recording; both in order of time.

    As in sclite a word belongs to the first segment that ends after the middle of the word, the ones after all
    segments to the last: words between two segments go to the later one.
    """
    taken: list[list[TimedWord]] = [[] for _ in segments]
    at = 0
    # sclite keeps the times of segments in single precision and those of words in double: on a border it matters.
    ends = [ctypes.c_float(segment.end).value for segment in segments]
    for word in words:
        while at < len(segments) - 1 and word.middle >= ends[at]:
            at += 1
        taken[at].append(word)
    return taken


def _lines(path: Path, faults: Faults) -> Iterator[tuple[str, str]]:
    """The lines that are not comments, each with its place."""
    name = str(path)
    return (
        (f"{name}:{number}", line)
        for number, line in read_lines(path, faults) or ()
        if not line.lstrip().startswith(";;")
    )


def _fields(text: str) -> list[str]:
    """The parts between ASCII space; of other scripts' space, which may stand in a word, nothing is made."""
    if text.isascii():
        return text.split()
    return [part for part in _SPACE.split(text) if part]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _seconds(text: str) -> float | None:
    """Zero or more seconds; None for anything else. Infinity is as good an end as 1.79769e+308."""
    value = _number(text)
    return None if value is None or math.isnan(value) or value < 0 else value
