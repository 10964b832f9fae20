import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signloom.ctc.beam import prefix_beam
from signloom.ctc.collapse import collapse
from signloom.ctc.decoding import Decoder, Decoding, decode_all
from signloom.ctc.forward_score import log_forward
from signloom.ctc.greedy import greedy_ids
from signloom.ctc.hypothesis import Emission
from signloom.ctc.kneser_ney import kneser_ney
from signloom.ctc.lm_fusion import NGramFusion
from signloom.errors import InputError
from signloom.vocabulary import BLANK, UNKNOWN, Vocabulary

VOCABULARY = Vocabulary((BLANK, UNKNOWN, "A", "B"))
SENTENCES = [["A", "B"], ["A", "B", "A"], ["B", "B"], ["A"]]


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def random_log_probs(seed, *shape, spread=2.0):
    return log_softmax(np.random.default_rng(seed).normal(0, spread, shape))


def model_like(seed, num_frames=60, num_words=50):
    """An emission as a trained model's: blank nearly everywhere, spikes of two frames, some torn between words."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (num_frames, num_words))
    logits[:, 0] += 10
    for frame in range(3, num_frames - 3, 5):
        logits[frame : frame + 2, 0] -= rng.uniform(2, 8)
        for word in rng.integers(1, num_words, 3):
            logits[frame : frame + 2, word] += rng.uniform(5, 12)
    return log_softmax(logits).astype(np.float32)


def exhaustive(log_probs):
    """Every gloss sequence and the log of the sum over all its paths, by listing all paths."""
    totals = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        ids = tuple(collapse(path))
        totals[ids] = totals.get(ids, 0.0) + math.exp(sum(log_probs[t, word] for t, word in enumerate(path)))
    return {ids: math.log(total) for ids, total in totals.items()}


def plain_beam(log_probs, beam_size, tokens_per_frame, factor=lambda ids: 0.0):
    """The textbook algorithm in logarithms, which tries every token on every prefix and leaves nothing out."""
    beam = {(): (0.0, -math.inf)}
    for row in log_probs:
        tokens = np.argsort(-row, kind="stable")[:tokens_per_frame]
        grown = {}

        def add(ids, blank, gloss, grown=grown):
            old = grown.get(ids, (-math.inf, -math.inf))
            grown[ids] = (np.logaddexp(old[0], blank), np.logaddexp(old[1], gloss))

        for ids, (blank, gloss) in beam.items():
            total = np.logaddexp(blank, gloss)
            add(ids, total + row[0], gloss + row[ids[-1]] if ids else -math.inf)
            for token in tokens:
                longer = (*ids, int(token))
                # A child in the beam takes from its parent whatever the token's rank, as a repeat does.
                if token and longer not in beam:
                    parent = blank if ids and ids[-1] == token else total
                    add(longer, -math.inf, parent + row[token] + factor(longer))
            for longer in beam:
                if longer[:-1] == ids and longer:
                    parent = blank if ids and ids[-1] == longer[-1] else total
                    add(longer, -math.inf, parent + row[longer[-1]] + factor(longer))
        possible = [(ids, parts) for ids, parts in grown.items() if np.logaddexp(*parts) > -math.inf]
        beam = dict(sorted(possible, key=lambda item: -np.logaddexp(*item[1]))[:beam_size])
    return [(ids, float(np.logaddexp(*parts))) for ids, parts in beam.items()]


def ctc_score(log_probs, ids):
    """The log-probability of a gloss sequence over all its paths (Graves et al. 2006, equations 5 to 8)."""
    states = [0]
    for word in ids:
        states += [word, 0]
    skips = np.array(
        [False, False, *(word != 0 and word != old for old, word in zip(states, states[2:], strict=False))]
    )
    forward = np.full(len(states), -np.inf)
    forward[:2] = log_probs[0, states[:2]]
    for row in log_probs[1:]:
        before = forward.copy()
        before[1:] = np.logaddexp(before[1:], forward[:-1])
        before[2:] = np.where(skips[2:], np.logaddexp(before[2:], forward[:-2]), before[2:])
        forward = before + row[states]
    return float(np.logaddexp.reduce(forward[-2:]))


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 4), st.floats(0.1, 6))
def test_a_wide_beam_is_exhaustive_search(seed, num_frames, num_words, spread):
    log_probs = random_log_probs(seed, num_frames, num_words, spread=spread)
    expected = exhaustive(log_probs)
    found = prefix_beam(log_probs, beam_size=1000, tokens_per_frame=num_words)
    assert dict(found) == pytest.approx(expected, abs=1e-9)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert sum(math.exp(score) for _, score in found) == pytest.approx(1.0)


@pytest.mark.slow
@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0, 2), st.floats(-2, 2))
def test_with_a_language_model_a_wide_beam_is_exhaustive_search_too(seed, weight, bonus):
    log_probs = random_log_probs(seed, 5, 4)
    model = kneser_ney(SENTENCES, 3).model
    fusion = NGramFusion(VOCABULARY, model, weight=weight, bonus=bonus)
    expected = {
        ids: score
        + weight * math.log(10) * sum(model.sentence_log_probs([VOCABULARY.words[word] for word in ids]))
        + bonus * len(ids)
        for ids, score in exhaustive(log_probs).items()
    }
    found = prefix_beam(log_probs, beam_size=1000, tokens_per_frame=4, fusion=fusion)
    assert dict(found) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.lists(st.integers(2, 3), max_size=4), st.booleans())
def test_a_part_of_a_sentence_is_ranked_by_what_comes_before_it(seed, history, ends):
    log_probs = random_log_probs(seed, 4, 4)
    model = kneser_ney(SENTENCES, 3).model
    fusion = NGramFusion(VOCABULARY, model, weight=0.8, bonus=0.3)

    def score(ids):
        """The language model's share of a sentence that ends after `ids`, or goes on."""
        steps = model.sentence_log_probs([VOCABULARY.words[word] for word in ids])
        return 0.8 * math.log(10) * sum(steps if ends else steps[:-1]) + 0.3 * len(ids)

    before = 0.8 * math.log(10) * sum(model.sentence_log_probs([VOCABULARY.words[word] for word in history])[:-1])
    expected = {
        ids: paths + score((*history, *ids)) - before - 0.3 * len(history)
        for ids, paths in exhaustive(log_probs).items()
    }
    found = prefix_beam(log_probs, beam_size=1000, tokens_per_frame=4, fusion=fusion, history=history, ends=ends)
    assert dict(found) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.floats(0.01, 0.99))
