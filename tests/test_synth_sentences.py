"""What simulated signers say: a grammar that a language model can learn, and the sentences of real corpora."""

import gzip
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perplexity import perplexities
from signloom.corpus import Corpus
from signloom.errors import InputError
from signloom.synth import grammar as grammar_module
from signloom.synth.dials import Dials
from signloom.synth.grammar import (
    CLASSES,
    OFF,
    ON,
    POINTING,
    REST,
    REST_GLOSSES,
    SPECIAL_GLOSSES,
    make_grammar,
)
from signloom.synth.sentences import GlossSentence, read_sentences, split_of, vocabulary_of
from signloom.vocabulary import check_gloss

pytestmark = pytest.mark.slow


def draw_many(count, num_signs=1117, *, lengths=(2, 28), **options):
    dials = {"grammar": 1.0, "zipf": 1.15, "pointing": 0.03, "repeats": 0.05} | options
    seed = dials.pop("seed", 0)
    grammar = make_grammar(num_signs, seed=seed, dials=Dials(preset="clean", **dials))
    return grammar, [grammar.draw(np.random.default_rng([7, number]), *lengths) for number in range(count)]


@pytest.fixture(scope="module")
def spoken():
    return draw_many(4600)


# Grammar


@pytest.mark.parametrize("seed", [0, 1])
def test_a_bigram_model_learns_the_full_grammar(seed):
    _, sentences = draw_many(4600, seed=seed)
    unigram, bigram = perplexities(sentences[:4000], sentences[4000:])
    assert bigram <= 0.5 * unigram
    # PHOENIX-2014 SI5: unigram 188 and 159, bigram 92 and 62 on dev and on a tenth of train itself.
    assert 140 < unigram < 260
    assert bigram > 40


def test_without_grammar_there_is_nothing_to_learn():
    _, sentences = draw_many(4600, grammar=0.0)
    unigram, bigram = perplexities(sentences[:4000], sentences[4000:])
    assert bigram == pytest.approx(unigram, rel=0.01)


def test_more_grammar_is_more_predictable():
    ratios = []
    for strength in (0.3, 0.6, 0.8, 1.0):
        _, sentences = draw_many(2200, grammar=strength)
        unigram, bigram = perplexities(sentences[:2000], sentences[2000:])
        ratios.append(bigram / unigram)
    assert ratios == sorted(ratios, reverse=True)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_the_grammar_leaves_the_frequencies_as_they_are(strength):
    grammar, sentences = draw_many(4000, 300, zipf=1.0, grammar=strength, repeats=0.0)
    counts = Counter(sign for sentence in sentences for sign in sentence if sign >= 0)
    shares = np.array([counts[sign] for sign in range(300)]) / counts.total()
    # Half the summed difference: what chance alone leaves at 45,000 draws is about 0.03.
    assert np.abs(shares - grammar.frequencies).sum() / 2 < 0.06
    assert np.corrcoef(shares, grammar.frequencies)[0, 1] > 0.97


def test_ranks_and_frequencies_follow_zipf(spoken):
    counts = Counter(sign for sentence in spoken[1] for sign in sentence if sign >= 0)
    frequencies = np.sort(list(counts.values()))[::-1][:300]
    ranks = np.arange(1, 301)
    # Mandelbrot's law is straight over the ranks plus its offset, with the exponent as its slope.
    slope, offset = np.polyfit(np.log(ranks + 2.7), np.log(frequencies), 1)
    assert slope == pytest.approx(-1.15, abs=0.06)
    assert np.abs(slope * np.log(ranks + 2.7) + offset - np.log(frequencies)).mean() < 0.1
    assert -1.2 < np.polyfit(np.log(ranks), np.log(frequencies), 1)[0] < -0.8


def test_without_zipf_all_signs_are_equally_frequent():
    grammar, sentences = draw_many(3000, 50, zipf=0.0)
    counts = Counter(sign for sentence in sentences for sign in sentence if sign >= 0)
    assert np.ptp(grammar.frequencies) < 1e-12
    assert min(counts[sign] for sign in range(50)) > 0.7 * counts.total() / 50
    assert max(counts.values()) < 1.4 * counts.total() / 50


