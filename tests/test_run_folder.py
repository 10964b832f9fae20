"""The run folder: one module names its files, and what it removes follows from their declarations."""

import ast
import re
from pathlib import Path

import pytest

import signloom
from signloom.errors import InputError
from signloom.run_folder import Run

ROOT = Path(signloom.__file__).parent
FILES = [file for file in vars(Run).values() if hasattr(file, "kept")]
# `*` stands for the split; folders are too short to be looked for ("emissions" is also a word).
NAMES = re.compile("|".join(re.escape(f.name).replace(r"\*", ".*") for f in FILES if "." in f.name))


def texts(tree):
    """The string constants of a module that are not docstrings; of an f-string, its constant parts joined by `*`."""
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "*" for part in node.values)
            nodes += [part for part in node.values if not isinstance(part, ast.Constant)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        else:
            nodes += list(ast.iter_child_nodes(node))


def test_no_other_module_names_a_file_of_a_run():
    named = []
    for path in sorted(ROOT.rglob("*.py")):
        if path.name == "run_folder.py" or path.parent.name == "checks":
            continue
        found = [text for text in texts(ast.parse(path.read_text(encoding="utf-8"))) if NAMES.search(text)]
        named += [f"{path.relative_to(ROOT)}: {text!r}" for text in found]
    assert named == []


def test_the_search_finds_what_it_should():
    code = (
        'def f(run):\n    """Writes run.json."""\n'
        '    return run / "run.json", f"evaluation-{run}.json", f"{run}: no model.safetensors"'
    )
    assert len([text for text in texts(ast.parse(code)) if NAMES.search(text)]) == 3


def test_everything_that_is_declared_is_cleared_but_the_logs(tmp_path):
    run = Run(tmp_path)
    for file in FILES:
        path = tmp_path / file.name.replace("*", "test")
        if path.suffix:
            path.write_text("x")
        else:
            (path / "inner").mkdir(parents=True)
    (tmp_path / "mine.txt").write_text("not ours")
    run.clear()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"training.log", "tensorboard", "run.lock", "mine.txt"}
    assert run.evaluation_file("dev") == tmp_path / "evaluation-dev.json"
    assert Run.model_file.name == run.model_file.name == "model.safetensors"


def test_a_missing_folder_is_refused_and_an_empty_one_holds_nothing(tmp_path):
    with pytest.raises(InputError, match="no such folder; needed the folder of a run"):
        Run.read(tmp_path / "gone")
    assert not Run.read(tmp_path).is_run
    assert Run.read(tmp_path).find_corpus() is None