def test_a_gloss_that_is_still_open_goes_on_and_is_not_repeated(seed, still_open):
    log_probs = random_log_probs(seed, 4, 4)
    totals = {}
    for path in itertools.product(range(4), repeat=len(log_probs)):
        paths = math.exp(sum(log_probs[frame, word] for frame, word in enumerate(path)))
        for before, share in ((2, still_open), (0, 1 - still_open)):
            ids = tuple(collapse((before, *path)))[before > 0 :]
            totals[ids] = totals.get(ids, 0.0) + share * paths
    found = prefix_beam(log_probs, beam_size=1000, tokens_per_frame=4, history=(3, 2), still_open=still_open)
    assert {ids: math.exp(score) for ids, score in found} == pytest.approx(totals, abs=1e-9)
    greedy = Decoder(VOCABULARY, Decoding("greedy")).n_best(log_probs, history=(3, 2), still_open=still_open)
    best = log_probs.argmax(axis=1).tolist()
    assert greedy[0].ids == (tuple(collapse((2, *best)))[1:] if still_open > 0.5 else tuple(collapse(best)))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6), st.floats(0.2, 5))
def test_what_the_search_leaves_out_changes_no_result(seed, beam_size, tokens_per_frame, spread):
    log_probs = random_log_probs(seed, 12, 6, spread=spread)
    expected = plain_beam(log_probs, beam_size, tokens_per_frame)
    found = prefix_beam(log_probs, beam_size=beam_size, tokens_per_frame=tokens_per_frame, complete=False)
    assert [ids for ids, _ in found] == [ids for ids, _ in sorted(expected, key=lambda item: -item[1])]
    assert dict(found) == pytest.approx(dict(expected), abs=1e-9)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(0, 1.5), st.floats(-2, 2))
