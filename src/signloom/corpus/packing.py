"""Packs a corpus into shards, and unpacks them. See `shards` for the layout.

The plan says where every byte of every shard will be before the first is written. So the same corpus and seed give the
same bytes, a dry run gives exact sizes, and a run that was stopped goes on after its last whole shard.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signloom.corpus.names import HEADER, LEFT_OUT, MANIFEST
from signloom.corpus.reading import Corpus
from signloom.corpus.shards import (
    FORMAT,
    FORMAT_VERSION,
    INDEX,
    ROW,
    SHARD_SUFFIX,
    SHARDS,
    id_hash,
    key_of,
    members_bytes,
)
from signloom.corpus.stored import local_folder, locked_for_writing, publish
from signloom.corpus.utterance import SPLITS, Utterance
from signloom.corpus.writing import check_output, files_of_corpus
from signloom.errors import InputError, plural
from signloom.files.paths import inside, resolved
from signloom.files.reading import CLIP, read_bytes, sha256_of
from signloom.files.schemas import encode_json
from signloom.files.staging import Stage
from signloom.files.tar import BLOCK, archive_bytes, blocks, header_of
from signloom.files.writing import atomic_write, write_json, write_text
from signloom.landmarks import SUFFIX

_RECORD_SUFFIX = ".json"
# In the hidden folder: what its files are made from.
_MADE_FROM = "made-from"

Advance = Callable[[int], object]


@dataclass(frozen=True)
class PlannedShard:
    """A shard to write: its name, its split, its utterances (numbers in the manifest, in order) and its size."""

    name: str
    split: str
    rows: np.ndarray
    bytes: int


@dataclass(frozen=True)
class Plan:
    """What packing a corpus will write.

    shards: in order.  rows: the index (see `shards.ROW`).  seed: of the order.
    made_from: a hash that changes with what the corpus holds: its manifest, and sizes and times of its landmark files.
    """

    shards: tuple[PlannedShard, ...]
    rows: np.ndarray
    seed: int
    made_from: str

    def summary(self) -> dict[str, dict[str, int]]:
        """Returns for each split the numbers of utterances and shards, the bytes of all and of the largest shard."""
        table: dict[str, dict[str, int]] = {}
        for shard in self.shards:
            row = table.setdefault(shard.split, {"utterances": 0, "shards": 0, "bytes": 0, "largest": 0})
            row["utterances"] += len(shard.rows)
            row["shards"] += 1
            row["bytes"] += shard.bytes
            row["largest"] = max(row["largest"], shard.bytes)
        return table

    @property
    def num_bytes(self) -> int:
        return sum(shard.bytes for shard in self.shards)


def plan_shards(corpus: Corpus, *, shard_bytes: int, seed: int, advance: Advance = lambda count: None) -> Plan:
    """Returns the shards of a corpus: of each split its utterances in an order drawn from `seed`, dealt out in turn.

    shard_bytes: largest size of a shard; one with a single utterance may be larger.
    advance: called with the number of utterances whose sizes were read.

    Raises InputError for a landmark file that is missing or too large.
    """
    rows = np.zeros(len(corpus), dtype=ROW)
    changed = np.zeros(len(corpus), dtype=np.int64)
    splits: dict[str, list[int]] = {name: [] for name in SPLITS}
    for number, item in enumerate(corpus.utterances):
        rows[number]["id_hash"] = id_hash(item.id)
        rows[number]["record_size"] = len(_record(item))
        rows[number]["landmarks_size"], changed[number] = _size_and_time(corpus, item)
        splits[item.split].append(number)
        advance(1)
    if len(np.unique(rows["id_hash"])) < len(rows):
        raise InputError(f"{corpus.root}: two ids have the same hash; rename one of them")
    shards: list[PlannedShard] = []
    for place, (split, numbers) in enumerate(splits.items()):
        order = np.random.default_rng((seed, place)).permutation(np.array(numbers, dtype=np.int64))
        for part in _dealt(order, rows, shard_bytes):
            name = f"{split}-{sum(shard.split == split for shard in shards):06d}{SHARD_SUFFIX}"
            shards.append(PlannedShard(name, split, part, _place(part, rows, len(shards))))
    made_from = hashlib.sha256(rows.tobytes() + changed.tobytes() + str(corpus.copied and corpus.folder).encode())
    for name in (MANIFEST, SHARDS):
        if (corpus.folder / name).is_file():
            made_from.update(sha256_of(corpus.folder / name).encode())
    return Plan(tuple(shards), rows, seed, made_from.hexdigest())


def _dealt(order: np.ndarray, rows: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Yields the utterances of one shard after the other."""
    start, used = 0, 0
    for end, number in enumerate(order):
        size = members_bytes(int(rows[number]["record_size"]), int(rows[number]["landmarks_size"]))
        if end > start and archive_bytes(used + size) > most:
            yield order[start:end]
            start, used = end, 0
        used += size
    if len(order):
        yield order[start:]


