"""Makes utterances of the tiers of one file of timed annotations, with what is wrong in each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from signloom.errors import InputError, listed
from signloom.importers.annotations import Annotation
from signloom.importers.write_corpus import LeftOut
from signloom.text.clean import Cleaner
from signloom.text.patterns import UserPattern
from signloom.timed.annotations import TimedAnnotation, TimedDocument

Each = Literal["gloss", "sentence"]
# Start and end in milliseconds of what is wrong, and a message with its place.
_Problem = tuple[int, int, str]


@dataclass(frozen=True)
class Tiers:
    """The tiers to import.

    glosses: their names; the glosses of several tiers, one for each hand, are merged.
    segments: a tier of sentences, or None: the whole file is one utterance.
    each: what an annotation of the tiers is. A sentence is an utterance by itself.
    media: the name of the video, or a part of it.
    replace_spaces: replacement for spaces in a gloss, or None: such a gloss is invalid.
    """

    glosses: tuple[str, ...]
    segments: str | None = None
    each: Each = "gloss"
    media: str | None = None
    replace_spaces: str | None = None

    def found_in(self, document: TimedDocument) -> Tiers:
        """Returns the tiers by the names that a file has for them, which may be in another Unicode form."""
        segments = None if self.segments is None else document.tier_named(self.segments)
        return replace(self, glosses=tuple(map(document.tier_named, self.glosses)), segments=segments)


@dataclass(frozen=True)
class TimedUtterance:
    """An utterance of an annotation file.

    span: its sentence on the annotations' clock, or None for the whole file.
    spans: start and end of its glosses, in milliseconds from its own start.  problems: why it is invalid.
    """

    annotation: Annotation
    document: TimedDocument
    path: Path
    span: TimedAnnotation | None
    spans: tuple[tuple[int, int], ...]
    problems: tuple[str, ...] = ()


class SignerSource:
    """Finds the signer of a tier: see the option --signer_from.

    Raises InputError for an unknown source or an invalid regular expression.
    """

    def __init__(self, text: str) -> None:
        kind, colon, expression = text.partition(":")
        self.pattern = UserPattern(expression, "--signer_from") if colon else None
        self.sources = [kind] if colon else [] if text == "none" else text.split("+")
        known = ("tier", "file") if colon else ("participant", "tier", "file")
        wrong = [source for source in self.sources if source not in known]
        if wrong:
            raise InputError(
                f"--signer_from is {text!r}; needed participant, tier, file, none, several joined by +, tier:REGEX or "
                "file:REGEX"
            )

    def __call__(self, document: TimedDocument, path: Path, tiers: Tiers) -> str | None:
        """Returns the signer, or None if it is unknown. Raises InputError if tiers have different participants."""
        participants = {document.participants[tier] for tier in tiers.glosses if tier in document.participants}
        if len(participants) > 1:
            raise InputError(
                f"{path}: tiers {listed(map(repr, tiers.glosses))} have the participants "
                f"{listed(sorted(participants))}; needed tiers of one person: import each person's tiers apart, then "
                "join them with 'signloom import merge'"
            )
        first = tiers.glosses[0]
        values = {
            "participant": next(iter(participants), "") or document.participants.get(tiers.segments or "", ""),
            "tier": first if self.pattern else re.split(r"[\W_]+", first.strip())[-1],
            "file": path.stem,
        }
        found = [values[source] for source in self.sources]
        if self.pattern is not None:
            signer = self.pattern.find(found[0])
            if signer is None:
                raise InputError(
                    f"{path}: --signer_from finds no signer in {found[0]!r}; correct the regular expression"
                )
            found = [signer]
        return "_".join(part for part in found if part) or None


@dataclass
class FileContent:
    """What a file of timed annotations has.

    left_out: segments without a gloss.  problems: what is wrong outside all segments.
    num_loose: glosses outside all segments.
    """

    utterances: list[TimedUtterance]
    left_out: list[LeftOut] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    num_loose: int = 0


def read_utterances(
    path: Path, name: str, split: str, document: TimedDocument, tiers: Tiers, signer: SignerSource, clean: Cleaner
) -> FileContent:
    """Returns the utterances of one file; `name` is the beginning of their ids.

    Raises InputError if a tier is missing or has nothing.
    """
    wanted = [*tiers.glosses, *([tiers.segments] if tiers.segments is not None else [])]
    missing = [tier for tier in wanted if tier not in document.tiers]
    if missing:
        has = listed(map(repr, document.tiers)) or "none"
        raise InputError(f"{path}: no tier {' and no tier '.join(map(repr, missing))}; it has {has}")
    person = signer(document, path, tiers)
    if tiers.each == "sentence":
        segments = document.tiers[tiers.glosses[0]]
        if not segments:
            raise InputError(f"{path}: tier {tiers.glosses[0]!r} is empty; needed at least one sentence")
        problems = _time_problems(path, tiers.glosses[0], segments)
        problems += [
            (start, end, f"{path} ({_clock(start)}): {value!r:.40} has a bar, which separates columns; remove it")
            for start, end, value in segments
            if "|" in value
        ]
        sentences = [
            _sentence(path, f"{name}_{n:04d}", split, person, document, item, clean.words(item.value), problems)
            for n, item in enumerate(segments, 1)
        ]
        return FileContent(sentences)
    by_tier = []
    problems = []
    for tier in tiers.glosses:
        glosses, wrong = _clean_glosses(path, tier, document.tiers[tier], tiers, clean)
        by_tier.append(glosses)
        problems += [*wrong, *_time_problems(path, tier, glosses)]
    glosses = merged(by_tier)
    if tiers.segments is None:
        words = tuple(gloss for *_, gloss in glosses)
        spans = tuple((start, end) for start, end, _ in glosses)
        annotation = Annotation(name, split, person, words, str(path))
        reasons = [text for *_, text in problems]
        return FileContent([TimedUtterance(annotation, document, path, None, spans, tuple(reasons))])
    segments = document.tiers[tiers.segments]
    if not segments:
        raise InputError(f"{path}: tier {tiers.segments!r} is empty; needed at least one sentence")
    problems += _time_problems(path, tiers.segments, segments)
    content = FileContent([])
    covered = 0
    for number, segment in enumerate(segments, 1):
        # A gloss belongs to the segment that contains its middle: annotators do not hit the exact millisecond.
        inside = [item for item in glosses if 2 * segment.start_ms <= item.start_ms + item.end_ms < 2 * segment.end_ms]
        covered += len(inside)
        words = tuple(gloss for *_, gloss in inside)
        spans = tuple(
            (max(item.start_ms - segment.start_ms, 0), min(item.end_ms, segment.end_ms) - segment.start_ms)
            for item in inside
        )
        item = _sentence(path, f"{name}_{number:04d}", split, person, document, segment, words, problems, spans)
        if inside or item.problems:
            content.utterances.append(item)
        else:
            named = " and ".join(map(repr, tiers.glosses))
            reason = f"{item.annotation.place}: no gloss of tier {named} in this segment"
            content.left_out.append(LeftOut(item.annotation.id, reason))
    content.num_loose = len(glosses) - covered
    content.problems = [text for start, end, text in problems if not any(_touch(start, end, item) for item in segments)]
    return content


def _sentence(
    path: Path,
    name: str,
    split: str,
    signer: str | None,
    document: TimedDocument,
    segment: TimedAnnotation,
    words: tuple[str, ...],
    problems: Sequence[_Problem],
    spans: tuple[tuple[int, int], ...] = (),
) -> TimedUtterance:
    place = f"{path} ({_clock(segment.start_ms)} to {_clock(segment.end_ms)})"
    reasons = tuple(text for start, end, text in problems if _touch(start, end, segment))
    return TimedUtterance(Annotation(name, split, signer, words, place), document, path, segment, spans, reasons)


def _touch(start: int, end: int, segment: TimedAnnotation) -> bool:
    return start < max(segment.end_ms, segment.start_ms + 1) and max(end, start + 1) > segment.start_ms


def _clean_glosses(
    path: Path, tier: str, annotations: Sequence[TimedAnnotation], tiers: Tiers, clean: Cleaner
) -> tuple[list[TimedAnnotation], list[_Problem]]:
    """Returns the annotations with valid glosses as values, and what is wrong with the others."""
    glosses, problems = [], []
    for start, end, value in annotations:
        words = clean.words(value)
        place = f"{path} ({_clock(start)})"
        text = ""
        if not words:
            text = f"{place}: an annotation of tier {tier!r} is empty; fill it or remove it"
        elif len(words) > 1 and tiers.replace_spaces is None:
            text = f"{place}: gloss {' '.join(words)!r} has spaces; needed one word, or pass --replace_spaces -"
        elif "|" in value:
            text = f"{place}: gloss {' '.join(words)!r} has a bar, which separates columns; rename it"
        if text:
            problems.append((start, end, text))
        else:
            glosses.append(TimedAnnotation(start, end, (tiers.replace_spaces or "").join(words)))
    return glosses, problems


def merged(by_tier: Sequence[Sequence[TimedAnnotation]]) -> list[TimedAnnotation]:
    """Returns the glosses of several tiers in order of their start; of equal starts, the earlier tier's first.

    A sign made with both hands is annotated on both tiers: a gloss that a tier before has at the same time is left out.
    """
    result: list[TimedAnnotation] = []
    for tier in by_tier:
        before: defaultdict[str, list[TimedAnnotation]] = defaultdict(list)
        for item in result:
            before[item.value].append(item)
        result += [
            item
            for item in tier
            if not any(item.start_ms < other.end_ms and other.start_ms < item.end_ms for other in before[item.value])
        ]
    return sorted(result, key=lambda item: item.start_ms)


def _time_problems(path: Path, tier: str, annotations: Sequence[TimedAnnotation]) -> list[_Problem]:
    """Returns the annotations that end before they start, and those that overlap the one before."""
    problems = []
    for start, end, value in annotations:
        if start >= end or start < 0:
            text = f"{path}: tier {tier!r}, {value!r:.40} is from {_clock(start)} to {_clock(end)}; correct its times"
            problems.append((start, end, text))
    for before, after in pairwise(annotations):
        if after.start_ms < before.end_ms:
            text = (
                f"{path}: tier {tier!r}, {before.value!r:.40} ({_clock(before.start_ms)} to {_clock(before.end_ms)}) "
                f"and {after.value!r:.40} (from {_clock(after.start_ms)}) overlap; needed one after the other"
            )
            problems.append((before.start_ms, after.end_ms, text))
    return problems


def _clock(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f} s"