@pytest.mark.parametrize("num_signs", [1, 2, 5, 9, 40, 400])
def test_every_sign_is_reached(num_signs):
    grammar, sentences = draw_many(6000 if num_signs > 100 else 1500, num_signs, zipf=1.0)
    assert {sign for sentence in sentences for sign in sentence if sign >= 0} == set(range(num_signs))
    assert grammar.num_signs == num_signs
    if num_signs >= 400:
        assert set(grammar.classes) == set(range(len(CLASSES)))


def test_lengths_are_those_of_phoenix_where_there_is_room(spoken):
    lengths = np.array([len(sentence) for sentence in spoken[1]])
    # PHOENIX-2014 SI5 train: mean 11.4, standard deviation 3.6, from 2 to 28.
    assert lengths.mean() == pytest.approx(11.4, abs=0.3)
    assert lengths.std() == pytest.approx(3.6, abs=0.3)
    even = np.array([len(sentence) for sentence in draw_many(2000, 40, lengths=(3, 8), grammar=0.0)[1]])
    assert np.bincount(even)[3:].min() > 250
    bell = np.bincount([len(sentence) for sentence in draw_many(2000, 40, lengths=(3, 8))[1]])
    assert bell[3] < bell[5] > bell[8]


@given(
    num_signs=st.integers(1, 30),
    strength=st.sampled_from([0.0, 0.5, 1.0]),
    share=st.sampled_from([0.0, 0.1, 0.5]),
    rest=st.booleans(),
    low=st.integers(1, 9),
    more=st.integers(0, 25),
    seed=st.integers(0, 99),
)
def test_sentences_keep_to_their_bounds(num_signs, strength, share, rest, low, more, seed):
    dials = Dials(preset="clean", grammar=strength, zipf=1.0, pointing=share, repeats=share, rest_glosses=rest)
    grammar = make_grammar(num_signs, seed=seed, dials=dials)
    sentence = grammar.draw(np.random.default_rng(seed), low, low + more)
    assert low <= len(sentence) <= low + more
    assert all(0 <= sign < num_signs or sign in SPECIAL_GLOSSES for sign in sentence)
    assert any(sign >= 0 for sign in sentence)
    assert not set(sentence[1:]) & {ON}
    assert not set(sentence[:-1]) & {OFF}
    assert sentence == grammar.draw(np.random.default_rng(seed), low, low + more)
    if share == 0:
        assert not set(sentence) & set(POINTING)


