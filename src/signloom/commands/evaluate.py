"""Evaluates a model on a split of a corpus: word error rate, kinds of errors, the worst utterances.

The decoder is the model's own (beam search, with the language model that `signloom tune` stored) unless flags override
it; its name is shown with the result. Glosses that the model never saw in training stay in the reference and count as
errors. The result is also written as `evaluation-SPLIT.json`, `hypotheses-SPLIT.csv` (id|gloss) and the page
`score-SPLIT.html` (every aligned utterance, errors by gloss, signer and length) into the model's folder. If that is a
run folder, its report page is updated. Scores on another corpus than the run's own go into a folder of their own,
`other_corpora/`, and the report keeps the run's own scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from signloom.console import progress_bar, say
from signloom.corpus import check_split
from signloom.ctc.decoding_options import DecodingOptions, model_note
from signloom.errors import InputError
from signloom.hints import command
from signloom.inference.evaluate import evaluate
from signloom.inference.model import load
from signloom.inference.own_corpus import corpus_for
from signloom.report import write_report
from signloom.report.evaluation import write_evaluation
from signloom.report.sections import corpus_labels
from signloom.run_folder import Run
from signloom.score.protocols import protocol_named
from signloom.score.text import summary, worst_utterances


@dataclass(kw_only=True)
class Options(DecodingOptions):
    """Options of `signloom evaluate`."""

    positionals: ClassVar[tuple[str, ...]] = ("model",)

    model: Path
    """a run folder with a model, a model file, or an exported model (.onnx)"""
    data_dir: Path | None = None
    """the corpus; default: the one that the model was trained on"""
    split: str = "test"
    """train, dev or test"""
    protocol: str = "plain"
    """the scoring rule, e.g. plain or phoenix2014, with variants after a plus: phoenix2014+without_on_off"""
    batch_size: int = 32
    """utterances per batch of the network"""
    workers: int = 1
    """number of processes that decode in parallel; the network runs in one"""
    worst: int = 5
    """number of worst utterances to show"""
    output: Path | None = None
    """folder for the result; default: the model's own folder"""


def run(options: Options) -> int:
    """Returns the exit status: 0 when the split was scored."""
    check_split(options.split)
    # A wrong name fails now, not after an hour of decoding.
    protocol_named(options.protocol)
    if options.batch_size < 1 or options.workers < 1 or options.worst < 0:
        raise InputError("--batch_size and --workers need at least 1, --worst at least 0")
    model = load(options.model).decoded_with(options)
    corpus = corpus_for(model, options.model, options.data_dir)
    if options.data_dir is None:
        say(f"corpus: {corpus.root}")
    if model.language_model is not None and (note := model_note(model.language_model, model.vocabulary)):
        say(f"note: {note}")
    with progress_bar() as bar:
        task = bar.add_task(f"decoding {options.split}", total=len(corpus.split(options.split)), unit="utterances")
        result = evaluate(
            model,
            corpus,
            options.split,
            protocol=options.protocol,
            batch_size=options.batch_size,
            workers=options.workers,
            advance=lambda count: bar.advance(task, count),
        )
    unknown = model.vocabulary.unknown_note(options.split, corpus.split(options.split).columns.sentences())
    if unknown:
        say(f"note: {unknown}")
    # Shown before anything is written, which a full disk may prevent.
    print(f"{corpus.name}, {options.split} split; decoder: {model.decoder_name}")
    for label in corpus_labels(corpus.info):
        print(f"  {label}")
    print(summary(result))
    if options.worst:
        print("\n" + worst_utterances(result, options.worst))
    run_folder = Run(options.output) if options.output else Run.of(options.model)
    scored = write_evaluation(
        run_folder,
        result,
        model_path=options.model,
        corpus=corpus,
        split=options.split,
        decoder=model.decoder_name,
    )
    if scored.path != run_folder.path:
        say(f"note: the model was not trained on {corpus.root}: its scores there go into a folder of their own")
    say(f"written: {scored.evaluation_file(options.split)}")
    say(f"every utterance, gloss and signer: {scored.score_page(options.split)}")
    if scored.info_file.is_file():
        say(f"report: {write_report(scored.path)}")
    say(f"next: {command('transcribe', 'CLIP', model=options.model)}")
    return 0
