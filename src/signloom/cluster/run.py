"""Runs jobs on a Ray cluster, or on a Ray of this machine that ends with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signloom.cluster.actor import Worker
from signloom.cluster.connect import ray_cluster
from signloom.cluster.ray_pool import RayPool
from signloom.cluster.schedule import MAX_RETRIES, Node, Schedule, run_jobs
from signloom.cluster.shared_folder import SharedFolder, shared_folder
from signloom.processes import usable_cpus


@dataclass(frozen=True)
class Cluster:
    """Where jobs run, and who hears of it.

    address: of the cluster, `auto` to find it, None to start a Ray on this machine.
    workers: greatest number of processes; None: as many as there is room for.
    on_nodes: called several times per second with what each node does.  on_message: with what the user should know.
    """

    address: str | None
    workers: int | None
    on_nodes: Callable[[Collection[Node]], None]
    on_message: Callable[[str], None]

    def run(
        self,
        jobs: Sequence[Any],
        folder: Path,
        worker: Callable[[SharedFolder], Worker],
        *,
        purpose: str,
        memory_bytes: int,
        units_of: Callable[[Any], int],
        on_result: Callable[[int, Any], None],
        on_failure: Callable[[int, str], None],
        on_progress: Callable[[float, int], None] = lambda *_: None,
        instead: Callable[[int], Any | None] = lambda _: None,
    ) -> None:
        """Runs `jobs`; see `schedule.run_jobs`, which also says what it raises.

        folder: what the jobs write into.  worker: returns what does them, for that folder.
        purpose: name of the command.  memory_bytes: what a process needs.
        """
        most = self.workers
        if self.address is None:
            most = min(most or usable_cpus(), len(jobs))

        def failed(number: int, reason: str) -> None:
            on_failure(number, f"tried {1 + MAX_RETRIES} times, and each time {reason}")

        def state(schedule: Schedule, done: float, units: int) -> None:
            on_progress(done, units)
            self.on_nodes(schedule.nodes.values())

        with (
            ray_cluster(self.address, most or 0, purpose) as cluster,
            shared_folder(folder) as shared,
            RayPool(cluster, worker(shared), most=most, memory_bytes=memory_bytes) as pool,
        ):
            run_jobs(
                pool,
                jobs,
                units_of=units_of,
                on_result=on_result,
                on_failure=failed,
                on_state=state,
                on_message=self.on_message,
                instead=instead,
            )
