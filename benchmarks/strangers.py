"""How well are people recognised who were not in training? Real clips, composed to utterances; one table a part.

python benchmarks/strangers.py --data DATA --yardstick CHECKOUT [--parts asl few people resting] [--seeds 0 1 2]

DATA is a folder with the packings that `strangers_data.py` names. CHECKOUT is a working tree of an earlier commit: its
`src` trains the side `yardstick` on the same corpora, by the same options; all sides are evaluated by this tree.

Parts. `asl`: 16 words, each of three groups left out in turn, all clips. `few`: the same with 4 clips of each sign
and group (Alex, who signs 6 of the words, is not left out). `people`: six words that at least two people sign, each
of seven people left out in turn. `resting`: the models of `asl` on one-handed signs of the group that was left out,
as recorded and with the resting hand of somebody else put in. `hands_asl`, `hands_people`: the models of `asl` and
`people` on the test utterances as recorded, with one-handed signs made by the other hand, with the hands coming from
rest and going back (`compose --lead 1`), cropped (`--augmentation.crop`), and with the face of somebody else, which the
clips of `asl` do not show; `--changes` takes some of them. `choose`: the corpora of `people`, with
two people left out who are in no other part: settings are chosen on them alone, and on one of them with a hand put in
(`choose_resting`).

More sides: `--extra NAME="OPTIONS OF TRAIN"`, `--compose_extra NAME="mirror_signs=0.3 lead=0.5"`; a name may have both.
A side with other options of compose trains on its own corpus. All sides are tested on the same utterances, which are
composed without them, and such a side also on its own test split (`own`).

Seed n is that of the corpus and of the training on it. Dev holds known signers, other clips; the epoch with the lowest
dev WER is kept; beam search of 10 without a language model. A run that is done is not done again:
its result lies in --work.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import strangers_data as data

# What each side changes in the options of `signloom train`.
SIDES: dict[str, tuple[str, ...]] = {
    "yardstick": (),
    "default": (),
    "plain": ("--augmentation.resting_hand", "0", "--augmentation.hide_idle_hand", "0"),
}
# What each side changes in the options of `signloom compose`.
COMPOSE: dict[str, dict[str, Any]] = {}
# The parts that evaluate the models of another part on changed utterances, and the changes.
CHANGED = {"hands_asl": "asl", "hands_people": "people"}
CHANGES = ("other_hand", "lead", "cropped", "face")
PARTS = ("asl", "few", "people", "resting", *CHANGED, "choose", "choose_resting")
# The part whose models a part with planted hands evaluates, and on whom.
PLANTED = {"resting": ("asl", data.GROUPS[:2]), "choose_resting": ("choose", data.CHOOSING[:1])}


@dataclass(frozen=True)
class Task:
    """One corpus to train on: its part, who is left out, its seed, how it is composed, and the epochs."""

    part: str
    person: str
    seed: int
    compose: dict[str, int]
    epochs: int

    @property
    def name(self) -> str:
        return f"{self.part}-{self.person}-{self.seed}"


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the packings")
    parser.add_argument("--yardstick", type=Path, help="a working tree of the commit to compare with")
    parser.add_argument("--work", type=Path, default=Path("runs/strangers"), help="corpora, runs and results")
    parser.add_argument("--parts", nargs="+", default=["asl", "few", "people", "resting"], choices=PARTS)
    parser.add_argument("--sides", nargs="*", default=["yardstick", "default"], choices=SIDES)
    parser.add_argument("--people", nargs="+", help="leave out these alone")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="20 for few, 15 for the others when not given")
    parser.add_argument("--extra", nargs="+", metavar="SIDE=OPTIONS", default=[], help="more sides, with their options")
    parser.add_argument("--compose_extra", nargs="+", metavar="SIDE=OPTIONS", default=[], help="and of compose")
    parser.add_argument("--changes", nargs="+", default=list(CHANGES), choices=CHANGES, help="of hands_asl and so on")
    parser.add_argument("--only_recorded", action="store_true", help="show what is there, train nothing")
    options = parser.parse_args()
    for side in options.extra:
        name, _, flags = side.partition("=")
        SIDES[name] = tuple(flags.split())
        options.sides.append(name)
    for side in options.compose_extra:
        name, _, values = side.partition("=")
        pairs = (pair.partition("=") for pair in values.split())
        COMPOSE[name] = {option: json.loads(value) for option, _, value in pairs}
        if name not in SIDES:
            SIDES[name] = ()
            options.sides.append(name)
    if "yardstick" in options.sides and options.yardstick is None and not options.only_recorded:
        raise SystemExit("the side yardstick needs --yardstick CHECKOUT")
    results: dict[str, Any] = {}
    for part in options.parts:
        measure = resting if part in PLANTED else hands if part in CHANGED else strangers
        results[part] = measure(options, part)
    common.finish(options, results)


def tasks(options: Any, part: str) -> Iterator[Task]:
    """Yields the corpora of a part."""
    compose = {
        "asl": {},
        "few": {"clips_per_gloss": 4},
        "people": {"num_train": 600},
        "choose": {"num_train": 600},
    }[part]
    people = {"asl": data.GROUPS, "few": data.GROUPS[:2], "people": data.PEOPLE, "choose": data.CHOOSING}[part]
    for seed in options.seeds:
        for person in people:
            if not options.people or person in options.people:
                yield Task(part, person, seed, compose, options.epochs or (20 if part == "few" else 15))


def signs_of(options: Any, task: Task) -> Any:
    """Returns the corpus of isolated signs of a task, made if it is not there."""
    asl = task.part in ("asl", "few")
    clips = data.asl_clips(options.data) if asl else data.shared_clips(options.data)
    return data.import_clips(clips, options.work / "signs" / ("asl" if asl else "shared"))


def corpus_of(options: Any, task: Task, side: str = "default") -> Any:
    """Returns the corpus of a task for a side, made if it is not there."""
    signs = signs_of(options, task)
    changes = COMPOSE.get(side, {})
    output = options.work / "corpora" / (f"{task.name}-{side}" if changes else task.name)
    return data.composed(signs, output, held_out=[task.person], seed=task.seed, **task.compose, **changes)


def trained(options: Any, task: Task, side: str) -> Path:
    """Returns the run folder of a side, trained if it is not there; the yardstick is trained by its own code."""
    corpus = corpus_of(options, task, side)
    folder: Path = options.work / "runs" / f"{task.name}-{side}"
    if not (folder / "model.safetensors").exists() or not (folder / "finished").exists():
        source = options.yardstick if side == "yardstick" else common.ROOT
        command = ["train", "--data_dir", str(corpus.root.resolve())]
        command += ["--output", str(folder.resolve()), "--overwrite", "--seed", str(task.seed)]
        command += ["--epochs", str(task.epochs), "--threads", "1", *SIDES[side]]
        log = options.work / "logs" / f"{task.name}-{side}.log"
        seconds = common.run_signloom(command, log=log, checkout=source)
        (folder / "finished").write_text(f"{seconds:.1f}\n")
    return folder


def strangers(options: Any, part: str) -> dict[str, Any]:
    """The scores of all sides of a part, as a table."""
    results: dict[str, list[dict[str, Any]]] = {side: [] for side in options.sides}
    for task in tasks(options, part):
        for side in options.sides:
            result = one_run(options, task, side)
            if result is not None:
                results[side].append(result)
                test, dev = result["test"]["wer"], result["dev"]["wer"]
                print(f"{task.name} {side}: test {test:.2%}, dev {dev:.2%}", flush=True)
    print(f"\n{part}: WER on people who were not in training\n")
    print(table_of(results))
    return results


def one_run(options: Any, task: Task, side: str) -> dict[str, Any] | None:
    """The scores of one training, with what it was trained on; None if it was not run and nothing may be trained."""
    path = options.work / "results" / f"{task.name}-{side}.json"
    if options.only_recorded and not path.exists():
        return None
    settings = {"part": task.part, "person": task.person, "seed": task.seed, "side": side, **task.compose}
    settings |= {"epochs": task.epochs, "options": list(SIDES[side])}
    settings |= {"compose": COMPOSE[side]} if side in COMPOSE else {}

    def make() -> dict[str, Any]:
        import signloom

        folder = trained(options, task, side)
        corpus = corpus_of(options, task)
        model = signloom.load(folder)
        scores = {split: score(model, corpus, split) for split in ("dev", "test")}
        if side in COMPOSE:
            scores["own"] = score(model, corpus_of(options, task, side), "test")
        return {**scores, "seconds": float((folder / "finished").read_text())}

    return common.once(path, settings, make)


def score(model: Any, corpus: Any, split: str) -> dict[str, Any]:
    """Errors, words and WER of a model on a split."""
    from signloom.inference.evaluate import evaluate

    found = evaluate(model, corpus, split).to_json(utterances=False)
    return {name: found[name] for name in ("wer", "substitutions", "deletions", "insertions", "reference_words")}


def errors_of(run: dict[str, Any], split: str = "test") -> int:
    """The errors of a run."""
    return sum(run[split][name] for name in ("substitutions", "deletions", "insertions"))


def table_of(results: dict[str, list[dict[str, Any]]]) -> str:
    """Each person's WER over the seeds, by side; the mean over people, and the worst person."""
    people = list(dict.fromkeys(run["settings"]["person"] for runs in results.values() for run in runs))
    rows = []
    for side, runs in results.items():
        by_person = {
            person: [run["test"]["wer"] for run in runs if run["settings"]["person"] == person] for person in people
        }
        means = {person: statistics.mean(values) for person, values in by_person.items() if values}
        seeds = {person: ", ".join(f"{value:.1%}" for value in values) for person, values in by_person.items()}
        cells = [f"{means[person]:.1%} ({seeds[person]})" if person in means else "" for person in people]
        overall = [f"{statistics.mean(means.values()):.1%}", f"{max(means.values()):.1%}"] if means else ["", ""]
        seconds = f"{statistics.mean(run['seconds'] for run in runs):.0f}" if runs else ""
        rows.append([side, *cells, *overall, str(sum(map(errors_of, runs))), seconds])
    return common.table(["side", *people, "mean", "worst", "errors", "seconds"], rows)


