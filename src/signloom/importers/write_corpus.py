"""Writes an imported corpus: checks every clip first, then writes; lists what was left out; prints a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from signloom import layout
from signloom.console import progress_bar, say, say_list
from signloom.corpus import (
    HEADER,
    LEFT_OUT,
    SPLITS,
    Corpus,
    CorpusWriter,
    Utterance,
    Utterances,
    check_output,
    simulated_label,
)
from signloom.errors import Faults, InputError, listed, plural, printable
from signloom.files.urls import Url
from signloom.landmarks import Landmarks
from signloom.text.clean import Cleaner

# A message lists at most this many items; the file lists all.
NUM_SHOWN = 20
# A dry run shows so many utterances in full.
NUM_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """Options of all importers that write a corpus."""

    urls: ClassVar[tuple[str, ...]] = ("output",)

    output: Path
    """Folder or URL of the new corpus; its landmark files are links to the given ones if the disk allows links."""
    dry_run: bool = False
    """Show what was found and what would be written, and write nothing."""
    overwrite: bool = False
    """Replace an existing corpus."""

    def check_output(self) -> None:
        """Raises InputError if the corpus cannot be written, such as one that exists already; before any work."""
        check_output(self.output, overwrite=self.overwrite or self.dry_run)


@dataclass(frozen=True)
class NewUtterance:
    """An utterance to write; its landmarks are not read yet.

    place: where it comes from, for messages.
    read: returns its landmarks; raises InputError if they are invalid.
    file: its landmark file, if it already has one: the corpus links it instead of writing it again.
    source: provenance, for the record.  truth: facts known only in a simulation.
    others: as those of `signloom.corpus.Utterance`.
    """

    id: str
    split: str
    signer: str | None
    glosses: tuple[str, ...]
    place: str
    read: Callable[[], Landmarks]
    file: Path | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, Any] = field(default_factory=dict)
    others: Sequence[int] = ()


@dataclass(frozen=True)
class LeftOut:
    """An utterance of the source that is not in the corpus, and the reason."""

    id: str
    reason: str


def write_corpus(
    items: Sequence[NewUtterance],
    output: Path,
    info: Mapping[str, Any],
    *,
    noun: str,
    next_step: str,
    faults: Faults,
    left_out: Sequence[LeftOut] = (),
    skip_faulty: bool = False,
    advice: str = "",
    note: Callable[[Landmarks], str | None] = lambda landmarks: None,
    overwrite: bool = False,
    dry_run: bool = False,
) -> int:
    """Writes the corpus of `items`, in their order, and prints a summary; returns exit status 0.

    An output that cannot be written is refused first. Every clip is read and checked before anything is written. If the
    source has faults, no corpus is written, and an older one stays unchanged.

    noun: the name of an item in messages.  next_step: the command to suggest.
    faults: those found so far; the faults of the clips are added.
    left_out: utterances left out so far.
    skip_faulty: leave out invalid clips, with a message, instead of raising.
    advice: what to do about invalid clips.
    note: returns a remark about a clip, in the same words for every clip it applies to, or None.
    dry_run: print what was found and what would be written, and write nothing.

    Raises InputError listing every fault of the source.
    """
    check_output(output, overwrite=overwrite or dry_run)
    items = _cleaned(items)
    detected, assumed, notes = Counter[str](), Counter[str](), Counter[str]()
    left_out = list(left_out)
    good: list[NewUtterance] = []
    sizes: list[tuple[int, float]] = []
    empty: list[str] = []
    with progress_bar(disable=not items) as progress:
        task = progress.add_task("check", total=len(items), unit="clips")
        for item in items:
            try:
                landmarks = _read(item)
            except InputError as error:
                text = with_place(item.place, error)
                if skip_faulty:
                    left_out.append(LeftOut(item.id, text))
                else:
                    faults.add(text)
                    faults.advice = faults.advice or advice
            else:
                good.append(item)
                sizes.append((len(landmarks), landmarks.fps))
                assumed.update(not_given(landmarks))
                present = {group: int(landmarks.present(group).sum()) for group in layout.GROUPS}
                detected.update(present)
                if not any(present.values()):
                    empty.append(item.id)
                if remark := note(landmarks):
                    notes[remark] += 1
            progress.update(task, advance=1)
        if not good and not faults:
            # Nothing is left of the source: the reasons are its faults.
            faults.messages += [item.reason for item in left_out]
        if not dry_run or not good:
            faults.raise_if_any()
        if not dry_run:
            task = progress.add_task("write", total=len(good), unit="clips")
            with CorpusWriter(output, info, overwrite=overwrite) as writer:
                for item in good:
                    writer.add(
                        item.id,
                        split=item.split,
                        signer=item.signer,
                        glosses=item.glosses,
                        landmarks=item.file or item.read(),
                        source=item.source,
                        truth=item.truth,
                        others=item.others,
                    )
                    progress.update(task, advance=1)
                writer.leave_out([{"id": printable(item.id), "reason": printable(item.reason)} for item in left_out])
    corpus = _planned(output, info, good, sizes) if dry_run else Corpus.open(output)
    _show_left_out(None if dry_run else output, left_out)
    _print_summary(corpus, noun, dry_run=dry_run)
    report_points(detected, sum(utterance.num_frames for utterance in corpus), assumed, noun)
    if empty:
        clips = listed(empty, shown=NUM_SHOWN)
        say(f"warning: nobody was detected in any frame of {clips}; remove or extract them again")
    for remark, count in notes.items():
        say(f"note: {remark} ({plural(count, noun)})")
    if label := simulated_label(corpus.info):
        say(f"note: {label}")
    if not dry_run:
        print(f"next: {next_step}")
        return 0
    _print_found(corpus)
    if not isinstance(output, Url) and (output / HEADER).exists():
        print(f"{output} already has a corpus; writing needs --overwrite or another --output")
    print("dry run: nothing was written")
    faults.raise_if_any()
    return 0


def _read(item: NewUtterance) -> Landmarks:
    """Returns the landmarks of an utterance that the manifest can hold. Raises InputError if either is invalid."""
    try:
        landmarks = item.read()
    except (OSError, MemoryError, RecursionError) as error:
        # What a file can cause in any reader.
        raise InputError(f"{item.place}: cannot be read ({str(error) or type(error).__name__})") from None
    # No glosses are a fault of the annotation, which its importer names.
    glosses = list(item.glosses) or ["-"]
    record = {"id": item.id, "split": item.split, "signer": item.signer, "glosses": glosses}
    Utterance.from_json({**record, "landmarks": item.id, "num_frames": len(landmarks), "fps": landmarks.fps})
    return landmarks


def leave_out_faults(faults: Faults, left_out: list[LeftOut]) -> None:
    """Moves the faults of single entries of a source from `faults` to what is left out of the corpus."""
    for message in faults.messages:
        place, _, reason = message.partition(": ")
        left_out.append(LeftOut(place if reason else "", message))
    faults.messages.clear()


def _cleaned(items: Sequence[NewUtterance]) -> list[NewUtterance]:
    """Returns the items with clean ids, signers and glosses (`text.clean`); prints one message if any changed.

    Most importers clean them before, so that their checks see what will be written.
    """
    clean = Cleaner()
    result = [
        replace(
            item,
            id=clean(item.id).strip(),
            signer=clean(item.signer).strip() if item.signer else item.signer,
            glosses=tuple(clean(gloss).strip() for gloss in item.glosses),
        )
        for item in items
    ]
    if note := clean.note():
        say(f"note: {note}")
    return result


def _planned(
    output: Path, info: Mapping[str, Any], items: Sequence[NewUtterance], sizes: Sequence[tuple[int, float]]
) -> Corpus:
    """Returns the corpus that would be written; sizes: frames of each item and their rate."""
    utterances = [
        Utterance(item.id, item.split, item.signer, item.glosses, "", frames, fps)
        for item, (frames, fps) in zip(items, sizes, strict=True)
    ]
    return Corpus(output, info, Utterances.of(utterances))


def _print_found(corpus: Corpus) -> None:
    """Prints the glosses and signers of a corpus, the frequent ones first, and a few of its utterances."""
    glosses = Counter(gloss for utterance in corpus for gloss in utterance.glosses)
    print(f"glosses: {listed((f'{gloss} {count:,}' for gloss, count in glosses.most_common()), shown=NUM_SHOWN)}")
    signers = Counter((utterance.signer or "unknown", utterance.split) for utterance in corpus)
    by_signer = {
        name: ", ".join(f"{signers[name, split]:,} {split}" for split in SPLITS if signers[name, split])
        for name in sorted({name for name, _ in signers})
    }
    print(f"signers: {listed((f'{name} ({text})' for name, text in by_signer.items()), shown=NUM_SHOWN)}")
    for utterance in corpus.utterances[:NUM_EXAMPLES]:
        print(f"  {utterance.split} {utterance.id}: {' '.join(utterance.glosses)} ({utterance.duration_seconds:.2f} s)")


def with_place(place: str, error: InputError) -> str:
    """Returns an error's text, starting with its place."""
    text, place = str(error), printable(place)
    return text if text.startswith(place) else f"{place}: {text}"


