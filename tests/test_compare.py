import json
import re
import subprocess
from math import erfc, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signloom import cli
from signloom.errors import InputError
from signloom.report.compare_page import render_compare_page
from signloom.score.compare import aligned_columns, compare
from signloom.score.compare_text import changed_utterances, render, summary
from signloom.score.wer import score

WORDS = st.lists(st.sampled_from("ABCa"), max_size=6)
# Reference and both hypotheses; an utterance in front makes sure that there is a reference word.
TRIPLES = st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=6).map(lambda found: [(["A"], ["A"], ["A"]), *found])

SCTK = Path("/usr/lib/sctk/bin")


def both(triples, signers=None, **options):
    """The comparison of both hypotheses of (reference, hypothesis of A, hypothesis of B) triples, written as words."""
    rows = [[part.split() if isinstance(part, str) else part for part in triple] for triple in triples]
    a = score(((f"u{k}", ref, hyp) for k, (ref, hyp, _) in enumerate(rows)), signers=signers)
    b = score(((f"u{k}", ref, hyp) for k, (ref, _, hyp) in enumerate(rows)), signers=signers)
    return compare(a, b, **options)


class TestDifference:
    def test_by_hand(self):
        # A: one error each in u0 and u1; B: none in u0, two in u1, one in u2. Four words.
        found = both([("A", "X", "A"), ("B", "", "X Y"), ("C D", "C D", "C")])
        assert found.difference == pytest.approx(3 / 4 - 2 / 4)
        assert [pair.id for pair in found.better] == ["u0"]
        assert [(pair.id, pair.change) for pair in found.worse] == [("u1", 1), ("u2", 1)]

    def test_probability_of_improvement_of_two_utterances(self):
        # B is right in one of two utterances of a word each. Of the four draws of two, three hold that one, and one
        # is a tie, which counts half: 3/4 + 1/8. The draws' own spread is 0.0022 (a tie counts half), so 0.01 is ample.
        found = both([("A", "X", "A"), ("B", "B", "B")])
        assert found.probability_of_improvement == pytest.approx(7 / 8, abs=0.01)
        assert (found.interval.low, found.interval.high) == (-1, 0)
        assert not found.real

    def test_interval_is_that_of_the_normal_law_where_there_are_many(self):
        # 400 utterances of ten words; B has one error fewer in 60 and one more in 20: the change of an utterance has
        # mean -0.1 and deviation sqrt(80/400 - 0.01) = 0.436, so the rate's is 0.436 / sqrt(400) / 10 = 0.00218.
        words = "A B C D E F G H I J"
        wrong = "X B C D E F G H I J"
        same = [(words, words, words)] * 160 + [(words, "", "")] * 160
        triples = [(words, wrong, words)] * 60 + [(words, words, wrong)] * 20 + same
        found = both(triples)
        assert found.difference == pytest.approx(-0.01)
        assert found.interval.low == pytest.approx(-0.01 - 1.96 * 0.00218, abs=4e-4)
        assert found.interval.high == pytest.approx(-0.01 + 1.96 * 0.00218, abs=4e-4)
        assert found.real
        assert "B is better by 1.00 points of WER" in found.verdict()
        # Each rate alone is far less certain than their difference: unpaired, the two intervals overlap.
        assert found.a.interval().low < found.b.interval().high

    @given(TRIPLES)
    def test_the_other_way_round_is_the_opposite(self, triples):
        found = both(triples, resamples=200)
        turned = both([(ref, b, a) for ref, a, b in triples], resamples=200)
        assert turned.difference == pytest.approx(-found.difference)
        assert turned.probability_of_improvement == pytest.approx(1 - found.probability_of_improvement)
        assert turned.interval.low == pytest.approx(-found.interval.high)
        assert [pair.id for pair in turned.better] == [pair.id for pair in found.worse]
        assert turned.segment_test.mean == pytest.approx(-found.segment_test.mean)
        assert turned.segment_test.p_value == pytest.approx(found.segment_test.p_value)
        assert {item.gloss.lower(): -item.gained for item in turned.glosses} == {
            item.gloss.lower(): item.gained for item in found.glosses
        }

    def test_the_very_same_are_no_different(self):
        found = both([("A B", "A", "A"), ("C", "C", "C")])
        assert found.verdict() == "A and B recognised exactly the same glosses: there is no difference."
        assert (found.difference, found.interval.low, found.interval.high) == (0, 0, 0)
        assert found.probability_of_improvement == 0.5

    def test_equal_rates_of_other_words_claim_nothing(self):
        found = both([("A", "X", "A"), ("B", "B", "X")])
        assert found.verdict().startswith("No difference can be claimed: A and B have the same WER")
        assert both([("A", "X", "Y")]).reworded

    def test_the_same_seed_gives_the_same_interval(self):
        triples = [("A B", "A", "B"), ("C", "C", "X"), ("D", "X", "D")] * 5
        assert both(triples, seed=3).interval == both(triples, seed=3).interval
        assert both(triples, seed=3).probability_of_improvement != both(triples, seed=4).probability_of_improvement

    def test_utterances_without_reference_words_are_drawn_again(self):
        found = both([("A", "A", "X"), ("", "", ""), ("", "X", "")], resamples=500)
        assert np.isfinite([found.interval.low, found.interval.high]).all()

    def test_glosses_gained_and_lost(self):
        found = {item.gloss: item for item in both([("A B", "A X", "A B"), ("A", "A", "b")]).glosses}
        assert (found["B"].gained, found["B"].occurrences) == (1, 1)
        # `b` of a hypothesis is the gloss B of the references.
        assert found["B"].fewer_invented == -1
        assert (found["A"].gained, found["X"].fewer_invented, found["X"].occurrences) == (-1, 1, 0)

    def test_signers(self):
        found = both([("A", "X", "A"), ("B", "B", "X")], signers={"u0": "ann", "u1": "ben"})
        assert {name: (a.wer, b.wer) for name, (a, b) in found.signers.items()} == {"ann": (1, 0), "ben": (0, 1)}
        assert both([("A", "X", "A")]).signers == {}