def test_the_same_seed_is_the_same_grammar():
    first, again, other = (draw_many(20, 200, seed=seed)[1] for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_clauses_are_in_order_and_questions_last(spoken):
    grammar, sentences = spoken
    name = {sign: CLASSES[word_class] for sign, word_class in enumerate(grammar.classes)}
    follows: Counter = Counter()
    questions = 0
    for sentence in sentences:
        words = [name[sign] for sign in sentence if sign >= 0]
        follows.update(pairwise(words))
        questions += words[-1] == "question"
        assert "question" not in words[:-2] or words[-1] == "question"
    # Topic before comment, negation after the verb; only the border of two clauses turns that round.
    for early, late in (("time", "noun"), ("place", "noun"), ("noun", "verb"), ("verb", "negation"), ("time", "place")):
        assert follows[early, late] > 2 * follows[late, early], (early, late)
    assert 0.03 < questions / len(sentences) < 0.09


def test_pointing_and_repetition_are_as_frequent_as_asked():
    for share in (0.02, 0.1):
        _, sentences = draw_many(2000, pointing=share, repeats=share, grammar=1.0, zipf=0.5)
        signs = [sign for sentence in sentences for sign in sentence]
        assert sum(sign in POINTING for sign in signs) / len(signs) == pytest.approx(share, rel=0.15)
        repeated = sum(a == b for sentence in sentences for a, b in pairwise(sentence))
        assert repeated / len(signs) == pytest.approx(share, rel=0.25)


def test_a_referent_keeps_its_place_and_shares_it_with_none(monkeypatch):
    # Without pronouns every pointing stands behind the sign that it points to.
    monkeypatch.setattr(grammar_module, "_PRONOUNS", 0.0)
    several = 0
    for sentence in draw_many(2000, pointing=0.2, repeats=0.0)[1]:
        places: dict[int, int] = {}
        referent = sentence[0]
        for sign in sentence:
            if sign >= 0:
                referent = sign
            elif referent not in places:
                # The fifth has to share.
                assert sign not in places.values() or len(places) >= len(POINTING)
                places[referent] = sign
            else:
                assert places[referent] == sign
        several += len(places) > 1
    assert several > 500


def test_a_pronoun_takes_up_an_earlier_referent_before_a_verb(monkeypatch):
    monkeypatch.setattr(grammar_module, "_PRONOUNS", 1.0)
    grammar, sentences = draw_many(2000, pointing=0.1, repeats=0.0)
    behind = Counter(
        (CLASSES[grammar.classes[a]], CLASSES[grammar.classes[b]])
        for sentence in sentences
        for a, point, b in zip(sentence, sentence[1:], sentence[2:], strict=False)
        if point in POINTING and a >= 0 and b >= 0
    )
    pronouns = sum(count for (before, after), count in behind.items() if before == "number" and after == "verb")
    assert pronouns > 50


def test_rest_glosses_stand_at_the_ends_as_often_as_on_phoenix():
    _, sentences = draw_many(3000, rest_glosses=True)
    assert np.mean([sentence[0] == ON for sentence in sentences]) == pytest.approx(0.45, abs=0.03)
    assert np.mean([sentence[-1] == OFF for sentence in sentences]) == pytest.approx(0.49, abs=0.03)
    _, without = draw_many(300)
    assert not any(set(sentence) & set(REST) for sentence in without)


def test_special_signs_have_glosses_of_their_own():
    assert [SPECIAL_GLOSSES[sign] for sign in POINTING] == ["IX-1", "IX-2", "IX-3", "IX-4"]
    assert REST_GLOSSES == ("__ON__", "__OFF__")
    assert len(set(SPECIAL_GLOSSES.values())) == len(SPECIAL_GLOSSES) == len(POINTING) + len(REST)
    for sign, gloss in SPECIAL_GLOSSES.items():
        assert sign < 0
        check_gloss(gloss, "special")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grammar": 1.1}, "grammar is 1.1; needed a share from 0 to 1"),
        ({"zipf": -1.0}, "zipf is -1; needed 0 to 3"),
        ({"zipf": float("nan")}, "zipf is nan; needed 0 to 3"),
        ({"pointing": 0.6}, "pointing is 0.6; needed a share from 0 to 0.5"),
        ({"repeats": -0.1, "pointing": 2.0}, "synth: 2 faults"),
    ],
)
def test_a_grammar_out_of_range_is_refused(options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Dials(preset="clean", **options)


def test_lengths_out_of_range_are_refused():
    grammar, _ = draw_many(0, 10)
    for low, high in ((0, 3), (4, 3)):
        with pytest.raises(InputError, match=f"grammar: {low} to {high} glosses; needed 1 <= min <= max"):
            grammar.draw(np.random.default_rng(0), low, high)


# Perplexity


def test_the_perplexity_of_a_fair_coin_is_two():
    rng = np.random.default_rng(0)
    # Sentences of one gloss each: the end follows for certain, the gloss is one of two.
    sentences = [("HEADS",) if side else ("TAILS",) for side in rng.random(20_000) < 0.5]
    unigram, bigram = perplexities(sentences[:19_000], sentences[19_000:])
    # Unigram: half of the events are the end, a quarter each side: 2 ** 1.5. Bigram: 1 bit in every two events.
    assert unigram == pytest.approx(2**1.5, rel=0.01)
    assert bigram == pytest.approx(2**0.5, rel=0.01)


def test_an_unknown_gloss_costs_both_models_but_is_not_impossible():
    train = [("A", "B")] * 50
    unigram, bigram = perplexities(train, [("A", "B"), ("A", "NEVER-SEEN")])
    assert np.isfinite(unigram)
    assert np.isfinite(bigram)
    assert unigram > perplexities(train, [("A", "B")])[0]


def test_perplexities_need_sentences():
    with pytest.raises(InputError, match="perplexities: 3 sentences to train, 1 to test; needed 10 and 1 or more"):
        perplexities([("A",)] * 3, [("A",)])


# Sentences of corpora


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


PHOENIX = "id|folder|signer|annotation\none|one/1/*.png|Signer01|__ON__ MORGEN  REGEN loc-NORD __OFF__\n"
FORMS = {
    "train.SI5.corpus.csv": (PHOENIX, ("one", "train", "Signer01")),
    "PHOENIX-2014-T.dev.corpus.csv": (
        "name|video|start|end|speaker|orth|translation\n"
        "one|one/1/*.png|-1|-1|Signer01|__ON__ MORGEN REGEN loc-NORD __OFF__|morgen regnet es im norden\n",
        ("one", "dev", "Signer01"),
    ),
    "isharah-SI-test.csv": ("id|gloss\none|__ON__ MORGEN REGEN loc-NORD __OFF__\n", ("one", "test", None)),
    "commas.csv": ('id,gloss\none,"__ON__ MORGEN REGEN loc-NORD __OFF__"\n', ("one", None, None)),
    "tabs.tsv": ("gloss\tid\n__ON__ MORGEN REGEN loc-NORD __OFF__\tone\n", ("one", None, None)),
    "video_map.txt": (
        "index|name|length|gloss|char|word|postag\n1|one|62|__ON__ MORGEN REGEN loc-NORD __OFF__|a b|ab|n\n",
        ("one", None, None),
    ),
    "manifest.jsonl": (
        '{"id": "one", "split": "test", "signer": "A", "num_frames": 9, '
        '"glosses": ["__ON__", "MORGEN", "REGEN", "loc-NORD", "__OFF__"]}\n',
        ("one", "test", "A"),
    ),
    "reference-dev.stm": (
        ";; a comment\none 1 Signer01 0.0 1.79769e+308 <o,f0> __ON__ MORGEN REGEN loc-NORD __OFF__\n",
        ("one", "dev", "Signer01"),
    ),
    "sentences.txt": ("__ON__ MORGEN REGEN loc-NORD __OFF__\n", (None, None, None)),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("saved", ["plain", "on Windows", "packed"])
def test_every_form_is_recognised(tmp_path, name, saved):
    text, told = FORMS[name]
    data = text.encode()
    if saved == "packed":
        name, data = f"{name}.gz", gzip.compress(data)
    elif saved == "on Windows":
        data = b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n") + b"\r\n"
    (sentence,) = read_sentences(write(tmp_path, name, data))
    assert sentence == GlossSentence(*told, ("__ON__", "MORGEN", "REGEN", "loc-NORD", "__OFF__"))


def test_a_corpus_of_ours_is_read_by_its_folder(tiny_corpus):
    utterances = Corpus.open(tiny_corpus).utterances
    sentences = read_sentences(tiny_corpus)
    assert sentences == read_sentences(tiny_corpus / "manifest.jsonl")
    assert sentences == tuple(GlossSentence(u.id, u.split, u.signer, u.glosses) for u in utterances)


def test_glosses_are_taken_as_they_are_written(tmp_path):
    text = 'lower case 42 __ON__ IX-1\nأنا اسم\nمَرْحَبًا می‌خواهم\n你好 GEH/KOMM+ ,  ß #X "Q"\n'
    glosses = [sentence.glosses for sentence in read_sentences(write(tmp_path, "any.txt", text))]
    assert glosses[0] == ("lower", "case", "42", "__ON__", "IX-1")
    assert glosses[1] == ("أنا", "اسم")
    # The zero-width non-joiner is part of the Persian word.
    assert glosses[2] == ("مَرْحَبًا", "می‌خواهم")
    assert glosses[3] == ("你好", "GEH/KOMM+", ",", "ß", "#X", '"Q"')


def test_several_files_make_one_corpus(tmp_path):
    paths = [
        write(tmp_path, f"{split}.corpus.csv", f"id|gloss\n{split}-1|A B\n{split}-2|B C\n")
        for split in ("train", "dev", "test")
    ]
    sentences = read_sentences(paths)
    assert [sentence.split for sentence in sentences] == ["train"] * 2 + ["dev"] * 2 + ["test"] * 2
    assert vocabulary_of(sentences) == ("B", "A", "C")
    copy = write(tmp_path, "copy.csv", paths[1].read_text())
    with pytest.raises(InputError, match=r"copy.csv:2 \(dev-1\): its id already occurs at .*dev.corpus.csv:2"):
        read_sentences([paths[1], copy])


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.SI5.corpus.csv", "train"),
        ("dev.SI5.DERIVED.corpus.csv", "dev"),
        ("isharah-SI-test.csv", "test"),
        ("TEST_2.txt", "test"),
        ("training.csv", "train"),
        ("latest.csv", None),
        ("device.csv", None),
        ("train-and-dev.csv", None),
        ("sentences.csv", None),
    ],
)
def test_the_split_is_told_by_the_name(name, split):
    assert split_of(Path(name)) == split


