from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import random_landmarks
from signloom import layout
from signloom.errors import InputError, LayoutError
from signloom.frame_times import resample_positions
from signloom.landmarks import Landmarks, interpolate


def test_saved_and_loaded_is_the_same_to_half_precision(tmp_path):
    clip = random_landmarks(7)
    clip.points[2, layout.GROUPS["left_hand"]] = np.nan
    clip = replace(clip, fps=29.97, pixel_aspect=1.14, assumed=("fps",), source={"sha256": "ab"})
    clip.save(tmp_path / "a.npz")
    back = Landmarks.load(tmp_path / "a.npz")
    # Half precision has 11 significant bits: below 1 the rounding is at most 2^-12.
    np.testing.assert_allclose(back.points, clip.points, atol=2**-12)
    assert (np.isnan(back.points) == np.isnan(clip.points)).all()
    assert (back.fps, back.image_size, back.pixel_aspect) == (29.97, (640, 480), 1.14)
    assert (back.assumed, back.source) == (("fps",), {"sha256": "ab"})
    assert not back.present("left_hand")[2]
    assert back.present("left_hand")[[0, 1, 3]].all()


def test_a_frame_costs_3_3_kilobytes(tmp_path):
    random_landmarks(1000).save(tmp_path / "a.npz")
    assert 3300 < (tmp_path / "a.npz").stat().st_size / 1000 < 3400


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 40])
def test_damaged_file_is_named(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz: not a readable landmark file"):
        Landmarks.load(tmp_path / "a.npz")


def test_truncated_file_is_named(tmp_path):
    random_landmarks(50).save(tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a readable landmark file"):
        Landmarks.load(tmp_path / "a.npz")


def test_pickled_arrays_are_never_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", points=np.array([{}], dtype=object), visibility=np.zeros(1), meta=np.zeros(1))
    with pytest.raises(InputError, match="not a readable landmark file"):
        Landmarks.load(tmp_path / "a.npz")


def test_another_layout_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "VERSION", 2)
    random_landmarks(3).save(tmp_path / "a.npz")
    monkeypatch.undo()
    with pytest.raises(LayoutError, match="'holistic543' version 2, this signloom has 'holistic543' version 1"):
        Landmarks.load(tmp_path / "a.npz")


@pytest.mark.parametrize("fps", [0.0, -25.0, float("nan"), float("inf")])
def test_impossible_frame_rates_are_refused(fps):
    with pytest.raises(InputError, match="needed a number of 1 to 1,000"):
        random_landmarks(3, fps=fps)


def test_mirror_twice_is_the_identity():
    clip = random_landmarks(5)
    twice = clip.mirrored().mirrored()
    np.testing.assert_allclose(twice.points, clip.points, atol=1e-6)
    assert not np.allclose(clip.mirrored().points, clip.points)


@given(st.integers(1, 300), st.floats(5, 120), st.floats(5, 120))
def test_resampling_keeps_duration_and_bounds(num_frames, fps, target):
    positions = resample_positions(num_frames, fps, target)
    assert abs(len(positions) / target - num_frames / fps) <= 1 / target
    assert positions[0] == 0
    assert (np.diff(positions) >= 0).all()
    assert positions[-1] <= num_frames - 1


def test_interpolation_is_missing_where_either_end_is_and_exact_on_a_frame():
    values = np.array([0.0, 1.0, np.nan, 3.0])[:, None]
    result = interpolate(values, np.array([0, 0.25, 1, 1.5, 2.5, 3]))[:, 0]
    np.testing.assert_array_equal(result, [0, 0.25, 1, np.nan, np.nan, 3])


def test_a_straight_movement_stays_straight_at_another_rate():
    clip = random_landmarks(10, fps=30.0)
    clip.points[:, 0, 0] = np.arange(10) / 30.0
    again = clip.resampled(25.0)
    assert again.fps == 25.0
    np.testing.assert_allclose(again.points[:8, 0, 0], np.arange(8) / 25.0, atol=1e-6)
