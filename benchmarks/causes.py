"""Whether `signloom doctor` names what is wrong with a run: planted causes against named ones.

python benchmarks/causes.py --source traduttore_asl.npz

Ten causes, each planted in one run for each of two corpora (simulated signing; isolated clips of --source composed to
sentences) and each of --seeds, in one of several ways; and sixteen healthy recipes for each corpus and each of
--healthy_seeds. A run is a small model, trained for some seconds; then the doctor is asked what it names first.
What is faulty in the code (a pooling, a second normalisation) is so in training and when the doctor looks. Corpora and
lexicon are drawn anew for each seed. A run that is done is not done again: its result lies in --work.
"""

from __future__ import annotations

import shutil
import time
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any

import causes_planted as planted
import common

# Without augmentation, and with batches of four, a small model learns these corpora in some hundred steps.
BASE: dict[str, Any] = {
    "preset": "small_student",
    "learning_rate": 1e-3,
    "augment": False,
    "consistency": 0.0,
    "auxiliary_head": False,
    "batch_size": 4,
    "epochs": 16,
}
HEALTHY: dict[str, dict[str, Any]] = {
    "as the faulty ones": {},
    "four epochs": {"epochs": 4},
    "two epochs": {"epochs": 2},
    "a low rate": {"learning_rate": 1e-4},
    "a high rate": {"learning_rate": 2e-3},
    "teacher": {"preset": "small_teacher"},
    "teacher, augmented": {"preset": "small_teacher", "augment": True, "epochs": 8},
    "dropout 0.4": {"dropout": 0.4},
    "no dropout": {"dropout": 0.0, "weight_decay": 0.0},
    "augmented": {"augment": True, "epochs": 10},
    "twenty utterances": {"num_train_samples": 20, "epochs": 30},
    "plain schedule": {"schedule": "plain", "warmup_epochs": 2.0},
    "cosine schedule, batch 8": {"schedule": "cosine", "learning_rate": 3e-3, "batch_size": 8},
    "cosine classifier, two heads": {"classifier": "cosine", "auxiliary_head": True},
    "two views": {"consistency": 2.0, "augment": True, "epochs": 8},
    "frame rate, shared hands": {"frame_rate": True, "share_hands": True, "epochs": 10},
}

# Findings whose figures are kept, for thresholds.
KEPT = (
    *("data.normalised", "data.pairing", "run.diverging", "run.stuck", "run.uniform", "run.blank", "run.names"),
    *("run.annotations", "run.signers", "run.scores", "run.one_gloss", "run.vocabulary", "run.glosses"),
    *("architecture.time", "architecture.attention", "compatibility.methods"),
)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--source", type=Path, required=True, help="the .npz packing of isolated clips")
    parser.add_argument("--work", type=Path, default=Path("runs/causes"), help="corpora and results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the faulty runs")
    parser.add_argument("--healthy_seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", default=[], help="runs whose name begins with one of these")
    options = parser.parse_args()
    jobs = [
        (kind, seed, cause, None)
        for seed in options.seeds
        for kind in ("simulated", "composed")
        for cause in planted.CAUSES
    ]
    jobs += [
        (kind, seed, "", name)
        for seed in options.healthy_seeds
        for kind in ("simulated", "composed")
        for name in HEALTHY
    ]
    results = []
    for job in jobs:
        name = "-".join([job[2] or "healthy", job[0], str(job[1]), *([job[3].replace(" ", "_")] if job[3] else [])])
        if options.only and not name.startswith(tuple(options.only)):
            continue
        results.append(one(options, name, *job))
        last = results[-1]
        right = "right" if last["named"] == last["settings"]["planted"] else "WRONG"
        print(
            f"{right} {name} ({last['way']}): named {last['named'] or 'none'}; WER on dev {last['dev_wer']}, "
            f"{last['seconds']:.0f} s, doctor {last['doctor_seconds']:.0f} s",
            flush=True,
        )
    show(results)
    common.finish(options, {"runs": results})


def one(options: Namespace, name: str, kind: str, seed: int, cause: str, recipe: str | None) -> dict[str, Any]:
    """One run and what the doctor says of it."""
    settings = {"source": options.source.name, "kind": kind, "seed": seed, "planted": cause, "recipe": recipe}
    folder = options.work / "runs" / name

    def make() -> dict[str, Any]:
        root = corpus(options, kind, seed)
        run = folder / "run"
        # Ways take turns, the second corpus beginning half-way.
        turn = 2 * seed + (kind == "composed")
        started, process = time.perf_counter(), time.process_time()
        fault = planted.CAUSES[cause](turn) if cause else planted.Fault("healthy", {})
        said = _trained_and_asked(root, run, BASE | (HEALTHY[recipe] if recipe else {}), fault, seed, bool(recipe))
        shutil.rmtree(folder, ignore_errors=True)
        seconds = time.perf_counter() - started
        return {"way": fault.way, "seconds": seconds, "cpu_seconds": time.process_time() - process, **said}

    return common.once(folder / "result.json", settings, make)


