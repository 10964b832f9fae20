"""Runs every step on simulated signing: corpus, training, scores on unseen signers, a transcript, a report.

It needs no video and no licensed corpus. It shows that every step works on this machine, and how well a model does on
data whose difficulty is measured as well. Figures on simulated signing say nothing about real signing.
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signloom.commands.split_rows import split_rows
from signloom.console import progress_bar, say
from signloom.corpus import Corpus, Utterance
from signloom.errors import plural
from signloom.files.locks import locked
from signloom.files.writing import write_json
from signloom.run_folder import Run

EPOCHS = 20


@dataclass
class Options:
    """Options of `signloom quickstart`."""

    output: Path = Path("runs/quickstart")
    """run folder: corpus, model, curves, report"""
    num_signs: int = 40
    """number of signs in the simulated lexicon"""
    num_train: int = 900
    """number of training utterances"""
    num_dev: int = 80
    """number of dev utterances, on which the best epoch is chosen"""
    num_test: int = 120
    """number of test utterances, by unseen signers"""
    epochs: int = EPOCHS
    """number of passes over the training split"""
    seed: int = 0
    """random seed of the corpus and of the training"""
    workers: int = 2
    """number of processes that simulate in parallel"""
    overwrite: bool = False
    """replace an earlier quickstart in --output"""


def run(options: Options) -> int:
    """Returns the exit status: 0 when every step is done."""
    import lightning  # noqa: F401 - report a missing package before minutes of work
    import torch  # noqa: F401

    with locked(options.output, "quickstart"):
        return _run(options)


def _run(options: Options) -> int:
    from signloom.report import write_report
    from signloom.report.evaluation import score_on_test
    from signloom.score.text import percent, summary
    from signloom.synth.baseline import nearest_neighbour
    from signloom.train.fit import fit
    from signloom.train.recipe import Recipe

    started = time.perf_counter()
    corpus = _simulate(options)
    _step(2, "measuring how hard the corpus is: nearest neighbour by DTW on isolated signs of the unseen signers")
    baseline = nearest_neighbour(corpus)
    print(f"  {baseline}")

    _step(3, "training the student")
    recipe = Recipe(
        data_dir=corpus.root,
        output=options.output,
        epochs=options.epochs,
        seed=options.seed,
        overwrite=options.overwrite,
    )
    result = fit(recipe)

    _step(4, "scoring on signers that the model has never seen")
    low, high = baseline.error_interval
    measured = {
        "name": "the most similar training sign",
        "error_rate": baseline.error_rate,
        "interval": {"low": low, "high": high},
        "note": f"The simple method gets {plural(baseline.num_queries, 'single sign')}, cut out at their "
        "true start and end, and names each after the training sign that is nearest by dynamic time warping (DTW). "
        "The model gets whole utterances and does not know where signs start and end.",
    }
    folder = Run(options.output)
    score = score_on_test(folder, result.model, corpus, baseline=measured)
    print(f"  decoder: {result.model.decoder_name}")
    print("  " + summary(score).replace("\n", "\n  "))

    _step(5, "transcribing one utterance of an unseen signer")
    utterance = corpus.split("test")[0]
    transcript = _transcribe(result.model, corpus, utterance)
    print(f"  {utterance.id}, signed by {utterance.signer}")
    print(f"  reference   {' '.join(utterance.glosses)}")
    print(f"  recognised  {' '.join(span['gloss'] for span in transcript['hypothesis'])}")
    write_json(folder.transcript_file, transcript)
    info = {**Run.read(folder.path).info, "training_seconds": result.seconds, "next_steps": list(NEXT_STEPS)}
    write_json(folder.info_file, info)
    report = write_report(options.output)
    minutes = (time.perf_counter() - started) / 60
    print(
        f"\nWER {percent(score.wer)} on unseen simulated signers, where DTW errs on {percent(baseline.error_rate)} of "
        f"isolated signs; {minutes:.1f} minutes in all.\n"
        f"Report: {report}\n\nWith your own data{_activation()}:"
    )
    for step in NEXT_STEPS:
        print(f"  {step['text']}\n    {step['command']}")
    return 0


NEXT_STEPS = (
    {
        "text": "Turn videos into landmarks (pip install -e '.[extract]'):",
        "command": "signloom extract my_videos --output landmarks",
    },
    {
        "text": "One folder per sign? Compose continuous utterances from the clips:",
        "command": "signloom import clips landmarks --output signs && signloom compose signs --output corpus",
    },
    {
        "text": "Annotated sentences (PHOENIX, CSL-Daily, Isharah)? Join them with their landmarks:",
        "command": "signloom import phoenix2014 --help",
    },
    {
        "text": "Train, score, use:",
        "command": "signloom train --data_dir corpus --output runs/mine && "
        "signloom evaluate runs/mine --data_dir corpus && signloom transcribe clip.mp4 --model runs/mine",
    },
)


def _activation() -> str:
    """Returns how to make `signloom` a command of the shell, or nothing if it is one."""
    return "" if shutil.which("signloom") else f" (first: source {Path(sys.prefix) / 'bin' / 'activate'})"


def _step(number: int, text: str) -> None:
    print(f"\n[{number}/5] {text}", flush=True)


def _simulate(options: Options) -> Corpus:
    from signloom.synth.corpus import synthesise
    from signloom.synth.options import SynthOptions

    _step(1, "simulating a corpus: 8 signers, 2 of them in test only")
    recipe = SynthOptions(
        num_signs=options.num_signs,
        num_train=options.num_train,
        num_dev=options.num_dev,
        num_test=options.num_test,
        seed=options.seed,
        # Every sign is equally frequent: a few hundred sentences of a real language would not contain them all.
        grammar=0.0,
        zipf=0.0,
        pointing=0.0,
        repeats=0.0,
        rest_glosses=False,
    )
    total = recipe.num_train + recipe.num_dev + recipe.num_test
    with progress_bar() as bar:
        task = bar.add_task("simulating", total=total, unit="utterances")
        corpus = synthesise(
            recipe,
            options.output / "corpus",
            num_workers=options.workers,
            overwrite=options.overwrite,
            progress=lambda frames: bar.advance(task),
        )
    print("\n".join(split_rows(corpus)))
    say(f"  corpus: {corpus.root}")
    return corpus


def _transcribe(model: Any, corpus: Corpus, utterance: Utterance) -> dict[str, Any]:
    """Returns the transcript of one utterance with its reference, for the report page."""
    hypothesis = model.transcribe(corpus.load(utterance))
    boundaries = utterance.truth.get("boundaries", [])
    return {
        "id": utterance.id,
        "reference": list(utterance.glosses),
        "reference_spans": [[start / utterance.fps, end / utterance.fps] for start, end in boundaries],
        "hypothesis": [span.to_dict() for span in hypothesis.glosses],
        "duration_seconds": utterance.duration_seconds,
    }
