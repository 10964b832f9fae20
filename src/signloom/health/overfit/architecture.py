"""The model whose ability to learn is tested: a preset, or what a checkpoint says of its own build."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from signloom.errors import InputError
from signloom.health.overfit.regimes import SETTINGS, STANDARD, Setting
from signloom.inference.model import load
from signloom.inference.model_file import SUFFIX
from signloom.model.presets import PRESETS, ModelConfig, TeacherConfig
from signloom.run_folder import Run


@dataclass(frozen=True)
class Tested:
    """What is built, with new weights.  recorded: whether the config is a checkpoint's, with its own regularisation."""

    name: str
    config: ModelConfig
    recorded: bool = False

    def setting(self, name: str) -> Setting:
        """A setting for it: the standard one of a checkpoint has the dropout and the clamp that it was trained with."""
        setting = SETTINGS[name]
        if not self.recorded or name != STANDARD.name:
            return setting
        setting = dataclasses.replace(setting, dropout=self.config.dropout)
        if isinstance(self.config, TeacherConfig):
            setting = dataclasses.replace(
                setting,
                attention_clamp=self.config.attention_clamp,
                attention_dropout=self.config.attention_dropout,
            )
        return setting


def find_tested(name: str) -> Tested:
    """The preset, model file or run folder `name`. Raises InputError for anything else."""
    if name in PRESETS:
        return Tested(name, PRESETS[name])
    path = Path(name)
    if not path.exists():
        raise InputError(f"model: no preset {name!r}, and no model file; known presets are {', '.join(PRESETS)}")
    config = load(path).engine.config
    where = path.parent if path.name == Run.model_file.name else path
    return Tested(where.resolve().name.removesuffix(SUFFIX), config, recorded=True)