class TestSegments:
    def test_by_hand(self):
        # Two words that both have right part segments: (X by A, Y by B a word later) is one, the last error another.
        found = both([("A B C D E F", "X B C D E", "A Y C D E")])
        assert found.segment_test.segments == 2
        # One right word between errors does not part them; an insertion between two right words joins what is around.
        assert both([("A B C", "X B X", "A B C")]).segment_test.segments == 1
        assert both([("A B C D", "X B X C D", "A B C D")]).segment_test.segments == 1

    def test_statistic_by_hand(self):
        # Differences of four segments: -1, -1, 0, +1: mean -1/4, deviation sqrt(11/12), z = -0.25 / (0.957 / 2).
        found = both([("A", "X", "A"), ("B", "X", "B"), ("C", "X", "Y"), ("D", "D", "X")]).segment_test
        assert found.segments == 4
        assert found.z == pytest.approx(-0.25 / (np.sqrt(11 / 12) / 2))
        assert found.p_value == pytest.approx(0.6015, abs=1e-3)

    @pytest.mark.parametrize("triples", [[("A", "A", "A")], [("A", "X", "A")], [("A", "X", "A"), ("B", "X", "B")]])
    def test_says_nothing_where_nothing_varies(self, triples):
        found = both(triples).segment_test
        assert (found.z, found.p_value) == (None, None)

    @given(TRIPLES)
    def test_segments_hold_every_error(self, triples):
        found = both(triples, resamples=10)
        test = found.segment_test
        assert test.mean * test.segments == pytest.approx(found.b.errors - found.a.errors)

    @pytest.mark.skipif(not (SCTK / "sc_stats").exists(), reason="needs sclite and sc_stats of Debian's package sctk")
    def test_is_that_of_sctk(self, tmp_path):
        rng = np.random.default_rng(5)
        triples = [noisy(rng) for _ in range(300)]
        found = both(triples)
        totals, p_value = sctk(triples, tmp_path)
        test = found.segment_test
        assert totals == (test.segments, found.a.errors, found.b.errors)
        # sc_stats looks its p up for a z of two places, cut off.
        cut = np.trunc(abs(test.z) * 100) / 100
        two_sided = erfc(cut / sqrt(2))
        assert 0.01 < two_sided < 0.9, "the case must not lie where sc_stats prints no figure"
        assert p_value == pytest.approx(two_sided, abs=0.0011)


def noisy(rng):
    reference = [f"W{k}" for k in rng.integers(0, 30, size=rng.integers(1, 14))]
    sides = []
    for rate in (0.14, 0.16):
        words = []
        for word in reference:
            dice = rng.random()
            if dice > rate / 3:
                words.append("OTHER" if dice < 2 * rate / 3 else word)
            if rng.random() < rate / 3:
                words.append("MORE")
        # sclite takes no utterance without words.
        sides.append(words or ["NONE"])
    return reference, *sides


