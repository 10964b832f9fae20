"""Imports tiers of glosses from ELAN files (.eaf): a corpus with --landmarks, else a table id|gloss.

An ELAN file is one utterance, its glosses in order of time. --segments TIER names a tier of sentences: then each
sentence is one utterance, and the landmarks are cut at its times. Several tiers, one for each hand, are merged: a gloss
that a tier before has at the same time counts once. Landmark files have the name of the linked video or of the ELAN
file; of several videos, the tier's name or --media says which one. The split of a file is the folder train, dev or test
that contains it, else --split.
"""

from __future__ import annotations

from dataclasses import dataclass

from signloom.eaf import SUFFIX, read_eaf
from signloom.errors import InputError
from signloom.importers.annotations import AnnotationSource
from signloom.importers.timed_annotations import TimedOptions, import_timed
from signloom.importers.timed_sentences import Each, Tiers


@dataclass(frozen=True, kw_only=True)
class TierOptions(TimedOptions):
    """Options of importers of files with tiers."""

    tier: list[str]
    """The tier with the glosses; several, one for each hand, are merged, the dominant hand first."""
    segments: str | None = None
    """A tier of sentences: each sentence becomes an utterance."""
    each: Each = "gloss"
    """What an annotation of --tier is: one gloss, or a sentence of glosses, which becomes an utterance."""
    media: str | None = None
    """The linked video, or a part of its name, of files with several cameras. Default: the one that the tier's name or
    participant names."""

    @property
    def tiers(self) -> Tiers:
        """The tiers to import. Raises InputError for options that do not fit together."""
        names = tuple(self.tier)
        if not names or len(set(names)) < len(names):
            raise InputError(f"--tier is {' '.join(names) or 'empty'}; needed one tier, or several different ones")
        if self.each == "sentence" and (len(names) > 1 or self.segments is not None):
            raise InputError("--each sentence needs one --tier and no --segments: its annotations are the sentences")
        return Tiers(names, self.segments, self.each, self.media, self.replace_spaces)


@dataclass(frozen=True, kw_only=True)
class Options(TierOptions):
    """Options of `signloom import elan`."""


def run(options: Options) -> int:
    """Writes the corpus or the table; returns exit status 0."""
    source = AnnotationSource(
        importer="elan",
        title="ELAN annotations",
        licence=options.licence or "not stated in the files; see where they come from",
        citation="Wittenburg et al. 2006. ELAN: a Professional Framework for Multimodality Research. LREC",
        details={"tier": " + ".join(options.tier), "segments": options.segments},
    )
    return import_timed(options, options.tiers, source, (SUFFIX,), read_eaf)
