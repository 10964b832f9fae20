"""The times of frames: even or not, from 0 or later, with pauses; and what turns them to seconds and back."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import random_landmarks
from signloom import frame_times
from signloom.errors import InputError
from signloom.landmarks import Landmarks

# Two seconds at 30 frames/s, then two at 10, as a phone films in the dark.
VARIABLE = np.concatenate([np.arange(60) / 30, 2 + np.arange(20) / 10])


def at_times(seconds, fps=None):
    clip = random_landmarks(len(seconds), fps=fps or frame_times.mean_rate(seconds))
    return replace(clip, seconds=seconds)


def test_even_times_are_not_stored_and_others_are(tmp_path):
    even, variable = random_landmarks(5, fps=29.97), at_times(VARIABLE)
    even.save(tmp_path / "even.npz")
    variable.save(tmp_path / "variable.npz")
    with np.load(tmp_path / "even.npz") as arrays:
        assert b'"version": 1' in arrays["meta"].tobytes()
        assert "seconds" not in arrays
    with np.load(tmp_path / "variable.npz") as arrays:
        assert b'"version": 2' in arrays["meta"].tobytes()
    np.testing.assert_array_equal(Landmarks.load(tmp_path / "variable.npz").seconds, VARIABLE)
    np.testing.assert_allclose(Landmarks.load(tmp_path / "even.npz").seconds, np.arange(5) / 29.97)


def test_time_stamps_in_whole_milliseconds_are_even():
    seconds = np.round(np.arange(3000) / 30, 3)
    assert frame_times.are_even(seconds, 30.0)
    assert not frame_times.are_even(seconds, 29.97)
    assert not frame_times.are_even(seconds + 1, 30.0)
    assert not frame_times.are_even(np.delete(seconds, 7), 30.0)


def test_frames_over_the_mean_rate_are_the_duration():
    assert len(VARIABLE) / frame_times.mean_rate(VARIABLE) == pytest.approx(4.0, abs=0.07)
    assert frame_times.mean_rate(np.arange(50) / 25) == pytest.approx(25)
    assert frame_times.mean_rate(np.zeros(1)) is None


def test_a_movement_at_a_variable_rate_is_straight_after_resampling():
    clip = at_times(VARIABLE)
    clip.points[:, 0, 0] = VARIABLE
    again = clip.resampled(25.0)
    assert again.has_even_times
    assert len(again) == round(clip.duration_seconds * 25)
    inside = again.seconds <= VARIABLE[-1]
    np.testing.assert_allclose(again.points[inside, 0, 0], again.seconds[inside], atol=1e-5)


def test_a_pose_is_held_through_a_pause():
    seconds = np.concatenate([np.arange(30) / 30, 11 + np.arange(30) / 30])
    clip = at_times(seconds)
    clip.points[:, 0, 0] = np.arange(60)
    again = clip.resampled(30.0)
    during = (again.seconds > 1) & (again.seconds < 10.9)
    np.testing.assert_array_equal(again.points[during, 0, 0], 29)
    assert again.points[330, 0, 0] == pytest.approx(30, abs=0.1)


def test_a_clip_that_begins_late_keeps_its_clock():
    clip = at_times(1.0 + np.arange(50) / 25, fps=25.0)
    assert clip.start_seconds == 1.0
    assert not clip.has_even_times
    again = clip.resampled(50.0)
    assert again.start_seconds == 1.0
    assert again.seconds[-1] == pytest.approx(1 + 99 / 50)


def test_a_part_is_a_clip_of_its_own():
    part = at_times(VARIABLE).between(2.4, 3.4)
    assert len(part) == 10
    np.testing.assert_array_equal(part.points, at_times(VARIABLE).points[64:74])
    assert part.start_seconds == 0
    assert part.fps == pytest.approx(10)
    assert part.has_even_times
    with pytest.raises(InputError, match="no frames"):
        at_times(VARIABLE).between(8.0, 9.0)


@given(st.integers(2, 200), st.floats(5, 120), st.data())
def test_even_frames_between_two_moments_are_those_of_the_arithmetic(num_frames, fps, data):
    seconds = frame_times.even_times(num_frames, fps)
    first = data.draw(st.integers(0, num_frames - 1))
    last = data.draw(st.integers(first + 1, num_frames))
    # Moments in the middle of a frame, so that rounding decides nothing.
    frames = frame_times.frames_between(seconds, (first + 0.5) / fps, (last - 0.5) / fps)
    assert (frames.start, frames.stop) == (first, last)


def test_a_frame_that_is_hardly_seen_in_a_part_is_left_out():
    # At 10 frames/s; a clock that is 0.2 % slow puts a boundary some milliseconds before the end of a frame.
    seconds = frame_times.even_times(50, 10.0)
    assert frame_times.frames_between(seconds, 2.394, 3.394) == slice(24, 34)
    assert frame_times.frames_between(seconds, 2.406, 3.406) == slice(24, 34)
    assert frame_times.frames_between(seconds, 2.380, 3.420) == slice(23, 35)
    # The only one stays.
    assert frame_times.frames_between(seconds, 2.394, 2.399) == slice(23, 24)


def test_moments_on_a_frame_belong_to_it_although_they_are_whole_milliseconds():
    seconds = frame_times.even_times(90, 30.0)
    assert frame_times.frames_between(seconds, 0.033, 0.067) == slice(1, 2)
    assert frame_times.frames_at(seconds, np.array([-0.1, 0.0, 0.033, 5.0])).tolist() == [-1, 0, 1, 89]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        ([0.0, 1.0, 0.5], "frame 2 is at 0.500 s"),
        ([0.0, 0.0, 1.0], "ascending"),
        ([0.0, 1.0], "shape"),
        ([0.0, 1.0, np.nan], "NaN or infinite"),
        ([0.0, 1e300, 2e300], r"is 2e\+300 s; needed at most 10,000,000,000"),
    ],
)
def test_impossible_times_are_refused(seconds, told):
    with pytest.raises(InputError, match=told):
        replace(random_landmarks(3), seconds=np.array(seconds))


@pytest.mark.parametrize(("name", "place"), [("points", (1, 2, 0)), ("visibility", (1, 2))])
def test_infinite_values_are_refused_when_read_as_when_written(tmp_path, name, place):
    clip = random_landmarks(3)
    clip.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        content = dict(arrays)
    content[name][place] = np.inf
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(InputError, match="infinite"):
        Landmarks.load(tmp_path / "a.npz")
