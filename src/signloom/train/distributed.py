"""Training with several processes: the rank of this process, starting the others, and the exchange of values.

Every process runs the same code, `signloom.train.fit`. This module (`--devices N` on one machine), torchrun or SLURM's
srun starts them; all set the same environment variables.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import torch
import torch.distributed as dist

from signloom.errors import InputError, TrainingError, plural

log = logging.getLogger("signloom.train")

# Another process of this run, and the file that collects its output.
Other = tuple[subprocess.Popen, IO[bytes]]
# After another process has failed, this one has so long to notice the failure by itself.
PATIENCE_SECONDS = 15
_SHARES_STORE = "TORCHELASTIC_USE_AGENT_STORE"
_HANGS = (
    "if a process fails, those that torchrun starts in its place will hang: set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 "
    "where you start torchrun, on every machine"
)


@dataclass(frozen=True)
class World:
    """The processes of a run, as one of them sees them.

    rank: of this process; process 0 writes the files.  size: number of processes.  local_size: number of processes on
    this machine.  launcher: the program that started them; empty for a single process.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1
    launcher: str = ""

    @property
    def num_nodes(self) -> int:
        return self.size // self.local_size

    @classmethod
    def of_environment(cls, variables: Mapping[str, str] = os.environ) -> World:
        """Returns what torchrun or srun set. Raises InputError if the machines differ in their number of processes."""
        if "TORCHELASTIC_RUN_ID" in variables or "SIGNLOOM_LAUNCHED" in variables:
            name = "torchrun" if "TORCHELASTIC_RUN_ID" in variables else "signloom"
            size, rank = int(variables["WORLD_SIZE"]), int(variables["RANK"])
            local = int(variables.get("LOCAL_WORLD_SIZE", size))
        # A shell inside an allocation (salloc, or the batch script itself) has no task of a step.
        elif variables.get("SLURM_STEP_ID", "").isdigit() and int(variables.get("SLURM_NTASKS", 1)) > 1:
            name, size, rank = "SLURM", int(variables["SLURM_NTASKS"]), int(variables["SLURM_PROCID"])
            local = size // int(variables.get("SLURM_NNODES", 1))
        else:
            return cls()
        if size % local:
            raise InputError(
                f"{name} has started {plural(size, 'process')}, {local} on this machine; needed as many on every "
                "machine"
            )
        return cls(rank, size, local, name)


