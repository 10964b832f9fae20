"""Anatomy: people, real and simulated, have no fault; each planted fault is named, in all clips and in one."""

import numpy as np
import pytest

from body_faults import PLANTED, with_part
from conftest import mostly_slow
from signloom import layout
from signloom.anatomy import FAULTS, combined, faults_of, measure, measure_landmarks
from signloom.anatomy.hand_model import hand_points
from signloom.anatomy.measuring import hand_order
from signloom.importers import holistic
from signloom.synth.corpus import make_clip
from signloom.synth.options import SynthOptions
from signloom.synth.plans import make_plans
from signloom.synth.signs import HANDSHAPES, handshape_angles

PARTS = layout.GROUPS


def simulated(preset, count):
    options = SynthOptions(preset=preset, num_train=count, num_dev=1, num_test=1, num_signs=8)
    return [make_clip(options, plan).landmarks for plan in make_plans(options)[:count]]


@pytest.fixture(scope="module")
def people():
    return simulated("phoenix", 8)


# What one clip of a few signs can show as well.
SHOWN_BY_ONE = set(PLANTED) - {"late_3", "late_6", "hand_+1", "hand_-1", "elsewhere", "all_-2"}


def planted(clips, name):
    _, change = PLANTED[name]
    return [
        measure(change(clip.points, clip.aspect).astype(np.float32), clip.visibility, aspect=clip.aspect)
        for clip in clips
    ]


@pytest.mark.parametrize("preset", mostly_slow(["clean", "phoenix", "hard"], fast=("phoenix",)))
@pytest.mark.slow
def test_simulated_people_have_no_fault(preset):
    measures = [measure_landmarks(clip) for clip in simulated(preset, 12)]
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


@pytest.mark.parametrize("shape", HANDSHAPES)
def test_no_handshape_is_taken_for_points_out_of_order(shape):
    """All clips of a signer may show one sign alone, of a fist, say, whose short bones are the shortest."""
    angles = np.random.default_rng(0).uniform(-40, 40, (40, 3))
    hands = np.stack([hand_points(handshape_angles(shape)[None])[0] @ turned(*turn) for turn in angles])
    order, _ = hand_order(np.stack([hands, hands], axis=1)[..., :2])
    assert order.max() < 1.15
    shifted, _ = hand_order(np.roll(np.stack([hands, hands], axis=1)[..., :2], 1, axis=2))
    assert shifted.min() > 1.15


def turned(*degrees):
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        first, second = (other for other in range(3) if other != axis)
        turn = np.eye(3)
        turn[[first, second, first, second], [first, second, second, first]] = (
            np.cos(angle),
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
        )
        matrix = matrix @ turn
    return matrix


@pytest.mark.parametrize(
    ("source", "group", "sign"),
    [
        pytest.param("people/people", "p1", "NO", marks=pytest.mark.slow),
        ("asl_words/traduttore_asl", "TheCamNelson", "coffee"),
    ],
)
def test_one_sign_of_one_signer_is_imported(shared_data, tmp_path, source, group, sign):
    with np.load(shared_data / f"{source}.npz") as arrays:
        kept = np.flatnonzero((arrays["group"] == group) & (arrays["label"] == sign))
        every, first, length = arrays["frames"], arrays["start"], arrays["length"]
        frames = np.concatenate([every[first[k] : first[k] + length[k]] for k in kept])
        lengths, labels, groups = arrays["length"][kept], arrays["label"][kept], arrays["group"][kept]
    starts = np.cumsum([0, *lengths[:-1]])
    np.savez(tmp_path / "signs.npz", frames=frames, start=starts, length=lengths, label=labels, group=groups)
    options = holistic.Options(sources=[tmp_path / "signs.npz"], output=tmp_path / "corpus", dry_run=True)
    assert holistic.run(options) == 0
