from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import SMALL_STUDENT, random_landmarks, worn_norms
from signloom import layout
from signloom.errors import InputError, LayoutError
from signloom.inference.model import Model, load
from signloom.inference.torch_engine import TorchEngine
from signloom.model.blocks import BiLSTM, Packing, SqueezeExcite, upsample
from signloom.model.frontend import FrontEnd
from signloom.model.presets import PRESETS, StudentConfig, preset
from signloom.model.recognizer import Recognizer, ctc_loss
from signloom.vocabulary import Vocabulary

VARIANTS = {
    "default": SMALL_STUDENT,
    "frame_rate": replace(SMALL_STUDENT, frame_rate=True),
    "squeeze_excite": replace(SMALL_STUDENT, squeeze_excite=True),
    "cosine": replace(SMALL_STUDENT, classifier="cosine"),
}


def clip(num_frames: int, *, view: str = "compact", seed: int = 0) -> torch.Tensor:
    """(1, T, P, 3) with some points missing."""
    points = random_landmarks(num_frames, seed=seed).select(view).copy()
    rng = np.random.default_rng(seed)
    groups = layout.subset_groups(view)
    points[rng.random(num_frames) < 0.3, groups["left_hand"]] = np.nan
    points[rng.random(num_frames) < 0.1, groups["face"]] = np.nan
    return torch.from_numpy(points).unsqueeze(0)


def recognizer(config: StudentConfig, num_words: int = 7) -> Recognizer:
    torch.manual_seed(0)
    return worn_norms(Recognizer(config, num_words))


