"""Counts equal those of NIST's sclite, file by file: words by time, wordings, tags, and its own test 3."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import mostly_slow
from signloom.score.formats import read_hypotheses, read_references
from signloom.score.match_ids import match_ids
from signloom.score.wer import Score, score

# Where Debian's package `sctk` puts it; elsewhere it is on the path.
SCLITE = shutil.which("sclite") or "/usr/lib/sctk/bin/sclite"
needs_sclite = pytest.mark.skipif(not Path(SCLITE).exists(), reason="sclite is not installed (Debian package sctk)")
WORDS = ["A", "b", "ÄPFEL", "هو", "a", "B", "WIE-AUSSEHEN", "你好", "it's", "-x"]


def scored(reference: Path, hypothesis: Path, protocol: str = "plain") -> Score:
    pairing = match_ids(read_references(reference), read_hypotheses(hypothesis))
    return score(pairing.triples, protocol=protocol, signers=pairing.signers)


def sclite_counts(stm: Path, ctm: Path) -> dict[str, tuple[int, ...]]:
    """C, S, D, I of each utterance, by the name that sclite gives it: its signer, and its number among theirs."""
    command = [SCLITE, "-r", stm, "stm", "-h", ctm, "ctm", "-o", "pra", "stdout"]
    report = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8", "replace")
    return {
        name: tuple(map(int, numbers.split()))
        for name, numbers in re.findall(r"^id: \((\S+)\)\n(?:.*\n)*?Scores: \(#C #S #D #I\) ([\d ]+)$", report, re.M)
    }


def our_counts(made: Score) -> dict[str, tuple[int, ...]]:
    numbers: dict[str, int] = {}
    counts = {}
    for utterance in made.utterances:
        signer = utterance.signer.lower()
        number = numbers[signer] = numbers.get(signer, -1) + 1
        aligned = utterance.alignment
        counts[f"{signer}-{number:03d}"] = (
            aligned.correct,
            aligned.substitutions,
            aligned.deletions,
            aligned.insertions,
        )
    return counts


def written_word(rng: random.Random, word: str) -> str:
    """The word as stm and ctm files may write it: with tags, a star, a semicolon that is part of it."""
    return word + rng.choice([""] * 12 + [";tag", ";;tag2", "*", "\\;s"])


def sentence(rng: random.Random, words: list[str], length: int) -> list[str]:
    return [rng.choice(words) for _ in range(length)]


def with_wordings(rng: random.Random, words: list[str], transcript: list[str], depth: int = 0) -> list[str]:
    """The transcript with alternations, nested and empty ones among them."""
    items = []
    for word in transcript:
        if rng.random() < 0.25:
            choices = []
            for _ in range(rng.randrange(1, 4)):
                inner = sentence(rng, words, rng.randrange(1, 4))
                if rng.random() < 0.3:
                    inner = rng.choice([["@"], ["@"], [*inner, "@"], ["@", "@"]])
                choices.append(with_wordings(rng, words, inner, depth + 1) if depth < 1 else inner)
            if rng.random() < 0.5:
                choices[rng.randrange(len(choices))] = [word]
            items.append("{ " + " / ".join(" ".join(choice) for choice in choices) + " }")
        else:
            items.append(written_word(rng, word))
    return items


def write_random_files(folder: Path, count: int, *, seed: int) -> tuple[Path, Path]:
    """References and hypotheses of `count` segments, up to five a recording, with gaps and words on their borders."""
    rng = random.Random(seed)
    stm, ctm = [";; a comment"], [";; another"]
    number = 0
    while number < count:
        recording = f"rec{number:05d}"
        words = WORDS[: rng.choice([2, 3, 5, 10])]
        end = 0.0
        spoken: list[tuple[float, float, str]] = []
        for _ in range(rng.choice([1, 1, 2, 5])):
            start = end + rng.choice([0, 0, 0.5, 0.37])
            end = start + rng.randrange(50, 900) / 100
            transcript = sentence(rng, words, rng.randrange(12))
            ignored = rng.random() < 0.05
            text = "IGNORE_TIME_SEGMENT_IN_SCORING" if ignored else " ".join(with_wordings(rng, words, transcript))
            stm.append(f"{recording} A sig{number:05d} {start:.2f} {end:.2f} <o> {text}")
            number += 1
            found = [rng.choice(words) if rng.random() < 0.3 else word for word in transcript if rng.random() < 0.8]
            for word in found:
                spoken.append((start + rng.randrange(-20, 920) / 100, rng.randrange(2, 60) / 100, word))
        spoken.append((rng.randrange(int(100 * end)) / 100, 0.1, rng.choice(words)))
        for start, duration, word in sorted((max(0.0, start), duration, word) for start, duration, word in spoken):
            ctm.append(f"{recording} a {start:.2f} {duration:.2f} {written_word(rng, word)} 0.5")
            if rng.random() < 0.05:
                ctm += [
                    f"{recording} a * * <ALT_BEGIN>",
                    f"{recording} a {start:.2f} {duration:.2f} {rng.choice(words)}",
                    *([f"{recording} a {start:.2f} {duration:.2f} {rng.choice(words)}"] * rng.randrange(2)),
                    f"{recording} a * * <ALT>",
                    *([f"{recording} a {start:.2f} {duration:.2f} {rng.choice(words)}"] * rng.randrange(2)),
                    f"{recording} a * * <ALT_END>",
                ]
    (folder / "ref.stm").write_text("\n".join(stm) + "\n", encoding="utf-8")
    (folder / "hyp.ctm").write_text("\n".join(ctm) + "\n", encoding="utf-8")
    return folder / "ref.stm", folder / "hyp.ctm"


@pytest.mark.slow
@needs_sclite
@pytest.mark.parametrize("seed", [1, 2])
def test_files_with_times_and_wordings_are_counted_as_sclite_counts_them(tmp_path, seed):
    stm, ctm = write_random_files(tmp_path, 1500, seed=seed)
    theirs, ours = sclite_counts(stm, ctm), our_counts(scored(stm, ctm))
    assert len(theirs) > 1200
    assert {name: (ours.get(name), theirs[name]) for name in theirs if ours.get(name) != theirs[name]} == {}
    assert set(ours) == set(theirs)


def test_nists_own_test_3(shared_data):
    folder = shared_data / "scoring" / "sclite"
    made = scored(folder / "lvc_ref.stm", folder / "lvc_hyp.ctm")
    # The report gives counts of utterances and words, and of errors the percentages; `sclite -o rsum` the counts.
    assert (made.substitutions, made.deletions, made.insertions, made.reference_words) == (540, 226, 171, 1779)
    rows = re.findall(r"\| (\S+)\s*\|\s*(\d+)\s+(\d+) \|([\d. ]+)\|", (folder / "test3.sys").read_text())
    assert len(rows) == 5
    for name, utterances, words, percentages in rows:
        part = made if name == "Sum/Avg" else made.by_signer[name]
        assert (len(part.utterances), part.reference_words) == (int(utterances), int(words))
        counts = (part.correct, part.substitutions, part.deletions, part.insertions, part.errors)
        wrong = sum(utterance.errors > 0 for utterance in part.utterances)
        expected = [float(value) for value in percentages.split()]
        assert [round(100 * count / part.reference_words, 1) for count in counts] == expected[:5]
        assert round(100 * wrong / len(part.utterances), 1) == expected[5]
    theirs = re.findall(r"^Scores: \(#C #S #D #I\) ([\d ]+)$", (folder / "test3.pra").read_text(), re.M)
    # Their report goes speaker by speaker, as the file does.
    assert list(our_counts(made).values()) == [tuple(map(int, numbers.split())) for numbers in theirs]


@pytest.mark.parametrize(
    ("folder", "name", "protocol"),
    [
        ("phoenix", "ph14-dev-r15", "phoenix2014"),
        pytest.param("phoenix", "ph14-dev-r50", "phoenix2014", marks=pytest.mark.slow),
        pytest.param("phoenix", "ph14-si5-dev-r15", "phoenix2014", marks=pytest.mark.slow),
        ("isharah", "isharah-SI-dev", "isharah"),
    ],
)
def test_raw_files_by_the_rule_of_their_community(shared_data, folder, name, protocol):
    scoring = shared_data / "scoring"
    expected = json.loads((scoring / "expected.json").read_text())[name]
    made = scored(scoring / folder / f"{name}.stm", scoring / folder / f"{name}.ctm", protocol)
    assert {key: getattr(made, key) for key in expected} == expected


def test_the_same_isharah_hypotheses_as_tables(shared_data):
    folder = shared_data / "scoring" / "isharah"
    made = scored(folder / "isharah-SI-dev.ref.txt", folder / "isharah-SI-dev.hyp.csv", "isharah")
    # The error rate that its makers recorded.
    assert round(100 * made.wer, 4) == pytest.approx(7.3123, abs=1e-4)


@pytest.mark.parametrize(
    "name", mostly_slow(("ph14-dev-r15", "ph14-dev-r50", "ph14-si5-dev-r15"), fast=("ph14-si5-dev-r15",))
)
def test_the_clean_up_gives_the_very_file_that_the_official_script_gives(shared_data, name):
    folder = shared_data / "scoring" / "phoenix"
    references = read_references(folder / f"{name}.stm")
    raw = match_ids(references, read_hypotheses(folder / f"{name}.ctm"))
    made = score(raw.triples, protocol="phoenix2014")
    official = {
        item.id: item.hypothesis
        for item in match_ids(references, read_hypotheses(folder / f"{name}.clean.ctm")).utterances
    }
    assert {item.id: item.alignment.hypothesis for item in made.utterances} == official
