"""Recognition of streams against the same model on the cut sentences: errors, delay of captions, idling, cost.

python benchmarks/streaming.py --source traduttore_asl.npz

Streams of --minutes by signers who are not in training, whose truth is known (streams_made.py): real ASL clips composed
to sentences, with real idle clips between them ("-" of the source, which is no word of the model), for a model whose
training had no idling and for one whose training had it (`idling`); simulated utterances with resting hands between
them. Each is streamed frame by frame. WER: of the glosses of the whole stream, and of the same model on each sentence
cut out at its true ends. Delay: from the true end of a sign to the frame that brings its gloss, final and for the first
time, over the glosses that are right. Idling: final glosses in as many minutes of idle clips alone. Cost: processor
time per frame, front end and decoding included, one thread. A run or a stream that is done is not done again: results
lie in --work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import composed_asl
import numpy as np
import streams_made
from streams_made import Stream

IDLE = "-"
HELD_OUT = "dmohazab"
# At most asked for: points of WER above offline; seconds, median and 95th percentile of final glosses, median of first
# sight; final glosses in ten minutes of idling; milliseconds per frame.
TARGETS = ["+1.5", "0.6", "1.2", "0.3", "2", "2"]


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--source", type=Path, required=True, help="the .npz packing of real clips")
    parser.add_argument("--work", type=Path, default=Path("runs/streaming"), help="corpora, runs and results")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each stream")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=SIDES)
    for name in ("lookahead_seconds", "rest_seconds", "context_seconds"):
        parser.add_argument(f"--{name}", type=float, help="the default of StreamOptions when not given")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for side in options.sides:
        streams = SIDES[side](options)
        model = streams.pop("model")()
        for name, make in streams.items():
            for seed in options.seeds:
                results[f"{name}, seed {seed}"] = result = measured(options, model, name, make, seed)
                print(f"{name}, seed {seed}: {result}", flush=True)
    show(results)
    common.finish(options, results)


def real_streams(options: Any, name: str = "real", idle: float = 0.0) -> dict[str, Callable[..., Any]]:
    """The model and the makers of streams of real clips. idle: that of `signloom compose` in the model's training."""
    signs = composed_asl.signs_corpus(options)

    def model() -> Any:
        from signloom.compose import ComposeOptions, compose

        corpus = options.work / f"corpus_{name}"
        if not (corpus / "corpus.json").exists():
            compose(signs, corpus, ComposeOptions(held_out=[HELD_OUT], idle_glosses=[IDLE], idle=idle))
        return trained(corpus, options.work / f"run_{name}", epochs=20)

    def maker(*, fidgets: bool, sentences: bool) -> Callable[[int], Stream]:
        return lambda seed: streams_made.composed(
            signs, HELD_OUT, IDLE, minutes=options.minutes, fidgets=fidgets, sentences=sentences, seed=seed
        )

    return {
        "model": model,
        f"{name}, rest between": maker(fidgets=False, sentences=True),
        f"{name}, any idling between": maker(fidgets=True, sentences=True),
        f"{name}, rest alone": maker(fidgets=False, sentences=False),
        f"{name}, any idling alone": maker(fidgets=True, sentences=False),
    }


def idling_streams(options: Any) -> dict[str, Callable[..., Any]]:
    """The same streams with a model whose training had idle clips before, after and between the signs."""
    return real_streams(options, "idling", idle=1.0)


def simulated_streams(options: Any) -> dict[str, Callable[..., Any]]:
    """The model and the makers of streams of simulated utterances."""
    from signloom.corpus import Corpus
    from signloom.synth.corpus import synthesise
    from signloom.synth.options import SynthOptions

    # Every sign equally frequent, as in `signloom quickstart`.
    recipe = SynthOptions(
        num_signs=30,
        num_train=700,
        num_dev=60,
        num_test=600,
        grammar=0,
        zipf=0,
        pointing=0,
        repeats=0,
        rest_glosses=False,
    )
    folder = options.work / "simulated"
    corpus = Corpus.open(folder) if (folder / "corpus.json").exists() else synthesise(recipe, folder)
    signers = sorted({item.signer for item in corpus.split("test") if item.signer})

    def maker(*, sentences: bool) -> Callable[[int], Stream]:
        return lambda seed: streams_made.simulated(
            corpus, signers[seed % len(signers)], minutes=options.minutes, sentences=sentences, seed=seed
        )

    return {
        "model": lambda: trained(corpus.root, options.work / "run_simulated", epochs=18),
        "simulated, rest between": maker(sentences=True),
        "simulated, rest alone": maker(sentences=False),
    }


SIDES = {"real": real_streams, "idling": idling_streams, "simulated": simulated_streams}


def trained(corpus: Path, run: Path, *, epochs: int) -> Any:
    """The student trained on a corpus, or the one that was trained before."""
    from signloom.inference.model import load
    from signloom.train.fit import fit
    from signloom.train.recipe import Recipe

    def make() -> dict[str, Any]:
        return {"seconds": fit(Recipe(data_dir=corpus, output=run, epochs=epochs, threads=1, overwrite=True)).seconds}

    common.once(run.with_suffix(".json"), {"corpus": corpus.name, "epochs": epochs}, make)
    return load(run)


