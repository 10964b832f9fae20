"""A seeded sample of the bad inputs of benchmarks/bad_inputs.py, run in this process; and the judge of that benchmark.

The benchmark runs all of them, with limits of time and memory, and those that need a model.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from conftest import mostly_slow

# The good files of the importers are written by the packages that read them.
pytest.importorskip("pose_format")
pytest.importorskip("pympi")
pytest.importorskip("pyarrow")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from forging import doors
from forging.cases import PAYLOAD_RAN, Case
from forging.execute import Outcome, files_in
from forging.good import make
from forging.judge import judge

from signloom import cli
from signloom.errors import MissingExtraError, SignloomError

# What takes long or much memory, if only to be made, is left to the benchmark.
COSTLY = ("bomb", "long", "100000", "10000-members", "digits", "deep", "many", "1000000")
KINDS = ("landmarks", "corpora", "configs", "text", "importers", "options", "outputs")
PER_KIND = 8


def sample() -> list[Case]:
    """Returns cases of every kind that need no limits and no process of their own."""
    chooser = random.Random(0)
    cases = [
        case
        for case in doors.cases()
        if not (case.heavy or case.hangs or case.process or case.stdout != "file" or case.expected != "refused")
        and not any(word in case.id for word in COSTLY)
    ]
    chosen: list[Case] = []
    for kind in KINDS:
        of_kind = [case for case in cases if case.kind == kind]
        chosen += chooser.sample(of_kind, min(PER_KIND, len(of_kind)))
    return chosen


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad-inputs") / "good"
    make(folder, heavy=False)
    return folder


@pytest.mark.parametrize("case", mostly_slow(sample(), fast=sample()[::3]), ids=lambda case: case.id)
def test_a_bad_input_is_refused_by_name(case, good, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "case"
    case.prepare(good, folder, seed=0)
    monkeypatch.chdir(folder)
    before = files_in(folder)
    message = ""
    try:
        status = cli.dispatch(list(case.command))
    except MissingExtraError as error:
        pytest.skip(str(error))
    except SignloomError as error:
        status, message = error.exit_status, str(error)
    except OSError as error:
        status, message = 2, str(error)
    except SystemExit as end:
        status = end.code
    output = capsys.readouterr()
    outcome = Outcome(
        status=status,
        stdout=output.out,
        stderr=output.err + message,
        hang="",
        seconds=0,
        cpu_seconds=0,
        peak_bytes=0,
        before=before,
        after=files_in(folder),
        folder=folder,
    )
    assert judge(case, outcome, None) == []


def outcome_of(folder: Path, status: int = 2, text: str = "signloom: error: a.csv: empty", hang: str = "") -> Outcome:
    return Outcome(
        status=status,
        stdout="",
        stderr=text,
        hang=hang,
        seconds=0,
        cpu_seconds=0,
        peak_bytes=0,
        before={},
        after=files_in(folder),
        folder=folder,
    )


CASE = Case("text/a", ("score",), names=("a.csv",), planted=("\x1b[31m",), stdout="terminal")


def test_the_judge_accepts_a_refusal_and_a_warning(tmp_path):
    assert judge(CASE, outcome_of(tmp_path), None) == []
    assert judge(CASE, outcome_of(tmp_path, 0, "warning: a.csv: line 3 left out"), None) == []


# Each outcome has one fault, which only its own rule can find.
@pytest.mark.parametrize(
    ("fault", "changes"),
    {
        "silent": {"status": 0, "text": "written: b.json"},
        "unnamed": {"text": "signloom: error: empty"},
        "traceback": {"status": 1, "text": "Traceback (most recent call last):\nKeyError: 'a.csv'"},
        "status": {"status": -11},
        "hang": {"status": -9, "hang": "idle for 10 s"},
        "memory": {"text": "signloom: error: a.csv: not enough memory (MemoryError)"},
        "control": {"text": "signloom: error: a.csv: \x1b[31m is no gloss"},
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_judge_finds_a_fault(fault, changes, tmp_path):
    assert [found.partition(":")[0] for found in judge(CASE, outcome_of(tmp_path, **changes), None)] == [fault]


def test_the_judge_finds_files_and_payloads(tmp_path):
    (tmp_path / "b.json").touch()
    assert judge(CASE, outcome_of(tmp_path), None) == ["written: b.json"]
    (tmp_path / "b.json").rename(tmp_path / PAYLOAD_RAN)
    assert "payload: it ran" in judge(CASE, outcome_of(tmp_path), None)
    # The last net catches what no code expected: its message is no excuse.
    assert judge(CASE, outcome_of(tmp_path, 70), None)[0].startswith("traceback: the last net")


def test_the_judge_compares_with_the_good_input(tmp_path):
    case = Case("text/a", ("score",), expected="same")
    assert judge(case, outcome_of(tmp_path, 0, "hello"), lambda: outcome_of(tmp_path, 0, "hello")) == []
    other = outcome_of(tmp_path, 0)
    other.stdout = "WER 12 %"
    assert judge(case, outcome_of(tmp_path, 0, "hello"), lambda: other)[0].startswith("other")
    # A good input that fails proves nothing.
    assert judge(case, outcome_of(tmp_path, 0, "hello"), lambda: outcome_of(tmp_path, 2))[0].startswith("harness")


def test_an_item_below_a_heading_tells_of_a_fault(tmp_path):
    left_out = "left out: 1, all listed in new/left_out.jsonl\n  a.csv: version None, this signloom reads 1 and 2"
    assert judge(CASE, outcome_of(tmp_path, 0, left_out), None) == []
    assert judge(CASE, outcome_of(tmp_path, 0, left_out.replace("left out", "read")), None) == ["silent: status 0"]
