"""Schemas of the JSON files of a run folder, as far as something depends on what they hold."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from signloom.errors import InputError, plural
from signloom.files.schemas import Name, Table

Count = Annotated[int, Meta(ge=0, le=10**12)]
# What JSON cannot hold, NaN among them, is written as text.
Figure = float | str | None


class Recipe(Struct):
    """The options of training. `signloom.train.recipe` knows the others."""

    data_dir: str | None = None
    preset: str = ""
    schedule: str = ""
    learning_rate: float | UnsetType = UNSET
    dropout: float | None = None
    auxiliary_weight: float | UnsetType = UNSET
    augmentation: Table | UnsetType = UNSET


class Split(Struct):
    """The counts of one split of a corpus."""

    utterances: Count
    signers: Count
    running_glosses: Count
    distinct_glosses: Count
    hours: float


class CorpusRecord(Struct):
    """The corpus of a run."""

    name: Name | UnsetType = UNSET
    path: Name | None = None
    importer: str = ""
    synthetic: bool = False
    composed: bool = False
    dev_is_known: bool = False
    summary: dict[str, Split] | UnsetType = UNSET


class Model(Struct):
    """The model of a run."""

    parameters: Count | UnsetType = UNSET


class Step(Struct):
    """What to do next."""

    text: str
    command: str


class Info(Struct):
    """`run.json`: where a model comes from."""

    recipe: Recipe | UnsetType = UNSET
    corpus: CorpusRecord | UnsetType = UNSET
    model: Model | UnsetType = UNSET
    environment: Table | UnsetType = UNSET
    teacher: Table | UnsetType = UNSET
    training_seconds: float | None = None
    next_steps: list[Step] | UnsetType = UNSET


class Epochs(Struct):
    """`history.json`: its epochs, each an `EpochRecord`, and the number of the best."""

    epochs: Annotated[list[Table], Meta(max_length=1_000_000)]
    best_epoch: int | None

    def __post_init__(self) -> None:
        numbers = [record.get("epoch") for record in self.epochs]
        if self.best_epoch and self.best_epoch not in numbers:
            raise InputError(f"best_epoch is {self.best_epoch}; needed one of its {plural(len(numbers), 'epoch')}")


class When(Struct):
    """When a monitor spoke."""

    step: Count = 0
    epoch: Count = 0


class Said(Struct):
    """A finding of a monitor; `Finding.from_json` checks the rest."""

    id: Name
    figures: When


class Monitored(Struct):
    """`monitors.json`: medians of every epoch, and findings, each a `Finding`."""

    epochs: list[dict[str, Figure]]
    said: list[Said]


class Interval(Struct):
    """An interval of a word error rate."""

    low: float
    high: float
    level: float


class Baseline(Struct):
    """The result of a baseline on the same utterances."""

    error_rate: float
    name: str = ""
    note: str = ""


class Evaluation(Struct):
    """`evaluation-SPLIT.json`: a score, and what was scored."""

    protocol: str
    wer: float
    reference_words: Count
    substitutions: Count
    deletions: Count
    insertions: Count
    interval: Interval
    num_utterances: Count = 0
    num_dropped: Count = 0
    rule: str = ""
    corpus: str = ""
    decoder: str = ""
    signers: dict[str, Any] | None = None
    utterances: list[Table] | UnsetType = UNSET
    unseen_signers: bool = False
    baseline: Baseline | UnsetType = UNSET


class NotFinite(Struct):
    """`not-finite.json`: the batch that stopped a run."""

    place: str = ""
    what: str = ""
    cause: str = ""
