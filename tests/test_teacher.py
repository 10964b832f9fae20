"""The teacher: fusion, Inception modules, presets, and the auxiliary head that both models can have."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from conftest import SMALL_STUDENT, SMALL_TEACHER, random_landmarks, worn_norms
from signloom import layout
from signloom.corpus import Corpus
from signloom.errors import InputError
from signloom.inference.model import Model, load
from signloom.inference.torch_engine import TorchEngine
from signloom.model.blocks import Packing, TemporalConv, max_pool
from signloom.model.inception import InceptionBlock
from signloom.model.modality_fusion import Fusion, ModalityAttention
from signloom.model.presets import PRESETS, InceptionModule, ModelConfig, preset
from signloom.model.recognizer import Recognizer, ctc_loss
from signloom.train import build
from signloom.train.build import build_recognizer
from signloom.train.fit import fit
from signloom.train.recipe import Recipe
from signloom.train.training_state import read_state
from signloom.vocabulary import Vocabulary

pytestmark = pytest.mark.slow

VARIANTS = {
    "default": SMALL_TEACHER,
    "average": replace(SMALL_TEACHER, attention=False),
    "residual": replace(SMALL_TEACHER, residual=True),
    "full": replace(SMALL_TEACHER, view="full"),
    "stride 16": replace(
        SMALL_TEACHER, modules=tuple(replace(module, pool=2) for module in SMALL_TEACHER.modules), frame_rate=True
    ),
    "auxiliary": replace(SMALL_TEACHER, auxiliary_head=True, classifier="cosine"),
}


def clip(num_frames: int, view: str = "compact", *, seed: int = 0) -> torch.Tensor:
    """(1, T, P, 3), the left hand missing in a third of the frames."""
    points = torch.from_numpy(random_landmarks(num_frames, seed=seed).select(view).copy())
    hidden = torch.rand(num_frames, generator=torch.Generator().manual_seed(seed)) < 1 / 3
    points[hidden, layout.subset_groups(view)["left_hand"]] = torch.nan
    return points.unsqueeze(0)


def recognizer(config: ModelConfig, num_words: int = 7) -> Recognizer:
    torch.manual_seed(0)
    return worn_norms(Recognizer(config, num_words))


@pytest.mark.parametrize("variant", VARIANTS)
@torch.inference_mode()
def test_padding_and_batch_never_change_an_emission(variant):
    config = VARIANTS[variant]
    model = recognizer(config)
    clips = [clip(length, config.view, seed=length) for length in (37, 1, 2, 17, 8, 23)]
    padded = torch.full((len(clips), 60, *clips[0].shape[2:]), torch.nan)
    for row, points in enumerate(clips):
        padded[row, : points.shape[1]] = points[0]
    batch, lengths = model(padded, torch.tensor([points.shape[1] for points in clips]))
    for row, points in enumerate(clips):
        alone, length = model(points)
        assert lengths[row] == length[0] == alone.shape[1]
        # Different blocking of the matrix products: a few units in the last place of values near 2.
        torch.testing.assert_close(batch[row, : lengths[row]], alone[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("variant", ["default", "stride 16"])
@torch.inference_mode()
def test_output_lengths_are_right_for_every_length(variant):
    model = recognizer(VARIANTS[variant])
    for num_frames in range(1, 81):
        points = clip(num_frames)
        log_probs, lengths = model(points)
        assert log_probs.shape[1] == lengths[0] == model.output_lengths(torch.tensor(num_frames))
        features = model.body(model.frontend(points), None)
        assert features.shape[1] == model.body.output_lengths(torch.tensor(num_frames))
        needed = model.input_frames_needed(int(lengths[0]))
        assert model.output_lengths(torch.tensor(needed)) == lengths[0]
        assert needed == 1 or model.output_lengths(torch.tensor(needed - 1)) == lengths[0] - 1


@torch.inference_mode()
def test_time_is_not_pooled_and_probabilities_sum_to_one():
    for variant, stride in (("default", 4), ("stride 16", 16)):
        model = recognizer(VARIANTS[variant])
        assert model.body.stride == stride
        log_probs, _ = model(clip(80))
        torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]))
        assert log_probs[0].std(0).max() > 1e-3


@torch.inference_mode()
def test_residual_modules_add_what_goes_in_to_what_comes_out():
    plain, residual = (
        InceptionBlock(12, InceptionModule("3b", 6, (4, 6), (3, 4), 4, 2), residual=r) for r in (False, True)
    )
    residual.load_state_dict(plain.state_dict())
    x = torch.randn(30, 12)
    packing = Packing(torch.tensor([20, 10]), 2, 20)
    with_it, after = residual(x, packing)
    without, _ = plain(x, packing)
    pooled, _ = max_pool(x, packing, 3, 2)
    torch.testing.assert_close(with_it[:, :12], without[:, :12] + pooled)
    torch.testing.assert_close(with_it[:, 12:], without[:, 12:])
    assert len(with_it) == len(pooled)
    assert after.lengths.tolist() == [10, 5]
    # Ours have them, the reconstruction has not, and they have no weights.
    assert [preset(name).residual for name in ("teacher", "teacher_compact", "teacher_original")] == [True, True, False]
    # A model file of before they were there.
    record = SMALL_TEACHER.to_json()
    record.pop("residual")
    assert ModelConfig.from_json(record) == SMALL_TEACHER
    with pytest.raises(InputError, match=r"residual Inception modules of widths \[30, 20, 20\]"):
        replace(SMALL_TEACHER, residual=True, stem_channels=30)


def test_training_statistics_leave_padding_out():
    points = clip(24)
    padded = torch.cat([points, torch.full((1, 40, 85, 3), torch.nan)], 1)
    # No dropout: it would draw other numbers for another count of frames.
    config = replace(SMALL_TEACHER, dropout=0.0, attention_dropout=0.0)
    found = []
    for batch in (points, padded):
        torch.manual_seed(0)
        model = Recognizer(config, 7).train()
        out = model.body(model.frontend(batch, torch.tensor([24])), torch.tensor([24]))
        found.append((out[:, :6], {name: value for name, value in model.named_buffers() if "running" in name}))
        assert (out[:, 6:] == 0).all()
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[0][1], found[1][1])


def test_max_pooling_known_answer():
    """Two utterances of 5 and 3 frames, all values negative: padding of 0 would win everywhere at the edges."""
    values = torch.tensor([-3.0, -1.0, -4.0, -2.0, -5.0, -9.0, -7.0, -8.0]).unsqueeze(1)
    packing = Packing(torch.tensor([5, 3]), 2, 5)
    every, _ = max_pool(values, packing, 3)
    assert every.squeeze(1).tolist() == [-1, -1, -1, -2, -2, -7, -7, -7]
    second, after = max_pool(values, packing, 3, 2)
    assert second.squeeze(1).tolist() == [-1, -1, -2, -7, -7]
    assert after.lengths.tolist() == [3, 2]


@given(st.integers(1, 20), st.integers(1, 3), st.sampled_from([1, 3, 5, 7]))
@settings(max_examples=30)
def test_temporal_convolution_is_torchs(num_frames, stride, kernel):
    conv = TemporalConv(3, 4, kernel=kernel, stride=stride)
    x = torch.randn(2, num_frames, 3)
    expected = torch.nn.functional.conv1d(x.transpose(1, 2), conv.weight.squeeze(2), stride=stride, padding=kernel // 2)
    found = conv(x)
    torch.testing.assert_close(found, expected.transpose(1, 2), atol=1e-5, rtol=1e-4)
    assert found.shape[1] == -(-num_frames // stride)


MODALITIES = {"pose": slice(0, 4), "hands": slice(4, 9), "face": slice(9, 12), "temporal": slice(12, 20)}


class TestFusion:
    def test_what_attention_adds_is_clamped(self):
        attention = ModalityAttention(8, 2, dropout=0.0, clamp=10.0)
        tokens = torch.randn(30, 4, 8)
        usual = attention(tokens)
        assert 0 < usual.abs().max() < 10
        with torch.no_grad():
            attention.output.weight.mul_(1e4)
        wild = attention(tokens)
        assert wild.abs().max() == 10
        attention.clamp = 50.0
        assert 10 < attention(tokens).abs().max() <= 50

    def test_xaviers_bound_with_half_gain(self):
        attention = ModalityAttention(64, 4, dropout=0.0, clamp=10.0)
        bound = 0.5 * (6 / (64 + 64)) ** 0.5
        for weight in (*attention.projections.weight.chunk(3), attention.output.weight):
            assert 0.9 * bound < weight.abs().max() <= bound

    def test_attention_known_answer(self):
        """With equal keys every token takes the mean of all values; here value and output are the identity."""
        attention = ModalityAttention(4, 1, dropout=0.0, clamp=10.0)
        with torch.no_grad():
            attention.projections.weight.copy_(torch.cat([torch.zeros(8, 4), torch.eye(4)]))
            attention.output.weight.copy_(torch.eye(4))
        tokens = torch.randn(5, 3, 4)
        expected = torch.nn.functional.layer_norm(tokens, (4,)).mean(1, keepdim=True).expand(-1, 3, -1)
        torch.testing.assert_close(attention(tokens), expected)

    def test_without_attention_it_is_the_average_of_the_encoders(self):
        fusion = Fusion(replace(SMALL_TEACHER, attention=False), MODALITIES).eval()
        x = torch.randn(6, 20)
        tokens = [fusion.encoders[name](x[:, part]) for name, part in MODALITIES.items()]
        torch.testing.assert_close(fusion(x), torch.stack(tokens).mean(0))
        assert not [name for name, _ in fusion.named_parameters() if "attention" in name]

    def test_frames_do_not_see_each_other(self):
        fusion = Fusion(SMALL_TEACHER, MODALITIES).eval()
        x = torch.randn(6, 20)
        changed = x.clone()
        changed[3] += 1
        same = (fusion(x) == fusion(changed)).all(1)
        assert same.tolist() == [True, True, True, False, True, True]

    def test_one_modality_changes_the_others_tokens_only_with_attention(self):
        attention = ModalityAttention(8, 2, dropout=0.0, clamp=10.0)
        tokens = torch.randn(2, 4, 8)
        changed = tokens.clone()
        changed[:, 0] += torch.randn(2, 8)
        assert (attention(tokens)[:, 1:] - attention(changed)[:, 1:]).abs().max() > 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_reaches_every_parameter(variant):
    config = VARIANTS[variant]
    torch.manual_seed(0)
    model = Recognizer(config, 7).train()
    batch = torch.cat([clip(96, config.view, seed=seed) for seed in range(4)])
    lengths = torch.tensor([96, 80, 90, 70])
    heads = model.heads(batch, lengths)
    targets, target_lengths = torch.tensor([[2, 3], [4, 5], [6, 2], [3, 4]]), torch.full((4,), 2)
    loss = ctc_loss(heads.log_probs, heads.lengths, targets, target_lengths).mean()
    if heads.auxiliary is not None:
        loss = loss + ctc_loss(heads.auxiliary, heads.lengths, targets, target_lengths).mean()
    loss.backward()
    silent = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not torch.isfinite(parameter.grad).all() or not parameter.grad.abs().sum() > 0
    ]
    assert silent == []


def test_forget_gates_start_open():
    model = Recognizer(SMALL_TEACHER, 7)
    for lstm in (*model.lstm.forward_layers, *model.lstm.backward_layers):
        total = lstm.bias_ih_l0 + lstm.bias_hh_l0
        assert (total[8:16] == 1).all()
        assert (total[:8] == 0).all()


class TestAuxiliaryHead:
    @pytest.mark.parametrize("config", [SMALL_TEACHER, SMALL_STUDENT], ids=["teacher", "student"])
    @pytest.mark.parametrize("classifier", ["linear", "cosine"])
    def test_is_there_in_training_only(self, config, classifier):
        model = recognizer(replace(config, auxiliary_head=True, classifier=classifier))
        points, lengths = clip(40), torch.tensor([40])
        assert model.heads(points, lengths).auxiliary is None
        heads = model.train().heads(points, lengths)
        assert heads.auxiliary.shape == heads.log_probs.shape
        torch.testing.assert_close(heads.auxiliary.exp().sum(-1), torch.ones(heads.auxiliary.shape[:2]))

    def test_shares_the_classifier_where_it_is_cosine(self):
        shared = Recognizer(replace(SMALL_TEACHER, auxiliary_head=True, classifier="cosine"), 7)
        own = Recognizer(replace(SMALL_TEACHER, auxiliary_head=True), 7)
        assert shared.auxiliary.out_features == 2 * SMALL_TEACHER.lstm_hidden
        assert own.auxiliary.out_features == 7
        heads = shared.train().heads(clip(40))
        heads.auxiliary[0, 0, 0].backward()
        assert shared.classifier.weight.grad.abs().sum() > 0

    def test_a_model_without_one_gives_none_and_the_same_emission(self):
        model = recognizer(SMALL_TEACHER)
        points = clip(40)
        heads = model.heads(points)
        log_probs, lengths = model(points)
        assert heads.auxiliary is None
        torch.testing.assert_close(heads.log_probs, log_probs)
        assert heads.lengths.tolist() == lengths.tolist()


class TestPresets:
    def test_teacher_is_within_two_percent_of_the_notes(self):
        """7,287,581 parameters at 973 words; ours has the same parts, their widths where the notes are silent apart."""
        for name in ("teacher", "teacher_original"):
            num_parameters = Recognizer(preset(name), 973).num_parameters
            assert num_parameters == 7_256_429
            assert num_parameters == pytest.approx(7_287_581, rel=0.02)
        assert Recognizer(preset("teacher_compact"), 973).num_parameters == 6_681_965

    def test_modules_and_strides(self):
        teacher, original = Recognizer(preset("teacher"), 5), Recognizer(preset("teacher_original"), 5)
        assert list(teacher.body.inception) == ["3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"]
        # The widths of I3D's figure 3.
        widths = [module.channels for module in preset("teacher").modules]
        assert widths == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
        assert (teacher.body.stride, teacher.stride) == (4, 4)
        assert (original.body.stride, original.stride) == (16, 1)
        assert teacher.frontend.num_features == 6516

    @pytest.mark.parametrize("config", [*PRESETS.values(), *VARIANTS.values(), SMALL_STUDENT])
    def test_config_survives_json(self, config):
        import json

        assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config

    def test_a_record_without_a_kind_is_a_students(self):
        record = SMALL_STUDENT.to_json()
        assert record.pop("kind") == "mobilenet"
        assert ModelConfig.from_json(record) == SMALL_STUDENT

    def test_impossible_values_are_refused(self):
        with pytest.raises(InputError, match="attention_clamp 0; needed above 0"):
            preset("teacher", attention_clamp=0)
        with pytest.raises(InputError, match="encoder_width 97 for 4 attention heads"):
            preset("teacher", encoder_width=97)
        with pytest.raises(InputError, match="attention_dropout 1"):
            preset("teacher", attention_dropout=1)
        with pytest.raises(InputError, match="student has no attention"):
            preset("student", attention=False)
        with pytest.raises(InputError, match="kind 'rnn'; needed one of mobilenet, inception"):
            ModelConfig.from_json({"kind": "rnn"})
        with pytest.raises(InputError, match="unknown keys wings"):
            ModelConfig.from_json({**SMALL_TEACHER.to_json(), "wings": 2})
        with pytest.raises(InputError, match="model config"):
            ModelConfig.from_json({**SMALL_TEACHER.to_json(), "modules": [3]})


@pytest.mark.parametrize("name", ["teacher", "teacher_compact", "teacher_original"])
@torch.inference_mode()
def test_presets_go_through_the_checkpoint(name, tmp_path):
    vocabulary = Vocabulary.from_glosses([["A", "B"]])
    torch.manual_seed(0)
    model = Model(TorchEngine(Recognizer(preset(name), len(vocabulary))), vocabulary)
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path)
    assert again.engine.config == preset(name)
    landmarks = random_landmarks(20)
    assert (again.emission(landmarks).log_probs == model.emission(landmarks).log_probs).all()


class TestTraining:
    """Teacher and auxiliary head through `fit`."""

    @pytest.fixture(autouse=True)
    def tiny_preset(self, monkeypatch):
        monkeypatch.setitem(PRESETS, "tiny_teacher", SMALL_TEACHER)

    def test_the_auxiliary_head_is_trained_by_its_weight_and_in_no_model(self, tiny_corpus, tmp_path):
        moved = {}
        for weight in (0.0, 1.0):
            recipe = Recipe(
                data_dir=tiny_corpus,
                output=tmp_path / str(weight),
                preset="tiny_teacher",
                epochs=1,
                auxiliary_head=True,
                auxiliary_weight=weight,
                weight_decay=0.0,
            )
            result = fit(recipe)
            # Its bias starts at 0.
            state = read_state(result.run / "last.safetensors")["state_dict"]
            (bias,) = (value for name, value in state.items() if name.endswith("auxiliary.bias"))
            moved[weight] = bias.abs().max().item()
            assert result.model.engine.recognizer.auxiliary is None
            assert not [name for name in load_file(result.run / "model.safetensors") if "auxiliary" in name]
            record = json.loads((result.run / "run.json").read_text())
            assert record["model"]["parameters"] == result.model.engine.recognizer.num_parameters
        assert moved[0.0] == 0 < moved[1.0]

    def test_attention_can_be_left_out_or_clamped_otherwise(self, tiny_corpus, tmp_path):
        vocabulary = Vocabulary.from_glosses([["A", "B"]])
        one_head = {"data_dir": tiny_corpus, "auxiliary_head": False}
        wanted = Recipe(**one_head, preset="tiny_teacher", attention=False, attention_clamp=3.0)
        plain, _ = build_recognizer(wanted, vocabulary)
        assert plain.config == replace(SMALL_TEACHER, attention=False, attention_clamp=3.0)
        assert build_recognizer(Recipe(**one_head, preset="tiny_teacher"), vocabulary)[0].config == SMALL_TEACHER
        with pytest.raises(InputError, match="student has no attention"):
            build_recognizer(Recipe(data_dir=tiny_corpus, attention=False), vocabulary)
        # Without attention there are no weights of it to start from; a clamp has none.
        Model(TorchEngine(plain), vocabulary).save(tmp_path / "model.safetensors")
        start = Recipe(**one_head, init=tmp_path, attention_clamp=20.0)
        assert build_recognizer(start, vocabulary)[0].config == replace(
            SMALL_TEACHER, attention=False, attention_clamp=20.0
        )
        with pytest.raises(InputError, match="--attention is True, but False in that model; leave it out"):
            build_recognizer(replace(start, attention=True), vocabulary)
        Model(TorchEngine(Recognizer(SMALL_STUDENT, len(vocabulary))), vocabulary).save(tmp_path / "model.safetensors")
        with pytest.raises(InputError, match="--attention_clamp is 20.0, but a model of kind mobilenet has none"):
            build_recognizer(start, vocabulary)

    def test_a_run_can_start_from_a_teacher_with_or_without_an_auxiliary_head(self, tiny_corpus, tmp_path):
        first = Recipe(
            data_dir=tiny_corpus, output=tmp_path / "a", preset="tiny_teacher", epochs=1, auxiliary_head=True
        )
        donor = fit(first).model.engine.recognizer
        for heads in (True, False):
            given = {"init": tmp_path / "a", "auxiliary_head": heads, "learning_rate": 1e-12}
            model = fit(
                Recipe(data_dir=tiny_corpus, output=tmp_path / f"b{heads}", epochs=1, **given)
            ).model.engine.recognizer
            assert model.config == donor.config
            torch.testing.assert_close(model.body.stem.weight, donor.body.stem.weight, atol=1e-6, rtol=0)

    def test_a_head_that_an_older_model_file_holds_can_be_left_out(self, tiny_corpus, monkeypatch):
        items = Corpus.open(tiny_corpus).split("train")
        vocabulary = Vocabulary.from_glosses(item.glosses for item in items)
        older = Model(
            TorchEngine(Recognizer(preset("tiny_teacher", auxiliary_head=True), len(vocabulary))), vocabulary, {}
        )
        monkeypatch.setattr(build, "load", lambda path: older)
        for heads in (True, False):
            made, _ = build_recognizer(Recipe(tiny_corpus, init=Path("older"), auxiliary_head=heads), vocabulary)
            assert (made.auxiliary is not None) == heads
