"""How an overfit test trains. No torch here: the command line reads this module for its help."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from signloom.model.presets import ModelConfig, TeacherConfig, preset


@dataclass(frozen=True)
class Setting:
    """One way to train on a few utterances.

    augment: change the clips at random; the WER is always taken on the clips as they are.  attention: None keeps what
    the model has.  attention_clamp, attention: of a model with a fusion; others have no use for them.
    """

    name: str
    learning_rate: float
    dropout: float
    weight_decay: float
    augment: bool
    attention_clamp: float
    attention: bool | None = None

    def configure(self, model: str) -> ModelConfig:
        """The preset `model` with this setting's regularisation. Raises InputError for an unknown preset."""
        config = preset(model, dropout=self.dropout)
        if isinstance(config, TeacherConfig):
            config = dataclasses.replace(
                config,
                attention_dropout=self.dropout,
                attention_clamp=self.attention_clamp,
                attention=config.attention if self.attention is None else self.attention,
            )
        return config


# The figures of the test's description: the standard setting regularises as training does, the relaxed one not at all.
STANDARD = Setting("standard", learning_rate=5e-4, dropout=0.1, weight_decay=1e-4, augment=True, attention_clamp=10.0)
RELAXED = Setting("relaxed", learning_rate=1e-3, dropout=0.0, weight_decay=0.0, augment=False, attention_clamp=100.0)
SETTINGS = {setting.name: setting for setting in (STANDARD, RELAXED)}
