"""The folder of a training run: the names of its files, and what they hold."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Self, overload

from signloom.corpus import HEADER, SPLITS, SYNTHETIC_UTTERANCES, Corpus
from signloom.corpus.splits import dev_is_known
from signloom.errors import InputError
from signloom.files import records
from signloom.files.paths import file_stem
from signloom.files.records import Count
from signloom.files.schemas import check, read_record
from signloom.files.staging import Stage, settle
from signloom.files.urls import Url, is_url, located
from signloom.files.writing import as_json, atomic_write, write_json
from signloom.findings import Finding


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: losses per gloss, WER on dev by the plain rule, and the time it took.

    frames_per_second: of all processes together.  steps: steps of the optimiser since the start of the run.
    """

    epoch: Count
    train_loss: float
    dev_loss: float
    dev_wer: float
    learning_rate: float
    seconds: float
    frames_per_second: float
    steps: Count = 0

    def merit(self) -> tuple[float, float]:
        """Returns what the best epoch has least of: dev WER, then dev loss.

        A WER of 100 % and more says nothing: a model that is all blank has 100 %, one that begins to read may have
        more. Of such epochs the loss alone decides.
        """
        return min(self.dev_wer, 1.0), self.dev_loss

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> EpochRecord:
        """Returns the epoch in `record`, which needs number and losses; any other missing figure becomes NaN."""
        others = {item.name: float("nan") if item.default is MISSING else item.default for item in fields(cls)[3:]}
        return check(cls, {**others, **record})


@dataclass
class History:
    """The epochs of a run, and the number of the epoch whose model was kept.

    A run that was stopped within an epoch and then resumed has two records of that epoch: at the stop and at its end.
    """

    epochs: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0

    @property
    def best(self) -> EpochRecord | None:
        return min(self.epochs, key=EpochRecord.merit, default=None)

    def add(self, record: EpochRecord) -> bool:
        """Adds an epoch. Returns whether it is the best so far, see `EpochRecord.merit`."""
        best = self.best
        better = best is None or record.merit() < best.merit()
        self.epochs.append(record)
        if better:
            self.best_epoch = record.epoch
        return better

    def rewind(self, steps: int) -> None:
        """Removes the epochs after a number of steps: a run killed before it saved its state repeats them."""
        self.epochs = [record for record in self.epochs if record.steps <= steps]
        self.best_epoch = self.best.epoch if self.best else 0

    def to_json(self) -> dict[str, Any]:
        return {"epochs": [asdict(record) for record in self.epochs], "best_epoch": self.best_epoch}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> History:
        return cls([EpochRecord.from_json(epoch) for epoch in record["epochs"]], record["best_epoch"] or 0)

    def write(self, run: Run) -> None:
        """Writes the history as JSON and as CSV."""
        write_json(run.history_file, self.to_json())
        with atomic_write(run.metrics_file, "w") as file:
            writer = csv.DictWriter(file, EpochRecord.__dataclass_fields__, lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(record) for record in self.epochs)

    def plot(self, run: Run) -> None:
        """Draws loss and WER over the epochs, as PNG and as PDF."""
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
        for path in (run.curves_png, run.curves_pdf):
            with atomic_write(path) as file:
                figure.savefig(file, format=path.suffix[1:], dpi=120)


class _File:
    """Declares a file or folder of a run: `Run.x.name` is its name, `run.x` its path.

    A new run in the same folder removes every file that is declared, unless it is `kept`.
    """

    def __init__(self, name: str, *, kept: bool = False) -> None:
        self.name, self.kept = name, kept

    @overload
    def __get__(self, run: None, owner: type[Run]) -> Self: ...
    @overload
    def __get__(self, run: Run, owner: type[Run]) -> Path: ...
    def __get__(self, run: Run | None, owner: type[Run]) -> Self | Path:
        return self if run is None else run.path / self.name


class _SplitFile:
    """Declares a file for each evaluated split, `*` in its name: `run.x("test")` is the path of one."""

    kept = False

    def __init__(self, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, run: None, owner: type[Run]) -> Self: ...
    @overload
    def __get__(self, run: Run, owner: type[Run]) -> Callable[[str], Path]: ...
    def __get__(self, run: Run | None, owner: type[Run]) -> Self | Callable[[str], Path]:
        return self if run is None else lambda split: run.path / self.name.replace("*", split)


