"""Who is chosen for dev: strangers without whom train keeps every gloss."""

import pytest

from signloom.corpus.splits import check_dev_signers, choose_dev_signers
from signloom.errors import Faults, InputError

AUTO = ["auto"]


def once(glosses: str) -> dict[str, int]:
    return dict.fromkeys(glosses, 1)


def people(count: int, glosses: str = "AB") -> dict[str, dict[str, int]]:
    return {f"p{number}": once(glosses) for number in range(count)}


@pytest.mark.parametrize(("count", "chosen"), [(1, 0), (5, 0), (6, 1), (8, 1), (9, 2), (12, 2), (60, 10)])
def test_one_in_six_from_six_on(count, chosen):
    assert len(choose_dev_signers(people(count), AUTO, seed=0).names) == chosen


def test_nobody_is_chosen_without_whom_train_would_lose_a_gloss():
    # p0 and p1 share C: one of them may leave, not both.
    glosses = people(12) | {"p0": once("ABC"), "p1": once("ABC")}
    names = choose_dev_signers(glosses, AUTO, seed=0).names
    assert len(names) == 2
    assert len({"p0", "p1"} & set(names)) == 1
    everyone_alone = {f"p{number}": {f"G{number}": 1} for number in range(9)}
    assert "train would lose a gloss" in choose_dev_signers(everyone_alone, AUTO, seed=0).why_none


def test_nobody_is_chosen_who_signs_more_than_a_quarter():
    # busy covers most glosses, with 60 of 100 signs; named or asked for by number, it may go.
    glosses = {**people(9, "ABCD"), "busy": once("ABCDE") | {"A": 56}, "base": once("ABCDE") | {"Z": 3}}
    assert not {"busy", "base"} & set(choose_dev_signers(glosses, AUTO, seed=0).names)
    assert "busy" in choose_dev_signers(glosses, ["1"], seed=0).names
    # Two of 9 alike are 22 %. Of six, of whom five sign as much as the sixth alone, nobody but one of the five.
    assert len(choose_dev_signers(people(9), AUTO, seed=0).names) == 2
    half = {**people(5), "p5": {"A": 5, "B": 5}}
    assert {choose_dev_signers(half, AUTO, seed=seed).names for seed in range(20)} <= {(f"p{n}",) for n in range(5)}


def test_dev_covers_most_glosses_and_the_seed_decides_among_equals():
    glosses = {**people(10), "wide": once("ABCDE"), "base": once("ABCDEFZ"), "rare": once("F")}
    # Only base has Z. Of the others, wide adds most, then the one with the gloss that wide lacks.
    assert choose_dev_signers(glosses, AUTO, seed=0).names == ("rare", "wide")
    chosen = {choose_dev_signers(people(6), AUTO, seed=seed).names for seed in range(30)}
    assert len(chosen) > 2


def test_neither_order_nor_repeats_change_the_choice():
    glosses = people(12) | {"p3": once("ABC"), "p4": once("ABC")}
    backwards = {name: dict.fromkeys(reversed(glosses[name]), 2) for name in reversed(glosses)}
    assert choose_dev_signers(glosses, AUTO, seed=4) == choose_dev_signers(backwards, AUTO, seed=4)


def test_a_number_and_names():
    assert len(choose_dev_signers(people(4), ["2"], seed=0).names) == 2
    assert choose_dev_signers(people(4), ["p3", "p0"], seed=0).names == ("p0", "p3")
    assert choose_dev_signers({"2": once("A"), "3": once("A"), "4": once("A")}, ["2"], seed=0).names == ("2",)
    for number in ("0", "-1", "4", "12345678"):
        with pytest.raises(InputError, match="3 signers of 4 can be chosen"):
            choose_dev_signers(people(4), [number], seed=0)
    with pytest.raises(InputError, match="no signer 'p9'"):
        choose_dev_signers(people(4), ["p0", "p9"], seed=0)


@pytest.mark.parametrize("wanted", [[], ["a", "a"], ["auto", "a"], ["known", "2"]])
def test_options_that_contradict_themselves_are_refused(wanted):
    check_dev_signers(wanted, faults := Faults("compose"))
    assert faults
