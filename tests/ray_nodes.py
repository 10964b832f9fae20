"""A Ray cluster of several nodes on this machine, each with processes and an object store of its own, to be killed.

Shared by the tests and the benchmarks.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

RAY = Path(sys.executable).with_name("ray")
# A dead node is noticed within seconds.
_HEAD = '{"health_check_initial_delay_ms":1000,"health_check_period_ms":500,"health_check_failure_threshold":6}'


def why_not() -> str:
    """Why no cluster can be started here; empty if one can."""
    if find_spec("ray") is None:
        return "needs the extra 'cluster'"
    return "" if RAY.is_file() and Path("/proc").is_dir() else f"no {RAY}"


def processes_of(session: int, *, named: str = "") -> list[int]:
    """The living processes of a session whose names contain `named`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name in parentheses may hold anything; after it come state, parent, group and session.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z" and named in command:
            found.append(int(folder.name))
    return found


def listening(processes: list[int]) -> set[str]:
    """The addresses, as /proc writes them, at which any of the processes takes connections."""
    sockets = set()
    for process in processes:
        for descriptor in Path(f"/proc/{process}/fd").glob("*"):
            with suppress(OSError):
                sockets.add(str(descriptor.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            # 0A: waits for connections.
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].partition(":")[0])
    return found


class Node:
    """A node: `ray start` and all that it starts, in a session of its own.

    before: shell commands to run first, in a mount namespace of its own (needs root).
    """

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path, before: str = "") -> None:
        self._command = [str(RAY), "start", "--block", "--disable-usage-stats", *arguments]
        if before:
            self._command = ["unshare", "--mount", "sh", "-c", f'{before}; exec "$@"', "sh", *self._command]
        self._environment = {**os.environ, **environment}
        self.log = log
        self._start()

    def _start(self) -> None:
        with self.log.open("wb") as file:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=file, stderr=file, start_new_session=True
            )

    def has_started(self) -> bool:
        """Whether it runs. If it gave up, it is started again: on a busy machine Ray's 30 s are not enough."""
        if self._process.poll() is not None:
            self._start()
        return "Ray runtime started" in self.log.read_text()

    def processes(self, *, named: str = "") -> list[int]:
        """The processes of the node whose names contain `named`."""
        return processes_of(self._process.pid, named=named)

    def kill(self) -> None:
        """Kills all of its processes, as a machine that loses its power."""
        for _ in range(3):
            for process in self.processes():
                _kill(process)
        self._process.wait()


class Cluster:
    """A head node and others; `add` starts one more. `environment`: what a driver needs to join."""

    def __init__(self, folder: Path, *, cpus: int = 1) -> None:
        self._folder, self._count = folder, 0
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_worker_niceness": "0",
        }
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        # Nodes that others can join use no loopback address; without the token nobody else can.
        self.address = ""
        place = [f"--port={port}", f"--temp-dir={folder / 'ray'}"]
        self.nodes: list[Node] = []
        self._start(["--head", *place, "--include-dashboard=false", f"--system-config={_HEAD}"], cpus)

    def add(self, *, cpus: int = 1, environment: Mapping[str, str] | None = None, before: str = "") -> Node:
        return self._start([f"--address={self.address}"], cpus, environment, before)

    def _start(
        self, arguments: list[str], cpus: int, environment: Mapping[str, str] | None = None, before: str = ""
    ) -> Node:
        self._count += 1
        common = [
            f"--num-cpus={cpus}",
            "--num-gpus=0",
            "--object-store-memory=80000000",
            "--min-worker-port=0",
            "--max-worker-port=0",
        ]
        log = self._folder / f"node-{self._count}.log"
        node = Node([*arguments, *common], {**self.environment, **(environment or {})}, log, before)
        self.nodes.append(node)
        return node

    def wait_for_all(self) -> None:
        """Waits until all nodes have started."""
        deadline = time.monotonic() + 400
        while not all(node.has_started() for node in self.nodes):
            if time.monotonic() > deadline:
                raise TimeoutError("\n".join(node.log.read_text() for node in self.nodes))
            time.sleep(0.2)
        self.address = re.findall(r"ray start --address='([^']+)'", self.nodes[0].log.read_text())[0]

    def actors(self) -> list[int]:
        """The processes of all nodes that hold a worker of signloom."""
        return [process for node in self.nodes for process in node.processes(named="ray::Actor")]

    def kill_actor(self, choice: int) -> bool:
        actors = self.actors()
        if actors:
            _kill(actors[choice % len(actors)])
        return bool(actors)

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.kill()


@contextmanager
def cluster(*, cpus: int = 1) -> Iterator[Cluster]:
    """Yields a cluster with a head node; ends it with the block."""
    # Sockets lie in it, whose paths may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="nodes-", dir="/tmp"))
    started = None
    try:
        started = Cluster(folder, cpus=cpus)
        started.wait_for_all()
        yield started
    finally:
        if started is not None:
            started.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
