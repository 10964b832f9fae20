"""Shared by the benchmarks: options, the record of where a figure comes from, tables, processes that take turns.

Import it before torch: it puts the checkout's own `src` first on the path and sets how OpenMP waits.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
# As the command `signloom` does; read once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Options every benchmark has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--output", type=Path, help="write the figures and where they come from to this JSON file")
    return made


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table, its columns padded; all but the first are aligned to the right."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["| " + " | ".join(_padded(row, widths)) + " |" for row in cells]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([lines[0], "| " + " | ".join(rule) + " |", *lines[1:]])


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def finish(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Prints where the figures come from and writes them to `--output`."""
    origin = provenance()
    machine = origin["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items() if version)
    print(f"\ncommit {origin['commit']}, {origin['date']}, {machine['cpu']}, {machine['cores']} cores, {versions}")
    if options.output:
        settings = {name: value for name, value in vars(options).items() if name not in ("output", "worker")}
        record = {**origin, "settings": settings, "results": results}
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(record, indent=1, default=str) + "\n", encoding="utf-8")
        print(f"written: {options.output}")


def once(path: Path, settings: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` returns, with the settings and the commit; read from `path` where it was kept for these settings.

    So a benchmark of many runs goes on where it was stopped. Raises SystemExit for a result of other settings.
    """
    if path.exists():
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if result["settings"] == settings:
            return result
        raise SystemExit(
            f"{path}: made with other settings ({result['settings']}); needed {settings}. "
            "Give another --work or remove that folder"
        )
    made_by = commit()
    result = {"settings": settings, "commit": made_by, **make()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
    part.replace(path)
    return result


def run_signloom(arguments: Sequence[str], *, log: Path, checkout: Path = ROOT) -> float:
    """Runs a command of the signloom in a working tree, with one thread for BLAS, and returns its seconds.

    Its output is added to the file `log`. Ends this process if the command fails.
    """
    command = [sys.executable, "-m", "signloom.cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str((checkout / "src").resolve()), "OMP_NUM_THREADS": "1"}
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with log.open("a") as file:
        done = subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed; see {log}")
    return time.perf_counter() - started


def student_examples(folder: Path, **settings: Any) -> Any:
    """The training utterances of a corpus as augmented examples for the student.  settings: of `UtteranceDataset`."""
    from signloom.corpus import Corpus
    from signloom.model.presets import preset
    from signloom.train.augmentation import AugmentationConfig
    from signloom.train.data import UtteranceDataset
    from signloom.vocabulary import Vocabulary

    corpus = Corpus.open(folder)
    items = corpus.split("train")
    vocabulary = Vocabulary.from_glosses(item.glosses for item in items)
    view, fps = preset("student").view, preset("student").fps
    return UtteranceDataset(
        corpus, items, vocabulary, view=view, fps=fps, augmentation=AugmentationConfig(), **settings
    )


def provenance() -> dict[str, Any]:
    """Command, commit, date, machine and versions."""
    return {
        "command": " ".join(["python", *(str(word) for word in sys.argv)]),
        "commit": commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gib": _memory_gib(),
            "system": platform.platform(),
            "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        },
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in ("numpy", "torch")}},
    }


def commit() -> str:
    """Returns the commit of the checkout, and whether its files differ from it."""

    def git(*words: str) -> str:
        result = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
        return result.stdout.strip()

    changed = git("status", "--porcelain", "--", "src", "benchmarks")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with uncommitted changes" if changed else "")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far."""
    try:
        # Unlike getrusage, this does not start from what the parent process held.
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


class Worker:
    """This script in a process of its own, which answers each request with a measurement.

    Several of them asked in turn share whatever else the machine is doing, and each has its own peak of memory.
    """

    def __init__(self, script: str, settings: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, script, "--worker", json.dumps(settings, default=str)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: str = "measure") -> dict[str, Any]:
        """What the worker measured. Raises SystemExit when it died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SystemExit("a worker process ended early; see its message above") from None
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"a worker process ended with status {self._process.wait()}; see its message above")
        measured: dict[str, Any] = json.loads(answer)
        return measured

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


def serve(answer: Callable[[str], dict[str, Any]]) -> None:
    """The other end of `Worker`: answers requests until there are no more."""
    # What libraries print must not get between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), file=answers, flush=True)
