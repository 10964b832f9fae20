"""What each scoring rule does to reference and hypothesis, case by case."""

from __future__ import annotations

import json

import pytest

from signloom.errors import InputError
from signloom.score import cleanup
from signloom.score.alternations import Alternation, align_items
from signloom.score.protocols import EMPTY, PROTOCOLS, VARIANTS, protocol_named
from signloom.score.text import summary
from signloom.score.wer import Score, score


def cleaned(protocol: str, sentence: str, side: str = "hypothesis") -> str:
    rule = protocol_named(protocol)
    clean = rule.clean_hypothesis if side == "hypothesis" else rule.clean_reference
    return " ".join(clean(sentence.split()))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("loc-NORD", "NORD"),
        ("cl-KOMMEN", "KOMMEN"),
        ("qu-WAS", "WAS"),
        ("poss-SEIN", "SEIN"),
        ("lh-WOLKE", "WOLKE"),
        # deleted wherever it stands, also more than once
        ("loc-cl-NORD", "NORD"),
        ("NORD-loc-OST", "NORD-OST"),
        ("S0NNE", "SONNE"),
        ("HABEN2", "HABEN"),
        ("REGEN__PU__", "REGEN"),
        ("ZEIGEN", "ZEIGEN-BILDSCHIRM"),
        ("loc-ZEIGEN", "ZEIGEN-BILDSCHIRM"),
        # every word that ends so, and only at its end when the rule comes, which is before -PLUSPLUS goes
        ("ANZEIGEN", "ANZEIGEN-BILDSCHIRM"),
        ("ZEIGEN-PLUSPLUS", "ZEIGEN"),
        ("ZEIGEN-BILDSCHIRM", "ZEIGEN-BILDSCHIRM"),
        ("NORDRAUM", "NORD"),
        ("SUEDRAUM-PLUSPLUS", "SUED"),
        # two letters of A-Z must stand before RAUM; then it goes wherever it is
        ("RAUM", "RAUM"),
        ("ARAUM", "ARAUM"),
        ("NORDRAUMX", "NORDX"),
        ("REGEN-PLUSPLUS", "REGEN"),
        ("__ON__", "__ON__"),
        ("__OFF__", "__OFF__"),
        # small letters are no A-Z
        ("nordraum", "nordraum"),
    ],
)
def test_the_clean_up_of_phoenix2014_word_by_word(word, expected):
    assert cleaned("phoenix2014", word) == expected
    # references stay as they are
    assert cleaned("phoenix2014", word, "reference") == word


@pytest.mark.parametrize("word", ["__EMOTION__", "__PU__", "__LEFTHAND__", "__EPENTHESIS__", "loc-", "X__EPENTHESIS__"])
def test_words_that_phoenix2014_drops(word):
    assert cleaned("phoenix2014", f"A {word} B") == "A B"
    assert cleaned("phoenix2014", word) == EMPTY


def test_rules_over_several_words_do_not_fire_on_single_words():
    assert cleaned("phoenix2014", "WIE AUSSEHEN A B MORGEN MORGEN") == "WIE AUSSEHEN A B MORGEN MORGEN"


@pytest.mark.parametrize(
    ("given", "hypothesis", "reference"),
    [
        ("__ON__ A __OFF__", "A", "A"),
        ("loc-NORD cl-KOMMEN loc-cl-X", "NORD KOMMEN X", "NORD KOMMEN X"),
        # only those that 2014 T has
        ("poss-SEIN HABEN2 ZEIGEN", "poss-SEIN HABEN2 ZEIGEN", "poss-SEIN HABEN2 ZEIGEN"),
        ("NORDRAUM RAUM REGEN-PLUSPLUS", "NORD RAUM REGEN", "NORD RAUM REGEN"),
        ("WIE AUSSEHEN", "WIE AUSSEHEN", "WIE-AUSSEHEN"),
        ("REGEN A S WIND", "REGEN A S WIND", "REGEN A+S WIND"),
        ("A S WIND", "A S WIND", "A+S WIND"),
        # in references only words of A-Z
        ("MORGEN MORGEN IX IX GRÜN GRÜN", "MORGEN IX GRÜN", "MORGEN IX GRÜN GRÜN"),
        ("REGEN-A REGEN-A", "REGEN-A", "REGEN-A REGEN-A"),
        # after clean-up these are repeats
        ("NORDRAUM loc-NORD", "NORD", "NORD"),
    ],
)
def test_the_clean_up_of_phoenix2014t(given, hypothesis, reference):
    assert cleaned("phoenix2014t", given) == hypothesis
    assert cleaned("phoenix2014t", given, "reference") == reference


