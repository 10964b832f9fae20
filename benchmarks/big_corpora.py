"""How long a corpus of many utterances takes to open, to examine and to start training on, and in how much memory.

python benchmarks/big_corpora.py [--utterances 600000] [--checkout OTHER]

The corpus is made for this: simulated signing in `--files` small landmark files, which all utterances share by hard
links, so that folder and manifest are as large as real ones but the landmarks are not. Every line has an id, signer and
file name of its own; glosses have a number of 10,000, the frequent ones often, so that the vocabulary is large too.
Landmark files are therefore always in the page cache: times are of the start, not of reading a thousand hours.

Each figure is of a process of its own, from its start, Python and imports included: seconds, those of them on the CPU
(which are what to compare on a machine that others use too) and the largest resident memory, until `Corpus.open` has
returned (the first time, and again), until `signloom doctor` measures its first clip and until it ends, and until
`signloom train` has done its first step. A process that takes longer than --limit is ended.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import common
import numpy as np

# Ends the process at a moment of interest, after telling its seconds and its largest memory.
_CHILD = """
import json, os, sys, time
from pathlib import Path

def tell(*_, **__):
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    Path(os.environ["TOLD"]).write_text(json.dumps({"mib": peak, "cpu": sum(os.times()[:2]), "at": time.time()}))
    os._exit(0)

what, root, work = sys.argv[1:]
if what == "open":
    from signloom.corpus import Corpus
    Corpus.open(root)
    tell()
from signloom.cli import dispatch
if what == "doctor, first clip":
    from signloom.health.checks import figures
    figures.measure_clip = tell
    dispatch(["doctor", root])
elif what == "doctor, whole":
    dispatch(["doctor", root, "--format", "json"])
    tell()
elif what == "train, first step":
    from signloom.train.module import RecognizerModule
    RecognizerModule.on_train_batch_end = tell
    dispatch(["train", "--data_dir", root, "--output", work + "/run", "--overwrite", "--epochs", "1"])
"""
STEPS = ("open, first time", "open, again", "doctor, first clip", "doctor, whole", "train, first step")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/big_corpora"), help="where the corpus is made")
    parser.add_argument("--utterances", type=int, default=600_000)
    parser.add_argument("--files", type=int, default=64, help="landmark files that utterances share")
    parser.add_argument("--checkout", type=Path, default=common.ROOT, help="the working tree to measure")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which a process is ended")
    parser.add_argument("--steps", nargs="+", default=STEPS, choices=STEPS)
    options = parser.parse_args()
    corpus = made_corpus(options.work / f"{options.utterances}", options.utterances, options.files)
    results = {step: measured(step, corpus, options) for step in options.steps}
    rows = [
        [
            step,
            *([f"{row[key]:.1f}" for key in ("seconds", "cpu")] if row["done"] else ["not yet"] * 2),
            f"{row['mib']:,.0f}",
        ]
        for step, row in results.items()
    ]
    print("\n" + common.table(["until", "seconds", "of the CPU", "MiB"], rows))
    common.finish(options, results)


def made_corpus(root: Path, count: int, num_files: int) -> Path:
    """Returns the corpus of `count` utterances, made if it is missing."""
    if (root / "corpus.json").exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    source = root.with_name(f"{num_files}-files")
    if not (source / "corpus.json").exists():
        words = ["--num_train", str(num_files), "--num_dev", "0", "--num_test", "0", "--num_signs", "40"]
        common.run_signloom(["synth", "--output", str(source), *words], log=root.parent / "synth.log")
    lines = (source / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    # ext4 allows 65,000 names for a file.
    if count > 60_000 * len(records):
        raise SystemExit(f"--files is {num_files}; needed one for every 60,000 utterances")
    rng = np.random.default_rng(0)
    numbers = np.minimum(rng.zipf(1.3, size=(count, 40)), 250)
    (root / "landmarks").mkdir(parents=True)
    with (root / "manifest.jsonl").open("w", encoding="utf-8") as file:
        for index in range(count):
            record = records[index % len(records)]
            split = "dev" if index % 200 == 1 else "test" if index % 200 == 2 else "train"
            name = f"landmarks/recording-{index // 60:05}_sentence-{index:07}.npz"
            os.link(source / record["landmarks"], root / name)
            glosses = [f"{gloss}-{number}" for gloss, number in zip(record["glosses"], numbers[index], strict=False)]
            line = {
                "id": f"recording-{index // 60:05}/sentence-{index:07}",
                "split": split,
                "signer": f"{split}-signer-{index // 60 % 400:03}",
                "glosses": glosses,
                "landmarks": name,
                "num_frames": record["num_frames"],
                "fps": record["fps"],
                "source": {"video": f"recording-{index // 60:05}.mp4", "sentence": index % 60},
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    header = json.loads((source / "corpus.json").read_text(encoding="utf-8"))
    header = {**header, "name": "big", "synthetic": True}
    (root / "corpus.json").write_text(json.dumps(header), encoding="utf-8")
    return root


def measured(step: str, corpus: Path, options: Any) -> dict[str, Any]:
    """Returns seconds and memory of a process until it reached a step; the memory of one that was ended is of then."""
    if step == "open, first time":
        for path in corpus.glob(".signloom*"):
            path.unlink()
    told = options.work / "told.json"
    told.unlink(missing_ok=True)
    what = step.partition(",")[0] if step.startswith("open") else step
    environment = {
        **os.environ,
        "PYTHONPATH": str((options.checkout / "src").resolve()),
        "OMP_NUM_THREADS": "1",
        "TOLD": str(told),
    }
    started = time.time()
    with (options.work / "children.log").open("a") as log:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, what, str(corpus), str(options.work)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        peak = 0.0
        while child.poll() is None and time.time() - started < options.limit:
            peak = max(peak, _peak_mib(child.pid))
            time.sleep(0.2)
        child.kill()
        child.wait()
    if told.exists():
        record = json.loads(told.read_text(encoding="utf-8"))
        seconds = record.pop("at") - started
        result = {"done": True, "seconds": seconds, **record}
    elif time.time() - started < options.limit:
        raise SystemExit(f"{step}: the process ended with status {child.returncode}; see {log.name}")
    else:
        result = {"done": False, "seconds": options.limit, "cpu": None, "mib": peak}
    print(f"{step}: {result}", flush=True)
    return result


def _peak_mib(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


if __name__ == "__main__":
    main()
