"""A model in one .onnx file: the network as a graph, everything else in the metadata. Needs neither onnx nor torch.

The metadata hold JSON under `signloom`, with the keys of a model file's header, the tensors of the language model under
`signloom.language_model.*` and those of a store under `signloom.store.*`, as base64, and a model card in Markdown under
`model_card`. Names of points, frame rate and
stride are there once more in plain text, for programs that know the file but not signloom.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signloom import layout
from signloom.errors import InputError
from signloom.files.reading import Kind, read_bytes, read_text
from signloom.files.schemas import decode_json
from signloom.files.writing import atomic_write, write_text
from signloom.inference.model_card import MARK, model_card
from signloom.inference.model_file import LANGUAGE_MODEL, ModelFile
from signloom.inference.protobuf import encoded, fields
from signloom.inference.store import PREFIX as STORE
from signloom.inference.store import Store

SUFFIX = ".onnx"
FORMAT = "signloom-onnx"
FORMAT_VERSION = 1
# The teacher of the original notes takes 30 MB, the student 57; a language model of a million n-grams 30.
KIND = Kind("an exported model", 1_000_000_000)
HEADER, CARD = "signloom", "model_card"
CARD_NAME = "MODEL_CARD.md"
_TENSORS = "signloom."
_DTYPES = {"ids": np.int32, "log_probs": np.float32, "backoffs": np.float32}

# Fields of ONNX's messages, by onnx.proto of version 1.17.
_GRAPH, _METADATA, _TRAINING, _FUNCTIONS = 7, 14, 20, 25
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15
_ATTRIBUTE = 5
_TENSOR, _SUBGRAPH, _TENSORS_FIELD, _SUBGRAPHS, _SPARSE, _SPARSES = 5, 6, 10, 11, 22, 23
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


@dataclass(frozen=True)
class OnnxFile:
    """What an .onnx file of signloom holds.

    graph: the file without its metadata, which is a whole ONNX model.  metadata: texts by key.
    """

    graph: bytes
    metadata: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> OnnxFile:
        """Returns the content of a file.

        Raises InputError for another kind of file, a damaged one, and one whose graph has parts that no export writes:
        weights in other files, sub-graphs, functions.
        """
        if not path.is_file():
            raise InputError(f"{path}: no such model; 'signloom export' writes one from a run")
        return cls.parse(read_bytes(path, KIND), path)

    @classmethod
    def parse(cls, data: bytes, path: Path) -> OnnxFile:
        """Returns the content of a file's bytes; `path` names it in errors. Raises InputError as `read` does."""
        message = memoryview(data)
        metadata: dict[str, str] = {}
        rest: list[memoryview] = []
        try:
            for field in fields(message):
                if field.number == _METADATA:
                    entry = {part.number: bytes(part.content).decode() for part in fields(field.content)}
                    metadata[entry[1]] = entry.get(2, "")
                else:
                    rest.append(message[field.start : field.end])
        except (ValueError, KeyError) as error:
            raise InputError(
                f"{path}: not an ONNX model, or a damaged one ({error}); needed a file that 'signloom export' wrote"
            ) from None
        if HEADER not in metadata:
            raise InputError(
                f"{path}: not a model of signloom (no signloom header); needed a file that 'signloom export' wrote"
            )
        graph = b"".join(rest)
        try:
            foreign = next(_foreign(memoryview(graph)), None)
        except ValueError as error:
            raise InputError(f"{path}: its graph is damaged ({error}); export the model again") from None
        if foreign:
            raise InputError(f"{path}: its graph has {foreign}, which no export of signloom writes; refused")
        return cls(graph, metadata)

    @classmethod
    def of(cls, graph: bytes, file: ModelFile) -> OnnxFile:
        """Returns a graph with everything else that a model needs, and its model card."""
        header, tensors = file.header(FORMAT, FORMAT_VERSION)
        texts = {name: base64.b64encode(tensor.tobytes()).decode("ascii") for name, tensor in tensors.items()}
        config = file.config
        metadata = {
            HEADER: json.dumps(header, ensure_ascii=False),
            "points": " ".join(layout.POINT_NAMES[index] for index in layout.subset(config.view)),
            "frames_per_second": f"{config.fps:g}",
            "stride": str(config.stride),
            CARD: model_card(file),
            **{f"{_TENSORS}{name}": text for name, text in texts.items()},
        }
        return cls(graph, metadata)

    def model_file(self, path: Path) -> ModelFile:
        """Returns what the file holds besides the network. Raises InputError and LayoutError as `ModelFile.of`."""
        header = decode_json(self.metadata[HEADER].encode(), f"{path}: header", non_finite=True)
        tensors = {
            key.removeprefix(_TENSORS): _array(key, text, path)
            for key, text in self.metadata.items()
            if key.startswith((f"{_TENSORS}{LANGUAGE_MODEL}", f"{_TENSORS}{STORE}"))
        }
        return ModelFile.of(header, tensors, path, FORMAT, FORMAT_VERSION)

    def to_bytes(self) -> bytes:
        """Returns the file."""
        entries = [
            encoded(_METADATA, encoded(1, key.encode()) + encoded(2, text.encode()))
            for key, text in self.metadata.items()
        ]
        return self.graph + b"".join(entries)

    def write(self, path: Path) -> None:
        """Writes the model card into the file's folder, then the file, each whole or not at all.

        Raises InputError if the folder has a `MODEL_CARD.md` of somebody else.
        """
        check_card(path)
        write_text(path.parent / CARD_NAME, self.metadata[CARD])
        with atomic_write(path) as file:
            file.write(self.to_bytes())


