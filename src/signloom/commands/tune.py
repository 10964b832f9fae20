"""How a model's emissions are best read: weight of a language model and bonus a gloss, found on dev, kept with it.

These two settings are tuned and no others, on dev and on nothing else; the language model is --lm, or made of the
training sentences of the corpus. Emissions are computed once; then a grid of settings is decoded, and a finer one
around the best. The settings and the language model go into the model's file, so that `signloom evaluate` and `signloom
transcribe` use them (`--decoder greedy` does without). The dev figure of tuned settings is a little too good, for they
were chosen on it: report test.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from signloom.commands.lm import ORDER, training_estimate
from signloom.console import progress_bar, say
from signloom.corpus import Corpus
from signloom.ctc.arpa import read_arpa
from signloom.ctc.beam import BEAM_SIZE
from signloom.ctc.decoding import Decoder, Decoding
from signloom.ctc.decoding_options import describe, model_note
from signloom.ctc.lm_fusion import check_shared
from signloom.ctc.ngram import NGram
from signloom.errors import CheckFailedError, InputError
from signloom.inference.calibrate import NUM_TIMING_CLIPS, fit_spans, with_spans
from signloom.inference.model import Model, load
from signloom.run_folder import model_path
from signloom.score.compare import Comparison, compare
from signloom.score.text import percent
from signloom.score.wer import Score, score
from signloom.vocabulary import Vocabulary

# The first grid; weights of n-gram models over glosses lie well within it, and 0 is to leave the model out.
WEIGHTS = (0.0, 0.2, 0.4, 0.6, 0.9, 1.2)
BONUSES = (-1.0, 0.0, 1.0, 2.0, 3.5)
# Then so many finer ones: the eight neighbours of the best, at these steps, halved each time.
ROUNDS = 2
STEPS = (0.1, 0.5)


@dataclass
class Options:
    """What `signloom tune` is told."""

    positionals: ClassVar[tuple[str, ...]] = ("model",)

    model: Path
    """a model file, or a run folder that holds model.safetensors"""
    data_dir: Path
    """the corpus; its dev split is tuned on"""
    lm: Path | None = None
    """an ARPA language model; made of the corpus' training sentences when not given"""
    order: int = ORDER
    """words of the longest n-grams of the language model that is made"""
    split: str = "dev"
    """what is tuned on: dev, and no other"""
    protocol: str = "plain"
    """the scoring rule"""
    beam_size: int = BEAM_SIZE
    """prefixes that are kept"""
    batch_size: int = 32
    """utterances whose emissions are computed at once"""
    workers: int = 1
    """processes that decode side by side"""
    output: Path | None = None
    """write the tuned model to this file; over the model itself when not given"""


@dataclass(frozen=True)
class Tuned:
    """What tuning found.

    decoding: the best settings; of equal ones those with the least weight, then the least bonus.
    scores: of greedy decoding, of the beam alone, and of the best, on the same utterances.
    points: errors of every setting that was tried, by (weight, bonus).
    """

    decoding: Decoding
    greedy: Score
    plain: Score
    best: Score
    points: Mapping[tuple[float, float], int]


def run(options: Options) -> int:
    """The exit status: 0 when settings were found and stored."""
    if options.split != "dev":
        raise InputError(
            f"--split is {options.split!r}; tuning is on dev alone: settings chosen on {options.split} would make "
            "every figure on it too good"
        )
    if min(options.batch_size, options.workers, options.beam_size) < 1:
        raise InputError("--batch_size, --workers and --beam_size need at least 1")
    model, corpus = load(options.model), Corpus.open(options.data_dir)
    references = {item.id: item.glosses for item in corpus.split("dev")}
    language_model = read_arpa(options.lm) if options.lm else training_estimate(corpus, options.order).model
    check_shared(language_model, model.vocabulary)
    print(f"language model: {options.lm or f'{corpus.name}, train split'}, {language_model}")
    print(f"on dev: {language_model.perplexity(references.values())}")
    if note := model_note(language_model, model.vocabulary):
        say(f"note: {note}")
    found: dict[str, np.ndarray] = {}
    with progress_bar() as bar:
        forward = bar.add_task("emissions of dev", total=len(references), unit="utterances")
        for item, log_probs in model.emissions(corpus, corpus.split("dev"), batch_size=options.batch_size):
            found[item.id] = log_probs
            bar.advance(forward)
        search = bar.add_task("settings", total=num_points(), unit="settings")
        tuned = tune(
            found,
            references,
            model.vocabulary,
            language_model,
            beam_size=options.beam_size,
            protocol=options.protocol,
            workers=options.workers,
            advance=lambda: bar.advance(search),
        )
        bar.update(search, total=len(tuned.points), completed=len(tuned.points))
        kept = language_model if tuned.decoding.uses_language_model else None
        model = replace(model, decoding=tuned.decoding, language_model=kept)
        # Confidences are those of a decoder: with another one they are calibrated anew.
        clips = bar.add_task("timing of signs", total=min(NUM_TIMING_CLIPS, len(corpus.split("train"))), unit="clips")
        model = with_spans(model, fit_spans(model, corpus, advance=lambda count: bar.advance(clips, count)))
    path = options.output or model_path(options.model)
    _store(model, tuned, path)
    print(_report(tuned, language_model))
    say(f"written: {path}")
    say(f"next: signloom evaluate {options.output or options.model} --data_dir {options.data_dir} --split test")
    return 0


def num_points() -> int:
    """About how many settings are tried; at the edge of what is allowed they are fewer."""
    return len(WEIGHTS) * len(BONUSES) + 8 * ROUNDS