@dataclass(frozen=True)
class Run:
    """A run folder. `Run(path)` names its files; `Run.read(path)` also holds what is in them.

    info: where the model comes from: recipe, corpus, environment.  history: the epochs.
    evaluations: scores by split on the run's own corpus, test first.  monitors: figures and findings of the live
    monitors.  not_finite: the non-finite loss or gradient that stopped the run.  transcript: of one utterance.
    The part of a missing file is empty.
    """

    path: Path = Path()
    info: Mapping[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=History)
    evaluations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    monitors: Mapping[str, Any] = field(default_factory=dict)
    findings: Mapping[str, Finding] = field(default_factory=dict)
    not_finite: Mapping[str, Any] = field(default_factory=dict)
    transcript: Mapping[str, Any] = field(default_factory=dict)

    model_file = _File("model.safetensors")
    state_file = _File("last.safetensors")
    info_file = _File("run.json")
    history_file = _File("history.json")
    metrics_file = _File("metrics.csv")
    curves_png = _File("curves.png")
    curves_pdf = _File("curves.pdf")
    monitors_file = _File("monitors.json")
    not_finite_file = _File("not-finite.json")
    not_finite_batch = _File("not-finite.npz")
    distillation_file = _File("distillation.json")
    emissions_folder = _File("emissions")
    transcript_file = _File("transcript.json")
    report_page = _File("report.html")
    evaluation_file = _SplitFile("evaluation-*.json")
    hypotheses_file = _SplitFile("hypotheses-*.csv")
    score_page = _SplitFile("score-*.html")
    # Scores on corpora that the model was not trained on, a folder for each.
    other_corpora = _File("other_corpora")
    # Models that `signloom export` made of this one, a folder for each precision.
    exported = _File("exported")
    # The logs of a run that was replaced are worth keeping.
    log_file = _File("training.log", kept=True)
    # Lightning opens the new ones before the old are removed.
    tensorboard = _File("tensorboard", kept=True)

    @classmethod
    def read(cls, path: Path | str) -> Run:
        """Returns the run in a folder. Raises InputError for a missing folder and for a damaged file."""
        run = cls(Path(path))
        if not run.path.is_dir():
            raise InputError(f"{path}: no such folder; needed the folder of a run")
        settle(run.path)
        evaluations = {split: _read(run.evaluation_file(split), records.Evaluation) for split in reversed(SPLITS)}
        epochs = _read(run.history_file, records.Epochs)
        monitors = _read(run.monitors_file, records.Monitored)
        return cls(
            run.path,
            info=_read(run.info_file, records.Info),
            history=_named(run.history_file, partial(History.from_json, epochs)) if epochs else History(),
            evaluations={split: record for split, record in evaluations.items() if record},
            monitors=monitors,
            findings=_named(run.monitors_file, partial(_findings, monitors)),
            not_finite=_read(run.not_finite_file, records.NotFinite),
            transcript=_read(run.transcript_file),
        )

    @classmethod
    def of(cls, model: Path) -> Run:
        """Returns the run folder that `model` is, or the folder of the model file `model`.

        A model that was exported into a run folder has a folder of its own there: its scores are not the run's.
        """
        folder = cls(model if model.is_dir() else model.parent)
        if model.suffix == ".onnx" and folder.is_run:
            return cls(folder.exported / model.stem)
        return folder

    @property
    def is_run(self) -> bool:
        """Whether the folder holds a run: one with a model, or one that ended before its first model was saved."""
        return self.model_file.is_file() or self.info_file.is_file()

    @property
    def is_trained(self) -> bool:
        """Whether the folder holds what training has learnt: a model, a state, or the history of epochs."""
        return any(path.exists() for path in (self.model_file, self.state_file, self.history_file))

    @property
    def written(self) -> Run:
        """Where training writes model, history and state: a hidden folder in this one until there is a state."""
        stage = Stage(self.path)
        return Run(stage.path) if stage.path.is_dir() else self

    @property
    def recorded(self) -> Run:
        """Where training writes its records: in this folder, unless an earlier run there is still to be replaced."""
        return self.written if self.is_trained else self

    def files(self) -> list[str]:
        """Returns the names of the files and folders of a run and of its evaluations that are there, without logs."""
        declared = [file for file in vars(type(self)).values() if isinstance(file, _File | _SplitFile)]
        return [path.name for file in declared if not file.kept for path in self.path.glob(file.name)]

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the recipe; empty where they are not recorded."""
        return self.info.get("recipe", {})

    @property
    def corpus(self) -> Mapping[str, Any]:
        """The record of the corpus, see `corpus_record`; empty where there is none."""
        return self.info.get("corpus", {})

    @property
    def epochs(self) -> list[EpochRecord]:
        return self.history.epochs

    @property
    def best(self) -> EpochRecord | None:
        """The epoch of the model that was kept."""
        return next((item for item in reversed(self.epochs) if item.epoch == self.history.best_epoch), None)

    @property
    def watched(self) -> list[Mapping[str, float]]:
        """The medians of the live monitors, one table per epoch, without those that are not finite."""
        rows = self.monitors.get("epochs", [])
        return [{name: value for name, value in row.items() if isinstance(value, int | float)} for row in rows]

    @property
    def steps(self) -> int:
        """The steps of the optimiser; of a run that ended within its first epoch, up to the last monitored one."""
        watched = [int(finding.figures.get("step", 0)) for finding in self.findings.values()]
        return max([item.steps for item in self.epochs] + watched, default=0)

    def find_corpus(self) -> Path | None:
        """Returns the folder of the run's corpus, found from any working directory, or its URL, or None.

        Tried in this order: the recorded absolute path, --data_dir as it was given, and, if that is relative,
        --data_dir from each folder above the run.
        """
        given = self.info.get("recipe", {}).get("data_dir")
        candidates = [located(place) for place in (self.corpus.get("path"), given) if place]
        if given and not is_url(given):
            candidates += [parent / given for parent in self.path.resolve().parents]
        return next((folder for folder in candidates if has_corpus(folder)), None)

    @property
    def corpus_place(self) -> Path | None:
        """Where the run recorded its corpus, which may have moved since; None if it recorded none."""
        place = self.corpus.get("path") or self.info.get("recipe", {}).get("data_dir")
        return located(place) if place else None

    def examined_on(self, corpus: Corpus) -> Run:
        """Returns the run with the folder and the importer of `corpus`, which an older record lacks, and as `current`
        what a run would record of it now.
        """
        record = as_json(corpus_record(corpus))
        known = {name: record[name] for name in ("path", "importer")} | {"current": record}
        return replace(self, info={**self.info, "corpus": {**self.corpus, **known}})

    def is_own_corpus(self, corpus: Corpus) -> bool:
        """Returns whether the run was trained on `corpus`: same name, and the same counts or the same folder.

        True for a folder that records no corpus.
        """
        if not self.corpus:
            return True
        there = self.find_corpus()
        same_folder = there is not None and there.resolve() == corpus.root.resolve()
        return self.corpus.get("name") == corpus.name and (
            same_folder or self.corpus.get("summary") == as_json(corpus.summary())
        )

    def scores_on(self, corpus: Corpus) -> Run:
        """Returns the folder for scores on `corpus`: the run's own, or one below it for another corpus."""
        if self.is_own_corpus(corpus):
            return self
        # Two corpora may have one name.
        digest = hashlib.sha256(json.dumps(as_json(corpus.summary())).encode()).hexdigest()
        return Run(self.other_corpora / f"{file_stem(corpus.name)}-{digest[:8]}")


