"""`signloom show`: what was tracked, drawn over its video or alone, with the times of the video."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from conftest import random_landmarks
from signloom import layout
from signloom.commands.show import Options, run
from signloom.drawing.hand import HAND_COLOURS
from signloom.drawing.show import Shown, write_film
from signloom.drawing.tracked import COLOURS, TrackedPages
from signloom.errors import InputError, MissingExtraError
from signloom.landmarks import SIMULATOR, Landmarks

Image = pytest.importorskip("PIL.Image")
av = pytest.importorskip("av", reason="videos need PyAV (the extra 'extract')")

from films import HEIGHT, MILLISECONDS, WIDTH, even  # noqa: E402
from films import write_film as write_video  # noqa: E402

VARIABLE = [*even(10), *(0.4 + number / 5 for number in range(5))]


def clip(seconds=None, *, size=(WIDTH, HEIGHT), **fields):
    """A person in the middle of the picture, without a left hand in the first half and never with a face."""
    seconds = even(10) if seconds is None else seconds
    landmarks = random_landmarks(len(seconds))
    points = landmarks.points.copy()
    points[: len(points) // 2, layout.GROUPS["left_hand"]] = np.nan
    points[:, layout.GROUPS["face"]] = np.nan
    return replace(landmarks, points=points, image_size=size, seconds=np.array(seconds), fps=25.0, **fields)


@pytest.fixture
def files(tmp_path):
    """A video of variable rate and the landmark file of it."""
    video = write_video(tmp_path / "a.mp4", VARIABLE, codec="libx264", time_base=MILLISECONDS)
    landmarks = clip(VARIABLE)
    landmarks = replace(landmarks, fps=len(VARIABLE) / 1.4)
    landmarks.save(tmp_path / "a.npz")
    return video, tmp_path / "a.npz"


def shown_at(path):
    """The times of the frames of a film, and its pictures."""
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
        end = film.duration / 1_000_000
    return [frame.time for frame in frames], [frame.to_ndarray(format="rgb24") for frame in frames], end


def near(picture, colour):
    """How many pixels have about a colour."""
    return int((np.abs(np.asarray(picture).astype(int) - colour).max(axis=-1) < 40).sum())


def test_a_film_keeps_the_times_of_the_video_and_says_how_often_parts_were_found(files, tmp_path, capsys):
    video, landmarks = files
    assert run(Options(source=video, landmarks=landmarks, output=tmp_path / "out.mp4")) == 0
    times, pictures, end = shown_at(tmp_path / "out.mp4")
    np.testing.assert_allclose(times, VARIABLE, atol=0.001)
    assert end == pytest.approx(1.4, abs=0.01)
    told = capsys.readouterr()
    assert told.out == "pose in 100.0%, left hand in 53.3%, right hand in 100.0%, face in 0.0% of 15 frames\n"
    assert "written: " in told.err
    # The video gets brighter; its picture is below the lines.
    assert pictures[12][:HEIGHT].mean() > pictures[1][:HEIGHT].mean()


def test_a_landmark_file_is_drawn_alone(files, tmp_path):
    assert run(Options(source=files[1], output=tmp_path / "out.mp4", height=100)) == 0
    times, pictures, _ = shown_at(tmp_path / "out.mp4")
    np.testing.assert_allclose(times, VARIABLE, atol=0.001)
    assert pictures[0].shape[1] == 150


def test_a_part_of_the_clip_starts_at_0(files, tmp_path):
    video, landmarks = files
    run(Options(source=video, landmarks=landmarks, output=tmp_path / "out.mp4", start=0.2, end=0.81))
    times, _, end = shown_at(tmp_path / "out.mp4")
    np.testing.assert_allclose(times, [0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.4, 0.6], atol=0.001)
    assert end == pytest.approx(0.61, abs=0.01)
    with pytest.raises(InputError, match=r"--start 8 --end 9: no frame; the clip is from 0.00 to 1.40 s"):
        run(Options(source=video, landmarks=landmarks, output=tmp_path / "no.mp4", start=8, end=9))
    assert not (tmp_path / "no.mp4").exists()


@pytest.mark.parametrize(("fps", "count"), [(100.0, 10), (30.0, 10), (25.0, 10), (10.0, 4)])
def test_a_gif_lasts_as_long_as_the_clip_and_has_at_most_25_frames_per_second(tmp_path, fps, count):
    fast = clip(even(round(0.4 * fps), fps))
    replace(fast, fps=fps).save(tmp_path / "a.npz")
    run(Options(source=tmp_path / "a.npz", output=tmp_path / "a.gif", height=64))
    with Image.open(tmp_path / "a.gif") as film:
        durations = []
        for frame in range(film.n_frames):
            film.seek(frame)
            durations.append(film.info["duration"])
    assert len(durations) == count
    assert sum(durations) == 400


def test_a_long_gif_is_refused(tmp_path):
    long = replace(clip(np.arange(62.0)), fps=1.0)
    with pytest.raises(InputError, match="an animation of 62 s would be too large"):
        write_film(Shown(long, None), Shown(long, None).span(0, None), tmp_path / "b.gif", height=None)


def test_a_sheet_shows_frames_of_the_whole_clip_and_what_is_missing(files, tmp_path):
    video, landmarks = files
    run(Options(source=video, landmarks=landmarks, output=tmp_path / "a.png", num_frames=6, height=200))
    with Image.open(tmp_path / "a.png") as sheet:
        # Four beside each other, in two rows.
        assert 4 * 300 < sheet.width < 4 * 330
        assert 2 * 200 < sheet.height < 2 * 200 + 200


def test_found_parts_are_drawn_in_their_colours_and_missing_ones_are_named():
    landmarks = clip()
    pages = TrackedPages(landmarks, height=400, title="a")
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    first, last = pages.picture(0, grey), pages.picture(9, grey)
    assert near(first, HAND_COLOURS["left_hand"]) == 0
    assert near(last, HAND_COLOURS["left_hand"]) > 50
    assert near(last, HAND_COLOURS["right_hand"]) > 50
    assert near(last, COLOURS["pose"]) > 50
    assert (pages.missing(0), pages.missing(9)) == ("no left hand, no face", "no face")
    # In the bar the left hand's row is empty in the first half.
    page = np.asarray(pages.page(0, 0.0, grey))[400:]
    half = 70 + (page.shape[1] - 70) // 2
    assert near(page[:, : half - 8], HAND_COLOURS["left_hand"]) == 0
    assert near(page[:, half + 8 :], HAND_COLOURS["left_hand"]) > 50


def test_points_lie_on_the_pixels_they_were_found_at():
    # The middle of the hand at (0.25, 0.5) of a picture three wide and two high, with narrow pixels.
    for aspect in (1.0, 0.8):
        points = np.full((1, layout.NUM_POINTS, 3), np.nan)
        points[0, layout.GROUPS["left_hand"]] = (0.25 * 1.5 * aspect, 0.5, 0)
        landmarks = Landmarks(points, np.full((1, 33), np.nan), 25.0, image_size=(96, 64), pixel_aspect=aspect)
        pages = TrackedPages(landmarks, height=500, title="a")
        drawn = np.asarray(pages.picture(0, np.zeros((64, 96, 3), np.uint8)))
        rows, columns = np.nonzero(drawn.sum(axis=2) > 600)
        assert columns.mean() / drawn.shape[1] == pytest.approx(0.25, abs=0.01)
        assert rows.mean() / drawn.shape[0] == pytest.approx(0.5, abs=0.01)


def test_the_crop_of_the_landmarks_is_shown(tmp_path):
    video = write_video(tmp_path / "a.mp4", even(10))
    landmarks = clip(size=(48, 64), source={"options": {"crop": "48,0,48,64"}})
    landmarks.save(tmp_path / "a.npz")
    (_, _, image), *_ = Shown(Landmarks.load(tmp_path / "a.npz"), video).images()
    assert image.shape == (64, 48, 3)


def test_landmarks_of_another_rate_are_matched_by_time_and_those_of_another_video_refused(tmp_path):
    video = write_video(tmp_path / "a.mp4", even(50))
    resampled = replace(clip(even(20, 10)), fps=10.0)
    frames = [frame for frame, _, _ in Shown(resampled, video).images()]
    assert frames[:6] == [0, 0, 0, 1, 1, 2]
    assert frames[-1] == 19
    with pytest.raises(InputError, match=r"a.mp4: lasts 2.0 s, its landmarks 8.0 s"):
        list(Shown(replace(clip(even(80, 10)), fps=10.0), video).images())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "a.webm"}, "needed a file name that ends in .mp4, .gif, .png"),
        ({"output": "."}, "needed a file name that ends in"),
        ({"num_frames": 0}, "--num_frames 0: needed at least 1"),
        ({"height": 4}, "--height 4: needed 16 to 4320 pixels"),
        ({"source": "gone.mp4"}, "gone.mp4: no such file or folder"),
        ({"landmarks": "a.npz"}, "two landmark files; give the video as SOURCE"),
    ],
)
def test_misuse_is_told_before_the_work(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    clip().save(tmp_path / "a.npz")
    paths = {name: tmp_path / value if isinstance(value, str) else value for name, value in options.items()}
    with pytest.raises(InputError, match=message):
        run(Options(**{"source": tmp_path / "a.npz", "output": tmp_path / "a.png", **paths}))


@pytest.mark.parametrize(("package", "name", "purpose"), [("PIL", "a.png", "a picture"), ("av", "a.mp4", "a film")])
def test_a_missing_package_is_named_before_the_work(tmp_path, monkeypatch, package, name, purpose):
    clip().save(tmp_path / "a.npz")
    monkeypatch.setitem(sys.modules, package, None)
    if package == "PIL":
        monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtraError, match=f"{purpose}.* needs the package"):
        run(Options(source=tmp_path / "a.npz", output=tmp_path / name))


@pytest.mark.slow
def test_a_video_is_tracked_where_no_landmarks_are_given(tmp_path, capsys):
    pytest.importorskip("mediapipe", exc_type=ImportError)
    video = write_video(tmp_path / "a.mp4", even(3))
    assert run(Options(source=video, output=tmp_path / "a.png")) == 0
    assert "pose in 0.0%" in capsys.readouterr().out


def test_a_film_with_a_model_has_captions_and_a_clip_without_video_its_skeleton(files, tmp_path, monkeypatch):
    from signloom.ctc.hypothesis import GlossSpan, Hypothesis

    spans = (GlossSpan("EARLY", 0.0, 0.4, 0.9), GlossSpan("LATE", 0.6, 1.2, 0.8))
    model = type("Model", (), {"transcribe": lambda self, landmarks: Hypothesis(spans, 0.0)})()
    monkeypatch.setattr("signloom.inference.model.load", lambda path: model)
    options = {"source": files[1], "model": tmp_path / "model.onnx", "height": 120}
    assert run(Options(output=tmp_path / "a.gif", **options)) == 0
    with Image.open(tmp_path / "a.gif") as film:
        pictures = []
        for frame in (0, film.n_frames - 1):
            film.seek(frame)
            pictures.append(film.convert("RGB"))
        total = sum(film.seek(frame) or film.info["duration"] for frame in range(film.n_frames))
    # 1.4 seconds, and the end stays for 1.5.
    assert total == pytest.approx(2900, abs=20)
    strips = [picture.crop((0, 120, picture.width, picture.height)) for picture in pictures]
    # White while it is signed; at the end both are grey.
    assert near(strips[0], (255, 255, 255)) > 20
    assert near(strips[1], (255, 255, 255)) == 0
    assert near(strips[1], (150, 154, 162)) > near(strips[0], (150, 154, 162))
    assert near(pictures[0], COLOURS["pose"]) > 20
    with pytest.raises(InputError, match="a sheet has no captions"):
        run(Options(output=tmp_path / "a.png", **options))


def test_a_film_of_simulated_signing_says_so(files, tmp_path):
    from signloom.drawing.captioned import write_captioned

    lit = []
    for source in ({}, {"extractor": SIMULATOR}):
        shown = Shown(replace(Landmarks.load(files[1]), source=source), None)
        write_captioned(shown, [], tmp_path / "a.gif", height=200)
        with Image.open(tmp_path / "a.gif") as film:
            lit.append(near(film.convert("RGB").crop((0, 0, 120, 26)), (90, 94, 102)))
    assert lit[0] == 0 < lit[1]
