"""Grid search for the language model's weight and the insertion bonus with the fewest errors.

A search over some 46 settings finds a better one by chance, too. So the best is used only if it makes fewer errors than
the beam alone by more than chance: a language model of signs in random order, which knows nothing, can gain a few
errors on dev and cost strangers many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from signloom.ctc.beam import BEAM_SIZE
from signloom.ctc.decoding import Decoder, Decoding
from signloom.ctc.ngram import NGram
from signloom.processes import process_pool
from signloom.score.compare import compare
from signloom.score.wer import Score, score
from signloom.vocabulary import Vocabulary

# The first grid. Good weights of n-gram models over glosses lie well within it; weight 0 leaves the model out.
WEIGHTS = (0.0, 0.2, 0.4, 0.6, 0.9, 1.2)
BONUSES = (-1.0, 0.0, 1.0, 2.0, 3.5)
# The number of finer grids that follow: the eight neighbours of the best pair.
ROUNDS = 2
# The distance of neighbours in weight and bonus, halved in each round.
STEPS = (0.1, 0.5)


@dataclass(frozen=True)
class Tuned:
    """The result of tuning.

    decoding: the settings to use: the best ones if they are better than the beam alone by more than chance (`real` of
    `compare`), else the beam alone.
    best_decoding: the settings with the fewest errors; of equal ones those with the least weight, then the least bonus.
    greedy, plain, best: scores of greedy decoding, of the beam alone and of the best settings, on the same utterances.
    points: the number of errors of every pair (weight, bonus) that was tried.
    """

    decoding: Decoding
    best_decoding: Decoding
    greedy: Score
    plain: Score
    best: Score
    points: Mapping[tuple[float, float], int]

    @property
    def uses_best(self) -> bool:
        """Whether the best settings are those to use."""
        return self.decoding == self.best_decoding


def num_points() -> int:
    """Returns about how many pairs `tune` tries; at the edge of the allowed range there are fewer."""
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
    """Returns the weight and the bonus with the fewest errors on the given utterances, and whether to use them.

    emissions: log-probabilities (T', V) by id.  references: the glosses of the same ids.
    workers: number of spawned processes; each decodes all utterances with one pair after another.
    advance: called after each pair.
    """
    ids = list(references)
    plain = Decoding(beam_size=beam_size)
    points: dict[tuple[float, float], Score] = {}

    def scored(hypotheses: Sequence[Sequence[int]]) -> Score:
        return score(
            ((name, references[name], vocabulary.decode(words)) for name, words in zip(ids, hypotheses, strict=True)),
            protocol=protocol,
        )

    task = _Task([emissions[name] for name in ids], vocabulary, language_model)
    with _mapping(task, workers) as decode:

        def try_all(pairs: Sequence[tuple[float, float]]) -> None:
            new = [pair for pair in dict.fromkeys(pairs) if pair not in points]
            decodings = [replace(plain, lm_weight=weight, insertion_bonus=bonus) for weight, bonus in new]
            for pair, hypotheses in zip(new, decode(decodings), strict=True):
                points[pair] = scored(hypotheses)
                advance()

        try_all(list(product(WEIGHTS, BONUSES)))
        for finer in range(ROUNDS):
            weight, bonus = _best(points)
            weight_step, bonus_step = (step / 2**finer for step in STEPS)
            weights = [round(weight + sign * weight_step, 4) for sign in (-1, 0, 1)]
            bonuses = [round(bonus + sign * bonus_step, 4) for sign in (-1, 0, 1)]
            try_all([pair for pair in product(weights, bonuses) if pair[0] >= 0])
        (greedy,) = decode([Decoding(decoder="greedy")])
    weight, bonus = _best(points)
    best = replace(plain, lm_weight=weight, insertion_bonus=bonus)
    gained = compare(points[0.0, 0.0], points[weight, bonus]).real
    return Tuned(
        best if gained else plain,
        best,
        scored(greedy),
        points[0.0, 0.0],
        points[weight, bonus],
        {pair: result.errors for pair, result in points.items()},
    )


def _best(points: Mapping[tuple[float, float], Score]) -> tuple[float, float]:
    return min(points, key=lambda pair: (points[pair].errors, pair[0], abs(pair[1])))


@dataclass(frozen=True)
class _Task:
    """Decodes all emissions with one decoding."""

    emissions: list[np.ndarray]
    vocabulary: Vocabulary
    language_model: NGram

    def __call__(self, decoding: Decoding) -> list[list[int]]:
        return Decoder(self.vocabulary, decoding, self.language_model).all_ids(self.emissions)


@contextmanager
def _mapping(task: _Task, workers: int) -> Iterator[Callable[[Sequence[Decoding]], Iterator[list[list[int]]]]]:
    """Yields a function that maps decodings to hypotheses, in this process or in `workers` others."""
    if workers == 1:
        yield lambda decodings: map(task, decodings)
        return
    with process_pool(workers, "tuning", initializer=_start_worker, initargs=(task,)) as pool:
        yield lambda decodings: pool.map(_decode, decodings)


_worker: _Task


def _start_worker(task: _Task) -> None:
    global _worker
    _worker = task


def _decode(decoding: Decoding) -> list[list[int]]:
    return _worker(decoding)
