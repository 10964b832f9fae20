"""Imports tiers of glosses from ELAN files (.eaf): a corpus with --landmarks, else a table id|gloss.

An ELAN file is one utterance, its glosses in order of time. --segments TIER names a tier of sentences: then each
sentence is one utterance, and the landmarks are cut at its times. Several tiers, one for each hand, are merged: a gloss
that a tier before has at the same time counts once. Landmark files have the name of the linked video or of the ELAN
file; of several videos, the tier's name or --media says which one. The split of a file is the folder train, dev or test
that contains it, else --split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from signloom.importers.annotations import AnnotationSource
from signloom.importers.timed_annotations import TierOptions, import_timed
from signloom.timed.eaf import SUFFIX, read_eaf


@dataclass(frozen=True, kw_only=True)
class Options(TierOptions):
    """Options of `signloom import elan`."""

    media: str | None = None
    """The linked video, or a part of its name, of files with several cameras. Default: the one that the tier's name or
    participant names."""


def run(options: Options) -> int:
    """Writes the corpus or the table; returns exit status 0."""
    source = AnnotationSource(
        importer="elan",
        title="ELAN annotations",
        licence=options.licence or "not stated in the files; see where they come from",
        citation="Wittenburg et al. 2006. ELAN: a Professional Framework for Multimodality Research. LREC",
        details={"tier": " + ".join(options.tier), "segments": options.segments},
    )
    tiers = replace(options.tiers, media=options.media)
    return import_timed(options, tiers, source, (SUFFIX,), read_eaf)
