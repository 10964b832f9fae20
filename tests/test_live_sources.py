"""Sources of live pictures: a camera that is missing, forbidden, unplugged and back; videos of any rate and shape."""

import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from signloom.errors import InputError
from signloom.live import camera
from signloom.live.camera import Camera, CameraClock, CameraSource, list_cameras, why_not_open
from signloom.live.frames import Frame, State
from signloom.live.video import RunningClock, VideoSource

films = pytest.importorskip("films", reason="needs PyAV")
cv2 = pytest.importorskip("cv2", exc_type=ImportError)


def frames_of(path):
    return list(VideoSource(path).items(threading.Event()))


# Videos


def test_frames_come_at_the_times_of_a_variable_rate(tmp_path):
    shown = [0.0, 0.01, 0.03, 0.07]
    path = films.write_film(tmp_path / "film.mkv", shown, time_base=films.MILLISECONDS)
    begin = time.monotonic()
    frames = frames_of(path)
    assert [frame.seconds for frame in frames] == pytest.approx(shown)
    assert [films.number_of(frame.picture) for frame in frames] == [0, 1, 2, 3]
    # None is given before its time.
    assert all(frame.arrived >= begin + frame.seconds for frame in frames)


def test_a_video_that_begins_after_its_sound_keeps_that_time(tmp_path):
    path = films.write_film(tmp_path / "film.mp4", [0.04, 0.08], sound_seconds=0.2)
    assert [frame.seconds for frame in frames_of(path)] == pytest.approx([0.04, 0.08], abs=0.03)


def test_a_portrait_phone_video_is_upright_and_its_pixels_keep_their_shape(tmp_path):
    # A quarter turn as phones write it; pixels twice as wide as high become twice as high as wide.
    turned = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    path = films.write_film(tmp_path / "phone.mp4", [0.0, 0.01], rate=100, matrix=turned, aspect=Fraction(2))
    (first, _) = frames_of(path)
    assert first.picture.shape == (films.WIDTH, films.HEIGHT, 3)
    assert first.picture.flags.c_contiguous
    assert first.pixel_aspect == 0.5
    assert first.aspect == pytest.approx(films.HEIGHT / films.WIDTH / 2)


def test_a_cut_video_gives_its_frames_and_then_its_fault(tmp_path):
    whole = films.write_film(tmp_path / "whole.mkv", films.even(20, 200), rate=200, picture=films.noise)
    path = films.spoil(whole, range(5, 20))
    given = []
    with pytest.raises(InputError, match=r"whole\.mkv"):
        for frame in VideoSource(path).items(threading.Event()):
            given.append(frame)
    assert len(given) >= 5


@pytest.mark.parametrize(("make", "words"), [("nothing", "no such video"), ("folder", "a folder"), ("text", "video")])
def test_what_is_no_video_is_refused_before_anything_starts(tmp_path, make, words):
    path = tmp_path / "clip.mp4"
    if make == "folder":
        path.mkdir()
    elif make == "text":
        path.write_text("hello")
    with pytest.raises(InputError, match=words):
        VideoSource(path)


def test_a_video_that_is_no_longer_wanted_ends(tmp_path):
    path = films.write_film(tmp_path / "film.mkv", [0.0, 1000.0], time_base=films.MILLISECONDS)
    stopping = threading.Event()
    given = []
    for frame in VideoSource(path).items(stopping):
        given.append(frame)
        stopping.set()
    assert len(given) == 1


def test_stamps_that_restart_leap_or_are_missing_become_ascending_times():
    clock = RunningClock(0.04)
    stamps = [0.1, 0.2, None, 0.0, 0.1, 50.0, 50.1]
    # After the restart, and the leap, time goes on one frame later and then at the pace of the stamps.
    expected = [0.1, 0.2, 0.24, 0.28, 0.38, 0.42, 0.52]
    assert [clock.advance(stamp) for stamp in stamps] == pytest.approx(expected)


def test_without_any_stamp_frames_come_at_the_rate():
    clock = RunningClock(0.1)
    assert [clock.advance(None) for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])


# Cameras


class Cameras:
    """Stands in for OpenCV's VideoCapture: each opening gets the next video, or None for a camera that is not there."""

    def __init__(self, monkeypatch, *videos):
        self.opened = 0
        real = cv2.VideoCapture

        def capture(number):
            video = videos[self.opened] if self.opened < len(videos) else None
            self.opened += 1
            return real(str(video)) if video else real()

        monkeypatch.setattr(cv2, "VideoCapture", capture)