def _place(part: np.ndarray, rows: np.ndarray, shard: int) -> int:
    """Writes into the index where the members of a shard's utterances will be; returns the size of the shard."""
    offset = 0
    for number in part:
        row = rows[number]
        row["shard"] = shard
        row["record_offset"] = offset + BLOCK
        offset += BLOCK + blocks(int(row["record_size"]))
        row["landmarks_offset"] = offset + BLOCK
        offset += BLOCK + blocks(int(row["landmarks_size"]))
    return archive_bytes(offset)


def pack(
    corpus: Corpus, output: Path, plan: Plan, *, overwrite: bool = False, advance: Advance = lambda n: None
) -> None:
    """Writes the shards of a corpus to a folder, whole or not at all; shards of a stopped run are kept for the next.

    advance: called with the number of utterances that were written, or found written.

    Raises InputError for an output that has a corpus already, unless `overwrite`, and for landmark files that change
    while they are packed.
    """
    check_other_folder(corpus, output)
    with _writing(output, overwrite, plan.made_from) as stage:
        listed = []
        for shard in plan.shards:
            path = stage.path / shard.name
            if path.is_file() and path.stat().st_size == shard.bytes:
                digest = sha256_of(path)
                advance(len(shard.rows))
            else:
                digest = _write_shard(corpus, shard, plan.rows, path, advance)
            listed.append({"name": shard.name, "bytes": shard.bytes, "utterances": len(shard.rows), "sha256": digest})
        with atomic_write(stage.path / INDEX) as file:
            np.save(file, plan.rows, allow_pickle=False)
        files = _copy_beside(corpus, stage)
        head = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "seed": plan.seed,
            "manifest_sha256": sha256_of(stage.path / MANIFEST),
            "index_sha256": sha256_of(stage.path / INDEX),
            "shards": listed,
        }
        write_json(stage.path / SHARDS, head)
        _commit(output, stage, [*(shard.name for shard in plan.shards), INDEX, SHARDS, *files])


def unpack(corpus: Corpus, output: Path, *, overwrite: bool = False, advance: Advance = lambda count: None) -> None:
    """Writes a packed corpus as a folder of landmark files: the manifest and the files are those that were packed.

    advance: called with the number of utterances that were written, or found written.

    Raises InputError for a corpus that is not packed, for a shard whose sum is not the one in the list, and as `pack`
    does.
    """
    if corpus.shards is None:
        raise InputError(f"{corpus.root}: not a packed corpus (it has no {SHARDS}): there is nothing to unpack")
    check_other_folder(corpus, output)
    shards = corpus.shards
    with _writing(output, overwrite, sha256_of(corpus.folder / SHARDS)) as stage:
        names = []
        for number, shard in enumerate(shards.shards):
            path = shards.path(shard)
            if sha256_of(path) != shard.sha256:
                raise InputError(f"{path}: its SHA-256 is not the one in {SHARDS}: it is damaged; copy it again")
            members = np.flatnonzero(shards.rows["shard"] == number)
            for row in members[np.argsort(shards.rows["landmarks_offset"][members])]:
                item = corpus.utterances[int(row)]
                target = inside(stage.path, item.landmarks)
                member = shards.landmarks(item.id)
                if not (target.is_file() and target.read_bytes() == member.content):
                    with atomic_write(target, flush=False) as file:
                        file.write(member.content)
                names.append(item.landmarks)
                advance(1)
        os.sync()
        _commit(output, stage, [*dict.fromkeys(names), *_copy_beside(corpus, stage)])


