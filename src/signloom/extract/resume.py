"""Resumes an extraction: finds which clips are done, keeps a log of failures."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from signloom import landmarks
from signloom.console import say
from signloom.errors import InputError, plural
from signloom.extract.holistic import Settings
from signloom.extract.reading import ends_sha256, source_size
from signloom.extract.sources import Clip
from signloom.files import storage
from signloom.files.leases import held
from signloom.files.reading import JSON, read_bytes
from signloom.files.schemas import Table, check
from signloom.files.staging import remove
from signloom.files.urls import Url
from signloom.files.writing import atomic_write, write_text

# How seldom a log in object storage is written at most.
_SECONDS_BETWEEN_WRITES = 5.0


@dataclass
class Survey:
    """The clips of a run, by the state of their outputs.

    done: finished clips, with the header of each output.  missing: clips to extract.
    differing: clips whose output was made with other settings, with the difference in words.
    """

    done: dict[Clip, dict[str, Any]] = field(default_factory=dict)
    missing: list[Clip] = field(default_factory=list)
    differing: dict[Clip, str] = field(default_factory=dict)

    def refuse_differing(self, output: Path) -> None:
        """Raises InputError if clips in the folder `output` were made with other settings."""
        if self.differing:
            clip, difference = next(iter(self.differing.items()))
            count = len(self.differing) + len(self.done) + len(self.missing)
            raise InputError(
                f"{output}: {plural(len(self.differing), 'clip')} of {count:,} extracted with other options "
                f"({clip.name}: {difference}); choose another folder, or pass --overwrite to extract them again"
            )


class _Frames(Struct):
    """The number of frames, and of those with each group."""

    total: int
    pose: int
    left_hand: int
    right_hand: int
    face: int


class _Extracted(Struct):
    """The source of a landmark file that `extract` wrote, as far as it decides whether a clip is done."""

    frames: _Frames
    options: Table | None = None
    assumed_fps: float | None = None


def survey(clips: Sequence[Clip], output: Path, settings: Settings) -> Survey:
    """Returns which of `clips` are done under `output`: readable, made with `settings` from the same source.

    A clip counts as missing if its output cannot be read, or its source has another size or other ends.
    """
    state = Survey()
    headers = list(_headers(clips, output))
    changed = _changed(clips, headers)
    for clip, header in zip(clips, headers, strict=True):
        if header is None or clip in changed:
            state.missing.append(clip)
        elif difference := _difference(header, settings):
            state.differing[clip] = difference
        else:
            state.done[clip] = header
    return state


def _headers(clips: Sequence[Clip], output: Path) -> Iterable[dict[str, Any] | None]:
    """Returns what `read_header` returns for the output of each clip."""
    paths = [clip.output(output) for clip in clips]
    if not isinstance(output, Url):
        return map(read_header, paths)
    there = storage.listing(output)
    done = [path for clip, path in zip(clips, paths, strict=True) if clip.name + landmarks.SUFFIX in there]
    headers = dict(zip(done, storage.at_once(read_header, done), strict=True))
    return map(headers.get, paths)


def read_header(path: Path) -> dict[str, Any] | None:
    """Returns the header of a landmark file that `extract` wrote, without its points; None for anything else."""
    try:
        header = landmarks.read_header(path)
        check(_Extracted, header["source"])
        check(list[Literal["fps", "pixel_aspect"]], header["assumed"])
    except InputError:
        return None
    return header


def _changed(clips: Sequence[Clip], headers: Sequence[dict[str, Any] | None]) -> set[Clip]:
    """Returns the clips whose outputs were made from another source, by its size, or its ends if it has the same."""
    sources = {clip: header["source"] for clip, header in zip(clips, headers, strict=True) if header is not None}
    changed = {clip for clip, source in sources.items() if _size(clip) != source.get("size")}
    # Earlier versions kept no hash of the ends; the images of a folder in object storage are not listed here.
    hashed = [
        clip
        for clip, source in sources.items()
        if clip not in changed and "ends_sha256" in source and not (clip.listed and clip.listed.is_folder)
    ]
    stored = [clip for clip in hashed if isinstance(clip.path, Url)]
    ends = dict(zip(stored, storage.at_once(_ends, stored), strict=True))
    return changed | {clip for clip in hashed if (ends.get(clip) or _ends(clip)) != sources[clip]["ends_sha256"]}


def _size(clip: Clip) -> int | None:
    """Returns the size of a source, None if it is gone."""
    try:
        return clip.listed.size if clip.listed else source_size(clip.path)
    except OSError:
        return None


def _ends(clip: Clip) -> str | None:
    """Returns the hash of the ends of a source, None if it is gone or cannot be read."""
    try:
        return ends_sha256(clip.path)
    except (storage.MissingObjectError, OSError):
        return None


def _difference(header: dict[str, Any], settings: Settings) -> str | None:
    """Returns how the settings in a landmark file's header differ from `settings`, in words, or None."""
    wanted, stored = settings.record(), header["source"]
    pairs = {name: (stored.get(name), wanted[name]) for name in ("extractor", "extractor_version")}
    options = stored.get("options") or {}
    pairs |= {name: (options.get(name), value) for name, value in wanted["options"].items()}
    if "fps" in header["assumed"]:
        # Where frames are missing, the rate of the file is their mean rate.
        pairs["fps"] = (stored.get("assumed_fps", header["fps"]), settings.assumed_fps)
    return ", ".join(f"{name} {was} there, {now} now" for name, (was, now) in pairs.items() if was != now) or None


