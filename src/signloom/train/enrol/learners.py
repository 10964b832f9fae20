"""Finds what learns of a model: its layers after the body in torch, or the classifier of an exported one in NumPy."""

from __future__ import annotations

from signloom.inference.model import Model
from signloom.inference.onnx_engine import OnnxEngine
from signloom.train.enrol.learner import Learner


def learner_of(model: Model) -> Learner:
    """Returns what learns of a model. Raises InputError for a model that cannot be enrolled."""
    if isinstance(model.engine, OnnxEngine):
        from signloom.train.enrol.classifier import ClassifierLearner

        return ClassifierLearner.of(model)
    from signloom.train.enrol.torch_learner import TorchLearner

    return TorchLearner(model)
