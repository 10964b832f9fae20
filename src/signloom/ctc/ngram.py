"""An n-gram language model over glosses, with back-off: probabilities, perplexity.

`signloom.ctc.arpa` reads and writes it, `signloom.ctc.kneser_ney` estimates it from sentences, `signloom.ctc.lm_fusion`
adds it to beam search. Logarithms are to base 10, as in ARPA files.

Shapes: N n-grams of K words each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from signloom.errors import InputError, plural

START = "<s>"
END = "</s>"
UNKNOWN_WORD = "<unk>"
# Other spellings of it in ARPA files.
UNKNOWN_SPELLINGS = (UNKNOWN_WORD, "<UNK>", "<unknown>")
# ARPA files write this as the logarithm of a probability of 0.
IMPOSSIBLE = -99.0


@dataclass(frozen=True)
class Table:
    """The n-grams of one order.

    ids: (N, K) int32, numbers of words.  log_probs: (N,) float32, of the last word after the others.
    backoffs: (N,) float32; if no longer n-gram has these K words followed by a given word, this is added to the log
    probability of that word after the shorter context. 0 if the file has none.
    """

    ids: np.ndarray
    log_probs: np.ndarray
    backoffs: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", np.asarray(self.ids, dtype=np.int32))
        for name in ("log_probs", "backoffs"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float32))
        if self.ids.ndim != 2 or not (self.log_probs.shape == self.backoffs.shape == self.ids.shape[:1]):
            raise InputError(
                f"n-gram table: ids of shape {self.ids.shape} with {self.log_probs.shape} log-probabilities and "
                f"{self.backoffs.shape} back-offs; needed (N, K), (N,), (N,)"
            )

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts sentences: 10 to the power of minus the mean log10 probability per word.

    words: without sentence ends.  unknown: how many of `words` the model does not know.
    value: over all words and the ends of sentences; unknown words have the probability of `<unk>`.
    without_unknown: over the known words and the ends of sentences.
    knows_unknown: whether the model has `<unk>`; otherwise its least probable word replaces it.
    """

    sentences: int
    words: int
    unknown: int
    value: float
    without_unknown: float
    knows_unknown: bool = True

    def __str__(self) -> str:
        share = self.unknown / self.words if self.words else 0.0
        stand_in = UNKNOWN_WORD if self.knows_unknown else "the least probable word"
        return (
            f"perplexity {self.value:.2f} over {plural(self.words, 'word')} and {self.sentences:,} sentence ends; "
            f"{self.unknown:,} words ({share:.1%}) unknown, each with the probability of {stand_in}; "
            f"{self.without_unknown:.2f} without them"
        )


