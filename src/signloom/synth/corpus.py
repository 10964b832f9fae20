"""Writes a corpus of simulated signing, with one or several processes.

The data of a planned utterance do not depend on the other utterances, on the number of processes, or on whether an
earlier run was killed: finished utterances of that run are kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from signloom import layout
from signloom.corpus import SPLITS, Corpus, CorpusWriter, check_output
from signloom.errors import InputError, SignloomError
from signloom.files.paths import inside
from signloom.landmarks import SIMULATOR, Landmarks, interpolate, parse_image_size
from signloom.processes import process_pool
from signloom.synth.body import pose_body
from signloom.synth.camera import make_camera, project
from signloom.synth.dials import dial_names
from signloom.synth.lexicon import confusability
from signloom.synth.options import GENERATOR_VERSION, SynthOptions
from signloom.synth.performance import perform
from signloom.synth.plans import Plan, lexicon_of, make_plans, rest_is_glossed
from signloom.synth.signer import Signer, make_signer
from signloom.synth.tracker import track

# Frame rates of cameras, relative to that of the options.
_FRAME_RATES = (1.0, 1.2, 0.8, 0.6)
# At dial 1: standard deviation of the time of a frame, in frames, and share of the frames that repeat the one before.
_FRAME_JITTER, _FRAMES_REPEATED = 0.08, 0.02


class Backend(Protocol):
    """Writes the landmark files of planned utterances: in processes of this machine, or on a cluster."""

    def __call__(
        self,
        options: SynthOptions,
        digest: str,
        plans: Sequence[Plan],
        paths: Sequence[Path],
        done: Callable[[dict[str, Any]], None],
    ) -> None:
        """Writes each of `plans` to its path, and calls `done` with the truth of each, in order.

        digest: that of the options.
        """


@dataclass(frozen=True)
class SimulatedClip:
    """One utterance as it was signed and tracked, with the truth that only a simulation knows."""

    landmarks: Landmarks
    truth: dict[str, Any]


def synthesise(
    options: SynthOptions,
    output: Path,
    *,
    num_workers: int = 1,
    backend: Backend | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Corpus:
    """Returns the corpus of these options, written to the folder `output`.

    num_workers: processes of this machine, unless a `backend` is given.
    progress: called after every utterance with its number of frames.

    Raises InputError as `make_plans` and `check_run` do, CheckFailedError when a process dies.
    """
    check_run(output, num_workers=num_workers, overwrite=overwrite)
    plans = make_plans(options)
    lexicon = lexicon_of(options)
    info = {
        "name": Path(output).absolute().name,
        "generator": "signloom synth",
        "generator_version": GENERATOR_VERSION,
        "options": options.record(),
        "licence": "made by signloom; free of third-party rights",
        "lexicon": [asdict(sign) for sign in lexicon],
        "confusability": confusability(lexicon),
    }
    with CorpusWriter(output, info, overwrite=overwrite, resumable=True) as writer:
        paths = [inside(writer.folder, writer.landmarks_path(plan.id)) for plan in plans]
        unwritten = iter(zip(plans, paths, strict=True))

        def add(truth: dict[str, Any]) -> None:
            plan, path = next(unwritten)
            utterance = writer.add(
                plan.id,
                split=plan.split,
                signer=plan.signer_name,
                glosses=[sign.gloss for sign in plan.signs],
                landmarks=path,
                source={"maker": "signloom synth", "generator_version": GENERATOR_VERSION},
                truth=truth,
            )
            if progress is not None:
                progress(utterance.num_frames)

        write = backend or partial(_write_here, num_workers=num_workers)
        write(options, options.digest, plans, paths, add)
    return Corpus.open(output)


def check_run(output: Path, *, num_workers: int, overwrite: bool) -> None:
    """Raises InputError for fewer than one process, and if `output` cannot become a corpus (see `check_output`)."""
    if num_workers < 1:
        raise InputError(f"--workers is {num_workers}; needed at least 1")
    check_output(output, overwrite=overwrite)


def _write_here(
    options: SynthOptions,
    digest: str,
    plans: Sequence[Plan],
    paths: Sequence[Path],
    done: Callable[[dict[str, Any]], None],
    *,
    num_workers: int,
) -> None:
    """Writes utterances in processes of this machine; see `Backend`."""
    if num_workers == 1 or len(plans) < 2:
        for plan, path in zip(plans, paths, strict=True):
            done(write_clip(options, digest, plan, path))
        return
    chunk = max(1, min(16, len(plans) // (4 * num_workers)))
    advice = "finished utterances are kept. Run the same command again with fewer --workers"
    with _one_thread_each(), process_pool(min(num_workers, len(plans)), "synth", advice=advice) as pool:
        for truth in pool.map(partial(write_clip, options, digest), plans, paths, chunksize=chunk):
            done(truth)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Lets processes spawned inside compute with one thread each: NumPy's threads would compete with each other."""
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


