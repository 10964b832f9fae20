"""Who signs what: the utterances of a corpus before they are signed.

Sentences come from the grammar, or from the gloss sequences of a real corpus (`--sentences`). Every made-up sentence is
drawn from its own seed (of the corpus, the split and its number); then signs that train lacks are put into some of
train, and a sentence of dev or test is drawn again while train has it too.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from signloom.corpus import MANIFEST, SPLITS
from signloom.errors import Faults, InputError
from signloom.landmarks import parse_image_size
from signloom.synth.dials import Dials
from signloom.synth.grammar import POINTING, REST_GLOSSES, SPECIAL_GLOSSES, Grammar, make_grammar
from signloom.synth.lexicon import make_lexicon
from signloom.synth.sentences import Sentence, read_sentences, vocabulary_of
from signloom.synth.signs import Sign, pointing_sign, rest_sign

# Of the generator's results: goes up when the same options would give other data.
GENERATOR_VERSION = 6
_MAX_FPS = 240.0
# No hand can be seen in a smaller picture.
_LEAST_PIXELS = 32
# Shares of the sentences of a file that names no split.
_DEV_SHARE, _TEST_SHARE = 0.1, 0.1


@dataclass(frozen=True, kw_only=True)
class SynthOptions(Dials):
    """What to simulate."""

    num_signs: int = 40
    """signs in the lexicon"""
    num_signers: int = 8
    """signers in all"""
    num_test_signers: int = 2
    """signers who sign the test split and nothing else; the others sign train and dev"""
    num_train: int = 1000
    """utterances in train"""
    num_dev: int = 100
    """utterances in dev: sentences that train does not have, by the signers of train"""
    num_test: int = 120
    """utterances in test: sentences that train does not have, by the test signers"""
    min_glosses: int = 3
    """signs in the shortest utterance"""
    max_glosses: int = 8
    """signs in the longest utterance"""
    sentences: tuple[Path, ...] = ()
    """sign these sentences instead: annotation files of a corpus (PHOENIX, Isharah, a manifest, a line a sentence);
    splits and signers are the files' own, the numbers of signs and utterances are not used"""
    fps: float = 25.0
    """frames per second"""
    image_size: str = "640x480"
    """width x height of the picture in pixels"""
    minimal_pairs: float = 0.9
    """share of signs that differ a little from another in handshape, location, orientation or movement alone, 0 to 1"""
    seed: int = 0
    """of every draw: same seed and options, same bytes"""

    def _faults(self) -> Faults:
        faults = super()._faults()
        try:
            if min(parse_image_size(self.image_size)) < _LEAST_PIXELS:
                faults.add(f"--image_size is {self.image_size}; needed at least {_LEAST_PIXELS} pixels each way")
        except InputError as error:
            faults.add(str(error))
        if not 1 <= self.fps <= _MAX_FPS:
            faults.add(f"--fps is {self.fps:g}; needed 1 to {_MAX_FPS:g}")
        if not 0 <= self.minimal_pairs <= 1:
            faults.add(f"--minimal_pairs is {self.minimal_pairs}; needed a share from 0 to 1")
        if self.seed < 0:
            faults.add(f"--seed is {self.seed}; needed 0 or more")
        if self.num_signers < 1:
            faults.add(f"--num_signers is {self.num_signers}; needed at least 1")
        if not 0 <= self.num_test_signers <= self.num_signers:
            alone = "; give --num_test_signers 0 --num_test 0 for one signer" if self.num_signers == 1 else ""
            faults.add(
                f"--num_test_signers is {self.num_test_signers}, --num_signers {self.num_signers}; needed 0 to "
                f"{self.num_signers}{alone}"
            )
        if not self.sentences:
            self._check_numbers(faults)
        return faults

    def _check_numbers(self, faults: Faults) -> None:
        """Adds what matters only where the sentences are made up."""
        if self.num_signs < 1:
            faults.add(f"--num_signs is {self.num_signs}; needed at least 1 sign")
        for name in ("num_train", "num_dev", "num_test"):
            if getattr(self, name) < 0:
                faults.add(f"--{name} is {getattr(self, name)}; needed 0 or more")
        if self.num_train + self.num_dev + self.num_test == 0:
            faults.add("no utterances asked for; give --num_train, --num_dev or --num_test")
        if self.num_train + self.num_dev > 0 and self.num_test_signers == self.num_signers > 0:
            faults.add(
                f"all {self.num_signers} signers are test signers, none is left for train and dev; lower "
                "--num_test_signers or set --num_train 0 --num_dev 0"
            )
        if self.num_test > 0 and self.num_test_signers == 0:
            faults.add(
                f"--num_test is {self.num_test} but there are no test signers; raise --num_test_signers or set "
                "--num_test 0"
            )
        if not 1 <= self.min_glosses <= self.max_glosses:
            faults.add(f"--min_glosses {self.min_glosses} and --max_glosses {self.max_glosses}; needed 1 <= min <= max")
        elif 0 < self.num_train * self.min_glosses < self.num_signs:
            faults.add(
                f"{self.num_train} training utterances of {self.min_glosses} or more signs may not show all "
                f"{self.num_signs} signs; raise --num_train or lower --num_signs"
            )

    def record(self) -> dict[str, Any]:
        """The options as the corpus records them: files by name and content, not by where they lay."""
        files: dict[str, str] = {}
        for path in self.sentences:
            file = path / MANIFEST if path.is_dir() else path
            name = path.name if path.name not in files else f"{path.name} ({len(files) + 1})"
            files[name] = hashlib.sha256(file.read_bytes()).hexdigest()
        return {**asdict(self), "sentences": files}

    @property
    def digest(self) -> str:
        """Tells apart the recipes that give other data."""
        record = {**self.record(), "generator_version": GENERATOR_VERSION}
        # Their order decides who signs what.
        record["sentences"] = list(record["sentences"].items())
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Plan:
    """One utterance before it is signed. number: within its split.  signer: from 0."""

    id: str
    split: str
    number: int
    signer: int
    signer_name: str
    signs: tuple[Sign, ...]


