"""Signs that a model does not know, and idling people: what it names all the same, and which true glosses that costs.

python benchmarks/rejection.py --data DATA [--people dmohazab TheCamNelson] [--words ten three] [--seeds 0]

DATA is a folder with the packings that `strangers_data.py` names. A model learns ten or three words of
traduttore_asl from everybody but one person, who is then shown to it: words of the vocabulary, words that are not in
it, both in turn, and idle clips ("-") of all kinds and with both hands out of view. Nobody who trains signs the words
that are shown and not in the vocabulary, but the sides may learn from others (`--others` of `signloom compose`):
`before` from none, `made up` from movements made up of the clips of the vocabulary, `real` also from the other words
of signwish, akashcodes and p1 to p7 and from idle clips of people who train, `real, leads` the same with hands that
come from rest and go back (`--lead`).

Offline: beam of 10, no language model, utterances of 3 to 8 signs. False: glosses per minute of unknown signs.
Recognised: the share of the true glosses that is right, in utterances of known signs alone. WER of both in turn: with
unknown signs between known ones. Idle, rest: final glosses in ten minutes of a stream of idle clips of all kinds, and
of those with both hands out of view. Idle clips: in how many different ones these glosses are, of all. These are blank
for a person without such clips. Each with no limit, with every gloss at least 0.5 sure, and 0.8; `default`: with the
limit that training chose on dev, for streams (one gloss so sure, the others at least 0.3); `tune`: after `signloom
tune`, with its decoder and limit. Dev has other clips of those who train, composed like train, so the person is not in
it. Alone: the share of clips of known signs that are recognised, each the only sign of its utterance.
ECE: of the confidences of known and unknown signs in turn, ten bins of equally many glosses.

After `signloom enrol`: `idling` of half of the person's idle clips (drawn by the seed, of both kinds)
and no sign; `signs` of --signs clips of each word of the vocabulary; `signs, idling` of both. All rows are of his other
clips alone. Second table: streams of the person's sentences of known signs with rest, or any idling, between them, by
the model before and those enrolled, with the limits of streams; offline is each model on the sentences alone, with the
limit that it has there (`streaming.py`).
A run that is done is not done again: its results lie in --work.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import common
import numpy as np
import rejection_idling
import strangers_data as data
import streams_made

sys.path.insert(0, str(common.ROOT / "tests"))
from reliability import calibration_error

WORDS = {
    "ten": ("hello", "thank-you", "please", "no", "water", "coffee", "tea", "muffin", "large", "get"),
    "three": ("hello", "water", "coffee"),
}
IDLE = "IDLE"
# Of the words that are not in the vocabulary, by whether the person shows them or the side `real` learns from them.
SHOWN, LEARNT = "SHOWN-", "LEARNT-"
SIDES: dict[str, dict[str, Any]] = {
    "before": {},
    "made up": {"others": 0.3},
    "real": {"others": 0.3, "idle": 0.3, "idle_glosses": [IDLE]},
    "real, leads": {"others": 0.3, "idle": 0.3, "idle_glosses": [IDLE], "lead": 0.5},
}
LEASTS = {"no limit": 0.0, "all 0.5": 0.5, "all 0.8": 0.8}
# The names of the rows of the model as it is and of the tuned one, and what enrolled models learn: idle clips, clips of
# signs.
DEFAULT, TUNED = "default", "tune"
ENROLLED = {"idling": (True, False), "signs": (False, True), "signs, idling": (True, True)}
# Of the store that an enrolment rehearses.
STORE_MEGABYTES = 2.0


@dataclass(frozen=True)
class Task:
    """One model: how many words it learns, who is shown to it and trains in no model, the seed, and the side."""

    words: str
    person: str
    seed: int
    side: str

    @property
    def name(self) -> str:
        return f"{self.words}-{self.person}-{self.seed}-{self.side.replace(',', '').replace(' ', '_')}"


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the packings")
    parser.add_argument("--work", type=Path, default=Path("runs/rejection"), help="corpora, runs and results")
    parser.add_argument("--words", nargs="+", default=list(WORDS), choices=WORDS)
    parser.add_argument("--people", nargs="+", default=["dmohazab"], choices=data.GROUPS)
    parser.add_argument("--sides", nargs="+", default=["before", "made up", "real"], choices=SIDES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--num_train", type=int, default=1000, help="composed training utterances")
    parser.add_argument("--num_shown", type=int, default=80, help="utterances of each kind to show")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each stream")
    parser.add_argument("--signs", type=int, default=3, help="clips of each word to enrol")
    parser.add_argument("--only_default", action="store_true", help="no other limits, nothing tuned or enrolled")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for words in options.words:
        for person in options.people:
            for seed in options.seeds:
                for side in options.sides:
                    task = Task(words, person, seed, side)
                    results[task.name] = result = one(options, task)
                    print(f"{task.name}: {result}", flush=True)
    show(results)
    common.finish(options, results)


def one(options: Any, task: Task) -> dict[str, Any]:
    """The figures of one model, made if they are not there."""
    sizes = {"epochs": options.epochs, "num_train": options.num_train}
    shown = {"num_shown": options.num_shown, "minutes": options.minutes, "signs": options.signs}
    settings = {**vars(task), **sizes, **shown, "options": SIDES[task.side], "store_megabytes": STORE_MEGABYTES}
    settings |= {"only_default": True} if options.only_default else {}
    folder = options.work / ("results_default" if options.only_default else "results")
    return common.once(folder / f"{task.name}.json", settings, lambda: figures(options, task, trained(options, task)))


def clips(options: Any, task: Task) -> Any:
    """The corpus of all clips for a vocabulary; words that are not in it are named by what they are for."""
    known = WORDS[task.words]
    shown = {clip.word for clip in data.asl_clips(options.data)} - {*known, "-"}
    names = {word: word.upper() for word in known} | {"-": IDLE, "IDLE": IDLE}
    # The same word under other names.
    same = {data.SHARED_WORDS.get(word, word.upper()): names[word] for word in known}
    unlearnt = {data.SHARED_WORDS.get(word, word.upper()) for word in shown}
    result = []
    for clip in data.asl_clips(options.data):
        if clip.word in names or clip.person == task.person:
            word = names.get(clip.word, f"{SHOWN}{clip.word.upper()}")
            result.append(data.Clip(clip.frames, word, clip.person))
    if task.side.startswith("real"):
        for clip in data.people_clips(options.data):
            word = data.SHARED_WORDS.get(clip.word, "-".join(clip.word.upper().split()))
            if word not in same and word not in unlearnt:
                name = IDLE if word == IDLE else f"{LEARNT}{word}"
                result.append(data.Clip(clip.frames, name, clip.person))
    kind = "real" if task.side.startswith("real") else "own"
    return data.import_clips(result, options.work / "signs" / f"{task.words}-{task.person}-{kind}")


def trained(options: Any, task: Task) -> Any:
    """The student trained without the person, or the one that was trained before."""
    from signloom.compose import ComposeOptions, compose
    from signloom.corpus import Corpus
    from signloom.inference.model import load
    from signloom.train.fit import fit
    from signloom.train.recipe import Recipe

    signs = clips(options, task)
    glosses = {item.glosses[0] for item in signs}
    other = sorted(gloss for gloss in glosses if gloss.startswith((SHOWN, LEARNT)))
    chosen: dict[str, Any] = {"idle_glosses": [IDLE], "idle": 0.0, "lead": 0.0, **SIDES[task.side]}
    folder = options.work / "corpora" / task.name
    if (folder / "corpus.json").exists():
        corpus = Corpus.open(folder)
    else:
        recipe = ComposeOptions(
            held_out=[task.person],
            dev_signers=["known"],
            other_glosses=other,
            num_train=options.num_train,
            num_test=0,
            seed=task.seed,
            **chosen,
        )
        corpus = compose(signs, folder, recipe, overwrite=True)
    run = options.work / "runs" / task.name
    if not (run / "finished").exists():
        wanted = Recipe(data_dir=corpus.root, output=run, epochs=options.epochs, seed=task.seed, threads=1)
        fit(replace(wanted, store_megabytes=STORE_MEGABYTES, overwrite=True))
        (run / "finished").touch()
    return load(run)


def utterances(signs: Any, person: str, kinds: Sequence[str], count: int, seed: int) -> Iterator[tuple[Any, list[str]]]:
    """Yields utterances of 3 to 8 clips of a person, each `known` or `shown` if both are given, and their glosses."""
    from signloom.compose import join

    pools: dict[str, dict[str, list[Any]]] = {"known": {}, "shown": {}}
    for item in signs:
        gloss = item.glosses[0]
        if item.signer == person and gloss != IDLE and not gloss.startswith(LEARNT):
            kind = "shown" if gloss.startswith(SHOWN) else "known"
            pools[kind].setdefault(gloss, []).append(signs.load(item))
    rng = np.random.default_rng([seed, len(kinds)])
    for _ in range(count):
        pieces, reference = [], []
        for _ in range(rng.integers(3, 8, endpoint=True)):
            kind = kinds[rng.integers(len(kinds))]
            gloss = sorted(pools[kind])[rng.integers(len(pools[kind]))]
            pieces.append(pools[kind][gloss][rng.integers(len(pools[kind][gloss]))])
            reference += [gloss] if kind == "known" else []
        yield join(pieces, rng)[0], reference


def tuned(options: Any, task: Task) -> Any:
    """The model as `signloom tune` leaves it."""
    from signloom.commands import tune
    from signloom.inference.model import load

    run = options.work / "runs" / task.name
    output = options.work / "tuned" / f"{task.name}.safetensors"
    if not output.exists():
        output.parent.mkdir(parents=True, exist_ok=True)
        tune.run(tune.Options(model=run, output=output))
    return load(output)


def figures(options: Any, task: Task, model: Any) -> dict[str, Any]:
    """The figures of one model, with other limits too, tuned and enrolled: offline, calibration, streams."""
    everything = clips(options, task)
    idle, streamed = rejection_idling.halves(everything, task.person, IDLE, task.seed)
    words = {word.upper() for word in WORDS[task.words]}
    some = rejection_idling.some_of_each(everything, task.person, words, options.signs, task.seed)
    signs = rejection_idling.without(everything, [*idle, *some])
    models = {DEFAULT: model}
    if not options.only_default:
        models = {name: model.with_limits(least) for name, least in LEASTS.items()}
        models |= {DEFAULT: model, TUNED: tuned(options, task)}
    result: dict[str, Any] = {}
    enrolments = {} if options.only_default else ENROLLED
    if streamed:
        for name, (idles, signed) in enrolments.items():
            learnt = [*(idle if idles else ()), *(some if signed else ())]
            folder = options.work / "enrolled" / f"{task.name}-{name.replace(', ', '-')}"
            after = rejection_idling.enrolled(
                everything, learnt, IDLE, options.work / "runs" / task.name, folder, task.seed
            )
            models[name] = after
            result[f"{name}, record"] = after.info["enrolled"]
        unknown = [item for item in signs if item.glosses[0].startswith((SHOWN, LEARNT))]
        result["sentences"] = rejection_idling.sentence_figures(
            {"before": model, **{name: models[name] for name in enrolments}},
            rejection_idling.without(signs, unknown),
            task.person,
            IDLE,
            minutes=options.minutes,
            seed=task.seed,
        )
    for name, one in models.items():
        result[name] = measured(options, task, one, signs)
    return result


def measured(options: Any, task: Task, model: Any, signs: Any) -> dict[str, Any]:
    """The figures of one model with the limits that streams have. signs: without the clips it learnt."""
    from signloom.inference.calibrate import correct_glosses
    from signloom.inference.stream_options import stream_limits
    from signloom.score.alignment import CORRECT, align

    limits = stream_limits(model.decoding)
    every = model.with_limits(0.0)
    shown: dict[str, list[tuple[Any, list[str]]]] = {}
    seconds = 0.0
    for name, kinds in (("known", ["known"]), ("unknown", ["shown"]), ("both", ["known", "shown"])):
        shown[name] = []
        for clip, reference in utterances(signs, task.person, kinds, options.num_shown, task.seed):
            shown[name].append((every.decode(every.emission(clip)), reference))
            seconds += clip.duration_seconds if name == "unknown" else 0.0
    words = {word.upper() for word in WORDS[task.words]}
    alone = [item for item in signs if item.signer == task.person and item.glosses[0] in words]
    shown["alone"] = [(every.decode(every.emission(signs.load(item))), list(item.glosses)) for item in alone]
    said = {name: [(one.confident(*limits).words, words) for one, words in some] for name, some in shown.items()}
    kinds_of = {
        name: [kind for words, reference in some for kind in align(reference=reference, hypothesis=words).kinds]
        for name, some in said.items()
    }
    references = {name: sum(len(reference) for _, reference in some) for name, some in said.items()}
    sure = [span.confidence for one, _ in shown["both"] for span in one.glosses]
    right = [ok for one, ref in shown["both"] for ok in correct_glosses(reference=ref, hypothesis=one.words)]
    result: dict[str, Any] = {
        "limits": limits._asdict(),
        "recognised": kinds_of["known"].count(CORRECT) / references["known"],
        "alone": kinds_of["alone"].count(CORRECT) / references["alone"],
        "wer": sum(kind != CORRECT for kind in kinds_of["known"]) / references["known"],
        "wer_both": sum(kind != CORRECT for kind in kinds_of["both"]) / references["both"],
        "false_per_minute": sum(len(words) for words, _ in said["unknown"]) / seconds * 60,
        "ece": calibration_error(sure, right),
    }
    if not any(item.signer == task.person and item.glosses == (IDLE,) for item in signs):
        return result
    for name, fidgets in (("idle", True), ("rest", False)):
        stream = streams_made.composed(
            signs, task.person, IDLE, minutes=options.minutes, fidgets=fidgets, sentences=False, seed=task.seed
        )
        glosses = idle_glosses(model, stream)
        named = [stream.idle_clip((span.start_seconds + span.end_seconds) / 2) for span in glosses]
        result |= {
            name: len(glosses) / (len(stream.points) / stream.fps) * 600,
            f"{name}_clips": len(set(named) - {None}),
            f"{name}_of": len({clip for *_, clip in stream.idle}),
            f"{name}_glosses": [
                (span.gloss, round(span.confidence, 4), clip) for span, clip in zip(glosses, named, strict=True)
            ],
        }
    return result


def idle_glosses(model: Any, stream: streams_made.Stream) -> list[Any]:
    """The final glosses of a stream in which nobody signs."""
    from signloom.inference.stream_events import GlossEvent
    from signloom.inference.streaming import StreamingRecognizer

    recognizer = StreamingRecognizer(model)
    events = recognizer.push(stream.points, np.arange(len(stream.points)) / stream.fps) + recognizer.finish()
    return [event.span for event in events if isinstance(event, GlossEvent) and event.kind == "final"]


def show(results: dict[str, Any]) -> None:
    head = ["model", "limits", "least, sure", "false a minute", "recognised", "alone", "WER", "WER of both"]
    head += ["idle", "idle clips", "rest", "ECE"]
    rows = []
    for name, result in results.items():
        for row, at in result.items():
            if "recognised" not in at:
                continue
            figures = [", ".join(f"{value:g}" for value in at["limits"].values()), f"{at['false_per_minute']:.1f}"]
            figures += [f"{at[key]:.1%}" for key in ("recognised", "alone", "wer", "wer_both")]
            idle = ["", "", ""]
            if "idle" in at:
                idle = [f"{at['idle']:.1f}", f"{at['idle_clips']} of {at['idle_of']}", f"{at['rest']:.1f}"]
            rows.append([name, row, *figures, *idle, f"{at['ece']:.3f}"])
    print("\n" + common.table(head, rows))
    sentences = {name: result["sentences"] for name, result in results.items() if "sentences" in result}
    if sentences:
        print("\n" + rejection_idling.table(sentences))


if __name__ == "__main__":
    main()
