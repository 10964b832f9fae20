"""What extraction, storage and training cost: measured constants with their origin, and a plan made from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from signloom import layout
from signloom.errors import Faults, plural

# Utterances of a batch of each process, as `signloom train` has it by default.
BATCH_SIZE = 16


@dataclass(frozen=True)
class Cost:
    """A measured constant.  measured: the command, its date and the machine (benchmarks/figures/machines.md)."""

    value: float
    unit: str
    measured: str


_MACHINE = "2 x86_64 cores of a virtual machine, no GPU"
EXTRACTION = Cost(
    28.6,
    "frames/s per core",
    f"benchmarks/extraction.py, two workers on both cores, 640x480, 30 November 2026, {_MACHINE}",
)
LANDMARKS = Cost(3336, "bytes per frame", f"benchmarks/extraction.py, 30 November 2026, {_MACHINE}")
# Of a preset: recorded frames per second of a training process with one thread, two views (the default recipe).
TRAINING = {
    preset: Cost(value, "frames/s per process", f"benchmarks/costs.py, 30 November 2026, {_MACHINE}")
    for preset, value in (("student", 12_900), ("teacher_compact", 3_300), ("teacher", 1_800))
}
# Headers and padding of two members, and the record: 2,988 in a packed corpus of 70 simulated utterances, whose records
# hold their truth.
SHARD_BYTES_PER_UTTERANCE = 3072


@dataclass(frozen=True)
class Work:
    """What is to be done, and with what.

    hours: of video.  clip_seconds: mean length of an utterance.  nodes, cores: machines, and cores of each.
    processes: that train together.  extract_speed: frames/s per core.  train_speed: frames/s per process.
    """

    hours: float
    fps: float
    clip_seconds: float
    nodes: int
    cores: int
    epochs: int
    processes: int
    extract_speed: float
    train_speed: float
    shard_megabytes: float

    def check(self) -> None:
        """Raises InputError listing every invalid value."""
        faults = Faults("plan options")
        names = ("hours", "fps", "clip_seconds", "extract_speed", "train_speed", "shard_megabytes")
        faults.need_above(0, self, *names)
        faults.need_at_least(1, self, "nodes", "cores", "epochs", "processes")
        faults.raise_if_any()


@dataclass(frozen=True)
class Stage:
    """One stage of the work: seconds of a core or process in all, seconds by the clock, and machines that it takes."""

    name: str
    core_seconds: float
    seconds: float
    machines: int
    how: str


@dataclass(frozen=True)
class Plan:
    """The work in numbers.

    frames, utterances: of the corpus.  stages: in order.  storage: bytes by name.  shards: their number.
    memory: bytes of all clips in half precision, which a training process keeps as far as it may.
    """

    frames: int
    utterances: int
    stages: tuple[Stage, ...]
    storage: dict[str, float]
    shards: int
    memory: float


def plan(work: Work, view: str) -> Plan:
    """Returns the plan for some work; `view` is the model's.

    The clips are dealt to cores as they come free, so that all end within a clip of each other.
    """
    frames = round(work.hours * 3600 * work.fps)
    utterances = math.ceil(work.hours * 3600 / work.clip_seconds)
    extraction = frames / work.extract_speed
    one_clip = work.clip_seconds * work.fps / work.extract_speed
    workers = min(work.nodes * work.cores, utterances)
    training = frames * work.epochs / work.train_speed
    landmarks = frames * LANDMARKS.value
    shards = landmarks + utterances * SHARD_BYTES_PER_UTTERANCE
    return Plan(
        frames,
        utterances,
        (
            Stage(
                "extract",
                extraction,
                extraction / workers + one_clip,
                math.ceil(workers / work.cores),
                f"{work.extract_speed:g} frames/s per core, {workers:,} at once",
            ),
            Stage(
                "train",
                training,
                training / work.processes,
                math.ceil(work.processes / work.cores),
                f"{work.train_speed:,.0f} frames/s per process, {work.epochs} epochs; "
                f"{plural(work.processes, 'process', 'processes')} at once, batches of {work.processes * BATCH_SIZE}",
            ),
        ),
        {"landmark files": landmarks, "packed in shards": shards},
        math.ceil(shards / (work.shard_megabytes * 1e6)),
        frames * len(layout.subset(view)) * 3 * 2,
    )
