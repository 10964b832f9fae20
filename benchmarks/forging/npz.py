"""Landmark files with any member, header and size, whether or not they fit."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Members = list[tuple[str, bytes]]


def members_of(path: Path) -> dict[str, bytes]:
    """Returns the members of an archive."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(members: Iterable[tuple[str, bytes]], *, compressed: bool = False) -> bytes:
    """Returns a zip archive; names may occur twice."""
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as made:
        for name, data in members:
            with warnings.catch_warnings(action="ignore"), made.open(zipfile.ZipInfo(name), "w") as member:
                member.write(data)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    """Returns an array as a .npy file; objects as a pickle."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npy_header(text: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """Returns a .npy file with any header, such as one that claims another shape than its data."""
    header = (text + "\n").encode()
    length = struct.pack("<H" if version == (1, 0) else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + length + header + data


def array_of(member: bytes) -> np.ndarray:
    array: np.ndarray = np.load(io.BytesIO(member), allow_pickle=False)
    return array


def with_meta(edit: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, bytes]], Mapping[str, bytes]]:
    """Returns an edit of members: the header as JSON, changed; `edit` returns the new header or its text."""

    def edited(members: dict[str, bytes]) -> Mapping[str, bytes]:
        new = edit(json.loads(array_of(members["meta.npy"]).tobytes()))
        text = new if isinstance(new, bytes) else (new if isinstance(new, str) else json.dumps(new)).encode()
        return {**members, "meta.npy": npy(np.frombuffer(text, dtype=np.uint8))}

    return edited


def with_array(name: str, edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    """Returns an edit of members: one array, changed."""
    return lambda members: {**members, f"{name}.npy": npy(edit(array_of(members[f"{name}.npy"]).copy()))}


def bomb(name: str, header: bytes, expanded: int) -> bytes:
    """Returns a zip archive whose only member, a header and zeros, expands to gigabytes from a few megabytes."""
    block = 2**20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [packer.compress(header), packer.flush(zlib.Z_FULL_FLUSH)]
    # After a full flush the compressed block depends on nothing before it.
    repeated = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    parts += [repeated] * (expanded // block)
    parts.append(packer.flush(zlib.Z_FINISH))
    data = b"".join(parts)
    size = len(header) + block * (expanded // block)
    # In zip64, since the sizes exceed four bytes. The checksum is wrong: nobody should get as far.
    extra = struct.pack("<HHQQ", 1, 16, size, len(data))
    fields = struct.pack("<HHHHHIIIHH", 45, 0, 8, 0, 33, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra))
    local = b"PK\x03\x04" + fields + name.encode() + extra + data
    central = b"PK\x01\x02" + struct.pack("<H", 45) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name.encode()
    central += extra
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end
