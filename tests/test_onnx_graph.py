"""The ONNX graph of every kind of model against its torch module: any length, any batch, any missing part."""

from dataclasses import replace

import numpy as np
import pytest

from conftest import SMALL_STUDENT, SMALL_TEACHER, mostly_slow, random_landmarks, worn_norms
from signloom import layout
from signloom.model.presets import Block, InceptionModule

torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from signloom.model.onnx_graph.quantization import Range, quantized_lstm_weights, quantized_weights  # noqa: E402
from signloom.model.onnx_graph.recognizer import calibration_model, onnx_model  # noqa: E402
from signloom.model.recognizer import Recognizer  # noqa: E402

FULL_STUDENT = replace(SMALL_STUDENT, view="full", encoder_widths={"pose": 8, "hands": 8, "face": 8, "temporal": 8})
# Strides in stem, first pooling and modules, and a module as wide as its input.
DEEP_TEACHER = replace(
    SMALL_TEACHER,
    residual=True,
    modules=(
        InceptionModule("3b", 6, (4, 6), (3, 4), 4),
        InceptionModule("4b", 6, (4, 6), (3, 4), 4, pool=2),
        InceptionModule("5b", 8, (4, 6), (3, 6), 4, pool=2),
    ),
)
CONFIGS = {
    "student": SMALL_STUDENT,
    "student with all options": replace(
        SMALL_STUDENT, share_hands=True, frame_rate=True, classifier="cosine", squeeze_excite=True, encoder_layers=2
    ),
    "student of odd strides": replace(
        SMALL_STUDENT, stem_stride=3, stem_kernel=7, blocks=(Block(3, 24, 16), Block(5, 24, 16, 3)), lstm_layers=1
    ),
    "student, full view": FULL_STUDENT,
    "original student": replace(FULL_STUDENT, frame_rate=True, lstm_layers=1),
    "teacher": SMALL_TEACHER,
    "teacher, full view": replace(SMALL_TEACHER, view="full", residual=True, attention_clamp=0.5),
    "teacher at the frame rate": replace(DEEP_TEACHER, frame_rate=True, classifier="cosine"),
    "teacher without attention": replace(DEEP_TEACHER, attention=False, encoder_layers=2, stem_pool=1),
}
FAST = ("student with all options", "student of odd strides", "teacher at the frame rate")
NUM_WORDS = 11
# Single precision, sums in another order: ten times the largest difference seen.
TOLERANCE = 2e-5


def recognizer_of(config) -> Recognizer:
    """A recogniser whose batch norms and statistics are those of a trained one."""
    torch.manual_seed(0)
    recognizer = worn_norms(Recognizer(config, NUM_WORDS))
    torch.nn.init.uniform_(recognizer.frontend.mean, -0.5, 0.5)
    torch.nn.init.uniform_(recognizer.frontend.std, 0.2, 2.0)
    return recognizer


def session_of(model) -> "ort.InferenceSession":
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module", params=mostly_slow(CONFIGS, FAST), ids=lambda name: name.replace(" ", "_"))
def pair(request) -> tuple[Recognizer, "ort.InferenceSession"]:
    recognizer = recognizer_of(CONFIGS[request.param])
    return recognizer, session_of(onnx_model(recognizer))


def points_of(view: str, *lengths: int, seed: int = 0) -> np.ndarray:
    """Clips in which every point moves; not as `random_landmarks` has them, with both shoulders at the same height.

    There the angle of a shoulder, seen from their centre, is +pi or -pi by rounding.
    """
    rng = np.random.default_rng(seed)
    points = np.full((len(lengths), max(lengths), len(layout.subset(view)), 3), np.nan, dtype=np.float32)
    for row, length in zip(points, lengths, strict=True):
        clip = random_landmarks(length, seed=int(rng.integers(1000))).select(view)
        row[:length] = clip + rng.normal(0, 0.03, clip.shape)
    return points


def check_same(pair, points: np.ndarray, lengths: np.ndarray) -> None:
    recognizer, session = pair
    with torch.inference_mode():
        expected, expected_lengths = recognizer(torch.from_numpy(points), torch.from_numpy(lengths))
    log_probs, output_lengths, features = session.run(None, {"points": points, "lengths": lengths})
    assert output_lengths.tolist() == expected_lengths.tolist()
    assert log_probs.shape == expected.shape
    assert features.shape == (*log_probs.shape[:2], 2 * recognizer.config.lstm_hidden)
    for row, other, length in zip(log_probs, expected.numpy(), output_lengths, strict=True):
        np.testing.assert_allclose(row[:length], other[:length], atol=TOLERANCE)


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 5, 7, 8, 9, 17, 64])
def test_any_length(pair, num_frames):
    check_same(pair, points_of(pair[0].config.view, num_frames), np.array([num_frames]))


