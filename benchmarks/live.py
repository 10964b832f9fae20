"""Live recognition from a video with both hands in view: frames per second, latency, the recogniser's share, memory.

python benchmarks/live.py --model MODEL [--video PATH] [--seconds 20] [--rounds 3] [--minutes 0] [--cores 2]

Without `--video` it makes its own: the waving astronaut of the tests at 30 frames per second, repeated. The process
keeps to so many cores as `--cores` says. A round is the pipeline of `signloom live` for some seconds, with captions in
files and, where there is a screen (`xvfb-run`), the window; and in turn with it a bare loop that decodes the same video
and runs Holistic as fast as it can, with nothing else: no program with this tracker is faster. On a busy machine the
ratio of the two counts, and CPU time, which waiting does not enter. The recogniser's work per second of signing does
not depend on the frame rate; its share of a frame's time is the same number. `--minutes` then runs the pipeline on, at
25 frames per second, and prints the memory of the process once a minute.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import common
import numpy as np

from signloom import layout
from signloom.extract.holistic import HolisticTracker, quiet_stderr
from signloom.extract.video import VideoReader
from signloom.files.growing import GrowingFile
from signloom.inference.model import Model, load
from signloom.inference.streaming import StreamingRecognizer
from signloom.live.caption_files import caption_files
from signloom.live.people import PeopleCounter
from signloom.live.pipeline import Pipeline
from signloom.live.screen import Screen
from signloom.live.session import Display, run_session
from signloom.live.video import VideoSource
from signloom.signals import SignalWatch

sys.path.insert(0, str(common.ROOT / "tests"))
import waving

# Of the bare loop, too: both begin with loaded models.
HANDS = [layout.GROUPS[f"{side}_hand"] for side in ("left", "right")]


def repeated(video: Path, path: Path, seconds: float) -> Path:
    """`path`, now the pictures of a video over and over for so long; nothing is decoded or encoded."""
    with av.open(str(path), "w") as long:
        stream, begin, end = None, 0, 0
        while stream is None or end * stream.time_base < seconds:
            with av.open(str(video)) as short:
                source = short.streams.video[0]
                stream = stream or long.add_stream_from_template(source)
                for packet in short.demux(source):
                    if packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + begin, packet.dts + begin, stream
                        end = max(end, packet.pts + packet.duration)
                        long.mux(packet)
            begin = end
    return path


class Timed:
    """Counts calls of a function, their seconds, and the CPU time of the calling thread in them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.calls, self.seconds, self.cpu = 0, 0.0, 0.0

    def __call__(self, *arguments: Any) -> Any:
        begin, cpu = time.monotonic(), time.thread_time()
        result = self.function(*arguments)
        self.calls, self.seconds, self.cpu = (
            self.calls + 1,
            self.seconds + time.monotonic() - begin,
            self.cpu + time.thread_time() - cpu,
        )
        return result


class Watch:
    """A display that ends the session after some time, and keeps what it saw."""

    def __init__(self, seconds: float, minute: Callable[[int], None] | None = None) -> None:
        self.is_closed = False
        self.begin, self.seconds, self.minute = time.monotonic(), seconds, minute
        self.minutes = 0
        self.both: list[bool] = []
        self.latencies: list[float] = []

    def update(self, tracked: Any, pipeline: Pipeline, notes: Any, figures: str) -> None:
        passed = time.monotonic() - self.begin
        self.is_closed = passed > self.seconds
        if tracked is not None and self.minute is None:
            self.latencies.append(time.monotonic() - tracked.frame.arrived)
            self.both.append(all(np.isfinite(tracked.points[hand, 0]).any() for hand in HANDS))
        if self.minute is not None and passed >= 60 * self.minutes:
            self.minute(self.minutes)
            self.minutes += 1


@dataclass(frozen=True)
class Round:
    """One run of the pipeline, and of the bare loop beside it."""

    fps: float
    bare_fps: float
    both_hands: float
    latency_ms: float
    tracker_ms: float
    cpu_ms: float
    bare_cpu_ms: float
    recogniser_share: float
    recogniser_cpu_share: float


