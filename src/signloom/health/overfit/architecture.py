"""The architecture under test: a preset's, or that of a checkpoint. Its weights are always new."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from signloom.errors import InputError
from signloom.health.overfit.regimes import REGIMES, STANDARD, Regime
from signloom.inference.model import load
from signloom.inference.model_file import SUFFIX
from signloom.model.presets import PRESETS, ModelConfig, TeacherConfig
from signloom.run_folder import Run
from signloom.train.recipe import Recipe


@dataclass(frozen=True)
class Architecture:
    """What the overfit test builds.

    recorded: whether the configuration, and so its dropout, is a checkpoint's.  auxiliary_weight: of the auxiliary
    head's loss, if the configuration has such a head.
    """

    name: str
    config: ModelConfig
    recorded: bool = False
    auxiliary_weight: float = Recipe.auxiliary_weight

    def regime(self, name: str) -> Regime:
        """Returns a regime for this architecture.

        For a checkpoint, the standard regime has the dropout and the attention clamp of the checkpoint's training.
        """
        regime = REGIMES[name]
        if not self.recorded or name != STANDARD.name:
            return regime
        names = ["dropout"]
        if isinstance(self.config, TeacherConfig):
            names += ["attention_clamp", "attention_dropout"]
        return dataclasses.replace(regime, **{name: getattr(self.config, name) for name in names})


def find_architecture(name: str) -> Architecture:
    """Returns the architecture of a preset, a model file or a run folder. Raises InputError for any other name."""
    if name in PRESETS:
        return Architecture(name, PRESETS[name])
    path = Path(name)
    if not path.exists():
        raise InputError(f"model: no preset {name!r}, and no model file; known presets are {', '.join(PRESETS)}")
    model = load(path)
    weight = model.info.get("recipe", {}).get("auxiliary_weight", Recipe.auxiliary_weight)
    where = path.parent if path.name == Run.model_file.name else path
    return Architecture(where.resolve().name.removesuffix(SUFFIX), model.engine.config, True, weight)
