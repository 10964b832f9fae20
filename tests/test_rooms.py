"""Imports go downwards only, and heavy packages stay out of what does not need them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import signloom

ROOT = Path(signloom.__file__).parent

# Rooms from the ground up: a room imports from its own floor's file set or from floors below, never from above.
FLOORS = [
    {"errors"},
    {"layout", "eaf", "findings"},
    {"files", "console", "tables"},
    {"landmarks", "vocabulary"},
    {"corpus"},
    {"run_folder"},
    {"ctc", "score", "extract", "importers", "compose"},
    {"drawing"},
    {"synth"},
    {"model", "subtitles"},
    {"inference"},
    {"train"},
    {"report"},
    {"health"},
    {"commands"},
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "signloom":
                found |= {f"signloom.{alias.name}" for alias in node.names if alias.name in FLOOR}
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("signloom.")}


def test_imports_go_downwards_only():
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts == ("__init__",):
            continue
        assert parts[0] in FLOOR, f"room {parts[0]!r} has no floor; give it one here and in docs/"
        for module in imports(path):
            if room_of(module) != parts[0] and FLOOR[room_of(module)] >= FLOOR[parts[0]]:
                wrong.append(f"{'.'.join(parts)} imports {module}")
    assert wrong == []


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import signloom.cli", ("numpy", "torch", "rich", "jsonargparse", "lightning")),
        ("import signloom; signloom.Corpus", ("torch", "lightning", "mediapipe", "matplotlib")),
    ],
)
def test_heavy_packages_are_not_imported(statement, forbidden):
    code = f"{statement}\nimport sys\nprint(sorted(set({forbidden!r}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
