"""Isolated clips, each of one sign: what the importers of arrays and of clip folders share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from signloom.console import say
from signloom.errors import Faults
from signloom.importers.write_corpus import LeftOut, NewUtterance, report_import, write_corpus
from signloom.landmarks import Landmarks

# Nothing says how a collection of clips is to be split; `signloom compose` shares the clips itself.
SPLIT = "train"


@dataclass(frozen=True, kw_only=True)
class IsolatedOptions:
    """Options that all importers of isolated clips have."""

    output: Path
    """Folder of the new corpus; landmark files are linked from where they lie, where the disk allows that."""
    licence: str | None = None
    """Licence of the data, recorded in the corpus."""
    skip_faulty: bool = False
    """Leave out clips that cannot be used, listed in left_out.jsonl, instead of stopping."""
    overwrite: bool = False
    """Replace a corpus that is already there."""


@dataclass(frozen=True)
class IsolatedClip:
    """One clip of one sign, its landmarks not yet read.

    name: of the clip among those of its sign and signer.  label: the sign, as the source has it.
    signer: None where the source does not say.  place: where the clip lies, for messages.
    origin: the same without the folders above the source, for the record.
    read: its landmarks; raises InputError saying what is wrong with them.
    file: its landmark file where that is one already.
    """

    name: str
    label: str
    signer: str | None
    place: str
    origin: str
    read: Callable[[], Landmarks]
    file: Path | None = None

    @property
    def gloss(self) -> str:
        """The label as one gloss: white space becomes a dash (`good job` -> `good-job`); may be empty."""
        return "-".join(self.label.split())

    @property
    def id(self) -> str:
        """Signer, gloss and name, unique in a sound collection."""
        return "_".join(part for part in (self.signer, self.gloss, self.name) if part)


def items_of(clips: Sequence[IsolatedClip], faults: Faults) -> list[NewUtterance]:
    """Returns the utterances of `clips`, one gloss each; says on stderr which labels became other glosses.

    Empty labels, ids that occur twice and labels that would merge into one gloss are added to `faults`.
    """
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
        elif spellings != {gloss}:
            say(f"renamed: label {min(spellings)!r} is the gloss {gloss}")
    return [
        NewUtterance(
            clip.id, SPLIT, clip.signer, (clip.gloss,), clip.place, clip.read, clip.file, {"clip": clip.origin}
        )
        for clip in clips
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
    """Returns the exit status 0, once the corpus of `clips` is written and reported.

    importer: its kind.  sources: where the clips come from, for the record.
    faults, left_out: those found so far; see `write_corpus`.
    """
    made = write_corpus(
        items_of(clips, faults),
        options.output,
        {
            "name": options.output.name,
            "importer": importer,
            "from": [source.name for source in sources],
            "licence": options.licence,
        },
        faults=faults,
        left_out=left_out,
        skip_faulty=options.skip_faulty,
        advice="clips that cannot be used can be left out with --skip_faulty",
        overwrite=options.overwrite,
    )
    return report_import(made, noun="clips", next_step=f"signloom compose {options.output} --output DIR")
