"""Options of models and training that an ablation decides on: shared hands, consistency, heads, who leads."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import TINY_STUDENT, random_landmarks, tiny_sentence
from signloom import cli, layout
from signloom.corpus import Corpus
from signloom.errors import InputError
from signloom.inference.evaluate import evaluate
from signloom.inference.model import load
from signloom.landmarks import leading_hand
from signloom.model import presets
from signloom.model.frontend import FrontEnd
from signloom.model.presets import ModelConfig
from signloom.model.recognizer import Recognizer
from signloom.train.consistency import MASK_PROBABILITY, complementary_masks, consistency_loss, two_views
from signloom.train.fit import fit
from signloom.train.recipe import Recipe

pytestmark = pytest.mark.slow

TINY = replace(TINY_STUDENT, encoder_widths={**TINY_STUDENT.encoder_widths, "left_hand": 16})
GROUPS = layout.subset_groups("compact")


def signed(num_frames=30, *, seed=0):
    """A clip that moves, the left hand missing for a while and little of it."""
    landmarks = random_landmarks(num_frames, seed=seed)
    landmarks.points[5:12, layout.GROUPS["left_hand"]] = np.nan
    return landmarks


def points_of(landmarks):
    return torch.from_numpy(landmarks.select("compact").copy()).unsqueeze(0)


def fitted(config):
    torch.manual_seed(0)
    model = Recognizer(config, 6)
    clips = [points_of(signed(seed=seed)) for seed in range(4)]
    # Left and right hands differ in these: only shared statistics make mirroring exact.
    model.frontend.fit([(clip, torch.tensor([clip.shape[1]])) for clip in clips])
    return model.eval()


class TestSharedHands:
    shared = replace(TINY, share_hands=True)

    def features(self, model, landmarks):
        with torch.no_grad():
            return model.frontend(points_of(landmarks))

    def test_a_mirrored_clip_gives_swapped_encodings(self):
        model = fitted(self.shared)
        clip = signed(seed=9)
        with torch.no_grad():
            own, other = (model.body.encode(self.features(model, item)[0]) for item in (clip, clip.mirrored()))
        names = list(model.frontend.modalities)
        left, right = names.index("left_hand"), names.index("right_hand")
        assert not torch.allclose(own[left], own[right], atol=0.1)
        # Coordinates in single precision are mirrored to within 1e-7, and normalised by spreads down to a hundredth.
        torch.testing.assert_close(other[right], own[left], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(other[left], own[right], atol=1e-3, rtol=1e-3)

    def test_without_sharing_they_are_not(self):
        model = fitted(TINY)
        clip = signed(seed=9)
        with torch.no_grad():
            own, other = (model.body.encode(self.features(model, item)[0]) for item in (clip, clip.mirrored()))
        assert not torch.allclose(other[2], own[1], atol=0.1)

    def test_signs_turn_the_features_of_a_mirrored_hand_into_those_of_the_other(self):
        front = FrontEnd()
        clip = signed()
        own, other = (front.raw_features(points_of(item))[0] for item in (clip, clip.mirrored()))
        parts, signs = front.modality_slices(), front.mirror_signs()
        for here, there in (("left_hand", "right_hand"), ("right_hand", "left_hand")):
            expected = own[:, parts[here]] * signs[parts[here]]
            torch.testing.assert_close(other[:, parts[there]], expected, atol=1e-5, rtol=1e-4, equal_nan=True)

    def test_the_statistics_of_both_hands_are_those_of_all_hands(self):
        front = fitted(self.shared).frontend.train()
        left, right = (front.modality_slices()[name] for name in ("left_hand", "right_hand"))
        signs = front.mirror_signs()[left]
        torch.testing.assert_close(front.mean[left], signs * front.mean[right])
        torch.testing.assert_close(front.std[left], front.std[right])
        raw = torch.cat([front.raw_features(points_of(signed(seed=seed)))[0] for seed in range(4)])
        hands = torch.cat([raw[:, left] * signs, raw[:, right]]).double()
        known = torch.isfinite(hands)
        mean = hands.nansum(0) / known.sum(0)
        torch.testing.assert_close(front.mean[right].double(), mean, atol=1e-5, rtol=1e-5)
        # Nothing else is touched.
        face = front.modality_slices()["face"]
        assert torch.equal(front.mean[face], fitted(TINY).frontend.mean[face])

    def test_fewer_weights_and_the_same_after_saving(self, tmp_path):
        own, shared = Recognizer(TINY, 6), fitted(self.shared)
        left = sum(weight.numel() for weight in own.body.encoders["left_hand"].parameters())
        assert own.num_parameters - shared.num_parameters == left
        again = Recognizer(ModelConfig.from_json(shared.config.to_json()), 6).eval()
        again.load_state_dict(shared.state_dict())
        clip = points_of(signed())
        with torch.no_grad():
            assert torch.equal(again(clip)[0], shared(clip)[0])

    def test_configs_that_cannot_share_are_refused(self):
        with pytest.raises(InputError, match="share_hands in the full view; needed compact"):
            presets.preset("original_student", share_hands=True)
        with pytest.raises(InputError, match="widths 8 and 16; needed the same"):
            replace(self.shared, encoder_widths={**TINY.encoder_widths, "left_hand": 8})
        with pytest.raises(InputError, match="full view has no signs"):
            FrontEnd("full").mirror_signs()


class TestConsistency:
    @settings(max_examples=25)
    @given(st.integers(1, 5), st.integers(1, 70), st.integers(0, 100), st.sampled_from(["compact", "full"]))
    def test_masks_never_take_a_part_out_of_both_views_and_always_whole_groups(self, size, frames, seed, view):
        torch.manual_seed(seed)
        first, second = complementary_masks(size, frames, view)
        points = layout.subset(view).tolist()
        assert first.shape == second.shape == (size, frames, len(points))
        assert not (first & second).any()
        shoulders = [points.index(layout.index(f"pose.{side}_shoulder")) for side in ("left", "right")]
        for mask in (first, second):
            assert not mask[..., shoulders].any()
            for name, part in layout.subset_groups(view).items():
                group = mask[..., [at for at in range(part.start, part.stop) if at not in shoulders]]
                assert torch.equal(group.all(-1), group.any(-1)), name

    def test_how_often_and_how_long_parts_are_missing(self):
        torch.manual_seed(0)
        first, second = (mask[..., GROUPS["right_hand"].start] for mask in complementary_masks(400, 120, "compact"))
        # 4,000 segments of probability a quarter: standard deviation 0.7 %.
        assert first.float().mean() == pytest.approx(MASK_PROBABILITY / 2, abs=0.03)
        assert second.float().mean() == pytest.approx(MASK_PROBABILITY / 2, abs=0.03)
        changes = (first[:, 1:] != first[:, :-1]).nonzero()
        assert len(changes) > 400
        # Segments begin anywhere: a grid common to all clips would let the model know where gaps end.
        assert len(set((changes[:, 1] % 12).tolist())) == 12
        for row in first:
            starts = (row[1:] != row[:-1]).nonzero().flatten()
            assert (starts.diff() % 12 == 0).all()

    def test_two_views_have_what_was_there_or_nothing(self):
        torch.manual_seed(0)
        clips = torch.cat([points_of(signed(seed=seed)) for seed in range(3)])
        before = clips.clone()
        views = two_views(clips, "compact")
        assert views.shape == (6, *clips.shape[1:])
        torch.testing.assert_close(clips, before, equal_nan=True)
        for half in views.chunk(2):
            seen = torch.isfinite(half)
            assert not torch.isfinite(half).equal(torch.isfinite(clips))
            assert torch.equal(half[seen], clips[seen])
        # Together they have everything.
        either = torch.isfinite(views[:3]) | torch.isfinite(views[3:])
        assert torch.equal(either, torch.isfinite(clips))

    def test_the_loss_by_hand(self):
        rows = torch.tensor([[[0.5, 0.5], [0.9, 0.1]], [[0.25, 0.75], [0.2, 0.8]]])
        one, other = rows[:1, 0].double(), rows[1:, 0].double()
        first_frame = 0.5 * ((one * (one / other).log()).sum() + (other * (other / one).log()).sum())
        found = consistency_loss(rows.log(), torch.tensor([1, 1]))
        # The second frame is padding.
        assert found.tolist() == pytest.approx([first_frame.item()], rel=1e-5)
        twice = consistency_loss(rows[:, :1].repeat(1, 3, 1).log(), torch.tensor([3, 3]))
        assert twice.tolist() == pytest.approx(found.tolist(), rel=1e-5)

    def test_it_is_nothing_between_equals_and_pulls_each_view_to_the_other(self):
        logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
        lengths = torch.tensor([5, 5])
        same = logits[:1].log_softmax(-1).repeat(2, 1, 1)
        assert consistency_loss(same, lengths).item() == pytest.approx(0, abs=1e-6)
        loss = consistency_loss(logits.log_softmax(-1), lengths).sum()
        (gradient,) = torch.autograd.grad(loss, logits)
        # By hand: each side is drawn to the other's probabilities, which stand still: (own - other) / 2 a frame.
        own, other = logits.detach().softmax(-1)
        torch.testing.assert_close(gradient[0], (own - other) / 2 / 5, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(gradient[1], (other - own) / 2 / 5, atol=1e-6, rtol=1e-4)

    def test_not_a_number_in_padding_does_not_reach_the_loss(self):
        log_probs = torch.full((2, 3, 4), 0.25).log()
        log_probs[:, 2] = torch.nan
        leaf = log_probs.requires_grad_()
        loss = consistency_loss(leaf, torch.tensor([2, 2]))
        assert loss.item() == 0


def moving(*sides, num_frames=60, reach=0.05):
    """A clip in which hands go up and down, everything else still but for a tracker's noise."""
    rng = np.random.default_rng(0)
    still = random_landmarks(1).points
    points = np.repeat(still, num_frames, axis=0) + rng.normal(0, 0.004, (num_frames, *still.shape[1:]))
    for side in sides:
        points[:, layout.GROUPS[f"{side}_hand"], 1] += reach * np.sin(np.arange(num_frames) / 4)[:, None]
    return replace(random_landmarks(num_frames), points=points)


