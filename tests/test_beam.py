import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signloom.ctc.beam import LastGloss, prefix_beam
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


def hasty_repeats(path):
    """How often a path emits a gloss again after a single blank."""
    return sum(a == c != 0 == b for a, b, c in zip(path, path[1:], path[2:], strict=False))


def exhaustive(log_probs, penalty=0.0):
    """Every gloss sequence and the log of the sum over all its paths, by listing all paths."""
    totals = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        ids = tuple(collapse(path))
        score = sum(log_probs[t, word] for t, word in enumerate(path)) - penalty * hasty_repeats(path)
        totals[ids] = totals.get(ids, 0.0) + math.exp(score)
    return {ids: math.log(total) for ids, total in totals.items()}


def plain_beam(log_probs, beam_size, tokens_per_frame, factor=lambda ids: 0.0, penalty=0.0):
    """The textbook algorithm in logarithms, which tries every token on every prefix and leaves nothing out."""
    nothing = -math.inf
    # By prefix: paths that end in several blanks, in a single one, and in the gloss.
    beam = {(): (0.0, nothing, nothing)}
    for row in log_probs:
        tokens = np.argsort(-row, kind="stable")[:tokens_per_frame]
        grown = {}

        def add(ids, *parts, grown=grown):
            grown[ids] = tuple(map(np.logaddexp, grown.get(ids, (nothing,) * 3), parts))

        for ids, (blanks, blank, gloss) in beam.items():
            total = np.logaddexp.reduce([blanks, blank, gloss])
            again = gloss + row[ids[-1]] if ids else nothing
            add(ids, np.logaddexp(blanks, blank) + row[0], gloss + row[0], again)
            # A child in the beam takes from its parent whatever the token's rank, as a repeat does.
            children = {longer[-1] for longer in beam if longer and longer[:-1] == ids}
            for token in children | {int(token) for token in tokens if token}:
                parent = np.logaddexp(blanks, blank - penalty) if ids and ids[-1] == token else total
                longer = (*ids, token)
                add(longer, nothing, nothing, parent + row[token] + factor(longer))
        possible = [(ids, parts) for ids, parts in grown.items() if np.logaddexp.reduce(parts) > nothing]
        beam = dict(sorted(possible, key=lambda item: -np.logaddexp.reduce(item[1]))[:beam_size])
    return [(ids, float(np.logaddexp.reduce(parts))) for ids, parts in beam.items()]


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
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(2, 4), st.floats(0.1, 6), st.sampled_from([0.0, 0.7, 4.0]))
def test_a_wide_beam_is_exhaustive_search(seed, num_frames, num_words, spread, penalty):
    log_probs = random_log_probs(seed, num_frames, num_words, spread=spread)
    expected = exhaustive(log_probs, penalty)
    options = {"beam_size": 2000, "tokens_per_frame": num_words, "repeat_penalty": penalty}
    for complete in (False, True):
        found = prefix_beam(log_probs, complete=complete, **options)
        assert dict(found) == pytest.approx(expected, abs=1e-9)
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    if not penalty:
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
@given(st.integers(0, 10**6), st.floats(0.01, 0.99), st.floats(0, 1), st.sampled_from([0.0, 1.0]))
def test_a_gloss_that_is_still_open_goes_on_and_is_not_repeated(seed, still_open, share_closed, penalty):
    log_probs = random_log_probs(seed, 4, 4)
    just_closed = (1 - still_open) * share_closed
    totals = {}
    for path in itertools.product(range(4), repeat=len(log_probs)):
        paths = math.exp(sum(log_probs[frame, word] for frame, word in enumerate(path)))
        for before, share in (((2,), still_open), ((2, 0), just_closed), ((2, 0, 0), 1 - still_open - just_closed)):
            ids = tuple(collapse((*before, *path)))[1:]
            hasty = math.exp(-penalty * hasty_repeats((*before, *path)))
            totals[ids] = totals.get(ids, 0.0) + share * paths * hasty
    options = {"history": (3, 2), "last_gloss": LastGloss(still_open, just_closed)}
    found = prefix_beam(log_probs, beam_size=1000, tokens_per_frame=4, repeat_penalty=penalty, **options)
    assert {ids: math.exp(score) for ids, score in found} == pytest.approx(totals, abs=1e-9)
    greedy = Decoder(VOCABULARY, Decoding("greedy")).n_best(log_probs, **options)
    best = log_probs.argmax(axis=1).tolist()
    assert greedy[0].ids == (tuple(collapse((2, *best)))[1:] if still_open > 0.5 else tuple(collapse(best)))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6), st.floats(0.2, 5), st.sampled_from([0.0, 1.0]))
