"""Reads the file formats of NIST's scorer sclite: stm (references with times) and ctm (recognised words with times).

stm: `recording channel signer start end [<label>] words`, one segment per line.
ctm: `recording channel start duration word [confidence]`, one word per line; a line without a word says that nothing
was recognised there. In both, `;;` starts a comment, ASCII white space separates fields, a word ends at its first `;`
(tags follow), `\\;` is a semicolon, a `*` at the end of a word is dropped, and `@` means no word.
Source: NIST SCTK 2.4, `doc/infmts.htm`, and the behaviour of its sclite.
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

from signloom.errors import Faults, plural
from signloom.score.alignment import fold
from signloom.score.alternations import Alternation, Item
from signloom.text.tables import read_lines

IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
_SPACE = re.compile(r"[ \t\f\v]+")
_TAGS = re.compile(r"(?<!\\);.*", re.DOTALL)
_STM_FIELDS = 5
_CTM_FIELDS = 4


@dataclass(frozen=True)
class Segment:
    """One line of an stm file: what was signed in a part of a recording.

    start, end: seconds.  items: words and alternations.  ignored: the segment is not scored.
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
    """A word of a ctm file, or an alternation of words.

    start, middle: seconds; of an alternation the start of its first word and the latest middle.
    word: None if nothing was recognised.  start_text: the start as written in the file.  place: its line.
    """

    recording: str
    channel: str
    start: float
    middle: float
    word: Item
    start_text: str
    place: str = ""

    @property
    def end(self) -> float:
        return 2 * self.middle - self.start


@lru_cache(maxsize=65536)
def recording_key(recording: str, channel: str) -> tuple[str, str]:
    """Returns name and channel of a recording, ignoring the case of a-z as sclite does."""
    return fold(recording), fold(channel)


