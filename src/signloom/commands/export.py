"""Exports the model of a run to one .onnx file, which runs without torch: in ONNX Runtime, also in browsers.

The front end, the vocabulary, the decoder with its language model, time spans and a model card are in the file.
`transcribe`, `evaluate`, `align`, `tune` and `signloom.load` take it wherever they take a run. The command compares the
exported model with the run before it writes anything: on clips of many lengths with all kinds of missing parts, and on
the dev split of the run's corpus. If the two differ too much, nothing is written and the exit status is 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from signloom.console import progress_bar, say
from signloom.corpus import Corpus
from signloom.errors import InputError, plural
from signloom.hints import command
from signloom.inference.model import load
from signloom.inference.onnx_file import CARD_NAME, SUFFIX, check_card
from signloom.inference.parity import Parity, dev_utterances
from signloom.run_folder import Run
from signloom.score.text import percent


@dataclass
class Options:
    """Options of `signloom export`."""

    positionals: ClassVar[tuple[str, ...]] = ("model",)

    model: Path
    """a run folder with a model, or a model file"""
    output: Path | None = None
    """the .onnx file; default: exported/PRECISION/model.onnx in the run folder. A model card is written beside it"""
    precision: Literal["float32", "int8"] = "float32"
    """float32, or int8: a quarter of the size and about half as fast again, calibrated on training clips"""
    store: bool = False
    """keep the run's store in the file, so that 'signloom enrol' can adapt it. It holds features of people's landmarks,
    which whoever gets the file gets too"""
    data_dir: Path | None = None
    """the corpus for calibration and comparison; default: the one of the run, if it is still there"""
    overwrite: bool = False
    """replace an existing --output"""


def run(options: Options) -> int:
    """Returns the exit status: 0 when the model was exported."""
    import onnx  # noqa: F401 - report a missing package before the work
    import onnxruntime  # noqa: F401

    from signloom.inference.export import calibration_utterances, exported

    path = _output(options)
    model = load(options.model)
    corpus = _corpus(options, Run(Run.of(options.model).path, info=model.info))
    total = len(dev_utterances(corpus))
    if options.precision == "int8":
        total += len(calibration_utterances(corpus))
    with progress_bar() as bar:
        task = bar.add_task("comparing", total=total, unit="clips")
        result, parity = exported(
            model,
            precision=options.precision,
            corpus=corpus,
            keep_store=options.store,
            advance=lambda count: bar.advance(task, count),
        )
    result.save(path)
    print(_report(parity))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {options.precision}")
    if result.store is not None:
        say(
            f"store for enrolments: features of {plural(len(result.store), 'utterance')}, {result.store.megabytes:.2f} "
            "MB. They come from landmarks of the people in the corpus"
        )
    say(f"model card: {path.parent / CARD_NAME}")
    say(f"next: {command('transcribe', 'CLIP', model=path)}")
    return 0


def _output(options: Options) -> Path:
    """Returns the file to write. Raises InputError for a name of another kind, and for files that exist."""
    if options.model.suffix == SUFFIX:
        raise InputError(f"{options.model}: is exported already; needed a run folder or its model file")
    path = options.output or Run.of(options.model).exported / options.precision / f"model{SUFFIX}"
    if path.suffix != SUFFIX:
        raise InputError(f"--output {path}: not the name of an exported model; needed one that ends in {SUFFIX}")
    if path.exists() and not options.overwrite:
        raise InputError(f"--output {path} exists already; choose another name or pass --overwrite")
    check_card(path)
    return path


def _corpus(options: Options, run: Run) -> Corpus | None:
    """Returns the corpus to compare on, or None with a note if the run's own is not there."""
    if options.data_dir is not None:
        return Corpus.open(options.data_dir)
    folder = run.find_corpus()
    if folder is None:
        say(
            f"note: the corpus of the run is not there ({run.corpus_place or 'not recorded'}): the model is compared "
            "on made clips only; give the corpus with --data_dir"
        )
        return None
    return Corpus.open(folder)


def _report(parity: Parity) -> str:
    """Returns how the exported model compares with its run."""
    lines = [
        f"compared on {plural(parity.num_clips, 'clip')}: log-probabilities differ by up to {parity.difference:.1e}, "
        f"greedy outputs are the same for {percent(parity.same_greedy)} of them"
    ]
    if parity.rounding:
        lines.append(
            f"in {parity.rounding:,} of them an angle is -180 or 180 degrees by rounding: the run itself differs as "
            "much when the clip is moved"
        )
    if parity.wer_before is not None and parity.wer_after is not None:
        lines.append(
            f"WER on dev of {parity.corpus} ({parity.decoder}): {percent(parity.wer_before)} of the run, "
            f"{percent(parity.wer_after)} exported"
        )
    return "\n".join(lines)
