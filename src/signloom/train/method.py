"""What a way to train puts in the place of plain training: the examples, the Lightning module, a part of the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from signloom.train.data import UtteranceDataset
from signloom.train.distill.targets import TaughtDataset
from signloom.train.module import RecognizerModule


@dataclass(frozen=True)
class Lessons:
    """train: the examples of the training split.  module: called as `RecognizerModule` is.  info: for the checkpoint's
    and the run's record."""

    train: UtteranceDataset | TaughtDataset
    module: Callable[..., RecognizerModule] = RecognizerModule
    info: Mapping[str, Any] = field(default_factory=dict)
