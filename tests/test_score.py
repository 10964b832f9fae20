import json
import random
import re
import shutil
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signloom.errors import InputError
from signloom.score import alignment
from signloom.score.alignment import Op, align
from signloom.score.text import render_alignment, summary, worst_utterances
from signloom.score.wer import score

# Where Debian's package `sctk` puts it; elsewhere it is on the path.
SCLITE = shutil.which("sclite") or "/usr/lib/sctk/bin/sclite"
WORDS = st.lists(st.sampled_from(["A", "B", "C", "Ä"]), max_size=9)


def kinds(reference: str, hypothesis: str) -> str:
    return align(reference=reference.split(), hypothesis=hypothesis.split()).kinds


def counts(aligned) -> tuple[int, int, int, int]:
    return aligned.correct, aligned.substitutions, aligned.deletions, aligned.insertions


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("A B C", "A B C", "CCC"),
        ("A B C", "", "DDD"),
        ("", "A B", "II"),
        ("", "", ""),
        ("A B C", "A C", "CDC"),
        ("A B C", "A X C", "CSC"),
        ("A C", "A B C", "CIC"),
        # a-z without case, as sclite; other letters are what they are
        ("regen", "REGEN", "C"),
        ("ÄPFEL", "äpfel", "S"),
        # a substitution costs 4, so deleting and inserting to gain one match (3 + 3) beats two substitutions (8)
        ("A B", "B C", "DCI"),
        # where all words differ substitutions win: 4 is less than 3 + 3
        ("A B", "C D", "SS"),
        # 12 either way; sclite takes the three substitutions, which are fewer errors than 2 deletions and 2 insertions
        ("A B C", "C D E", "SSS"),
        # two equal matches for the B: the later is taken, since the way back begins at the end
        ("B", "B B", "IC"),
        ("B B", "B", "DC"),
    ],
)
def test_known_alignments(reference, hypothesis, expected):
    assert kinds(reference, hypothesis) == expected


def test_ops_hold_the_words():
    aligned = align(reference=["A", "B", "C"], hypothesis=["a", "X", "Y", "C"])
    assert list(aligned.ops) == [Op("C", "A", "a"), Op("I", None, "X"), Op("S", "B", "Y"), Op("C", "C", "C")]


@given(WORDS, WORDS)
def test_an_alignment_accounts_for_every_word_at_the_least_cost(reference, hypothesis):
    aligned = align(reference=reference, hypothesis=hypothesis)
    ops = list(aligned.ops)
    assert [op.reference for op in ops if op.reference is not None] == reference
    assert [op.hypothesis for op in ops if op.hypothesis is not None] == hypothesis
    assert all((op.reference == op.hypothesis) == (op.kind == "C") for op in ops)
    cost = 4 * aligned.substitutions + 3 * (aligned.deletions + aligned.insertions)
    table = np.zeros((len(reference) + 1, len(hypothesis) + 1), dtype=int)
    for n, m in np.ndindex(*table.shape):
        ways = [table[n - 1, m] + 3] if n else []
        ways += [table[n, m - 1] + 3] if m else []
        ways += [table[n - 1, m - 1] + 4 * (reference[n - 1] != hypothesis[m - 1])] if n and m else []
        table[n, m] = min(ways, default=0)
    assert cost == table[-1, -1]


@given(WORDS, WORDS)
def test_rows_at_once_give_the_same_table(reference, hypothesis):
    if reference and hypothesis:
        assert alignment._costs_by_row(reference, hypothesis).tolist() == alignment._costs(reference, hypothesis)


def test_a_long_segment_is_aligned_as_short_ones_are(monkeypatch):
    rng = random.Random(1)
    reference = [rng.choice("ABCD") for _ in range(300)]
    hypothesis = [rng.choice("ABCD") for _ in range(280)]
    by_row = align(reference=reference, hypothesis=hypothesis)
    monkeypatch.setattr(alignment, "_MAX_LOOP_CELLS", 10**9)
    assert align(reference=reference, hypothesis=hypothesis) == by_row


@given(WORDS, WORDS)
def test_blocks_of_the_table_give_the_same_alignment(reference, hypothesis):
    whole = align(reference=reference, hypothesis=hypothesis)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "_MAX_LOOP_CELLS", 0)
        patch.setattr(alignment, "_MAX_TABLE_CELLS", 0)
        assert align(reference=reference, hypothesis=hypothesis) == whole


