import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability import calibration_error, reliability
from signloom import layout
from signloom.ctc.collapse import collapse, frames_needed
from signloom.ctc.confidence import Calibration, confidences, log_odds
from signloom.ctc.hypothesis import Emission
from signloom.ctc.spans import SpanSettings, emission_seconds, located, spans
from signloom.ctc.timing import AlignedClip, Timing, fit_timing
from signloom.ctc.viterbi import ForcedAlignment, forced_alignment
from signloom.errors import InputError
from signloom.landmarks import Landmarks
from signloom.vocabulary import BLANK, UNKNOWN, Vocabulary

VOCABULARY = Vocabulary((BLANK, UNKNOWN, "A", "B"))


def random_log_probs(seed, frames, words):
    logits = np.random.default_rng(seed).normal(size=(frames, words))
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def test_two_signs_meet_half_way_and_rest_belongs_to_none():
    found = spans(np.array([0.56, 1.04, 2.96]), 4.0, Timing(-0.1, 0.5))
    expected = [
        # half of 0.5 s before the middle; half-way between 0.46 and 0.94
        (0.46 - 0.25, 0.70),
        # the next is 1.92 s away: no further than 0.75 of 0.5 s
        (0.70, 0.94 + 0.375),
        (2.86 - 0.375, 2.86 + 0.25),
    ]
    assert found == pytest.approx(np.array(expected))


def test_an_emission_lies_between_the_frames_that_share_it():
    probs = np.full((8, 4), 0.01)
    probs[:, 0] = 0.97
    probs[2, [0, 2]] = 0.89, 0.09
    probs[3, [0, 2]] = 0.49, 0.49
    probs[6, [0, 3]] = 0.49, 0.49
    emission = Emission(np.log(probs), 0.16, 8 * 0.16)
    alignment = ForcedAlignment(np.array([[3, 4], [6, 7]]), 0.0)
    # Square roots of 0.09, 0.49 and 0.01 are 0.3, 0.7 and 0.1, in the frames with middles 2.5, 3.5 and 4.5.
    expected = [0.16 * (2.5 * 0.3 + 3.5 * 0.7 + 4.5 * 0.1) / 1.1, 0.16 * 6.5]
    assert emission_seconds(emission, [2, 3], alignment) == pytest.approx(expected)
    # What a neighbour has is not shared.
    assert emission_seconds(emission, [2, 2], ForcedAlignment(np.array([[2, 3], [3, 4]]), 0.0)) == pytest.approx(
        [0.16 * (1.5 * 0.1 + 2.5 * 0.3) / 0.4, 0.16 * (3.5 * 0.7 + 4.5 * 0.1) / 0.8], rel=1e-6
    )


@given(st.integers(0, 10_000), st.lists(st.integers(1, 3), max_size=6), st.floats(-2, 2), st.floats(0.05, 2))
def test_spans_are_in_order_in_the_clip_and_not_empty(seed, ids, shift, gloss_seconds):
    frames = frames_needed(ids) + seed % 5 or 1
    log_probs = random_log_probs(seed, frames, 4)
    # the last output frame reaches past the end of the clip
    emission = Emission(log_probs, 0.16, 0.16 * frames - 0.1)
    found = located(emission, ids, VOCABULARY, timing=Timing(shift, gloss_seconds))
    assert [span.gloss for span in found] == [VOCABULARY.words[number] for number in ids]
    times = [time for span in found for time in (span.start_seconds, span.end_seconds)]
    assert times == sorted(times)
    assert all(0 <= span.start_seconds < span.end_seconds <= emission.duration_seconds for span in found)
    assert all(0 < span.confidence <= 1 for span in found)


def test_confidence_is_the_share_of_all_paths_that_have_the_gloss_and_no_other():
    log_probs = random_log_probs(5, 5, 4)
    alignment = forced_alignment(log_probs, [2])
    mass = dict.fromkeys(range(4), 0.0)
    for path in itertools.product(range(4), repeat=5):
        words = collapse(path)
        if len(words) < 2:
            mass[words[0] if words else 0] += np.exp(log_probs[np.arange(5), path].sum())
    expected = mass[2] / sum(mass.values())
    assert confidences(log_probs, [2], alignment) == pytest.approx([expected])


def test_a_gloss_spread_over_frames_is_surer_than_its_frames():
    probs = np.array([[0.98, 0.01, 0.01], [0.5, 0.49, 0.01], [0.49, 0.5, 0.01], [0.5, 0.49, 0.01], [0.98, 0.01, 0.01]])
    (sure,) = confidences(np.log(probs), [1], forced_alignment(np.log(probs), [1]))
    assert sure > 0.75 > probs[:, 1].max()


def test_confidence_of_a_certain_and_of_an_impossible_word_is_finite():
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.array([[1.0, 0, 0], [0, 1.0, 0], [1.0, 0, 0]]))
    assert confidences(log_probs, [1], forced_alignment(log_probs, [1])) == pytest.approx([1.0])
    hardly = np.log(np.array([[1 - 2e-12, 1e-12, 1e-12]] * 4))
    assert confidences(hardly, [1], forced_alignment(hardly, [1]))[0] == pytest.approx(0, abs=1e-9)


def test_an_emission_of_another_vocabulary_is_refused():
    with pytest.raises(InputError, match="over 3 words and a vocabulary of 4"):
        located(Emission(np.log([[0.5, 0.25, 0.25]]), 0.04, 1.0), [1], VOCABULARY)


