"""Each change that augmentation makes, alone: it happens, and it leaves alone what it is not to touch."""

from dataclasses import fields, replace

import numpy as np
import pytest

from signloom import layout
from signloom.train.augmentation import AugmentationConfig, augment

OFF = AugmentationConfig(**{field.name: 0 for field in fields(AugmentationConfig)})
PARTS = layout.subset_groups("compact")
HANDS = ("left_hand", "right_hand")


@pytest.fixture(scope="module")
def clip():
    """Two seconds of points that drift to the right at one speed, (50, 85, 3)."""
    rng = np.random.default_rng(0)
    still = rng.uniform(0.2, 0.8, (1, len(layout.subset("compact")), 3))
    drift = np.arange(50)[:, None, None] * np.array((0.002, 0, 0))
    return (still + drift).astype(np.float32)


def changed(clip, seed=0, **settings):
    config = replace(OFF, **settings)
    return augment(clip, config, np.random.default_rng(seed), subset="compact", min_frames=1, fps=25.0)[0]


def lengths(clip, part):
    hand = clip[:, PARTS[part], :2]
    return np.linalg.norm(hand - hand[:, :1], axis=2)


def test_tempo_changes_length_and_warping_the_speed_within(clip):
    assert len({len(changed(clip, seed, retime=0.25)) for seed in range(10)}) > 3
    warped = changed(clip, warp=0.2)
    steps = np.diff(warped[:, 0, 0])
    # 0.8 to 1.2 of a speed whose mean is kept.
    assert len(warped) == 50
    assert 1.05 < steps.max() / steps.min() < 1.6
    np.testing.assert_allclose(warped[[0, -1]], clip[[0, -1]], atol=1e-6)
    kept = changed(clip, drop_frames=0.5)
    assert len(kept) < 50
    assert set(kept[:, 0, 0]) <= set(clip[:, 0, 0])


def test_a_turned_camera_keeps_distances(clip):
    for axes, setting in (((0, 1), "rotate_degrees"), ((0, 2), "yaw_degrees")):
        turned = changed(clip, **{setting: 20.0})
        kept = next(axis for axis in range(3) if axis not in axes)
        np.testing.assert_allclose(turned[..., kept], clip[..., kept], atol=1e-5)
        assert np.abs(turned[..., axes] - clip[..., axes]).max() > 0.01
        before, after = (np.linalg.norm(np.diff(points[:, :30], axis=1), axis=2) for points in (clip, turned))
        np.testing.assert_allclose(after, before, atol=1e-5)


def test_stretching_changes_x_alone(clip):
    stretched = changed(clip, stretch=0.3)
    np.testing.assert_allclose(stretched[..., 1:], clip[..., 1:], atol=1e-5)
    ratio = np.ptp(stretched[..., 0]) / np.ptp(clip[..., 0])
    assert 0.02 < abs(ratio - 1) <= 0.3


def test_hands_sign_elsewhere_without_changing_shape(clip):
    moved = changed(clip, place=0.06)
    for part in HANDS:
        way = moved[:, PARTS[part], :2] - clip[:, PARTS[part], :2]
        # The same for every joint and frame.
        np.testing.assert_allclose(way, np.broadcast_to(way[0, 0], way.shape), atol=1e-5)
        assert 0.001 < np.abs(way).max() <= 0.0601
    np.testing.assert_allclose(moved[:, PARTS["face"]], clip[:, PARTS["face"]], atol=1e-6)


def test_hands_turn_about_their_wrists(clip):
    turned = changed(clip, hand_rotate_degrees=15.0)
    for part in HANDS:
        np.testing.assert_allclose(turned[:, PARTS[part]][:, 0], clip[:, PARTS[part]][:, 0], atol=1e-5)
        np.testing.assert_allclose(lengths(turned, part), lengths(clip, part), atol=1e-5)
        assert np.abs(turned[:, PARTS[part]] - clip[:, PARTS[part]]).max() > 0.01
    np.testing.assert_allclose(turned[:, PARTS["pose"]], clip[:, PARTS["pose"]], atol=1e-6)


def test_hands_and_face_change_size(clip):
    sized = changed(clip, proportions=0.15)
    for part in HANDS:
        ratio = lengths(sized, part)[:, 1:] / lengths(clip, part)[:, 1:]
        np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-3)
        assert 0.005 < abs(ratio[0, 0] - 1) <= 0.151
    face = [np.ptp(points[:, PARTS["face"], 1]) for points in (sized, clip)]
    assert face[0] != pytest.approx(face[1], rel=1e-3)


def test_jitter_is_strongest_on_hands_and_half_of_it_stays(clip):
    noise = changed(clip, jitter=0.05) - clip
    hands = np.concatenate([noise[:, PARTS[part]] for part in HANDS], axis=1)
    assert hands.std() > 6 * noise[:, PARTS["pose"]].std()
    # Variance of what is constant over the clip, of all.
    assert hands.mean(axis=0).var() / hands.var() == pytest.approx(0.5, abs=0.1)


def test_parts_are_lost(clip):
    lost = np.isnan(changed(clip, drop_hand=3.0))
    assert lost[:, PARTS["left_hand"]].any()
    assert not lost[:, PARTS["pose"]].any()
    assert not lost[:, PARTS["face"]].any()
    faceless = np.isnan(changed(clip, drop_face=1.0))
    assert faceless[:, PARTS["face"]].all()
    assert faceless.mean() == pytest.approx((PARTS["face"].stop - PARTS["face"].start) / clip.shape[1])
