"""What enrolment does for people who were not in training, and what the people of the training lose by it.

python benchmarks/enrolment.py --data DATA [--parts people asl] [--draws 0 1 2] [--clips 3]

DATA is a folder with the packings that `strangers_data.py` names, without idling; of `people` without the face, which
the clips of the training lack. Models are trained once, with a store of 2 MB and one view (--consistency 0, which takes
half the time), on utterances composed of the clips of other people. They keep the epoch with the lowest dev WER (known
signers, other clips).

Parts. `people`: one model of three groups and signwish (26 words) meets five people at their own webcams. `asl`: 15
words, each of two groups left out in turn. `choose`: a model of the three groups meets p3, p5 and signwish, who are in
no other part but for signwish in the training of `people`: the settings were chosen on them alone.

A task is a person, the signs, and a draw. `known`: the signs that the model knows. `all`: the others as well, which are
new to it. Of each sign --clips clips are drawn; `signloom enrol` runs with them as its own process on one thread.
Before and after: WER on 150 utterances composed of the person's other clips, none of which the command has seen, by
the model's own decoder. Old: WER on dev utterances of the store, as the command reports it, and on test utterances of
the training's signers, of clips that were in no split before. Seconds: CPU time of the command, and by the clock.

A task or a training that is done is not done again: its result lies in --work.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import common
import numpy as np
import strangers_data as data

IDLE = ("-", "IDLE")
# Where the face lies in a frame of 1,662 values.
FACE = slice(132, 132 + 468 * 3)
PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "people": {"shared": ("p1", "p2", "p4", "p6", "p7")},
    "asl": {"without_dmohazab": ("dmohazab",), "without_TheCamNelson": ("TheCamNelson",)},
    "choose": {"groups": ("p3", "p5", "signwish")},
}
# Who is in the training of each model.
TRAINING = {
    "shared": (*data.GROUPS, "signwish"),
    "without_dmohazab": ("TheCamNelson", "Alex"),
    "without_TheCamNelson": ("dmohazab", "Alex"),
    "groups": data.GROUPS,
}


@dataclass(frozen=True)
class Task:
    """One enrolment: the model by name, who is enrolled with which signs, and the draw of the clips."""

    base: str
    person: str
    signs: str
    draw: int

    @property
    def name(self) -> str:
        return f"{self.base}-{self.person}-{self.signs}-{self.draw}"


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the packings")
    parser.add_argument("--work", type=Path, default=Path("runs/enrolment"), help="corpora, runs and results")
    parser.add_argument("--parts", nargs="+", default=["people", "asl"], choices=PARTS)
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--clips", type=int, default=3, help="clips of each sign")
    parser.add_argument("--seed", type=int, default=0, help="seed of the corpora and of the training")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--num_train", type=int, default=600, help="composed utterances to train on")
    options = parser.parse_args()
    results = {}
    for part in options.parts:
        results[part] = [run_task(options, task) for task in tasks(options, part)]
        print(f"\n{part}: {options.clips} clips a sign\n\n{table_of(results[part])}\n")
    common.finish(options, results)


def tasks(options: Any, part: str) -> list[Task]:
    """Returns the enrolments of a part; `all` only for people who have signs that the model does not know."""
    found = []
    for base, people in PARTS[part].items():
        known = {clip.word for clip in clips_of(options) if clip.person in TRAINING[base]}
        for person in people:
            words = {clip.word for clip in clips_of(options) if clip.person == person}
            kinds = [kind for kind, some in (("known", words & known), ("all", words - known)) if some]
            # A single sign makes utterances of nothing else.
            kinds = [kind for kind in kinds if kind == "all" or len(words & known) > 1]
            found += [Task(base, person, kind, draw) for kind in kinds for draw in options.draws]
    return found


def clips_of(options: Any) -> list[data.Clip]:
    """Returns all clips that show a sign, with one name for each word, without faces."""
    clips = [
        *data.asl_clips(options.data),
        *data.clips_of(options.data / "asl_words" / "signwish_asl.npz", lambda _: "signwish"),
        *data.clips_of(options.data / "people" / "people.npz"),
    ]
    return [
        data.Clip(np.delete(clip.frames, FACE, 1) if clip.frames.shape[1] == 1662 else clip.frames, word, clip.person)
        for clip in clips
        if clip.word not in IDLE
        for word in [data.SHARED_WORDS.get(clip.word, clip.word)]
    ]


def signs_of(options: Any) -> Any:
    """Returns the corpus of all clips, imported if it is not there."""
    return data.import_clips(clips_of(options), options.work / "signs")


def trained(options: Any, base: str) -> tuple[Any, Path]:
    """Returns the corpus and the run folder of a model, made if they are not there."""
    from signloom.train.fit import fit
    from signloom.train.recipe import Recipe

    signs = signs_of(options)
    known = replace(signs, utterances=tuple(clip for clip in signs if clip.signer in TRAINING[base]))
    corpus = data.composed(known, options.work / "corpora" / base, num_train=options.num_train, seed=options.seed)
    folder = options.work / "runs" / base
    settings = {"base": base, "seed": options.seed, "epochs": options.epochs, "num_train": options.num_train}

    def make() -> dict[str, Any]:
        recipe = Recipe(corpus.root, output=folder, epochs=options.epochs, seed=options.seed, overwrite=True)
        return {"dev_wer": fit(replace(recipe, consistency=0.0, store_megabytes=2.0)).best.dev_wer}

    common.once(options.work / "results" / f"{base}.json", settings, make)
    return corpus, folder


def run_task(options: Any, task: Task) -> dict[str, Any]:
    """The figures of one enrolment, taken from the work folder if they are there for these settings."""
    settings = {**vars(task), "clips": options.clips, "epochs": options.epochs, "num_train": options.num_train}
    settings |= {"seed": options.seed}
    name = f"{task.name}-{options.clips}"

    def make() -> dict[str, Any]:
        from signloom.inference.model import load

        corpus, run = trained(options, task.base)
        before = load(run)
        clips, others = drawn(options, task, set(before.vocabulary.words), options.work / "enrolments" / name)
        output = options.work / "enrolments" / name / "model"
        cpu, seconds = enrolled(run, clips, output)
        after = load(output)
        test = {which: wer(model, others) for which, model in (("before", before), ("after", after))}
        old = {which: wer(model, corpus) for which, model in (("before", before), ("after", after))}
        record = after.info["enrolled"]
        return {"test": test, "old_test": old, "record": record, "cpu_seconds": cpu, "seconds": seconds}

    result = common.once(options.work / "results" / f"{name}.json", settings, make)
    test, record = result["test"], result["record"]
    print(
        f"{task.name}: {test['before']:.1%} to {test['after']:.1%}; old, store {record['old_wer_before']:.2%} to "
        f"{record['old_wer_after']:.2%}, test {result['old_test']['before']:.2%} to {result['old_test']['after']:.2%}; "
        f"{result['cpu_seconds']:.0f} s of CPU",
        flush=True,
    )
    return result


def drawn(options: Any, task: Task, known: set[str], folder: Path) -> tuple[Any, Any]:
    """Returns the corpus of the clips that are drawn, and one of utterances of the person's other clips."""
    from signloom.corpus import Corpus, CorpusWriter

    signs = signs_of(options)
    by_word: dict[str, list[Any]] = {}
    for clip in signs:
        if clip.signer == task.person and (task.signs == "all" or clip.glosses[0] in known):
            by_word.setdefault(clip.glosses[0], []).append(clip)
    rng = np.random.default_rng([task.draw, options.clips])
    others = []
    with CorpusWriter(folder / "clips", {"name": f"{task.person}-clips"}, overwrite=True) as writer:
        for word in sorted(by_word):
            order = rng.permutation(len(by_word[word]))
            others += [by_word[word][index] for index in order[options.clips :]]
            for index in order[: options.clips]:
                clip = by_word[word][index]
                writer.add(clip.id, split="train", signer=clip.signer, glosses=[word], landmarks=signs.load(clip))
    rest = replace(signs, utterances=tuple(others))
    sizes = {"num_train": 0, "num_dev": 0, "num_test": 150, "seed": task.draw}
    return Corpus.open(folder / "clips"), data.composed(rest, folder / "test", held_out=[task.person], **sizes)