def items_until(source, enough):
    stopping = threading.Event()
    items = []
    for item in source.items(stopping):
        items.append(item)
        if enough(items):
            stopping.set()
    return items


@pytest.fixture
def clip(tmp_path):
    return films.write_film(tmp_path / "clip.avi", films.even(3), codec="mjpeg", pixel_format="yuvj420p")


def test_a_camera_that_is_unplugged_and_comes_back(monkeypatch, clip):
    Cameras(monkeypatch, clip, None, clip)
    source = CameraSource(0, retry_seconds=0.001)
    items = items_until(source, lambda items: sum(isinstance(item, Frame) for item in items) == 6)
    kinds = [type(item) for item in items]
    assert kinds == [Frame] * 3 + [State] * 2 + [Frame] * 3
    assert "plug it in again" in items[3].text
    assert "trying again" in items[4].text
    seconds = [item.seconds for item in items if isinstance(item, Frame)]
    assert seconds == sorted(set(seconds))
    # The video as the camera, in RGB.
    assert [films.number_of(item.picture) for item in items if isinstance(item, Frame)] == [0, 1, 2] * 2


def test_a_state_is_said_once_while_the_camera_stays_away(monkeypatch):
    cameras = Cameras(monkeypatch)
    source, stopping = CameraSource(3, retry_seconds=0.001), threading.Event()
    items = source.items(stopping)
    assert "camera 3" in next(items).text
    timer = threading.Timer(0.05, stopping.set)
    timer.start()
    assert list(items) == []
    assert cameras.opened > 1


@pytest.fixture
def devices(monkeypatch, tmp_path):
    monkeypatch.setattr(camera.sys, "platform", "linux")
    monkeypatch.setattr(camera, "_DEVICES", tmp_path)
    monkeypatch.setattr(camera, "_NAMES", tmp_path / "names")
    return tmp_path


def test_why_a_camera_cannot_be_opened(devices, monkeypatch):
    assert why_not_open(0) == "there is no camera 0; none is connected"
    (devices / "video2").touch()
    assert why_not_open(0) == "there is no camera 0 (there are: 2)"
    assert "another program uses it" in why_not_open(2)
    monkeypatch.setattr(camera.os, "access", lambda *_: False)
    assert why_not_open(2).startswith(f"permission denied: {devices / 'video2'}; add yourself to its group")


def test_cameras_are_listed_with_their_names_and_faults(devices, monkeypatch, clip):
    for number in (0, 10, 2):
        (devices / f"video{number}").touch()
    (devices / "names" / "video0").mkdir(parents=True)
    (devices / "names" / "video0" / "name").write_text("Front camera\n")
    Cameras(monkeypatch, clip)
    first, second, third = list_cameras()
    assert str(first) == f"0  Front camera: {films.WIDTH}x{films.HEIGHT}"
    assert (second.number, third.number) == (2, 10)
    assert "another program" in second.fault


def test_other_systems_are_asked_for_a_few_cameras(monkeypatch, clip):
    monkeypatch.setattr(camera.sys, "platform", "darwin")
    Cameras(monkeypatch, None, clip)
    assert list_cameras() == [Camera(1, "camera", size=(films.WIDTH, films.HEIGHT))]
    assert "privacy" in why_not_open(0)


def test_a_devices_own_stamps_have_less_jitter_than_arrivals():
    clock = CameraClock()
    seconds = [clock.seconds(stamp, now) for stamp, now in [(7.0, 100.0), (7.1, 100.13), (7.2, 100.2)]]
    assert seconds == pytest.approx([0.0, 0.1, 0.2])


def test_stamps_that_do_not_run_with_our_clock_are_not_used():
    clock = CameraClock()
    # A device that always says 0, and one that counts frames.
    assert [clock.seconds(0.0, now) for now in (5.0, 5.4, 6.0, 7.0)] == pytest.approx([0.0, 0.001, 1.0, 2.0])


def test_time_goes_on_while_a_camera_is_away():
    clock = CameraClock()
    clock.seconds(7.0, 100.0)
    clock.begin()
    assert clock.seconds(0.5, 130.0) == pytest.approx(30.0)


def test_frames_are_in_rgb(monkeypatch, tmp_path):
    red = np.zeros((64, 64, 3), dtype=np.uint8)
    red[..., 0] = 255
    path = films.write_film(tmp_path / "red.avi", [0.0], codec="mjpeg", pixel_format="yuvj420p", picture=lambda _: red)
    Cameras(monkeypatch, path)
    (frame,) = items_until(CameraSource(0), lambda items: len(items) == 1)
    assert frame.picture[32, 32, 0] > 200 > 60 > frame.picture[32, 32, 2]
