"""A trained model in one file: safetensors weights, and in their header the JSON that rebuilds everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from signloom import layout
from signloom.ctc.decoding import Decoder, Decoding
from signloom.ctc.decoding_options import describe
from signloom.ctc.hypothesis import Emission, Hypothesis
from signloom.ctc.ngram import NGram, Table
from signloom.ctc.spans import SpanSettings
from signloom.errors import InputError, MissingExtraError
from signloom.files import atomic_write
from signloom.landmarks import SUFFIX as LANDMARKS_SUFFIX
from signloom.landmarks import Landmarks, check_header
from signloom.model.presets import ModelConfig
from signloom.model.recognizer import AUXILIARY, Recognizer
from signloom.vocabulary import Vocabulary

FORMAT = "signloom-model"
FORMAT_VERSION = 1
SUFFIX = ".safetensors"
# Tensors of the file that are not weights: the n-grams of the language model.
_LANGUAGE_MODEL = "language_model."


@dataclass(frozen=True)
class Model:
    """A recogniser with its vocabulary: what `signloom.load` returns.

    recognizer: in evaluation mode.  info: recipe, scores, environment and model card (training corpus and its
    licence), for the record.  decoding, language_model: how its emissions are read, as `signloom tune` found best.
    """

    recognizer: Recognizer
    vocabulary: Vocabulary
    info: Mapping[str, Any] = field(default_factory=dict)
    decoding: Decoding = field(default_factory=Decoding)
    language_model: NGram | None = None

    def __post_init__(self) -> None:
        if self.recognizer.num_words != len(self.vocabulary):
            raise InputError(
                f"model: classifier of {self.recognizer.num_words} words, vocabulary of {len(self.vocabulary)}"
            )
        self.recognizer.eval()

    @torch.inference_mode()
    def emission(self, landmarks: Landmarks) -> Emission:
        """The model's log-probabilities for one clip, which is resampled to the model's frame rate."""
        config = self.recognizer.config
        points = landmarks.resampled(config.fps).select(config.view)
        log_probs, _ = self.recognizer(torch.from_numpy(points).unsqueeze(0))
        return Emission(log_probs[0].numpy(), self.recognizer.step_seconds, landmarks.duration_seconds)

    def transcribe(self, source: Landmarks | Path | str, **options: Any) -> Hypothesis:
        """The glosses of a clip: landmarks, a landmark file, a video file or a folder of frames.

        `options` (crop, pixel_aspect, fps) go to `signloom.extract.extract_clip` where there are images to read.
        """
        return self.decode(self.emission(read_landmarks(source, **options)))

    def decode(self, emission: Emission, decoder: Decoder | None = None) -> Hypothesis:
        """The glosses of an emission, with times and confidences; by the model's own decoder when none is given."""
        settings = SpanSettings.of(self.info)
        return (decoder or self.decoder).decode(emission, timing=settings.timing, calibration=settings.calibration)

    @cached_property
    def decoder(self) -> Decoder:
        """The decoder that `decoding` and `language_model` describe."""
        return Decoder(self.vocabulary, self.decoding, self.language_model)

    @property
    def decoder_name(self) -> str:
        """The decoder as it is named beside every number it made."""
        return describe(self.decoding, self.language_model)

    def save(self, path: Path) -> None:
        """Writes the model to one file, whole or not at all; without the auxiliary head, which training alone has."""
        from safetensors.torch import save

        header = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "layout": layout.NAME,
            "layout_version": layout.VERSION,
            "config": replace(self.recognizer.config, auxiliary_head=False).to_json(),
            "vocabulary": list(self.vocabulary.words),
            "info": dict(self.info),
            "decoding": self.decoding.to_json(),
        }
        weights = {
            name: tensor.contiguous()
            for name, tensor in self.recognizer.state_dict().items()
            if not name.startswith(AUXILIARY)
        }
        if self.language_model is not None:
            header["language_model"] = {"words": list(self.language_model.words), "order": self.language_model.order}
            weights |= _tensors_of(self.language_model)
        data = save(weights, metadata={"signloom": json.dumps(header, ensure_ascii=False)})
        with atomic_write(path) as file:
            file.write(data)


def load(path: Path | str) -> Model:
    """The model in a file that training wrote, or `model.safetensors` in a run folder.

    Raises InputError for anything else (a pickle is never opened), LayoutError for another point layout.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise MissingExtraError("model", "safetensors", "loading a model") from None
    path = Path(path)
    if path.is_dir():
        path = path / f"model{SUFFIX}"
    if not path.is_file():
        raise InputError(f"{path}: no such model; 'signloom train' writes model{SUFFIX} into its run folder")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        header = json.loads(metadata["signloom"])
    except (SafetensorError, KeyError, ValueError) as error:
        reason = "no signloom header" if isinstance(error, KeyError) else error
        raise InputError(
            f"{path}: not a model file of signloom ({reason}); needed what 'signloom train' wrote"
        ) from None
    check_header(header, path, FORMAT, FORMAT_VERSION)
    vocabulary = Vocabulary(tuple(header["vocabulary"]))
    decoding = Decoding.from_json(header.get("decoding", {}), place=str(path))
    language_model = _language_model(header.get("language_model"), weights, path)
    recognizer = Recognizer(ModelConfig.from_json(header["config"]), len(vocabulary))
    try:
        recognizer.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path}: weights do not fit the model they name ({error})") from None
    return Model(recognizer, vocabulary, header["info"], decoding, language_model)


def _tensors_of(model: NGram) -> dict[str, torch.Tensor]:
    """An n-gram model as tensors; its words go into the header."""
    return {
        f"{_LANGUAGE_MODEL}{order}.{name}": torch.from_numpy(getattr(table, name).copy())
        for order, table in enumerate(model.tables, 1)
        for name in ("ids", "log_probs", "backoffs")
    }


def _language_model(header: Mapping[str, Any] | None, weights: dict[str, torch.Tensor], path: Path) -> NGram | None:
    """The language model whose tensors are among `weights`, from which they are taken; None where there is none."""
    tensors = {name: weights.pop(name).numpy() for name in list(weights) if name.startswith(_LANGUAGE_MODEL)}
    if header is None:
        return None
    try:
        tables = tuple(
            Table(*(tensors[f"{_LANGUAGE_MODEL}{order}.{name}"] for name in ("ids", "log_probs", "backoffs")))
            for order in range(1, header["order"] + 1)
        )
        return NGram(tuple(header["words"]), tables)
    except (KeyError, TypeError, InputError) as error:
        raise InputError(
            f"{path}: its language model is damaged ({error}); store it again with 'signloom tune'"
        ) from None


def read_landmarks(source: Landmarks | Path | str, **options: Any) -> Landmarks:
    """Landmarks given as they are, from a landmark file, or extracted from a video or a folder of frames."""
    if isinstance(source, Landmarks):
        return source
    path = Path(source)
    if path.suffix == LANDMARKS_SUFFIX:
        return Landmarks.load(path)
    from signloom.extract import extract_clip

    return extract_clip(path, **options)
