"""Draws new sentences: real ones in which some signs have changed places with signs of other sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from signloom.corpus import Utterance
from signloom.ctc.kneser_ney import kneser_ney
from signloom.recompose.cuts import Cut, CutSentences

# The probability that a sign of a real sentence is replaced.
REPLACED = 0.5


class Drawer:
    """Draws new sentences from cut ones.

    signers: of the sentences that new ones are made from, by id. Cuts change places only within a signer's sentences.
    """

    def __init__(self, sentences: Sequence[Utterance], cut: CutSentences) -> None:
        """Raises InputError for a gloss that a language model reserves."""
        self._by_sentence = cut.by_sentence
        self.signers: dict[str, str | None] = {}
        signers = {item.id: item.signer for item in sentences}
        self._pools: defaultdict[str | None, defaultdict[str, list[Cut]]] = defaultdict(lambda: defaultdict(list))
        for one in cut.trusted:
            self._pools[signers[one.utterance]][one.gloss].append(one)
        for name, cuts in cut.by_sentence.items():
            pool = self._pools[signers[name]]
            if any(not one.doubt for one in cuts) and sum(map(len, pool.values())) > 1:
                self.signers[name] = signers[name]
        self._language = kneser_ney([item.glosses for item in sentences], order=2).model

    def draw(self, rng: np.random.Generator) -> tuple[Cut, ...]:
        """Returns the cuts of a new sentence; `signers` must not be empty.

        A sentence is drawn uniformly. Each of its trusted signs, and one at least, is replaced with probability 0.5 by
        another trusted cut of the signer. Its gloss is drawn from its probability between its neighbours under a bigram
        model of all sentences (one step of Gibbs sampling), then the cut uniformly from those of the gloss.
        """
        names = list(self.signers)
        name = names[rng.integers(len(names))]
        pool = self._pools[self.signers[name]]
        cuts = list(self._by_sentence[name])
        trusted = [index for index, cut in enumerate(cuts) if not cut.doubt]
        chosen = [index for index in trusted if rng.random() < REPLACED]
        for index in chosen or [trusted[rng.integers(len(trusted))]]:
            cuts[index] = self._replacement(cuts, index, pool, rng)
        return tuple(cuts)

    def _replacement(
        self, cuts: Sequence[Cut], index: int, pool: Mapping[str, list[Cut]], rng: np.random.Generator
    ) -> Cut:
        """Returns another cut of the signer for the one at `index` of a sentence."""
        own = cuts[index].gloss
        glosses = [gloss for gloss, found in pool.items() if gloss != own or len(found) > 1]
        language = self._language
        before = language.id_of(cuts[index - 1].gloss) if index else language.start_id
        after = language.id_of(cuts[index + 1].gloss) if index + 1 < len(cuts) else language.end_id
        ids = [language.id_of(gloss) for gloss in glosses]
        scores = np.array([language.log_prob([before], id) + language.log_prob([id], after) for id in ids])
        probs = 10.0 ** (scores - scores.max())
        gloss = glosses[rng.choice(len(glosses), p=probs / probs.sum())]
        candidates = [cut for cut in pool[gloss] if cut != cuts[index]]
        return candidates[rng.integers(len(candidates))]