@lru_cache(maxsize=2)
def make_plans(recipe: SynthOptions) -> tuple[Plan, ...]:
    """Who signs what in every utterance, in the order train, dev, test.

    Raises InputError for sentences that cannot be read, a lexicon that cannot be made, or training sentences without
    room for all of it.
    """
    return tuple(_plans_of_file(recipe) if recipe.sentences else _plans_of_grammar(recipe))


@lru_cache(maxsize=4)
def lexicon_of(recipe: SynthOptions) -> tuple[Sign, ...]:
    """The signs of a recipe, without rest and pointing; with `--sentences`, one for each of their glosses."""
    glosses = vocabulary_of(_sentences(recipe)) if recipe.sentences else None
    if glosses is not None and not glosses:
        raise InputError(f"sentences: nothing but rest ({', '.join(REST_GLOSSES)}); needed at least one sign")
    signs = make_lexicon(
        recipe.num_signs if glosses is None else len(glosses),
        seed=recipe.seed,
        minimal_pairs=recipe.minimal_pairs,
        apart_from=[pointing_sign(SPECIAL_GLOSSES[code], place) for place, code in enumerate(POINTING)],
    )
    if glosses is None:
        return signs
    return tuple(replace(sign, gloss=gloss) for sign, gloss in zip(signs, glosses, strict=True))


@lru_cache(maxsize=4)
def rest_is_glossed(recipe: SynthOptions) -> bool:
    """Whether sentences of this recipe that begin or end at rest say so by a gloss."""
    if not recipe.sentences:
        return bool(recipe.rest_glosses)
    return any(gloss in REST_GLOSSES for sentence in _sentences(recipe) for gloss in sentence.glosses)


@lru_cache(maxsize=4)
def _sentences(recipe: SynthOptions) -> tuple[Sentence, ...]:
    return read_sentences(recipe.sentences)


@lru_cache(maxsize=4)
def _grammar(recipe: SynthOptions) -> Grammar:
    return make_grammar(
        recipe.num_signs,
        seed=recipe.seed,
        strength=recipe.grammar,
        zipf=recipe.zipf,
        pointing=recipe.pointing,
        repeats=recipe.repeats,
        rest_glosses=recipe.rest_glosses,
    )