def signing(rng, glosses, shapes, *, rest=8, length=12):
    """A clip in which each gloss holds the hands at its place for `length` frames, and where the glosses begin."""
    frames = 2 * rest + length * len(glosses)
    points = np.full((frames, layout.NUM_POINTS, 3), np.nan)
    points[:, layout.index("pose.left_shoulder")] = (0.6, 0.4, 0)
    points[:, layout.index("pose.right_shoulder")] = (0.4, 0.4, 0)
    hand = layout.GROUPS["right_hand"]
    points[:, hand] = (0.4, 0.9, 0)
    starts = rest + length * np.arange(len(glosses))
    for gloss, start in zip(glosses, starts, strict=True):
        points[start : start + length, hand, :2] = shapes[gloss]
    points[:, hand] += rng.normal(0, 0.005, (frames, 21, 3))
    return Landmarks(points, np.full((frames, 33), np.nan), fps=25.0), starts


@pytest.mark.parametrize("late", [-3, 0, 5, 9])
def test_timing_finds_how_late_a_model_emits_without_any_boundary(late):
    rng = np.random.default_rng(0)
    shapes = {gloss: rng.uniform(0.2, 0.8, 2) for gloss in range(2, 8)}
    clips = []
    for _ in range(40):
        glosses = rng.integers(2, 8, 6)
        landmarks, starts = signing(rng, glosses.tolist(), shapes)
        clips.append(AlignedClip(landmarks, glosses, (starts + 6 + late + rng.integers(-1, 2, 6)) / 25))
    timing = fit_timing(clips)
    # one frame is 0.04 s; the emissions scatter by one
    assert timing.shift_seconds == pytest.approx(-late / 25, abs=0.02)
    assert timing.gloss_seconds == pytest.approx(12 / 25, abs=0.04)


def test_timing_without_anything_to_learn_from_is_the_default():
    rng = np.random.default_rng(0)
    landmarks, _ = signing(rng, [2], {2: (0.5, 0.5)})
    assert fit_timing([]) == Timing()
    assert fit_timing([AlignedClip(landmarks, np.array([2]), np.array([0.5]))]) == Timing()
    hidden = Landmarks(np.full_like(landmarks.points, np.nan), landmarks.visibility, fps=25.0)
    clips = [AlignedClip(hidden, np.array([2, 3]), np.array([0.3, 0.6])) for _ in range(5)]
    found = fit_timing(clips)
    assert (found.shift_seconds, found.gloss_seconds) == (0.0, pytest.approx(0.3))


def test_timing_and_calibration_are_written_and_read_back():
    written = SpanSettings(Timing(-0.18, 0.5), Calibration(0.75, 1.5))
    record = written.to_json()
    assert SpanSettings.from_json(record) == written
    for broken in (
        [],
        {},
        {"timing": 1},
        {**record, "calibration": {"slope": "x", "offset": 0}},
        {**record, "timing": {}},
    ):
        with pytest.raises(InputError, match="needed"):
            SpanSettings.of({"spans": broken})
    assert SpanSettings.of({}) == SpanSettings()
    with pytest.raises(InputError, match="the second above 0"):
        Timing(0.0, 0.0)
    with pytest.raises(InputError, match="slope 0 or more"):
        Calibration(-1.0, 0.0)
    with pytest.raises(InputError, match="needed numbers"):
        Calibration(float("nan"), 0.0)


def test_calibration_finds_the_slope_and_offset_that_made_the_outcomes():
    rng = np.random.default_rng(0)
    raw = rng.uniform(0.01, 0.99, 20_000)
    correct = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * log_odds(raw) - 0.7)))
    found = Calibration.fit(raw, correct)
    # the standard error of either is about 0.015 for this many
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert found.offset == pytest.approx(-0.7, abs=0.05)
    calibrated = [found.apply(value) for value in raw]
    assert calibration_error(raw, correct) > 0.15
    assert calibration_error(calibrated, correct) < 0.02


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=30))
def test_calibration_keeps_the_order_and_stays_a_probability(pairs):
    found = Calibration.fit([value for value, _ in pairs], [right for _, right in pairs])
    values = [found.apply(value) for value in np.linspace(0, 1, 21)]
    assert values == sorted(values)
    assert all(0 <= value <= 1 for value in values)


def test_confidences_that_say_the_wrong_thing_become_the_share_of_right_ones():
    found = Calibration.fit([0.9] * 10 + [0.1] * 10, [False] * 10 + [True] * 10)
    assert found.slope == 0
    assert found.apply(0.3) == pytest.approx(0.5)


def test_a_set_without_an_error_does_not_make_every_gloss_certain():
    found = Calibration.fit([0.6, 0.7, 0.8, 0.9], [True] * 4)
    assert found.apply(0.75) == pytest.approx(5 / 6, abs=0.01)


def test_calibration_error_of_a_table_worked_by_hand():
    values, right = [0.9, 0.8, 0.2, 0.3], [True, True, False, True]
    assert [tuple(item) for item in reliability(values, right, bins=2)] == [
        (2, pytest.approx(0.25), 0.5),
        (2, pytest.approx(0.85), 1.0),
    ]
    assert calibration_error(values, right, bins=2) == pytest.approx((0.25 + 0.15) / 2)
    assert calibration_error([], []) == 0
    with pytest.raises(InputError, match="needed one per gloss"):
        calibration_error([0.5], [])
    with pytest.raises(InputError, match="outside 0..1"):
        Calibration.fit([1.5, 0.2], [True, False])
