"""Long clips in decoding and alignment: memory is bounded, and results are those of the whole clip at once."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signloom.ctc import beam, confidence, forward_score, hypothesis, viterbi
from signloom.ctc.beam import BeamSearch, FrameProbs, prefix_beam
from signloom.ctc.collapse import frames_needed
from signloom.ctc.confidence import confidences
from signloom.ctc.forward_score import log_forward, log_forward_of_parts
from signloom.ctc.greedy import GreedySearch, greedy_ids
from signloom.ctc.hypothesis import Emission
from signloom.ctc.kneser_ney import kneser_ney
from signloom.ctc.lm_fusion import NGramFusion
from signloom.ctc.viterbi import forced_alignment
from signloom.errors import InputError
from signloom.vocabulary import BLANK, UNKNOWN, Vocabulary

VOCABULARY = Vocabulary((BLANK, UNKNOWN, *"ABCDE"))
LANGUAGE_MODEL = kneser_ney([tuple("ABAB"), tuple("CADE"), tuple("BCA"), tuple("EDAC")], order=2).model
FUSION = NGramFusion(VOCABULARY, LANGUAGE_MODEL, weight=0.7, bonus=0.5)


def random_log_probs(rng, frames, words, *, spread=2.0, dtype=np.float32):
    logits = rng.normal(scale=spread, size=(frames, words))
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(dtype)


def random_ids(rng, count, words):
    """Ids with repetitions, none of them blank."""
    return rng.integers(1, words, size=count)


def peak_mb(call):
    """The most memory that a call holds beside what there was before, in MB."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def whole_alignment(log_probs, ids):
    """Viterbi with the whole lattice in memory: the textbook form, quadratic in the length of the clip."""
    states = np.zeros(2 * len(ids) + 1, dtype=int)
    states[1::2] = ids
    emitted = log_probs[:, states].astype(np.float64)
    best = np.full(emitted.shape, -np.inf)
    moves = np.zeros(emitted.shape, dtype=int)
    best[0, :2] = emitted[0, :2]
    for frame in range(1, len(emitted)):
        for state in range(len(states)):
            choices = [best[frame - 1, state]]
            if state > 0:
                choices.append(best[frame - 1, state - 1])
            if state > 2 and state % 2 and states[state] != states[state - 2]:
                choices.append(best[frame - 1, state - 2])
            moves[frame, state] = int(np.argmax(choices))
            best[frame, state] = choices[moves[frame, state]] + emitted[frame, state]
    state = len(states) - 1
    if len(ids) and best[-1, -2] >= best[-1, -1]:
        state -= 1
    score, path = best[-1, state], []
    for frame in range(len(emitted) - 1, -1, -1):
        path.append(state)
        state -= moves[frame, state]
    path = np.array(path[::-1])
    words = 2 * np.arange(len(ids)) + 1
    return np.stack([np.searchsorted(path, words), np.searchsorted(path, words, side="right")], axis=1), score


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(0, 25), st.booleans())
@settings(max_examples=60)
def test_alignment_in_blocks_is_that_of_the_whole_lattice(seed, frames, count, with_ties):
    rng = np.random.default_rng(seed)
    ids = random_ids(rng, count, 5)
    log_probs = random_log_probs(rng, frames, 5)
    if with_ties:
        # Halves add up exactly, so equal paths have equal scores and the rule for ties decides.
        log_probs = np.round(log_probs * 2) / 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(viterbi, "_CELLS", 0)
        if frames_needed(ids) > frames:
            with pytest.raises(InputError, match="output frames"):
                forced_alignment(log_probs, ids)
            return
        result = forced_alignment(log_probs, ids)
    runs, score = whole_alignment(log_probs, ids)
    assert result.runs.tolist() == runs.tolist()
    assert result.score == score


def test_alignment_in_blocks_refuses_what_the_whole_lattice_does(monkeypatch):
    monkeypatch.setattr(viterbi, "_CELLS", 0)
    log_probs = random_log_probs(np.random.default_rng(0), 30, 4)
    log_probs[20, 2] = np.nan
    with pytest.raises(InputError, match="NaN"):
        forced_alignment(log_probs, [1, 2])
    log_probs[:, 2] = -np.inf
    with pytest.raises(InputError, match="probability 0"):
        forced_alignment(log_probs, [1, 2])


@pytest.mark.slow
def test_alignment_of_a_long_clip_takes_little_memory():
    rng = np.random.default_rng(1)
    log_probs = random_log_probs(rng, 5_000, 20)
    ids = random_ids(rng, 500, 20)
    # The whole lattice has 5 million cells, 45 MB with one byte for each move. 70 columns of 1,001 doubles and one
    # block of as many rows have 2 MB.
    assert peak_mb(lambda: forced_alignment(log_probs, ids)) < 6