def resting(options: Any, part: str) -> dict[str, Any]:
    """The models of another part on one-handed signs, as recorded and with a resting hand put in."""
    models, people = PLANTED[part]
    clips = [clip for clip in data.one_handed(options.data) if clip.person in people]
    donors = [clip for clip in data.asl_clips(options.data) if clip.word in data.STILL_HANDS]
    results: dict[str, Any] = {}
    rows = []
    for side in options.sides:
        chosen = [task for task in tasks(options, models) if task.person in people]
        runs = [run for task in chosen if (run := planted(options, part, clips, donors, task, side)) is not None]
        results[side] = runs
        if runs:
            without, with_hand = (sum(errors_of(run, which) for run in runs) for which in ("recorded", "resting"))
            words = sum(run["recorded"]["reference_words"] for run in runs)
            ratio = f"{with_hand / without:.2f}" if without else ""
            rows.append([side, str(len(runs)), f"{without / words:.2%}", f"{with_hand / words:.2%}", ratio])
    print(f"\n{part}: WER on one-handed signs of people who were not in training\n")
    print(common.table(["side", "runs", "as recorded", "with a resting hand", "ratio"], rows))
    return results


def planted(
    options: Any, part: str, clips: Sequence[data.Clip], donors: Sequence[data.Clip], task: Task, side: str
) -> dict[str, Any] | None:
    """The scores of one model without and with the resting hand."""
    path = options.work / "results" / f"{part}-{task.person}-{task.seed}-{side}.json"
    if options.only_recorded and not path.exists():
        return None
    settings = {"part": part, "person": task.person, "seed": task.seed, "side": side, "epochs": task.epochs}

    def make() -> dict[str, Any]:
        import signloom

        model = signloom.load(trained(options, task, side))
        recorded = [clip for clip in clips if clip.person == task.person]
        others = [clip for clip in donors if clip.person != task.person]
        pair = {"recorded": recorded, "resting": data.with_resting_hands(recorded, others, task.seed)}
        scores = {}
        for which, some in pair.items():
            name = f"{which}-{task.person}-{task.seed}"
            signs = data.import_clips(some, options.work / "signs" / name)
            sizes = {"num_train": 0, "num_dev": 0, "num_test": 150, "seed": task.seed}
            corpus = data.composed(signs, options.work / "corpora" / name, held_out=[task.person], **sizes)
            scores[which] = score(model, corpus, "test")
        return scores

    return common.once(path, settings, make)


