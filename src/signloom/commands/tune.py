"""Finds the best language model weight, insertion bonus and limit of confidence on dev, and stores them with the model.

The language model comes from --lm, or is estimated from the training sentences of the corpus. The emissions of dev are
computed once. They are decoded with every pair of settings on a grid, then with those on finer grids around the best.
The best settings and the language model are stored in the model's file, if they are better than the beam alone by more
than chance, and `signloom evaluate` and `signloom transcribe` use them (`--decoder greedy` ignores them). The settings
were chosen on dev, so the WER on dev is a little too good: report the WER on test.

Where dev shows idling or signs that are none of the model's (`signloom compose --others`), a limit is chosen as well,
as `signloom train` chooses one: how sure the model must be of one gloss of an utterance, else all of them are dropped.
It is the highest one that drops at most --most_lost of the true glosses, if each stood alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from signloom.console import progress_bar, say
from signloom.ctc.arpa import read_arpa
from signloom.ctc.beam import BEAM_SIZE
from signloom.ctc.decoding_options import describe, model_note
from signloom.ctc.kneser_ney import ORDER, kneser_ney
from signloom.ctc.lm_fusion import check_shared
from signloom.ctc.ngram import NGram
from signloom.errors import InputError, plural
from signloom.files.locks import locked, locked_file
from signloom.hints import command
from signloom.inference.calibrate import NUM_TIMING_CLIPS, fit_spans, with_spans
from signloom.inference.limits import MOST_LOST, try_limits, with_limit
from signloom.inference.model import Model, load
from signloom.inference.own_corpus import corpus_for
from signloom.inference.tune import Tuned, num_points, tune
from signloom.run_folder import model_path
from signloom.score.compare import compare
from signloom.score.compare_text import difference_sentence
from signloom.score.text import percent


@dataclass
class Options:
    """Options of `signloom tune`."""

    positionals: ClassVar[tuple[str, ...]] = ("model",)
    in_place: ClassVar[tuple[str, ...]] = ("model",)

    model: Path
    """a run folder with a model, a model file, or an exported model (.onnx)"""
    data_dir: Path | None = None
    """the corpus whose dev split is used; default: the one that the model was trained on"""
    lm: Path | None = None
    """an ARPA language model; default: one estimated from the corpus' training sentences"""
    order: int = ORDER
    """longest n-grams of the estimated language model, in words"""
    split: str = "dev"
    """the split used for tuning; only dev is allowed"""
    protocol: str = "plain"
    """the scoring rule"""
    beam_size: int = BEAM_SIZE
    """number of prefixes that the beam search keeps"""
    batch_size: int = 32
    """utterances per batch of the network"""
    workers: int = 1
    """number of processes that decode in parallel"""
    most_lost: float = MOST_LOST
    """largest share of the glosses found rightly, if each stood alone, that the limit may drop (see --sure_confidence
    of 'transcribe'); it is chosen where dev shows idling or other signs"""
    output: Path | None = None
    """file for the tuned model; default: overwrite the model itself"""


def run(options: Options) -> int:
    """Returns the exit status: 0 when settings were found and stored."""
    if options.split != "dev":
        raise InputError(
            f"--split is {options.split!r}; only dev is for tuning: settings chosen on {options.split} would make "
            "every figure on it too good"
        )
    if min(options.batch_size, options.workers, options.beam_size) < 1:
        raise InputError("--batch_size, --workers and --beam_size need at least 1")
    if not 0 <= options.most_lost <= 1:
        raise InputError(f"--most_lost is {options.most_lost}; needed a share from 0 to 1")
    path = options.output or model_path(options.model)
    # The model of a run is written by its training, too.
    with locked(path.parent) if path == model_path(options.model) else locked_file(path):
        return _run(options, path)