@given(st.integers(0, 10_000), st.integers(1, 80), st.integers(1, 9), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_beam_over_parts_is_that_over_the_whole_clip(seed, frames, part_frames, with_model):
    log_probs = random_log_probs(np.random.default_rng(seed), frames, len(VOCABULARY))
    options = {"beam_size": 5, "fusion": FUSION if with_model else None}
    whole = prefix_beam(log_probs, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam, "_VALUES", part_frames * len(VOCABULARY))
        assert prefix_beam(log_probs, **options) == whole


@given(st.integers(0, 10_000), st.integers(1, 90), st.lists(st.integers(1, 30), min_size=90), st.booleans())
@settings(max_examples=40, deadline=None)
@pytest.mark.slow
def test_a_search_advances_by_any_chunks_to_the_same_beam(seed, frames, sizes, with_model):
    log_probs = random_log_probs(np.random.default_rng(seed), frames, len(VOCABULARY))
    options = {"beam_size": 4, "fusion": FUSION if with_model else None}
    search, greedy, start = BeamSearch(**options), GreedySearch(), 0
    with pytest.MonkeyPatch.context() as patch:
        # Forgotten prefixes come back when they are needed.
        patch.setattr(beam, "_PRUNE_FRAMES", 3)
        for size in sizes:
            if start < frames:
                part = log_probs[start : start + size]
                search.advance(FrameProbs(part, start))
                greedy.advance(part)
                start += size
                # Also in between, the best so far is that of a clip that ends there.
                assert search.candidates() == prefix_beam(log_probs[:start], complete=False, **options)
    assert [greedy.ids] == greedy_ids(log_probs[None], np.array([frames]))


def test_the_state_of_a_search_grows_with_the_glosses_and_not_with_the_frames():
    rng = np.random.default_rng(5)
    part = random_log_probs(rng, 300, 8, spread=0.1)
    # Many prefixes come and go, but the blank is far more probable than any gloss.
    part[:, 0] += 4
    part -= np.log(np.exp(part).sum(axis=1, keepdims=True))
    search = BeamSearch(beam_size=5)

    def num_prefixes():
        todo, count = [search._beam[-1]], 0
        while todo[-1].depth:
            todo.append(todo[-1].parent)
        while todo:
            count += 1
            todo += todo.pop().children.values()
        return count

    for number in range(10):
        search.advance(FrameProbs(part, 300 * number))
    longest = max(len(candidate.ids) for candidate in search.candidates())
    assert num_prefixes() <= 5 * (longest + 1) + 5


def test_a_fault_in_a_later_part_is_named_by_its_frame_in_the_clip(monkeypatch):
    monkeypatch.setattr(beam, "_VALUES", 4 * 7)
    log_probs = random_log_probs(np.random.default_rng(0), 10, 7)
    for value, message in ((np.nan, "NaN in output frame 9"), (0.0, "output frame 9 sum to")):
        log_probs[9] = value
        with pytest.raises(InputError, match=message):
            prefix_beam(log_probs)


@given(st.integers(0, 10_000), st.integers(1, 70), st.integers(1, 20), st.integers(1, 40))
@settings(max_examples=40)
def test_forward_probabilities_of_parts_are_those_of_the_whole(seed, frames, part_frames, values):
    rng = np.random.default_rng(seed)
    probs = np.exp(random_log_probs(rng, frames, 6, dtype=np.float64))
    sequences = [tuple(random_ids(rng, count, 6).tolist()) for count in (0, 1, 4)]
    whole = log_forward(probs, sequences)
    parts = [probs[start : start + part_frames] for start in range(0, frames, part_frames)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forward_score, "_VALUES", values)
        assert log_forward_of_parts(parts, sequences).tolist() == whole.tolist()


@pytest.mark.slow
def test_decoding_a_long_emission_takes_no_copy_of_it(monkeypatch):
    rng = np.random.default_rng(2)
    log_probs = random_log_probs(rng, 1_500, 300, spread=8.0)
    monkeypatch.setattr(beam, "_VALUES", 60_000)
    # The lattices of the three best sentences, of some 1,500 glosses each, have 108 MB in double precision.
    assert peak_mb(lambda: prefix_beam(log_probs, beam_size=3)) < 16


def test_confidences_in_blocks_are_those_of_whole_windows(monkeypatch):
    rng = np.random.default_rng(3)
    log_probs, ids = random_log_probs(rng, 200, 6), np.array([2, 2, 5])
    alignment = forced_alignment(log_probs, ids)
    whole = confidences(log_probs, ids, alignment)
    monkeypatch.setattr(confidence, "_BLOCK_FRAMES", 7)
    assert confidences(log_probs, ids, alignment).tolist() == whole.tolist()


def test_an_emission_is_checked_in_blocks_to_its_last_frame(monkeypatch):
    monkeypatch.setattr(hypothesis, "_BLOCK_FRAMES", 4)
    log_probs = random_log_probs(np.random.default_rng(4), 9, 5)
    assert len(Emission(log_probs, 0.04, 1.0).log_probs) == 9
    log_probs[8, 0] += 1.0
    with pytest.raises(InputError, match="does not sum to 1"):
        Emission(log_probs, 0.04, 1.0)
