"""Lightning callbacks: history and best model, saved state, early stopping, progress."""

from __future__ import annotations

import errno
import logging
import math
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L

from signloom.console import progress_bar
from signloom.errors import StoppedError, TrainingError
from signloom.files.writing import write_json
from signloom.inference.model import Model
from signloom.inference.torch_engine import TorchEngine
from signloom.run_folder import EpochRecord, History, Run
from signloom.signals import SignalWatch
from signloom.train import distributed
from signloom.train.data import Batch
from signloom.train.recipe import Recipe
from signloom.train.replacement import Replacement
from signloom.train.schedule import prolong, warm_steps

log = logging.getLogger("signloom.train")

_AGAIN = "interrupted again: stopped at once; go on from the state saved before"
# Several processes must agree on the time and on signals: they compare them every so many steps.
CLOCK_STEPS = 10


class Start(L.Callback):
    """Prepares the run folder before the first step, once every process has read what it starts from."""

    def __init__(self, replacement: Replacement, info: Mapping[str, Any]) -> None:
        self.replacement, self.info = replacement, info

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        if self.replacement.resume and trainer.is_global_zero:
            # Not before the state is restored: one that cannot be changes nothing in the folder.
            write_json(self.replacement.run.recorded.info_file, self.info)
        total, _ = module.planned_steps()
        scheduler = trainer.lr_scheduler_configs[0].scheduler
        if self.replacement.resume and prolong(scheduler, total) and trainer.is_global_zero:
            log.info(
                "%d steps in all now: the learning rate follows the longer schedule from step %d on, %.2g at first",
                total,
                trainer.global_step,
                scheduler.get_last_lr()[0],
            )

    def setup(self, trainer: L.Trainer, module: Any, stage: str) -> None:
        trainer.strategy.barrier("read")
        if not trainer.is_global_zero:
            return
        self.replacement.begin()
        if not self.replacement.resume:
            write_json(self.replacement.run.recorded.info_file, self.info)