def test_a_very_long_segment_needs_no_table_of_all_pairs(monkeypatch):
    rng = random.Random(1)
    reference = [rng.choice("ABCD") for _ in range(1_500)]
    hypothesis = [rng.choice("ABCD") for _ in range(1_400)]
    whole = align(reference=reference, hypothesis=hypothesis)
    monkeypatch.setattr(alignment, "_MAX_TABLE_CELLS", 1_000_000)
    tracemalloc.start()
    try:
        assert align(reference=reference, hypothesis=hypothesis) == whole
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The whole table has 8.4 MB; 39 rows of 1,401 numbers, and two blocks of 39 rows, have 0.7 MB.
    assert peak < 2_000_000


def random_pairs(count: int) -> list[tuple[str, list[str], list[str]]]:
    """Pairs full of ties: few words, many repeats, empty sides, non-ASCII, mixed case, related and unrelated."""
    rng = random.Random(7)
    pairs = []
    for number in range(count):
        words = ["A", "b", "ÄPFEL", "هو", "a", "B", "WIE-AUSSEHEN", "你好"][: rng.choice([2, 3, 5, 8])]
        reference = [rng.choice(words) for _ in range(rng.randrange(15))]
        hypothesis = [rng.choice(words) for _ in range(rng.randrange(15))]
        if rng.random() < 0.5:
            hypothesis = [rng.choice(words) if rng.random() < 0.3 else w for w in reference if rng.random() < 0.8]
        pairs.append((f"s-{number:05d}", reference, hypothesis))
    return pairs


@pytest.mark.skipif(not Path(SCLITE).exists(), reason="sclite is not installed (Debian package sctk)")
def test_every_utterance_counts_as_sclite_counts_it(tmp_path):
    pairs = random_pairs(2000)
    for name, side in (("ref", 1), ("hyp", 2)):
        lines = [f"{' '.join(pair[side])} ({pair[0]})\n" for pair in pairs]
        (tmp_path / name).write_text("".join(lines), encoding="utf-8")
    command = [SCLITE, "-r", tmp_path / "ref", "trn", "-h", tmp_path / "hyp", "trn", "-i", "wsj", "-o", "pra", "stdout"]
    report = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8", "replace")
    theirs = {
        name: tuple(map(int, numbers.split()))
        for name, numbers in re.findall(r"^id: \((\S+)\)\n(?:.*\n)*?Scores: \(#C #S #D #I\) ([\d ]+)$", report, re.M)
    }
    made = score(pairs)
    ours = {utterance.id: counts(utterance.alignment) for utterance in made.utterances}
    assert len(theirs) == 2000
    assert {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]} == {}


def read_stm_and_ctm(stm: Path, ctm: Path):
    references = [line.split() for line in stm.read_text(encoding="utf-8").splitlines()]
    hypotheses: dict[str, list[str]] = {}
    for line in ctm.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        hypotheses.setdefault(fields[0], []).append(fields[4])
    pairs = [(fields[0], fields[5:], hypotheses.get(fields[0], [])) for fields in references]
    return pairs, {fields[0]: fields[2] for fields in references}


@pytest.mark.parametrize(
    ("folder", "name", "ctm"),
    [
        ("phoenix", "ph14-dev-r15", "ph14-dev-r15.clean.ctm"),
        ("phoenix", "ph14-dev-r50", "ph14-dev-r50.clean.ctm"),
        ("phoenix", "ph14-si5-dev-r15", "ph14-si5-dev-r15.clean.ctm"),
        ("isharah", "isharah-SI-dev", "isharah-SI-dev.ctm"),
    ],
)
def test_counts_recorded_from_sclite(shared_data, folder, name, ctm):
    expected = json.loads((shared_data / "scoring" / "expected.json").read_text())[name]
    pairs, signers = read_stm_and_ctm(
        shared_data / "scoring" / folder / f"{name}.stm", shared_data / "scoring" / folder / ctm
    )
    made = score(pairs, signers=signers)
    assert {key: getattr(made, key) for key in expected} == expected
    assert sum(part.errors for part in made.by_signer.values()) == made.errors


PAIRS = [
    ("u1", ["A", "B", "C", "D"], ["A", "X", "C"]),
    ("u2", ["A", "A"], []),
    ("u3", ["B"], ["B"]),
    ("u4", ["C"], ["C", "A", "B", "A"]),
]
SIGNERS = {"u1": "ann", "u2": "ann", "u3": "ben", "u4": "ben"}


