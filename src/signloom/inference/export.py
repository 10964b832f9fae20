"""Exports a trained model to ONNX, and proves that the result computes the same before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from signloom.corpus import Corpus, Utterance, spread
from signloom.errors import InputError
from signloom.files.paths import without_folders
from signloom.inference.model import Model
from signloom.inference.onnx_engine import OnnxEngine, session_of
from signloom.inference.parity import Parity, compare
from signloom.inference.store import MOST_MEGABYTES, FeatureExample, Store
from signloom.inference.torch_engine import recognizer_of
from signloom.model.onnx_graph.interface import LENGTHS, POINTS
from signloom.model.onnx_graph.quantization import Range
from signloom.model.onnx_graph.recognizer import calibration_model, onnx_model
from signloom.model.recognizer import Recognizer

# The number of training clips from which ranges are measured; twice as many gave the same word error rate.
NUM_CALIBRATION_CLIPS = 100


def exported(
    model: Model,
    *,
    precision: str,
    corpus: Corpus | None,
    keep_store: bool = False,
    advance: Callable[[int], object] = lambda count: None,
) -> tuple[Model, Parity]:
    """Returns a torch model as an ONNX model of a precision, float32 or int8, and how far the two differ.

    corpus: the one of the model's training: int8 measures the ranges of layers on train, and both are compared on dev.
    Without it, float32 is compared on made clips only.  keep_store: keep the run's store for enrolments.
    advance: called with the number of clips after each.

    Raises CheckFailedError if the exported model differs too much, InputError for int8 without training clips, and for
    a store that is not there.
    """
    recognizer = recognizer_of(model.engine)
    store = classifier_store(model) if keep_store else None
    ranges = None
    if precision == "int8":
        ranges = measured_ranges(recognizer, _calibration_clips(model, corpus, advance))
    config = replace(model.engine.config, auxiliary_head=False)
    engine = OnnxEngine.of(onnx_model(recognizer, ranges).SerializeToString(), config, Path("exported model"))
    # Nobody who gets the file learns the folders of this machine; and features of people's landmarks, which only an
    # enrolment needs, get those alone whom somebody wants to have them.
    result = replace(model, engine=engine, info=without_folders(dict(model.info)), store=store)
    parity = compare(model, result, corpus, exact=precision == "float32", advance=advance)
    parity.check(precision)
    record = {"precision": precision, **asdict(parity), "same_greedy": parity.same_greedy}
    return replace(result, info={**result.info, "export": record}), parity


@torch.inference_mode()
def classifier_store(model: Model) -> Store:
    """Returns the store of a torch model as an exported model needs it: the classifier's input of each utterance.

    The classifier takes more features than the BiLSTM: of a large store, the first utterances are kept.

    Raises InputError for a model that keeps none.
    """
    if model.store is None:
        raise InputError(
            "export: the model keeps no store for enrolments; leave out --store, or train with --store_megabytes 2"
        )
    lstm = recognizer_of(model.engine).lstm

    def classified(example: FeatureExample) -> np.ndarray:
        result: np.ndarray = lstm(torch.from_numpy(example.features)[None], None)[0].numpy()
        return result

    store = model.store.mapped(classified, MOST_MEGABYTES)
    if store is None:
        raise InputError(f"export: no utterance of the store fits into {MOST_MEGABYTES:g} MB; leave out --store")
    return store


def measured_ranges(recognizer: Recognizer, clips: Iterable[np.ndarray]) -> Mapping[str, Range]:
    """Returns the range of the input of each layer on at least one clip (T, P, 3)."""
    graph, inputs_of = calibration_model(recognizer)
    session = session_of(graph.SerializeToString())
    names = sorted(set(inputs_of.values()))
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for points in clips:
        values = session.run(names, {POINTS: points[None], LENGTHS: np.array([len(points)])})
        low = np.minimum(low, [value.min() for value in values])
        high = np.maximum(high, [value.max() for value in values])
    of_input = {name: Range.of(*limits) for name, *limits in zip(names, low.tolist(), high.tolist(), strict=True)}
    return {layer: of_input[name] for layer, name in inputs_of.items()}


def _calibration_clips(model: Model, corpus: Corpus | None, advance: Callable[[int], object]) -> Iterator[np.ndarray]:
    """Yields the points of training clips. Raises InputError if there are none."""
    utterances = calibration_utterances(corpus)
    if corpus is None or not utterances:
        raise InputError("export: int8 is calibrated on training clips; got none; give their corpus with --data_dir")
    for item in utterances:
        yield model.points(corpus.load_view(item, model.view))[:]
        advance(1)


def calibration_utterances(corpus: Corpus | None) -> Sequence[Utterance]:
    """Returns training utterances spread over the whole split, so that all signers are in it."""
    if corpus is None:
        return []
    train = corpus.utterances.in_split("train")
    return train.take(spread(len(train), NUM_CALIBRATION_CLIPS))