def write_clip(options: SynthOptions, digest: str, plan: Plan, path: Path) -> dict[str, Any]:
    """Returns the truth of one utterance, after writing its landmark file unless an interrupted run with the same
    options did."""
    truth = _truth_of_earlier_run(path, digest, plan)
    if truth is None:
        clip = make_clip(options, plan)
        truth = clip.truth
        # Corpora keep the digest of the options under the key "recipe".
        replace(clip.landmarks, source={**clip.landmarks.source, "recipe": digest, "truth": truth}).save(path)
    return truth


def _truth_of_earlier_run(path: Path, digest: str, plan: Plan) -> dict[str, Any] | None:
    """Returns the truth of an utterance that an earlier run with the same options wrote, or None."""
    if not path.exists():
        return None
    try:
        source = Landmarks.load(path).source
    except SignloomError:
        return None
    same = (source.get("recipe"), source.get("utterance")) == (digest, plan.id)
    return source.get("truth") if same else None


def make_clip(options: SynthOptions, plan: Plan) -> SimulatedClip:
    """Returns one utterance, signed, filmed and tracked."""
    signer = _signer(options, plan.signer)
    rng = np.random.default_rng([options.seed, 4, SPLITS.index(plan.split), plan.number])
    # What all recordings of one signer share.
    setting = np.random.default_rng([options.seed, 3, plan.signer])
    image_size = parse_image_size(options.image_size)
    camera = make_camera(setting, rng, image_size=image_size, dials=options)
    fps = _frame_rate(options, setting)
    performance = perform(plan.signs, signer, fps=fps, dials=options, rng=rng, rest_glossed=rest_is_glossed(options))
    points = pose_body(performance.motion, signer.proportions)
    if signer.left_handed:
        points = points[:, layout.mirror_map()] * np.array((-1, 1, 1), dtype=points.dtype)
    points = _irregular_frames(points, options, rng)
    tracked = track(project(points, camera), camera, fps=fps, dials=options, rng=rng)
    truth = {
        "boundaries": performance.boundaries,
        "strokes": performance.strokes,
        "signer": plan.signer_name,
        "strong_hand": "left_hand" if signer.left_handed else "right_hand",
        "dialect": performance.dialect,
        "idle": performance.idle,
        **{name: getattr(tracked, name) for name in ("lost", "out_of_view", "swapped", "doubled", "jumps")},
        "dials": {name: getattr(options, name) for name in dial_names()},
    }
    landmarks = Landmarks(
        tracked.points,
        tracked.visibility,
        fps=fps,
        image_size=image_size,
        source={"extractor": SIMULATOR, "extractor_version": GENERATOR_VERSION, "utterance": plan.id},
    )
    return SimulatedClip(landmarks, json.loads(json.dumps(truth)))


@lru_cache(maxsize=64)
def _signer(options: SynthOptions, number: int) -> Signer:
    return make_signer(number, seed=options.seed, dials=options)


def _frame_rate(options: SynthOptions, setting: np.random.Generator) -> float:
    """Returns the frame rate of the camera that records a signer, in frames per second."""
    other = setting.random() < min(options.frame_rate_variation, 1.0) * 0.75
    rate = _FRAME_RATES[int(setting.integers(1, len(_FRAME_RATES)))]
    return options.fps * rate if other else options.fps


def _irregular_frames(points: np.ndarray, options: SynthOptions, rng: np.random.Generator) -> np.ndarray:
    """Returns the points (T, P, 3) as taken by a camera whose frames come early, late or twice."""
    count = len(points)
    late = _FRAME_JITTER * np.clip(rng.standard_normal(count), -3, 3)
    repeated = rng.random(count)
    if options.frame_rate_variation == 0:
        return points
    moments = np.clip(np.arange(count) + options.frame_rate_variation * late, 0, count - 1)
    again = np.flatnonzero(repeated < _FRAMES_REPEATED * options.frame_rate_variation)
    moments[again[again > 0]] = moments[again[again > 0] - 1]
    return interpolate(points, moments)
