"""Extracts clips on a Ray cluster, or on a Ray of this machine. The results are those of `parallel.extract_all`."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from signloom.cluster.actor import Answer, Report
from signloom.cluster.connect import ray_cluster
from signloom.cluster.ray_pool import RayPool
from signloom.cluster.schedule import MAX_RETRIES, Node, Schedule, run_jobs
from signloom.cluster.shared_folder import SharedFolder, shared_folder
from signloom.errors import SignloomError
from signloom.extract.clip_worker import ClipResult, ClipWorker, InterruptedRunError
from signloom.extract.holistic import Settings
from signloom.extract.sources import Clip
from signloom.processes import usable_cpus

# What a process with a tracker takes.
MEMORY_BYTES = 600 * 10**6


@dataclass(frozen=True)
class RayBackend:
    """A `clip_worker.Backend`.

    address: of the cluster, `auto` to find it, None to start one on this machine.
    workers: greatest number of processes; None: as many as there is room for.
    on_nodes: called several times per second with what each node does.  on_message: with what the user should know.
    """

    address: str | None
    workers: int | None
    on_nodes: Callable[[Collection[Node]], None]
    on_message: Callable[[str], None]

    def __call__(
        self,
        clips: Sequence[Clip],
        output: Path,
        settings: Settings,
        *,
        on_outcome: Callable[[ClipResult], None],
        on_progress: Callable[[float, int], None],
    ) -> None:
        most = self.workers
        if self.address is None:
            most = min(most or usable_cpus(), len(clips))

        def result(ticket: int, outcome: ClipResult) -> None:
            on_outcome(replace(outcome, clip=clips[ticket]))

        def failure(ticket: int, reason: str) -> None:
            message = f"{clips[ticket].path}: tried {1 + MAX_RETRIES} times, and each time {reason}"
            on_outcome(ClipResult(clips[ticket], "failed", message=message))

        def state(schedule: Schedule, done: float, frames: int) -> None:
            on_progress(done, frames)
            self.on_nodes(schedule.nodes.values())

        def gone(ticket: int) -> ClipResult | None:
            clip = clips[ticket]
            if clip.path.exists():
                return None
            return ClipResult(clip, "failed", message=f"{clip.path}: no such video file or frame folder")

        # Nodes have other working folders.
        jobs = [(str(clip.path.absolute()), clip.name) for clip in clips]
        with ray_cluster(self.address, most or 0, "extract") as ray, shared_folder(output) as folder:
            worker = ExtractWorker(folder, settings)
            with RayPool(ray, worker, most=most, memory_bytes=MEMORY_BYTES) as pool:
                run_jobs(
                    pool,
                    jobs,
                    units_of=lambda outcome: outcome.frames["total"] if outcome.frames else 0,
                    on_result=result,
                    on_failure=failure,
                    on_state=state,
                    on_message=self.on_message,
                    instead=gone,
                )


class ExtractWorker:
    """Extracts clips on a node; see `cluster.actor.Worker`. A job is the path and the name of a clip."""

    def __init__(self, folder: SharedFolder, settings: Settings) -> None:
        self._folder, self._settings = folder, settings
        self._record: dict[str, Any] = settings.record()
        self._clips = ClipWorker()

    def prepare(self) -> str | None:
        try:
            here = self._settings.record()
            self._clips.prepare()
        except SignloomError as error:
            return str(error)
        if here != self._record:
            version = "extractor_version"
            return f"it has MediaPipe {here[version]}, the machine that started the run {self._record[version]}"
        return self._folder.fault()

    def run(self, job: tuple[str, str], report: Report) -> Answer:
        clip = Clip(Path(job[0]), job[1])
        if not clip.path.exists():
            return "unfit", f"it does not see {clip.path}, which the machine that started the run sees; mount it there"

        def on_frame(done: int, expected: int) -> None:
            if not report(done, expected):
                raise InterruptedRunError

        outcome = self._clips.extract(clip, self._folder.path, self._settings, on_frame)
        if outcome.status == "interrupted":
            return "dropped", None
        if outcome.status == "stop":
            number = outcome.error_number
            return "unfit", f"{outcome.message}: {os.strerror(number)}" if number else outcome.message
        return "done", outcome
