"""A packed corpus: the landmark files of utterances as members of tar archives (shards), found by an index.

The layout is WebDataset's: an utterance has two members in one shard, `KEY.json` (its record in the manifest) and
`KEY.npz` (its landmark file as it is). Beside the shards lie the header and the manifest of the corpus as they were,
`shards.json` (names, sizes and sums of the shards) and `shards.npy` (the place of every member, in manifest order).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct, convert

from signloom.errors import InputError, plural
from signloom.files.arrays import ALONE, read_arrays
from signloom.files.copies import Copied
from signloom.files.paths import inside
from signloom.files.ranges import RangeReader
from signloom.files.reading import CLIP, Kind, Member, sha256_of
from signloom.files.schemas import read_record, text_of
from signloom.files.tar import BLOCK, blocks, check_member
from signloom.landmarks import SUFFIX

SHARDS = "shards.json"
INDEX = "shards.npy"
SHARD_SUFFIX = ".tar"
FORMAT = "signloom-shards"
FORMAT_VERSION = 1
_INDEX_FILE = Kind("the index of a packed corpus", 4_000_000_000)
_PACK_AGAIN = "copy it again, or pack the corpus again"

# For each utterance: a hash of its id, its shard, and where the contents of its two members are.
ROW = np.dtype(
    [
        ("id_hash", "<u8"),
        ("shard", "<u4"),
        ("record_size", "<u4"),
        ("record_offset", "<u8"),
        ("landmarks_offset", "<u8"),
        ("landmarks_size", "<u8"),
    ]
)
_Sum = Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z", description="a SHA-256 of 64 hexadecimal digits")]


class Shard(Struct):
    """What the list of shards says of one."""

    name: Annotated[str, text_of(200)]
    bytes: Annotated[int, Meta(ge=0)]
    utterances: Annotated[int, Meta(ge=1)]
    sha256: _Sum


class ShardList(Struct):
    """`shards.json`."""

    format: Annotated[str, Meta(pattern=f"^{FORMAT}\\Z", description=f"{FORMAT!r}")]
    version: Annotated[int, Meta(ge=FORMAT_VERSION, le=FORMAT_VERSION)]
    seed: int
    manifest_sha256: _Sum
    index_sha256: _Sum
    shards: Annotated[list[Shard], Meta(min_length=1, max_length=1_000_000)]


@dataclass(frozen=True)
class Shards:
    """The shards of a packed corpus, opened for reading.

    root: their folder.  shards: what the list says of each.  rows: the index, in manifest order (see `ROW`).
    """

    root: Path
    shards: tuple[Shard, ...]
    rows: np.ndarray
    _hashes: np.ndarray
    _order: np.ndarray
    _reader: RangeReader

    @classmethod
    def open(cls, root: Path, manifest: Path, num_utterances: int, copied: Copied | None = None) -> Shards:
        """Returns the shards in a folder, after checking that list, index, manifest and shards belong together.

        copied: where a shard is fetched from when it is read; None if all of them are in the folder.

        Raises InputError for a list or an index of another corpus or a damaged one, and for a shard that is missing or
        has another size.
        """
        listed = convert(read_record(root / SHARDS, ShardList), ShardList)
        if sha256_of(manifest) != listed.manifest_sha256:
            raise InputError(
                f"{root / SHARDS}: the list of shards belongs to another {manifest.name}; bring the one it was packed "
                "with, or pack the corpus again"
            )
        path = root / INDEX
        if sha256_of(path) != listed.index_sha256:
            raise InputError(f"{path}: another index than {SHARDS} says, or damaged; {_PACK_AGAIN}")
        rows = read_arrays(path, kind=_INDEX_FILE).get(ALONE)
        if rows is None or rows.dtype != ROW or rows.shape != (num_utterances,):
            got = "an archive" if rows is None else f"{rows.dtype} of shape {rows.shape}"
            raise InputError(f"{path}: {got}; needed the places of {plural(num_utterances, 'utterance')}")
        for shard in listed.shards:
            _check_shard(root, shard, copied)
        _check_places(path, rows, listed.shards)
        order = np.argsort(rows["id_hash"], kind="stable")
        # Sorted and in one piece: what is searched for each clip.
        return cls(root, tuple(listed.shards), rows, rows["id_hash"][order], order, RangeReader(root, copied))

    def row(self, utterance_id: str) -> int:
        """Returns the number of an utterance in the manifest. Raises InputError for one that is not packed."""
        wanted = np.uint64(id_hash(utterance_id))
        place = min(int(np.searchsorted(self._hashes, wanted)), len(self._hashes) - 1)
        row = int(self._order[place])
        if self._hashes[place] != wanted:
            raise InputError(f"{self.root}: no utterance {utterance_id!r} in its shards; open the corpus again")
        return row

    def numbers(self, utterance_ids: Iterable[str]) -> np.ndarray:
        """Returns the numbers of the shards that hold some utterances of the corpus, (n,) int64."""
        hashes = np.fromiter(map(id_hash, utterance_ids), dtype=np.uint64)
        places = np.searchsorted(self._hashes, hashes)
        return self.rows["shard"][self._order[places]].astype(np.int64)

    def path(self, shard: Shard) -> Path:
        """Returns the local path of a shard, after fetching it if need be."""
        return self._reader.path(shard.name)

    def landmarks_size(self, utterance_id: str) -> int:
        """Returns the bytes of an utterance's landmark file."""
        return int(self.rows["landmarks_size"][self.row(utterance_id)])

    def landmarks(self, utterance_id: str) -> Member:
        """Returns the landmark file of an utterance.

        Raises InputError if the shard does not hold it where the index says so.
        """
        number = self.row(utterance_id)
        row = self.rows[number]
        shard = self.shards[int(row["shard"])].name
        name = key_of(number, utterance_id) + SUFFIX
        offset, size = int(row["landmarks_offset"]), int(row["landmarks_size"])
        data = self._reader.read(shard, offset - BLOCK, BLOCK + size)
        place = f"{self._reader.place / shard}:{name}"
        try:
            check_member(data[:BLOCK], name, size)
        except ValueError as error:
            raise InputError(
                f"{place}: at byte {offset - BLOCK:,} {error}; the shard is damaged, {_PACK_AGAIN}"
            ) from None
        return Member(place, data[BLOCK:])


