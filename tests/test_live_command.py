"""`signloom live` as people run it: misuse, a video, a camera that comes and goes, signals, a window under Xvfb."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import waving
from conftest import TINY_SIGNS, TINY_STUDENT
from signloom.cli import dispatch
from signloom.errors import InputError
from signloom.live import camera
from signloom.vocabulary import Vocabulary

cv2 = pytest.importorskip("cv2", exc_type=ImportError)
av = pytest.importorskip("av")

# So long after the last frame, a process that hangs fails its test.
PATIENCE_SECONDS = 240

# The command, with videos in the place of cameras: each opening gets the next one, or none.
WITH_CAMERA = """
import sys, cv2
real, videos = cv2.VideoCapture, iter({videos!r})
cv2.VideoCapture = lambda number: real(*filter(None, [next(videos, None)]))
from signloom.cli import main
main(sys.argv[1:])
"""


# Misuse


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--model is missing"),
        (["--model", "M", "--demo"], "two models"),
        (["--model", "no.onnx"], "no.onnx"),
        (["--model", "M", "--camera", "0", "--video", "v.mp4"], "two sources"),
        (["--model", "M", "--camera", "-1"], "--camera is -1"),
        (["--model", "M", "--text", "--mirror"], "--mirror is for the window"),
        (["--model", "M", "--srt", "out.vtt"], "ends in .srt"),
        (["--model", "M", "--record", "out.avi"], "ends in .mp4"),
        (["--model", "M", "--json", "a.srt", "--srt", "a.srt"], "the same file"),
        (["--model", "M", "--json", "."], "is a folder"),
        (["--model", "M", "--json", "old"], "already exists"),
        (["--model", "M", "--video", "no.mp4", "--text"], "no such video"),
        (["--model", "M", "--stream.rest_seconds", "0"], "rest_seconds"),
    ],
)
def test_misuse_is_one_clear_error(arguments, words, tmp_path, monkeypatch):
    pytest.importorskip("mediapipe", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").write_text("kept")
    with pytest.raises(InputError, match=words):
        dispatch(["live", *arguments])
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "kept"


def test_all_faults_of_the_options_are_told_at_once(tmp_path):
    with pytest.raises(InputError, match=r"3 faults[^$]*--camera[^$]*--srt[^$]*--record"):
        dispatch(["live", "--model", "M", "--camera", "-1", "--srt", "a.txt", "--record", "b.avi"])


def test_without_a_camera_the_list_says_what_to_do(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(camera.sys, "platform", "linux")
    monkeypatch.setattr(camera, "_DEVICES", tmp_path)
    assert dispatch(["live", "--list_cameras"]) == 1
    assert "--video FILE" in capsys.readouterr().err


# With MediaPipe


@pytest.fixture(scope="module")
def wave(tmp_path_factory):
    pytest.importorskip("mediapipe", exc_type=ImportError)
    if reason := waving.why_not():
        pytest.skip(reason)
    return waving.write_video(tmp_path_factory.mktemp("wave") / "wave.mp4", 100)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch = pytest.importorskip("torch")
    from signloom.inference.model import Model
    from signloom.inference.torch_engine import TorchEngine
    from signloom.model.recognizer import Recognizer

    torch.manual_seed(0)
    vocabulary = Vocabulary.from_glosses([TINY_SIGNS])
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    Model(TorchEngine(Recognizer(TINY_STUDENT, len(vocabulary))), vocabulary).save(path)
    return path


class Session:
    """`signloom live` in a process of its own, which writes all of its files into `folder`."""

    def __init__(self, folder, model, *arguments, code="from signloom.cli import main; main()", **environment):
        self.files = {name: folder / f"out.{name}" for name in ("srt", "vtt", "json", "mp4")}
        options = [word for name, path in self.files.items() for word in (f"--{name}", str(path))]
        options[options.index("--mp4")] = "--record"
        command = [sys.executable, "-c", code, "live", "--model", str(model), *map(str, arguments), *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self.said = ""

    def until(self, words):
        """Waits until it has said something on stderr."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while words not in self.said:
            assert self.process.poll() is None, self.said + self.process.stderr.read()
            assert time.monotonic() < deadline, self.said
            if select.select([self.process.stderr], [], [], 1)[0]:
                self.said += self.process.stderr.readline()

    def until_recorded(self):
        """Waits until the recording has a fragment."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (self.files["mp4"].is_file() and self.files["mp4"].stat().st_size > 2000):
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def end(self, number=None):
        """Sends a signal, if there is one, and returns the exit status."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        self.said += out + err
        assert "Traceback" not in self.said
        return self.process.returncode

    def check_files(self):
        """The files are complete; returns the times of the recorded frames."""
        events = [json.loads(line) for line in self.files["json"].read_text(encoding="utf-8").splitlines()]
        assert events[0]["event"] == "start"
        finals = sum(event["event"] == "final" for event in events)
        for name in ("srt", "vtt"):
            assert self.files[name].read_text(encoding="utf-8").count("-->") == finals
        with av.open(str(self.files["mp4"])) as container:
            return [float(frame.time) for frame in container.decode(video=0)]


