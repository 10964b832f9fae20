"""Made-up idling with hands up: hands go places and act there, on a body that sways; and nobody makes nothing up."""

from dataclasses import replace

import numpy as np
import pytest

from one_handed import one_handed_clip
from signloom import layout
from signloom.anatomy.idle_hands import trunk_of
from signloom.compose.fidgets import fidget

HANDS = [layout.GROUPS[f"{side}_hand"] for side in ("left", "right")]
FPS = 25.0


@pytest.fixture(scope="module")
def stretches():
    signed = one_handed_clip(hertz=1.3)
    return signed, [fidget(signed, np.random.default_rng(seed)) for seed in range(60)]


def seen(clip, hand):
    return np.isfinite(clip.points[:, hand.start, 0])


def test_stretches_are_as_long_as_idling_is_and_show_a_hand(stretches):
    _, made = stretches
    assert all(15 <= len(clip) <= 75 for clip in made)
    assert np.ptp([len(clip) for clip in made]) > 30
    assert all(clip.fps == FPS and len(clip.visibility) == len(clip) for clip in made)
    shown = [[seen(clip, hand).mean() for hand in HANDS] for clip in made]
    # One hand at least is busy, either of them about as often; a few leave the picture for a while.
    assert np.mean([max(pair) > 0.3 for pair in shown]) > 0.9
    assert abs(np.mean([left > right for left, right in shown]) - 0.5) < 0.2


def test_hands_go_to_places_all_over_head_and_trunk(stretches):
    signed, made = stretches
    trunk = trunk_of(signed.points, "full")
    places = np.concatenate([clip.points[seen(clip, hand), hand.start, :2] for clip in made for hand in HANDS])
    heights = (places[:, 1] - trunk.middle[1]) / trunk.width
    assert np.quantile(heights, 0.02) < -0.4
    assert np.quantile(heights, 0.98) > 0.9
    ways = [np.ptp(clip.points[seen(clip, hand), hand.start, :2], axis=0) for clip in made for hand in HANDS
            if seen(clip, hand).sum() > 10]  # fmt: skip
    assert np.median([np.hypot(*way) for way in ways]) > 0.3 * trunk.width


def test_hands_are_hands_and_arms_end_in_them(stretches):
    _, made = stretches
    for clip in made:
        for side, hand in zip(("left", "right"), HANDS, strict=True):
            there = seen(clip, hand)
            points = clip.points[there][:, hand]
            if not len(points):
                continue
            # Turned in the picture or not, all distances within a hand stay as they are.
            lengths = np.linalg.norm(points - points[:, :1], axis=2)
            np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), atol=1e-4)
            wrist = clip.points[there][:, layout.index(f"pose.{side}_wrist"), :2]
            np.testing.assert_allclose(wrist, points[:, 0, :2], atol=1e-4)
            # No hand outside of the picture is found.
            assert points[:, 0, 1].max() <= 1.0


def test_the_body_sways_and_keeps_its_shape(stretches):
    signed, made = stretches
    trunk = trunk_of(signed.points, "full")
    face = layout.GROUPS["face"]
    swayed = []
    for clip in made:
        shift = clip.points[:, face] - signed.points[:1, face]
        np.testing.assert_allclose(shift, shift[:, :1] + np.zeros_like(shift), atol=1e-4)
        swayed.append(np.ptp(shift[:, 0, 0]) / trunk.width)
    assert 0 < np.median(swayed) < 0.2
    # Some walk.
    assert max(swayed) > 0.3


def test_the_same_draws_give_the_same_stretch_and_nobody_gives_none():
    signed = one_handed_clip(hertz=1.3)
    one, two = (fidget(signed, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.points, two.points)
    nobody = replace(signed, points=np.full_like(signed.points, np.nan))
    assert fidget(nobody, np.random.default_rng(0)) is nobody