def _plans_of_grammar(recipe: SynthOptions) -> list[Plan]:
    """Every sign occurs in train; no sentence of dev or test occurs in train where there is room for others."""
    grammar, lexicon = _grammar(recipe), lexicon_of(recipe)
    num_training = recipe.num_signers - recipe.num_test_signers
    training, unseen = range(num_training), range(num_training, recipe.num_signers)
    plans: list[Plan] = []
    known: set[tuple[int, ...]] = set()
    for split, count, signers in (
        ("train", recipe.num_train, training),
        ("dev", recipe.num_dev, training),
        ("test", recipe.num_test, unseen),
    ):
        drawn: list[tuple[int, ...]] = []
        for number in range(count):
            rng = np.random.default_rng([recipe.seed, 5, SPLITS.index(split), number])
            for _ in range(50):
                sentence = grammar.draw(rng, recipe.min_glosses, recipe.max_glosses)
                if split == "train" or sentence not in known:
                    break
            drawn.append(sentence)
        if split == "train":
            drawn = _with_every_sign(drawn, recipe.num_signs)
            known = set(drawn)
        # Signers take turns, so that each signs as much as any other.
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
    return f"signer{number + 1:02d}"


def _sign(code: int, lexicon: tuple[Sign, ...]) -> Sign:
    """The sign that a number of the grammar stands for."""
    if code >= 0:
        return lexicon[code]
    gloss = SPECIAL_GLOSSES[code]
    return pointing_sign(gloss, POINTING.index(code)) if code in POINTING else rest_sign(gloss)


def _with_every_sign(sentences: list[tuple[int, ...]], num_signs: int) -> list[tuple[int, ...]]:
    """The sentences with each sign that none of them has put in the place of one that occurs more often.

    Raises InputError where there are fewer such places than signs.
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
                f"synth: {len(sentences)} training utterances have no room for all {num_signs} signs beside pointing "
                "and rest; raise --num_train or --min_glosses, or lower --num_signs"
            )
        row, column = place
        counts[result[row][column]] -= 1
        counts[missing] = 1
        result[row][column] = missing
    return [tuple(sentence) for sentence in result]


def _plans_of_file(recipe: SynthOptions) -> list[Plan]:
    """The sentences of a file, by its own signers; where it names none, signers take turns as in made-up sentences."""
    sentences = _sentences(recipe)
    lexicon = {sign.gloss: sign for sign in lexicon_of(recipe)}
    splits = _splits(recipe, sentences)
    names = sorted({sentence.signer for sentence in sentences if sentence.signer})
    numbers = {name: number for number, name in enumerate(names)}
    num_training = recipe.num_signers - recipe.num_test_signers
    turns = {"train": range(num_training), "dev": range(num_training), "test": range(num_training, recipe.num_signers)}
    counts: Counter[str] = Counter()
    plans = []
    for sentence, split in sorted(zip(sentences, splits, strict=True), key=lambda pair: SPLITS.index(pair[1])):
        number = counts[split]
        counts[split] += 1
        if sentence.signer:
            signer, name = numbers[sentence.signer], sentence.signer
        else:
            signers = turns[split] or range(recipe.num_signers)
            signer = len(names) + signers[number % len(signers)]
            name = signer_name(signer)
        signs = tuple(lexicon[gloss] if gloss in lexicon else rest_sign(gloss) for gloss in sentence.glosses)
        plans.append(Plan(sentence.id or f"{split}-{number:05d}", split, number, signer, name, signs))
    return plans


def _splits(recipe: SynthOptions, sentences: tuple[Sentence, ...]) -> list[str]:
    """The split of each sentence: its own, or one drawn for all that have none."""
    order = np.random.default_rng([recipe.seed, 6]).permutation(len(sentences))
    dev, test = (round(share * len(sentences)) for share in (_DEV_SHARE, _TEST_SHARE))
    drawn = np.full(len(sentences), "train", dtype=object)
    drawn[order[:dev]], drawn[order[dev : dev + test]] = "dev", "test"
    return [sentence.split or drawn[place] for place, sentence in enumerate(sentences)]
