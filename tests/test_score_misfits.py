"""Hypotheses under the ids of other utterances are told, with the shift; models that are only bad are not accused."""

from __future__ import annotations

import random
import re

import pytest

from signloom import cli
from signloom.score.misfits import misfit_notes

VOCABULARY = [f"G{number}" for number in range(40)]


def sentences(count, rng, *, lengths=(3, 9)):
    """Sentences of glosses by Zipf's law."""
    weights = [1 / (rank + 1) for rank in range(len(VOCABULARY))]
    return [tuple(rng.choices(VOCABULARY, weights, k=rng.randrange(*lengths))) for _ in range(count)]


def recognised(words, accuracy, rng):
    return tuple(word if rng.random() < accuracy else rng.choice(VOCABULARY) for word in words)


def notes(references, hypotheses, names=None):
    names = names or [f"u{number}" for number in range(len(references))]
    return misfit_notes(list(zip(names, references, hypotheses, strict=True)))


@pytest.mark.parametrize("shift", [1, -1, 4, -30])
@pytest.mark.parametrize("accuracy", [1.0, 0.7, 0.35])
def test_a_shift_is_told_with_both_rates(shift, accuracy):
    rng = random.Random(shift)
    references = sentences(200, rng)
    # A part without a partner is recognised as something else.
    shifted = [references[k + shift] if 0 <= k + shift < 200 else references[0] for k in range(200)]
    (note,) = notes(references, [recognised(words, accuracy, rng) for words in shifted])
    way = "further on" if shift > 0 else "before"
    lines = f"{abs(shift)} line{'s' * (abs(shift) > 1)}"
    found = re.match(rf"the hypotheses fit the references {lines} {way}: WER (\S+) % instead of (\S+) %", note)
    assert found
    # A substituted word in 1 - accuracy, some of them right by chance.
    assert float(found[1]) == pytest.approx(100 * (1 - accuracy), abs=8)
    assert float(found[2]) > 75
    assert "is a line missing, or does one file count from 0 and one from 1?" in note


def test_few_utterances_of_a_good_model_are_enough():
    references = sentences(8, random.Random(1))
    assert "1 line further on: WER 0.00 %" in notes(references, [*references[1:], ("X",)])[0]


def test_a_shift_in_the_order_of_ids_is_told_where_the_lines_are_shuffled():
    rng = random.Random(2)
    references = sentences(100, rng)
    order = rng.sample(range(100), 100)
    names = [f"clip{k}" for k in order]
    hypotheses = [references[(k + 1) % 100] for k in order]
    (note,) = notes([references[k] for k in order], hypotheses, names)
    assert "1 line further on, in the order of their ids: WER 0.00 %" in note


def test_other_orders_are_told_where_whole_sentences_are_right():
    rng = random.Random(3)
    references = list(dict.fromkeys(sentences(300, rng, lengths=(5, 9))))
    order = rng.sample(range(len(references)), len(references))
    (note,) = notes(references, [recognised(references[k], 0.95, rng) for k in order])
    assert "hypotheses equal the reference of another utterance, each of a different one" in note


CORPORA = {
    "free": lambda count, rng: sentences(count, rng),
    "by length": lambda count, rng: sorted(sentences(count, rng), key=len),
    # The same ten sentences by one signer after another, as in CSL.
    "repeated": lambda count, rng: (sentences(10, rng) * count)[:count],
    "one each": lambda count, rng: [(f"G{k}",) for k in range(count)],
}
MODELS = {
    "blank": lambda refs, rng: [()] * len(refs),
    "random": lambda refs, rng: [tuple(rng.choices(VOCABULARY, k=len(words))) for words in refs],
    "frequent": lambda refs, rng: [("G0", "G1")[: rng.randrange(3)] for _ in refs],
    "constant": lambda refs, rng: [refs[3]] * len(refs),
    "other sentences": lambda refs, rng: [rng.choice(refs) for _ in refs],
    "bad": lambda refs, rng: [recognised(words, 0.1, rng) for words in refs],
    "fair": lambda refs, rng: [recognised(words, 0.5, rng) for words in refs],
    "right": lambda refs, rng: refs,
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("corpus", CORPORA)
def test_a_bad_model_is_not_accused(corpus, model):
    """Of 42,000 corpora and models like these, none was."""
    for seed, count in enumerate((6, 12, 60, 150)):
        rng = random.Random(seed)
        references = CORPORA[corpus](count, rng)
        assert notes(references, MODELS[model](references, rng)) == []


def test_score_and_compare_tell_and_change_nothing(tmp_path, capsys):
    references = sentences(40, random.Random(4))

    def table(name, rows):
        lines = [f"u{number}|{' '.join(words)}" for number, words in enumerate(rows)]
        (tmp_path / name).write_text("\n".join(["id|gloss", *lines]) + "\n", encoding="utf-8")
        return tmp_path / name

    reference = table("ref.csv", references)
    shifted, right = table("shifted.csv", [*references[1:], ("G1",)]), table("right.csv", references)
    assert cli.dispatch(["score", str(reference), str(shifted), "--output", str(tmp_path / "shifted.json")]) == 0
    shown = capsys.readouterr()
    assert "warning: the hypotheses fit the references 1 line further on: WER 0.00 %" in shown.err
    assert "WER 0.00 %" not in shown.out
    for a in (shifted, tmp_path / "shifted.json"):
        assert cli.dispatch(["compare", str(a), str(right), "--reference", str(reference)]) == 0
        assert f"warning: {a}: the hypotheses fit the references 1 line further on" in capsys.readouterr().err
