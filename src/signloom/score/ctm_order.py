"""The order of the words in a ctm file: utterances that are in it twice, and times that are out of order."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, pairwise

from signloom.errors import Faults, plural
from signloom.score.nist import TimedWord, recording_key

# Of the words of a part of a recording, at least this share lie on words of an earlier part where the recording is in
# the file twice. Words that are only out of order lie beside each other, whatever their order.
_TWICE = 0.5


def check_twice(words: Sequence[TimedWord], faults: Faults) -> None:
    """Adds a fault for each recording that is in a ctm file twice: a later part has words at the times of an earlier.

    A part is a stretch of lines of one recording in order of time. The parts of a recording may stand anywhere.
    """
    for parts in _parts(words).values():
        if len(parts) == 1:
            continue
        earlier: list[tuple[float, float]] = []
        for part in parts:
            if earlier and sum(_lies_on(word, earlier) for word in part) >= _TWICE * len(part):
                first = part[0]
                faults.add(
                    f"{first.place} ({first.recording}): words at times at which the recording has words already, from "
                    f"{parts[0][0].place} on; needed each utterance once"
                )
                break
            for word in part:
                insort(earlier, (word.start, word.end))


def order_notes(words: Sequence[TimedWord]) -> list[str]:
    """Returns notes on words that are not in order of time, and on times that scripts sort wrongly as text."""
    notes = []
    recordings = _parts(words)
    shuffled = [parts for parts in recordings.values() if any(b[0].start < a[-1].start for a, b in pairwise(parts))]
    if shuffled:
        notes.append(
            f"words not in order of time in {plural(len(shuffled), 'recording')} (first: "
            f"{shuffled[0][0][0].recording}); signloom sorts them, sclite does not"
        )
    ordered = [sorted(chain.from_iterable(parts), key=lambda word: word.start) for parts in recordings.values()]
    as_text = [
        group[0].recording
        for group in ordered
        if any(b.start_text < a.start_text and b.start > a.start for a, b in pairwise(group))
    ]
    if as_text:
        notes.append(
            f"start times that do not sort as text in {plural(len(as_text), 'recording')} (first: {as_text[0]}); "
            "signloom sorts them as numbers, but PHOENIX's own scripts sort them as text and would shuffle the words: "
            "write leading zeros for those scripts"
        )
    return notes


def _parts(words: Sequence[TimedWord]) -> dict[tuple[str, str], list[list[TimedWord]]]:
    """Returns the parts of each recording and channel, in the order of the file."""
    recordings: dict[tuple[str, str], list[list[TimedWord]]] = defaultdict(list)
    before = None
    for word in words:
        key = recording_key(word.recording, word.channel)
        parts = recordings[key]
        if key != before or word.start < parts[-1][-1].start:
            parts.append([])
        parts[-1].append(word)
        before = key
    return recordings


def _lies_on(word: TimedWord, earlier: Sequence[tuple[float, float]]) -> bool:
    """Returns whether a word starts with one of the (start, end), in order of their starts, or has its middle in it."""
    index = bisect_right(earlier, (word.middle, float("inf"))) - 1
    if index < 0:
        return False
    start, end = earlier[index]
    # A word of no length has its middle at its start.
    return start == word.start or word.middle < end
