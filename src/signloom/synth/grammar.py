"""The sentences of simulated signers: a topic-comment grammar with Zipf-distributed frequencies, drawn from a seed.

Every sign has a word class. The signs of each class lie side by side on a circle of circumference 1, in an order that
the seed draws; the arc of each sign is as long as the sign is frequent. A sentence moves along the circles in small
steps. Each slot takes the sign of its class at the sentence's position. So signs at the same position belong together
(a topic) and follow each other (a collocation). Such a walk is everywhere equally often, so the signs keep their given
frequencies, however strong the grammar is, and nothing larger than the lexicon is kept in memory.

Order within a clause, as in many sign languages: time, place, topic, comment, number, verb, modal, negation; a question
word ends the sentence. Source: Pfau, Steinbach, Woll (eds.), Sign Language: An International Handbook, 2012, the
chapters on word order and on sentence types.

The constants follow these figures of PHOENIX-2014 SI5, train (4,376 sentences, 1,117 glosses). Length: 11.4 glosses,
standard deviation 3.6, from 2 to 28. `__ON__` begins 45 % and `__OFF__` ends 49 % of the sentences. 6.3 % of the
glosses repeat the gloss before (dev and test: 0.2 %). 1.8 % are `IX` and other pointing (dev and test: 4 to 5 %).
Unigram and bigram perplexity (by `tests/perplexity.py`): 188 and 92 on dev, 159 and 62 on a held-out tenth of train.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log

import numpy as np

from signloom.errors import InputError
from signloom.synth.dials import Dials

# Signs outside the lexicon have negative numbers. A signer points to one of four places in signing space: at the strong
# side, at the weak side, and further ahead at either side.
POINTING = (-1, -2, -3, -4)
# The hands rise from rest (ON) or sink to it (OFF).
ON, OFF = -10, -11
REST = (ON, OFF)
SPECIAL_GLOSSES: dict[int, str] = {
    **{number: f"IX-{place}" for place, number in enumerate(POINTING, 1)},
    ON: "__ON__",
    OFF: "__OFF__",
}
REST_GLOSSES = (SPECIAL_GLOSSES[ON], SPECIAL_GLOSSES[OFF])

CLASSES = ("time", "place", "noun", "modifier", "number", "verb", "modal", "negation", "question")
# Share of the lexicon of each class. Time signs, numbers, modals, negations and question words are few but frequent;
# nouns and verbs are many.
_TYPE_SHARES = np.array((0.04, 0.12, 0.4, 0.16, 0.04, 0.2, 0.02, 0.01, 0.01))
_TIME, _PLACE, _NOUN, _MODIFIER, _NUMBER, _VERB, _MODAL, _NEGATION, _QUESTION = range(len(CLASSES))
# The slots of a clause in order: class, preference for filling it if there is no room for all, and how far ahead on the
# circle it looks, so that a second noun differs from the first. The question slot is last and only filled at the end of
# a sentence.
_SLOTS = (
    (_TIME, 0.5, 0.0), (_TIME, 0.1, 0.4), (_PLACE, 0.6, 0.0), (_NOUN, 1.0, 0.0), (_MODIFIER, 0.4, 0.0),
    (_NOUN, 0.4, 0.5), (_MODIFIER, 0.15, 0.5), (_NUMBER, 0.3, 0.0), (_VERB, 1.2, 0.0), (_MODAL, 0.3, 0.0),
    (_NEGATION, 0.12, 0.0), (_QUESTION, 0.0, 0.0),
)  # fmt: skip
_CLASS_OF = tuple(slot[0] for slot in _SLOTS)
_AHEAD_OF = tuple(slot[2] for slot in _SLOTS)
_QUESTION_SLOT = len(_SLOTS) - 1
_FIRST_PATIENCE = np.array([1 / slot[1] for slot in _SLOTS[:-1]])
# The time is set at the start; later clauses seldom repeat it.
_LATER_PATIENCE = _FIRST_PATIENCE * np.where(np.array(_CLASS_OF[:-1]) == _TIME, 6.0, 1.0)
# Range of the number of signs in a clause.
_SHORTEST_CLAUSE, _LONGEST_CLAUSE = 2, 6
# Share of the sentences that are questions.
_QUESTIONS = 0.06
# Classes that pointing follows.
_REFERENTS = (_NOUN, _PLACE)
# Classes that are repeated (plural, iterated or lasting).
_REPEATED = (_VERB, _NOUN, _MODIFIER)
# Share of the pointing signs in later clauses that take up an earlier referent before the verb, like a pronoun.
_PRONOUNS = 0.3
# Mean size of a step on the circle.
_STEP = 0.02
# Probability that a new clause begins elsewhere on the circle, with another topic.
_NEW_TOPIC = 0.2

# Mandelbrot's offset: the first ranks differ less than in Zipf's law. The counts on PHOENIX give it with an exponent of
# 1.15 (without it 0.95, and a first gloss twice as frequent as it is).
_FLAT_RANKS = 2.7
# Probability that a sentence begins with ON, and that it ends with OFF.
_BEGIN_WITH_ON, _END_WITH_OFF = 0.45, 0.49
# Mean number of glosses per sentence, and its standard deviation as a share of the mean.
_MEAN_LENGTH, _SPREAD = 11.4, 0.32


@dataclass(frozen=True, eq=False)
class Grammar:
    """The probabilities of sentences; `make_grammar` makes one.

    dials: those of the sentences. `pointing` and `repeats` are shares of the glosses that follow the grammar.
    frequencies: of each sign among the signs of the lexicon, `(num_signs,)`, sum 1.
    classes: of each sign, `(num_signs,)` int, a position in CLASSES.
    """

    dials: Dials
    frequencies: np.ndarray
    classes: np.ndarray
    _ends: list[float]
    _circles: list[tuple[list[float], list[int]]]

    @property
    def num_signs(self) -> int:
        return len(self.frequencies)

    def draw(self, rng: np.random.Generator, min_glosses: int, max_glosses: int) -> tuple[int, ...]:
        """Returns a sentence of `min_glosses` to `max_glosses` numbers of signs; POINTING and REST count.

        At least one sign is from the lexicon, so ON and OFF are left out if there is no room for them.

        Raises InputError unless 1 <= min_glosses <= max_glosses.
        """
        if not 1 <= min_glosses <= max_glosses:
            raise InputError(f"grammar: {min_glosses} to {max_glosses} glosses; needed 1 <= min <= max")
        # All random numbers are drawn first, always as many, so that no dial shifts the draws of another.
        chance = rng.random(6).tolist()
        walk = rng.random((7, max_glosses)).tolist()
        loose = rng.random((3, max_glosses)).tolist()
        patience = _patience(rng, max_glosses)
        lengths = _length_table(min_glosses, max_glosses, chance[0] < self.dials.grammar)
        length = min_glosses + bisect_right(lengths, chance[1])
        first = last = False
        if self.dials.rest_glosses:
            first = length > 1 and chance[2] < _BEGIN_WITH_ON
            last = length > 1 + first and chance[3] < _END_WITH_OFF
        count = length - first - last
        signs = self._follow_grammar(count, chance[4:], walk, patience)
        for place in range(count):
            if loose[0][place] >= self.dials.grammar:
                signs[place] = self._by_frequency(loose[1][place], loose[2][place])
        if all(sign < 0 for sign in signs):
            signs[0] = min(bisect_right(self._ends, loose[2][0]), self.num_signs - 1)
        return (*((ON,) if first else ()), *signs, *((OFF,) if last else ()))

    def _by_frequency(self, kind: float, which: float) -> int:
        """Returns a sign drawn by frequency alone, from two random numbers in 0..1."""
        if kind < self.dials.pointing:
            return POINTING[int(which * len(POINTING))]
        return min(bisect_right(self._ends, which), self.num_signs - 1)

    def _follow_grammar(
        self, count: int, chance: list[float], walk: list[list[float]], patience: np.ndarray
    ) -> list[int]:
        """Returns `count` signs that follow the grammar."""
        steps, topics, points, again, first, second, back = walk
        # Pointing and repeated signs take the room of others, at most half of it.
        room = count // 2
        num_points = min(sum(u < self.dials.pointing for u in points[:count]), room)
        num_again = min(sum(u < self.dials.repeats for u in again[:count]), room - num_points)
        slots, clause_of = _clauses(count - num_points - num_again, chance[0] < _QUESTIONS, patience)
        position = chance[1]
        signs: list[int] = []
        for place, slot in enumerate(slots):
            if place and clause_of[place] != clause_of[place - 1] and topics[place] < _NEW_TOPIC:
                position = topics[place] / _NEW_TOPIC
            else:
                # Steps to both sides, small ones more often: the Laplace distribution by its inverse.
                u = steps[place] - 0.5
                position = (position - _STEP * log(max(1 - 2 * abs(u), 1e-12)) * (1 if u > 0 else -1)) % 1
            ends, members = self._circles[_CLASS_OF[slot]]
            place_on_circle = (position + _AHEAD_OF[slot]) % 1
            signs.append(members[min(bisect_right(ends, place_on_circle), len(members) - 1)])
        classes = [_CLASS_OF[slot] for slot in slots]
        pointed = _chosen(classes, _REFERENTS, num_points, first)
        repeated = _chosen(classes, _REPEATED, num_again, second)
        return self._expand(signs, classes, clause_of, pointed, repeated, back)

    def _expand(
        self,
        signs: list[int],
        classes: list[int],
        clause_of: list[int],
        pointed: Counter[int],
        repeated: Counter[int],
        chances: list[float],
    ) -> list[int]:
        """Returns the signs with their repetitions, and with pointing after the referent or before a verb."""
        result: list[int] = []
        loci: dict[int, int] = {}
        waiting: list[int] = []
        for place, (sign, word_class) in enumerate(zip(signs, classes, strict=True)):
            if waiting and word_class == _VERB:
                result += waiting
                waiting = []
            result += [sign] * (1 + repeated[place])
            for _ in range(pointed[place]):
                verb_follows = _VERB in classes[place + 1 :]
                earlier = [other for other in loci if other != sign]
                if clause_of[place] and earlier and verb_follows and chances[place] < _PRONOUNS:
                    waiting.append(loci[earlier[-1]])
                else:
                    result.append(self._locus(sign, loci))
        return result + waiting

    def _locus(self, sign: int, loci: dict[int, int]) -> int:
        """Returns where this sentence points to `sign`: its usual place, or the next free one."""
        if sign not in loci:
            for turn in range(len(POINTING)):
                locus = POINTING[(sign + turn) % len(POINTING)]
                if locus not in loci.values():
                    break
            loci[sign] = locus
        return loci[sign]


def make_grammar(
    num_signs: int,
    *,
    seed: int,
    dials: Dials,
) -> Grammar:
    """Returns the grammar of a lexicon whose signs are numbered from 0, the same for the same arguments.

    dials: of these, `grammar`, `zipf`, `pointing`, `repeats` and `rest_glosses` count.
    """
    rng = np.random.default_rng([seed, 6])
    weights = (np.arange(1, num_signs + 1) + _FLAT_RANKS) ** -dials.zipf
    # Neighbours in the lexicon are often minimal pairs, so ranks are dealt at random to keep their frequencies apart.
    by_rank = rng.permutation(num_signs)
    frequencies = np.empty(num_signs)
    frequencies[by_rank] = weights / weights.sum()
    classes = _classes_of(frequencies[by_rank], dials.zipf)[np.argsort(by_rank)]
    order = [np.flatnonzero(classes == word_class) for word_class in range(len(CLASSES))]
    order = [rng.permutation(members) for members in order]
    # A class without signs (in a small lexicon) uses the signs of the most frequent class.
    stand_in = order[classes[by_rank[0]]]
    circles = []
    for members in (members if len(members) else stand_in for members in order):
        ends = np.cumsum(frequencies[members])
        circles.append(((ends / ends[-1]).tolist(), members.tolist()))
    return Grammar(dials, frequencies, classes, np.cumsum(frequencies).tolist(), circles)


def _classes_of(frequencies: np.ndarray, zipf: float) -> np.ndarray:
    """Returns the class of each sign, from falling frequencies, so that each class has in sum what its slots need."""
    needed = _class_shares().copy()
    # If all signs are equally frequent, a class needs as many of them as it has slots.
    mix = min(zipf, 1.0)
    shares = mix * _TYPE_SHARES + (1 - mix) * needed
    ends = np.round(np.cumsum(shares / shares.sum()) * len(frequencies)).astype(int)
    free = np.diff(ends, prepend=0)
    classes = np.empty(len(frequencies), dtype=np.int64)
    for rank, frequency in enumerate(frequencies.tolist()):
        # Choose the class whose remaining signs must be the most frequent.
        chosen = int(np.argmax(np.where(free > 0, needed / np.maximum(free, 1), -inf)))
        classes[rank] = chosen
        needed[chosen] -= frequency
        free[chosen] -= 1
    return classes


@lru_cache(maxsize=1)
def _class_shares() -> np.ndarray:
    """Returns the share of each class among the slots of sentences as long as PHOENIX's, `(len(CLASSES),)`, sum 1."""
    rng = np.random.default_rng(0)
    counts = np.zeros(len(CLASSES))
    for _ in range(1000):
        count = max(1, round(rng.normal(_MEAN_LENGTH, _SPREAD * _MEAN_LENGTH)))
        question = bool(rng.random() < _QUESTIONS)
        for slot in _clauses(count, question, _patience(rng, count))[0]:
            counts[_CLASS_OF[slot]] += 1
    return counts / counts.sum()


