"""The dependencies in pyproject.toml: every one has a lower and an upper bound."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

lowest_versions = import_module("lowest_versions")

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


@pytest.mark.parametrize("extra", [None, *EXTRAS])
def test_every_dependency_has_bounds(extra):
    found = lowest_versions.constraints([extra] if extra else [])
    assert all(re.fullmatch(r"[\w.-]+==[\d.]+", line) for line in found)
    assert any(line.startswith("numpy==") for line in found)


@pytest.mark.parametrize(
    ("text", "fault"),
    [("a>=1", "no upper bound"), ("a<2", "no lower bound"), ("a", "no lower bound"), ("a>1,<2", "no lower")],
)
def test_a_missing_bound_is_found(text, fault):
    with pytest.raises(SystemExit, match=fault):
        lowest_versions.lowest(Requirement(text))


def test_the_highest_of_several_bounds_counts(monkeypatch):
    monkeypatch.setattr(
        lowest_versions.tomllib,
        "loads",
        lambda text: {
            "project": {
                "name": "us",
                "dependencies": ["a>=1.2,<3", "b==0.0.7", "regex>=2024.5.10"],
                "optional-dependencies": {"x": ["us[y]", "c>=1,<2; python_version < '3'"], "y": ["a>=1.10,<3", "b<1"]},
            }
        },
    )
    assert lowest_versions.constraints(["x"]) == ["a==1.10", "b==0.0.7", "regex==2024.5.10"]
