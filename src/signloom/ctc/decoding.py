"""Decoding: from emissions to glosses. `Decoding` has the settings, `Decoder` runs them, `decode_all` in processes.

Shapes: T' output frames, V words.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np

from signloom.ctc.beam import BEAM_SIZE, TOKENS_PER_FRAME, Candidate, prefix_beam
from signloom.ctc.confidence import Calibration, confidences
from signloom.ctc.greedy import GreedySearch
from signloom.ctc.hypothesis import Emission, Hypothesis, Limits
from signloom.ctc.lm_fusion import MAX_BONUS, MAX_WEIGHT, NGramFusion
from signloom.ctc.ngram import NGram
from signloom.ctc.spans import located
from signloom.ctc.timing import Timing
from signloom.ctc.viterbi import forced_alignment
from signloom.errors import Faults, InputError, plural
from signloom.files.schemas import check, shown
from signloom.processes import process_pool
from signloom.vocabulary import BLANK_ID, UNKNOWN_ID, Vocabulary

# Log-probabilities of a chunk of emissions; one that is longer is a chunk of its own (64 MB).
_CHUNK_VALUES = 16_000_000


# Of the beam and of the tokens per frame: a forged file must not ask for all memory.
MAX_SIZE = 100_000


@dataclass(frozen=True)
class Decoding:
    """The settings of a decoder.

    beam_size, tokens_per_frame: see `signloom.ctc.beam.prefix_beam`.
    lm_weight: weight of the language model's natural log-probability; 0 leaves the language model out.
    insertion_bonus: added to the natural log-probability for each gloss.
    Greedy decoding uses none of these four.
    min_confidence: glosses with a lower confidence, 0 to 1, are dropped.  sure_confidence: all glosses of an utterance
    are dropped if none of them has at least this confidence. None: nobody has chosen one. Then none is dropped, but
    streams have defaults of their own (`signloom.inference.stream_options`).
    Raises InputError listing every invalid value.
    """

    decoder: Literal["greedy", "beam"] = "beam"
    beam_size: int = BEAM_SIZE
    tokens_per_frame: int = TOKENS_PER_FRAME
    lm_weight: float = 0.0
    insertion_bonus: float = 0.0
    min_confidence: float | None = None
    sure_confidence: float | None = None

    def __post_init__(self) -> None:
        faults = Faults("decoding")
        if self.decoder not in ("greedy", "beam"):
            faults.add(f"decoder is {self.decoder!r}; needed greedy or beam")
        for name in ("beam_size", "tokens_per_frame"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= MAX_SIZE:
                faults.add(f"{name} is {shown(value)}; needed a whole number of 1 to {MAX_SIZE:,}")
        if not (math.isfinite(self.lm_weight) and 0 <= self.lm_weight <= MAX_WEIGHT):
            faults.add(f"lm_weight is {self.lm_weight}; needed 0 to {MAX_WEIGHT:g}")
        if not (math.isfinite(self.insertion_bonus) and abs(self.insertion_bonus) <= MAX_BONUS):
            faults.add(f"insertion_bonus is {self.insertion_bonus}; needed {-MAX_BONUS:g} to {MAX_BONUS:g}")
        for name in ("min_confidence", "sure_confidence"):
            # Also false for NaN.
            if (value := getattr(self, name)) is not None and not 0 <= value <= 1:
                faults.add(f"{name} is {value}; needed 0 to 1")
        faults.raise_if_any()

    @property
    def limits(self) -> Limits:
        """What is dropped of whole utterances."""
        return Limits(self.min_confidence or 0.0, self.sure_confidence or 0.0)

    @property
    def uses_language_model(self) -> bool:
        return self.decoder == "beam" and self.lm_weight > 0

    def __str__(self) -> str:
        sure = f", confidence {self.min_confidence:g} or more" if self.min_confidence else ""
        sure += f", one gloss of {self.sure_confidence:g} or more" if self.sure_confidence else ""
        if self.decoder == "greedy":
            return f"greedy{sure}"
        text = f"beam {self.beam_size}, {self.tokens_per_frame} tokens per frame"
        text += f", bonus {self.insertion_bonus:+g} per gloss" if self.insertion_bonus else ""
        text += f", language model weight {self.lm_weight:g}" if self.lm_weight else ""
        return f"{text}{sure}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any], *, place: str) -> Decoding:
        """Returns the settings that `to_json` wrote. Raises InputError, starting with `place`, for anything else."""
        known = {field.name for field in fields(cls)}
        wrong = sorted(set(record) - known)
        if wrong:
            raise InputError(f"{place}: unknown decoding settings {', '.join(wrong)}; known: {sorted(known)}")
        return check(cls, record, place)


class Kept(NamedTuple):
    """The ids of a gloss sequence without the glosses that were dropped, and how many were."""

    ids: list[int]
    num_dropped: int = 0


class Decoder:
    """Decodes emissions over one vocabulary. It caches language model look-ups from one utterance to the next.

    language_model: required if `decoding` gives it a weight.
    calibration: of the confidences that the limits of `decoding` are compared with; None: raw ones.
    Raises InputError if the language model is missing, or shares no gloss with the vocabulary.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        decoding: Decoding | None = None,
        language_model: NGram | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.decoding = decoding or Decoding()
        self.calibration = calibration or Calibration()
        if self.decoding.uses_language_model and language_model is None:
            raise InputError(
                f"decoding: lm_weight is {self.decoding.lm_weight:g}, but there is no language model; give one with "
                "--lm, or let 'signloom tune' store one with the model"
            )
        self._fusion = None
        if self.decoding.decoder == "beam" and (self.decoding.lm_weight or self.decoding.insertion_bonus):
            self._fusion = NGramFusion(
                vocabulary, language_model, weight=self.decoding.lm_weight, bonus=self.decoding.insertion_bonus
            )

    def n_best(
        self,
        log_probs: np.ndarray,
        *,
        blank_id: int = BLANK_ID,
        history: Sequence[int] = (),
        still_open: float = 0.0,
        ends: bool = True,
    ) -> list[Candidate]:
        """Returns gloss sequences as ids with their scores, best first; greedy decoding returns only one.

        log_probs: (T', V).  blank_id: the column of blank, counted from the end if negative, for emissions of other
        tools. The other columns are the words of the vocabulary in their order, and the ids are the vocabulary's.
        history, still_open, ends: of a part of a sentence, as `signloom.ctc.beam.prefix_beam` takes them.
        Raises InputError if V is not the vocabulary's size or `blank_id` no column, and for NaN or rows that do not
        sum to 1 (greedy decoding: only for NaN).
        """
        log_probs = np.asarray(log_probs)
        if log_probs.ndim != 2 or log_probs.shape[1] != len(self.vocabulary):
            raise InputError(
                f"decoding: an emission of shape {log_probs.shape} and a vocabulary of "
                f"{plural(len(self.vocabulary), 'word')}; needed (T', V) over the vocabulary the model was trained with"
            )
        if not -len(self.vocabulary) <= blank_id < len(self.vocabulary):
            raise InputError(f"decoding: blank_id is {blank_id}; needed a column of {len(self.vocabulary)}")
        if (blank := blank_id % len(self.vocabulary)) != BLANK_ID:
            log_probs = np.insert(np.delete(log_probs, blank, axis=1), BLANK_ID, log_probs[:, blank], axis=1)
        if self.decoding.decoder == "greedy":
            search = GreedySearch(history[-1] if still_open > 0.5 else BLANK_ID)
            search.advance(log_probs)
            return [Candidate(tuple(search.ids), float(log_probs.max(axis=1).sum(dtype=np.float64)))]
        return prefix_beam(
            log_probs,
            beam_size=self.decoding.beam_size,
            tokens_per_frame=self.decoding.tokens_per_frame,
            fusion=self._fusion,
            history=history,
            still_open=still_open,
            ends=ends,
        )

    def ids(self, log_probs: np.ndarray) -> list[int]:
        """Returns the ids of the best gloss sequence of log_probs (T', V), without glosses that are dropped."""
        return self.kept(log_probs).ids

    def kept(self, log_probs: np.ndarray) -> Kept:
        """Returns what `ids` does, and how many glosses were dropped."""
        ids = self.n_best(log_probs)[0].ids
        if not any(self.decoding.limits):
            return Kept(list(ids))
        raw = confidences(log_probs, ids, forced_alignment(log_probs, ids)).tolist()
        # The unknown gloss is never named: nothing is dropped with it.
        signs = [(word, value) for word, value in zip(ids, raw, strict=True) if word != UNKNOWN_ID]
        keeps = self.decoding.limits.keeps([self.calibration.apply(value) for _, value in signs])
        kept = [word for (word, _), keep in zip(signs, keeps, strict=True) if keep]
        return Kept(kept, len(signs) - len(kept))

    def all_ids(self, emissions: Iterable[np.ndarray]) -> list[list[int]]:
        """Returns the ids of the best gloss sequence of each emission, as `ids` does."""
        return [self.ids(log_probs) for log_probs in emissions]

    def all_kept(self, emissions: Iterable[np.ndarray]) -> list[Kept]:
        """Returns the best gloss sequence of each emission, as `kept` does."""
        return [self.kept(log_probs) for log_probs in emissions]

    def decode(self, emission: Emission, *, timing: Timing | None = None) -> Hypothesis:
        """Returns the best gloss sequence, with a time span and a confidence for each gloss.

        timing: of the spans, as `signloom.ctc.spans.located` takes it.
        """
        best = self.n_best(emission.log_probs)[0]
        spans = located(emission, best.ids, self.vocabulary, timing=timing, calibration=self.calibration)
        return Hypothesis(spans, best.score).confident(*self.decoding.limits)


