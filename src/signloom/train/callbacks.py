"""What Lightning calls during a run: the epoch's record, the best model, the progress bar, the first batch's line."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch

from signloom.console import progress_bar
from signloom.model.checkpoint import Model
from signloom.train.data import Batch
from signloom.train.history import EpochRecord, History
from signloom.train.module import RecognizerModule

log = logging.getLogger("signloom.train")


class FirstBatch(L.Callback):
    """Logs, once, what the network sees: mean, spread and range of the features after normalisation."""

    def on_train_batch_start(self, trainer: L.Trainer, module: Any, batch: Batch, batch_index: int) -> None:
        if trainer.global_step or batch_index:
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
    """After each epoch: a record in the history, a line in the log, and the best model so far on disk."""

    def __init__(self, run: Path, history: History, make_model: Callable[[RecognizerModule, History], Model]) -> None:
        self.run, self.history, self.make_model = run, history, make_model
        self._started = 0.0

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self.history.rewind(trainer.current_epoch)

    def on_train_epoch_start(self, trainer: L.Trainer, module: Any) -> None:
        loader: Any = trainer.train_dataloader
        loader.dataset.epoch = trainer.current_epoch
        loader.batch_sampler.set_epoch(trainer.current_epoch)
        module.num_frames = 0
        module.train_sums.zero_()
        self._started = time.perf_counter()

    def on_validation_start(self, trainer: L.Trainer, module: Any) -> None:
        self._train_seconds = time.perf_counter() - self._started

    # Lightning runs the epoch's end hooks of training after those of validation: both figures are there by then.
    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        metrics = trainer.callback_metrics
        total, glosses = module.train_sums.tolist()
        record = EpochRecord(
            epoch=trainer.current_epoch + 1,
            train_loss=total / glosses,
            dev_loss=metrics["dev_loss"].item(),
            dev_wer=metrics["dev_wer"].item(),
            learning_rate=trainer.optimizers[0].param_groups[0]["lr"],
            seconds=time.perf_counter() - self._started,
            frames_per_second=module.num_frames / self._train_seconds,
        )
        better = self.history.add(record)
        if better:
            self.make_model(module, self.history).save(self.run / "model.safetensors")
            module.recognizer.train()
        self.history.write(self.run)
        for name in ("train_loss", "frames_per_second"):
            module.log(name, getattr(record, name), logger=True)
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


class ProgressBar(L.Callback):
    """One bar for the whole run: steps, frames a second, time left."""

    def __init__(self) -> None:
        self._progress = progress_bar()

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self._progress.start()
        total = int(trainer.num_training_batches) * int(trainer.max_epochs or 1)
        done = int(trainer.num_training_batches) * trainer.current_epoch
        self._task = self._progress.add_task("training", total=total, completed=done, unit="frames", done=0)
        self._frames = 0

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Batch, batch_index: int) -> None:
        self._frames += batch.num_frames
        self._progress.update(self._task, advance=1, done=self._frames)

    def on_train_end(self, trainer: L.Trainer, module: Any) -> None:
        self._stop()

    def on_exception(self, trainer: L.Trainer, module: Any, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        self._progress.stop()


class LastState(L.Callback):
    """Keeps the whole state of the run after each epoch, for `--resume`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        trainer.save_checkpoint(self.path)
