"""How long scoring takes, from files to counts, beside NIST's sclite on the same files.

With --references and --hypotheses (an stm and a ctm file, e.g. PHOENIX dev) those are scored as they are; a made set of
the same size (540 utterances of 3 to 18 glosses, one in four recognised wrongly) is always scored, and one of 50,000.
What is timed: reading, matching, cleaning, aligning and summing ("counts"); the bootstrap interval of the summary; the
whole command in a process of its own, imports included; sclite's own process writing its summary (.sys) for the same
files. The sides take turns; given is the fastest of the rounds, with the slowest.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import ROOT, finish, parser, table

from signloom.score.formats import read_hypotheses, read_references
from signloom.score.match_ids import match_ids
from signloom.score.wer import Score, score

VOCABULARY = 1000


def write_set(folder: Path, count: int, seed: int) -> tuple[Path, Path]:
    """References and hypotheses of `count` made utterances: glosses by Zipf's law, a quarter of them wrong."""
    rng = random.Random(seed)
    glosses = [f"GLOSS{number}" for number in range(VOCABULARY)]
    weights = [1 / (number + 1) for number in range(VOCABULARY)]
    stm, ctm = folder / f"{count}.stm", folder / f"{count}.ctm"
    with stm.open("w", encoding="utf-8") as references, ctm.open("w", encoding="utf-8") as hypotheses:
        for number in range(count):
            name = f"utterance-{number:06d}"
            words = rng.choices(glosses, weights, k=rng.randrange(3, 19))
            references.write(f"{name} 1 signer{number % 9} 0.0 1.79769e+308 {' '.join(words)}\n")
            found: list[str] = []
            for word in words:
                chance = rng.random()
                if chance >= 0.08:
                    found.append(word if chance >= 0.19 else rng.choice(glosses))
                if rng.random() < 0.06:
                    found.append(rng.choice(glosses))
            for at, word in enumerate(found or [words[0]]):
                hypotheses.write(f"{name} 1 {at / 100:.2f} 0.01 {word}\n")
    return stm, ctm


def sorted_copy(path: Path, folder: Path) -> Path:
    """The file with its lines in the order of their ids, without which sclite stops; not timed."""
    copy = folder / f"sorted-{path.name}"
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if not line.startswith(b";;")]
    copy.write_bytes(b"".join(sorted(lines, key=lambda line: line.split(maxsplit=1)[0])))
    return copy


def counted(stm: Path, ctm: Path, protocol: str) -> Score:
    paired = match_ids(read_references(stm), read_hypotheses(ctm))
    return score(paired.triples, protocol=protocol, signers=paired.signers)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(name: str, stm: Path, ctm: Path, protocol: str, options: argparse.Namespace, folder: Path) -> dict:
    command = [sys.executable, "-m", "signloom.cli", "score", str(stm), str(ctm), "--protocol", protocol]
    made = counted(stm, ctm, protocol)
    files = ["-r", str(sorted_copy(stm, folder)), "stm", "-h", str(sorted_copy(ctm, folder)), "ctm"]
    sclite = [options.sclite, *files, "-o", "sum", "stdout"]
    sides: dict[str, Callable[[], object]] = {
        "counts": lambda: counted(stm, ctm, protocol),
        "interval": lambda: made.interval(),
        "command": lambda: subprocess.run(command, check=True, capture_output=True, cwd=ROOT / "src"),
    }
    if Path(options.sclite).exists():
        sides["sclite"] = lambda: subprocess.run(sclite, check=True, capture_output=True)
    else:
        print(f"{options.sclite} is not there; sclite is left out", file=sys.stderr)
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side, run in sides.items():
            times[side].append(seconds(run))
    return {
        "set": name,
        "utterances": len(made.utterances),
        "words": made.reference_words,
        "protocol": protocol,
        "wer": made.wer,
        "seconds": {side: {"fastest": min(found), "slowest": max(found)} for side, found in times.items()},
    }


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--references", type=Path, help="an stm file")
    made.add_argument("--hypotheses", type=Path, help="a ctm file")
    made.add_argument("--protocol", default="phoenix2014", help="rule of these two files")
    made.add_argument("--sclite", default="/usr/lib/sctk/bin/sclite", help="where Debian's package sctk puts it")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--large", type=int, default=50_000, help="utterances of the large made set")
    options = made.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.references and options.hypotheses:
            results.append(
                measure(
                    options.references.name, options.references, options.hypotheses, options.protocol, options, folder
                )
            )
        for count in (540, options.large):
            stm, ctm = write_set(folder, count, seed=0)
            results.append(measure(f"made, {count:,}", stm, ctm, "phoenix2014", options, folder))
    sides = ("counts", "interval", "command", "sclite")
    rows = []
    for result in results:
        times = result["seconds"]
        cells = [f"{times[s]['fastest']:.3f} to {times[s]['slowest']:.3f}" if s in times else "-" for s in sides]
        rows.append([result["set"], f"{result['utterances']:,}", f"{result['words']:,}", *cells])
    print(table(["seconds", "utterances", "glosses", "counts", "interval", "whole command", "sclite"], rows))
    finish(options, {"sets": results})


if __name__ == "__main__":
    main()
