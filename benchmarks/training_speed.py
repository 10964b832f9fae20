"""Training throughput and peak memory: ours, against the shape of the original pipeline.

python benchmarks/training_speed.py [--steps 20] [--rounds 5]

All sides train on the same simulated utterances, with a classifier of --num_words words, in a process of their own.
They are asked in turn for rounds of --steps optimiser steps, so that other work on the machine disturbs all alike.

ours: landmark files through `UtteranceDataset` (read once, then kept in half precision), augmentation, `BucketSampler`,
batches of 16, the `student` preset with its front end, CTC, gradient clipping, AdamW: what `signloom train` does,
without Lightning around it. The first pass over the data, which reads the files, is not timed.
ours, 2 processes: what `signloom train --devices 2` does, two processes with batches of 16 each and averaged gradients.
original: the same utterances as .npz files of features (T, 6516) float32, read by `np.load` at every step, z-scored
by sample, padded batches of 4, the student of 14 M parameters with frame-rate output as one writes it in plain PyTorch
(`plain_student.py`), CTC, AdamW.
original, our layers: the same, but the body, BiLSTM and classifier of the `original_student` preset, whose layers are
those of our student and leave out the padding. What is left then is the size of the features and of the network.

Each of these has one thread; `original, 2 threads` is the original with torch's threads on two cores.

Frames are those the network is trained on, without padding; ours after augmentation, which leaves out some. Memory is
the largest resident size of the process; what it holds after its imports is given beside it.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import numpy as np


@dataclass(frozen=True)
class Side:
    """batch_size: of each process.  against: the side with which its frames a second are compared."""

    batch_size: int
    against: str = ""
    threads: int = 1
    processes: int = 1


# Steps before the first that is timed.
WARM_UP = 2
SIDES = {
    "ours": Side(16, "original"),
    "ours, 2 processes": Side(16, "original, 2 threads", processes=2),
    "original": Side(4),
    "original, 2 threads": Side(4, threads=2),
    "original, our layers": Side(4),
}


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
            "batch_size": SIDES[side].batch_size,
            "rates": rates,
            "frames_per_second": statistics.median(rates),
            "peak_memory_mib": rounds[side][-1]["peak_memory_mib"],
            "bytes_a_frame": bytes_a_frame(folder, side),
        }
    for side, about in SIDES.items():
        if about.against:
            ratios = [
                one["frames_per_second"] / other["frames_per_second"]
                for one, other in zip(rounds[side], rounds[about.against], strict=True)
            ]
            results[side]["faster_by"] = {
                "median": statistics.median(ratios),
                "least": min(ratios),
                "most": max(ratios),
            }
    return results


def make_data(folder: Path, num_utterances: int) -> None:
    """The utterances as a corpus, and again as files of 6,516 float32 values a frame."""
    import torch

    from signloom.model.frontend import FrontEnd
    from signloom.synth.corpus import synthesise
    from signloom.synth.plans import SynthOptions

    # As long as those of PHOENIX-2014 SI5: 142 frames.
    recipe = SynthOptions(num_signs=20, num_train=num_utterances, num_dev=1, num_test=1, min_glosses=9, max_glosses=14)
    corpus = synthesise(recipe, folder / "corpus")
    frontend = FrontEnd("full")
    (folder / "original").mkdir()
    for item in corpus.split("train"):
        landmarks = corpus.load(item)
        with torch.inference_mode():
            features = torch.nan_to_num(frontend.raw_features(torch.from_numpy(landmarks.points)[None])[0])
        masks = np.isfinite(landmarks.points[..., 0])
        np.savez(folder / "original" / f"{item.id}.npz", features=features.numpy(), detection_masks=masks)


def bytes_a_frame(folder: Path, side: str) -> float:
    from signloom.corpus import Corpus

    items = Corpus.open(folder / "corpus").split("train")
    paths = [
        folder / "corpus" / item.landmarks if side.startswith("ours") else folder / "original" / f"{item.id}.npz"
        for item in items
    ]
    return sum(path.stat().st_size for path in paths) / sum(item.num_frames for item in items)


def work(settings: dict[str, Any]) -> None:
    """One side, in a process of its own."""
    import torch

    side = SIDES[settings["side"]]
    torch.set_num_threads(side.threads)
    torch.manual_seed(0)
    folder, num_words = Path(settings["folder"]), settings["num_words"]
    if settings.get("rank"):
        # The second process of two: as many steps as the first, which waits for it in each of them.
        steps, _ = ours(folder, num_words, rank=settings["rank"], processes=side.processes)
        for _ in range(WARM_UP + settings["rounds"] * settings["steps"]):
            next(steps)
        return
    state: dict[str, Any] = {}

    def answer(request: str) -> dict[str, Any]:
        if request == "prepare":
            baseline = common.peak_memory_mib()
            if side.processes > 1:
                subprocess.Popen([sys.executable, __file__, "--worker", json.dumps({**settings, "rank": 1})])
            if settings["side"].startswith("ours"):
                steps, parameters = ours(folder, num_words, processes=side.processes)
            else:
                steps, parameters = original(folder, num_words, plain=settings["side"] != "original, our layers")
            state["steps"] = steps
            for _ in range(WARM_UP):
                next(steps)
            return {"parameters": parameters, "memory_before_mib": baseline, "threads": side.threads}
        started = time.perf_counter()
        frames = sum(next(state["steps"]) for _ in range(settings["steps"]))
        seconds = time.perf_counter() - started
        return {"frames_per_second": frames / seconds, "peak_memory_mib": common.peak_memory_mib()}

    common.serve(answer)


def ours(folder: Path, num_words: int, *, rank: int = 0, processes: int = 1) -> tuple[Iterator[int], int]:
    """Optimiser steps, each giving the frames it trained on in all processes, and the model's parameters."""
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    from signloom.corpus import Corpus
    from signloom.ctc.collapse import frames_needed
    from signloom.model.presets import preset
    from signloom.model.recognizer import Recognizer, ctc_loss
    from signloom.train.augmentation import AugmentationConfig
    from signloom.train.data import Loader, UtteranceDataset
    from signloom.train.recipe import Recipe
    from signloom.train.sampling import BucketSampler, StepSampler
    from signloom.vocabulary import Vocabulary

    recipe = Recipe(data_dir=folder / "corpus")
    corpus = Corpus.open(folder / "corpus")
    items = corpus.split("train")
    recognizer = Recognizer(preset(recipe.preset), num_words)
    config = recognizer.config
    data = UtteranceDataset(
        corpus,
        items,
        Vocabulary.from_glosses(item.glosses for item in items),
        view=config.view,
        fps=config.fps,
        augmentation=AugmentationConfig(),
        frames_needed=lambda ids: recognizer.input_frames_needed(frames_needed(ids)),
    )
    for index in range(len(data)):
        data.points(index)
    sampler = BucketSampler(
        [data.num_frames(at) for at in range(len(data))], SIDES["ours"].batch_size * processes, pieces=processes
    )
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
                step(optimizer, batch.mean(losses / batch.target_lengths), recognizer, recipe.gradient_clip)
                # The other process has another piece of the same step, of nearly as many frames.
                yield batch.num_frames * processes

    return steps(), recognizer.num_parameters


