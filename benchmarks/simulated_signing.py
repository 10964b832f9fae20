"""How hard simulated signing is: nearest neighbours on isolated signs, a trained student, and what gets confused.

python benchmarks/simulated_signing.py [--presets clean easy phoenix hard]

For each preset a corpus of --num_signs signs, 10 signers of whom 2 sign only the test split. On isolated signs of those
two, cut at their true boundaries: the nearest neighbour by the mean pose and by DTW (see `signloom/baseline.py`). On
whole utterances, whose boundaries it is not told: a student trained for --epochs epochs.

Minimal pairs: of all substitutions, the share whose two signs differ in one parameter of the hands, against the share
that would come of giving any other sign of the corpus with equal chances.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import common


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/simulated_signing"), help="corpora and runs")
    parser.add_argument("--presets", nargs="+", default=["clean", "easy", "phoenix", "hard"])
    parser.add_argument("--corpus", type=Path, help="measure on this simulated corpus instead of making some")
    parser.add_argument("--num_signs", type=int, default=200)
    parser.add_argument("--num_train", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    results = {}
    for preset in [options.corpus.name] if options.corpus else options.presets:
        results[preset] = measure(options, preset)
        show(results)
    common.finish(options, results)


def measure(options: Any, preset: str) -> dict[str, Any]:
    from signloom.corpus import Corpus
    from signloom.inference.evaluate import evaluate
    from signloom.synth.baseline import nearest_neighbour
    from signloom.synth.corpus import synthesise
    from signloom.synth.options import SynthOptions
    from signloom.train.fit import fit
    from signloom.train.recipe import Recipe

    if options.corpus:
        corpus = Corpus.open(options.corpus)
    else:
        simulation = SynthOptions(
            preset=preset,
            num_signs=options.num_signs,
            num_signers=10,
            num_train=options.num_train,
            num_test=200,
            seed=options.seed,
        )
        corpus = synthesise(simulation, options.work / preset / "corpus", num_workers=2, overwrite=True)
    pairs = {frozenset(pair[:2]) for pair in corpus.info["confusability"]["minimal_pairs"]}
    glosses = [sign["gloss"] for sign in corpus.info["lexicon"]]
    row: dict[str, Any] = {
        "minimal_pairs_by_chance": 2 * len(pairs) / (len(glosses) * (len(glosses) - 1)),
        "frames_a_gloss": sum(u.num_frames for u in corpus) / sum(len(u.glosses) for u in corpus),
    }
    for method in ("mean_pose", "dtw"):
        found = nearest_neighbour(corpus, method=method, max_queries=None)
        row[method] = {"error": found.error_rate, "interval": found.error_interval, "signs": found.num_queries}
        row[method]["minimal_pairs"] = share(pairs, {(a, b): count for a, b, count in found.confusions})
    trained = fit(
        Recipe(data_dir=corpus.root, output=options.work / preset / "run", epochs=options.epochs, overwrite=True)
    )
    score = evaluate(trained.model, corpus, "test")
    interval = score.interval()
    confused: dict[tuple[str, str], int] = {}
    for utterance in score.utterances:
        for op in utterance.alignment.ops:
            if op.kind == "S":
                key = (str(op.reference), str(op.hypothesis))
                confused[key] = confused.get(key, 0) + 1
    row["student"] = {
        "wer": score.wer,
        "interval": (interval.low, interval.high),
        "seconds": trained.seconds,
        "substitutions": score.substitutions,
        "deletions": score.deletions,
        "insertions": score.insertions,
        "minimal_pairs": share(pairs, confused),
        "protocol": score.protocol,
    }
    return row


def share(pairs: set[frozenset[str]], confusions: dict[tuple[str, str], int]) -> float | None:
    """The share of confusions that are between minimal pairs; None without any confusion."""
    total = sum(confusions.values())
    return sum(count for pair, count in confusions.items() if frozenset(pair) in pairs) / total if total else None


def show(results: dict[str, Any]) -> None:
    def percent(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    rows = []
    for preset, row in results.items():
        student = row["student"]
        rows.append(
            [
                preset,
                percent(row["mean_pose"]["error"]),
                percent(row["dtw"]["error"]),
                f"**{percent(student['wer'])}**",
                f"{percent(student['interval'][0])} to {percent(student['interval'][1])}",
                percent(row["minimal_pairs_by_chance"]),
                percent(row["dtw"]["minimal_pairs"]),
                percent(student["minimal_pairs"]),
                f"{row['frames_a_gloss']:.1f}",
                f"{student['seconds']:.0f}",
            ]
        )
    head = ["preset", "mean pose", "DTW", "student's WER", "95 % interval"]
    head += ["minimal pairs by chance", "of DTW's errors", "of the student's substitutions", "frames a gloss"]
    print("\n" + common.table([*head, "s of training"], rows), flush=True)


if __name__ == "__main__":
    main()