def test_a_score_explains_itself():
    made = score(PAIRS, signers=SIGNERS)
    assert (made.substitutions, made.deletions, made.insertions, made.reference_words) == (1, 3, 3, 8)
    assert made.wer == 7 / 8
    assert (made.correct, made.hypothesis_words) == (4, 8)
    assert {name: (part.errors, part.reference_words) for name, part in made.by_signer.items()} == {
        "ann": (4, 6),
        "ben": (3, 2),
    }
    # above 100 % and not capped
    assert made.by_signer["ben"].wer == 1.5
    assert [utterance.id for utterance in made.worst(9)] == ["u4", "u2", "u1"]
    assert made.protocol == "plain"
    assert "substitution 4, insertion 3" in made.rule


def test_as_json_and_back():
    record = json.loads(json.dumps(score(PAIRS, signers=SIGNERS).to_json()))
    assert record["wer"] == 7 / 8
    assert record["interval"]["low"] <= record["wer"] <= record["interval"]["high"]
    assert record["signers"]["ben"]["wer"] == 1.5
    assert record["utterances"][0] == {
        "id": "u1",
        "signer": "ann",
        "substitutions": 1,
        "deletions": 1,
        "insertions": 0,
        "reference": ["A", "B", "C", "D"],
        "hypothesis": ["A", "X", "C"],
        "kinds": "CSCD",
    }
    assert "utterances" not in score(PAIRS).to_json(utterances=False)
    assert score(PAIRS).to_json()["signers"] == {}


def test_the_interval_is_that_of_a_known_distribution():
    # 400 utterances of one word, each wrong with chance 0.25: the rate is binomial, its standard error 0.0217
    pairs = [(str(k), ["A"], ["A" if k % 4 else "B"]) for k in range(400)]
    made = score(pairs)
    interval = made.interval(resamples=4000)
    assert made.wer == 0.25
    # 0.004 is three times the error of a 2.5 % quantile estimated from 4,000 draws, plus the grid of 1/400
    assert interval.low == pytest.approx(0.25 - 1.96 * 0.0217, abs=0.004)
    assert interval.high == pytest.approx(0.25 + 1.96 * 0.0217, abs=0.004)
    assert made.interval(seed=3) == made.interval(seed=3)
    assert made.interval(seed=3) != made.interval(seed=4)
    with pytest.raises(InputError, match="needed 0 < level < 1"):
        made.interval(level=95)


def test_an_interval_of_utterances_that_may_all_be_empty():
    made = score([("a", [], ["X"]), ("b", ["A"], ["A"])])
    assert made.wer == 1.0
    assert np.isfinite([made.interval().low, made.interval().high]).all()


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(InputError, match="no reference words in 1 utterance;"):
        score([("a", [], ["X"])])
    with pytest.raises(InputError, match="no utterances"):
        score([])
    with pytest.raises(InputError, match=r"2 faults\n.*'a' occurs twice.*\n.*'b' occurs twice"):
        score([("a", ["A"], []), ("a", ["A"], []), ("b", ["A"], []), ("b", ["A"], [])])
    with pytest.raises(InputError, match="'plian' is not known; did you mean 'plain'"):
        score(PAIRS, protocol="plian")
    with pytest.raises(InputError, match="reference is the string 'A B'; needed a list of words"):
        align(reference="A B", hypothesis=["A"])


def test_shown_as_text():
    made = score(PAIRS, signers=SIGNERS)
    shown = summary(made)
    assert "WER 87.50 %" in shown
    assert "1 substitution + 3 deletions + 3 insertions = 7 errors in 8 reference glosses" in shown
    assert "ben  WER 150.00 %  S 0 D 0 I 3 of 2, 2 utterances" in shown
    assert "scoring rule 'plain': glosses as they stand" in shown
    assert worst_utterances(made, 3).split("\n\n")[2] == (
        "u1, ann: 2 errors in 4 glosses (S 1 D 1 I 0)\n  REF  A B C D\n  HYP  A X C *\n         S   D"
    )
    assert worst_utterances(score([("a", ["A"], ["A"])])) == "No utterance has an error."


def test_columns_are_as_wide_as_a_terminal_draws_them():
    shown = render_alignment(align(reference=["你好", "A"], hypothesis=["B"]))
    assert shown == "  REF  你好 A\n  HYP  **** B\n       D    S"


def test_long_alignments_break_and_none_is_lost():
    words = [f"WORD{k}" for k in range(40)]
    shown = render_alignment(align(reference=words, hypothesis=words[:-1]), width=60)
    assert all(len(line) <= 60 for line in shown.splitlines())
    assert re.findall(r"WORD\d+", "".join(line for line in shown.splitlines() if "REF" in line)) == words
    assert "(no words)" in render_alignment(align(reference=[], hypothesis=[]))
