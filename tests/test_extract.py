"""MediaPipe Holistic on a video the project makes itself and on real recordings; what is said where it is absent."""

import builtins
import itertools
import os
import sys

import numpy as np
import pytest

import waving
from signloom import layout
from signloom.errors import InputError, MissingExtraError, SignloomError
from signloom.extract import HolisticTracker, extract_landmarks
from signloom.extract.holistic import Settings, quiet_stderr, track_clip
from signloom.extract.reading import open_clip
from signloom.landmarks import Landmarks

# Without OpenCV's system libraries the import ends in ImportError, not in ModuleNotFoundError.
cv2 = pytest.importorskip("cv2", reason="extraction needs the extra 'extract'", exc_type=ImportError)
pytest.importorskip("mediapipe", reason="extraction needs the extra 'extract'", exc_type=ImportError)

pytestmark = pytest.mark.slow

NUM_FRAMES = 8


@pytest.fixture(scope="module")
def wave(tmp_path_factory):
    if reason := waving.why_not():
        pytest.skip(reason)
    return waving.write_video(tmp_path_factory.mktemp("wave") / "wave.mp4", NUM_FRAMES)


@pytest.fixture(scope="module")
def waved(wave):
    return extract_landmarks(wave)


def test_all_four_parts_are_found_and_lie_where_they_were_drawn(waved):
    assert {group: int(waved.present(group).sum()) for group in layout.GROUPS} == dict.fromkeys(layout.GROUPS, 8)
    assert np.isfinite(waved.points).all()
    assert np.isfinite(waved.visibility).all()
    assert ((waved.visibility >= 0) & (waved.visibility <= 1)).all()
    # In units of the height: 480 pixels. The signer's right hand is on the left of the image.
    height = waving.HEIGHT
    face = waved.points[:, layout.GROUPS["face"], :2].mean(axis=(0, 1)) * height
    assert face == pytest.approx((302, 134), abs=12)
    for group, x in (("right_hand", 111), ("left_hand", 471)):
        hand = waved.points[:, layout.GROUPS[group], :2].mean(axis=(0, 1)) * height
        assert hand == pytest.approx((x, 205), abs=30), group


def test_the_source_is_recorded(wave, waved):
    assert waved.fps == waving.FPS
    assert waved.image_size == (waving.WIDTH, waving.HEIGHT)
    assert waved.source["name"] == "wave.mp4"
    assert waved.source["size"] == wave.stat().st_size
    assert len(waved.source["sha256"]) == 64
    assert (waved.source["extractor"], waved.source["extractor_version"]) == ("mediapipe-holistic", "0.10.21")
    assert waved.source["options"]["model_complexity"] == 1
    assert waved.source["frames"] == {"total": 8, "pose": 8, "left_hand": 8, "right_hand": 8, "face": 8, "unread": 0}


def test_a_clip_does_not_depend_on_the_clips_before_it(wave, waved, tmp_path):
    blank = waving.write_video(tmp_path / "blank.mp4", 3, person=False)
    with quiet_stderr():
        tracker = HolisticTracker()
        track_clip(tracker, wave, Settings(crop=None))
        nobody = track_clip(tracker, blank, Settings())
        again = track_clip(tracker, wave, Settings())
        tracker.close()
    assert np.array_equal(again.points, waved.points)
    assert np.array_equal(again.visibility, waved.visibility)
    # Nobody there: missing, and not where the person of the clip before was.
    assert np.isnan(nobody.points).all()
    assert np.isnan(nobody.visibility).all()
    assert nobody.source["frames"] == {"total": 3, "pose": 0, "left_hand": 0, "right_hand": 0, "face": 0, "unread": 0}


def test_a_frame_folder_gives_what_its_frames_give(tmp_path):
    if reason := waving.why_not():
        pytest.skip(reason)
    folder = waving.write_frames(tmp_path / "id" / "1", 12)
    clip = extract_landmarks(folder, fps=50)
    assert clip.source["name"] == "id"
    assert (len(clip), clip.fps, clip.assumed) == (12, 50.0, ("fps", "pixel_aspect"))
    assert extract_landmarks(folder).fps == 25.0
    tracker = HolisticTracker()
    points = [tracker(frame)[0] for frame in waving.frames(12)]
    tracker.close()
    scale = np.array([waving.WIDTH / waving.HEIGHT, 1, waving.WIDTH / waving.HEIGHT])
    assert np.allclose(clip.points, np.stack(points) * scale, atol=1e-6, equal_nan=True)


def test_pixel_aspect_and_crop_scale_to_units_of_image_height(wave, waved):
    # PHOENIX's aspect narrows x and z; what is found, in fractions of the image, stays the same.
    narrow = extract_landmarks(wave, pixel_aspect=260 / 300)
    assert narrow.assumed == ()
    assert narrow.pixel_aspect == pytest.approx(0.8667, abs=1e-4)
    assert np.allclose(narrow.points[..., (0, 2)], waved.points[..., (0, 2)] * (260 / 300), atol=1e-5)
    assert np.array_equal(narrow.points[..., 1], waved.points[..., 1])
    # The crop becomes the image: same person, lengths in units of the crop's height.
    crop = extract_landmarks(wave, crop="60,40,480,400")
    assert crop.image_size == (480, 400)
    assert crop.source["options"]["crop"] == "60,40,480,400"
    shoulders = layout.indices("pose.left_shoulder", "pose.right_shoulder")
    expected = (waved.points[:, shoulders, :2] * 480 - (60, 40)) / 400
    assert np.allclose(crop.points[:, shoulders, :2], expected, atol=0.05)
    with pytest.raises(
        InputError, match=r"wave.mp4: crop 600,0,100,100 ends at 700,100, outside the image of 640x480 pixels"
    ):
        extract_landmarks(wave, crop="600,0,100,100")


