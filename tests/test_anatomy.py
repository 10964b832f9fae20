"""Anatomy: people, real and simulated, have no fault; each planted fault is named, in all clips and in one."""

import numpy as np
import pytest

from signloom import layout
from signloom.anatomy import FAULTS, combined, faults_of, measure, measure_landmarks
from signloom.synth.corpus import make_clip
from signloom.synth.options import SynthOptions
from signloom.synth.plans import make_plans

PARTS = layout.GROUPS


def simulated(preset, count=12):
    options = SynthOptions(preset=preset, num_train=count, num_dev=1, num_test=1, num_signs=8)
    return [make_clip(options, plan).landmarks for plan in make_plans(options)[:count]]


@pytest.fixture(scope="module")
def people():
    return simulated("phoenix")


def with_part(points, part, values):
    changed = points.copy()
    changed[:, part] = values
    return changed


def swapped(points):
    left, right = points[:, PARTS["left_hand"]].copy(), points[:, PARTS["right_hand"]]
    return with_part(with_part(points, PARTS["left_hand"], right), PARTS["right_hand"], left)


def each_hand(change):
    def both(points, aspect):
        for hand in ("left_hand", "right_hand"):
            points = with_part(points, PARTS[hand], change(points[:, PARTS[hand]]))
        return points

    return both


def cropped(hand):
    low, high = hand[..., :2].min(axis=1, keepdims=True), hand[..., :2].max(axis=1, keepdims=True)
    inside = (hand[..., :2] - (low + high) / 2) / (1.3 * (high - low).max(axis=-1, keepdims=True)) + 0.5
    return np.concatenate([inside, hand[..., 2:]], axis=-1)


def boxed(points, aspect):
    flat = points[..., :2]
    low, high = np.nanmin(flat, axis=1, keepdims=True), np.nanmax(flat, axis=1, keepdims=True)
    return np.concatenate([(flat - low) / (high - low), points[..., 2:]], axis=-1)


def later(frames):
    def late(points, aspect):
        hands = slice(33, 75)
        return with_part(points, hands, np.concatenate([points[:1, hands]] * frames + [points[:-frames, hands]]))

    return late


def rolled(part, places):
    return lambda points, aspect: with_part(points, part, np.roll(points[:, part], places, axis=1))


def reflected(*axes):
    def reflect(points, aspect):
        points = points.copy()
        for axis in axes:
            points[..., axis] = (aspect, 1)[axis] - points[..., axis]
        return points

    return reflect


def frozen(points, aspect):
    rng = np.random.default_rng(0)
    return points[:1] + rng.normal(0, 1e-5, points.shape).astype(np.float32)


PLANTED = {
    "y_up": ("upside_down", reflected(1)),
    "turned_by_180": ("upside_down", reflected(0, 1)),
    "turned_by_90": ("turned", lambda p, aspect: np.stack([1 - p[..., 1], p[..., 0], p[..., 2]], axis=-1)),
    "x_y": ("x_y_exchanged", lambda p, aspect: p[..., [1, 0, 2]]),
    "mirror": ("mirrored", reflected(0)),
    "minus_x": ("mirrored", lambda p, aspect: p * np.array([-1, 1, 1], dtype=np.float32)),
    "swap": ("hands_exchanged", lambda p, aspect: swapped(p)),
    "crop": ("hands_crop", each_hand(cropped)),
    "elsewhere": ("hands_apart", each_hand(lambda hand: hand + np.array([0.4, -0.2, 0], dtype=np.float32))),
    "wrist": ("hands_relative", each_hand(lambda hand: hand - hand[:, :1])),
    "mean": ("hands_relative", each_hand(lambda hand: hand - hand.mean(axis=1, keepdims=True))),
    "nose": ("body_relative", lambda p, aspect: p - p[:, :1]),
    "shoulders": ("body_relative", lambda p, aspect: p - p[:, 11:13].mean(axis=1, keepdims=True)),
    "pose_mean": ("body_relative", lambda p, aspect: p - p[:, :33].mean(axis=1, keepdims=True)),
    "box": ("body_crop", boxed),
    "frozen": ("frozen", frozen),
    "pose_+1": ("shifted", rolled(PARTS["pose"], 1)),
    "pose_-1": ("shifted", rolled(PARTS["pose"], -1)),
    "pose_-2": ("shifted", rolled(PARTS["pose"], -2)),
    "all_+1": ("shifted", rolled(slice(0, 543), 1)),
    "all_-2": ("shifted", rolled(slice(0, 543), -2)),
    "hand_+1": ("disordered_hand", rolled(PARTS["right_hand"], 1)),
    "hand_-1": ("disordered_hand", rolled(PARTS["right_hand"], -1)),
    "face_+7": ("disordered_face", rolled(PARTS["face"], 7)),
    "face_flip": ("face_turned", lambda p, aspect: with_part(p, PARTS["face"], p[:, PARTS["face"]] * (1, -1, 1))),
    "late_3": ("hands_late", later(3)),
    "late_6": ("hands_late", later(6)),
    "huge_hands": ("hand_size", each_hand(lambda hand: hand[:, :1] + 6 * (hand - hand[:, :1]))),
}
# What one clip of a few signs can show as well.
SHOWN_BY_ONE = set(PLANTED) - {"late_3", "late_6", "hand_+1", "hand_-1", "elsewhere", "all_-2"}


