"""Imports go downwards only, and heavy packages stay out of what does not need them."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import signloom
from conftest import parsed

ROOT = Path(signloom.__file__).parent

# Rooms from the ground up: a room imports from its own floor's file set or from floors below, never from above.
FLOORS = [
    {"hints"},
    {"errors"},
    {"files", "console", "processes", "signals", "demo"},
    {"text", "cluster"},
    {"layout", "timed", "findings", "frame_times"},
    {"landmarks", "vocabulary", "costs"},
    {"corpus", "anatomy"},
    {"run_folder"},
    {"ctc", "score", "extract", "importers", "compose"},
    {"drawing"},
    {"synth"},
    {"model", "subtitles"},
    {"inference"},
    {"train", "recompose"},
    {"report", "live", "transcripts", "page"},
    {"health"},
    {"commands"},
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    return module.split(".")[1]


def statements(block: ast.AST) -> Iterator[ast.AST]:
    """All statements inside a module, a class, a function or another statement."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        for statement in getattr(block, part, ()):
            yield statement
            yield from statements(statement)


@cache
def import_statements(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """The import statements of a module, also those inside functions and for types alone."""
    return [node for node in statements(parsed(path)) if isinstance(node, ast.Import | ast.ImportFrom)]


def imports(path: Path) -> set[str]:
    found = set()
    for node in import_statements(path):
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
        if parts in (("__init__",), ("__main__",)):
            continue
        assert parts[0] in FLOOR, f"room {parts[0]!r} has no floor; give it one here and in docs/"
        for module in imports(path):
            if room_of(module) != parts[0] and FLOOR[room_of(module)] >= FLOOR[parts[0]]:
                wrong.append(f"{'.'.join(parts)} imports {module}")
    assert wrong == []


@cache
def file_of(module: str) -> Path | None:
    path = ROOT.parent / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def imported_files(path: Path) -> set[Path]:
    """The files of the package that a file imports."""
    files = set()
    for node in import_statements(path):
        if isinstance(node, ast.ImportFrom) and node.module:
            files |= {file_of(f"{node.module}.{alias.name}") or file_of(node.module) for alias in node.names}
        elif isinstance(node, ast.Import):
            files |= {file_of(alias.name) for alias in node.names}
    # The package itself imports what it offers when somebody asks for it.
    return {file for file in files if file is not None} - {path, ROOT / "__init__.py"}


def in_circles(graph: dict) -> set:
    """The nodes of a graph from which a way leads back to them."""

    def reachable(start) -> set:
        seen, todo = set(), [start]
        while todo:
            new = graph.get(todo.pop(), set()) - seen
            seen |= new
            todo += new
        return seen

    return {node for node in graph if node in reachable(node)}


def test_circles_are_found():
    assert in_circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == {"b", "c"}


def test_no_files_import_each_other_in_a_circle():
    graph = {path: imported_files(path) for path in ROOT.rglob("*.py")}
    assert sorted(str(path.relative_to(ROOT)) for path in in_circles(graph)) == []


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import signloom.cli", ("numpy", "msgspec", "torch", "rich", "jsonargparse", "lightning")),
        ("import signloom; signloom.Corpus", ("torch", "lightning", "mediapipe", "matplotlib")),
    ],
)
def test_heavy_packages_are_not_imported(statement, forbidden):
    code = f"{statement}\nimport sys\nprint(sorted(set({forbidden!r}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
