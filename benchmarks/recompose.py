"""What new sentences give that are made of a corpus' own signs, and whether the cuts that they are made of are right.

python benchmarks/recompose.py [--source traduttore_asl.npz]

Simulated: preset phoenix, 50 signs, 200 training sentences of 5 signers, 2 others in test; a corpus per seed. With
--source, also real signs composed to 100 training sentences, one group of signers unseen; they are taken as given
sentences. For each corpus: a student trained on it (`alone`) aligns its training sentences; a second student with the
same seed is trained for as many steps on the corpus with 2 new sentences per training sentence (`recomposed`). Both
keep the epoch with the lowest WER on dev, and are scored on test with a beam of 10 and no language model.

Cuts: distance of their starts and ends to the true ones in frames at 25 a second, and the share that does not touch its
sign, for trusted and other cuts; by the finished run and by one that was stopped early. Then every fifth sentence gets
a wrong annotation (a gloss replaced, left out or added, or the sentence of another clip): of the cuts that show another
sign than their gloss, and of the others in these sentences, how many are trusted?

A run that is done is not done again: its result lies in --work. Interval: 95 % percentile bootstrap of the difference
over test utterances.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import common
import numpy as np

FPS = 25.0
SIMULATED: dict[str, Any] = {
    "preset": "phoenix",
    "num_signs": 50,
    "num_signers": 7,
    "num_train": 200,
    "num_dev": 60,
    "num_test": 150,
}
COMPOSED = {"num_train": 100, "num_dev": 60, "num_test": 150}
RESAMPLES = 2000


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--source", type=Path, help="the .npz packing of isolated real signs")
    parser.add_argument("--work", type=Path, default=Path("runs/recompose"), help="corpora, runs and results")
    parser.add_argument("--seeds", type=int, nargs="*", default=[21, 22, 23], help="simulated corpora and their runs")
    parser.add_argument("--held_out", nargs="+", default=["dmohazab", "TheCamNelson"])
    parser.add_argument("--steps", type=int, default=700, help="of each training on simulated sentences")
    parser.add_argument("--composed_steps", type=int, default=400, help="of each training on composed ones")
    parser.add_argument("--early_steps", type=int, default=200, help="of the run that is stopped early")
    options = parser.parse_args()
    corpora = {f"simulated-{seed}": seed for seed in options.seeds}
    corpora |= {f"composed-{group}": 0 for group in options.held_out} if options.source else {}
    results = {name: measure(options, name, seed) for name, seed in corpora.items()}
    show(results)
    common.finish(options, results)


def measure(options: Any, name: str, seed: int) -> dict[str, Any]:
    """Both runs on one corpus, and the cuts between them."""
    from signloom.inference.model import load
    from signloom.recompose import recompose

    corpus = corpus_of(options, name, seed)
    steps = options.steps if name.startswith("simulated") else options.composed_steps
    alone = trained(options, corpus, f"{name}-alone", seed, steps)
    model = load(options.work / "runs" / f"{name}-alone")
    output = options.work / "corpora" / f"{name}-recomposed"
    made = opened(output) or recompose(corpus, output, model).corpus
    recomposed = trained(options, made, f"{name}-recomposed", seed, steps)
    result = {"alone": alone, "recomposed": recomposed, "new": made.info["recomposed"]}
    print(f"{name}: alone {alone['test']['wer']:.1%}, recomposed {recomposed['test']['wer']:.1%}", flush=True)
    if name.startswith("simulated"):
        early = f"{name}-early"
        trained(options, corpus, early, seed, options.early_steps)
        result["cuts"] = {
            "finished": cut_errors(model, corpus),
            "early": cut_errors(load(options.work / "runs" / early), corpus),
        }
        result["wrong"] = wrong_annotations(model, corpus)
    return result


def opened(root: Path) -> Any:
    """The corpus in a folder, or None if none was finished there."""
    from signloom.corpus import Corpus

    return Corpus.open(root) if (root / "corpus.json").exists() else None


def corpus_of(options: Any, name: str, seed: int) -> Any:
    """A corpus of sentences, made if it is not there."""
    output = options.work / "corpora" / name
    if corpus := opened(output):
        return corpus
    if name.startswith("simulated"):
        from signloom.synth.corpus import synthesise
        from signloom.synth.options import SynthOptions

        return synthesise(SynthOptions(seed=seed, **SIMULATED), output)
    from signloom.compose import ComposeOptions, compose
    from signloom.importers import holistic

    signs = options.work / "corpora" / "signs"
    if not opened(signs):
        holistic.run(holistic.Options(sources=[options.source], output=signs))
    group = name.removeprefix("composed-")
    return compose(opened(signs), output, ComposeOptions(held_out=[group], seed=seed, **COMPOSED))


def trained(options: Any, corpus: Any, name: str, seed: int, steps: int) -> dict[str, Any]:
    """The scores of a run, taken from the work folder if they are there for these settings."""
    from signloom.inference.evaluate import evaluate
    from signloom.train.fit import fit
    from signloom.train.recipe import Recipe

    folder = options.work / "runs" / name
    num_train = len(corpus.split("train"))

    def make() -> dict[str, Any]:
        epochs = -(-steps // (num_train // 16)) + 1
        run = fit(Recipe(corpus.root, output=folder, seed=seed, epochs=epochs, max_steps=steps, overwrite=True))
        return {
            "dev": evaluate(run.model, corpus, "dev").to_json(utterances=False),
            "test": evaluate(run.model, corpus, "test").to_json(),
            "training_seconds": run.seconds,
            "epochs": len(run.history.epochs),
            "best_epoch": run.history.best_epoch,
        }

    settings = {"corpus": name, "num_train": num_train, "seed": seed, "steps": steps}
    return common.once(folder / "result.json", settings, make)


def cut_errors(model: Any, corpus: Any) -> dict[str, Any]:
    """How far cuts lie from the truth, trusted ones and others."""
    from signloom.recompose import cut_sentences

    items = {item.id: item for item in corpus.split("train")}
    groups: dict[str, list[tuple[float, float, bool]]] = {"trusted": [], "other": []}
    for cut in cut_sentences(model, corpus, list(items.values())).cuts:
        item = items[cut.utterance]
        start, end = np.array(item.truth["boundaries"][cut.position]) / item.fps
        apart = cut.end_seconds <= start or cut.start_seconds >= end
        errors = (FPS * abs(cut.start_seconds - start), FPS * abs(cut.end_seconds - end), apart)
        groups["other" if cut.doubt else "trusted"].append(errors)
    return {
        name: {
            "cuts": len(rows),
            "median": float(np.median([row[:2] for row in rows])) if rows else None,
            "p90": float(np.quantile([row[:2] for row in rows], 0.9)) if rows else None,
            "apart": float(np.mean([row[2] for row in rows])) if rows else None,
        }
        for name, rows in groups.items()
    }


def wrong_annotations(model: Any, corpus: Any) -> dict[str, int]:
    """Cuts of wrongly annotated sentences: how many show their gloss and how many another, and which are trusted."""
    from signloom.recompose import cut_sentences

    train = corpus.split("train")
    rng = np.random.default_rng(0)
    given = []
    for number, item in enumerate(train):
        glosses, other = list(item.glosses), train[(number + len(train) // 2) % len(train)].glosses
        place = int(rng.integers(len(glosses)))
        if number % 20 == 0:
            glosses = list(other)
        elif number % 20 == 5:
            glosses[place] = other[len(other) // 2]
        elif number % 20 == 10:
            glosses.insert(place, other[len(other) // 2])
        elif number % 20 == 15 and len(glosses) > 1:
            del glosses[place]
        given.append(replace(item, glosses=tuple(glosses)))
    wrong = {one.id: one for one, new in zip(train, given, strict=True) if one.glosses != new.glosses}
    counts: Counter[str] = Counter()
    for cut in cut_sentences(model, corpus, given).cuts:
        if item := wrong.get(cut.utterance):
            bounds = np.array(item.truth["boundaries"]) / item.fps
            shared = np.minimum(bounds[:, 1], cut.end_seconds) - np.maximum(bounds[:, 0], cut.start_seconds)
            kind = "right" if item.glosses[int(shared.argmax())] == cut.gloss else "wrong"
            counts[kind] += 1
            counts[f"{kind}, trusted"] += not cut.doubt
    return dict(counts)


def difference(alone: dict[str, Any], recomposed: dict[str, Any]) -> tuple[float, float, float]:
    """WER of the second less that of the first, and the interval of this difference."""
    rows = []
    for one, two in zip(alone["test"]["utterances"], recomposed["test"]["utterances"], strict=True):
        wrong = [item["substitutions"] + item["deletions"] + item["insertions"] for item in (one, two)]
        rows.append((wrong[1] - wrong[0], len(one["reference"])))
    values = np.array(rows)
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    sums = values[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return values[:, 0].sum() / values[:, 1].sum(), float(low), float(high)


def show(results: dict[str, Any]) -> None:
    rows = []
    for name, row in results.items():
        alone, recomposed = row["alone"], row["recomposed"]
        mean, low, high = difference(alone, recomposed)
        rows.append(
            [
                *(name, row["alone"]["settings"]["num_train"], f"{row['new']['trusted'] / row['new']['cuts']:.0%}"),
                *(f"{side['test']['wer']:.1%}" for side in (alone, recomposed)),
                *(f"{100 * mean:+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}"),
                *(f"{side['dev']['wer']:.1%}" for side in (alone, recomposed)),
                *(f"{side['training_seconds']:.0f}" for side in (alone, recomposed)),
            ]
        )
    head = ["corpus", "sentences", "cuts trusted", "alone", "recomposed", "points", "95 % interval"]
    print("\n" + common.table([*head, "dev: alone", "recomposed", "seconds: alone", "recomposed"], rows))
    rows = [
        [f"{name}, {run}", kind, one["cuts"]]
        + ([f"{one['median']:.1f}", f"{one['p90']:.1f}", f"{one['apart']:.1%}"] if one["cuts"] else ["-"] * 3)
        for name, row in results.items()
        for run, found in row.get("cuts", {}).items()
        for kind, one in found.items()
    ]
    print("\n" + common.table(["run", "cuts", "number", "median error", "90 %", "not at the sign"], rows))
    for name, row in results.items():
        if "wrong" in row:
            print(f"{name}, wrong annotations, cuts: {row['wrong']}")


if __name__ == "__main__":
    main()
