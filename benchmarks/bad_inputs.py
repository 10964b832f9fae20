"""Feeds bad inputs to the commands, and judges what they do: hundreds of forged, damaged and absurd files and options.

A command must refuse a bad input with exit status 1 or 2 and a message that names the place, or do as if the input were
good where it means the same. Faults are tracebacks, hangs, silent acceptance, another exit status, too much memory,
files that a failing command leaves or changes, a message without a place, control characters on the terminal, and code
that runs. signloom itself makes the good files that the bad ones come from.

Each case runs in a child of one warm process, or where needed in an interpreter of its own, with 60 s of CPU time
(scaled by the speed of the machine) and 3 GiB of memory. A process that waits for 10 s without using the CPU hangs.
With --output, results are kept as JSON lines, and a run that was stopped goes on.

Show one case: `python benchmarks/bad_inputs.py --only landmarks/meta/fps-nan --keep /tmp/case`.
"""

from __future__ import annotations

import fnmatch
import json
import os
import random
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter, deque
from importlib import import_module
from pathlib import Path
from typing import Any

import common

os.environ.setdefault("OMP_NUM_THREADS", "1")

from forging import doors
from forging.cases import Case
from forging.execute import Outcome, Running, calibrated
from forging.good import make
from forging.judge import FAULTS, judge

from signloom.console import progress_bar

CPU_SECONDS = 60.0
# Of the cases that a warm process can run, this share also gets an interpreter of its own.
IN_A_PROCESS = 0.04


class Harness:
    """Runs cases in folders below `work`; keeps what good inputs give, for comparison."""

    def __init__(self, work: Path, *, seed: int, workers: int, keep: Path | None) -> None:
        self.work, self.seed, self.workers, self.keep = work, seed, workers, keep
        self.good = work / "good"
        self.cpu_seconds = calibrated(CPU_SECONDS)
        self._good_results: dict[tuple[Any, ...], Outcome] = {}
        self._number = 0

    def start(self, case: Case, *, process: bool = False) -> Running:
        self._number += 1
        folder = self.work / "cases" / f"{self._number}"
        case.prepare(self.good, folder, self.seed)
        return Running(case, folder, cpu_seconds=self.cpu_seconds, process=process or case.process)

    def good_result(self, case: Case) -> Outcome:
        """Returns what the same command does with the good files."""
        key = (case.command, case.uses)
        if key not in self._good_results:
            running = self.start(Case("good", case.command, case.uses))
            while (outcome := running.poll()) is None:
                time.sleep(0.005)
            self._good_results[key] = outcome
            self._clear(running)
        return self._good_results[key]

    def record(self, running: Running, outcome: Outcome) -> dict[str, Any]:
        """Returns the result of a case, and removes its folder or moves it to `keep`."""
        case = running.case
        spoilt = case.compared and (case.plant is not None or case.environment or case.stdout in ("closed", "full"))
        faults = judge(case, outcome, (lambda: self.good_result(case)) if spoilt else None)
        if self.keep is not None:
            shutil.rmtree(self.keep, ignore_errors=True)
            shutil.move(running.folder, self.keep)
        self._clear(running)
        return {
            "id": case.id,
            "command": shlex.join(("signloom", *case.command)).encode("utf-8", "backslashreplace").decode(),
            "faults": faults,
            "expected": case.expected,
            "status": outcome.status,
            "seconds": round(outcome.seconds, 2),
            "cpu_seconds": round(outcome.cpu_seconds, 2),
            "peak_mib": outcome.peak_bytes // 2**20,
            "text": outcome.text[-1500:].encode("utf-8", "backslashreplace").decode(),
        }

    def _clear(self, running: Running) -> None:
        shutil.rmtree(running.folder, ignore_errors=True)
        for path in running.texts:
            path.unlink(missing_ok=True)