@pytest.mark.parametrize("config", [SMALL_STUDENT, SMALL_TEACHER], ids=["student", "teacher"])
def test_a_face_that_no_training_clip_shows_changes_nothing_in_the_exported_model_either(config):
    recognizer = recognizer_of(config)
    points, lengths = points_of(config.view, 24), np.array([24])
    faceless = points.copy()
    faceless[:, :, layout.subset_groups(config.view)["face"]] = np.nan
    recognizer.frontend.fit([(torch.from_numpy(faceless), torch.from_numpy(lengths))])
    session = session_of(onnx_model(recognizer))
    check_same((recognizer, session), points, lengths)
    with_face, without = (session.run(None, {"points": some, "lengths": lengths})[0] for some in (points, faceless))
    np.testing.assert_allclose(with_face, without, atol=1e-5)


def test_any_batch_and_whatever_is_in_the_padding(pair):
    lengths = np.array([9, 1, 24, 5, 23])
    points = points_of(pair[0].config.view, *lengths)
    check_same(pair, points, lengths)
    for row, length in zip(points, lengths, strict=True):
        row[length:] = 1e3
    check_same(pair, points, lengths)


def test_any_missing_part(pair):
    """Each part alone, single points, single frames, one shoulder and both, and everything."""
    view = pair[0].config.view
    names = layout.subset(view).tolist()
    shoulders = [names.index(layout.index(f"pose.{side}_shoulder")) for side in ("left", "right")]
    rng = np.random.default_rng(3)
    groups = layout.subset_groups(view)
    points = points_of(view, *[20] * (len(groups) + 6))
    for row, part in zip(points, groups.values(), strict=False):
        row[:, part] = np.nan
    rest = points[len(groups) :]
    rest[0, :, shoulders[0]] = np.nan
    rest[1, ::2, shoulders[1]] = np.nan
    rest[2, :, groups["pose"]] = np.nan
    rest[2, :, groups["face"]] = np.nan
    rest[3][rng.random(rest[3].shape[:2]) < 0.3] = np.nan
    rest[4, rng.random(20) < 0.5] = np.nan
    rest[5] = np.nan
    check_same(pair, points, np.full(len(points), 20))


def test_features_are_what_the_classifier_gets(pair):
    recognizer, session = pair
    points, lengths = points_of(recognizer.config.view, 13, 6), np.array([13, 6])
    log_probs, output_lengths, features = session.run(None, {"points": points, "lengths": lengths})
    with torch.inference_mode():
        expected = recognizer.classifier(torch.from_numpy(features)).log_softmax(-1).numpy()
    for row, other, length in zip(log_probs, expected, output_lengths, strict=True):
        np.testing.assert_allclose(row[:length], other[:length], atol=TOLERANCE)


class TestEightBits:
    def test_all_layers_are_quantised_and_the_result_is_near(self, pair):
        recognizer, session = pair
        points, lengths = points_of(recognizer.config.view, 40), np.array([40])
        model, inputs_of = calibration_model(recognizer)
        names = sorted(set(inputs_of.values()))
        values = dict(zip(names, session_of(model).run(names, {"points": points, "lengths": lengths}), strict=True))
        ranges = {name: Range.of(values[of].min(), values[of].max()) for name, of in inputs_of.items()}
        quantised = onnx_model(recognizer, ranges)
        kinds = {node.op_type for node in quantised.graph.node}
        assert not kinds & {"Gemm", "LSTM"}
        assert {"MatMulIntegerToFloat", "DynamicQuantizeLSTM"} <= kinds
        exact = session.run(["log_probs"], {"points": points, "lengths": lengths})[0]
        near = session_of(quantised).run(["log_probs"], {"points": points, "lengths": lengths})[0]
        # Rounding to seven bits a weight; a layer whose scale or zero point is wrong is off by far more.
        assert 0 < np.abs(near - exact).max() < 0.1 * np.ptp(exact)

    @pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.5, 2.0), (-4.0, -1.0), (0.0, 0.0)])
    def test_zero_and_the_limits_of_a_range_are_kept(self, low, high):
        limits = Range.of(low, high)

        def restored(value):
            steps = np.clip(np.rint(value / limits.scale) + limits.zero_point, 0, 255)
            return (steps - limits.zero_point) * limits.scale

        assert restored(0.0) == 0
        np.testing.assert_allclose([restored(low), restored(high)], [low, high], atol=limits.scale)

    def test_weights_have_seven_bits_and_a_scale_of_their_own(self):
        matrix = np.random.default_rng(0).normal(0, [1.0, 100.0, 0.0], (50, 3)).astype(np.float32)
        values, scales = quantized_weights(matrix)
        assert np.abs(values).max(0).tolist() == [63, 63, 0]
        np.testing.assert_allclose(values * scales, matrix, atol=0.51 * scales[1])
        np.testing.assert_allclose(values[:, 0] * scales[0], matrix[:, 0], atol=0.51 * scales[0])
        lstm = np.stack([matrix.T, 2 * matrix.T])
        quantised, lstm_scales = quantized_lstm_weights(lstm)
        assert quantised.shape == (2, 50, 3)
        np.testing.assert_array_equal(quantised[0], values)
        np.testing.assert_allclose(lstm_scales[1], [2 * scales[0], 2 * scales[1], 1])