def check_card(path: Path) -> None:
    """Raises InputError if the model card of a file would replace one that somebody else wrote."""
    card = path.parent / CARD_NAME
    if card.is_file() and not read_text(card).startswith(MARK):
        raise InputError(f"{card}: not written by signloom, and would be replaced; move it, or choose another folder")


def _array(key: str, text: str, path: Path) -> np.ndarray:
    """Returns a tensor of the language model or the store; that of n-grams is (N, order)."""
    store = key.startswith(f"{_TENSORS}{STORE}")
    try:
        data = base64.b64decode(text, validate=True)
        if store:
            return Store.array(key.removeprefix(f"{_TENSORS}{STORE}"), data)
        _, order, name = key.removeprefix(_TENSORS).split(".")
        values = np.frombuffer(data, _DTYPES[name])
        return values.reshape(-1, int(order)) if name == "ids" else values
    except (KeyError, ValueError, binascii.Error) as error:
        if store:
            raise InputError(
                f"{path}: its store is damaged ({key}: {error}); take a copy of the file that is whole, or export again"
            ) from None
        raise InputError(
            f"{path}: its language model is damaged ({key}: {error}); store it again with 'signloom tune'"
        ) from None


def _foreign(model: memoryview) -> Iterator[str]:
    """Yields what a graph has that no export writes. Raises ValueError for a damaged model.

    Weights in other files could be any file of this machine; sub-graphs and functions could run without end.
    """
    for field in fields(model):
        if field.number in (_TRAINING, _FUNCTIONS):
            yield "functions"
        if field.number != _GRAPH:
            continue
        for part in fields(field.content):
            if part.number == _SPARSE_INITIALIZER:
                yield "sparse weights"
            elif part.number == _INITIALIZER:
                yield from _external(part.content)
            elif part.number == _NODE:
                for attribute in fields(part.content):
                    if attribute.number == _ATTRIBUTE:
                        yield from _foreign_attribute(attribute.content)


def _foreign_attribute(attribute: memoryview) -> Iterator[str]:
    for value in fields(attribute):
        if value.number in (_SUBGRAPH, _SUBGRAPHS):
            yield "sub-graphs"
        elif value.number in (_SPARSE, _SPARSES):
            yield "sparse weights"
        elif value.number in (_TENSOR, _TENSORS_FIELD):
            yield from _external(value.content)


def _external(tensor: memoryview) -> Iterator[str]:
    if any(
        field.number == _EXTERNAL_DATA or (field.number == _DATA_LOCATION and field.value) for field in fields(tensor)
    ):
        yield "weights in other files"
