"""Makes the demo model that the package ships, and measures how wrong it is on people who were not in training.

python benchmarks/demo_model.py --data DATA [--people dmohazab ...] [--only_people] [--work runs/demo]

DATA is a folder with the packings that `demo_data.py` names. Five people with many words are left out one by one: a
model is trained on the others, exported to eight bits, and tested on utterances composed of the person's clips of the
words that somebody else signs, too, and on the person's signs that are none of the model's words, and idling. The
utterances are tested as a camera shows them, too: hands come from rest and go back, and where the clips have no face
there is that of somebody else. Then one model is trained on everybody; it is written to `src/signloom/demo/` with its
card, and its sources to `NOTICE`. All models are trained alike, that one for longer: dev holds known signers, other
clips, and chooses nothing but the epoch.

What is done is not done again: runs and results lie in --work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import common
import demo_card
import demo_data
import strangers_data

# The model that ships learns from more utterances, for longer, than those that are measured, of which there are five.
SHIPPED = {"epochs": 30, "num_train": 1200}
# How sure the model must be of one gloss of an utterance, and of the others. People try it with one word at a time, of
# which the limit that training chooses would drop one in ten more: it is for signs among others.
SURE, LEAST = 0.5, 0.3
TARGET = common.ROOT / "src" / "signloom" / "demo"
EVERYBODY = "everybody"
# How a corpus is composed. People with many clips of a sign give no more of them than the others.
COMPOSED: dict[str, Any] = {
    "clips_per_gloss": 14,
    "idle_glosses": [demo_data.IDLE],
    "idle": 0.3,
    "others": 0.3,
    "resting_hand": 0.2,
    "lead": 0.5,
}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the packings")
    parser.add_argument("--work", type=Path, default=Path("runs/demo"), help="corpora, runs and results")
    parser.add_argument("--people", nargs="*", help="leave out these, one by one")
    parser.add_argument("--only_people", action="store_true", help="leave out people, and ship nothing")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--num_train", type=int, default=700, help="composed utterances to train on")
    parser.add_argument("--seed", type=int, default=0, help="seed of the corpora and of the training")
    options = parser.parse_args()
    clips = demo_data.clips_of(options.data)
    people = options.people
    if people is None:
        # And p5, the only one of those with three words who also makes other signs.
        people = [*demo_data.most_words(clips, 4), "p5"]
    results = [tested(options, clips, person) for person in people]
    print(f"\n{demo_card.table(results)}\n")
    if not options.only_people:
        ship(options, clips, results)
    common.finish(options, {"people": results})


def signs_of(options: Any, clips: list[strangers_data.Clip]) -> Any:
    """Returns the corpus of all clips, imported if it is not there."""
    signs = strangers_data.import_clips(clips, options.work / "signs")
    return replace(signs, info={**signs.info, "name": "demo", "licence": "MIT and Apache-2.0, see NOTICE"})


def only(signs: Any, keep: Iterable[str], person: str | None = None) -> Any:
    """Returns the corpus of the clips of some words, of all people or of one."""
    kept = set(keep)
    chosen = (clip for clip in signs if clip.glosses[0] in kept and person in (None, clip.signer))
    return replace(signs, utterances=tuple(chosen))


def others_of(clips: list[strangers_data.Clip]) -> list[str]:
    """Returns the glosses of clips that show none of the words."""
    return sorted({clip.word for clip in clips} - {*demo_data.WORDS, demo_data.IDLE})


def trained(options: Any, clips: list[strangers_data.Clip], person: str) -> tuple[Any, Path]:
    """Returns the corpus and the run of the model without a person, made if they are not there."""
    signs, others = signs_of(options, clips), others_of(clips)
    words = known_words(clips, person)
    known = only(signs, [*words, demo_data.IDLE, *others])
    known = replace(known, utterances=tuple(clip for clip in known if clip.signer != person))
    corpus = strangers_data.composed(
        known,
        options.work / "corpora" / person,
        num_train=SHIPPED["num_train"] if person == EVERYBODY else options.num_train,
        num_test=0,
        seed=options.seed,
        other_glosses=sorted({clip.glosses[0] for clip in known} & set(others)),
        **COMPOSED,
    )
    return corpus, fitted(options, corpus, person)


def known_words(clips: list[strangers_data.Clip], person: str) -> list[str]:
    """Returns the words that a model without a person knows."""
    signed = {clip.word for clip in clips if clip.person != person}
    return [word for word in demo_data.WORDS if word in signed]


def fitted(options: Any, corpus: Any, person: str) -> Path:
    """Returns the run folder, trained on one thread if it is not there."""
    folder: Path = options.work / "runs" / person
    if not (folder / "finished").exists():
        command = ["train", "--data_dir", str(corpus.root.resolve())]
        epochs = SHIPPED["epochs"] if person == EVERYBODY else options.epochs
        command += ["--output", str(folder.resolve()), "--seed", str(options.seed), "--epochs", str(epochs)]
        # One view of each clip: as good in the same time (figures/techniques.md), and less time an epoch.
        command += ["--consistency", "0"]
        command += ["--resume"] if (folder / "history.json").exists() else ["--overwrite"]
        seconds = common.run_signloom(command, log=options.work / "logs" / f"{person}.log")
        (folder / "finished").write_text(f"{seconds:.1f}\n")
    return folder


def exported(options: Any, corpus: Any, run: Path) -> Any:
    """Returns the model of a run in eight bits, which is what ships; written if it is not there."""
    from signloom.inference.export import exported as export
    from signloom.inference.model import load

    path = run / "exported" / "int8" / "model.onnx"
    if not path.exists():
        model, parity = export(load(run), precision="int8", corpus=corpus)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
        print(f"{run.name}: dev WER {parity.wer_before:.2%} of the run, {parity.wer_after:.2%} in eight bits")
    return load(path)


def tested(options: Any, clips: list[strangers_data.Clip], person: str) -> dict[str, Any]:
    """Returns how a model without a person does on that person, kept for these settings."""
    from signloom.anatomy.faces import shows_face
    from signloom.ctc.hypothesis import Limits

    def make() -> dict[str, Any]:
        corpus, run = trained(options, clips, person)
        model = exported(options, corpus, run)
        signs = signs_of(options, clips)
        words = demo_data.shared_words(clips, person)
        signed = test_of(options, only(signs, [*words, demo_data.IDLE], person), person, "words")
        heard = recognised(model, signed)
        outside = {clip.word for clip in clips if clip.person == person} - {*words, demo_data.IDLE}
        parts = {"others": outside, "idle": {demo_data.IDLE} & {clip.word for clip in clips if clip.person == person}}
        limits = {"all": Limits(), "sure": Limits(LEAST, SURE)}
        result: dict[str, Any] = {"words": words, **{kind: wer(heard, some) for kind, some in limits.items()}}
        filmed = test_of(options, only(signs, [*words, demo_data.IDLE], person), person, "camera", lead=1.0)
        faceless = not any(shows_face(filmed.load(item).points, "full") for item in filmed.split("test"))
        heard = recognised(model, filmed, strangers_data.faces_in(signs) if faceless else ())
        result["camera"] = {kind: wer(heard, some) for kind, some in limits.items()}
        alone = [(item, every_gloss(model, signs.load(item))) for item in only(signs, words, person)]
        result["alone"] = {
            kind: sum(one.confident(*some).words == item.glosses for item, one in alone) / len(alone)
            for kind, some in limits.items()
        }
        for name, glosses in parts.items():
            if glosses:
                heard = recognised(model, test_of(options, only(signs, glosses, person), person, name))
                minutes = sum(item.duration_seconds for item, _ in heard) / 60
                counts = {
                    kind: sum(len(one.confident(*some).words) for _, one in heard) for kind, some in limits.items()
                }
                result[name] = {"glosses": sorted(glosses), "minutes": minutes, **counts}
        return result

    settings = {"person": person, "epochs": options.epochs, "num_train": options.num_train, "seed": options.seed}
    settings |= {"sure": SURE, "least": LEAST}
    result = common.once(options.work / "results" / f"{person}.json", {**settings, **COMPOSED}, make)
    print(f"{person}: WER {result['sure']['wer']:.1%} of {result['sure']['signs']} signs", flush=True)
    return {"person": person, **result}


def test_of(options: Any, signs: Any, person: str, name: str, **changes: Any) -> Any:
    """Returns utterances composed of a person's clips, idle stretches between signs where there are such clips."""
    glosses = {clip.glosses[0] for clip in signs}
    idle = {"idle_glosses": [demo_data.IDLE]} if demo_data.IDLE in glosses and len(glosses) > 1 else {}
    sizes = {"num_train": 0, "num_dev": 0, "num_test": 150, "seed": options.seed}
    output = options.work / "tests" / f"{person}-{name}"
    return strangers_data.composed(signs, output, held_out=[person], **sizes, **idle, **changes)


