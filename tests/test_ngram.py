import gzip
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signloom.ctc.arpa import read_arpa, write_arpa
from signloom.ctc.kneser_ney import FALLBACK, kneser_ney
from signloom.ctc.ngram import NGram, Table
from signloom.errors import InputError

GLOSSES = ["A", "B", "C", "D"]
sentences_of_glosses = st.lists(st.lists(st.sampled_from(GLOSSES), max_size=6), min_size=1, max_size=30).filter(any)

# A model as other tools write it: no back-off with the highest order, none where it is 0, spaces and tabs mixed.
ARPA = """a comment before the data

\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-99 <s> -0.5
-1.0\t</s>
-0.5\tA\t-0.25
-0.6 B
-2.0\t<unk>\t0

\\2-grams:
-0.1\t<s> A
-0.2\tA B
-0.3\tB </s>

\\end\\
"""


def written(tmp_path, text):
    path = tmp_path / "model.arpa"
    path.write_text(text, encoding="utf-8")
    return path


def slow_log_prob(entries, context, word):
    """Katz' rule as it is written down: the longest n-gram there is, and the back-offs of the contexts given up."""
    if (*context, word) in entries:
        return entries[(*context, word)][0]
    if not context:
        raise KeyError(word)
    return entries.get(tuple(context), (0, 0.0))[1] + slow_log_prob(entries, context[1:], word)


def test_an_arpa_file_of_other_tools_is_read(tmp_path):
    model = read_arpa(written(tmp_path, ARPA))
    assert (model.order, model.num_ngrams) == (2, (5, 3))
    start, end, a, b, unknown = (model.id_of(word) for word in ("<s>", "</s>", "A", "B", "NEVER SEEN"))
    assert unknown == model.id_of("<unk>")
    assert model.log_prob([start], a) == pytest.approx(-0.1)
    # Backed off: -0.5 of <s> and -0.6 of B.
    assert model.log_prob([start], b) == pytest.approx(-1.1)
    # A back-off that the file leaves out is 0.
    assert model.log_prob([b], a) == pytest.approx(-0.5)
    assert model.log_prob([a], unknown) == pytest.approx(-2.25)
    assert model.log_prob([unknown], end) == pytest.approx(-1.0)
    assert model.sentence_log_probs(["A", "B"]) == pytest.approx([-0.1, -0.2, -0.3])
    # Only the last word of a context counts for 2-grams.
    assert model.log_prob([b, b, start], a) == pytest.approx(-0.1)


def test_the_ends_of_lines_and_a_byte_order_mark_do_not_matter(tmp_path):
    path = tmp_path / "windows.arpa"
    path.write_bytes(b"\xef\xbb\xbf" + ARPA.replace("\n", "\r\n").encode())
    assert read_arpa(path).words == ("<s>", "</s>", "A", "B", "<unk>")


def test_without_an_unknown_word_the_least_probable_stands_for_it(tmp_path):
    text = ARPA.replace("-2.0\t<unk>\t0\n", "").replace("ngram 1=5", "ngram 1=4")
    model = read_arpa(written(tmp_path, text))
    assert not model.knows_unknown
    assert model.id_of("NEVER") == model.id_of("B")
    found = model.perplexity([["A", "NEVER"]])
    assert found.unknown == 1
    assert "unknown, each with the probability of the least probable word" in str(found)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-0.6 B", "-0.6x B", r"model.arpa:11: '-0.6x' is not a number"),
        ("-0.6 B", "nan B", r":11: 'nan' is not a number"),
        ("-0.6 B", "0.6 B", r":11: log-probability 0.6 is above 0"),
        ("-0.6 B", "-0.6 B -1 2", r":11: 4 fields; needed a log-probability, 1 word and an optional back-off"),
        ("A B", "A", r":16: 2 fields; needed a log-probability, 2 words"),
        ("A B", "A X", r":16: word 'X' has no 1-gram"),
        ("A B", "<s> A", r":16: '<s> A' occurs twice"),
        ("ngram 2=3", "ngram 2=4", r"3 2-grams; the header says 4"),
        ("ngram 2=3", "ngram 3=3", r":5: 'ngram 3=3'; needed the count of order 2"),
        ("\\2-grams:", "\\3-grams:", r"no section \\2-grams:"),
        ("\\end\\", "", r"ends without \\end\\; the file is cut off"),
        ("\\data\\", "data", r"no line \\data\\"),
        ("</s>", "END", r"no </s> among its words"),
        ("ngram 1=5", "ngrams 1=5", r":4: 'ngrams 1=5'; needed 'ngram ORDER=COUNT'"),
    ],
)
def test_a_damaged_arpa_file_is_refused_by_its_line(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        read_arpa(written(tmp_path, ARPA.replace(old, new)))


def test_all_faults_are_told_at_once_and_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="(?s)2 faults.*:10: .*:11: "):
        read_arpa(written(tmp_path, ARPA.replace("-0.5\tA", "x\tA").replace("-0.6 B", "y B")))
    with pytest.raises(InputError, match="cannot be read"):
        read_arpa(tmp_path / "missing.arpa")
    with pytest.raises(InputError, match=r"no line \\data"):
        read_arpa(written(tmp_path, ""))