def original(folder: Path, num_words: int, *, plain: bool) -> tuple[Iterator[int], int]:
    """Optimiser steps, each giving the frames it trained on, and the model's parameters.

    plain: as one writes it in plain PyTorch; else with the layers of `Recognizer`.
    """
    import torch
    import torch.nn.functional as F
    from plain_student import PlainStudent
    from torch import Tensor
    from torch.utils.data import DataLoader

    from signloom.corpus import Corpus
    from signloom.model.blocks import upsample
    from signloom.model.presets import preset
    from signloom.model.recognizer import Recognizer, ctc_loss
    from signloom.vocabulary import Vocabulary

    items = Corpus.open(folder / "corpus").split("train")
    vocabulary = Vocabulary.from_glosses(item.glosses for item in items)
    recognizer = Recognizer(preset("original_student"), num_words)
    slices = recognizer.frontend.modality_slices()
    model = PlainStudent(recognizer.config, slices, num_words) if plain else recognizer
    optimizer = torch.optim.AdamW(model.parameters(), 3e-4, weight_decay=1e-4, fused=not plain)
    model.train()

    class Features(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(items)

        def __getitem__(self, index: int) -> tuple[np.ndarray, list[int]]:
            with np.load(folder / "original" / f"{items[index].id}.npz") as arrays:
                features = arrays["features"]
            features = (features - features.mean()) / (features.std() + 1e-6)
            return features, vocabulary.encode(items[index].glosses)

    def padded(examples: list[tuple[np.ndarray, list[int]]]) -> tuple[torch.Tensor, ...]:
        lengths = [len(features) for features, _ in examples]
        target_lengths = [len(target) for _, target in examples]
        features = torch.zeros(len(examples), max(lengths), examples[0][0].shape[1])
        targets = torch.zeros(len(examples), max(target_lengths), dtype=torch.int64)
        for row, (values, target) in enumerate(examples):
            features[row, : len(values)] = torch.from_numpy(values)
            targets[row, : len(target)] = torch.tensor(target)
        return features, torch.tensor(lengths), targets, torch.tensor(target_lengths)

    loader = DataLoader(Features(), batch_size=SIDES["original"].batch_size, shuffle=True, collate_fn=padded)

    def after_frontend(features: Tensor, lengths: Tensor) -> Tensor:
        """`Recognizer.forward` from the features on: they come from the file here."""
        x = recognizer.body(features, lengths)
        x = upsample(x, recognizer.body.output_lengths(lengths), recognizer.body.stride, features.shape[1])
        x = recognizer.lstm(recognizer.dropout(x), lengths)
        return F.log_softmax(recognizer.classifier(recognizer.dropout(x)), dim=-1)

    def steps() -> Iterator[int]:
        while True:
            for features, lengths, targets, target_lengths in loader:
                log_probs = model(features, lengths) if plain else after_frontend(features, lengths)
                step(optimizer, ctc_loss(log_probs, lengths, targets, target_lengths).mean(), model, 5.0)
                yield int(lengths.sum())

    return steps(), sum(parameter.numel() for parameter in model.parameters())


def step(optimizer: Any, loss: Any, model: Any, clip: float) -> None:
    import torch

    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()


def show(results: dict[str, Any]) -> None:
    rows = []
    for side in SIDES:
        row = results[side]
        rows.append(
            [
                side,
                f"{row['parameters']:,}",
                row["batch_size"],
                row["threads"],
                f"{row['frames_per_second']:,.0f}",
                f"{min(row['rates']):,.0f} to {max(row['rates']):,.0f}",
                f"{row['peak_memory_mib']:,.0f}",
                f"{row['memory_before_mib']:,.0f}",
                f"{row['bytes_a_frame']:,.0f}",
            ]
        )
    head = ["side", "parameters", "batch", "threads", "frames/s", "over rounds", "peak MiB", "after imports", "bytes"]
    print("\n" + common.table([*head[:-1], "bytes a frame on disk"], rows))
    print()
    for side, about in SIDES.items():
        if about.against:
            ratio = results[side]["faster_by"]
            print(
                f"{side} / {about.against}: {ratio['median']:.1f} times the frames/s (median of the ratios within a "
                f"round, {ratio['least']:.1f} to {ratio['most']:.1f})"
            )


if __name__ == "__main__":
    main()
