"""Checks every line of a manifest, and keeps what a large one says as arrays."""

from __future__ import annotations

import hashlib
import logging
from array import array
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from signloom.console import progress_bar
from signloom.corpus.columns import ColumnsBuilder
from signloom.corpus.index import Index, read_index, write_index
from signloom.corpus.utterance import Utterance
from signloom.corpus.utterances import MANIFEST_INDEX, ManifestLines, Utterances
from signloom.errors import Faults, InputError
from signloom.files.paths import Listing, check_stays
from signloom.files.reading import open_file
from signloom.files.schemas import decode_json, shown
from signloom.landmarks import SUFFIX

log = logging.getLogger("signloom.corpus")

# A simulated utterance has kilobytes of ground truth.
MOST_LINE_BYTES = 16_000_000
# Up to so many utterances, objects in memory are the simplest: they take 20 MB and half a second.
MOST_OBJECTS = 10_000
# A manifest from this size on takes seconds.
_PROGRESS_BYTES = 32_000_000
_MEGABYTE = 1_000_000


class Line(NamedTuple):
    """A line of a manifest: its number, where its content starts, and the content; None if that is too long."""

    number: int
    start: int
    content: bytes | None


class _Lines(Protocol):
    def readline(self, size: int, /) -> bytes: ...


class _Digested:
    """A file whose bytes are counted and hashed as they are read, so that an index is of what was checked."""

    def __init__(self, file: _Lines) -> None:
        self._file = file
        self._hash = hashlib.blake2b()
        self.num_bytes = 0

    def readline(self, size: int, /) -> bytes:
        line = self._file.readline(size)
        self._hash.update(line)
        self.num_bytes += len(line)
        return line

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def manifest_lines(file: _Lines) -> Iterator[Line]:
    """Yields each line of an open manifest that is not blank."""
    start = 0
    for number in count(1):
        line = file.readline(MOST_LINE_BYTES + 1)
        size = len(line)
        if size > MOST_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(MOST_LINE_BYTES)
                size += len(line)
            yield Line(number, start, None)
        elif content := line.strip():
            yield Line(number, start + line.index(content), content)
        elif not line:
            return
        start += size


def read_manifest(path: Path, *, packed: bool = False) -> Utterances:
    """Returns the utterances of a manifest, after checking all of it.

    What a large manifest says is kept in a file beside it: as long as the manifest has the same content, its lines are
    not read again, and only the landmark files are looked for.

    packed: whether landmark files are in shards, and not looked for.

    Raises InputError listing every fault.
    """
    index = read_index(path.with_name(MANIFEST_INDEX), path)
    if index is not None and (packed or _has_landmarks(path.parent, index)):
        return Utterances(ManifestLines(path, index.starts, index.lengths, index.columns))
    return _checked(path, packed=packed)


def _has_landmarks(root: Path, index: Index) -> bool:
    """Returns whether all landmark files are there."""
    listing = Listing(root)
    try:
        return all(listing.has(name) for name in index.columns.landmarks)
    except InputError:
        return False


def _checked(path: Path, *, packed: bool) -> Utterances:
    """Returns the utterances of a manifest after reading every line."""
    faults = Faults(str(path))
    has = partial(_stays, path.parent) if packed else Listing(path.parent).has
    seen: dict[str, int] = {}
    items: list[Utterance] = []
    columns = ColumnsBuilder()
    starts, lengths = array("q"), array("i")
    with open_file(path) as file, progress_bar(disable=path.stat().st_size < _PROGRESS_BYTES) as bar:
        task = bar.add_task("checking the manifest", total=path.stat().st_size // _MEGABYTE, unit="MB")
        digested = _Digested(file)
        for number, start, line in manifest_lines(digested):
            if line is None:
                faults.add(f"line {number}: more than {MOST_LINE_BYTES:,} bytes; needed one utterance")
                continue
            try:
                record = decode_json(line, f"line {number}")
            except InputError as error:
                faults.add(str(error))
                continue
            try:
                utterance = Utterance.from_json(record)
                there = has(utterance.landmarks)
                name = utterance.landmarks.rpartition("/")[2]
                if not name.endswith(SUFFIX) or name == SUFFIX:
                    raise InputError(f"landmarks is {shown(utterance.landmarks)}; needed the path of a {SUFFIX} file")
            except InputError as error:
                faults.add(f"line {number}: {error}")
                continue
            if utterance.id in seen:
                faults.add(f"line {number}: id {utterance.id!r} is already in line {seen[utterance.id]}")
            elif not there:
                faults.add(f"line {number} ({utterance.id}): landmark file {utterance.landmarks} is missing")
            seen.setdefault(utterance.id, number)
            columns.add(utterance)
            starts.append(start)
            lengths.append(len(line))
            if len(seen) <= MOST_OBJECTS:
                items.append(utterance)
            if not number % 1000:
                bar.update(task, completed=digested.num_bytes // _MEGABYTE)
    if not seen and not faults:
        faults.add("no utterances")
    faults.raise_if_any()
    if len(seen) <= MOST_OBJECTS:
        return Utterances.of(items)
    index = Index(columns.build(), np.array(starts, np.int64), np.array(lengths, np.int32))
    try:
        write_index(path.with_name(MANIFEST_INDEX), index, digested.num_bytes, digested.digest)
    except (OSError, InputError) as error:
        # A corpus that may only be read, or a full disk: each start then takes as long as this one.
        log.info("%s is not kept (%s)", MANIFEST_INDEX, error)
    return Utterances(ManifestLines(path, index.starts, index.lengths, index.columns))


def _stays(root: Path, relative: str) -> bool:
    """Returns True for a path in a packed corpus, whose files are in shards. Raises InputError as `check_stays`."""
    check_stays(root, relative)
    return True
