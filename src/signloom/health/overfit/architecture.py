"""The architecture under test: a preset's, or that of a checkpoint. Its weights are always new."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signloom.errors import InputError
from signloom.health.overfit.regimes import REGIMES, STANDARD, Regime
from signloom.inference.model import load
from signloom.inference.model_file import SUFFIX
from signloom.model.presets import PRESETS, ModelConfig, TeacherConfig
from signloom.run_folder import Run
from signloom.train.recipe import Recipe

# The options of `signloom train` that decide what is built ...
_BUILDING = ("preset", "frame_rate", "share_hands", "classifier")
# ... and the fields of a configuration that a regime or other options set.
_REGULARISING = ("dropout", "attention_dropout", "attention_clamp", "attention", "auxiliary_head")


@dataclass(frozen=True)
class Architecture:
    """What the overfit test builds.

    options: those of `signloom train` that build it.  recorded: whether the configuration, and so its dropout, is a
    checkpoint's.  auxiliary_weight: of the auxiliary head's loss, if the configuration has such a head.
    """

    name: str
    config: ModelConfig
    options: tuple[str, ...]
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

    def train_command(self, corpus: Path, regime: Regime, gradient_clip: float) -> str:
        """Returns the command line that trains this architecture with the settings of an overfit test."""
        config = regime.configure(self.config)
        arguments = ["signloom", "train", "--data_dir", str(corpus), *self.options]
        arguments += ["--auxiliary_head", str(config.auxiliary_head).lower()]
        if config.auxiliary_head:
            arguments += ["--auxiliary_weight", f"{self.auxiliary_weight:g}"]
        arguments += regime.options(isinstance(config, TeacherConfig))
        return shlex.join([*arguments, "--gradient_clip", f"{gradient_clip:g}"])


def find_architecture(name: str) -> Architecture:
    """Returns the architecture of a preset, a model file or a run folder. Raises InputError for any other name."""
    if name in PRESETS:
        return Architecture(name, PRESETS[name], ("--preset", name))
    path = Path(name)
    if not path.exists():
        raise InputError(f"model: no preset {name!r}, and no model file; known presets are {', '.join(PRESETS)}")
    model = load(path)
    recipe = model.info.get("recipe", {})
    weight = recipe.get("auxiliary_weight", Recipe.auxiliary_weight)
    where = path.parent if path.name == Run.model_file.name else path
    config = model.engine.config
    options = _options(config, recipe) or ("--init", name)
    return Architecture(where.resolve().name.removesuffix(SUFFIX), config, options, True, weight)


def _options(config: ModelConfig, recipe: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Returns the options of `signloom train` that build a model of `config`, or None if its recipe builds another."""
    given = {name: recipe[name] for name in _BUILDING if recipe.get(name, False) not in (None, False)}
    try:
        built = Recipe.from_json({"data_dir": "", **given}).model_config()
    except (InputError, TypeError):
        return None
    regularised = {name: getattr(config, name) for name in _REGULARISING if hasattr(config, name)}
    if type(built) is not type(config) or dataclasses.replace(built, **regularised) != config:
        return None
    return tuple(part for name, value in given.items() for part in (f"--{name}", str(value).replace("True", "true")))
