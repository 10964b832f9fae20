"""The option of commands that use a model: a model of the user's, or the demo model that comes with signloom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signloom.console import say
from signloom.demo import demo_model, in_short
from signloom.errors import InputError
from signloom.inference.model import Model, load


@dataclass(kw_only=True)
class ModelOption:
    """The model to use."""

    model: Path | None = None
    """a run folder with a model, a model file, or an exported model (.onnx), which needs no torch"""
    demo: bool = False
    """use the demo model that comes with signloom, in the place of --model: a few words of American Sign Language"""

    @property
    def model_file(self) -> Path:
        """The model that --model or --demo names. Raises InputError unless it is exactly one of them."""
        if self.model is not None and self.demo:
            raise InputError(f"--model {self.model} and --demo are two models; leave out one of them")
        if self.demo:
            return demo_model()
        if self.model is None:
            raise InputError(
                "--model is missing; needed a run folder, a model file or an exported model; or --demo, the model that "
                "comes with signloom"
            )
        return self.model

    @property
    def model_flag(self) -> str:
        """The option as the user gave it."""
        return "--demo" if self.demo else f"--model {self.model}"

    def load_model(self) -> Model:
        """Returns the model; of the demo model, says what it is. Raises what `model_file` and `load` do."""
        model = load(self.model_file)
        if self.demo:
            say(in_short(len(model.vocabulary) - 2, model.info))
        return model