def shard_files(root: Path) -> list[str]:
    """Returns the files of a packed corpus in a folder: list, index and shards; none if there is no list to read."""
    try:
        names = [shard["name"] for shard in read_record(root / SHARDS, ShardList)["shards"]]
    except InputError:
        return []
    return [SHARDS, INDEX, *(name for name in names if "/" not in name and (root / name).suffix == SHARD_SUFFIX)]


def key_of(row: int, utterance_id: str) -> str:
    """Returns the key of an utterance's members: its number in the manifest, and what can be kept of its id.

    A key has no dots and no slashes, which mean something to WebDataset, and fits into the header of a tar archive.
    """
    return f"{row:07d}_{re.sub('[^A-Za-z0-9_-]', '_', utterance_id)[:80]}"


def id_hash(utterance_id: str) -> int:
    """Returns 64 bits of a hash of an id; `pack` refuses a corpus in which two ids share one."""
    return int.from_bytes(hashlib.blake2b(utterance_id.encode(), digest_size=8).digest(), "little")


def _check_shard(root: Path, shard: Shard, copied: Copied | None) -> None:
    """Raises InputError unless a shard is there, a file of the folder itself, with the size that the list says."""
    if "/" in shard.name or not shard.name.endswith(SHARD_SUFFIX):
        raise InputError(f"{root / SHARDS}: shard {shard.name!r}; needed the name of a {SHARD_SUFFIX} file beside it")
    path = inside(root, shard.name)
    if copied is not None:
        size = copied.sizes.get(shard.name)
        path = copied.origin / shard.name
    else:
        size = path.stat().st_size if path.is_file() else None
    if size is None:
        raise InputError(f"{path}: this shard is missing; {_PACK_AGAIN}")
    if size != shard.bytes:
        what = "it is cut off" if size < shard.bytes else "it was changed"
        raise InputError(f"{path}: {plural(size, 'byte')}, {SHARDS} says {shard.bytes:,}: {what}; {_PACK_AGAIN}")


def _check_places(path: Path, rows: np.ndarray, shards: list[Shard]) -> None:
    """Raises InputError unless all members lie inside their shards."""
    if len(rows) and int(rows["shard"].max()) >= len(shards):
        raise InputError(f"{path}: shard {rows['shard'].max()}; needed 0 to {len(shards) - 1}")
    most = np.array([shard.bytes for shard in shards], dtype=np.uint64)[rows["shard"]]
    for part in ("record", "landmarks"):
        offset, size = rows[f"{part}_offset"], rows[f"{part}_size"].astype(np.uint64)
        wrong = (offset < BLOCK) | (offset % np.uint64(BLOCK) != 0) | (offset > most) | (size > most - offset)
        if wrong.any() or (size > CLIP.most_bytes).any():
            raise InputError(f"{path}: entry {int(np.argmax(wrong)) + 1} leaves its shard; {_PACK_AGAIN}")


def members_bytes(record_size: int, landmarks_size: int) -> int:
    """Returns the bytes that the two members of an utterance take in a shard."""
    return 2 * BLOCK + blocks(record_size) + blocks(landmarks_size)
