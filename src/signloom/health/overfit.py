"""Can the model learn ten utterances by heart? The first thing to ask when training gets nowhere.

Trains a new model on a few training utterances until their word error rate is 0 % for five epochs in a row, in two
settings: standard (learning rate 5e-4, dropout 0.1, weight decay, augmentation) and relaxed (learning rate 1e-3, none
of these, a wider clamp of attention). Both pass: the model learns. Only relaxed passes: it is over-regularised. Both
fail: something is broken. Writes a report, the curves and the figures; exit status 1 unless all that was asked passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from signloom.console import progress_bar
from signloom.corpus import Corpus
from signloom.errors import Faults, MissingExtraError
from signloom.health.settings import SETTINGS


@dataclass
class Options:
    """Options of the overfit test."""

    data_dir: Path
    """the corpus, of which training utterances are taken"""
    model: str = "student"
    """the preset to test: student, teacher, ..."""
    setting: Literal["standard", "relaxed", "both"] = "both"
    """which settings to try"""
    num_samples: int = 10
    """training utterances, the first of a shuffle by the seed"""
    max_epochs: int = 3000
    """at most, for each setting"""
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
        for name in ("num_samples", "max_epochs", "batch_size", "threads"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                faults.add(f"--{name} is {getattr(self, name)}; needed at least 1")
        if not self.gradient_clip > 0:
            faults.add(f"--gradient_clip is {self.gradient_clip}; needed above 0")
        faults.raise_if_any()


def run(options: Options) -> int:
    """0 when every setting that was asked for passes, else 1."""
    options.check()
    try:
        import torch

        from signloom.health.judgement import judge_overfit
        from signloom.health.learning import Epoch, overfit
        from signloom.health.show import overfit_text, write_overfit
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", str(error.name), "the overfit test") from None
    corpus = Corpus.open(options.data_dir)
    settings = list(SETTINGS.values()) if options.setting == "both" else [SETTINGS[options.setting]]
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    runs = []
    try:
        with progress_bar() as progress:
            for setting in settings:
                task = progress.add_task(setting.name, total=options.max_epochs, unit="epochs")

                def show(epoch: Epoch, task: int = task, name: str = setting.name) -> None:
                    text = f"{name}: WER {100 * epoch.wer:5.1f} %, loss {epoch.loss:7.3f}"
                    progress.update(task, completed=epoch.number, description=text)  # type: ignore[arg-type]

                runs.append(
                    overfit(
                        corpus,
                        options.model,
                        setting,
                        num_samples=options.num_samples,
                        max_epochs=options.max_epochs,
                        batch_size=options.batch_size,
                        gradient_clip=options.gradient_clip,
                        seed=options.seed,
                        on_epoch=show,
                    )
                )
                # A run that ended early is done all the same.
                progress.update(task, total=len(runs[-1].epochs))
    finally:
        torch.set_num_threads(threads)
    verdict = judge_overfit(runs)
    paths = write_overfit(runs, verdict, options.output)
    print(overfit_text(runs, verdict))
    print(f"\nreport, figures and curves: {', '.join(str(path) for path in paths.values())}")
    if verdict.passed:
        print(f"next: signloom train --data_dir {options.data_dir} --preset {options.model}")
    return 0 if verdict.passed else 1