def sctk(triples, folder):
    """Segments and errors of both systems, and p, by NIST's own programs."""
    names = [f"u{k:04d}" for k in range(len(triples))]
    stm = [f"{name} 1 s 0 1000 {' '.join(ref)}" for name, (ref, _, _) in zip(names, triples, strict=True)]
    (folder / "r.stm").write_text("\n".join(stm) + "\n")
    graphs = []
    for side, letter in ((1, "a"), (2, "b")):
        lines = [
            f"{name} 1 {10 * k:03d}.0 1 {word}"
            for name, triple in zip(names, triples, strict=True)
            for k, word in enumerate(triple[side])
        ]
        (folder / f"{letter}.ctm").write_text("\n".join(lines) + "\n")
        command = [str(SCTK / "sclite"), "-r", "r.stm", "stm", "-h", f"{letter}.ctm", "ctm", "-o", "sgml"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        graphs.append((folder / f"{letter}.ctm.sgml").read_text())
    for flags in (["-v", "-n", "detail"], ["-u", "-n", "table"]):
        command = [str(SCTK / "sc_stats"), "-p", "-t", "mapsswe", *flags]
        subprocess.run(command, cwd=folder, input="".join(graphs), text=True, check=True, capture_output=True)
    detail = "".join(path.read_text() for path in folder.glob("detail*"))
    table = (folder / "table.stats.unified").read_text()
    segments = int(re.search(r"Number of Segments\s+(\d+)", detail)[1])
    errors = [int(found) for found in re.search(r"Totals\s+\d+\s+(\d+)\s+(\d+)", detail).groups()]
    return (segments, *errors), float(re.search(r"MP.*?\|\|.*?(0\.\d+)", table)[1])


class TestSameReferences:
    def test_first_differences_are_named(self):
        a = score([("u1", ["A", "B"], []), ("u2", ["A"], []), ("u3", ["A"], [])])
        b = score([("u1", ["A", "C"], []), ("u3", ["A", "B"], []), ("u4", ["A"], [])])
        with pytest.raises(InputError) as raised:
            compare(a, b, name_a="one.json", name_b="two.json")
        text = str(raised.value)
        assert text.startswith("one.json and two.json cannot be compared: 4 faults")
        assert "utterance 'u2' is only in A" in text
        assert "utterance 'u4' is only in B" in text
        assert "utterance 'u1': the references differ at gloss 2, 'B' in A and 'C' in B" in text
        assert "utterance 'u3': the references differ at gloss 2, none in A and 'B' in B" in text

    def test_other_rules(self):
        pairs = [("u1", ["A"], ["A"])]
        with pytest.raises(InputError, match="rule of A is 'plain', that of B 'phoenix2014'"):
            compare(score(pairs), score(pairs, protocol="phoenix2014"))

    def test_any_order_of_utterances(self):
        rows = [("u1", ["A"], ["A"]), ("u2", ["B"], ["X"])]
        assert compare(score(rows), score(rows[::-1])).difference == 0

    @pytest.mark.parametrize("options", [{"level": 0}, {"level": 1}, {"resamples": 0}])
    def test_senseless_settings(self, options):
        with pytest.raises(InputError, match="needed 0 < level < 1 and 1 or more"):
            both([("A", "A", "A")], **options)


@given(TRIPLES)
def test_columns_hold_both_alignments(triples):
    for pair in both(triples, resamples=10).pairs:
        columns = list(aligned_columns(pair))
        assert tuple(reference for reference, *_ in columns if reference is not None) == pair.a.alignment.reference
        for side, utterance in ((1, pair.a), (2, pair.b)):
            assert [column[side] for column in columns if column[side] is not None] == list(utterance.alignment.ops)


def test_side_by_side():
    (pair,) = both([("A BB C", "A X C C", "A C")]).pairs
    assert render(pair) == (
        "u0: 2 errors -> 1 in 3 glosses\n  REF  A * BB C\n  A    A X C  C\n         I S\n  B    A   ** C\n           D"
    )


def test_side_by_side_without_words_and_too_long_for_a_line():
    assert render(both([("A", "A", "A"), ("", "", "")]).pairs[1]).endswith("(no words)")
    words = " ".join(f"WORD{k}" for k in range(30))
    text = render(both([(words, words, "WORD0")]).pairs[0], width=60)
    assert text.count("REF") > 3
    assert max(map(len, text.splitlines())) <= 60


def test_summary_says_what_one_needs():
    signers = {f"u{k}": f"signer{k % 14:02d}" for k in range(28)}
    text = summary(both([("A B", "A", "A B")] * 14 + [("C", "C", "C")] * 14, signers=signers))
    for part in (
        "B is better by 33.33 points of WER (95 % interval ",
        "A  A  WER  33.33 %  S 0 D 14 I 0 of 42 reference glosses",
        "B minus A: -33.33 points",
        "10,000 resamples of 28 utterances, seed 0",
        "14 utterances better, 0 worse, 0 with other glosses but as many errors, 14 the same",
        "glosses gained most by B: B (+14 of 14)",
        "fewer than 30 utterances",
        "... and 2 more signers",
        "scoring rule 'plain'",
    ):
        assert part in text
    variant = [score([("u1", ["A"], words)], protocol="plain+merge_repeats") for words in (["A"], ["B"])]
    # A rule other than the plain one stands beside each number that it made.
    assert summary(compare(*variant)).count("% by plain+merge_repeats  S ") == 2
    assert "Word error rate by plain+merge_repeats" in render_compare_page(compare(*variant))
    assert changed_utterances(both([("A", "A", "A")])) == "No utterance has more or fewer errors under B."


def test_the_page_holds_both_alignments_and_the_verdict():
    evil = "</script><b>"
    found = both([("A B", f"A {evil}", "A B"), ("C", "C", "C")], name_a="runs/<one>", name_b="runs/two")
    text = render_compare_page(found)
    assert text.count("<script") == 2
    assert "<b>B" not in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    words = data["words"]
    assert [[words[k] for k in side[0]] for side in data["utterances"][0][3]] == [["A", evil], ["A", "B"]]
    assert [side[1] for side in data["utterances"][0][3]] == ["CS", "CC"]
    assert "No difference can be claimed" in text
    assert "runs/&lt;one&gt;" in text


class TestCommand:
    @pytest.fixture
    def folder(self, tmp_path):
        references = {f"u{k}": ["A", "B", f"C{k % 5}"] for k in range(40)}
        for name, worse in (("one", 0), ("two", 12)):
            run = tmp_path / name
            run.mkdir()
            rows = [
                (key, words, words[:-1] if k < worse else words) for k, (key, words) in enumerate(references.items())
            ]
            (run / "evaluation-test.json").write_text(json.dumps(score(rows).to_json()), encoding="utf-8")
            lines = [f"{key}|{' '.join(found)}" for key, _, found in rows]
            (tmp_path / f"{name}.csv").write_text("id|gloss\n" + "\n".join(lines) + "\n", encoding="utf-8")
        lines = [f"{key}|{' '.join(words)}" for key, words in references.items()]
        (tmp_path / "ref.csv").write_text("id|gloss\n" + "\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path

    def run(self, *arguments):
        with pytest.raises(SystemExit) as exited:
            cli.main(["compare", *map(str, arguments)])
        return exited.value.code

    def test_run_folders_score_files_and_hypotheses_agree(self, folder, capsys):
        results = []
        for a, b, *more in (
            (folder / "one", folder / "two"),
            (folder / "one" / "evaluation-test.json", folder / "two", "--split", "test"),
            (folder / "one.csv", folder / "two.csv", "--reference", folder / "ref.csv", "--protocol", "plain"),
            (folder / "one", folder / "two.csv", "--reference", folder / "ref.csv"),
        ):
            assert self.run(a, b, *more, "--format", "json", "--resamples", 500) == 0
            results.append(json.loads(capsys.readouterr().out))
            del results[-1]["a"]["name"], results[-1]["b"]["name"]
        assert all(result == results[0] for result in results)
        assert results[0]["real"] is True
        assert (results[0]["num_worse"], len(results[0]["utterances"])) == (12, 12)
        assert results[0]["difference"] == pytest.approx(12 / 120)

    def test_text_and_page(self, folder, capsys):
        page = folder / "new" / "compare.html"
        assert self.run(folder / "one", folder / "two", "--html", page, "--changed", 2) == 0
        out = capsys.readouterr()
        assert out.out.startswith("A is better by 10.00 points of WER")
        assert "Worse under B: 12 utterances, 2 shown" in out.out
        assert "compare.html" in out.err
        assert "A is better by 10.00 points" in page.read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("one.csv", "two"), r"one\.csv is read as a file of hypotheses, which needs --reference"),
            (("one", "three"), r"three: no such file or folder; needed a run folder"),
            (("one", "two", "--split", "dev"), r"one: no evaluation-dev\.json, there are evaluations of test; make it"),
            (("one", "two", "--split", "exam"), r"--split is 'exam'; needed one of train, dev, test"),
            (("one", "."), r"needed the evaluation of one split, there is none; make one with 'signloom evaluate'"),
            (("one", "two", "--protocol", "isharah"), r"scored under the rule 'plain', but --protocol is 'isharah'"),
            (("one", "two", "--level", "2"), r"level 2\.0 and 10000 resamples; needed 0 < level < 1"),
            (("one", "two", "--changed", "-1"), r"--changed is -1; needed 0 or more"),
        ],
    )
    def test_refusals(self, folder, capsys, monkeypatch, arguments, message):
        monkeypatch.chdir(folder)
        assert self.run(*arguments) == 2
        assert re.search(message, capsys.readouterr().err)

    def test_two_evaluations_in_a_run_need_a_choice(self, folder, capsys):
        source = folder / "one" / "evaluation-test.json"
        (folder / "one" / "evaluation-dev.json").write_text(source.read_text())
        assert self.run(folder / "one", folder / "two") == 2
        assert "there are evaluations of dev, test; choose one with --split" in capsys.readouterr().err
