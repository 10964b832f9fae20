"""A model in one file: safetensors weights, and a JSON header from which everything else is rebuilt.

Everything but the weights is read and written without torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from signloom.ctc.decoding import Decoding
from signloom.ctc.ngram import NGram, Table
from signloom.errors import InputError, needs_extra
from signloom.files.writing import atomic_write
from signloom.landmarks import check_header, file_header
from signloom.model.presets import ModelConfig
from signloom.run_folder import Run
from signloom.vocabulary import Vocabulary

FORMAT = "signloom-model"
FORMAT_VERSION = 1
SUFFIX = ".safetensors"
# Tensors of the file whose names begin so are the language model's n-grams; all others are the network's weights.
LANGUAGE_MODEL = "language_model."
_TABLE = ("ids", "log_probs", "backoffs")


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds besides the network's weights.

    config: of the network, without an auxiliary head.  info: recipe, scores, environment and model card.
    decoding, language_model: how the model's emissions are decoded.
    """

    config: ModelConfig
    vocabulary: Vocabulary
    info: Mapping[str, Any] = field(default_factory=dict)
    decoding: Decoding = field(default_factory=Decoding)
    language_model: NGram | None = None

    def write(self, path: Path, weights: Mapping[str, np.ndarray]) -> None:
        """Writes the file, whole or not at all."""
        from safetensors.numpy import save

        header, tensors = self.header(FORMAT, FORMAT_VERSION)
        tensors |= weights
        data = save(tensors, metadata={"signloom": json.dumps(header, ensure_ascii=False)})
        with atomic_write(path) as file:
            file.write(data)

    def header(self, format: str, version: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns the header of a file of a format, as JSON, and the tensors of the language model by name."""
        header: dict[str, Any] = {
            **file_header(format, version),
            "config": self.config.to_json(),
            "vocabulary": list(self.vocabulary.words),
            "info": dict(self.info),
            "decoding": self.decoding.to_json(),
        }
        if self.language_model is None:
            return header, {}
        header["language_model"] = {"words": list(self.language_model.words), "order": self.language_model.order}
        return header, _tensors_of(self.language_model)

    @classmethod
    def of(cls, header: Any, tensors: Mapping[str, np.ndarray], path: Path, format: str, version: int) -> ModelFile:
        """Returns what `header` wrote into a file of a format. Raises InputError and LayoutError as `read` does."""
        check_header(header, path, format, version)
        return cls(
            ModelConfig.from_json(header["config"]),
            Vocabulary(tuple(header["vocabulary"])),
            header["info"],
            Decoding.from_json(header.get("decoding", {}), place=str(path)),
            _language_model(header.get("language_model"), tensors, path),
        )

    @classmethod
    def read(cls, path: Path) -> ModelFile:
        """Returns what a model file holds besides the weights.

        Raises InputError for anything else (a pickle is never opened), LayoutError for another point layout.
        """
        with needs_extra("loading a model"):
            from safetensors import SafetensorError, safe_open
        if not path.is_file():
            raise InputError(
                f"{path}: no such model; 'signloom train' writes {Run.model_file.name} into its run folder"
            )
        try:
            with safe_open(path, framework="np") as file:
                header = json.loads((file.metadata() or {})["signloom"])
                names = [name for name in file.keys() if not is_weight(name)]  # noqa: SIM118 - not a dict
                tensors = {name: file.get_tensor(name) for name in names}
        except (SafetensorError, KeyError, ValueError) as error:
            reason = "no signloom header" if isinstance(error, KeyError) else error
            raise InputError(
                f"{path}: not a model file of signloom ({reason}); needed a file that 'signloom train' wrote"
            ) from None
        return cls.of(header, tensors, path, FORMAT, FORMAT_VERSION)


def is_weight(name: str) -> bool:
    """Returns whether a tensor of a model file is one of the network's weights."""
    return not name.startswith(LANGUAGE_MODEL)


def _tensors_of(model: NGram) -> dict[str, np.ndarray]:
    """Returns the tensors of an n-gram model; its words go into the header."""
    return {
        f"{LANGUAGE_MODEL}{order}.{name}": np.ascontiguousarray(getattr(table, name))
        for order, table in enumerate(model.tables, 1)
        for name in _TABLE
    }


def _language_model(header: Mapping[str, Any] | None, tensors: Mapping[str, np.ndarray], path: Path) -> NGram | None:
    """Returns the language model in a file, or None where it has none. Raises InputError for a damaged one."""
    if header is None:
        return None
    try:
        tables = tuple(
            Table(*(tensors[f"{LANGUAGE_MODEL}{order}.{name}"] for name in _TABLE))
            for order in range(1, header["order"] + 1)
        )
        return NGram(tuple(header["words"]), tables)
    except (KeyError, TypeError, InputError) as error:
        raise InputError(
            f"{path}: its language model is damaged ({error}); store it again with 'signloom tune'"
        ) from None
