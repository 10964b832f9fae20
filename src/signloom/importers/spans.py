"""Parts of clips that annotations name: their times in seconds, milliseconds or frames, and the cut."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Literal, get_args

from signloom.errors import InputError, plural
from signloom.frame_times import ROUNDING_SECONDS
from signloom.landmarks import Landmarks
from signloom.text.clean import clean

Unit = Literal["seconds", "ms", "frames"]
UNITS: tuple[Unit, ...] = get_args(Unit)
# The columns of start and end, and their unit; None where the names do not say it. Earlier pairs are preferred: MS-ASL
# has frames in `start` and seconds in `start_time`.
TIME_COLUMNS: dict[tuple[str, str], Unit | None] = {
    ("start_seconds", "end_seconds"): "seconds",
    ("start_sec", "end_sec"): "seconds",
    ("start_s", "end_s"): "seconds",
    ("start_time", "end_time"): "seconds",
    ("start_realigned", "end_realigned"): "seconds",
    ("start_ms", "end_ms"): "ms",
    ("start_milliseconds", "end_milliseconds"): "ms",
    ("start_frame", "end_frame"): "frames",
    ("start_frames", "end_frames"): "frames",
    # WLASL counts frames from 1, the last one included.
    ("frame_start", "frame_end"): "frames",
    ("start", "end"): None,
    ("begin", "end"): None,
    ("onset", "offset"): None,
}
_FROM_ONE = ("frame_start", "frame_end")
# Seconds per gloss that a unit can mean: signers make about two glosses per second, but a segment may have pauses.
_LEAST_PACE, _LARGEST_PACE = 0.1, 20.0
# Share of the parts that may lie outside their clips, because their rows are wrong and not their unit.
_MOST_OUTSIDE = 0.2
# The unit is decided by about so many parts, spread over the table.
_MOST_TRIED = 40
# A clip that was cut before is as long as its part, but for this share or so many seconds.
_SAME_LENGTH, _SAME_LENGTH_SECONDS = 0.05, 0.12
# In the record of a clip that was a part of a video before it came here.
_CUT_BEFORE = "cut_before"
# Landmarks of this many files stay in memory while their parts are cut; one hour of video takes 0.6 GB.
_CACHED = 2


@dataclass(frozen=True)
class Span:
    """A part of a clip, on the clock of its file.

    start, end: in `unit`; end None: to the end of the clip.  unit: None if it is not known yet (see `unit_of`).
    Frames count from 0, and `end` is the frame after the last one.
    """

    start: float
    end: float | None
    unit: Unit | None

    def __str__(self) -> str:
        if self.unit in ("seconds", "ms"):
            start, end = self.seconds
            return f"{start:.3f} s to {'the end' if end is None else f'{end:.3f} s'}"
        name = self.unit or "no unit"
        return f"{self.start:g} to {'the end' if self.end is None else f'{self.end:g}'} ({name})"

    @property
    def seconds(self) -> tuple[float, float | None]:
        """Start and end in seconds, of a span in seconds or milliseconds."""
        scale = 1000 if self.unit == "ms" else 1
        return self.start / scale, None if self.end is None else self.end / scale

    def seconds_in(self, landmarks: Landmarks) -> tuple[float, float]:
        """Returns start and end in seconds, in a clip."""
        clip_end = landmarks.start_seconds + landmarks.duration_seconds
        if self.unit == "frames":
            count = len(landmarks)
            first, last = round(self.start), count if self.end is None else round(self.end)
            edges = [*landmarks.seconds.tolist(), clip_end]
            return edges[min(first, count)], edges[min(last, count)] + max(0, last - count) / landmarks.fps
        start, end = self.seconds
        return start, clip_end if end is None else end

    def cut(self, landmarks: Landmarks, name: str) -> Landmarks:
        """Returns the frames of the span. Raises InputError if it does not lie in the clip.

        name: of the clip's file, for messages.
        """
        start, end = self.seconds_in(landmarks)
        clip_end = landmarks.start_seconds + landmarks.duration_seconds
        clip = f"{name} at {clip_end:.3f} s"
        # The last frame of a video can be a little longer or shorter than the others.
        if end > clip_end + 1 / landmarks.fps + ROUNDING_SECONDS or start >= clip_end:
            raise InputError(f"the segment ends at {end:.3f} s, {clip}; is it the right video, and its --fps right?")
        if end <= landmarks.start_seconds:
            raise InputError(
                f"the segment ends at {end:.3f} s, but the picture of {name} begins at "
                f"{landmarks.start_seconds:.3f} s; is it the right video?"
            )
        if self.unit == "frames":
            part = landmarks.part(slice(round(self.start), None if self.end is None else round(self.end)))
        else:
            part = landmarks.between(start, end)
        return replace(part, source={**part.source, "cut_ms": [round(1000 * start), round(1000 * end)]})

    def is_whole(self, landmarks: Landmarks) -> bool:
        """Returns whether the clip was cut before: it is as long as the span, which does not lie in it.

        Where a part of the span lies in the clip, which may be another's, the lengths must be equal to a few frames.
        """
        if self.end is None:
            return False
        rate = landmarks.fps if self.unit == "frames" else 1000 if self.unit == "ms" else 1
        length, duration = (self.end - self.start) / rate, landmarks.duration_seconds
        clip_end = landmarks.start_seconds + duration
        if self.end / rate <= clip_end + 1 / landmarks.fps:
            return False
        tolerance = _SAME_LENGTH_SECONDS
        if self.start / rate >= clip_end:
            tolerance = max(tolerance, _SAME_LENGTH * length)
        return abs(length - duration) <= tolerance


def read_span(start: str, end: str, columns: tuple[str, str]) -> Span | None:
    """Returns the span of two fields of a table; None if both are empty or -1: the whole clip.

    Raises InputError for fields that are no times, and an end that is not after the start.
    """
    unit = TIME_COLUMNS[columns]
    start, end = clean(start).strip(), clean(end).strip()
    whole = ("", "-1", "-1.0")
    if start in whole and end in whole:
        return None
    first = 0.0 if start in whole else _number(start, columns[0])
    last = None if end in whole else _number(end, columns[1])
    if ":" in start + end:
        unit = "seconds"
    if columns == _FROM_ONE:
        first = max(first - 1, 0)
        if first == 0 and last is None:
            return None
    if first < 0 or (last is not None and last <= first):
        raise InputError(f"{columns[0]} is {start}, {columns[1]} is {end}; needed an end after the start")
    return Span(first, last, unit)


def _number(text: str, column: str) -> float:
    """Returns a number, or the seconds of a time such as 00:01:02.500."""
    if match := re.fullmatch(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)", text):
        return 3600 * float(match[1] or 0) + 60 * float(match[2]) + float(match[3].replace(",", "."))
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e12:
        raise InputError(f"{column} is {text!r}; needed a number, or a time such as 00:01:02.500")
    return value


def unit_of(parts: Sequence[tuple[Span, int, Path]], load: Callable[[Path], Landmarks]) -> Unit:
    """Returns the unit of spans whose columns do not name one: the only one in which they lie in their clips, at a pace
    that people can sign. A few wrong rows do not hide it.

    parts: each span without a unit, its number of glosses, and its landmark file.

    Raises InputError if no unit fits, or several do.
    """
    numbers = [value for span, _, _ in parts for value in (span.start, span.end) if value is not None]
    # Nobody counts fractions of a frame.
    units = UNITS if all(value == round(value) for value in numbers) else UNITS[:2]
    outside = Counter[Unit]()
    paces: defaultdict[Unit, list[float]] = defaultdict(list)
    for span, count, path in parts[:: max(1, len(parts) // _MOST_TRIED)]:
        try:
            landmarks = load(path)
        except InputError:
            # The check of the clips names it.
            continue
        clip_end = landmarks.start_seconds + landmarks.duration_seconds
        for unit in units:
            known = replace(span, unit=unit)
            start, end = known.seconds_in(landmarks)
            paces[unit].append((end - start) / max(count, 1))
            outside[unit] += end > clip_end + 0.1 and not known.is_whole(landmarks)
    signed = [unit for unit in units if paces[unit] and _LEAST_PACE <= median(paces[unit]) <= _LARGEST_PACE]
    inside = [unit for unit in signed if not outside[unit]]
    fitting = inside or [unit for unit in signed if outside[unit] < _MOST_OUTSIDE * len(paces[unit])]
    if len(fitting) == 1:
        return fitting[0]
    got = f"{' and '.join(fitting)} would all fit" if fitting else "neither seconds, milliseconds nor frames would fit"
    raise InputError(
        f"start and end have no unit in {plural(len(parts), 'row')}, and {got} (e.g. {parts[0][0]}); say it with "
        "--times seconds, ms or frames, or in the names of the columns: start_seconds, start_ms, start_frame"
    )


def cached_loader() -> Callable[[Path], Landmarks]:
    """Returns `Landmarks.load` with a memory of the last few files: neighbouring parts come from the same file."""
    return lru_cache(maxsize=_CACHED)(Landmarks.load)


def part_of(load: Callable[[Path], Landmarks], path: Path, span: Span) -> Landmarks:
    """Returns a part of a clip; the whole clip if it was cut before. Raises InputError if it does not lie in the clip.

    load: returns the landmarks of a file.
    """
    landmarks = load(path)
    if span.is_whole(landmarks):
        return replace(landmarks, source={**landmarks.source, _CUT_BEFORE: str(span)})
    return span.cut(landmarks, path.name)


def note_on_cut(landmarks: Landmarks) -> str | None:
    """Returns a note on a clip that was taken whole although its annotation names a part, else None."""
    if _CUT_BEFORE not in landmarks.source:
        return None
    return "the clip is as long as its part of the video, so it was cut before: taken whole"