def tune(
    emissions: Mapping[str, np.ndarray],
    references: Mapping[str, Sequence[str]],
    vocabulary: Vocabulary,
    language_model: NGram,
    *,
    beam_size: int = BEAM_SIZE,
    protocol: str = "plain",
    workers: int = 1,
    advance: Callable[[], object] = lambda: None,
) -> Tuned:
    """The weight and the bonus with the fewest errors on the utterances given.

    emissions: log-probabilities (T', V) by id.  references: the glosses of the same ids.
    workers: processes that each decode all utterances by one setting after another; they are spawned.
    """
    ids = list(references)
    ordered = [emissions[name] for name in ids]

    def scored(hypotheses: Sequence[Sequence[int]]) -> Score:
        return score(
            ((name, references[name], vocabulary.decode(words)) for name, words in zip(ids, hypotheses, strict=True)),
            protocol=protocol,
        )

    plain = Decoding(beam_size=beam_size)
    points: dict[tuple[float, float], Score] = {}
    with _searching(ordered, vocabulary, language_model, workers) as decode:

        def try_all(settings: Sequence[tuple[float, float]]) -> None:
            new = [point for point in dict.fromkeys(settings) if point not in points]
            decodings = [replace(plain, lm_weight=weight, insertion_bonus=bonus) for weight, bonus in new]
            for point, hypotheses in zip(new, decode(decodings), strict=True):
                points[point] = scored(hypotheses)
                advance()

        try_all([(weight, bonus) for weight in WEIGHTS for bonus in BONUSES])
        for finer in range(ROUNDS):
            weight, bonus = _best(points)
            steps = [(weight_step, bonus_step) for weight_step in (-1, 0, 1) for bonus_step in (-1, 0, 1)]
            near = [
                (round(weight + at * STEPS[0] / 2**finer, 4), round(bonus + to * STEPS[1] / 2**finer, 4))
                for at, to in steps
            ]
            try_all([point for point in near if point[0] >= 0])
        (greedy,) = decode([Decoding(decoder="greedy")])
    weight, bonus = _best(points)
    return Tuned(
        replace(plain, lm_weight=weight, insertion_bonus=bonus),
        scored(greedy),
        points[0.0, 0.0],
        points[weight, bonus],
        {point: found.errors for point, found in points.items()},
    )


def _best(points: Mapping[tuple[float, float], Score]) -> tuple[float, float]:
    return min(points, key=lambda point: (points[point].errors, point[0], abs(point[1])))


_Search = Callable[[Sequence[Decoding]], Iterator[list[list[int]]]]


@contextmanager
def _searching(
    emissions: list[np.ndarray], vocabulary: Vocabulary, language_model: NGram, workers: int
) -> Iterator[_Search]:
    """What decodes all emissions by each of some settings, in this process or in several."""
    if workers == 1:
        task = _Task(emissions, vocabulary, language_model)
        yield lambda decodings: map(task, decodings)
        return
    context = multiprocessing.get_context("spawn")
    arguments = (emissions, vocabulary, language_model)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=arguments) as pool:
        try:
            yield lambda decodings: pool.map(_decode, decodings)
        except BrokenProcessPool:
            raise CheckFailedError(
                "tuning: a process died (out of memory, or killed); run again with fewer --workers"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Task:
    emissions: list[np.ndarray]
    vocabulary: Vocabulary
    language_model: NGram

    def __call__(self, decoding: Decoding) -> list[list[int]]:
        decoder = Decoder(self.vocabulary, decoding, self.language_model)
        return [decoder.ids(log_probs) for log_probs in self.emissions]


_worker: _Task


def _start_worker(emissions: list[np.ndarray], vocabulary: Vocabulary, language_model: NGram) -> None:
    global _worker
    _worker = _Task(emissions, vocabulary, language_model)


def _decode(decoding: Decoding) -> list[list[int]]:
    return _worker(decoding)


def _store(model: Model, tuned: Tuned, path: Path) -> None:
    info = {
        **model.info,
        "tuned": {
            "split": "dev",
            "protocol": tuned.best.protocol,
            "wer_greedy": tuned.greedy.wer,
            "wer_beam": tuned.plain.wer,
            "wer": tuned.best.wer,
        },
    }
    replace(model, info=info).save(path)


def _report(tuned: Tuned, language_model: NGram) -> str:
    rows = [
        ("greedy", tuned.greedy),
        (str(replace(tuned.decoding, lm_weight=0.0, insertion_bonus=0.0)), tuned.plain),
        (describe(tuned.decoding, language_model), tuned.best),
    ]
    lines = [f"dev WER ({tuned.best.protocol} rule), {len(tuned.points)} settings tried"]
    lines += [f"  {percent(found.wer):>8}  {name}" for name, found in rows]
    for name, before in (("greedy", tuned.greedy), ("the beam alone", tuned.plain)):
        lines.append(f"against {name}: {_difference(compare(before, tuned.best))}")
    if not tuned.decoding.uses_language_model:
        lines.append("The language model does not help on dev; it is not stored.")
    return "\n".join(lines)


def _difference(comparison: Comparison) -> str:
    low, high = comparison.interval.low, comparison.interval.high
    verdict = "more than chance" if comparison.real else "no more than chance may make"
    return (
        f"{100 * comparison.difference:+.2f} points ({100 * comparison.interval.level:g} % interval, paired by "
        f"utterance: {100 * low:+.2f} to {100 * high:+.2f}), {verdict}; dev is what was tuned on"
    )