@settings(max_examples=40)
@given(sentences_of_glosses, st.integers(1, 4))
def test_probabilities_sum_to_one_after_any_context(sentences, order):
    model = kneser_ney(sentences, order).model
    predicted = [number for number in range(len(model.words)) if number != model.start_id]
    # Contexts seen, unseen, shorter and longer than the model's, with words it does not know.
    for length in range(order + 1):
        for context in itertools.islice(itertools.product(range(len(model.words)), repeat=length), 60):
            total = sum(10 ** model.log_prob(context, word) for word in predicted)
            # Single precision: 1e-7 for each of a few factors.
            assert total == pytest.approx(1.0, abs=1e-5)


@settings(max_examples=30)
@given(sentences_of_glosses, st.integers(1, 4), st.data())
def test_backing_off_is_as_it_is_written_down(sentences, order, data):
    model = kneser_ney(sentences, order).model
    entries = {
        tuple(ids): (log_prob, backoff)
        for table in model.tables
        for ids, log_prob, backoff in zip(
            table.ids.tolist(), table.log_probs.tolist(), table.backoffs.tolist(), strict=True
        )
    }
    numbers = st.integers(0, len(model.words) - 1)
    context = data.draw(st.lists(numbers, max_size=6))
    word = data.draw(numbers)
    expected = slow_log_prob(entries, context[max(0, len(context) - order + 1) :], word)
    assert model.log_prob(context, word) == pytest.approx(expected, abs=1e-9)
    # A context made shorter word by word predicts the same.
    short = ()
    for number in context:
        short = model.context_after(short, number)
    assert model.log_prob(short, word) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=20)
@given(sentences_of_glosses, st.integers(1, 4))
def test_writing_and_reading_an_arpa_file_is_the_identity(tmp_path_factory, sentences, order):
    path = tmp_path_factory.mktemp("arpa") / "model.arpa"
    model = kneser_ney(sentences, order).model
    write_arpa(model, path)
    read = read_arpa(path)
    packed = path.with_name("model.arpa.gz")
    write_arpa(model, packed)
    assert gzip.decompress(packed.read_bytes()) == path.read_bytes()
    assert read_arpa(packed).words == read.words
    assert read.words == model.words
    for found, expected in zip(read.tables, model.tables, strict=True):
        for name in ("ids", "log_probs", "backoffs"):
            assert np.array_equal(getattr(found, name), getattr(expected, name))


