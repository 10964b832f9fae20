"""Learning rate and regularisation in the overfit test. No torch here: the command line reads this for its help."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signloom.model.presets import ModelConfig, TeacherConfig


@dataclass(frozen=True)
class Regime:
    """Learning rate and regularisation of a training on a few utterances.

    augment: whether clips are changed at random in training; the WER is measured on unchanged clips.
    attention_clamp, attention, attention_dropout: ignored by models without a fusion of modalities.
    attention: None keeps the model's own.  attention_dropout: None for `dropout`.
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
        """Returns `config` with this regularisation. Raises InputError for an invalid dropout or clamp."""
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
        """Returns the values in words; those of attention only for a `config` with a fusion."""
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

    def options(self, has_attention: bool) -> list[str]:
        """Returns the options of `signloom train` with these values. has_attention: of a model with a fusion.

        The overfit test keeps its learning rate, and compares no masked views.
        """
        options = {
            "learning_rate": f"{self.learning_rate:g}",
            "schedule": "plain",
            "dropout": f"{self.dropout:g}",
            "weight_decay": f"{self.weight_decay:g}",
            "augment": str(self.augment).lower(),
            "consistency": "0",
        }
        if has_attention:
            options["attention_clamp"] = f"{self.attention_clamp:g}"
            if self.attention is not None:
                options["attention"] = str(self.attention).lower()
        return [part for name, value in options.items() for part in (f"--{name}", value)]


# The standard regime regularises as training does, the relaxed one not at all.
STANDARD = Regime("standard", learning_rate=5e-4, dropout=0.1, weight_decay=1e-4, augment=True, attention_clamp=10.0)
RELAXED = Regime("relaxed", learning_rate=1e-3, dropout=0.0, weight_decay=0.0, augment=False, attention_clamp=100.0)
REGIMES = {regime.name: regime for regime in (STANDARD, RELAXED)}

# What the bisection changes, one at a time: each value of the relaxed regime, attention left out, and a learning rate
# of a tenth of the relaxed one.
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "dropout off": {"dropout": 0.0, "attention_dropout": 0.0},
    "augmentation off": {"augment": False},
    "weight decay off": {"weight_decay": 0.0},
    "attention off": {"attention": False},
    f"attention clamp {RELAXED.attention_clamp:g}": {"attention_clamp": RELAXED.attention_clamp},
    f"learning rate {RELAXED.learning_rate:g}": {"learning_rate": RELAXED.learning_rate},
    f"learning rate {RELAXED.learning_rate / 10:g}": {"learning_rate": RELAXED.learning_rate / 10},
}


def changes_of(regime: Regime, config: ModelConfig) -> list[str]:
    """Returns the names of the CHANGES that have an effect on `regime` and `config`."""

    def effects(changed: Regime) -> tuple[Any, ...]:
        return changed.configure(config), changed.learning_rate, changed.weight_decay, changed.augment

    before = effects(regime)
    return [name for name, fields in CHANGES.items() if effects(dataclasses.replace(regime, **fields)) != before]


def with_changes(regime: Regime, names: tuple[str, ...]) -> Regime:
    """Returns `regime` with some of the CHANGES, and named after them."""
    fields = {field: value for name in names for field, value in CHANGES[name].items()}
    return dataclasses.replace(regime, name=f"{regime.name}, {', '.join(names)}", **fields)
