"""The interval of composed utterances, which share clips: known answers, and a simulation that knows the true rate."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from signloom import cli
from signloom.corpus import Corpus
from signloom.score.alignment import align
from signloom.score.compare import compare
from signloom.score.compare_text import summary as difference
from signloom.score.shared_clips import Sign, errors_by_word, shared_covariance
from signloom.score.text import summary
from signloom.score.wer import Score, score

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from interval_coverage import Scenario, coverage

sys.path.pop(0)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("A B C", "A B C", [0, 0, 0]),
        ("A B C", "A X C", [0, 1, 0]),
        ("A B C", "A C", [0, 1, 0]),
        # Inserted words belong to the word before them, those before all words to the first.
        ("A B C", "A B X Y C", [0, 2, 0]),
        ("A B C", "X A B C Y", [1, 0, 1]),
        ("", "X Y", []),
    ],
)
def test_errors_belong_to_words(reference, hypothesis, errors):
    assert errors_by_word(align(reference=reference.split(), hypothesis=hypothesis.split())) == errors


def signs(*rows):
    """Rows of utterance, clip and errors; the letter of a clip is its kind."""
    return [Sign(utterance, clip, clip[0], errors) for utterance, clip, errors in rows]


class TestSharedCovariance:
    def test_a_known_answer(self):
        """Two clips of a kind in two utterances each, one always wrong: of the rate 0.5 each deviates by a half.

        Four ordered pairs of one clip have products of 1/4, and eight of two clips products of -1/4; pairs within an
        utterance do not count. So each of the four pairs has a covariance of 1/4 + 1/4.
        """
        made = signs(("u1", "A1", 1), ("u2", "A1", 1), ("u3", "A2", 0), ("u4", "A2", 0))
        assert shared_covariance(made, 0.5) == pytest.approx(4 * 0.5)
        # A second sign of the same clip in an utterance adds pairs with the other utterances only.
        made += signs(("u1", "A1", 1))
        assert shared_covariance(made, 0.5) == pytest.approx(6 * 0.5)

    def test_a_hard_kind_is_no_hard_clip(self):
        made = signs(*((f"u{n}", f"{kind}{n % 2}", errors) for n in range(8) for kind, errors in (("A", 1), ("B", 0))))
        assert shared_covariance(made, 0.5) == pytest.approx(0)

    def test_clips_that_do_not_recur_add_nothing(self):
        assert shared_covariance(signs(*((f"u{n}", f"A{n}", n % 2) for n in range(9))), 0.5) == 0
        assert shared_covariance(signs(("u1", "A1", 1), ("u1", "A1", 1)), 0.5) == 0
        assert shared_covariance([], 0.5) == 0

    def test_kinds_of_a_single_clip_get_the_average_of_the_others(self):
        made = signs(("u1", "A1", 1), ("u2", "A1", 1), ("u3", "A2", 0), ("u4", "A2", 0))
        made += signs(("u1", "B1", 1), ("u2", "B1", 0))
        assert shared_covariance(made, 0.5) == pytest.approx((4 + 2) * 0.5)


def composed(wrong=frozenset(), *, clips=True):
    """Forty utterances of ten clips, each in eight of them; clips in `wrong` are never recognised."""
    names = {f"u{n}": [f"A{n % 10}", f"B{n // 4}"] for n in range(40)}
    triples = [(name, [own[0][0], own[1][0]], [c[0] for c in own if c not in wrong]) for name, own in names.items()]
    return score(triples, clips=names if clips else None)


class TestIntervals:
    wrong = frozenset({"A1", "A4", "B0", "B7"})

    def test_sharing_clips_widens_it_about_the_rate(self):
        alone, shared = composed(self.wrong, clips=False), composed(self.wrong)
        assert (alone.wer, alone.errors) == (shared.wer, shared.errors)
        narrow, wide = alone.interval(), shared.interval()
        assert (narrow.unit, narrow.widening, narrow.num_clips) == ("utterances", 1, 0)
        assert (wide.unit, wide.num_clips) == ("utterances of other clips", 20)
        assert wide.widening > 1.3
        assert wide.high - shared.wer == pytest.approx(wide.widening * (narrow.high - shared.wer))
        # Of no errors there is nothing to widen.
        assert composed().interval().widening == 1
        assert shared.interval().low >= 0

    def test_what_was_drawn_is_told(self):
        text = (
            f"bootstrap over 40 utterances, made {composed(self.wrong).interval().widening:.2f} times as wide, because"
        )
        assert f"{text} they share 20 clips)" in summary(composed(self.wrong))
        assert "bootstrap over 40 utterances)" in summary(composed(self.wrong, clips=False))
        record = composed(self.wrong).to_json()
        assert record["interval"]["unit"] == "utterances of other clips"
        assert Score.from_json(json.loads(json.dumps(record))) == composed(self.wrong)

    def test_a_comparison_is_as_careful(self):
        a, b = composed(self.wrong), composed()
        wide, narrow = compare(a, b), compare(composed(self.wrong, clips=False), composed(clips=False))
        assert wide.interval.widening > 1.3
        assert wide.interval.high - wide.interval.low == pytest.approx(
            wide.interval.widening * (narrow.interval.high - narrow.interval.low)
        )
        assert "resamples of 40 utterances, made" in difference(wide)

    def test_a_rule_that_changes_the_number_of_words_leaves_clips_out(self):
        made = score([("u1", ["A", "A"], ["A"])], protocol="plain+merge_repeats", clips={"u1": ["A1", "A2"]})
        assert made.utterances[0].clips == ()

    def test_each_word_needs_its_clip(self):
        record = composed(self.wrong).to_json()
        record["utterances"][0]["clips"].pop()
        with pytest.raises(Exception, match="1 clip of 2 words; needed one per word"):
            Score.from_json(record)


def test_a_composed_corpus_knows_its_clips(tiny_corpus, tmp_path, capsys):
    """From the manifest to the score: every path that scores a corpus resamples its clips."""
    lines = [json.loads(line) for line in (tiny_corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line["source"] = {"corpus": "isolated"}
        line["truth"] = {"clips": [f"{gloss}-1" for gloss in line["glosses"]]}
    corpus = tmp_path / "corpus"
    shutil.copytree(tiny_corpus, corpus, copy_function=os.link)
    (corpus / "manifest.jsonl").unlink()
    (corpus / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    item = Corpus.open(corpus).split("dev")[0]
    assert item.clips == tuple(f"isolated/{gloss}-1" for gloss in item.glosses)
    rows = [f"{item.id}|{' '.join(item.glosses[:-1])}\n" for item in Corpus.open(corpus).split("dev")]
    (tmp_path / "hyp.csv").write_text("id|gloss\n" + "".join(rows), encoding="utf-8")
    arguments = ["score", str(corpus), str(tmp_path / "hyp.csv"), "--split", "dev", "--format", "json"]
    assert cli.dispatch(arguments) == 0
    assert json.loads(capsys.readouterr().out)["interval"]["unit"] == "utterances of other clips"


@pytest.mark.slow
def test_the_interval_holds_the_true_rate_as_often_as_it_says():
    """In 100 test splits of clips that recur 26 times each. The standard error of a coverage of 95 % is 2.2 %."""
    found = coverage(Scenario(180, 12, 1, 3), 100, resamples=200, with_pigeonhole=False)
    assert found["utterances"][0] < 0.85
    assert found["signloom"][0] > 0.88
    assert found["signloom"][1] > 1.3 * found["utterances"][1]
