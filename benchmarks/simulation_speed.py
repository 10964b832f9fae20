"""How fast a corpus of PHOENIX's size is simulated, and in how much memory.

python benchmarks/simulation_speed.py [--sentences *.SI5.corpus.csv] [--workers 2]

`signloom synth` as a user runs it, in a process of its own: once with a tenth of the utterances and once with all, so
that memory can be seen not to grow with their number. Without --sentences, 1,117 signs in sentences of 2 to 28 glosses.
Memory: the largest resident size of the command's own process, and of its largest worker.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import common

COMMAND = """
import json, resource, sys
from signloom.cli import dispatch
status = dispatch(sys.argv[1:])
peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps(peaks), file=sys.stderr)
sys.exit(status)
"""


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/simulation_speed"), help="where the corpora are made")
    parser.add_argument("--sentences", type=Path, nargs="+", help="annotation files: real sentences, not made-up ones")
    parser.add_argument("--utterances", type=int, default=4376)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--preset", default="phoenix")
    options = parser.parse_args()
    counts = [options.utterances // 10, options.utterances] if not options.sentences else [options.utterances]
    results = [measure(options, count) for count in counts]
    rows = [
        [
            f"{row['utterances']:,}",
            f"{row['frames']:,}",
            f"{row['frames'] / row['glosses']:.1f}",
            f"{row['seconds'] / 60:.1f}",
            f"{row['frames'] / row['seconds']:,.0f}",
            f"{row['main_mib']:,.0f}",
            f"{row['worker_mib']:,.0f}",
        ]
        for row in results
    ]
    head = ["utterances", "frames", "frames a gloss", "minutes", "frames/s", "MiB, main", "MiB, largest worker"]
    print("\n" + common.table(head, rows))
    common.finish(options, {"runs": results})


def measure(options: Any, count: int) -> dict[str, Any]:
    from signloom.corpus import Corpus

    output = options.work / str(count)
    shutil.rmtree(output, ignore_errors=True)
    words = ["synth", "--output", str(output), "--preset", options.preset, "--workers", str(options.workers)]
    if options.sentences:
        words += ["--sentences", *map(str, options.sentences), "--minimal_pairs", "0.5"]
    else:
        words += [
            "--num_signs",
            "1117",
            "--minimal_pairs",
            "0.5",
            "--min_glosses",
            "2",
            "--max_glosses",
            "28",
            "--num_train",
            str(count),
        ]
        words += ["--num_dev", "0", "--num_test", "0"]
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", COMMAND, *words], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr)
    main_mib, worker_mib = json.loads(done.stderr.strip().splitlines()[-1])
    corpus = Corpus.open(output)
    return {
        "utterances": len(corpus),
        "frames": sum(item.num_frames for item in corpus),
        "glosses": sum(len(item.glosses) for item in corpus),
        "seconds": seconds,
        "main_mib": main_mib,
        "worker_mib": worker_mib,
    }


if __name__ == "__main__":
    main()
