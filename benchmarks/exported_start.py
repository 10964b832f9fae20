"""How soon an exported model is at work: import, load, first caption of a landmark file; and how long an export takes.

python benchmarks/exported_start.py --run runs/quickstart --clip clip.npz [--rounds 5]

Each is a process of its own, from its start to its end, in turn with the others. On a busy machine the wall clock
measures the other work as well, so the processor time is given beside it. The least of all rounds counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--run", type=Path, required=True, help="a run folder whose corpus is still there")
    parser.add_argument("--clip", type=Path, required=True, help="a landmark file")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        models = {precision: Path(name) / precision / "model.onnx" for precision in ("float32", "int8")}
        commands: dict[str, list[str]] = {}
        for precision, path in models.items():
            words = ["export", options.run, "--output", path, "--precision", precision, "--overwrite"]
            commands[f"signloom export, {precision}"] = _signloom(*words)
        commands["import signloom"] = _python("import signloom")
        commands["import signloom.load, with NumPy"] = _python("import signloom; signloom.load")
        for precision, path in models.items():
            load = f"import signloom; signloom.load({str(path)!r})"
            commands[f"signloom.load of {precision}"] = _python(load)
            commands[f"signloom transcribe, {precision}"] = _signloom("transcribe", options.clip, "--model", path)
        commands["signloom transcribe, torch"] = _signloom("transcribe", options.clip, "--model", options.run)
        for round_number in range(options.rounds):
            for label, command in commands.items():
                if round_number and label.startswith("signloom export"):
                    continue
                wall, cpu = _run(command)
                row = results.setdefault(label, {"seconds": wall, "cpu_seconds": cpu})
                row["seconds"], row["cpu_seconds"] = min(wall, row["seconds"]), min(cpu, row["cpu_seconds"])
        for precision, path in models.items():
            results[f"signloom export, {precision}"]["file_bytes"] = path.stat().st_size
    _show(results)
    common.finish(options, results)


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _signloom(*words: object) -> list[str]:
    return [sys.executable, "-m", "signloom.cli", *map(str, words)]


def _run(command: list[str]) -> tuple[float, float]:
    """Seconds by the wall clock and of the processor."""
    environment = {**os.environ, "PYTHONPATH": str(common.ROOT / "src"), "OMP_NUM_THREADS": "1"}
    before, started = os.times(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    wall, after = time.perf_counter() - started, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used


def _show(results: dict[str, Any]) -> None:
    rows = [
        [
            name,
            f"{row['seconds']:.2f}",
            f"{row['cpu_seconds']:.2f}",
            f"{row['file_bytes'] / 1e6:.2f}" if "file_bytes" in row else "",
        ]
        for name, row in results.items()
    ]
    print(common.table(["what", "s", "s of CPU", "file MB"], rows))


if __name__ == "__main__":
    main()
