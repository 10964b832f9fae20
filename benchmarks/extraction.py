"""Extraction against a bare Holistic loop and an older version, two processes against one; bytes and memory per frame.

python benchmarks/extraction.py [--video PATH] [--clips 6] [--frames 150] [--repeats 3] [--against OLD/src] [--memory]

Without `--video` it makes its own (an astronaut who waves: face, pose and both hands). Each repeat times, one after
the other, whole processes from start to exit on the same clips: the loop that one would write by hand, then
`signloom extract` with 1 and with 2 workers. What counts is the median of the ratios within a repeat, so that a
machine with other work on it disturbs both sides alike; CPU seconds are given beside the wall clock. `--against` adds
the `signloom extract` of another checkout's source folder to each repeat. `--memory` measures instead by how much the
memory of a process grows per frame of a long video, without Holistic, which needs the same for any length.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

BARE_LOOP = """
import sys
import cv2
import numpy as np
from mediapipe.python.solutions.holistic import Holistic
holistic = Holistic(model_complexity=1)
parts = (("pose_landmarks", 33), ("left_hand_landmarks", 21), ("right_hand_landmarks", 21), ("face_landmarks", 468))
for path in sys.argv[2:]:
    capture, points = cv2.VideoCapture(path), []
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        results = holistic.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        found = [getattr(results, name) for name, _ in parts]
        points.append(np.concatenate([
            np.array([(p.x, p.y, p.z) for p in part.landmark]) if part else np.full((count, 3), np.nan)
            for part, (_, count) in zip(found, parts)
        ]))
    np.save(sys.argv[1], np.array(points, dtype=np.float16))
    holistic.reset()
"""


# Prints the greatest memory in kB of a process that reads a video, tracks nothing and saves the landmarks.
MEMORY = """
import resource
import sys
from pathlib import Path
import numpy as np
from signloom.extract.holistic import Settings, track_clip
class Tracker:
    def restart(self): pass
    def __call__(self, frame): return np.full((543, 3), 0.5, np.float32), np.full(33, 0.5, np.float32)
track_clip(Tracker(), Path(sys.argv[1]), Settings()).save(Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def timed(command: list[str], source: Path | None = None) -> tuple[float, float]:
    """Wall clock and CPU seconds of a process and its children, with signloom from the folder `source`."""
    environment = {**os.environ, "PYTHONPATH": str(source or ROOT / "src")}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    seconds = time.perf_counter() - started
    if result.returncode != 0:
        raise SystemExit(result.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="a video to use instead of the one made here")
    parser.add_argument("--clips", type=int, default=6, help="copies of it to extract")
    parser.add_argument("--frames", type=int, default=150, help="of the video made here")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", type=Path, help="source folder of another version, to be timed in each repeat")
    parser.add_argument("--memory", action="store_true", help="measure memory per frame, not time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.memory:
            measure_memory(Path(name), options.against)
        else:
            measure(Path(name), options)


def measure_memory(folder: Path, against: Path | None) -> None:
    from films import even, write_film

    lengths = (1000, 4000, 16000)
    for source in filter(None, (ROOT / "src", against)):
        peaks = []
        for length in lengths:
            path = folder / f"{length}.mp4"
            if not path.exists():
                write_film(path, even(length), options={"g": "250"})
            command = [sys.executable, "-c", MEMORY, str(path), str(folder / "out.npz")]
            environment = {**os.environ, "PYTHONPATH": str(source)}
            peaks.append(int(subprocess.check_output(command, env=environment, stderr=subprocess.DEVNULL)) * 1024)
        growth = (peaks[-1] - peaks[0]) / (lengths[-1] - lengths[0])
        shown = ", ".join(f"{length:,}: {peak / 1e6:.0f} MB" for length, peak in zip(lengths, peaks, strict=True))
        print(f"{source}: frames {shown}; {growth / 1000:.1f} kB per frame")


def measure(folder: Path, options: argparse.Namespace) -> None:
    from signloom import layout
    from signloom.landmarks import Landmarks

    clips = [
        folder / "clips" / f"{number}{options.video.suffix if options.video else '.mp4'}"
        for number in range(options.clips)
    ]
    clips[0].parent.mkdir()
    if options.video is None:
        import waving

        if reason := waving.why_not():
            raise SystemExit(f"cannot make the video: {reason}; pass --video PATH")
        waving.write_video(clips[0], options.frames)
    else:
        shutil.copy(options.video, clips[0])
    for clip in clips[1:]:
        shutil.copy(clips[0], clip)

    def extract(workers: int) -> list[str]:
        shutil.rmtree(folder / "out", ignore_errors=True)
        return [
            *(sys.executable, "-m", "signloom.cli", "extract", str(folder / "clips")),
            *("--output", str(folder / "out"), "--workers", str(workers)),
        ]

    bare = [sys.executable, "-c", BARE_LOOP, str(folder / "bare.npy"), *map(str, clips)]
    labels = ["bare loop", "1 worker", "2 workers"]
    if options.against is not None:
        labels += ["1 worker, other version", "2 workers, other version"]
    rounds = []
    for number in range(options.repeats):
        rounds.append([timed(bare), timed(extract(1)), timed(extract(2))])
        if options.against is not None:
            rounds[-1] += [timed(extract(1), options.against), timed(extract(2), options.against)]
        load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"
        walls = " ".join(f"{wall:7.1f} s ({cpu:.1f} s CPU)" for wall, cpu in rounds[-1])
        print(f"repeat {number + 1}: {', '.join(labels)}: {walls}; load {load}", flush=True)
    outputs = list((folder / "out").rglob("*.npz"))
    num_frames = sum(len(Landmarks.load(path)) for path in outputs)
    first = Landmarks.load(outputs[0])
    found = ", ".join(f"{group} {first.present(group).mean():.0%}" for group in layout.GROUPS)

    def median(numerator: int, denominator: int, kind: int) -> float:
        return statistics.median(each[numerator][kind] / each[denominator][kind] for each in rounds)

    print(f"machine        {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(
        f"video          {first.image_size[0]}x{first.image_size[1]}, {len(clips)} clips, {num_frames} frames; {found}"
    )
    for kind, label in enumerate(labels):
        rates = [num_frames / each[kind][0] for each in rounds]
        print(
            f"{label:<25}{statistics.median(rates):6.1f} frames/s, with start-up ({min(rates):.1f} to {max(rates):.1f})"
        )
    print(
        f"1 worker / bare loop: {median(0, 1, 0):.2f} of its speed by wall clock, {median(0, 1, 1):.2f} by CPU seconds"
    )
    print(f"2 workers / 1 worker: {median(1, 2, 0):.2f} of its speed by wall clock")
    if options.against is not None:
        for kind, workers in ((1, "1 worker"), (2, "2 workers")):
            print(
                f"{workers} / other version: {median(kind + 2, kind, 0):.2f} of its speed by wall clock, "
                f"{median(kind + 2, kind, 1):.2f} by CPU seconds"
            )
    print(f"storage        {sum(path.stat().st_size for path in outputs) / num_frames:,.0f} bytes a frame")


if __name__ == "__main__":
    main()
