"""The short form of benchmarks/kills.py: a few kills of cheap commands, and a planted fault that it must find."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(sys, "addaudithook"), reason="needs audit hooks")]


def kills(folder, *flags, code="import kills"):
    results = folder / "results.jsonl"
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport sys\nsys.exit(kills.main())",
            "--results",
            results,
            "--work",
            folder,
            *flags,
        ],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
    )
    assert results.exists(), found.stderr
    return found, [json.loads(line) for line in results.read_text().splitlines()]


def test_a_killed_command_leaves_the_old_or_the_new_and_can_be_run_again(tmp_path):
    flags = ("--kills", "50", "--seed", "1", "--only", "compose over old", "import over old", "lm over old")
    found, records = kills(tmp_path, *flags)
    assert found.returncode == 0, found.stdout + found.stderr
    trials = [record for record in records if "kind" in record]
    assert len(trials) >= 8
    assert {record["signal"] for record in trials} == {"SIGKILL", "SIGTERM"}
    assert sum(record["status"] not in (0, 1) for record in trials) > len(trials) / 2
    # What is done is not done again.
    again, after = kills(tmp_path, *flags)
    assert again.returncode == 0
    assert after == records


def test_the_harness_finds_a_corpus_that_is_replaced_without_a_plan(tmp_path):
    fault = (
        "import kills; from signloom.files.staging import Stage\n"
        "def commit(self, files, remove=()):\n"
        "    for name in files:\n"
        "        (self.folder / name).parent.mkdir(exist_ok=True); (self.path / name).replace(self.folder / name)\n"
        "Stage.commit = commit"
    )
    found, records = kills(tmp_path, "--kills", "60", "--seed", "16", "--only", "compose over old", code=fault)
    assert found.returncode == 1, found.stdout + found.stderr
    assert any("the manifest says" in text for record in records for text in record["violations"])
