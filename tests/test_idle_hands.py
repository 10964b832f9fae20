"""Idle hands: they are found, put to rest and taken out, and nothing else of a clip changes."""

from dataclasses import fields, replace

import numpy as np
import pytest

from one_handed import one_handed_signer
from signloom import layout
from signloom.anatomy import idle_hands, measure
from signloom.anatomy.idle_hands import (
    SIDES,
    draw_out_of_view,
    draw_rest,
    hand_shapes,
    idle_hand,
    missing_hand,
    rest_hand,
    trunk_of,
)
from signloom.train.augmentation import AugmentationConfig, augment

OFF = AugmentationConfig(**{field.name: 0 for field in fields(AugmentationConfig)})
FPS = 25.0
MIRROR = layout.mirror_map()


@pytest.fixture(scope="module")
def signer():
    return one_handed_signer(75)


def mirrored(clip):
    """The clip as a mirror shows it: the person's sides are exchanged in the picture, their names are not."""
    other = clip.copy()
    other[..., 0] = 1.2 - other[..., 0]
    return other


def rested(clip, seed=0, side="left", frames=None, **settings):
    frames = frames or slice(0, len(clip))
    points, rng = clip.copy(), np.random.default_rng(seed)
    trunk = trunk_of(points, "full")
    draw = draw_rest if settings.get("in_view", True) else draw_out_of_view
    rest = draw(points, trunk, side, rng, view="full")
    rest_hand(points, trunk, side, frames, rest, rng, view="full", fps=FPS, **settings)
    return points


def hand_of(clip, side="left"):
    return clip[:, layout.GROUPS[f"{side}_hand"]]


def test_the_trunk_says_which_way_the_signer_faces(signer):
    trunk = trunk_of(signer, "full")
    np.testing.assert_allclose(trunk.middle, (0.6, 0.5), atol=1e-6)
    assert trunk.width == pytest.approx(0.3)
    assert trunk.outwards("left") == 1
    assert trunk_of(mirrored(signer), "full").outwards("left") == -1
    assert trunk_of(np.full((4, 543, 3), np.nan, dtype=np.float32), "full") is None


def test_a_hand_is_out_of_view_only_where_its_arm_hangs_still(signer):
    trunk = trunk_of(signer, "full")
    assert missing_hand(signer, trunk, "left", view="full", fps=FPS) == [slice(0, 75)]
    assert missing_hand(signer, trunk, "right", view="full", fps=FPS) == []
    lost = signer.copy()
    lost[:, layout.index("pose.left_wrist"), 1] = 0.45
    assert missing_hand(lost, trunk, "left", view="full", fps=FPS) == []
    moving = signer.copy()
    moving[:, layout.index("pose.left_wrist"), 1] = 0.9
    moving[:, layout.index("pose.left_wrist"), 0] += 0.3 * np.sin(np.arange(75) / 2)
    assert missing_hand(moving, trunk, "left", view="full", fps=FPS) == []
    blink = signer.copy()
    hand_of(blink, "right")[10:15] = np.nan
    blink[:, layout.index("pose.right_wrist"), 1] = 1.1
    assert missing_hand(blink, trunk, "right", view="full", fps=FPS) == []


def test_an_arm_below_the_picture_is_out_of_view_wherever_the_tracker_guesses_it(signer):
    trunk = trunk_of(signer, "full")
    wrist = layout.index("pose.left_wrist")
    guessed = signer.copy()
    guessed[:, wrist, :2] = (0.8, 1.2) + 0.3 * np.random.default_rng(0).normal(size=(75, 2)).clip(-0.6, 0.6)
    assert missing_hand(guessed, trunk, "left", view="full", fps=FPS) == [slice(0, 75)]
    # Within the picture the guess may jump between signs, while the arm keeps still in each.
    jumps = signer.copy()
    jumps[:, wrist, :2] = np.repeat([(0.7, 0.95), (0.95, 0.85), (0.75, 0.8)], 25, axis=0)
    assert missing_hand(jumps, trunk, "left", view="full", fps=FPS) == [slice(0, 75)]
    # Where the arm is raised for a second, the hand is lost and not out of view.
    raised = guessed.copy()
    raised[25:50, wrist, 1] = 0.5
    first, last = missing_hand(raised, trunk, "left", view="full", fps=FPS)
    assert 20 <= first.stop <= 30
    assert 45 <= last.start <= 55


def test_only_a_slow_low_hand_apart_from_the_other_is_idle(signer):
    resting = rested(signer)
    low = resting.copy()
    hand_of(low)[...] += np.array((0.8, 0.95, 0)) - hand_of(low)[:, :1]
    trunk = trunk_of(low, "full")
    assert idle_hand(low, trunk, "left", view="full", fps=FPS) == [slice(0, 75)]
    high, fast, near = low.copy(), low.copy(), low.copy()
    hand_of(high)[..., 1] -= 0.4
    hand_of(fast)[..., 0] += 0.1 * np.sin(np.arange(75) / 2)[:, None]
    hand_of(near, "right")[...] += np.array((0.75, 0.9, 0)) - hand_of(near, "right")[:, :1]
    for changed in (high, fast, near):
        assert idle_hand(changed, trunk, "left", view="full", fps=FPS) == []
    assert idle_hand(signer, trunk, "right", view="full", fps=FPS) == []


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("turn", [np.copy, mirrored])
def test_a_resting_hand_is_in_the_picture_and_keeps_its_shape(signer, side, turn, monkeypatch):
    # The hands of this signer are no hands: their shapes have no side.
    monkeypatch.setattr(idle_hands, "_OWN_SHAPES", 0.0)
    clip = turn(signer) if side == "left" else turn(mirrored(signer)[:, MIRROR])
    others = np.setdiff1d(
        np.arange(543),
        [*range(*layout.GROUPS[f"{side}_hand"].indices(543)), *(
            layout.index(f"pose.{side}_{name}") for name in ("elbow", "wrist", "pinky", "index", "thumb")
        )],
    )  # fmt: skip
    sides = []
    for seed in range(12):
        points = rested(clip, seed, side)
        hand = hand_of(points, side)
        assert hand[:, 0, 1].max() <= 1.1
        lengths = np.linalg.norm(hand[:, 1:] - hand[:, :1], axis=2)
        np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), atol=1e-4)
        np.testing.assert_allclose(points[:, layout.index(f"pose.{side}_wrist"), :2], hand[:, 0, :2], atol=1e-6)
        # It drifts or fidgets, by less than a shoulder's width.
        assert 1e-4 < np.ptp(hand[:, 0, 0]) < 0.25
        np.testing.assert_array_equal(points[:, others], clip[:, others])
        sides.append(measure(points).hand_sides[SIDES.index(side)])
    # They bend as a hand of their side does, in a mirror as one of the other.
    assert np.median(sides) * (1 if turn is np.copy else -1) > 0.5


