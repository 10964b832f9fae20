"""Members of tar archives: their headers, and what they may be.

A header is a block of 512 bytes before the content of its member, which is padded to whole blocks.
"""

from __future__ import annotations

import tarfile

BLOCK = tarfile.BLOCKSIZE
# The end of an archive: two empty blocks, padded to a record, as tar itself writes it.
RECORD = tarfile.RECORDSIZE


def blocks(size: int) -> int:
    """Returns the bytes of a content of `size` bytes with its padding."""
    return -(-size // BLOCK) * BLOCK


def archive_bytes(members: int) -> int:
    """Returns the bytes of an archive whose members take `members` bytes with headers and padding."""
    return -(-(members + 2 * BLOCK) // RECORD) * RECORD


def header_of(name: str, size: int) -> bytes:
    """Returns the header of a regular file, the same for everybody at any time: no owner, and the year 1970."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(format=tarfile.USTAR_FORMAT)


def check_member(header: bytes, name: str, size: int) -> None:
    """Raises ValueError, saying what is there, unless a header is that of the regular file `name` of `size` bytes."""
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ValueError(f"no member of a tar archive is there ({error})") from None
    if not info.isreg():
        raise ValueError(f"{info.name!r:.80} is there, which is no regular file")
    if info.name != name:
        raise ValueError(f"{info.name!r:.80} is there")
    if info.size != size:
        raise ValueError(f"its size is {info.size:,}, the index says {size:,}")