def read_stm(path: Path, faults: Faults) -> list[Segment]:
    """Returns the segments of an stm file, in its order; faults of its lines are added to `faults`."""
    segments = []
    for place, line in _lines(path, faults):
        fields = _SPACE.split(line.strip(" \t\f\v"), _STM_FIELDS)
        if len(fields) < _STM_FIELDS:
            faults.add(
                f"{place}: {plural(len(fields), 'field')}; needed recording channel signer start end, then the glosses"
            )
            continue
        recording, channel, signer = fields[:3]
        start, end = _seconds(fields[3]), _seconds(fields[4])
        if start is None or end is None or end < start:
            faults.add(
                f"{place} ({recording}): start {fields[3]} and end {fields[4]}; needed seconds, start before end"
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
        except RecursionError:
            faults.add(f"{place} ({recording}): alternations nested too deeply; needed a few levels at most")
            continue
        segments.append(Segment(recording, channel, signer, start, end, items, ignored, place))
    return segments


def read_ctm(path: Path, faults: Faults) -> list[TimedWord]:
    """Returns the words of a ctm file, in its order; faults of its lines are added to `faults`."""
    words: list[TimedWord] = []
    alternation: _OpenAlternation | None = None
    for place, line in _lines(path, faults):
        fields = _fields(line)
        mark = fields[4].upper() if len(fields) > _CTM_FIELDS else ""
        if mark in ("<ALT_BEGIN>", "<ALT>", "<ALT_END>"):
            if (mark == "<ALT_BEGIN>") != (alternation is None):
                faults.add(f"{place}: {mark} out of place; needed <ALT_BEGIN>, words, <ALT>, words, <ALT_END>")
            if alternation is None:
                alternation = _OpenAlternation(place)
            elif mark == "<ALT>":
                alternation.choices.append([])
            else:
                words += alternation.word()
                alternation = None
            continue
        word = _timed_word(fields, place, faults)
        if word is None:
            continue
        (words if alternation is None else alternation.choices[-1]).append(word)
    if alternation is not None:
        faults.add(f"{alternation.place}: <ALT_BEGIN> without <ALT_END>")
    return words


@dataclass
class _OpenAlternation:
    """The words after an <ALT_BEGIN>, until its <ALT_END> is read."""

    place: str
    choices: list[list[TimedWord]] = field(default_factory=lambda: [[]])

    def word(self) -> list[TimedWord]:
        """Returns the alternation as a single timed word; an empty list if it has no words."""
        words = [word for choice in self.choices for word in choice]
        if not words:
            return []
        choices = tuple(tuple(word.word for word in choice) or (None,) for choice in self.choices)
        first = words[0]
        middle = max(word.middle for word in words)
        return [first._replace(middle=middle, word=Alternation(choices))]


def _timed_word(fields: Sequence[str], place: str, faults: Faults) -> TimedWord | None:
    """Returns the word of a line; adds a fault and returns None if the line is invalid."""
    if len(fields) < _CTM_FIELDS:
        faults.add(f"{place}: {plural(len(fields), 'field')}; needed recording channel start duration word")
        return None
    start, duration = _seconds(fields[2]), _seconds(fields[3])
    if start is None or duration is None:
        faults.add(f"{place} ({fields[0]}): start {fields[2]} and duration {fields[3]}; needed seconds")
        return None
    # Some tools write more columns: confidence or NA, type, speaker.
    if len(fields) > _CTM_FIELDS + 1 and _number(fields[5]) is None and fields[5].upper() != "NA":
        faults.add(f"{place} ({fields[0]}): {fields[5]!r} is not a confidence; a word must not contain a space")
        return None
    try:
        word = parse_word(fields[4]) if len(fields) > _CTM_FIELDS else None
    except ValueError as error:
        faults.add(f"{place} ({fields[0]}): {error}")
        return None
    return TimedWord(fields[0], fields[1], start, start + duration / 2, word, fields[2], place)


@lru_cache(maxsize=65536)
def parse_word(text: str) -> str | None:
    """Returns the word without its tags, or None for `@`. Raises ValueError if nothing is left of it."""
    if text == "@":
        return None
    word = _TAGS.sub("", text).replace("\\", "")
    if len(word) > 1:
        word = word.removesuffix("*")
    if not word:
        raise ValueError(f"the word {text!r} has only tags; write a semicolon in a word as \\;")
    return None if word == "@" else word


def parse_transcript(text: str, *, choice: bool = False) -> tuple[Item, ...]:
    """Returns the words and alternations of a transcript. Raises ValueError for braces that do not match.

    choice: the text is one of several wordings. Without alternations `@` has no meaning and is left out.
    """
    if "{" not in text:
        words = tuple(parse_word(part) for part in _fields(text))
        return words if choice else tuple(word for word in words if word is not None)
    items: list[Item] = []
    index = 0
    while index < len(text):
        if text[index] in " \t\f\v":
            index += 1
        elif text[index] == "{":
            end = _closing(text, index)
            choices = [parse_transcript(wording, choice=True) for wording in _choices(text[index + 1 : end])]
            if not choices:
                raise ValueError(f"an alternation without words: {text[index : end + 1]!r}; write @ for no word")
            items.append(Alternation(tuple(choices)))
            index = end + 1
        else:
            word_text = _SPACE.split(text[index:], 1)[0]
            if "{" in word_text:
                raise ValueError(f"a brace within the word {word_text!r}; put a space before an alternation")
            items.append(parse_word(word_text))
            index += len(word_text)
    return tuple(items)


def _closing(text: str, start: int) -> int:
    depth = 0
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise ValueError(f"the alternation {text[start : start + 40]!r} is not closed; needed a }} for each {{")


def _choices(text: str) -> Iterator[str]:
    """Yields the wordings of an alternation: the parts between slashes outside nested alternations."""
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
    """Returns the words that belong to each segment of one recording; segments and words are in order of time.

    As in sclite, a word belongs to the first segment that ends after the middle of the word, so words between two
    segments go to the later one. Words after all segments belong to the last.
    """
    assigned: list[list[TimedWord]] = [[] for _ in segments]
    index = 0
    # sclite keeps the times of segments in single precision and those of words in double: this matters at a border.
    ends = [ctypes.c_float(segment.end).value for segment in segments]
    for word in words:
        while index < len(segments) - 1 and word.middle >= ends[index]:
            index += 1
        assigned[index].append(word)
    return assigned


def _lines(path: Path, faults: Faults) -> Iterator[tuple[str, str]]:
    """Yields the lines that are not comments, each with its place."""
    name = str(path)
    return (
        (f"{name}:{number}", line)
        for number, line in read_lines(path, faults) or ()
        if not line.lstrip().startswith(";;")
    )


def _fields(text: str) -> list[str]:
    """Returns the parts between ASCII white space; other white space may be part of a word."""
    if text.isascii():
        return text.split()
    return [part for part in _SPACE.split(text) if part]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _seconds(text: str) -> float | None:
    """Returns a time of 0 seconds or more, or None for anything else."""
    value = _number(text)
    return None if value is None or not math.isfinite(value) or value < 0 else value
