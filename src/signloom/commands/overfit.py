"""Can the model learn ten utterances by heart? The first thing to ask when training gets nowhere.

Trains a new model on a few training utterances until their word error rate is 0 % for five epochs in a row, in two
settings: standard (learning rate 5e-4, dropout 0.1, weight decay, augmentation) and relaxed (learning rate 1e-3, none
of these, a wider clamp of attention). Both pass: the model learns. Only relaxed passes: it is over-regularised. Both
fail: something is broken. Another model than the student is compared with the student on the same utterances. --bisect
looks for what blocks a setting that fails: it takes dropout, augmentation, weight decay, attention, its clamp and the
learning rate away, one at a time, then together. Writes a report, the curves and the figures; exit status 1 unless all
that was asked passes.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from signloom.console import progress_bar
from signloom.corpus import Corpus
from signloom.errors import Faults
from signloom.health.overfit.regimes import SETTINGS, Setting
from signloom.model.presets import PRESETS

if TYPE_CHECKING:
    from rich.progress import Progress

    from signloom.health.overfit.architecture import Tested
    from signloom.health.overfit.training import OverfitRun

NO_BASELINE = "none"


@dataclass
class Options:
    """Options of the overfit test."""

    data_dir: Path
    """the corpus, of which training utterances are taken"""
    model: str = "student"
    """what to test: a preset (student, teacher, ...), or a model file or run folder, of whose build a new model is
    made; the standard setting then has the dropout and the clamp that it was trained with"""
    setting: Literal["standard", "relaxed", "both"] = "both"
    """which settings to try"""
    num_samples: int = 10
    """training utterances, the first of a shuffle by the seed"""
    max_epochs: int = 3000
    """at most, for each setting"""
    max_minutes: float | None = None
    """at most, for each setting and each try of --bisect; no limit when not given"""
    baseline: str = "student"
    """the preset that another model is compared with on the same utterances; 'none' for no comparison"""
    bisect: bool = False
    """where a setting fails, look for what blocks it"""
    bisect_epochs: int = 300
    """at most, for each try of --bisect"""
    attention: bool | None = None
    """false: average the modalities instead of attention, in every setting (models with a fusion)"""
    attention_clamp: float | None = None
    """the largest value that attention adds, in every setting (models with a fusion)"""
    dropout: float | None = None
    """dropout in every setting, of attention too; 0 is off"""
    weight_decay: float | None = None
    """weight decay in every setting; 0 is off"""
    augment: bool | None = None
    """change clips at random in every setting, or in none"""
    learning_rate: float | None = None
    """learning rate in every setting"""
    batch_size: int | None = None
    """utterances in a step; all of them when not given: in batches of a few of them, batch norm has other statistics in
    training than in evaluation, and a model that knows the samples by heart still errs"""
    gradient_clip: float = 1.0
    """largest norm of the gradient"""
    seed: int = 0
    """of the choice of utterances, the weights, the order and the augmentation"""
    output: Path = Path("runs/overfit")
    """the folder for overfit-MODEL.txt, .json and .png"""
    threads: int = 1
    """CPU threads"""

    def check(self) -> None:
        """Raises InputError with every value that cannot be."""
        faults = Faults("overfit options")
        for name in ("num_samples", "max_epochs", "bisect_epochs", "batch_size", "threads"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                faults.add(f"--{name} is {getattr(self, name)}; needed at least 1")
        for name in ("gradient_clip", "learning_rate", "attention_clamp", "max_minutes"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                faults.add(f"--{name} is {getattr(self, name)}; needed above 0")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            faults.add(f"--dropout is {self.dropout}; needed 0 to below 1")
        if self.weight_decay is not None and not self.weight_decay >= 0:
            faults.add(f"--weight_decay is {self.weight_decay}; needed at least 0")
        if self.baseline != NO_BASELINE and self.baseline not in PRESETS:
            faults.add(f"--baseline is {self.baseline!r}; needed {NO_BASELINE} or one of {', '.join(PRESETS)}")
        faults.raise_if_any()

    @property
    def switched(self) -> dict[str, Any]:
        """What the switches set in every setting."""
        names = ("attention", "attention_clamp", "dropout", "weight_decay", "augment", "learning_rate")
        fields = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return fields | ({"attention_dropout": self.dropout} if self.dropout is not None else {})


def run(options: Options) -> int:
    """0 when every setting that was asked for passes, else 1."""
    options.check()
    import torch

    from signloom.health.overfit.architecture import find_tested
    from signloom.health.overfit.bisection import bisect
    from signloom.health.overfit.report import OverfitReport, write_overfit
    from signloom.health.overfit.verdict import judge_overfit

    corpus = Corpus.open(options.data_dir)
    tested = find_tested(options.model)
    names = list(SETTINGS) if options.setting == "both" else [options.setting]
    bisection, baseline = None, []
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        with progress_bar() as bar:
            attempt = _Attempts(options, corpus, bar)
            runs = [attempt(tested, name, _switched(options, tested, name)) for name in names]
            if options.baseline not in (NO_BASELINE, options.model):
                other = find_tested(options.baseline)
                baseline = [attempt(other, f"{other.name}, {name}", other.setting(name)) for name in names]
            failed = next((one for one in runs if not one.passed), None)
            if options.bisect and failed is not None:
                bisection = bisect(
                    failed,
                    tested.config,
                    lambda name, setting: attempt(tested, name, setting, max_epochs=options.bisect_epochs),
                )
    finally:
        torch.set_num_threads(threads)
    verdict = judge_overfit(runs, baseline=baseline, bisection=bisection)
    report = OverfitReport(tuple(runs), verdict, tuple(baseline), bisection)
    paths = write_overfit(report, options.output)
    print(report.text())
    print(f"\nreport, figures and curves: {', '.join(str(path) for path in paths.values())}")
    if verdict.passed and not tested.recorded:
        print(f"next: signloom train --data_dir {options.data_dir} --preset {options.model}")
    elif failed is not None and not options.bisect:
        print(f"next: signloom overfit --data_dir {options.data_dir} --model {options.model} --bisect true")
    return 0 if verdict.passed else 1


def _switched(options: Options, tested: Tested, name: str) -> Setting:
    return dataclasses.replace(tested.setting(name), **options.switched)


@dataclass
class _Attempts:
    """Trains, and shows how far it is."""

    options: Options
    corpus: Corpus
    bar: Progress

    def __call__(self, tested: Tested, name: str, setting: Setting, *, max_epochs: int | None = None) -> OverfitRun:
        from signloom.health.overfit.training import Epoch, overfit

        most = max_epochs or self.options.max_epochs
        task = self.bar.add_task(name, total=most, unit="epochs")

        def show(epoch: Epoch) -> None:
            text = f"{name}: WER {100 * epoch.wer:5.1f} %, loss {epoch.loss:7.3f}"
            self.bar.update(task, completed=epoch.number, description=text)

        minutes = self.options.max_minutes
        run = overfit(
            self.corpus,
            tested,
            setting,
            num_samples=self.options.num_samples,
            max_epochs=most,
            max_seconds=math.inf if minutes is None else 60 * minutes,
            batch_size=self.options.batch_size,
            gradient_clip=self.options.gradient_clip,
            seed=self.options.seed,
            on_epoch=show,
        )
        # A run that ended early is done all the same.
        self.bar.update(task, total=len(run.epochs))
        return run
