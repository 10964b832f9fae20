"""Shallow fusion: combines an n-gram language model and a bonus per gloss with prefix beam search.

The beam ranks prefixes by ln p(paths) + weight * ln p(glosses, end of sentence) + bonus * (number of glosses).
Source: Hannun et al. 2014, equation 2 (their alpha and beta).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from signloom.ctc.ngram import NGram
from signloom.errors import InputError, plural
from signloom.vocabulary import Vocabulary

_LN_10 = math.log(10)
# A factor of 0 would forbid a word whatever the emission, and a prefix could get stuck. 1e-90 outweighs any emission in
# practice and leaves room within a double; ARPA's -99 for "impossible" is smaller.
SMALLEST_FACTOR = 1e-90
# Beyond these limits the factor of one gloss could leave a double's range within a few frames.
MAX_WEIGHT = 20.0
MAX_BONUS = 40.0


class NGramFusion:
    """A weighted n-gram model over the words of a vocabulary, with a bonus per gloss.

    model: None for the bonus only.  weight: weight of the model's natural log-probability, 0 to MAX_WEIGHT.
    bonus: added to the natural log-probability for each gloss; a penalty if negative. From -MAX_BONUS to MAX_BONUS.
    largest_factor: upper limit of every `LanguageState.factor`.
    Raises InputError if the model knows no gloss of the vocabulary.
    A word of the vocabulary that the model does not know counts as its unknown word.

    States are cached from one utterance to the next; use an instance in one process only.
    """

    def __init__(self, vocabulary: Vocabulary, model: NGram | None, *, weight: float, bonus: float) -> None:
        self.model = model if weight > 0 else None
        self.weight = weight
        self.bonus_factor = math.exp(bonus)
        self.largest_factor = self.bonus_factor
        self.words = [0] * len(vocabulary)
        self._states: dict[tuple[int, ...], LanguageState] = {}
        context: tuple[int, ...] = ()
        if self.model is not None:
            check_shared(self.model, vocabulary)
            self.words = [self.model.id_of(word) for word in vocabulary.words]
            context = self.model.context_after((), self.model.start_id)
        self.start = self.state(context)

    def state(self, context: tuple[int, ...]) -> LanguageState:
        """Returns the state of a context; the same object every time."""
        state = self._states.get(context)
        if state is None:
            state = self._states[context] = LanguageState(self, context)
        return state

    def after(self, tokens: Iterable[int]) -> LanguageState:
        """Returns the state after the first glosses of a sentence, given as words of the vocabulary."""
        state = self.start
        for token in tokens:
            state = state.following(token)
        return state

    def weighted(self, context: tuple[int, ...], word: int) -> float:
        """Returns the probability of a word after a context, to the power of the weight."""
        if self.model is None:
            return 1.0
        return math.exp(self.weight * _LN_10 * self.model.log_prob(context, word))


class LanguageState:
    """The state of a language model after some glosses. States are compared by identity and cache their results.

    factors: the results of `factor` so far, by token.
    """

    __slots__ = ("_end", "_following", "_fusion", "context", "factors")

    def __init__(self, fusion: NGramFusion, context: tuple[int, ...]) -> None:
        self._fusion = fusion
        self.context = context
        self.factors: dict[int, float] = {}
        self._following: dict[int, LanguageState] = {}
        self._end: float | None = None

    def factor(self, token: int) -> float:
        """Returns the factor for a prefix's probability if `token` follows; keeps it in `factors`."""
        fusion = self._fusion
        factor = max(SMALLEST_FACTOR, fusion.weighted(self.context, fusion.words[token]) * fusion.bonus_factor)
        self.factors[token] = factor
        return factor

    def following(self, token: int) -> LanguageState:
        """Returns the state after `token`."""
        state = self._following.get(token)
        if state is None:
            fusion = self._fusion
            state = self
            if fusion.model is not None:
                state = fusion.state(fusion.model.context_after(self.context, fusion.words[token]))
            self._following[token] = state
        return state

    def ending(self) -> float:
        """Returns the factor for the end of the sentence."""
        if self._end is None:
            model = self._fusion.model
            end = 1.0 if model is None else self._fusion.weighted(self.context, model.end_id)
            self._end = max(SMALLEST_FACTOR, end)
        return self._end


def check_shared(model: NGram, vocabulary: Vocabulary) -> None:
    """Raises InputError if the model knows no gloss of the vocabulary."""
    # Without blank and the unknown word.
    glosses = vocabulary.words[2:]
    if model.glosses.isdisjoint(glosses):
        raise InputError(
            f"language model: none of the recogniser's {plural(len(glosses), 'gloss')} (such as "
            f"{', '.join(glosses[:3])}) is among its {plural(len(model.glosses), 'word')} (such as "
            f"{', '.join(sorted(model.glosses)[:3])}); give a language model of the same glosses, spelled the same way"
        )
