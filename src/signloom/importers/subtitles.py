"""Imports the cues of subtitle files (.srt, .vtt): a corpus with --landmarks, else a table id|gloss.

Each cue is a sentence of glosses and becomes an utterance; the landmarks are cut at its times. With --each gloss, each
cue is one gloss and the whole file is one utterance. Landmark files have the name of the subtitle file. The split of a
file is the folder train, dev or test that contains it, else --split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from html import unescape
from pathlib import Path

from signloom.errors import Faults, listed
from signloom.files.reading import read_text
from signloom.importers.annotations import AnnotationSource
from signloom.importers.timed_annotations import TimedOptions, import_timed
from signloom.importers.timed_sentences import Each, Tiers
from signloom.timed.annotations import TimedAnnotation, TimedDocument

SUFFIXES = (".srt", ".vtt")
TIER = "cues"
_TIME = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})")
# Formatting of either format, and the times of karaoke; not the reserved word `<unknown>`, which signloom writes.
_TAG = re.compile(r"</?(?:[ibucv]|lang|ruby|rt|font)(?:[ .\t][^<>]*)?>|<[\d:.]+>|\{\\[^{}]*\}")
_VOICE = re.compile(r"<v[ .\t]([^<>]*)>")


@dataclass(frozen=True, kw_only=True)
class Options(TimedOptions):
    """Options of `signloom import subtitles`."""

    each: Each = "sentence"
    """What a cue is: a sentence of glosses, which becomes an utterance, or one gloss."""
    voice: str | None = None
    """The speaker, in WebVTT files with several (<v Anna>)."""


def run(options: Options) -> int:
    """Writes the corpus or the table; returns exit status 0."""
    source = AnnotationSource(
        importer="subtitles",
        title="Subtitles of glosses",
        licence=options.licence or "not stated in the files; see where they come from",
        citation="see where the files come from",
        details={"each": options.each, "voice": options.voice},
    )
    tiers = Tiers((TIER,), each=options.each, replace_spaces=options.replace_spaces)
    return import_timed(options, tiers, source, SUFFIXES, partial(read_cues, voice=options.voice))


def read_cues(path: Path, *, voice: str | None = None) -> TimedDocument:
    """Returns the cues of a subtitle file as a tier, in order of time; cues without text are left out.

    voice: the speaker whose cues are taken.  The participant of the tier is the speaker, if there is one.

    Raises InputError listing every cue whose time is invalid, and for several speakers without `voice`.
    """
    faults = Faults(str(path))
    text = read_text(path)
    cues: list[tuple[TimedAnnotation, str]] = []
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        number += 1
        if "-->" not in lines[number - 1]:
            continue
        span = _span(lines[number - 1])
        if span is None:
            faults.add(
                f"line {number}: {lines[number - 1].strip()[:60]!r}; needed times such as 00:01:02,500 --> 00:01:04,000"
            )
            continue
        body = []
        while number < len(lines) and lines[number].strip():
            body.append(lines[number])
            number += 1
        spoken = "\n".join(body)
        speaker = match[1].strip() if (match := _VOICE.search(spoken)) else ""
        words = _TAG.sub("", spoken)
        words = unescape(words) if path.suffix.lower() == ".vtt" else words
        if words.strip():
            cues.append((TimedAnnotation(*span, " ".join(words.split())), speaker))
    if not cues and not faults:
        faults.add("no cues; needed lines such as 00:01:02,500 --> 00:01:04,000")
    speakers = sorted({speaker for _, speaker in cues})
    if voice is not None and voice not in speakers:
        faults.add(f"--voice {voice} speaks nowhere; it has {listed(filter(None, speakers)) or 'no voices'}")
    elif voice is None and len(speakers) > 1:
        named = listed(speaker or "nobody" for speaker in speakers)
        faults.add(
            f"cues of several people ({named}); choose one with --voice, then join them with 'signloom import merge'"
        )
    faults.raise_if_any()
    chosen = voice if voice is not None else speakers[0]
    tier = sorted(cue for cue, speaker in cues if speaker == chosen)
    return TimedDocument({TIER: tuple(tier)}, {TIER: chosen} if chosen else {})


def _span(line: str) -> tuple[int, int] | None:
    """Returns start and end of a cue in milliseconds; None if the line has no two times."""
    first, _, last = line.partition("-->")
    # Settings of the cue may follow its end.
    times = [_TIME.fullmatch(text) for text in (first.strip(), (last.split() or [""])[0])]
    if times[0] is None or times[1] is None:
        return None
    start, end = (
        3_600_000 * int(match[1] or 0) + 60_000 * int(match[2]) + 1000 * int(match[3]) + int(match[4].ljust(3, "0"))
        for match in times
        if match is not None
    )
    return start, end