def main() -> int:
    parser = common.parser(__doc__)
    parser.add_argument("--only", nargs="*", default=["*"], metavar="ID", help="ids, their beginnings or patterns")
    parser.add_argument("--seed", type=int, default=0, help="of random bytes, and of the sample for own processes")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="cases at a time")
    parser.add_argument("--work", type=Path, help="folder for good files, kept; default: a new one, removed at the end")
    parser.add_argument("--keep", type=Path, help="keep the folder of the (last) case here")
    parser.add_argument("--light", action="store_true", help="leave out the cases that need a model")
    parser.add_argument("--list", action="store_true", help="list the cases and do nothing")
    options = parser.parse_args()
    cases = [case for case in doors.cases() if _chosen(case, options)]
    if options.list or not cases:
        print("\n".join(f"{case.id}: signloom {shlex.join(case.command)}" for case in cases) or "no such case")
        return 0 if cases else 2
    work = (options.work or Path(tempfile.mkdtemp(prefix="bad-inputs-"))).resolve()
    # Of the files that are imported now.
    commit = common.commit()
    try:
        _warm(heavy=any(case.heavy for case in cases))
        results = _results(cases, options, work, commit)
    finally:
        shutil.rmtree(work / "cases", ignore_errors=True)
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)
    return _summary(results, commit)


def _chosen(case: Case, options: Any) -> bool:
    wanted = any(case.id.startswith(only) or fnmatch.fnmatchcase(case.id, only) for only in options.only)
    return wanted and not (options.light and case.heavy)


def _warm(*, heavy: bool) -> None:
    """Imports what commands import, once: a child has it from the start."""
    import jsonargparse  # noqa: F401 - for the children

    from signloom import commands, importers

    names = [commands.module_of(name) for name in commands.COMMANDS if heavy or name not in commands.TRAINING]
    # What importers import late, with large libraries.
    names += ["pose_format", "pyarrow.parquet", "pympi", "av"]
    for name in [*names, *map(importers.module_of, importers.KINDS)]:
        try:
            import_module(name)
        except ImportError as error:
            print(f"note: {error}", file=sys.stderr)
    if heavy:
        import_module("signloom.train.fit")
        import_module("torch").set_num_threads(1)


def _results(cases: list[Case], options: Any, work: Path, commit: str) -> list[dict[str, Any]]:
    """Returns the results of all cases, read from --output where they are kept there."""
    key = {"commit": commit, "seed": options.seed}
    results = {}
    if options.output and options.output.exists():
        kept = [json.loads(line) for line in options.output.read_text(encoding="utf-8").splitlines()]
        results = {item["id"]: item for item in kept if {name: item.get(name) for name in key} == key}
    shutil.rmtree(work / "cases", ignore_errors=True)
    make(work / "good", heavy=any(case.heavy for case in cases))
    harness = Harness(work, seed=options.seed, workers=options.workers, keep=options.keep)
    todo = deque((case, False) for case in cases if case.id not in results)
    # Also in an interpreter of its own: what the warm process might hide.
    chooser = random.Random(options.seed)
    todo.extend(
        (case, True)
        for case in cases
        if not case.process and chooser.random() < IN_A_PROCESS and f"{case.id} (own process)" not in results
    )
    running: list[tuple[Running, bool]] = []
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
    progress = progress_bar()
    # Without the thread that draws: it could hold a lock at the moment of a fork, and the child would wait for ever.
    progress.live.auto_refresh = False
    with progress:
        task = progress.add_task("bad inputs", total=len(todo), unit="cases")
        while todo or running:
            while todo and len(running) < options.workers:
                case, process = todo.popleft()
                running.append((harness.start(case, process=process), process))
            for entry in list(running):
                outcome = entry[0].poll()
                if outcome is None:
                    continue
                running.remove(entry)
                result = harness.record(entry[0], outcome) | key
                if entry[1]:
                    result["id"] += " (own process)"
                results[result["id"]] = result
                progress.advance(task)
                progress.refresh()
                if options.output:
                    with options.output.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(result, ensure_ascii=False) + "\n")
            time.sleep(0.005)
    wanted = {case.id for case in cases}
    return [item for item in results.values() if item["id"].removesuffix(" (own process)") in wanted]


def _summary(results: list[dict[str, Any]], commit: str) -> int:
    """Prints the table and every fault; returns 1 if there are any."""
    kinds = sorted({item["id"].partition("/")[0] for item in results})
    rows = []
    for kind in [*kinds, "all"]:
        of_kind = [item for item in results if kind == "all" or item["id"].startswith(f"{kind}/")]
        faults = Counter(fault.partition(":")[0] for item in of_kind for fault in item["faults"])
        rows.append((kind, len(of_kind), *(faults[name] for name in FAULTS)))
    failed = [item for item in results if item["faults"]]
    for item in failed:
        print(f"{item['id']}: {item['command']}\n  {'; '.join(item['faults'])}")
    print("\n" + common.table(("door", "cases", *FAULTS), rows))
    print(f"\n{len(results)} cases, {len(failed)} with faults, commit {commit}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
