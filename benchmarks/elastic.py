"""Training on two machines with one process killed again and again: does it go on with the same curve?

python benchmarks/elastic.py [--kills 4] [--epochs 8]

The two machines are two groups of torchrun on loopback, with one training process each (on the CPU, over gloo), which
train on a small simulated corpus by `signloom train --auto_resume true`. First without a kill; then with SIGKILL at
random moments of one of the four processes: a training process, which torchrun starts again, or a whole group, which is
started again by hand. The curves of both are compared number by number.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common

OPTIONS = ("--batch_size", "4", "--save_every_steps", "5", "--auto_resume", "true", "--accelerator", "cpu")
# torchrun notices after so long that a group has gone.
KEEP_ALIVE_SECONDS = 3
LIMIT_SECONDS = 1800


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--kills", type=int, default=4, help="half of them of a whole group")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and victims")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        sizes = ["--num_train", "80", "--num_dev", "12", "--num_test", "0"]
        common.run_signloom(["synth", "--output", str(work / "corpus"), *sizes], log=work / "synth.log")
        quiet = Trial(work, "quiet", options.epochs).run([])
        rng = random.Random(options.seed)
        # By share of the epochs that are done.
        moments = sorted(rng.uniform(0.05, 0.9) for _ in range(options.kills))
        kinds = [("process", "group")[number % 2] for number in range(options.kills)]
        killed = Trial(work, "killed", options.epochs).run(
            [(moment, kind, rng.randrange(2)) for moment, kind in zip(moments, kinds, strict=True)]
        )
    same = quiet["curve"] == killed["curve"]
    rows = [
        [name, str(len(found["kills"])), str(len(found["curve"])), f"{found['seconds']:.0f}"]
        for name, found in (("quiet", quiet), ("killed", killed))
    ]
    print(common.table(["run", "kills", "epochs", "seconds"], rows))
    for line in killed["kills"]:
        print(f"  {line}")
    print(f"the curves are {'equal' if same else 'DIFFERENT'}")
    common.finish(options, {"quiet": quiet, "killed": killed, "same": same})
    sys.exit(not same)


class Trial:
    """One run of two groups."""

    def __init__(self, work: Path, name: str, epochs: int) -> None:
        self.work, self.name, self.epochs = work, name, epochs
        self.output = work / name
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def start(self, group: int) -> subprocess.Popen:
        """Starts a group of torchrun in a session of its own."""
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"]
        command += ["--max_restarts", "100", "--rdzv_backend", "c10d", "--rdzv_id", self.name]
        command += ["--rdzv_endpoint", f"127.0.0.1:{self.port}"]
        # The first hosts the store; a whole machine that hosts it cannot be lost.
        command += ["--rdzv_conf", f"is_host={int(group == 0)},keep_alive_interval={KEEP_ALIVE_SECONDS}"]
        command += ["-m", "signloom.cli", "train", "--data_dir", str(self.work / "corpus")]
        command += ["--output", str(self.output), "--epochs", str(self.epochs), *OPTIONS]
        variables = {**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "OMP_NUM_THREADS": "1"}
        variables["PYTHONPATH"] = str(common.ROOT / "src")
        with (self.work / f"{self.name}-{group}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=variables, start_new_session=True)

    def run(self, kills: list[tuple[float, str, int]]) -> dict[str, Any]:
        """Returns the curve of the run, its seconds, and what was killed.

        kills: of each the moment (a share of the epochs), `process` or `group`, and in which group.
        """
        started = time.monotonic()
        groups = [self.start(0), self.start(1)]
        done: list[str] = []
        while any(group.poll() is None for group in groups):
            if time.monotonic() - started > LIMIT_SECONDS:
                for group in groups:
                    os.killpg(group.pid, signal.SIGKILL)
                raise SystemExit(f"{self.name}: not at its end after {LIMIT_SECONDS} s: {self.last_words()}")
            time.sleep(0.2)
            if kills and self.progress() >= kills[0][0]:
                _, kind, number = kills.pop(0)
                # The group that hosts the store stays.
                number = 1 if kind == "group" else number
                if not (victims := workers(groups[number])):
                    continue
                if kind == "process":
                    os.kill(victims[0], signal.SIGKILL)
                else:
                    for victim in [groups[number].pid, *victims]:
                        os.kill(victim, signal.SIGKILL)
                    groups[number].wait()
                    groups[number] = self.start(number)
                done.append(f"{kind} of machine {number} at {self.progress():.0%} of the epochs")
        if any(group.returncode for group in groups):
            raise SystemExit(f"{self.name}: torchrun failed: {self.last_words()}")
        rows = json.loads((self.output / "history.json").read_text())["epochs"]
        curve = [{name: row[name] for name in ("epoch", "steps", "train_loss", "dev_loss", "dev_wer")} for row in rows]
        return {"curve": curve, "seconds": time.monotonic() - started, "kills": done}

    def progress(self) -> float:
        """Returns the share of the epochs that are in the history."""
        try:
            epochs = json.loads((self.output / "history.json").read_text())["epochs"]
        except (OSError, ValueError):
            return 0.0
        return len(epochs) / self.epochs

    def last_words(self) -> str:
        return "\n".join(path.read_text()[-1500:] for path in sorted(self.work.glob(f"{self.name}-*.log")))


def workers(group: subprocess.Popen) -> list[int]:
    """Returns the training processes of a group."""
    found = subprocess.run(["pgrep", "-P", str(group.pid)], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


if __name__ == "__main__":
    main()
