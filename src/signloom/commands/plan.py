"""Plans a corpus of many hours: machine hours, storage and time, from measured costs.

The costs were measured on one kind of machine, which the last lines name. Yours may be three times as fast, or a third:
`signloom extract` and `signloom train` show their frames/s; give them as --extract_speed and --train_speed.
docs/cluster.md explains the numbers.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from signloom.costs import EXTRACTION, LANDMARKS, TRAINING, Cost, Plan, Work, plan
from signloom.errors import InputError, plural


@dataclass(kw_only=True)
class Options:
    """Options of `signloom plan`."""

    hours: float
    """hours of video"""
    fps: float = 25.0
    """frames per second of the videos"""
    clip_seconds: float = 6.0
    """mean length of an utterance, in seconds"""
    nodes: int = 1
    """machines that extract"""
    cores: int = 8
    """cores of each machine"""
    preset: str = "student"
    """the model to train"""
    epochs: int = 40
    """passes over the corpus; a corpus of hundreds of hours needs fewer than a small one"""
    processes: int | None = None
    """processes that train together (--devices of 'signloom train'); default: the cores of one machine, at most 8"""
    shard_megabytes: float = 256.0
    """size of a shard of 'signloom pack'"""
    extract_speed: float | None = None
    """frames per second and core of extraction on your machines; default: as measured here"""
    train_speed: float | None = None
    """frames per second of one training process on your machines (a GPU, or a core); default: as measured here"""
    format: Literal["text", "json"] = "text"
    """text for people, json for programs"""


def run(options: Options) -> int:
    """Returns the exit status 0."""
    if options.train_speed is None and options.preset not in TRAINING:
        raise InputError(
            f"--preset {options.preset}: its speed was not measured ({', '.join(TRAINING)}: yes); give --train_speed"
        )
    measured = [LANDMARKS]
    extract_speed, train_speed = options.extract_speed, options.train_speed
    if extract_speed is None:
        extract_speed = EXTRACTION.value
        measured.append(EXTRACTION)
    if train_speed is None:
        train_speed = TRAINING[options.preset].value
        measured.append(TRAINING[options.preset])
    work = Work(
        hours=options.hours,
        fps=options.fps,
        clip_seconds=options.clip_seconds,
        nodes=options.nodes,
        cores=options.cores,
        epochs=options.epochs,
        processes=min(options.cores, 8) if options.processes is None else options.processes,
        extract_speed=extract_speed,
        train_speed=train_speed,
        shard_megabytes=options.shard_megabytes,
    )
    work.check()
    result = plan(work, _view(options.preset))
    if options.format == "json":
        costs = [asdict(cost) for cost in measured]
        print(json.dumps({"work": asdict(work), "plan": asdict(result), "measured": costs}, indent=1))
    else:
        _show(work, result, measured)
    return 0


def _view(preset: str) -> str:
    from signloom.model.presets import preset as named

    return named(preset).view


def _show(work: Work, result: Plan, measured: list[Cost]) -> None:
    print(
        f"{work.hours:g} hours at {work.fps:g} frames/s: {plural(result.frames, 'frame')}, "
        f"{plural(result.utterances, 'utterance')} of {work.clip_seconds:g} s"
    )
    for stage in result.stages:
        print(
            f"  {stage.name:<8} {_time(stage.seconds):>12} on {plural(stage.machines, 'machine')}: "
            f"{stage.core_seconds / 3600:,.1f} core hours, {stage.seconds * stage.machines / 3600:,.1f} machine hours; "
            f"{stage.how}"
        )
    for name, size in result.storage.items():
        shards = f", {plural(result.shards, 'file')}" if "shards" in name else ""
        print(f"  {name}: {_size(size)}{shards}")
    print(f"  all clips in memory: {_size(result.memory)} per process; --cache_gigabytes of 'signloom train' limits it")
    print("measured, and where:")
    for cost in measured:
        print(f"  {cost.value:,g} {cost.unit}: {cost.measured}")


def _time(seconds: float) -> str:
    """Returns a duration in its largest fitting unit."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.0f} seconds"


def _size(count: float) -> str:
    """Returns a number of bytes in its largest fitting unit."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:,.0f} bytes"
