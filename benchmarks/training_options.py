"""What options of training cost and give: frames a second, peak memory and loss, of processes, checkpointing and bf16.

python benchmarks/training_options.py [--data_dir CORPUS] [--utterances 320] [--epochs 3] [--rounds 3]

Every row is a whole run by `signloom.train.fit` in a process of its own, with Lightning, scores on dev and files; the
rows take turns, so that other work on the machine disturbs all alike. Frames a second are those of the best epoch after
the first, which reads the landmark files, the median over rounds; memory is the largest resident size of the first
process. A corpus of the quickstart's kind is simulated where none is given.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import common

ROWS: dict[str, dict[str, Any]] = {
    "student, batch 16": {},
    "student, batch 16, 2 processes": {"devices": 2},
    "student, batch 16, bf16": {"precision": "bf16"},
    "student, batch 16, activations again": {"checkpoint_activations": True},
    "student, 4 x batch 4": {"batch_size": 4, "accumulate": 4},
    "teacher, batch 8": {"preset": "teacher", "batch_size": 8},
    "teacher, batch 8, activations again": {"preset": "teacher", "batch_size": 8, "checkpoint_activations": True},
    "teacher, at most 600 frames": {"preset": "teacher", "batch_size": 8, "frames_per_batch": 600},
}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--data_dir", type=Path, help="a corpus; one is simulated when not given")
    parser.add_argument("--utterances", type=int, default=320, help="training utterances of a run")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="rows whose name has this in it")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(json.loads(options.worker))))
        return
    rows = {name: row for name, row in ROWS.items() if not options.only or options.only in name}
    with tempfile.TemporaryDirectory() as folder:
        corpus = options.data_dir or simulate(Path(folder) / "corpus", options.utterances)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
        for number in range(options.rounds):
            for name, row in rows.items():
                settings = {
                    "data_dir": corpus,
                    "output": Path(folder) / f"run-{len(found[name])}-{name}",
                    "num_train_samples": options.utterances,
                    "epochs": options.epochs,
                    **row,
                }
                command = [sys.executable, __file__, "--worker", json.dumps(settings, default=str)]
                result = subprocess.run(
                    command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
                )
                found[name].append(json.loads(result.stdout.splitlines()[-1]))
                print(f"round {number + 1}: {name}: {found[name][-1]['frames_per_second']:,.0f} frames/s", flush=True)
    results = {
        name: {
            "frames_per_second": statistics.median(run["frames_per_second"] for run in runs),
            "rates": [run["frames_per_second"] for run in runs],
            "peak_memory_mib": max(run["peak_memory_mib"] for run in runs),
            "train_loss": runs[0]["train_loss"],
        }
        for name, runs in found.items()
    }
    head = ["run", "frames/s", "over rounds", "peak MiB", "loss per gloss, last epoch"]
    print(
        "\n"
        + common.table(
            head,
            [
                [
                    name,
                    f"{row['frames_per_second']:,.0f}",
                    f"{min(row['rates']):,.0f} to {max(row['rates']):,.0f}",
                    f"{row['peak_memory_mib']:,.0f}",
                    f"{row['train_loss']:.3f}",
                ]
                for name, row in results.items()
            ],
        )
    )
    common.finish(options, results)


def simulate(root: Path, utterances: int) -> Path:
    from signloom.synth.corpus import synthesise
    from signloom.synth.plans import SynthOptions

    synthesise(SynthOptions(num_signs=40, num_train=utterances, num_dev=40, num_test=10, grammar=0.0, zipf=0.0), root)
    return root


def work(settings: dict[str, Any]) -> dict[str, Any]:
    """One run."""
    from signloom.train.fit import fit
    from signloom.train.recipe import Recipe

    settings |= {name: Path(settings[name]) for name in ("data_dir", "output")}
    epochs = fit(Recipe(**settings)).history.epochs
    return {
        "frames_per_second": max(epoch.frames_per_second for epoch in epochs[1:]),
        "train_loss": epochs[-1].train_loss,
        "peak_memory_mib": common.peak_memory_mib(),
    }


if __name__ == "__main__":
    main()
