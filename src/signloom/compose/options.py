"""The options of composed corpora."""

from __future__ import annotations

from dataclasses import dataclass, field

from signloom.corpus.splits import AUTO, check_dev_signers
from signloom.errors import Faults, listed


@dataclass(frozen=True, kw_only=True)
class ComposeOptions:
    """Options of composed corpora."""

    held_out: list[str] = field(default_factory=list)
    """groups (signers) that are used only for test: the unseen signers"""
    dev_signers: list[str] = field(default_factory=lambda: [AUTO])
    """groups (signers) that are used only for dev, so that dev shows how strangers are recognised: auto (one in six of
    those that are not held out, if there are six or more, so that train keeps every gloss), a number of them, their
    names, or known (dev gets a share of the clips of every group that trains)"""
    num_train: int = 1000
    """number of utterances in train"""
    num_dev: int = 150
    """number of utterances in dev"""
    num_test: int = 150
    """number of utterances in test"""
    min_glosses: int = 3
    """smallest number of signs per utterance"""
    max_glosses: int = 8
    """largest number of signs per utterance"""
    clips_per_gloss: int | None = None
    """largest number of training clips per gloss and group (default: all)"""
    seed: int = 0
    """seed of every random draw: the same seed gives the same corpus"""

    def __post_init__(self) -> None:
        faults = Faults("compose")
        faults.need_at_least(0, self, "num_train", "num_dev", "num_test", "seed")
        faults.need_at_least(1, self, "clips_per_gloss")
        check_dev_signers(self.dev_signers, faults)
        if both := sorted(set(self.held_out) & set(self.dev_signers)):
            faults.add(f"{listed(both)} in --held_out and in --dev_signers; needed different groups for test and dev")
        if self.num_train + self.num_dev + self.num_test == 0:
            faults.add("the corpus would have no utterances; raise --num_train, --num_dev or --num_test")
        if not 1 <= self.min_glosses <= self.max_glosses:
            faults.add(f"--min_glosses {self.min_glosses} and --max_glosses {self.max_glosses}; needed 1 <= min <= max")
        faults.raise_if_any()