def hands(options: Any, part: str) -> dict[str, Any]:
    """The models of another part on the utterances of its test split, as recorded and changed."""
    results: dict[str, Any] = {}
    columns = ["recorded", *options.changes]
    rows = []
    for side in options.sides:
        runs = [changed(options, part, task, side) for task in tasks(options, CHANGED[part])]
        results[side] = [run for run in runs if run is not None]
        for run in results[side]:
            shares = [f"{run[change]['wer']:.1%} ({errors_of(run, change)})" for change in columns]
            rows.append([f"{side}, {run['settings']['person']}, seed {run['settings']['seed']}", *shares])
    print(f"\n{part}: WER (errors) on people who were not in training\n")
    print(common.table(["side", *columns], rows))
    return results


def faces_of(options: Any) -> list[Any]:
    """The clips whose faces are put into others."""
    return data.faces_in(data.import_clips(data.shared_clips(options.data), options.work / "signs" / "shared"))


def changed(options: Any, part: str, task: Task, side: str) -> dict[str, Any] | None:
    """The scores of one model by change; None if it was not run and nothing may be trained."""
    path = options.work / "results" / f"{part}-{task.person}-{task.seed}-{side}.json"
    if options.only_recorded and not path.exists():
        return None
    settings = {"part": part, "person": task.person, "seed": task.seed, "side": side, "epochs": task.epochs}
    settings |= {"options": list(SIDES[side]), "compose": COMPOSE.get(side, {}), "changes": options.changes}

    def make() -> dict[str, Any]:
        import signloom

        model = signloom.load(trained(options, task, side))
        scores = {"recorded": score(model, corpus_of(options, task), "test")}
        for change in options.changes:
            name = f"{part}-{task.person}-{change}"
            signs = signs_of(options, task)
            if change != "lead":
                donors = faces_of(options) if change == "face" else []
                signs = data.changed(signs, task.person, change, options.work / "signs" / name, donors)
            sizes = {"num_train": 0, "num_dev": 0, "seed": task.seed, "lead": float(change == "lead")}
            output = options.work / "corpora" / f"{name}-{task.seed}"
            scores[change] = score(model, data.composed(signs, output, held_out=[task.person], **sizes), "test")
        return scores

    return common.once(path, settings, make)


if __name__ == "__main__":
    main()