@contextmanager
def launched(recipe: dict[str, Any], size: int) -> Iterator[World]:
    """Starts the other processes of a run on this machine while the block runs. Yields the world of this process.

    recipe: as JSON, for the other processes.  size: number of processes, this one included. Raises TrainingError with
    the last output of a process that ended early.
    """
    variables = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "NODE_RANK": "0",
        "SIGNLOOM_LAUNCHED": "1",
    }
    before = {name: os.environ.get(name) for name in (*variables, "RANK", "LOCAL_RANK")}
    others: list[Other] = []
    ended = threading.Event()
    os.environ |= {**variables, "RANK": "0", "LOCAL_RANK": "0"}
    try:
        for rank in range(1, size):
            said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process that writes it
            other = subprocess.Popen(
                [sys.executable, "-m", "signloom.train.worker", json.dumps(recipe)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            others.append((other, said))
        threading.Thread(target=_watch, args=(others, ended), daemon=True).start()
        try:
            yield World(0, size, size, "signloom")
        except RuntimeError as error:
            # A collective call fails because another process has ended; the output of that process says why.
            ended.set()
            if words := _last_words(others):
                raise TrainingError(words) from error
            raise
    finally:
        ended.set()
        for other, said in others:
            try:
                # After the last step a process has little left to do; one that still waits for us would wait for ever.
                other.wait(timeout=10 if sys.exc_info()[0] is None else 1)
            except subprocess.TimeoutExpired:
                other.kill()
                other.wait()
            said.close()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def joined(world: World) -> Iterator[None]:
    """Lets this process train with those that a launcher has started, while the block runs.

    Raises TrainingError where another process has ended: its own output says why.
    """
    if _restart_would_hang(world):
        log.warning("%s", _HANGS)
    try:
        yield
    except RuntimeError as error:
        if world.launcher and (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise TrainingError(
                f"process {world.rank} of {world.size} has lost the connection to another, whose output says why. "
                "Start all of them again with --auto_resume"
            ) from error
        raise


def _restart_would_hang(world: World, variables: Mapping[str, str] = os.environ) -> bool:
    """Returns whether processes that torchrun starts again would find the addresses of those before, and wait for them.

    On several machines the groups share one store, and torchrun does not keep restarts apart in it
    (https://github.com/pytorch/pytorch/issues/135712).
    """
    restarts = variables.get("TORCHELASTIC_MAX_RESTARTS", "0")
    return world.rank == 0 and world.num_nodes > 1 and restarts != "0" and variables.get(_SHARES_STORE) == "True"


def _watch(others: list[Other], ended: threading.Event) -> None:
    """Ends this process if it still waits for a process that has failed, in a call that cannot be interrupted."""
    while not ended.wait(1):
        if any(other.poll() for other, _ in others) and not ended.wait(PATIENCE_SECONDS):
            print(f"signloom: error: {_last_words(others)}", file=sys.stderr, flush=True)
            for other, _ in others:
                other.kill()
            os._exit(TrainingError.exit_status)


def _last_words(others: list[Other]) -> str:
    """Returns the last output of the first process that failed."""
    for other, said in others:
        try:
            status = other.wait(timeout=3)
        except subprocess.TimeoutExpired:
            continue
        if status:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            marked = [at for at, line in enumerate(lines) if line.startswith("signloom: error: ")]
            text = "\n".join(lines[marked[-1] :] if marked else lines[-15:])
            return text.removeprefix("signloom: error: ") or f"a process ended with status {status}"
    return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def active() -> bool:
    """Returns whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather(value: Any, device: torch.device) -> list[Any]:
    """Returns `value` of every process in the order of ranks, sent as JSON (no pickle is used)."""
    if not active():
        return [value]
    data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8).to(device)
    sizes = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, torch.tensor([len(data)], device=device))
    longest = max(int(size) for size in sizes)
    parts = [torch.zeros(longest, dtype=torch.uint8, device=device) for _ in sizes]
    dist.all_gather(parts, torch.nn.functional.pad(data, (0, longest - len(data))))
    return [
        json.loads(bytes(part[: int(size)].cpu().numpy()).decode()) for part, size in zip(parts, sizes, strict=True)
    ]


def total(values: torch.Tensor, device: torch.device) -> list[float]:
    """Returns the sum over all processes of each of `values` (N,)."""
    if active():
        values = values.to(device, copy=True)
        dist.all_reduce(values)
    found: list[float] = values.tolist()
    return found


def share_buffers(module: torch.nn.Module) -> None:
    """Sends the buffers of the first process to all others: only the first measures the front end's statistics."""
    if active():
        for buffer in module.buffers():
            # Not every backend can send booleans.
            sent = buffer.to(torch.uint8) if buffer.dtype == torch.bool else buffer
            dist.broadcast(sent, src=0)
            buffer.copy_(sent)


def average_statistics(module: torch.nn.Module) -> None:
    """Averages batch norm's running statistics over processes, which see different parts of every step.

    Running statistics are running means over batches. So their mean over processes equals the statistics of one process
    that sees the same batches one by one, no matter when and how often they are averaged.
    """
    if not active():
        return
    running = [
        buffer
        for norm in module.modules()
        if isinstance(norm, torch.nn.modules.batchnorm._BatchNorm)
        for buffer in (norm.running_mean, norm.running_var)
        if buffer is not None
    ]
    flat = torch.cat([buffer.flatten() for buffer in running])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for buffer, values in zip(running, flat.split([buffer.numel() for buffer in running]), strict=True):
        buffer.copy_(values.view_as(buffer))


def close() -> None:
    """Closes the connection between the processes, so that another run can open its own."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
