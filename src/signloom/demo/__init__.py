"""The demo model that comes with signloom: its file, its card, and what it is in one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signloom.errors import InputError

FOLDER = Path(__file__).parent
# The key of the record of how the demo model was tested, in `Model.info`.
INFO_KEY = "demo"


def demo_model() -> Path:
    """Returns the file of the demo model; its card lies beside it. Raises InputError where it is not installed."""
    path = FOLDER / "model.onnx"
    if not path.is_file():
        raise InputError(f"{path}: the demo model is missing; install signloom again, or give a model with --model")
    return path


def in_short(num_words: int, info: Mapping[str, Any]) -> str:
    """Returns one line on a demo model of so many words: what it is, and how wrong it is on strangers."""
    record = info[INFO_KEY]
    return (
        f"demo model: {num_words} words of American Sign Language. Of {record['people']} people who were not in "
        f"training it got {100 * record['wer']:.0f} % of the words wrong ({100 * record['best']:.0f} to "
        f"{100 * record['worst']:.0f} %). What it is made of, and its limits: {FOLDER / 'MODEL_CARD.md'}"
    )