def test_a_video_of_one_frame_is_a_clip(tmp_path):
    clip = extract_landmarks(waving.write_video(tmp_path / "one.mp4", 1, person=False))
    assert len(clip) == 1
    assert clip.duration_seconds > 0


def test_storage_is_about_3_3_kb_a_frame(waved, tmp_path):
    waved.save(tmp_path / "a.npz")
    # 543 x 3 coordinates and 33 visibilities in half precision are 3,324 bytes; the rest is headers, once a file.
    assert (tmp_path / "a.npz").stat().st_size == pytest.approx(3324 * NUM_FRAMES, abs=2500)
    assert np.nanmax(np.abs(Landmarks.load(tmp_path / "a.npz").points - waved.points)) < 1e-3


def test_absurd_settings_are_refused():
    with pytest.raises(
        InputError, match="pixel_aspect is 0; needed a pixel's width divided by its height, from 0.2 to 5"
    ):
        extract_landmarks("x.mp4", pixel_aspect=0)
    with pytest.raises(InputError, match="fps is nan; needed a number of 1 to 1,000"):
        extract_landmarks("x.mp4", fps=float("nan"))
    with pytest.raises(InputError, match="no such video file or frame folder"):
        extract_landmarks("does-not-exist.mp4")


def test_blurred_faces_are_missing_not_zero(shared_data):
    """The people who recorded these signs blurred their faces: there is none to find, in under 5 % of frames."""
    clip = extract_landmarks(shared_data / "video" / "yo_001.mp4")
    assert len(clip) == 55
    assert clip.fps == pytest.approx(29.97, abs=0.02)
    face = clip.present("face")
    assert face.mean() < 0.05
    assert np.isnan(clip.points[~face][:, layout.GROUPS["face"]]).all()
    assert (clip.present("left_hand") | clip.present("right_hand")).mean() > 0.92
    assert clip.present("pose").all()


def test_an_upright_phone_video_stays_upright(shared_data):
    reader = open_clip(shared_data / "video" / "test_video.mp4")
    frames = list(itertools.islice(reader.frames(), 3))
    assert frames[0].shape == (720, 540, 3)
    with quiet_stderr():
        tracker = HolisticTracker()
        points = np.stack([tracker(frame)[0] for frame in frames])
        tracker.close()
    assert np.isfinite(points[:, layout.GROUPS["face"]]).all()
    assert (points[:, layout.index("pose.nose"), 1] < points[:, layout.index("pose.left_hip"), 1]).all()


def test_frames_and_times_of_a_video_that_players_mirror(shared_data):
    """The display matrix of this file mirrors: the signer's right hand is on the left of the picture."""
    path = shared_data / "door" / "video" / "a1_hflip.mp4"
    if not path.is_file():
        pytest.skip(f"not found: {path}")
    clip = extract_landmarks(path)
    shoulders = clip.points[:, layout.indices("pose.right_shoulder", "pose.left_shoulder", "pose.nose"), :2]
    right, left, nose = np.nanmean(shoulders, axis=0)
    assert right[0] < left[0]
    assert nose[1] < right[1]


def test_the_note_of_frames_that_cannot_be_read_and_their_gap_are_stored(shared_data, tmp_path):
    path = shared_data / "door" / "video" / "d_corrupt_avi.avi"
    if not path.is_file():
        pytest.skip(f"not found: {path}")
    extract_landmarks(path).save(tmp_path / "a.npz")
    clip = Landmarks.load(tmp_path / "a.npz")
    assert (clip.source["frames"]["total"], clip.source["frames"]["unread"]) == (15, 5)
    assert clip.seconds[-1] == pytest.approx(19 / 25)


def _without(monkeypatch, module, error):
    """Makes the import of `module` fail with `error`."""
    real = builtins.__import__

    def fake(name, *args, **kwargs):
        if name == module or name.startswith(f"{module}."):
            raise error
        return real(name, *args, **kwargs)

    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", fake)


def test_a_machine_without_libgl_is_told_the_package(monkeypatch, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    error = ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
    with monkeypatch.context() as patch:
        _without(patch, "mediapipe", error)
        with pytest.raises(SignloomError, match=r"libGL.so.1.*apt-get install libgl1 libglib2.0-0") as raised:
            extract_landmarks(tmp_path / "a.mp4")
    assert not isinstance(raised.value, (InputError, MissingExtraError))


@pytest.mark.parametrize(("module", "name"), [("av", "a.mp4"), ("mediapipe", "a.mp4"), ("cv2", "frames")])
def test_without_the_extra_its_name_is_told(monkeypatch, tmp_path, module, name):
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "0.png").write_bytes(b"x")
    with monkeypatch.context() as patch:
        _without(patch, module, ModuleNotFoundError(f"No module named {module!r}", name=module))
        with pytest.raises(
            MissingExtraError, match=r"needs the package '(av|opencv|mediapipe).*pip install -e .*\[extract\]"
        ):
            extract_landmarks(tmp_path / name)


def test_stderr_is_quiet_for_c_code_only(capfd):
    sys.stderr.write("before\n")
    with quiet_stderr():
        os.write(2, b"chatter\n")
        sys.stderr.write("during\n")
    os.write(2, b"after\n")
    told = capfd.readouterr().err
    assert "chatter" not in told
    assert "before" in told
    assert "after" in told