def test_what_the_search_leaves_out_changes_no_result(seed, beam_size, tokens_per_frame, spread, penalty):
    log_probs = random_log_probs(seed, 12, 6, spread=spread)
    expected = plain_beam(log_probs, beam_size, tokens_per_frame, penalty=penalty)
    options = {"beam_size": beam_size, "tokens_per_frame": tokens_per_frame, "repeat_penalty": penalty}
    found = prefix_beam(log_probs, complete=False, **options)
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


@pytest.mark.parametrize("penalty", [0.5, 3.0])
def test_forward_probabilities_with_a_penalty_are_those_of_all_paths(penalty):
    log_probs = random_log_probs(7, 7, 3)
    expected = exhaustive(log_probs, penalty)
    found = log_forward(np.exp(log_probs), list(expected), repeat_factor=math.exp(-penalty))
    assert found.tolist() == pytest.approx(list(expected.values()), abs=1e-9)


def test_the_penalty_survives_rescaling():
    # Probabilities are rescaled every 16 frames.
    log_probs = random_log_probs(2, 40, 3, spread=0.5)
    ids = (1, 1, 2, 2, 1, 1)
    both = log_forward(np.exp(log_probs), [ids]) - log_forward(np.exp(log_probs), [ids], repeat_factor=0.0)
    scaled = np.exp(log_probs) * 1e-6
    scaled_both = log_forward(scaled, [ids]) - log_forward(scaled, [ids], repeat_factor=0.0)
    assert both > 0
    assert both == pytest.approx(scaled_both)


@pytest.mark.parametrize(
    ("shown", "alone", "with_bonus", "by_default"),
    [
        # With 0.12 in each of six frames, none is likelier than one to CTC alone.
        ([0.12] * 6, 0, 1, 1),
        ([0.05, 0.15, 0.25, 0.15, 0.05], 0, 1, 1),
        # A bonus makes two glosses of two peaks with a single frame between, of which the model is not sure.
        ([0.6, 0.05, 0.6], 1, 2, 1),
        ([0.8, 0.05, 0.8], 2, 2, 1),
        ([0.9, 0.05, 0.9], 2, 2, 2),
        ([0.6, 0.05, 0.05, 0.6], 1, 2, 2),
    ],
)
def test_a_gloss_that_is_shown_weakly_for_a_while_is_one_gloss(shown, alone, with_bonus, by_default):
    probs = np.array([[1 - share - 3e-4, 1e-4, share + 1e-4, 1e-4] for share in [0, *shown, 0]])

    def found(**settings):
        return Decoder(VOCABULARY, Decoding(**settings)).ids(np.log(probs))

    assert found(insertion_bonus=0.0, repeat_penalty=0.0) == [2] * alone
    assert found(repeat_penalty=0.0) == [2] * with_bonus
    assert found() == [2] * by_default


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
    name = "beam 10, 20 tokens per frame, bonus +1.25 per gloss, penalty 1 per repeat, language model weight 0.5"
    assert str(tuned) == name
    with pytest.raises(InputError, match="repeat_penalty is -1; needed 0 to 40"):
        Decoding(repeat_penalty=-1)
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