def _run(options: Options, path: Path) -> int:
    model = load(options.model)
    corpus = corpus_for(model, options.model, options.data_dir)
    if options.data_dir is None:
        say(f"corpus: {corpus.root}")
    train, dev = corpus.split("train"), corpus.split("dev")
    references = {item.id: item.glosses for item in dev}
    if options.lm:
        language_model = read_arpa(options.lm)
    else:
        language_model = kneser_ney((item.glosses for item in train), options.order).model
    check_shared(language_model, model.vocabulary)
    print(f"language model: {options.lm or f'{corpus.name}, train split'}, {language_model}")
    print(f"on dev: {language_model.perplexity(references.values())}")
    if note := model_note(language_model, model.vocabulary):
        say(f"note: {note}")
    emissions: dict[str, np.ndarray] = {}
    with progress_bar() as bar:
        forward = bar.add_task("emissions of dev", total=len(dev), unit="utterances")
        for item, log_probs in model.emissions(corpus, dev, batch_size=options.batch_size):
            emissions[item.id] = log_probs
            bar.advance(forward)
        search = bar.add_task("settings", total=num_points(), unit="settings")
        tuned = tune(
            emissions,
            references,
            model.vocabulary,
            language_model,
            beam_size=options.beam_size,
            protocol=options.protocol,
            workers=options.workers,
            advance=lambda: bar.advance(search),
        )
        bar.update(search, total=len(tuned.points), completed=len(tuned.points))
        stored = language_model if tuned.decoding.uses_language_model else None
        # Nothing is dropped while confidences are calibrated and limits are compared.
        before = model.decoding
        model = replace(model, decoding=tuned.decoding, language_model=stored)
        # Confidences depend on the decoder: a new decoder needs a new calibration.
        clips = bar.add_task("timing of signs", total=min(NUM_TIMING_CLIPS, len(train)), unit="clips")
        model = with_spans(model, fit_spans(model, corpus, advance=lambda count: bar.advance(clips, count)))
    limits = try_limits(model, corpus, most_lost=options.most_lost, emissions=emissions)
    if limits.can_choose:
        model = with_limit(model, limits)
    else:
        model = model.with_limits(before.min_confidence, sure=before.sure_confidence)
    _store(model, tuned, path)
    print(_report(tuned, language_model))
    print(limits)
    if limits.chosen:
        say(
            f"stored: one gloss of each utterance must have a confidence of {limits.chosen.sure:g}; 'transcribe', "
            "'evaluate', 'live' and streams use that from now on; --sure_confidence overrides it"
        )
        if {item.signer for item in train} & {item.signer for item in dev}:
            say("note: dev has signers of train; of new people the limit may drop more true glosses")
    elif not limits.can_choose:
        say("note: 'signloom compose' with --others and --num_dev makes utterances that tell which limit to take")
    protocol = options.protocol if options.protocol != Options.protocol else None
    say(f"written: {path}")
    tuned_model = options.output or options.model
    say(f"next: {command('evaluate', tuned_model, data_dir=options.data_dir, split='test', protocol=protocol)}")
    return 0


def _store(model: Model, tuned: Tuned, path: Path) -> None:
    """Writes the model with a record of what tuning found."""
    record = {
        "split": "dev",
        "protocol": tuned.best.protocol,
        "wer_greedy": tuned.greedy.wer,
        "wer_beam": tuned.plain.wer,
        "wer": (tuned.best if tuned.uses_best else tuned.plain).wer,
    }
    replace(model, info={**model.info, "tuned": record}).save(path)


def _report(tuned: Tuned, language_model: NGram) -> str:
    """Returns the scores of the three decoders, and the differences with their intervals."""
    rows = [
        ("greedy", tuned.greedy),
        (str(replace(tuned.best_decoding, lm_weight=0.0, insertion_bonus=0.0)), tuned.plain),
        (describe(tuned.best_decoding, language_model), tuned.best),
    ]
    lines = [f"dev WER ({tuned.best.protocol} rule), {plural(len(tuned.points), 'setting')} tried"]
    lines += [f"  {percent(score.wer):>8}  {name}" for name, score in rows]
    for name, before in (("greedy", tuned.greedy), ("the beam alone", tuned.plain)):
        change = difference_sentence(compare(before, tuned.best))
        lines.append(f"against {name}: {change}; the settings were chosen on dev")
    if not tuned.uses_best:
        lines.append("The beam alone is stored: what the best settings gain on dev may be chance.")
    elif not tuned.decoding.uses_language_model:
        lines.append("The language model does not help on dev; it is not stored.")
    return "\n".join(lines)
