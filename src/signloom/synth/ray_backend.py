"""Simulates on a Ray cluster, or on a Ray of this machine. A corpus has the bytes of one made without Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from signloom.cluster.actor import Answer, Report
from signloom.cluster.run import Cluster
from signloom.cluster.shared_folder import SharedFolder
from signloom.errors import CheckFailedError, SignloomError
from signloom.synth.corpus import write_clip
from signloom.synth.options import SynthOptions
from signloom.synth.plans import Plan

# What a process takes.
MEMORY_BYTES = 300 * 10**6
# Utterances of a job; of a small corpus fewer, so that all processes have some.
_MOST_PER_JOB, _LEAST_JOBS = 16, 64

Job = list[tuple[Plan, Path]]


def simulate_on_ray(
    options: SynthOptions,
    digest: str,
    plans: Sequence[Plan],
    paths: Sequence[Path],
    done: Callable[[dict[str, Any]], None],
    *,
    cluster: Cluster,
) -> None:
    """Simulates on a cluster; see `corpus.Backend`."""
    per_job = max(1, min(_MOST_PER_JOB, len(plans) // _LEAST_JOBS))
    pairs = [(plan, path.absolute()) for plan, path in zip(plans, paths, strict=True)]
    jobs = [pairs[start : start + per_job] for start in range(0, len(pairs), per_job)]
    # Jobs end in any order.
    ended: dict[int, list[dict[str, Any]]] = {}
    first = 0

    def take(number: int, truths: list[dict[str, Any]] | str) -> None:
        nonlocal first
        if isinstance(truths, str):
            raise SignloomError(truths)
        ended[number] = truths
        while first in ended:
            for truth in ended.pop(first):
                done(truth)
            first += 1

    def failed(number: int, reason: str) -> None:
        raise CheckFailedError(
            f"synth: utterances {jobs[number][0][0].id} to {jobs[number][-1][0].id}: {reason}; finished utterances are "
            "kept, and the same command goes on"
        )

    folder = paths[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    cluster.run(
        jobs,
        folder,
        partial(SynthWorker, options, digest),
        purpose="synth",
        memory_bytes=MEMORY_BYTES,
        units_of=len,
        on_result=take,
        on_failure=failed,
    )


class SynthWorker:
    """Simulates utterances on a node; see `cluster.actor.Worker`. A job is a list of plans and paths."""

    def __init__(self, options: SynthOptions, digest: str, folder: SharedFolder) -> None:
        self._folder, self._digest = folder, digest
        # Nodes have other working folders.
        self._options = replace(options, sentences=tuple(path.absolute() for path in options.sentences))

    def prepare(self) -> str | None:
        for path in self._options.sentences:
            if not path.exists():
                return f"it does not see {path}; mount it there, at the same path"
        return self._folder.fault()

    def run(self, job: Job, report: Report) -> Answer:
        truths = []
        for number, (plan, path) in enumerate(job):
            if not report(number, len(job)):
                return "dropped", None
            try:
                truths.append(write_clip(self._options, self._digest, plan, path))
            except OSError as error:
                return "unfit", f"{path}: {error.strerror}"
            except SignloomError as error:
                return "done", str(error)
        return "done", truths
