"""A trained model: vocabulary, decoding, language model and an engine that computes the network. NumPy only.

Shapes: T' output frames, V words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Unpack, overload

import numpy as np

from signloom import layout
from signloom.corpus import Corpus, Utterance
from signloom.ctc.confidence import Calibration
from signloom.ctc.decoding import Decoder, Decoding
from signloom.ctc.decoding_options import DecodingOptions, describe
from signloom.ctc.hypothesis import Emission, Hypothesis
from signloom.ctc.ngram import NGram
from signloom.ctc.spans import SpanSettings
from signloom.errors import InputError, listed, needs_extra, plural
from signloom.extract import Crop
from signloom.extract.holistic import Settings
from signloom.inference.engine import Engine, LongClipEngine
from signloom.inference.model_file import ModelFile
from signloom.inference.onnx_file import SUFFIX as ONNX_SUFFIX
from signloom.inference.recognise import Errors, ReadOptions, Result, ResultByPath, Source, recognise
from signloom.inference.store import Store
from signloom.landmarks import SUFFIX as LANDMARKS_SUFFIX
from signloom.landmarks import ClipView, Frames, Landmarks, read_view
from signloom.run_folder import model_path
from signloom.vocabulary import Vocabulary

# The most points, of all frames, that are computed at once: 12 minutes in the compact view. A batch holds no more, with
# its padding, and a longer clip is computed part by part.
MAX_POINTS = 1_500_000


@dataclass(frozen=True)
class Model:
    """A recogniser with its vocabulary: what `signloom.load` returns.

    engine: computes the network; see `signloom.inference.engine`.
    info: recipe, scores, environment and model card (training corpus and its licence).
    decoding, language_model: how emissions are decoded, as `signloom tune` chose.
    store: features of clips of the training, from which `signloom enrol` keeps what the model knows; None: none kept.
    """

    engine: Engine
    vocabulary: Vocabulary
    info: Mapping[str, Any] = field(default_factory=dict)
    decoding: Decoding = field(default_factory=Decoding)
    language_model: NGram | None = None
    store: Store | None = None

    def __post_init__(self) -> None:
        if self.engine.num_words != len(self.vocabulary):
            raise InputError(
                f"model: classifier of {plural(self.engine.num_words, 'word')}, vocabulary of {len(self.vocabulary)}"
            )

    def __repr__(self) -> str:
        glosses, corpus = self.vocabulary.words[2:], self.info.get("corpus")
        simulated = ", simulated signing" if isinstance(corpus, dict) and corpus.get("synthetic") else ""
        name = f"; trained on {corpus.get('name', 'an unknown corpus')}{simulated}" if isinstance(corpus, dict) else ""
        return (
            f"Model({plural(len(glosses), 'sign')}: {listed(glosses, shown=5)}; view {self.view}, "
            f"{self.engine.config.fps:g} fps{name})"
        )

    @property
    def view(self) -> str:
        """The view whose points the model takes."""
        return self.engine.config.view

    def emission(self, clip: Landmarks | ClipView) -> Emission:
        """Returns the log-probabilities for one clip, which is resampled to the model's frame rate.

        A clip that has the points of the model's view only (`read_view`, `Corpus.load_view`) saves memory.
        Raises InputError for the points of another view.
        """
        log_probs = self._log_probs(self.points(clip))
        return Emission(log_probs, self.engine.step_seconds, clip.duration_seconds, clip.start_seconds)

    def emissions(
        self, corpus: Corpus, utterances: Sequence[Utterance], *, batch_size: int = 32
    ) -> Iterator[tuple[Utterance, np.ndarray]]:
        """Yields each utterance of a corpus with its log-probabilities (T', V), shorter clips first.

        Clips of similar length share a batch, which is padded with NaN; one batch is in memory at a time. Long clips
        have smaller batches (MAX_POINTS). Values are not checked: those of a broken model may be NaN.
        """
        for batch in self._batches(utterances, batch_size):
            if len(batch) == 1:
                yield batch[0], self._log_probs(self.points(corpus.load_view(batch[0], self.view)))
                continue
            clips = [self.points(corpus.load_view(item, self.view)) for item in batch]
            lengths = np.array([len(clip) for clip in clips])
            shape = (len(clips), int(lengths.max()), len(layout.subset(self.view)), 3)
            points = np.full(shape, np.nan, dtype=np.float32)
            for row, clip in zip(points, clips, strict=True):
                row[: len(clip)] = clip[0 : len(clip)]
            log_probs, output_lengths = self.engine.log_probs(points, lengths)
            for item, rows, length in zip(batch, log_probs, output_lengths, strict=True):
                # A copy: a view would keep the whole padded batch in memory.
                yield item, rows[:length].copy()

    @overload
    def transcribe(self, source: Landmarks, *, min_confidence: float | None = None) -> Hypothesis: ...

    # Type checkers note that a text is an iterable of texts, too: the first that fits counts.
    @overload
    def transcribe(  # type: ignore[overload-overlap]
        self, source: Path | str, *, errors: Literal["raise"] = "raise", **options: Unpack[ReadOptions]
    ) -> Hypothesis | dict[str, Hypothesis]: ...

    @overload
    def transcribe(  # type: ignore[overload-overlap]
        self, source: Path | str, *, errors: Errors, **options: Unpack[ReadOptions]
    ) -> Result | ResultByPath: ...

    @overload
    def transcribe(
        self, source: Iterable[Source], *, errors: Literal["raise"] = "raise", **options: Unpack[ReadOptions]
    ) -> list[Hypothesis | dict[str, Hypothesis]]: ...

    @overload
    def transcribe(
        self, source: Iterable[Source], *, errors: Errors, **options: Unpack[ReadOptions]
    ) -> list[Result | ResultByPath]: ...

    def transcribe(
        self,
        source: Source | Iterable[Source],
        *,
        min_confidence: float | None = None,
        crop: Crop | str | None = None,
        pixel_aspect: float | None = None,
        fps: float | None = None,
        workers: int = 0,
        errors: Errors = "raise",
    ) -> object:
        """Returns the glosses of a clip, a `Hypothesis`; of a list of clips, a list of them; of a folder of clips, or a
        pattern such as `videos/*.mp4`, a dictionary of them by path.

        source: landmarks, a landmark file, a video file, a folder of frames, or a list or folder of these.
        min_confidence: glosses with a lower confidence are dropped; None: those that `decoding` drops, which are none
        unless limits have been chosen.
        crop, pixel_aspect, fps: of `signloom.extract_landmarks`, for videos and frames.
        workers: processes that extract landmarks; a script that asks for some must guard its code with
        `if __name__ == "__main__":`. 0: this process does.
        errors: `raise` the InputError of the first clip that cannot be read, or `return` it in place of its glosses.

        Raises InputError if the source has no clip, and for options that no clip can use.
        """
        model = self if min_confidence is None else self.with_limits(min_confidence)
        settings = Settings(Crop.parse(crop) if isinstance(crop, str) else crop, pixel_aspect, fps)

        def decode(clip: Landmarks | ClipView) -> Hypothesis:
            return model.decode(model.emission(clip))

        return recognise(source, decode, self.view, settings=settings, workers=workers, errors=errors)

    def decode(self, emission: Emission) -> Hypothesis:
        """Returns the glosses of an emission, with times and confidences, without those that `decoding` drops."""
        return self.decoder.decode(emission, timing=SpanSettings.of(self.info).timing)

    def with_limits(self, least: float | None = None, *, sure: float | None = None) -> Model:
        """Returns the model with these limits of confidence, 0 to 1, instead of its own.

        It drops glosses with a confidence below `least`, and all glosses of an utterance in which none has a confidence
        of at least `sure`. None: nothing is dropped, but streams have limits of their own (`stream_options`).
        """
        return replace(self, decoding=replace(self.decoding, min_confidence=least, sure_confidence=sure))

    def decoded_with(self, options: DecodingOptions) -> Model:
        """Returns the model with the decoder that its own settings and the given options describe."""
        decoding, language_model = options.chosen(self.decoding, self.language_model, self.vocabulary)
        return replace(self, decoding=decoding, language_model=language_model)

    @cached_property
    def decoder(self) -> Decoder:
        """The decoder that `decoding` and `language_model` describe."""
        return Decoder(self.vocabulary, self.decoding, self.language_model, self.calibration)

    @property
    def calibration(self) -> Calibration:
        """The map from raw to calibrated confidences."""
        return SpanSettings.of(self.info).calibration

    @property
    def decoder_name(self) -> str:
        """The decoder's name, which stands beside every figure that it made."""
        return describe(self.decoding, self.language_model)

    def save(self, path: Path) -> None:
        """Writes the model to one file, whole or not at all, without the auxiliary head, which only training uses."""
        self.engine.save(path, self.file)

    @property
    def file(self) -> ModelFile:
        """What the model's file holds besides the network's weights."""
        config = replace(self.engine.config, auxiliary_head=False)
        return ModelFile(config, self.vocabulary, self.info, self.decoding, self.language_model, self.store)

    def _batches(self, utterances: Sequence[Utterance], batch_size: int) -> Iterator[list[Utterance]]:
        """Yields utterances of similar length, shorter ones first."""
        max_frames = self._max_frames
        batch: list[Utterance] = []
        for item in sorted(utterances, key=lambda item: item.duration_seconds):
            num_frames = item.duration_seconds * self.engine.config.fps
            if batch and (len(batch) == batch_size or (len(batch) + 1) * num_frames > max_frames):
                yield batch
                batch = []
            batch.append(item)
        if batch:
            yield batch

    @property
    def _max_frames(self) -> int:
        """The frames that the engine computes at once."""
        return MAX_POINTS // len(layout.subset(self.view))

    def _log_probs(self, points: Frames) -> np.ndarray:
        """Returns the log-probabilities (T', V) of one clip."""
        if len(points) > self._max_frames and isinstance(self.engine, LongClipEngine):
            return self.engine.long_log_probs(points)
        log_probs, _ = self.engine.log_probs(points[0 : len(points)][None])
        result: np.ndarray = log_probs[0]
        return result

    def points(self, clip: Landmarks | ClipView) -> Frames:
        """Returns the points (T, P, 3) that the engine takes, at its frame rate."""
        if isinstance(clip, Landmarks):
            clip = clip.in_view(self.view)
        if clip.view != self.view:
            raise InputError(f"model: the points of the {clip.view} view; needed those of the {self.view} view")
        return clip.at(self.engine.config.fps)


def load(path: Path | str) -> Model:
    """Returns the model in a file that training wrote, in a run folder, or in an .onnx file of `signloom export`.

    Raises InputError for anything else (a pickle is never opened), LayoutError for another point layout,
    MissingExtraError where torch is not installed, or ONNX Runtime for an .onnx file.
    """
    path = model_path(Path(path))
    engine: Engine
    if path.suffix == ONNX_SUFFIX:
        from signloom.inference.onnx_engine import load_onnx

        with needs_extra("running an exported model"):
            engine, file = load_onnx(path)
    else:
        file = ModelFile.read(path)
        with needs_extra("loading a model"):
            from signloom.inference.torch_engine import TorchEngine
        engine = TorchEngine.load(path, file.config, len(file.vocabulary))
    return Model(engine, file.vocabulary, file.info, file.decoding, file.language_model, file.store)


def read_landmarks(source: Landmarks | Path | str, *, view: str | None = None, **options: Any) -> Landmarks | ClipView:
    """Returns landmarks as given, read from a landmark file, or extracted from a video or a folder of frames.

    view: read only the points of this view from a landmark file.
    """
    if isinstance(source, Landmarks):
        return source
    path = Path(source)
    if path.suffix == LANDMARKS_SUFFIX:
        return Landmarks.load(path) if view is None else read_view(path, view)
    from signloom.extract import extract_landmarks

    return extract_landmarks(path, **options)
