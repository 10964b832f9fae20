"""An hour of landmarks: peak memory and time of the commands that take a clip; the same on ordinary clips.

python benchmarks/long_clips.py [--preset student] [--before OTHER_CHECKOUT]

The hour (90,000 frames at 25 frames per second) is made by repeating 32 simulated sentences. The model has the sizes of
a preset, weights as initialised, and a classifier of --num_words words that is scaled so that a gloss is emitted about
as often as in real signing. So its glosses mean nothing, but memory and time are those of a trained model. Each command
runs in a process of its own, whose peak is the largest resident memory, torch included. --before runs all of it in an
older checkout too, in turn.

Ordinary clips are those of 8 seconds: each process reads and transcribes 32 of them, --rounds times, in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common
import numpy as np

FPS = 25.0
ORDINARY_FRAMES = 200
NUM_ORDINARY = 32
# Glosses of the reference: one in 1.2 s.
GLOSSES_PER_SECOND = 1 / 1.2
# Words of each side of the table that is only scored.
SCORED_WORDS = 30_000


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--preset", default="student")
    parser.add_argument("--num_words", type=int, default=1118)
    parser.add_argument("--num_frames", type=int, default=90_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--before", type=Path, help="an older checkout to compare with")
    parser.add_argument("--only", nargs="*", help="commands to measure; default: all")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(options.child)
    if options.worker:
        work(json.loads(options.worker))
        return
    checkouts = {"now": common.ROOT} | ({"before": options.before.resolve()} if options.before else {})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        commands = prepare(folder, options)
        if options.only is not None:
            commands = {name: command for name, command in commands.items() if name in options.only}
        results: dict[str, Any] = {"hour": {}, "ordinary": {}}
        for name, command in commands.items():
            for label, checkout in checkouts.items():
                results["hour"].setdefault(name, {})[label] = measure(command, checkout, folder)
                print(name, label, results["hour"][name][label], file=sys.stderr)
        results["ordinary"] = ordinary(folder, checkouts, options.rounds)
    show(results, list(checkouts))
    common.finish(options, results)


def prepare(folder: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    """Makes the hour, a model, references and ordinary clips; returns the arguments of each command."""
    from signloom.corpus import CorpusWriter
    from signloom.landmarks import Landmarks
    from signloom.synth.corpus import synthesise
    from signloom.synth.options import SynthOptions

    rng = np.random.default_rng(0)
    dials = SynthOptions(num_signs=12, num_signers=2, num_test_signers=1, num_train=30, num_dev=1, num_test=1, fps=FPS)
    corpus = synthesise(dials, folder / "sentences")
    clips = [corpus.load(item) for item in corpus]
    points = np.concatenate([clip.points for clip in clips])
    visibility = np.concatenate([clip.visibility for clip in clips])
    sentences = Landmarks(points, visibility, fps=FPS, image_size=(640, 480))
    frames = np.arange(options.num_frames) % len(points)
    hour = Landmarks(points[frames], visibility[frames], fps=FPS, image_size=(640, 480))
    hour.save(folder / "hour.npz")
    for number in range(NUM_ORDINARY):
        start = int(rng.integers(len(points) - ORDINARY_FRAMES))
        sentences.part(slice(start, start + ORDINARY_FRAMES)).save(folder / f"ordinary-{number}.npz")
    glosses = [f"G{number:04d}" for number in range(options.num_words - 2)]
    write_model(folder, sentences, glosses, options.preset)
    count = round(options.num_frames / FPS * GLOSSES_PER_SECOND)
    reference = [glosses[index] for index in rng.integers(len(glosses), size=count)]
    with CorpusWriter(folder / "corpus", {"name": "an hour"}) as writer:
        writer.add("hour", split="test", signer="A", glosses=reference, landmarks=folder / "hour.npz")
    del hour
    words = [glosses[index] for index in rng.integers(len(glosses), size=SCORED_WORDS)]
    heard = [word if rng.random() < 0.7 else str(rng.choice(glosses)) for word in words if rng.random() < 0.9]
    for name, sentence in (("hour", reference), ("reference", words), ("hypothesis", heard)):
        (folder / f"{name}.csv").write_text(f"id|gloss\nhour|{' '.join(sentence)}\n", encoding="utf-8")
    clip, model = str(folder / "hour.npz"), ["--model", str(folder / "model.safetensors")]
    with_lm = ["--model", str(folder / "with_lm.safetensors")]
    table = ["--annotations", str(folder / "hour.csv")]
    return {
        "transcribe, greedy": ["transcribe", clip, *model, "--decoder", "greedy", "--output", str(folder / "a.json")],
        "transcribe, beam": ["transcribe", clip, *model, "--output", str(folder / "a.srt")],
        "transcribe, beam with language model": ["transcribe", clip, *with_lm, "--output", str(folder / "a.eaf")],
        f"align, {count:,} glosses": ["align", clip, *model, *table, "--output", str(folder / "b.json"), "--overwrite"],
        "evaluate": [
            *("evaluate", model[1], "--data_dir", str(folder / "corpus")),
            *("--output", str(folder / "evaluation")),
        ],
        f"score, {SCORED_WORDS:,} words": ["score", str(folder / "reference.csv"), str(folder / "hypothesis.csv")],
        "show, contact sheet": ["show", clip, "--output", str(folder / "sheet.png")],
        "doctor, corpus": ["doctor", str(folder / "corpus")],
    }


def write_model(folder: Path, sentences: Any, glosses: list[str], preset: str) -> None:
    """Writes a model with and one without a language model."""
    from dataclasses import replace

    import torch

    from signloom.ctc.decoding import Decoding
    from signloom.ctc.kneser_ney import kneser_ney
    from signloom.inference.model import Model
    from signloom.inference.torch_engine import TorchEngine
    from signloom.model.presets import preset as config_named
    from signloom.model.recognizer import Recognizer
    from signloom.vocabulary import Vocabulary

    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    vocabulary = Vocabulary.from_glosses([glosses])
    config = config_named(preset)
    recognizer = Recognizer(config, len(vocabulary)).eval()
    points = torch.from_numpy(sentences.select(config.view)[:2000])[None]
    recognizer.frontend.fit([(points, torch.tensor([points.shape[1]]))])
    with torch.inference_mode():
        x = recognizer.lstm(recognizer.features(points)[0])[0]
        classifier = recognizer.classifier
        logits = x @ classifier.weight.T
        scale = 4 / logits.std(0)
        classifier.weight.mul_(scale[:, None])
        classifier.weight[0] = 0
        classifier.bias.copy_(-logits.mean(0) * scale)
        greatest = (x @ classifier.weight.T + classifier.bias)[:, 1:].max(1).values
        # The blank wins in nine of ten output frames.
        classifier.bias[0] = greatest.quantile(0.9)
    model = Model(TorchEngine(recognizer), vocabulary)
    model.save(folder / "model.safetensors")
    sentences_of_lm = [[glosses[index] for index in rng.integers(len(glosses), size=8)] for _ in range(5000)]
    words = kneser_ney(sentences_of_lm, 3).model
    replace(model, decoding=Decoding(lm_weight=0.4, insertion_bonus=1.0), language_model=words).save(
        folder / "with_lm.safetensors"
    )


def measure(command: list[str], checkout: Path, folder: Path) -> dict[str, float]:
    """Returns peak memory and times of a command in a process of its own."""
    record = folder / "measured.json"
    record.unlink(missing_ok=True)
    process = subprocess.run(
        [sys.executable, __file__, "--child", str(checkout), str(record), *command],
        capture_output=True,
        text=True,
        check=False,
    )
    if not record.is_file():
        raise SystemExit(f"{command[0]}: {process.stderr[-2000:]}")
    result: dict[str, float] = json.loads(record.read_text(encoding="utf-8"))
    if result["status"] not in (0, 1):
        raise SystemExit(f"{command[0]}: exit status {result['status']}: {process.stderr[-2000:]}")
    return result


def run_child(arguments: list[str]) -> None:
    """Runs a command of a checkout in this process and writes what it took."""
    checkout, record, *command = arguments
    sys.path.insert(0, str(Path(checkout) / "src"))
    from signloom.cli import main as signloom

    started, status = time.perf_counter(), 0
    try:
        signloom(command)
    except SystemExit as exit:
        status = int(exit.code or 0)
    measured = {
        "status": status,
        "peak_memory_mib": round(common.peak_memory_mib()),
        "cpu_seconds": round(time.process_time(), 1),
        "seconds": round(time.perf_counter() - started, 1),
    }
    Path(record).write_text(json.dumps(measured), encoding="utf-8")
    sys.exit(0)


def ordinary(folder: Path, checkouts: dict[str, Path], rounds: int) -> dict[str, Any]:
    """Returns the CPU milliseconds per ordinary clip: the median over rounds, and the median ratio of a round."""
    settings = {"folder": str(folder)}
    workers = {label: common.Worker(__file__, {**settings, "checkout": str(path)}) for label, path in checkouts.items()}
    times: dict[str, dict[str, list[float]]] = {label: {} for label in workers}
    # The first round warms up.
    for number in range(rounds + 1):
        for label, worker in workers.items():
            for name, value in worker.ask().items():
                if number:
                    times[label].setdefault(name, []).append(value)
    for worker in workers.values():
        worker.close()
    result: dict[str, Any] = {}
    for name, values in times["now"].items():
        result[name] = {label: statistics.median(rows[name]) for label, rows in times.items()}
        if "before" in times:
            ratios = [now / before for now, before in zip(values, times["before"][name], strict=True)]
            result[name]["ratio"] = statistics.median(ratios)
    return result


def work(settings: dict[str, Any]) -> None:
    """Transcribes the ordinary clips, whenever asked, with one checkout."""
    sys.path.insert(0, str(Path(settings["checkout"]) / "src"))
    import torch

    torch.set_num_threads(1)
    from signloom.inference.align import aligned
    from signloom.inference.model import load
    from signloom.landmarks import Landmarks

    folder = Path(settings["folder"])
    files = [folder / f"ordinary-{number}.npz" for number in range(NUM_ORDINARY)]
    models = {"beam": load(folder / "model.safetensors"), "language model": load(folder / "with_lm.safetensors")}
    clips = [Landmarks.load(file) for file in files]
    emissions = [models["beam"].emission(clip) for clip in clips]

    def answer(request: str) -> dict[str, float]:
        found = {}
        for name, call in {
            "transcribe a file": lambda: [models["beam"].transcribe(file) for file in files],
            "emission": lambda: [models["beam"].emission(clip) for clip in clips],
            "decode": lambda: [models["beam"].decode(emission) for emission in emissions],
            "decode, language model": lambda: [models["language model"].decode(emission) for emission in emissions],
            "align": lambda: [aligned(models["beam"], clip, models["beam"].vocabulary.words[2:10]) for clip in clips],
        }.items():
            started = time.process_time()
            call()
            found[name] = 1000 * (time.process_time() - started) / NUM_ORDINARY
        return found

    common.serve(answer)


def show(results: dict[str, Any], labels: list[str]) -> None:
    units = ("peak_memory_mib", "cpu_seconds", "seconds")
    head = ["an hour", *(f"{unit}, {label}" for label in labels for unit in ("peak MiB", "CPU s", "s"))]
    rows = [
        [name, *(f"{values[label][unit]:,}" for label in labels for unit in units)]
        for name, values in results["hour"].items()
    ]
    print(common.table(head, rows))
    columns = [*labels, *(["ratio"] if "before" in labels else [])]
    rows = [[name, *(f"{values[column]:.3g}" for column in columns)] for name, values in results["ordinary"].items()]
    print("\n" + common.table(["ordinary clips, CPU ms", *columns], rows))


if __name__ == "__main__":
    main()
