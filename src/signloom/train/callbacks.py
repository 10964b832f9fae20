"""Lightning callbacks: history and best model, saved state, early stopping, progress, the first log lines."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping

from signloom.console import progress_bar
from signloom.errors import InputError, TrainingError
from signloom.files import write_json
from signloom.inference.model import Model
from signloom.inference.torch_engine import TorchEngine
from signloom.run_folder import EpochRecord, History, Run
from signloom.train import distributed
from signloom.train.data import Batch
from signloom.train.recipe import Recipe

log = logging.getLogger("signloom.train")
# Several processes must agree on the time: they compare their clocks every so many steps.
CLOCK_STEPS = 10


class Start(L.Callback):
    """Prepares the run folder before the first step, once every process has read what it starts from."""

    def __init__(self, run: Run, info: Mapping[str, Any], *, resume: bool) -> None:
        self.run, self.info, self.resume = run, info, resume

    def setup(self, trainer: L.Trainer, module: Any, stage: str) -> None:
        trainer.strategy.barrier("read")
        if not trainer.is_global_zero:
            return
        if not self.resume:
            self.run.clear()
        write_json(self.run.info_file, self.info)


class FirstBatch(L.Callback):
    """Logs once the input of the network: mean, deviation and range of the normalised features."""

    def on_train_batch_start(self, trainer: L.Trainer, module: Any, batch: Batch, batch_index: int) -> None:
        if trainer.global_step or batch_index or not trainer.is_global_zero:
            return
        with torch.no_grad():
            features = module.recognizer.frontend(batch.points, batch.lengths)
            known = features[features != 0]
        log.info(
            "first batch: %d utterances, %d frames; features after augmentation and normalisation: "
            "mean %.3f, std %.3f, range %.1f to %.1f",
            len(batch.ids),
            batch.num_frames,
            known.mean(),
            known.std(),
            known.min(),
            known.max(),
        )


class EpochEnd(L.Callback):
    """Adds each epoch to the history and to the log, and saves the best model so far with `info`."""

    def __init__(self, run: Run, history: History, info: Mapping[str, Any]) -> None:
        self.run, self.history, self.info = run, history, info
        self._started = 0.0

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        if trainer.current_epoch and not self.history.epochs:
            raise InputError(f"{self.run.history_file}: missing, and needed to resume; train again with --overwrite")
        self.history.rewind(trainer.global_step)
        # A run resumed within an epoch continues it: on_train_epoch_start is not called.
        loader: Any = trainer.train_dataloader
        loader.steps.start = module.batches_before
        self._begin(trainer, module)

    def on_train_epoch_start(self, trainer: L.Trainer, module: Any) -> None:
        module.train_sums.zero_()
        module.seconds_before = 0.0
        self._begin(trainer, module)

    def _begin(self, trainer: L.Trainer, module: Any) -> None:
        loader: Any = trainer.train_dataloader
        loader.dataset.epoch = trainer.current_epoch
        loader.steps.set_epoch(trainer.current_epoch)
        self._started = time.perf_counter() - module.seconds_before

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Batch, batch_index: int) -> None:
        module.seconds_before = time.perf_counter() - self._started

    def on_validation_start(self, trainer: L.Trainer, module: Any) -> None:
        self._train_seconds = time.perf_counter() - self._started

    # Lightning calls this after validation, so that the figures of train and dev are both known.
    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        metrics = trainer.callback_metrics
        total, glosses, frames = distributed.total(module.train_sums, module.device)
        record = EpochRecord(
            epoch=trainer.current_epoch + 1,
            train_loss=total / glosses,
            dev_loss=metrics["dev_loss"].item(),
            dev_wer=metrics["dev_wer"].item(),
            learning_rate=trainer.optimizers[0].param_groups[0]["lr"],
            seconds=time.perf_counter() - self._started,
            frames_per_second=frames / self._train_seconds,
            steps=trainer.global_step,
        )
        better = self.history.add(record)
        module.seconds_before = 0.0
        for name in ("train_loss", "frames_per_second"):
            module.log(name, getattr(record, name), logger=True, rank_zero_only=True)
        if not trainer.is_global_zero:
            return
        with disk_space(self.run.path):
            if better:
                info = {**self.info, "dev": {"protocol": "plain", **asdict(record)}}
                Model(TorchEngine(module.recognizer), module.vocabulary, info).save(self.run.model_file)
                module.recognizer.train()
            self.history.write(self.run)
        log.info(
            "epoch %d/%d: loss per gloss %.3f, dev %.3f, dev WER %.1f %%%s, %.0f frames/s",
            record.epoch,
            trainer.max_epochs,
            record.train_loss,
            record.dev_loss,
            100 * record.dev_wer,
            " (best)" if better else "",
            record.frames_per_second,
        )


class Stop(L.Callback):
    """Ends a run, also within an epoch, after a number of minutes or of steps. Minutes before a resumption count."""

    def __init__(self, max_minutes: float | None, max_steps: int | None) -> None:
        self.max_seconds = None if max_minutes is None else 60 * max_minutes
        self.max_steps = max_steps
        self._before = 0.0
        self._started: float | None = None

    @property
    def _seconds(self) -> float:
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self._seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._before = state["seconds"]

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self._started = time.monotonic()
        self._check(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Batch, batch_index: int) -> None:
        if step_done(trainer, batch_index):
            self._check(trainer)

    def _check(self, trainer: L.Trainer) -> None:
        over = self.max_steps is not None and trainer.global_step >= self.max_steps
        if self.max_seconds is not None:
            over |= trainer.strategy.reduce_boolean_decision(self._seconds >= self.max_seconds, all=False)
        if over:
            trainer.should_stop = True


def stop_callbacks(recipe: Recipe) -> list[L.Callback]:
    """Returns what ends a run: its minutes, its steps and, with `--patience`, epochs without a better dev WER."""
    callbacks: list[L.Callback] = [Stop(recipe.max_minutes, recipe.max_steps)]
    if recipe.patience:
        callbacks.append(EarlyStopping("dev_wer", patience=recipe.patience, check_on_train_epoch_end=False))
    return callbacks


class LastState(L.Callback):
    """Saves the whole state of the run, for `--resume`: after each epoch, and at intervals within it."""

    def __init__(self, path: Path, *, every_minutes: float, every_steps: int | None) -> None:
        self.path = path
        self.every_seconds, self.every_steps = 60 * every_minutes, every_steps
        self._saved = time.monotonic()

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self._saved = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Batch, batch_index: int) -> None:
        # After the last batch of an epoch, the state is saved when dev has been scored.
        if batch_index + 1 == trainer.num_training_batches or not step_done(trainer, batch_index):
            return
        if trainer.should_stop or self._due(trainer):
            self._save(trainer)

    def _due(self, trainer: L.Trainer) -> bool:
        if self.every_steps is not None:
            return trainer.global_step % self.every_steps == 0
        if trainer.world_size > 1 and trainer.global_step % CLOCK_STEPS:
            return False
        due = time.monotonic() - self._saved >= self.every_seconds
        agreed: bool = trainer.strategy.reduce_boolean_decision(due, all=False)
        return agreed

    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        loader: Any = trainer.train_dataloader
        # If the run was stopped within an epoch, the state of that moment is saved already.
        if loader.state_dict()["batches"] == 0:
            self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        with disk_space(self.path.parent):
            trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()


class ProgressBar(L.Callback):
    """A progress bar for the whole run: steps, frames per second, time left."""

    def __init__(self) -> None:
        self._progress = progress_bar()

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self._progress.start()
        loader: Any = trainer.train_dataloader
        total = int(trainer.num_training_batches) * int(trainer.max_epochs or 1)
        done = int(trainer.num_training_batches) * trainer.current_epoch + loader.steps.start
        self._task = self._progress.add_task("training", total=total, completed=done, unit="frames", done=0)
        self._frames = 0

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Batch, batch_index: int) -> None:
        self._frames += trainer.world_size * batch.num_frames
        self._progress.update(self._task, advance=1, done=self._frames)

    def on_train_end(self, trainer: L.Trainer, module: Any) -> None:
        self._stop()

    def on_exception(self, trainer: L.Trainer, module: Any, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        self._progress.stop()


def step_done(trainer: L.Trainer, batch_index: int) -> bool:
    """Returns whether this batch ends a step of the optimiser; others only add to the gradient."""
    return (batch_index + 1) % trainer.accumulate_grad_batches == 0 or batch_index + 1 == trainer.num_training_batches


@contextmanager
def disk_space(run: Path) -> Iterator[None]:
    """Raises TrainingError for a full disk while the block runs, and says that everything saved before is whole."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TrainingError(
            f"{run}: no space left on the disk. The model, the state and the history kept before are whole; "
            "free some space and continue with the same options and --resume"
        ) from error