def test_a_mark_keeps_repeats_of_a_2014t_reference_apart():
    # its place stays as a second space in the script, over which the rule for repeats does not reach
    assert cleaned("phoenix2014t", "MORGEN __ON__ MORGEN", "reference") == "MORGEN MORGEN"
    assert cleaned("phoenix2014t", "MORGEN __ON__ MORGEN") == "MORGEN"
    assert cleaned("phoenix2014t", "MORGEN __EMOTION__ MORGEN", "reference") == "MORGEN"


@pytest.mark.parametrize("protocol", ["plain", "isharah", "csl-daily"])
def test_rules_that_leave_the_glosses_as_they_stand(protocol):
    for side in ("hypothesis", "reference"):
        assert cleaned(protocol, "loc-NORD __ON__ 你好 你好 هو", side) == "loc-NORD __ON__ 你好 你好 هو"
    assert cleaned(protocol, "") == ""


@pytest.mark.parametrize(
    ("protocol", "given", "expected"),
    [
        ("phoenix2014+without_on_off", "__ON__ loc-A __OFF__ A", "A A"),
        ("phoenix2014+merge_repeats", "loc-A A B __PU__ B", "A B"),
        ("phoenix2014+without_on_off+merge_repeats", "A __ON__ A", "A"),
        ("plain+without_on_off", "__ON__ A loc-A", "A loc-A"),
        ("plain+normalise_unicode", "U\u0308BER A\u200b \ufeff", "\u00dcBER A"),
        ("phoenix2014+sentence_cleanup", "WIE AUSSEHEN A S MORGEN MORGEN", "WIE-AUSSEHEN A+S MORGEN"),
        ("phoenix2014+sentence_cleanup", "ZEIGEN A ZEIGEN", "ZEIGEN-BILDSCHIRM A ZEIGEN-BILDSCHIRM"),
        ("phoenix2014+sentence_cleanup", "A S loc-NORDRAUM __EPENTHESIS__ NORD", "A+S NORD"),
        # a chain at the beginning falls apart, as in the scripts: one of their rules writes a space for a +
        ("phoenix2014t+sentence_cleanup", "W E T T WIE AUSSEHEN __ON__ IX IX", "W E+T+T WIE-AUSSEHEN IX"),
        ("phoenix2014t+sentence_cleanup", "A S WIND T V", "A+S WIND T+V"),
    ],
)  # fmt: skip
def test_variants(protocol, given, expected):
    assert cleaned(protocol, given) == expected


def test_sentence_clean_up_changes_references_too():
    assert cleaned("phoenix2014+sentence_cleanup", "WIE AUSSEHEN loc-NORD", "reference") == "WIE-AUSSEHEN NORD"


def test_a_variant_is_named_with_the_number_it_made():
    made = score([("u", ["A"], ["A", "A"])], protocol="phoenix2014+merge_repeats")
    assert (made.protocol, made.errors) == ("phoenix2014+merge_repeats", 0)
    assert "but, as variant merge_repeats, repeated glosses are merged on both sides" in made.rule
    assert summary(made).startswith("WER 0.00 % by phoenix2014+merge_repeats  (95% interval")
    assert made.to_json()["protocol"] == "phoenix2014+merge_repeats"
    assert Score.from_json(made.to_json()) == made


def test_the_order_in_which_variants_are_given_does_not_matter():
    name = "phoenix2014+without_on_off+merge_repeats"
    assert protocol_named("phoenix2014+merge_repeats+without_on_off").name == name
    assert protocol_named("phoenix2014+merge_repeats+merge_repeats+without_on_off").name == name


