"""Whether `signloom doctor` names faults of landmarks, and leaves healthy corpora alone.

python benchmarks/data_faults.py --data ../shared/data

Every fault of `data_faults_planted.py` is planted in all of a corpus, in its dev split, in the clips of one signer and
in a fifth of its clips, as far as it can show there; corpora take turns. The doctor's data checks must name it: the
check that is meant for it fails or warns, in the words that are meant for it. The healthy corpora of
`data_faults_corpora.py` are examined as they are; a warning or failure counts unless it is one of `--known` (faults
that these corpora have, such as glosses that are not in train). A corpus that is done is not done again: its result
lies in --work.
"""

from __future__ import annotations

import re
import shutil
import time
from argparse import Namespace
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import common
import data_faults_corpora as corpora
import data_faults_planted as planted

# True of these corpora: glosses of dev that train lacks, clips in which nobody signs, repeated glosses.
KNOWN = ("data.unknown", "data.hands", "data.annotations", "data.missing")
# Corpora in which faults are planted, one of each kind in turn. The last have no face, or no direction of time.
BASES = ("simulated-phoenix-{}", "composed-all-{}", "simulated-easy-{}", "people-composed-{}", "composed-dmohazab-{}")
WITH_FACES = ("simulated-phoenix-{}", "people-composed-{}")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with asl_words and people")
    parser.add_argument("--work", type=Path, default=Path("runs/data_faults"), help="corpora and results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the planted faults")
    parser.add_argument("--known", nargs="*", default=list(KNOWN), help="checks that healthy corpora may fail")
    parser.add_argument("--only", default="", help="only faults whose name matches; - for healthy corpora only")
    options = parser.parse_args()
    makers = corpora.healthy(options.data, options.work)
    healthy = []
    for name, make in makers.items():
        root = corpora.made(options.work, name, make)
        healthy.append(one(options, name, root, None, "", 0))
        if loud := alarms(healthy[-1], options.known):
            print(f"FALSE ALARM {name}: {loud}", flush=True)
    faulty = []
    for seed in options.seeds:
        for number, fault in enumerate(planted.FAULTS):
            if options.only == "-" or not re.search(options.only, fault.name):
                continue
            for turn, where in enumerate(fault.where):
                bases = WITH_FACES if "face" in fault.name else BASES
                base = bases[(number + turn + seed) % len(bases)].format(seed % 3)
                root = corpora.made(options.work, base, makers[base])
                row = one(options, f"{fault.name} {where} {base} {seed}", root, fault, where, seed)
                faulty.append(row)
                print(
                    f"{'right' if row['named'] else 'MISSED'}: {fault.name}, {where} of {base}: {row['said']}",
                    flush=True,
                )
    show(options, healthy, faulty)
    common.finish(options, {"healthy": healthy, "faulty": faulty})


def one(
    options: Namespace, name: str, root: Path, fault: planted.Fault | None, where: str, seed: int
) -> dict[str, Any]:
    """What the data checks say of a corpus, healthy or with a fault."""
    settings = {"corpus": root.name, "fault": fault.name if fault else "", "where": where, "seed": seed}
    folder = options.work / "results" / re.sub(r"\W+", "-", name)

    def make() -> dict[str, Any]:
        from signloom.health.examine import examine
        from signloom.health.subject import find_subject

        at = root
        with corpora.quiet():
            if fault:
                at = planted.planted(root, folder / "corpus", fault, where, seed)
            started = time.process_time()
            diagnosis = examine(find_subject(str(at), None, 0), "data")
        seconds = time.process_time() - started
        loud = {finding.id: finding.headline for finding in diagnosis.findings if finding.needs_action}
        named = [
            f"{id}: {headline}"
            for id, headline in loud.items()
            if fault and id.startswith(fault.check) and re.search(fault.words, headline)
        ]
        shutil.rmtree(folder / "corpus", ignore_errors=True)
        return {
            "named": bool(named),
            "said": (named or [f"{id}: {headline}" for id, headline in loud.items()] or ["nothing"])[0],
            "loud": loud,
            "clips": sum(1 for _ in (root / "manifest.jsonl").open(encoding="utf-8")),
            "cpu_seconds": seconds,
        }

    return common.once(folder / "result.json", settings, make)


def alarms(row: dict[str, Any], known: list[str]) -> dict[str, str]:
    """The warnings and failures of a healthy corpus that are not known to be true."""
    return {id: headline for id, headline in row["loud"].items() if id not in known}


def show(options: Namespace, healthy: list[dict[str, Any]], faulty: list[dict[str, Any]]) -> None:
    """How often each fault was named, by where it was planted, and the two figures asked for."""
    table: dict[str, dict[str, Counter[bool]]] = defaultdict(lambda: defaultdict(Counter))
    for row in faulty:
        table[row["settings"]["fault"]][row["settings"]["where"]][row["named"]] += 1
    rows = [
        [name, *(f"{by[w][True]} of {by[w].total()}" if w in by else "" for w in planted.EVERYWHERE)]
        for name, by in table.items()
    ]
    print("\n" + common.table(["planted in", *planted.EVERYWHERE], rows))
    wrong = [row for row in healthy if alarms(row, options.known)]
    named = sum(row["named"] for row in faulty)
    print(f"\n{named} of {len(faulty)} planted faults named; {len(wrong)} of {len(healthy)} healthy corpora accused")
    clips = sum(row["clips"] for row in healthy)
    print(f"{1000 * sum(row['cpu_seconds'] for row in healthy) / max(1, clips):.1f} ms of processor time per clip")


if __name__ == "__main__":
    main()
