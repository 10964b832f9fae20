"""Long clips in models: memory is bounded, and results are those of the whole clip at once."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from conftest import TINY_STUDENT, mostly_slow, random_landmarks, worn_norms
from signloom import layout
from signloom.corpus import Corpus, CorpusWriter
from signloom.ctc import decoding
from signloom.ctc.decoding import Decoding
from signloom.inference import model as model_module
from signloom.inference.evaluate import evaluate
from signloom.inference.model import Model
from signloom.inference.torch_engine import TorchEngine
from signloom.model import blocks
from signloom.model.frontend import FrontEnd
from signloom.model.long_clips import long_log_probs
from signloom.model.presets import PRESETS, preset
from signloom.model.recognizer import Recognizer
from signloom.vocabulary import Vocabulary

CONFIGS = {
    **PRESETS,
    "two_layers_and_shared_hands": preset("student", share_hands=True, lstm_layers=2),
    "squeeze_excite": preset("student", squeeze_excite=True),
}
# Single precision, sums in another order, through up to a dozen layers.
ROUNDING = 3e-5


def recogniser(config, num_words=20):
    torch.manual_seed(0)
    model = worn_norms(Recognizer(config, num_words))
    # Features then vary by a few units, most of them within the clamp.
    torch.nn.init.uniform_(model.frontend.std, 0.05, 0.2)
    return model


def shaky_points(num_frames, view, *, shoulders=True):
    """Points that move from frame to frame, a tenth of them missing."""
    rng = np.random.default_rng(num_frames)
    points = random_landmarks(num_frames, seed=num_frames).points
    points = points + rng.normal(0, 0.05, points.shape).astype(np.float32)
    points[rng.random(points.shape[:2]) < 0.1] = np.nan
    if not shoulders:
        points[:, layout.index("pose.left_shoulder")] = np.nan
    return points[:, layout.subset(view)]


def whole(model, points):
    with torch.inference_mode():
        return model(torch.from_numpy(points)[None])[0][0].numpy()


@pytest.mark.parametrize("name", mostly_slow(CONFIGS, fast=("student", "teacher")))
def test_parts_give_what_the_whole_clip_does(name):
    model = recogniser(CONFIGS[name])
    for num_frames, part_frames in ((1, 16), (33, 16), (170, 48)):
        points = shaky_points(num_frames, model.config.view)
        seen = []
        hook = model.frontend.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0].shape[1]))
        result = long_log_probs(model, points, part_frames=part_frames)
        hook.remove()
        np.testing.assert_allclose(result, whole(model, points), atol=ROUNDING)
        if model.body.reach is not None:
            # Never the whole clip: a part, rounded up to whole output frames, and what it reaches for on either side.
            rounding = 3 * model.body.stride
            assert max(seen) <= min(num_frames, part_frames + 2 * (model.body.reach + model.frontend.reach) + rounding)


def test_without_shoulders_parts_share_the_frame_of_all_points():
    model = recogniser(TINY_STUDENT)
    points = shaky_points(90, "compact", shoulders=False)
    np.testing.assert_allclose(long_log_probs(model, points, part_frames=16), whole(model, points), atol=ROUNDING)
    points[:] = np.nan
    np.testing.assert_allclose(long_log_probs(model, points, part_frames=16), whole(model, points), atol=ROUNDING)


@pytest.mark.parametrize("name", ["student", "teacher_compact", "teacher_original"])
def test_a_body_reaches_as_far_as_it_says(name):
    """A change of one input frame changes the outputs within its reach and no others: the halo is neither too short nor
    wasted.
    """
    body = recogniser(CONFIGS[name]).body
    reach, stride, middle = body.reach, body.stride, 160
    features = torch.randn(1, 2 * middle + 1, sum(part.stop - part.start for part in body_parts(body)))
    changed = features.clone()
    changed[:, middle] += torch.randn(changed.shape[2])
    with torch.inference_mode():
        differing = (body(features, None) != body(changed, None)).any(dim=2)[0].nonzero().flatten().tolist()
    within = [index for index in range(features.shape[1] // stride + 1) if abs(index * stride - middle) <= reach]
    assert set(differing) <= set(within)
    # Maxima and rectifiers may hide the change in some of the farthest outputs.
    assert len(differing) >= 0.7 * len(within)


def body_parts(body):
    return (body.modalities if hasattr(body, "modalities") else body.fusion.modalities).values()


def test_a_halo_that_is_too_short_would_show(monkeypatch):
    model = recogniser(preset("student"))
    points = shaky_points(150, "compact")
    monkeypatch.setattr(blocks.Body, "reach", 8)
    monkeypatch.setattr(FrontEnd, "reach", 0)
    assert np.abs(long_log_probs(model, points, part_frames=48) - whole(model, points)).max() > 10 * ROUNDING


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    root = tmp_path_factory.mktemp("long") / "corpus"
    with CorpusWriter(root, {"name": "long"}) as writer:
        for number, num_frames in enumerate((40, 300, 30, 20)):
            clip = random_landmarks(num_frames, seed=number)
            writer.add(f"clip-{number}", split="test", signer="A", glosses=("UP", "DOWN"), landmarks=clip)
    return Corpus.open(root)


@pytest.mark.parametrize("workers", mostly_slow((1, 2), fast=(1,)))
def test_a_model_computes_a_long_clip_in_parts_alone_and_in_a_corpus(corpus, monkeypatch, workers):
    vocabulary = Vocabulary.from_glosses([("UP", "DOWN")])
    model = Model(TorchEngine(recogniser(TINY_STUDENT, len(vocabulary))), vocabulary, decoding=Decoding("greedy"))
    before = {item.id: log_probs for item, log_probs in model.emissions(corpus, corpus.utterances)}
    score = evaluate(model, corpus, "test")
    # 100 frames at once: three clips of 40, two of them padded, would be more.
    monkeypatch.setattr(model_module, "MAX_POINTS", 100 * len(layout.subset("compact")))
    monkeypatch.setattr(decoding, "_CHUNK_VALUES", 10)
    in_parts, batches = [], []
    original = TorchEngine.long_log_probs, TorchEngine.log_probs
    monkeypatch.setattr(
        TorchEngine, "long_log_probs", lambda self, points: (in_parts.append(len(points)), original[0](self, points))[1]
    )
    monkeypatch.setattr(
        TorchEngine,
        "log_probs",
        lambda self, *given: (batches.append(given[0].shape[:2]), original[1](self, *given))[1],
    )
    after = {item.id: log_probs for item, log_probs in model.emissions(corpus, corpus.utterances)}
    assert (in_parts, batches) == ([300], [(2, 30), (1, 40)])
    assert list(after) == list(before)
    for name, log_probs in before.items():
        np.testing.assert_allclose(after[name], log_probs, atol=ROUNDING)
    alone = model.emission(corpus.load(corpus.split("test")[1]))
    np.testing.assert_allclose(alone.log_probs, before["clip-1"], atol=ROUNDING)
    assert in_parts == [300, 300]
    assert evaluate(model, corpus, "test", workers=workers).wer == score.wer