class TestLeadingHand:
    @pytest.mark.parametrize("side", ["left", "right"])
    def test_it_is_the_hand_that_moves_and_changes_sides_in_the_mirror(self, side):
        clip = moving(side)
        assert leading_hand(clip) == side
        assert leading_hand(clip.mirrored()) != side

    def test_a_hand_that_is_seen_for_a_moment_does_not_lead(self):
        clip = moving("left", "right")
        clip.points[10:, layout.GROUPS["right_hand"]] = np.nan
        assert leading_hand(clip) == "left"

    def test_where_both_hands_do_the_same_neither_leads_by_a_little(self):
        clip = moving("left", "right")
        clip.points[:10, layout.GROUPS["right_hand"]] = np.nan
        assert leading_hand(clip) == leading_hand(clip.mirrored()) == "right"

    def test_without_movement_presence_decides_and_without_that_it_is_the_right(self):
        still = replace(random_landmarks(10), points=np.repeat(random_landmarks(1).points, 10, axis=0))
        assert leading_hand(still) == "right"
        still.points[2:, layout.GROUPS["right_hand"]] = np.nan
        assert leading_hand(still) == "left"
        still.points[:, layout.GROUPS["left_hand"]] = np.nan
        still.points[:, layout.GROUPS["right_hand"]] = np.nan
        assert leading_hand(still) == "right"
        assert leading_hand(random_landmarks(1)) == "right"

    def test_sentences_of_the_right_hand(self):
        for seed in range(5):
            clip = tiny_sentence(("UP", "DOWN"), seed=seed)
            assert leading_hand(clip) == "right"
            assert leading_hand(clip.mirrored()) == "left"


