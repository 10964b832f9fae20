"""Isolated clips, each of one sign, -> a corpus: what the importers of arrays and of clip folders share."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signloom import layout
from signloom.console import progress_bar
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import Faults, InputError
from signloom.importers.building import LeftOut, gloss_of, say, write_left_out
from signloom.landmarks import Landmarks

SPLIT = "train"


@dataclass(frozen=True)
class IsolatedClip:
    """One clip of one sign, its landmarks not yet read.

    id: unique in the corpus.  label: as the source has it.  signer: None where the source does not say.
    place: where it lies, for messages.  read: its landmarks; raises InputError saying what is wrong with them.
    file: its landmark file where that is one already, to be linked rather than written again.
    """

    id: str
    label: str
    signer: str | None
    place: str
    read: Callable[[], Landmarks]
    file: Path | None = None

    @property
    def gloss(self) -> str:
        return gloss_of(self.label)


@dataclass
class Imported:
    """A corpus of isolated clips just written, and what its maker should be told.

    renamed: label -> gloss where they differ.  detected: frames with each group present.
    assumed: clips in which a field was assumed.
    """

    corpus: Corpus
    left_out: list[LeftOut]
    renamed: dict[str, str]
    detected: Counter[str] = field(default_factory=Counter)
    assumed: Counter[str] = field(default_factory=Counter)


def write_corpus(
    clips: Sequence[IsolatedClip],
    output: Path,
    info: Mapping[str, Any],
    *,
    faults: Faults,
    skip_faulty: bool = False,
    overwrite: bool = False,
) -> Imported:
    """The corpus of `clips`, one gloss an utterance, all in the split train.

    Every clip is read and checked before anything is written, so that a source with faults leaves no corpus and
    does not touch an older one.

    faults: those found so far; the faults of the clips are added.
    skip_faulty: leave out the clips that cannot be read, and say so, instead of raising.

    Raises InputError with every fault of the collection.
    """
    renamed = _check_names(clips, faults)
    detected, assumed = dict.fromkeys(layout.GROUPS, 0), Counter[str]()
    left_out: list[LeftOut] = []
    good: list[IsolatedClip] = []
    with progress_bar() as progress:
        task = progress.add_task("check", total=len(clips), unit="clips")
        for clip in clips:
            try:
                landmarks = clip.read()
            except InputError as error:
                text = _located(clip.place, error)
                if skip_faulty:
                    left_out.append(LeftOut(clip.id, text))
                else:
                    faults.add(text)
            else:
                good.append(clip)
                assumed.update(landmarks.assumed)
                for group in detected:
                    detected[group] += int(landmarks.present(group).sum())
            progress.update(task, advance=1)
        if faults and not skip_faulty:
            faults.messages.append("nothing was written; mend these, or leave faulty clips out with --skip_faulty")
        faults.raise_if_any()
        writer = CorpusWriter(output, info, overwrite=overwrite)
        task = progress.add_task("write", total=len(good), unit="clips")
        for clip in good:
            writer.add(
                clip.id,
                split=SPLIT,
                signer=clip.signer,
                glosses=[clip.gloss],
                landmarks=clip.file or clip.read(),
                source={"place": clip.place},
            )
            progress.update(task, advance=1)
    write_left_out(output, left_out)
    return Imported(writer.finish(), left_out, renamed, Counter(detected), assumed)


def show_renamed(renamed: Mapping[str, str]) -> None:
    """Says on stderr which labels became other glosses."""
    for label, gloss in sorted(renamed.items()):
        say(f"renamed: label {label!r} is the gloss {gloss}")


def _check_names(clips: Sequence[IsolatedClip], faults: Faults) -> dict[str, str]:
    """label -> gloss where they differ; ids that occur twice and labels that would merge are added to `faults`."""
    labels: defaultdict[str, set[str]] = defaultdict(set)
    places: dict[str, str] = {}
    for clip in clips:
        if not clip.gloss:
            faults.add(f"{clip.place}: the label is empty; needed the name of a sign")
            continue
        labels[clip.gloss].add(clip.label)
        if clip.id in places:
            faults.add(f"{clip.place}: its id {clip.id!r} is that of {places[clip.id]} too; rename one of them")
        places.setdefault(clip.id, clip.place)
    for gloss, spellings in sorted(labels.items()):
        if len(spellings) > 1:
            faults.add(f"labels {', '.join(map(repr, sorted(spellings)))} would all be the gloss {gloss}; rename them")
    return {label: gloss for gloss, spellings in labels.items() for label in spellings if label != gloss}


def _located(place: str, error: InputError) -> str:
    text = str(error)
    return text if text.startswith(place) else f"{place}: {text}"