@pytest.mark.parametrize("variant", VARIANTS)
@torch.inference_mode()
def test_padding_and_batch_never_change_an_emission(variant):
    model = recognizer(VARIANTS[variant])
    clips = [clip(length, seed=length) for length in (37, 1, 2, 8, 23)]
    padded = torch.full((len(clips), 60, 85, 3), float("nan"))
    for row, points in enumerate(clips):
        padded[row, : points.shape[1]] = points[0]
    batch, lengths = model(padded, torch.tensor([points.shape[1] for points in clips]))
    for row, points in enumerate(clips):
        alone, length = model(points)
        assert lengths[row] == length[0] == alone.shape[1]
        # Different blocking of the matrix products: a few units in the last place of values near 2.
        torch.testing.assert_close(batch[row, : lengths[row]], alone[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("variant", ["default", "frame_rate"])
@torch.inference_mode()
def test_output_lengths_are_right_for_every_length(variant):
    model = recognizer(VARIANTS[variant])
    for num_frames in range(1, 42):
        log_probs, lengths = model(clip(num_frames))
        assert log_probs.shape[1] == lengths[0] == model.output_lengths(torch.tensor(num_frames))
        needed = model.input_frames_needed(int(lengths[0]))
        assert model.output_lengths(torch.tensor(needed)) == lengths[0]
        assert needed == 1 or model.output_lengths(torch.tensor(needed - 1)) == lengths[0] - 1


@torch.inference_mode()
def test_emission_is_a_quarter_of_the_frame_rate_and_sums_to_one():
    model = recognizer(SMALL_STUDENT)
    assert (model.stride, model.step_seconds) == (4, 4 / 25)
    log_probs, _ = model(clip(40))
    assert log_probs.shape == (1, 10, 7)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(1, 10))
    # It varies over time: the sequence is not pooled.
    assert log_probs[0].std(0).max() > 1e-3


def test_training_statistics_leave_padding_out():
    torch.manual_seed(0)
    model = Recognizer(SMALL_STUDENT, 7).train()
    points = clip(24)
    padded = torch.cat([points, torch.full((1, 40, 85, 3), float("nan"))], 1)
    torch.manual_seed(1)
    tight = model.body(model.frontend(points), torch.tensor([24]))
    running = model.body.stem_norm.running_mean.clone()
    model.body.stem_norm.reset_running_stats()
    torch.manual_seed(1)
    loose = model.body(model.frontend(padded, torch.tensor([24])), torch.tensor([24]))
    torch.testing.assert_close(model.body.stem_norm.running_mean, running)
    torch.testing.assert_close(loose[:, :6], tight, atol=1e-5, rtol=0)
    assert (loose[:, 6:] == 0).all()


def test_bilstm_equals_torchs_packed_one():
    torch.manual_seed(0)
    ours = BiLSTM(5, 4, 1)
    theirs = torch.nn.LSTM(5, 4, batch_first=True, bidirectional=True)
    for name, parameter in ours.forward_layers[0].named_parameters():
        getattr(theirs, name).data = parameter.data
    for name, parameter in ours.backward_layers[0].named_parameters():
        getattr(theirs, f"{name}_reverse").data = parameter.data
    x, lengths = torch.randn(3, 9, 5), torch.tensor([9, 4, 1])
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    found = ours(x, lengths)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(found[row, :length], expected[row, :length])
    # Forget gates open at the start: bias 1 in all, of which recurrent and input part hold one.
    assert (ours.forward_layers[0].bias_ih_l0[4:8] == 1).all()
    assert (ours.forward_layers[0].bias_hh_l0 == 0).all()


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 4))
@settings(max_examples=40)
def test_packing_there_and_back_is_the_identity(lengths, stride):
    sizes = torch.tensor(lengths)
    packing = Packing(sizes, len(lengths), max(lengths)).strided(stride)
    assert packing.lengths.tolist() == [-(-length // stride) for length in lengths]
    frames = torch.randn(int(packing.lengths.sum()), 3)
    padded = packing.unpack(frames)
    torch.testing.assert_close(packing.pack(padded), frames)
    assert padded.abs().sum() == pytest.approx(frames.abs().sum().item(), rel=1e-5)


def test_squeeze_excite_gates_by_an_utterances_own_mean():
    torch.manual_seed(0)
    gate = SqueezeExcite(8)
    x = torch.randn(2, 6, 8)
    packing = Packing(torch.tensor([6, 3]), 2, 6)
    batch = packing.unpack(gate(packing.pack(x), packing))
    alone = gate(x[1, :3], Packing(None, 1, 3))
    torch.testing.assert_close(batch[1, :3], alone)


def test_upsampling_a_straight_line_stays_straight():
    line = torch.arange(5.0).view(1, 5, 1)
    up = upsample(line, None, 4, 20)[0, :, 0]
    expected = ((torch.arange(20) + 0.5) / 4 - 0.5).clamp(0, 4)
    torch.testing.assert_close(up, expected)


class TestFrontEnd:
    @pytest.mark.parametrize("view", ["compact", "full"])
    def test_camera_position_and_distance_do_not_matter(self, view):
        front = FrontEnd(view)
        points = clip(12, view=view)
        features = front.raw_features(points)
        moved = front.raw_features(points * 1.7 + torch.tensor([0.3, -0.2, 0.1]))
        torch.testing.assert_close(features, moved, atol=2e-4, rtol=1e-4, equal_nan=True)

    @pytest.mark.parametrize("view", ["compact", "full"])
    def test_geometry_is_idempotent(self, view):
        front = FrontEnd(view)
        once, _ = front.geometry(clip(12, view=view))
        twice, _ = front.geometry(once)
        torch.testing.assert_close(once, twice, atol=1e-5, rtol=1e-4, equal_nan=True)

    def test_full_view_has_the_values_of_the_older_systems(self):
        front = FrontEnd("full")
        assert front.num_features == 6516
        assert front.modalities == {"pose": 99, "hands": 126, "face": 1404, "temporal": 4887}

    def test_full_view_known_answer(self):
        """One hand point 3 right, 4 down of the wrist and as deep as it is far, moving right by one shoulder width."""
        points = torch.full((1, 2, 543, 3), float("nan"))
        points[:, :, layout.index("pose.left_shoulder")] = torch.tensor([0.5, 0.0, 0.0])
        points[:, :, layout.index("pose.right_shoulder")] = torch.tensor([-0.5, 0.0, 0.0])
        points[:, :, layout.index("left_hand.wrist")] = torch.tensor([2.0, 2.0, 0.0])
        tip = layout.index("left_hand.index_tip")
        points[0, 0, tip] = torch.tensor([5.0, 6.0, 5.0])
        points[0, 1, tip] = torch.tensor([6.0, 6.0, 5.0])
        features = FrontEnd("full").raw_features(points)
        third = 3 * tip
        assert features[0, 0, third : third + 3].tolist() == [3, 4, 5]
        velocity = 1629 + third
        assert features[0, 1, velocity : velocity + 3].tolist() == [1, 0, 0]
        assert torch.isnan(features[0, 0, velocity])
        polar = 3 * 1629 + third
        expected = [50**0.5, np.arctan2(4, 3), np.pi / 4]
        np.testing.assert_allclose(features[0, 0, polar : polar + 3], expected, rtol=1e-6)

    def test_compact_view_known_answer(self):
        points = torch.full((1, 3, 543, 3), float("nan"))
        points[:, :, layout.index("pose.left_shoulder")] = torch.tensor([1.0, 1.0, 0.0])
        points[:, :, layout.index("pose.right_shoulder")] = torch.tensor([-1.0, 1.0, 0.0])
        points[0, 0, layout.index("right_hand.wrist")] = torch.tensor([-1.0, 3.0, 0.0])
        points[0, 1, layout.index("right_hand.wrist")] = torch.tensor([-1.0, 5.0, 0.0])
        front = FrontEnd("compact")
        features = front.raw_features(points[:, :, torch.from_numpy(layout.subset("compact").copy())])
        hand = features[0, :, front.modality_slices()["right_hand"]]
        known = torch.isfinite(hand)
        # 21 points x 2, then where the wrist is: half a shoulder width to the side, one then two below.
        assert hand[:2, 42:44].tolist() == [[-0.5, 1.0], [-0.5, 2.0]]
        assert hand[0, 44 + 42 : 44 + 44].tolist() == [0.0, 1.0]
        assert known[:, 44 + 43].tolist() == [1, 0, 0]
        assert known[:, 88 + 43].tolist() == [0, 1, 0]
        assert hand[:, -1].tolist() == [1, 1, 0]

    @pytest.mark.parametrize("view", ["compact", "full"])
    def test_normalised_exactly_once(self, view):
        front = FrontEnd(view)
        batches = [(clip(40, view=view, seed=seed), torch.tensor([40])) for seed in range(6)]
        front.fit(batches)
        assert front.fitted
        values = torch.cat([front(points)[0] for points, _ in batches])
        known = torch.cat([torch.isfinite(front.raw_features(points)[0]) for points, _ in batches])
        spread = values[known]
        assert abs(spread.mean()) < 0.1
        # A feature that never changes stays at 0, which takes a little off the spread of all.
        assert 0.9 < spread.std() < 1.1
        assert spread.abs().max() <= 10
        assert (values[~known] == 0).all()

    def test_statistics_do_not_depend_on_how_the_split_is_batched(self):
        clips = [clip(length, seed=length) for length in (30, 10, 17)]
        one = FrontEnd()
        one.fit((points, torch.tensor([points.shape[1]])) for points in clips)
        padded = torch.full((3, 30, 85, 3), float("nan"))
        for row, points in enumerate(clips):
            padded[row, : points.shape[1]] = points[0]
        other = FrontEnd()
        other.fit([(padded, torch.tensor([30, 10, 17]))])
        torch.testing.assert_close(one.mean, other.mean)
        torch.testing.assert_close(one.std, other.std)

    def test_hands_without_a_body_and_nothing_at_all_stay_finite(self):
        front = FrontEnd()
        points = clip(5)
        groups = layout.subset_groups("compact")
        points[:, :, groups["pose"]] = float("nan")
        assert torch.isfinite(front(points)).all()
        points[:] = float("nan")
        assert torch.isfinite(front(points)).all()

    def test_wrong_number_of_points_is_refused(self):
        with pytest.raises(InputError, match=r"543 points per frame, the compact view needs 85 \(Landmarks.select"):
            FrontEnd()(clip(3, view="full"))


class TestPresets:
    def test_original_is_within_two_percent_of_its_notes(self):
        assert Recognizer(PRESETS["original_student"], 973).num_parameters == pytest.approx(14.2e6, rel=0.02)

    def test_ours_is_under_three_million_and_twelve_megabytes(self):
        parameters = Recognizer(PRESETS["student"], 1118).num_parameters
        assert parameters < 3_000_000
        assert 4 * parameters < 12e6

    def test_unknown_preset_and_impossible_values_are_refused(self):
        with pytest.raises(InputError, match="no preset 'huge'; known are student, original_student, teacher"):
            preset("huge")
        with pytest.raises(InputError, match="dropout 1.5"):
            preset("student", dropout=1.5)
        with pytest.raises(InputError, match="unknown keys wings"):
            StudentConfig.from_json({**SMALL_STUDENT.to_json(), "wings": 2})

    def test_config_survives_json(self):
        assert StudentConfig.from_json(SMALL_STUDENT.to_json()) == SMALL_STUDENT


def test_ctc_loss_equals_the_sum_over_all_paths():
    """T = 3, two words: the paths of 'A' are every sequence that collapses to it, enumerated here."""
    torch.manual_seed(0)
    log_probs = torch.randn(1, 3, 2).log_softmax(-1)
    total = torch.tensor(float("-inf"))
    for path in ((0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 1, 0), (1, 1, 1)):
        total = torch.logaddexp(total, sum(log_probs[0, t, word] for t, word in enumerate(path)))
    loss = ctc_loss(log_probs, torch.tensor([3]), torch.tensor([[1]]), torch.tensor([1]))
    torch.testing.assert_close(loss[0], -total)


class TestCheckpoint:
    @pytest.fixture
    def model(self):
        vocabulary = Vocabulary.from_glosses([["A", "B", "Ä", "D", "E"]])
        return Model(TorchEngine(recognizer(SMALL_STUDENT)), vocabulary, {"recipe": {"seed": 3}})

    def test_rebuilds_itself(self, model, tmp_path):
        model.save(tmp_path / "model.safetensors")
        for path in (tmp_path, tmp_path / "model.safetensors"):
            again = load(path)
            assert again.vocabulary == model.vocabulary
            assert again.info == {"recipe": {"seed": 3}}
            clip_ = random_landmarks(30)
            np.testing.assert_array_equal(again.emission(clip_).log_probs, model.emission(clip_).log_probs)

    def test_transcribes_landmarks_and_landmark_files_at_any_rate(self, model, tmp_path):
        clip_ = random_landmarks(48, fps=29.97)
        clip_.save(tmp_path / "a.npz")
        emission = model.emission(clip_)
        assert len(emission.log_probs) == 10  # 48 frames at 29.97 are 40 at 25, a quarter of which
        hypothesis = model.transcribe(tmp_path / "a.npz")
        for span in hypothesis.glosses:
            assert 0 <= span.start_seconds < span.end_seconds <= clip_.duration_seconds + 1e-6
            assert 0 < span.confidence <= 1

    @pytest.mark.parametrize(
        ("content", "message"),
        [(b"", "not a model file"), (b"\x80\x04pickle", "not a model file"), (None, "no such model")],
    )
    def test_something_else_is_refused(self, tmp_path, content, message):
        path = tmp_path / "model.safetensors"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            load(path)

    def test_a_torch_pickle_is_never_opened(self, tmp_path):
        torch.save({"a": torch.zeros(2)}, tmp_path / "model.pt")
        with pytest.raises(InputError, match="not a model file of signloom"):
            load(tmp_path / "model.pt")

    def test_plain_safetensors_without_our_header(self, tmp_path):
        from safetensors.torch import save_file

        save_file({"a": torch.zeros(2)}, tmp_path / "x.safetensors")
        with pytest.raises(InputError, match="no signloom header"):
            load(tmp_path / "x.safetensors")

    def test_another_layout_version_is_refused(self, model, tmp_path, monkeypatch):
        monkeypatch.setattr(layout, "VERSION", 9)
        model.save(tmp_path / "model.safetensors")
        monkeypatch.undo()
        with pytest.raises(LayoutError, match="made for point layout 'holistic543' version 9"):
            load(tmp_path)

    def test_vocabulary_of_another_size_is_refused(self):
        with pytest.raises(InputError, match="classifier of 7 words, vocabulary of 3"):
            Model(TorchEngine(recognizer(SMALL_STUDENT)), Vocabulary.from_glosses([["A"]]))
