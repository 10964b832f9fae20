"""A model in one file: safetensors weights, and a JSON header from which everything else is rebuilt.

Everything but the weights is read and written without torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType

from signloom.ctc.decoding import Decoding
from signloom.ctc.ngram import NGram, Table
from signloom.ctc.spans import SpanSettings
from signloom.errors import InputError, needs_extra
from signloom.files.reading import open_file
from signloom.files.schemas import Name, check, decode_json
from signloom.files.schemas import Table as Record
from signloom.files.writing import atomic_write
from signloom.inference.store import PREFIX as STORE
from signloom.inference.store import Store, StoreHeader
from signloom.landmarks import check_header, file_header
from signloom.model.presets import ModelConfig
from signloom.run_folder import Run
from signloom.vocabulary import Vocabulary

FORMAT = "signloom-model"
FORMAT_VERSION = 1
SUFFIX = ".safetensors"
# Tensors of the file whose names begin so are the language model's n-grams. All others are the network's weights, but
# for those of the store.
LANGUAGE_MODEL = "language_model."
_TABLE = ("ids", "log_probs", "backoffs")


_NEEDED = "needed a file that 'signloom train' wrote"
# What is given for a model now and then, by its first bytes.
_OTHER_KINDS = {
    b"PK": "a zip archive, such as a landmark file or a checkpoint of torch",
    b"\x80": "a pickle",
    b"\x93NUMPY": "an array of NumPy",
}


class _LanguageModel(Struct):
    """What the header says of a stored language model; its n-grams are tensors."""

    words: Annotated[tuple[Name, ...], Meta(max_length=10_000_000)]
    order: Annotated[int, Meta(ge=1, le=20)]


class _Dev(Struct):
    """The best epoch on dev."""

    dev_wer: float | None = None


class _Corpus(Struct):
    """The corpus of training."""

    name: str | None = None
    summary: Record | None = None
    lead: Annotated[float, Meta(ge=0, le=1)] = 0.0


class _Recipe(Struct):
    """The options of training."""

    auxiliary_weight: float | UnsetType = UNSET


class _Info(Struct):
    """Where a model comes from, as far as something depends on it."""

    dev: _Dev | UnsetType = UNSET
    corpus: _Corpus | UnsetType = UNSET
    recipe: _Recipe | UnsetType = UNSET


class _Header(Struct):
    """The header of a model file."""

    config: Record
    vocabulary: Annotated[tuple[str, ...], Meta(min_length=3, max_length=1_000_000)]
    info: Record
    decoding: Record = {}
    language_model: _LanguageModel | None = None
    store: StoreHeader | None = None


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds besides the network's weights.

    config: of the network, without an auxiliary head.  info: recipe, scores, environment and model card.
    decoding, language_model: how the model's emissions are decoded.  store: what `signloom enrol` rehearses, if it was
    kept.
    """

    config: ModelConfig
    vocabulary: Vocabulary
    info: Mapping[str, Any] = field(default_factory=dict)
    decoding: Decoding = field(default_factory=Decoding)
    language_model: NGram | None = None
    store: Store | None = None

    def write(self, path: Path, weights: Mapping[str, np.ndarray]) -> None:
        """Writes the file, whole or not at all."""
        from safetensors.numpy import save

        header, tensors = self.header(FORMAT, FORMAT_VERSION)
        tensors |= weights
        data = save(tensors, metadata={"signloom": json.dumps(header, ensure_ascii=False)})
        with atomic_write(path) as file:
            file.write(data)

    def header(self, format: str, version: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns the header of a file of a format, as JSON, and the tensors of language model and store by name."""
        header: dict[str, Any] = {
            **file_header(format, version),
            "config": self.config.to_json(),
            "vocabulary": list(self.vocabulary.words),
            "info": dict(self.info),
            "decoding": self.decoding.to_json(),
        }
        tensors: dict[str, np.ndarray] = {}
        if self.language_model is not None:
            header["language_model"] = {"words": list(self.language_model.words), "order": self.language_model.order}
            tensors |= _tensors_of(self.language_model)
        if self.store is not None:
            header["store"] = self.store.header()
            tensors |= self.store.tensors()
        return header, tensors

    @classmethod
    def of(cls, header: Any, tensors: Mapping[str, np.ndarray], path: Path, format: str, version: int) -> ModelFile:
        """Returns what `header` wrote into a file of a format. Raises InputError and LayoutError as `read` does."""
        check_header(header, path, format, version)
        known = check(_Header, header, str(path))
        try:
            vocabulary = Vocabulary(known.vocabulary)
            check(_Info, known.info, "info")
            SpanSettings.of(known.info)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return cls(
            ModelConfig.from_json(known.config, f"{path}: config"),
            vocabulary,
            known.info,
            Decoding.from_json(known.decoding, place=f"{path}: decoding"),
            _language_model(known.language_model, tensors, path),
            _store(known.store, tensors, len(vocabulary), path),
        )

    @classmethod
    def read(cls, path: Path) -> ModelFile:
        """Returns what a model file holds besides the weights.

        Raises InputError for anything else (a pickle is never opened), LayoutError for another point layout.
        """
        with needs_extra("loading a model"):
            from safetensors import SafetensorError, safe_open
        if not path.exists():
            raise InputError(
                f"{path}: no such model; 'signloom train' writes {Run.model_file.name} into its run folder"
            )
        with open_file(path) as opened:
            start = opened.read(1000)
        try:
            with safe_open(path, framework="np") as file:
                metadata = file.metadata() or {}
                names = [name for name in file.keys() if not is_weight(name)]  # noqa: SIM118 - not a dict
                tensors = {name: file.get_tensor(name) for name in names}
        except (SafetensorError, OSError, TypeError, ValueError) as error:
            raise InputError(f"{path}: not a model file of signloom ({_kind(start) or error}); {_NEEDED}") from None
        if "signloom" not in metadata:
            what = f"it is a {metadata['format']}" if "format" in metadata else "no signloom header"
            raise InputError(f"{path}: not a model file of signloom ({what}); {_NEEDED}")
        # Losses that are not finite are recorded as Python writes them.
        header = decode_json(metadata["signloom"].encode(), f"{path}: header", non_finite=True)
        return cls.of(header, tensors, path, FORMAT, FORMAT_VERSION)


def _kind(start: bytes) -> str | None:
    """Returns what a file is whose first bytes these are, or None where they say nothing."""
    for magic, what in _OTHER_KINDS.items():
        if start.startswith(magic):
            return f"it is {what}"
    # A model starts with a length of eight bytes, most of them 0; a text has no character below the tab.
    return "it is text" if start and min(start) >= 9 else None


def is_weight(name: str) -> bool:
    """Returns whether a tensor of a model file is one of the network's weights."""
    return not name.startswith((LANGUAGE_MODEL, STORE))


def _tensors_of(model: NGram) -> dict[str, np.ndarray]:
    """Returns the tensors of an n-gram model; its words go into the header."""
    return {
        f"{LANGUAGE_MODEL}{order}.{name}": np.ascontiguousarray(getattr(table, name))
        for order, table in enumerate(model.tables, 1)
        for name in _TABLE
    }


def _language_model(header: _LanguageModel | None, tensors: Mapping[str, np.ndarray], path: Path) -> NGram | None:
    """Returns the language model in a file, or None where it has none. Raises InputError for a damaged one."""
    if header is None:
        return None
    try:
        tables = []
        for order in range(1, header.order + 1):
            values = {name: tensors[f"{LANGUAGE_MODEL}{order}.{name}"] for name in _TABLE}
            if values["ids"].shape[1:] != (order,) or values["ids"].dtype.kind != "i":
                raise InputError(f"ids of type {values['ids'].dtype} and shape {values['ids'].shape}")
            if not all(np.isfinite(values[name]).all() for name in ("log_probs", "backoffs")):
                raise InputError("log-probabilities or back-offs that are not finite")
            tables.append(Table(**values))
        return NGram(header.words, tuple(tables))
    except (KeyError, TypeError, InputError) as error:
        raise InputError(
            f"{path}: its language model is damaged ({error}); store it again with 'signloom tune'"
        ) from None


def _store(header: StoreHeader | None, tensors: Mapping[str, np.ndarray], num_words: int, path: Path) -> Store | None:
    """Returns the store in a file, or None where it has none. Raises InputError for a damaged one."""
    if header is None:
        return None
    try:
        return Store.read(header, tensors, num_words)
    except InputError as error:
        raise InputError(
            f"{path}: its store is damaged ({error}); take a copy of the file that is whole, or train again"
        ) from None
