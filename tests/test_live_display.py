"""What a live window and a terminal show: captions, skeleton, mirrored pictures, notes."""

import io
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest

from signloom import layout
from signloom.ctc.hypothesis import GlossSpan
from signloom.drawing.tracked import COLOURS
from signloom.inference.stream_events import GlossEvent, UtteranceEnd
from signloom.live.captions import Caption, Captions, Utterance
from signloom.live.figures import Figures, Snapshot
from signloom.live.frames import Frame
from signloom.live.pipeline import Tracked
from signloom.live.terminal import Terminal, running

A, B = GlossSpan("A", 0.5, 1.0, 0.8), GlossSpan("B", 1.0, 2.0, 0.6)


def shown(captions):
    return [(caption.gloss, caption.is_final) for caption in captions.shown]


def test_captions_change_become_final_and_end():
    captions = Captions()
    captions.update([GlossEvent("provisional", 0, 0, B), GlossEvent("provisional", 0, 1, B)])
    assert shown(captions) == [("B", False), ("B", False)]
    captions.update([GlossEvent("final", 0, 0, A), GlossEvent("withdrawn", 0, 1, B)])
    assert shown(captions) == [("A", True)]
    captions.update([GlossEvent("final", 0, 1, B), UtteranceEnd(0, 2, 2.1)])
    # They stay until the next utterance begins.
    assert shown(captions) == [("A", True), ("B", True)]
    assert captions.take_ended() == [Utterance((A, B))]
    assert captions.take_ended() == []
    captions.update([GlossEvent("provisional", 1, 0, A)])
    assert shown(captions) == [("A", False)]
    assert captions.num_glosses == 2


def test_an_utterance_is_a_line_with_times_mean_confidence_and_glosses():
    assert str(Utterance((A, B))).split() == ["0.50", "-", "2.00", "s", "70%", "A", "B"]


