"""A training run from recipe to run folder."""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.logging import RichHandler
from torch import Tensor
from torch.utils.data import DataLoader

import signloom
from signloom.calibrate import store_spans
from signloom.console import console
from signloom.corpus import Corpus, Utterance
from signloom.ctc.collapse import frames_needed
from signloom.errors import Faults, InputError
from signloom.files import atomic_write
from signloom.model.checkpoint import Model, load
from signloom.model.presets import preset
from signloom.model.recognizer import Recognizer
from signloom.train.data import BucketSampler, UtteranceDataset, collate
from signloom.train.history import EpochRecord, History
from signloom.train.recipe import Recipe
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


def fit(recipe: Recipe) -> RunResult:
    """Trains as the recipe says; the model with the lowest WER on dev is in the run folder at every moment.

    Raises InputError for a corpus or options that cannot be trained on, TrainingError when a loss is not finite.
    """
    recipe.check()
    corpus = Corpus.open(recipe.data_dir)
    if recipe.resume:
        _check_same_run(recipe, corpus)
    run = _prepare_run(recipe)
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.threads)
    try:
        with _logging_to(run / "training.log"):
            return _fit(recipe, corpus, run)
    finally:
        torch.set_num_threads(threads)


def _fit(recipe: Recipe, corpus: Corpus, run: Path) -> RunResult:
    import lightning as L
    from lightning.pytorch.callbacks import Callback, EarlyStopping
    from lightning.pytorch.loggers import TensorBoardLogger

    from signloom.train.callbacks import EpochEnd, FirstBatch, LastState, ProgressBar
    from signloom.train.checkpoint_io import SafeCheckpointIO
    from signloom.train.module import RecognizerModule

    train_items, dev_items = corpus.split("train"), corpus.split("dev")
    if recipe.num_train_samples:
        order = np.random.default_rng(recipe.seed).permutation(len(train_items))
        train_items = [train_items[at] for at in sorted(order[: recipe.num_train_samples])]
    vocabulary = Vocabulary.from_glosses(item.glosses for item in train_items)
    if unknown := vocabulary.unknown_note("dev", [item.glosses for item in dev_items]):
        log.warning("%s", unknown)

    torch.manual_seed(recipe.seed)
    recognizer, started_from = _build(recipe, vocabulary)
    config = recognizer.config
    train_items = _feasible(recognizer, train_items, vocabulary, skip=recipe.skip_infeasible)

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
    if not started_from:
        recognizer.frontend.fit(_batches(dataset(train_items, False)))
    sampler = BucketSampler([train.num_frames(at) for at in range(len(train))], recipe.batch_size, seed=recipe.seed)
    dev_sampler = BucketSampler([dev.num_frames(at) for at in range(len(dev))], 4 * recipe.batch_size, shuffle=False)
    module = RecognizerModule(recognizer, vocabulary, recipe, {item.id: item.glosses for item in dev_items})
    history = _read_history(run) if recipe.resume else History()
    info = _info(recipe, corpus, recognizer, started_from)

    def make_model(module: RecognizerModule, history: History) -> Model:
        best = history.best
        return Model(recognizer, vocabulary, {**info, "dev": {"protocol": "plain", **asdict(best)} if best else {}})

    if not recipe.resume:
        _clear(run)
    with atomic_write(run / "run.json", "w") as file:
        json.dump(info, file, indent=1, ensure_ascii=False)
    log.info(
        "%s: %s parameters, %d words, %d train and %d dev utterances of %s%s",
        recipe.preset,
        f"{recognizer.num_parameters:,}",
        len(vocabulary),
        len(train),
        len(dev),
        corpus.name,
        f", started from {started_from}" if started_from else "",
    )
    callbacks: list[Callback] = [
        FirstBatch(),
        EpochEnd(run, history, make_model),
        LastState(run / STATE_FILE),
        ProgressBar(),
    ]
    if recipe.patience:
        callbacks.append(EarlyStopping("dev_wer", patience=recipe.patience, check_on_train_epoch_end=False))
    with _quiet_lightning():
        trainer = L.Trainer(
            accelerator="auto",
            devices=1,
            precision="bf16-mixed" if recipe.precision == "bf16" else "32-true",
            max_epochs=recipe.epochs,
            max_time=timedelta(minutes=recipe.max_minutes) if recipe.max_minutes else None,
            accumulate_grad_batches=recipe.accumulate,
            gradient_clip_val=recipe.gradient_clip,
            callbacks=callbacks,
            plugins=[SafeCheckpointIO()],
            logger=TensorBoardLogger(run, name="", version="tensorboard"),
            log_every_n_steps=min(10, len(sampler)),
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        started = time.perf_counter()
        trainer.fit(
            module,
            DataLoader(train, batch_sampler=sampler, collate_fn=collate),
            DataLoader(dev, batch_sampler=dev_sampler, collate_fn=collate),
            ckpt_path=str(run / STATE_FILE) if recipe.resume else None,
        )
        seconds = time.perf_counter() - started
    if history.best is None:
        raise InputError("training ended before its first epoch; give --max_minutes more time")
    history.plot(run)
    return RunResult(run, history, history.best, seconds, store_spans(run / MODEL_FILE, corpus))


def _prepare_run(recipe: Recipe) -> Path:
    run = recipe.output
    earlier = [name for name in (MODEL_FILE, STATE_FILE, "history.json") if (run / name).exists()]
    if earlier and not (recipe.resume or recipe.overwrite):
        raise InputError(
            f"{run}: already holds a run ({', '.join(earlier)}); pass --resume to go on with it, "
            "--overwrite to replace it, or another --output"
        )
    run.mkdir(parents=True, exist_ok=True)
    return run


# Everything a run and what is made of it leave, but the log: that of a run that was replaced is worth keeping.
_LEFT_BY_A_RUN = (
    *(MODEL_FILE, STATE_FILE, "run.json", "history.json", "metrics.csv", "curves.png", "curves.pdf", "tensorboard"),
    *("evaluation-*.json", "hypotheses-*.csv", "transcript.json", "report.html"),
)


def _clear(run: Path) -> None:
    """Takes an earlier run away, once the new one is known to be possible; it may even have started from its model."""
    for pattern in _LEFT_BY_A_RUN:
        for path in run.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


# What may differ between a run and its resumption: where, how long and on how many threads, never what is learnt.
FREE_TO_CHANGE = ("data_dir", "output", "resume", "overwrite", "threads", "max_minutes", "patience")


def _check_same_run(recipe: Recipe, corpus: Corpus) -> None:
    """Raises InputError naming what differs, unless `--resume` goes on with the very run that was begun."""
    path = recipe.output / "run.json"
    if not (recipe.output / STATE_FILE).exists():
        raise InputError(f"{recipe.output}: nothing to resume; no {STATE_FILE} there. Train without --resume")
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
        before, summary = begun["recipe"], begun["corpus"]["summary"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{recipe.output}: nothing to resume; {path.name} cannot be read ({error})") from None
    faults = Faults(f"{recipe.output}: cannot be resumed with other options")
    for name, value in _plain(asdict(recipe)).items():
        if name not in FREE_TO_CHANGE and before.get(name) != value:
            faults.add(f"--{name} was {before.get(name)!r}, now {value!r}")
    if summary != _plain(corpus.summary()):
        faults.add(f"the corpus in {recipe.data_dir} is another: {corpus.summary()} where {summary} was trained on")
    if faults:
        faults.add("repeat them as they were; to train longer or otherwise, start a new run with --init")
    faults.raise_if_any()


def _plain(value: Any) -> Any:
    """`value` as it comes back from JSON, paths as text."""
    return json.loads(json.dumps(value, default=str))


def _build(recipe: Recipe, vocabulary: Vocabulary) -> tuple[Recognizer, str]:
    """A new recogniser, or one started from `--init`, and what it was started from."""
    changes: dict[str, Any] = {} if recipe.dropout is None else {"dropout": recipe.dropout}
    for name in ("frame_rate", "auxiliary_head"):
        if getattr(recipe, name):
            changes[name] = True
    if recipe.init is None:
        return Recognizer(preset(recipe.preset, **changes), len(vocabulary)), ""
    donor = load(recipe.init)
    recognizer = Recognizer(replace(donor.recognizer.config, **changes), len(vocabulary))
    own = recognizer.state_dict()
    # The auxiliary head starts anew: it matters only while the features are learnt.
    weights = {
        name: value for name, value in donor.recognizer.state_dict().items() if not name.startswith("auxiliary.")
    }
    weights |= {name: value for name, value in own.items() if name.startswith("auxiliary.")}
    shared = [word for word in vocabulary.words if word in donor.vocabulary]
    for name in [name for name in weights if name.startswith("classifier.")]:
        rows = own[name].clone()
        rows[vocabulary.encode(shared)] = weights.pop(name)[donor.vocabulary.encode(shared)]
        weights[name] = rows
    recognizer.load_state_dict(weights)
    new = [word for word in vocabulary.words if word not in donor.vocabulary]
    log.info(
        "started from %s: every weight but the classifier's rows of %d glosses it did not know%s; "
        "the front end keeps the statistics the weights were trained with",
        recipe.init,
        len(new),
        f" ({', '.join(new[:10])}{', ...' if len(new) > 10 else ''})" if new else "",
    )
    return recognizer, str(recipe.init)


def _feasible(recognizer: Recognizer, items: list[Utterance], vocabulary: Vocabulary, *, skip: bool) -> list[Utterance]:
    """The utterances that CTC can align. Raises InputError naming the others, unless `skip`, which logs them."""
    faults = Faults("training utterances that CTC cannot align")
    kept = []
    for item in items:
        if fault := unalignable(recognizer, item, vocabulary):
            faults.add(fault)
        else:
            kept.append(item)
    if faults and not skip:
        faults.add("lower the model's stride with --frame_rate, or leave them out with --skip_infeasible")
        faults.raise_if_any()
    for message in faults.messages:
        log.warning("left out: %s", message)
    if not kept:
        raise InputError("no training utterance is left that CTC can align")
    return kept


def unalignable(recognizer: Recognizer, item: Utterance, vocabulary: Vocabulary) -> str:
    """Why CTC cannot align an utterance with the model's output, empty if it can."""
    num_frames = max(1, round(item.num_frames * recognizer.config.fps / item.fps))
    available = int(recognizer.output_lengths(torch.tensor(num_frames)))
    needed = frames_needed(vocabulary.encode(item.glosses))
    if needed <= available:
        return ""
    return (
        f"{item.id}: {len(item.glosses)} glosses need at least {needed} output frames, "
        f"the model yields {available} from {num_frames}"
    )


def _batches(data: UtteranceDataset, size: int = 32) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(data), size):
        batch = collate([data[at] for at in range(start, min(start + size, len(data)))])
        yield batch.points, batch.lengths


def _read_history(run: Path) -> History:
    try:
        return History.from_json(json.loads((run / "history.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run / 'history.json'}: cannot be read to resume ({error})") from None


def _info(recipe: Recipe, corpus: Corpus, recognizer: Recognizer, started_from: str) -> dict[str, Any]:
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
        warnings.filterwarnings("ignore", message=".*Experiment logs directory .* exists and is not empty.*")
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