def test_kneser_ney_by_hand():
    # Two sentences, A B and A C. Counts of counts have no 3 and no 4, so the discounts are the fallback's.
    estimate = kneser_ney([["A", "B"], ["A", "C"]], order=2)
    assert estimate.fallbacks == (1, 2)
    assert estimate.discounts == (FALLBACK, FALLBACK)
    model = estimate.model
    start, end, a, b = (model.id_of(word) for word in ("<s>", "</s>", "A", "B"))
    # Unigrams count the different words before each: A 1 (<s>), B 1, C 1, </s> 2 (B and C); 5 in all. What is freed,
    # 3 * 0.5 + 1.0 of 5, is shared by the 5 words that can be: A, B, C, </s> and <unk>.
    freed = 2.5 / 5
    unigram_b, unigram_end = 0.5 / 5 + freed / 5, 1.0 / 5 + freed / 5
    assert 10 ** model.log_prob([], b) == pytest.approx(unigram_b, rel=1e-6)
    assert 10 ** model.log_prob([], end) == pytest.approx(unigram_end, rel=1e-6)
    assert 10 ** model.log_prob([], model.unknown_id) == pytest.approx(freed / 5, rel=1e-6)
    # After A: B and C once each, a half taken from either.
    assert 10 ** model.log_prob([a], b) == pytest.approx(0.5 / 2 + 0.5 * unigram_b, rel=1e-6)
    assert 10 ** model.log_prob([a], end) == pytest.approx(0.5 * unigram_end, rel=1e-6)
    # <s> A was seen twice: 1.0 is taken.
    unigram_a = unigram_b
    assert 10 ** model.log_prob([start], a) == pytest.approx(1.0 / 2 + 0.5 * unigram_a, rel=1e-6)


def test_discounts_follow_counts_of_counts():
    # Unigram model: raw counts 1, 1, 1, 2, 2, 3, 4 of seven glosses in one sentence each but the end, 14 times.
    counts = {"A": 1, "B": 1, "C": 1, "D": 2, "E": 2, "F": 3, "G": 4}
    estimate = kneser_ney([[gloss] for gloss, count in counts.items() for _ in range(count)], order=1)
    share = 3 / (3 + 2 * 2)
    expected = (1 - 2 * share * 2 / 3, 2 - 3 * share * 1 / 2, 3 - 4 * share * 1 / 1)
    assert estimate.discounts == (pytest.approx(expected),)
    assert estimate.fallbacks == ()


def test_sentences_as_they_were_trained_on_are_likelier_than_shuffled():
    rng = np.random.default_rng(0)
    sentences = [["A", "B", "C", "D"][: rng.integers(2, 5)] for _ in range(50)]
    model = kneser_ney(sentences).model
    assert model.perplexity(sentences).value < model.perplexity([sentence[::-1] for sentence in sentences]).value / 3


def test_perplexity_counts_unknown_words_and_says_how():
    model = kneser_ney([["A", "B"]] * 3, order=1).model
    result = model.perplexity([["A", "X"], ["B"]])
    assert (result.sentences, result.words, result.unknown) == (2, 3, 1)
    known = [10 ** model.log_prob([], model.id_of(word)) for word in ("A", "B", "</s>", "</s>")]
    unknown = 10 ** model.log_prob([], model.unknown_id)
    assert result.value == pytest.approx(math.prod([*known, unknown]) ** (-1 / 5))
    assert result.without_unknown == pytest.approx(math.prod(known) ** (-1 / 4))
    assert "1 words (33.3%) unknown, each with the probability of <unk>" in str(result)
    with pytest.raises(InputError, match="perplexity: no sentences"):
        model.perplexity([])


def test_no_words_to_learn_from_are_refused():
    with pytest.raises(InputError, match="no sentences with a gloss"):
        kneser_ney([[], []])
    with pytest.raises(InputError, match="gloss '</s>' is reserved"):
        kneser_ney([["A", "</s>"]])
    with pytest.raises(InputError, match="order is 0"):
        kneser_ney([["A"]], order=0)
    with pytest.raises(InputError, match="no <s> and no </s> among its words"):
        NGram(("A",), (Table(np.zeros((1, 1)), np.zeros(1), np.zeros(1)),))


@pytest.mark.slow
def test_real_gloss_sentences_are_predicted_from_others(shared_data):
    def sentences(name):
        lines = (shared_data / "phoenix" / "multisigner" / name).read_text(encoding="utf-8").splitlines()[1:]
        return [line.split("|")[3].split() for line in lines]

    estimate = kneser_ney(sentences("train.corpus.csv"))
    assert estimate.fallbacks == ()
    result = estimate.model.perplexity(sentences("dev.corpus.csv"))
    # Unigrams give 170: grammar tells more than half. Counted at hand-over: 5,540 words in 540 sentences.
    assert (result.sentences, result.words) == (540, 5540)
    assert 60 < result.value < 70
