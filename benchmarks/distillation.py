"""What a teacher gives a student: the original student, ours, the teacher, the distilled student, in one table.

python benchmarks/distillation.py --source traduttore_asl.npz [--corpora dmohazab TheCamNelson simulated]

Composed corpora (named by the group that is held out; see `composed_asl.py` for the source): --clips training clips of
each sign and group, --num_train utterances of 3 to 8 signs made of them, 150 test utterances by the held-out group.
The simulated corpus: preset phoenix, --num_signs signs, 10 signers of whom 2 only in test, --num_simulated utterances
to train on. Seed n is that of the corpus, of every training on it and of its teacher.

Sides: `student`, `teacher` (--teacher names its preset), `distilled` (the teacher asked every epoch about the clip as
it was changed), `kept` (asked once about the clip as recorded, --cache) and, with --sides, `original`, the
reconstruction of the original student by the recipe student_optimised. Student, distilled and kept have the same recipe
and epochs, and differ only in their losses. The epoch with the lowest dev WER is kept; greedy decoding.

A run that is done is not done again: its result lies in --work. Interval: 95 % percentile bootstrap over test
utterances, those of all seeds pooled; differences are paired by utterance. They speak of other utterances by those
signers; the spread over seeds is given as least and most. Frames/s: of the recogniser with its front end, one thread,
batch 1, 200 frames, median of --calls calls.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import common

SIDES = ("original", "student", "teacher", "kept", "distilled")
# Which differences are looked at: the second less the first.
PAIRS = (
    *(("student", "kept"), ("student", "distilled"), ("teacher", "kept"), ("teacher", "distilled")),
    ("kept", "distilled"),
)
SIMULATED = "simulated"


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--source", type=Path, help="the .npz packing of composed corpora")
    parser.add_argument("--work", type=Path, default=Path("runs/distillation"), help="corpora, runs and results")
    parser.add_argument("--corpora", nargs="+", default=["dmohazab", "TheCamNelson", SIMULATED])
    usual = [side for side in SIDES if side != "original"]
    parser.add_argument("--sides", nargs="+", default=usual, choices=SIDES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--clips", type=int, default=4, help="training clips of each sign and group")
    parser.add_argument("--num_train", type=int, default=1000, help="composed training utterances")
    parser.add_argument("--num_signs", type=int, default=200, help="simulated signs")
    parser.add_argument("--num_simulated", type=int, default=2000, help="simulated training utterances")
    parser.add_argument("--teacher", default="teacher", help="preset of the teacher")
    parser.add_argument("--epochs", type=int, default=24, help="of student, distilled and kept")
    parser.add_argument("--teacher_epochs", type=int, default=16)
    parser.add_argument("--teacher_consistency", type=float, default=2.0, help="0: it reads one view of each clip")
    parser.add_argument("--consistency", type=float, default=2.0, help="of student, distilled and kept")
    parser.add_argument("--original_epochs", type=int, default=24)
    parser.add_argument("--soft_weight", type=float, default=0.7)
    parser.add_argument("--temperature", type=float, default=3.0)
    parser.add_argument("--leave_out_blank", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--calls", type=int, default=30)
    options = parser.parse_args()
    if options.source is None and set(options.corpora) != {SIMULATED}:
        parser.error("composed corpora need --source")
    results = {}
    for corpus in options.corpora:
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES if side in options.sides}
        for seed in options.seeds:
            for side in runs:
                runs[side].append(run_once(options, corpus, seed, side))
                last = runs[side][-1]
                print(
                    f"{corpus}, seed {seed}, {side}: unseen {last['test']['wer']:.2%}, dev {last['dev_wer']:.2%}, "
                    f"{last['training_seconds']:.0f} s",
                    flush=True,
                )
        results[corpus] = summary(runs, options)
        show(corpus, results[corpus])
    commits = sorted({commit for row in results.values() for commit in row["commits"]})
    print(f"\nRuns made at commit {', '.join(commits)}.")
    common.finish(options, results)


def run_once(options: Any, name: str, seed: int, side: str) -> dict[str, Any]:
    """The scores of one training run, taken from the work folder if they are there for these settings."""
    settings = {
        "corpus": name,
        "seed": seed,
        "side": side,
        "threads": options.threads,
        **corpus_settings(options, name),
    }
    teacher = {"preset": options.teacher, "epochs": options.teacher_epochs, "consistency": options.teacher_consistency}
    if side == "teacher":
        settings |= teacher
    elif side == "original":
        settings["epochs"] = options.original_epochs
    else:
        settings |= {"epochs": options.epochs, "consistency": options.consistency}
    if side in ("kept", "distilled"):
        # Its result is one of this very teacher, so that the teacher's has to be there first.
        run_once(options, name, seed, "teacher")
        settings |= {"teacher": teacher, "temperature": options.temperature, "soft_weight": options.soft_weight}
        settings["leave_out_blank"] = options.leave_out_blank
    folder = options.work / "runs" / f"{name}-seed{seed}-{side}"

    def make() -> dict[str, Any]:
        corpus = made_corpus(options, name, seed)
        from signloom.ctc.decoding import Decoding
        from signloom.inference.evaluate import evaluate
        from signloom.train.fit import fit

        started = time.perf_counter()
        trained = fit(recipe(options, corpus.root, folder, settings))
        greedy = Decoding(decoder="greedy")
        assert trained.history.best is not None
        return {
            "seconds_with_reading": time.perf_counter() - started,
            "training_seconds": trained.seconds,
            "dev_wer": trained.history.best.dev_wer,
            "best_epoch": trained.history.best_epoch,
            "parameters": trained.model.engine.recognizer.num_parameters,
            "frames_per_second": frames_per_second(trained.model.engine.recognizer, options.calls),
            "test": evaluate(trained.model, corpus, "test", decoding=greedy).to_json(),
        }

    return common.once(folder / "result.json", settings, make)


def recipe(options: Any, data_dir: Path, folder: Path, settings: dict[str, Any]) -> Any:
    from signloom.train.distill.recipe import DistillRecipe
    from signloom.train.recipe import Recipe

    given = {"data_dir": data_dir, "output": folder, "overwrite": True, "threads": options.threads}
    given |= {"seed": settings["seed"], "epochs": settings["epochs"]}
    side = settings["side"]
    if side == "teacher":
        return Recipe(**given, preset=settings["preset"], consistency=settings["consistency"])
    if side == "original":
        # As recipes/student_optimised.yaml.
        rates: dict[str, Any] = {"batch_size": 8, "weight_decay": 1e-5, "dropout": 0.05}
        rates |= {"consistency": 0.0, "auxiliary_head": False}
        return Recipe(**given, preset="original_student", **rates)
    given["consistency"] = settings["consistency"]
    if side == "student":
        return Recipe(**given)
    kept = ("temperature", "soft_weight", "leave_out_blank")
    given |= {name: settings[name] for name in kept}
    given["teacher"] = folder.with_name(folder.name.replace(f"-{side}", "-teacher"))
    return DistillRecipe(**given, cache=side == "kept")


def corpus_settings(options: Any, name: str) -> dict[str, Any]:
    if name == SIMULATED:
        return {"num_signs": options.num_signs, "num_train": options.num_simulated}
    return {"source": options.source.name, "clips": options.clips, "num_train": options.num_train}


def made_corpus(options: Any, name: str, seed: int) -> Any:
    """The corpus of a seed, made if it is not there."""
    from signloom.corpus import Corpus

    settings = corpus_settings(options, name)
    output = options.work / "corpora" / f"{name}-seed{seed}"
    made_of = output / "made_of.json"

    def make() -> dict[str, Any]:
        if name == SIMULATED:
            from signloom.synth.corpus import synthesise
            from signloom.synth.options import SynthOptions

            numbers = {"num_signs": settings["num_signs"], "num_train": settings["num_train"], "num_test": 200}
            simulation = SynthOptions(preset="phoenix", num_signers=10, num_test_signers=2, seed=seed, **numbers)
            synthesise(simulation, output, num_workers=2, overwrite=True)
        else:
            from signloom.compose import ComposeOptions, compose

            composition = ComposeOptions(
                held_out=[name], clips_per_gloss=options.clips, num_train=options.num_train, seed=seed
            )
            compose(signs_corpus(options), output, composition, overwrite=True)
        return {}

    common.once(made_of, settings, make)
    return Corpus.open(output)


def signs_corpus(options: Any) -> Any:
    """The isolated clips of the source as a corpus, imported if that was not done."""
    from signloom.corpus import Corpus
    from signloom.importers import holistic

    signs = options.work / "signs"
    if not (signs / "corpus.json").exists():
        holistic.run(holistic.Options(sources=[options.source], output=signs))
    return Corpus.open(signs)


def frames_per_second(recognizer: Any, calls: int) -> float:
    """Of clips of 200 frames, one at a time."""
    import torch

    from signloom import layout

    points = torch.rand(1, 200, len(layout.subset(recognizer.config.view)), 3)
    times = []
    with torch.inference_mode():
        for _ in range(calls + 3):
            started = time.perf_counter()
            recognizer(points)
            times.append(time.perf_counter() - started)
    return 200 / statistics.median(times[3:])


def pooled(runs: list[dict[str, Any]]) -> Any:
    """One score of the test utterances of all runs, each run's by its seed."""
    from signloom.score.wer import score

    return score(
        (f"{run['settings']['seed']}/{item['id']}", tuple(item["reference"]), tuple(item["hypothesis"]))
        for run in runs
        for item in run["test"]["utterances"]
    )


