"""Plans: who signs which sentence, for every utterance of a corpus, before anything is simulated.

Sentences come from the grammar, or from the gloss sequences of a real corpus (`--sentences`). Every made-up sentence
has its own seed (of the corpus, the split and its number). Then signs that train lacks are put into some sentences of
train, and a sentence of dev or test is drawn again while train has it too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from signloom.corpus import SPLITS
from signloom.errors import InputError, plural
from signloom.synth.grammar import POINTING, REST_GLOSSES, SPECIAL_GLOSSES, make_grammar
from signloom.synth.lexicon import make_lexicon
from signloom.synth.options import SynthOptions
from signloom.synth.sentences import GlossSentence, read_sentences, vocabulary_of
from signloom.synth.signs import Sign, pointing_sign, rest_sign

# Shares of dev and test among the sentences of files that name no split.
_DEV_SHARE, _TEST_SHARE = 0.1, 0.1


@dataclass(frozen=True)
class Plan:
    """One planned utterance. number: its position in its split.  signer: number of the signer, from 0."""

    id: str
    split: str
    number: int
    signer: int
    signer_name: str
    signs: tuple[Sign, ...]


@lru_cache(maxsize=2)
def make_plans(options: SynthOptions) -> tuple[Plan, ...]:
    """Returns the plans of all utterances, in the order train, dev, test.

    Raises InputError for unreadable sentences, for a lexicon that cannot be made, and for training sentences that have
    no room for all its signs.
    """
    return tuple(_plans_of_file(options) if options.sentences else _plans_of_grammar(options))


@lru_cache(maxsize=4)
def lexicon_of(options: SynthOptions) -> tuple[Sign, ...]:
    """Returns the signs of the lexicon, without rest and pointing; with `--sentences`, one for each of their
    glosses."""
    glosses = vocabulary_of(_sentences(options)) if options.sentences else None
    if glosses is not None and not glosses:
        raise InputError(f"sentences: nothing but rest ({', '.join(REST_GLOSSES)}); needed at least one sign")
    signs = make_lexicon(
        options.num_signs if glosses is None else len(glosses),
        seed=options.seed,
        minimal_pairs=options.minimal_pairs,
        apart_from=[pointing_sign(SPECIAL_GLOSSES[code], place) for place, code in enumerate(POINTING)],
    )
    if glosses is None:
        return signs
    return tuple(replace(sign, gloss=gloss) for sign, gloss in zip(signs, glosses, strict=True))


@lru_cache(maxsize=4)
def rest_is_glossed(options: SynthOptions) -> bool:
    """Returns whether sentences that begin or end at rest have a gloss for it."""
    if not options.sentences:
        return bool(options.rest_glosses)
    return any(gloss in REST_GLOSSES for sentence in _sentences(options) for gloss in sentence.glosses)


@lru_cache(maxsize=4)
def _sentences(options: SynthOptions) -> tuple[GlossSentence, ...]:
    return read_sentences(options.sentences)


def _plans_of_grammar(options: SynthOptions) -> list[Plan]:
    """Returns plans with every sign in train, and no sentence of dev or test in train while other sentences exist."""
    lexicon = lexicon_of(options)
    grammar = make_grammar(options.num_signs, seed=options.seed, dials=options)
    num_training = options.num_signers - options.num_test_signers
    training, unseen = range(num_training), range(num_training, options.num_signers)
    plans: list[Plan] = []
    known: set[tuple[int, ...]] = set()
    for split, count, signers in (
        ("train", options.num_train, training),
        ("dev", options.num_dev, training),
        ("test", options.num_test, unseen),
    ):
        drawn: list[tuple[int, ...]] = []
        for number in range(count):
            rng = np.random.default_rng([options.seed, 5, SPLITS.index(split), number])
            for _ in range(50):
                sentence = grammar.draw(rng, options.min_glosses, options.max_glosses)
                if split == "train" or sentence not in known:
                    break
            drawn.append(sentence)
        if split == "train":
            drawn = _with_every_sign(drawn, options.num_signs)
            known = set(drawn)
        # Signers take turns, so that all sign equally often.
        plans += [
            Plan(
                id=f"{split}-{n:05d}",
                split=split,
                number=n,
                signer=signers[n % len(signers)],
                signer_name=signer_name(signers[n % len(signers)]),
                signs=tuple(_sign(code, lexicon) for code in sentence),
            )
            for n, sentence in enumerate(drawn)
        ]
    return plans


def signer_name(number: int) -> str:
    """Returns the name of signer `number`, from 0."""
    return f"signer{number + 1:02d}"


def _sign(code: int, lexicon: tuple[Sign, ...]) -> Sign:
    """Returns the sign with this number in the grammar."""
    if code >= 0:
        return lexicon[code]
    gloss = SPECIAL_GLOSSES[code]
    return pointing_sign(gloss, POINTING.index(code)) if code in POINTING else rest_sign(gloss)


def _with_every_sign(sentences: list[tuple[int, ...]], num_signs: int) -> list[tuple[int, ...]]:
    """Returns the sentences, with each missing sign in the place of one that occurs more than once.

    Raises InputError if there are fewer such places than missing signs.
    """
    counts = Counter(code for sentence in sentences for code in sentence)
    result = [list(sentence) for sentence in sentences]
    places = (
        (row, column) for row, sentence in enumerate(sentences) for column, code in enumerate(sentence) if code >= 0
    )
    for missing in sorted(set(range(num_signs)) - set(counts)) if sentences else []:
        place = next((place for place in places if counts[result[place[0]][place[1]]] > 1), None)
        if place is None:
            raise InputError(
                f"synth: {plural(len(sentences), 'training utterance has', 'training utterances have')} no room for "
                f"all {plural(num_signs, 'sign')} beside pointing and rest; raise --num_train or --min_glosses, or "
                "lower --num_signs"
            )
        row, column = place
        counts[result[row][column]] -= 1
        counts[missing] = 1
        result[row][column] = missing
    return [tuple(sentence) for sentence in result]


def _plans_of_file(options: SynthOptions) -> list[Plan]:
    """Returns plans for the sentences of files, by their own signers; if they name none, signers take turns."""
    sentences = _sentences(options)
    lexicon = {sign.gloss: sign for sign in lexicon_of(options)}
    splits = _splits(options, sentences)
    names = sorted({sentence.signer for sentence in sentences if sentence.signer})
    numbers = {name: number for number, name in enumerate(names)}
    num_training = options.num_signers - options.num_test_signers
    turns = {"train": range(num_training), "dev": range(num_training), "test": range(num_training, options.num_signers)}
    counts: Counter[str] = Counter()
    plans = []
    for sentence, split in sorted(zip(sentences, splits, strict=True), key=lambda pair: SPLITS.index(pair[1])):
        number = counts[split]
        counts[split] += 1
        if sentence.signer:
            signer, name = numbers[sentence.signer], sentence.signer
        else:
            signers = turns[split] or range(options.num_signers)
            signer = len(names) + signers[number % len(signers)]
            name = signer_name(signer)
        signs = tuple(lexicon[gloss] if gloss in lexicon else rest_sign(gloss) for gloss in sentence.glosses)
        plans.append(Plan(sentence.id or f"{split}-{number:05d}", split, number, signer, name, signs))
    return plans


def _splits(options: SynthOptions, sentences: tuple[GlossSentence, ...]) -> list[str]:
    """Returns the split of each sentence: its own, or a drawn one for each sentence without one."""
    order = np.random.default_rng([options.seed, 6]).permutation(len(sentences))
    dev, test = (round(share * len(sentences)) for share in (_DEV_SHARE, _TEST_SHARE))
    drawn = np.full(len(sentences), "train", dtype=object)
    drawn[order[:dev]], drawn[order[dev : dev + test]] = "dev", "test"
    return [sentence.split or drawn[place] for place, sentence in enumerate(sentences)]
