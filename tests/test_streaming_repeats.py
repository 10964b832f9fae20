"""A sign that is made again at once, where the model shows a single gloss that slides along with its windows."""

import numpy as np
import pytest

from scripted_signing import Film, scripted_model
from signloom.inference.stream_options import StreamOptions
from signloom.inference.stream_repeats import RepeatFinder, Sighting
from signloom.inference.streaming import StreamingRecognizer
from signloom.vocabulary import UNKNOWN_ID


def followed(*emitted, word=5, confidence=0.95, final_until=10.0):
    """What a finder returns for windows that show one gloss, emitted at these times."""
    finder = RepeatFinder(0.9)
    return [finder.found([Sighting(word, time, confidence)], 0, final_until) for time in emitted]


def test_a_gloss_that_slides_for_long_is_two():
    early, late = Sighting(5, 1.0, 0.95), Sighting(5, 1.8, 0.95)
    assert followed(1.0, 1.16, 1.32, 1.48, 1.64, 1.8) == [None] * 5 + [early]
    # And three, if it goes on.
    assert followed(1.0, 1.8, 2.6) == [None, early, late]


@pytest.mark.parametrize("changed", [{"confidence": 0.85}, {"word": UNKNOWN_ID}, {"final_until": 0.9}])
def test_nothing_is_made_of_doubtful_glosses_other_signs_and_frames_that_are_not_final(changed):
    assert not any(followed(1.0, 1.4, 1.8, 2.2, **changed))


def test_the_surest_of_the_early_sightings_counts():
    finder = RepeatFinder(0.9)
    for time, confidence in ((1.0, 0.6), (1.2, 0.97), (1.4, 0.95), (1.6, 0.99)):
        assert finder.found([Sighting(5, time, confidence)], 0, 10.0) is None
    assert finder.found([Sighting(5, 1.8, 0.99)], 0, 10.0) == Sighting(5, 1.2, 0.97)


def test_a_gloss_that_stays_or_changes_or_is_final_is_no_repeat():
    assert not any(followed(*[1.0] * 20))
    finder = RepeatFinder(0.9)
    for number, time in enumerate(np.arange(1.0, 4.0, 0.16).tolist()):
        # Another gloss every third window.
        assert finder.found([Sighting(2 + number // 3, time, 0.99)], 0, 10.0) is None
    finder = RepeatFinder(0.9)
    a, b = Sighting(2, 1.0, 0.99), Sighting(3, 1.4, 0.99)
    assert finder.found([a, b], 0, 10.0) is None
    # A became final: B is followed alone, from where it was seen first.
    assert finder.found([a, b], 1, 10.0) is None
    assert finder.found([b._replace(emitted=2.2)], 0, 10.0) == b


def spans_of(film, **engine):
    model = scripted_model(slides=True, **engine).with_limits(0.0)
    recognizer = StreamingRecognizer(model, StreamOptions())
    events = recognizer.push(film.points, film.seconds) + recognizer.finish()
    return [event.span for event in events if getattr(event, "kind", "") == "final"]


@pytest.mark.parametrize(("hold_frames", "count"), [(8, 1), (16, 1), (32, 2), (52, 3)])
def test_a_sign_that_slides_along_counts_again_every_0_8_seconds(hold_frames, count):
    film = Film().rest(1).sign("B").sign("A", hold_frames=hold_frames).sign("C").rest(2)
    found = spans_of(film)
    assert [span.gloss for span in found] == ["B", *["A"] * count, "C"]
    times = [time for span in found for time in (span.start_seconds, span.end_seconds)]
    assert times == sorted(times)


def test_a_doubtful_sign_is_counted_once():
    film = Film().rest(1).sign("B").sign("A", hold_frames=52).sign("C").rest(2)
    assert [span.gloss for span in spans_of(film, doubtful="A")] == ["B", "A", "C"]