def has_corpus(place: Path) -> bool:
    """Returns whether a folder holds a corpus. A URL is taken for one: opening it says what is there."""
    return isinstance(place, Url) or (place / HEADER).is_file()


def model_path(model: Path) -> Path:
    """Returns the model file that `model` is, or that the run folder `model` holds."""
    settle(Run.of(model).path)
    return Run(model).model_file if model.is_dir() else model


def corpus_record(corpus: Corpus) -> dict[str, Any]:
    """Returns what a run records about its corpus: name, absolute path, origin, counts by split, and whether dev holds
    signers of train only.

    lead: how often a composed utterance begins, and ends, at rest.
    """
    composed = corpus.info.get("composed")
    return {
        "name": corpus.name,
        "path": str(corpus.root.resolve()),
        "synthetic": bool(corpus.info.get("synthetic", False)),
        SYNTHETIC_UTTERANCES: corpus.info.get(SYNTHETIC_UTTERANCES),
        "composed": bool(composed),
        "lead": (composed.get("lead") if isinstance(composed, dict) else None) or 0.0,
        "licence": corpus.info.get("licence", "unknown"),
        "importer": corpus.info.get("importer", ""),
        "summary": corpus.summary(),
        "dev_is_known": dev_is_known(corpus.utterances),
    }


def _read(path: Path, kind: type = dict) -> dict[str, Any]:
    """Returns the object in a JSON file after checking it against the schema `kind`; an empty one for no file."""
    return read_record(path, kind, non_finite=True) if path.exists() else {}


def _findings(monitors: Mapping[str, Any]) -> dict[str, Finding]:
    return {item["id"]: Finding.from_json(item) for item in monitors.get("said", [])}


def _named(path: Path, make: Callable[[], Any]) -> Any:
    """Returns what `make` returns; its InputError names the file `path`."""
    try:
        return make()
    except InputError as error:
        raise InputError(f"{path}: {error}; make it again") from None


def checked(path: Path, make: Callable[[], Any]) -> Any:
    """Returns what `make` returns. Raises InputError naming the file `path` if its content has another form."""
    try:
        return make()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"{path}: not what signloom writes ({type(error).__name__}: {error}); make it again") from None
