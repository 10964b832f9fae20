"""Ten iterations on one batch: does the loss fall?

Trains a new model on one batch of training utterances and prints loss and gradient norm of every step. Takes seconds;
exit status 1 if the loss does not fall, or is not finite.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from signloom.corpus import Corpus
from signloom.errors import Faults
from signloom.health.overfit.regimes import STANDARD


@dataclass
class Options:
    """Options of the verification."""

    data_dir: Path
    """the corpus, of which training utterances are taken"""
    model: str = "student"
    """what to verify: a preset (student, teacher, ...), or a model file or run folder, of whose build a new model is
    made"""
    num_steps: int = 10
    """iterations"""
    batch_size: int = 4
    """utterances of the batch"""
    learning_rate: float = STANDARD.learning_rate
    """of AdamW, constant"""
    gradient_clip: float = 1.0
    """largest norm of the gradient; what is printed is the norm before clipping"""
    seed: int = 0
    """of the choice of utterances and the weights"""
    threads: int = 1
    """CPU threads"""

    def check(self) -> None:
        """Raises InputError with every value that cannot be."""
        faults = Faults("verify options")
        if self.num_steps < 2:
            faults.add(f"--num_steps is {self.num_steps}; needed at least 2 to see the loss fall")
        for name in ("batch_size", "threads"):
            if getattr(self, name) < 1:
                faults.add(f"--{name} is {getattr(self, name)}; needed at least 1")
        for name in ("learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                faults.add(f"--{name} is {getattr(self, name)}; needed above 0")
        faults.raise_if_any()


def run(options: Options) -> int:
    """0 when the loss fell, else 1."""
    options.check()
    import torch

    from signloom.health.overfit.architecture import find_tested
    from signloom.health.overfit.report import iterations_text
    from signloom.health.overfit.training import first_iterations
    from signloom.health.overfit.verdict import judge_iterations

    corpus = Corpus.open(options.data_dir)
    tested = find_tested(options.model)
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        measured = first_iterations(
            corpus,
            tested,
            dataclasses.replace(tested.setting(STANDARD.name), learning_rate=options.learning_rate),
            num_steps=options.num_steps,
            batch_size=options.batch_size,
            gradient_clip=options.gradient_clip,
            seed=options.seed,
        )
    finally:
        torch.set_num_threads(threads)
    verdict = judge_iterations(measured)
    print(iterations_text(measured, verdict))
    if verdict.passed:
        print(f"next: signloom overfit --data_dir {options.data_dir} --model {options.model}")
    return 0 if verdict.passed else 1
