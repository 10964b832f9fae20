"""Draws new sentences: real ones in which some signs have changed places with signs of other sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from signloom.corpus import Utterance
from signloom.ctc.kneser_ney import kneser_ney
from signloom.ctc.ngram import NGram
from signloom.recompose.cuts import Cut, CutSentences

# The probability that a sign of a real sentence is replaced.
REPLACED = 0.5


class Drawer:
    """Draws new sentences from cut ones. Cuts change places only within a signer's sentences.

    signers: of the sentences that new ones are made from, by id: those with a trusted cut and another one to replace
    it.
    """

    def __init__(self, sentences: Sequence[Utterance], cut: CutSentences) -> None:
        """Raises InputError for a gloss that a language model reserves."""
        all_signers = {item.id: item.signer for item in sentences}
        self._pools: defaultdict[str | None, dict[str, list[Cut]]] = defaultdict(dict)
        for one in cut.trusted:
            self._pools[all_signers[one.utterance]].setdefault(one.gloss, []).append(one)
        self._by_sentence = cut.by_sentence
        self.signers: dict[str, str | None] = {}
        for name, cuts in cut.by_sentence.items():
            num_cuts = sum(map(len, self._pools[all_signers[name]].values()))
            if num_cuts > 1 and not all(one.doubt for one in cuts):
                self.signers[name] = all_signers[name]
        self._names = list(self.signers)
        self._language = kneser_ney([item.glosses for item in sentences], order=2).model

    def draw(self, rng: np.random.Generator) -> tuple[Cut, ...]:
        """Returns the cuts of a new sentence; `signers` must not be empty.

        A sentence is drawn uniformly. Each of its trusted signs, and one at least, is replaced with probability 0.5 by
        another trusted cut of the signer. Its gloss is drawn from its probability between its neighbours under a bigram
        model of all sentences (one step of Gibbs sampling), then the cut uniformly from those of the gloss.
        """
        name = self._names[rng.integers(len(self._names))]
        cuts = list(self._by_sentence[name])
        trusted = [index for index, cut in enumerate(cuts) if not cut.doubt]
        chosen = [index for index in trusted if rng.random() < REPLACED]
        for index in chosen or [trusted[rng.integers(len(trusted))]]:
            cuts[index] = self._replacement(cuts, index, self._pools[self.signers[name]], rng)
        return tuple(cuts)

    def _replacement(
        self, cuts: Sequence[Cut], index: int, pool: Mapping[str, list[Cut]], rng: np.random.Generator
    ) -> Cut:
        """Returns another cut of the signer for the one at `index` of a sentence."""
        own, language = cuts[index].gloss, self._language
        glosses = [gloss for gloss, found in pool.items() if gloss != own or len(found) > 1]
        before = language.id_of(cuts[index - 1].gloss) if index else language.start_id
        after = language.id_of(cuts[index + 1].gloss) if index + 1 < len(cuts) else language.end_id
        scores = log_probs_between(language, before, after)[[language.id_of(gloss) for gloss in glosses]]
        probs = 10.0 ** (scores - scores.max())
        gloss = glosses[rng.choice(len(glosses), p=probs / probs.sum())]
        candidates = [cut for cut in pool[gloss] if cut != cuts[index]]
        return candidates[rng.integers(len(candidates))]


def log_probs_between(bigrams: NGram, before: int, after: int) -> np.ndarray:
    """Returns for each word of a bigram model the log10 probability of this word and `after` following `before`, (V,).

    The same as `NGram.log_prob` of both, added, for all words at once.
    """
    words, pairs = bigrams.tables
    following = words.log_probs + words.backoffs[before]
    known = pairs.ids[:, 0] == before
    following[pairs.ids[known, 1]] = pairs.log_probs[known]
    leading = words.log_probs[after] + words.backoffs
    known = pairs.ids[:, 1] == after
    leading[pairs.ids[known, 0]] = pairs.log_probs[known]
    result: np.ndarray = following + leading
    return result
