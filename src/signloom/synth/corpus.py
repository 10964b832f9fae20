"""A corpus of simulated signing: sentences, splits, and their writing by one or several processes.

Every utterance is drawn from its own seed (of the corpus, the split and its number), so that it does not depend on the
other utterances or on the number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from signloom import layout
from signloom.corpus import SPLITS, Corpus, CorpusWriter
from signloom.errors import Faults, InputError
from signloom.files import inside
from signloom.landmarks import Landmarks
from signloom.synth.body import pose_body
from signloom.synth.camera import make_camera, project
from signloom.synth.dials import Dials
from signloom.synth.lexicon import make_lexicon
from signloom.synth.performance import perform
from signloom.synth.signer import Signer, make_signer
from signloom.synth.signs import Sign
from signloom.synth.tracker import track

# Of the generator's results: goes up when the same options would give other data.
GENERATOR_VERSION = 2
IMAGE_SIZE = (640, 480)
_MAX_FPS = 240.0


@dataclass(frozen=True, kw_only=True)
class Recipe(Dials):
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
    fps: float = 25.0
    """frames per second"""
    minimal_pairs: float = 0.95
    """share of signs that differ a little from another in handshape, location, orientation or movement alone, 0 to 1"""
    seed: int = 0
    """of every draw: same seed and options, same bytes"""

    def check(self, faults: Faults) -> None:
        if self.num_signs < 1:
            faults.add(f"--num_signs is {self.num_signs}; needed at least 1 sign")
        if self.num_signers < 1:
            faults.add(f"--num_signers is {self.num_signers}; needed at least 1")
        if not 0 <= self.num_test_signers <= self.num_signers:
            faults.add(
                f"--num_test_signers is {self.num_test_signers}, with {self.num_signers} signers in all; needed 0 to "
                f"{self.num_signers}"
            )
        for name in ("num_train", "num_dev", "num_test", "seed"):
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
            faults.add(f"--num_test is {self.num_test} but there are no test signers; raise --num_test_signers")
        if not 1 <= self.min_glosses <= self.max_glosses:
            faults.add(f"--min_glosses {self.min_glosses} and --max_glosses {self.max_glosses}; needed 1 <= min <= max")
        elif 0 < self.num_train * self.min_glosses < self.num_signs:
            faults.add(
                f"{self.num_train} training utterances of {self.min_glosses} or more signs may not show all "
                f"{self.num_signs} signs; raise --num_train or lower --num_signs"
            )
        if not 1 <= self.fps <= _MAX_FPS:
            faults.add(f"--fps is {self.fps:g}; needed 1 to {_MAX_FPS:g}")
        if not 0 <= self.minimal_pairs <= 1:
            faults.add(f"--minimal_pairs is {self.minimal_pairs}; needed a share from 0 to 1")


@dataclass(frozen=True)
class Plan:
    """One utterance before it is signed. number: within its split.  signer: from 0."""

    split: str
    number: int
    signer: int
    signs: tuple[Sign, ...]

    @property
    def id(self) -> str:
        return f"{self.split}-{self.number:05d}"


@dataclass(frozen=True)
class Clip:
    """One utterance as it was signed and tracked, with what only a simulation knows."""

    landmarks: Landmarks
    truth: dict[str, Any]


def synthesise(
    recipe: Recipe,
    output: Path,
    *,
    num_workers: int = 1,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Corpus:
    """The corpus of a recipe, written to the folder `output`.

    progress: called after every utterance with its number of frames.

    Raises InputError where `output` already holds a corpus and `overwrite` is not set.
    """
    if num_workers < 1:
        raise InputError(f"--workers is {num_workers}; needed at least 1")
    plans = make_plans(recipe)
    lexicon = lexicon_of(recipe)
    info = {
        "name": Path(output).name,
        "synthetic": True,
        "generator": "signloom synth",
        "generator_version": GENERATOR_VERSION,
        "options": asdict(recipe),
        "licence": "made by signloom; free of third-party rights",
        "lexicon": [asdict(sign) for sign in lexicon],
    }
    writer = CorpusWriter(output, info, overwrite=overwrite)
    with writer:
        paths = [inside(writer.root, writer.landmarks_path(plan.id)) for plan in plans]
        for plan, path, truth in zip(plans, paths, _write_clips(recipe, plans, paths, num_workers), strict=True):
            utterance = writer.add(
                plan.id,
                split=plan.split,
                signer=_signer(recipe, plan.signer).name,
                glosses=[sign.gloss for sign in plan.signs],
                landmarks=path,
                source={"maker": "signloom synth", "generator_version": GENERATOR_VERSION},
                truth=truth,
            )
            if progress is not None:
                progress(utterance.num_frames)
    return Corpus.open(output)


def _write_clips(recipe: Recipe, plans: list[Plan], paths: list[Path], num_workers: int) -> Iterator[dict[str, Any]]:
    """The truth of every utterance in order, its landmark file written."""
    if num_workers == 1 or len(plans) < 2:
        for plan, path in zip(plans, paths, strict=True):
            yield _write_clip(recipe, plan, path)
        return
    # Spawned processes are the same on every system and inherit no locks of a parent that runs threads.
    context = multiprocessing.get_context("spawn")
    chunk = max(1, min(16, len(plans) // (4 * num_workers)))
    with _one_thread_each(), ProcessPoolExecutor(min(num_workers, len(plans)), mp_context=context) as pool:
        yield from pool.map(_write_clip, [recipe] * len(plans), plans, paths, chunksize=chunk)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes spawned inside compute with one thread each: NumPy's own would only get in each other's way."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _write_clip(recipe: Recipe, plan: Plan, path: Path) -> dict[str, Any]:
    clip = make_clip(recipe, plan)
    clip.landmarks.save(path)
    return clip.truth


def make_clip(recipe: Recipe, plan: Plan) -> Clip:
    """One utterance, signed, filmed and tracked."""
    signer = _signer(recipe, plan.signer)
    rng = np.random.default_rng([recipe.seed, 4, SPLITS.index(plan.split), plan.number])
    performance = perform(plan.signs, signer, fps=recipe.fps, dials=recipe, rng=rng)
    points = pose_body(performance.motion, signer.proportions)
    if signer.left_handed:
        points = points[:, layout.mirror_map()] * np.array((-1, 1, 1), dtype=points.dtype)
    setting = np.random.default_rng([recipe.seed, 3, plan.signer])
    camera = make_camera(setting, rng, image_size=IMAGE_SIZE, dials=recipe)
    tracked = track(project(points, camera), camera, fps=recipe.fps, dials=recipe, rng=rng)
    landmarks = Landmarks(
        tracked.points,
        tracked.visibility,
        fps=recipe.fps,
        image_size=IMAGE_SIZE,
        source={"extractor": "signloom synth", "extractor_version": GENERATOR_VERSION},
    )
    truth = {
        "boundaries": performance.boundaries,
        "strokes": performance.strokes,
        "signer": signer.name,
        "strong_hand": "left_hand" if signer.left_handed else "right_hand",
        "lost": tracked.lost,
        "out_of_view": tracked.out_of_view,
    }
    return Clip(landmarks, truth)


def make_plans(recipe: Recipe) -> list[Plan]:
    """Who signs what in every utterance, in the order train, dev, test.

    Signs are drawn with equal chances, with replacement; every sign of the lexicon occurs in train; no sentence of dev
    or test occurs in train where the lexicon has room for others.
    """
    lexicon = lexicon_of(recipe)
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
                length = int(rng.integers(recipe.min_glosses, recipe.max_glosses + 1))
                sentence = tuple(int(sign) for sign in rng.integers(recipe.num_signs, size=length))
                if split == "train" or sentence not in known:
                    break
            drawn.append(sentence)
        if split == "train":
            drawn = _with_every_sign(drawn, recipe.num_signs)
            known = set(drawn)
        # Signers take turns, so that each signs as much as any other.
        plans += [
            Plan(split, n, signers[n % len(signers)], tuple(lexicon[sign] for sign in sentence))
            for n, sentence in enumerate(drawn)
        ]
    return plans


def _with_every_sign(sentences: list[tuple[int, ...]], num_signs: int) -> list[tuple[int, ...]]:
    """The sentences with each sign that none of them has put in the place of one that occurs more often."""
    counts = Counter(sign for sentence in sentences for sign in sentence)
    result = [list(sentence) for sentence in sentences]
    places = ((row, column) for row, sentence in enumerate(sentences) for column in range(len(sentence)))
    for missing in sorted(set(range(num_signs)) - set(counts)) if sentences else []:
        row, column = next(place for place in places if counts[result[place[0]][place[1]]] > 1)
        counts[result[row][column]] -= 1
        counts[missing] = 1
        result[row][column] = missing
    return [tuple(sentence) for sentence in result]


@lru_cache(maxsize=4)
def lexicon_of(recipe: Recipe) -> tuple[Sign, ...]:
    """The lexicon of a recipe; it depends on the seed, the number of signs and the share of minimal pairs alone."""
    return make_lexicon(recipe.num_signs, seed=recipe.seed, minimal_pairs=recipe.minimal_pairs)


@lru_cache(maxsize=64)
def _signer(recipe: Recipe, number: int) -> Signer:
    return make_signer(number, seed=recipe.seed, dials=recipe)
