"""A packed corpus beside the folder it was made of: sizes, packing, unpacking, reading, training.

python benchmarks/packed.py [--utterances 2000] [--steps 40] [--rounds 3] [--work FOLDER]

The corpus has --utterances copies of simulated clips of 142 frames, each a file of its own on the disk. A round is a
process. Before it begins, the system forgets what it has read of the disk, where it may (/proc/sys/vm/drop_caches; the
output says so), and nothing is kept in memory. Within a round the sides take turns, batch by batch, so that other work
on the machine disturbs all alike.

Reading: `Corpus.load_view` of the student's points, in the order of the batches of an epoch: of the folder, of the
shards in the same order, and of the shards with a window of 2 shards, as a corpus of more shards than --shard_window is
read. Training: as `signloom train` reads, augments, batches and trains the student, without Lightning. Frames are those
that the network is trained on, without padding; with a window, the batches are other ones.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import common

BATCH_SIZE, NUM_WORDS = 16, 1118
DROP = Path("/proc/sys/vm/drop_caches")
SIDES = {"folder": "corpus", "shards": "shards", "shards, window 2": "shards"}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--utterances", type=int, default=2000, help="of the corpus; each takes 0.4 MB")
    parser.add_argument("--steps", type=int, default=40, help="batches of each side in a round")
    parser.add_argument("--rounds", type=int, default=3, help="processes that measure all sides")
    parser.add_argument("--shard_megabytes", type=int, default=256, help="of the shards")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-packed"), help="folder for the corpora")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        settings = json.loads(options.worker)
        print(json.dumps({"pack": pack, "read": reading, "train": training}[settings["what"]](settings)))
        return
    make_corpus(options.work, options.utterances)
    results: dict[str, Any] = {"forgets": forget(), "pack": ask(options, what="pack")}
    if not results["forgets"]:
        print("note: the system may not forget what it has read: reads may be from memory")
    show_sizes(results["pack"])
    for what in ("read", "train"):
        results[what] = rounds(options, what)
    for what in ("read", "train"):
        show(what, results[what])
    common.finish(options, results)


def make_corpus(work: Path, num_utterances: int) -> None:
    from signloom.corpus import Corpus, CorpusWriter
    from signloom.synth.corpus import synthesise
    from signloom.synth.options import SynthOptions

    if (work / "corpus").exists():
        if len(Corpus.open(work / "corpus")) != num_utterances:
            raise SystemExit(f"{work}: has another number of utterances; give another --work or remove that folder")
        return
    made = SynthOptions(num_signs=20, num_train=40, num_dev=1, num_test=1, min_glosses=9, max_glosses=14)
    synthesise(made, work / "clips")
    clips = Corpus.open(work / "clips")
    items = clips.split("train")
    with CorpusWriter(work / "corpus", {"name": "copies", "synthetic": True}) as writer:
        for number in range(num_utterances):
            item = items[number % len(items)]
            # Not linked: each is to be read by itself.
            landmarks = clips.load(item)
            writer.add(f"{number:06d}", split="train", signer="A", glosses=item.glosses, landmarks=landmarks)


def forget() -> bool:
    """Makes the system forget what it has read of the disk; returns whether it does."""
    os.sync()
    try:
        DROP.write_text("3")
    except OSError:
        return False
    return True


def ask(options: argparse.Namespace, **settings: Any) -> dict[str, Any]:
    """What a process of this script measures."""
    values = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    command = [sys.executable, __file__, "--worker", json.dumps({**values, **settings})]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def rounds(options: argparse.Namespace, what: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for number in range(options.rounds):
        for side, measured in ask(options, what=what, round=number).items():
            found[side].append(measured)
        rates = ", ".join(f"{side} {found[side][-1]['rate']:,.0f}" for side in SIDES)
        print(f"{what}, round {number + 1}: {rates} frames/s", flush=True)
    return found


def pack(settings: dict[str, Any]) -> dict[str, Any]:
    from signloom.corpus import Corpus, packing

    work = Path(settings["work"])
    for name in ("shards", "unpacked"):
        shutil.rmtree(work / name, ignore_errors=True)
    corpus = Corpus.open(work / "corpus")
    forget()
    started = time.perf_counter()
    plan = packing.plan_shards(corpus, shard_bytes=settings["shard_megabytes"] * 10**6, seed=0)
    planned = time.perf_counter()
    packing.pack(corpus, work / "shards", plan)
    packed = time.perf_counter()
    forget()
    again = time.perf_counter()
    packing.unpack(Corpus.open(work / "shards"), work / "unpacked")
    unpacked = time.perf_counter() - again
    shutil.rmtree(work / "unpacked")
    return {
        "utterances": len(corpus),
        "shards": len(plan.shards),
        "file_bytes": int(plan.rows["landmarks_size"].sum()),
        "shard_bytes": plan.num_bytes,
        "index_bytes": (work / "shards" / "shards.npy").stat().st_size,
        "plan_seconds": planned - started,
        "pack_seconds": packed - planned,
        "unpack_seconds": unpacked,
        "peak_memory_mib": common.peak_memory_mib(),
    }


def dataset(settings: dict[str, Any], side: str) -> tuple[Any, Any]:
    """The training utterances of a side as examples, and its batches of an epoch."""
    from signloom.train.data import ClipCache
    from signloom.train.sampling import BucketSampler, StepSampler

    # Nothing that was read is kept: a corpus that needs shards does not fit into memory.
    data = common.student_examples(Path(settings["work"]) / SIDES[side], cache=ClipCache(0))
    window = 2 if "window" in side else 10**6
    batches = BucketSampler(data.lengths, BATCH_SIZE, seed=settings["round"], shards=data.shards, window=window)
    return data, StepSampler(batches)


def in_turns(turns: dict[str, Iterator[int]], count: int) -> dict[str, dict[str, float]]:
    """What each side does in `count` turns, of which each gives the frames of one.

    Who comes first changes from turn to turn. The turn before the first, which makes all ready, is not measured.
    """
    frames, seconds, used = dict.fromkeys(turns, 0), dict.fromkeys(turns, 0.0), dict.fromkeys(turns, 0.0)
    for side in turns:
        next(turns[side])
    forget()
    for turn in range(count):
        first = turn % len(turns)
        for side in [*turns][first:] + [*turns][:first]:
            processor, started = time.process_time(), time.perf_counter()
            frames[side] += next(turns[side])
            seconds[side] += time.perf_counter() - started
            used[side] += time.process_time() - processor
    return {
        side: {"rate": frames[side] / seconds[side], "processor_share": used[side] / seconds[side]} for side in turns
    }


def reading(settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    def turns(side: str) -> Iterator[int]:
        data, batches = dataset(settings, side)
        for batch in batches:
            yield sum(len(data.corpus.load_view(data.utterances[pick.index], data.view)) for pick in batch)

    return in_turns({side: turns(side) for side in SIDES}, settings["steps"])


def training(settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    import torch
    from training_speed import step

    from signloom.model.presets import preset
    from signloom.model.recognizer import Recognizer, ctc_loss
    from signloom.train.data import Loader

    torch.set_num_threads(1)

    def turns(side: str) -> Iterator[int]:
        torch.manual_seed(0)
        recognizer = Recognizer(preset("student"), NUM_WORDS)
        optimizer = torch.optim.AdamW(recognizer.parameters(), 3e-4, fused=True)
        recognizer.train()
        data, batches = dataset(settings, side)
        for batch in Loader(data, batches):
            log_probs, lengths = recognizer(batch.points, batch.lengths)
            losses = ctc_loss(log_probs, lengths, batch.targets, batch.target_lengths)
            step(optimizer, batch.mean_per_gloss(losses), recognizer, 5.0)
            yield batch.num_frames

    return in_turns({side: turns(side) for side in SIDES}, settings["steps"])


def show_sizes(row: dict[str, Any]) -> None:
    megabytes = row["shard_bytes"] / 1e6
    print(
        f"{row['utterances']:,} files of {row['file_bytes'] / 1e6:,.0f} MB in {row['shards']} shards of "
        f"{megabytes:,.0f} MB with an index of {row['index_bytes'] / 1e6:.2f} MB\n"
        f"plan {row['plan_seconds']:.1f} s, pack {megabytes / row['pack_seconds']:,.0f} MB/s, unpack "
        f"{megabytes / row['unpack_seconds']:,.0f} MB/s, peak {row['peak_memory_mib']:,.0f} MiB"
    )


def show(what: str, found: dict[str, list[dict[str, Any]]]) -> None:
    folder = [row["rate"] for row in found["folder"]]
    rows = []
    for side, measured in found.items():
        rates = [row["rate"] for row in measured]
        ratios = [rate / other for rate, other in zip(rates, folder, strict=True)]
        rows.append(
            [
                side,
                f"{statistics.median(rates):,.0f}",
                f"{min(rates):,.0f} to {max(rates):,.0f}",
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
            ]
        )
    print("\n" + common.table([what, "frames/s", "over rounds", "folder = 1", "over rounds"], rows))


if __name__ == "__main__":
    main()
