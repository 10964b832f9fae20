"""Streams of a scripted signer, whose glosses are known, through a scripted engine: no training decides a test."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import mostly_slow
from scripted_signing import FPS, GLOSSES, PLACE_OF, REST, Film, scripted_model
from signloom.errors import InputError
from signloom.frame_times import resample_positions
from signloom.inference.stream_clock import StreamClock
from signloom.inference.stream_events import GlossEvent, UtteranceEnd
from signloom.inference.stream_options import StreamOptions
from signloom.inference.streaming import StreamingRecognizer
from signloom.landmarks import ClipView, interpolate

SENTENCES = (("A", "B", "C"), ("B", "B"), ("C", "A", "A", "B", "C"))


def signed_sentences(**speed: int) -> Film:
    film = Film().rest(1)
    for sentence in SENTENCES:
        film.sign(*sentence, **speed).rest(1.5)
    return film


def slow_sentences() -> Film:
    return signed_sentences(hold_frames=20, move_frames=20)


def finals(events):
    return [event.span.gloss for event in events if isinstance(event, GlossEvent) and event.kind == "final"]


def utterances(events):
    """The final glosses of each utterance that ended."""
    ended = [event.utterance for event in events if isinstance(event, UtteranceEnd)]
    return [
        tuple(e.span.gloss for e in events if isinstance(e, GlossEvent) and e.kind == "final" and e.utterance == number)
        for number in ended
    ]


def streamed(film, model=None, options=None, seconds=None):
    recognizer = StreamingRecognizer(model or scripted_model(), options)
    return recognizer.push(film.points, film.seconds if seconds is None else seconds) + recognizer.finish()


@pytest.mark.parametrize("decoder", ["greedy", "beam"])
def test_every_gloss_of_every_sentence_comes_out_once(decoder):
    assert utterances(streamed(signed_sentences(), scripted_model(decoder=decoder))) == list(SENTENCES)


@settings(max_examples=5)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.booleans())
@pytest.mark.slow
def test_where_a_stream_is_divided_into_chunks_changes_no_event(sizes, shaky):
    film = signed_sentences()
    recognizer = StreamingRecognizer(scripted_model(shaky=shaky))
    events = []
    cuts = np.unique(np.minimum(np.cumsum(sizes), len(film)))
    for points, seconds in zip(np.split(film.points, cuts), np.split(film.seconds, cuts), strict=True):
        events += recognizer.push(points, seconds)
    assert events + recognizer.finish() == streamed(film, scripted_model(shaky=shaky))


def test_a_single_frame_needs_no_first_axis():
    film = signed_sentences()
    recognizer = StreamingRecognizer(scripted_model())
    events = [
        event
        for points, seconds in zip(film.points, film.seconds.tolist(), strict=True)
        for event in recognizer.push(points, seconds)
    ]
    assert events + recognizer.finish() == streamed(film)


def test_a_window_that_moves_an_emission_by_a_frame_loses_and_doubles_no_gloss():
    rng = np.random.default_rng(0)
    for _ in range(4):
        glosses = tuple(rng.choice(GLOSSES, size=12).tolist())
        film = Film().rest(rng.uniform(0.5, 0.7)).sign(*glosses).rest(1)
        assert utterances(streamed(film, scripted_model(shaky=True))) == [glosses]


@given(st.lists(st.sampled_from(GLOSSES), min_size=1, max_size=8), st.booleans())
@settings(max_examples=10)
def test_finals_stay_and_their_times_ascend(glosses, shaky):
    events = streamed(Film().sign(*glosses).rest(1), scripted_model(shaky=shaky))
    shown = {}
    end = 0.0
    for event in events:
        if isinstance(event, UtteranceEnd):
            assert {kind for kind, _ in shown.values()} == {"final"}
            continue
        assert shown.get(event.index, ("", ""))[0] != "final"
        if event.kind == "withdrawn":
            del shown[event.index]
        else:
            shown[event.index] = event.kind, event.span.gloss
        if event.kind == "final":
            assert end <= event.span.start_seconds < event.span.end_seconds
            assert 0 <= event.span.confidence <= 1
            end = event.span.end_seconds
    assert [gloss for _, gloss in shown.values()] == glosses


def test_a_gloss_is_provisional_while_it_is_signed_and_final_a_lookahead_later():
    film = Film().rest(1).sign("A").sign("B", "C").rest(1)
    recognizer = StreamingRecognizer(scripted_model(), StreamOptions(lookahead_seconds=0.48))
    first = {}
    for points, seconds in zip(film.points, film.seconds.tolist(), strict=True):
        for event in recognizer.push(points, seconds):
            if isinstance(event, GlossEvent) and event.span.gloss == "A":
                first.setdefault(event.kind, seconds)
    # The hand is at the place of A from 1.2 to 1.44 s; an output frame takes 0.16 s, and so does the next window. The
    # model is sure of A, which so needs an output frame less.
    assert 1.2 <= first["provisional"] <= 1.44 + 2 * 0.16
    assert 1.44 + 0.48 - 2 * 0.16 <= first["final"] <= 1.44 + 0.48 + 0.16


def test_spans_are_where_the_hand_was():
    (event,) = (event for event in streamed(Film().rest(2).sign("A").rest(1)) if getattr(event, "kind", "") == "final")
    # Held from 2.2 to 2.44 s.
    assert event.span.start_seconds < 2.32 < event.span.end_seconds
    assert event.span.end_seconds - event.span.start_seconds == pytest.approx(0.48, abs=0.1)


def test_rest_separates_sentences_and_a_short_stop_does_not():
    def film(seconds):
        return Film().rest(1).sign("A", "B").rest(seconds).sign("C").rest(1)

    assert utterances(streamed(film(0.4))) == [("A", "B", "C")]
    assert utterances(streamed(film(0.9))) == [("A", "B"), ("C",)]


def test_while_hands_rest_the_model_does_not_run(monkeypatch):
    # Whatever it says: hands that hang here would be a gloss.
    monkeypatch.setitem(PLACE_OF, "B", REST)
    model = scripted_model()
    assert streamed(Film().rest(20), model) == []
    assert model.engine.calls == 0
    monkeypatch.undo()
    assert utterances(streamed(Film().rest(20).sign("A").rest(20), model)) == [("A",)]
    assert model.engine.calls < 20


@pytest.mark.parametrize("missing", [slice(None), slice(0, 11)], ids=["everything", "pose"])
def test_a_stream_without_a_person_has_no_gloss(missing):
    points = np.full((500, 85, 3), np.nan, dtype=np.float32)
    recognizer = StreamingRecognizer(scripted_model())
    assert recognizer.push(points, np.arange(500) / FPS) + recognizer.finish() == []


def test_frames_without_a_person_end_an_utterance():
    film = Film().rest(1).sign("A", "B")
    events = streamed(film)
    recognizer = StreamingRecognizer(scripted_model())
    gone = np.full((25, *film.points.shape[1:]), np.nan)
    now = recognizer.push(film.points, film.seconds) + recognizer.push(gone, len(film) / FPS + np.arange(25) / FPS)
    assert finals(now) == finals(events) == ["A", "B"]
    assert isinstance(now[-1], UtteranceEnd)
    assert recognizer.finish() == []


def test_lost_frames_move_nothing():
    film = slow_sentences()
    kept = np.random.default_rng(0).random(len(film)) < 0.75
    recognizer = StreamingRecognizer(scripted_model())
    events = recognizer.push(film.points[kept], film.seconds[kept]) + recognizer.finish()
    whole = streamed(film)
    assert utterances(events) == list(SENTENCES)
    starts = [[e.span.start_seconds for e in found if getattr(e, "kind", "") == "final"] for found in (events, whole)]
    assert np.abs(np.subtract(*starts)).max() < 0.2


def test_a_stop_of_the_stream_ends_an_utterance():
    film = Film().sign("A", "B", "C", "A")
    seconds = film.seconds + np.where(np.arange(len(film)) >= 32, 5.0, 0.0)
    events = streamed(film, seconds=seconds)
    assert utterances(events) == [("A", "B"), ("C", "A")]
    ends = [event.seconds for event in events if isinstance(event, UtteranceEnd)]
    assert ends == pytest.approx([1.28, 5 + 64 / FPS])


def test_a_gap_of_a_day_costs_nothing():
    film = Film().sign("A", "B", "C", "A")
    model = scripted_model()
    seconds = film.seconds + np.where(np.arange(len(film)) >= 32, 86_400.0, 0.0)
    assert utterances(streamed(film, model, seconds=seconds)) == [("A", "B"), ("C", "A")]
    assert model.engine.calls < 25


@pytest.mark.parametrize("fps", mostly_slow((5.0, 30000 / 1001, 120.0), fast=(5.0,)))
def test_other_frame_rates_give_the_same_glosses_at_the_same_times(fps):
    film = slow_sentences()
    points = ClipView("compact", film.points, FPS, film.seconds).at(fps)
    points = points[0 : len(points)]
    recognizer = StreamingRecognizer(scripted_model())
    events = recognizer.push(points, 1000 + np.arange(len(points)) / fps) + recognizer.finish()
    assert utterances(events) == list(SENTENCES)
    expected = [e.span.start_seconds for e in streamed(film) if getattr(e, "kind", "") == "final"]
    found = [e.span.start_seconds - 1000 for e in events if getattr(e, "kind", "") == "final"]
    assert np.abs(np.subtract(found, expected)).max() < 0.35


def test_late_frames_are_counted_and_left_out():
    film = signed_sentences()
    order = np.arange(len(film))
    order[[100, 101]] = order[[101, 100]]
    order = np.insert(order, 200, 199)
    recognizer = StreamingRecognizer(scripted_model())
    events = recognizer.push(film.points[order], film.seconds[order]) + recognizer.finish()
    assert recognizer.num_late == 2
    assert utterances(events) == list(SENTENCES)


def test_a_clock_that_is_set_back_is_an_error_that_changes_nothing():
    film = signed_sentences()
    recognizer = StreamingRecognizer(scripted_model())
    events = recognizer.push(film.points[:100], film.seconds[:100])
    with pytest.raises(
        InputError, match=re.escape("a frame at 0.000 s follows one at 3.960 s; needed ascending times")
    ):
        recognizer.push(film.points[:1], film.seconds[:1])
    with pytest.raises(InputError, match=re.escape("a frame at 4.000 s follows one at 99.000 s")):
        recognizer.push(film.points[:2], [99.0, 4.0])
    events += recognizer.push(film.points[100:], film.seconds[100:]) + recognizer.finish()
    assert events == streamed(film)


@pytest.mark.parametrize(
    ("points", "seconds", "message"),
    [
        (np.zeros((3, 84, 3)), np.arange(3), "points of shape (3, 84, 3)"),
        (np.zeros((3, 85, 2)), np.arange(3), "points of shape (3, 85, 2)"),
        (np.zeros((3, 85, 3)), np.arange(2), "seconds of shape (2,)"),
        (np.zeros((85, 3)), np.arange(1), "points of shape (85, 3)"),
        (np.zeros((1, 85, 3)), [np.nan], "the time of a frame is NaN or infinite"),
        (np.full((1, 85, 3), np.inf), [0.0], "a coordinate is infinite"),
    ],
)
def test_frames_that_are_none_are_errors(points, seconds, message):
    with pytest.raises(InputError, match=re.escape(message)):
        StreamingRecognizer(scripted_model()).push(points, seconds)


def test_no_frames_change_nothing():
    recognizer = StreamingRecognizer(scripted_model())
    assert recognizer.push(np.empty((0, 85, 3)), np.empty(0)) == []
    assert recognizer.finish() == []


def test_all_points_of_the_layout_do_as_well_as_those_of_the_view():
    from signloom import layout

    film = signed_sentences()
    points = np.full((len(film), layout.NUM_POINTS, 3), np.nan)
    points[:, layout.subset("compact")] = film.points
    recognizer = StreamingRecognizer(scripted_model())
    assert recognizer.push(points, film.seconds) + recognizer.finish() == streamed(film)


@pytest.mark.parametrize("name", ["lookahead_seconds", "rest_seconds"])
def test_options_that_make_no_sense_are_errors(name):
    with pytest.raises(InputError, match=f"{name} is 0.0; needed a number above 0"):
        StreamOptions(**{name: 0.0})
    with pytest.raises(InputError, match="is nan"):
        StreamOptions(**{name: float("nan")})


@pytest.mark.slow
def test_memory_does_not_grow_with_the_stream():
    film = Film().sign(*GLOSSES).rest(1.5)

    def size(repetitions):
        model = scripted_model()
        recognizer = StreamingRecognizer(model)
        seconds, length = film.seconds, len(film) / FPS
        for number in range(repetitions):
            recognizer.push(film.points, seconds + number * length)
        assert model.engine.longest < 120
        return len(pickle.dumps(recognizer))

    # Numbers of more digits take some bytes.
    assert abs(size(12) - size(2)) < 64


@pytest.mark.parametrize("move_frames", [2, 4])
def test_memory_does_not_grow_with_an_utterance_without_pauses(move_frames):
    """Signs that follow one another so closely that no two output frames are free between them."""
    glosses = GLOSSES * 15
    model = scripted_model()
    events = streamed(Film().sign(*glosses, hold_frames=4, move_frames=move_frames), model)
    offline_model = scripted_model()
    film = Film().sign(*glosses, hold_frames=4, move_frames=move_frames)
    offline = offline_model.decode(offline_model.emission(ClipView("compact", film.points, FPS, film.seconds)))
    assert tuple(finals(events)) == offline.words
    assert model.engine.longest < 200


def test_a_sign_that_is_held_for_long_is_one_gloss():
    model = scripted_model()
    events = streamed(Film().rest(1).sign("A").sign("B", hold_frames=500).sign("C").rest(1), model)
    assert utterances(events) == [("A", "B", "C")]
    assert model.engine.longest < 200


def test_a_model_with_one_gloss():
    assert utterances(streamed(Film().rest(1).sign("A", "A").rest(1), scripted_model(["A"]))) == [("A", "A")]


def test_the_stream_goes_on_after_finish():
    film = Film().rest(1).sign("A").rest(0.2)
    recognizer = StreamingRecognizer(scripted_model())
    events = recognizer.push(film.points, film.seconds) + recognizer.finish()
    later = recognizer.push(film.points, film.seconds + 2.0) + recognizer.finish()
    assert utterances(events + later) == [("A",), ("A",)]
    assert later[0].span.start_seconds > 3


@pytest.mark.parametrize("fps", [25.0, 12.5, 24000 / 1001, 30.0, 50.0, 120.0])
@pytest.mark.parametrize("jitter", [0.0, 0.2])
def test_the_clock_resamples_as_clips_are_resampled(fps, jitter):
    rng = np.random.default_rng(0)
    count = 40
    seconds = np.arange(count) / fps + jitter / fps * rng.uniform(-1, 1, count)
    # A pause, in which a pose is held.
    seconds[20:] += 0.7
    points = rng.standard_normal((count, 2, 3)).astype(np.float32)
    clock = StreamClock(FPS)
    found = [item for frame, moment in zip(points, seconds, strict=True) for item in clock.push(frame, moment)]
    positions = resample_positions(count, fps, FPS, seconds)
    expected = interpolate(points, positions)
    common = min(len(found), len(expected))
    assert abs(len(found) - seconds[-1] * FPS) < 2
    # A frame within a ten-thousandth of a second is taken as it is.
    assert np.abs(np.stack([frame for frame, _ in found])[:common] - expected[:common]).max() < 0.06
    assert [moment for _, moment in found] == pytest.approx(seconds[0] + np.arange(len(found)) / FPS)
