"""A pool of actors on a Ray cluster: they are placed as CPUs become free, also on nodes that join later."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import signloom
from signloom.cluster import actor as actor_module
from signloom.cluster.actor import Actor, Worker
from signloom.cluster.schedule import Answered, Died, Event, Ready, Unfit
from signloom.signals import SignalWatch

# Actors that wait for CPUs: they take those that become free, and are what a cluster that grows by itself looks at.
_LEAST_AWAITED, _MOST_AWAITED = 4, 64
_NODES_SECONDS = 5.0
# An actor is asked for its progress once per second, of many actors so many per second.
_PROGRESS_SECONDS, _ASKED_PER_SECOND = 1.0, 200
# How long actors may take to drop the job in work when the run ends.
_STOP_SECONDS = 5.0


@dataclass(eq=False)
class _Handle:
    """An actor of Ray.  node: None while it is awaited.  in_flight: the number of its jobs."""

    ray_actor: Any
    node: str | None = None
    in_flight: int = 0
    asked: Any = None
    progress: tuple[int, int] = (0, 0)


class RayPool:
    """See `schedule.Pool`; the actors are `_Handle`s.

    cluster: what `ray_cluster` yields.  worker: what the actors do.
    most: greatest number of actors, None for as many as the cluster has room for.
    memory_bytes: what an actor needs, beside one CPU.

    A context manager: actors end with the block, and drop what they have in work.
    """

    def __init__(
        self, cluster: tuple[Any, SignalWatch], worker: Worker, *, most: int | None, memory_bytes: int
    ) -> None:
        self._ray, self._signals = cluster
        self._most = most
        ray = self._ray
        # Nodes need not have signloom to say that they have not.
        ray.cloudpickle.register_pickle_by_value(actor_module)
        self._class = ray.remote(
            num_cpus=1, memory=memory_bytes, max_restarts=0, max_task_retries=0, concurrency_groups={"beside": 1}
        )(Actor)
        self._worker = ray.cloudpickle.dumps(worker)
        self._versions = {"signloom": signloom.__version__}
        self._handles: dict[_Handle, None] = {}
        # The awaited answers: to `prepare` (no ticket), and to jobs.
        self._awaited: dict[Any, tuple[_Handle, int | None]] = {}
        self._avoided: frozenset[str] = frozenset()
        self._nodes: set[str] = set()
        self._nodes_read = -_NODES_SECONDS
        self._next_asking = 0.0

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask_for(self, count: int, avoid: Iterable[str]) -> None:
        avoided = frozenset(avoid)
        starting = [handle for handle in self._handles if handle.node is None]
        if avoided != self._avoided:
            # Those that are awaited could start there.
            self._avoided = avoided
            for handle in starting:
                self.dismiss(handle)
            starting = []
        ready = len(self._handles) - len(starting)
        target = count if self._most is None else min(count, self._most)
        missing = min(target - len(self._handles), self._room(ready) - len(starting))
        if missing > 0:
            self._start(missing)

    def _room(self, ready: int) -> int:
        """Returns how many actors may be awaited."""
        if self._most is not None:
            return self._most
        if ready:
            return max(_LEAST_AWAITED, min(ready, _MOST_AWAITED))
        return max(_LEAST_AWAITED, int(self._ray.available_resources().get("CPU", 0)))

    def _start(self, count: int) -> None:
        options = {"label_selector": {"ray.io/node-id": f"!in({','.join(sorted(self._avoided))})"}}
        chosen = self._class.options(**options) if self._avoided else self._class
        for _ in range(count):
            ray_actor = chosen.remote()
            handle = _Handle(ray_actor)
            self._handles[handle] = None
            self._awaited[ray_actor.prepare.remote(self._worker, self._versions)] = (handle, None)

    def submit(self, actor: Hashable, ticket: int, job: Any) -> None:
        handle = cast("_Handle", actor)
        handle.in_flight += 1
        self._awaited[handle.ray_actor.run.remote(job)] = (handle, ticket)

    def dismiss(self, actor: Hashable) -> None:
        handle = cast("_Handle", actor)
        self._forget(handle)
        self._ray.kill(handle.ray_actor, no_restart=True)

    def _forget(self, handle: _Handle) -> None:
        self._handles.pop(handle, None)
        self._awaited = {ref: value for ref, value in self._awaited.items() if value[0] is not handle}

    def events(self, seconds: float) -> Sequence[Event]:
        self._signals.raise_if_ending()
        if not self._awaited:
            time.sleep(seconds)
            return []
        references = list(self._awaited)
        # The first wait returns as soon as one is there, the second takes all that are.
        self._ray.wait(references, num_returns=1, timeout=seconds, fetch_local=False)
        ended, _ = self._ray.wait(references, num_returns=len(references), timeout=0, fetch_local=False)
        try:
            answers = self._ray.get(ended)
        except Exception:
            answers = [self._answer(reference) for reference in ended]
        found: list[Event] = []
        for reference, answer in zip(ended, answers, strict=True):
            # A death answers all jobs of its actor at once.
            if (place := self._awaited.pop(reference, None)) is None:
                continue
            handle, ticket = place
            if isinstance(answer, Exception):
                found.append(self._death(handle, answer))
            elif ticket is None:
                found.append(self._started(handle, *answer))
            else:
                handle.in_flight -= 1
                handle.progress = (0, 0)
                found.append(Answered(handle, ticket, answer))
        return found

    def _answer(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except Exception as error:
            return error

    def _started(self, handle: _Handle, node_id: str, name: str, reason: str | None) -> Event:
        handle.node = node_id
        named = f"{name} ({node_id[:6]})"
        return Ready(handle, node_id, named) if reason is None else Unfit(handle, node_id, named, reason)

    def _death(self, handle: _Handle, error: Exception) -> Event:
        """Returns the death of an actor. Raises an error of ours: no job raises."""
        if isinstance(error, self._ray.exceptions.RayTaskError) and not isinstance(
            error, self._ray.exceptions.RayActorError
        ):
            raise error
        # If it is only out of reach, it shall not go on.
        self.dismiss(handle)
        return Died(handle, _in_words(error))

    def progress(self) -> dict[Hashable, tuple[int, int]]:
        now = time.monotonic()
        busy = [handle for handle in self._handles if handle.in_flight]
        asked = {handle.asked: handle for handle in self._handles if handle.asked is not None}
        if asked:
            ended, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0, fetch_local=False)
            for reference in ended:
                handle, answer = asked[reference], self._answer(reference)
                handle.asked = None
                if isinstance(answer, tuple):
                    handle.progress = answer
        if now >= self._next_asking:
            self._next_asking = now + max(_PROGRESS_SECONDS, len(busy) / _ASKED_PER_SECOND)
            for handle in busy:
                if handle.asked is None:
                    handle.asked = handle.ray_actor.progress.options(concurrency_group="beside").remote()
        return {handle: handle.progress for handle in busy}

    def nodes(self) -> set[str]:
        if (now := time.monotonic()) - self._nodes_read >= _NODES_SECONDS:
            self._nodes_read = now
            self._nodes = {
                node["NodeID"] for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
            }
        return self._nodes

    def close(self) -> None:
        """Ends all actors. Those at work get some seconds to drop it, so that no unfinished file stays behind."""
        busy = [handle for handle in self._handles if handle.in_flight]
        for handle in busy:
            handle.ray_actor.stop.options(concurrency_group="beside").remote()
        references = [reference for reference, (_, ticket) in self._awaited.items() if ticket is not None]
        if references:
            self._ray.wait(references, num_returns=len(references), timeout=_STOP_SECONDS, fetch_local=False)
        for handle in list(self._handles):
            self._ray.kill(handle.ray_actor, no_restart=True)
        self._handles.clear()
        self._awaited.clear()


def _in_words(error: Exception) -> str:
    """Returns why an actor died, as Ray says it, in one line and plain words where they are known."""
    text = " ".join(str(error).split())
    lowered = text.lower()
    if "outofmemory" in type(error).__name__.lower() or "high memory usage" in lowered or "oom killer" in lowered:
        return f"out of memory: Ray or the system ended a process of the node; give fewer --workers ({text[:300]})"
    if "node has died" in lowered or "node died" in lowered or "its node has" in lowered:
        return f"its node died ({text[:300]})"
    return f"its process was killed, or crashed ({text[:400]})"