def _patience(rng: np.random.Generator, count: int) -> np.ndarray:
    """Returns random numbers for the clauses of at most `count` signs, `(clauses, slots without the question + 1)`."""
    return rng.standard_exponential((count // _SHORTEST_CLAUSE + 1, len(_SLOTS)))


def _clauses(count: int, question: bool, patience: np.ndarray) -> tuple[list[int], list[int]]:
    """Returns `count` slots in order (positions in _SLOTS), and for each the number of its clause.

    patience: of `_patience`; each clause fills the slots with the smallest numbers, and the last number sets its
    length.
    """
    question = question and count > _SHORTEST_CLAUSE
    left = count - question
    slots: list[int] = []
    clause_of: list[int] = []
    clause = 0
    while left:
        size = _SHORTEST_CLAUSE + int((1 - exp(-patience[clause, -1])) * (_LONGEST_CLAUSE - _SHORTEST_CLAUSE + 1))
        if left - size < _SHORTEST_CLAUSE:
            size = left if left <= _LONGEST_CLAUSE else left - _SHORTEST_CLAUSE
        waits = patience[clause, :-1] * (_LATER_PATIENCE if clause else _FIRST_PATIENCE)
        filled = np.sort(np.argsort(waits, kind="stable")[:size]).tolist()
        slots += filled
        clause_of += [clause] * size
        left -= size
        clause += 1
    if question:
        slots.append(_QUESTION_SLOT)
        clause_of.append(clause - 1)
    return slots, clause_of


def _chosen(classes: Sequence[int], wanted: tuple[int, ...], count: int, chances: list[float]) -> Counter[int]:
    """Returns how often each place is chosen, `count` times in total, by its random number; only places of a wanted
    class if there are any."""
    places = [place for place, word_class in enumerate(classes) if word_class in wanted] or list(range(len(classes)))
    places.sort(key=chances.__getitem__)
    return Counter(places[turn % len(places)] for turn in range(count))


@lru_cache(maxsize=64)
def _length_table(min_glosses: int, max_glosses: int, natural: bool) -> list[float]:
    """Returns the cumulative probabilities of the lengths: as on PHOENIX, as far as the range allows, or uniform."""
    lengths = np.arange(min_glosses, max_glosses + 1, dtype=float)
    weights = np.ones(len(lengths))
    if natural:
        middle = (min_glosses + max_glosses) / 2
        mean = min(max(_MEAN_LENGTH, min_glosses + (max_glosses - min_glosses) / 3), middle)
        # A gamma distribution: bell-shaped with a longer tail to the right, as the lengths on PHOENIX are.
        shape = 1 / _SPREAD**2
        logs = (shape - 1) * np.log(lengths / mean) - shape * lengths / mean
        weights = np.exp(logs - logs.max())
    return (np.cumsum(weights) / weights.sum())[:-1].tolist()
