import itertools
from collections import defaultdict
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from signloom.ctc.collapse import collapse, frames_needed
from signloom.ctc.viterbi import forced_alignment
from signloom.errors import InputError


def random_log_probs(seed, frames, words):
    logits = np.random.default_rng(seed).normal(size=(frames, words))
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@cache
def paths_by_words(frames, words):
    """All paths of a length, by what they collapse to."""
    found = defaultdict(list)
    for path in itertools.product(range(words), repeat=frames):
        found[tuple(collapse(path))].append(path)
    return found


def exhaustive(log_probs, ids):
    """The best path by trying all, and its score: the definition."""
    frames, words = log_probs.shape
    paths = paths_by_words(frames, words)[tuple(ids)]
    scores = [log_probs[np.arange(frames), path].sum() for path in paths]
    best = int(np.argmax(scores))
    return paths[best], scores[best]


def runs_of(path):
    """Where each word of a path begins and ends."""
    starts = np.flatnonzero(np.diff(path, prepend=-1))
    stops = np.append(starts[1:], len(path))
    return [(start, stop) for start, stop in zip(starts, stops, strict=True) if path[start] != 0]


@given(st.integers(0, 10_000), st.integers(1, 6), st.lists(st.integers(1, 3), max_size=4))
def test_it_is_the_best_of_all_paths_that_collapse_to_the_words(seed, frames, ids):
    assume(frames_needed(ids) <= frames)
    log_probs = random_log_probs(seed, frames, 4)
    path, score = exhaustive(log_probs, ids)
    found = forced_alignment(log_probs, ids)
    assert found.score == pytest.approx(score, rel=1e-12)
    # draws of a continuous distribution have no ties
    assert found.runs.tolist() == [list(run) for run in runs_of(path)]


def test_a_table_worked_by_hand():
    probs = np.array(
        [
            # blank, A, B
            [0.8, 0.1, 0.1],
            [0.1, 0.8, 0.1],
            [0.2, 0.7, 0.1],
            [0.6, 0.1, 0.3],
            [0.2, 0.1, 0.7],
        ]
    )
    found = forced_alignment(np.log(probs), [1, 2])
    assert found.runs.tolist() == [[1, 3], [4, 5]]
    assert found.score == pytest.approx(np.log(0.8 * 0.8 * 0.7 * 0.6 * 0.7))
    # Two As need a blank between: in the fourth frame it costs least.
    again = forced_alignment(np.log(probs), [1, 1])
    assert again.runs.tolist() == [[1, 3], [4, 5]]
    # Two equal words and a different one fill three frames and a blank exactly.
    full = forced_alignment(np.log(probs[:4]), [1, 1, 2])
    assert full.runs.tolist() == [[0, 1], [2, 3], [3, 4]]
    assert full.score == pytest.approx(np.log(0.1 * 0.1 * 0.7 * 0.3))


def test_no_words_are_all_blank():
    log_probs = random_log_probs(0, 7, 3)
    found = forced_alignment(log_probs, [])
    assert found.runs.shape == (0, 2)
    assert found.score == pytest.approx(log_probs[:, 0].sum())


@given(st.integers(0, 10_000))
def test_the_greedy_path_is_the_alignment_of_its_own_words(seed):
    log_probs = random_log_probs(seed, 30, 5)
    path = log_probs.argmax(axis=1)
    found = forced_alignment(log_probs, collapse(path))
    assert found.score == pytest.approx(log_probs.max(axis=1).sum())
    assert found.runs.tolist() == [list(run) for run in runs_of(path)]


def test_ties_go_to_the_earliest():
    assert forced_alignment(np.log(np.full((4, 2), 0.5)), [1]).runs.tolist() == [[0, 4]]


def test_what_cannot_be_aligned_is_refused():
    log_probs = random_log_probs(0, 4, 3)
    with pytest.raises(InputError, match="3 glosses need at least 5 output frames, the model yields 4"):
        forced_alignment(log_probs, [1, 1, 1])
    with pytest.raises(InputError, match="ids 0 to 1; needed 1 to 2, no blank"):
        forced_alignment(log_probs, [0, 1])
    with pytest.raises(InputError, match="ids 3 to 3"):
        forced_alignment(log_probs, [3])
    with pytest.raises(InputError, match="hold NaN"):
        forced_alignment(np.full((4, 3), np.nan), [1])
    with pytest.raises(InputError, match=r"needed \(T', V\)"):
        forced_alignment(log_probs[0], [1])
    impossible = np.log(np.array([[1.0, 1e-300], [1.0, 1e-300]]))
    impossible[:, 1] = -np.inf
    with pytest.raises(InputError, match="probability 0"):
        forced_alignment(impossible, [1])
