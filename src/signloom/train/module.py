"""The Lightning module: loss, decoding and optimiser around a plain `Recognizer`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch import Tensor

from signloom.ctc.greedy import greedy_ids
from signloom.model.recognizer import Heads, Recognizer, ctc_loss
from signloom.score.wer import score
from signloom.train import distributed
from signloom.train.data import Batch
from signloom.train.non_finite import stop_if_gradient_not_finite, stop_if_not_finite
from signloom.train.recipe import Recipe
from signloom.train.schedule import adamw, schedule
from signloom.vocabulary import Vocabulary


class Losses(NamedTuple):
    """Of each utterance of a batch `(B,)`: what is trained on, and its part that is CTC's of the main classifier.

    heads: what the losses are of, a multiple of B rows where every utterance was read several times.
    """

    total: Tensor
    ctc: Tensor
    heads: Heads


class RecognizerModule(L.LightningModule):
    """Trains a recogniser by CTC; logs loss per gloss, and on dev the WER by the plain rule.

    references: the glosses of every dev utterance by id, unknown ones included.  run: where a batch is kept whose loss
    is not finite.  `training_losses` is what another way to train overrides.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        vocabulary: Vocabulary,
        recipe: Recipe,
        references: dict,
        *,
        run: Path | None = None,
    ) -> None:
        super().__init__()
        self.recognizer = recognizer
        self.vocabulary = vocabulary
        self.recipe = recipe
        self.references: dict[str, tuple[str, ...]] = references
        self.run = run
        # Of this epoch so far, in this process: the sum of the losses, glosses, frames.
        self.train_sums = torch.zeros(3, dtype=torch.float64)
        # Of this epoch so far, where the run was interrupted within it: how long it took, batches of each process.
        self.seconds_before = 0.0
        self.batches_before = 0
        self.gradient_norm = float("nan")
        # Called with every batch's losses and reference lengths, by who only looks.
        self.watch: Callable[[Losses, Tensor], None] | None = None
        self._batch: Batch | None = None
        # Of each dev utterance: its loss, None where it is not finite; its number of glosses; what was recognised.
        self._dev: dict[str, tuple[float | None, int, list[str]]] = {}

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """CTC loss of each utterance `(B,)`, log-probabilities `(B, T', V)` and their lengths `(B,)`."""
        log_probs, lengths = self.recognizer(batch.points, batch.lengths)
        return ctc_loss(log_probs, lengths, batch.targets, batch.target_lengths), log_probs, lengths

    def training_losses(self, batch: Batch) -> Losses:
        """What is trained on, for each utterance."""
        heads = self.recognizer.heads(batch.points, batch.lengths)
        losses = ctc_loss(heads.log_probs, heads.lengths, batch.targets, batch.target_lengths)
        if heads.auxiliary is None:
            return Losses(losses, losses, heads)
        auxiliary = ctc_loss(heads.auxiliary, heads.lengths, batch.targets, batch.target_lengths)
        return Losses(losses + self.recipe.auxiliary_weight * auxiliary, losses, heads)

    def seed_step(self, batch_index: int) -> None:
        """What chance does in a step (dropout) follows from (seed, epoch, batch, process) alone."""
        words = (self.recipe.seed, self.current_epoch, batch_index, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1)))

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
        counted = batch.shares > 0
        glosses = batch.target_lengths[counted].sum()
        self.train_sums += torch.tensor([losses.ctc.detach()[counted].sum().item(), glosses.item(), batch.num_frames])
        # Mean over utterances of the loss per gloss: long sentences count as much as short ones.
        return batch.mean(losses.total / batch.target_lengths)

    def configure_gradient_clipping(self, optimizer: Any, *limits: Any, **also: Any) -> None:
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
        for name, loss, glosses, found in zip(
            batch.ids, losses.tolist(), batch.target_lengths.tolist(), ids, strict=True
        ):
            # A dev clip too short for its glosses has no finite loss; it counts in the WER all the same.
            self._dev[name] = (loss if np.isfinite(loss) else None, glosses, self.vocabulary.decode(found))

    def on_validation_epoch_end(self) -> None:
        """The same figures in every process: each has scored its part of the dev split."""
        found = {name: row for part in distributed.gather(self._dev, self.device) for name, row in part.items()}
        rows = [(name, *found[name]) for name in self.references]
        result = score((name, self.references[name], hypothesis) for name, _, _, hypothesis in rows)
        finite = [(loss, count) for _, loss, count, _ in rows if loss is not None]
        glosses = sum(count for _, count in finite)
        loss = sum(loss for loss, _ in finite) / glosses if glosses else float("nan")
        self.log_dict({"dev_wer": result.wer, "dev_loss": loss}, prog_bar=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        distributed.average_statistics(self.recognizer)
        checkpoint["state_dict"] = self.state_dict()
        # Lightning keeps it too, and reads it back too late.
        loader: Any = self.trainer.train_dataloader
        checkpoint["epoch_so_far"] = {
            **loader.state_dict(),
            "sums": distributed.total(self.train_sums, self.device),
            "seconds": self.seconds_before,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        so_far = checkpoint["epoch_so_far"]
        if self.global_rank == 0:
            self.train_sums += torch.tensor(so_far["sums"], dtype=torch.float64)
        self.seconds_before = so_far["seconds"]
        self.batches_before = so_far["batches"]

    def planned_steps(self) -> tuple[int, float]:
        """Steps of the optimiser that the schedule is made for, in all and in an epoch."""
        steps = int(self.trainer.estimated_stepping_batches)
        return min(steps, self.recipe.max_steps or steps), steps / self.recipe.epochs

    def configure_optimizers(self) -> Any:
        optimizer = adamw(self.recognizer, self.recipe)
        total_steps, steps_per_epoch = self.planned_steps()
        made = schedule(optimizer, self.recipe, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": made, "interval": "step"}}
