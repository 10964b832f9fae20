"""A training run from recipe to run folder."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from rich.logging import RichHandler
from torch import Tensor

import signloom
from signloom.console import console
from signloom.corpus import Corpus, Utterance
from signloom.ctc.collapse import frames_needed
from signloom.errors import Faults, InputError
from signloom.files import atomic_write
from signloom.inference.calibrate import store_spans
from signloom.inference.model import Model, load
from signloom.inference.torch_engine import TorchEngine
from signloom.model.recognizer import Recognizer
from signloom.train import distributed
from signloom.train.activation_checkpointing import checkpoint_activations
from signloom.train.build import build_recognizer
from signloom.train.callbacks import EpochEnd, FirstBatch, LastState, ProgressBar, Start, Stop
from signloom.train.checkpoint_io import SafeCheckpointIO
from signloom.train.data import Loader, UtteranceDataset, collate
from signloom.train.distributed import World, launched
from signloom.train.history import EpochRecord, History
from signloom.train.lock import locked
from signloom.train.module import RecognizerModule
from signloom.train.monitors import MONITORS_FILE, Monitors
from signloom.train.recipe import Recipe
from signloom.train.sampling import BucketSampler, StepSampler
from signloom.train.selection import feasible, not_too_long, train_split
from signloom.vocabulary import Vocabulary

log = logging.getLogger("signloom.train")
MODEL_FILE = "model.safetensors"
STATE_FILE = "last.safetensors"


@dataclass(frozen=True)
class RunResult:
    """What a finished run gives: its folder, its history, its best epoch and the model of it, how long it took."""

    run: Path
    history: History
    best: EpochRecord
    seconds: float
    model: Model


def fit(recipe: Recipe, *, corpus: Corpus | None = None) -> RunResult:
    """Trains as the recipe says; the model with the lowest WER on dev is in the run folder at every moment.

    corpus: in the place of the one in `recipe.data_dir`; for one process only. Where torchrun or SLURM has started
    several processes, each calls this with the same recipe, and each returns the same result.

    Raises InputError for a corpus or options that cannot be trained on, or a run folder another process works in;
    TrainingError when a loss is not finite or the disk is full.
    """
    recipe.check()
    world = World.of_environment()
    if world.launcher:
        recipe = replace(recipe, devices=world.local_size)
    if corpus is not None and recipe.devices > 1:
        raise InputError(f"train: {recipe.devices} processes cannot share a corpus that lies in memory; needed 1")
    corpus = corpus or Corpus.open(recipe.data_dir)
    run = recipe.output
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        if world.rank == 0:
            if recipe.resume:
                _check_same_run(recipe, corpus)
            stack.enter_context(locked(run))
            refuse_earlier(recipe)
            stack.enter_context(_logging_to(run / "training.log"))
        if recipe.devices > 1 and not world.launcher:
            world = stack.enter_context(launched(_plain(asdict(recipe)), recipe.devices))
        stack.callback(distributed.close)
        stack.callback(torch.set_num_threads, threads)
        torch.set_num_threads(recipe.threads)
        return _fit(recipe, corpus, run, world)


def _fit(recipe: Recipe, corpus: Corpus, run: Path, world: World) -> RunResult:
    train_items, dev_items = train_split(corpus, recipe), corpus.split("dev")
    vocabulary = Vocabulary.from_glosses(item.glosses for item in train_items)
    if unknown := vocabulary.unknown_note("dev", [item.glosses for item in dev_items]):
        log.warning("%s", unknown)

    torch.manual_seed(recipe.seed)
    recognizer, started_from = build_recognizer(recipe, vocabulary)
    config = recognizer.config
    train_items = not_too_long(train_items, recipe.max_frames, config.fps)
    train_items = feasible(recognizer, train_items, vocabulary, skip=recipe.skip_infeasible)

    def dataset(items: Sequence[Utterance], augment: bool) -> UtteranceDataset:
        return UtteranceDataset(
            corpus,
            items,
            vocabulary,
            view=config.view,
            fps=config.fps,
            augmentation=recipe.augmentation if augment else None,
            frames_needed=lambda ids: recognizer.input_frames_needed(frames_needed(ids)),
            seed=recipe.seed,
        )

    train, dev = dataset(train_items, recipe.augment), dataset(dev_items, False)
    # The other processes get the statistics from the first.
    if (not started_from or recipe.refit_statistics) and not recipe.resume and world.rank == 0:
        recognizer.frontend.fit(_batches(train.unchanged()))
    if recipe.checkpoint_activations:
        checkpoint_activations(recognizer)
    lessons = recipe.lessons(train, recognizer, vocabulary)
    references = {item.id: item.glosses for item in dev_items}
    module = lessons.module(recognizer, vocabulary, recipe, references, run=run)
    history = _read_history(run) if recipe.resume else History()
    info = {**_info(recipe, corpus, recognizer, started_from, world), **lessons.info}

    def prepare() -> None:
        if not recipe.resume:
            _clear(run, _LEFT_BY_A_RUN)
        with atomic_write(run / "run.json", "w") as file:
            json.dump(info, file, indent=1, ensure_ascii=False)

    def make_model(module: RecognizerModule, history: History) -> Model:
        best = history.best
        dev = {"protocol": "plain", **asdict(best)} if best else {}
        return Model(TorchEngine(recognizer), vocabulary, {**info, "dev": dev})

    if world.rank == 0:
        log.info(
            "%s: %s parameters, %d words, %d train and %d dev utterances of %s%s%s",
            recipe.preset,
            f"{recognizer.num_parameters:,}",
            len(vocabulary),
            len(train),
            len(dev),
            corpus.name,
            f", started from {started_from}" if started_from else "",
            f", {world.size} processes" if world.size > 1 else "",
        )
        if not recipe.resume:
            # Lightning opens its files before it lets us prepare the folder.
            _clear(run, ("tensorboard",))
    with _quiet_lightning():
        trainer = make_trainer(recipe, run, world, prepare, EpochEnd(run, history, make_model))
        started = time.perf_counter()
        trainer.fit(
            module,
            Loader(lessons.train, train_sampler(train, recipe, world)),
            Loader(dev, dev_sampler(dev, recipe, world)),
            ckpt_path=str(run / STATE_FILE) if recipe.resume else None,
        )
        seconds = time.perf_counter() - started
        trainer.strategy.barrier("done")
    if history.best is None:
        raise InputError("training ended before its first epoch; give --max_minutes more time")
    if world.rank == 0:
        history.plot(run)
        store_spans(run / MODEL_FILE, corpus)
    return RunResult(run, history, history.best, seconds, load(run / MODEL_FILE))


def make_trainer(
    recipe: Recipe, run: Path, world: World, prepare: Callable[[], None], epoch_end: EpochEnd
) -> L.Trainer:
    """Lightning's trainer for a recipe, on one process or many; `prepare` makes the run folder ready."""
    callbacks: list[L.Callback] = [
        Start(prepare),
        FirstBatch(),
        epoch_end,
        # Before the state is kept, which holds what they have said.
        Monitors(run),
        Stop(recipe.max_minutes, recipe.max_steps),
        LastState(run / STATE_FILE, every_minutes=recipe.save_every_minutes, every_steps=recipe.save_every_steps),
    ]
    if world.rank == 0:
        callbacks.append(ProgressBar())
    if recipe.patience:
        callbacks.append(EarlyStopping("dev_wer", patience=recipe.patience, check_on_train_epoch_end=False))
    strategy: Any = "auto"
    if world.size > 1:
        strategy = DDPStrategy(
            # Batch norm's running statistics are averaged when they are needed, not sent around in every step.
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
            # Every step uses every weight, in the same order: nothing has to be looked for.
            static_graph=True,
        )
    return L.Trainer(
        accelerator=recipe.accelerator,
        devices=recipe.devices,
        num_nodes=world.num_nodes,
        strategy=strategy,
        precision="bf16-mixed" if recipe.precision == "bf16" else "32-true",
        max_epochs=recipe.epochs,
        accumulate_grad_batches=recipe.accumulate,
        # Clipping is the module's, which looks at the norm.
        gradient_clip_val=recipe.gradient_clip,
        callbacks=callbacks,
        plugins=[SafeCheckpointIO()],
        logger=TensorBoardLogger(run, name="", version="tensorboard"),
        log_every_n_steps=1 if recipe.max_steps and recipe.max_steps < 10 else 10,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def train_sampler(data: UtteranceDataset, recipe: Recipe, world: World) -> StepSampler:
    """The batches of this process in each epoch: its part of steps of `batch_size * accumulate * processes`."""
    # Augmentation may slow a clip down: the budget of frames is kept all the same.
    slowest = 1 + recipe.augmentation.retime if recipe.augment and recipe.frames_per_batch else 1
    steps = BucketSampler(
        [math.ceil(slowest * data.num_frames(at)) for at in range(len(data))],
        recipe.batch_size * recipe.accumulate * world.size,
        seed=recipe.seed,
        frames_per_batch=recipe.frames_per_batch,
        pieces=recipe.accumulate * world.size,
    )
    return StepSampler(steps, accumulate=recipe.accumulate, num_processes=world.size, rank=world.rank)


def dev_sampler(data: UtteranceDataset, recipe: Recipe, world: World) -> StepSampler:
    """This process' part of the dev split; larger batches, since nothing is kept for a backward pass."""
    steps = BucketSampler(
        [data.num_frames(at) for at in range(len(data))],
        4 * recipe.batch_size * world.size,
        shuffle=False,
        frames_per_batch=recipe.frames_per_batch,
        pieces=world.size,
    )
    return StepSampler(steps, num_processes=world.size, rank=world.rank)


def refuse_earlier(recipe: Recipe) -> None:
    """Raises InputError where the run folder holds a run that is neither to be resumed nor to be replaced."""
    run = recipe.output
    earlier = [name for name in (MODEL_FILE, STATE_FILE, "history.json") if (run / name).exists()]
    if earlier and not (recipe.resume or recipe.overwrite):
        raise InputError(
            f"{run}: already holds a run ({', '.join(earlier)}); pass --resume to go on with it, "
            "--overwrite to replace it, or another --output"
        )


# Everything a run and what is made of it leave, but the log: that of a run that was replaced is worth keeping.
_LEFT_BY_A_RUN = (
    *(MODEL_FILE, STATE_FILE, "run.json", "history.json", "metrics.csv", "curves.png", "curves.pdf"),
    *("evaluation-*.json", "hypotheses-*.csv", "score-*.html", "transcript.json", "report.html", "not-finite.*"),
    *("distillation.json", "emissions", MONITORS_FILE),
)


def _clear(run: Path, patterns: Sequence[str]) -> None:
    """Takes an earlier run away, once the new one is known to be possible; it may even have started from its model."""
    for pattern in patterns:
        for path in run.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


# What may differ between a run and its resumption: where, how long and on how many threads, never what is learnt.
FREE_TO_CHANGE = (
    *("data_dir", "output", "resume", "overwrite", "recipe", "threads", "max_minutes", "patience"),
    *("emissions", "other_corpus", "baseline"),
    *("save_every_minutes", "save_every_steps", "checkpoint_activations", "accelerator"),
)


def _check_same_run(recipe: Recipe, corpus: Corpus) -> None:
    """Raises InputError naming what differs, unless `--resume` goes on with the very run that was begun."""
    path = recipe.output / "run.json"
    if not (recipe.output / STATE_FILE).exists():
        raise InputError(f"{recipe.output}: nothing to resume; no {STATE_FILE} there. Train without --resume")
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
        # An option that an earlier version did not have was as it is when not given.
        before = _plain(asdict(Recipe(recipe.data_dir))) | begun["recipe"]
        summary = begun["corpus"]["summary"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{recipe.output}: nothing to resume; {path.name} cannot be read ({error})") from None
    faults = Faults(f"{recipe.output}: cannot be resumed with other options")
    for name, value in _plain(asdict(recipe)).items():
        if name not in FREE_TO_CHANGE and before.get(name) != value:
            faults.add(f"--{name} was {before.get(name)!r}, now {value!r}")
    if summary != _plain(corpus.summary()):
        faults.add(f"the corpus in {recipe.data_dir} is another: {corpus.summary()} where {summary} was trained on")
    faults.advice = "repeat them as they were; to train longer or otherwise, start a new run with --init"
    faults.raise_if_any()


def _plain(value: Any) -> Any:
    """`value` as it comes back from JSON, paths as text."""
    return json.loads(json.dumps(value, default=str))


def _batches(data: UtteranceDataset, size: int = 32) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(data), size):
        batch = collate([data[at] for at in range(start, min(start + size, len(data)))])
        yield batch.points, batch.lengths


def _read_history(run: Path) -> History:
    try:
        return History.from_json(json.loads((run / "history.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run / 'history.json'}: cannot be read to resume ({error})") from None


def _info(recipe: Recipe, corpus: Corpus, recognizer: Recognizer, started_from: str, world: World) -> dict[str, Any]:
    """What the checkpoint and `run.json` record of where a model comes from."""
    return {
        "signloom": signloom.__version__,
        "recipe": _plain(asdict(recipe)),
        "seed": recipe.seed,
        "model": {
            "preset": recipe.preset,
            "parameters": recognizer.num_parameters,
            "bytes": 4 * recognizer.num_parameters,
            "step_seconds": recognizer.step_seconds,
        },
        "init": started_from,
        "corpus": {
            "name": corpus.name,
            "synthetic": bool(corpus.info.get("synthetic", False)),
            "licence": corpus.info.get("licence", "unknown"),
            "summary": corpus.summary(),
        },
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


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """The package's log goes to the console and to `path` while the block runs."""
    handlers: list[logging.Handler] = [
        RichHandler(console=console, show_path=False, show_level=False, markup=False, highlighter=None),
        logging.FileHandler(path, encoding="utf-8"),
    ]
    handlers[1].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("signloom")
    level = logger.level
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keeps Lightning's notices about hardware and workers out of our log; its warnings of substance stay."""
    names = ("lightning.pytorch", "lightning.fabric")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # One process is enough here: examples are small arrays in memory.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Lightning 2.6 on torch 2.13; harmless and not ours to mend.
        warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
        # A short epoch of a few steps is a choice.
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
        # Old names of options, which torch 2.6 knows; weights of a convolution over time that lie as an image's.
        warnings.filterwarnings("ignore", message=".*`broadcast_buffers` is deprecated.*")
        warnings.filterwarnings("ignore", message=".*Grad strides do not match bucket view strides.*")
        # Every process logs the same figures: they are gathered before.
        warnings.filterwarnings("ignore", message=".*recommended to use `self.log.*sync_dist=True.*")
        warnings.filterwarnings("ignore", message=".*Experiment logs directory .* exists and is not empty.*")
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