class EpochEnd(L.Callback):
    """Adds each epoch to the history and to the log, and saves the best model so far with `info`."""

    def __init__(self, run: Run, history: History, info: Mapping[str, Any]) -> None:
        self.run, self.history, self.info = run, history, info
        self._started = 0.0

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        if trainer.current_epoch and not self.history.epochs:
            log.warning("%s is missing: the epochs before are not in the history", self.run.history_file)
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
        run = self.run.written
        with disk_space(self.run.path):
            if better:
                info = {**self.info, "dev": {"protocol": "plain", **asdict(record)}}
                Model(TorchEngine(module.recognizer), module.vocabulary, info).save(run.model_file)
                module.recognizer.train()
            self.history.write(run)
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
    """Ends a run, also within an epoch: after a number of minutes or steps, without progress on dev, or by a signal.

    Minutes before a resumption count. `reason` says in words what ended the run, and is empty if nothing did.
    Epochs without a lower dev WER (`--patience`) are counted after the warm-up.
    """

    def __init__(self, recipe: Recipe, history: History) -> None:
        self.recipe, self.history = recipe, history
        self.signals = SignalWatch(saves=True, again=_AGAIN)
        # The signal that ends the run, once all of its processes know.
        self.agreed: signal.Signals | None = None
        self.reason = ""
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
        # Lightning has set its own handlers by now; it restores those of before when training has ended.
        self.signals.listen()
        self._check(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Batch, batch_index: int) -> None:
        if step_done(trainer, batch_index):
            self._check(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        if (patience := self.recipe.patience) is None:
            return
        total, per_epoch = module.planned_steps()
        lowest, since = math.inf, math.ceil(warm_steps(self.recipe, total, per_epoch) / per_epoch)
        for record in self.history.epochs:
            if record.dev_wer < lowest:
                lowest, since = record.dev_wer, max(since, record.epoch)
        epoch = trainer.current_epoch + 1
        if epoch - since >= patience and epoch < self.recipe.epochs:
            self._end(trainer, f"--patience {patience} (no lower WER on dev since epoch {since})")

    def _check(self, trainer: L.Trainer) -> None:
        steps, minutes = self.recipe.max_steps, self.recipe.max_minutes
        if steps is not None and trainer.global_step >= steps:
            self._end(trainer, f"--max_steps {steps}")
        if between_clocks(trainer):
            return
        over = minutes is not None and self._seconds >= 60 * minutes
        ending = self.signals.ending
        if trainer.strategy.reduce_boolean_decision(over, all=False):
            self._end(trainer, f"--max_minutes {minutes:g}")
        if trainer.strategy.reduce_boolean_decision(ending is not None, all=False):
            # Another process of the run may have got it.
            self.agreed = ending or signal.SIGTERM
            self._end(trainer, self.agreed.name)

    def _end(self, trainer: L.Trainer, reason: str) -> None:
        self.reason = self.reason or reason
        trainer.should_stop = True


class LastState(L.Callback):
    """Saves the whole state of the run, for `--resume`: after each epoch, and at intervals within it."""

    def __init__(
        self,
        replacement: Replacement,
        stop: Stop,
        *,
        every_minutes: float,
        every_steps: int | None,
    ) -> None:
        self.replacement, self.run, self.stop = replacement, replacement.run, stop
        self.every_seconds, self.every_steps = 60 * every_minutes, every_steps
        self._saved = time.monotonic()

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self._saved = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Batch, batch_index: int) -> None:
        # After the last batch of an epoch, the state is saved when dev has been scored.
        if batch_index + 1 == trainer.num_training_batches or not step_done(trainer, batch_index):
            return
        if trainer.should_stop or self._due(trainer):
            # A limit ends the run with a record of this epoch, a signal does at once.
            at_limit = trainer.should_stop and self.stop.agreed is None
            if at_limit and trainer.is_global_zero:
                self.replacement.hold()
            self._save(trainer, whole=not at_limit)
            self._raise_if_stopped(trainer, module)

    def _due(self, trainer: L.Trainer) -> bool:
        if self.every_steps is not None:
            return trainer.global_step % self.every_steps == 0
        if between_clocks(trainer):
            return False
        due = self.stop.signals.save_asked or time.monotonic() - self._saved >= self.every_seconds
        agreed: bool = trainer.strategy.reduce_boolean_decision(due, all=False)
        return agreed

    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        loader: Any = trainer.train_dataloader
        # If the run was stopped within an epoch, the state of that moment is saved already.
        if loader.state_dict()["batches"] == 0:
            self._save(trainer)
        elif trainer.is_global_zero:
            self.replacement.state_saved()
        self._raise_if_stopped(trainer, module)

    def _save(self, trainer: L.Trainer, *, whole: bool = True) -> None:
        """Saves the state; unless it is `whole`, what belongs to it is still to come."""
        with disk_space(self.run.path):
            trainer.save_checkpoint(self.run.written.state_file)
            if trainer.is_global_zero and whole:
                self.replacement.state_saved()
        self._saved = time.monotonic()
        if self.stop.signals.save_asked:
            self.stop.signals.save_asked = False
            log.info("the state is kept at step %d, as SIGUSR1 asked", trainer.global_step)

    def _raise_if_stopped(self, trainer: L.Trainer, module: Any) -> None:
        """Raises StoppedError if a signal asked the run to end, unless it is at its end anyway."""
        number = self.stop.agreed
        if number is None or trainer.global_step >= module.planned_steps()[0]:
            return
        message = (
            f"stopped by {number.name} at step {trainer.global_step}, in epoch {trainer.current_epoch + 1} of "
            f"{trainer.max_epochs}; the state is kept in {self.run.path}. Go on with the same options and --resume"
        )
        if trainer.is_global_zero:
            log.info("%s", message)
        raise StoppedError(message, number, logged=True)


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


def between_clocks(trainer: L.Trainer) -> bool:
    """Returns whether several processes take this step without comparing their clocks and signals."""
    return trainer.world_size > 1 and trainer.global_step % CLOCK_STEPS != 0


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
        if Run(run).recorded.path != run:
            raise TrainingError(
                f"{run}: no space left on the disk. The earlier run there is unchanged; free some space and start again"
            ) from error
        raise TrainingError(
            f"{run}: no space left on the disk. The model, the state and the history kept before are whole; "
            "free some space and continue with the same options and --resume"
        ) from error
