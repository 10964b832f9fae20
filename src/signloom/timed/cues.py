"""Subtitles of SRT and WebVTT, one per timed annotation."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from signloom.timed.annotations import TimedAnnotation

VTT_HEAD = "WEBVTT\n"


def srt_text(intervals: Iterable[TimedAnnotation]) -> str:
    """Returns the text of an SRT file."""
    return "\n".join(srt_cue(number, interval) for number, interval in enumerate(intervals, 1))


def vtt_text(intervals: Iterable[TimedAnnotation]) -> str:
    """Returns the text of a WebVTT file."""
    return "\n".join([VTT_HEAD, *map(vtt_cue, intervals)])


def srt_cue(number: int, interval: TimedAnnotation) -> str:
    """Returns a subtitle of SRT; number: from 1. An empty line separates subtitles."""
    start, end, text = interval
    return f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n"


def vtt_cue(interval: TimedAnnotation) -> str:
    """Returns a cue of WebVTT. An empty line stands before each cue."""
    start, end, text = interval
    # WebVTT would take `<unknown>` for a tag.
    return f"{_clock(start, '.')} --> {_clock(end, '.')}\n{escape(text, quote=False)}\n"


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{rest:03d}"