def measured(options: Any, model: Any, name: str, make: Callable[[int], Stream], seed: int) -> dict[str, Any]:
    """The figures of one stream, taken from the work folder if they are there for these settings."""
    from signloom.inference.stream_options import StreamOptions

    given = {key: value for key, value in vars(options).items() if key.endswith("_seconds") and value is not None}
    settings = {"stream": name, "seed": seed, "minutes": options.minutes, **given}
    words = [name.replace(",", "").replace(" ", "_"), str(seed), *(f"{key}{value}" for key, value in given.items())]
    path = options.work / "results" / f"{'-'.join(words)}.json"
    result: dict[str, Any] = common.once(path, settings, lambda: figures(model, make(seed), StreamOptions(**given)))
    return {key: value for key, value in result.items() if key != "settings"}


def figures(model: Any, stream: Stream, options: Any) -> dict[str, Any]:
    """The figures of one stream."""
    import torch

    from signloom.inference.stream_events import GlossEvent
    from signloom.inference.streaming import StreamingRecognizer
    from signloom.score.alignment import CORRECT, align

    torch.set_num_threads(1)
    recognizer = StreamingRecognizer(model, options)
    reports: list[tuple[float, GlossEvent]] = []
    started = time.process_time()
    for number, points in enumerate(stream.points):
        moment = number / stream.fps
        reports += [(moment, event) for event in recognizer.push(points, moment) if isinstance(event, GlossEvent)]
    end = len(stream.points) / stream.fps
    reports += [(end, event) for event in recognizer.finish() if isinstance(event, GlossEvent)]
    cost_ms = 1000 * (time.process_time() - started) / len(stream.points)

    finals = [(moment, event) for moment, event in reports if event.kind == "final"]
    hypothesis = [event.span.gloss for _, event in finals]
    result = {"frames": len(stream.points), "finals": len(finals), "cost_ms": cost_ms}
    reference = [gloss for sentence in stream.sentences for gloss in sentence.glosses]
    if not reference:
        return {**result, "false_per_10_minutes": len(finals) / end * 600}
    offline = [model.decode(model.emission(stream.cut(sentence))).words for sentence in stream.sentences]
    aligned = align(reference=reference, hypothesis=hypothesis)
    sides = {
        "stream": aligned,
        "offline": align(reference=reference, hypothesis=[word for words in offline for word in words]),
    }
    for side, alignment in sides.items():
        counts = {kind: alignment.kinds.count(kind) for kind in "SDI"}
        result[side] = {**counts, "wer": sum(counts.values()) / len(reference)}
    first = first_sights(reports)
    ends = [stop / stream.fps for sentence in stream.sentences for _, stop in sentence.boundaries]
    final, sight = [], []
    reference_number = hypothesis_number = 0
    for kind in aligned.kinds:
        if kind == CORRECT:
            moment, event = finals[hypothesis_number]
            final.append(moment - ends[reference_number])
            sight.append(first[event.utterance, event.index] - ends[reference_number])
        reference_number += kind != "I"
        hypothesis_number += kind != "D"
    withdrawn = sum(event.kind == "withdrawn" for _, event in reports)
    return {
        **result,
        "glosses": len(reference),
        "sentences": len(stream.sentences),
        "final_median": float(np.median(final)),
        "final_95": float(np.quantile(final, 0.95)),
        "first_median": float(np.median(sight)),
        "withdrawn_per_final": withdrawn / max(1, len(finals)),
    }


def first_sights(reports: list[Any]) -> dict[tuple[int, int], float]:
    """When each final gloss was reported for the first time since when it did not change, by utterance and index."""
    since: dict[tuple[int, int], tuple[str, float]] = {}
    for moment, event in reports:
        key = event.utterance, event.index
        if event.kind == "withdrawn":
            since.pop(key, None)
        elif key not in since or since[key][0] != event.span.gloss:
            since[key] = event.span.gloss, moment
    return {key: moment for key, (_, moment) in since.items()}


def show(results: dict[str, Any]) -> None:
    rows = [["target", "", "", *TARGETS]]
    for name, row in results.items():
        cost = f"{row['cost_ms']:.2f}"
        if "stream" not in row:
            rows.append([name, "", "", "", "", "", "", f"{row['false_per_10_minutes']:.1f}", cost])
            continue
        above = 100 * (row["stream"]["wer"] - row["offline"]["wer"])
        errors = [f"{row[side]['wer']:.1%}" for side in ("offline", "stream")]
        delays = [f"{row[key]:.2f}" for key in ("final_median", "final_95", "first_median")]
        rows.append([name, *errors, f"{above:+.1f}", *delays, "", cost])
    head = ["stream", "WER offline", "WER of the stream", "difference", "final, median s", "final, 95 % s"]
    print("\n" + common.table([*head, "first sight, median s", "false glosses in 10 minutes", "ms per frame"], rows))


if __name__ == "__main__":
    main()
