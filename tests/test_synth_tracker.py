"""The simulated camera and tracker: each dial moves its own factor, and the truth says what was done to the points."""

from dataclasses import replace

import numpy as np
import pytest

from signloom import layout
from signloom.synth.camera import Camera, make_camera, project
from signloom.synth.dials import Dials, dial_names
from signloom.synth.face import neutral_face
from signloom.synth.proportions import Proportions
from signloom.synth.tracker import track
from signloom.synth.tracker_noise import HANDS, wander

pytestmark = pytest.mark.slow

FPS = 25.0
CLEAN = Dials(preset="clean")
CAMERA = Camera(scale=1.0, middle=(0.65, 0.45), yaw=0.0, roll=0.0, width=4 / 3)
WRISTS = {hand: layout.index(f"{hand}.wrist") for hand in HANDS}


def body(num_frames: int = 400, *, apart: float = 0.3, speed: float = 0.0, drop: float = 0.0) -> np.ndarray:
    """A signer in image heights whose hands go up and down, `apart` from each other; (T, 543, 3).

    speed: the largest of the hands, image heights a second.  drop: how much lower than the chest the hands are.
    """
    points = np.zeros((num_frames, layout.NUM_POINTS, 3), dtype=np.float32)
    points[:, :, :2] = (0.65, 0.45)
    points[:, :11, 1] = 0.2
    for side, sign in (("left", 1), ("right", -1)):
        x = 0.65 + sign * 0.17
        points[:, layout.index(f"pose.{side}_shoulder"), 0] = x
        points[:, layout.index(f"pose.{side}_elbow"), :2] = (x + sign * 0.02, 0.65)
        points[:, layout.indices(f"pose.{side}_hip", f"pose.{side}_knee", f"pose.{side}_heel"), 1] = (0.95, 1.4, 1.8)
        way = speed * FPS / 25 * np.sin(2 * np.pi * np.arange(num_frames) / 25) / (2 * np.pi)
        fan = np.stack([np.linspace(-0.04, 0.04, 21), np.linspace(0.06, -0.06, 21)], axis=1)
        middle = np.stack([np.full(num_frames, 0.65 + sign * apart / 2), 0.55 + drop + way], axis=1)
        hand = layout.GROUPS[f"{side}_hand"]
        points[:, hand, :2] = middle[:, None] + fan
        ends = layout.indices(*(f"pose.{side}_{name}" for name in ("wrist", "pinky", "index", "thumb")))
        points[:, ends, :2] = points[:, [hand.start], :2]
    face = 0.9 * neutral_face().astype(np.float32)
    points[:, layout.GROUPS["face"]] = face - face.mean(axis=0) + np.array((0.65, 0.2, 0), dtype=np.float32)
    return points


def tracked(image: np.ndarray, seed: int = 0, **dials: float):
    return track(image, CAMERA, fps=FPS, dials=replace(CLEAN, **dials), rng=np.random.default_rng(seed))


def frames_of(spans) -> int:
    return sum(end - start for start, end in spans)


def lost_frames(result) -> int:
    return sum(frames_of(result.lost[hand]) for hand in HANDS)


def test_a_clean_tracker_reports_the_truth():
    image = body(60, speed=0.5)
    result = tracked(image)
    np.testing.assert_array_equal(result.points[..., :2], image[..., :2])
    assert not any(result.lost.values())
    assert not any(result.out_of_view.values())
    assert not any(result.jumps.values())
    assert not any(result.doubled.values())
    assert result.swapped == []
    assert result.points.dtype == result.visibility.dtype == np.float32


