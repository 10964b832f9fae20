"""How an overfit test trains. No torch here: the command line reads this module for its help."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signloom.model.presets import ModelConfig, TeacherConfig


@dataclass(frozen=True)
class Setting:
    """One way to train on a few utterances.

    augment: change the clips at random; the WER is always taken on the clips as they are.  attention: None keeps what
    the model has.  attention_dropout: None for that of the rest.  attention_clamp, attention, attention_dropout: of a
    model with a fusion; others have no use for them.
    """

    name: str
    learning_rate: float
    dropout: float
    weight_decay: float
    augment: bool
    attention_clamp: float
    attention: bool | None = None
    attention_dropout: float | None = None

    def configure(self, config: ModelConfig) -> ModelConfig:
        """`config` with this setting's regularisation. Raises InputError for a dropout or clamp that cannot be."""
        config = dataclasses.replace(config, dropout=self.dropout)
        if isinstance(config, TeacherConfig):
            own = self.attention_dropout
            config = dataclasses.replace(
                config,
                attention_dropout=self.dropout if own is None else own,
                attention_clamp=self.attention_clamp,
                attention=config.attention if self.attention is None else self.attention,
            )
        return config

    def describe(self, config: ModelConfig) -> str:
        """The figures, those of attention only where `config` has a fusion."""
        words = [
            f"learning rate {self.learning_rate:g}",
            f"dropout {self.dropout:g}",
            f"weight decay {self.weight_decay:g}",
            f"augmentation {'on' if self.augment else 'off'}",
        ]
        configured = self.configure(config)
        if isinstance(configured, TeacherConfig):
            words.append(
                f"attention clamp {self.attention_clamp:g}" if configured.attention else "attention off: plain average"
            )
        return ", ".join(words)


# The figures of the test's description: the standard setting regularises as training does, the relaxed one not at all.
STANDARD = Setting("standard", learning_rate=5e-4, dropout=0.1, weight_decay=1e-4, augment=True, attention_clamp=10.0)
RELAXED = Setting("relaxed", learning_rate=1e-3, dropout=0.0, weight_decay=0.0, augment=False, attention_clamp=100.0)
SETTINGS = {setting.name: setting for setting in (STANDARD, RELAXED)}

# What a search for the cause tries, each by itself, and the flags that train so. The relaxed setting's
# figures, attention left out altogether, and a learning rate ten times smaller than the relaxed one's.
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "dropout off": {"dropout": 0.0, "attention_dropout": 0.0},
    "augmentation off": {"augment": False},
    "weight decay off": {"weight_decay": 0.0},
    "attention off": {"attention": False},
    f"attention clamp {RELAXED.attention_clamp:g}": {"attention_clamp": RELAXED.attention_clamp},
    f"learning rate {RELAXED.learning_rate:g}": {"learning_rate": RELAXED.learning_rate},
    f"learning rate {RELAXED.learning_rate / 10:g}": {"learning_rate": RELAXED.learning_rate / 10},
}
HOW = {
    "dropout": "--dropout 0",
    "augment": "--augment false",
    "weight_decay": "--weight_decay 0",
    "learning_rate": "--learning_rate {:g}",
    "attention": "--attention false",
    "attention_clamp": "--attention_clamp {:g}",
}


def changes_of(setting: Setting, config: ModelConfig) -> list[str]:
    """Names of the CHANGES that make another training of `setting` and `config`."""
    before = setting.configure(config)
    found = []
    for name, fields in CHANGES.items():
        changed = dataclasses.replace(setting, **fields)
        # What a model without a fusion has no use for changes nothing.
        trains_otherwise = (changed.learning_rate, changed.weight_decay, changed.augment) != (
            setting.learning_rate,
            setting.weight_decay,
            setting.augment,
        )
        if trains_otherwise or changed.configure(config) != before:
            found.append(name)
    return found


def with_changes(setting: Setting, names: tuple[str, ...]) -> Setting:
    """`setting` with some of the CHANGES, and named after them."""
    fields = {field: value for name in names for field, value in CHANGES[name].items()}
    return dataclasses.replace(setting, name=f"{setting.name}, {', '.join(names)}", **fields)


def how_to_train(name: str) -> str:
    """The flag that gives training the same change."""
    field, value = next(iter(CHANGES[name].items()))
    return HOW[field].format(value)
