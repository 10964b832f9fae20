"""Several processes that train one model: where this one stands among them, starting them, what they tell each other.

Every process runs the same code, `signloom.train.fit`. Who starts them does not matter: this module (`--devices N` on
one machine), torchrun, or SLURM's srun; all set the same variables of the environment.
"""

from __future__ import annotations

import json
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

from signloom.errors import InputError, TrainingError

# Another process of this run, and the file that what it says goes to.
Other = tuple[subprocess.Popen, IO[bytes]]
# How long after another process has failed this one may still find out by itself.
PATIENCE_SECONDS = 15


@dataclass(frozen=True)
class World:
    """rank: of this process, 0 being the one that writes.  size: processes in all.  local_size: of them on this
    machine.  launcher: who has started them, empty where nobody has and there is only this one.
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
        """What torchrun or srun say. Raises InputError where machines have unequally many processes."""
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
                f"{name} has started {size} processes, {local} on this machine; needed as many on every machine"
            )
        return cls(rank, size, local, name)


@contextmanager
def launched(recipe: dict[str, Any], size: int) -> Iterator[World]:
    """This process as the first of `size` on this machine, the others started beside it, while the block runs.

    recipe: as JSON, for the others. Raises TrainingError with what another one said when it ended early.
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
            # A collective that fails does so because another process is gone; that one knows why.
            ended.set()
            if words := _last_words(others):
                raise TrainingError(words) from error
            raise
    finally:
        ended.set()
        for other, said in others:
            try:
                # Done with the last step, a process has little more to do; one that waits for us waits for ever.
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


def _watch(others: list[Other], ended: threading.Event) -> None:
    """Ends this process if another one has failed and this one goes on waiting for it, in a call that nothing ends."""
    while not ended.wait(1):
        if any(other.poll() for other, _ in others) and not ended.wait(PATIENCE_SECONDS):
            print(f"signloom: error: {_last_words(others)}", file=sys.stderr, flush=True)
            for other, _ in others:
                other.kill()
            os._exit(TrainingError.exit_status)


def _last_words(others: list[Other]) -> str:
    """What the first process that failed has said last."""
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
    """Whether several processes are at work."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather(value: Any, device: torch.device) -> list[Any]:
    """`value`, which JSON can hold, of every process, in the order of their ranks; no pickle is involved."""
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
    """The sum over processes of each of `values` `(N,)`."""
    if active():
        values = values.to(device, copy=True)
        dist.all_reduce(values)
    found: list[float] = values.tolist()
    return found


def share_buffers(module: torch.nn.Module) -> None:
    """Gives every process the buffers of the first: the front end's statistics are measured only there."""
    if active():
        for buffer in module.buffers():
            # Not every backend sends truth values.
            sent = buffer.to(torch.uint8) if buffer.dtype == torch.bool else buffer
            dist.broadcast(sent, src=0)
            buffer.copy_(sent)


def average_statistics(module: torch.nn.Module) -> None:
    """Averages batch norm's running statistics over processes, each of which has seen another part of every step.

    They are running means of what each batch had, so that the mean of the processes' is what one process would have
    that saw the same batches one by one; when and how often this is done does not change it.
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
    """Ends the connection between processes, so that a further run can make its own."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
