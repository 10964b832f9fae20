"""Matches hypotheses with references: by id, or by the times of an stm and a ctm file.

An utterance without a hypothesis is scored as if nothing was recognised. A hypothesis without a reference is left out.
Notes report both. If no id is common to both files, they are not about the same data, and that is an error.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

from signloom.errors import Faults, InputError, listed, plural
from signloom.score.alternations import Item
from signloom.score.ctm_order import order_notes
from signloom.score.formats import TranscriptFile
from signloom.score.misfits import misfit_notes
from signloom.score.nist import Segment, TimedWord, assign, recording_key
from signloom.score.suspicions import swapped, word_notes

_few = partial(listed, shown=5)


@dataclass(frozen=True)
class MatchedUtterance:
    """One utterance to score.  hypothesis: None if the file has none for it."""

    id: str
    signer: str | None
    reference: tuple[Item, ...]
    hypothesis: tuple[Item, ...] | None


@dataclass(frozen=True)
class Matching:
    """Utterances in the order of the references.

    missing: ids of utterances without a hypothesis.  extra: ids of hypotheses without a reference, left out.
    notes: sentences that must be shown with the score.  clips: of composed utterances, by id.
    """

    utterances: tuple[MatchedUtterance, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    notes: tuple[str, ...]
    clips: Mapping[str, tuple[str, ...]]

    @property
    def triples(self) -> list[tuple[str, tuple[Item, ...], tuple[Item, ...]]]:
        """The input of `score`; a missing hypothesis is empty."""
        return [(item.id, item.reference, item.hypothesis or ()) for item in self.utterances]

    @property
    def signers(self) -> dict[str, str | None]:
        return {item.id: item.signer for item in self.utterances}


@dataclass
class _Builder:
    utterances: list[MatchedUtterance] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def match_ids(references: TranscriptFile, hypotheses: TranscriptFile) -> Matching:
    """Returns each utterance of the references with its hypothesis.

    Raises InputError if no id is common, if two segments of an stm file start at the same time, or if hypotheses
    without times belong to recordings with several segments.
    """
    builder = _Builder(notes=[*swapped(references, hypotheses), *order_notes(hypotheses.timed)])
    if references.segments and hypotheses.timed:
        _by_time(references.segments, hypotheses.timed, builder)
        given = list(dict.fromkeys(word.recording for word in hypotheses.timed))
    else:
        by_id = {name: words for name, _, words in _utterances(hypotheses, with_ignored=True)}
        for name, signer, words in _utterances(references, with_ignored=False):
            builder.utterances.append(MatchedUtterance(name, signer, words, by_id.get(name)))
        builder.used |= {item.id for item in builder.utterances}
        given = list(by_id)
    missing = tuple(item.id for item in builder.utterances if item.hypothesis is None)
    extra = tuple(name for name in given if name not in builder.used)
    if len(missing) == len(builder.utterances):
        raise InputError(
            f"{hypotheses.path}: none of its ids ({_few(given)}) is in {references.path} "
            f"({_few([item.id for item in builder.utterances])}); needed hypotheses of the same utterances, under the "
            f"same ids{_near_ids(given, missing)}"
        )
    clips = {item.id: item.clips for item in references.sentences if item.clips}
    matching = Matching(tuple(builder.utterances), missing, extra, (), clips)
    notes = [*builder.notes, *_unmatched(builder, missing, extra, given), *word_notes(matching.triples)]
    notes += misfit_notes(matching.triples)
    return replace(matching, notes=tuple(notes))


def _utterances(source: TranscriptFile, *, with_ignored: bool) -> list[tuple[str, str | None, tuple[Item, ...]]]:
    """Returns id, signer and words of each utterance of a file, without their times.

    with_ignored: also the segments of an stm file that are not scored.
    """
    if source.segments:
        _check_single(source.segments)
        segments = [item for item in source.segments if with_ignored or not item.ignored]
        return [(item.recording, item.signer, item.items) for item in segments]
    if source.timed:
        return [(name, None, words) for name, words in _timed_sentences(source.timed).items()]
    return [(item.id, item.signer, item.glosses) for item in source.sentences]


def _timed_sentences(words: Sequence[TimedWord]) -> dict[str, tuple[Item, ...]]:
    channels: dict[str, set[str]] = defaultdict(set)
    for word in words:
        channels[word.recording].add(word.channel)
    faults = Faults("ctm")
    for name, used in channels.items():
        if len(used) > 1:
            faults.add(
                f"{name}: words on {plural(len(used), 'channel')} ({_few(sorted(used))}); the references have only one"
            )
    faults.raise_if_any()
    by_id: dict[str, list[Item]] = {name: [] for name in channels}
    for word in sorted(words, key=lambda word: word.start):
        if word.word is not None:
            by_id[word.recording].append(word.word)
    return {name: tuple(items) for name, items in by_id.items()}


def _check_single(segments: Sequence[Segment]) -> None:
    """Raises InputError if a recording has several segments, because only times can tell them apart."""
    faults = Faults("stm", advice="Give the hypotheses as a ctm file: its times show which segment a word belongs to.")
    count = Counter(segment.recording for segment in segments)
    for name, number in count.items():
        if number > 1:
            faults.add(f"{name}: {number} segments of one recording; hypotheses without times cannot be assigned")
    faults.raise_if_any()


def _by_time(segments: Sequence[Segment], words: Sequence[TimedWord], builder: _Builder) -> None:
    """Matches a ctm with an stm file: each word goes to the segment of its recording that contains its middle."""
    recordings: dict[tuple[str, str], list[Segment]] = defaultdict(list)
    for segment in segments:
        recordings[segment.key].append(segment)
    _check_segments(recordings)
    spoken = _by_recording(words)
    partners = _channels(recordings, spoken, builder)
    names = Counter(recording for recording, _ in recordings)
    assigned: dict[int, tuple[Item, ...] | None] = {}
    for key, group in recordings.items():
        ordered = sorted(group, key=lambda segment: (segment.start, segment.end))
        partner = partners.get(key)
        if partner is None:
            assigned |= {id(segment): None for segment in ordered}
            continue
        partner_words = sorted(spoken[partner], key=lambda word: word.start)
        builder.used |= {word.recording for word in partner_words}
        for segment, own in zip(ordered, assign(ordered, partner_words), strict=True):
            assigned[id(segment)] = tuple(word.word for word in own if word.word is not None)
    ignored = sum(segment.ignored for segment in segments)
    if ignored:
        builder.notes.append(
            f"{plural(ignored, 'segment')} marked IGNORE_TIME_SEGMENT_IN_SCORING, left out with the words in it"
        )
    for segment in segments:
        if segment.ignored:
            continue
        name = segment.recording if names[segment.key[0]] == 1 else f"{segment.recording} {segment.channel}"
        if len(recordings[segment.key]) > 1:
            name = f"{segment.recording} {segment.channel} {segment.start:g}-{segment.end:g}"
        builder.utterances.append(MatchedUtterance(name, segment.signer, segment.items, assigned[id(segment)]))


def _check_segments(recordings: dict[tuple[str, str], list[Segment]]) -> None:
    faults = Faults("stm")
    for group in recordings.values():
        first = group[0]
        for segment in group:
            if (segment.recording, segment.channel) != (first.recording, first.channel):
                faults.add(
                    f"{segment.place}: {segment.recording} {segment.channel} differs from {first.place} only in case"
                )
        for before, after in pairwise(sorted(group, key=lambda segment: segment.start)):
            if after.start == before.start:
                faults.add(
                    f"{after.place} ({after.recording}): starts at {after.start:g} s like the segment at "
                    f"{before.place}; needed one line per utterance, and segments that start one after the other"
                )
    faults.raise_if_any()


def _channels(
    recordings: dict[tuple[str, str], list[Segment]],
    spoken: dict[tuple[str, str], list[TimedWord]],
    builder: _Builder,
) -> dict[tuple[str, str], tuple[str, str]]:
    """Returns the recording of the hypotheses that belongs to each recording of the references.

    If both have a single channel, under different names, they are matched, and a note says so.
    """
    by_name: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key in spoken:
        by_name[key[0]].append(key)
    reference_channels = Counter(name for name, _ in recordings)
    partners, renamed = {}, []
    for key in recordings:
        if key in spoken:
            partners[key] = key
        elif len(by_name[key[0]]) == 1 and reference_channels[key[0]] == 1:
            partners[key] = by_name[key[0]][0]
            renamed.append(key)
    if renamed:
        builder.notes.append(
            f"another channel in the hypotheses for {plural(len(renamed), 'recording')} ({renamed[0][0]}: "
            f"{renamed[0][1]} and {partners[renamed[0]][1]}); if there is only one, it counts as the same"
        )
    return partners


def _by_recording(words: Sequence[TimedWord]) -> dict[tuple[str, str], list[TimedWord]]:
    recordings: dict[tuple[str, str], list[TimedWord]] = defaultdict(list)
    for word in words:
        recordings[recording_key(word.recording, word.channel)].append(word)
    return recordings


def _unmatched(builder: _Builder, missing: Sequence[str], extra: Sequence[str], given: Sequence[str]) -> list[str]:
    notes = []
    if missing:
        share = len(missing) / len(builder.utterances)
        notes.append(
            f"no hypothesis for {len(missing)} of {plural(len(builder.utterances), 'utterance')}, scored as nothing "
            f"recognised: {_few(missing)}"
            + (_near_ids(extra, missing) or ("; are these the hypotheses of another split?" if share > 0.5 else ""))
        )
    if extra:
        notes.append(f"no reference for {plural(len(extra), 'hypothesis', 'hypotheses')}, left out: {_few(extra)}")
        if len(extra) > len(given) / 2:
            notes.append(
                "most hypotheses have no reference; the reference must be given first: are the two files swapped?"
            )
    return notes


def _near_ids(given: Sequence[str], wanted: Sequence[str]) -> str:
    """Returns an addition to a message where ids of two lists differ only as programs change them, else nothing."""

    def bare(name: str) -> str:
        stem = recording_key(name.replace("\\", "/").rstrip("/").split("/")[-1].split(".")[0].strip(), "")[0]
        # Spreadsheets drop leading zeros; pandas writes 1 as 1.0, whose ending is gone already.
        return stem.lstrip("0") or "0" if stem.isdecimal() else stem

    by_bare = {bare(name): name for name in wanted}
    for name in given:
        if (other := by_bare.get(bare(name))) is not None:
            what = "case, folder or ending"
            if bare(name).isdecimal():
                what = "leading zeros or a decimal point, which spreadsheets and pandas change: keep ids as text"
            return f"; {name!r} and {other!r} differ only by {what}"
    return ""
