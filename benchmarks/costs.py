"""What a training process costs, for `signloom plan`: recorded frames per second of `signloom train`, by preset.

python benchmarks/costs.py [--presets student teacher_compact teacher]

One process with one thread trains a few epochs of the default recipe (two views, augmentation) on a simulated corpus of
200 signs with utterances as long as those of PHOENIX-2014; the median over the epochs after the first, which reads the
files. `extraction.py` measures what extraction costs, and the bytes of a frame.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path

import common


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--presets", nargs="+", default=["student", "teacher_compact", "teacher"])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--utterances", type=int, default=64)
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        sizes = [f"--num_train={options.utterances}", "--num_dev=4", "--num_test=0", "--num_signs=200"]
        lengths = ["--min_glosses=9", "--max_glosses=14"]
        common.run_signloom(["synth", "--output", str(work / "corpus"), *sizes, *lengths], log=work / "synth.log")
        for preset in options.presets:
            run = work / preset
            command = ["train", "--data_dir", str(work / "corpus"), "--output", str(run), "--preset", preset]
            command += ["--epochs", str(options.epochs), "--threads", "1", "--accelerator", "cpu"]
            common.run_signloom(command, log=work / "train.log")
            epochs = json.loads((run / "history.json").read_text())["epochs"]
            results[preset] = [epoch["frames_per_second"] for epoch in epochs[1:]]
            print(f"{preset}: {statistics.median(results[preset]):,.0f} frames/s", flush=True)
    rows = [
        [preset, f"{statistics.median(rates):,.0f}", f"{min(rates):,.0f} to {max(rates):,.0f}"]
        for preset, rates in results.items()
    ]
    print("\n" + common.table(["preset", "frames/s per process", "over epochs"], rows))
    common.finish(options, results)


if __name__ == "__main__":
    main()