def test_some_resting_hands_have_the_shape_of_a_hand_of_the_clip(signer):
    def sizes(hand):
        return np.sort(np.linalg.norm(hand[1:, :2] - hand[:1, :2], axis=1))

    shape = sizes(hand_of(signer, "right")[0])
    ratios = [sizes(hand_of(rested(signer, seed))[0]) / shape for seed in range(40)]
    # 0.4 of them, up to their size.
    assert 8 <= sum(ratio.std() < 1e-3 for ratio in ratios) <= 24


@pytest.mark.parametrize("turn", [np.copy, mirrored])
def test_half_of_the_resting_hands_have_the_shape_of_a_hand_of_another_clip(signer, turn):
    clip, rng = turn(signer), np.random.default_rng(0)
    trunk = trunk_of(clip, "full")
    other = turn(one_handed_signer(75, seed=1) * 0.5)
    shapes = hand_shapes(other, 4, rng, view="full")
    # The hand of the right arm of somebody else, half the size; the left one is missing.
    assert shapes.shape == (4, 21, 3)
    drawn = [draw_rest(clip, trunk, "left", np.random.default_rng(n), view="full", shapes=shapes) for n in range(60)]

    def sizes(hand):
        return np.sort(np.linalg.norm(hand[1:, :2] - hand[:1, :2], axis=1))

    known = [sizes(shape) for shape in shapes]
    alike = [any((sizes(rest.hand) / one).std() < 1e-4 for one in known) for rest in drawn if rest is not None]
    assert 0.3 < np.mean(alike) < 0.7
    nobody = np.full_like(clip, np.nan)
    assert len(hand_shapes(nobody, 4, rng, view="full")) == 0
    assert draw_rest(clip, trunk, "left", rng, view="full", shapes=shapes[:0]) is not None


def test_the_arm_leaves_and_comes_back_without_a_jump(signer):
    clip = mirrored(signer)[:, MIRROR]
    raised = clip.copy()
    for seed in range(10):
        points = rested(raised, seed, "left", slice(25, 50))
        np.testing.assert_array_equal(points[:25], raised[:25])
        np.testing.assert_array_equal(points[50:], raised[50:])
        steps = np.linalg.norm(np.diff(hand_of(points)[:, 0, :2], axis=0), axis=1)
        away = np.linalg.norm(hand_of(points)[25:50, 0, :2] - hand_of(raised)[24, 0, :2], axis=1).max()
        # The shortest way takes three frames, and its steepest part is half as fast again as its mean.
        assert steps.max() < 0.6 * away + 0.1


def test_no_hand_rests_in_view_where_the_camera_is_too_close(signer):
    close = signer + np.array((0, 0.45, 0), dtype=np.float32)
    trunk = trunk_of(close, "full")
    drawn = [draw_rest(close, trunk, "left", np.random.default_rng(seed), view="full") for seed in range(60)]
    assert sum(rest is None for rest in drawn) > 40
    # What is left is a hand at the chin.
    assert all(rest.place[1] < trunk.middle[1] + 0.2 for rest in drawn if rest is not None)


def test_a_hand_below_the_picture_is_missing_and_its_arm_hangs(signer):
    points = rested(mirrored(signer)[:, MIRROR], in_view=False)
    assert np.isnan(hand_of(points)).all()
    assert points[:, layout.index("pose.left_wrist"), 1].min() > 0.95


def test_augmentation_shows_and_hides_idle_hands(signer):
    points = layout.subset("compact")
    part = layout.subset_groups("compact")["left_hand"]

    def share(clip, seed, **settings):
        config = replace(OFF, **settings)
        made, _ = augment(clip, config, np.random.default_rng(seed), subset="compact", min_frames=1, fps=FPS)
        return np.isfinite(made[:, part, 0]).mean()

    out_of_view, in_view = signer[:, points], rested(signer)[:, points]
    in_view[:, part, :2] += np.array((0.8, 0.95)) - in_view[:, part, :2][:, :1]
    shown = [share(out_of_view, seed, resting_hand=1.0) for seed in range(40)]
    # Most rest throughout; some come and go, or are an arm alone.
    assert sum(value == 1 for value in shown) > 12
    assert sum(0 < value < 1 for value in shown) > 4
    assert sum(value == 0 for value in shown) > 2
    assert share(out_of_view, 0, hide_idle_hand=1.0) == 0
    assert share(in_view, 0, hide_idle_hand=1.0) == 0
    assert share(in_view, 0, resting_hand=1.0) == 1
    nobody = np.full_like(out_of_view, np.nan)
    assert share(nobody, 0, resting_hand=1.0, hide_idle_hand=1.0) == 0
