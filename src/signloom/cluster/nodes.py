"""What each node of a cluster does, in a line per node; and the options that choose a cluster."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from signloom.cluster.schedule import Node
from signloom.errors import InputError, plural

BackendName = Literal["local", "ray"]
_SHOWN = 8


def check_backend(backend: BackendName, address: str | None) -> None:
    """Raises InputError for the address of a cluster that no backend would use."""
    if address is not None and backend == "local":
        raise InputError(f"--address {address}: only with --backend ray")


class NodeTable:
    """A line per node. job, unit: what a node counts, such as `clip` and `frames`."""

    def __init__(self, job: str, unit: str) -> None:
        self._job, self._unit = job, unit
        self._nodes: Collection[Node] = ()

    def update(self, nodes: Collection[Node]) -> None:
        self._nodes = nodes

    def lines(self) -> list[str]:
        """Returns the lines: nodes in trouble first, those that are gone last, and of many nodes one for the rest."""
        ordered = sorted(self._nodes, key=lambda node: (node.unfit is None, not node.actors, -node.deaths, node.name))
        lines = [self._line(node) for node in ordered[:_SHOWN]]
        if rest := ordered[_SHOWN:]:
            jobs, rate = sum(node.jobs for node in rest), sum(_rate(node) for node in rest)
            lines.append(f"{plural(len(rest), 'more node')}: {plural(jobs, self._job)}, {rate:,.1f} {self._unit}/s")
        return lines

    def _line(self, node: Node) -> str:
        parts = [
            plural(node.actors, "process", "processes"),
            plural(node.jobs, self._job),
            f"{_rate(node):,.1f} {self._unit}/s",
        ]
        if node.deaths:
            parts.append(plural(node.deaths, "death"))
        if node.unfit is not None:
            parts.append("gets no work")
        return f"{node.name}: {', '.join(parts)}"


def _rate(node: Node) -> float:
    return node.units / node.seconds if node.seconds else 0.0
