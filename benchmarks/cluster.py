"""`--backend ray`: bytes and clips after random kills, frames/s beside the local backend, and the scheduler alone.

kills: a cluster of three nodes of this machine, each with processes and an object store of its own, extracts short
clips cut from the videos in `--videos`. At random moments a process with a tracker, a whole node or the driver is
killed (SIGKILL); a dead node is replaced, a dead driver started again with the same command. Each round must end with
every clip done once, and with the bytes of the local backend.

speed: the local backend and a Ray of this machine extract the same clips with the same number of processes, in turn.

scheduler: clips that do not exist go through the scheduler to a stub in the place of the tracker, which does nothing.
This measures the scheduler and Ray, never extraction. Beside it a bare loop of Ray with as many calls in flight.

    python benchmarks/cluster.py kills --videos FOLDER --clips 200 --frames 10 --rounds 2 --kills 25
    python benchmarks/cluster.py speed --videos FOLDER --clips 60 --frames 10 --repeats 2
    python benchmarks/cluster.py scheduler --clips 100000
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import common

sys.path.insert(0, str(common.ROOT / "tests"))
import ray_nodes
from signloom.cluster.actor import Actor, Report
from signloom.cluster.connect import ray_cluster
from signloom.cluster.run import Cluster
from signloom.cluster.shared_folder import SharedFolder
from signloom.extract.clip_worker import ClipResult
from signloom.extract.sources import Clip

WIDTH = 320
WORKERS = 2


def cut_clips(videos: Path, folder: Path, count: int, frames: int) -> None:
    """Cuts short clips out of the videos of a folder, from starts that are spread over them."""
    import av

    paths = sorted(path for path in videos.iterdir() if path.suffix == ".mp4")
    folder.mkdir(parents=True)
    for place, path in enumerate(paths):
        with av.open(str(path)) as source:
            film = [frame.reformat(width=WIDTH, height=_height(frame)) for frame in source.decode(video=0)]
        mine = range(place, count, len(paths))
        for step, number in enumerate(mine):
            first = round(step * max(len(film) - frames, 0) / max(len(mine) - 1, 1))
            with av.open(str(folder / f"clip{number:03d}.mp4"), "w") as target:
                stream: Any = target.add_stream("libx264", rate=Fraction(30))
                stream.width, stream.height, stream.pix_fmt = WIDTH, _height(film[0]), "yuv420p"
                for position, frame in enumerate(film[first : first + frames]):
                    frame = frame.reformat(format="yuv420p")
                    frame.pts, frame.time_base = position, Fraction(1, 30)
                    target.mux(stream.encode(frame))
                target.mux(stream.encode(None))


def _height(frame: Any) -> int:
    return round(WIDTH * frame.height / frame.width / 2) * 2


def start(clips: Path, output: Path, log: Path, *words: str, environment: dict[str, str] | None = None) -> Any:
    command = [sys.executable, "-m", "signloom", "extract", str(clips), "--output", str(output), *words]
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            stdout=file,
            stderr=file,
            env={**os.environ, "PYTHONPATH": str(common.ROOT / "src"), **(environment or {})},
            start_new_session=True,
        )


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.npz")}


def kills(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    if not (folder / "clips").exists():
        cut_clips(options.videos, folder / "clips", options.clips, options.frames)
    if start(folder / "clips", folder / "local", folder / "local.log", "--workers", str(WORKERS)).wait():
        raise SystemExit((folder / "local.log").read_text())
    wanted = digests(folder / "local")
    print(f"local backend: {len(wanted)} clips", flush=True)
    rng = random.Random(options.seed)
    rounds = []
    with ray_nodes.cluster() as cluster:
        for _ in range(2):
            cluster.add()
            cluster.wait_for_all()
        for number in range(options.rounds):
            rounds.append(one_round(cluster, folder, f"round{number}", wanted, options.kills, rng))
            print(f"round {number}: {rounds[-1]}", flush=True)
    total = Counter[str]()
    for found in rounds:
        total.update(found["killed"])
    print(common.table(("killed", "times"), sorted(total.items())))
    print(f"{sum(total.values())} kills; rounds with a violation: {sum(bool(found['violations']) for found in rounds)}")
    return {"rounds": rounds, "killed": dict(total)}


def one_round(
    cluster: ray_nodes.Cluster, folder: Path, name: str, wanted: dict[str, str], count: int, rng: random.Random
) -> dict[str, Any]:
    """Extracts all clips, with kills at random moments; returns what was killed, and what is wrong with the result."""
    output, log = folder / name, folder / f"{name}.log"
    killed: Counter[str] = Counter()
    words = ("--backend", "ray", "--address", cluster.address)

    def driver() -> Any:
        return start(folder / "clips", output, log, *words, environment=cluster.environment)

    started = time.monotonic()
    process = driver()
    # At a random number of clips done, and then a random time later.
    for due in sorted(rng.uniform(0, 0.95) * len(wanted) for _ in range(count)):
        while process.poll() is None and len(list(output.glob("*.npz"))) < due:
            time.sleep(0.1)
        time.sleep(rng.uniform(0, 2))
        what = rng.choice(["actor", "actor", "node", "driver"])
        if process.poll() is not None:
            break
        if what == "actor" and cluster.kill_actor(rng.randrange(10**6)):
            killed["actor"] += 1
        elif what == "driver":
            process.kill()
            process.wait()
            process = driver()
            killed["driver"] += 1
        else:
            # Not the head: with it a cluster ends.
            cluster.nodes.pop(rng.randrange(1, len(cluster.nodes))).kill()
            cluster.add()
            killed["node"] += 1
        for node in cluster.nodes:
            node.has_started()
    status = process.wait()
    found = digests(output)
    violations = [] if status == 0 else [f"status {status}: {log.read_text()[-2000:]}"]
    violations += [f"{item}: lost" for item in sorted(wanted.keys() - found.keys())]
    violations += [f"{item}: nobody asked for it" for item in sorted(found.keys() - wanted.keys())]
    violations += [f"{item}: other bytes" for item in sorted(found) if found[item] != wanted.get(item, found[item])]
    left = sorted(path.name for path in output.iterdir() if path.suffix != ".npz" and path.name != ".signloom.lock")
    violations += [f"{item}: left behind" for item in left]
    if "Traceback" in log.read_text():
        violations.append(f"traceback: {log.read_text()[-2000:]}")
    return {"killed": dict(killed), "seconds": round(time.monotonic() - started, 1), "violations": violations}


def speed(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    cut_clips(options.videos, folder / "clips", options.clips, options.frames)
    runs: dict[str, list[tuple[float, float]]] = {"local": [], "ray": []}
    for _ in range(options.repeats):
        for backend in runs:
            shutil.rmtree(folder / "out", ignore_errors=True)
            log = folder / f"{backend}.log"
            log.unlink(missing_ok=True)
            words = ("--workers", str(WORKERS), "--backend", backend)
            if start(folder / "clips", folder / "out", log, *words).wait():
                raise SystemExit(log.read_text())
            runs[backend].append(_rates(log.read_text(), folder / "out"))
            print(f"{backend}: {runs[backend][-1][0]:.2f} frames/s, {runs[backend][-1][1]:.2f} from the first clip on")
    ratios = [(ray[0] / local[0], ray[1] / local[1]) for local, ray in zip(runs["local"], runs["ray"], strict=True)]
    print(
        common.table(
            ("Ray / local, in one run", "with the start", "from the first clip on"),
            [(number, f"{whole:.2f}", f"{steady:.2f}") for number, (whole, steady) in enumerate(ratios, 1)],
        )
    )
    return {"runs": runs, "ratios": ratios}


def _rates(log: str, output: Path) -> tuple[float, float]:
    """Returns frames/s of a run: as the command says, and between its first clip and its last."""
    told = re.search(r"in [\d.,]+ s: ([\d.,]+) frames/s", log)
    frames = re.search(r"frames     ([\d,]+)", log)
    if told is None or frames is None:
        raise SystemExit(log)
    times = sorted(path.stat().st_mtime for path in output.glob("*.npz"))
    share = (len(times) - 1) / len(times)
    return float(told[1].replace(",", "")), share * int(frames[1].replace(",", "")) / (times[-1] - times[0])


class StubWorker:
    """Does nothing, in the place of a worker with a tracker."""

    def prepare(self) -> None:
        return None

    def run(self, job: Clip, report: Report) -> Any:
        report(1, 1)
        return "done", ClipResult(job, "done", frames={"total": 1})


def scheduler(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    clips = [Clip(Path(f"/nowhere/{number:06d}.mp4"), f"{number:06d}") for number in range(options.clips)]
    memory: list[tuple[int, float]] = []
    done: Counter[int] = Counter()
    started = [0.0]

    def result(number: int, outcome: ClipResult) -> None:
        started[0] = started[0] or time.perf_counter()
        done[number] += 1
        if len(done) % max(options.clips // 10, 1) == 0:
            memory.append((len(done), round(_resident_mib(), 1)))
            print(f"{len(done):,} done, driver {memory[-1][1]} MiB", file=sys.stderr)

    def worker(_folder: SharedFolder) -> Any:
        return StubWorker()

    Cluster(None, WORKERS, lambda _: None, print).run(
        clips,
        folder,
        worker,
        purpose="benchmark",
        memory_bytes=10**8,
        units_of=lambda outcome: outcome.frames["total"],
        on_result=result,
        on_failure=lambda number, reason: print(f"clip {number}: {reason}"),
    )
    rate = options.clips / (time.perf_counter() - started[0])
    assert done == Counter(range(options.clips))
    bare = {depth: bare_loop(min(options.clips, 20_000), depth) for depth in (2, 32)}
    peak = common.peak_memory_mib()
    print(f"stub in the place of the tracker: {rate:,.0f} tasks/s; peak of the driver {peak:.0f} MiB")
    for depth, calls in bare.items():
        print(f"bare Ray, {depth} calls in flight per actor: {calls:,.0f} calls/s")
    return {"tasks_per_second": rate, "memory_mib": memory, "peak_mib": peak, "bare": bare}


def bare_loop(count: int, depth: int) -> float:
    """Returns the calls per second of Ray to as many actors that do nothing, with `depth` in flight at each."""
    with ray_cluster(None, WORKERS, "benchmark") as (ray, _):
        remote = ray.remote(num_cpus=1, concurrency_groups={"beside": 1})(Actor)
        actors = [remote.remote() for _ in range(WORKERS)]
        ray.get([actor.prepare.remote(ray.cloudpickle.dumps(StubWorker()), _versions()) for actor in actors])
        job = Clip(Path("/nowhere/0.mp4"), "0")
        in_flight = {actor.run.remote(job): actor for actor in actors for _ in range(depth)}
        started, given, ended = time.perf_counter(), len(in_flight), 0
        while in_flight:
            ray.wait(list(in_flight), num_returns=1)
            ready, _rest = ray.wait(list(in_flight), num_returns=len(in_flight), timeout=0)
            for reference, _answer in zip(ready, ray.get(ready), strict=True):
                actor = in_flight.pop(reference)
                ended += 1
                if given < count:
                    in_flight[actor.run.remote(job)] = actor
                    given += 1
        return ended / (time.perf_counter() - started)


def _versions() -> dict[str, str]:
    import signloom

    return {"signloom": signloom.__version__}


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    parser = common.parser(__doc__)
    parser.add_argument("part", choices=["kills", "speed", "scheduler"])
    parser.add_argument("--videos", type=Path, help="folder of .mp4 files to cut clips from (kills, speed)")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--frames", type=int, default=10, help="per clip")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--kills", type=int, default=25, help="per round")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="folder for clips and results, which stays; default: a temporary one")
    options = parser.parse_args(arguments)
    if reason := ray_nodes.why_not():
        raise SystemExit(f"no Ray cluster can be started: {reason}")
    if options.part != "scheduler" and options.videos is None:
        parser.error("--videos is needed")
    parts: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
        "kills": kills,
        "speed": speed,
        "scheduler": scheduler,
    }
    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        work = (options.work or Path(name)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        results = parts[options.part](work, options)
    common.finish(options, results)


if __name__ == "__main__":
    main()
