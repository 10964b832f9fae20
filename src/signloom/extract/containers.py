"""What the bytes of a video file tell beside FFmpeg: its kind, whether it is cut off, the name of its codec."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from signloom.files.reading import open_file


def is_avi_without_rate(path: Path) -> bool:
    """Returns whether an AVI's headers give a rate of 0; FFmpeg replaces it by 25, also in the time stamps."""
    with open_file(path) as file:
        head = file.read(4096)
    main, stream = head.find(b"avih"), head.find(b"strh")
    if head[:4] != b"RIFF" or main < 0 or not 0 <= stream <= len(head) - 36:
        return False
    scale_and_rate = (head[stream + 28 : stream + 32], head[stream + 32 : stream + 36])
    return bytes(4) in scale_and_rate and head[main + 8 : main + 12] == bytes(4)


def kind_hint(path: Path) -> str:
    """Returns the end of an error message: what the file seems to be instead of a video."""
    with open_file(path) as file:
        head = file.read(4096)
    if b"\0" not in head:
        try:
            head.decode("utf-8", errors="strict")
        except UnicodeDecodeError as error:
            # The 4096 bytes may end within a character of a text file.
            if error.start < len(head) - 4:
                return ""
        return "; it is a text file"
    if head[4:8] == b"ftyp":
        return "; it is damaged or cut off, or of a kind that cannot be read"
    return ""


def ends_early(path: Path) -> bool:
    """Returns whether an MP4, MOV, AVI, MKV or WebM file is shorter than the sizes stored in it.

    The frame count in a header is not enough: an edit list hides frames, and some containers only estimate the count.
    """
    size = path.stat().st_size
    with open_file(path) as file:
        head = file.read(16)
        if head[:4] == b"RIFF":
            return int.from_bytes(head[4:8], "little") + 8 > size
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return _ebml_end(file) > size
        if head[4:8] not in (b"ftyp", b"wide", b"moov", b"mdat", b"free", b"skip"):
            return False
        end = 0
        for _, start, length in _boxes(file):
            # A length of 0 goes to the end of the file, others include their own 8 bytes.
            end = size if length == 0 else start + length
            if 0 < length < 8:
                return True
        return end > size


def second_part(path: Path) -> int | None:
    """Returns where another file begins in an MP4 or MOV (`cat a.mp4 b.mp4`), which players do not show; else None."""
    with open_file(path) as file:
        return next((start for kind, start, _ in _boxes(file) if kind == b"ftyp" and start > 0), None)


def _boxes(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Yields kind, start and length of the outermost boxes of an MP4 or MOV file."""
    start = 0
    file.seek(0)
    while len(head := file.read(16)) >= 8:
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        yield head[4:8], start, length
        if length < 8:
            return
        start += length
        file.seek(start)


def _ebml_end(file: IO[bytes]) -> int:
    """Returns the end of a Matroska file's segment according to its header; 0 if unknown (a live recording)."""

    def length() -> int | None:
        # The number of bytes is one plus the leading zeros of the first; all value bits set means unknown.
        first = file.read(1)[0]
        extra = 8 - first.bit_length()
        value = int.from_bytes(bytes([first & (0x7F >> extra)]) + file.read(extra), "big")
        return None if value == (1 << 7 * (extra + 1)) - 1 else value

    file.seek(4)
    file.seek(length() or 0, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    size = length()
    return 0 if size is None else file.tell() + size


def codec_name(path: Path) -> str | None:
    """Returns the name that an MP4, MOV, AVI, MKV or WebM file gives its video codec (`avc1`), None if not found."""
    with open_file(path) as file:
        if not (data := _header(file)):
            return None
    if data.startswith(b"RIFF"):
        match = re.search(rb"vids(....)", data, re.DOTALL)
    elif data.startswith(b"\x1a\x45\xdf\xa3"):
        match = re.search(rb"V_([A-Z0-9_/.]+)", data)
    else:
        # The handler of a track says that it is video; its table of samples begins with the codec.
        match = re.search(rb"hdlr.{8}vide.*?stsd.{12}(....)", data, re.DOTALL)
    name = match[1].decode("latin-1").strip() if match else ""
    return name if name and name.isprintable() else None


def _header(file: IO[bytes]) -> bytes:
    """Returns the part of a file that describes its tracks: the `moov` box of an MP4, else the first 64 kB."""
    head = file.read(1 << 16)
    if head[4:8] != b"ftyp":
        return head
    for kind, start, length in _boxes(file):
        if kind == b"moov":
            file.seek(start)
            return file.read(min(length, 1 << 26))
    return b""
