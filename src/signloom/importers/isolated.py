"""Writes a corpus of isolated clips, one sign per clip: shared by the importers `clips` and `holistic`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from signloom.console import say
from signloom.errors import Faults, listed
from signloom.hints import command
from signloom.importers.spans import note_on_cut
from signloom.importers.write_corpus import (
    NUM_SHOWN,
    LeftOut,
    NewUtterance,
    WriteOptions,
    leave_out_faults,
    write_corpus,
)
from signloom.landmarks import Landmarks
from signloom.text.clean import Cleaner, clean, look_alikes, told_apart

# Most collections of clips have no splits; `signloom compose` makes them.
SPLIT = "train"


@dataclass(frozen=True, kw_only=True)
class IsolatedOptions(WriteOptions):
    """Options of all importers of isolated clips."""

    licence: str | None = None
    """Licence of the data, recorded in the corpus."""
    skip_faulty: bool = False
    """Leave out invalid clips and list them in left_out.jsonl, instead of stopping."""


@dataclass(frozen=True)
class IsolatedClip:
    """One clip of one sign; its landmarks are not read yet.

    name: unique among the clips of its sign and signer.  label: the sign, as written in the source.
    signer: None if the source does not say.  place: path of the clip, for messages.
    origin: the path without the folders above the source, for the record.
    read: returns its landmarks; raises InputError if they are invalid.
    file: its landmark file, if it already has one.
    split: `train` unless the source says it.  folders: further parts of its path that tell it from other clips.
    """

    name: str
    label: str
    signer: str | None
    place: str
    origin: str
    read: Callable[[], Landmarks]
    file: Path | None = None
    split: str = SPLIT
    folders: tuple[str, ...] = ()

    @property
    def gloss(self) -> str:
        """The clean label as one gloss: white space becomes a dash (`good job` -> `good-job`). It may be empty."""
        return "-".join(clean(self.label).split())

    @property
    def id(self) -> str:
        """Signer, gloss and name; unique in a valid collection."""
        return clean("_".join(part for part in (*self.folders, self.signer, self.gloss, self.name) if part))


def items_of(
    clips: Sequence[IsolatedClip], faults: Faults, left_out: list[LeftOut] | None = None
) -> list[NewUtterance]:
    """Returns the utterances of `clips`, one gloss each; prints the labels that become another gloss.

    Adds to `faults`: empty labels, ids that occur twice, and labels that would become the same gloss.
    left_out: gets the faults of single clips, and those found before, in place of `faults`.
    """
    labels: defaultdict[str, set[str]] = defaultdict(set)
    places: dict[str, str] = {}
    cleaner = Cleaner()
    kept = []
    for clip in clips:
        label = cleaner(clip.label).strip()
        if not clip.gloss:
            faults.add(f"{clip.place}: the label is empty; needed the name of a sign")
            continue
        if clip.id in places:
            faults.add(f"{clip.place}: {places[clip.id]} has the same id {clip.id!r}; rename one of them")
            continue
        places[clip.id] = clip.place
        labels[clip.gloss].add(label)
        kept.append(clip)
    if left_out is not None:
        leave_out_faults(faults, left_out)
    for gloss, spellings in sorted(labels.items()):
        if len(spellings) > 1:
            faults.add(f"labels {told_apart(sorted(spellings))} would all become gloss {gloss}; rename them")
    renamed = [(min(names), gloss) for gloss, names in sorted(labels.items()) if names != {gloss}]
    for label, gloss in renamed[:NUM_SHOWN]:
        say(f"renamed: label {label!r} becomes gloss {gloss}")
    if len(renamed) > NUM_SHOWN:
        say(f"renamed: {len(renamed) - NUM_SHOWN:,} more labels, with a dash for white space")
    if pairs := [group for group in look_alikes(labels) if len({gloss.casefold() for gloss in group}) > 1]:
        say(f"note: glosses that look alike and are different: {listed((told_apart(g) for g in pairs), shown=3)}")
    if note := cleaner.note():
        say(f"note: {note}")
    return [
        NewUtterance(
            clip.id,
            clip.split,
            clean(clip.signer) if clip.signer else None,
            (clip.gloss,),
            clip.place,
            clip.read,
            clip.file,
            {"clip": clip.origin},
        )
        for clip in kept
    ]


def write_clips(
    clips: Sequence[IsolatedClip],
    options: IsolatedOptions,
    *,
    importer: str,
    sources: Sequence[Path],
    faults: Faults,
    left_out: Sequence[LeftOut] = (),
) -> int:
    """Writes and reports the corpus of `clips`; returns exit status 0.

    importer: its kind.  sources: where the clips come from, for the record.
    faults, left_out: those found so far; see `write_corpus`.
    """
    left_out = list(left_out)
    return write_corpus(
        items_of(clips, faults, left_out if options.skip_faulty else None),
        options.output,
        {
            "name": options.output.name,
            "importer": importer,
            "from": [source.name for source in sources],
            "licence": options.licence,
        },
        noun="clip",
        next_step=command("compose", options.output, output=f"{options.output}-sentences"),
        faults=faults,
        left_out=left_out,
        skip_faulty=options.skip_faulty,
        advice="--skip_faulty leaves out invalid clips",
        overwrite=options.overwrite,
        dry_run=options.dry_run,
        note=note_on_cut,
    )