def planted(clips, name):
    _, change = PLANTED[name]
    return [
        measure(change(clip.points, clip.aspect).astype(np.float32), clip.visibility, aspect=clip.aspect)
        for clip in clips
    ]


@pytest.mark.parametrize("preset", ["clean", "phoenix", "hard"])
def test_simulated_people_have_no_fault(preset):
    measures = [measure_landmarks(clip) for clip in simulated(preset)]
    assert [str(fault) for clip in measures for fault in faults_of(clip)] == []
    assert faults_of(combined(measures)) == []


@pytest.mark.parametrize("name", PLANTED)
def test_planted_faults_are_named(people, name):
    measures = planted(people, name)
    assert PLANTED[name][0] in [fault.name for fault in faults_of(combined(measures))]
    if name in SHOWN_BY_ONE:
        named = [PLANTED[name][0] in [fault.name for fault in faults_of(clip)] for clip in measures]
        # A clip without the hand or the face that was changed cannot show it.
        assert np.mean(named) > 0.7


def test_visibility_outside_its_range(people):
    clip = people[0]
    (fault,) = faults_of(measure(clip.points, clip.visibility * 3 - 1, aspect=clip.aspect))
    assert fault.name == "visibility"
    assert str(fault).startswith("the visibility is outside 0 to 1: from -1.00 to ")


def test_a_fault_says_what_was_measured(people):
    (fault,) = faults_of(combined(planted(people, "swap")))
    assert fault.what == FAULTS["hands_exchanged"]
    assert "from the pose's wrists of their side" in fault.measured


def test_nothing_known_is_no_fault():
    nothing = measure(np.full((5, layout.NUM_POINTS, 3), np.nan, dtype=np.float32))
    assert faults_of(nothing) == []
    assert np.isnan(nothing.sides)
    assert nothing.lag is None
    assert nothing.pose_shift is None
    with pytest.raises(ValueError, match="no clips"):
        combined([])


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_no_fault(people, part):
    measures = [
        measure(with_part(clip.points, PARTS[part], np.nan), clip.visibility, aspect=clip.aspect) for clip in people
    ]
    assert faults_of(combined(measures)) == []
    assert combined(measures).frames[part] == 0


def test_one_frame_is_measured(people):
    still = measure(people[0].points[:1], people[0].visibility[:1], aspect=people[0].aspect)
    assert faults_of(still) == []
    assert np.isnan(still.step)


def test_lengths_are_those_of_the_points():
    points = np.full((3, layout.NUM_POINTS, 3), np.nan, dtype=np.float32)
    places = {
        "pose.left_shoulder": (0.7, 0.5),
        "pose.right_shoulder": (0.3, 0.5),
        "pose.left_wrist": (0.8, 0.9),
        "pose.right_wrist": (0.2, 0.9),
        "left_hand.wrist": (0.8, 0.86),
        "left_hand.middle_mcp": (0.8, 0.76),
    }
    for name, place in places.items():
        points[:, layout.index(name)] = (*place, 0)
    result = measure(points)
    assert result.shoulders == pytest.approx(0.4)
    assert result.wrist_own[0] == pytest.approx(0.1)
    # The other wrist is 0.6 to the left and 0.04 below: 0.6013 / 0.4.
    assert result.wrist_other[0] == pytest.approx(1.5033, abs=1e-3)
    assert result.hand_size[0] == pytest.approx(0.25)
    assert np.isnan(result.wrist_own[1])


@pytest.mark.slow
def test_real_people_have_no_fault(shared_data):
    from signloom.importers import holistic

    with np.load(shared_data / "people" / "people.npz") as arrays:
        groups, starts, frames = arrays["group"], arrays["start"], arrays["frames"]
    for person in np.unique(groups):
        size = (1280, 720) if person == "p6" else (640, 480)
        clips = [
            measure_landmarks(holistic.landmarks_from_frames(frames[start : start + 30], holistic.CameraInfo(25, size)))
            for start in starts[groups == person][::4]
        ]
        assert [str(fault) for clip in clips for fault in faults_of(clip)] == []
        assert faults_of(combined(clips)) == []
