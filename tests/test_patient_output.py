"""A reader that goes away costs nothing but the text: files are written and the exit status is that of the work."""

import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "signloom.cli"]


def read_one_line(words, cwd):
    """Runs a command whose reader ends after one line, as `| head -1` does; returns that line and the exit status."""
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, text=True)
    line = process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    return line, process.wait(), errors


@pytest.fixture
def tables(tmp_path):
    # More text than a pipe holds, so that the command notices that nobody reads.
    rows = [f"u{number}|" + " ".join(f"GLOSS-{number}-{place}" for place in range(12)) for number in range(400)]
    (tmp_path / "reference.csv").write_text("id|gloss\n" + "\n".join(rows) + "\n", encoding="utf-8")
    wrong = [row.replace("GLOSS", "WORD") for row in rows]
    (tmp_path / "hypothesis.csv").write_text("id|gloss\n" + "\n".join(wrong) + "\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("extra", [[], pytest.param(["--format", "json"], marks=pytest.mark.slow)])
def test_a_score_is_written_although_nobody_reads_the_text(tables, extra):
    words = "score reference.csv hypothesis.csv --worst 800 --output t.json --html t.html".split()
    line, status, errors = read_one_line([*words, *extra], tables)
    assert line
    assert status == 0
    assert (tables / "t.json").stat().st_size > 1000
    assert (tables / "t.html").stat().st_size > 1000
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


@pytest.mark.slow
def test_a_failure_stays_a_failure(tables):
    words = "score reference.csv missing.csv".split()
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tables)
    process.stdout.close()
    process.stderr.close()
    assert process.wait() == 2
