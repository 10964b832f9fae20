"""What a model does not know is not named: the unknown gloss, and glosses that are not sure enough, are dropped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scripted_signing import BETWEEN, FPS, Film, scripted_model
from signloom.corpus import Utterance
from signloom.ctc.confidence import Calibration
from signloom.ctc.decoding import Decoder, Decoding, decode_all
from signloom.ctc.hypothesis import Emission, GlossSpan, Hypothesis
from signloom.ctc.spans import SpanSettings
from signloom.errors import InputError
from signloom.inference.model_file import ModelFile
from signloom.inference.stream_events import GlossEvent
from signloom.inference.stream_options import MIN_BESIDE_SURE, MIN_CONFIDENCE, stream_limits, with_stream_limits
from signloom.inference.streaming import StreamingRecognizer
from signloom.landmarks import ClipView
from signloom.vocabulary import UNKNOWN, UNKNOWN_ID, Vocabulary

VOCABULARY = Vocabulary.from_glosses([["A", "B"]])
BLANK, A, B = 0, 2, 3


def frames(*rows):
    """Log-probabilities of frames, each given by the id that gets a probability; the blank has the rest."""
    probs = np.full((len(rows), len(VOCABULARY)), 1e-9)
    for row, (word, share) in zip(probs, rows, strict=True):
        row[BLANK] = 1
        row[word] = share
        row[BLANK if word != BLANK else A] = max(1 - share, 1e-9)
        row /= row.sum()
    return np.log(probs)


# A for certain, an unknown sign for certain, B with 0.7.
SENTENCE = frames((BLANK, 1), (A, 1), (BLANK, 1), (UNKNOWN_ID, 1), (BLANK, 1), (B, 0.7), (BLANK, 1))
EMISSION = Emission(SENTENCE, 0.16, 7 * 0.16)


@pytest.mark.parametrize("decoder", ["greedy", "beam"])
def test_an_unknown_sign_is_no_gloss_but_keeps_its_place(decoder):
    hypothesis = Decoder(VOCABULARY, Decoding(decoder=decoder)).decode(EMISSION)
    assert hypothesis.words == ("A", "B")
    assert hypothesis.num_dropped == 0
    with_all = Decoder(VOCABULARY, Decoding(decoder=decoder)).n_best(SENTENCE)[0].ids
    assert with_all == (A, UNKNOWN_ID, B)
    # A ends where the unknown sign begins, as it would beside any other sign.
    named = frames((BLANK, 1), (A, 1), (BLANK, 1), (B, 1), (BLANK, 1), (B, 0.7), (BLANK, 1))
    beside = Decoder(VOCABULARY, Decoding(decoder=decoder)).decode(Emission(named, 0.16, 7 * 0.16))
    assert hypothesis.glosses[0] == beside.glosses[0]
    assert hypothesis.glosses[1].start_seconds == beside.glosses[2].start_seconds


def test_glosses_under_the_least_confidence_are_dropped_and_counted():
    for least, words, dropped in ((0.0, ("A", "B"), 0), (0.69, ("A", "B"), 0), (0.71, ("A",), 1), (1.0, (), 2)):
        decoder = Decoder(VOCABULARY, Decoding(min_confidence=least))
        hypothesis = decoder.decode(EMISSION)
        assert (hypothesis.words, hypothesis.num_dropped) == (words, dropped)
        assert tuple(VOCABULARY.decode(decoder.ids(SENTENCE))) == words
        ((ids, num_dropped),) = decode_all([SENTENCE], VOCABULARY, decoder.decoding)
        assert tuple(VOCABULARY.decode(ids)) == words
        assert num_dropped == dropped


@pytest.mark.parametrize("decoder", ["greedy", "beam"])
def test_an_utterance_without_a_sure_gloss_has_none(decoder):
    # A is certain, B has 0.7: the first sentence has both, the second B alone.
    for sentence, sure, words, dropped in (
        (SENTENCE, 0.95, ("A", "B"), 0),
        (SENTENCE[3:], 0.69, ("B",), 0),
        (SENTENCE[3:], 0.71, (), 1),
    ):
        settings = Decoder(VOCABULARY, Decoding(decoder=decoder, sure_confidence=sure))
        hypothesis = settings.decode(Emission(sentence, 0.16, len(sentence) * 0.16))
        assert (hypothesis.words, hypothesis.num_dropped) == (words, dropped)
        kept = settings.kept(sentence)
        assert (tuple(VOCABULARY.decode(kept.ids)), kept.num_dropped) == (words, dropped)


def test_both_limits_hold_together():
    spans = tuple(GlossSpan(gloss, 0, 1, sure) for gloss, sure in (("A", 0.9), (UNKNOWN, 0.99), ("B", 0.4), ("A", 0.6)))
    found = Hypothesis(spans, -1.0)
    # The unknown gloss vouches for nothing.
    assert found.confident(0.0, 0.95) == Hypothesis((), -1.0, 3)
    assert [span.confidence for span in found.confident(0.5, 0.9).glosses] == [0.9, 0.6]
    assert found.confident(1.0, 0.9).words == ()


def test_confidences_are_compared_after_calibration():
    # Its log-odds become half as large: 0.7 becomes 0.60.
    doubtful = Calibration(0.5, 0.0)
    for least, words in ((0.59, ("A", "B")), (0.62, ("A",))):
        decoder = Decoder(VOCABULARY, Decoding(min_confidence=least), calibration=doubtful)
        assert decoder.decode(EMISSION).words == words
        assert tuple(VOCABULARY.decode(decoder.ids(SENTENCE))) == words
        ((ids, _),) = decode_all([SENTENCE], VOCABULARY, decoder.decoding, None, doubtful)
        assert tuple(VOCABULARY.decode(ids)) == words


def test_an_unknown_sign_is_not_counted_as_dropped():
    unsure = frames((BLANK, 1), (UNKNOWN_ID, 0.6), (BLANK, 1), (B, 0.9), (BLANK, 1))
    decoder = Decoder(VOCABULARY, Decoding(min_confidence=0.8))
    assert decoder.kept(unsure) == ([B], 0)
    assert decoder.decode(Emission(unsure, 0.16, 0.8)).num_dropped == 0


def test_a_hypothesis_counts_what_it_drops_twice():
    spans = tuple(GlossSpan(gloss, 0, 1, sure) for gloss, sure in (("A", 0.9), (UNKNOWN, 0.99), ("B", 0.4), ("A", 0.6)))
    once = Hypothesis(spans, -1.0).confident(0.5)
    assert ([span.confidence for span in once.glosses], once.num_dropped) == ([0.9, 0.6], 1)
    assert once.confident(0.7).num_dropped == 2


@pytest.mark.parametrize("limit", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("name", ["min_confidence", "sure_confidence"])
def test_a_limit_of_confidence_is_a_probability(name, limit):
    with pytest.raises(InputError, match=f"{name} is .*; needed 0 to 1"):
        Decoding(**{name: limit})


def test_settings_of_earlier_files_drop_nothing():
    earlier = {"decoder": "beam", "beam_size": 10, "tokens_per_frame": 20, "lm_weight": 0.0, "insertion_bonus": 0.0}
    assert Decoding.from_json(earlier, place="file") == Decoding()
    assert Decoding().min_confidence is None
    chosen = Decoding(min_confidence=0.3)
    assert Decoding.from_json(chosen.to_json(), place="file") == chosen
    assert str(chosen).endswith(", confidence 0.3 or more")
    assert str(Decoding(sure_confidence=0.9)).endswith(" per frame, one gloss of 0.9 or more")


def test_model_files_keep_the_limit_and_take_earlier_ones():
    model = scripted_model().with_limits(0.3, sure=0.8)
    header, tensors = model.file.header("format", 1)
    read = ModelFile.of(header, tensors, Path("file"), "format", 1)
    assert read.decoding == model.decoding
    del header["decoding"]["min_confidence"], header["decoding"]["sure_confidence"]
    assert not any(ModelFile.of(header, tensors, Path("file"), "format", 1).decoding.limits)


def record(**changes):
    fields = {"id": "u", "split": "train", "signer": None, "glosses": ["A", "B"], "landmarks": "u.npz"}
    return {**fields, "num_frames": 10, "fps": 25.0, **changes}


def test_a_model_learns_the_unknown_gloss_where_others_stand():
    utterance = Utterance.from_json(record(others=[0, 1, 1, 2]))
    assert utterance.glosses == ("A", "B")
    unknown = UNKNOWN_ID
    assert utterance.target(VOCABULARY) == [unknown, A, unknown, unknown, B, unknown]
    assert VOCABULARY.decode(utterance.target(VOCABULARY)) == ["A", "B"]
    assert Utterance.from_json(utterance.to_json()) == utterance
    plain = Utterance.from_json(record())
    assert plain.target(VOCABULARY) == [A, B]
    assert "others" not in plain.to_json()


def test_others_may_stand_alone_but_an_utterance_shows_something():
    alone = Utterance.from_json(record(glosses=[], others=[0, 0]))
    assert alone.target(VOCABULARY) == [UNKNOWN_ID, UNKNOWN_ID]
    assert Utterance.from_json(alone.to_json()) == alone
    with pytest.raises(InputError, match="no glosses; needed at least one, or others"):
        Utterance.from_json(record(glosses=[]))


@pytest.mark.parametrize("others", [[3], [1, 0], [-1]])
def test_wrong_places_of_others(others):
    with pytest.raises(InputError, match="others"):
        Utterance.from_json(record(others=others))


def streamed(film, model):
    recognizer = StreamingRecognizer(model)
    events = recognizer.push(film.points, film.seconds) + recognizer.finish()
    return [event for event in events if isinstance(event, GlossEvent)]


def test_a_stream_shows_no_unknown_sign():
    events = streamed(Film().rest(1).sign("A", "?", "C").rest(1), scripted_model())
    assert [event.span.gloss for event in events if event.kind == "final"] == ["A", "C"]
    assert {event.span.gloss for event in events} == {"A", "C"}
    assert [event.index for event in events if event.kind == "final"] == [0, 1]


def test_a_stream_drops_what_a_whole_clip_drops():
    film = Film().sign("A", "B", "C", "A")
    model = scripted_model(doubtful="B")
    whole = model.decode(model.emission(ClipView("compact", film.points, FPS, film.seconds)))
    for least, words in ((0.0, "ABCA"), (0.9, "ACA"), (1.0, "")):
        kept = whole.confident(least)
        assert "".join(kept.words) == words
        events = streamed(film, model.with_limits(least))
        assert tuple(event.span.gloss for event in events if event.kind == "final") == kept.words
        assert all(event.span.confidence >= least for event in events)


def test_streams_have_a_default_that_the_model_overrides():
    film = Film().rest(1).sign("A", "B").rest(1)
    doubtful = {"spans": SpanSettings(calibration=Calibration(0.0, 0.0)).to_json()}
    model = replace(scripted_model(), info=doubtful)
    # Every confidence is 0.5: just enough.
    assert MIN_CONFIDENCE == 0.5
    assert len([event for event in streamed(film, model) if event.kind == "final"]) == 2
    assert streamed(film, model.with_limits(0.51)) == []


def test_what_streams_take_where_limits_are_open():
    for decoding, limits in (
        (Decoding(), (MIN_CONFIDENCE, 0.0)),
        (Decoding(sure_confidence=0.8), (MIN_BESIDE_SURE, 0.8)),
        (Decoding(min_confidence=0.0), (0.0, 0.0)),
        (Decoding(min_confidence=0.2, sure_confidence=0.8), (0.2, 0.8)),
    ):
        assert stream_limits(decoding) == limits
        named = with_stream_limits(decoding)
        assert (named.min_confidence, named.sure_confidence) == limits
        assert stream_limits(named) == limits


def test_glosses_wait_for_one_of_which_the_model_is_sure():
    # The model is sure of A alone.
    model = scripted_model(doubtful="BC").with_limits(sure=0.9)
    events = streamed(Film().rest(1).sign("B", "C", "A", "B").rest(1), model)
    assert [event.span.gloss for event in events if event.kind == "final"] == ["B", "C", "A", "B"]
    first = next(number for number, event in enumerate(events) if event.kind == "final")
    # All that waited become final with A, in order; before, they were shown as provisional.
    assert [event.span.gloss for event in events[first : first + 3]] == ["B", "C", "A"]
    assert {(event.kind, event.span.gloss) for event in events[:first]} >= {("provisional", "B"), ("provisional", "A")}
    assert not any(event.kind == "withdrawn" for event in events)


def test_an_utterance_in_which_the_model_is_never_sure_has_no_glosses():
    model = scripted_model(doubtful="B").with_limits(sure=0.9)
    film = Film().rest(1).sign("B", "B").rest(2).sign("A").rest(1)
    recognizer = StreamingRecognizer(model)
    events = recognizer.push(film.points, film.seconds) + recognizer.finish()
    finals = [event for event in events if isinstance(event, GlossEvent) and event.kind == "final"]
    # It gets no number either.
    assert [(event.span.gloss, event.utterance, event.index) for event in finals] == [("A", 0, 0)]
    glosses = [event for event in events if isinstance(event, GlossEvent)]
    shown = {event.index for event in glosses if event.span.gloss == "B"}
    assert shown == {event.index for event in glosses if event.kind == "withdrawn"}


def test_a_sure_gloss_vouches_for_those_that_are_near():
    model = scripted_model(doubtful="B").with_limits(sure=0.9)
    for between, words in ((0.3, ["B", "A", "B"]), (3.0, ["A"])):
        film = Film().rest(1).sign("B").rest(between, BETWEEN).sign("A").rest(between, BETWEEN).sign("B").rest(1)
        events = streamed(film, model)
        assert [event.span.gloss for event in events if event.kind == "final"] == words
        assert [event.index for event in events if event.kind == "final"] == list(range(len(words)))


def test_glosses_wait_for_three_seconds_at_most():
    model = scripted_model(doubtful="BC").with_limits(sure=0.9)
    # Each follows the one before closely, and A is sure at last: some seven seconds after the first.
    events = streamed(Film().rest(1).sign(*"BC" * 6, "A").rest(1), model)
    words = [event.span.gloss for event in events if event.kind == "final"]
    assert words[-1] == "A"
    assert 4 <= len(words) <= 7
    assert "".join(words[:-1]) in "BC" * 6