def recognised(model: Any, corpus: Any, faces: Sequence[Any] = ()) -> list[tuple[Any, Any]]:
    """Returns each test utterance with what a model finds in it, sure or not; with the faces of clips, if given."""
    found = []
    for number, item in enumerate(corpus.split("test")):
        clip = corpus.load(item)
        if faces:
            clip = strangers_data.with_face(clip, faces[number % len(faces)])
        found.append((item, every_gloss(model, clip)))
    return found


def every_gloss(model: Any, clip: Any) -> Any:
    """Returns what a model finds in a clip, sure or not."""
    return model.with_limits(0.0).decode(model.emission(clip))


def wer(heard: list[tuple[Any, Any]], limits: Any) -> dict[str, float]:
    """Returns the WER of the glosses that some limits leave, and of how many signs."""
    from signloom.score.wer import score

    result = score((item.id, item.glosses, list(found.confident(*limits).words)) for item, found in heard)
    return {"wer": result.wer, "signs": result.reference_words}


def ship(options: Any, clips: list[strangers_data.Clip], results: list[dict[str, Any]]) -> None:
    """Trains on everybody and writes the demo model, its card and the notice of its sources."""
    corpus, run = trained(options, clips, EVERYBODY)
    model = exported(options, corpus, run).with_limits(LEAST, sure=SURE)
    demo_card.write(model, clips, results, TARGET, common.ROOT / "NOTICE")
    size = (TARGET / "model.onnx").stat().st_size
    print(f"{TARGET / 'model.onnx'}: {size / 1e6:.2f} MB, {len(model.vocabulary) - 2} words")


if __name__ == "__main__":
    main()
