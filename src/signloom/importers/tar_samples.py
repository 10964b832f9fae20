"""Samples in tar archives as WebDataset writes them: members of one key, which is the name up to its first dot.

Members are found by their headers and read by their places. Nothing is extracted, so no name can lead out of a folder;
archives with names or members that only an attack or a mistake has are refused all the same.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from signloom.errors import Faults, InputError, plural
from signloom.files.ranges import RangeReader
from signloom.files.reading import ANY, Kind, Member, open_file

SUFFIX = ".tar"
_PACKED = {b"\x1f\x8b": "gzip -d", b"BZh": "bzip2 -d", b"\xfd7zXZ\x00": "xz -d", b"\x28\xb5\x2f\xfd": "zstd -d"}


@dataclass(frozen=True)
class TarMember:
    """A regular file in an archive: its name there, and the place of its content."""

    archive: Path
    name: str
    start: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}:{self.name}"

    def read(self, kind: Kind) -> Member:
        """Returns its content. Raises InputError if it is too large for its kind, or the archive is cut off."""
        if self.size > kind.most_bytes:
            raise InputError(f"{self}: {plural(self.size, 'byte')}; needed {kind.name} of at most {kind.most_bytes:,}")
        return Member(str(self), RangeReader(self.archive.parent).read(self.archive.name, self.start, self.size))


@dataclass
class Sample:
    """The members of one key, by what follows the key's dot in their names, in lower case: `npy`, `gloss.txt`."""

    key: str
    archive: Path
    members: dict[str, TarMember] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{self.archive}:{self.key}"


def samples_of(path: Path, faults: Faults) -> list[Sample]:
    """Returns the samples of a tar archive in their order; adds to `faults` members that no data set needs (links,
    devices, names that leave the folder) and a member that a sample has twice.

    Raises InputError for another file, a packed one, and one that is cut off.
    """
    samples: dict[str, Sample] = {}
    for member in _members(path, faults):
        name = PurePosixPath(member.name)
        stem, _, rest = name.name.partition(".")
        if not stem or not rest:
            # Hidden files, and those without a suffix: WebDataset passes them over, too.
            continue
        key = (name.parent / stem).as_posix()
        sample = samples.setdefault(key, Sample(key, path))
        if rest.lower() in sample.members:
            faults.add(f"{member}: the archive has this member twice")
        sample.members[rest.lower()] = member
    return list(samples.values())


def _members(path: Path, faults: Faults) -> Iterator[TarMember]:
    with open_file(path, ANY) as file:
        start = file.read(6)
        file.seek(0)
        if program := next((program for mark, program in _PACKED.items() if start.startswith(mark)), None):
            raise InputError(f"{path}: a packed archive, of which no part can be read alone; unpack it: {program} FILE")
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for info in archive:
                    if fault := _fault(info):
                        faults.add(f"{path}: member {info.name!r:.80} {fault}")
                    elif info.isreg():
                        yield TarMember(path, info.name, info.offset_data, info.size)
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            raise InputError(f"{path}: not a readable tar archive ({error}); copy it again") from None


def _fault(info: tarfile.TarInfo) -> str:
    """Returns what is wrong with a member, or nothing."""
    name = PurePosixPath(info.name)
    if name.is_absolute() or ".." in name.parts or "\\" in info.name:
        return "leaves its folder; needed relative names without '..'"
    if info.issparse() or not (info.isreg() or info.isdir()):
        what = "a link" if info.issym() or info.islnk() else "a device or a pipe" if info.isdev() else "no regular file"
        return f"is {what}; needed regular files"
    return ""
