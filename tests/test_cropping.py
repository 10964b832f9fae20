"""Cropped pictures: hands outside are missing, the body there is a guess, and signs stay."""

import numpy as np
import pytest

from one_handed import one_handed_signer
from signloom import layout
from signloom.train.augmentation import AugmentationConfig, augment
from signloom.train.cropping import crop_picture

PARTS = layout.subset_groups("compact")
LEFT, RIGHT = PARTS["left_hand"], PARTS["right_hand"]
COMPACT = layout.subset("compact").tolist()
WRISTS = {side: COMPACT.index(layout.index(f"pose.{side}_wrist")) for side in ("left", "right")}
# Shoulders at 0.45 and 0.75 of the picture, in its middle: width 0.3, middle (0.6, 0.5).
WIDTH, MIDDLE = 0.3, np.array((0.6, 0.5))


def signer(lap=1.2):
    """A right hand that signs at the shoulder, and a left hand so many shoulder widths below the shoulders."""
    points = one_handed_signer(40)
    points[:, layout.GROUPS["left_hand"]] = points[:1, layout.GROUPS["right_hand"]]
    points[:, layout.GROUPS["left_hand"]] += np.array((0.15, lap * WIDTH, 0), dtype=np.float32)
    points[:, layout.index("pose.left_wrist")] = points[:, layout.GROUPS["left_hand"].start]
    return points[:, layout.subset("compact")]


def cropped(points, seed):
    planes = np.ascontiguousarray(points.transpose(2, 0, 1))
    crop_picture(planes, np.random.default_rng(seed), "compact")
    return planes.transpose(1, 2, 0)


def test_a_hand_in_the_lap_is_cut_off_and_its_arm_is_a_guess():
    points = signer()
    found = {"missing": 0, "seen": 0}
    for seed in range(40):
        changed = cropped(points, seed)
        # The hand that signs stays, with its arm.
        np.testing.assert_array_equal(changed[:, RIGHT], points[:, RIGHT])
        np.testing.assert_array_equal(changed[:, WRISTS["right"]], points[:, WRISTS["right"]])
        missing = np.isnan(changed[:, LEFT]).all()
        found["missing" if missing else "seen"] += 1
        assert missing or np.array_equal(changed[:, LEFT], points[:, LEFT])
        way = np.linalg.norm((changed - points)[:, WRISTS["left"], :2], axis=1) / WIDTH
        # The body is never missing: MediaPipe reports its points outside of the picture as well.
        assert np.isfinite(changed[:, PARTS["pose"]]).all()
        assert way.max() < 0.15 * 5
        if missing:
            assert way.max() > 0
        np.testing.assert_array_equal(changed[:, PARTS["face"]], points[:, PARTS["face"]])
    # The edge is 0.2 to 1.3 below the shoulders, the hand at 1.2.
    assert found["missing"] > 25
    assert found["seen"] > 0


def test_a_hand_far_to_the_side_is_cut_off():
    points = signer(lap=0.0)
    points[:, LEFT, 0] += 2.5 * WIDTH
    points[:, RIGHT, 0] -= 2.5 * WIDTH
    assert all(np.isnan(cropped(points, seed)[:, LEFT]).all() for seed in range(10))
    assert all(np.isnan(cropped(points, seed)[:, RIGHT]).all() for seed in range(10))


def test_a_sign_at_the_belly_stays_in_the_picture():
    points = signer()
    points[:, LEFT] = np.nan
    points[:, RIGHT, 1] += 1.5 * WIDTH
    for seed in range(20):
        # In nine frames of ten.
        assert np.isfinite(cropped(points, seed)[:, RIGHT]).all((1, 2)).mean() >= 0.9


def test_nobody_is_left_as_is():
    nothing = np.full((10, len(COMPACT), 3), np.nan, dtype=np.float32)
    np.testing.assert_array_equal(cropped(nothing, 0), nothing)
    body_alone = signer()
    body_alone[:, [*range(LEFT.start, LEFT.stop), *range(RIGHT.start, RIGHT.stop)]] = np.nan
    assert np.isfinite(cropped(body_alone, 0)[:, PARTS["pose"]]).all()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_augmentation_crops_a_share_of_the_clips(share):
    off = dict.fromkeys(AugmentationConfig.__dataclass_fields__, 0)
    config = AugmentationConfig(**{**off, "crop": share})
    clips = [
        augment(signer(lap=1.6), config, np.random.default_rng(seed), subset="compact", min_frames=1, fps=25.0)[0]
        for seed in range(60)
    ]
    # At 1.6 the left hand is below every edge. Standard error at a half: 0.065.
    assert np.mean([np.isnan(clip[:, LEFT]).all() for clip in clips]) == pytest.approx(share, abs=0.2 * (0 < share < 1))