@dataclass(frozen=True)
class NGram:
    """A back-off n-gram model.

    words: all words, including `<s>` and `</s>`; the index of a word is its number.
    tables: of the orders 1, 2, ...; every word has its 1-gram, in the order of `words`.
    A word that is not in `words` has the probability of `<unk>`, or of the least probable word if the model has no
    `<unk>` (see `knows_unknown`).
    Source: Katz 1987; format and interpretation as SRILM's ngram-format(5).
    """

    words: tuple[str, ...]
    tables: tuple[Table, ...]

    def __post_init__(self) -> None:
        if not self.tables or not np.array_equal(self.tables[0].ids[:, 0], np.arange(len(self.words))):
            raise InputError(f"n-gram model: 1-grams of other words than the {len(self.words)} of its list")
        for order, table in enumerate(self.tables, 1):
            if table.ids.shape[1] != order:
                raise InputError(f"n-gram model: table {order} holds n-grams of {table.ids.shape[1]} words")
            if len(table) and not 0 <= table.ids.min() <= table.ids.max() < len(self.words):
                raise InputError(f"n-gram model: a {order}-gram of words outside 0..{len(self.words) - 1}")
        missing = [word for word in (START, END) if word not in self._ids]
        if missing:
            raise InputError(f"n-gram model: no {' and no '.join(missing)} among its words; sentences need both")
        if len(self._ids) != len(self.words):
            raise InputError("n-gram model: a word occurs twice in its list")

    def __reduce__(self) -> tuple[type[NGram], tuple[tuple[str, ...], tuple[Table, ...]]]:
        # Only the arrays are sent to another process; it builds its own look-up tables.
        return NGram, (self.words, self.tables)

    def __str__(self) -> str:
        counts = " + ".join(f"{count:,}" for count in self.num_ngrams)
        return f"{self.order}-gram model of {plural(len(self.glosses), 'gloss')} ({counts} n-grams)"

    @property
    def order(self) -> int:
        return len(self.tables)

    @property
    def num_ngrams(self) -> tuple[int, ...]:
        """How many n-grams there are of each order."""
        return tuple(len(table) for table in self.tables)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    @cached_property
    def _log_probs(self) -> dict[tuple[int, ...], float]:
        log_probs: dict[tuple[int, ...], float] = {}
        for table in self.tables:
            log_probs.update(zip(map(tuple, table.ids.tolist()), table.log_probs.tolist(), strict=True))
        return log_probs

    @cached_property
    def _backoffs(self) -> dict[tuple[int, ...], float]:
        """Back-offs by context: every n-gram that has a back-off or starts a longer n-gram."""
        backoffs: dict[tuple[int, ...], float] = {}
        for table in self.tables[1:]:
            backoffs.update(dict.fromkeys(map(tuple, table.ids[:, :-1].tolist()), 0.0))
        for table in self.tables[:-1]:
            there = table.backoffs != 0
            backoffs.update(zip(map(tuple, table.ids[there].tolist()), table.backoffs[there].tolist(), strict=True))
        return backoffs

    @cached_property
    def unknown_id(self) -> int:
        """The number of `<unk>`, or of the least probable word if the model has no `<unk>`."""
        for spelling in UNKNOWN_SPELLINGS:
            if spelling in self._ids:
                return self._ids[spelling]
        log_probs = self.tables[0].log_probs.astype(np.float64)
        log_probs[[self._ids[START], self._ids[END]]] = np.inf
        return int(log_probs.argmin())

    @property
    def knows_unknown(self) -> bool:
        """Whether the model has an `<unk>`."""
        return any(spelling in self._ids for spelling in UNKNOWN_SPELLINGS)

    @property
    def start_id(self) -> int:
        return self._ids[START]

    @property
    def end_id(self) -> int:
        return self._ids[END]

    @cached_property
    def glosses(self) -> frozenset[str]:
        """The words without `<s>`, `</s>` and `<unk>`."""
        return frozenset(self.words) - {START, END, *UNKNOWN_SPELLINGS}

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def id_of(self, word: str) -> int:
        """Returns the number of a word, or `unknown_id` if the model does not know it."""
        return self._ids.get(word, self.unknown_id)

    def log_prob(self, context: Sequence[int], word: int) -> float:
        """Returns the log10 probability of `word` after `context`; only its last `order` - 1 words count."""
        # A slice from -0 would be the whole context.
        rest = tuple(context)[max(0, len(context) - self.order + 1) :]
        total = 0.0
        while True:
            log_prob = self._log_probs.get((*rest, word))
            if log_prob is not None or not rest:
                return total + (IMPOSSIBLE if log_prob is None else log_prob)
            total += self._backoffs.get(rest, 0.0)
            rest = rest[1:]

    def context_after(self, context: tuple[int, ...], word: int) -> tuple[int, ...]:
        """Returns the shortest context that predicts the same as `context` followed by `word`."""
        longer = (*context, word)
        longer = longer[max(0, len(longer) - self.order + 1) :]
        while longer and longer not in self._backoffs:
            longer = longer[1:]
        return longer

    def sentence_log_probs(self, sentence: Sequence[str]) -> list[float]:
        """Returns the log10 probability of each word of a sentence and of its end."""
        ids = [self.start_id, *(self.id_of(word) for word in sentence), self.end_id]
        return [self.log_prob(ids[:index], ids[index]) for index in range(1, len(ids))]

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> Perplexity:
        """Returns the perplexity of sentences. Raises InputError if there are none."""
        num_sentences = words = unknown = 0
        total = known_total = 0.0
        for sentence in sentences:
            log_probs = self.sentence_log_probs(sentence)
            is_known = [*(word in self._ids for word in sentence), True]
            num_sentences += 1
            words += len(sentence)
            unknown += len(is_known) - sum(is_known)
            total += math.fsum(log_probs)
            known_total += math.fsum(value for value, known in zip(log_probs, is_known, strict=True) if known)
        if not num_sentences:
            raise InputError("perplexity: no sentences")
        predicted = words + num_sentences
        return Perplexity(
            num_sentences,
            words,
            unknown,
            10 ** (-total / predicted),
            10 ** (-known_total / (predicted - unknown)),
            self.knows_unknown,
        )