@pytest.fixture
def tiny_preset(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)


def recipe(corpus, output, **changes):
    values = {"epochs": 2, "batch_size": 4, "preset": "tiny", "augment": False, "learning_rate": 1e-3}
    return Recipe(data_dir=corpus, output=output, **{**values, **changes})


@pytest.mark.usefixtures("tiny_preset")
class TestTraining:
    def test_all_at_once_is_learnt_and_saved(self, tiny_corpus, tmp_path):
        options = {"share_hands": True, "classifier": "cosine", "auxiliary_head": True, "consistency": 2.0}
        result = fit(recipe(tiny_corpus, tmp_path / "run", epochs=30, **options))
        config = load(tmp_path / "run").engine.config
        assert (config.share_hands, config.classifier, config.auxiliary_head) == (True, "cosine", False)
        front = result.model.engine.recognizer.frontend
        left, right = (front.modality_slices()[name] for name in ("left_hand", "right_hand"))
        assert torch.equal(front.std[left], front.std[right])
        # Nothing is taken out of a clip but in training.
        assert evaluate(result.model, Corpus.open(tiny_corpus), "train").wer < 0.1

    def test_consistency_counts_by_its_weight_and_repeats(self, tiny_corpus, tmp_path):
        def losses(name, **changes):
            return [record.train_loss for record in fit(recipe(tiny_corpus, tmp_path / name, **changes)).history.epochs]

        one = losses("one", consistency=2.0)
        assert one == losses("again", consistency=2.0)
        assert one[1] != losses("other", consistency=0.5)[1]

    def test_what_cannot_be_started_from_is_said(self, tiny_corpus, tmp_path):
        fit(recipe(tiny_corpus, tmp_path / "plain", epochs=1))
        changed = recipe(
            tiny_corpus, tmp_path / "other", init=tmp_path / "plain", share_hands=True, classifier="cosine"
        )
        with pytest.raises(
            InputError, match=r"share_hands is True, but False in that(.|\n)*cosine, but linear in that"
        ):
            fit(changed)
        assert fit(recipe(tiny_corpus, tmp_path / "same", init=tmp_path / "plain", classifier="linear", epochs=1))

    def test_options_that_cannot_be_are_refused(self, tiny_corpus, tmp_path, capsys):
        with pytest.raises(InputError, match="--consistency is -1"):
            recipe(tiny_corpus, tmp_path, consistency=-1.0).check()
        with pytest.raises(InputError, match="teacher has no share_hands"):
            fit(recipe(tiny_corpus, tmp_path / "a", preset="teacher", share_hands=True))
        given = ["train", str(tiny_corpus), "--output", str(tmp_path / "b"), "--classifier", "square"]
        with pytest.raises(SystemExit, match="2"):
            cli.main(given)
        assert "square" in capsys.readouterr().err