def test_rules_that_are_not_known():
    with pytest.raises(InputError, match="'phoenix2014T' is not known; did you mean 'phoenix2014t'"):
        protocol_named("phoenix2014T")
    with pytest.raises(
        InputError, match=r"'without_onoff' of scoring rule 'plain' is not known; did you mean 'without_on"
    ):
        protocol_named("plain+without_onoff")
    with pytest.raises(InputError, match=r"'isharah' cleans nothing.*phoenix2014, phoenix2014t"):
        protocol_named("isharah+sentence_cleanup")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_rule_says_how_it_counts(name):
    assert "substitution 4, insertion 3, deletion 3" in protocol_named(name).rule
    for variant in VARIANTS:
        if variant != "sentence_cleanup" or protocol_named(name).sentence:
            assert variant in protocol_named(f"{name}+{variant}").rule


def test_a_hypothesis_left_without_glosses_counts_as_empty():
    made = score([("u1", ["A", "B"], []), ("u2", ["A"], ["__PU__"]), ("u3", [], [])], protocol="phoenix2014")
    assert [item.alignment.hypothesis for item in made.utterances] == [(EMPTY,)] * 3
    assert (made.substitutions, made.deletions, made.insertions) == (2, 1, 1)
    made = score([("u1", ["A", "B"], [])], protocol="isharah")
    assert (made.substitutions, made.deletions, made.insertions) == (0, 2, 0)


def test_what_was_given_is_kept_beside_what_was_scored():
    made = score([("u1", ["A"], ["loc-A"]), ("u2", ["B"], ["B"])], protocol="phoenix2014")
    first, second = made.utterances
    assert (first.alignment.hypothesis, first.given_hypothesis, first.given_reference) == (("A",), ("loc-A",), None)
    assert second.given_hypothesis is None
    assert [item.hypothesis_as_given for item in made.utterances] == [("loc-A",), ("B",)]
    record = json.loads(json.dumps(made.to_json()))
    assert record["utterances"][0]["given_hypothesis"] == ["loc-A"]
    assert "given_hypothesis" not in record["utterances"][1]
    assert Score.from_json(record) == made


UM = Alternation((("UM",), ("UH",), (None,)))


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        (["A", UM, "B"], ["A", "B"], (("A", "B"), "CC")),
        (["A", UM, "B"], ["A", "uh", "B"], (("A", "UH", "B"), "CCC")),
        # of equal cost the first: one substitution
        (["A", UM, "B"], ["A", "X", "B"], (("A", "B"), "CIC")),
        ([Alternation((("A", "B"), ("C",)))], ["C"], (("C",), "C")),
        ([Alternation((("A", "B"), ("C",)))], [], (("C",), "D")),
        # two words deleted cost 6; inserting beside no word 3
        ([Alternation((("A", "B"), (None,)))], ["X"], ((), "I")),
        ([Alternation((("A", Alternation((("B",), ("C", "D")))), ("E",)))], ["A", "C", "D"], (("A", "C", "D"), "CCC")),
    ],
)
def test_the_wording_that_fits_best_is_taken(reference, hypothesis, expected):
    aligned = align_items(reference=reference, hypothesis=hypothesis)
    assert (aligned.reference, aligned.kinds) == expected


def test_alternatives_under_a_rule_that_would_have_to_change_them():
    assert score([("u", ["A", UM], ["A"])], protocol="phoenix2014").errors == 0
    with pytest.raises(InputError, match=r"score \(u\): reference has alternatives, which the rule 'phoenix2014t'"):
        score([("u", ["A", UM], ["A"])], protocol="phoenix2014t")
    with pytest.raises(InputError, match=r"score \(u\): hypothesis has alternatives"):
        score([("u", ["A"], ["A", UM])], protocol="phoenix2014")


def test_a_string_is_no_list_of_words():
    with pytest.raises(InputError, match=r"score \(u\): reference is the string 'A B'"):
        score([("u", "A B", ["A"])])


def test_repeats_are_merged_once_each():
    assert cleanup.merge_repeats(["A", "A", "B", "A", "A", "A"]) == ["A", "B", "A"]
    assert cleanup.merge_repeats([]) == []
