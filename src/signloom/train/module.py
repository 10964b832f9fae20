"""The Lightning module: training and validation steps and the optimiser of a `Recognizer`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from signloom.ctc.greedy import greedy_ids
from signloom.model.recognizer import Recognizer, ctc_loss
from signloom.run_folder import Run
from signloom.score.wer import score
from signloom.train import distributed
from signloom.train.data import Batch
from signloom.train.losses import Losses, LossFunction
from signloom.train.non_finite import stop_if_gradient_not_finite, stop_if_not_finite
from signloom.train.recipe import Recipe
from signloom.train.schedule import adamw, schedule
from signloom.train.training_state import check_fits
from signloom.vocabulary import Vocabulary


class RecognizerModule(L.LightningModule):
    """Trains a recogniser with a loss function; logs the loss per gloss, and the WER on dev by the plain rule.

    references: the glosses of every dev utterance by id, unknown ones included.  loss_function: that of the training
    method.  run: the folder for a batch with a non-finite loss.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        vocabulary: Vocabulary,
        recipe: Recipe,
        references: dict[str, tuple[str, ...]],
        loss_function: LossFunction,
        *,
        run: Path | None = None,
    ) -> None:
        super().__init__()
        self.recognizer = recognizer
        self.vocabulary = vocabulary
        self.recipe = recipe
        self.references = references
        self.loss_function = loss_function
        self.run = run
        # Of this epoch so far, in this process: the sums of the losses, glosses and frames.
        self.train_sums = torch.zeros(3, dtype=torch.float64)
        # Of the part of this epoch before an interruption: its seconds, and its batches per process.
        self.seconds_before = 0.0
        self.batches_before = 0
        self.gradient_norm = float("nan")
        # Observer: called with each batch's losses and target lengths; it must not change them.
        self.watch: Callable[[Losses, Tensor], None] | None = None
        # Whether a state that was to be restored has been.
        self.begun = False
        self._batch: Batch | None = None
        # Of each dev utterance: its loss (None if non-finite), its number of glosses, the recognised glosses.
        self._dev: dict[str, tuple[float | None, int, list[str]]] = {}

    def on_train_start(self) -> None:
        self.begun = True

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the CTC loss of each utterance `(B,)`, log-probabilities `(B, T', V)` and their lengths `(B,)`."""
        log_probs, lengths = self.recognizer(batch.points, batch.lengths)
        return ctc_loss(log_probs, lengths, batch.targets, batch.target_lengths), log_probs, lengths

    def training_losses(self, batch: Batch) -> Losses:
        """Returns the losses of the training method for a batch."""
        return self.loss_function(self.recognizer, batch)

    def seed_step(self, batch_index: int) -> None:
        """Seeds the randomness of a step (dropout) by (seed, epoch, batch, process) alone."""
        entropy = (self.recipe.seed, self.current_epoch, batch_index, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def on_fit_start(self) -> None:
        distributed.share_buffers(self.recognizer)

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        self.seed_step(batch_index)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        losses = self.training_losses(batch)

        def again() -> object:
            self.seed_step(batch_index)
            return self.training_losses(batch)

        place = self._place(batch_index)
        stop_if_not_finite(self.recognizer, batch, losses.total, again=again, place=place, folder=self.run)
        if self.watch is not None:
            self.watch(losses, batch.target_lengths)
        self._batch = batch
        counted = batch.weights > 0
        glosses = batch.target_lengths[counted].sum()
        self.train_sums += torch.tensor([losses.ctc.detach()[counted].sum().item(), glosses.item(), batch.num_frames])
        return batch.mean_per_gloss(losses.total)

    def configure_gradient_clipping(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        norm = torch.nn.utils.clip_grad_norm_(self.recognizer.parameters(), self.recipe.gradient_clip)
        if self._batch is None:
            raise RuntimeError("gradients are clipped before the first training step")
        place = self._place(self.trainer.fit_loop.epoch_loop.batch_idx)
        stop_if_gradient_not_finite(self.recognizer, self._batch, norm, place=place, folder=self.run)
        self.gradient_norm = norm.item()

    def _place(self, batch_index: int) -> str:
        return f"epoch {self.current_epoch + 1}, step {batch_index // self.recipe.accumulate + 1}"

    def on_validation_epoch_start(self) -> None:
        distributed.average_statistics(self.recognizer)
        self._dev.clear()

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        losses, log_probs, lengths = self.losses(batch)
        ids = greedy_ids(log_probs.float().cpu().numpy(), lengths.cpu().numpy())
        rows = zip(batch.ids, losses.tolist(), batch.target_lengths.tolist(), ids, strict=True)
        for name, loss, num_glosses, hypothesis in rows:
            # A dev clip too short for its glosses has no finite loss, but it still counts in the WER.
            self._dev[name] = (loss if np.isfinite(loss) else None, num_glosses, self.vocabulary.decode(hypothesis))

    def on_validation_epoch_end(self) -> None:
        """Logs the loss and the WER of the whole dev split: each process has predicted a part of it."""
        by_id = {name: row for part in distributed.gather(self._dev, self.device) for name, row in part.items()}
        rows = [(name, *by_id[name]) for name in self.references]
        result = score((name, self.references[name], hypothesis) for name, _, _, hypothesis in rows)
        finite = [(loss, count) for _, loss, count, _ in rows if loss is not None]
        glosses = sum(count for _, count in finite)
        loss = sum(loss for loss, _ in finite) / glosses if glosses else float("nan")
        self.log_dict({"dev_wer": result.wer, "dev_loss": loss}, prog_bar=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        distributed.average_statistics(self.recognizer)
        checkpoint["state_dict"] = self.state_dict()
        # Lightning saves the loader's state too, but restores it too late.
        loader: Any = self.trainer.train_dataloader
        checkpoint["epoch_so_far"] = {
            **loader.state_dict(),
            "sums": distributed.total(self.train_sums, self.device),
            "seconds": self.seconds_before,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        check_fits(self, checkpoint, Run(self.run).state_file if self.run else Path("training state"))
        progress = checkpoint["epoch_so_far"]
        if self.global_rank == 0:
            self.train_sums += torch.tensor(progress["sums"], dtype=torch.float64)
        self.seconds_before = progress["seconds"]
        self.batches_before = progress["batches"]

    def planned_steps(self) -> tuple[int, float]:
        """Returns the optimiser steps that the schedule is made for: in total, and per epoch."""
        steps = int(self.trainer.estimated_stepping_batches)
        return min(steps, self.recipe.max_steps or steps), steps / self.recipe.epochs

    def configure_optimizers(self) -> Any:
        optimizer = adamw(self.recognizer, self.recipe)
        total_steps, steps_per_epoch = self.planned_steps()
        scheduler = schedule(optimizer, self.recipe, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