def test_the_true_points_are_left_alone():
    image = body(50, apart=0.05, speed=1.0)
    before = image.copy()
    track(image, CAMERA, fps=FPS, dials=Dials(preset="hard"), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(image, before)


def test_same_seed_same_points_and_another_seed_others():
    image = body(80, speed=1.0)
    first, again, other = (tracked(image, seed, preset="hard", **hard()) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.points, again.points)
    assert first.lost == again.lost
    assert not np.array_equal(first.points[:, :33], other.points[:, :33])


def hard() -> dict[str, float]:
    dials = Dials(preset="hard")
    return {name: getattr(dials, name) for name in dial_names()}


@pytest.mark.parametrize(
    ("dial", "moved"),
    [
        ("tracker_noise", ("pose", "left_hand", "right_hand", "face")),
        ("depth_noise", ("pose", "left_hand", "right_hand", "face")),
        ("wrist_jumps", ("pose",)),
        ("tracker_lag", ("pose",)),
    ],
)
def test_a_dial_moves_its_own_parts_and_axes(dial, moved):
    image = body(2500, speed=0.6)
    clean, turned = tracked(image).points, tracked(image, **{dial: 1.0}).points
    for part, points in layout.GROUPS.items():
        found = np.isfinite(turned[:, points, 0]).all(axis=1)
        change = np.abs(turned[found, points] - clean[found, points]).max(axis=(0, 1))
        flat, deep = change[:2].max() > 0, change[2] > 0
        assert (flat or deep) == (part in moved), part
        if dial in ("tracker_noise", "wrist_jumps"):
            assert not deep, part
        if dial == "depth_noise":
            assert not flat, part


def test_turning_one_dial_does_not_reshuffle_the_others():
    image = body(1000, speed=1.0)
    first = tracked(image, lost_hands=1.0, tracker_noise=1.0)
    second = tracked(image, lost_hands=1.0, tracker_noise=2.0, depth_noise=1.0, tracker_lag=1.0, swapped_hands=1.0)
    assert first.lost == second.lost
    without, loud = tracked(image), tracked(image, tracker_noise=2.0)
    error = [each.points[:, 33:54, :2] - without.points[:, 33:54, :2] for each in (first, loud)]
    there = np.isfinite(error[0]).all(axis=(1, 2))
    # The same draws, twice as strong; single precision at coordinates around 1.
    np.testing.assert_allclose(error[1][there], 2 * error[0][there], atol=1e-6)


@pytest.mark.parametrize("dial", ["lost_hands", "lost_face", "swapped_hands", "wrist_jumps"])
def test_events_grow_with_their_dial(dial):
    image = body(3000, apart=0.08, speed=1.0)
    counts = []
    for value in (0.0, 0.5, 1.0, 3.0):
        result = tracked(image, **{dial: value})
        spans = {
            "lost_hands": [*result.lost["left_hand"], *result.lost["right_hand"]],
            "lost_face": result.lost["face"],
            "swapped_hands": [*result.swapped, *result.doubled["left_hand"], *result.doubled["right_hand"]],
            "wrist_jumps": [*result.jumps["left_wrist"], *result.jumps["right_wrist"]],
        }
        counts.append(frames_of(spans[dial]))
    # An event of a lower dial is one of a higher, too.
    assert counts[0] == 0 <= counts[1] <= counts[2] < counts[3]
    assert counts == sorted(counts)


def test_noise_grows_with_its_dial_with_speed_and_between_close_hands():
    def jitter(image, **dials):
        return float(np.std(tracked(image, **dials).points[:, 33:54, :2] - tracked(image).points[:, 33:54, :2]))

    rest, fast, close = body(800), body(800, speed=2.0), body(800, apart=0.1)
    assert jitter(rest, tracker_noise=1.0) < jitter(rest, tracker_noise=3.0)
    assert jitter(fast, tracker_noise=1.0) > 1.5 * jitter(rest, tracker_noise=1.0)
    assert jitter(close, tracker_noise=1.0) > 1.2 * jitter(rest, tracker_noise=1.0)


def test_fast_and_crossing_hands_are_lost_more_often():
    rest, fast, close = (
        sum(len(tracked(image, lost_hands=1.0).lost[hand]) for hand in HANDS)
        for image in (body(4000), body(4000, speed=2.0), body(4000, apart=0.08))
    )
    assert fast > 4 * rest
    assert close > 1.4 * rest


def test_most_gaps_are_short_and_some_are_long():
    spans = tracked(body(5000, speed=1.0), lost_hands=1.0).lost["right_hand"]
    lengths = np.array([end - start for start, end in spans])
    # Of the real gaps 75 % last one frame; a few last half a second.
    assert 0.55 < (lengths == 1).mean() < 0.9
    assert lengths.max() > 10


def test_missing_is_what_the_truth_says_and_a_hand_is_always_left():
    image = body(300, apart=0.1, speed=1.5)
    result = tracked(image, **hard() | {"lost_hands": 3.0, "lost_face": 3.0})
    for part in (*HANDS, "face"):
        told = np.zeros(len(image), dtype=bool)
        for start, end in [*result.lost[part], *result.out_of_view[part]]:
            assert not told[start:end].any()
            told[start:end] = True
        missing = np.isnan(result.points[:, layout.GROUPS[part]]).all(axis=(1, 2))
        np.testing.assert_array_equal(told, missing)
    for seed in range(40):
        points = tracked(body(3, apart=0.05, speed=2.0), seed, lost_hands=3.0).points
        assert np.isfinite(points[:, list(WRISTS.values()), 0]).any()


def test_hands_below_the_picture_are_out_of_view_not_lost():
    result = tracked(body(50, drop=0.7), **hard())
    assert result.out_of_view["left_hand"] == result.out_of_view["right_hand"] == [(0, 50)]
    assert lost_frames(result) == 0
    assert np.isfinite(result.points[:, :33]).all()
    # Guesses below the picture are believed in less than points inside it.
    wrists = layout.indices("pose.left_wrist", "pose.right_wrist")
    assert result.visibility[:, wrists].max() < 0.9 < result.visibility[:, 0].min()
    assert result.visibility[:, layout.index("pose.left_heel")].max() < 0.05


def test_swapped_hands_are_each_at_the_others_place():
    image = body(8000, apart=0.1)
    result = tracked(image, swapped_hands=3.0)
    assert result.swapped
    for start, end in result.swapped:
        np.testing.assert_array_equal(result.points[start:end, 33:54, :2], image[start:end, 54:75, :2])
        np.testing.assert_array_equal(result.points[start:end, 54:75, :2], image[start:end, 33:54, :2])
    doubled = {hand: frames_of(result.doubled[hand]) for hand in HANDS}
    assert min(doubled.values()) > 0
    for start, end in result.doubled["left_hand"]:
        np.testing.assert_array_equal(result.points[start:end, 33:54, :2], image[start:end, 54:75, :2])
        np.testing.assert_array_equal(result.points[start:end, 33:54], result.points[start:end, 54:75])
    # Hands far from each other are not taken for one another.
    assert not tracked(body(4000, apart=0.5), swapped_hands=3.0).swapped


def test_a_jumping_wrist_leaves_its_place_in_the_frames_that_the_truth_names():
    image = body(5000)
    result = tracked(image, wrist_jumps=3.0)
    for side in ("left", "right"):
        away = np.linalg.norm((result.points - image)[:, layout.index(f"pose.{side}_wrist"), :2], axis=1)
        told = np.zeros(len(image), dtype=bool)
        for start, end in result.jumps[f"{side}_wrist"]:
            told[start:end] = True
        assert told.any()
        # At least 0.3 shoulder widths (here 0.34 of the image height).
        assert away[told].min() > 0.1
        assert away[~told].max() == 0


def test_some_jumps_take_the_hand_along_and_only_those():
    result = tracked(body(12000), wrist_jumps=3.0)
    jumps = {hand: result.jumps[f"{hand.removesuffix('_hand')}_wrist"] for hand in HANDS}
    assert all(set(result.lost[hand]) <= set(jumps[hand]) for hand in HANDS)
    count, taken = (sum(len(spans[hand]) for hand in HANDS) for spans in (jumps, result.lost))
    # 0.4 of about 40 jumps: 16, standard deviation 3.
    assert 0.15 * count < taken < 0.65 * count


def test_a_grainy_recording_has_more_jitter():
    image = body(600, speed=0.5)
    dials = replace(CLEAN, tracker_noise=1.0)
    hands = slice(33, 75)
    errors = [
        track(image, replace(CAMERA, grain=grain), fps=FPS, dials=dials, rng=np.random.default_rng(0)).points[:, hands]
        - image[:, hands]
        for grain in (1.0, 2.0)
    ]
    # The same draws, twice as strong; single precision at coordinates around 1.
    np.testing.assert_allclose(errors[1][..., :2], 2 * errors[0][..., :2], atol=1e-6)


def test_visibility_wavers_with_the_noise():
    wrist = layout.index("pose.right_wrist")
    still, noisy = (tracked(body(600), tracker_noise=dial).visibility[:, wrist] for dial in (0.0, 1.0))
    assert np.ptp(still) == 0 < np.std(noisy)
    assert abs(noisy.mean() - still.mean()) < 0.1


def test_smoothing_trails_behind_a_little_and_calms_a_resting_point():
    wrist = layout.index("pose.right_wrist")
    image = body(500, speed=1.0)
    behind = [
        float(np.abs(tracked(image, tracker_lag=lag).points[50:, wrist, 1] - image[50:, wrist, 1]).max())
        for lag in (0.0, 1.0, 3.0)
    ]
    assert behind[0] == 0 < behind[1] < behind[2]
    # At one image height a second, 25 ms behind at most.
    assert behind[1] < 0.025
    rest = body(500)
    steps = [
        float(np.std(np.diff(tracked(rest, tracker_noise=1.0, tracker_lag=lag).points[:, 0, :2], axis=0)))
        for lag in (0.0, 1.0)
    ]
    assert steps[1] < 0.6 * steps[0]


def test_the_depth_of_the_pose_is_overstated_as_holistic_does():
    image = body(3000)
    image[:, 0, 2] = -0.1
    clean, noisy = tracked(image).points[:, 0, 2], tracked(image, depth_noise=1.0).points[:, 0, 2]
    np.testing.assert_allclose(clean, -0.1, atol=1e-6)
    assert noisy.mean() < -0.25


def test_a_face_gets_the_depth_of_holistics_meshes():
    def depth(**dials):
        face = tracked(body(20), **dials).points[:, layout.GROUPS["face"]]
        return float(np.median(np.ptp(face[..., 2], axis=1) / np.ptp(face[..., 0], axis=1)))

    # Of 3,150 real meshes the range of z is 0.73 to 0.77 of that of x; the dial at 0 leaves the shape as it is.
    assert 0.7 < depth(depth_noise=1.0) < 0.8
    assert depth() < 0.6


def test_even_the_worst_hands_keep_the_size_of_hands():
    # Fast, close hands in a grainy recording: the errors of most frames are limited.
    image = body(2000, speed=3.0, apart=0.1)
    camera = replace(CAMERA, grain=2.0)
    dials = replace(CLEAN, tracker_noise=3.0)
    points = track(image, camera, fps=FPS, dials=dials, rng=np.random.default_rng(0)).points

    def length(hand):
        return np.linalg.norm(hand[:, 0] - hand[:, 20], axis=1)

    for hand in HANDS:
        true, found = (length(of[:, layout.GROUPS[hand], :2]) for of in (image, points))
        # The largest of 60,000 real hands is five times as long as the median of its source.
        assert np.nanmax(found) < 5 * true.max()


@pytest.mark.parametrize("fps", [1.0, 15.0, 60.0])
def test_rates_are_per_second_at_any_frame_rate(fps):
    image = body(round(200 * fps))
    result = track(image, CAMERA, fps=fps, dials=replace(CLEAN, lost_face=3.0), rng=np.random.default_rng(0))
    # 200 s at 0.06 a second: 12 expected, standard deviation 3.5.
    assert 2 <= len(result.lost["face"]) <= 26


def test_one_frame_is_enough():
    result = track(body(1), CAMERA, fps=FPS, dials=Dials(preset="phoenix"), rng=np.random.default_rng(0))
    assert result.points.shape == (1, layout.NUM_POINTS, 3)


@pytest.mark.parametrize("twice", [False, True])
def test_wandering_noise_keeps_its_variance_and_correlation(twice):
    noise = wander((400, 3000), 5.0, np.random.default_rng(0), twice=twice)
    keep = np.exp(-1 / 5)
    # Of two filters in a row: (1 + k^2 + ...) from the autocovariance k^n (1 + n (1 - k^2) / (1 + k^2)).
    expected = keep * (1 + (1 - keep**2) / (1 + keep**2)) if twice else keep
    later = noise[100:]
    assert later.std() == pytest.approx(1, abs=0.02)
    assert (later[1:] * later[:-1]).mean() == pytest.approx(expected, abs=0.02)
    assert noise[0].std() == pytest.approx(1, abs=0.05)


def camera_of(seed=0, size=(640, 480), **dials):
    rngs = np.random.default_rng(seed), np.random.default_rng(seed + 1000)
    return make_camera(*rngs, image_size=size, dials=replace(CLEAN, **dials))


@pytest.mark.parametrize(
    ("change", "place", "expected"),
    [
        ({}, (0.1, 0.2, 0.0), (0.1, 0.2, 0.0)),
        ({"scale": 2.0}, (0.1, 0.2, 0.0), (0.2, 0.4, 0.0)),
        # Rolled clockwise: what was below is at the left.
        ({"roll": 90.0}, (0.1, 0.2, 0.0), (-0.2, 0.1, 0.0)),
        # Seen from the side: what was behind is at the right, what was at the right in front.
        ({"yaw": 90.0}, (0.1, 0.2, 0.0), (0.0, 0.2 * 2.2 / 2.1, -0.1)),
        ({"yaw": 90.0}, (0.0, 0.0, 0.5), (0.5, 0.0, 0.0)),
        # At half the camera's distance of 2.2 m things look twice as large.
        ({}, (0.1, 0.2, -1.1), (0.2, 0.4, -1.1)),
        ({"scale": 2.0}, (0.1, 0.2, -1.1), (0.4, 0.8, -2.2)),
    ],
)
def test_the_picture_of_a_point(change, place, expected):
    image = project(np.array(place)[None, None], replace(CAMERA, middle=(0.0, 0.0), **change))[0, 0]
    np.testing.assert_allclose(image, expected, atol=1e-9)
    shifted = project(np.array(place)[None, None], replace(CAMERA, **change))[0, 0]
    np.testing.assert_allclose(shifted - image, (0.65, 0.45, 0), atol=1e-9)


def test_cameras_are_alike_without_variation_and_differ_with_it():
    assert camera_of(0) == camera_of(1)
    cameras = [camera_of(seed, camera_variation=1.0) for seed in range(200)]
    assert 4 < np.std([camera.yaw for camera in cameras]) < 8
    assert np.std([camera.grain for camera in cameras]) > 0.2
    assert 0.04 < np.std(np.log([camera.scale for camera in cameras])) < 0.1


def test_framing_cuts_off_elbows_and_low_hands_but_never_the_face():
    joints = np.zeros((1, layout.NUM_POINTS, 3))
    proportions = Proportions()
    joints[0, 0] = (0, proportions.upper_arm, 0)
    joints[0, 1] = (0, -0.3, 0)
    elbows, heads = [], []
    for framing in (0.0, 1.0, 2.0, 3.0):
        seen = [project(joints, camera_of(seed, framing=framing))[0] for seed in range(50)]
        elbows.append(np.mean([image[0, 1] for image in seen]))
        heads.append(min(image[1, 1] for image in seen))
    assert elbows == sorted(elbows)
    assert elbows[0] < 0.85
    assert elbows[3] > 1
    assert min(heads) > 0


def test_the_body_fits_into_narrow_pictures():
    wide, narrow = camera_of(size=(640, 480)), camera_of(size=(210, 300))
    assert narrow.width == pytest.approx(0.7)
    assert narrow.scale < wide.scale
    # Shoulders 0.34 m apart take less than half of the picture's width, as on PHOENIX.
    assert narrow.scale * 0.34 < 0.5 * narrow.width
    assert narrow.middle[0] == pytest.approx(0.35)
