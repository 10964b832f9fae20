"""What the importers that make a corpus share: check every clip, then write; what was left out; the summary."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signloom import layout
from signloom.console import progress_bar, say
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import Faults, InputError
from signloom.files import atomic_write
from signloom.landmarks import Landmarks

LEFT_OUT = "left_out.jsonl"
# How many single items a message names; the file has them all.
NUM_SHOWN = 20


@dataclass(frozen=True)
class NewUtterance:
    """An utterance to be, its landmarks not yet read.

    place: where it comes from, for messages.  read: its landmarks; raises InputError saying what is wrong with them.
    file: its landmark file where that is one already, to be linked rather than written again.
    source: provenance, for the record.
    """

    id: str
    split: str
    signer: str | None
    glosses: tuple[str, ...]
    place: str
    read: Callable[[], Landmarks]
    file: Path | None = None
    source: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """An utterance of the source that the corpus does not have, and why."""

    id: str
    reason: str


@dataclass
class Imported:
    """A corpus just written, and what its maker should be told.

    detected: frames in which each group is present.  assumed: clips in which a field was assumed.
    notes: things worth telling once, with how many clips they concern.
    """

    corpus: Corpus
    left_out: list[LeftOut]
    detected: Counter[str]
    assumed: Counter[str]
    notes: Counter[str]


def write_corpus(
    items: Sequence[NewUtterance],
    output: Path,
    info: Mapping[str, Any],
    *,
    faults: Faults,
    left_out: Sequence[LeftOut] = (),
    skip_faulty: bool = False,
    advice: str = "",
    note: Callable[[Landmarks], str | None] = lambda landmarks: None,
    overwrite: bool = False,
) -> Imported:
    """Returns the corpus of `items`, in their order.

    Every clip is read and checked before anything is written, so that a source with faults leaves no corpus and
    does not touch an older one.

    faults: those found so far; the faults of the clips are added.
    left_out: what was left out so far.
    skip_faulty: leave out the clips that cannot be read, and say so, instead of raising.
    advice: what to do about clips that cannot be read.
    note: something to tell about a clip, the same words for every clip it concerns.

    Raises InputError with every fault of the source.
    """
    detected = Counter(dict.fromkeys(layout.GROUPS, 0))
    assumed, notes = Counter[str](), Counter[str]()
    left_out = list(left_out)
    good: list[NewUtterance] = []
    with progress_bar(disable=not items) as progress:
        task = progress.add_task("check", total=len(items), unit="clips")
        for item in items:
            try:
                landmarks = item.read()
            except InputError as error:
                text = with_place(item.place, error)
                if skip_faulty:
                    left_out.append(LeftOut(item.id, text))
                else:
                    faults.add(text)
                    faults.advice = faults.advice or advice
            else:
                good.append(item)
                assumed.update(landmarks.assumed)
                detected.update({group: int(landmarks.present(group).sum()) for group in layout.GROUPS})
                if worth_telling := note(landmarks):
                    notes[worth_telling] += 1
            progress.update(task, advance=1)
        faults.raise_if_any()
        writer = CorpusWriter(output, info, overwrite=overwrite)
        task = progress.add_task("write", total=len(good), unit="clips")
        for item in good:
            writer.add(
                item.id,
                split=item.split,
                signer=item.signer,
                glosses=item.glosses,
                landmarks=item.file or item.read(),
                source=item.source,
            )
            progress.update(task, advance=1)
    write_left_out(output, left_out)
    return Imported(writer.finish(), left_out, detected, assumed, notes)


def with_place(place: str, error: InputError) -> str:
    """Returns an error's text with its place in front, unless it begins with it."""
    text = str(error)
    return text if text.startswith(place) else f"{place}: {text}"


def write_left_out(root: Path, left_out: Sequence[LeftOut]) -> None:
    """Writes every utterance that was left out to `left_out.jsonl` in the corpus; without any, removes an old one."""
    if not left_out:
        (root / LEFT_OUT).unlink(missing_ok=True)
        return
    with atomic_write(root / LEFT_OUT, "w") as file:
        for item in left_out:
            file.write(json.dumps({"id": item.id, "reason": item.reason}, ensure_ascii=False) + "\n")


def show_left_out(root: Path, left_out: Sequence[LeftOut]) -> None:
    """Says on stderr what was left out: the first few by name, all of them in the corpus's `left_out.jsonl`."""
    if not left_out:
        return
    say(f"left out: {len(left_out):,}, all listed in {root / LEFT_OUT}")
    for item in left_out[:NUM_SHOWN]:
        say(f"  {item.id}: {item.reason}")
    if len(left_out) > NUM_SHOWN:
        say(f"  ... and {len(left_out) - NUM_SHOWN:,} more")


def signer_pattern(text: str, option: str) -> re.Pattern[str]:
    """Returns a regular expression whose one group is the signer. Raises InputError, naming `option`, where it is not
    one.
    """
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(f"{option} {text!r} is not a regular expression ({error})") from None
    if pattern.groups != 1:
        raise InputError(f"{option} {text!r} has {pattern.groups} groups; needed one (group) around the signer")
    return pattern


def report_import(made: Imported, *, noun: str, next_step: str) -> int:
    """Returns the exit status 0, after the corpus split by split on stdout, messages on stderr, and the next step.

    noun: what its items are called.
    """
    corpus = made.corpus
    show_left_out(corpus.root, made.left_out)
    print(f"{corpus.root}: {len(corpus):,} {noun}")
    print(f"  {'split':<6}{noun:>12}{'glosses':>10}{'distinct':>10}{'minutes':>9}{'signers':>9}")
    for split, row in corpus.summary().items():
        print(
            f"  {split:<6}{row['utterances']:>12,}{row['running_glosses']:>10,}{row['distinct_glosses']:>10,}"
            f"{row['hours'] * 60:>9.1f}{_signers(corpus, split):>9}"
        )
    frames = sum(utterance.num_frames for utterance in corpus)
    shares = ", ".join(
        f"{group.replace('_', ' ')} {100 * count / frames:.0f} %" for group, count in made.detected.items()
    )
    print(f"frames in which a part was detected: {shares}")
    for name, count in made.assumed.items():
        say(f"assumed, not given by the source: {name} ({count:,} {noun})")
    for text, count in made.notes.items():
        say(f"note: {text} ({count:,} {noun})")
    print(f"next: {next_step}")
    return 0


def _signers(corpus: Corpus, split: str) -> str:
    signers = Counter(utterance.signer for utterance in corpus.split(split))
    return "unknown" if set(signers) == {None} else str(len(signers))