def test_nor_does_it_with_a_language_model(seed, beam_size, weight, bonus):
    log_probs = random_log_probs(seed, 10, 4)
    model = kneser_ney(SENTENCES, 2).model
    fusion = NGramFusion(VOCABULARY, model, weight=weight, bonus=bonus)

    def factor(ids):
        words = [model.start_id, *(model.id_of(VOCABULARY.words[word]) for word in ids)]
        return weight * math.log(10) * model.log_prob(words[:-1], words[-1]) + bonus

    def ending(ids):
        words = [model.start_id, *(model.id_of(VOCABULARY.words[word]) for word in ids)]
        return weight * math.log(10) * model.log_prob(words, model.end_id)

    expected = {ids: score + ending(ids) for ids, score in plain_beam(log_probs, beam_size, 3, factor)}
    found = prefix_beam(log_probs, beam_size=beam_size, tokens_per_frame=3, fusion=fusion, complete=False)
    assert dict(found) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 4), st.booleans())
def test_a_narrow_beam_still_tells_the_probability_of_all_paths(seed, beam_size, with_model):
    log_probs = random_log_probs(seed, 14, 4)
    model = kneser_ney(SENTENCES, 3).model
    fusion = NGramFusion(VOCABULARY, model, weight=0.7, bonus=0.5) if with_model else None
    found = prefix_beam(log_probs, beam_size=beam_size, fusion=fusion)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    ids, score = found[0]
    expected = ctc_score(log_probs, ids)
    if with_model:
        words = [VOCABULARY.words[word] for word in ids]
        expected += 0.7 * math.log(10) * sum(model.sentence_log_probs(words)) + 0.5 * len(ids)
    assert score == pytest.approx(expected, abs=1e-5)
    assert {ids for ids, _ in found} == {
        ids for ids, _ in prefix_beam(log_probs, beam_size=beam_size, fusion=fusion, complete=False)
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forward_probabilities_of_many_sentences_are_those_of_each(dtype):
    log_probs = random_log_probs(5, 30, 6).astype(dtype)
    sentences = [(), (1,), (2, 2, 2), (5, 4, 3, 2, 1), (1,) * 15]
    found = log_forward(np.exp(log_probs), sentences)
    # 15 equal glosses need 29 frames at least: 30 allow few paths, but some. One more is impossible.
    assert found.tolist() == pytest.approx([ctc_score(log_probs, ids) for ids in sentences], rel=1e-5)
    assert log_forward(np.exp(log_probs), [(1,) * 16]).tolist() == [-math.inf]


def test_the_sum_over_paths_beats_the_best_path():
    # Blank is the best of either frame (path 0.36), yet the three paths of A make 0.4 * 0.6 * 2 + 0.16 = 0.64.
    log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
    first, second = prefix_beam(log_probs)
    assert first.ids == (1,)
    assert first.score == pytest.approx(math.log(0.64))
    assert (second.ids, second.score) == ((), pytest.approx(math.log(0.36)))
    assert greedy_ids(log_probs[None], np.array([2])) == [[]]


def test_a_repeated_gloss_needs_a_blank_between():
    sure = np.full((3, 3), 1e-6)
    sure[[0, 1, 2], [2, 0, 2]] = 1.0
    assert prefix_beam(np.log(sure / sure.sum(1, keepdims=True)))[0].ids == (2, 2)
    sure[1] = sure[0]
    assert prefix_beam(np.log(sure / sure.sum(1, keepdims=True)))[0].ids == (2,)


def test_flashlight_finds_the_same_and_never_better():
    decoder = pytest.importorskip("flashlight.lib.text.decoder", reason="flashlight-text is an optional extra")
    options = decoder.LexiconFreeDecoderOptions(
        beam_size=10,
        beam_size_token=20,
        beam_threshold=1e9,
        lm_weight=0.0,
        sil_score=0.0,
        log_add=True,
        criterion_type=decoder.CriterionType.CTC,
    )
    model = decoder.ZeroLM()
    theirs = decoder.LexiconFreeDecoder(options, model, -1, 0, [])
    same = 0
    for seed in range(25):
        log_probs = model_like(seed)
        best = theirs.decode(log_probs.ctypes.data, *log_probs.shape)[0]
        # Their path has a silence (-1 here) at either end, which is not part of the emission.
        ids = tuple(collapse([max(0, token) for token in best.tokens]))
        ours = prefix_beam(log_probs, beam_size=10, tokens_per_frame=20)[0].ids
        same += ours == ids
        assert ctc_score(log_probs, ours) >= ctc_score(log_probs, ids) - 1e-9
    assert same >= 20


def test_scores_stay_right_where_no_double_holds_the_probability():
    # 1,500 frames are 4 minutes; the sentence's probability, below 10 to the -320, is no double.
    log_probs = random_log_probs(0, 1500, 8, spread=0.3)
    best = prefix_beam(log_probs, beam_size=4)[0]
    assert best.score < -320 * math.log(10)
    assert best.score <= ctc_score(log_probs, best.ids) + 1e-6
    assert best.score > log_probs.max(axis=1).sum()


def test_words_of_probability_zero_are_never_found():
    with np.errstate(divide="ignore"):
        log_probs = np.log([[0.0, 0.5, 0.5]] * 2 + [[0.0, 1.0, 0.0]])
    # Blank is impossible throughout, so nothing repeats: 1 1 1, 1 2 1, 2 1 1 and 2 2 1 are the paths.
    found = dict(prefix_beam(log_probs))
    assert found == pytest.approx({(1,): math.log(0.25), (1, 2, 1): math.log(0.25), (2, 1): math.log(0.5)})


def test_a_language_model_that_forbids_does_not_leave_the_beam_empty():
    model = kneser_ney([["A"]], 2).model
    fusion = NGramFusion(VOCABULARY, model, weight=20.0, bonus=-40.0)
    with np.errstate(divide="ignore"):
        log_probs = np.log([[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]] * 40)
    (only,) = prefix_beam(log_probs, fusion=fusion)
    assert only.ids == (3, 2) * 40


@pytest.mark.parametrize(
    ("log_probs", "options", "message"),
    [
        (np.log([[0.5, 0.5]]), {"beam_size": 0}, "beam_size is 0; needed at least 1"),
        (np.log([[0.5, 0.5]]), {"tokens_per_frame": 0}, "tokens_per_frame is 0; needed at least 1"),
        (np.log([[0.5, 0.5], [0.5, 0.4]]), {}, "output frame 1 sum to 0.9, needed 1"),
        (np.array([[0.5, 0.5], [math.nan, 0.5]]), {}, "NaN in output frame 1"),
        (np.full((1, 2), -math.inf), {}, "nothing above -inf in output frame 0"),
        (np.array([[0.0, math.inf]]), {}, "infinity in output frame 0"),
        (np.array([[900.0, 1.0]]), {}, "sum to .*log_softmax of logits"),
        (np.zeros((0, 3)), {}, "T' of at least 1"),
        (np.zeros((3, 1)), {}, "V of at least 2"),
        (np.zeros(3), {}, r"log_probs of shape \(3,\)"),
    ],
)
def test_what_cannot_be_decoded_is_refused(log_probs, options, message):
    with pytest.raises(InputError, match=message):
        prefix_beam(log_probs, **options)


def test_settings_are_checked_together_and_read_back():
    with pytest.raises(InputError, match=r"(?s)beam_size is 0.*lm_weight is -1.*insertion_bonus is nan"):
        Decoding(beam_size=0, lm_weight=-1, insertion_bonus=math.nan)
    with pytest.raises(InputError, match="decoder is 'best'; needed greedy or beam"):
        Decoding(decoder="best")
    tuned = Decoding(lm_weight=0.5, insertion_bonus=1.25)
    assert Decoding.from_json(tuned.to_json(), place="model") == tuned
    assert str(tuned) == "beam 10, 20 tokens per frame, bonus +1.25 per gloss, language model weight 0.5"
    assert str(Decoding(decoder="greedy")) == "greedy"
    with pytest.raises(InputError, match="model: unknown decoding settings beam_width"):
        Decoding.from_json({"beam_width": 3}, place="model")


def test_a_decoder_needs_what_its_settings_name():
    with pytest.raises(InputError, match="lm_weight is 0.5, but there is no language model"):
        Decoder(VOCABULARY, Decoding(lm_weight=0.5))
    with pytest.raises(InputError, match=r"none of the recogniser's 2 glosses \(such as A, B\) is among its 1 word"):
        Decoder(VOCABULARY, Decoding(lm_weight=0.5), kneser_ney([["a"]]).model)
    with pytest.raises(InputError, match="a vocabulary of 4 words"):
        Decoder(VOCABULARY).ids(random_log_probs(0, 5, 3))


@pytest.mark.parametrize("decoder", ["beam", "greedy"])
@pytest.mark.parametrize("blank_id", [-1, 2, 0])
def test_blank_may_be_in_any_column(decoder, blank_id):
    log_probs = random_log_probs(4, 12, len(VOCABULARY), spread=4.0)
    theirs = np.insert(log_probs[:, 1:], blank_id % len(VOCABULARY), log_probs[:, 0], axis=1)
    ours = Decoder(VOCABULARY, Decoding(decoder=decoder))
    assert ours.n_best(theirs, blank_id=blank_id) == ours.n_best(log_probs)
    assert ours.n_best(log_probs)[0].ids
    with pytest.raises(InputError, match=f"blank_id is 99; needed a column of {len(VOCABULARY)}"):
        ours.n_best(log_probs, blank_id=99)


def test_a_bonus_makes_sentences_longer_and_a_malus_shorter():
    log_probs = random_log_probs(3, 20, 4)
    lengths = [len(Decoder(VOCABULARY, Decoding(insertion_bonus=bonus)).ids(log_probs)) for bonus in (-4.0, 0.0, 4.0)]
    assert lengths[0] < lengths[1] < lengths[2]


def test_a_hypothesis_has_a_span_for_each_gloss():
    emission = Emission(model_like(1, num_words=4), 0.16, 9.6)
    for decoder in ("greedy", "beam"):
        hypothesis = Decoder(VOCABULARY, Decoding(decoder=decoder)).decode(emission)
        ids = Decoder(VOCABULARY, Decoding(decoder=decoder)).ids(emission.log_probs)
        assert list(hypothesis.words) == VOCABULARY.decode(ids)
        assert all(0 <= span.start_seconds <= span.end_seconds <= 9.6 for span in hypothesis.glosses)


@pytest.mark.slow
def test_more_processes_find_the_same_in_the_same_order():
    emissions = [model_like(seed, num_frames=20 + seed, num_words=4) for seed in range(7)]
    model = kneser_ney(SENTENCES).model
    decoding = Decoding(beam_size=4, lm_weight=0.7, insertion_bonus=0.5)
    told = []
    alone = decode_all(emissions, VOCABULARY, decoding, model, chunk=2, advance=told.append)
    assert alone == [Decoder(VOCABULARY, decoding, model).kept(one) for one in emissions]
    assert decode_all(emissions, VOCABULARY, decoding, model, workers=2, chunk=3, advance=told.append) == alone
    assert told == [2, 2, 2, 1, 3, 3, 1]
    with pytest.raises(InputError, match="workers is 0"):
        decode_all(emissions, VOCABULARY, workers=0)
