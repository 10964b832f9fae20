"""Can the model learn ten utterances by heart? The first question when a training gets nowhere.

Trains a new model on a few training utterances until it has no error on them for five epochs in a row, in two settings:
standard (learning rate 5e-4, dropout 0.1, weight decay, augmentation) and relaxed (learning rate 1e-3, none of these,
larger attention values allowed). If both pass, the model learns. If only relaxed passes, it is over-regularised. If
both fail, something is broken. A model other than the student is compared with the student on the same utterances.
--bisect searches for the cause of a failure: it changes dropout, augmentation, weight decay, attention, its clamp and
the learning rate, one at a time, then together. Writes a report, its values as JSON, and curves. Exit status: 0 if all
settings pass, else 1. A test that Ctrl-C or SIGTERM stops writes what it has, and ends with 130 or 143.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic as clock
from typing import TYPE_CHECKING, Any, Literal

from signloom.console import console, progress_bar, say
from signloom.corpus import Corpus
from signloom.errors import Faults, StoppedError
from signloom.health.overfit.regimes import REGIMES, Regime, changes_of
from signloom.hints import again
from signloom.model.presets import PRESETS
from signloom.signals import SignalWatch

if TYPE_CHECKING:
    from rich.progress import Progress

    from signloom.health.overfit.architecture import Architecture
    from signloom.health.overfit.training import OverfitRun

NO_BASELINE = "none"
# Where there is no terminal for a progress bar, a log gets a line this often.
LINE_SECONDS = 30.0


@dataclass
class Options:
    """Options of the overfit test."""

    data_dir: Path
    """the corpus; its training utterances are used"""
    model: str = "student"
    """the architecture to test: a preset (student, teacher, ...), a model file or a run folder. The weights are always
    new. With a file or folder, the standard setting uses the dropout and the clamp of its training"""
    setting: Literal["standard", "relaxed", "both"] = "both"
    """the settings to test"""
    num_samples: int = 10
    """number of training utterances, drawn at random by --seed"""
    max_epochs: int = 3000
    """largest number of epochs per setting"""
    max_minutes: float | None = None
    """largest number of minutes of the whole command: settings, other model and tries of --bisect share them, and what
    one leaves over the next ones have; default: no limit"""
    baseline: str = "student"
    """preset to compare another model with, on the same utterances; 'none': no comparison"""
    bisect: bool = False
    """if a setting fails, search for the cause"""
    bisect_epochs: int = 300
    """largest number of epochs per try of --bisect"""
    attention: bool | None = None
    """false: in both settings, combine the modalities by their mean instead of attention (models with a fusion)"""
    attention_clamp: float | None = None
    """largest absolute value that attention may add, in both settings (models with a fusion)"""
    dropout: float | None = None
    """dropout rate in both settings, also of attention; 0: none"""
    weight_decay: float | None = None
    """weight decay in both settings; 0: none"""
    augment: bool | None = None
    """change training clips at random, in both settings or in none"""
    learning_rate: float | None = None
    """learning rate in both settings"""
    batch_size: int | None = None
    """utterances per batch; default: all of them. In small batches, batch norm has other statistics than in evaluation,
    so a model that knows the utterances may still make errors"""
    gradient_clip: float = 1.0
    """largest norm of the gradient; larger gradients are scaled down"""
    seed: int = 0
    """seed for the choice of utterances, the initial weights, the order and the augmentation"""
    output: Path = Path("runs/overfit")
    """the folder to write overfit-MODEL.txt, .json and .png into"""
    threads: int = 1
    """number of CPU threads"""

    def check(self) -> None:
        """Raises InputError listing every invalid value."""
        faults = Faults("overfit options")
        faults.need_at_least(1, self, "num_samples", "max_epochs", "bisect_epochs", "batch_size", "threads")
        faults.need_above(0, self, "gradient_clip", "learning_rate", "attention_clamp", "max_minutes")
        faults.need_at_least(0, self, "weight_decay")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            faults.add(f"--dropout is {self.dropout}; needed 0 to below 1")
        if self.baseline != NO_BASELINE and self.baseline not in PRESETS:
            faults.add(f"--baseline is {self.baseline!r}; needed {NO_BASELINE} or one of {', '.join(PRESETS)}")
        faults.raise_if_any()

    def changes(self) -> dict[str, Any]:
        """Returns the fields of a regime that these options override."""
        names = ("attention", "attention_clamp", "dropout", "weight_decay", "augment", "learning_rate")
        values = {name: getattr(self, name) for name in names} | {"attention_dropout": self.dropout}
        return {name: value for name, value in values.items() if value is not None}


def run(options: Options) -> int:
    """Returns 0 if every tested setting passes, else 1."""
    options.check()
    from signloom.health.overfit.architecture import find_architecture
    from signloom.health.overfit.bisection import bisect
    from signloom.health.overfit.report import OverfitReport, write_overfit
    from signloom.health.overfit.verdict import overfit_verdict, undecided
    from signloom.health.threads import cpu_threads
    from signloom.train.start_rules import constant_rate

    if options.learning_rate is not None and (found := constant_rate(options.learning_rate)).needs_action:
        say(f"{found.level}: {found.sentences}")
    corpus = Corpus.open(options.data_dir)
    architecture = find_architecture(options.model)
    names = list(REGIMES) if options.setting == "both" else [options.setting]
    regimes = [dataclasses.replace(architecture.regime(name), **options.changes()) for name in names]
    other = None if options.baseline in (NO_BASELINE, options.model) else find_architecture(options.baseline)
    # The baseline trains with the same regimes; the tries of a bisection together get the time of one run.
    planned = len(regimes) * (1 if other is None else 2) + options.bisect
    bisection = None
    with (
        cpu_threads(options.threads),
        progress_bar(disable=not console.is_terminal) as bar,
        SignalWatch().listening() as signals,
    ):
        train = _Trainer(options, corpus, bar, signals, planned)
        runs = train.each((architecture, regime.name, regime) for regime in regimes)
        baseline = []
        if other is not None:
            baseline = train.each((other, f"{other.name}, {name}", other.regime(name)) for name in names)
        failed = min((one for one in runs if not one.passed), key=undecided, default=None)
        if options.bisect and failed is not None:
            train.runs_left = len(changes_of(failed.setting, architecture.config)) + 1
            bisection = bisect(
                failed,
                architecture.config,
                lambda name, regime: train(architecture, name, regime, options.bisect_epochs, optional=True),
            )
    verdict = overfit_verdict(runs, baseline=baseline, bisection=bisection)
    if ending := signals.ending:
        verdict = dataclasses.replace(verdict, passed=False, headline=f"stopped by {ending.name}; {verdict.headline}")
    report = OverfitReport(tuple(runs), verdict, tuple(baseline), bisection)
    paths = write_overfit(report, options.output)
    print(report.text())
    print(f"\nreport, values and curves: {', '.join(str(path) for path in paths.values())}")
    if ending:
        raise StoppedError(f"stopped by {ending.name}; what was measured until then is in {paths['txt']}", ending)
    if failed is not None and not options.bisect and not undecided(failed):
        print(f"next: {again('overfit', options, bisect=True)}")
    return 0 if verdict.passed else 1


@dataclass
class _Trainer:
    """Trains by the options, shows the progress, and shares the minutes among the runs that are left.

    runs_left: the number of runs to come; each gets an equal share of the time that is left.
    """

    options: Options
    corpus: Corpus
    bar: Progress
    signals: SignalWatch
    runs_left: int
    started: float = field(default_factory=lambda: clock())
    begun: bool = False

    def each(self, planned: Iterable[tuple[Architecture, str, Regime]]) -> list[OverfitRun]:
        """Returns the runs of architectures with regimes, the second of each a name for display.

        A signal leaves out those that have not begun, but for the first of all.
        """
        runs = (self(*each, self.options.max_epochs) for each in planned)
        return [run for run in runs if run is not None]

    def __call__(
        self, architecture: Architecture, name: str, regime: Regime, max_epochs: int, *, optional: bool = False
    ) -> OverfitRun | None:
        """Returns a run; None after a signal, and for an optional one when the time is over."""
        from signloom.health.overfit.training import Epoch, overfit
        from signloom.health.overfit.verdict import outcome

        minutes = self.options.max_minutes
        left = math.inf if minutes is None else 60 * minutes - (clock() - self.started)
        # Something is always measured.
        if (self.signals.ending and self.begun) or (optional and left <= 0):
            return None
        self.begun = True
        share = max(0.0, left / max(1, self.runs_left))
        self.runs_left -= 1
        task = self.bar.add_task(name, total=max_epochs, unit="epochs")
        said = clock()

        def show(epoch: Epoch) -> None:
            nonlocal said
            text = f"{name}: WER {100 * epoch.wer:5.1f} %, loss {epoch.loss:7.3f}"
            self.bar.update(task, completed=epoch.number, description=text)
            if self.bar.disable and clock() - said >= LINE_SECONDS:
                say(f"{text}, epoch {epoch.number} of at most {max_epochs}")
                said = clock()

        result = overfit(
            self.corpus,
            architecture,
            regime,
            num_samples=self.options.num_samples,
            max_epochs=max_epochs,
            max_seconds=share,
            batch_size=self.options.batch_size,
            gradient_clip=self.options.gradient_clip,
            seed=self.options.seed,
            on_epoch=show,
            should_stop=lambda: self.signals.ending is not None,
        )
        # The bar of a run that ended early is full, too.
        self.bar.update(task, total=len(result.epochs))
        if self.bar.disable:
            say(f"{name}: {outcome(result)}")
        return result
