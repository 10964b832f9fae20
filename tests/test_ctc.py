import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signloom.ctc.collapse import collapse, collapse_batch, frames_needed
from signloom.ctc.decoding import Decoder, Decoding
from signloom.ctc.greedy import greedy_ids
from signloom.ctc.hypothesis import Emission
from signloom.ctc.timing import Timing
from signloom.errors import InputError
from signloom.vocabulary import BLANK, UNKNOWN, Vocabulary

VOCABULARY = Vocabulary((BLANK, UNKNOWN, "A", "B"))


GREEDY = Decoder(VOCABULARY, Decoding(decoder="greedy"))


def slow_collapse(path):
    """The definition, word by word: group equal neighbours, keep one of each group, then drop blanks."""
    return [int(key) for key, _ in itertools.groupby(path) if key != 0]


def random_log_probs(rng, *shape):
    logits = rng.normal(size=shape)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([], []),
        ([0, 0], []),
        ([2, 2, 2], [2]),
        ([2, 0, 2], [2, 2]),
        ([0, 2, 2, 0, 0, 2, 3, 3, 0, 3], [2, 2, 3, 3]),
        ([1, 1, 0], [1]),
    ],
)
def test_collapse_known_answers(path, expected):
    assert collapse(path) == expected


@given(st.lists(st.lists(st.integers(0, 3), min_size=7, max_size=7), min_size=1, max_size=5), st.data())
def test_a_batch_collapses_as_its_rows_do(rows, data):
    lengths = data.draw(st.lists(st.integers(0, 7), min_size=len(rows), max_size=len(rows)))
    expected = [slow_collapse(row[:length]) for row, length in zip(rows, lengths, strict=True)]
    assert collapse_batch(np.array(rows), np.array(lengths)) == expected


@given(st.lists(st.integers(1, 3), max_size=4))
def test_frames_needed_is_the_length_of_the_shortest_path(ids):
    needed = frames_needed(ids)
    shortest = next(
        length
        for length in range(9)
        if any(slow_collapse(path) == ids for path in itertools.product(range(4), repeat=length))
    )
    assert needed == shortest


def test_nine_equal_glosses_need_seventeen_frames():
    assert frames_needed([5] * 9) == 17
    assert frames_needed([]) == 0


@pytest.mark.parametrize("target", [[1], [2, 2], [1, 2], [2, 1, 2]])
def test_the_paths_that_collapse_to_a_target_make_up_its_ctc_probability(target):
    torch = pytest.importorskip("torch")
    log_probs = random_log_probs(np.random.default_rng(3), 5, 3)
    total = sum(
        np.exp(sum(log_probs[t, word] for t, word in enumerate(path)))
        for path in itertools.product(range(3), repeat=5)
        if collapse(path) == target
    )
    loss = torch.nn.functional.ctc_loss(
        torch.tensor(log_probs)[:, None], torch.tensor([target]), torch.tensor([5]), torch.tensor([len(target)])
    )
    # ctc_loss divides by the target's length
    assert -np.log(total) == pytest.approx(float(loss) * len(target), rel=1e-9)


def test_ctc_is_infinite_exactly_below_frames_needed():
    torch = pytest.importorskip("torch")
    for target in ([1, 1], [1, 2], [1, 1, 1, 2, 2]):
        for length in range(1, 9):
            log_probs = torch.tensor(random_log_probs(np.random.default_rng(length), length, 1, 3))
            loss = torch.nn.functional.ctc_loss(
                log_probs, torch.tensor([target]), torch.tensor([length]), torch.tensor([len(target)])
            )
            assert bool(torch.isfinite(loss)) == (length >= frames_needed(target))


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_greedy_is_the_collapse_of_the_most_probable_path(seed, num_frames):
    log_probs = random_log_probs(np.random.default_rng(seed), num_frames, 4)
    hypothesis = GREEDY.decode(Emission(log_probs, 0.16, 0.16 * num_frames))
    assert list(hypothesis.words) == VOCABULARY.decode(slow_collapse(log_probs.argmax(axis=1)))
    assert hypothesis.score == pytest.approx(log_probs.max(axis=1).sum(), rel=1e-5)
    times = [time for span in hypothesis.glosses for time in (span.start_seconds, span.end_seconds)]
    assert times == sorted(times)
    assert all(0 < span.confidence <= 1 for span in hypothesis.glosses)


def test_greedy_spans_lie_around_the_frames_that_emit_the_words():
    probs = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.6, 0.2], [0.1, 0.0, 0.8, 0.1], [0.1, 0.2, 0.2, 0.5]])
    emission = Emission(np.log(np.maximum(probs, 1e-30)), step_seconds=0.16, duration_seconds=0.6)
    first, second = GREEDY.decode(emission, timing=Timing(0.0, 0.3)).glosses
    # "A" is emitted in the frames with middles 0.24 and 0.4 s, and a little in that with 0.08; "B" in the last,
    # which the end of the clip cuts short, with its middle at 0.54 s.
    weight = np.sqrt([0.1, 0.6, 0.8])
    middle = weight @ [0.08, 0.24, 0.4] / weight.sum()
    assert (first.gloss, second.gloss) == ("A", "B")
    assert first.start_seconds == pytest.approx(middle - 0.15)
    assert first.end_seconds == second.start_seconds == pytest.approx((middle + 0.54) / 2)
    assert second.end_seconds == 0.6


def test_a_batch_decodes_as_its_utterances_do_and_ignores_padding():
    rng = np.random.default_rng(0)
    log_probs, lengths = random_log_probs(rng, 6, 9, 4), np.array([9, 1, 0, 5, 9, 3])
    expected = [slow_collapse(row[:length].argmax(axis=1)) for row, length in zip(log_probs, lengths, strict=True)]
    assert greedy_ids(log_probs, lengths) == expected
    log_probs[3, 5:] = np.nan
    assert greedy_ids(log_probs, lengths) == expected
    log_probs[3, 4, 2] = np.nan
    with pytest.raises(InputError, match="NaN in output frame 4 of utterance 3"):
        greedy_ids(log_probs, lengths)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"shape \(1, 3\) and a vocabulary of 4"):
        GREEDY.decode(Emission(np.log([[0.5, 0.25, 0.25]]), 0.04, 1.0))
    with pytest.raises(InputError, match=r"needed \(B, T', V\)"):
        greedy_ids(np.zeros((3, 4)), np.array([1, 1, 1]))
    with pytest.raises(InputError, match=r"needed \(B, T'\)"):
        collapse_batch(np.zeros(3, dtype=int))
    with pytest.raises(InputError, match=r"lengths \[5\], needed 1 of them within 0..4"):
        collapse_batch(np.zeros((1, 4), dtype=int), np.array([5]))
    with pytest.raises(InputError, match="not log-probabilities"):
        Emission(np.full((2, 3), np.nan), 0.04, 1.0)
