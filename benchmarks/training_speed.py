"""Training throughput and peak memory of the student, in one process and in two.

python benchmarks/training_speed.py [--steps 20] [--rounds 5]

Both sides train on the same simulated utterances, with a classifier of --num_words words, each in a process of its own.
They take turns in rounds of --steps optimiser steps, so that other work on the machine disturbs both alike.

1 process: landmark files through `UtteranceDataset` (read once, then kept in half precision), augmentation,
`BucketSampler`, batches of 16, the `student` preset with its front end, CTC, gradient clipping, AdamW: what
`signloom train` does, without Lightning. The first pass over the data, which reads the files, is not timed.
2 processes: what `signloom train --devices 2` does, two processes with batches of 16 each and averaged gradients.

Each process has one thread. Frames are those the network is trained on, after augmentation (which leaves out some) and
without padding. Memory is the largest resident size of a process; its size after imports is given beside it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import common

# Utterances of a batch, of each process.
BATCH_SIZE = 16
# Steps before the first that is timed.
WARM_UP = 2
# The number of processes of each side.
SIDES = {"1 process": 1, "2 processes": 2}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--utterances", type=int, default=160, help="simulated training utterances")
    parser.add_argument("--num_words", type=int, default=1118, help="words of the classifier")
    parser.add_argument("--steps", type=int, default=20, help="optimiser steps in a round")
    parser.add_argument("--rounds", type=int, default=5, help="of each side")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(json.loads(options.worker))
        return
    with tempfile.TemporaryDirectory() as name:
        results = measure(Path(name), options)
    show(results)
    common.finish(options, results)


def measure(folder: Path, options: Any) -> dict[str, Any]:
    make_data(folder, options.utterances)
    settings = {"folder": folder, "num_words": options.num_words, "steps": options.steps, "rounds": options.rounds}
    sides = {side: common.Worker(__file__, {**settings, "side": side}) for side in SIDES}
    rounds: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    ready = {side: worker.ask("prepare") for side, worker in sides.items()}
    for number in range(options.rounds):
        for side, worker in sides.items():
            rounds[side].append(worker.ask())
        rates = ", ".join(f"{side} {rounds[side][-1]['frames_per_second']:,.0f} frames/s" for side in sides)
        print(f"round {number + 1}: {rates}", flush=True)
    for worker in sides.values():
        worker.close()
    results: dict[str, Any] = {}
    for side in sides:
        rates = [each["frames_per_second"] for each in rounds[side]]
        results[side] = {
            **ready[side],
            "batch_size": BATCH_SIZE,
            "rates": rates,
            "frames_per_second": statistics.median(rates),
            "peak_memory_mib": rounds[side][-1]["peak_memory_mib"],
            "bytes_per_frame": bytes_per_frame(folder),
        }
    ratios = [
        two["frames_per_second"] / one["frames_per_second"]
        for one, two in zip(rounds["1 process"], rounds["2 processes"], strict=True)
    ]
    results["2 processes"]["faster_by"] = {
        "median": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }
    return results


def make_data(folder: Path, num_utterances: int) -> None:
    """Simulates the corpus; its utterances are as long as those of PHOENIX-2014 SI5, 142 frames."""
    from signloom.synth.corpus import synthesise
    from signloom.synth.options import SynthOptions

    options = SynthOptions(num_signs=20, num_train=num_utterances, num_dev=1, num_test=1, min_glosses=9, max_glosses=14)
    synthesise(options, folder / "corpus")


def bytes_per_frame(folder: Path) -> float:
    from signloom.corpus import Corpus

    items = Corpus.open(folder / "corpus").split("train")
    return sum((folder / "corpus" / item.landmarks).stat().st_size for item in items) / sum(
        item.num_frames for item in items
    )


def work(settings: dict[str, Any]) -> None:
    """One side, in a process of its own."""
    import torch

    processes = SIDES[settings["side"]]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder, num_words = Path(settings["folder"]), settings["num_words"]
    if settings.get("rank"):
        # The second process of two: as many steps as the first, which waits for it in each of them.
        steps, _ = training(folder, num_words, rank=settings["rank"], processes=processes)
        for _ in range(WARM_UP + settings["rounds"] * settings["steps"]):
            next(steps)
        return
    state: dict[str, Any] = {}

    def answer(request: str) -> dict[str, Any]:
        if request == "prepare":
            baseline = common.peak_memory_mib()
            if processes > 1:
                subprocess.Popen([sys.executable, __file__, "--worker", json.dumps({**settings, "rank": 1})])
            steps, parameters = training(folder, num_words, processes=processes)
            state["steps"] = steps
            for _ in range(WARM_UP):
                next(steps)
            return {"parameters": parameters, "memory_before_mib": baseline}
        started = time.perf_counter()
        frames = sum(next(state["steps"]) for _ in range(settings["steps"]))
        seconds = time.perf_counter() - started
        return {"frames_per_second": frames / seconds, "peak_memory_mib": common.peak_memory_mib()}

    common.serve(answer)


def training(folder: Path, num_words: int, *, rank: int = 0, processes: int = 1) -> tuple[Iterator[int], int]:
    """Optimiser steps, each giving the frames it trained on in all processes, and the model's parameters."""
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    from signloom.ctc.collapse import frames_needed
    from signloom.model.presets import preset
    from signloom.model.recognizer import Recognizer, ctc_loss
    from signloom.train.data import Loader
    from signloom.train.recipe import Recipe
    from signloom.train.sampling import BucketSampler, StepSampler

    recipe = Recipe(data_dir=folder / "corpus")
    recognizer = Recognizer(preset(recipe.preset), num_words)
    data = common.student_examples(
        folder / "corpus", frames_needed=lambda ids: recognizer.input_frames_needed(frames_needed(ids))
    )
    for index in range(len(data)):
        data.points(index)
    sampler = BucketSampler(data.lengths, BATCH_SIZE * processes, parts_per_step=processes)
    loader = Loader(data, StepSampler(sampler, num_processes=processes, rank=rank))
    optimizer = torch.optim.AdamW(recognizer.parameters(), recipe.learning_rate, fused=True)
    recognizer.train()
    model: torch.nn.Module = recognizer
    if processes > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=processes)
        # As `signloom.train.fit` has Lightning do it.
        model = DistributedDataParallel(
            recognizer, broadcast_buffers=False, gradient_as_bucket_view=True, static_graph=True
        )

    def steps() -> Iterator[int]:
        for epoch in itertools.count():
            loader.steps.set_epoch(epoch)
            data.epoch = epoch
            for batch in loader:
                log_probs, lengths = model(batch.points, batch.lengths)
                losses = ctc_loss(log_probs, lengths, batch.targets, batch.target_lengths)
                step(optimizer, batch.mean_per_gloss(losses), recognizer, recipe.gradient_clip)
                # The other process has another piece of the same step, of nearly as many frames.
                yield batch.num_frames * processes

    return steps(), recognizer.num_parameters


def step(optimizer: Any, loss: Any, model: Any, clip: float) -> None:
    import torch

    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()


def show(results: dict[str, Any]) -> None:
    rows = []
    for side, row in results.items():
        rows.append(
            [
                side,
                f"{row['parameters']:,}",
                row["batch_size"],
                f"{row['frames_per_second']:,.0f}",
                f"{min(row['rates']):,.0f} to {max(row['rates']):,.0f}",
                f"{row['peak_memory_mib']:,.0f}",
                f"{row['memory_before_mib']:,.0f}",
                f"{row['bytes_per_frame']:,.0f}",
            ]
        )
    head = ["side", "parameters", "batch", "frames/s", "over rounds", "peak MiB", "after imports"]
    print("\n" + common.table([*head, "bytes per frame on disk"], rows))
    ratio = results["2 processes"]["faster_by"]
    print(
        f"\n2 processes / 1 process: {ratio['median']:.2f} times the frames/s (median of the ratios within a round, "
        f"{ratio['least']:.2f} to {ratio['most']:.2f})"
    )


if __name__ == "__main__":
    main()
