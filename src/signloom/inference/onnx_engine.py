"""The engine that runs an exported model in ONNX Runtime, without torch.

Shapes: B clips, T frames, P points of the view, T' output frames, V words, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from signloom import layout
from signloom.errors import InputError
from signloom.inference.model_file import ModelFile
from signloom.inference.onnx_file import SUFFIX, OnnxFile
from signloom.model.onnx_graph.interface import FEATURES, LENGTHS, LOG_PROBS, OUTPUT_LENGTHS, POINTS
from signloom.model.presets import ModelConfig

# The severity of messages that ONNX Runtime prints. What it calls errors are exceptions as well.
_FATAL = 4


@dataclass(frozen=True)
class OnnxEngine:
    """See `signloom.inference.engine.Engine`. One thread: a clip takes milliseconds, and threads that wait cost more.

    graph: the ONNX model, without what signloom adds to its metadata.  num_words: V.
    """

    config: ModelConfig
    num_words: int
    graph: bytes
    _session: Any

    @classmethod
    def of(cls, graph: bytes, config: ModelConfig, path: Path) -> OnnxEngine:
        """Returns the engine of a graph; `path` names it in errors.

        Raises InputError for a graph that ONNX Runtime refuses, or that is not one of a model of this config.
        """
        try:
            session = session_of(graph)
        # Not a fault of the graph.
        except ImportError:
            raise
        # ONNX Runtime's errors have no class in common.
        except Exception as error:
            raise InputError(
                f"{path}: ONNX Runtime cannot load it ({_first_line(error)}); export the model again"
            ) from None
        engine = cls(config, _num_words(session), graph, session)
        engine._check_signature(path)
        return engine

    @property
    def step_seconds(self) -> float:
        return self.config.stride / self.config.fps

    def output_lengths(self, lengths: np.ndarray) -> np.ndarray:
        result: np.ndarray = self.config.output_lengths(np.asarray(lengths))
        return result

    def log_probs(self, points: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        return self._run(LOG_PROBS, points, lengths)

    def features(self, points: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        return self._run(FEATURES, points, lengths)

    def weights(self) -> Mapping[str, np.ndarray]:
        raise InputError("model: an exported model keeps no weights of its layers; needed the run it was exported from")

    def save(self, path: Path, file: ModelFile) -> None:
        if path.suffix != SUFFIX:
            raise InputError(f"{path}: an exported model stays one; needed a name that ends in {SUFFIX}")
        OnnxFile.of(self.graph, file).write(path)

    def _run(self, output: str, points: np.ndarray, lengths: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        points = np.asarray(points, dtype=np.float32)
        lengths = np.full(len(points), points.shape[1]) if lengths is None else np.asarray(lengths, dtype=np.int64)
        if not self._depends_on_batch:
            return self._values(output, points, lengths), self.output_lengths(lengths)
        rows = [
            self._values(output, points[row : row + 1, :length], lengths[row : row + 1])[0]
            for row, length in enumerate(lengths.tolist())
        ]
        result = np.zeros((len(rows), max(map(len, rows)), rows[0].shape[-1]), dtype=np.float32)
        for padded, row in zip(result, rows, strict=True):
            padded[: len(row)] = row
        return result, self.output_lengths(lengths)

    @cached_property
    def _depends_on_batch(self) -> bool:
        """Whether clips of one batch share a scale: a quantised LSTM has one for all of its input."""
        return b"DynamicQuantizeLSTM" in self.graph

    def _values(self, output: str, points: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        try:
            values, output_lengths = self._session.run([output, OUTPUT_LENGTHS], {POINTS: points, LENGTHS: lengths})
        except Exception as error:
            raise InputError(
                f"model: ONNX Runtime cannot run it on {points.shape[1]:,} frames ({_first_line(error)}); export the "
                "model again"
            ) from None
        expected = self.output_lengths(lengths)
        if values.ndim != 3 or not np.array_equal(output_lengths, expected) or values.shape[1] < expected.max():
            raise InputError(
                f"model: its graph gives {np.ravel(output_lengths).tolist()} output frames for {lengths.tolist()} "
                f"frames, its header says {expected.tolist()}; export the model again"
            )
        result: np.ndarray = values
        return result

    def _check_signature(self, path: Path) -> None:
        """Raises InputError unless the graph has the inputs and outputs of a model of this config."""
        num_points, width = len(layout.subset(self.config.view)), 2 * self.config.lstm_hidden
        needed: dict[str, tuple[str, list[int | str]]] = {
            POINTS: ("tensor(float)", ["batch", "time", num_points, 3]),
            LENGTHS: ("tensor(int64)", ["batch"]),
            LOG_PROBS: ("tensor(float)", ["batch", "output_time", self.num_words]),
            OUTPUT_LENGTHS: ("tensor(int64)", ["batch"]),
            FEATURES: ("tensor(float)", ["batch", "output_time", width]),
        }
        got = {
            part.name: (part.type, part.shape) for part in (*self._session.get_inputs(), *self._session.get_outputs())
        }
        wrong = [name for name in {**needed, **got} if needed.get(name) != got.get(name)]
        if wrong:
            name = wrong[0]
            raise InputError(
                f"{path}: its graph has {_described(got.get(name))} as {name!r}; needed "
                f"{_described(needed.get(name))}; export the model again"
            )


def load_onnx(path: Path) -> tuple[OnnxEngine, ModelFile]:
    """Returns the engine in an .onnx file, and what else the file holds. Raises InputError and LayoutError."""
    content = OnnxFile.read(path)
    file = content.model_file(path)
    return OnnxEngine.of(content.graph, file.config, path), file


def session_of(graph: bytes) -> Any:
    """Returns an ONNX Runtime session of a graph, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _num_words(session: Any) -> int:
    """Returns the size of the last dimension of the log-probabilities; 0 where the graph has none."""
    shapes = [part.shape for part in session.get_outputs() if part.name == LOG_PROBS]
    return shapes[0][-1] if shapes and shapes[0] and isinstance(shapes[0][-1], int) else 0


def _described(part: tuple[str, list[int | str]] | None) -> str:
    return "nothing" if part is None else f"a {part[0]} of {part[1]}"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]
