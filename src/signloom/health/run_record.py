"""What the folder of a run holds, as the doctor reads it: options, epochs, what its monitors saw, evaluations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signloom.errors import InputError
from signloom.inference.model_file import SUFFIX
from signloom.train.history import EpochRecord, History
from signloom.train.recipe import Recipe
from signloom.train.schedule import PEAK


@dataclass(frozen=True)
class RunRecord:
    """A run, as it was left.

    options: its recipe as `run.json` has it.  corpus: what `run.json` says of its corpus.  best_epoch: of which the
    model is.  watched: the monitors' medians by epoch.  said: what they said, by id.  not_finite: what stopped it,
    where a loss or gradient was not finite.  evaluations: by split, what `signloom evaluate` wrote.
    """

    folder: Path | None = None
    epochs: tuple[EpochRecord, ...] = ()
    best_epoch: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    corpus: Mapping[str, Any] = field(default_factory=dict)
    watched: tuple[Mapping[str, float], ...] = ()
    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    not_finite: Mapping[str, Any] = field(default_factory=dict)
    evaluations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Of the optimiser; of a run that stopped within its first epoch, as many as were watched."""
        watched = [int(said["figures"]["step"]) for said in self.said.values()]
        return max([item.steps for item in self.epochs] + watched, default=0)

    @property
    def peak_rate(self) -> float:
        """The highest learning rate of the schedule; 0 where the options are not known."""
        rate = float(self.options.get("learning_rate", 0.0))
        return PEAK * rate if self.options.get("schedule", "onecycle") == "onecycle" else rate

    @property
    def best(self) -> EpochRecord | None:
        """The epoch that the model is of."""
        return next((item for item in reversed(self.epochs) if item.epoch == self.best_epoch), None)


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's: with a model, or one that ended before its first was kept."""
    return (folder / f"model{SUFFIX}").is_file() or (folder / "run.json").is_file()


def read_run(folder: Path) -> RunRecord:
    """What is there of a run. Raises InputError for a damaged file."""
    history = _read(folder / "history.json", History.from_json) or History()
    info = _read(folder / "run.json", lambda record: {"recipe": record["recipe"], "corpus": record.get("corpus", {})})
    monitors = _read(folder / "monitors.json", _monitors)
    evaluations = {
        path.stem.removeprefix("evaluation-"): _read(
            path, lambda record: {**record, "reference_words": int(record["reference_words"])}
        )
        for path in sorted(folder.glob("evaluation-*.json"))
    }
    watched, said = monitors or ((), {})
    return RunRecord(
        folder=folder,
        epochs=tuple(history.epochs),
        best_epoch=history.best_epoch,
        options=(info or {}).get("recipe", {}),
        corpus=(info or {}).get("corpus", {}),
        watched=watched,
        said=said,
        not_finite=_read(folder / "not-finite.json", dict) or {},
        evaluations=evaluations,
    )


def _monitors(record: Any) -> tuple[tuple[dict[str, float], ...], dict[str, dict[str, Any]]]:
    return tuple(record["epochs"]), {said["id"]: said for said in record["said"]}


def recipe_of(run: RunRecord) -> Recipe | None:
    """The recipe of a run; None where it is of another version."""
    known = Recipe.__dataclass_fields__
    try:
        return Recipe.from_json({name: value for name, value in run.options.items() if name in known})
    except (KeyError, TypeError):
        return None


def _read(path: Path, make: Any) -> Any:
    """What `make` takes from a JSON file; None where there is no file."""
    try:
        return make(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not what signloom writes ({type(error).__name__}: {error}); train again") from None
