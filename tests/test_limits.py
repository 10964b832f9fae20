"""How sure a model should be of one gloss: what limits leave, which one is chosen, and when none is."""

import pytest

from signloom.corpus import Utterance
from signloom.ctc.hypothesis import GlossSpan, Hypothesis
from signloom.inference.limits import TRIED, judge_limits, shows_more_than_signs

FIELDS = {"split": "dev", "signer": "ann", "landmarks": "u.npz", "num_frames": 750, "fps": 25.0}


def utterance(number, glosses=("A", "B"), others=(1,), truth=None):
    return Utterance.from_json(
        {"id": f"u{number}", "glosses": list(glosses), "others": list(others), "truth": truth or {}, **FIELDS}
    )


def said(*glosses):
    """A hypothesis of (gloss, confidence) pairs, as a decoder returns it that drops nothing."""
    return Hypothesis(tuple(GlossSpan(gloss, n, n + 1, sure) for n, (gloss, sure) in enumerate(glosses)), -1.0)


def judged(hypothesis, count=30, most_lost=0.02, **fields):
    return judge_limits([utterance(n, **fields) for n in range(count)], [hypothesis] * count, most_lost=most_lost)


def test_the_limit_is_the_highest_that_spares_true_glosses():
    limits = judged(said(("A", 0.97), ("C", 0.55), ("B", 0.82)))
    rows = {row.sure: (row.num_false, row.num_true, row.num_alone) for row in limits.rows}
    assert list(rows) == list(TRIED)
    assert rows[0.0] == rows[0.8] == (30, 60, 60)
    # A is sure, so B and the false gloss stay with it.
    assert rows[0.85] == rows[0.9] == (30, 60, 30)
    # The highest one that spares all true glosses if they stand alone: they might.
    assert limits.chosen.sure == 0.8
    # 30 utterances of 30 seconds.
    assert limits.minutes == pytest.approx(15)
    assert "0.8             30         2.0           100.00 %   100.00 %  chosen\n" in str(limits)
    assert "0.9             30         2.0           100.00 %    50.00 %" in str(limits)


def test_utterances_without_a_sure_gloss_lose_all_of_them():
    # Half of the utterances idle.
    signing, idling = said(("A", 0.97), ("B", 0.4)), said(("C", 0.55), ("A", 0.7))
    items = [utterance(n) if n % 2 else utterance(n, glosses=(), others=(0,)) for n in range(60)]
    limits = judge_limits(items, [signing if n % 2 else idling for n in range(60)], most_lost=0.5)
    rows = {row.sure: (row.num_false, row.num_true, row.num_alone) for row in limits.rows}
    assert rows[0.0] == (60, 60, 60)
    assert rows[0.7] == (60, 60, 30)
    assert rows[0.8] == rows[0.9] == (0, 60, 30)
    assert limits.chosen.sure == 0.9


def test_a_limit_loses_no_more_than_is_allowed():
    # Of 200 true glosses, 5 have 0.65, 95 have 0.87 and 100 have 0.97.
    most, few = said(("A", 0.97), ("C", 0.75), ("B", 0.87)), said(("A", 0.65), ("C", 0.75), ("B", 0.97))
    items = [utterance(n) for n in range(100)]
    hypotheses = [few] * 5 + [most] * 95
    for most_lost, sure in ((0.0, 0.6), (0.02, 0.6), (0.025, 0.85), (0.49, 0.85), (0.5, 0.9), (1.0, 0.9)):
        limits = judge_limits(items, hypotheses, most_lost=most_lost)
        assert limits.chosen.sure == sure
    assert [row.num_alone for row in limits.rows[-2:]] == [195, 100]


def test_a_limit_is_chosen_where_dev_shows_no_false_gloss():
    limits = judged(said(("A", 0.87), ("B", 0.87)))
    assert {row.num_false for row in limits.rows} == {0}
    assert limits.chosen.sure == 0.85


def test_a_gloss_where_only_others_are_is_false():
    limits = judged(said(("A", 0.6)), glosses=(), others=(0, 0))
    assert (limits.rows[0].num_false, limits.rows[0].num_true) == (30, 0)
    assert limits.chosen is None
    assert limits.why_not == "only 0 true glosses in 30 utterances of dev; needed 50"
    assert str(limits) == f"confidence of one gloss per utterance: not chosen: {limits.why_not}"


def test_no_limit_is_chosen_for_a_model_that_is_never_sure():
    limits = judged(said(("A", 0.45), ("B", 0.6)), most_lost=0.03)
    assert limits.chosen is None
    assert limits.can_choose
    assert limits.why_not == "even 0.5 drops more than 3 % of the true glosses if each stood alone"


def test_nothing_is_chosen_where_dev_does_not_tell():
    assert shows_more_than_signs(utterance(0, others=(), truth={"idle": [[0, 10]]}))
    assert not shows_more_than_signs(utterance(0, others=()))
    wrong = said(("A", 0.9), ("C", 0.6), ("B", 0.9))
    assert judged(wrong, others=()).why_not == "dev shows nothing but signs of the model"
    assert not judged(wrong, others=()).can_choose
    assert not judged(wrong, count=24).can_choose
    assert judged(wrong, count=24).why_not == "only 48 true glosses in 24 utterances of dev; needed 50"
    assert judged(wrong, count=25).chosen.sure == 0.9