@pytest.fixture
def ablation(monkeypatch):
    """The benchmark that measures all of these."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
    return importlib.import_module("ablation")


class TestAblation:
    def test_every_setting_is_one_that_training_takes(self, ablation, tmp_path, monkeypatch):
        monkeypatch.setattr(presets, "PRESETS", presets.PRESETS.copy())
        ablation.add_full_view()
        for name, setting in ablation.SETTINGS.items():
            Recipe(data_dir=tmp_path, **setting.recipe).check()
            replace(Recipe(tmp_path).augmentation, **setting.augmentation)
            changed = (setting.recipe, setting.augmentation, not setting.motion, setting.mirror)
            assert sum(map(bool, changed)) == (name != ablation.BASE), name

    def test_a_tiny_one_runs_once_and_is_shown_again(self, ablation, tmp_path, monkeypatch, capsys):
        output = tmp_path / "figures.json"
        given = ["ablation.py", "--work", str(tmp_path), "--output", str(output), "--corpora", "simulated"]
        given += ["--seeds", "0", "--epochs", "1", "--num_train", "24", "--num_dev", "2", "--num_test", "4"]
        monkeypatch.setattr(sys, "argv", [*given, "--settings", "no_motion", "mirrored_test"])
        ablation.main()
        first = capsys.readouterr().out
        assert [line.split(" | ")[0].strip("| ") for line in first.splitlines() if line.startswith("|")][2:] == [
            "one view, plain CTC",
            "no motion features",
            "in test, mirrored where the left hand leads",
        ]
        row = json.loads(output.read_text())["results"]["table"][1]
        part = row["corpora"]["simulated"]
        assert row["difference"] == part["difference"]
        assert part["interval"][0] <= part["difference"] <= part["interval"][1]
        assert not list(tmp_path.rglob("model.safetensors"))
        monkeypatch.setattr(ablation, "corpus_of", lambda *_: pytest.fail("a run was made again"))
        monkeypatch.setattr(sys, "argv", [*given, "--settings", "no_motion", "mirrored_test", "cosine", "--show"])
        ablation.main()
        again = capsys.readouterr().out
        assert again.split("commit")[0] == first.split("commit")[0]

    def test_motion_is_out_of_the_features_and_nothing_else_is(self, ablation):
        clips = [(points_of(signed(seed=seed)), torch.tensor([30])) for seed in range(2)]
        own, without = FrontEnd(), FrontEnd()
        own.fit(clips)
        with ablation.without_motion():
            without.fit(clips)
        shown, left = (front(clips[0][0])[0] for front in (own, without))
        same = (shown == left).all(0)
        assert (left[:, ~same].abs() < 1e-20).all()
        raw = own.raw_features(clips[0][0])[0]
        # What is not known in the first frame, or in the last, is a difference; those of the shoulders are 0 anyway.
        ends = torch.isnan(raw[0]) | torch.isnan(raw[-1])
        assert torch.equal(~same, ends & (shown != 0).any(0))
        again = FrontEnd()
        again.fit(clips)
        assert torch.equal(again.std, own.std)

    def test_the_difference_and_its_interval(self, ablation):
        default = {f"u{at}": [2, 10] for at in range(20)}
        better = {f"u{at}": [1, 10] for at in range(20)}
        pair = ablation.gains(better, default)
        assert pair[0].sum() / pair[1].sum() == pytest.approx(-0.1)
        # The same in every utterance and seed: nothing to be unsure about.
        assert ablation.interval(ablation.bootstrap([pair, pair])) == pytest.approx([-0.1, -0.1])
        # Of two seeds that disagree either may be drawn twice.
        low, high = ablation.interval(ablation.bootstrap([pair, ablation.gains(default, default)]))
        assert (low, high) == pytest.approx((-0.1, 0))

    def test_clips_in_which_the_left_hand_leads_are_mirrored(self, ablation, tiny_corpus):
        corpus = Corpus.open(tiny_corpus)
        item = corpus.split("dev")[0]
        clip = corpus.load(item)
        assert np.array_equal(ablation.right_leads(corpus).load(item).points, clip.points, equal_nan=True)
        swapped = replace(corpus.load(item), points=clip.mirrored().points)
        assert leading_hand(swapped) == "left"
