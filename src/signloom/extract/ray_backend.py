"""Extracts clips on a Ray cluster, or on a Ray of this machine. The results are those of `parallel.extract_all`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from signloom.cluster.actor import Answer, Report
from signloom.cluster.run import Cluster
from signloom.cluster.shared_folder import SharedFolder
from signloom.errors import SignloomError
from signloom.extract.clip_worker import ClipResult, ClipWorker, InterruptedRunError
from signloom.extract.holistic import Settings
from signloom.extract.sources import Clip
from signloom.files.urls import Url

# What a process with a tracker takes.
MEMORY_BYTES = 600 * 10**6


def extract_on_ray(
    clips: Sequence[Clip],
    output: Path,
    settings: Settings,
    *,
    cluster: Cluster,
    on_outcome: Callable[[ClipResult], None],
    on_progress: Callable[[float, int], None],
) -> None:
    """Extracts clips on a cluster; see `clip_worker.Backend`."""

    def failed(number: int, reason: str) -> None:
        on_outcome(ClipResult(clips[number], "failed", message=f"{clips[number].path}: {reason}"))

    def gone(number: int) -> ClipResult | None:
        """Returns the failure of a clip that no machine sees."""
        clip = clips[number]
        if _is_there(clip):
            return None
        return ClipResult(clip, "failed", message=f"{clip.path}: no such video file or frame folder")

    cluster.run(
        # Nodes have other working folders.
        [replace(clip, path=clip.path.absolute()) for clip in clips],
        output,
        partial(ExtractWorker, settings),
        purpose="extract",
        memory_bytes=MEMORY_BYTES,
        units_of=lambda outcome: outcome.frames["total"] if outcome.frames else 0,
        on_result=lambda number, outcome: on_outcome(replace(outcome, clip=clips[number])),
        on_failure=failed,
        on_progress=on_progress,
        instead=gone,
    )


class ExtractWorker:
    """Extracts clips on a node; see `cluster.actor.Worker`. A job is a clip."""

    def __init__(self, settings: Settings, folder: SharedFolder) -> None:
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

    def run(self, job: Clip, report: Report) -> Answer:
        if not _is_there(job):
            return "unfit", f"it does not see {job.path}; mount it there, at the same path"

        def on_frame(done: int, expected: int) -> None:
            if not report(done, expected):
                raise InterruptedRunError

        outcome = self._clips.extract(job, self._folder.path, self._settings, on_frame)
        if outcome.status == "interrupted":
            return "dropped", None
        if outcome.status == "stop":
            number = outcome.error_number
            return "unfit", f"{outcome.message}: {os.strerror(number)}" if number else outcome.message
        return "done", outcome


def _is_there(clip: Clip) -> bool:
    """Returns whether this machine sees a clip; of a URL, reading it tells."""
    return isinstance(clip.path, Url) or clip.path.exists()
