"""What simulated signing is worth as data: few real clips, with and without a student that has seen simulations first.

python benchmarks/pretraining.py --source traduttore_asl.npz

A student is trained on simulated signing (preset phoenix, --num_signs signs) once. Then, for each held-out group of the
source (see composed_asl.py), each number of clips a sign and each seed: --num_train utterances composed from that many
training clips of each sign and group, and two students trained on them alike, one from scratch, one started from the
simulated one (`train --init`). Both are scored on the utterances of the group that neither has seen.

Difference: the WER of scratch minus that of pre-trained, in points; its interval is a 95 % percentile bootstrap over
test utterances, each drawn together with all its runs. A run that is done is not done again: it lies in --work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import common
import numpy as np
from composed_asl import signs_corpus

from signloom.train.recipe import Recipe

RESAMPLES = 2000
SIDES = ("scratch", "pretrained")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--source", type=Path, required=True, help="the .npz packing")
    parser.add_argument("--work", type=Path, default=Path("runs/pretraining"), help="corpora, runs and results")
    parser.add_argument("--held_out", nargs="+", default=["dmohazab", "TheCamNelson"])
    parser.add_argument("--clips", type=int, nargs="+", default=[3, 6], help="training clips a sign and group")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of composing and training")
    parser.add_argument("--num_signs", type=int, default=150, help="signs of the simulated corpus")
    parser.add_argument("--num_simulated", type=int, default=2500, help="its training utterances")
    parser.add_argument("--simulated_epochs", type=int, default=10)
    parser.add_argument("--num_train", type=int, default=300, help="composed training utterances")
    parser.add_argument("--epochs", type=int, default=30, help="on the composed utterances, for both sides")
    parser.add_argument("--refit_statistics", action="store_true", help="as in `train`, for the started side")
    parser.add_argument("--learning_rate", type=float, default=Recipe.learning_rate, help="of the started side")
    options = parser.parse_args()
    simulated = pretrained(options)
    runs = []
    for group in options.held_out:
        for clips in options.clips:
            for seed in options.seeds:
                for side in SIDES:
                    runs.append(run_once(options, group, clips, seed, side, simulated))
                    last = runs[-1]
                    print(
                        f"{group} held out, {clips} clips, seed {seed}, {side}: unseen {last['wer']:.1%}, "
                        f"dev {last['dev_wer']:.1%}, {last['training_seconds']:.0f} s",
                        flush=True,
                    )
    results = {"runs": [{**run, "errors": None} for run in runs], "table": table(options, runs)}
    show(results["table"])
    common.finish(options, results)


def pretrained(options: Any) -> Path:
    """The run folder of the student trained on simulated signing, made if it is not there."""
    from signloom.corpus import Corpus
    from signloom.synth.corpus import synthesise
    from signloom.synth.options import SynthOptions
    from signloom.train.fit import fit

    run: Path = options.work / "simulated_student"
    if (run / "done").exists():
        return run
    folder = options.work / "simulated"
    if not (folder / "corpus.json").exists():
        # Every sign as often as any other, in sentences as long as those that are composed.
        simulation = SynthOptions(
            preset="phoenix",
            num_signs=options.num_signs,
            num_train=options.num_simulated,
            image_size="1280x720",
            grammar=0.0,
            zipf=0.0,
            pointing=0.0,
            repeats=0.0,
            rest_glosses=False,
            minimal_pairs=0.5,
        )
        synthesise(simulation, folder, num_workers=2, progress=None)
    corpus = Corpus.open(folder)
    result = fit(Recipe(data_dir=corpus.root, output=run, epochs=options.simulated_epochs, overwrite=True))
    print(f"simulated student: dev WER {result.best.dev_wer:.1%}, {result.seconds:.0f} s", flush=True)
    (run / "done").touch()
    return run


def run_once(options: Any, group: str, clips: int, seed: int, side: str, simulated: Path) -> dict[str, Any]:
    """The scores of one training run, taken from the work folder if they are there for these settings."""
    settings = {
        "held_out": group,
        "clips": clips,
        "seed": seed,
        "side": side,
        **{name: getattr(options, name) for name in ("num_train", "epochs", "num_signs", "num_simulated")},
    }
    name = f"{group}-{clips}-{seed}-{side}"
    start: dict[str, Any] = {}
    if side == "pretrained":
        varied = {"refit_statistics": options.refit_statistics, "learning_rate": options.learning_rate}
        settings |= varied
        start = {"init": simulated, **varied}
        name += f"-{options.learning_rate:g}" + ("-refitted" if options.refit_statistics else "")
    folder = options.work / "runs" / name

    def make() -> dict[str, Any]:
        corpus = composed(options, group, clips, seed)
        from signloom.inference.evaluate import evaluate
        from signloom.train.fit import fit

        trained = fit(
            Recipe(data_dir=corpus.root, output=folder, seed=seed, epochs=options.epochs, overwrite=True, **start)
        )
        score = evaluate(trained.model, corpus, "test")
        return {
            "wer": score.wer,
            "dev_wer": trained.history.best.dev_wer if trained.history.best else None,
            "training_seconds": trained.seconds,
            "protocol": score.protocol,
            "errors": {item.id: [item.errors, item.reference_words] for item in score.utterances},
        }

    return common.once(folder / "result.json", settings, make)


def composed(options: Any, group: str, clips: int, seed: int) -> Any:
    from signloom.compose import ComposeOptions, compose
    from signloom.corpus import Corpus

    output = options.work / "corpora" / f"{group}-{clips}-{seed}"
    if (output / "corpus.json").exists():
        return Corpus.open(output)
    recipe = ComposeOptions(held_out=[group], num_train=options.num_train, clips_per_gloss=clips, seed=seed)
    return compose(signs_corpus(options), output, recipe)


def table(options: Any, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each group and number of clips: both sides' mean WER and the difference with its interval."""
    rows = []
    for group in options.held_out:
        for clips in options.clips:
            chosen = [r for r in runs if (r["settings"]["held_out"], r["settings"]["clips"]) == (group, clips)]
            sides = {side: [run for run in chosen if run["settings"]["side"] == side] for side in SIDES}
            gains, words = [], []
            for seed in options.seeds:
                pair = [next(r for r in sides[side] if r["settings"]["seed"] == seed)["errors"] for side in SIDES]
                gains += [pair[0][name][0] - pair[1][name][0] for name in pair[0]]
                words += [pair[0][name][1] for name in pair[0]]
            drawn = np.random.default_rng(0).integers(len(words), size=(RESAMPLES, len(words)))
            ratios = np.array(gains)[drawn].sum(1) / np.array(words)[drawn].sum(1)
            row: dict[str, Any] = {side: float(np.mean([run["wer"] for run in sides[side]])) for side in SIDES}
            row |= {f"{side}_runs": [run["wer"] for run in sides[side]] for side in SIDES}
            row |= {"held_out": group, "clips": clips, "difference": sum(gains) / sum(words)}
            row["interval"] = [float(value) for value in np.quantile(ratios, [0.025, 0.975])]
            rows.append(row)
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    cells = [
        [
            row["held_out"],
            row["clips"],
            f"{row['scratch']:.1%}",
            f"{row['pretrained']:.1%}",
            f"**{100 * row['difference']:+.1f}**",
            f"{100 * row['interval'][0]:+.1f} to {100 * row['interval'][1]:+.1f}",
            ", ".join(f"{100 * (a - b):+.1f}" for a, b in zip(*(row[f"{s}_runs"] for s in SIDES), strict=True)),
        ]
        for row in rows
    ]
    head = ["held out", "clips a sign", "scratch", "simulation first", "gain, points", "95 % interval", "by seed"]
    print("\n" + common.table(head, cells))
    print("\nWER by the plain rule, greedy decoding, on utterances of the group that training did not have.")


if __name__ == "__main__":
    main()