def run_pipeline(model: Model, video: Path, watch: Watch) -> tuple[Pipeline, Timed, Timed]:
    recognizer = StreamingRecognizer(model)
    timed_push = Timed(recognizer.push)
    recognizer.push = timed_push  # type: ignore[method-assign]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(quiet_stderr())
        tracker = stack.enter_context(closing(HolisticTracker()))
        tracker.warm_up()
        timed = Timed(tracker)
        people = stack.enter_context(closing(PeopleCounter()))
        files = {name: stack.enter_context(closing(GrowingFile(folder / name))) for name in ("srt", "vtt", "json")}
        displays: list[Display] = [watch]
        if os.environ.get("DISPLAY"):
            displays.append(stack.enter_context(closing(Screen(mirrored=True))))
        pipeline = Pipeline(
            VideoSource(video), recognizer, timed, people, pause_seconds=1.0, files=caption_files(files, {})
        )
        watch.begin = time.monotonic()
        run_session(pipeline, displays, SignalWatch())
    return pipeline, timed, timed_push


def run_bare(video: Path, seconds: float) -> tuple[int, float]:
    """The number of frames, and the CPU time of the process for them."""
    count = 0
    with quiet_stderr(), closing(HolisticTracker()) as tracker:
        tracker.warm_up()
        begin, cpu = time.monotonic(), time.process_time()
        for picture in VideoReader(video).frames():
            tracker(np.ascontiguousarray(picture))
            count += 1
            if time.monotonic() - begin > seconds:
                break
        return count, time.process_time() - cpu


def measure(model: Model, video: Path, seconds: float) -> Round:
    watch = Watch(seconds)
    cpu = time.process_time()
    pipeline, tracker, push = run_pipeline(model, video, watch)
    cpu, frames = time.process_time() - cpu, pipeline.num_tracked
    passed = time.monotonic() - watch.begin
    bare_frames, bare_cpu = run_bare(video, seconds)
    return Round(
        frames / passed,
        bare_frames / seconds,
        float(np.mean(watch.both)),
        1000 * statistics.median(watch.latencies),
        1000 * tracker.seconds / frames,
        1000 * cpu / frames,
        1000 * bare_cpu / bare_frames,
        push.seconds / passed,
        push.cpu / passed,
    )


def resident_mb() -> float:
    """Memory of the process, from Linux's /proc."""
    fields = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in fields if line.startswith("VmRSS")) / 1024


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--video", type=Path, help="default: the tests' own waving astronaut")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=int, default=0)
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    model = load(options.model)
    with tempfile.TemporaryDirectory() as folder:
        fast = options.video or waving.write_video(Path(folder) / "fast.mp4", 240, fps=30.0)
        slow = options.video or waving.write_video(Path(folder) / "slow.mp4", 250)
        rounds: list[Round] = []
        if options.rounds:
            video = repeated(fast, Path(folder) / "round.mp4", options.seconds + 10)
            rounds = [measure(model, video, options.seconds) for _ in range(options.rounds)]
            show(rounds)
        memory: list[float] = []
        if options.minutes:
            video = repeated(slow, Path(folder) / "long.mp4", 60.0 * options.minutes + 10)
            memory = watch_memory(model, video, options.minutes)
    common.finish(options, {"rounds": [vars(each) for each in rounds], "memory_mb": memory})


def show(rounds: list[Round]) -> None:
    rows = [
        (
            number,
            f"{each.fps:.1f}",
            f"{each.bare_fps:.1f}",
            f"{each.fps / each.bare_fps:.2f}",
            f"{each.both_hands:.0%}",
            f"{each.latency_ms:.0f}",
            f"{each.tracker_ms:.0f}",
            f"{each.cpu_ms:.0f}",
            f"{each.bare_cpu_ms:.0f}",
            f"{each.recogniser_share:.1%}",
            f"{each.recogniser_cpu_share:.1%}",
        )
        for number, each in enumerate(rounds, 1)
    ]
    head = "round|frames/s|bare|ratio|both hands|latency ms|tracker ms|CPU ms|bare CPU ms|recogniser|its CPU"
    print(common.table(head.split("|"), rows))


def watch_memory(model: Model, video: Path, minutes: int) -> list[float]:
    """Megabytes at each minute of a long session."""
    memory: list[float] = []

    def minute(number: int) -> None:
        memory.append(round(resident_mb(), 1))
        print(f"minute {number}: {memory[-1]:.0f} MB", flush=True)

    pipeline, _, _ = run_pipeline(model, video, Watch(60.0 * minutes + 1, minute))
    print(f"{pipeline.num_tracked:,} frames, {pipeline.captions.num_glosses:,} glosses")
    return memory


if __name__ == "__main__":
    main()
