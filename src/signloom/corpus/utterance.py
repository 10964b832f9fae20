"""One utterance of a corpus: what a line of the manifest says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from signloom.errors import InputError
from signloom.files.paths import file_stem
from signloom.files.schemas import Name, check, one_of, text_of
from signloom.landmarks import MAX_FRAMES, Fps
from signloom.vocabulary import BLANK, UNKNOWN, UNKNOWN_ID, Vocabulary, check_gloss

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Utterance:
    """One signed sentence: its glosses, its signer, and the path of its landmarks.

    id: unique in the corpus.  split: `train`, `dev` or `test`.  signer: None if the source does not say.
    glosses: the reference, in order.  landmarks: path of the landmark file, relative to the corpus folder.
    num_frames, fps: of the stored clip, before any resampling.
    source: provenance, for the record.  truth: facts known only in a simulation (gloss boundaries, dials).
    others: where signs stand that are none of the glosses, by the number of glosses before each, rising: a model learns
    to give them the unknown gloss, which it never names. There may be no glosses beside them.
    """

    id: Name
    split: Annotated[str, one_of(*SPLITS)]
    signer: Name | None
    glosses: Annotated[tuple[str, ...], Meta(max_length=100_000)]
    landmarks: Annotated[str, text_of(4000)]
    num_frames: Annotated[int, Meta(ge=1, le=MAX_FRAMES)]
    fps: Fps
    source: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, Any] = field(default_factory=dict)
    others: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=100_000)] = ()

    def target(self, vocabulary: Vocabulary) -> list[int]:
        """Returns the ids that a model learns for this utterance: of its glosses, with the unknown one for `others`."""
        ids = vocabulary.encode(self.glosses)
        for place in reversed(self.others):
            ids.insert(place, UNKNOWN_ID)
        return ids

    @property
    def clips(self) -> tuple[str, ...]:
        """The isolated clips that a composed utterance was made of, one per gloss, each with its corpus; else empty."""
        names = self.truth.get("clips")
        if not isinstance(names, list) or len(names) != len(self.glosses):
            return ()
        return tuple(f"{self.source.get('corpus', '')}/{name}" for name in names)

    @property
    def duration_seconds(self) -> float:
        return self.num_frames / self.fps

    def to_json(self) -> dict[str, Any]:
        """Returns the record of one manifest line, without an empty source, truth or others."""
        record = {**vars(self), "glosses": list(self.glosses), "others": list(self.others)}
        return {name: value for name, value in record.items() if value or name not in ("source", "truth", "others")}

    @classmethod
    def from_json(cls, record: Any) -> Utterance:
        """Returns the utterance of one manifest line. Raises InputError saying what is wrong with it."""
        # Early versions left out an unknown signer.
        utterance = check(cls, {"signer": None, **record} if isinstance(record, dict) else record)
        if not utterance.glosses and not utterance.others:
            raise InputError("no glosses; needed at least one, or others")
        for gloss in utterance.glosses:
            check_gloss(gloss, "glosses")
        if reserved := {BLANK, UNKNOWN}.intersection(utterance.glosses):
            raise InputError(f"gloss {min(reserved)!r} is reserved; rename it")
        if list(utterance.others) != sorted(utterance.others) or max(utterance.others, default=0) > len(
            utterance.glosses
        ):
            raise InputError(f"others {list(utterance.others)}; needed rising places, 0 to {len(utterance.glosses)}")
        # An id names files, here and in other folders.
        file_stem(utterance.id)
        return utterance