def _show_left_out(root: Path | None, left_out: Sequence[LeftOut]) -> None:
    """Prints what was left out; root: the corpus that lists it, None in a dry run."""
    if left_out:
        say(f"left out: {len(left_out):,}{f', all listed in {root / LEFT_OUT}' if root else ''}")
        say_list([f"{item.id}: {item.reason}" for item in left_out], NUM_SHOWN)


def report_points(detected: Counter[str], frames: int, assumed: Counter[str], noun: str) -> None:
    """Prints how often each group was detected, and which values were assumed.

    detected: frames with each group, of `frames`.  assumed: clips, by what `not_given` returned.  noun: name of the
    clips.
    """
    if frames:
        shares = (f"{group.replace('_', ' ')} {100 * count / frames:.0f} %" for group, count in detected.items())
        print(f"frames in which a part was detected: {', '.join(shares)}")
    for name, count in assumed.items():
        say(f"{name} ({plural(count, noun)})")


def not_given(landmarks: Landmarks) -> list[str]:
    """Returns, in words, each value that the source did not give: it was assumed, or estimated from the points."""
    estimated = landmarks.source.get("estimated", {})
    return [
        f"{'estimated' if name in estimated else 'assumed'}, not given by the source: {name}"
        for name in landmarks.assumed
    ]


def _print_summary(corpus: Corpus, noun: str, *, dry_run: bool) -> None:
    """Prints the size of each split."""
    print(f"{corpus.root}: {'would have ' if dry_run else ''}{plural(len(corpus), noun)}")
    print(f"  {'split':<6}{noun + 's':>12}{'glosses':>10}{'distinct':>10}{'minutes':>9}{'signers':>9}")
    for split, row in corpus.summary().items():
        print(
            f"  {split:<6}{row['utterances']:>12,}{row['running_glosses']:>10,}{row['distinct_glosses']:>10,}"
            f"{row['hours'] * 60:>9.1f}{_signers(corpus, split):>9}"
        )


def _signers(corpus: Corpus, split: str) -> str:
    signers = Counter(utterance.signer for utterance in corpus.split(split))
    return "unknown" if set(signers) == {None} else str(len(signers))