def decode_all(
    emissions: Iterable[np.ndarray],
    vocabulary: Vocabulary,
    decoding: Decoding | None = None,
    language_model: NGram | None = None,
    calibration: Calibration | None = None,
    *,
    workers: int = 1,
    chunk: int = 16,
    advance: Callable[[int], object] = lambda count: None,
) -> list[Kept]:
    """Returns the best gloss sequence of every emission (T', V) as `Decoder.kept`, in `workers` processes.

    The result does not depend on the number of workers.
    chunk: utterances sent to a process at once, fewer where they are long.  advance: called after each chunk with its
    number of utterances.
    """
    if workers < 1:
        raise InputError(f"decoding: workers is {workers}; needed at least 1")
    settings = vocabulary, decoding, language_model, calibration
    # Made here in any case, so that errors are raised before processes start.
    decoder = Decoder(*settings)
    chunks = _chunks(emissions, chunk)
    results = _in_processes(chunks, workers, settings) if workers > 1 else map(decoder.all_kept, chunks)
    best: list[Kept] = []
    for some in results:
        best += some
        advance(len(some))
    return best


def _chunks(emissions: Iterable[np.ndarray], count: int) -> Iterator[list[np.ndarray]]:
    """Yields the emissions `count` at a time, or fewer where they are long, and keeps none of them."""
    chunk: list[np.ndarray] = []
    for log_probs in emissions:
        chunk.append(log_probs)
        del log_probs
        if len(chunk) == count or sum(item.size for item in chunk) >= _CHUNK_VALUES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _in_processes(chunks: Iterable[list[np.ndarray]], workers: int, settings: tuple[Any, ...]) -> Iterator[list[Kept]]:
    """Yields the sequences of each chunk in order. A chunk is taken when a process is free: few are in memory."""
    pending: deque[tuple[int, Future[list[Kept]]]] = deque()
    with process_pool(workers, "decoding", initializer=_start_worker, initargs=settings) as pool:
        for part in chunks:
            # Copies, because sending a row of a padded batch would send the whole batch.
            future = pool.submit(_decode, [np.ascontiguousarray(log_probs) for log_probs in part])
            pending.append((sum(log_probs.size for log_probs in part), future))
            del part
            while len(pending) > 2 * workers or (pending and sum(size for size, _ in pending) > 2 * _CHUNK_VALUES):
                yield pending.popleft()[1].result()
        while pending:
            yield pending.popleft()[1].result()


_worker: Decoder


def _start_worker(*settings: Any) -> None:
    global _worker
    _worker = Decoder(*settings)


def _decode(log_probs: list[np.ndarray]) -> list[Kept]:
    return _worker.all_kept(log_probs)