def enrolled(run: Path, clips: Any, output: Path) -> tuple[float, float]:
    """Runs the command on one thread. Returns its seconds of CPU and by the clock."""
    command = [sys.executable, "-m", "signloom.cli", "enrol", str(run), str(clips.root), "--output", str(output)]
    environment = {**os.environ, "PYTHONPATH": str(common.ROOT / "src"), "OMP_NUM_THREADS": "1"}
    used, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*command, "--overwrite"], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    seconds = time.perf_counter() - started
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, seconds


def wer(model: Any, corpus: Any) -> float:
    """The WER of a model on the test split of a corpus."""
    from signloom.inference.evaluate import evaluate

    return evaluate(model, corpus, "test").wer


def table_of(results: list[dict[str, Any]]) -> str:
    """Each person's figures, the mean over the draws, and the least and the most after."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["settings"]["person"], result["settings"]["signs"]), []).append(result)

    def mean(runs: list[dict[str, Any]], *path: str) -> float:
        return statistics.mean(value_of(run, path) for run in runs)

    rows = []
    for (person, signs), runs in groups.items():
        record = runs[0]["record"]
        after = [run["test"]["after"] for run in runs]
        store = mean(runs, "record", "old_wer_after") - mean(runs, "record", "old_wer_before")
        old = mean(runs, "old_test", "after") - mean(runs, "old_test", "before")
        rows.append(
            [
                f"{person}, {signs}",
                f"{len(record['glosses'])} ({len(record['new_glosses'])} new)",
                f"{mean(runs, 'test', 'before'):.1%}",
                f"{statistics.mean(after):.1%} ({min(after):.1%} to {max(after):.1%})",
                f"{mean(runs, 'record', 'clips_wer_before'):.1%}",
                f"{mean(runs, 'record', 'clips_wer_after'):.1%}",
                f"{100 * store:+.2f}",
                f"{100 * old:+.2f}",
                f"{mean(runs, 'cpu_seconds'):.0f}",
            ]
        )
    head = ["person, signs", "signs", "before", "after", "left out, before", "after", "old, store", "old, test", "s"]
    return common.table(head, rows)


def value_of(run: dict[str, Any], path: tuple[str, ...]) -> float:
    """The figure at a path of keys."""
    value: Any = run
    for key in path:
        value = value[key]
    return float(value)


if __name__ == "__main__":
    main()