@pytest.mark.slow
def test_a_video_is_recognised_and_recorded_to_its_end(wave, model, tmp_path):
    session = Session(tmp_path, model, "--video", wave, "--text")
    assert session.end() == 0
    seconds = session.check_files()
    assert seconds == sorted(set(seconds))
    assert 0 <= seconds[0] < seconds[-1] <= 4.0
    assert "written:" in session.said
    assert "note: the model knows 4 signs" in session.said


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_with_complete_files(wave, model, tmp_path, number, status):
    session = Session(tmp_path, model, "--video", wave, "--text")
    session.until_recorded()
    assert session.end(number) == status
    assert session.check_files()
    assert "ended" in session.said


@pytest.mark.slow
def test_a_kill_leaves_files_that_can_be_used(wave, model, tmp_path):
    session = Session(tmp_path, model, "--video", wave, "--text")
    session.until_recorded()
    assert session.end(signal.SIGKILL) == -signal.SIGKILL
    assert session.check_files()


@pytest.mark.slow
def test_a_camera_that_is_unplugged_and_comes_back(wave, model, tmp_path):
    # There is none at first; then it gives the video twice.
    code = WITH_CAMERA.format(videos=[None, str(wave), None, str(wave)])
    session = Session(tmp_path, model, "--camera", "0", "--text", code=code)
    session.until("camera 0")
    session.until("plug it in again")
    session.until_recorded()
    session.until("trying again")
    session.until("plug it in again")
    assert session.end(signal.SIGINT) == 130
    # Both parts are in the recording, with the pause between them.
    assert max(np.diff(session.check_files())) > 0.9


@pytest.fixture
def screen():
    """The name of a virtual screen."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb not found; install Debian's xvfb")
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x900x24"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    with os.fdopen(reader) as file:
        number = file.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


@pytest.mark.slow
def test_the_window_opens_and_shows_the_video(wave, model, tmp_path, screen):
    # Longer than it takes to look at the screen.
    film = waving.write_video(tmp_path / "film.mp4", 500)
    session = Session(tmp_path, model, "--video", film, "--mirror", DISPLAY=screen)
    session.until_recorded()
    grab = f"from PIL import ImageGrab; ImageGrab.grab(xdisplay={screen!r}).save({str(tmp_path / 'shot.png')!r})"
    deadline = time.monotonic() + PATIENCE_SECONDS
    # The astronaut's suit is the only orange thing on the screen.
    orange = 0
    while orange < 5000 and session.process.poll() is None and time.monotonic() < deadline:
        subprocess.run([sys.executable, "-c", grab], check=True)
        shown = cv2.imread(str(tmp_path / "shot.png")).astype(int)
        orange = int(((shown[..., 2] > 180) & (shown[..., 0] < 90)).sum())
    assert orange >= 5000
    assert session.end(signal.SIGINT) == 130
    assert session.check_files()


@pytest.mark.slow
def test_a_closed_window_is_noticed_and_not_opened_again(screen):
    code = """
from types import SimpleNamespace
import cv2
from signloom.live.screen import Screen, check_screen
check_screen()
screen = Screen(mirrored=False)
pipeline = SimpleNamespace(captions=SimpleNamespace(shown=()))
for _ in range(3):
    screen.update(None, pipeline, ["waiting"], "25 frames/s")
assert not screen.is_closed
cv2.destroyAllWindows()
screen.update(None, pipeline, [], "")
assert screen.is_closed
screen.update(None, pipeline, [], "")
screen.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "DISPLAY": screen})


@pytest.mark.slow
def test_a_screen_that_is_not_there_is_an_error_and_no_crash(wave, model, tmp_path):
    session = Session(tmp_path, model, "--video", wave, DISPLAY=":4711")
    assert session.end() == 2
    assert "--text" in session.said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_people_are_counted(wave):
    from signloom.extract.holistic import quiet_stderr
    from signloom.live.people import PeopleCounter

    (picture,) = waving.frames(1)
    with quiet_stderr():
        counter = PeopleCounter()
        assert counter(picture, 0.0) == 1
        two = np.ascontiguousarray(np.concatenate([picture[:, 150:470]] * 2, axis=1))
        # Once a second.
        assert counter(two, 0.5) == 1
        assert counter(two, 1.5) == 2
        assert counter(np.zeros_like(picture), 3.0) == 0
        counter.close()
