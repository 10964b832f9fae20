"""The Lightning module: loss, decoding and optimiser around a plain `Recognizer`."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor

from signloom.ctc.greedy import greedy_ids
from signloom.errors import TrainingError
from signloom.model.recognizer import Recognizer, ctc_loss
from signloom.score.wer import score
from signloom.train.data import Batch
from signloom.train.recipe import Recipe
from signloom.vocabulary import Vocabulary

PEAK = 10.0
WARM_SHARE = 0.1


class RecognizerModule(L.LightningModule):
    """Trains a recogniser by CTC; logs loss per gloss, and on dev the WER by the plain rule.

    references: the glosses of every dev utterance by id, unknown ones included.
    """

    def __init__(self, recognizer: Recognizer, vocabulary: Vocabulary, recipe: Recipe, references: dict) -> None:
        super().__init__()
        self.recognizer = recognizer
        self.vocabulary = vocabulary
        self.recipe = recipe
        self.references: dict[str, tuple[str, ...]] = references
        self.num_frames = 0
        self.train_sums = torch.zeros(2, dtype=torch.float64)
        self._hypotheses: dict[str, list[str]] = {}
        self._dev_loss: list[tuple[float, int]] = []

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """CTC loss of each utterance `(B,)`, log-probabilities `(B, T', V)` and their lengths `(B,)`."""
        log_probs, lengths = self.recognizer(batch.points, batch.lengths)
        return ctc_loss(log_probs, lengths, batch.targets, batch.target_lengths), log_probs, lengths

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        heads = self.recognizer.heads(batch.points, batch.lengths)
        losses = ctc_loss(heads.log_probs, heads.lengths, batch.targets, batch.target_lengths)
        total = losses
        if heads.auxiliary is not None:
            auxiliary = ctc_loss(heads.auxiliary, heads.lengths, batch.targets, batch.target_lengths)
            total = losses + self.recipe.auxiliary_weight * auxiliary
        if not torch.isfinite(total).all():
            bad = [name for name, loss in zip(batch.ids, total.tolist(), strict=True) if not abs(loss) < float("inf")]
            raise TrainingError(
                f"training stopped at epoch {self.current_epoch + 1}, step {batch_index + 1}: the loss of "
                f"{', '.join(bad[:5])} is not finite. Look at these clips' landmarks, lower --learning_rate, "
                "or train in single precision (--precision 32)"
            )
        self.num_frames += batch.num_frames
        self.train_sums += torch.tensor([losses.detach().sum().item(), batch.target_lengths.sum().item()])
        # Mean over utterances of the loss per gloss: long sentences count as much as short ones.
        return (total / batch.target_lengths).mean()

    def on_validation_epoch_start(self) -> None:
        self._hypotheses.clear()
        self._dev_loss.clear()

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        losses, log_probs, lengths = self.losses(batch)
        # A dev clip too short for its glosses has no finite loss; it counts in the WER all the same.
        finite = torch.isfinite(losses)
        self._dev_loss.append((losses[finite].sum().item(), int(batch.target_lengths[finite].sum())))
        ids = greedy_ids(log_probs.float().cpu().numpy(), lengths.cpu().numpy())
        for name, found in zip(batch.ids, ids, strict=True):
            self._hypotheses[name] = self.vocabulary.decode(found)

    def on_validation_epoch_end(self) -> None:
        result = score((name, self.references[name], found) for name, found in self._hypotheses.items())
        glosses = sum(count for _, count in self._dev_loss)
        loss = sum(value for value, _ in self._dev_loss) / glosses if glosses else float("nan")
        self.log_dict({"dev_wer": result.wer, "dev_loss": loss}, prog_bar=False)

    def configure_optimizers(self) -> Any:
        decayed = [parameter for parameter in self.recognizer.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in self.recognizer.parameters() if parameter.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": self.recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=self.recipe.learning_rate,
            # Lightning does not clip gradients for a fused optimiser in mixed precision.
            fused=self.recipe.precision == "32",
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=PEAK * self.recipe.learning_rate,
            total_steps=max(2, int(self.trainer.estimated_stepping_batches)),
            pct_start=WARM_SHARE,
            anneal_strategy="cos",
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