def _trained_and_asked(
    root: Path, run: Path, recipe: dict[str, Any], fault: planted.Fault, seed: int, healthy: bool
) -> dict[str, Any]:
    import torch

    from signloom.corpus import Corpus
    from signloom.errors import SignloomError
    from signloom.health.examine import examine
    from signloom.health.subject import find_subject
    from signloom.inference.evaluate import evaluate
    from signloom.report.evaluation import write_evaluation
    from signloom.run_folder import Run
    from signloom.train.fit import fit
    from signloom.train.recipe import Recipe

    torch.set_num_threads(1)
    planted.add_presets()
    root = fault.corpus(root, run.parent / "corpus")
    wer: float | str = "-"
    with planted.quiet(), fault.in_training(), fault.in_code():
        try:
            result = fit(Recipe(data_dir=root, output=run, seed=seed, overwrite=True, **(recipe | fault.options)))
            wer = round(result.best.dev_wer, 3)
            if healthy:
                found = evaluate(result.model, Corpus.open(root), "test")
                write_evaluation(
                    Run(run),
                    found,
                    model_path=run,
                    corpus=Corpus.open(root),
                    split="test",
                    decoder=result.model.decoder_name,
                )
        except SignloomError as error:
            wer = type(error).__name__
    fault.afterwards(run, root)
    with planted.quiet(), fault.in_code():
        diagnosis = examine(find_subject(str(run), None, seed))
    return {
        "dev_wer": wer,
        "named": diagnosis.causes[0].id if diagnosis.causes else "",
        "causes": [cause.to_json() for cause in diagnosis.causes],
        "loud": {f.id: f.headline for f in diagnosis.findings if f.level in ("warn", "fail")},
        "figures": {f.id: {"value": f.value, **f.figures} for f in diagnosis.findings if f.id in KEPT},
        "doctor_seconds": diagnosis.seconds,
    }


def corpus(options: Namespace, kind: str, seed: int) -> Path:
    """The corpus of a kind and seed, made if it is not there."""
    from signloom.compose import ComposeOptions, compose
    from signloom.corpus import Corpus
    from signloom.importers import holistic
    from signloom.synth.corpus import synthesise
    from signloom.synth.options import SynthOptions

    root: Path = options.work / "corpora" / f"{kind}-{seed}"
    if (root / "corpus.json").exists():
        return root
    if kind == "simulated":
        simulation = SynthOptions(
            preset="clean",
            num_signs=10,
            num_signers=4,
            num_test_signers=1,
            num_train=72,
            num_dev=24,
            num_test=12,
            min_glosses=2,
            max_glosses=5,
            zipf=0.0,
            seed=seed,
        )
        synthesise(simulation, root, overwrite=True)
        return root
    signs = options.work / "corpora" / "signs"
    if not (signs / "corpus.json").exists():
        with planted.quiet():
            holistic.run(holistic.Options(sources=[options.source], output=signs))
    composition = ComposeOptions(num_train=80, num_dev=24, num_test=12, min_glosses=2, max_glosses=4, seed=seed)
    compose(Corpus.open(signs), root, composition, overwrite=True)
    return root


def show(results: list[dict[str, Any]]) -> None:
    """The confusion table, and the two figures asked for."""
    faulty = [row for row in results if row["settings"]["planted"]]
    healthy = [row for row in results if not row["settings"]["planted"]]
    counts = Counter((row["settings"]["planted"], row["named"]) for row in results)
    named = [name for name in (*planted.CAUSES, "") if any(row["named"] == name for row in results)]
    rows = [
        [cause or "healthy", *(counts[cause, name] or "" for name in named)]
        for cause in (*planted.CAUSES, "")
        if any(row["settings"]["planted"] == cause for row in results)
    ]
    print("\n" + common.table(["planted", *(name or "none" for name in named)], rows))
    right = sum(row["named"] == row["settings"]["planted"] for row in faulty)
    accused = sum(bool(row["named"]) for row in healthy)
    print(f"\n{right} of {len(faulty)} faulty runs named rightly; {accused} of {len(healthy)} healthy runs accused")
    print(f"runs made at commit {', '.join(sorted({row['commit'] for row in results}))}")


if __name__ == "__main__":
    main()
