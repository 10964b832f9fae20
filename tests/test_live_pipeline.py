"""The threads of live recognition, with a scripted signer: nothing is lost that should not be, and faults come out."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from scripted_signing import Film, scripted_model
from signloom.errors import InputError
from signloom.inference.streaming import StreamingRecognizer
from signloom.live.dropping_queue import DroppingQueue, Ended
from signloom.live.frames import Frame, State
from signloom.live.pipeline import Pipeline
from signloom.live.session import run_session
from signloom.signals import SignalWatch

SENTENCE = ("A", "B", "C")


def film():
    return Film().rest(1).sign(*SENTENCE).rest(1.5).sign("B").rest(1)


class FilmSource:
    """Gives the frames of a film: their number is in their picture. slowly: a frame is given when the one before was
    tracked.  then: an error at the end, or a function that is called there.
    """

    name = "film"

    def __init__(self, film, *, then=None, states=()):
        self.film, self.then, self.states = film, then, states
        self.tracked = threading.Semaphore(0)

    def items(self, stopping):
        yield from (State(text) for text in self.states)
        for number, seconds in enumerate(self.film.seconds.tolist()):
            picture = np.zeros((16, 16, 3), dtype=np.uint8)
            picture[0, 0] = (*divmod(number, 256), 0)
            yield Frame(picture, seconds, time.monotonic())
            while not self.tracked.acquire(timeout=0.05):
                if stopping.is_set():
                    return
        if isinstance(self.then, Exception):
            raise self.then
        if self.then is not None:
            self.then(stopping)


class FilmTracker:
    def __init__(self, source):
        self.source, self.points = source, source.film.points
        self.fault = None

    def __call__(self, picture):
        if self.fault is not None:
            raise self.fault
        self.source.tracked.release()
        high, low, _ = picture[0, 0].tolist()
        return self.points[256 * high + low].copy(), np.full(33, np.nan)


class Viewer:
    """A display that keeps what it was shown, and closes when `until` says so."""

    def __init__(self, until=lambda pipeline: False):
        self.is_closed, self.until = False, until
        self.notes, self.captions, self.num_frames = [], [], 0

    def update(self, tracked, pipeline, notes, figures):
        self.num_frames += tracked is not None
        self.notes += notes
        self.captions.append(pipeline.captions.shown)
        self.is_closed |= self.until(pipeline)


def pipeline_of(source, tracker=None, *, people=1, pause_seconds=1.0, **options):
    recognizer = StreamingRecognizer(scripted_model())
    tracker = tracker or FilmTracker(source)
    return Pipeline(source, recognizer, tracker, lambda *_: people, pause_seconds=pause_seconds, **options)


def glosses(pipeline):
    return [tuple(gloss.gloss for gloss in each.glosses) for each in pipeline.captions.take_ended()]


def test_every_utterance_of_a_source_is_recognised_and_shown():
    source = FilmSource(film())
    pipeline, viewer = pipeline_of(source), Viewer()
    run_session(pipeline, [viewer], SignalWatch())
    assert glosses(pipeline) == [SENTENCE, ("B",)]
    assert pipeline.num_tracked == len(source.film)
    assert pipeline.num_dropped == 0
    assert pipeline.captions.num_glosses == 4
    # The last utterance stays on the screen.
    assert [(caption.gloss, caption.is_final) for caption in viewer.captions[-1]] == [("B", True)]


def test_coordinates_are_in_units_of_the_height():
    source = FilmSource(Film().rest(0.04))
    pipeline = pipeline_of(source)
    # A picture twice as wide as high, as pixels of that shape make it.
    source.items = lambda stopping: iter([Frame(np.zeros((16, 16, 3), np.uint8), 0.0, 0.0, pixel_aspect=2.0)])
    with pipeline:
        tracked = pipeline.shown.get(5)
    fractions = source.film.points[0]
    assert np.allclose(tracked.points, fractions * np.array([2, 1, 2], dtype=np.float32), equal_nan=True)


def test_closing_the_display_ends_a_source_that_goes_on_and_keeps_its_glosses():
    # A source that never ends.
    source = FilmSource(film(), then=lambda stopping: stopping.wait(60))
    pipeline = pipeline_of(source)
    viewer = Viewer(until=lambda pipeline: pipeline.num_tracked == len(source.film))
    run_session(pipeline, [viewer], SignalWatch())
    assert glosses(pipeline) == [SENTENCE, ("B",)]


def test_glosses_become_final_when_frames_stop():
    # Too few frames follow the gloss for it to be final, and the source goes on without any.
    source = FilmSource(Film().rest(1).sign("A"), then=lambda stopping: stopping.wait(60))
    viewer = Viewer(until=lambda pipeline: pipeline.captions.num_glosses > 0)
    run_session(pipeline_of(source, pause_seconds=0.05), [viewer], SignalWatch())
    assert viewer.is_closed


def test_a_signal_ends_the_session():
    signals = SignalWatch()
    source = FilmSource(film(), then=lambda stopping: stopping.wait(60))

    def interrupt(pipeline):
        signals.ending = 15
        return False

    run_session(pipeline_of(source), [Viewer(until=interrupt)], signals)


def test_a_source_that_turns_out_damaged_is_an_error_after_its_last_gloss():
    pipeline = pipeline_of(FilmSource(film(), then=InputError("clip.mp4: over half of it is unreadable")))
    with pytest.raises(InputError, match="over half"):
        run_session(pipeline, [Viewer()], SignalWatch())
    assert glosses(pipeline) == [SENTENCE, ("B",)]


def test_an_error_in_a_thread_ends_the_session_and_is_raised():
    source = FilmSource(film())
    tracker = FilmTracker(source)
    tracker.fault = RuntimeError("the tracker broke")
    with pytest.raises(RuntimeError, match="the tracker broke"):
        run_session(pipeline_of(source, tracker), [Viewer()], SignalWatch())


def test_a_camera_that_hangs_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr("signloom.live.pipeline._END_SECONDS", 0.05)
    hangs = threading.Event()
    source = FilmSource(Film().rest(1), then=lambda stopping: hangs.wait(60))
    run_session(pipeline_of(source), [Viewer(until=lambda pipeline: pipeline.num_tracked > 0)], SignalWatch())
    hangs.set()


# Notes


NO_FILM = SimpleNamespace(points=np.empty((0, 85, 3), np.float32), seconds=np.empty(0))


def notes_of(source, *, people=1, until=lambda pipeline: pipeline.num_tracked > 0):
    source.then = lambda stopping: stopping.wait(60)
    viewer = Viewer(until=until)
    run_session(pipeline_of(source, people=people), [viewer], SignalWatch())
    return viewer.notes


def test_several_people_are_named():
    assert "2 people in view: only one is tracked" in notes_of(FilmSource(Film().rest(0.2)), people=2)


def test_an_empty_picture_is_named(monkeypatch):
    monkeypatch.setattr("signloom.live.pipeline._NOBODY_SECONDS", 0.0)
    source = FilmSource(Film().rest(0.2))
    source.film = SimpleNamespace(points=np.full((5, 85, 3), np.nan, np.float32), seconds=np.arange(5) / 25)
    assert "nobody in view" in notes_of(source)


def test_what_a_source_says_comes_first_and_alone():
    source = FilmSource(Film().rest(0.04), states=["there is no camera 0"])
    source.film = NO_FILM
    notes = notes_of(source, until=lambda pipeline: bool(pipeline.notes()))
    assert set(notes) == {"there is no camera 0"}


def test_a_source_that_falls_silent_is_named(monkeypatch):
    monkeypatch.setattr("signloom.live.pipeline._SILENT_SECONDS", 0.01)
    source = FilmSource(Film().rest(0.04))
    source.film = NO_FILM
    notes = notes_of(source, until=lambda pipeline: bool(pipeline.notes()))
    assert notes[0].startswith("no picture from film for")


def test_too_few_frames_are_named():
    source = FilmSource(Film().rest(1))
    pipeline = pipeline_of(source)
    # Tracked over a long time, as far as the figures know.
    pipeline.num_tracked = 100
    pipeline.figures.add_frame(0.1, 0.1)
    pipeline.figures.add_frame(0.1, 0.1)
    pipeline._last_frame = pipeline._last_body = time.monotonic()
    assert pipeline.notes() == ["only 2 frames per second: fast signs may be missed"]


# The queue


def test_a_full_queue_drops_its_oldest_items_and_counts_them():
    queue = DroppingQueue(2)
    for number in range(5):
        queue.put(number)
    queue.close()
    queue.put(6)
    assert list(queue) == [3, 4]
    assert queue.num_dropped == 3
    with pytest.raises(Ended):
        queue.get(0)


def test_an_empty_queue_waits_for_its_timeout_or_an_item():
    queue = DroppingQueue(2)
    assert queue.get(0.001) is None
    threading.Timer(0.01, queue.put, ("late",)).start()
    assert queue.get(10) == "late"
