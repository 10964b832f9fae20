"""Streams through real networks: the same glosses as offline where a window covers the whole clip."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conftest import SMALL_STUDENT, SMALL_TEACHER, TINY_SIGNS, random_landmarks
from scripted_signing import Film
from signloom.inference.model import Model
from signloom.inference.stream_options import StreamOptions
from signloom.inference.streaming import StreamingRecognizer
from signloom.inference.torch_engine import TorchEngine
from signloom.landmarks import ClipView
from signloom.model.presets import preset
from signloom.model.recognizer import Recognizer
from signloom.vocabulary import Vocabulary
from test_streaming import finals

CONFIGS = {
    "student": SMALL_STUDENT,
    "teacher": SMALL_TEACHER,
    "frame rate": preset("original_student", view="compact", encoder_widths=SMALL_STUDENT.encoder_widths),
}


def random_model(config, *, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    vocabulary = Vocabulary.from_glosses([TINY_SIGNS])
    recognizer = Recognizer(config, len(vocabulary))
    with torch.no_grad():
        # An untrained classifier is undecided: this one emits all glosses.
        recognizer.classifier.weight *= 30
    return Model(TorchEngine(recognizer), vocabulary)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("num_frames", [30, 61])
def test_a_window_over_the_whole_clip_gives_what_the_clip_gives(name, num_frames):
    model = random_model(CONFIGS[name])
    rng = np.random.default_rng(0)
    points = random_landmarks(num_frames, seed=1).in_view("compact").points
    # Hands that do not rest, wherever the random points are.
    points += rng.normal(0, 0.1, points.shape).astype(np.float32)
    clip = ClipView("compact", points, 25.0, np.arange(num_frames) / 25)
    offline = model.decode(model.emission(clip))
    assert len(offline.glosses) > 1
    recognizer = StreamingRecognizer(model.with_limits(0), StreamOptions(lookahead_seconds=60))
    events = recognizer.push(clip.points, clip.seconds) + recognizer.finish()
    spans = [event.span for event in events if getattr(event, "kind", "") == "final"]
    assert tuple(span.gloss for span in spans) == offline.words
    for streamed, whole in zip(spans, offline.glosses, strict=True):
        assert streamed.start_seconds == pytest.approx(whole.start_seconds, abs=1e-3)
        assert streamed.end_seconds == pytest.approx(whole.end_seconds, abs=1e-3)
        assert streamed.confidence == pytest.approx(whole.confidence, abs=1e-3)


@pytest.mark.slow
def test_glosses_behind_the_lookahead_do_not_depend_on_chunks():
    model = random_model(SMALL_STUDENT)
    film = Film().rest(1).sign(*"ABCABC").rest(1)
    events = []
    for size in (1, 7, len(film)):
        recognizer = StreamingRecognizer(model.with_limits(0))
        found = []
        for start in range(0, len(film), size):
            found += recognizer.push(film.points[start : start + size], film.seconds[start : start + size])
        events.append(found + recognizer.finish())
    assert finals(events[0])
    assert events[0] == events[1] == events[2]


@pytest.mark.slow
def test_an_exported_model_gives_the_same_events():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from signloom.inference.export import exported

    model = random_model(SMALL_STUDENT)
    film = Film().rest(1).sign(*"ABCABC").rest(1)
    events = []
    for side in (model, exported(model, precision="float32", corpus=None)[0]):
        recognizer = StreamingRecognizer(side)
        events.append(recognizer.push(film.points, film.seconds) + recognizer.finish())
    assert finals(events[0]) == finals(events[1])
