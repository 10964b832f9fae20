"""Which job runs on which actor of a cluster: bounded queues, new tries after deaths, and nodes that are no use.

Nothing here knows Ray. A pool of actors tells what happened (`Ready`, `Answered`, `Died`), and gets jobs.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from signloom.cluster.actor import Answer
from signloom.errors import SignloomError, plural

# A job whose actor or node died is tried again so often.
MAX_RETRIES = 3
# If so many actors die without one job done in between, something is wrong with all of them.
MAX_DEATHS_IN_A_ROW = 10
# Jobs that wait at an actor, beside the one in work: one at least, so that it never idles; of short jobs as many as it
# does in this time.
_QUEUE_SECONDS, _MOST_QUEUED = 0.1, 32
POLL_SECONDS = 0.25
# Without a process after this time the user is told why.
_START_SECONDS = 30.0
# Of nodes that are no use, the reasons of so many are shown.
_NODES_SHOWN = 10


@dataclass(frozen=True)
class Ready:
    """An actor has started on a node."""

    actor: Hashable
    node: str
    name: str


@dataclass(frozen=True)
class Unfit:
    """An actor has started on a node that cannot do the work."""

    actor: Hashable
    node: str
    name: str
    reason: str


@dataclass(frozen=True)
class Answered:
    """An actor has answered a job."""

    actor: Hashable
    ticket: int
    answer: Answer


@dataclass(frozen=True)
class Died:
    """An actor is no more: its process or its node died."""

    actor: Hashable
    reason: str


Event = Ready | Unfit | Answered | Died


class Pool(Protocol):
    """Actors on the nodes of a cluster."""

    def ask_for(self, count: int, avoid: Iterable[str]) -> None:
        """Asks for actors, so that up to `count` run or are awaited, none on the nodes `avoid`."""

    def submit(self, actor: Hashable, ticket: int, job: Any) -> None:
        """Gives a job to an actor, which does its jobs in this order."""

    def dismiss(self, actor: Hashable) -> None:
        """Ends an actor."""

    def events(self, seconds: float) -> Sequence[Event]:
        """Returns what has happened; waits up to `seconds` for something to happen."""

    def progress(self) -> dict[Hashable, tuple[int, int]]:
        """Returns how much of the job of each busy actor is done and expected, as last heard."""

    def nodes(self) -> set[str]:
        """Returns the nodes that live."""


@dataclass
class Node:
    """What one node has done.  units: what its jobs count, such as frames.  unfit: why it gets no more jobs."""

    name: str
    actors: int = 0
    jobs: int = 0
    units: int = 0
    deaths: int = 0
    unfit: str | None = None
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0


@dataclass
class _Actor:
    node: str
    tickets: list[int] = field(default_factory=list)
    # Does a job again that may be what killed another actor: nothing waits behind it.
    alone: bool = False
    began: float = field(default_factory=time.monotonic)


class Schedule:
    """The state of a run.

    waiting: numbers of jobs that no actor has, in order.  nodes: by their ids, what each has done.
    """

    def __init__(self, num_jobs: int, *, retries: int = MAX_RETRIES) -> None:
        self.waiting = deque(range(num_jobs))
        self.unfinished = num_jobs
        self.nodes: dict[str, Node] = {}
        self.deaths_in_a_row = 0
        self._most_actors = 0
        self._retries = retries
        self._deaths: dict[int, int] = {}
        self._actors: dict[Hashable, _Actor] = {}
        self._job_seconds: float | None = None
        # Actors that may get another job, those that have waited longest first.
        self._hungry: deque[Hashable] = deque()

    @property
    def unfit(self) -> set[str]:
        """The nodes that get no more jobs."""
        return {name for name, node in self.nodes.items() if node.unfit is not None}

    @property
    def num_actors(self) -> int:
        return len(self._actors)

    @property
    def queue_length(self) -> int:
        """How many jobs an actor may have, the one in work included."""
        if len(self.waiting) < len(self._actors):
            # The last jobs: none shall wait behind another while an actor is idle.
            return 1
        if not self._job_seconds:
            return 2
        return min(max(2, 1 + round(_QUEUE_SECONDS / self._job_seconds)), _MOST_QUEUED)

    def ready(self, event: Ready) -> bool:
        """Adds an actor; returns whether it is of use."""
        node = self.nodes.setdefault(event.node, Node(event.name))
        if node.unfit is not None:
            return False
        node.actors += 1
        self._actors[event.actor] = _Actor(event.node)
        self._most_actors = max(self._most_actors, len(self._actors))
        self._hungry.append(event.actor)
        return True

    def assignments(self) -> Iterator[tuple[Hashable, int]]:
        """Yields which actor gets which job now."""
        full: deque[Hashable] = deque()
        while self.waiting and self._hungry:
            name = self._hungry.popleft()
            actor = self._actors.get(name)
            if actor is None or self.nodes[actor.node].unfit is not None:
                continue
            suspect = self.waiting[0] in self._deaths
            if actor.alone or len(actor.tickets) >= self.queue_length or (suspect and actor.tickets):
                full.append(name)
                continue
            ticket = self.waiting.popleft()
            if not actor.tickets:
                actor.began = time.monotonic()
            actor.tickets.append(ticket)
            actor.alone = suspect
            self._hungry.append(name)
            yield name, ticket
        self._hungry.extend(full)

    def answered(self, event: Answered, units: int) -> bool:
        """Takes an answer; returns whether it is the first to this job. units: what the job counts, if it is done."""
        actor = self._actors.get(event.actor)
        if actor is None or event.ticket not in actor.tickets:
            return False
        actor.tickets.remove(event.ticket)
        actor.alone = False
        now = time.monotonic()
        seconds, actor.began = now - actor.began, now
        kind, what = event.answer
        node = self.nodes[actor.node]
        if kind == "done":
            self.deaths_in_a_row = 0
            self._job_seconds = seconds if self._job_seconds is None else 0.95 * self._job_seconds + 0.05 * seconds
            node.jobs += 1
            node.units += units
            node.seconds = now - node.started
            self.unfinished -= 1
            self._deaths.pop(event.ticket, None)
        else:
            self.waiting.appendleft(event.ticket)
            if kind == "unfit":
                node.unfit = node.unfit or str(what)
        return kind == "done"

    def died(self, event: Died) -> int | None:
        """Takes back the jobs of an actor that died. Returns the job that has no try left, or None."""
        self.deaths_in_a_row += 1
        actor = self._actors.pop(event.actor, None)
        if actor is None:
            return None
        node = self.nodes[actor.node]
        node.actors -= 1
        node.deaths += 1
        if not actor.tickets:
            return None
        # Only the first was in work; the others have waited behind it.
        suspect, *others = actor.tickets
        self.waiting.extendleft(reversed(others))
        self._deaths[suspect] = self._deaths.get(suspect, 0) + 1
        if self._deaths[suspect] > self._retries:
            self.unfinished -= 1
            return suspect
        # Behind those that wait: whatever killed it may be over then.
        self.waiting.append(suspect)
        return None

    def idle_on_unfit_nodes(self) -> list[Hashable]:
        """Takes out, and returns, the actors without work on nodes that get no more jobs."""
        unfit = self.unfit
        if not unfit:
            return []
        gone = [name for name, actor in self._actors.items() if actor.node in unfit and not actor.tickets]
        for name in gone:
            self.nodes[self._actors.pop(name).node].actors -= 1
        return gone

    def raise_if_hopeless(self, living: set[str], last_reason: str) -> None:
        """Raises SignloomError if no node that lives can do the work, or if actors die one after the other."""
        most = max(MAX_DEATHS_IN_A_ROW, (1 + MAX_RETRIES) * self._most_actors)
        if self.deaths_in_a_row >= most:
            raise SignloomError(
                f"{plural(self.deaths_in_a_row, 'process', 'processes')} died one after the other and no job was done; "
                f"of the last one, Ray says: {last_reason}"
            )
        unfit = self.unfit
        if unfit and living <= unfit and not any(actor.tickets for actor in self._actors.values()):
            reasons = [f"{node.name}: {node.unfit}" for node in self.nodes.values() if node.unfit]
            more = [f"and {len(reasons) - _NODES_SHOWN:,} more"] if len(reasons) > _NODES_SHOWN else []
            raise SignloomError("\n  ".join(["no node can do the work:", *reasons[:_NODES_SHOWN], *more]))

    def in_work(self, progress: dict[Hashable, tuple[int, int]]) -> tuple[float, int]:
        """Returns how many jobs' worth of the jobs in work is done, and how many units."""
        fractions, units = 0.0, 0
        for name, (done, expected) in progress.items():
            if name in self._actors and self._actors[name].tickets:
                fractions += min(done / expected, 1.0) if expected > 0 else 0.0
                units += done
        return fractions, units