def test_figures_are_those_of_the_last_seconds(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    figures = Figures()
    assert figures.snapshot() == Snapshot()
    for _ in range(100):
        now += 0.1
        figures.add_frame(0.2, 0.05)
        figures.add_recognised(0.004)
    snapshot = figures.snapshot()
    assert snapshot.frames_per_second == pytest.approx(10, rel=0.01)
    assert snapshot.latency_seconds == pytest.approx(0.2)
    assert snapshot.recogniser_share == pytest.approx(0.04, rel=0.06)
    assert str(snapshot) == "10 frames/s · latency 200 ms · recogniser 4%"
    now += 60
    assert figures.snapshot() == Snapshot()


# The window


def tracked(points, size=(200, 100), pixel_aspect=1.0):
    frame = Frame(np.full((size[1], size[0], 3), 100, dtype=np.uint8), 0.0, 0.0, pixel_aspect)
    return Tracked(frame, points, np.full(33, 0.9))


def pointing_at(x, y):
    """A right hand whose fingers are one horizontal line around a place."""
    points = np.full((layout.NUM_POINTS, 3), np.nan, dtype=np.float32)
    points[layout.GROUPS["right_hand"]] = (x, y, 0)
    for tip in layout.FINGER_TIPS:
        points[layout.GROUPS["right_hand"].start + tip, 0] += 0.05 if tip % 8 else -0.05
    return points


def place_of(image, colour):
    """The centre of the pixels of a colour."""
    found = np.argwhere(np.abs(image.astype(int) - colour).sum(axis=2) < 40)
    return None if not len(found) else found.mean(axis=0)[::-1]


@pytest.fixture
def compose():
    pytest.importorskip("cv2", exc_type=ImportError)
    pytest.importorskip("PIL")
    from signloom.live.screen import compose

    return compose


@pytest.mark.parametrize(("mirrored", "x"), [(False, 50), (True, 150)])
def test_the_skeleton_follows_the_mirrored_picture(compose, mirrored, x):
    image = compose(tracked(pointing_at(0.5, 0.3)), (), [], "", mirrored=mirrored)
    # The picture is in the middle of a window of 560 pixels.
    assert place_of(image, COLOURS["right_hand"]) == pytest.approx((180 + x, 30), abs=1.5)


def test_pixels_that_are_not_square_are_shown_in_their_shape(compose):
    image = compose(tracked(pointing_at(3.0, 0.5), pixel_aspect=2.0), (), [], "", mirrored=False)
    assert place_of(image, COLOURS["right_hand"]) == pytest.approx((80 + 300, 50), abs=1.5)


def test_large_portrait_pictures_are_reduced(compose):
    image = compose(tracked(pointing_at(0.2, 0.5), size=(1080, 1920)), (), [], "", mirrored=False)
    assert image.shape[0] < 850
    assert image.shape[1] == 560
    assert place_of(image, COLOURS["right_hand"]) == pytest.approx(((560 - 405) / 2 + 144, 360), abs=2)


@pytest.mark.parametrize("value", [np.nan, 1e9, -1e9])
def test_points_that_are_missing_or_far_away_do_no_harm(compose, value):
    compose(tracked(pointing_at(value, 0.5)), (), [], "", mirrored=False)


def test_hidden_limbs_are_not_drawn(compose):
    points = np.full((layout.NUM_POINTS, 3), np.nan, dtype=np.float32)
    points[layout.index("pose.left_shoulder")] = points[layout.index("pose.left_elbow")] = (0.5, 0.5, 0)
    seen = tracked(points)
    assert place_of(compose(seen, (), [], "", mirrored=False), COLOURS["pose"]) is not None
    seen.visibility[:] = 0.2
    assert place_of(compose(seen, (), [], "", mirrored=False), COLOURS["pose"]) is None


def test_captions_notes_and_figures_are_drawn_and_provisional_glosses_are_paler(compose):
    plain = compose(None, (), [], "", mirrored=False)
    final = compose(None, (Caption("HALLO", 0.9, True),), [], "", mirrored=False)
    provisional = compose(None, (Caption("HALLO", 0.9, False),), [], "", mirrored=False)
    assert plain.max() < provisional.max() < final.max()
    assert (compose(None, (), [], "25 frames/s", mirrored=False) != plain).any()
    noted = compose(None, (), ["nobody in view"], "", mirrored=False)
    assert (noted[:40] != plain[:40]).any()
    assert (noted[40:] == plain[40:]).all()


def test_the_newest_of_many_glosses_are_shown(compose):
    from signloom.live.panel import _first_shown

    assert _first_shown([100, 100, 100], 1000) == 0
    assert _first_shown([100, 100, 100], 270) == 1
    # One that is too wide alone is shown nevertheless.
    assert _first_shown([100, 5000], 270) == 1
    many = tuple(Caption(f"GLOSS-{number}", 0.5, True) for number in range(100))
    compose(None, (*many, Caption("X" * 500, 0.5, True), Caption("你好", 1.0, False)), [], "", mirrored=False)


def test_without_a_screen_the_advice_is_text(monkeypatch):
    pytest.importorskip("cv2", exc_type=ImportError)
    from signloom.errors import InputError, SignloomError
    from signloom.live import screen

    monkeypatch.setattr(screen.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(InputError, match="no screen.*--text"):
        screen.check_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    failed = SimpleNamespace(returncode=-6, stderr="qt.qpa.xcb: could not connect to display :0\nAborted\n")
    monkeypatch.setattr(screen.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SignloomError, match="could not connect to display :0.*--text"):
        screen.check_screen()


# The terminal


def pipeline_with(*events):
    captions = Captions()
    captions.update(events)
    return SimpleNamespace(captions=captions)


def test_a_pipe_gets_a_line_per_utterance_and_each_new_note(capsys):
    terminal = Terminal(follows=True)
    pipeline = pipeline_with(GlossEvent("final", 0, 0, A), UtteranceEnd(0, 1, 1.0))
    terminal.update(None, pipeline, ["no picture from camera 0 for 3 s"], "25 frames/s")
    terminal.update(None, pipeline, ["no picture from camera 0 for 4 s"], "25 frames/s")
    # A note that comes and goes.
    terminal.update(None, pipeline, [], "25 frames/s")
    terminal.update(None, pipeline, ["no picture from camera 0 for 10 s", "nobody in view"], "25 frames/s")
    terminal.close()
    out, err = capsys.readouterr()
    assert out == f"{Utterance((A,))}\n"
    assert err == "no picture from camera 0 for 3 s\nnobody in view\n"


def test_a_terminal_follows_the_running_utterance(monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", stream)
    terminal = Terminal(follows=True)
    terminal.update(None, pipeline_with(GlossEvent("provisional", 0, 0, A)), ["nobody in view"], "25 frames/s")
    terminal.close()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert all(part in text for part in ("A", "80%", "25 frames/s", "nobody in view"))


def test_a_gloss_cannot_command_the_terminal(capsys):
    evil = GlossSpan("\x1b]0;title\x07", 0.0, 1.0, 0.5)
    Terminal(follows=False).update(
        None, pipeline_with(GlossEvent("final", 0, 0, evil), UtteranceEnd(0, 1, 1.0)), [], ""
    )
    assert "\x1b" not in capsys.readouterr().out
    assert "80%" in running((Caption("A", 0.8, True),), [], "").plain