def summary(runs: dict[str, list[dict[str, Any]]], options: Any) -> dict[str, Any]:
    """The figures of all sides on one corpus, and their paired differences."""
    from signloom.score.compare import compare

    scores = {side: pooled(own) for side, own in runs.items()}
    sides = {}
    for side, own in runs.items():
        interval = scores[side].interval()
        rates = [run["test"]["wer"] for run in own]
        sides[side] = {
            "wer": scores[side].wer,
            "interval": [interval.low, interval.high],
            "over_seeds": rates,
            "dev_wer": statistics.mean(run["dev_wer"] for run in own),
            "parameters": own[0]["parameters"],
            "frames_per_second": statistics.median(run["frames_per_second"] for run in own),
            "training_seconds": [run["training_seconds"] for run in own],
            "settings": [run["settings"] for run in own],
        }
    differences = {}
    for one, other in PAIRS:
        if one in scores and other in scores:
            found = compare(scores[one], scores[other], name_a=one, name_b=other)
            differences[f"{other} less {one}"] = {
                "points": 100 * found.difference,
                "interval": [100 * found.interval.low, 100 * found.interval.high],
                "real": found.real,
                "over_seeds": [
                    100 * (b["test"]["wer"] - a["test"]["wer"]) for a, b in zip(runs[one], runs[other], strict=True)
                ],
            }
    commits = sorted({run["commit"] for own in runs.values() for run in own})
    return {"sides": sides, "differences": differences, "commits": commits}


def show(corpus: str, row: dict[str, Any]) -> None:
    rows = [
        [
            side,
            f"**{found['wer']:.1%}**",
            f"{found['interval'][0]:.1%} to {found['interval'][1]:.1%}",
            f"{min(found['over_seeds']):.1%} to {max(found['over_seeds']):.1%}",
            f"{found['dev_wer']:.1%}",
            f"{found['parameters']:,}",
            f"{found['frames_per_second']:,.0f}",
            f"{min(found['training_seconds']):.0f} to {max(found['training_seconds']):.0f}",
        ]
        for side, found in row["sides"].items()
    ]
    head = [corpus, "unseen WER", "95 % interval", "over seeds", "dev WER", "parameters", "frames/s", "seconds"]
    print("\n" + common.table(head, rows))
    rows = [
        [
            what,
            f"{found['points']:+.2f}",
            f"{found['interval'][0]:+.2f} to {found['interval'][1]:+.2f}",
            ", ".join(f"{points:+.2f}" for points in found["over_seeds"]),
        ]
        for what, found in row["differences"].items()
    ]
    if rows:
        print("\n" + common.table(["difference in points of WER", "mean", "95 % interval", "by seed"], rows))


if __name__ == "__main__":
    main()
