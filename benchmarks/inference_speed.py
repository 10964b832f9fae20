"""The recogniser alone: milliseconds for 8 seconds of signing, times real time, peak memory, size of the model file.

python benchmarks/inference_speed.py [--calls 10] [--rounds 6]

One thread, batch 1, T = 200 frames at 25 frames/s, a classifier of --num_words words, torch in eager mode and the
exported model in ONNX Runtime, weights as initialised (they do not matter for speed). Each model runs in a process of
its own. The processes are asked in turn for --calls calls a round, so that other work on the machine disturbs all
alike. If a model's thread has to wait for a busy core, its wall clock exceeds its CPU time; both are given. The front
end (normalisation, differences) is part of our models; the original had its features computed before, so it is timed
without, too.
MediaPipe's own cost is not in here: see `extraction.py`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np

FPS = 25.0
# Preset, what runs it, and whether its front end is in the time.
MODELS: dict[str, tuple[str, str, bool]] = {
    "student": ("student", "torch", True),
    "student, ONNX float32": ("student", "float32", True),
    "student, ONNX int8": ("student", "int8", True),
    "student, features given": ("student", "torch", False),
    "teacher": ("teacher", "torch", True),
    "teacher, ONNX float32": ("teacher", "float32", True),
    "teacher, ONNX int8": ("teacher", "int8", True),
    "original student": ("original_student", "torch", True),
    "original student, features given": ("original_student", "torch", False),
}
# Each is compared with this one, by CPU time.
BASE = "student"
# Measured with the same settings when the project began, on models it does not contain.
QUOTED = {"CoSign-2s (quoted, 75.5 M parameters)": {"milliseconds": 1400.0, "times_real_time": 5.7}}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--num_frames", type=int, default=200)
    parser.add_argument("--num_words", type=int, default=1118)
    parser.add_argument("--calls", type=int, default=10, help="in a round, after three calls to warm up")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(json.loads(options.worker))
        return
    shared = {name: getattr(options, name) for name in ("num_frames", "num_words", "calls", "threads")}
    workers = {
        name: common.Worker(__file__, {**shared, "preset": preset, "engine": engine, "with_frontend": with_frontend})
        for name, (preset, engine, with_frontend) in MODELS.items()
    }
    facts = {name: worker.ask("prepare") for name, worker in workers.items()}
    times: dict[str, list[float]] = {name: [] for name in workers}
    cpu: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(options.rounds):
        for name, worker in workers.items():
            measured = worker.ask()
            times[name] += measured["milliseconds"]
            cpu[name] += measured["cpu_milliseconds"]
            facts[name]["peak_memory_mib"] = measured["peak_memory_mib"]
    for worker in workers.values():
        worker.close()
    clip = 1000 * options.num_frames / FPS
    results: dict[str, Any] = {}
    for name, values in times.items():
        low, median, high = np.quantile(values, [0.1, 0.5, 0.9]).tolist()
        results[name] = {
            **facts[name],
            "milliseconds": median,
            "milliseconds_10_90": [low, high],
            "least_milliseconds": min(values),
            "cpu_milliseconds": statistics.median(cpu[name]),
            "times_real_time": clip / median,
            "times_real_time_cpu": clip / statistics.median(cpu[name]),
            "num_calls": len(values),
        }
    results.update(QUOTED)
    show(results, options)
    common.finish(options, results)


def work(settings: dict[str, Any]) -> None:
    """One model, in a process of its own."""
    import torch

    torch.set_num_threads(settings["threads"])
    state: dict[str, Callable[[], object]] = {}

    def answer(request: str) -> dict[str, Any]:
        if request == "prepare":
            before = common.peak_memory_mib()
            state["call"], facts = prepare(settings)
            with torch.inference_mode():
                for _ in range(3):
                    state["call"]()
            return {**facts, "memory_before_mib": before}
        wall, cpu = [], []
        with torch.inference_mode():
            for _ in range(settings["calls"]):
                started, cpu_started = time.perf_counter(), time.process_time()
                state["call"]()
                cpu.append(1000 * (time.process_time() - cpu_started))
                wall.append(1000 * (time.perf_counter() - started))
        return {"milliseconds": wall, "cpu_milliseconds": cpu, "peak_memory_mib": common.peak_memory_mib()}

    common.serve(answer)


def prepare(settings: dict[str, Any]) -> tuple[Callable[[], object], dict[str, Any]]:
    """What is timed, and what is known of the model."""
    import torch
    import torch.nn.functional as F

    from signloom.inference.model import Model
    from signloom.inference.torch_engine import TorchEngine
    from signloom.model.blocks import upsample
    from signloom.model.presets import preset
    from signloom.model.recognizer import Recognizer
    from signloom.vocabulary import BLANK, UNKNOWN, Vocabulary

    torch.manual_seed(0)
    num_words = settings["num_words"]
    recognizer = Recognizer(preset(settings["preset"]), num_words)
    vocabulary = Vocabulary((BLANK, UNKNOWN, *(f"GLOSS{number:05d}" for number in range(num_words - 2))))
    model = Model(TorchEngine(recognizer), vocabulary)
    clips = clip(settings["num_frames"], recognizer.config.view)[None]
    if settings["engine"] != "torch":
        return exported(model, settings["engine"], clips)
    points = torch.from_numpy(clips)
    with torch.inference_mode():
        features = recognizer.frontend(points)

    def from_features() -> object:
        x = recognizer.body(features, None)
        if recognizer.config.frame_rate:
            x = upsample(x, None, recognizer.body.stride, features.shape[1])
        return F.log_softmax(recognizer.classifier(recognizer.lstm(x)), dim=-1)

    parameters = {
        "parameters": recognizer.num_parameters,
        "file_bytes": file_bytes(model, "model.safetensors"),
    }
    if settings["with_frontend"]:
        return lambda: recognizer(points), parameters
    return from_features, parameters


def exported(model: Any, precision: str, points: np.ndarray) -> tuple[Callable[[], object], dict[str, Any]]:
    """The exported model; int8 is calibrated on the clip itself, which does not matter for speed."""
    from dataclasses import replace

    from signloom.inference.export import measured_ranges
    from signloom.inference.onnx_engine import OnnxEngine
    from signloom.model.onnx_graph.recognizer import onnx_model

    recognizer = model.engine.recognizer
    ranges = measured_ranges(recognizer, points) if precision == "int8" else None
    graph = onnx_model(recognizer.eval(), ranges).SerializeToString()
    engine = OnnxEngine.of(graph, recognizer.config, Path("model.onnx"))
    size = file_bytes(replace(model, engine=engine), "model.onnx")
    return lambda: engine.log_probs(points), {"parameters": recognizer.num_parameters, "file_bytes": size}


def file_bytes(model: Any, name: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / name)
        return (Path(folder) / name).stat().st_size


def clip(num_frames: int, view: str) -> np.ndarray:
    """Body-like points of a view that wander; the left hand is missing in the second half, as it often is."""
    from signloom import layout

    rng = np.random.default_rng(0)
    points = rng.uniform(0.2, 0.8, (1, layout.NUM_POINTS, 3)) + rng.normal(0, 0.01, (num_frames, layout.NUM_POINTS, 3))
    points[:, layout.index("pose.left_shoulder"), :2] = (0.65, 0.4)
    points[:, layout.index("pose.right_shoulder"), :2] = (0.35, 0.4)
    points[num_frames // 2 :, layout.GROUPS["left_hand"]] = np.nan
    return points[:, layout.subset(view)].astype(np.float32)


def show(results: dict[str, Any], options: Any) -> None:
    rows = []
    for name, row in results.items():
        if "parameters" not in row:
            rows.append([name, "", f"{row['milliseconds']:,.0f}", "", f"{row['times_real_time']:,.1f}", *[""] * 5])
            continue
        low, high = row["milliseconds_10_90"]
        rows.append(
            [
                name,
                f"{row['parameters']:,}",
                f"{row['milliseconds']:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"**{row['times_real_time']:,.0f}**",
                f"{row['cpu_milliseconds']:.2f}",
                f"{row['times_real_time_cpu']:,.0f}",
                f"{results[BASE]['cpu_milliseconds'] / row['cpu_milliseconds']:.2f}",
                f"{row['peak_memory_mib']:,.0f} ({row['memory_before_mib']:,.0f})",
                f"{row['file_bytes'] / 2**20:.1f}",
            ]
        )
    calls = statistics.median(row["num_calls"] for row in results.values() if "num_calls" in row)
    print(
        f"\n{options.num_frames} frames ({options.num_frames / FPS:g} s), {options.num_words:,} words, "
        f"{options.threads} thread, batch 1, median of {calls:g} calls\n"
    )
    head = [
        "model",
        "parameters",
        "ms",
        "10 % to 90 %",
        "times real time",
        "ms of CPU",
        "times real time by CPU",
        f"times {BASE}",
    ]
    print(common.table([*head, "peak MiB (after imports)", "file MiB"], rows))


if __name__ == "__main__":
    main()