def run_jobs(
    pool: Pool,
    jobs: Sequence[Any],
    *,
    units_of: Callable[[Any], int],
    on_result: Callable[[int, Any], None],
    on_failure: Callable[[int, str], None],
    on_state: Callable[[Schedule, float, int], None],
    on_message: Callable[[str], None],
    instead: Callable[[int], Any | None] = lambda _: None,
    poll_seconds: float = POLL_SECONDS,
) -> None:
    """Runs `jobs` on the actors of `pool`, each to its end or until it has no try left, and returns when all are done.

    units_of: how much a result counts, such as its frames.  on_result: called with the number and the result of a job.
    on_failure: called with the number of a job and why it has no try left.
    on_state: called several times per second, with how many jobs and units are done, fractions of those in work
    included.  on_message: called with what the user should know, such as a node that is no use.
    instead: called with the number of a job that a node cannot do; returns its result if no node can, else None.

    Raises SignloomError if no node can do the work.
    """
    schedule = Schedule(len(jobs))
    told: set[str] = set()
    done = units = 0
    reason, shown = "", 0.0
    patience = time.monotonic() + _START_SECONDS
    while schedule.unfinished:
        pool.ask_for(schedule.unfinished, schedule.unfit)
        for actor, ticket in schedule.assignments():
            pool.submit(actor, ticket, jobs[ticket])
        for event in pool.events(poll_seconds):
            match event:
                case Ready():
                    if not schedule.ready(event):
                        pool.dismiss(event.actor)
                case Unfit():
                    node = schedule.nodes.setdefault(event.node, Node(event.name))
                    node.unfit = node.unfit or event.reason
                    pool.dismiss(event.actor)
                case Died():
                    reason = event.reason
                    if (lost := schedule.died(event)) is not None:
                        done += 1
                        on_failure(lost, reason)
                case Answered(answer=(kind, result)):
                    if kind == "unfit" and (other := instead(event.ticket)) is not None:
                        event, kind, result = replace(event, answer=("done", other)), "done", other
                    count = units_of(result) if kind == "done" else 0
                    if schedule.answered(event, count):
                        done += 1
                        units += count
                        on_result(event.ticket, result)
        for actor in schedule.idle_on_unfit_nodes():
            pool.dismiss(actor)
        for name in sorted(schedule.unfit - told):
            told.add(name)
            if len(told) <= _NODES_SHOWN:
                on_message(f"node {schedule.nodes[name].name} gets no work: {schedule.nodes[name].unfit}")
        if schedule.num_actors:
            patience = time.monotonic() + _START_SECONDS
        elif time.monotonic() > patience:
            patience = math.inf
            on_message("no process has started yet: Ray starts them when CPUs and memory of the cluster are free")
        if told or schedule.deaths_in_a_row:
            schedule.raise_if_hopeless(pool.nodes(), reason)
        if (now := time.monotonic()) - shown >= POLL_SECONDS or not schedule.unfinished:
            shown = now
            fractions, more = schedule.in_work(pool.progress())
            on_state(schedule, done + fractions, units + more)
