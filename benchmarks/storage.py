"""A corpus in object storage beside the folder it was made of: the first reading, which fetches, and the second.

python benchmarks/storage.py [--utterances 200] [--rounds 3] [--work FOLDER]

The storage is a server of S3 for tests (moto) on this machine: what it fetches a second says nothing about a network.
What counts is the second reading, from local copies, beside the folder. Clips are simulated; the sides of a round take
turns, clip by clip. The folder of copies has room for all.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from pathlib import Path

import common

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--utterances", type=int, default=200, help="of the corpus")
    parser.add_argument("--rounds", type=int, default=3, help="readings of the folder and of local copies")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-storage"), help="folder for the corpora")
    options = parser.parse_args()
    import buckets
    from signloom.corpus import Corpus
    from signloom.corpus.packing import pack, plan_shards
    from signloom.synth.corpus import synthesise
    from signloom.synth.options import SynthOptions

    shutil.rmtree(options.work, ignore_errors=True)
    os.environ["SIGNLOOM_CACHE"] = str(options.work / "cache")
    with buckets.server() as port:
        os.environ.update(buckets.environment(port))
        bucket = buckets.put_bucket(port)
        small = SynthOptions(num_train=options.utterances, num_dev=2, num_test=2)
        folder = synthesise(small, options.work / "corpus")
        started = time.perf_counter()
        synthesise(small, bucket / "corpus")
        pack(folder, bucket / "shards", plan_shards(folder, shard_bytes=64_000_000, seed=0))
        print(f"made and uploaded in {time.perf_counter() - started:.1f} s")
        # What was uploaded is here already: the first reading is to fetch it.
        shutil.rmtree(options.work / "cache")
        sides = {
            "folder": folder,
            "URL": Corpus.open(bucket / "corpus"),
            "URL, packed": Corpus.open(bucket / "shards"),
        }
        frames = sum(item.num_frames for item in folder.split("train"))
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(1 + options.rounds):
            seconds = dict.fromkeys(sides, 0.0)
            for item in folder.split("train"):
                for name, corpus in sides.items():
                    before = time.perf_counter()
                    corpus.load_view(item, "compact")
                    seconds[name] += time.perf_counter() - before
            for name in sides:
                rates[name].append(frames / seconds[name])
    for name, (first, *later) in rates.items():
        ratios = [rate / base for rate, base in zip(later, rates["folder"][1:], strict=True)]
        print(
            f"{name:<12} first {first:>8,.0f} frames/s, later {statistics.median(later):>8,.0f} frames/s, "
            f"{min(ratios):.2f} to {max(ratios):.2f} of the folder"
        )
    common.finish(options, {"frames_per_second": rates})


if __name__ == "__main__":
    main()