@contextmanager
def locked_output(output: Path, shard: str | None) -> Iterator[None]:
    """Locks the output folder, or place in object storage, while the block runs: for one run, or for one run of each
    shard.

    Raises LockedError naming the process that uses the folder.
    """
    # A lock that another process only tries is free again at once.
    lock = partial(held, output, wait_seconds=2, tell=say)
    with lock(_shard_name(shard) if shard else ""):
        # Every run first takes its own lock, then tries those that exclude it: of two, one at least sees the other.
        for name in [""] if shard else _names(output, ".signloom.*-of-*.lock"):
            with lock(name.split(".")[2] if name else name):
                pass
        yield


def _shard_name(shard: str) -> str:
    return shard.strip().replace("/", "-of-")


def _names(folder: Path, pattern: str) -> list[str]:
    """Returns the names in a folder, or directly in a place in object storage, that match a pattern."""
    names = storage.names(folder) if isinstance(folder, Url) else [path.name for path in folder.glob(pattern)]
    return [name for name in names if fnmatch(name, pattern)]


class FailureLog:
    """The file `failed.jsonl` in the output folder, one line per failed clip: `clip`, `source`, `reason`.

    A new run tries its failed clips again, so it removes their old entries; entries of other sources stay. With a shard
    the file is `failed.<i>-of-<n>.jsonl`; a run without a shard merges the files of all shards.

    Nothing can be appended to an object: there the log is written anew, seldom if many clips fail, and when it is
    closed.
    """

    def __init__(self, output: Path, clips: Iterable[Clip], shard: str | None) -> None:
        name = "failed.jsonl" if shard is None else f"failed.{_shard_name(shard)}.jsonl"
        self.path = output / name
        old = _names(output, name) if shard else [*_names(output, "failed.*-of-*.jsonl"), *_names(output, name)]
        names = {clip.name for clip in clips}
        kept = dict.fromkeys(line for other in old for line in _lines_of_others(output / other, names))
        self._stored = list(kept) if isinstance(output, Url) else None
        self._next_write = 0.0
        if kept:
            with atomic_write(self.path, "w") as file:
                file.writelines(kept)
        gone = [output / other for other in old if other != name or not kept]
        if isinstance(output, Url):
            storage.remove(path for path in gone if isinstance(path, Url))
        else:
            remove(gone)

    def add(self, clip: Clip, reason: str) -> None:
        line = json.dumps({"clip": clip.name, "source": str(clip.path), "reason": reason}, ensure_ascii=False) + "\n"
        if self._stored is not None:
            self._stored.append(line)
            if time.monotonic() >= self._next_write:
                self.close()
            return
        # One write to a file opened for appending: a kill leaves the line whole or absent.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Writes what was added."""
        if self._stored:
            write_text(self.path, "".join(self._stored))
            self._next_write = time.monotonic() + _SECONDS_BETWEEN_WRITES


def _lines_of_others(path: Path, names: set[str]) -> Iterable[str]:
    for line in read_bytes(path, JSON).decode(errors="replace").splitlines():
        try:
            if json.loads(line)["clip"] not in names:
                yield line + "\n"
        except (ValueError, KeyError, TypeError):
            continue