def check_other_folder(corpus: Corpus, output: Path) -> None:
    """Raises InputError if a corpus would be written into its own folder, or to its own URL."""
    if resolved(output) == resolved(corpus.root):
        raise InputError(f"{output}: this folder holds the corpus; choose another --output")


@contextmanager
def _writing(output: Path, overwrite: bool, made_from: str) -> Iterator[Stage]:
    """Locks a folder for a new corpus and gives its stage, with what an earlier run made from the same left there."""
    check_output(output, overwrite=overwrite)
    with locked_for_writing(output):
        # Another process may have finished a corpus since.
        check_output(output, overwrite=overwrite)
        stage = Stage(local_folder(output))
        mark = stage.path / _MADE_FROM
        if not mark.is_file() or mark.read_bytes() != made_from.encode():
            stage.clear()
            write_text(mark, made_from)
        yield stage


def _commit(output: Path, stage: Stage, files: list[str]) -> None:
    """Puts a new corpus in its place, and uploads one for a URL.

    Raises InputError if a file would be replaced that belongs to no corpus.
    """
    old = files_of_corpus(stage.folder)
    for name in set(files).difference(old, (MANIFEST, HEADER)):
        if (stage.folder / name).exists():
            raise InputError(
                f"{stage.folder / name}: is no file of an earlier corpus there and would be replaced; choose another "
                "folder, or move the file"
            )
    stage.commit(files, remove=old)
    publish(output, files)


def _write_shard(corpus: Corpus, shard: PlannedShard, rows: np.ndarray, path: Path, advance: Advance) -> str:
    """Writes a shard, whole or not at all; returns the SHA-256 of its bytes."""
    digest = hashlib.sha256()
    with atomic_write(path) as file:

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        written = 0
        for number in shard.rows:
            item = corpus.utterances[int(number)]
            key = key_of(int(number), item.id)
            content = _content(corpus, item, int(rows[number]["landmarks_size"]))
            for suffix, data in ((_RECORD_SUFFIX, _record(item)), (SUFFIX, content)):
                write(header_of(key + suffix, len(data)))
                write(data)
                write(bytes(blocks(len(data)) - len(data)))
                written += BLOCK + blocks(len(data))
            advance(1)
        write(bytes(shard.bytes - written))
    return digest.hexdigest()


def _content(corpus: Corpus, item: Utterance, size: int) -> bytes:
    """Returns the bytes of a landmark file. Raises InputError if their number is not the planned one."""
    file = corpus.file(item)
    content = read_bytes(file, CLIP)
    if len(content) != size:
        raise InputError(f"{file}: has {plural(len(content), 'byte')}, had {size:,} before; it changes, pack it later")
    return content


def _record(item: Utterance) -> bytes:
    return encode_json(item.to_json(), item.id)


def _size_and_time(corpus: Corpus, item: Utterance) -> tuple[int, int]:
    """Returns the bytes of a landmark file, and when it was last changed, in nanoseconds.

    Members of shards and copies of objects have no such time: others of them come with another list or folder.
    """
    if corpus.shards is not None:
        return corpus.shards.landmarks_size(item.id), 0
    path = corpus.copied.path(item.landmarks) if corpus.copied else inside(corpus.root, item.landmarks)
    status = path.stat()
    if status.st_size > CLIP.most_bytes:
        raise InputError(f"{path}: {plural(status.st_size, 'byte')}; needed {CLIP.name} of at most {CLIP.most_bytes:,}")
    return status.st_size, 0 if corpus.copied else status.st_mtime_ns


def _copy_beside(corpus: Corpus, stage: Stage) -> list[str]:
    """Copies header, manifest and the list of what was left out as they are; returns their names."""
    names = [name for name in (LEFT_OUT, MANIFEST, HEADER) if (corpus.folder / name).is_file()]
    for name in names:
        with (corpus.folder / name).open("rb") as source, atomic_write(stage.path / name) as target:
            shutil.copyfileobj(source, target)
    return names
