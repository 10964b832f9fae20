"""A training run, from recipe to run folder."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import signloom
from signloom.corpus import Corpus, num_sampled, spread
from signloom.corpus.splits import KNOWN_DEV, dev_is_known
from signloom.ctc.collapse import frames_needed
from signloom.errors import InputError, plural
from signloom.files.locks import locked
from signloom.files.staging import await_settled, settle
from signloom.files.writing import as_json
from signloom.findings import Finding
from signloom.inference.calibrate import store_settings
from signloom.inference.model import Model, load
from signloom.model.recognizer import Recognizer
from signloom.run_folder import EpochRecord, History, Run, corpus_record
from signloom.train import distributed
from signloom.train.activation_checkpointing import checkpoint_activations
from signloom.train.build import build_recognizer
from signloom.train.callbacks import Stop
from signloom.train.checkpoint_io import restoring
from signloom.train.data import ClipCache, Loader, UtteranceDataset, collate
from signloom.train.distributed import World, launched
from signloom.train.enrol.keep import keep_store
from signloom.train.feature_statistics import training_statistics
from signloom.train.logs import logging_to, quiet_lightning
from signloom.train.method import method_of
from signloom.train.module import RecognizerModule
from signloom.train.recipe import Recipe
from signloom.train.resume import check_same_run, refuse_earlier, resolved
from signloom.train.selection import feasible, not_too_long, train_split
from signloom.train.start_rules import features, learning_rate, learning_rate_of
from signloom.train.trainer import dev_sampler, make_trainer, train_sampler
from signloom.vocabulary import Vocabulary

log = logging.getLogger("signloom.train")


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder, its history, its best epoch with the model of that epoch, and its duration."""

    run: Path
    history: History
    best: EpochRecord
    seconds: float
    model: Model


def fit(
    recipe: Recipe, *, corpus: Corpus | None = None, look: Callable[[Corpus], Sequence[Finding]] | None = None
) -> RunResult:
    """Trains a model. Returns the finished run; at every moment its folder holds the best model so far on dev.

    corpus: used instead of `recipe.data_dir`, with one process only. If torchrun or SLURM has started several
    processes, each of them calls this with the same recipe, and each returns the same result.
    look: examines the corpus before a new run starts; its findings are reported with those of the monitors.

    Raises InputError for a corpus or options that cannot be trained on and for a run folder that another process uses,
    TrainingError for a non-finite loss and for a full disk.
    """
    recipe.check()
    world = World.of_environment()
    if world.launcher:
        recipe = replace(recipe, devices=world.local_size)
    if corpus is not None and recipe.devices > 1:
        raise InputError(f"train: {recipe.devices} processes cannot share a corpus that lies in memory; needed 1")
    corpus = corpus or Corpus.open(recipe.data_dir)
    run = Run(recipe.output)
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        if world.rank == 0:
            settle(run.path)
            recipe = resolved(recipe)
            if recipe.resume:
                check_same_run(recipe, corpus)
            stack.enter_context(locked(run.path))
            refuse_earlier(recipe)
            stack.enter_context(logging_to(run.log_file))
        else:
            # The first process settles the folder, and writes no state before all have joined it.
            await_settled(run.path)
            recipe = resolved(recipe)
        if recipe.devices > 1 and not world.launcher:
            world = stack.enter_context(launched(as_json(asdict(recipe)), recipe.devices))
        stack.enter_context(distributed.joined(world))
        stack.callback(distributed.close)
        stack.callback(torch.set_num_threads, threads)
        torch.set_num_threads(recipe.threads)
        return _fit(recipe, corpus, run, world, look)


def _fit(
    recipe: Recipe,
    corpus: Corpus,
    run: Run,
    world: World,
    look: Callable[[Corpus], Sequence[Finding]] | None,
) -> RunResult:
    train_items, dev_items = train_split(corpus, recipe), corpus.split("dev")
    # Of the whole split, also where a run trains on a few of its utterances.
    vocabulary = Vocabulary.from_glosses([corpus.split("train").columns.words_used()])
    if unknown := vocabulary.unknown_note("dev", dev_items.columns.sentences()):
        log.warning("%s", unknown)
    if world.rank == 0 and dev_is_known(corpus.utterances):
        log.warning("%s", KNOWN_DEV)
    torch.manual_seed(recipe.seed)
    recognizer, started_from = build_recognizer(recipe, vocabulary)
    train_items = not_too_long(train_items, recipe.max_frames, recognizer.config.fps)
    train_items = feasible(recognizer, train_items, vocabulary, skip=recipe.skip_infeasible)
    dataset = partial(
        UtteranceDataset,
        corpus,
        vocabulary=vocabulary,
        view=recognizer.config.view,
        fps=recognizer.config.fps,
        frames_needed=lambda ids: recognizer.input_frames_needed(frames_needed(ids)),
        seed=recipe.seed,
        cache=ClipCache(recipe.cache_gigabytes * 1e9 / world.local_size),
    )
    train, dev = dataset(train_items, augmentation=recipe.augmentation if recipe.augment else None), dataset(dev_items)
    # The other processes get the statistics from the first.
    if (not started_from or recipe.refit_statistics) and not recipe.resume and world.rank == 0:
        _fit_front_end(recognizer, train, recipe.statistics_clips)
    if recipe.checkpoint_activations:
        checkpoint_activations(recognizer)
    method = method_of(recipe, train, recognizer, vocabulary)
    references = dict(zip(dev_items.columns.ids, dev_items.columns.sentences(), strict=True))
    module = RecognizerModule(recognizer, vocabulary, recipe, references, method.losses, run=run.path)
    history = Run.read(run.path).history if recipe.resume else History()
    info = {**_info(recipe, corpus, recognizer, started_from, world), **method.info}
    findings: list[Finding] = []
    if world.rank == 0:
        _log_start(recipe, module, train, dev, started_from, world)
        if not recipe.resume:
            findings = _before_training(recipe, recognizer, train, started_from) + list(look(corpus) if look else ())
    with quiet_lightning():
        stop = Stop(recipe, history)
        trainer = make_trainer(recipe, run, world, history, info, stop, findings)
        started = time.perf_counter()
        with restoring(run.state_file, lambda: module.begun) if recipe.resume else nullcontext():
            trainer.fit(
                module,
                Loader(method.train, train_sampler(train, recipe, world)),
                Loader(dev, dev_sampler(dev, recipe, world)),
                ckpt_path=str(run.state_file) if recipe.resume else None,
            )
        seconds = time.perf_counter() - started
        trainer.strategy.barrier("done")
    if history.best is None:
        raise InputError("training ended before its first epoch; give --max_minutes more time")
    if world.rank == 0:
        history.plot(run)
        _store_settings(run, corpus)
        if recipe.store_megabytes:
            _keep_store(run, corpus, recipe)
        _log_end(recipe, history, history.best, stop.reason)
    return RunResult(run.path, history, history.best, seconds, load(run.model_file))