def test_the_vocabulary_is_sorted_by_frequency_and_leaves_out_rest():
    sentences = [
        GlossSentence(None, None, None, tuple(text.split())) for text in ("__ON__ B a A __OFF__", "C B __ON__", "a")
    ]
    assert vocabulary_of(sentences) == ("B", "a", "A", "C")
    assert vocabulary_of([]) == ()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "id|gloss\n1|A\n2|\n", "a.csv:3 (2): the sentence is empty; needed at least one gloss"),
        ("a.csv", "id|gloss\n1|A\n2|   \n", "a.csv:3 (2): the sentence is empty"),
        ("a.csv", "id|gloss\n1|A\n|B\n", "a.csv:3: the id is empty"),
        ("a.csv", "id|gloss\n1|A|B\n", "a.csv:2 (1): 3 fields; needed 2, as in the first line"),
        ("a.csv", "id|gloss\n1|A\n\n1|B\n", "a.csv:4 (1): its id already occurs at"),
        ("a.csv", "id|words\n1|A\n", "a.csv:1: no column annotation or orth or gloss or glosses; got id|words, needed"),
        ("a.csv", "1|A B C\n2|B\n", "a.csv:1: no column id or name, no column annotation"),
        ("a.csv", "id|gloss|gloss\n1|A|B\n", "a.csv:1: column gloss occurs twice; got id|gloss|gloss"),
        ("a.csv", "id|gloss\n", "a.csv: no rows below the column names"),
        ("a.csv", b"id|gloss\n1|A\n2|SCH\xd6N\n", "a.csv:3: not UTF-8"),
        ("a.csv", "", "a.csv: empty; needed sentences"),
        ("a.csv", b"\xef\xbb\xbf\r\n \r\n", "a.csv: empty; needed sentences"),
        ("a.txt", "A B\n" + "A " * 201, "a.txt:2: 201 glosses; needed at most 200: one sentence per line"),
        ("a.txt", "A \u200b B\n", "a.txt:1: gloss 2 of 3, '\\u200b', has no visible letter"),
        ("a.txt", "A B\0C\n", "a.txt:1: a null character; needed a text file"),
        ("a.txt", "A B\x9bC\n", "a.txt:1: gloss 'B\\x9bC' (3 characters) is too long or has control characters"),
        ("a.txt", "A <blank>\n", "a.txt:1: gloss 2 of 2, '<blank>', is reserved; rename it"),
        ("a.stm", ";; nothing\n", "a.stm: only comments, no sentences"),
        ("a.stm", "1 A B\n", "a.stm:1: 3 fields; needed id channel signer start end and the glosses"),
        ("a.stm", "1 1 S 0 1\n", "a.stm:1 (1): the sentence is empty"),
        ("a.jsonl", '{"id": "1", "glosses": ["A", "", "B"]}', "a.jsonl:1 (1): gloss '' is empty or has white space"),
        ("a.jsonl", '{"id": "1", "glosses": ["A", "GOOD JOB"]}', "needed one word such as 'GOOD-JOB' (number 2 of 2)"),
        ("a.jsonl", '{"id": "1", "glosses": ["A\\ud800"]}', "\\ud800, half of a character without its other half"),
        ("a.jsonl", '{"id": "1", "glosses": []}', "a.jsonl:1 (1): the sentence is empty"),
        ("a.jsonl", '{"id": "1", "glosses": "A B"}', "a.jsonl:1: no list of glosses"),
        ("a.jsonl", '{"id": 1, "glosses": ["A"]}', "a.jsonl:1: 'id' is 1; needed a text, not empty"),
        ("a.jsonl", '{"id": "1", "split": "val", "glosses": ["A"]}', "split is 'val'; needed one of train, dev, test"),
        ("a.jsonl", '{"glosses": ["A"]}\n[1]\n{"glo', "a.jsonl:2: no list of glosses"),
        ("a.jsonl", '{"glosses": ["A"]}\n[1]\n{"glo', "a.jsonl:3: not JSON"),
    ],
)
def test_faults_are_told_with_their_place(tmp_path, name, text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_sentences(write(tmp_path, name, text))


def test_all_faults_of_all_files_are_shown_together(tmp_path):
    first = write(tmp_path, "train.csv", "id|gloss\n1|A\n2|\n3\n")
    second = write(tmp_path, "dev.csv", "id|gloss\n1|A\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        read_sentences([first, second, tmp_path / "none.csv", tmp_path / "empty"])
    text = str(caught.value)
    assert text.startswith("sentences: 5 faults")
    assert "train.csv:4 (3): 1 field; needed 2" in text
    assert "train.csv:3 (2): the sentence is empty" in text
    assert "dev.csv:2 (1): its id already occurs at" in text
    assert "none.csv: cannot be read (No such file or directory)" in text
    assert "empty: a folder without manifest.jsonl; give the annotation files themselves" in text
    with pytest.raises(InputError, match="sentences: no file given"):
        read_sentences([])


@given(st.binary(max_size=300), st.sampled_from(["a.csv", "a.stm", "a.jsonl"]))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data, name):
    path = write(tmp_path_factory.mktemp("bytes"), name, data)
    try:
        sentences = read_sentences(path)
    except InputError:
        return
    assert sentences
    assert all(sentence.glosses for sentence in sentences)
    for gloss in vocabulary_of(sentences):
        check_gloss(gloss, name)


def test_real_phoenix_is_read_whole(shared_data):
    phoenix = shared_data / "phoenix"
    train = read_sentences(phoenix / "si5" / "train.SI5.corpus.csv")
    # The raw counts of the release's README; the vocabulary is without __ON__ and __OFF__.
    assert len(train) == 4376
    assert {sentence.split for sentence in train} == {"train"}
    assert len({sentence.signer for sentence in train}) == 8
    assert len({gloss for sentence in train for gloss in sentence.glosses}) == 1117
    vocabulary = vocabulary_of(train)
    assert len(vocabulary) == 1115
    assert vocabulary[0] == "REGEN"
    everything = read_sentences([phoenix / "multisigner" / f"{split}.corpus.csv" for split in ("train", "dev", "test")])
    assert Counter(sentence.split for sentence in everything) == {"train": 5672, "dev": 540, "test": 629}
    dev = read_sentences(phoenix / "si5" / "dev.SI5.DERIVED.corpus.csv")
    assert {sentence.split for sentence in dev} == {"dev"}
    assert len(read_sentences(phoenix / "stm" / "phoenix2014-groundtruth-test.stm")) == 629


def test_simulated_sentences_are_as_predictable_as_real_ones(shared_data):
    folder = shared_data / "phoenix" / "si5"
    train = [sentence.glosses for sentence in read_sentences(folder / "train.SI5.corpus.csv")]
    real = perplexities(train[:3900], train[3900:])
    _, sentences = draw_many(4376, rest_glosses=True, repeats=0.06)
    simulated = perplexities(sentences[:3900], sentences[3900:])
    # The same kind of text, not the same: each figure within a half of the real one, the ratio within a fifth.
    assert simulated == pytest.approx(real, rel=0.5)
    assert simulated[1] / simulated[0] == pytest.approx(real[1] / real[0], abs=0.2)
