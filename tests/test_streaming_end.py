"""Where the utterances of a stream end: signs that are made where hands rest, faults of a camera around an end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import mostly_slow
from scripted_signing import FPS, PLACE_OF, PLACES, Film, ScriptedEngine, scripted_model
from signloom import layout
from signloom.errors import InputError
from signloom.inference.stream_events import GlossEvent, UtteranceEnd
from signloom.inference.streaming import StreamingRecognizer
from signloom.landmarks import ClipView

# As low as the place of rest, and beside it.
LOW_PLACE = (0.55, 0.95)
TWO_SENTENCES = [("A", "B"), ("C", "A")]


@pytest.fixture
def low_sign(monkeypatch):
    """B is made where hands rest, with a still hand."""
    monkeypatch.setitem(PLACE_OF, "B", LOW_PLACE)


def two_sentences() -> Film:
    slowly = {"hold_frames": 20, "move_frames": 20}
    return Film().rest(1).sign("A", "B", **slowly).rest(1.6).sign("C", "A", **slowly).rest(1.6)


def sentences(events):
    """The final glosses of each utterance, also of one that has not ended."""
    found: dict[int, tuple[str, ...]] = {}
    for event in events:
        if isinstance(event, GlossEvent) and event.kind == "final":
            found[event.utterance] = (*found.get(event.utterance, ()), event.span.gloss)
    return list(found.values())


def ends(events):
    return [event.seconds for event in events if isinstance(event, UtteranceEnd)]


def streamed(points, seconds, options=None, model=None):
    recognizer = StreamingRecognizer(model or scripted_model(), options)
    return recognizer.push(points, seconds) + recognizer.finish()


def filmed(film, options=None, model=None):
    return streamed(film.points, film.seconds, options, model)


@pytest.mark.parametrize("shaky", [False, True])
@pytest.mark.parametrize("hold_frames", [12, 25])
def test_a_sign_with_a_still_hand_where_hands_rest_ends_no_utterance(low_sign, hold_frames, shaky):
    film = Film().rest(1).sign("A").sign("B", hold_frames=hold_frames, move_frames=4).sign("C").rest(1.5)
    assert sentences(filmed(film, model=scripted_model(shaky=shaky))) == [("A", "B", "C")]


def test_two_such_signs_follow_one_another(low_sign):
    film = Film().rest(1).sign("A").sign("B", hold_frames=12, move_frames=0).rest(0.3)
    film.sign("B", hold_frames=12, move_frames=0).sign("C").rest(1.5)
    assert sentences(filmed(film)) == [("A", "B", "B", "C")]


def test_such_a_sign_at_the_end_of_an_utterance_is_final(low_sign):
    film = Film().rest(1).sign("A").sign("B", hold_frames=12, move_frames=4)
    expected = [("A", "B")]
    assert sentences(filmed(film)) == expected
    (end,) = ends(filmed(film.rest(3)))
    assert sentences(filmed(film)) == expected
    # The hand leaves the place of B after 1 + 0.64 + 0.64 s.
    assert end == pytest.approx(2.28, abs=0.5)


def test_a_model_that_shows_glosses_without_end_in_a_rest_does_not_keep_the_utterance_open(low_sign):
    film = Film().rest(1).sign("A")
    for _ in range(25):
        # So slowly that it counts as still.
        film.rest(0.4, LOW_PLACE).rest(0.4, (LOW_PLACE[0] + 0.03, LOW_PLACE[1]))
    model = scripted_model()
    (end,) = ends(filmed(film, model=model))
    # The hand sinks at 1.64 s, and has rested for one and a half times 0.8 s then.
    assert 1.64 + 0.8 < end < 1.64 + 1.6
    assert model.engine.calls < 25


def test_a_model_that_shows_glosses_without_a_hand_in_view_does_not_put_off_the_end(monkeypatch):
    film = Film().rest(1).sign("A").rest(3)
    points = film.points
    points[round(1.64 * FPS) :, layout.subset_groups("compact")["right_hand"]] = np.nan
    expected = streamed(points, film.seconds)
    seen = ScriptedEngine.log_probs

    def everywhere(engine, points, lengths=None):
        """B where no hand is seen."""
        points = points.copy()
        wrist = points[:, :, PLACES[layout.index("right_hand.wrist")]]
        wrist[np.isnan(wrist[..., 0]), :2] = PLACE_OF["B"]
        return seen(engine, points, lengths)

    monkeypatch.setattr(ScriptedEngine, "log_probs", everywhere)
    events = streamed(points, film.seconds)
    assert ends(events) == ends(expected)
    assert sentences(events)[0][0] == "A"


@pytest.mark.parametrize("fps", mostly_slow((5.0, 12.5, 50.0, 120.0), fast=(5.0, 120.0)))
def test_utterances_end_at_the_same_times_at_other_frame_rates(fps):
    film = two_sentences()
    points = ClipView("compact", film.points, FPS, film.seconds).at(fps)
    events = streamed(points[0 : len(points)], np.arange(len(points)) / fps)
    assert sentences(events) == TWO_SENTENCES
    assert ends(events) == pytest.approx(ends(filmed(film)), abs=0.3)


@pytest.mark.parametrize("fps", [5.0, 120.0])
def test_a_camera_that_changes_its_rate_where_an_utterance_ends(fps):
    film = two_sentences()
    points = ClipView("compact", film.points, FPS, film.seconds).at(fps)
    # 25 frames per second until the hands have rested for 0.4 s, others from then on.
    change = ends(filmed(film))[0] + 0.2
    before = film.seconds < change
    after = np.arange(len(points)) / fps
    later = points[0 : len(points)][after > change]
    events = streamed(
        np.concatenate([film.points[before], later]), np.concatenate([film.seconds[before], after[after > change]])
    )
    assert sentences(events) == TWO_SENTENCES
    assert ends(events) == pytest.approx(ends(filmed(film)), abs=0.3)


@given(st.floats(-0.6, 1.4), st.floats(0.0, 0.9))
@settings(max_examples=15)
def test_frames_that_come_again_around_an_end_change_nothing(when, back):
    """The clock runs backwards by less than a second: the frames are late, and are left out."""
    film = two_sentences()
    (first, *_) = ends(filmed(film))
    cut = round((first + when) * FPS)
    again = slice(max(0, cut - round(back * FPS)), cut)
    order = np.concatenate([np.arange(cut), np.arange(again.start, again.stop), np.arange(cut, len(film))])
    recognizer = StreamingRecognizer(scripted_model())
    events = recognizer.push(film.points[order], film.seconds[order]) + recognizer.finish()
    assert recognizer.num_late == again.stop - again.start
    assert events == filmed(film)


def test_a_clock_that_is_set_back_in_a_rest_is_an_error_that_changes_nothing():
    film = two_sentences()
    cut = round((ends(filmed(film))[0] + 0.3) * FPS)
    recognizer = StreamingRecognizer(scripted_model())
    events = recognizer.push(film.points[:cut], film.seconds[:cut])
    with pytest.raises(InputError, match="needed ascending times"):
        recognizer.push(film.points[cut], 0.0)
    events += recognizer.push(film.points[cut:], film.seconds[cut:]) + recognizer.finish()
    assert events == filmed(film)


@given(st.floats(-0.4, 0.4), st.floats(0.04, 0.6))
@settings(max_examples=15)
def test_frames_without_a_person_around_an_end_change_no_sentence(when, length):
    film = two_sentences()
    start = round((ends(filmed(film))[0] + when) * FPS)
    points = film.points
    # The hand left the last place 0.2 s or more before.
    points[start : start + round(length * FPS)] = np.nan
    assert sentences(streamed(points, film.seconds)) == TWO_SENTENCES


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.floats(0.0, 1.0))
@settings(max_examples=15)
def test_a_hand_that_enters_and_leaves_the_picture_is_no_gloss(lengths, lost):
    """Walking in and out, frames lost by chance: there is no sign, so there is no event."""
    film = Film()
    for length in lengths:
        # The hand is where no gloss is.
        film.rest(0.8).rest(length / FPS, (0.5, 0.7))
    points, seconds = film.points, film.seconds
    points[len(points) // 2 :: 2] = np.nan
    kept = np.random.default_rng(len(film)).random(len(film)) >= 0.9 * lost
    assert streamed(points[kept], seconds[kept]) == []


def test_the_last_glosses_come_out_when_the_stream_stops_in_a_rest(low_sign):
    film = Film().rest(1).sign("A").sign("B", hold_frames=20, move_frames=4)
    recognizer = StreamingRecognizer(scripted_model())
    events = recognizer.push(film.points[:-4], film.seconds[:-4])
    # The camera stops for a while, and then goes on.
    events += recognizer.push(film.points[-4:], film.seconds[-4:] + 3.0) + recognizer.finish()
    assert sentences(events)[0] == ("A", "B")
