"""From time stamps to the times of frames: restarts, pauses, stamps that are missing, repeated or out of order."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signloom.extract.time_stamps import Clock, continuous, times_of


def at_25(count, start=0.0):
    return [start + number / 25 for number in range(count)]


def test_even_stamps_have_the_rate_of_the_header():
    times = times_of(at_25(50), [30.0, 25.0], 50)
    assert (times.fps, times.assumed_fps) == (25, None)
    # A track that begins late is even all the same.
    assert times_of(at_25(50, start=1.0), [25.0], 50).fps == 25
    # Whole milliseconds.
    assert times_of(np.round(np.arange(90) / 30, 3), [30.0], 50).fps == 30


def test_stamps_belie_a_header_of_variable_rate():
    # 22 frames at 10 a second under a header of 29.97; in a header of 1000 (browsers) and with none.
    stamps = [number / 10 for number in range(22)]
    for rates in ([29.97], [1000.0], []):
        assert times_of(stamps, rates, 25).fps == pytest.approx(10)
    # 2 s at 30, then 2 s at 10.
    stamps = [*(number / 30 for number in range(60)), *(2 + number / 10 for number in range(20))]
    times = times_of(stamps, [30.0, 20.0], 25)
    np.testing.assert_allclose(times.seconds, stamps, atol=1e-9)
    assert times.fps == pytest.approx(80 / 4, rel=0.02)


def test_a_slow_clip_is_believed_and_a_time_base_is_not():
    assert times_of([0.0, 5.0, 10.0], [0.2], 25).fps == pytest.approx(0.2)
    times = times_of([number / 90_000 for number in range(10)], [90_000.0], 25)
    assert (times.fps, times.assumed_fps, times.seconds[1]) == (25, 25, 0.04)


def test_without_stamps_the_header_tells_the_rate_or_it_is_assumed():
    assert times_of([None] * 3, [50.0], 25).seconds.tolist() == [0, 0.02, 0.04]
    times = times_of([None] * 3, [], 25)
    assert (times.seconds.tolist(), times.fps, times.assumed_fps) == ([0, 0.04, 0.08], 25, 25)
    # All frames at one time say nothing.
    assert times_of([7.0] * 3, [50.0], 25).seconds.tolist() == [0, 0.02, 0.04]
    assert times_of([0.0], [50.0], 25).fps == 50
    assert times_of([0.0], [], 25).fps == 25


@pytest.mark.parametrize(
    "parts",
    [
        (at_25(50), at_25(50)),
        (at_25(10), at_25(11), at_25(12)),
        (at_25(20, start=1.4), at_25(3, start=1.4), at_25(70, start=1.4)),
        # The next part's stamps are below the last, but not from where the first began.
        (at_25(40, start=2.0), at_25(60, start=3.0)),
    ],
)
def test_joined_parts_go_on_one_frame_after_the_last(parts):
    stamps = [stamp for part in parts for stamp in part]
    np.testing.assert_allclose(continuous(stamps, 1), at_25(len(stamps), start=stamps[0]))


def test_parts_that_jump_ahead_go_on_in_formats_that_allow_it():
    stamps = [*at_25(30), *at_25(30, start=50_000.0)]
    np.testing.assert_allclose(continuous(stamps, 1, Clock(may_jump=True)), at_25(60), atol=1e-9)
    # Elsewhere, and if it is short, it is a pause.
    assert continuous(stamps, 1)[30] == 50_000
    assert continuous([*at_25(30), *at_25(30, start=8.0)], 1, Clock(may_jump=True))[30] == 8


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        # Repeated: between their neighbours, never at the same time.
        ([0, 0.04, 0.04, 0.12], [0, 0.04, 0.08, 0.12]),
        ([0, 0.04, 0.04, 0.08, 0.12], [0, 0.04, 0.06, 0.08, 0.12]),
        # Before a pause they come soon after the last.
        ([0, 0.04, 0.08, 0.08, 5.0, 5.04], [0, 0.04, 0.08, 0.12, 5.0, 5.04]),
        # Missing: inside, at the start, at the end.
        ([0, None, None, 0.12, 0.16], [0, 0.04, 0.08, 0.12, 0.16]),
        ([None, None, 0.08, 0.12, 0.16], [0, 0.04, 0.08, 0.12, 0.16]),
        ([None, 0.02, 0.06, 0.10], [0, 0.02, 0.06, 0.10]),
        ([0, 0.04, 0.08, None, None], [0, 0.04, 0.08, 0.12, 0.16]),
        # One out of order.
        ([0, 0.04, 0.12, 0.08, *at_25(9, 0.16)], [0, 0.04, 0.12, 0.14, *at_25(9, 0.16)]),
        ([0, 0.04, 0.08, 0.06], [0, 0.04, 0.08, 0.12]),
    ],
)
def test_frames_without_a_good_stamp_come_between_the_others(stamps, expected):
    np.testing.assert_allclose(continuous(stamps, 1), expected, atol=1e-9)


def test_frames_that_a_decoder_gives_late_are_no_restart():
    # As H.264 in an MP4 of which 18 packets are damaged.
    stamps = [*at_25(10), 0.4, 1.16, 1.28, 1.32, 0.44, 1.0, *at_25(20, start=1.36)]
    for clock in (Clock(may_restart=False), Clock(is_damaged=True)):
        seconds = continuous(stamps, 1, clock)
        np.testing.assert_allclose(seconds[16:], at_25(20, start=1.36))
        assert (np.diff(seconds) > 0).all()


@example([0.0, 1.0, 0.0, 2.6e-98], Clock())
@example([1.0, 0.0, 2.6e-98], Clock(may_restart=False))
@given(
    st.lists(st.one_of(st.none(), st.floats(0, 100), st.sampled_from([0.0, 0.04, 0.08])), min_size=1, max_size=40),
    st.builds(Clock, st.booleans(), st.booleans(), st.booleans()),
)
def test_times_always_ascend(stamps, clock):
    times = times_of(stamps, [25.0], 25, clock)
    assert len(times.seconds) == len(stamps)
    assert np.isfinite(times.seconds).all()
    assert (np.diff(times.seconds) > 0).all()
    assert times.fps > 0
