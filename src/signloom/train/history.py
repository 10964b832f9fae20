"""What a run leaves to read: `history.json`, `metrics.csv`, `curves.png` and `curves.pdf`."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from signloom.files import atomic_write


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: losses per gloss, WER on dev by the plain rule, and what it cost.

    frames_per_second: of all processes together.  steps: of the optimiser since the start of the run.
    """

    epoch: int
    train_loss: float
    dev_loss: float
    dev_wer: float
    learning_rate: float
    seconds: float
    frames_per_second: float
    steps: int = 0


@dataclass
class History:
    """The epochs of a run, and which of them gave the model that was kept.

    A run that was stopped within an epoch and gone on with has two records of it: at its stop and at its end.
    """

    epochs: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0

    @property
    def best(self) -> EpochRecord | None:
        return min(self.epochs, key=lambda record: (record.dev_wer, record.dev_loss), default=None)

    def add(self, record: EpochRecord) -> bool:
        """Whether `record` is the best so far: a lower WER on dev, or the same at a lower dev loss."""
        best = self.best
        better = best is None or (record.dev_wer, record.dev_loss) < (best.dev_wer, best.dev_loss)
        self.epochs.append(record)
        if better:
            self.best_epoch = record.epoch
        return better

    def rewind(self, steps: int) -> None:
        """Forgets what came after a number of steps: a run killed between record and state does that epoch again."""
        self.epochs = [record for record in self.epochs if record.steps <= steps]
        self.best_epoch = self.best.epoch if self.best else 0

    def to_json(self) -> dict[str, Any]:
        return {"epochs": [asdict(record) for record in self.epochs], "best_epoch": self.best_epoch}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> History:
        return cls([EpochRecord(**epoch) for epoch in record["epochs"]], record["best_epoch"])

    def write(self, run: Path) -> None:
        """Writes `history.json` and `metrics.csv` into the run folder."""
        with atomic_write(run / "history.json", "w") as file:
            json.dump(self.to_json(), file, indent=1)
        with atomic_write(run / "metrics.csv", "w") as file:
            writer = csv.DictWriter(file, EpochRecord.__dataclass_fields__, lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(record) for record in self.epochs)

    def plot(self, run: Path) -> None:
        """Draws loss and WER over epochs into `curves.png` and `curves.pdf`."""
        from matplotlib.figure import Figure

        epochs = [record.epoch for record in self.epochs]
        figure = Figure(figsize=(10, 4), layout="constrained")
        loss, wer = figure.subplots(1, 2)
        loss.plot(epochs, [record.train_loss for record in self.epochs], label="train", color="#5b7fa6")
        loss.plot(epochs, [record.dev_loss for record in self.epochs], label="dev", color="#c8553d")
        loss.set(title="CTC loss per gloss", xlabel="epoch", yscale="log")
        loss.legend(frameon=False)
        wer.plot(epochs, [100 * record.dev_wer for record in self.epochs], color="#c8553d")
        wer.set(title="word error rate on dev (plain rule)", xlabel="epoch", ylabel="%", ylim=(0, None))
        best = self.best
        if best is not None:
            wer.plot(best.epoch, 100 * best.dev_wer, "o", color="#c8553d")
            wer.annotate(
                f"best {100 * best.dev_wer:.1f} % (epoch {best.epoch})",
                (best.epoch, 100 * best.dev_wer),
                xytext=(0, 14),
                textcoords="offset points",
                ha="right",
            )
        for axes in (loss, wer):
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        for name in ("curves.png", "curves.pdf"):
            with atomic_write(run / name) as file:
                figure.savefig(file, format=name.rpartition(".")[2], dpi=120)
