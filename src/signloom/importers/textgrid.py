"""Imports interval tiers of glosses from Praat files (.TextGrid): a corpus with --landmarks, else a table id|gloss.

The long and the short text form are read, in UTF-8 or UTF-16. Intervals without text are pauses. A file is one
utterance; --segments TIER names a tier of sentences: then each sentence is one utterance, and the landmarks are cut at
its times. Landmark files have the name of the TextGrid file. The split of a file is the folder train, dev or test that
contains it, else --split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from signloom.errors import InputError
from signloom.files.reading import TEXT, open_file, read_text
from signloom.importers.annotations import AnnotationSource
from signloom.importers.timed_annotations import TierOptions, import_timed
from signloom.timed.annotations import TimedAnnotation, TimedDocument

SUFFIX = ".textgrid"
# Praat reads text in quotes, numbers and flags that stand free; all else is decoration. Source: Praat manual, "TextGrid
# file formats". A quote within a text is doubled.
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(<exists>)|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|![^\n]*')
# Seconds; a recording is a day long at most.
_LARGEST = 1e9


@dataclass(frozen=True, kw_only=True)
class Options(TierOptions):
    """Options of `signloom import textgrid`."""


def run(options: Options) -> int:
    """Writes the corpus or the table; returns exit status 0."""
    source = AnnotationSource(
        importer="textgrid",
        title="Praat annotations",
        licence=options.licence or "not stated in the files; see where they come from",
        citation="Boersma, Weenink. Praat: doing phonetics by computer. praat.org",
        details={"tier": " + ".join(options.tier), "segments": options.segments},
    )
    return import_timed(options, options.tiers, source, (SUFFIX,), read_textgrid)


def read_textgrid(path: Path) -> TimedDocument:
    """Returns the tiers of a TextGrid file; points have no duration, intervals without text are left out.

    Raises InputError for a file of another kind, or a damaged one.
    """
    with open_file(path, TEXT) as file:
        if b"ooBinaryFile" in file.read(100):
            raise InputError(f"{path}: a binary TextGrid; in Praat, save it as a text file")
    text = read_text(path)
    try:
        return TimedDocument(dict(_tiers(_tokens(text))), {})
    except (StopIteration, _WrongToken) as error:
        reason = f"{error}" or "it ends in the middle of a tier"
        raise InputError(f"{path}: not a TextGrid file ({reason}); save it again in Praat") from None


class _WrongToken(Exception):
    """A value of another type than the format has at this place."""


def _tokens(text: str) -> Iterator[str | float]:
    """Yields the texts and numbers of a file, and <exists> as a number."""
    for match in _TOKEN.finditer(text):
        if match[1] is not None:
            yield match[1].replace('""', '"')
        elif match[2] or match[3]:
            yield float(match[3] or 1)


def _tiers(tokens: Iterator[str | float]) -> list[tuple[str, tuple[TimedAnnotation, ...]]]:
    """Returns name and annotations of each tier. Raises StopIteration at an early end, _WrongToken for other tokens."""
    kind, name = _text(tokens), _text(tokens)
    if kind != "ooTextFile" or name != "TextGrid":
        raise _WrongToken(f"it begins with {kind[:40]!r}, {name[:40]!r}; needed 'ooTextFile', 'TextGrid'")
    _, _, _ = _number(tokens), _number(tokens), _number(tokens)
    tiers: dict[str, tuple[TimedAnnotation, ...]] = {}
    for _ in range(round(_number(tokens))):
        kind, name = _text(tokens), _text(tokens)
        if kind not in ("IntervalTier", "TextTier"):
            raise _WrongToken(f"a tier of class {kind[:40]!r}")
        if name in tiers:
            raise _WrongToken(f"two tiers are named {name!r}; rename one")
        _, _, count = _number(tokens), _number(tokens), round(_number(tokens))
        annotations = []
        for _ in range(count):
            start = round(1000 * _number(tokens))
            end = round(1000 * _number(tokens)) if kind == "IntervalTier" else start
            if (value := _text(tokens)).strip():
                annotations.append(TimedAnnotation(start, end, value))
        tiers[name] = tuple(annotations)
    return list(tiers.items())


def _text(tokens: Iterator[str | float]) -> str:
    if not isinstance(token := next(tokens), str):
        raise _WrongToken(f"the number {token:g} in the place of a text")
    return token


def _number(tokens: Iterator[str | float]) -> float:
    if isinstance(token := next(tokens), str):
        raise _WrongToken(f"the text {token[:40]!r} in the place of a number")
    if not abs(token) <= _LARGEST:
        raise _WrongToken(f"the number {token:g}; needed seconds")
    return token
