"""Resumes an extraction: finds which clips are done, keeps a log of failures."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from signloom import landmarks
from signloom.errors import InputError, plural
from signloom.extract.holistic import Settings
from signloom.extract.reading import source_size
from signloom.extract.sources import Clip
from signloom.files.locks import locked
from signloom.files.schemas import Table, check
from signloom.files.writing import atomic_write


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
    """Returns which of `clips` are done under `output`: readable, made with `settings` from a source of the same size.

    A clip counts as missing if its output cannot be read or its source has another size.
    """
    state = Survey()
    for clip in clips:
        header = read_header(clip.output(output))
        if header is None or _source_changed(header, clip):
            state.missing.append(clip)
        elif difference := _difference(header, settings):
            state.differing[clip] = difference
        else:
            state.done[clip] = header
    return state


def read_header(path: Path) -> dict[str, Any] | None:
    """Returns the header of a landmark file that `extract` wrote, without its points; None for anything else."""
    try:
        header = landmarks.read_header(path)
        check(_Extracted, header["source"])
        check(list[Literal["fps", "pixel_aspect"]], header["assumed"])
    except InputError:
        return None
    return header


def _source_changed(header: dict[str, Any], clip: Clip) -> bool:
    try:
        return header["source"].get("size") != source_size(clip.path)
    except OSError:
        return True


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
    """Locks the output folder while the block runs: for one run, or for one run of each shard.

    Raises LockedError naming the process that uses the folder.
    """
    # A lock that another process only tries is free again at once.
    lock = partial(locked, output, wait_seconds=2)
    with lock(_shard_name(shard) if shard else ""):
        # Every run first takes its own lock, then tries those that exclude it: of two, one at least sees the other.
        others = [""] if shard else [path.name.split(".")[2] for path in output.glob(".signloom.*-of-*.lock")]
        for name in others:
            with lock(name):
                pass
        yield


def _shard_name(shard: str) -> str:
    return shard.strip().replace("/", "-of-")


class FailureLog:
    """The file `failed.jsonl` in the output folder, one line per failed clip: `clip`, `source`, `reason`.

    A new run tries its failed clips again, so it removes their old entries; entries of other sources stay. With a shard
    the file is `failed.<i>-of-<n>.jsonl`; a run without a shard merges the files of all shards.
    """

    def __init__(self, output: Path, clips: Iterable[Clip], shard: str | None) -> None:
        name = "failed.jsonl" if shard is None else f"failed.{_shard_name(shard)}.jsonl"
        self.path = output / name
        old = [self.path] if shard is not None else [*output.glob("failed.*-of-*.jsonl"), self.path]
        names = {clip.name for clip in clips}
        kept = [line for path in old if path.is_file() for line in _lines_of_others(path, names)]
        if kept:
            with atomic_write(self.path, "w") as file:
                file.writelines(dict.fromkeys(kept))
        for path in old:
            if path != self.path or not kept:
                path.unlink(missing_ok=True)

    def add(self, clip: Clip, reason: str) -> None:
        line = json.dumps({"clip": clip.name, "source": str(clip.path), "reason": reason}, ensure_ascii=False) + "\n"
        # One write to a file opened for appending: a kill leaves the line whole or absent.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def _lines_of_others(path: Path, names: set[str]) -> Iterable[str]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["clip"] not in names:
                yield line + "\n"
        except (ValueError, KeyError, TypeError):
            continue
