"""Kills commands at random moments, and fills the disk under them; then checks that nothing is lost, half or left.

After each kill: every file under its final name is whole; what was there before is whole, or what replaces it; the lock
is free; the inputs are unchanged. The same command (or --resume) then ends well, with the bytes of a run that nobody
disturbed, and leaves no temporary file. Before, each command runs twice undisturbed, and must give the same bytes.
Times, speeds, --resume and --overwrite are left out of comparisons, and so are logs: `TIMES` and `LOGS` in
killing/content.py name them.

Half of the kills come after a random time, half before a random change of a file or folder: an opening for writing, a
removal and, three times in four, a rename or what follows it. Half are SIGKILL, half SIGTERM. Each command is a fork of
this process, which has all imports; curves are not drawn. The full disk is a tmpfs, which only root can mount; without
that right it is skipped.

Results are JSON lines in `--results`; a run that was stopped goes on. `--only` takes names or parts of them. With
`--work FOLDER` the folders of trials with a violation are kept in FOLDER/violations.

    python benchmarks/kills.py --results kills.jsonl --kills 420 --seed 0
    python benchmarks/kills.py --results disk.jsonl --disk 10
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import common

os.environ.setdefault("OMP_NUM_THREADS", "1")

from killing.content import content, temporaries
from killing.execute import Kill, Outcome, run
from killing.scenarios import OUT, SCENARIOS, Scenario, make_base, why_not

from signloom.corpus import HEADER, Corpus
from signloom.errors import SignloomError
from signloom.files.locks import locked
from signloom.files.staging import settle
from signloom.run_folder import History, Run

PAGE = 4096
# A file of the old run that the new one does not have.
OLD_ONLY = Run.report_page.name


class Bench:
    """Runs trials of one scenario in folders below `work`."""

    def __init__(self, scenario: Scenario, work: Path, base: Path) -> None:
        self.scenario, self.work, self.base = scenario, work, base
        self.trial = work / "trial"
        self.place = self.trial / (scenario.copied[0] if scenario.copied else OUT)
        self.old: dict[str, str] = {}

    def words(self, text: str) -> list[str]:
        return text.replace("{base}", str(self.base)).split()

    def prepare(self) -> None:
        """Makes the folder of a trial: what the command finds there."""
        _emptied(self.trial)
        for name in self.scenario.copied:
            shutil.copytree(self.base / name, self.trial / name)
        if self.scenario.before:
            shutil.copytree(self.work / "before", self.trial / OUT)

    def undisturbed(self) -> list[str]:
        """Runs the command twice; keeps its result, duration and number of changes. Returns what differs."""
        if self.scenario.before:
            _emptied(self.trial)
            self.must_end_well(run(self.words(self.scenario.before), self.trial), 0)
            if self.scenario.kind == "run":
                # Of the old run only: it goes with it.
                (self.trial / OUT / OLD_ONLY).write_text("</html>")
            shutil.rmtree(self.work / "before", ignore_errors=True)
            (self.trial / OUT).rename(self.work / "before")
        results = []
        for _ in range(2):
            self.prepare()
            self.old = content(self.place) if self.place.exists() else {}
            outcome = run(self.words(self.scenario.arguments), self.trial)
            self.must_end_well(outcome, self.scenario.ends)
            results.append(content(self.place))
        self.new, self.seconds, self.changes = results[0], outcome.seconds, outcome.changes
        self.renames = outcome.renames
        return [f"{name}: differs between two undisturbed runs" for name in _different(*results)]

    def must_end_well(self, outcome: Outcome, status: int) -> None:
        if outcome.status != status:
            raise SystemExit(f"{self.scenario.name}: ended with {outcome.status} undisturbed:\n{outcome.text[-3000:]}")

    def killed(self, kill: Kill) -> tuple[Outcome, list[str]]:
        """Runs the command and kills it. Returns how it ended, and the violations."""
        self.prepare()
        outcome = run(self.words(self.scenario.arguments), self.trial, kill)
        return outcome, [*self._after(outcome), *self.finished()]

    def _after(self, outcome: Outcome) -> Iterator[str]:
        """Yields violations in what a killed command has left."""
        if any(word in outcome.text for word in ("Traceback", "unexpected", "LIVE ON")):
            yield f"said: {outcome.text[-500:]}"
        if not self.place.exists():
            return
        try:
            with locked(self.place):
                pass
            self._settle()
            found = content(self.place)
        except (SignloomError, ValueError) as error:
            yield f"after the kill: {error}"
            return
        # 128 + SIGTERM.
        yield from self._mixed(found, self.scenario.partial if outcome.status == 143 else ())

    def _settle(self) -> None:
        """Opens what is there, as any reader does."""
        for folder in [self.place, *(path for path in self.place.iterdir() if path.is_dir())]:
            settle(folder)
        if (self.place / HEADER).is_file():
            corpus = Corpus.open(self.place)
            for utterance in corpus:
                corpus.load(utterance)
        elif Run(self.place).is_run:
            Run.read(self.place)

    def _mixed(self, found: dict[str, str], partial: Sequence[str]) -> Iterator[str]:
        """Yields violations where neither the old nor the new is there as a whole; `partial` are written by a stop."""
        kind = self.scenario.kind
        if kind in ("files", "set"):
            odd = [name for name, value in found.items() if value not in (self.old.get(name), self.new.get(name))]
            yield from (
                f"{name} is neither the old nor the new" for name in odd if name not in ("align.json", *partial)
            )
            yield from (f"{name} is gone" for name in self.old if name not in found)
        elif kind == "corpus" and found not in (self.old, self.new, {}):
            yield f"neither the old corpus nor the new: {_different(found, self.new)}"
        elif kind == "run" and self.old and not self._is_new_run() and found != self.old:
            yield f"the old run has changed: {_different(found, self.old)}"
        elif kind == "run" and self.old and self._is_new_run() and OLD_ONLY in found:
            yield "the page of the old run is left"

    def _is_new_run(self) -> bool:
        return bool(Run.read(self.place).options.get("seed") == 1)

    def finished(self) -> Iterator[str]:
        """Runs the command again, or goes on with it; yields violations in the result."""
        words = self.words(self.scenario.arguments)
        run_there = Run(self.place)
        if self.scenario.kind == "run" and run_there.state_file.exists() and (not self.old or self._is_new_run()):
            words = [word for word in words if word != "--overwrite"] + ["--resume"]
        whole = self.scenario.kind == "corpus" and not self.old and (self.place / HEADER).exists()
        if not whole:
            outcome = run(words, self.trial)
            if outcome.status != self.scenario.ends:
                yield f"again: status {outcome.status}: {outcome.text[-600:]}"
                return
        try:
            found = content(self.place)
        except ValueError as error:
            yield f"again: {error}"
            return
        yield from (f"again: {name} differs from the undisturbed" for name in _different(found, self.new))
        if not whole and (left := temporaries(self.trial)):
            yield f"again: left {left}"

    def full(self, free: int) -> tuple[Outcome, list[str]]:
        """Runs the command on a disk with `free` bytes, then again with space. Returns how it ended, and violations."""
        _emptied(self.trial)
        _mount("size=1G", self.trial)
        try:
            self.prepare_mounted()
            used = sum(-(-path.stat().st_size // PAGE) * PAGE + PAGE for path in self.trial.rglob("*"))
            _mount(f"remount,size={used + free + 8 * PAGE}", self.trial)
            outcome = run(self.words(self.scenario.arguments), self.trial)
            violations = []
            if outcome.status and "space left" not in outcome.text and "truncated" not in outcome.text:
                violations.append(f"status {outcome.status} without the reason: {outcome.text[-600:]}")
            _mount("remount,size=1G", self.trial)
            violations += [*self._after(outcome), *self.finished()]
        finally:
            subprocess.run(["umount", "--lazy", str(self.trial)], check=True)
        return outcome, violations

    def prepare_mounted(self) -> None:
        for name in self.scenario.copied:
            shutil.copytree(self.base / name, self.trial / name)
        if self.scenario.before:
            shutil.copytree(self.work / "before", self.trial / OUT)


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _stamps(folder: Path) -> dict[str, tuple[int, ...]]:
    """Returns what any writing changes of each file below a folder."""
    found = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {str(path): (stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}


def _different(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _mount(options: str, folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, capture_output=True)


def can_mount(work: Path) -> str:
    """Returns why no tmpfs can be mounted; empty if one can."""
    folder = work / "mount"
    _emptied(folder)
    try:
        _mount("size=1M", folder)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no tmpfs can be mounted here ({error})"
    subprocess.run(["umount", str(folder)], check=True)
    return ""


def drawn(bench: Bench, number: int, seed: int) -> Kill:
    """Returns a kill at random: half at a change of a file, three of four of these at a rename; half after a time."""
    rng = random.Random(f"{seed} {bench.scenario.name} {number}")
    name = "SIGKILL" if number % 4 < 2 else "SIGTERM"
    if number % 2:
        return Kill(name, seconds=rng.uniform(0.0, 1.05) * bench.seconds)
    if bench.renames and number % 8 in (0, 2, 6):
        return Kill(name, change=min(bench.changes, rng.choice(bench.renames) + rng.randint(0, 1)))
    return Kill(name, change=rng.randint(1, bench.changes))


def share(scenario: Scenario, kills: int) -> int:
    """Returns the number of kills of a scenario, of so many in all."""
    return round(kills * scenario.share / sum(item.share for item in SCENARIOS if not why_not(item)))


def warm() -> None:
    """Imports what the commands of training need, and leaves curves undrawn."""
    import lightning  # noqa: F401

    import signloom.commands.crossval
    import signloom.commands.distill
    import signloom.commands.overfit
    import signloom.health.overfit.report
    import signloom.report
    import signloom.train.fit

    History.plot = lambda self, run: None  # type: ignore[method-assign]
    signloom.health.overfit.report.draw_overfit = lambda report, path: path.write_bytes(b"IEND\xaeB`\x82")


def main() -> int:
    parser = common.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True, help="JSON lines, one per trial; continued if it exists")
    parser.add_argument("--kills", type=int, default=420, help="number of kills in all, shared out among the commands")
    parser.add_argument(
        "--disk", type=int, default=0, help="instead of kills: number of sizes of a full disk, per command"
    )
    parser.add_argument("--only", nargs="*", default=[], help="only the commands with one of these in their name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="folder for the trials; default: a temporary one")
    options = parser.parse_args()
    if any(item.kind not in ("corpus", "files") for item in SCENARIOS if _chosen(item, options.only)):
        warm()
    work = options.work or Path(tempfile.mkdtemp(prefix="kills-"))
    work = work.resolve()

    def well(line: str) -> None:
        (work / "making").mkdir(parents=True, exist_ok=True)
        outcome = run(line.split(), work / "making")
        if outcome.status != 0:
            raise SystemExit(f"{line}: ended with {outcome.status}:\n{outcome.text[-3000:]}")

    chosen = [item for item in SCENARIOS if _chosen(item, options.only)]
    make_base(work / "base", well, [item for item in chosen if not why_not(item)])
    if options.disk and (reason := can_mount(work)):
        print(f"skipped: {reason}")
        return 0
    inputs = _stamps(work / "base")
    records = _known(options.results)
    for scenario in chosen:
        if reason := why_not(scenario):
            print(f"{scenario.name}: skipped: {reason}", flush=True)
            continue
        numbers = range(options.disk or share(scenario, options.kills))
        kind = "disk" if options.disk else "kill"
        keys = [f"{kind} {options.seed} {scenario.name} {number}" for number in numbers]
        if all(key in records for key in keys):
            continue
        bench = Bench(scenario, work / "trials" / scenario.name.replace(" ", "-"), work / "base")
        same = bench.undisturbed()
        records[f"same {scenario.name}"] = _note(
            options.results, {"key": f"same {scenario.name}", "scenario": scenario.name, "violations": same}
        )
        size = sum(path.stat().st_size + 2 * PAGE for path in bench.place.rglob("*"))
        for number, key in zip(numbers, keys, strict=True):
            if key in records:
                continue
            if options.disk:
                how: dict[str, Any] = {"free": int(1.1 * size * number / max(1, options.disk - 1))}
                outcome, violations = bench.full(how["free"])
            else:
                kill = drawn(bench, number, options.seed)
                how = asdict(kill)
                outcome, violations = bench.killed(kill)
            if _stamps(work / "base") != inputs:
                violations = [*violations, "inputs have changed"]
            record = {"key": key, "scenario": scenario.name, "kind": kind, "status": outcome.status, **how}
            records[key] = _note(options.results, {**record, "violations": violations})
            if violations and bench.trial.exists():
                shutil.copytree(bench.trial, work / "violations" / key.replace(" ", "-"), dirs_exist_ok=True)
            for violation in violations:
                print(f"VIOLATION {key} {how}: {violation}", flush=True)
        print(f"{scenario.name}: {len(numbers)} done", flush=True)
        shutil.rmtree(bench.trial, ignore_errors=True)
    return summary(options, list(records.values()))


def _chosen(scenario: Scenario, parts: list[str]) -> bool:
    return not parts or any(part in scenario.name for part in parts)


def _known(path: Path) -> dict[str, dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {record["key"]: record for record in map(json.loads, lines)}


def _note(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    return record


def summary(options: Any, records: list[dict[str, Any]]) -> int:
    """Prints a table of all results; returns 1 if there is a violation, else 0."""
    rows = []
    trials = [record for record in records if "kind" in record]
    for name in dict.fromkeys(record["scenario"] for record in trials):
        mine = [record for record in trials if record["scenario"] == name]
        ended = sum(record["status"] in (0, 1) for record in mine)
        rows.append([name, len(mine), len(mine) - ended, sum(bool(record["violations"]) for record in mine)])
    rows.append(["all", *(sum(row[column] for row in rows) for column in (1, 2, 3))])
    print(common.table(["command", "trials", "cut short", "with a violation"], rows))
    unlike = [record["scenario"] for record in records if "kind" not in record and record["violations"]]
    print(f"commands whose two undisturbed runs differ: {', '.join(unlike) or 'none'}")
    common.finish(options, {"rows": rows, "differ": unlike})
    return 1 if unlike or rows[-1][-1] else 0


if __name__ == "__main__":
    sys.exit(main())
