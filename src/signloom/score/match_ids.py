"""References and hypotheses brought together: which words of a hypothesis belong to which utterance.

What cannot be matched has a defined result, told in notes: an utterance without a hypothesis is scored as one in which
nothing was recognised; a hypothesis without a reference is left out; no common id at all is an error, for then the
files are not of the same data and 100 % would say nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from signloom.errors import Faults, InputError, listed, plural
from signloom.score.alternations import Item
from signloom.score.formats import TranscriptFile
from signloom.score.nist import Segment, TimedWord, assign, recording_key

_few = partial(listed, shown=5)
_ANNOTATED_COLUMNS, _RECOGNISED_COLUMNS = ("annotation", "orth", "reference"), ("hypothesis", "prediction")
_HYPOTHESIS_NAMES = re.compile(r"(?:^|[-_.])(?:hyp|hyps|hypothes[ei]s|pred|preds|predictions?|output)(?:[-_.]|$)")
_REFERENCE_NAMES = re.compile(r"(?:^|[-_.])(?:ref|refs|references?|gt|groundtruth|annotations?|corpus)(?:[-_.]|$)")


@dataclass(frozen=True)
class MatchedUtterance:
    """One utterance to score.  hypothesis: None where the file has none for it."""

    id: str
    signer: str | None
    reference: tuple[Item, ...]
    hypothesis: tuple[Item, ...] | None


@dataclass(frozen=True)
class Matching:
    """Utterances in the order of the references.

    missing: utterances without a hypothesis.  extra: ids of hypotheses without a reference, left out.
    notes: what a reader of the number must know, each a sentence.
    """

    utterances: tuple[MatchedUtterance, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def triples(self) -> list[tuple[str, tuple[Item, ...], tuple[Item, ...]]]:
        """What `score` takes; a missing hypothesis is empty."""
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
    """Each utterance of the references with its hypothesis.

    Raises InputError where no id is common, where segments of an stm file overlap or repeat, and where hypotheses
    without times meet recordings of several segments.
    """
    builder = _Builder(notes=_swapped(references, hypotheses))
    builder.notes += _unsorted_times(hypotheses.timed)
    if references.segments and hypotheses.timed:
        _by_time(references.segments, hypotheses.timed, builder)
        given = list(dict.fromkeys(word.recording for word in hypotheses.timed))
    else:
        by_id = _sentences(hypotheses)
        for name, signer, words in _utterances(references):
            builder.utterances.append(MatchedUtterance(name, signer, words, by_id.get(name)))
        builder.used |= {item.id for item in builder.utterances}
        given = list(by_id)
    missing = tuple(item.id for item in builder.utterances if item.hypothesis is None)
    extra = tuple(name for name in given if name not in builder.used)
    if len(missing) == len(builder.utterances):
        raise InputError(
            f"{hypotheses.path}: none of its ids ({_few(given)}) is in {references.path} "
            f"({_few([item.id for item in builder.utterances])}); needed hypotheses of the same utterances, under the "
            f"same ids{_hint(given, [item.id for item in builder.utterances])}"
        )
    return Matching(
        tuple(builder.utterances), missing, extra, tuple(builder.notes + _unmatched(builder, missing, extra, given))
    )


def _utterances(source: TranscriptFile) -> Iterable[tuple[str, str | None, tuple[Item, ...]]]:
    """Id, signer and words of each utterance of references without regard to times."""
    if source.segments:
        _check_single(source.segments)
        return [(item.recording, item.signer, item.items) for item in source.segments if not item.ignored]
    if source.timed:
        return [(name, None, words) for name, words in _timed_sentences(source.timed).items()]
    return [(item.id, item.signer, item.glosses) for item in source.sentences]


def _sentences(source: TranscriptFile) -> Mapping[str, tuple[Item, ...]]:
    """The words of each hypothesis by its id."""
    if source.timed:
        return _timed_sentences(source.timed)
    if source.segments:
        _check_single(source.segments)
        return {item.recording: item.items for item in source.segments}
    return {item.id: item.glosses for item in source.sentences}


def _timed_sentences(words: Sequence[TimedWord]) -> dict[str, tuple[Item, ...]]:
    channels: dict[str, set[str]] = defaultdict(set)
    for word in words:
        channels[word.recording].add(word.channel)
    faults = Faults("ctm")
    for name, found in channels.items():
        if len(found) > 1:
            faults.add(f"{name}: words on {len(found)} channels ({_few(sorted(found))}); references tell of one")
    faults.raise_if_any()
    by_id: dict[str, list[Item]] = {name: [] for name in channels}
    for word in sorted(words, key=lambda word: word.start):
        if word.word is not None:
            by_id[word.recording].append(word.word)
    return {name: tuple(found) for name, found in by_id.items()}


def _check_single(segments: Sequence[Segment]) -> None:
    """Raises InputError where a recording has several segments, which only times can tell apart."""
    faults = Faults("stm", advice="Give the hypotheses as a ctm file, whose times tell which segment a word is of.")
    count = Counter(segment.recording for segment in segments)
    for name, number in count.items():
        if number > 1:
            faults.add(f"{name}: {number} segments of one recording; hypotheses without times cannot be told apart")
    faults.raise_if_any()


def _by_time(segments: Sequence[Segment], words: Sequence[TimedWord], builder: _Builder) -> None:
    """Adds the pairs of a ctm and an stm file: each word to the segment of its recording in which its middle lies."""
    recordings: dict[tuple[str, str], list[Segment]] = defaultdict(list)
    for segment in segments:
        recordings[segment.key].append(segment)
    _check_segments(recordings)
    spoken = _by_recording(words)
    partners = _channels(recordings, spoken, builder)
    names = Counter(recording for recording, _ in recordings)
    taken: dict[int, tuple[Item, ...] | None] = {}
    for key, group in recordings.items():
        ordered = sorted(group, key=lambda segment: (segment.start, segment.end))
        partner = partners.get(key)
        if partner is None:
            taken |= {id(segment): None for segment in ordered}
            continue
        found = sorted(spoken[partner], key=lambda word: word.start)
        builder.used |= {word.recording for word in found}
        for segment, own in zip(ordered, assign(ordered, found), strict=True):
            taken[id(segment)] = tuple(word.word for word in own if word.word is not None)
    ignored = sum(segment.ignored for segment in segments)
    if ignored:
        builder.notes.append(
            f"{plural(ignored, 'segment')} out of bounds (IGNORE_TIME_SEGMENT_IN_SCORING), left out with its words"
        )
    for segment in segments:
        if segment.ignored:
            continue
        name = segment.recording if names[segment.key[0]] == 1 else f"{segment.recording} {segment.channel}"
        if len(recordings[segment.key]) > 1:
            name = f"{segment.recording} {segment.channel} {segment.start:g}-{segment.end:g}"
        builder.utterances.append(MatchedUtterance(name, segment.signer, segment.items, taken[id(segment)]))


def _check_segments(recordings: dict[tuple[str, str], list[Segment]]) -> None:
    faults = Faults("stm")
    for group in recordings.values():
        first = group[0]
        for segment in group:
            if (segment.recording, segment.channel) != (first.recording, first.channel):
                faults.add(
                    f"{segment.place}: {segment.recording} {segment.channel} differs from {first.place} only by case"
                )
        for before, after in pairwise(sorted(group, key=lambda segment: segment.start)):
            if after.start == before.start:
                faults.add(
                    f"{after.place} ({after.recording}): begins at {after.start:g} s as the segment at {before.place} "
                    "does; an utterance needs one line, and segments of a recording begin one after the other"
                )
    faults.raise_if_any()


def _channels(
    recordings: dict[tuple[str, str], list[Segment]],
    spoken: dict[tuple[str, str], list[TimedWord]],
    builder: _Builder,
) -> dict[tuple[str, str], tuple[str, str]]:
    """The recording of the hypotheses for each of the references; a lone channel of another name is taken, and told."""
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
            f"{renamed[0][1]} and {partners[renamed[0]][1]}); where there is only one, it is taken for the same"
        )
    return partners


def _by_recording(words: Sequence[TimedWord]) -> dict[tuple[str, str], list[TimedWord]]:
    found: dict[tuple[str, str], list[TimedWord]] = defaultdict(list)
    for word in words:
        found[recording_key(word.recording, word.channel)].append(word)
    return found


def _unmatched(builder: _Builder, missing: Sequence[str], extra: Sequence[str], given: Sequence[str]) -> list[str]:
    notes = []
    if missing:
        share = len(missing) / len(builder.utterances)
        notes.append(
            f"no hypothesis for {len(missing)} of {plural(len(builder.utterances), 'utterance')}, scored as nothing "
            f"recognised: {_few(missing)}" + ("; are these the hypotheses of another split?" if share > 0.5 else "")
        )
    if extra:
        notes.append(f"no reference for {plural(len(extra), 'hypothesis', 'hypotheses')}, left out: {_few(extra)}")
        if len(extra) > len(given) / 2:
            notes.append(
                "most hypotheses have no reference; if the files were given the other way round: the reference comes "
                "first"
            )
    return notes


def _swapped(references: TranscriptFile, hypotheses: TranscriptFile) -> list[str]:
    """A warning where the files look as if they were given the other way round."""
    signs = []
    if references.form == "ctm":
        signs.append(f"{references.path.name}, given as reference, is a ctm, which recognisers write")
    if hypotheses.form == "stm":
        signs.append(f"{hypotheses.path.name}, given as hypothesis, is an stm, which references are kept in")
    if found := [name for name in _RECOGNISED_COLUMNS if name in references.columns]:
        signs.append(f"{references.path.name}, given as reference, has a column {found[0]}")
    if found := [name for name in _ANNOTATED_COLUMNS if name in hypotheses.columns]:
        signs.append(f"{hypotheses.path.name}, given as hypothesis, has a column {found[0]}, as annotations have")
    empty = sum(not item.glosses for item in references.sentences)
    if empty and hypotheses.sentences and all(item.glosses for item in hypotheses.sentences):
        signs.append(f"{plural(empty, 'reference')} without a gloss, and no such hypothesis")
    ref_name, hyp_name = references.path.name.lower(), hypotheses.path.name.lower()
    if _HYPOTHESIS_NAMES.search(ref_name) and not _REFERENCE_NAMES.search(ref_name):
        signs.append(f"the reference is named {references.path.name}")
    if _REFERENCE_NAMES.search(hyp_name) and not _HYPOTHESIS_NAMES.search(hyp_name):
        signs.append(f"the hypothesis is named {hypotheses.path.name}")
    if not signs:
        return []
    return [f"reference and hypothesis look swapped: {'; '.join(signs)}. The reference comes first"]


def _unsorted_times(words: Sequence[TimedWord]) -> list[str]:
    """Notes on the order of a ctm: not that of its times, or one that scripts which sort text would change."""
    notes = []
    by_recording = _by_recording(words)
    shuffled = [group for group in by_recording.values() if any(b.start < a.start for a, b in pairwise(group))]
    if shuffled:
        notes.append(
            f"words not in order of time in {plural(len(shuffled), 'recording')} (first: {shuffled[0][0].recording}); "
            "they are put in that order, which sclite does not do"
        )
    as_text = []
    for group in by_recording.values():
        ordered = sorted(group, key=lambda word: word.start)
        if any(b.start_text < a.start_text and b.start > a.start for a, b in pairwise(ordered)):
            as_text.append(ordered[0].recording)
    if as_text:
        notes.append(
            f"start times that do not sort as text in {plural(len(as_text), 'recording')} (first: {as_text[0]}); here "
            "they are numbers, but PHOENIX's own scripts sort them as text and would shuffle the words: write leading "
            "zeros there"
        )
    return notes


def _hint(given: Sequence[str], wanted: Sequence[str]) -> str:
    """What ids of both files have in common, where that explains why none is equal."""

    def bare(name: str) -> str:
        return recording_key(name.replace("\\", "/").rstrip("/").split("/")[-1].split(".")[0].strip(), "")[0]

    by_bare = {bare(name): name for name in wanted}
    for name in given:
        if bare(name) in by_bare:
            return f"; {name!r} and {by_bare[bare(name)]!r} differ only by case, folder or ending"
    return ""
