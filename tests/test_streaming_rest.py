"""When hands rest: known poses and movements."""

from __future__ import annotations

import numpy as np
import pytest

from scripted_signing import PLACES, VIEW, Film
from signloom import layout
from signloom.inference.stream_rest import RestDetector

HAND = layout.subset_groups(VIEW)["right_hand"]
WRIST = PLACES[layout.index("pose.right_wrist")]


def rested(points, fps=25.0):
    detector = RestDetector(VIEW, fps)
    return [detector.advance(frame) for frame in points]


def hanging(num_frames=25):
    return Film().rest(num_frames / 25).points


def test_hanging_hands_rest_from_the_first_frame_on():
    assert rested(hanging()) == list(range(1, 26))


def test_a_raised_hand_does_not_rest_though_it_is_still():
    assert set(rested(Film().sign("A", hold_frames=50, move_frames=0).points)) == {0}


def test_a_hand_that_sank_has_rested_since_it_lies_still():
    counts = rested(Film().sign("A", move_frames=0).rest(1).points)
    # The hand is down after 6 frames; it has been slow for a fifth of a second 5 frames later.
    assert counts[:11] == [0] * 11
    assert counts[11:] == list(range(5, 5 + len(counts) - 11))


def test_fingers_that_move_are_no_rest_though_the_wrist_is_still_and_low():
    points = hanging()
    tips = [HAND.start + tip for tip in layout.FINGER_TIPS]
    points[:, tips, 0] += 0.1 * np.sin(np.arange(len(points)))[:, None]
    # Fingers are slow for a moment where they turn.
    assert max(rested(points)) <= 5


def test_noise_of_the_tracker_is_no_movement():
    points = hanging() + 0.003 * np.random.default_rng(0).standard_normal((25, len(PLACES), 3))
    assert rested(points) == list(range(1, 26))


def test_nobody_is_rest():
    assert rested(np.full((5, len(PLACES), 3), np.nan)) == [1, 2, 3, 4, 5]


def test_a_person_whom_the_tracker_loses_for_a_moment_goes_on_resting():
    points = hanging()
    points[[8, 12, 13]] = np.nan
    # The frames that are compared with a lost one, a fifth of a second later, change nothing.
    assert rested(points) == [*range(1, 18), 17, 17, *range(18, 24)]


def test_a_hand_that_enters_the_picture_and_rises_does_not_rest():
    points = np.concatenate([np.full((10, len(PLACES), 3), np.nan), Film().rest(0.4).sign("A").points])
    counts = rested(points)
    # It rises after 10 frames, and is slow until then.
    assert min(counts[:20]) > 0
    assert set(counts[20:]) == {0}


def test_hands_without_a_body_do_not_rest():
    points = hanging()
    points[:, : HAND.start] = np.nan
    assert set(rested(points)) == {0}


@pytest.mark.parametrize(("height", "rests"), [(0.5, False), (0.9, True)])
def test_a_hand_that_the_tracker_lost_rests_only_where_it_is_out_of_view(height, rests):
    points = hanging()
    points[:, HAND] = np.nan
    points[:, WRIST, 1] = height
    # A guessed wrist jumps.
    points[::2, WRIST, 0] += 0.3
    assert (min(rested(points)) > 0) == rests


def test_the_wrist_of_the_hand_stands_in_for_that_of_the_pose():
    points = hanging()
    points[:, WRIST] = np.nan
    assert rested(points) == list(range(1, 26))
    points[:, HAND.start, 1] = 0.5
    assert max(rested(points)) == 0


@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_the_size_of_a_person_in_the_picture_does_not_matter(scale):
    points = Film().rest(1).sign("A").rest(1).points
    assert rested(points * scale) == rested(points)
