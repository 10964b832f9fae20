"""Ten iterations on one batch: does the loss fall?

Trains a new model on one batch of training utterances and prints the loss and the gradient norm of every step. It takes
seconds. It also says if the landmarks of a few clips were normalised before, or are no person: the loss falls all the
same. Exit status: 0 if the loss falls and stays finite, else 1.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from signloom.console import say
from signloom.corpus import Corpus
from signloom.errors import Faults
from signloom.health.overfit.regimes import STANDARD
from signloom.hints import again, command


@dataclass
class Options:
    """Options of the verification."""

    data_dir: Path
    """the corpus; its training utterances are used"""
    model: str = "student"
    """the architecture to verify: a preset (student, teacher, ...), a model file or a run folder. The weights are
    always new"""
    num_steps: int = 10
    """number of iterations"""
    batch_size: int = 4
    """utterances in the batch"""
    learning_rate: float = STANDARD.learning_rate
    """constant learning rate of AdamW"""
    gradient_clip: float = 1.0
    """largest norm of the gradient; larger gradients are scaled down. The norm before that is printed"""
    seed: int = 0
    """seed for the choice of utterances and the initial weights"""
    threads: int = 1
    """number of CPU threads"""

    def check(self) -> None:
        """Raises InputError listing every invalid value."""
        faults = Faults("verify options")
        if self.num_steps < 2:
            faults.add(f"--num_steps is {self.num_steps}; needed at least 2 to see the loss fall")
        faults.need_at_least(1, self, "batch_size", "threads")
        faults.need_above(0, self, "learning_rate", "gradient_clip")
        faults.raise_if_any()


def run(options: Options) -> int:
    """Returns 0 if the loss fell, else 1."""
    options.check()
    from signloom.health.first_look import first_look
    from signloom.health.overfit.architecture import find_architecture
    from signloom.health.overfit.report import iterations_text
    from signloom.health.overfit.training import first_iterations
    from signloom.health.overfit.verdict import iterations_verdict
    from signloom.health.threads import cpu_threads
    from signloom.train.start_rules import constant_rate

    corpus = Corpus.open(options.data_dir)
    looked = first_look(corpus)
    for finding in (constant_rate(options.learning_rate), *looked):
        if finding.needs_action:
            say(f"{finding.level}: {finding.sentences}")
    architecture = find_architecture(options.model)
    regime = dataclasses.replace(architecture.regime(STANDARD.name), learning_rate=options.learning_rate)
    with cpu_threads(options.threads):
        measured = first_iterations(
            corpus,
            architecture,
            regime,
            num_steps=options.num_steps,
            batch_size=options.batch_size,
            gradient_clip=options.gradient_clip,
            seed=options.seed,
        )
    verdict = iterations_verdict(measured)
    print(iterations_text(measured, verdict))
    if looked:
        print(f"next: {command('doctor', options.data_dir)}")
    elif verdict.passed:
        print(f"next: {again('overfit', options, leave_out=('num_steps', 'batch_size', 'learning_rate'))}")
    return 0 if verdict.passed else 1
