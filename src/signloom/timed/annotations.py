"""Tiers of timed annotations, as files of ELAN, Praat and subtitles hold them. Times are whole milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from signloom.text.clean import clean

# Endings of linked files that have no picture.
_SOUNDS = frozenset(".wav .mp3 .aac .m4a .ogg .flac .aif .aiff .wma".split())


class TimedAnnotation(NamedTuple):
    """An annotation of a tier: start and end in milliseconds, and its text."""

    start_ms: int
    end_ms: int
    value: str


@dataclass(frozen=True)
class Medium:
    """A linked media file.

    name: without folders.  folders: of its path, the nearest last.
    origin_ms: the time in the medium at which the annotations' zero lies (ELAN's TIME_ORIGIN).
    """

    name: str
    folders: tuple[str, ...] = ()
    origin_ms: int = 0

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        stem, dot, suffix = self.name.rpartition(".")
        return stem if stem and dot and suffix else self.name

    @property
    def has_picture(self) -> bool:
        """Whether it is a video, by its suffix."""
        return f".{self.name.rpartition('.')[2].lower()}" not in _SOUNDS

    @classmethod
    def linked(cls, link: str, origin_ms: int = 0) -> Medium | None:
        """Returns the medium of a link, a path or an address of a POSIX or Windows system; None for an empty link.

        A name may have characters with a meaning in addresses, such as `#`, `?` and `:`.
        """
        path = link.removeprefix("file:")
        path = (unquote(path) if path != link else path).replace("\\", "/")
        *folders, name = path.split("/")
        named = tuple(part for part in folders if part not in ("", ".", "..") and not part.endswith(":"))
        return cls(name, named, origin_ms) if name else None


@dataclass(frozen=True)
class TimedDocument:
    """The content of a file of timed annotations.

    tiers: annotations by tier name, in order of time.  participants: participant by tier name, if the tier has one.
    media: the linked media files, the master first.
    """

    tiers: Mapping[str, tuple[TimedAnnotation, ...]]
    participants: Mapping[str, str]
    media: tuple[Medium, ...] = ()

    def tier_named(self, name: str) -> str:
        """Returns the tier of this name, in whichever Unicode form the file has it; else the name itself."""
        return next((tier for tier in self.tiers if tier == name or clean(tier) == clean(name)), name)

    @property
    def videos(self) -> tuple[Medium, ...]:
        """The linked media with a picture; of several with one name but for the suffix, the first."""
        by_stem = {medium.stem: medium for medium in reversed(self.media) if medium.has_picture}
        return tuple(medium for medium in self.media if by_stem.get(medium.stem) is medium)