def _store_settings(run: Run, corpus: Corpus) -> None:
    """Fits what the model file has beside weights. Landmarks that have vanished do not make the run fail."""
    try:
        store_settings(run.model_file, corpus)
    except (InputError, OSError) as error:
        log.warning("time spans and confidences of glosses are not fitted: %s", error)


def _keep_store(run: Run, corpus: Corpus, recipe: Recipe) -> None:
    """Keeps the store of the model. Landmarks that have vanished since training do not make the run fail."""
    try:
        keep_store(run.model_file, corpus, recipe.store_megabytes, recipe.seed)
    except (InputError, OSError) as error:
        log.warning("no store is kept: %s", error)


def _log_end(recipe: Recipe, history: History, best: EpochRecord, reason: str) -> None:
    """Logs why a run ended early and how to go on, and its best epoch."""
    if reason:
        last = history.epochs[-1]
        log.info(
            "ended by %s at step %d, in epoch %d of %d; to go on, raise or leave it out, and pass --resume",
            reason,
            last.steps,
            last.epoch,
            recipe.epochs,
        )
    log.info(
        "best dev WER %.1f %% (plain rule) at epoch %d of %d",
        100 * best.dev_wer,
        best.epoch,
        history.epochs[-1].epoch,
    )


def _log_start(
    recipe: Recipe,
    module: RecognizerModule,
    train: UtteranceDataset,
    dev: UtteranceDataset,
    started_from: str,
    world: World,
) -> None:
    log.info(
        "%s: %s, %s, %d train and %s of %s%s%s",
        recipe.preset,
        plural(module.recognizer.num_parameters, "parameter"),
        plural(len(module.vocabulary), "word"),
        len(train),
        plural(len(dev), "dev utterance"),
        train.corpus.name,
        f", started from {started_from}" if started_from else "",
        f", {plural(world.size, 'process')}" if world.size > 1 else "",
    )


def _before_training(
    recipe: Recipe, recognizer: Recognizer, train: UtteranceDataset, started_from: str
) -> list[Finding]:
    """Returns findings about the learning rate and the input of the network; logs the latter."""
    result = features(training_statistics(recognizer.frontend, train), "" if recipe.refit_statistics else started_from)
    log.info("before the first batch: %s: %s", result.headline, result.level)
    for part in recognizer.frontend.unseen_parts():
        if started_from and not recipe.refit_statistics:
            log.info("the model of --init ignores the %s, which it never saw; --refit_statistics lets it look", part)
        else:
            log.info("no training clip shows the %s: the model ignores it, in other clips as well", part)
    return [learning_rate(*learning_rate_of(recipe)), result]


def _fit_front_end(recognizer: Recognizer, train: UtteranceDataset, wanted: int | None) -> None:
    """Fits the front end to all training clips, or to some that are spread evenly, see `num_sampled`."""
    chosen = spread(len(train), num_sampled(len(train), wanted)).tolist()
    if len(chosen) < len(train):
        log.info(
            "statistics of the features: %s of %s training clips, spread evenly; all of them with --statistics_clips 0",
            f"{len(chosen):,}",
            f"{len(train):,}",
        )
    recognizer.frontend.fit(_batches(train.unchanged(), chosen))


def _batches(data: UtteranceDataset, chosen: Sequence[int], size: int = 32) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(chosen), size):
        batch = collate([data[index] for index in chosen[start : start + size]])
        yield batch.points, batch.lengths


def _info(recipe: Recipe, corpus: Corpus, recognizer: Recognizer, started_from: str, world: World) -> dict[str, Any]:
    """Returns the record of where a model comes from, for the run folder and for the model file."""
    return {
        "signloom": signloom.__version__,
        "recipe": as_json(asdict(recipe)),
        "seed": recipe.seed,
        "model": {
            "preset": recipe.preset,
            "parameters": recognizer.num_parameters,
            "bytes": 4 * recognizer.num_parameters,
            "step_seconds": recognizer.step_seconds,
        },
        "init": started_from,
        "corpus": corpus_record(corpus),
        "environment": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "machine": platform.machine(),
            "system": platform.system(),
            "threads": torch.get_num_threads(),
            "cores": os.cpu_count(),
            "processes": world.size,
        },
    }
